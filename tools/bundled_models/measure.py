"""Every figure of the model card, measured through the code that production uses.

Belongs here: measuring the exported pack on held-out rendered people, on rides with truth, and on
real material where it is given. Does not belong here: training. Everything is deterministic.
Run `python -m bundled_models.measure --bundled identity_pipeline/bundled --pool POOL [--real FOLDER]
[--rides FOLDER ...] [--json FILE]`.
"""

from __future__ import annotations

import argparse
import csv
import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import onnxruntime
from insightface.app import FaceAnalysis
from insightface.utils import face_align
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score, roc_curve

from tools.bundled_models.canvases import Canvases
from tools.bundled_models.datasets import ReaderCrops, RecogniserCrops, VisionCrops
from tools.bundled_models.degrade import camera
from tools.bundled_models.pool import ATTRIBUTES

Figures = dict[str, Any]
SMALLEST, MOST_HIDDEN = 40, 0.5  # px and share: which true faces must be found


def analysis(pack: Path, side: int = 640) -> FaceAnalysis:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        app = FaceAnalysis(str(pack), providers=["CPUExecutionProvider"])
        app.prepare(0, det_thresh=0.5, det_size=(side, side))
    return app


def iou(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """IoU of every box of a with every box of b."""
    a, b = a.reshape(-1, 1, 4), b.reshape(1, -1, 4)
    both = np.maximum(
        np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0
    ).prod(-1)
    area_a, area_b = (a[..., 2:] - a[..., :2]).prod(-1), (b[..., 2:] - b[..., :2]).prod(-1)
    return np.asarray(both / np.maximum(area_a + area_b - both, 1e-9))


def match(found: NDArray[Any], true: NDArray[Any]) -> list[tuple[int, int]]:
    """Pairs (found, true) with IoU >= 0.5, best first, each used once."""
    overlaps = iou(found, true)
    pairs = []
    while overlaps.size and overlaps.max() >= 0.5:
        i, j = np.unravel_index(overlaps.argmax(), overlaps.shape)
        pairs.append((int(i), int(j)))
        overlaps[i], overlaps[:, j] = 0, 0
    return pairs


class Tally:
    """Detections against truth; faces that are small or hidden neither count nor harm."""

    def __init__(self) -> None:
        self.hit = self.missed = self.false = 0

    def add(
        self, found: NDArray[Any], true: NDArray[Any], counted: NDArray[np.bool_]
    ) -> list[tuple[int, int]]:
        pairs = match(found, true)
        self.hit += sum(bool(counted[j]) for _, j in pairs)
        self.missed += int(counted.sum()) - sum(bool(counted[j]) for _, j in pairs)
        matched = {i for i, _ in pairs}
        spare = [i for i in range(len(found)) if i not in matched]
        excused = (
            iou(found[spare], true[~counted]).max(1, initial=0) > 0.1 if len(spare) else np.zeros(0)
        )
        self.false += len(spare) - int(excused.sum())
        return pairs

    def figures(self) -> Figures:
        recall, precision = (
            self.hit / max(1, self.hit + self.missed),
            self.hit / max(1, self.hit + self.false),
        )
        return {
            "recall": round(recall, 4),
            "precision": round(precision, 4),
            "n": self.hit + self.missed,
        }


def verification(vectors: NDArray[Any], people: NDArray[Any]) -> Figures:
    """ROC-AUC and TAR at FAR over all pairs."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    i, j = np.triu_indices(len(unit), 1)
    scores, same = (unit @ unit.T)[i, j], people[i] == people[j]
    far, tar, _ = roc_curve(same, scores)
    return {
        "roc_auc": round(float(roc_auc_score(same, scores)), 4),
        "tar_at_far_1e-2": round(float(np.interp(1e-2, far, tar)), 4),
        "tar_at_far_1e-3": round(float(np.interp(1e-3, far, tar)), 4),
        "cosine_same": round(float(scores[same].mean()), 3),
        "cosine_different": round(float(scores[~same].mean()), 3),
        "n": len(unit),
        "people": len(np.unique(people)),
    }


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
        "pose_mae_of_landmarks": _pose_error(fitted, wanted_pose),
        "pose_mae_of_attribute_net": _pose_error(direct_pose, wanted_pose),
        "pose_mae_of_exact_landmarks": _pose_error(exact, wanted_pose),
        "attributes": {
            name: _agreement(values[:, k], truth[:, k]) for k, name in enumerate(ATTRIBUTES)
        },
    }


def _agreement(value: NDArray[Any], truth: NDArray[Any]) -> Figures:
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = float(np.corrcoef(value, truth)[0, 1])
    return {
        "correlation": round(correlation, 3),
        "mae": round(float(np.abs(value - truth).mean()), 3),
    }


def _pose_error(estimated: NDArray[Any], wanted: NDArray[Any]) -> Figures:
    """Mean absolute error in degrees."""
    off = np.abs(estimated - wanted).mean(0).round(2).tolist()
    return dict(zip(("pitch", "yaw", "roll"), off, strict=True))


def pose_of(landmarks: NDArray[Any]) -> NDArray[np.float64]:
    """Pitch, yaw, roll from 68 points in 3-D as insightface does it, with the signs of the truth."""
    from insightface.data import get_object
    from insightface.utils import transform

    mean = get_object("meanshape_68.pkl")
    points = np.concatenate([(landmarks[:, :2] + 1) * 96, landmarks[:, 2:] * 96], 1)
    matrix = transform.estimate_affine_matrix_3d23d(mean, points)
    _, rotation, _ = transform.P2sRt(matrix)
    pitch, yaw, roll = transform.matrix2angle(rotation)
    return np.array([pitch, yaw, roll])


def frames_of(path: Path, step: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Every step-th frame, BGR."""
    with av.open(str(path)) as container:
        for k, frame in enumerate(container.decode(video=0)):
            if k % step == 0:
                yield k, np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)


