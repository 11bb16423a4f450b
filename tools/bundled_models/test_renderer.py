"""The renderer. Needs the face model: `FACEKIT_ARRAYS=…/ict_facekit.npz pytest tools/bundled_models`."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba")

from tools.bundled_models import facekit, head, identity, moments, raster, traits
from tools.bundled_models.outfit import Outfit

ARRAYS = Path(os.environ.get("FACEKIT_ARRAYS", "../shared/facekit/ict_facekit.npz"))
needs_arrays = pytest.mark.skipif(
    not ARRAYS.exists(), reason="FACEKIT_ARRAYS does not name the face model's arrays"
)
LIGHT = moments.Light(
    np.array([[0, 0, 1]], np.float32),
    np.ones((1, 3), np.float32) * 0.7,
    *np.full((2, 3), 0.4, np.float32),
)


@pytest.fixture(scope="module")
def kit() -> facekit.FaceKit:
    return facekit.load(ARRAYS)


def _portrait(
    kit: facekit.FaceKit,
    pose: tuple[float, float, float] = (0, 0, 0),
    scale: float = 4.0,
    **worn: object,
) -> head.Portrait:
    person = identity.person_of(kit, 5)
    neutral = np.zeros(len(kit.expression_names), np.float32)
    camera = head.Camera(128, scale, supersampling=1.0)
    return head.draw(kit, person, neutral, pose, LIGHT, camera, Outfit(**worn), shadow=False)  # type: ignore[arg-type]


def test_a_triangle_covers_its_pixels() -> None:
    points = np.array([[0, 0, 0], [0, 8, 0], [8, 0, 0]], np.float32)
    _, owner, bary = raster.rasterise(points, np.array([[0, 1, 2]], np.int32), np.array([True]), 8)
    assert owner[1, 1] == 0 and owner[7, 7] == -1
    assert bary[1, 1].sum() <= 1


@pytest.mark.parametrize(("pose", "axis", "sign"), [((0, 30, 0), 0, 1), ((30, 0, 0), 1, -1)])
def test_signs_of_yaw_and_pitch(pose: tuple[float, float, float], axis: int, sign: int) -> None:
    nose = moments.rotation(*pose) @ np.array([0, 0, 1.0]) * [1, -1, 1]  # the image's y grows down
    assert np.sign(nose[axis]) == sign


def test_roll_is_clockwise_in_the_image() -> None:
    crown = moments.rotation(0, 0, 20) @ np.array([0, 1.0, 0])
    assert crown[0] > 0


def test_the_same_seed_is_the_same_person() -> None:
    first, again, other = (traits.traits_of(seed) for seed in (7, 7, 8))
    assert (first.shape == again.shape).all() and first.detail_seed == again.detail_seed
    assert (first.shape != other.shape).any()


@needs_arrays
def test_the_nose_follows_the_yaw(kit: facekit.FaceKit) -> None:
    for yaw, side in ((35, 1), (-35, -1)):
        marks = _portrait(kit, (0, yaw, 0)).landmarks
        assert np.sign(marks[30, 0] - marks[[0, 16], 0].mean()) == side


@needs_arrays
def test_landmarks_lie_in_the_box_and_box_in_the_picture(kit: facekit.FaceKit) -> None:
    portrait = _portrait(kit)
    inner = portrait.landmarks[27:, :2]
    assert (inner > portrait.box[:2]).all() and (inner < portrait.box[2:]).all()
    assert portrait.rgba.min() >= 0 and portrait.rgba.max() <= 1


@needs_arrays
def test_a_hand_and_sunglasses_hide_the_face(kit: facekit.FaceKit) -> None:
    bare, shades = _portrait(kit).occlusion, _portrait(kit, glasses=True, sunglasses=True).occlusion
    hand = _portrait(kit, arms=((2.0, -4.0, 18.0),)).occlusion
    assert bare < 0.1 < shades < 0.5
    assert hand > bare + 0.1


@needs_arrays
def test_attributes_follow_the_expression(kit: facekit.FaceKit) -> None:
    person = identity.person_of(kit, 5)
    assert moments.attributes(kit, person, moments.Expression(kit).weights) == pytest.approx(
        (1, 0, 0), abs=1e-6
    )
    face = moments.Expression(kit).set("eyeBlink", 1).set("jawOpen", 1).set("mouthSmile", 0.8)
    eye, mouth, smile = moments.attributes(kit, person, face.weights)
    assert eye < 0.3 and mouth > 0.5 and smile == pytest.approx(0.8)


@needs_arrays
def test_rendering_is_deterministic(kit: facekit.FaceKit) -> None:
    first, second = (_portrait(kit, (5, 10, 3), hat="helmet", seed=4) for _ in range(2))
    assert (first.rgba == second.rgba).all()


@needs_arrays
def test_lifted_arms_rise_above_the_shoulders(kit: facekit.FaceKit) -> None:
    def cover(*wrist: float) -> float:
        x, y, z = wrist
        portrait = _portrait(kit, scale=1.6, seated=True, arms=((-x, y, z), (x, y, z)))
        return float(portrait.rgba[:60, :, 3].sum())  # the rows above the shoulders

    assert cover(22, 20, 9) > cover(10, -42, 12) + 200


@needs_arrays
@pytest.mark.parametrize("seed", [400_018, 400_064])
def test_children_of_rides_have_smaller_heads_and_larger_eyes(
    kit: facekit.FaceKit, seed: int
) -> None:
    child = identity.rider_of(kit, seed)
    plain = identity.person_of(kit, seed)
    marks, before = child.vertices[kit.landmarks], plain.vertices[kit.landmarks]
    assert child.traits.child > 0
    assert np.ptp(marks[:17, 0]) < np.ptp(kit.neutral[kit.landmarks][:17, 0])
    assert np.ptp(marks[36:42, 0]) > np.ptp(before[36:42, 0])


@needs_arrays
def test_the_bundled_photographs_are_drawn_again(kit: facekit.FaceKit) -> None:
    from PIL import Image, ImageOps

    from identity_pipeline_tests.conftest import BUNDLED
    from tools.bundled_models.photographs import SHOTS, photograph

    kept = Image.open(BUNDLED / "photos" / "rider_200031" / f"{SHOTS[0].name}.jpg")
    again = photograph(kit, 200_031, 0, SHOTS[0], 200_018).astype(int)
    assert np.abs(np.asarray(ImageOps.exif_transpose(kept)).astype(int) - again).mean() < 3
