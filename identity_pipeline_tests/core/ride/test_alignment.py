"""Laying one course on another: every kind of train finds its place, whoever is laid beside it."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identity_pipeline.core.ride.alignment import Track, align, align_all, on_track, times_of
from identity_pipeline.core.ride.course import (
    CHANNELS,
    FLOORS,
    LEVELS,
    Course,
    course_of,
    mean_of_pairs,
    median,
)
from identity_pipeline.tables import empty
from identity_pipeline_tests.core.ride.rides import OTHER_TRACK, TRACK, Train, any_train, ride

STEP = 0.2
USUAL = ride(Train(wobble=0), 0)
BASE = Track(course_of(USUAL.frames, STEP), FLOORS)
TRAINS = {
    "slow": Train(pace=0.75),
    "fast": Train(pace=1.3),
    "waits": Train(wait_s=25),
    "no head": Train(begin_s=14),
    "no tail": Train(end_s=16),
    "bright": Train(stops=1.5),
    "dark": Train(stops=-1.5, pace=0.85, begin_s=5),
    "a part is missing": Train(gap_s=9),
    "alone": Train(riders=1),
}


def agreement(train: Train, seed: int = 5) -> float:
    """Share of the points of a video that are laid where the same phase is."""
    video = ride(train, seed)
    position = align(course_of(video.frames, STEP), BASE).position
    here = [video.phases[min(2 * n, len(video.phases) - 1)] for n in range(len(position))]
    there = [USUAL.phases[min(2 * p, len(USUAL.phases) - 1)] if p >= 0 else "" for p in position]
    return float(np.mean([one == other for one, other in zip(here, there, strict=True)]))


@pytest.mark.parametrize("name", TRAINS)
def test_every_train_finds_its_place(name: str) -> None:
    assert agreement(TRAINS[name]) > 0.97


def test_a_course_lies_on_itself() -> None:
    found = align(BASE.course, BASE)
    assert (found.position == np.arange(len(found.position))).all()
    assert found.cost == 0 and found.inside == 1 and not found.levels.any()


def test_what_is_shown_before_and_after_the_ride_is_outside_of_it() -> None:
    own = course_of(ride(Train(), 3).frames, STEP).values
    rng = np.random.default_rng(0)
    office = np.array([3.0, 6.5, 0.6, -0.3, 1.0, 0.0]) + 0.05 * rng.normal(size=(60, len(CHANNELS)))
    found = align(Course(STEP, np.concatenate([office, own, office])), BASE)
    assert (found.position[:57] == -1).all() and (found.position[-57:] == -1).all()
    assert (found.position[63:-63] >= 0).all()


def test_exposure_and_dirt_are_told_and_cost_nothing() -> None:
    levels = np.where(LEVELS, np.array([0.7, 0.4, 9, -0.3, -1.5, 9]), 0.0)
    found = align(BASE.course.shifted(-levels), BASE)
    assert found.levels == pytest.approx(levels, abs=0.02)
    assert found.cost < 0.05


def test_another_ride_costs_more_than_any_train_of_this_one() -> None:
    own = [align(course_of(ride(t, 8).frames, STEP), BASE).cost for t in TRAINS.values()]
    other = course_of(ride(Train(), 8, OTHER_TRACK, course=3).frames, STEP)
    assert align(other, BASE).cost > 1.3 * max(own)


def test_nothing_measured_is_nowhere() -> None:
    nothing = Course(STEP, np.full((30, len(CHANNELS)), np.nan))
    for course in (nothing, Course(STEP, nothing.values[:0])):
        found = align(course, BASE)
        assert np.isnan(found.cost) and (found.position == -1).all()
    no_track = Track(Course(STEP, nothing.values[:0]), FLOORS)
    assert (align(BASE.course, no_track).position == -1).all()
    assert len(course_of(empty("frames"), STEP).values) == 0


def test_a_channel_that_was_not_measured_is_done_without() -> None:
    values = course_of(ride(Train(pace=0.9), 4).frames, STEP).values.copy()
    values[:, 3] = np.nan
    found = align(Course(STEP, values), BASE)
    whole = align(course_of(ride(Train(pace=0.9), 4).frames, STEP), BASE)
    assert np.median(np.abs(found.position - whole.position)) <= 2


@given(seeds=st.lists(st.integers(0, 50), min_size=1, max_size=4), cut=st.integers(1, 200))
@settings(max_examples=5, deadline=None)
def test_each_video_is_laid_as_if_it_were_alone_and_never_goes_back(
    seeds: list[int], cut: int
) -> None:
    videos = [course_of(ride(any_train(seed), seed).frames, STEP) for seed in seeds]
    videos.append(Course(STEP, videos[0].values[:cut]))
    for video, found in zip(videos, align_all(videos, BASE), strict=True):
        alone = align(video, BASE)
        assert (alone.position == found.position).all() and alone.cost == found.cost
        on = np.flatnonzero(found.position >= 0)
        assert (np.diff(found.position[on]) >= 0).all()
        assert not len(on) or on[-1] - on[0] + 1 == len(on)


def test_the_band_finds_what_looking_everywhere_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    video = course_of(ride(Train(pace=0.8, wait_s=6), 6).frames, STEP)
    near = align(video, BASE)
    monkeypatch.setattr("identity_pipeline.core.ride.alignment.RADIUS", 10_000)
    assert near.cost == pytest.approx(align(video, BASE).cost, rel=0.02)


def test_one_video_of_another_ride_takes_no_more_room_for_the_others() -> None:
    rng = np.random.default_rng(0)
    shape = np.cumsum(rng.normal(0, 0.3, (700, len(CHANNELS))), axis=0)
    track = Track(Course(0.2, shape), 2 * FLOORS)
    own = [Course(0.2, shape + rng.normal(0, 0.1, shape.shape)) for _ in range(8)]
    taken = []
    for videos in (own, [*own[1:], Course(0.2, 400 + 8 * shape[::-1])]):
        tracemalloc.start()
        align_all(videos, track)
        taken.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert taken[1] < 3 * taken[0]


def test_values_are_carried_to_the_times_at_which_the_track_is_passed() -> None:
    found = align(course_of(ride(Train(pace=0.8), 6).frames, STEP), BASE)
    times = times_of(found, len(BASE.course.values))
    known = times[~np.isnan(times)]
    assert (np.diff(known) >= 0).all()
    clock = np.arange(len(found.position), dtype=float)[:, None]
    assert on_track(clock, times)[~np.isnan(times), 0] == pytest.approx(known)


def test_gaps_are_bridged_for_a_second_and_then_not_known() -> None:
    frames = ride(Train(), 1).frames
    elapsed = frames["timestamp_ms"] - frames["timestamp_ms"][0]
    short, long = ((elapsed > 5000) & (elapsed < 5000 + gap) for gap in (900, 3000))
    assert not np.isnan(course_of(frames.filter(~short), STEP).values[20:40, 0]).any()
    assert np.isnan(course_of(frames.filter(~long), STEP).values[28:38, 0]).all()


def test_motion_does_not_depend_on_how_often_frames_are_sampled() -> None:
    at = [course_of(ride(Train(wobble=0), 1, fps=fps).frames, STEP).values[:, 3] for fps in (5, 20)]
    n = min(map(len, at))
    assert float(np.nanmedian(at[0][:n] - at[1][:n])) == pytest.approx(0, abs=0.05)


VALUES = st.lists(st.one_of(st.none(), st.floats(-50, 50)), min_size=1, max_size=20)


@given(values=VALUES)
def test_medians_and_pairs_are_of_what_is_known(values: list[float | None]) -> None:
    column = np.array([[np.nan if v is None else v] for v in values])
    known = [v for v in values if v is not None]
    found = median(column)[0]
    assert np.isnan(found) if not known else found == pytest.approx(float(np.median(known)))
    pairs = mean_of_pairs(column)
    assert len(pairs) == (len(values) + 1) // 2
    assert np.isnan(pairs).sum() == sum(
        not any(v is not None for v in values[n : n + 2]) for n in range(0, len(values), 2)
    )


def test_the_track_of_the_tests_has_every_phase() -> None:
    assert {part.phase for part in TRACK} >= {
        *("boarding", "ride", "dark", "flash", "glare", "high_motion", "brake"),
    }
