"""Whether a video shows the scenery of its camera's ride, on pictures that never were."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from identity_pipeline.core.ride.course import Course, course_of
from identity_pipeline.core.ride.scenery import look_for, scenery_of, signs_of
from identity_pipeline.core.ride.template import Template, Usual, build_template, follow
from identity_pipeline.core.video.copies import BITS, COLUMNS, ROWS
from identity_pipeline.settings import RideSettings
from identity_pipeline_tests.core.ride.rides import OTHER_TRACK, TRACK, Train, ride

S = RideSettings()
OWN, OTHER = 1, 2
SHORT = tuple(TRACK[n] for n in (0, 1, 2, 4, 10, 11))
"""A ride of half a minute."""


def course(seed: int, scenery: int | None = OWN, faint: float = 0.0, stops: float = 0.0) -> Course:
    pace = float(np.exp(np.random.default_rng(seed).normal(0, 0.1)))
    train = Train(pace, wait_s=seed % 3, stops=stops)
    return course_of(ride(train, seed, SHORT, scenery=scenery, faint=faint).frames, S.step_s)


def videos(scenery: int | None, first: int, count: int) -> dict[str, Course]:
    return {f"ride-{n}": course(n, scenery) for n in range(first, first + count)}


@pytest.fixture(scope="module")
def known() -> Template:
    """Of a dozen videos, beside which lie three of a ride of the same parts at the same times."""
    found = build_template({**videos(OWN, 0, 12), **videos(OTHER, 100, 3)}, S, 12)
    assert isinstance(found, Template)
    return found


def moved(video: Course, down: int, right: int) -> Course:
    """As a camera shows it that was knocked by so many cells."""
    assert video.signs is not None
    field = video.signs.reshape(-1, ROWS - 1, COLUMNS)
    return Course(
        video.step_s, video.values, np.roll(field, (down, right), (1, 2)).reshape(-1, BITS)
    )


def cut(video: Course, start: int, end: int) -> Course:
    assert video.signs is not None
    return Course(video.step_s, video.values[start:end], video.signs[start:end])


def test_a_ride_of_the_same_parts_at_the_same_times_is_told_by_its_scenery(
    known: Template,
) -> None:
    assert set(known.members) == set(videos(OWN, 0, 12))
    assert set(known.others) == set(videos(OTHER, 100, 3))
    for apart in known.others.values():
        assert apart.words(known.usual).startswith("It does not show the ride of this camera")
    told = [follow(course(seed, OTHER), known) for seed in range(200, 208)]
    foreign = [each for each in told if each.other_scenery]
    assert len(foreign) >= 6  # a sign of the ride, by chance one of twenty, leaves it at that
    assert not any(each.seen and each.seen.same_ride for each in told)
    for each in foreign:
        assert each.same_ride, "light and motion follow it, so its phases are told"
        assert each.sentence is not None and "mirror images" in each.sentence


def kinds() -> Iterator[tuple[str, Course]]:
    yield "another video of it", course(50)
    yield "by night", course(51, faint=1.0)
    yield "so dark that its light follows another course", course(52, faint=0.5, stops=-7.0)
    yield "half of the file is missing", cut(course(53), 0, 90)
    yield "its other half", cut(course(54), 80, 400)
    yield "the camera was knocked", moved(course(55), 0, 1)
    yield "and by more", moved(course(56), -1, -1)


@pytest.mark.parametrize(("kind", "video"), [pytest.param(*each, id=each[0]) for each in kinds()])
def test_a_video_of_the_ride_is_never_taken_for_another_rides(
    kind: str, video: Course, known: Template
) -> None:
    told = follow(video, known)
    assert told.same_ride, (kind, told.seen, told.nearness)
    assert told.sentence is None


@pytest.mark.parametrize(("down", "right"), [(0, 3), (2, 2)])
def test_a_camera_that_was_moved_far_shows_other_scenery_and_keeps_its_phases(
    down: int, right: int, known: Template
) -> None:
    told = [follow(moved(course(seed), down, right), known) for seed in range(800, 804)]
    assert all(each.same_ride and each.other_scenery for each in told)
    assert all("a camera that was moved" in (each.sentence or "") for each in told)


@pytest.mark.parametrize("faint", [4.0, 6.0, 10.0, 1000.0])
def test_noise_is_no_other_scenery(faint: float, known: Template) -> None:
    for seed in range(900, 906):
        told = follow(course(seed, faint=faint), known)
        assert told.same_ride and told.sentence is None, (seed, told.seen)


def test_a_decorated_part_of_the_ride_leaves_it_the_ride(known: Template) -> None:
    video, other = course(60), course(60, OTHER)
    assert video.signs is not None and other.signs is not None
    signs = video.signs.copy()
    signs[:60] = other.signs[:60]
    assert follow(Course(S.step_s, video.values, signs), known).same_ride


def test_who_shows_the_scenery_follows_the_ride_though_backwards_it_would_too(
    known: Template,
) -> None:
    wide = replace(known, usual=Usual(known.usual.cost, 100 * known.usual.limit, 12))
    video = course(60)
    assert follow(video, replace(wide, scenery=None)).same_ride is None
    assert follow(video, wide).same_ride


def test_of_a_clip_laid_where_it_is_not_nothing_is_said(known: Template) -> None:
    video = course(62)
    assert video.signs is not None and known.scenery is not None
    position = follow(video, known).alignment.position
    for start in (60, 80):
        wrong = np.where(position >= 0, position - start, -1).clip(-1)
        part = slice(start + 20, start + 80)
        seen = look_for(video.signs[part], wrong[part], known.scenery, S.step_s)
        assert seen.same_ride is None, seen


def test_a_few_seconds_make_no_other_ride(known: Template) -> None:
    for start in range(20, 120, 25):
        told = follow(cut(course(63, OTHER), start, start + 35), known)
        assert told.seen is not None and told.seen.same_ride is not False


def test_where_the_ride_shows_nothing_its_light_and_motion_alone_decide(known: Template) -> None:
    laid = {str(n): (np.zeros((150, BITS), np.int8), np.arange(150)) for n in range(12)}
    nothing, seen = scenery_of(laid, known.length, S.step_s, S.other_ride_rate)
    assert nothing.fit is None and {each.same_ride for each in seen.values()} == {None}
    found = replace(known, scenery=nothing)
    elsewhere = course_of(ride(Train(), 70, OTHER_TRACK, course=3, scenery=OTHER).frames, S.step_s)
    told = [follow(each, found) for each in (course(70, None), course(70, OTHER), elsewhere)]
    assert [each.same_ride for each in told] == [True, True, False]
    assert told[2].sentence is not None and "does not follow" in told[2].sentence
    # And a video without pictures on a ride that has some.
    assert follow(course(70, None), known).same_ride


def test_signs_stand_for_the_time_around_their_frame() -> None:
    frames = ride(Train(), 1, scenery=OWN).frames.head(40)
    every = signs_of(frames, np.arange(40) / 10, 20, 0.2)
    assert (every != 0).sum(axis=1).min() >= BITS // 2
    assert set(np.unique(every)) == {-1, 0, 1}
    flat = frames.with_columns(look_hash=pl.lit(None, pl.Binary))
    broken = frames.with_columns(decode_error=pl.lit("damaged"))
    for nothing in (flat, broken, frames.clear()):
        assert not signs_of(nothing, np.arange(nothing.height) / 10, 20, 0.2).any()
    rare = frames.gather_every(30)
    known = signs_of(rare, np.array([0.0, 3.0]), 20, 0.2).any(axis=1)
    assert known.tolist() == [True] * 3 + [False] * 10 + [True] * 5 + [False] * 2
