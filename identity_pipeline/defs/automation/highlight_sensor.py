"""The sensor `new_highlights`: a list of highlights that comes, changes or goes after its video.

A list that is there when a video is taken from the inbox is read by its run. What belongs here: the
inbox's lists that a finished run did not know yet. What does not: what a list is
(`storage.video.highlights`). Lists that were looked at are remembered like the videos of the inbox
(`storage.video.known_files`), so that one that stays as it is costs one stat.
"""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import islice

import dagster as dg

from identity_pipeline.defs.automation.asked_for import FINISHED, may_try, runs_of
from identity_pipeline.defs.instance.gate import skip_unless_ready
from identity_pipeline.defs.instance.jobs import per_video
from identity_pipeline.defs.instance.preflight import leave_to_ask
from identity_pipeline.defs.instance.tags import NEW_VIDEO, tags
from identity_pipeline.media.wording import counted
from identity_pipeline.settings import Settings
from identity_pipeline.stages.planning.preflight import inbox_fault
from identity_pipeline.stages.specs.current import FINISHED_BY
from identity_pipeline.storage.video.archive import Archive
from identity_pipeline.storage.video.failures import FailureNotes
from identity_pipeline.storage.video.highlights import (
    BAD_HIGHLIGHTS,
    HighlightsError,
    highlights_files,
    highlights_of,
    is_highlights,
    video_stem,
)
from identity_pipeline.storage.video.known_files import KnownFile, KnownFiles, Stamp, stamps_of
from identity_pipeline.storage.video.registry import Registration, VideoRegistry
from identity_pipeline.storage.video.tables import TableStore

NAME = "new_highlights"
LOOKED_AT = 200
"""Changed lists in one tick: a look at each is a few small files and a query."""
NEVER = Stamp(-1, -1, -1)
"""Of a list that was not seen at the last tick."""
KNOWN_BY = "candidates"
"""The last step that is made of the list itself and keeps a table: it says which list it knew."""


class Answer(Enum):
    """What is to be done about a list that changed."""

    SETTLED = "nothing: a run knew it, will read it anyway, or would not help"
    WAIT = "a run is at the video"
    ASK = "a run is wanted"


@dataclass(frozen=True)
class Changed:
    """A list that is not as it was when it was last looked at; no stamp: it is gone."""

    path: str
    video_id: str
    stamp: Stamp | None


def changed_lists(now: Mapping[str, Stamp], known: Mapping[str, KnownFile]) -> Iterator[Changed]:
    """Lists of known videos that are new, other, or gone.

    Args:
        now: stamps of the inbox's lists.
        known: files that are remembered, videos and lists.
    """
    videos = {video_stem(p): k.video_id for p, k in known.items() if not is_highlights(p)}
    for path, stamp in sorted(now.items()):
        video_id = videos.get(video_stem(path))
        if video_id and (path not in known or known[path] != (stamp, video_id)):
            yield Changed(path, video_id, stamp)
    for path in sorted(known.keys() - now.keys()):
        if is_highlights(path):
            yield Changed(path, known[path].video_id, None)


def answer(
    instance: dg.DagsterInstance, store: TableStore, settings: Settings, video_id: str
) -> Answer:
    """What is to be done about a changed list of a video."""
    runs = runs_of(instance, video_id)
    if any(run.status not in FINISHED for run in runs):
        return Answer.WAIT
    helps = may_try(runs, settings.ingest.max_retries)
    return Answer.ASK if _wants_a_run(store, video_id, helps) else Answer.SETTLED


def _wants_a_run(store: TableStore, video_id: str, helps: bool) -> bool:
    """Whether nobody else will ask for a run that a changed list wants.

    Args:
        store: the tables.
        video_id: whose list changed.
        helps: whether the video was not tried too often.
    """
    record = next(VideoRegistry(store.layout).readable([video_id]), None)
    if record is None or video_id in Archive(store.layout).ids():
        return False
    note = FailureNotes(store.layout).get(video_id)
    if note is not None:  # of a bad list, which may be mended; else the sweep or a person asks
        return note.code == BAD_HIGHLIGHTS and not _fault(record)
    there = store.noted(FINISHED_BY, video_id) is not None
    return there and helps and not _knew(store, record)


