"""What people say of phases: it wins, it is never lost, and it travels to the next template."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.core.ride.course import Course, course_of
from identity_pipeline.core.ride.labels import (
    NOT_SHOWN,
    TOO_LATE,
    PhaseLabel,
    PlacedLabel,
    with_labels,
    without_ids,
)
from identity_pipeline.core.ride.phases import HUMAN, PHASES, Phase
from identity_pipeline.core.ride.placing import place_labels
from identity_pipeline.core.ride.template import Template
from identity_pipeline.settings import RideSettings
from identity_pipeline_tests.core.ride.rides import OTHER_TRACK, Train, any_train, ride

S = RideSettings()
NAMED = [Phase(0, 40, "boarding"), Phase(40, 80, "ride"), Phase(80, 110, "dark")]


def said(start: int, end: int, phase: str = "dark", title: str | None = None) -> PlacedLabel:
    return PlacedLabel(PhaseLabel("ride-1", start / 5, end / 5, phase, title), start, end)


def short(phases: list[Phase]) -> list[tuple[int, int, str]]:
    return [(one.start, one.end, one.title or one.phase) for one in phases]


def test_what_a_human_says_wins_and_the_later_word_counts() -> None:
    found = with_labels(NAMED, [said(60, 90, "dark", "tunnel"), said(70, 75, "flash")], 5)
    assert short(found) == [
        *[(0, 40, "boarding"), (40, 60, "ride"), (60, 70, "tunnel"), (70, 75, "flash")],
        *[(75, 90, "tunnel"), (90, 110, "dark")],
    ]
    assert [one.source == HUMAN for one in found] == [False, False, True, True, True, False]


def test_slivers_beside_a_label_go_to_the_other_neighbour_and_never_to_the_label() -> None:
    found = with_labels(NAMED, [said(42, 78, "stop")], 5)
    assert short(found) == [(0, 42, "boarding"), (42, 78, "stop"), (78, 110, "dark")]
    whole = with_labels([*NAMED[:2], Phase(80, 82, "flash")], [said(60, 80, "stop")], 5)
    assert short(whole)[-1] == (80, 82, "flash")


LABELS = st.lists(
    st.builds(
        lambda a, n, p: said(a, a + n, p),
        st.integers(0, 109), st.integers(1, 60), st.sampled_from(PHASES),
    ),
    max_size=5,
)  # fmt: skip


@given(labels=LABELS, least=st.integers(0, 12))
def test_phases_stay_without_a_gap_and_every_labelled_point_is_as_labelled(
    labels: list[PlacedLabel], least: int
) -> None:
    found = with_labels(NAMED, labels, least)
    assert found[0].start == 0 and found[-1].end == 110
    assert all(one.end == other.start for one, other in pairwise(found))
    for point in range(110):
        words = [one.label.phase for one in labels if one.start <= point < one.end]
        here = next(one for one in found if one.start <= point < one.end)
        assert here.source == HUMAN if words else here.source != HUMAN
        assert not words or here.phase == words[-1]


def test_without_phases_there_is_nothing_to_label() -> None:
    assert with_labels([], [said(0, 10)], 5) == []


def labelled(name: str) -> tuple[PhaseLabel, list[bool]]:
    """A label of the tunnel of a ride, and which of its points are in the tunnel."""
    video = ride(any_train(int(name.split("-")[1])), int(name.split("-")[1]))
    dark = [n for n, phase in enumerate(video.phases) if phase == "dark"]
    tunnel = PhaseLabel(name, dark[0] / 10, (dark[-1] + 1) / 10, "dark", "tunnel")
    return tunnel, [phase == "dark" for phase in video.phases]


def test_a_label_lies_where_its_video_is_on_the_template(
    courses: Mapping[str, Course], template: Template, phases: list[Phase]
) -> None:
    tunnel, _ = labelled("ride-3")
    (placed,) = place_labels([tunnel], courses, template)
    assert placed.start is not None and placed.end is not None and placed.sentence is None
    dark = next(one for one in phases if one.phase == "dark")
    assert abs(placed.start - dark.start) <= 2 and abs(placed.end - dark.end) <= 2


def test_a_label_travels_to_the_next_template_when_its_video_is_gone(
    courses: Mapping[str, Course], template: Template
) -> None:
    tunnel, _ = labelled("ride-3")
    first = place_labels([tunnel], courses, template)
    left = {name: course for name, course in courses.items() if name != "ride-3"}
    faster = replace(template.track.course, values=template.track.course.values[5::2].copy())
    later = replace(template, track=replace(template.track, course=faster))
    (moved,) = place_labels([tunnel], left, later, (template, first))
    (before,) = first
    assert moved.start and moved.end and before.start and before.end
    assert abs(moved.start - (before.start - 5) / 2) <= 3
    assert abs(moved.end - (before.end - 5) / 2) <= 3


def test_a_label_that_cannot_be_placed_is_kept_and_named(
    courses: Mapping[str, Course], template: Template
) -> None:
    other = course_of(ride(Train(), 4, OTHER_TRACK, course=3).frames, S.step_s)
    gone, foreign = (PhaseLabel(name, 5, 9, "dark", "tunnel") for name in ("gone", "other"))
    placed = place_labels([gone, foreign], {**courses, "other": other}, template)
    assert [(one.start, one.end) for one in placed] == [(None, None)] * 2
    sentences = [one.sentence or "" for one in placed]
    assert "no frames of such a video" in sentences[0] and "as the others do" in sentences[1]
    assert all("is kept" in sentence for sentence in sentences)
    assert with_labels(NAMED, placed, 5) == NAMED


@pytest.mark.parametrize(("span", "why"), [((-3.0, -1.0), NOT_SHOWN), ((500.0, 600.0), TOO_LATE)])
def test_a_label_beside_its_video_is_not_placed(
    span: tuple[float, float], why: str, courses: Mapping[str, Course], template: Template
) -> None:
    label = PhaseLabel("ride-3", *span, "dark")
    (placed,) = place_labels([label], courses, template)
    assert placed.start is None and placed.why == why


def test_what_is_said_of_a_video_that_was_forgotten_keeps_all_but_its_id() -> None:
    one, other = PhaseLabel("a-1", 5, 9, "dark", "tunnel"), PhaseLabel("b-2", 5, 9, "stop")
    left = without_ids(one, {"a-1"})
    assert left.video.startswith("gone-") and "a-1" not in left.video
    assert (left.start_s, left.end_s, left.phase, left.title) == (5, 9, "dark", "tunnel")
    assert without_ids(other, {"a-1"}) == other
    assert without_ids(left, {"a-1"}) == left != without_ids(other, {"b-2"})
