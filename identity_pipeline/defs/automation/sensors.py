"""Sensors: what happens by itself. `new_videos` turns finished files into partitions and runs."""

import json
import time
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import MappingProxyType

import dagster as dg

from identity_pipeline.defs.automation.asked_for import runs_of, without_outcome
from identity_pipeline.defs.instance.gate import skip_unless_ready
from identity_pipeline.defs.instance.jobs import per_video
from identity_pipeline.defs.instance.partitions import videos
from identity_pipeline.defs.instance.preflight import Leave, leave_to_ask
from identity_pipeline.defs.instance.tags import NEW_VIDEO, tags
from identity_pipeline.errors import IdentityPipelineError, printable
from identity_pipeline.media.wording import counted
from identity_pipeline.settings import Settings
from identity_pipeline.stages.planning.preflight import inbox_fault
from identity_pipeline.stages.planning.video_list import with_sets
from identity_pipeline.storage.files import private
from identity_pipeline.storage.video.archive import Archive
from identity_pipeline.storage.video.failures import FailureNotes
from identity_pipeline.storage.video.highlights import is_highlights
from identity_pipeline.storage.video.known_files import KnownFile, KnownFiles, Stamp, stamps_of
from identity_pipeline.storage.video.registry import VideoRegistry, video_files
from identity_pipeline.storage.video.tables import TableStore

TICKS_AHEAD = 20
"""The cursor remembers files for so many ticks; more are looked at when these are done."""
NAMED = 5
LOOKED_AT = 200
"""Videos that are not done and that Dagster knows, in one tick: a look is a query or two."""


@dataclass(frozen=True)
class Memory:
    """What one tick tells the next.

    Attributes:
        files: stamps of files that are still being looked at.
        after: the last video that was looked at.
        refused: stamps of files that could not be registered; they come after all others.
    """

    files: Mapping[str, Stamp] = field(default_factory=dict)
    after: str = ""
    refused: Mapping[str, Stamp] = field(default_factory=dict)

    @classmethod
    def of(cls, cursor: str | None) -> "Memory":
        """Of a sensor's cursor; an unknown form remembers nothing, which only costs a look."""
        try:
            noted = json.loads(cursor or "{}")
            files, refused = (
                {str(file): Stamp(*map(int, stamp)) for file, stamp in noted.get(name, {}).items()}
                for name in ("files", "refused")
            )
            return cls(files, str(noted.get("after", "")), refused)
        except (AttributeError, TypeError, ValueError):
            return cls()

    def still_refused(self, now: Mapping[str, Stamp]) -> dict[str, Stamp]:
        """Files that could not be registered and are as they were."""
        return {file: stamp for file, stamp in self.refused.items() if now.get(file) == stamp}

    def cursor(self) -> str:
        """As a cursor."""
        noted = {"files": self.files, "after": self.after, "refused": self.refused}
        return json.dumps(noted, sort_keys=True)


def sort_arrivals(
    now: Mapping[str, Stamp],
    seen: Mapping[str, Stamp],
    known: Mapping[str, KnownFile],
    limit: int,
    refused: Mapping[str, Stamp] = MappingProxyType({}),
) -> tuple[list[str], dict[str, Stamp], list[str]]:
    """Which files are finished, which are to be looked at again, which are gone.

    Args:
        now: stamps of this tick.
        seen: stamps of the last tick, of files that were not known then.
        known: files that were registered already.
        limit: registrations in one tick.
        refused: files that could not be registered as they were then: they come last, so that
            however many there are they keep no other waiting.

    Returns:
        Finished files to register, the stamps to remember, and known files that are gone. A file
        is finished when its stamp is that of the last tick. What is remembered is bounded by
        `TICKS_AHEAD` times the limit, however many files arrive at once.
    """
    waiting = sorted(
        (file for file, stamp in now.items() if file not in known or known[file].stamp != stamp),
        key=lambda file: (refused.get(file) == now[file], file),
    )[: TICKS_AHEAD * limit]
    finished = [file for file in waiting if seen.get(file) == now[file]][:limit]
    return finished, {file: now[file] for file in waiting}, sorted(known.keys() - now.keys())


def known_videos(files: KnownFiles) -> dict[str, KnownFile]:
    """The videos among the files that are remembered: lists of highlights are too."""
    return {path: file for path, file in files.all().items() if not is_highlights(path)}


def why_refused(file: str, error: Exception) -> str:
    """Why a file of the inbox is not registered, and what becomes of it."""
    if isinstance(error, IdentityPipelineError):
        return str(error)
    said = (error.strerror if isinstance(error, OSError) else None) or f"{error!r}"
    return f"{printable(file)} cannot be registered and is tried again: {said}."


@dataclass(frozen=True)
class Arrivals:
    """What became of finished files.

    Attributes:
        taken: the video of each that was registered.
        new: how many of them were not known under another name.
        why_not: of the others.
    """

    taken: dict[str, str]
    new: int
    why_not: dict[str, Exception]

    def refused(self, before: Mapping[str, Stamp], now: Mapping[str, Stamp]) -> dict[str, Stamp]:
        """Files that cannot be registered as they are now, with those of earlier ticks."""
        earlier = {file: stamp for file, stamp in before.items() if file not in self.taken}
        return earlier | {file: now[file] for file in self.why_not}


