"""How tables and crops pass between assets: Parquet files written whole or not at all.

Loading an input reads the upstream video's table; storing an output is a no-op when the step
reused what was there.
"""

import dagster as dg
import polars as pl

from identity_pipeline.storage.crop_archive import CropArchive
from identity_pipeline.storage.tables import TableStore

FINGERPRINT = "fingerprint"
"""Metadata key under which a step says what its output was made of."""


class VideoTableIOManager(dg.ConfigurableIOManager):
    """One Parquet table per asset and video."""

    store: dg.ResourceDependency[TableStore]

    def handle_output(self, context: dg.OutputContext, obj: pl.DataFrame) -> None:
        """Writes the table and its manifest, unless they are there already."""
        asset, video_id = context.asset_key.path[-1], context.partition_key
        fingerprint = str(context.output_metadata[FINGERPRINT].value)
        known = self.store.manifest(asset, video_id)
        if known is None or known.fingerprint != fingerprint:
            self.store.write(asset, video_id, obj, fingerprint)

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
        """The archive of the same video."""
        return CropArchive(self.store.layout.crops(context.partition_key))
