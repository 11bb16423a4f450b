"""The batches of work (`core.progress`), kept so that a share means the same at every look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

from identity_pipeline.core.progress.shares import Batch
from identity_pipeline.storage.files import atomic, small_files
from identity_pipeline.storage.files.locks import exclusive
from identity_pipeline.storage.layout import Layout

WAIT_S = 10.0
Batches = tuple[Batch, ...]


@dataclass(frozen=True)
class BatchBook:
    """The file `data/progress/batches.json`."""

    layout: Layout

    def update(self, change: Callable[[Batches], Batches]) -> Batches:
        """Reads, changes and writes the batches, one process at a time, and returns them.

        Raises:
            LockBusyError: another process kept them for too long.
        """
        folder = self.layout.progress
        with exclusive(folder / ".batches.lock", "the list of batches", "looking", WAIT_S):
            before = self._read()
            after = change(before)
            if after != before:
                value = [asdict(batch) for batch in after]
                atomic.write_json(folder / "batches.json", value)
        return after

    def _read(self) -> Batches:
        path = self.layout.progress / "batches.json"
        return tuple(small_files.recall(path, list[Batch]) or ())
