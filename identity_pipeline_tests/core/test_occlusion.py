"""How much of a face is covered, measured against the person's own look."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from identity_pipeline.core.faces.occlusion import (
    GRID,
    MIN_REFERENCES,
    OVAL,
    PATCH_COLUMNS,
    PATCHES,
    own_occlusion,
    patch_features,
)
from identity_pipeline_tests.core.builders import face_picture

Image = NDArray[np.uint8]
FACE = cv2.resize(face_picture(448), (112, 112), interpolation=cv2.INTER_AREA).astype(np.uint8)


def row(image: Image | None, **changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = {"person_id": 0, "strict": True, "yaw": 0.0, "occlusion": None}
    colours = [None] * len(PATCH_COLUMNS)
    if image is not None:
        colours = patch_features(image).ravel().tolist()
    return {**base, **dict(zip(PATCH_COLUMNS, colours, strict=True)), **changes}


def references(count: int = MIN_REFERENCES, **changes: Any) -> list[dict[str, Any]]:
    """The face in slightly different light and noise."""
    rng = np.random.default_rng(0)
    images = [FACE * rng.uniform(0.85, 1.15) + rng.normal(0, 2, FACE.shape) for _ in range(count)]
    return [row(np.clip(i, 0, 255).astype(np.uint8), **changes) for i in images]


def measured(*rows: dict[str, Any]) -> list[float | None]:
    types = {"person_id": pl.Int64, "strict": pl.Boolean, "yaw": pl.Float32}
    types["occlusion_source"] = pl.String
    schema = types | dict.fromkeys(("occlusion", *PATCH_COLUMNS), pl.Float32)
    table = own_occlusion(pl.DataFrame(list(rows), schema=schema))
    assert not set(PATCH_COLUMNS) & set(table.columns)
    sourced = table["occlusion_source"].is_not_null() == table["occlusion"].is_not_null()
    assert sourced.all(), "a measured occlusion says by what"
    return table["occlusion"].to_list()


def covered(rows: slice, colour: tuple[int, int, int] = (200, 40, 40)) -> Image:
    image = FACE.copy()
    image[rows] = colour
    return image


def share_of(rows: slice) -> float:
    """Share of the oval's patches in some rows of the crop."""
    mask = np.zeros((112, 112), bool)
    mask[rows] = True
    blocks = mask.reshape(GRID, 14, GRID, 14).mean(axis=(1, 3))
    return float((blocks[OVAL] > 0.5).mean())


@pytest.mark.parametrize(
    "rows", [slice(84, 112), slice(70, 112), slice(42, 70), slice(14, 42), slice(70, 98)]
)
def test_a_bar_is_measured_near_its_true_share(rows: slice) -> None:
    found = measured(*references(), row(covered(rows)))[-1]
    assert found == pytest.approx(share_of(rows), abs=0.06)
    assert share_of(rows) > 0.1


@pytest.mark.parametrize("gain", [0.4, 0.7, 1.3, 1.8])
def test_light_alone_covers_nothing(gain: float) -> None:
    lit = np.clip(FACE * gain, 0, 255).astype(np.uint8)
    assert measured(*references(), row(lit))[-1] == pytest.approx(0, abs=0.05)


def test_coloured_light_covers_nothing() -> None:
    warm = np.clip(FACE * np.array([0.6, 0.9, 1.2]), 0, 255).astype(np.uint8)
    assert measured(*references(), row(warm))[-1] == pytest.approx(0, abs=0.05)


def test_the_person_itself_is_uncovered() -> None:
    assert max(value or 0 for value in measured(*references(20))) < 0.05


def test_too_few_references_leave_it_unmeasured() -> None:
    bar = row(covered(slice(70, 112)), strict=False)
    assert set(measured(*references(MIN_REFERENCES - 1), bar)) == {None}
    assert measured(*references(MIN_REFERENCES), bar)[-1] is not None


@pytest.mark.parametrize("changes", [{"strict": False}, {"yaw": 20.1}, {"yaw": -25.0}])
def test_only_strict_frontal_faces_are_references(changes: dict[str, Any]) -> None:
    assert set(measured(*references(20, **changes))) == {None}


@pytest.mark.parametrize(
    ("changes", "known"), [({"yaw": 35.0}, True), ({"yaw": -35.1}, False), ({"yaw": None}, False)]
)
def test_beyond_the_yaw_of_the_references_it_is_unmeasured(
    changes: dict[str, Any], known: bool
) -> None:
    assert (measured(*references(), row(FACE, **changes))[-1] is not None) == known


def test_what_a_model_measured_is_kept() -> None:
    assert (
        measured(*references(), row(FACE, occlusion=0.75, occlusion_source="face_attributes"))[-1]
        == 0.75
    )


def test_a_face_without_pixels_is_unmeasured() -> None:
    assert measured(*references(), row(None))[-1] is None


def test_each_person_is_compared_with_its_own_look() -> None:
    other = np.clip(FACE[::-1] * [1.5, 0.8, 0.6], 0, 255).astype(np.uint8)
    rows = [row(other, person_id=1) for _ in range(MIN_REFERENCES)]
    assert max(value or 0 for value in measured(*references(), *rows)) < 0.05


def test_the_oval_is_the_middle_of_the_crop() -> None:
    assert OVAL.sum() == PATCHES
    assert 0.4 < OVAL.mean() < 0.8
    assert OVAL[4, 4]
    assert not OVAL[0, 0]
    assert np.array_equal(OVAL, OVAL[:, ::-1])
