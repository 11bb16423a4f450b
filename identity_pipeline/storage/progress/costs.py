"""What work cost: one line per computed step, appended; the last ones are the prices of today.

They hold times, so they lie apart from the tables, which are the same bytes every time. A line that
a dying process left half-written is passed over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from identity_pipeline.core.progress.costs import Sample
from identity_pipeline.storage.files import private, small_files
from identity_pipeline.storage.layout import Layout, check_video_id
from identity_pipeline.storage.progress.heartbeat import host

TAIL_BYTES = 64_000
"""Only so much of a file is read: some 400 lines."""


@dataclass(frozen=True)
class _Line(Sample):
    """A sample with what it holds for."""

    host: str
    models: str


@dataclass(frozen=True)
class Costs:
    """The files in `data/progress/costs`, one per step."""

    layout: Layout

    def _path(self, step: str) -> Path:
        return self.layout.progress / "costs" / f"{check_video_id(step)}.jsonl"

    def add(self, step: str, sample: Sample, models: str) -> None:
        """Notes one computation on this machine.

        Args:
            step: what was computed.
            sample: what it took.
            models: what tells the models and the device; empty for a step without.
        """
        path = self._path(step)
        private.make_folder(path.parent)
        line = json.dumps({**asdict(sample), "host": host(), "models": models}) + "\n"
        with path.open("a", encoding="utf-8") as stream:  # short appends are whole on a local disk
            stream.write(line)

    def samples(self, step: str, models: str) -> list[Sample]:
        """What the step took on this machine with these models, oldest first."""
        here = host(), models
        return [
            Sample(noted.seconds, noted.units, noted.frames)
            for noted in self._lines(step)
            if (noted.host, noted.models) == here
        ]

    def _lines(self, step: str) -> Iterator[_Line]:
        path = self._path(step)
        if not path.is_file():
            return
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - TAIL_BYTES))
            lines = stream.read().splitlines()
        for line in lines:
            try:
                yield small_files.parse(line, _Line)
            except ValueError:  # cut off, by a crash or by the tail's beginning
                continue
