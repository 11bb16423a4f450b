"""Every figure of the model card, measured through the code that production uses.

Belongs here: measuring the exported pack on held-out rendered people, on rides with truth, and on
real material where it is given. Does not belong here: training. Everything is deterministic.
Run `python -m bundled_models.measure --bundled identity_pipeline/bundled --pool POOL [--real FOLDER]
[--rides FOLDER ...] [--json FILE]`.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from insightface.app import FaceAnalysis
from insightface.utils import face_align
from numpy.typing import NDArray

from identity_pipeline.media.crops import VISION_PX
from identity_pipeline.models.vision_encoder import VisionEncoder
from identity_pipeline.settings import ModelSettings
from tools.bundled_models.canvases import Canvases
from tools.bundled_models.datasets import ReaderCrops, RecogniserCrops, VisionCrops
from tools.bundled_models.degrade import camera
from tools.bundled_models.measure_real import REFERENCE, frames_of, on_real
from tools.bundled_models.pool import ATTRIBUTES
from tools.bundled_models.scores import (
    MOST_HIDDEN,
    SMALLEST,
    Figures,
    Tally,
    agreement,
    pose_error,
    pose_of,
    verification,
)


def analysis(pack: Path, side: int = 640) -> FaceAnalysis:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        app = FaceAnalysis(str(pack), providers=["CPUExecutionProvider"])
        app.prepare(0, det_thresh=0.5, det_size=(side, side))
    return app


def on_canvases(app: FaceAnalysis, pool: Path, count: int = 300, side: int = 448) -> Figures:
    """Detection in clutter: held-out people, and look-alikes, on busy backgrounds."""
    data, tally = Canvases(pool, 987_654, "test"), Tally()
    data.large = data.pool  # the larger crops are of people trained on
    for draw in range(count):
        rng = np.random.default_rng([987_654, draw])
        image, boxes, _, seen = data.canvas(rng, side)
        image = camera(image, rng, 0.8)
        found = app.det_model.detect(image[..., ::-1])[0][:, :4]
        size = np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
        tally.add(found, boxes, (size >= SMALLEST) & (seen > 1 - MOST_HIDDEN))
    return tally.figures()


def on_crops(app: FaceAnalysis, pack: Path, pool: Path) -> Figures:
    """Recognition, landmarks, pose and attributes on crops of held-out people."""
    faces, vectors = RecogniserCrops(pool, "test"), []
    session = app.models["recognition"].session
    for k in range(len(faces)):
        vectors.append(
            session.run(None, {session.get_inputs()[0].name: faces[(k, 0)][0].numpy()[None]})[0][0]
        )
    embedded, people = np.array(vectors), faces.pool.person
    frontal = np.abs(faces.pool.pose[:, 1]) <= 30
    out: Figures = {
        "verification_all_poses": verification(embedded, people),
        "verification_within_30": verification(embedded[frontal], people[frontal]),
    }
    return out | _reading(app, pack, pool)


def _reading(app: FaceAnalysis, pack: Path, pool: Path) -> Figures:
    crops = ReaderCrops(pool, "test")
    attributes = onnxruntime.InferenceSession(str(pack / "attributes" / "face_attributes.onnx"))
    landmarks = app.models["landmark_3d_68"].session
    error, eyes, read, true, turned = [], [], [], [], []
    for k in range(len(crops)):
        image, marks, wanted, pose, index = crops[(k, 0)]
        batch = {"data": image.numpy()[None]}
        got = landmarks.run(None, batch)[0][0, -204:].reshape(68, 3)
        box = crops.pool.box[index]
        side = max(box[2] - box[0], box[3] - box[1]) * 1.5
        scale = (
            np.sqrt((box[2] - box[0]) * (box[3] - box[1])) / side * 2
        )  # the box's size in the crop's units
        distance = np.linalg.norm(got[:, :2] - marks.numpy()[:, :2], axis=1) / scale
        error.append(distance.mean())
        eyes.append(distance[36:48].mean())
        levels, direct = attributes.run(None, batch)
        read.append(levels[0])
        true.append(wanted.numpy())
        turned.append((pose_of(got), direct[0], pose_of(marks.numpy()), pose.numpy() * 45))
    fitted, direct_pose, exact, wanted_pose = (
        np.array(column) for column in zip(*turned, strict=True)
    )
    values, truth = np.array(read), np.array(true)
    return {
        "landmarks": {
            "mean_error_over_box": round(float(np.mean(error)), 4),
            "median_error_over_box": round(float(np.median(error)), 4),
            "eyes_error_over_box": round(float(np.mean(eyes)), 4),
            "n": len(error),
        },
        "pose_mae_of_landmarks": pose_error(fitted, wanted_pose),
        "pose_mae_of_attribute_net": pose_error(direct_pose, wanted_pose),
        "pose_mae_of_exact_landmarks": pose_error(exact, wanted_pose),
        "attributes": {
            name: agreement(values[:, k], truth[:, k]) for k, name in enumerate(ATTRIBUTES)
        },
    }


def on_rides(app: FaceAnalysis, pack: Path, folders: list[Path], step: int = 6) -> Figures:
    """Everything on rendered rides: detection, who is who within and across rides, pose, attributes."""
    session = onnxruntime.InferenceSession(str(pack / "attributes" / "face_attributes.onnx"))
    tally, vectors, people, rows = Tally(), [], [], []
    for path in sorted(p for folder in folders for p in folder.glob("*.truth.json")):
        truth = json.loads(path.read_text(encoding="utf-8"))["frames"]
        for k, image in frames_of(path.with_name(path.name.replace(".truth.json", ".mp4")), step):
            true = truth[k]["faces"]
            boxes = np.array([face["box"] for face in true], float).reshape(-1, 4)
            size = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(1))
            hidden = np.array([face["occlusion"] for face in true])
            found = app.get(image)
            at = np.array([face.bbox for face in found]).reshape(-1, 4)
            for i, j in tally.add(at, boxes, (size >= SMALLEST) & (hidden < MOST_HIDDEN)):
                if hidden[j] < MOST_HIDDEN and true[j]["person"].startswith("rider"):
                    vectors.append(found[i].embedding)
                    people.append(true[j]["person"])
                    rows.append((found[i], true[j], read_face(session, image, found[i].bbox)))
    out: Figures = {
        "detection": tally.figures(),
        "verification": verification(np.array(vectors), np.array(people)),
    }
    return out | _ride_reading(rows)


def read_face(
    session: onnxruntime.InferenceSession, image: NDArray[np.uint8], box: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Attributes and pose of a face: the crop is that of the landmark net."""
    width, height = box[2] - box[0], box[3] - box[1]
    centre = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    crop, _ = face_align.transform(image, centre, 192, 192 / (max(width, height) * 1.5), 0)
    blob = cv2.dnn.blobFromImage(crop, 1 / 128, (192, 192), (127.5, 127.5, 127.5), swapRB=True)
    attributes, pose = session.run(None, {"data": blob})
    return np.asarray(attributes[0]), np.asarray(pose[0])


