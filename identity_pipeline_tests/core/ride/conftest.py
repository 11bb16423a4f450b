"""A template of twenty rides, made once."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from identity_pipeline.core.ride.course import Course, course_of
from identity_pipeline.core.ride.naming import name_phases
from identity_pipeline.core.ride.phases import Phase
from identity_pipeline.core.ride.template import Template, build_template
from identity_pipeline.settings import RideSettings
from identity_pipeline_tests.core.ride.rides import any_train, ride

SETTINGS = RideSettings(step_s=0.4)


@pytest.fixture(scope="session")
def courses() -> Mapping[str, Course]:
    """Of twenty rides: slow, fast, with a wait, with a missing head or tail, dark and bright."""
    return {
        f"ride-{n}": course_of(ride(any_train(n), n).frames, SETTINGS.step_s) for n in range(20)
    }


@pytest.fixture(scope="session")
def template(courses: Mapping[str, Course]) -> Template:
    found = build_template(courses, SETTINGS, 20)
    assert isinstance(found, Template)
    return found


@pytest.fixture(scope="session")
def phases(template: Template) -> list[Phase]:
    return name_phases(template, SETTINGS)
