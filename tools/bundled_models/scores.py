"""Figures from found and true things: detections, pairs of faces, numbers against truth.

Belongs here: arithmetic on arrays. Does not belong here: running networks or reading files.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score, roc_curve

Figures = dict[str, Any]
SMALLEST, MOST_HIDDEN = 40, 0.5  # px and share: which true faces must be found


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


def agreement(value: NDArray[Any], truth: NDArray[Any]) -> Figures:
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = float(np.corrcoef(value, truth)[0, 1])
    return {
        "correlation": round(correlation, 3),
        "mae": round(float(np.abs(value - truth).mean()), 3),
    }


def pose_error(estimated: NDArray[Any], wanted: NDArray[Any]) -> Figures:
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
