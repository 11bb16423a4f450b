"""Short-term tracklets: numbering, gaps, cuts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.models.tracklets import TrackletBuilder
from identity_pipeline.settings import TrackingSettings
from identity_pipeline_tests.core.builders import FEW

Frame = list[tuple[float, float]] | str
"""Centres of the faces of a frame, 80 px wide; `cut` for a scene cut."""


def tracklets(frames: list[Frame], *, step_ms: float = 100, **settings: float) -> list[list[int]]:
    """Tracklet ids of each frame's faces."""
    builder = TrackletBuilder(TrackingSettings(**settings), frame_rate=10, score_min=0.5)  # type: ignore[arg-type]
    counts = []
    for i, frame in enumerate(frames):
        if isinstance(frame, str):
            builder.cut()
            continue
        boxes = np.array([(x - 40, y - 50, x + 40, y + 50) for x, y in frame]).reshape(-1, 4)
        builder.add_frame(boxes, np.full(len(frame), 0.9), i * step_ms)
        counts.append(len(frame))
    ids = iter(builder.finish())
    result = [[next(ids) for _ in range(count)] for count in counts]
    assert next(ids, None) is None
    return result


A, B = (200.0, 200.0), (600.0, 200.0)


def test_the_first_face_of_a_tracklet_is_numbered_in_retrospect() -> None:
    assert tracklets([[A]] * 5) == [[0]] * 5
    assert tracklets([[A], [A]]) == [[0], [0]]


def test_two_people_keep_their_tracklets_whatever_the_order_of_boxes() -> None:
    assert tracklets([[A, B], [B, A], [A, B], [B, A]]) == [[0, 1], [1, 0], [0, 1], [1, 0]]


def test_somebody_who_comes_later_gets_a_new_number_from_the_first_face_on() -> None:
    assert tracklets([[A], [A], [A, B], [A, B], [B, A]]) == [[0], [0], [0, 1], [0, 1], [1, 0]]


def test_a_single_detection_is_a_tracklet_of_its_own() -> None:
    assert tracklets([[A], [A, B], [A], [A]]) == [[0], [0, 1], [0], [0]]
    assert tracklets([[A]]) == [[0]]


def test_a_scene_cut_ends_all_tracklets() -> None:
    assert tracklets([[A, B], [A, B], "cut", [A, B], [A, B]]) == [[0, 1], [0, 1], [2, 3], [2, 3]]


def test_a_cut_after_a_single_face_does_not_join_the_halves() -> None:
    assert tracklets([[A], "cut", [A], [A]]) == [[0], [1], [1]]


@pytest.mark.parametrize(("missing", "same"), [(5, True), (30, False)])
def test_a_tracklet_ends_after_the_buffer(missing: int, same: bool) -> None:
    frames: list[Frame] = [[A]] * 5 + [[]] * missing + [[A]] * 5
    ids = [i for frame in tracklets(frames, lost_buffer_s=1.0) for i in frame]
    assert ids == [0] * 5 + [0 if same else 1] * 5


def test_two_crossing_faces_are_two_tracklets_all_the_way() -> None:
    """One goes right, one left, a head's height apart, so that boxes overlap while passing."""
    frames: list[Frame] = [[(100 + 20 * i, 200.0), (700 - 20 * i, 280.0)] for i in range(30)]
    assert tracklets(frames) == [[0, 1]] * 30


def test_a_moving_face_is_followed() -> None:
    assert tracklets([[(100 + 15 * i, 200 + 4 * i)] for i in range(20)]) == [[0]] * 20


def test_a_face_that_jumps_across_the_frame_is_another_tracklet() -> None:
    ids = [i for f in tracklets([[A]] * 5 + [[(1100.0, 600.0)]] * 5) for i in f]
    assert ids == [0] * 5 + [1] * 5


def test_frames_without_faces_are_nothing() -> None:
    assert tracklets([[], [], []]) == [[], [], []]


@given(
    st.lists(
        st.one_of(
            st.just("cut"),
            st.lists(st.tuples(st.floats(50, 1200), st.floats(50, 650)), max_size=4),
        ),
        max_size=25,
    )
)
@FEW
def test_every_face_has_a_tracklet_and_none_twice_in_a_frame(frames: list[Frame]) -> None:
    ids = tracklets(frames)
    for frame in ids:
        assert len(frame) == len(set(frame))
    seen = {i for frame in ids for i in frame}
    assert seen == set(range(len(seen)))
