"""The code location: everything that Dagster loads. No model is opened here.

Of the settings two switches are read: whether retraining is on from the start, and who may read
what is written.
"""

from __future__ import annotations

from typing import Any

import dagster as dg

from identity_pipeline.defs.assets import (
    datasets,
    detect,
    housekeeping,
    image_sets,
    learn,
    library,
    measure,
    photos,
    publishing,
    reports,
    templates,
)
from identity_pipeline.defs.automation import automatic
from identity_pipeline.defs.checks import consent
from identity_pipeline.defs.checks import library as library_checks
from identity_pipeline.defs.instance import jobs
from identity_pipeline.defs.resources.resources import SettingsResource, all_resources
from identity_pipeline.storage.files import private

OF_VIDEOS = [detect, measure, image_sets, templates]
OF_PHOTOS = [photos]
OF_PEOPLE = [datasets]
OF_ALL = [learn, library, reports, housekeeping, publishing]


def build_defs(settings: SettingsResource | None = None, **resources: Any) -> dg.Definitions:
    """The definitions, for Dagster, the command line and tests.

    Args:
        settings: where the settings come from; by default file and environment.
        resources: resources that replace those of the same name.
    """
    settings = settings or SettingsResource()
    loaded = settings.load()
    private.guard(group_may_read=loaded.paths.group_may_read)
    retrain = loaded.train.automatic
    return dg.Definitions(
        assets=dg.load_assets_from_modules([*OF_VIDEOS, *OF_PHOTOS, *OF_PEOPLE, *OF_ALL]),
        asset_checks=dg.load_asset_checks_from_modules([library_checks, consent]),
        jobs=jobs.ALL_JOBS,
        sensors=automatic.all_sensors(retrain),
        schedules=automatic.all_schedules(retrain),
        resources={**all_resources(settings), **resources},
        executor=dg.in_process_executor,
    )


defs = build_defs()
