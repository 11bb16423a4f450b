"""The tables of a video that a step or a check reads: those that it declares, read at first use.

They are no inputs of Dagster, which is told of `deps` alone. Handed over by an IO manager, every
input is two events in Dagster's log and several questions to its database; a video has a hundred
inputs, and they were half of all its events (`docs/operating-reference.md`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TypeVar

import polars as pl

from identity_pipeline.defs.resources.failures import PermanentFailure
from identity_pipeline.stages.specs.view import UndeclaredError
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.video.crop_archive import CropArchive
from identity_pipeline.storage.video.failures import DAMAGED, FailureNote, FailureNotes
from identity_pipeline.storage.video.tables import MissingTableError, TableStore

CROPS = "face_crops"
Read = TypeVar("Read")


@dataclass(frozen=True)
class Inputs:
    """Reads tables of one video.

    Attributes:
        store: the tables.
        video_id: of which video.
        reader: the step or check that reads.
        declared: assets that it may read.
    """

    store: TableStore
    video_id: str
    reader: str
    declared: Collection[str]
    _read: dict[str, pl.DataFrame] = field(default_factory=dict)

    def __getitem__(self, asset: str) -> pl.DataFrame:
        """A table.

        Raises:
            UndeclaredError: it is no declared input.
            Failure: it is damaged, which is noted on the video, or it was never made.
        """
        if asset not in self._read:
            read = partial(self.store.read, asset, self.video_id)
            self._read[asset] = self._checked(asset, read)
        return self._read[asset]

    def of(self, *assets: str) -> dict[str, pl.DataFrame]:
        """Several tables, by name."""
        return {asset: self[asset] for asset in assets}

    @cached_property
    def crops(self) -> CropArchive:
        """The crops, compared with what was recorded of them; raises as a table does."""
        return self._checked(CROPS, partial(self.store.crops, self.video_id))

    def _checked(self, asset: str, read: Callable[[], Read]) -> Read:
        if asset not in self.declared:
            raise UndeclaredError(
                f"{self.reader} reads {asset}, which its entry in stages/specs/assets.py does not "
                "name among its inputs."
            )
        try:
            return read()
        except MissingTableError as error:
            raise PermanentFailure(type(error).__name__, str(error)) from error
        except DamagedFileError as error:
            note = FailureNote(DAMAGED, str(error), self.reader, permanent=False)
            FailureNotes(self.store.layout).put(self.video_id, note)
            raise PermanentFailure(DAMAGED, str(error)) from error