def on_rides(app: FaceAnalysis, pack: Path, folders: list[Path], step: int = 6) -> Figures:
    """Everything on rendered rides: detection, who is who within and across rides, pose, attributes."""
    session = onnxruntime.InferenceSession(str(pack / "attributes" / "face_attributes.onnx"))
    tally, vectors, people, rows = Tally(), [], [], []
    for path in sorted(p for folder in folders for p in folder.glob("*.truth.json")):
        truth = json.loads(path.read_text())["frames"]
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
    exact = np.array([true["landmarks"] for _, true, _ in rows])
    boxes = np.array([true["box"] for _, true, _ in rows])
    size = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(1))
    read = np.array([read[0] for _, _, read in rows])
    truth = np.array([[true[name] for name in ATTRIBUTES] for _, true, _ in rows])
    return {
        "faces": len(rows),
        "pose_mae_of_landmarks": _pose_error(pose, wanted),
        "pose_mae_of_attribute_net": _pose_error(direct, wanted),
        "pose_correlation": {
            name: round(float(np.corrcoef(pose[:, k], wanted[:, k])[0, 1]), 3)
            for k, name in enumerate(("pitch", "yaw", "roll"))
        },
        "landmarks_error_over_box": round(
            float((np.linalg.norm(marks - exact, axis=2).mean(1) / size).mean()), 4
        ),
        "attributes": {
            name: _agreement(read[:, k], truth[:, k]) for k, name in enumerate(ATTRIBUTES)
        },
    }


def on_vision(folder: Path, app: FaceAnalysis, pool: Path) -> Figures:
    """Do nearest neighbours (of other people) share pose and expression? Against pixels and the recogniser."""
    import torch
    from transformers import AutoModel

    encoder = AutoModel.from_pretrained(folder).float()
    encoder.train(False)
    crops, faces = VisionCrops(pool, "test"), RecogniserCrops(pool, "test")
    session = app.models["recognition"].session
    vectors: dict[str, list[Any]] = {"encoder": [], "pixels": [], "recogniser": []}
    with torch.inference_mode():
        for k in range(len(crops)):
            picture = crops[(k, 0)][0]
            vectors["encoder"].append(encoder(pixel_values=picture[None]).pooler_output[0].numpy())
            small = cv2.resize(
                picture.numpy().transpose(1, 2, 0), (24, 24), interpolation=cv2.INTER_AREA
            )
            vectors["pixels"].append((small - small.mean()).reshape(-1))
            vectors["recogniser"].append(
                session.run(None, {session.get_inputs()[0].name: faces[(k, 0)][0].numpy()[None]})[
                    0
                ][0]
            )
    person, targets = crops.pool.person, crops.targets
    return {
        name: _neighbours(np.array(rows), person, targets, crops) for name, rows in vectors.items()
    } | {
        "chance": _neighbours(
            np.random.default_rng(0).standard_normal((len(person), 64)), person, targets, crops
        )
    }


