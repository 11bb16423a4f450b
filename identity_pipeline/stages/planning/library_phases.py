"""The phases of the whole library, and what waits there for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from identity_pipeline.core.progress.costs import Price
from identity_pipeline.core.progress.shares import LIBRARY_WORK, SETTLED, Facts, State, state_of
from identity_pipeline.media.wording import counted
from identity_pipeline.settings import Settings
from identity_pipeline.stages.curation.snapshot import Desk
from identity_pipeline.stages.library.recompute import in_force_fits
from identity_pipeline.stages.library.view import pending_suggestions
from identity_pipeline.stages.planning.learning_phases import learning_phases
from identity_pipeline.stages.planning.phases import Phase, RunFact, Whole, phase_of
from identity_pipeline.stages.planning.video_phases import Live
from identity_pipeline.stages.progress.costing import LEARNING_STEPS, LIBRARY_STEPS
from identity_pipeline.stages.specs.spec import switched_off
from identity_pipeline.storage.library.generations import Generations
from identity_pipeline.storage.video.tables import TableStore

SUGGESTIONS = "suggestions"
"""The phase that waits for a curator; it has no weight, for it takes a person's time."""
STEPS = {**LIBRARY_STEPS, SUGGESTIONS: "answers", **LEARNING_STEPS}
CHANGED = "decisions, templates or settings changed"


def library_work(
    store: TableStore,
    settings: Settings,
    videos: Sequence[Whole],
    live: Live,
    costs: Mapping[str, Price],
    runs: Mapping[str, RunFact],
    today: str,
    now: float,
) -> Whole:
    """The steps of the library, and the questions that wait for a curator.

    Args:
        store: the tables.
        settings: a run would have.
        videos: all videos; the library lacks what they have yet to give.
        live: what is under way.
        costs: prices by step.
        runs: the last run of the library, and of learning.
        today: ISO time with a zone.
        now: seconds since 1970.
    """
    if off := switched_off(settings, "library"):
        return Whole(LIBRARY_WORK, tuple(_off(step, unit, off) for step, unit in STEPS.items()))
    desk = Desk.open(store, today, write=False)
    run = runs.get(LIBRARY_WORK)
    missing = [v.name for v in videos if _still_to_come(v)]
    fits = in_force_fits(store, settings, desk.history)
    snapshot = desk.snapshot
    # The notes of the other steps lie in the generation, so that a new one starts without them.
    there = {
        step: snapshot is not None
        and (step == "identity_library" or snapshot.noted(step) is not None)
        for step in LIBRARY_STEPS
    }
    current = {step: fits and not missing and there[step] for step in LIBRARY_STEPS}
    questions = len(pending_suggestions(desk)) if snapshot else 0
    stale = f"not in it yet: {counted(len(missing), 'video')}" if missing else CHANGED
    phases = []
    for step, unit in LIBRARY_STEPS.items():
        working = live.get((None, step))
        alive = working is not None and working.alive(now)
        facts = Facts(
            current=current[step],
            there=there[step],
            alive=alive and not current[step],
            died=working is not None and not alive,
            queued=run is not None and run.status == "queued",
            failed=run is not None and run.status == "failed" and step == _first_open(current),
        )
        state = state_of(facts)
        why = stale if state is State.STALE else ""
        if state is State.FAILED and run:
            why = f"run {run.run_id[:8]} failed; see its log"
        units = library_units(store, step)
        expected = costs[step].expected(units, None)
        phases.append(phase_of(step, state, why, working, units, unit, expected, costs[step]))
    state = state_of(Facts(current=current["identity_library"], questions=questions))
    why = "identity-pipeline suggestions" if questions else ""
    phases.append(
        Phase(SUGGESTIONS, state, why, 0, questions, "answers", None, None, 0.0, measured=False)
    )
    learning = learning_phases(store, settings, desk.history, live, costs, runs, now)
    return Whole(LIBRARY_WORK, (*phases, *learning))


def _off(step: str, unit: str, why: str) -> Phase:
    state = state_of(Facts(off=True))
    return Phase(step, state, why, 0, None, unit, None, None, 0.0, measured=False, aside=True)


def _still_to_come(video: Whole) -> bool:
    """Whether the library waits for a video: not for one that failed or was stopped for good."""
    templates = next(phase for phase in video.phases if phase.step == "templates")
    failed = video.count(State.FAILED) > 0
    return templates.state not in (State.DONE, *SETTLED) and not failed


def _first_open(current: Mapping[str, bool]) -> str | None:
    return next((step for step, done in current.items() if not done), None)


def library_units(store: TableStore, step: str) -> int | None:
    """Units of the work of a step of the library; None before the table that counts them."""
    if step == "identity_library":
        videos = store.videos_with("track_templates")
        noted = [store.noted("track_templates", video) for video in videos]
        return sum(known.rows for known in noted if known)
    return Generations(store.layout).rows("people")
