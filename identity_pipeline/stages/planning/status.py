"""The picture of all work: every phase of every video, its state, counts, rate and time left.

What belongs here: putting together what lies on disk with what is known of Dagster's runs. What
does not: asking Dagster (`defs.instance.runs`), the rules of states and shares
(`core.progress.shares`), or showing anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from identity_pipeline.core.progress.shares import Batch, Seen, State, observe
from identity_pipeline.settings import Settings
from identity_pipeline.stages.planning.library_phases import SUGGESTIONS, library_work
from identity_pipeline.stages.planning.phases import (
    BatchStatus,
    Phase,
    Portions,
    RunFact,
    Status,
    Whole,
)
from identity_pipeline.stages.planning.staleness import Models, judge_video
from identity_pipeline.stages.planning.video_phases import VideoWork
from identity_pipeline.stages.progress.costing import prices
from identity_pipeline.stages.progress.protocol import Progress, silent
from identity_pipeline.storage.progress.batches import BatchBook
from identity_pipeline.storage.progress.heartbeat import LiveSteps
from identity_pipeline.storage.video.chunks import unfinished
from identity_pipeline.storage.video.registry import VideoRegistry
from identity_pipeline.storage.video.tables import TableStore


def look(
    store: TableStore,
    settings: Settings,
    models: Models,
    runs: Mapping[str, RunFact],
    now: float,
    today: str,
    progress: Progress = silent,
) -> Status:
    """The picture of all work; also notes new work and done work in the book of batches.

    Args:
        store: the tables.
        settings: a run would have.
        models: a run would have.
        runs: the last run of each video by its id, of the library and of learning by
            `LIBRARY_WORK` and `LEARNING_WORK`.
        now: seconds since 1970.
        today: ISO time with a zone.
        progress: called per video.

    Raises:
        LockBusyError: another process keeps the book of batches.
    """
    ids = VideoRegistry(store.layout).ids()
    found = LiveSteps(store.layout).all()
    live = {(step.video_id, step.step): step for step in found if not step.ended}
    between = {step.video_id: step for step in found if step.ended}
    chunks = unfinished(store.layout)
    costs = prices(store, settings, models.digests)
    wholes = []
    for n, video_id in enumerate(ids, 1):
        judged = judge_video(store, settings, models, video_id, thorough=False)
        run, last = runs.get(video_id), between.get(video_id)
        video = VideoWork(store, settings, video_id, judged, run, last, now, chunks)
        wholes.append(video.whole(live, costs))
        progress("videos", n, len(ids), "videos")
    library = library_work(store, settings, wholes, live, costs, runs, today, now)
    batches = BatchBook(store.layout).update(
        lambda before: observe(before, _picture([*wholes, library]), now)
    )
    phases = {
        (whole.name, phase.step): phase for whole in (*wholes, library) for phase in whole.phases
    }
    at_once = sum(whole.count(State.RUNNING) > 0 for whole in (*wholes, library))
    return Status(
        tuple(wholes), library, tuple(_batch_status(batch, phases) for batch in batches), at_once
    )


def _picture(wholes: Iterable[Whole]) -> dict[tuple[str, str], Seen]:
    return {
        (whole.name, phase.step): Seen(
            phase.state is State.DONE, phase.expected_s or 0.0, phase.state is State.STALE
        )
        for whole in wholes
        for phase in whole.phases
        if phase.step != SUGGESTIONS and not phase.aside
    }


def _batch_status(batch: Batch, phases: Mapping[tuple[str, str], Phase]) -> BatchStatus:
    open_keys = batch.open_keys()
    there = {key: phases[key] for key in open_keys if key in phases}
    failed = {key for key, phase in there.items() if phase.state is State.FAILED}
    skipped = {k for k, phase in there.items() if phase.state is State.SKIPPED}
    skipped |= open_keys - there.keys()  # the video was taken away
    left = there.keys() - failed - skipped
    whole = batch.weight(batch.keys())
    flying = sum(batch.weight([key]) * there[key].in_flight for key in left)
    done = batch.share_done
    parts = [batch.share(keys) if keys else 0.0 for keys in (failed, skipped)]
    in_flight = flying / whole if whole else 0.0
    rest = max(0.0, 1.0 - done - in_flight - sum(parts))
    return BatchStatus(
        batch,
        Portions(done, in_flight, parts[0], parts[1], rest),
        sum(there[key].left_s or 0.0 for key in left),
        sum(not there[key].measured for key in left),
        not left,
    )
