"""The sensor `outdated_videos`: finished videos that another setting, model or code has outdated.

Dagster knows code and data versions, but neither settings nor models. So this asks what the steps
themselves would do, and requests a run of each video of which something would be made again. It is
off until somebody switches it on: a threshold that is tried out must not set off a season of work.
"""

import json
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import dagster as dg

from identity_pipeline.defs.instance.archiving import busy_videos
from identity_pipeline.defs.instance.gate import skip_unless_ready
from identity_pipeline.defs.instance.jobs import per_video
from identity_pipeline.defs.instance.partitions import videos
from identity_pipeline.defs.instance.pausing import PARTITION_TAG, PAUSED_TAG
from identity_pipeline.defs.instance.preflight import leave_to_ask
from identity_pipeline.defs.instance.tags import BY, OUTDATED, STANDING_TAG, tags
from identity_pipeline.settings import Settings
from identity_pipeline.storage.cameras.pins import kept_models
from identity_pipeline.storage.files import small_files
from identity_pipeline.storage.files.hashing import sha256_of_value
from identity_pipeline.storage.video.tables import TableStore

if TYPE_CHECKING:
    from identity_pipeline.stages.planning.staleness import Models

NAME = "outdated_videos"
LOOKED_AT = 500
"""Videos in one tick; chosen so that a tick stays far below Dagster's limit of a minute."""
IN_QUEUE = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED]


@dataclass(frozen=True)
class Round:
    """How far the look at all videos is.

    Attributes:
        standing: code, settings and models that it is about; and people, where banks judge or
            consent is required.
        after: the last video that was looked at.
        again: some video was outdated, or under way, so that all are looked at once more.
        over: nothing is left to do until code, settings or models change.
        refused: outdated videos that are left alone, for they were tried too often or cancelled.
    """

    standing: str
    after: str = ""
    again: bool = False
    over: bool = False
    refused: int = 0

    @staticmethod
    def of(cursor: str | None, standing: str) -> "Round":
        """The round of a cursor; a new one where something has changed since."""
        try:
            known = small_files.parse(cursor.encode(), Round) if cursor else Round(standing)
        except ValueError:  # only a memory: all are looked at once more
            return Round(standing)
        return known if known.standing == standing else Round(standing)

    @property
    def cursor(self) -> str:
        """For the next tick."""
        return json.dumps(asdict(self), sort_keys=True)

    def ended(self) -> "Round":
        """After the last video."""
        return Round(self.standing, over=not self.again, refused=0 if self.again else self.refused)

    def said(self) -> str:
        """Why nothing is requested any more."""
        if not self.refused:
            return "Every finished video is as a run would make it now."
        return (
            f"{self.refused} outdated videos are left alone: they were brought up to date more "
            "often than ingest.max_retries, or somebody cancelled that. All others are up to date."
        )


@dg.sensor(
    job=per_video,
    name=NAME,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Brings finished videos up to date after settings, a model or the code changed; "
    "`identity-pipeline plan` says beforehand what that means.",
)
def outdated_videos(
    context: dg.SensorEvaluationContext,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
) -> dg.SensorResult | dg.SkipReason:
    """A bounded number waits in the queue at once, behind all other work but retries and the night.

    A video that is not outdated any more is not requested again; one that stays so is tried as
    often as the sweep tries a failed one.
    """
    from identity_pipeline.models.hub import ModelHub
    from identity_pipeline.stages.planning.staleness import Models
    from identity_pipeline.stages.specs.cache_key import digest_without_data

    waiting = skip_unless_ready(context.instance, store)
    if waiting:
        return waiting
    models = Models(*ModelHub(settings.models).here())
    if models.faults:
        return dg.SkipReason("; ".join(models.faults[name] for name in sorted(models.faults)))
    made_with = digest_without_data(settings, models.digests)
    now = Round.of(context.cursor, standing_of(made_with, store, settings))
    if now.over:
        return dg.SkipReason(now.said())
    leave = leave_to_ask(store, settings, time.time(), settings.ingest.max_new_per_tick)
    if leave.skip:
        return leave.skip
    now, requests = _look_on(context, store, settings, models, now)
    if not requests:
        context.update_cursor(now.cursor)
        return dg.SkipReason("No more videos are outdated so far; those under way come later.")
    return dg.SensorResult(run_requests=requests, cursor=now.cursor)


def standing_of(made_with: str, store: TableStore, settings: Settings) -> str:
    """What a round is about.

    Args:
        made_with: digest of code, settings and models.
        store: the tables.
        settings: where memory banks judge, or consent is required, what is known of people
            outdates videos too; a grant also by its last day. So does another model of its camera
            that a video is to keep.
    """
    consent = settings.consent.required
    kept = kept_models(store.layout)
    made_with = sha256_of_value([made_with, kept]) if kept else made_with
    if settings.stability.source == "medoid" and not consent:
        return made_with
    from identity_pipeline.stages.curation.consents import today
    from identity_pipeline.stages.stores import LibraryStores

    stores = LibraryStores.of(store)
    in_force = stores.generations.current()
    known = [stores.ledger.history().state.state_hash, in_force.fingerprint if in_force else ""]
    return sha256_of_value([made_with, *known, *([today()] if consent else [])])


def _look_on(
    context: dg.SensorEvaluationContext,
    store: TableStore,
    settings: Settings,
    models: "Models",
    now: Round,
) -> tuple[Round, list[dg.RunRequest]]:
    """Looks at the next videos of a round, until the queue is full."""
    from identity_pipeline.stages.planning.staleness import judge_video, why_outdated

    instance, requests = context.instance, list[dg.RunRequest]()
    left = sorted(k for k in instance.get_dynamic_partitions(str(videos.name)) if k > now.after)
    room = settings.ingest.max_new_per_tick - _in_queue(instance)
    busy = busy_videos(instance)
    for key in left[:LOOKED_AT]:
        if len(requests) >= room:
            break
        now = replace(now, after=key)
        if key in busy:
            now = replace(now, again=True)
            continue
        why = why_outdated(judge_video(store, settings, models, key, thorough=False))
        if why is None:
            continue
        tries = _tries(instance, key, now.standing)
        if not _may_try(tries, settings.ingest.max_retries):
            now = replace(now, refused=now.refused + 1)
            continue
        context.log.info(f"{key}: {why}")
        now = replace(now, again=True)
        requests.append(_request(key, now.standing, len(tries)))
    return (now.ended() if not left or now.after == left[-1] else now), requests


def _request(video_id: str, standing: str, tries: int) -> dg.RunRequest:
    digest = sha256_of_value([video_id, standing, tries])[:16]
    return dg.RunRequest(
        run_key=f"outdated-{digest}",
        partition_key=video_id,
        tags={**tags(NAME, OUTDATED), STANDING_TAG: standing[:16]},
    )


def _in_queue(instance: dg.DagsterInstance) -> int:
    return instance.get_runs_count(dg.RunsFilter(statuses=IN_QUEUE, tags={BY: NAME}))


def _tries(instance: dg.DagsterInstance, video_id: str, standing: str) -> list[dg.DagsterRun]:
    wanted = {PARTITION_TAG: video_id, STANDING_TAG: standing[:16]}
    return list(instance.get_runs(dg.RunsFilter(tags=wanted)))


def _may_try(tries: list[dg.DagsterRun], max_retries: int) -> bool:
    # A run that succeeded and made nothing right counts too, or it would be asked for without end.
    own = [run for run in tries if PAUSED_TAG not in run.tags]
    cancelled = bool(own) and own[0].status == dg.DagsterRunStatus.CANCELED
    return not cancelled and len(own) <= max_retries