def _ride_reading(rows: list[Any]) -> Figures:
    pose = np.array([found.pose for found, _, _ in rows])
    direct = np.array([read[1] for _, _, read in rows])
    wanted = np.array([true["pose"] for _, true, _ in rows])
    marks = np.array([found.landmark_3d_68[:, :2] for found, _, _ in rows])
    exact = np.array([true["landmarks"] for _, true, _ in rows])[..., :2]
    boxes = np.array([true["box"] for _, true, _ in rows])
    size = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(1))
    read = np.array([read[0] for _, _, read in rows])
    truth = np.array([[true[name] for name in ATTRIBUTES] for _, true, _ in rows])
    return {
        "faces": len(rows),
        "pose_mae_of_landmarks": pose_error(pose, wanted),
        "pose_mae_of_attribute_net": pose_error(direct, wanted),
        "pose_correlation": {
            name: round(float(np.corrcoef(pose[:, k], wanted[:, k])[0, 1]), 3)
            for k, name in enumerate(("pitch", "yaw", "roll"))
        },
        "landmarks_error_over_box": round(
            float((np.linalg.norm(marks - exact, axis=2).mean(1) / size).mean()), 4
        ),
        "attributes": {
            name: agreement(read[:, k], truth[:, k]) for k, name in enumerate(ATTRIBUTES)
        },
    }


