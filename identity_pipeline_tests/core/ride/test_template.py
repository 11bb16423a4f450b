"""The template of a ride, who is left out of it, and the phase of every frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from identity_pipeline.core.ride.course import FLOORS, MOTION, Course, course_of
from identity_pipeline.core.ride.frame_phases import frame_phases
from identity_pipeline.core.ride.naming import name_phases
from identity_pipeline.core.ride.phases import PHASES, Phase
from identity_pipeline.core.ride.template import (
    NoTemplate,
    Template,
    build_template,
    follow,
    usual_of,
)
from identity_pipeline.settings import RideSettings
from identity_pipeline.tables.ride import RIDE_TABLES
from identity_pipeline_tests.core.ride.rides import (
    OTHER_TRACK,
    Train,
    any_track,
    any_train,
    ride,
    seconds_off,
)

S = RideSettings(step_s=0.4)


def course(train: Train, seed: int, **of: object) -> Course:
    return course_of(ride(train, seed, **of).frames, S.step_s)  # type: ignore[arg-type]


def test_with_fewer_than_twenty_videos_the_ride_is_not_known(courses: Mapping[str, Course]) -> None:
    found = build_template(dict(list(courses.items())[:19]), S, 20)
    assert isinstance(found, NoTemplate)
    assert found.sentence.startswith("The ride of this camera is not known yet: 19 of the 20 ")
    frames = ride(Train(), 1).frames
    phases = frame_phases(frames, None, [], S.step_s)
    assert phases.height == frames.height and dict(phases.schema) == dict(
        RIDE_TABLES["ride_phases"]
    )
    assert phases.drop("frame_idx", "timestamp_ms").null_count().row(0) == (frames.height,) * 5


def test_the_template_is_the_same_in_any_order_of_the_videos(
    courses: Mapping[str, Course], template: Template
) -> None:
    again = build_template(dict(reversed(list(courses.items()))), S, 20)
    assert isinstance(again, Template)
    assert again.track.course.values.tobytes() == template.track.course.values.tobytes()
    assert (again.usual, again.members) == (template.usual, template.members)


def test_videos_of_another_ride_are_left_out_with_a_sentence(
    courses: Mapping[str, Course], template: Template
) -> None:
    others = {f"other-{n}": course(any_train(n), n, track=OTHER_TRACK, course=3) for n in range(2)}
    found = build_template({**courses, **others}, S, 20)
    assert isinstance(found, Template)
    assert set(found.others) == set(others) and set(found.members) == set(courses)
    for other in others.values():
        told = follow(other, template)
        assert told.same_ride is False and told.nearness is not None and told.nearness > 1
        assert told.sentence is not None and "left out of the model" in told.sentence


def test_where_every_video_is_another_ride_there_is_no_template() -> None:
    videos = {f"ride-{n}": course(any_train(n), n, track=any_track(n), course=n) for n in range(20)}
    found = build_template(videos, S, 20)
    assert isinstance(found, NoTemplate) and "moved every day" in found.sentence


@pytest.mark.parametrize("seed", [*range(100, 108), 1120])
def test_the_phase_of_every_frame_is_known_within_half_a_second(
    seed: int, template: Template, phases: list[Phase]
) -> None:
    video = ride(any_train(seed), seed)
    followed = follow(course_of(video.frames, S.step_s), template)
    assert followed.same_ride
    found = frame_phases(video.frames, followed, phases, S.step_s)
    # Where braking begins is a matter of degree, so it is known within 1.5 s; all else is sharp.
    moving = {"brake": "ride"}
    off = seconds_off(
        [moving.get(name, name) for name in found["phase"]],
        [moving.get(name, name) for name in video.phases],
    )
    assert max(off.values()) <= 0.5
    assert seconds_off(found["phase"].to_list(), video.phases).get("brake", 0) <= 1.5


def test_phases_are_named_by_what_they_are(phases: list[Phase], template: Template) -> None:
    assert [one.phase for one in phases] == [
        *("boarding", "ride", "dark", "ride", "high_motion", "ride", "flash", "ride", "glare"),
        *("ride", "brake", "boarding"),
    ]
    assert phases[0].start == 0 and phases[-1].end == template.length
    assert all(one.end == other.start for one, other in pairwise(phases))
    assert all(one.phase in PHASES for one in phases)


def test_a_ride_without_a_standstill_has_no_boarding(template: Template) -> None:
    values = template.track.course.values.copy()
    values[:, MOTION] = -1.4 + 0.1 * np.random.default_rng(0).normal(size=len(values))
    moving = replace(template.track, course=Course(S.step_s, values))
    named = {one.phase for one in name_phases(replace(template, track=moving), S)}
    assert not named & {"boarding", "stop", "brake"}


def test_riders_who_move_in_the_station_and_speed_before_the_brake_are_neither_of_them_braking(
    template: Template, phases: list[Phase]
) -> None:
    values = template.track.course.values.copy()
    brake, station = phases[-2:]
    values[station.start + 6 : station.start + 8, MOTION] = -1.6
    values[brake.start - 10 : brake.start - 4, MOTION] = -0.5
    track = replace(template.track, course=Course(S.step_s, values))
    *_, fast, _, other_brake, other_station = name_phases(replace(template, track=track), S)
    assert (fast.phase, other_brake.phase) == ("high_motion", "brake")
    assert abs(other_brake.start - brake.start) <= 1
    assert other_station == station


def test_a_video_without_sound_frames_is_told_so(template: Template, phases: list[Phase]) -> None:
    frames = ride(Train(), 1).frames.with_columns(decode_error=pl.lit("damaged"))
    followed = follow(course_of(frames, S.step_s), template)
    assert followed.same_ride is None and followed.sentence is not None
    assert frame_phases(frames, followed, phases, S.step_s)["phase"].null_count() == frames.height


def test_the_limit_leaves_the_rides_own_below_it() -> None:
    rng = np.random.default_rng(0)
    over = [
        np.mean(np.exp(rng.normal(-0.8, 0.15, 2000)) > usual_of(costs, S.other_ride_rate).limit)
        for costs in np.exp(rng.normal(-0.8, 0.15, (200, 20))).tolist()
    ]
    assert np.mean(over) < 3 * S.other_ride_rate
    assert usual_of([0.4] * 20, S.other_ride_rate).limit > 0.4


def test_the_scale_is_never_below_what_noise_moves(template: Template) -> None:
    assert (template.track.scale >= FLOORS).all()


def test_a_clip_that_shows_too_little_of_the_ride_is_told_nothing(
    template: Template, phases: list[Phase]
) -> None:
    frames = ride(Train(), 7).frames.head(60)
    followed = follow(course_of(frames, S.step_s), template)
    assert followed.same_ride is None
    assert followed.sentence is not None and "too little of the ride" in followed.sentence
    assert frame_phases(frames, followed, phases, S.step_s)["phase"].null_count() == 60
