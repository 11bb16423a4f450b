"""The pack on real material, which no net was trained on: private clips and photographs.

Belongs here: reading that material and comparing with a detector trained on photographs.
Does not belong here: rendered material (`measure`).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from insightface.app import FaceAnalysis
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from tools.bundled_models.scores import SMALLEST, Figures, Tally, verification

REFERENCE = Path("models/mobile")  # a pack trained on photographs, below the folder of the material


def frames_of(path: Path, step: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Every step-th frame, BGR."""
    with av.open(str(path)) as container:
        for k, frame in enumerate(container.decode(video=0)):
            if k % step == 0:
                yield k, np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)


def on_real(app: FaceAnalysis, reference: FaceAnalysis, real: Path, step: int = 12) -> Figures:
    """Against the boxes of a detector trained on photographs, and on labelled photographs."""
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
        json.loads(truth.read_text(encoding="utf-8"))["people"]
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
