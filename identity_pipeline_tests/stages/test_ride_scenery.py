"""What is kept of a ride's scenery in its edition, and read of one that has none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from identity_pipeline.core.ride.alignment import Track
from identity_pipeline.core.ride.course import CHANNELS, Course
from identity_pipeline.core.ride.phases import Phase
from identity_pipeline.core.ride.scenery import Fit, Scenery, Seen
from identity_pipeline.core.ride.template import Apart, Template, Usual
from identity_pipeline.core.video.copies import BITS
from identity_pipeline.stages.library.ride_template import other_rides, tables_of
from identity_pipeline.stages.video.ride_phases import ride_tables, template_of
from identity_pipeline.storage.cameras.editions import Edition, open_edition, write_edition
from identity_pipeline.tables import without_unused
from identity_pipeline_tests.core.ride.rides import Train, ride

LENGTH = 60
NEW = ("seconds", "fit", "usual_fit")


@pytest.fixture
def template() -> Template:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(LENGTH, len(CHANNELS)))
    scenery = Scenery(
        rng.integers(-127, 128, (LENGTH, BITS)).astype(np.int8),
        rng.random(LENGTH) > 0.2,
        Fit(1.4, 0.001),
    )
    return Template(
        Track(Course(0.2, values), np.ones(len(CHANNELS))),
        np.ones_like(values),
        np.full(LENGTH, 20),
        Usual(0.5, 1.0, 20),
        ("a",),
        {"b": Apart(0.6, Seen(31.2, -0.1, 1.4, same_ride=False)), "c": Apart(1.7)},
        scenery,
    )


def written(folder: Path, template: Template) -> Edition:
    write_edition(folder, tables_of(template, [Phase(0, LENGTH, "ride")], {}), {})
    return open_edition(folder, "mend it")


def test_an_edition_keeps_the_scenery_and_who_does_not_show_it(
    tmp_path: Path, template: Template
) -> None:
    model = written(tmp_path / "1.20", template)
    found = template_of(model)[0].scenery
    assert found is not None and template.scenery is not None
    assert found.fit == template.scenery.fit
    np.testing.assert_array_equal(found.mean, template.scenery.mean)
    np.testing.assert_array_equal(found.tells, template.scenery.tells)
    told = other_rides(model)
    assert told["b"].startswith("It does not show the ride of this camera")
    assert "in 31 seconds" in told["b"] and "by 1.4" in told["b"]
    assert told["c"].startswith("It does not follow the ride of this camera")


def test_a_ride_without_scenery_is_written_and_laid_as_before(
    tmp_path: Path, template: Template
) -> None:
    bare = Template(**{**vars(template), "scenery": None})
    model = written(tmp_path / "1.20", bare)
    assert template_of(model)[0].scenery is None
    course = ride_tables(ride(Train(), 1).frames, model, None)["ride_course"]
    unknown = ride_tables(ride(Train(), 1).frames, None, None)["ride_course"]
    for table in (course, unknown):  # byte for byte as from before it was told
        assert not set(NEW) & set(without_unused("ride_course", table).columns)
