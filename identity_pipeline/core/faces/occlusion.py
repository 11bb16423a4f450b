"""How much of a face is covered, measured against the person's own look when no model tells.

Each aligned face is divided into patches inside the face's oval. A patch counts as covered when
its colour is far from the same patch's usual colour of the same person in the same video, or when
it has lost its texture, after the light and the sharpness of the moment are taken out. A hand has
the colour of skin and is found only where it hides eyes, mouth or hair; a pose beyond what the
reference has seen is left unmeasured.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.faces.quality import luma_of

GRID = 8
"""Patches per side of the 112 px crop: 14 px each, about an eye's width."""
MIN_REFERENCES = 8
"""Strict near-frontal faces needed to know a person's usual look."""
REFERENCE_YAW = 20.0
MEASURED_YAW = 35.0
COLOUR_DISTANCE = 0.35
"""Distance of log colours from which a patch is covered: a factor of 1.4 in light or colour."""
TEXTURE_LOSS = 1.2
"""Loss of log contrast from which a patch is covered: a third of the usual contrast is left. Both
bounds were fitted on four real ride clips with a passing bar, and the end-to-end tests hold what
they give there; a fit, not a held-out measurement."""


def _oval() -> NDArray[np.bool_]:
    """Patches whose centre lies in the oval of an ArcFace-aligned face."""
    centres = (np.arange(GRID) + 0.5) * 112 / GRID
    x, y = np.meshgrid(centres, centres)
    return ((x - 56) / 42) ** 2 + ((y - 66) / 52) ** 2 <= 1


OVAL = _oval()
PATCHES = int(OVAL.sum())
FEATURES = 4
PATCH_COLUMNS = tuple(f"patch_{i}" for i in range(PATCHES * FEATURES))


def patch_features(aligned_bgr: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Log mean blue, green, red and log contrast (PATCHES, 4) of one (112, 112, 3) face."""
    side = aligned_bgr.shape[0] // GRID
    blocks = aligned_bgr.reshape(GRID, side, GRID, side, 3).swapaxes(1, 2)[OVAL]
    pixels = blocks.reshape(PATCHES, side * side, 3)
    contrast = luma_of(pixels).std(axis=1, keepdims=True)
    colour = pixels.mean(axis=1)
    return np.log(np.hstack([colour + 8.0, contrast + 1.5])).astype(np.float32)


def own_occlusion(faces: pl.DataFrame) -> pl.DataFrame:
    """Fills `occlusion` where it is null and can be measured, and drops the patch columns.

    Args:
        faces: person_id, strict, yaw, occlusion, occlusion_source and `PATCH_COLUMNS`.
    """
    indexed = faces.with_row_index("row")
    values: dict[int, float] = {}
    for _, person in indexed.group_by("person_id", maintain_order=True):
        values.update(_person_occlusion(person))
    measured = pl.Series([values.get(i) for i in range(faces.height)], dtype=pl.Float32)
    own = pl.when(pl.col("occlusion").is_null() & measured.is_not_null()).then(pl.lit("own_look"))
    return faces.with_columns(
        occlusion=pl.coalesce("occlusion", measured),
        occlusion_source=pl.coalesce("occlusion_source", own),
    ).drop(PATCH_COLUMNS)


def _person_occlusion(person: pl.DataFrame) -> dict[int, float]:
    usual = person.filter(
        pl.col("strict") & (pl.col("yaw").abs() <= REFERENCE_YAW),
        pl.col(PATCH_COLUMNS[0]).is_not_null(),
    )
    if usual.height < MIN_REFERENCES:
        return {}
    reference = np.median(_patches_of(usual), axis=0)
    seen = person.filter(
        pl.col("yaw").abs() <= MEASURED_YAW, pl.col(PATCH_COLUMNS[0]).is_not_null()
    )
    if not seen.height:
        return {}
    # The light and the sharpness of the moment are the median over patches, so that what covers
    # less than half of the face does not set them.
    change = _patches_of(seen) - reference
    change -= np.median(change, axis=1, keepdims=True)
    colour = np.linalg.norm(change[:, :, :3], axis=2) / np.sqrt(3)
    covered = ((colour > COLOUR_DISTANCE) | (change[:, :, 3] < -TEXTURE_LOSS)).mean(axis=1)
    return dict(zip(seen["row"].to_list(), covered.tolist(), strict=True))


def _patches_of(faces: pl.DataFrame) -> NDArray[np.float32]:
    return faces.select(PATCH_COLUMNS).to_numpy().reshape(faces.height, PATCHES, FEATURES)
