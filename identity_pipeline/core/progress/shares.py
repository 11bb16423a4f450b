"""How far the work is, so that it can be believed.

**Phases.** A phase is one step of one video (or of the library). It has a state of its own; see
`State`. Done means: its output is there, made of what it would be made of now, and so is everything
that it needs. A phase that failed is not done, and one that waits is not running.

**Batches.** A share of the work means nothing without saying of which work. A batch is work with a
fixed scope: the phases that were open at one moment, each with a weight (the seconds that it was
then expected to take), opened when they first were seen. Neither its phases nor its weights change
afterwards. What arrives later, or turns stale after it was done, opens another batch.

**Monotone.** The share done of a batch is the weight of its phases that are done over the weight of
all of them. It never falls: a phase that was done within a batch stays done there, for the work was
truly done; if it must be done again, that is the work of a later batch. It never runs ahead: only a
finished phase counts. What a running phase has done so far is told apart, as *in flight*: it is
lost if its process dies, and so is no part of the share. Failed and skipped phases are not done
either; they are told as shares of their own. A phase that turns out not to be needed, because its
inputs came out the same, counts as done.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

Key = tuple[str, str]
"""(video id, or `LIBRARY_WORK`; step)."""
LIBRARY_WORK: Final = "library"
LEARNING_WORK: Final = "learn"
KEPT: Final = 20
"""Finished batches that are remembered; chosen."""


class State(StrEnum):
    """What holds of a phase; exactly one, see `state_of`."""

    DONE = "done"
    RUNNING = "running"
    QUEUED = "waiting for a slot"
    WAITING = "waiting for a person"
    PAUSED = "paused"
    INTERRUPTED = "interrupted"
    STALE = "stale"
    PENDING = "pending"
    FAILED = "failed"
    SKIPPED = "skipped"


SETTLED: Final = (State.FAILED, State.SKIPPED)
"""Not done, and nothing will come of them by themselves."""
OVERALL: Final = (
    State.RUNNING,
    State.QUEUED,
    State.FAILED,
    State.INTERRUPTED,
    State.PAUSED,
    State.STALE,
    State.PENDING,
    State.WAITING,
)
"""The state of several phases is the first of these that any of them has; else done."""


@dataclass(frozen=True)
class Facts:
    """What is known of a phase.

    Attributes:
        current: its output is what a run would make, and so is all that it needs.
        there: there is an output of some kind.
        alive: a living process computes it.
        died: a process died while computing it.
        queued: a run that includes it waits for a slot.
        stopped: the last run of its video was stopped by a person.
        failed: it failed in its last run.
        hopeless: something that it needs failed for good.
        off: it is switched off.
        questions: answers of a person that it waits for.
    """

    current: bool = False
    there: bool = False
    alive: bool = False
    died: bool = False
    queued: bool = False
    stopped: bool = False
    failed: bool = False
    hopeless: bool = False
    off: bool = False
    questions: int = 0


def state_of(facts: Facts) -> State:
    """The state of a phase."""
    rules = (
        (facts.off, State.SKIPPED),
        (facts.alive, State.RUNNING),
        (facts.questions > 0, State.WAITING),
        (facts.current, State.DONE),
        (facts.queued, State.QUEUED),
        (facts.failed, State.FAILED),
        (facts.hopeless, State.SKIPPED),
        (facts.died, State.INTERRUPTED),
        (facts.stopped, State.PAUSED),
        (facts.there, State.STALE),
    )
    return next((state for holds, state in rules if holds), State.PENDING)


def overall(states: Iterable[State]) -> State:
    """The state of a whole: done only if every phase is, or is switched off."""
    found = set(states)
    return next((state for state in OVERALL if state in found), State.DONE)


@dataclass(frozen=True)
class Batch:
    """Work with a fixed scope.

    Attributes:
        number: counts from 1.
        opened_at: seconds since 1970.
        because: what opened it, in words.
        work: weight of each phase, in seconds as expected when it was opened, by video and step.
        done: steps that were done since, by video.
    """

    number: int
    opened_at: float
    because: str
    work: Mapping[str, Mapping[str, float]]
    done: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def keys(self) -> set[Key]:
        """All of its phases."""
        return {(video, step) for video, steps in self.work.items() for step in steps}

    def done_keys(self) -> set[Key]:
        """Its phases that are done."""
        return {(video, step) for video, steps in self.done.items() for step in steps}

    def open_keys(self) -> set[Key]:
        """Its phases that are not done."""
        return self.keys() - self.done_keys()

    def weight(self, keys: Iterable[Key]) -> float:
        """The weight of some of its phases."""
        return sum(self.work[video][step] for video, step in sorted(keys))

    def share(self, keys: Iterable[Key]) -> float:
        """What part of its work some of its phases are, in [0, 1]; 1 only if they are all."""
        some = set(keys)
        if some == self.keys():
            return 1.0
        whole = self.weight(self.keys())
        share = self.weight(some) / whole if whole > 0 else len(some) / len(self.keys())
        return min(share, 1.0 - 1e-9)

    @property
    def share_done(self) -> float:
        """What part of its work is done, in [0, 1]; it never falls."""
        return self.share(self.done_keys())


@dataclass(frozen=True)
class Seen:
    """A phase at one moment, as the batches see it.

    Attributes:
        done: its state is `done`.
        weight: seconds that it is expected to take.
        again: it was done before.
    """

    done: bool
    weight: float
    again: bool = False


def observe(
    batches: tuple[Batch, ...], picture: Mapping[Key, Seen], now: float
) -> tuple[Batch, ...]:
    """The batches after a look at all phases.

    Phases that were done since are done; open phases that are in no batch open a new one. Phases
    that are gone from the picture stay in their batch, which keeps its scope.

    Args:
        batches: so far, oldest first.
        picture: every phase that there is.
        now: seconds since 1970.

    Returns:
        The same batches, with a new one where there is new work; long finished ones are dropped.
    """
    advanced = tuple(_advance(batch, picture) for batch in batches)
    covered = {key for batch in advanced for key in batch.open_keys()}
    fresh = {k: seen for k, seen in picture.items() if not seen.done and k not in covered}
    if fresh:
        number = advanced[-1].number + 1 if advanced else 1
        advanced = (*advanced, Batch(number, now, _because(fresh), _work_of(fresh)))
    return _remembered(advanced, picture)


def _remembered(batches: tuple[Batch, ...], picture: Mapping[Key, Seen]) -> tuple[Batch, ...]:
    finished = [batch.number for batch in batches if not batch.open_keys() & picture.keys()]
    dropped = set(finished[:-KEPT])
    return tuple(batch for batch in batches if batch.number not in dropped)


def _work_of(fresh: Mapping[Key, Seen]) -> dict[str, dict[str, float]]:
    work: dict[str, dict[str, float]] = {}
    for (video, step), seen in sorted(fresh.items()):
        work.setdefault(video, {})[step] = seen.weight
    return work


def _advance(batch: Batch, picture: Mapping[Key, Seen]) -> Batch:
    now_done = {key for key in batch.open_keys() if key in picture and picture[key].done}
    if not now_done:
        return batch
    done: dict[str, tuple[str, ...]] = {}
    for video, step in sorted(batch.done_keys() | now_done):
        done[video] = (*done.get(video, ()), step)
    return replace(batch, done=done)


def _because(fresh: Mapping[Key, Seen]) -> str:
    def counted(keys: Iterable[Key], what: str) -> list[str]:
        listed = list(keys)
        videos = len({video for video, _ in listed} - {LIBRARY_WORK})
        if not listed:
            return []
        of = f" of {videos} video{'s' if videos > 1 else ''}" if videos else " of the library"
        return [f"{what}: {len(listed)} step{'s' if len(listed) > 1 else ''}{of}"]

    new = counted((key for key, seen in fresh.items() if not seen.again), "new work")
    again = counted((key for key, seen in fresh.items() if seen.again), "to be made again")
    return "; ".join([*new, *again])