def _knew(store: TableStore, record: Registration) -> bool:
    """Whether what is there was made of the list as it is now; never of a bad one."""
    if _fault(record):
        return False  # its run says what is wrong with it, once
    found = highlights_of(record)
    made_of = store.made_of(KNOWN_BY, record.video_id) or {}
    return (made_of.get("highlights") or {}).get("sha256") == (found.sha256 if found else None)


def _fault(record: Registration) -> str | None:
    try:
        highlights_of(record)
    except HighlightsError as error:
        return str(error)
    return None


@dg.sensor(
    job=per_video,
    name=NAME,
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests runs of finished videos whose list of highlights came, changed or went.",
)
def new_highlights(
    context: dg.SensorEvaluationContext,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
) -> dg.SensorResult | dg.SkipReason:
    """A list counts as finished when it was the same at the last tick."""
    waiting = skip_unless_ready(context.instance, store)
    if waiting:
        return waiting
    if fault := inbox_fault(store.layout):
        return dg.SkipReason(fault)
    files = KnownFiles(store.layout)
    found = changed_lists(stamps_of(highlights_files(store.layout.videos)), files.all())
    open_ = list(islice(found, LOOKED_AT))
    cursor = json.dumps({one.path: one.stamp for one in open_}, sort_keys=True)
    seen = _seen(context.cursor)
    finished = [one for one in open_ if seen.get(one.path, NEVER) == one.stamp]
    answers = {o: answer(context.instance, store, settings, o.video_id) for o in finished}
    settled = _remembered(files, answers)
    wanted = sorted({one.video_id for one, said in answers.items() if said is Answer.ASK})
    if wanted:
        return _asked(context.instance, store, settings, wanted, cursor)
    context.update_cursor(cursor)
    looked_at = counted(len(open_) - settled, "list")
    return dg.SkipReason(f"{looked_at} of highlights wait to be looked at; all others are known.")


def _asked(
    instance: dg.DagsterInstance,
    store: TableStore,
    settings: Settings,
    wanted: list[str],
    cursor: str,
) -> dg.SensorResult | dg.SkipReason:
    """Requests of videos, as far as there is room; the others are asked for at the next tick."""
    leave = leave_to_ask(store, settings, time.time(), settings.ingest.max_new_per_tick)
    if leave.skip:
        return leave.skip
    requests = [_request(instance, video_id) for video_id in wanted[: leave.at_most]]
    return dg.SensorResult(run_requests=requests, cursor=cursor)


def _remembered(files: KnownFiles, answers: Mapping[Changed, Answer]) -> int:
    """Remembers the lists that are settled as they are; how many they are."""
    settled = [one for one, said in answers.items() if said is Answer.SETTLED]
    files.remember({o.path: KnownFile(o.stamp, o.video_id) for o in settled if o.stamp})
    files.forget(o.path for o in settled if o.stamp is None)
    return len(settled)


def _request(instance: dg.DagsterInstance, video_id: str) -> dg.RunRequest:
    number = len(runs_of(instance, video_id))
    return dg.RunRequest(
        run_key=f"highlights-{video_id}-{number}",
        partition_key=video_id,
        tags=tags(NAME, NEW_VIDEO),
    )


def _seen(cursor: str | None) -> dict[str, Stamp | None]:
    """The stamps of the last tick; a cursor that makes no sense remembers nothing."""
    try:
        noted = json.loads(cursor or "{}")
        return {str(p): Stamp(*map(int, s)) if s else None for p, s in noted.items()}
    except (AttributeError, TypeError, ValueError):
        return {}
