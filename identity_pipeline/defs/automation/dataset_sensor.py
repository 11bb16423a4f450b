"""The sensor `people_changed`: datasets follow the rides, photographs and labels of people."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

import dagster as dg

from identity_pipeline.defs.automation.library_sensor import UNDER_WAY, library_stamp
from identity_pipeline.defs.instance.gate import skip_unless_ready
from identity_pipeline.defs.instance.jobs import datasets
from identity_pipeline.defs.instance.partitions import CONSUMER, PERSON, people
from identity_pipeline.defs.instance.tags import OUTDATED, tags
from identity_pipeline.media.wording import counted
from identity_pipeline.settings import Settings
from identity_pipeline.settings.wording import did_you_mean
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.files.hashing import sha256_of_value
from identity_pipeline.storage.video.tables import TableStore

NAME = "people_changed"


@dg.sensor(
    job=datasets,
    name=NAME,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Makes the datasets of datasets.consumers anew, of people who changed.",
)
def people_changed(
    context: dg.SensorEvaluationContext,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
) -> dg.SensorResult | dg.SkipReason:
    """A partition for everybody who is known, and runs for those of whom something changed."""
    memory, everything = _Memory.of(context.cursor), _everything(store, settings)
    consumers, wrong = _consumers(settings)
    waiting = skip_unless_ready(context.instance, store)
    waiting = waiting or _why_not(context.instance, store, everything == memory.everything)
    if waiting:
        return waiting
    now = _stamps(store, settings)
    asked, cursor = memory.ask(now, consumers, everything, settings.ingest.max_new_per_tick)
    there = set(context.instance.get_dynamic_partitions(str(people.name)))
    requests = _partitions(there, set(now))
    for left in _left_behind(store, there - set(now)):
        context.log.warning(left)
    runs = [_run(who, consumer) for who in asked for consumer in consumers]
    if not requests and not runs:
        context.update_cursor(cursor)
        return dg.SkipReason(f"{wrong}{counted(len(now), 'person', 'people')} may have datasets.")
    return dg.SensorResult(run_requests=runs, dynamic_partitions_requests=requests, cursor=cursor)


def _why_not(
    instance: dg.DagsterInstance, store: TableStore, unchanged: bool
) -> dg.SkipReason | None:
    """Why there is nothing to do now; None where there may be something."""
    if library_stamp(store) is None or not store.layout.ledger.is_file():
        return dg.SkipReason("Nobody is known yet.")
    if unchanged:
        return dg.SkipReason("Nothing has changed.")
    under_way = dg.RunsFilter(job_name=datasets.name, statuses=UNDER_WAY)
    if instance.get_runs(under_way, limit=1):
        return dg.SkipReason("Datasets are under way; what changed meanwhile comes after them.")
    return None


def _run(person_id: str, consumer: str) -> dg.RunRequest:
    """A run without a key: whoever is again as they were before is made anew like all others.

    Dagster never runs a key twice, and a label that was undone and given again has the stamp that
    it had. What was asked for is the cursor's to know; asked twice, the export is found and reused.
    """
    return dg.RunRequest(
        partition_key=dg.MultiPartitionKey({PERSON: person_id, CONSUMER: consumer}),
        tags=tags(NAME, OUTDATED),
    )


@dataclass(frozen=True)
class _Memory:
    """What the last tick knew.

    Attributes:
        stamps: of each person, and for whom, when their datasets were asked for.
        everything: a stamp of all that may change somebody's dataset; null: not all were asked.
    """

    stamps: Mapping[str, str]
    everything: str | None

    @classmethod
    def of(cls, cursor: str | None) -> Self:
        try:
            stamps, everything = json.loads(cursor or "")
            return cls(dict(stamps), everything)
        except (TypeError, ValueError):  # only a memory: everybody is looked at once more
            return cls({}, None)

    def ask(
        self, now: Mapping[str, str], consumers: list[str], everything: str, most: int
    ) -> tuple[list[str], str]:
        """Whose datasets are asked for, and the cursor after that.

        Args:
            now: the stamp of everybody.
            consumers: for whom.
            everything: a stamp of all that may change somebody's dataset.
            most: people in one tick, where anything is made of them.
        """
        wanted = {who: f"{stamp} {','.join(consumers)}" for who, stamp in now.items()}
        changed = sorted(who for who, stamp in wanted.items() if self.stamps.get(who) != stamp)
        asked = changed[:most] if consumers else changed
        stamps = {**self.stamps, **{who: wanted[who] for who in asked}}
        known = {who: stamp for who, stamp in stamps.items() if who in now}
        whole = everything if len(asked) == len(changed) else None
        return asked, json.dumps([known, whole], sort_keys=True)


SHAPING_GROUPS = {"datasets", "selection", "export", "crops", "pictures", "consent"}
"""Groups of settings that may change somebody's dataset."""


def _everything(store: TableStore, settings: Settings) -> str:
    """Changes with whatever may change somebody's dataset; only times of folders are read."""
    folder = store.layout.tables / "candidates"
    times = folder.stat().st_mtime_ns if folder.is_dir() else None
    generation = store.layout.library_tables
    link = str(generation.resolve().name) if generation.exists() else None
    values = settings.model_dump(mode="json", include=SHAPING_GROUPS)
    day = [datetime.now(UTC).date().isoformat()] if settings.consent.required else []
    return sha256_of_value([library_stamp(store), times, link, values, *day])


def _stamps(store: TableStore, settings: Settings) -> dict[str, str]:
    from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
    from identity_pipeline.stages.datasets.standing import people_with_tracks, stamps

    now = datetime.now(UTC).isoformat(timespec="seconds")
    library = LibrarySnapshot.open(LibraryStores.of(store), now, write=False)
    return stamps(library, settings, people_with_tracks(library))


def _left_behind(store: TableStore, gone: set[str]) -> list[str]:
    """Folders of people who are merged, hidden, or nobody any more; they are not removed."""
    folders = store.layout.datasets
    return [
        f"{folder} is of somebody who has no datasets any more; `identity-pipeline verify` says "
        "why, and you remove it."
        for who in sorted(gone)
        for folder in sorted(folders.glob(f"*-{who[:8]}"))
    ]


def _partitions(
    there: set[str], wanted: set[str]
) -> list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest]:
    """What brings the partitions in step with the people who are known."""
    requests: list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest] = []
    if wanted - there:
        requests.append(people.build_add_request(sorted(wanted - there)))
    if there - wanted:
        requests.append(people.build_delete_request(sorted(there - wanted)))
    return requests


def _consumers(settings: Settings) -> tuple[list[str], str]:
    """The consumers that are set and there are, and a sentence on those that there are not."""
    from identity_pipeline.stages.datasets.layouts import LAYOUTS

    known = [name for name in settings.datasets.consumers if name in LAYOUTS]
    unknown = [name for name in settings.datasets.consumers if name not in LAYOUTS]
    told = "".join(
        f"datasets.consumers names {name}, which is none{did_you_mean(name, LAYOUTS)} "
        for name in unknown
    )
    return known, told
