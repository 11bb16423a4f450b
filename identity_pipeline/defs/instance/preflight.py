"""Before a run's first frame, and before a sensor asks for runs: is there what they need?

A run that finds that something is missing fails with the sentence, is tagged, and is no try of its
video: nothing is noted on the video, and whoever counts failures leaves it out. Sensors skip with
the sentence, so that one wrong setting does not fail a season of videos.
"""

import errno
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.settings import ModelSettings, Settings
from identity_pipeline.stages.planning import preflight
from identity_pipeline.stages.planning.model_notes import model_notes
from identity_pipeline.storage.files.hashing import sha256_of_value
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.progress import readiness
from identity_pipeline.storage.video.tables import TableStore

if TYPE_CHECKING:
    from identity_pipeline.models.hub import ModelHub
    from identity_pipeline.stages.stores import LibraryStores

NOT_READY_TAG = "identity_pipeline/not_ready"
"""Run tag: it could not begin; its video is not to blame."""
CODE = "not_ready"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
FORBIDDEN = (errno.EACCES, errno.EPERM)
Stamps = tuple[tuple[str, int, int], ...]


def is_no_try(run: dg.DagsterRun) -> bool:
    """Whether a run says nothing of its video, because it could not begin."""
    return NOT_READY_TAG in run.tags


def check_video(
    context: dg.AssetExecutionContext,
    store: TableStore,
    settings: Settings,
    models: "ModelHub",
    size: float,
) -> None:
    """Ends the run of a video where something that it needs is not there.

    Args:
        context: of its first step.
        store: the tables.
        settings: in force.
        models: those that will work are open afterwards.
        size: bytes of the video's file.

    Raises:
        Failure: with the sentence; the run is tagged.
    """
    faults = preflight.video_faults(store, settings, models, {context.partition_key: size})
    end_unless_ready(context, store, settings, faults)
    for note in model_notes(store, settings):
        context.log.warning(note)
    readiness.clear(store.layout)


def check_folder(context: dg.AssetExecutionContext, store: TableStore, settings: Settings) -> None:
    """Ends a run of the library, of learning or of publishing where nothing can be written.

    Raises:
        Failure: with the sentence; the run is tagged.
    """
    faults = preflight.folder_faults(store.layout, settings)
    end_unless_ready(context, store, settings, faults)


def check_numbers(
    context: dg.AssetExecutionContext, stores: "LibraryStores", settings: Settings
) -> None:
    """Ends a run of the library where nobody knows the numbers of its recogniser.

    Raises:
        Failure: with the sentence; the run is tagged.
    """
    from identity_pipeline.stages.library.spaces import settings_of_library, unknown_numbers

    fault = unknown_numbers(settings_of_library(stores, settings))
    there = stores.tables.videos_with("track_templates")
    end_unless_ready(context, stores.tables, settings, [fault] if fault and there else [])


def end_unless_ready(
    context: dg.AssetExecutionContext, store: TableStore, settings: Settings, faults: Iterable[str]
) -> None:
    """Ends a run that something is in the way of.

    Raises:
        Failure: there are faults.
    """
    try:
        preflight.refuse(faults)
    except preflight.NotReadyError as error:
        raise not_ready(context, store, settings, str(error)) from error


def not_ready(
    context: dg.AssetExecutionContext, store: TableStore, settings: Settings, sentence: str
) -> dg.Failure:
    """How a run ends that is not to blame: tagged; and noted, where sensors cannot see the cause.

    Those see by themselves what can be told without opening a network, and when it is mended.
    """
    context.instance.add_run_tags(context.run.run_id, {NOT_READY_TAG: "true"})
    found = readiness.NotReady(sentence, _key(settings), time.time())
    with suppress(OSError):
        if not _foreseen(store, settings):
            readiness.note(store.layout, found)
    return dg.Failure(sentence, metadata={"reason_code": CODE}, allow_retries=False)


@contextmanager
def no_try(context: dg.InitResourceContext) -> Iterator[None]:
    """Makes what a run is handed; one that cannot be handed it is tagged: it could not begin."""
    try:
        yield
    except (IdentityPipelineError, OSError):
        if context.run is not None and context.instance is not None:
            context.instance.add_run_tags(context.run.run_id, {NOT_READY_TAG: "true"})
        raise


def is_not_the_videos(error: BaseException, layout: Layout) -> bool:
    """Whether an error in the middle of the work is the machine's or the settings'."""
    from identity_pipeline.models.device import DeviceError
    from identity_pipeline.models.packs import FacePackError
    from identity_pipeline.models.vision_encoder import VisionEncoderError

    of_models = DeviceError, FacePackError, VisionEncoderError
    if isinstance(error, (*of_models, preflight.NotReadyError)):
        return True
    if not isinstance(error, OSError):
        return False
    named = error.filename if isinstance(error.filename, str) else ""
    ours = Path(named).is_relative_to(layout.root) and not Path(named).is_relative_to(layout.videos)
    return error.errno in FULL or (error.errno in FORBIDDEN and bool(named) and ours)


@dataclass(frozen=True)
class Leave:
    """What a sensor may do now.

    Attributes:
        at_most: how many runs it may ask for.
        skip: why none, where that is none.
    """

    at_most: int
    skip: dg.SkipReason | None = None


def leave_to_ask(store: TableStore, settings: Settings, now: float, at_most: int) -> Leave:
    """How many runs of videos may be asked for, as far as can be told without opening a network.

    After a run that could not begin, one video at a time is tried, now and then, until one begins;
    at once where a setting or a model was changed.

    Args:
        store: the tables.
        settings: in force.
        now: seconds since 1970.
        at_most: what is asked for when all is well.
    """
    try:
        preflight.refuse(_foreseen(store, settings))
    except IdentityPipelineError as error:
        return Leave(0, dg.SkipReason(str(error)))
    last = readiness.noted(store.layout)
    if last is None or last.key != _key(settings):
        return Leave(at_most)
    left = last.at + settings.ingest.not_ready_wait_s - now
    if left > 0:
        return Leave(0, dg.SkipReason(f"{last.sentence} Tried again in {left:.0f} s."))
    return Leave(min(1, at_most))


def _foreseen(store: TableStore, settings: Settings) -> list[str]:
    used = tuple(preflight.used_models(settings))
    models = settings.models
    of_models = _faults_of(models.model_dump_json(), used, stamps_of(models))
    return [*preflight.folder_faults(store.layout, settings), *of_models]


@lru_cache(maxsize=4)
def _faults_of(models: str, used: tuple[str, ...], stamps: Stamps) -> list[str]:
    """Of models that are here; the others are fetched by the run. Files are read once a change."""
    from identity_pipeline.models.hub import ModelHub

    del stamps
    hub = ModelHub(ModelSettings.model_validate_json(models))
    return [fault for name in used if hub.is_here(name) and (fault := hub.fault(name))]


def _key(settings: Settings) -> str:
    return sha256_of_value([settings.models.model_dump(mode="json"), stamps_of(settings.models)])


def stamps_of(models: ModelSettings) -> Stamps:
    """Sizes and times of the files of models that lie in folders."""
    from identity_pipeline.models.packs import kept_folder

    packs = [kept_folder(name, models) for name in (models.face_pack, models.perception) if name]
    named = (models.vision_encoder, models.body_encoder)
    folders = {*packs, *(Path(name).expanduser() for name in named if name)}
    files = (path for folder in sorted(folders) for path in sorted(folder.rglob("*")))
    return tuple((str(p), s.st_size, s.st_mtime_ns) for p in files for s in (p.stat(),))
