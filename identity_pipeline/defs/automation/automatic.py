"""Everything that happens by itself: the sensors and the schedules of the code location."""

import dagster as dg

from identity_pipeline.defs.assets.publishing import publish_finished
from identity_pipeline.defs.automation import dead_runs, schedules
from identity_pipeline.defs.automation.dataset_sensor import people_changed
from identity_pipeline.defs.automation.highlight_sensor import new_highlights
from identity_pipeline.defs.automation.library_sensor import library_changed
from identity_pipeline.defs.automation.outdated_sensor import outdated_videos
from identity_pipeline.defs.automation.photo_sensor import new_photos
from identity_pipeline.defs.automation.picture_sensor import pictures_decided
from identity_pipeline.defs.automation.retraining import retraining_schedule, retraining_sensor
from identity_pipeline.defs.automation.sensors import new_videos
from identity_pipeline.defs.instance.pausing import paused_videos


def all_sensors(retrain: bool) -> list[dg.SensorDefinition]:
    """The sensors.

    Args:
        retrain: whether retraining is on from the start.
    """
    return [
        new_videos,
        new_photos,
        paused_videos,
        new_highlights,
        pictures_decided,
        library_changed,
        people_changed,
        outdated_videos,
        retraining_sensor(retrain),
        *dead_runs.ALL_SENSORS,
        publish_finished,
    ]


def all_schedules(retrain: bool) -> list[dg.ScheduleDefinition]:
    """The schedules; see `all_sensors`."""
    return [*schedules.ALL_SCHEDULES, retraining_schedule(retrain)]
