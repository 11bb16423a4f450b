"""How Dagster loads a table or crops that somebody asks it for, as `load_asset_value` does.

Steps read their inputs themselves (`defs.resources.inputs`), and write their output themselves,
because they must know what they wrote to tell its data version: see `steps.Step.result`.
"""

import dagster as dg
import polars as pl

from identity_pipeline.storage.video.crop_archive import CropArchive
from identity_pipeline.storage.video.tables import TableStore

FINGERPRINT = "fingerprint"
"""Metadata key under which a step says what its output was made of."""
REUSED = "reused"
"""Metadata key under which a step says that its output was there already."""


class VideoTableIOManager(dg.ConfigurableIOManager):
    """One Parquet table per asset and video."""

    store: dg.ResourceDependency[TableStore]

    def handle_output(self, context: dg.OutputContext, obj: pl.DataFrame) -> None:
        """Nothing to do: the step has written the table."""

    def load_input(self, context: dg.InputContext) -> pl.DataFrame:
        """Reads the table of the same video.

        Raises:
            MissingTableError: the upstream asset was never materialised for it.
        """
        return self.store.read(context.asset_key.path[-1], context.partition_key)


class CropArchiveIOManager(dg.ConfigurableIOManager):
    """The crops of a video; the pass itself writes them, part by part."""

    store: dg.ResourceDependency[TableStore]

    def handle_output(self, context: dg.OutputContext, obj: CropArchive) -> None:
        """Nothing to do: the archive is in its place already."""

    def load_input(self, context: dg.InputContext) -> CropArchive:
        """The archive of the same video.

        Raises:
            MissingTableError: it is not the one that the last whole pass wrote.
        """
        return self.store.crops(context.partition_key)
