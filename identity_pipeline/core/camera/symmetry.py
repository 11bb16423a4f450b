"""Faces that are symmetric by themselves, and look where their nose points.

A face that is turned is as symmetric as one that is not: the lines between a left point and its
right counterpart stay parallel however the head is held, in three dimensions and, nearly, in a
picture (skewed symmetry, Kanade 1981). So no estimate of the pose is asked which faces tell where
people look when nothing draws their face or their eyes aside.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.settings import BucketSettings

PAIRS: Final = MappingProxyType(
    {
        68: (
            *((i, 16 - i) for i in range(8)),  # jaw
            *((17 + i, 26 - i) for i in range(5)),  # brows
            *((31, 35), (32, 34)),  # nose
            *((36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)),  # eyes
            *((48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67)),
        ),
    }
)
"""Points of one half of the face and their counterparts, by the number of points: those of
Multi-PIE, in which a mesh's landmarks are stored too."""
TURN: Final = 2.0
"""Degrees: a face is held against those of its person that are turned as it is, or by so much more
or less. A mesh is less symmetric the more a head is turned: over two riders each of three rendered
and seven real rides (rank correlation with |yaw| .2 to .9, mostly .7). The most symmetric faces of
all would be those that look into the camera, wherever that is."""


def asymmetry(points: NDArray[np.floating]) -> NDArray[np.float64] | None:
    """How far faces are from their own mirror images, whatever their pose.

    The root mean square of what lies across the common direction of the lines between counterparts,
    and, in three dimensions, of how far their middles lie off one plane, over that of the lines'
    lengths. It does not change with place, size or rotation.

    Args:
        points: (N, P, D), D 2 or 3.

    Returns:
        (N,), 0 for faces that are symmetric; None where P points are of no kind whose counterparts
        are known.
    """
    pairs = PAIRS.get(points.shape[1])
    if pairs is None:
        return None
    left, right = (points[:, list(side)].astype(np.float64) for side in zip(*pairs, strict=True))
    lines, middles = right - left, (left + right) / 2
    lengths = (lines**2).sum(axis=2).mean(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.einsum("npi,npj->nij", lines, lines) / lines.shape[1]
        direction = np.linalg.eigh(np.nan_to_num(spread))[1][:, :, -1]
        along = np.einsum("npi,ni->np", lines, direction)
        off = lengths - (along**2).mean(axis=1)
        if points.shape[2] == 3:
            off = off + 4 * np.einsum("npi,ni->np", middles, direction).var(axis=1)
        return np.sqrt(np.maximum(off, 0.0) / lengths)


def symmetric_faces(faces: pl.DataFrame, settings: BucketSettings) -> pl.DataFrame:
    """The faces of a video that tell where its riders look when nothing draws them aside.

    Left out is what cannot be read (not usable, covered or not measured, eyes that were not read),
    eyes that look aside, winks, and of each person's faces that are turned alike the less
    symmetric half. Where nobody
    of the video has an eye or a cover that was read, neither is asked for.

    Args:
        faces: face_id, person_id, yaw, landmarks, loose, occlusion, gaze_aside, wink.
        settings: from which occlusion on a face is partly covered.

    Returns:
        The rows that stay, in the order given.
    """
    clear = pl.col("loose") & pl.col("yaw").is_not_null() & pl.col("landmarks").is_not_null()
    if faces["occlusion"].null_count() < faces.height:
        clear &= pl.col("occlusion") < settings.occlusion_partial_from
    if faces["gaze_aside"].null_count() < faces.height:
        clear &= ~pl.col("gaze_aside") & ~pl.col("wink").fill_null(False)
    readable = faces.filter(clear.fill_null(False))
    told = readable.with_row_index("_row").with_columns(
        asymmetry=pl.Series(_asymmetries(readable), dtype=pl.Float64)
    )
    kept = [
        own.filter(_less_than_usual(own["yaw"].to_numpy(), own["asymmetry"].to_numpy()))
        for own in told.drop_nulls("asymmetry").partition_by("person_id", maintain_order=True)
    ]
    return pl.concat([told.clear(), *kept]).sort("_row").drop("_row", "asymmetry")


def _less_than_usual(yaw: NDArray[np.floating], asymmetry: NDArray[np.floating]) -> pl.Series:
    """Whether each face is as symmetric as the median of those that are turned alike."""
    order = np.argsort(yaw, kind="stable")
    turned, told = yaw[order].astype(np.float64), asymmetry[order]
    first = np.searchsorted(turned, turned - TURN, side="left")
    end = np.searchsorted(turned, turned + TURN, side="right")
    usual = [np.median(told[a:b]) for a, b in zip(first, end, strict=True)]
    kept = np.zeros(len(yaw), dtype=bool)
    kept[order] = told <= np.array(usual)
    return pl.Series(kept)


def _asymmetries(faces: pl.DataFrame) -> list[float | None]:
    """Of each row; null where its landmarks tell nothing."""
    found: list[float | None] = []
    for flat in faces["landmarks"].to_list():
        told = None
        for kind in PAIRS:
            if flat and len(flat) in (2 * kind, 3 * kind):
                told = asymmetry(np.asarray(flat, dtype=np.float64).reshape(1, kind, -1))
        found.append(None if told is None or not np.isfinite(told[0]) else float(told[0]))
    return found