def _neighbours(
    vectors: NDArray[Any], person: NDArray[Any], targets: NDArray[Any], crops: VisionCrops
) -> Figures:
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


def on_real(app: FaceAnalysis, real: Path, step: int = 12) -> Figures:
    """Against the boxes of a detector trained on photographs, and on labelled photographs."""
    reference = analysis(real / "models" / "mobile")
    out: Figures = {}
    for group, pattern in (("rides", "ride_*.mp4"), ("heads", "solo_*.mp4")):
        tally, agreement, vectors, people = Tally(), [], [], []
        for path in sorted((real / "videos").glob(pattern)):
            seats = _people(path)
            for _, image in frames_of(path, step):
                sure = reference.det_model.detect(image)
                boxes = sure[0][sure[0][:, 4] >= 0.6]
                size = np.sqrt((boxes[:, 2:4] - boxes[:, :2]).prod(1))
                found = app.get(image)
                at = np.array([face.bbox for face in found]).reshape(-1, 4)
                for i, j in tally.add(at, boxes[:, :4], size >= SMALLEST):
                    points = sure[1][sure[0][:, 4] >= 0.6][j]
                    agreement.append(
                        float(np.linalg.norm(found[i].kps - points, axis=1).mean() / size[j])
                    )
                    vectors.append(found[i].embedding)
                    people.append(_seat(seats, boxes[j], image.shape[1]))
        out[group] = {
            "detection_against_reference": tally.figures(),
            "five_points_difference_over_box": round(float(np.mean(agreement)), 4)
            if agreement
            else None,
            "verification": verification(np.array(vectors), np.array(people)),
        }
    return out | {"photographs": _photographs(app, reference, real / "pairs")}


def _people(video: Path) -> list[str]:
    truth = video.with_name(video.stem + ".truth.json")
    names = (
        json.loads(truth.read_text())["people"]
        if truth.exists()
        else [video.stem.removeprefix("solo_")]
    )
    return [name.removesuffix(".mp4") for name in names]


def _seat(people: list[str], box: NDArray[Any], width: int) -> str:
    return people[0] if len(people) == 1 or box[0] + box[2] < width else people[1]


def _photographs(app: FaceAnalysis, reference: FaceAnalysis, folder: Path) -> Figures:
    tally, vectors = Tally(), {}
    with (folder / "people.csv").open() as file:
        people = {row["file"]: row["person"] for row in csv.DictReader(file)}
    for name in sorted(p.name for p in folder.glob("*.jpg")):
        image = cv2.imread(str(folder / name))
        boxes = reference.det_model.detect(image)[0]
        found = app.get(image)
        tally.add(
            np.array([f.bbox for f in found]).reshape(-1, 4), boxes[:, :4], boxes[:, 4] >= 0.6
        )
        if found:
            biggest = max(found, key=lambda f: float((f.bbox[2:] - f.bbox[:2]).prod()))
            vectors[name] = biggest.embedding / np.linalg.norm(biggest.embedding)
    with (folder / "pairs.csv").open() as file:
        pairs = [
            row
            for row in csv.DictReader(file)
            if row["file_x"] in vectors and row["file_y"] in vectors
        ]
    same = [int(row["same_person"]) for row in pairs]
    scores = [float(vectors[row["file_x"]] @ vectors[row["file_y"]]) for row in pairs]
    labelled = sum(name in people for name in vectors)
    auc = round(float(roc_auc_score(same, scores)), 4) if len(set(same)) == 2 else None
    return {
        "detection_against_reference": tally.figures(),
        "verification_roc_auc": auc, "pairs": len(pairs), "same_pairs": sum(same), "photographs": labelled,
    }  # fmt: skip


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
        parts["real"] = lambda: on_real(app, arguments.real)
    figures: Figures = {}
    for name, measured in parts.items():
        if arguments.only in (None, name):
            figures[name] = measured()
            print(json.dumps({name: figures[name]}, indent=1), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
