"""The phases of learning: how a head stands. None of them holds anything up.

A head is trained when somebody asks for it, so that what was never asked for is no open work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from identity_pipeline.core.heads.retraining import grown
from identity_pipeline.core.progress.costs import Price
from identity_pipeline.core.progress.shares import LEARNING_WORK, Facts, State, state_of
from identity_pipeline.ledger.replay import History
from identity_pipeline.media.wording import counted
from identity_pipeline.settings import Settings
from identity_pipeline.stages.learning.training_data import confirmed_tracks, last_taught
from identity_pipeline.stages.library.projection import is_regenerated
from identity_pipeline.stages.library.spaces import live_space
from identity_pipeline.stages.planning.phases import Phase, RunFact, phase_of
from identity_pipeline.stages.planning.video_phases import Live
from identity_pipeline.stages.progress.costing import LEARNING_STEPS
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.library.heads import HeadStore
from identity_pipeline.storage.library.training_sessions import (
    COMPLETE,
    STOPPED,
    TrainingSession,
)

NOT_ASKED = "not asked for: identity-pipeline train"
GO_ON = "identity-pipeline train --resume goes on"


@dataclass(frozen=True)
class _Known:
    """What is known of one step: facts, why it is not done, units of its work, whether it counts.

    Attributes:
        facts: those that lie on the disk.
        why: in words, where it is not done.
        units: of its work; None while they are not counted.
        aside: the library is done without it.
    """

    facts: Facts
    why: str
    units: int | None
    aside: bool = True


def learning_phases(
    stores: LibraryStores,
    settings: Settings,
    history: History,
    live: Live,
    costs: Mapping[str, Price],
    runs: Mapping[str, RunFact],
    now: float,
) -> tuple[Phase, ...]:
    """The phases of `LEARNING_STEPS`.

    Args:
        stores: of the data folder.
        settings: a run would have.
        history: the ledger.
        live: what is under way.
        costs: prices by step.
        runs: the last run of learning.
        now: seconds since 1970.
    """
    session = stores.trainings.last()
    known = {
        "training_set": _training_set(stores, history, session),
        "projection_head": _projection_head(settings, session),
        "head_evaluation": _head_evaluation(stores.heads, session),
        "head_embeddings": _head_embeddings(stores, settings),
    }
    run = runs.get(LEARNING_WORK)
    open_steps = [step for step, found in known.items() if found.aside and not found.facts.current]
    phases = []
    for step, found in known.items():
        working = live.get((None, step))
        alive = working is not None and working.alive(now)
        facts = replace(
            found.facts,
            alive=alive,
            died=found.facts.died or (working is not None and not alive),
            queued=run is not None and run.status == "queued" and found.aside,
            failed=run is not None and run.status == "failed" and step in open_steps[:1],
        )
        state = state_of(facts)
        why = "" if state in (State.DONE, State.RUNNING, State.QUEUED) else found.why
        if state is State.FAILED and run:
            why = f"run {run.run_id[:8]} failed; see its log"
        expected = costs[step].expected(found.units, None)
        unit = LEARNING_STEPS[step]
        phase = phase_of(step, state, why, working, found.units, unit, expected, costs[step])
        phases.append(replace(phase, aside=found.aside))
    return tuple(phases)


def _training_set(
    stores: LibraryStores, history: History, session: TrainingSession | None
) -> _Known:
    labels = confirmed_tracks(stores, history)
    if not labels:
        why = "no track is confirmed by a person yet: identity-pipeline label"
        return _Known(Facts(questions=1), why, None)
    if session is None:
        return _Known(Facts(), NOT_ASKED, len(labels))
    new = grown(last_taught(stores), labels).tracks
    why = f"{counted(new, 'track')} confirmed since: identity-pipeline train"
    return _Known(Facts(current=not new, there=True), why, len(labels))


def _projection_head(settings: Settings, session: TrainingSession | None) -> _Known:
    if session is None:
        return _Known(Facts(), NOT_ASKED, settings.train.epochs)
    facts = Facts(
        current=session.state == COMPLETE,
        stopped=session.state == STOPPED,
        died=session.state not in (COMPLETE, STOPPED),
    )
    why = f"training session {session.number} is not complete; {GO_ON}"
    return _Known(facts, why, session.epochs)


def _head_evaluation(heads: HeadStore, session: TrainingSession | None) -> _Known:
    head_id = session.head_id if session else None
    if head_id is None:
        return _Known(Facts(), "no head to judge", 1)
    judged = heads.live().head_id == head_id or heads.evaluation(head_id) is not None
    return _Known(Facts(current=judged), f"head {head_id} is not judged yet", 1)


def _head_embeddings(stores: LibraryStores, settings: Settings) -> _Known:
    """In the space of the head that is live; they are a part of the library's daily work."""
    space, videos = live_space(stores), len(stores.tables.videos_with("track_templates"))
    if space.head_id is None:
        why = space.unfit or "no head is live: the recogniser alone decides"
        return _Known(Facts(), why, videos)
    facts = Facts(current=is_regenerated(stores, space.head_id, settings), there=True)
    return _Known(facts, "videos, settings or the head changed", videos, aside=False)
