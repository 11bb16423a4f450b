"""What is said of the work, the same on the command line and in the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from identity_pipeline.core.progress.shares import SETTLED, State
from identity_pipeline.media.progress_figure import percent, span
from identity_pipeline.media.wording import counted
from identity_pipeline.stages.planning.phases import BatchStatus, Phase, Status, Whole

ROWS_SHOWN = 40
"""Rows of the report's tables: the event log keeps each report."""
BATCHES_SHOWN = 5
TROUBLE = (State.FAILED, State.INTERRUPTED, State.PAUSED)


def batch_line(status: BatchStatus) -> str:
    """How far a batch is, with what is not done told apart."""
    batch, shares = status.batch, vars(status.portions)
    parts = [f"{percent(status.portions.done)} done"]
    for name in ("in_flight", "failed", "skipped"):
        parts += [f"{percent(shares[name])} {name.replace('_', ' ')}"] if shares[name] else []
    left = "nothing left that can be done" if status.finished else f"{span(status.left_s)} of work"
    if status.portions.done == 1.0:
        left = "finished"
    steps = counted(status.unmeasured, "step")
    guess = f" ({steps} not measured on this machine yet)" if status.unmeasured else ""
    return f"Batch {batch.number} ({batch.because}): {', '.join(parts)}; {left}{guess}"


def eta_line(status: Status) -> str:
    """How long it will take, if it can be said."""
    if len(status.wholes) == 1 and not status.left_s:  # the library alone
        return "No video yet: drop one into the videos folder, or `identity-pipeline run FILE`."
    if not status.left_s:
        failed = sum(whole.state is State.FAILED for whole in status.wholes)
        return f"Nothing is left to compute, but {failed} failed." if failed else "All is computed."
    if not status.at_once:
        queued = sum(whole.count(State.QUEUED) for whole in status.wholes)
        waiting = f", {queued} steps wait for a slot" if queued else ""
        left = f"{span(status.left_s)} of work is left"
        return f"No step is at work at this moment{waiting}; {left}."
    at_once = f"{status.at_once} at a time" if status.at_once > 1 else "one at a time"
    return f"Done in about {span(status.eta_s)} if it goes on as now, {at_once}."


def now_words(whole: Whole) -> str:
    """What goes on with a video, or why nothing does."""
    if phase := whole.first(State.RUNNING) or whole.first(*TROUBLE):
        return f"{phase.step}: {phase_words(phase)}"
    if whole.note:
        return whole.note
    first = whole.waiting
    return f"{first.step}: {first.why}" if first else ""


def phase_words(phase: Phase) -> str:
    """Counts, rate and time left of a running phase; else why it is as it is."""
    if phase.state is not State.RUNNING:
        return phase.why
    if phase.done is None:
        return "has begun"
    of = "" if phase.total is None else f" of {phase.total}"
    rate = "" if phase.per_second is None else f", {phase.per_second:.1f} {phase.unit}/s"
    return f"{phase.done}{of} {phase.unit}{rate}, {span(phase.left_s)} left"


def work_words(phase: Phase) -> str:
    """How much of a phase is done, in units of its work."""
    if phase.done is None and phase.total is None:
        return "not counted yet"
    known = "?" if phase.done is None else str(phase.done)
    of = "" if phase.total is None or phase.state is State.DONE else f" of {phase.total}"
    return f"{known}{of} {phase.unit}"


def time_words(phase: Phase) -> str:
    """How long a phase still takes; empty where nothing more will come of it."""
    if phase.state in (State.DONE, *SETTLED):
        return ""
    guess = "" if phase.measured else " (not measured here)"
    return f"{span(phase.left_s)}{guess}"


def attention(status: Status) -> Iterator[str]:
    """What a person should look at: questions, failures, and what died or was stopped."""
    if status.questions:
        yield f"{status.questions} suggestions wait for an answer: identity-pipeline suggestions"
    for whole in status.wholes:
        for phase in whole.phases if whole.count(*TROUBLE) else ():
            # The first phase in a state says it for all.
            if phase.state in TROUBLE and phase is whole.first(phase.state):
                yield f"{whole.name} {phase.state.value} at {phase.step}: {phase.why}"
        if whole.note and not whole.begins:
            yield f"{whole.name}: {whole.note}"


def steps_done(whole: Whole) -> str:
    """How many steps are done, of those that count."""
    done, counted = whole.steps_done
    return f"{done} of {counted}"


def headline_numbers(status: Status) -> dict[str, int | float]:
    """What is worth plotting from report to report."""
    states = Counter(video.state for video in status.videos)
    return {
        "videos": len(status.videos),
        "photo_sets": len(status.photo_sets),
        **{f"videos/{state.value}": states[state] for state in State if states[state]},
        "open_batches": len(status.open_batches),
        "work_left_s": round(status.left_s, 1),
        "waiting_for_a_person": status.questions,
    }


def progress_lines(status: Status) -> list[str]:
    """How far the batches are, and how long it will take."""
    batches = status.open_batches or status.batches[-1:]
    return [*map(batch_line, batches[-BATCHES_SHOWN:]), eta_line(status)]


def steps_by_state(status: Status) -> list[dict[str, str | int]]:
    """One row per step of the videos: in how many it is in which state."""
    used = [s for s in State if any(whole.count(s) for whole in status.videos)]
    rows = []
    for phases in zip(*(whole.phases for whole in status.videos), strict=True):
        counts = Counter(phase.state for phase in phases)
        rows.append({"step": phases[0].step, **{s.value: counts[s] for s in used}})
    return rows


def open_work(status: Status) -> list[dict[str, str]]:
    """One row per video that is not done, and for the library; the first of many."""
    return [
        {
            "video": whole.name,
            "state": whole.state.value,
            "steps done": steps_done(whole),
            "work left": span(whole.left_s),
            # Of a failed one it is told elsewhere, at length.
            "now": now_words(whole) if whole.state in (State.RUNNING, State.STALE) else "",
        }
        for whole in status.wholes
        if whole.state is not State.DONE
    ][:ROWS_SHOWN]


def status_json(status: Status) -> dict[str, Any]:
    """For machines."""
    return {
        "videos": [_whole_json(whole) for whole in status.videos],
        "photo_sets": [_whole_json(whole) for whole in status.photo_sets],
        "library": _whole_json(status.library),
        "batches": [_batch_json(batch) for batch in status.batches],
        "left_s": status.left_s,
        "eta_s": status.eta_s,
        "at_once": status.at_once,
        "waiting_for_a_person": status.questions,
        "attention": list(attention(status)),
    }


def _whole_json(whole: Whole) -> dict[str, Any]:
    phases = [
        {**vars(phase), "state": phase.state.value, "in_flight": phase.in_flight}
        for phase in whole.phases
    ]
    return {
        "name": whole.name,
        "state": whole.state.value,
        "note": whole.note,
        "left_s": whole.left_s,
        "phases": phases,
    }


def _batch_json(status: BatchStatus) -> dict[str, Any]:
    batch = status.batch
    return {
        "number": batch.number,
        "opened_at": batch.opened_at,
        "because": batch.because,
        "steps": len(batch.keys()),
        "steps_done": len(batch.done_keys()),
        "shares": vars(status.portions),
        "left_s": status.left_s,
        "unmeasured_steps": status.unmeasured,
        "finished": status.finished,
    }
