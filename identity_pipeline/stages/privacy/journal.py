"""The journal of a forgetting: what goes, what is done of it, what could not be reached yet.

Two private files each: what goes, written once, which holds names and pieces of vectors and crops
to look for afterwards; and what was done, written after every step. Both are removed at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from identity_pipeline.stages.privacy.footprint import Footprint
from identity_pipeline.stages.privacy.probes import Probes
from identity_pipeline.stages.privacy.receipts import Removed, Revoked
from identity_pipeline.storage.files import atomic, private, small_files
from identity_pipeline.storage.layout import Layout

MEND: Final = (
    "Put it back from a copy of the disk, or remove it and forget the person, ride or track again."
)


@dataclass(frozen=True)
class Taken:
    """What a forgetting takes, and what is looked for when it is done.

    Attributes:
        footprint: what goes.
        exports: sets and datasets that left, or may have left, the house.
        kept: words that stay and may hold a name.
        others: names of everybody else: a receipt holds none of them.
        probes: of who goes, as JSON.
        control: of somebody who stays, as JSON.
    """

    footprint: Footprint
    exports: tuple[Revoked, ...]
    kept: tuple[str, ...]
    others: tuple[str, ...]
    probes: dict[str, Any]
    control: dict[str, Any]

    @property
    def sought(self) -> Probes:
        """What must not be found any more."""
        return Probes.from_json(self.probes)

    @property
    def stays(self) -> Probes:
        """What must be found."""
        return Probes.from_json(self.control)


@dataclass(frozen=True)
class Journal:
    """How far a forgetting is.

    Attributes:
        id: of it, of its event in the ledger, and of its receipt.
        since: ISO time.
        by: who began it.
        steps: how many there are; 0 before the first.
        done: step -> what went.
        left: step -> why it could not be done, in words.
        notes: sentences for the receipt.
    """

    id: str
    since: str
    by: str
    steps: int = 0
    done: Mapping[str, tuple[Removed, ...]] = field(default_factory=dict)
    left: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def after(self, step: str, removed: Iterable[Removed]) -> Journal:
        """The journal after a step."""
        left = {name: why for name, why in self.left.items() if name != step}
        return replace(self, done={**self.done, step: tuple(removed)}, left=left)

    def without(self, step: str, why: str) -> Journal:
        """The journal after a step that could not be done."""
        return replace(self, left={**self.left, step: why})

    def sentence(self) -> str:
        """What a person is told wherever it matters; it names nobody."""
        why = f" {' '.join(self.left.values())}" if self.left else ""
        return (
            f"A forgetting of {self.since[:10]} is unfinished ({len(self.done)} of "
            f"{self.steps or 'its'} steps are done).{why} `identity-pipeline forget --resume` goes "
            "on."
        )


@dataclass(frozen=True)
class Journals:
    """The forgettings that are under way in one data folder."""

    layout: Layout

    def unfinished(self) -> tuple[Journal, ...]:
        """All of them, the oldest first.

        Raises:
            DamagedFileError: one cannot be read.
        """
        paths = self.layout.forgetting.glob("*.json")
        found = (
            small_files.read(path, Journal, MEND)
            for path in paths
            if not atomic.is_temporary(path) and not path.name.endswith(".taken.json")
        )
        return tuple(sorted(filter(None, found), key=lambda one: (one.since, one.id)))

    def begin(self, journal: Journal, taken: Taken) -> None:
        """Writes both files; nothing may go before that."""
        private.make_folder(self.layout.forgetting)
        atomic.write_json(self.layout.taken(journal.id), asdict(taken))
        self.note(journal)

    def note(self, journal: Journal) -> None:
        """Writes how far it is."""
        atomic.write_json(self.layout.forgetting_journal(journal.id), asdict(journal))

    def taken(self, journal: Journal) -> Taken | None:
        """What a forgetting takes; None where that is removed already: only the journal is left.

        Raises:
            DamagedFileError: it cannot be read.
        """
        return small_files.read(self.layout.taken(journal.id), Taken, MEND)

    def end(self, journal: Journal) -> None:
        """Removes both files, the one with names first, and what killed writers left of them."""
        self.layout.taken(journal.id).unlink(missing_ok=True)
        self.layout.forgetting_journal(journal.id).unlink(missing_ok=True)
        self.sweep()

    def sweep(self) -> None:
        """Removes what was half written, and what goes of forgettings that never began."""
        atomic.sweep_temporaries(self.layout.forgetting, spare_living=True)
        for path in self.layout.forgetting.glob("*.taken.json"):
            begun = self.layout.forgetting_journal(path.name.removesuffix(".taken.json"))
            if not begun.exists():
                path.unlink(missing_ok=True)
