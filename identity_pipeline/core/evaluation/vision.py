"""The vision encoder: do faces that it finds alike have the same pose and expression?

For each rider's face the nearest other one of the same person, in another video or at least a
second apart, is looked up by `e_vis`, and for comparison by `e_id`. Chance is the mean over all
faces that could have been found. A useful encoder is well below both; the recogniser is trained
not to see pose.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.evaluation import figures
from identity_pipeline.core.evaluation.recognition import APART_MS
from identity_pipeline.core.evaluation.report import Figure
from identity_pipeline.core.faces.buckets import UNKNOWN
from identity_pipeline.core.vectors import to_matrix

FACES_MAX = 2000
"""Of one person; above, every n-th is taken."""
FINDERS = (
    ("encoder", "found by the vision encoder"),
    ("recogniser", "found by the recogniser"),
    ("chance", "found by chance"),
)
POSE_NEEDED = "the truth of these clips does not say the pose"
NOTHING = "no face has both embeddings"


def vision_figures(faces: pl.DataFrame, scope: str) -> list[Figure]:
    """Mean pose difference and share of the same expression of nearest neighbours.

    Args:
        faces: result of `attributes.rider_faces`.
        scope: on what it rests.
    """
    embedded = faces.drop_nulls(["e_vis_face", "e_id"])
    known = embedded.drop_nulls(["true_yaw", "true_pitch"])
    reason = POSE_NEEDED if embedded.height else NOTHING
    spaces = embedded.select("space", "vision_space").n_unique() if embedded.height else 1
    if spaces > 1:
        reason = "the videos were embedded in different spaces"
        known = known.clear()
    parts = [
        _neighbours(part.sort("video", "frame_idx", "face_id").gather_every(_step(part.height)))
        for part in known.partition_by("person", maintain_order=False)
    ]
    schema = {"unit": pl.String, **{f"{f}_{w}": pl.Float64 for f, _ in FINDERS for w in WHAT}}
    table = pl.concat([pl.DataFrame(schema=schema), *parts]).sort("unit", maintain_order=True)
    result = []
    for finder, words in FINDERS:
        rows = table.drop_nulls(f"{finder}_pose")
        result.append(
            figures.mean(
                f"vision.{finder}_pose",
                f"Pose difference to the nearest face {words}",
                rows[f"{finder}_pose"],
                rows["unit"].to_list(),
                scope,
                "riders' faces",
                "degrees",
                reason,
                "lower" if finder == "encoder" else None,
            )
        )
        rows = table.drop_nulls(f"{finder}_expression")
        result.append(
            figures.mean(
                f"vision.{finder}_expression",
                f"Same expression as the nearest face {words}",
                rows[f"{finder}_expression"],
                rows["unit"].to_list(),
                scope,
                "riders' faces",
                "share",
                reason,
                "higher" if finder == "encoder" else None,
            )
        )
    return result


WHAT = ("pose", "expression")


def _step(n: int) -> int:
    return max(1, -(-n // FACES_MAX))


def _neighbours(faces: pl.DataFrame) -> pl.DataFrame:
    """Per face of one person: pose difference and sameness of expression of each finder."""
    video = np.unique(faces["video"].to_numpy().astype(str), return_inverse=True)[1]
    time = faces["timestamp_ms"].to_numpy()
    eligible = (video[:, None] != video[None, :]) | (
        np.abs(time[:, None] - time[None, :]) >= APART_MS
    )
    some = eligible.any(axis=1)
    angles = faces.select("true_yaw", "true_pitch").to_numpy()
    pose = np.linalg.norm(angles[:, None, :] - angles[None, :, :], axis=2)
    expression = faces["true_expression_bin"].to_numpy().astype(str)
    told = expression != UNKNOWN
    same = (expression[:, None] == expression[None, :]).astype(np.float64)
    same[~(told[:, None] & told[None, :])] = np.nan
    columns: dict[str, NDArray[np.float64]] = {}
    for finder, column in (("encoder", "e_vis_face"), ("recogniser", "e_id")):
        vectors = to_matrix(faces[column]).astype(np.float64)
        cosine = np.where(eligible, vectors @ vectors.T, -np.inf)
        nearest = np.argmax(cosine, axis=1)
        rows = np.arange(len(faces))
        columns[f"{finder}_pose"] = np.where(some, pose[rows, nearest], np.nan)
        columns[f"{finder}_expression"] = np.where(some, same[rows, nearest], np.nan)
    columns["chance_pose"] = _mean_where(pose, eligible)
    columns["chance_expression"] = _mean_where(same, eligible & np.isfinite(same))
    order = [f"{finder}_{what}" for finder, _ in FINDERS for what in WHAT]
    return faces.select("unit").with_columns(
        pl.Series(name, columns[name]).fill_nan(None) for name in order
    )


def _mean_where(values: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    counts = mask.sum(axis=1)
    sums = np.where(mask, values, 0.0).sum(axis=1)
    return np.divide(sums, counts, out=np.full(len(counts), np.nan), where=counts > 0)
