"""How far all work is: the phases of all videos and of the library, and the batches they are in.

What does not belong here: building a phase (`stages.planning.builder`), the rules of states and
shares (`core.progress.shares`), and the words for it (`stages.planning.words`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from identity_pipeline.core.progress.shares import SETTLED, Batch, Key, Seen, State, observe
from identity_pipeline.settings import Settings
from identity_pipeline.stages.planning.builder import (
    SUGGESTIONS,
    Sources,
    library_phases,
    video_phases,
)
from identity_pipeline.stages.planning.done_videos import DoneVideos, DoneWhole
from identity_pipeline.stages.planning.phases import (
    BatchStatus,
    Phase,
    Portions,
    RunFact,
    Status,
    Whole,
)
from identity_pipeline.stages.planning.staleness import Models
from identity_pipeline.stages.progress.costing import prices
from identity_pipeline.stages.progress.protocol import Progress, silent
from identity_pipeline.stages.specs.assets import PHOTO_SPECS
from identity_pipeline.storage.photos.photo_sets import PhotoSets
from identity_pipeline.storage.progress.batches import BatchBook
from identity_pipeline.storage.progress.heartbeat import Heartbeats
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
    found = Heartbeats(store.layout).all()
    sources = Sources(
        store,
        settings,
        prices(store, settings, models.digests),
        models,
        runs,
        live={(step.video_id, step.step): step for step in found if not step.ended},
        between={step.video_id: step for step in found if step.ended},
        chunks=unfinished(store.layout),
        now=now,
        today=today,
    )
    videos, known = [], DoneVideos(sources)
    try:
        for n, video_id in enumerate(ids, 1):
            videos.append(known.whole(video_id) or known.noted(video_phases(sources, video_id)))
            progress("videos", n, len(ids), "videos")
    finally:  # who loses patience does not wait for the same again
        known.keep()
    photos = _photo_sets(sources)
    library = library_phases(sources, videos)
    wholes = (*videos, *photos, library)
    at_once = sum(whole.count(State.RUNNING) > 0 for whole in wholes)
    told = _batches(BatchBook(store.layout), wholes, now)
    return Status(tuple(videos), photos, library, told, at_once)


def _batches(book: BatchBook, wholes: Collection[Whole], now: float) -> tuple[BatchStatus, ...]:
    """Notes what is new and what is done, and says how far each batch is."""
    batches = book.update(lambda before: observe(before, _picture(wholes, before), now))
    mentioned = _mentioned(batches)
    phases = {
        (whole.name, phase.step): phase
        for whole in wholes
        if whole.name in mentioned
        for phase in whole.phases
    }
    return tuple(_batch_status(batch, phases) for batch in batches)


def _mentioned(batches: Iterable[Batch]) -> set[str]:
    """Videos, or the library, of which a batch takes something for open."""
    return {video for batch in batches for video, _ in batch.open_keys()}


def _photo_sets(sources: Sources) -> tuple[Whole, ...]:
    sets = PhotoSets(sources.store.layout).ids()
    return tuple(video_phases(sources, set_id, PHOTO_SPECS) for set_id in sets)


def _picture(wholes: Iterable[Whole], batches: Iterable[Batch]) -> dict[Key, Seen]:
    """Every phase that is open, or that a batch still takes for open."""
    mentioned = _mentioned(batches)
    return {
        (whole.name, phase.step): Seen(
            phase.state is State.DONE, phase.expected_s or 0.0, phase.state is State.STALE
        )
        for whole in wholes
        if whole.name in mentioned or not isinstance(whole, DoneWhole)
        for phase in whole.phases
        if phase.step != SUGGESTIONS and not phase.aside
    }


def _batch_status(batch: Batch, phases: Mapping[Key, Phase]) -> BatchStatus:
    open_keys = sorted(batch.open_keys())
    # Without a phase its video was taken away.
    states = {key: phases[key].state if key in phases else State.SKIPPED for key in open_keys}
    left = {key: phases[key] for key in open_keys if states[key] not in SETTLED}
    done, in_flight = batch.share_done, _in_flight(batch, left)
    settled = [_share_in(batch, states, state) for state in (State.FAILED, State.SKIPPED)]
    rest = max(0.0, 1.0 - done - in_flight - sum(settled))
    return BatchStatus(
        batch,
        Portions(done, in_flight, *settled, open=rest),
        sum(phase.left_s or 0.0 for phase in left.values()),
        sum(not phase.measured for phase in left.values()),
        not left,
    )


def _in_flight(batch: Batch, left: Mapping[Key, Phase]) -> float:
    whole = batch.weight(batch.keys())
    flying = sum(batch.weight([key]) * phase.in_flight for key, phase in left.items())
    return flying / whole if whole else 0.0


def _share_in(batch: Batch, states: Mapping[Key, State], state: State) -> float:
    keys = [key for key, found in states.items() if found is state]
    return batch.share(keys) if keys else 0.0
