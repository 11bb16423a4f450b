"""Parts of a ride are named by what they are."""

from __future__ import annotations

import numpy as np

from identity_pipeline.core.ride.alignment import Track
from identity_pipeline.core.ride.course import CHANNELS, FACES, LIGHT, MOTION, Course
from identity_pipeline.core.ride.naming import name_phases
from identity_pipeline.core.ride.template import Template, Usual
from identity_pipeline.settings import RideSettings

S = RideSettings()


def template(light: list[float], motion: list[float]) -> Template:
    """A template of ten-second parts: their light in octaves, and their motion in decades."""
    part = round(10 / S.step_s)
    values = np.zeros((part * len(light), len(CHANNELS)))
    values[:, LIGHT] = np.repeat(light, part)
    values[:, MOTION] = np.repeat(motion, part) + 0.01 * np.sin(np.arange(len(values)))
    values[:, FACES] = 2.0
    track = Track(Course(S.step_s, values), np.ones(len(CHANNELS)))
    whole = np.full(len(values), 20)
    return Template(track, np.ones_like(values), whole, Usual(1.0, 2.0, 20), (), {})


def test_a_station_in_a_dark_hall_is_boarding_and_a_tunnel_is_dark() -> None:
    still, moves = -2.5, -1.2
    hall = template([-1.5, 0, 0, -1.5, 0, 0, -1.5], [still, *[moves] * 5, still])
    named = [phase.phase for phase in name_phases(hall, S)]
    assert (named[0], named[-1]) == ("boarding", "boarding")
    assert named.count("dark") == 1
