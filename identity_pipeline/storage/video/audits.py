"""What humans said of moments that were left out: a private file a ride, which only grows.

What belongs here: writing and reading them. What does not: what they are asked
(`core.recall.audit`), and whose moments they are today (`stages.curation.recall`). They are no
events of the ledger: they decide nothing, most are of moments in which there is no face to decide
about, and they go with the ride, where the ledger never loses a line.

A line never changes; what is taken back is said by a further one. The whole file is written anew
under a lock, so that a kill leaves it with the new line or without.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Final

from identity_pipeline.storage.files import atomic, locks, small_files
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.layout import Layout

WAIT_S: Final = 10.0
MEND: Final = "Put it back from a backup, or delete it: then the audit of that ride begins anew."


@dataclass(frozen=True)
class Said:
    """One line.

    Attributes:
        at: ISO time with a zone.
        actor: who said it.
        frame_idx, box: a face of the rider, as x1, y1, x2, y2 in pixels of the source: by it the
            rider is found again where riders have other numbers by now.
        moment: number of the moment.
        moment_s: how long moments were.
        stratum: for what it was left out then.
        answer: of `core.recall.audit.ANSWERS`; None takes back what was said of the moment.
    """

    at: str
    actor: str
    frame_idx: int
    box: tuple[float, float, float, float]
    moment: int
    moment_s: float
    stratum: str
    answer: str | None


@dataclass(frozen=True)
class Audits:
    """The audits of one data folder."""

    layout: Layout

    def read(self, video_id: str) -> tuple[Said, ...]:
        """All that was said of a ride, the first first.

        Raises:
            DamagedFileError: the file is not what was written.
        """
        path = self.layout.audit(video_id)
        data = small_files.bytes_of(path) or b""
        if data and not data.endswith(b"\n"):
            raise DamagedFileError(path, "its last line is cut off", MEND)
        try:
            return tuple(small_files.parse(line, Said) for line in data.splitlines())
        except ValueError as error:
            raise DamagedFileError(path, str(error), MEND) from None

    def rides(self) -> list[str]:
        """The rides of which something was said."""
        return sorted(path.stem for path in self.layout.audits.glob("*.jsonl"))

    def add(self, video_id: str, line: Callable[[Sequence[Said]], Said | None]) -> None:
        """Adds a line to what was said of a ride; it is on the disk before this returns.

        Args:
            video_id: which ride.
            line: given all that was said so far, also by others meanwhile; None adds nothing.

        Raises:
            DamagedFileError: the file is not what was written; nothing is added.
            LockBusyError: somebody else keeps the audits.
        """
        with self.locked("answering"):
            known = self.read(video_id)
            more = line(known)
            if more is not None:
                lines = [json.dumps(asdict(said), sort_keys=True) for said in (*known, more)]
                data = "".join(f"{each}\n" for each in lines).encode()
                atomic.write_bytes(self.layout.audit(video_id), data)

    @contextmanager
    def locked(self, purpose: str) -> Iterator[None]:
        """Keeps others from adding while the block runs."""
        with locks.exclusive(self.layout.audits_lock, "The audits", purpose, WAIT_S):
            yield
