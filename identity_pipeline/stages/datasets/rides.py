"""The tables and files of rides and photographs, for layouts that show a whole ride."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.storage.video.registry import VideoRegistry
from identity_pipeline.storage.video.tables import TableStore


class UnknownRideError(IdentityPipelineError, ValueError):
    """A ride is shown that is not registered."""


@dataclass(frozen=True)
class MeasuredRides:
    """What lies in one data folder; fits `pictures.Rides`.

    Attributes:
        tables: of all sources.
        videos: the registered videos.
    """

    tables: TableStore
    videos: VideoRegistry

    def table(self, source_id: str, asset: str) -> pl.DataFrame:
        """A table of a source.

        Raises:
            MissingTableError, DamagedTableError: it cannot be read.
        """
        return self.tables.read(asset, source_id)

    def video(self, source_id: str) -> Path:
        """The file of a ride.

        Raises:
            UnknownRideError: it is not registered, or its file is no longer there.
        """
        record = self.videos.get(source_id)
        if record is None:
            raise UnknownRideError(
                f"{source_id} is no registered ride; `identity-pipeline run FILE` takes one in."
            )
        path = record.existing_path()
        if not path.is_file():
            raise UnknownRideError(
                f"the file of {source_id} is no longer at {path}; put it back, or register it at "
                "its new place with `identity-pipeline run FILE`."
            )
        return path
