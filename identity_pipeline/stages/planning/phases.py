"""What is said of all work: phases, videos, batches. `stages.planning.builder` fills them in."""

from __future__ import annotations

from dataclasses import dataclass

from identity_pipeline.core.progress.shares import Batch, State, overall


@dataclass(frozen=True)
class RunFact:
    """What Dagster knows of the last run of a video, or of the library.

    Attributes:
        run_id: of Dagster.
        status: queued, started, cancelled or failed.
        since: when it was started, in seconds since 1970; None where that is not known.
    """

    run_id: str
    status: str
    since: float | None = None


@dataclass(frozen=True)
class Phase:
    """One step of one video, or of the library.

    Attributes:
        step: its name.
        state: see `core.progress.shares.State`.
        why: in words; empty where the state says all.
        done, total, unit: units of work: of a running phase in this attempt, else of all; None
            where they are not counted yet.
        per_second: units per second of a running phase; None before it can be told.
        expected_s: seconds that the whole phase takes; None where that cannot be said.
        left_s: seconds left of it; 0 for a phase that is done, failed or skipped.
        measured: whether `expected_s` was learnt on this machine.
        aside: it is switched off, or not asked for: the whole is done without it.
    """

    step: str
    state: State
    why: str
    done: int | None
    total: int | None
    unit: str
    per_second: float | None
    expected_s: float | None
    left_s: float | None
    measured: bool
    aside: bool = False

    @property
    def counts(self) -> bool:
        """Whether the whole is not done before it is: not aside, or somebody did ask for it."""
        return not self.aside or self.state in (State.RUNNING, State.QUEUED)

    @property
    def in_flight(self) -> float:
        """What part of a running phase this attempt has done, in [0, 1)."""
        if self.state is not State.RUNNING or not self.done or not self.total:
            return 0.0
        return min(self.done / self.total, 1.0 - 1e-9)


@dataclass(frozen=True)
class Whole:
    """The phases of one video, or of the library.

    Attributes:
        name: of the video, or `LIBRARY_WORK`.
        phases: in the order of the work.
        note: what is to be said of its run.
        begins: that is no more than that the run is beginning, which is no trouble.
    """

    name: str
    phases: tuple[Phase, ...]
    note: str = ""
    begins: bool = False

    @property
    def state(self) -> State:
        """Done only if every phase is that counts."""
        return overall(phase.state for phase in self.phases if phase.counts)

    def count(self, *states: State) -> int:
        """Phases in one of some states."""
        return sum(phase.state in states for phase in self.phases)

    def first(self, *states: State) -> Phase | None:
        """The first phase in one of some states."""
        return next((phase for phase in self.phases if phase.state in states), None)

    @property
    def waiting(self) -> Phase | None:
        """The first phase that is not done and says why."""
        found = (p for p in self.phases if p.counts and p.state is not State.DONE and p.why)
        return next(found, None)

    @property
    def steps_done(self) -> tuple[int, int]:
        """How many phases are done, and of how many that count."""
        counted = [phase for phase in self.phases if phase.counts]
        return sum(phase.state is State.DONE for phase in counted), len(counted)

    @property
    def left_s(self) -> float:
        """Seconds of work left, as far as they can be told."""
        return sum(phase.left_s or 0.0 for phase in self.phases if phase.counts)


@dataclass(frozen=True)
class Portions:
    """How far a batch is, in shares of its weight; they add up to 1.

    `in_flight` is what running phases have done in this attempt: lost if their process dies.
    """

    done: float
    in_flight: float
    failed: float
    skipped: float
    open: float


@dataclass(frozen=True)
class BatchStatus:
    """A batch and how far it is.

    Attributes:
        batch: its scope.
        portions: of its work.
        left_s: seconds of computing left, one after the other.
        unmeasured: phases left whose cost was never measured on this machine.
        finished: nothing will come of it by itself any more.
    """

    batch: Batch
    portions: Portions
    left_s: float
    unmeasured: int
    finished: bool


@dataclass(frozen=True)
class Status:
    """All work at one moment.

    Attributes:
        videos: all registered videos, by id.
        photo_sets: all sets of photographs, by id.
        library: the steps of the whole library.
        batches: oldest first.
        at_once: videos that are being computed now.
    """

    videos: tuple[Whole, ...]
    photo_sets: tuple[Whole, ...]
    library: Whole
    batches: tuple[BatchStatus, ...]
    at_once: int

    @property
    def wholes(self) -> tuple[Whole, ...]:
        """The videos, the photo sets and the library."""
        return (*self.videos, *self.photo_sets, self.library)

    @property
    def open_batches(self) -> tuple[BatchStatus, ...]:
        """Those of which something is left."""
        return tuple(batch for batch in self.batches if not batch.finished)

    @property
    def left_s(self) -> float:
        """Seconds of computing left in all, one after the other."""
        return sum(whole.left_s for whole in self.wholes)

    @property
    def eta_s(self) -> float | None:
        """Seconds until all is done if it goes on as now; None while nothing is at work."""
        return self.left_s / self.at_once if self.at_once else None

    @property
    def questions(self) -> int:
        """Answers that a person owes."""
        phases = [p for p in self.library.phases if p.state is State.WAITING]
        return sum(phase.total or 0 for phase in phases)
