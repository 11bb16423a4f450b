"""What the ledger refuses, and why: each error is one sentence that says what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from identity_pipeline.errors import IdentityPipelineError

if TYPE_CHECKING:
    from identity_pipeline.ledger.events import Event


class LedgerError(IdentityPipelineError):
    """Anything that is wrong with the ledger or with what was asked of it."""


class RefusedError(LedgerError):
    """A decision that contradicts the ledger; nothing was written."""


class NoChangeError(RefusedError):
    """A decision that would change nothing."""


class NameTakenError(RefusedError):
    """A name that another person bears; the caller may merge, or say that both are meant.

    Attributes:
        name: the name that was asked for.
        person_ids: who bears it, sorted.
    """

    def __init__(self, name: str, person_ids: Sequence[str]) -> None:
        self.name = name
        self.person_ids = tuple(sorted(person_ids))
        bearers = ", ".join(self.person_ids)
        super().__init__(
            f"{name!r} is already the name of {bearers}; merge the two if they are one person, or "
            "say that two people bear this name."
        )


class DanglingError(RefusedError):
    """An undo that would take the ground from under later events.

    Attributes:
        event_ids: the first 20 events that would no longer hold, in order.
    """

    def __init__(self, message: str, event_ids: Sequence[str]) -> None:
        self.event_ids = tuple(event_ids)
        super().__init__(message)


class ChangedMeanwhileError(LedgerError):
    """A decision on what is no longer so: somebody else was faster; nothing was written.

    Attributes:
        events: what was decided meanwhile that concerns it, in order; none where the head that it
            was made of is not of this ledger.
    """

    def __init__(self, message: str, events: Sequence[Event]) -> None:
        self.events = tuple(events)
        super().__init__(message)


class DamagedLedgerError(LedgerError):
    """The file is not what was written.

    Attributes:
        line: number of the first damaged line, from 1.
    """

    def __init__(self, path: object, line: int, why: str) -> None:
        self.line = line
        super().__init__(
            f"Line {line} of {path} is damaged: {why}; put the ledger back from a "
            "backup with `identity-pipeline restore BACKUP`."
        )


class DamagedWitnessError(LedgerError):
    """A record of how far the ledger was is not what was written; the ledger may be whole."""

    def __init__(self, path: object, reason: str, next_step: str | None = None) -> None:
        mend = "Remove it; what other records know of the ledger still counts."
        super().__init__(f"{path} is damaged: {reason}. {next_step or mend}")


class LostLedgerError(DamagedLedgerError):
    """Events that were acknowledged are gone, or the file is another ledger.

    Attributes:
        known: number of the last event that is known to have been there.
        there: how many events there are.
    """

    def __init__(self, path: object, source: str, known: int, there: int, doubt: str = "") -> None:
        """`doubt`: a sentence with a space, on what else may be wrong."""
        self.known, self.there, self.line = known, there, min(known, there + 1)
        if not there:
            what = f"{path} is gone or empty: {known} events were acknowledged, 0 are there"
        elif there < known:
            what = f"{path} is too short: {known} events were acknowledged, {there} are there"
        else:
            what = (
                f"Line {known} of {path} is damaged: it is not the line that was acknowledged, so "
                "it was changed, or the file is another data folder's ledger"
            )
        LedgerError.__init__(
            self,
            f"{what} (known by {source}). {doubt}Put it back with `identity-pipeline restore "
            "BACKUP`, or go on without what is lost with `identity-pipeline accept-ledger`.",
        )
