"""Where in rides the faces of the forgotten are: one private file a ride, compared when it is read.

Positions alone. The file is what keeps a face away for good: every pass over the ride heeds it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Final

from identity_pipeline.core.privacy.redaction import Path, Redaction, Region
from identity_pipeline.storage.files import atomic, small_files
from identity_pipeline.storage.files.hashing import sha256_of_value
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.layout import Layout

MEND: Final = (
    "Nothing of this ride is computed until it is whole: forget the person again, or put the file "
    "back from a copy of the disk."
)


@dataclass(frozen=True)
class _File:
    paths: tuple[tuple[Region, ...], ...]
    sha256: str


@dataclass(frozen=True)
class Redactions:
    """The redactions of one data folder."""

    layout: Layout

    def of(self, video_id: str) -> Redaction:
        """What is hidden in a ride; nothing in most.

        Raises:
            DamagedFileError: the file is not what was written.
        """
        path = self.layout.redaction(video_id)
        found = small_files.read(path, _File, MEND)
        if found is None:
            return Redaction()
        return _compared(path, found)

    def add_from(self, video_id: str, data: bytes) -> Redaction:
        """Hides, too, what such a file of another time or folder says.

        Raises:
            DamagedFileError: it is not what was written.
        """
        path = self.layout.redaction(video_id)
        try:
            found = small_files.parse(data, _File)
        except ValueError as error:
            raise DamagedFileError(path, str(error), MEND) from error
        return self.add(video_id, _compared(path, found).paths)

    def add(self, video_id: str, paths: Iterable[Path]) -> Redaction:
        """Hides more of a ride; what is hidden stays hidden."""
        redaction = self.of(video_id).and_also(paths)
        plain = [path.regions for path in redaction.paths]
        record = {"paths": plain, "sha256": digest_of(redaction)}
        atomic.write_json(self.layout.redaction(video_id), record)
        return redaction


def _compared(path: FilePath, found: _File) -> Redaction:
    """What a file says, compared with its digest."""
    redaction = Redaction(tuple(map(Path, found.paths)))
    if digest_of(redaction) != found.sha256:
        raise DamagedFileError(path, "it is not what was written", MEND)
    return redaction


def digest_of(redaction: Redaction) -> str | None:
    """SHA-256 of what is hidden; None where nothing is."""
    plain = [[list(region) for region in path.regions] for path in redaction.paths]
    return sha256_of_value(plain) if redaction else None
