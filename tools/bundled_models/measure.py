"""The vision encoder's figures of the model card, on held-out rendered people.

Belongs here: measuring the exported encoder through the code that production uses. Does not belong
here: training; rides (`identity-pipeline evaluate`); real faces. Everything is deterministic.
Run `python -m tools.bundled_models.measure --pool POOL`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from identity_pipeline.media.crops import VISION_PX
from identity_pipeline.models.vision_encoder import VisionEncoder
from identity_pipeline.settings import ModelSettings
from tools.bundled_models.datasets import VisionCrops

Figures = dict[str, Any]


def on_vision(folder: Path, pool: Path) -> Figures:
    """Do nearest neighbours (of other people) share pose and expression? Against pixels and chance."""
    encoder = VisionEncoder(ModelSettings(vision_encoder=str(folder), device="cpu"))
    crops = VisionCrops(pool, "test", VISION_PX)
    first = [crops.view((k, 0))[0] for k in range(len(crops))]
    second = [crops.view((k, 1))[0] for k in range(len(crops))]
    small = [cv2.resize(p, (24, 24), interpolation=cv2.INTER_AREA).reshape(-1) for p in first]
    seen = encoder.embed([p[..., ::-1] for p in first])
    vectors = {
        "encoder": seen,
        "pixels": np.array([row - row.mean() for row in np.array(small, np.float32)]),
        "chance": np.random.default_rng(0).standard_normal((len(crops), 64)),
    }
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
    parser.add_argument("--bundled", type=Path, default=Path("identity_pipeline/bundled"))
    parser.add_argument("--pool", type=Path, required=True)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    figures = {"vision": on_vision(arguments.bundled / "vision", arguments.pool)}
    print(json.dumps(figures, indent=1), flush=True)


if __name__ == "__main__":
    main()