def on_vision(folder: Path, app: FaceAnalysis, pool: Path) -> Figures:
    """Do nearest neighbours (of other people) share pose and expression? Against pixels and the recogniser."""
    encoder = VisionEncoder(ModelSettings(vision_encoder=str(folder), device="cpu"))
    crops, faces = VisionCrops(pool, "test", VISION_PX), RecogniserCrops(pool, "test")
    session = app.models["recognition"].session
    name = session.get_inputs()[0].name
    first = [crops.view((k, 0))[0] for k in range(len(crops))]
    second = [crops.view((k, 1))[0] for k in range(len(crops))]
    small = [cv2.resize(p, (24, 24), interpolation=cv2.INTER_AREA).reshape(-1) for p in first]
    seen = encoder.embed([p[..., ::-1] for p in first])
    vectors = {
        "encoder": seen,
        "pixels": np.array([row - row.mean() for row in np.array(small, np.float32)]),
        "recogniser": np.array(
            [session.run(None, {name: faces[(k, 0)][0].numpy()[None]})[0][0] for k in range(len(faces))]
        ),
        "chance": np.random.default_rng(0).standard_normal((len(crops), 64)),
    }  # fmt: skip
    again = encoder.embed([p[..., ::-1] for p in second])
    out: Figures = {key: _neighbours(rows, crops) for key, rows in vectors.items()}
    return out | {"encoder_cosines": _cosines(seen, again, crops)}


def _cosines(seen: NDArray[Any], again: NDArray[Any], crops: VisionCrops) -> Figures:
    """How cosines spread: the same moment damaged twice, and pairs by their distance in the targets."""
    i, j = np.triu_indices(len(seen), 1)
    cosine = (seen @ seen.T)[i, j]
    distance = np.linalg.norm(crops.targets[i] - crops.targets[j], axis=1)
    groups = {
        "same_moment": (seen * again).sum(1),
        "alike_below_0.8": cosine[distance < 0.8],
        "between_0.8_and_1.6": cosine[(distance >= 0.8) & (distance < 1.6)],
        "between_1.6_and_3": cosine[(distance >= 1.6) & (distance < 3)],
        "unlike_from_3": cosine[distance >= 3],
    }
    return {
        key: dict(zip(("p05", "median", "p95"), np.quantile(rows, (0.05, 0.5, 0.95)).round(3).tolist(), strict=True))
        | {"n": len(rows)}
        for key, rows in groups.items()
    }  # fmt: skip


def _neighbours(vectors: NDArray[Any], crops: VisionCrops) -> Figures:
    person, targets = crops.pool.person, crops.targets
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine = unit @ unit.T
    cosine[person[:, None] == person[None]] = -2
    nearest = cosine.argmax(1)
    pose, attributes = crops.pool.pose, crops.pool.attributes
    return {
        "yaw_difference": round(float(np.abs(pose[nearest, 1] - pose[:, 1]).mean()), 2),
        "pitch_difference": round(float(np.abs(pose[nearest, 0] - pose[:, 0]).mean()), 2),
        "mouth_difference": round(
            float(np.abs(attributes[nearest, 1] - attributes[:, 1]).mean()), 3
        ),
        "smile_difference": round(
            float(np.abs(attributes[nearest, 2] - attributes[:, 2]).mean()), 3
        ),
        "target_distance": round(
            float(np.linalg.norm(targets[nearest] - targets, axis=1).mean()), 3
        ),
        "n": len(person),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundled", type=Path, required=True)
    parser.add_argument("--pool", type=Path, required=True)
    parser.add_argument("--real", type=Path)
    parser.add_argument("--rides", type=Path, nargs="*", default=[])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", help="of clutter, crops, vision, rides, real: only this one")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    pack = arguments.bundled / "pack"
    app = analysis(pack)
    rides = [arguments.bundled / "rides", *arguments.rides]
    parts: dict[str, Callable[[], Figures]] = {
        "clutter": lambda: on_canvases(app, arguments.pool),
        "crops": lambda: on_crops(app, pack, arguments.pool),
        "vision": lambda: on_vision(arguments.bundled / "vision", app, arguments.pool),
        "rides": lambda: on_rides(app, pack, rides),
    }
    if arguments.real:
        parts["real"] = lambda: on_real(app, analysis(arguments.real / REFERENCE), arguments.real)
    figures: Figures = {}
    for name, measured in parts.items():
        if arguments.only in (None, name):
            figures[name] = measured()
            print(json.dumps({name: figures[name]}, indent=1), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
