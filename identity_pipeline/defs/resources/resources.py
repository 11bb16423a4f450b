"""What assets are handed: settings, the store, the models. Thin shells that return plain objects.

Nothing is read or opened when the definitions load; weights are opened at first use.
"""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from identity_pipeline.defs.instance.binding import bind
from identity_pipeline.defs.instance.preflight import no_try
from identity_pipeline.defs.resources.io import CropArchiveIOManager, VideoTableIOManager
from identity_pipeline.defs.resources.kept_models import models_of
from identity_pipeline.defs.resources.progress import ProgressReporters
from identity_pipeline.settings import Settings, load_settings
from identity_pipeline.storage.folder.data_folder import claim_data_folder
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore

if TYPE_CHECKING:
    from identity_pipeline.models.hub import ModelHub


class SettingsResource(dg.ConfigurableResource[Settings]):
    """The settings of a run."""

    overrides_json: str = "{}"
    """Groups that win over file and environment, as a JSON object."""

    @classmethod
    def of(cls, **groups: Any) -> "SettingsResource":
        """A resource with overrides given as dictionaries by group."""
        return cls(overrides_json=json.dumps(groups, sort_keys=True))

    def load(self) -> Settings:
        """Reads the settings now."""
        return load_settings(**json.loads(self.overrides_json))

    def create_resource(self, context: dg.InitResourceContext) -> Settings:
        """Reads the settings at the start of a run, which cannot begin with invalid ones."""
        with no_try(context):
            return self.load()


class StoreResource(dg.ConfigurableResource[TableStore]):
    """Tables and files below the data folder."""

    settings: dg.ResourceDependency[Settings]

    def create_resource(self, context: dg.InitResourceContext) -> TableStore:
        """The store below `paths.data`, which is brought to the present format.

        A run on the instance of another data folder ends here; a sensor is told by
        `defs.instance.gate`.
        """
        layout = Layout(Path(self.settings.paths.data))
        with no_try(context):
            claim_data_folder(layout, logging.getLogger(__name__).warning)
            if context.run is not None and context.instance is not None:
                bind(context.instance, layout)
        return TableStore(layout)


class ModelsResource(dg.ConfigurableResource["ModelHub"]):
    """The models: one set per run, or per process where it does one run after another."""

    settings: dg.ResourceDependency[Settings]

    def create_resource(self, context: dg.InitResourceContext) -> "ModelHub":
        """A hub that opens nothing yet."""
        return models_of(self.settings.models)


def all_resources(settings: SettingsResource) -> dict[str, Any]:
    """Every resource of the code location, by name."""
    store = StoreResource(settings=settings)
    return {
        "settings": settings,
        "store": store,
        "models": ModelsResource(settings=settings),
        "progress": ProgressReporters(),
        "video_table_io": VideoTableIOManager(store=store),
        "crop_archive_io": CropArchiveIOManager(store=store),
    }