def register(store: TableStore, files: Iterable[str]) -> Arrivals:
    """Registers files; whatever is wrong with one of them, the others are taken."""
    registry = VideoRegistry(store.layout)
    taken: dict[str, str] = {}
    why_not: dict[str, Exception] = {}
    new = 0
    for file in files:
        try:
            record, is_new = registry.register_remembered(Path(file))
        except Exception as error:  # noqa: BLE001 - said of this file
            why_not[file] = error
        else:
            taken[file] = record.video_id
            new += is_new
    return Arrivals(taken, new, why_not)


def _named(refused: Iterable[str]) -> str:
    names = [printable(Path(file).name) for file in sorted(refused)]
    if not names:
        return ""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f", {len(names)} cannot be taken ({', '.join(names[:NAMED])}{more}; see the log)"


@dg.sensor(
    job=per_video,
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Registers finished files of the videos folder and requests their runs.",
)
def new_videos(
    context: dg.SensorEvaluationContext,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
) -> dg.SensorResult | dg.SkipReason:
    """A file counts as finished when its size and time were the same at the last tick.

    A file that was registered before costs one stat. Its video is requested where its image sets
    are not in this data folder, whatever Dagster remembers of it, unless it was archived, failed,
    is under way, or was cancelled. A request that was carried out after all is known by its key.
    """
    waiting = skip_unless_ready(context.instance, store)
    if waiting:
        return waiting
    if fault := inbox_fault(store.layout):
        return dg.SkipReason(fault)
    private.make_folder(store.layout.videos)
    memory = Memory.of(context.cursor)
    limit = settings.ingest.max_new_per_tick
    now = stamps_of(video_files(store.layout.videos, settings.ingest.extensions))
    files = KnownFiles(store.layout)
    known = known_videos(files)
    finished, remembered, gone = sort_arrivals(now, memory.files, known, limit, memory.refused)
    files.forget(gone)
    present = {known[path].video_id for path in known.keys() & now.keys()}
    arrivals = register(store, finished)
    before = memory.still_refused(now)
    for file, error in arrivals.why_not.items():
        if file not in before:  # said once, not at every tick
            context.log.warning(why_refused(file, error))
    refused = arrivals.refused(before, now)
    for file in arrivals.taken:
        del remembered[file]
    present |= set(arrivals.taken.values())
    linked = len(arrivals.taken) - arrivals.new
    done = present & with_sets(store)
    wanted = wanted_runs(context.instance, store, settings, present - done, memory.after)
    leave = leave_to_ask(store, settings, time.time(), limit) if wanted.runs else Leave(limit)
    if leave.skip:  # nothing of it is forgotten: the cursor stays, and what was registered, too
        return leave.skip
    runs = dict(islice(wanted.runs.items(), leave.at_most))
    cursor = Memory(remembered, wanted.after, refused).cursor()
    if runs:
        return _asked(runs, cursor)
    context.update_cursor(cursor)
    return dg.SkipReason(
        f"{len(remembered)} files are still being looked at, {linked} were known under "
        f"another name, {counted(len(done), 'video')} of the inbox are done{_named(refused)}."
    )


def _asked(runs: Mapping[str, int], cursor: str) -> dg.SensorResult:
    """Requests of videos, each with the number of runs that it had."""
    asked = tags("new_videos", NEW_VIDEO)
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(run_key=f"new-{key}-{number}", partition_key=key, tags=asked)
            for key, number in runs.items()
        ],
        dynamic_partitions_requests=[videos.build_add_request(sorted(runs))],
        cursor=cursor,
    )


@dataclass(frozen=True)
class Wanted:
    """Videos to request, with the number of runs that each had, and the last one looked at."""

    runs: dict[str, int]
    after: str


def wanted_runs(
    instance: dg.DagsterInstance,
    store: TableStore,
    settings: Settings,
    undone: Set[str],
    after: str,
) -> Wanted:
    """Of the videos that are not done, those to request now.

    Videos that Dagster does not know come first. Of the others, `LOOKED_AT` are looked at, the next
    ones at the next tick: a season that waits in the queue is not looked through every time.
    """
    limit = settings.ingest.max_new_per_tick
    left_alone = Archive(store.layout).ids() | FailureNotes(store.layout).ids()
    partitions = set(instance.get_dynamic_partitions(str(videos.name)))
    new = sorted(undone - partitions - left_alone)[:limit]
    open_ = sorted((undone & partitions) - left_alone, key=lambda key: (key <= after, key))
    looked_at = open_[:LOOKED_AT]
    found = without_outcome(instance, store, settings, looked_at)
    chosen = {key: len(runs_of(instance, key)) for key in new} | dict(
        islice(found, limit - len(new))
    )
    return Wanted(chosen, looked_at[-1] if len(open_) > LOOKED_AT else "")
