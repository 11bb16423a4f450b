"""Which faces of a ride are hidden, and what is painted of them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.core.geometry import Box
from identity_pipeline.core.privacy.redaction import (
    Path,
    Redaction,
    lie_on,
    painted_box,
    path_of,
)
from identity_pipeline.media.painting import painted, painted_under

PATH = path_of([(10, (0, 0, 40, 40)), (30, (20, 10, 60, 50)), (10, (500, 0, 540, 40))])
boxes = st.tuples(
    *(st.floats(0, 400, width=32) for _ in range(2)), *(st.floats(8, 90, width=32),) * 2
).map(lambda b: Box(b[0], b[1], b[0] + b[2], b[1] + b[3]))


def test_between_two_faces_it_moves_in_a_straight_line_and_at_the_ends_it_stays() -> None:
    assert PATH.at(10) == Box(0, 0, 40, 40), "of two faces of a frame the first one counts"
    assert PATH.at(20) == Box(10, 5, 50, 45)
    assert PATH.at(30) == PATH.at(50) == Box(20, 10, 60, 50)
    assert PATH.at(0) == Box(0, 0, 40, 40)
    assert PATH.at(51) is None
    alone = path_of([(7, (0, 0, 9, 9))])
    assert alone.at(8) == alone.at(6) == Box(0, 0, 9, 9) and alone.at(9) is None


def test_a_neighbour_is_not_hidden_and_another_detectors_box_is() -> None:
    redaction = Redaction((PATH,))
    found = np.array([(12, 3, 47, 49), (80, 5, 120, 45), (45, 8, 85, 48)], dtype=np.float32)
    assert lie_on(found, redaction.at(20)).tolist() == [True, False, False]
    assert lie_on(found, redaction.at(99)).tolist() == [False] * 3
    assert lie_on(np.empty((0, 4)), redaction.at(20)).tolist() == []


@given(st.lists(st.tuples(st.integers(0, 300), boxes), min_size=1, max_size=8))
def test_every_face_of_the_forgotten_lies_on_its_own_path(faces) -> None:
    first = dict(reversed(faces))
    path = path_of(faces)
    for frame, box in first.items():
        assert lie_on(np.array([box]), [path.at(frame)]).all()  # type: ignore[list-item]


@given(st.lists(st.lists(st.tuples(st.integers(0, 50), boxes), min_size=1, max_size=4)))
def test_saying_something_twice_or_in_another_order_changes_nothing(several) -> None:
    paths = [path_of(faces) for faces in several]
    once = Redaction().and_also(paths)
    assert once.and_also(paths) == once == Redaction().and_also(reversed(paths))
    assert bool(once) == bool(paths)


def test_heads_are_flat_and_the_rest_is_as_it_was() -> None:
    image = np.random.default_rng(1).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    face = Box(10, 10, 30, 30)
    seen = painted(image, [face, Box(-50, -50, -20, -20)])
    x1, y1, x2, y2 = map(int, painted_box(face))
    assert (seen[y1:y2, x1:x2] == 128).all()
    rest = np.ones((60, 80), dtype=bool)
    rest[y1:y2, x1:x2] = False
    assert (seen[rest] == image[rest]).all()
    assert painted(image, []) is image
    turned = painted_under(image, [face], np.array([[1.0, 0, 5], [0, 1.0, 0]]))
    assert (turned[y1:y2, x1 + 5 : x2 + 5] == 128).all()
    assert (turned[:, :9] == image[:, :9]).all()


def test_a_path_is_compared_by_what_it_says() -> None:
    assert Path(PATH.regions) == PATH
