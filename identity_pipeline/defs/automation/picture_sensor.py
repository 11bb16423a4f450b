"""The sensor `pictures_decided`: what humans decided on pictures is in the sets of their rides.

Once consent is required, what was answered about a ride or its people is such a decision, too.

What belongs here: the rides whose sets were made of other decisions than there are now. What does
not: what a decision is made of (`stages.curation.picture_uses`). What was looked at is remembered
by a digest for each ride, so that decisions that stay as they are cost one reading of the ledger.
Of photographs there is nothing to be made: datasets read the ledger themselves.
"""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field

import dagster as dg

from identity_pipeline.defs.automation.asked_for import FINISHED, may_try, runs_of
from identity_pipeline.defs.instance.gate import skip_unless_ready
from identity_pipeline.defs.instance.jobs import per_video
from identity_pipeline.defs.instance.preflight import leave_to_ask
from identity_pipeline.defs.instance.tags import NEW_VIDEO, tags
from identity_pipeline.media.wording import counted
from identity_pipeline.settings import Settings
from identity_pipeline.stages.specs.assets import VIDEO_SPECS
from identity_pipeline.stages.specs.current import FINISHED_BY
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.files import small_files
from identity_pipeline.storage.files.hashing import sha256_of_value
from identity_pipeline.storage.video.archive import Archive
from identity_pipeline.storage.video.failures import FailureNotes
from identity_pipeline.storage.video.registry import VideoRegistry
from identity_pipeline.storage.video.tables import TableStore

NAME = "pictures_decided"
GONE = ""
"""Of a ride of which nothing is decided any more."""


@dataclass
class Seen:
    """What the sensor remembers.

    Attributes:
        settled: ride -> digest of the decisions that its sets were made of, or asked for.
        last: ride -> digest at the last tick, of rides that are not settled.
    """

    settled: dict[str, str] = field(default_factory=dict)
    last: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, cursor: str | None) -> "Seen":
        """From the cursor; one that makes no sense remembers nothing."""
        try:
            return small_files.parse(cursor.encode(), cls) if cursor else cls()
        except ValueError:
            return cls()

    def changed(self, now: Mapping[str, str]) -> dict[str, str]:
        """Rides whose decisions are not those that are settled, with their digest."""
        there = {**dict.fromkeys(self.settled, GONE), **now}
        return {v: digest for v, digest in there.items() if self.settled.get(v, GONE) != digest}

    def after(self, done: Iterable[str], changed: Mapping[str, str]) -> str:
        """The cursor after some of the changed rides were settled, or asked for."""
        known = {**self.settled, **{video_id: changed[video_id] for video_id in done}}
        settled = {v: digest for v, digest in known.items() if digest != GONE}
        left = {v: digest for v, digest in changed.items() if known.get(v, GONE) != digest}
        return json.dumps(asdict(Seen(settled, left)), sort_keys=True)


@dg.sensor(
    job=per_video,
    name=NAME,
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests runs of finished videos of which humans accepted, rejected, ordered or "
    "corrected pictures, or whose riders answered for consent, once they pause. Off: "
    "`identity-pipeline run VIDEO` makes the sets.",
)
def pictures_decided(
    context: dg.SensorEvaluationContext,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
) -> dg.SensorResult | dg.SkipReason:
    """Decisions on a ride count as made when they were the same at the last tick."""
    waiting = skip_unless_ready(context.instance, store)
    if waiting:
        return waiting
    stores, seen = LibraryStores.of(store), Seen.of(context.cursor)
    changed = seen.changed(_decided(stores, settings))
    still = {v: digest for v, digest in changed.items() if seen.last.get(v) == digest}
    wanted, settled = _answers(context.instance, stores, settings, sorted(still))
    if not wanted:
        context.update_cursor(seen.after(settled, changed))
        left = counted(len(changed) - len(settled), "video")
        return dg.SkipReason(f"{left} with new decisions on pictures wait to be looked at.")
    leave = leave_to_ask(store, settings, time.time(), settings.ingest.max_new_per_tick)
    if leave.skip:
        return leave.skip
    asked = wanted[: leave.at_most]
    return dg.SensorResult(
        run_requests=[_request(video_id, still[video_id]) for video_id in asked],
        cursor=seen.after([*settled, *asked], changed),
    )


def _decided(stores: LibraryStores, settings: Settings) -> dict[str, str]:
    """A digest of what was decided of each video; of consent only once it is required."""
    from identity_pipeline.stages.curation.consents import videos_answered
    from identity_pipeline.stages.curation.picture_uses import videos_decided_on

    pictures, consents = videos_decided_on(stores), videos_answered(stores, settings)
    both = {v: sha256_of_value([pictures.get(v, GONE), told]) for v, told in consents.items()}
    return {**pictures, **both}


def _answers(
    instance: dg.DagsterInstance, stores: LibraryStores, settings: Settings, videos: list[str]
) -> tuple[list[str], list[str]]:
    """Which videos want a run, and of which nothing is to be done; others have a run at work."""
    free = [video_id for video_id in videos if _is_free(instance, video_id)]
    wanted = [v for v in free if _wants_a_run(instance, stores, settings, v)]
    return wanted, [video_id for video_id in free if video_id not in wanted]


def _request(video_id: str, digest: str) -> dg.RunRequest:
    # The time is in the key: decisions that were taken back and made again want a run again.
    key = f"pictures-{video_id}-{digest[:16]}-{int(time.time())}"
    return dg.RunRequest(run_key=key, partition_key=video_id, tags=tags(NAME, NEW_VIDEO))


def _is_free(instance: dg.DagsterInstance, video_id: str) -> bool:
    """Whether no run is at the video, which may have read the decisions already."""
    return all(run.status in FINISHED for run in runs_of(instance, video_id))


def _wants_a_run(
    instance: dg.DagsterInstance, stores: LibraryStores, settings: Settings, video_id: str
) -> bool:
    """Whether a finished ride was made of other decisions, and nobody else will ask for a run."""
    layout = stores.layout
    record = next(VideoRegistry(layout).readable([video_id]), None)
    if record is None or video_id in Archive(layout).ids():
        return False
    if FailureNotes(layout).get(video_id) is not None:  # the sweep or a person asks
        return False
    there = stores.tables.noted(FINISHED_BY, video_id) is not None
    runs = runs_of(instance, video_id)
    return (
        there
        and may_try(runs, settings.ingest.max_retries)
        and not _knew(stores, settings, video_id)
    )


def _knew(stores: LibraryStores, settings: Settings, video_id: str) -> bool:
    """Whether what is there was made of the decisions as they are now."""
    from identity_pipeline.stages.curation.picture_uses import decided_pictures, picture_digests

    now = picture_digests(decided_pictures(stores, video_id))
    for key, spec in VIDEO_SPECS.items():
        if spec.pictures:
            made = stores.tables.made_of(key, video_id) or {}
            then = (made.get("pictures") or {}).get("of", {})
            if then != {use: digest for use, digest in now.items() if use in spec.pictures}:
                return False
    return _knew_consents(stores, settings, video_id)


def _knew_consents(stores: LibraryStores, settings: Settings, video_id: str) -> bool:
    from identity_pipeline.stages.curation.consents import consent_key, rider_verdicts

    now = consent_key(rider_verdicts(stores, settings, video_id))
    made = [stores.tables.made_of(k, video_id) or {} for k, s in VIDEO_SPECS.items() if s.consents]
    return all(one.get("consents") == now for one in made)
