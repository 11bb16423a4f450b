"""What must hold when the day is over: nothing lost, nothing double, memory flat.

A check of something that did not happen (no label, no video finished before noon) does not hold.
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import dagster as dg

from identity_pipeline.core.progress.shares import State
from identity_pipeline.defs.instance.tags import BY
from identity_pipeline.ledger.store import LedgerStore
from identity_pipeline.stages.curation.decisions import contradicted
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.library.generations import Generations
from identity_pipeline.storage.library.heads import HeadStore
from identity_pipeline.storage.library.profiles import ProfileStore
from identity_pipeline.storage.library.training_sessions import TrainingSessions
from identity_pipeline.storage.video.failures import FailureNotes
from identity_pipeline.storage.video.registry import VideoRegistry
from identity_pipeline.tables.soundness import library_faults
from identity_pipeline_tests.benchmarks.day.computed import Made, counts, doubles
from identity_pipeline_tests.benchmarks.day.curator import Curator
from identity_pipeline_tests.benchmarks.day.memory import Memory, course, growth
from identity_pipeline_tests.benchmarks.day.progress import ProgressWatch
from identity_pipeline_tests.benchmarks.operated import Deployment
from identity_pipeline_tests.library_tables import read_templates

PARTITION: Final = "dagster/partition"
NOT_BY_VISION: Final = (
    "frames", "face_detections", "face_crops", "face_quality", "face_embeddings", "face_tracks",
    "riders", "face_landmarks", "identity_stability", "face_buckets", "track_templates",
    "calibration_pairs", "face_samples",
)  # fmt: skip
"""Outputs that no vision model has a part in."""


@dataclass(frozen=True)
class Check:
    """One thing that must hold.

    Attributes:
        name: what.
        passed: whether it does.
        found: what was seen.
    """

    name: str
    passed: bool
    found: str


@dataclass
class Story:
    """What was done during the day, and what was seen.

    Attributes:
        deployment: what worked.
        curator: who labelled.
        memory, progress: the watchers.
        rides: video ids of all good files.
        broken: video id of the file that is none.
        duplicate: the file whose bytes were there already.
        original: the video that has these bytes.
        noon: seconds since 1970 at which the model was changed.
        before_noon: videos that were finished by then.
        digest: SHA-256 of the new model.
        notes: what happened when, for people.
    """

    deployment: Deployment
    curator: Curator
    memory: Memory
    progress: ProgressWatch
    rides: list[str] = field(default_factory=list)
    broken: str = ""
    duplicate: Path = Path()
    original: str = ""
    noon: float = 0.0
    before_noon: list[str] = field(default_factory=list)
    digest: str = ""
    notes: list[str] = field(default_factory=list)


def checks(story: Story, made: list[Made]) -> Iterator[Check]:
    """All of them."""
    yield from _videos(story, made)
    yield from _model(story, made)
    yield from _library(story)
    yield from _learning(story)
    yield from _operation(story)
    yield from _memory(story)


def _videos(story: Story, made: list[Made]) -> Iterator[Check]:
    store, known = story.deployment.store, story.deployment.partitions()
    wanted = sorted([*story.rides, story.broken])
    yield Check(
        "every dropped video is one partition", sorted(known) == wanted, f"{len(known)} partitions"
    )
    finished = [v for v in story.rides if store.noted("identity_dataset", v)]
    failed = [v for v in story.rides if FailureNotes(store.layout).get(v)]
    yield Check(
        "every ride is finished, none failed",
        len(finished) == len(story.rides) and not failed,
        f"{len(finished)} of {len(story.rides)} finished, {len(failed)} failed",
    )
    note = FailureNotes(store.layout).get(story.broken)
    tried = story.deployment.runs(tags={PARTITION: story.broken})
    yield Check(
        "the broken file failed once, with its reason",
        note is not None and note.permanent and len(tried) == 1,
        f"{note.code if note else 'no reason'}, {len(tried)} run",
    )
    record = VideoRegistry(store.layout).get(story.original)
    linked = record is not None and str(story.duplicate) in (record.path, *record.links)
    yield Check("the duplicate is a name of its original", linked, story.duplicate.name)
    first = Counter(
        run.tags[PARTITION] for run in story.deployment.runs(tags={BY: "new_videos"})
    )  # fmt: skip
    yield Check(
        "each was requested once as a new video",
        sorted(first) == wanted and max(first.values()) == 1,
        f"{sum(first.values())} requests of {len(first)} videos",
    )
    twice = doubles(made)
    computed = sum(not one.reused for one in made)
    yield Check(
        "nothing was computed twice of the same inputs",
        not twice,
        f"{computed} computed, {len(twice)} double{': ' if twice else ''}{', '.join(twice[:3])}",
    )


def _model(story: Story, made: list[Made]) -> Iterator[Check]:
    store = story.deployment.store
    of = {v: store.made_of("vision_embeddings", v) or {} for v in story.rides}
    new = [v for v, what in of.items() if what.get("models", {}).get("vision") == story.digest]
    yield Check(
        "all videos carry the new vision model",
        len(new) == len(story.rides),
        f"{len(new)} of {len(story.rides)}; {len(story.before_noon)} were finished before noon",
    )
    afterwards = [m for m in made if m.at > story.noon and m.video_id in story.before_noon]
    told = counts(afterwards)
    again = {asset: told[asset][0] for asset in NOT_BY_VISION if told[asset][0]}
    seen = told["vision_embeddings"][0]
    yield Check(
        "those finished before noon were seen anew, and nothing else of them was",
        seen == len(story.before_noon) > 0 and not again,
        f"vision_embeddings computed {seen} times, {again or 'nothing before it'}",
    )
    totals = counts(m for m in made if m.video_id in story.rides)
    often = {asset: totals[asset][0] for asset in NOT_BY_VISION}
    yield Check(
        "what no vision model has a part in was computed once per video",
        set(often.values()) == {len(story.rides)},
        f"{min(often.values())} to {max(often.values())} of {len(story.rides)}",
    )
    plan = json.loads(story.deployment.command("plan", "--json"))
    open_steps = [
        f"{video['video_id']} {step['step']}"
        for video in plan
        if video["video_id"] in story.rides
        for step in video["steps"]
        if step["verdict"] != "reuse"
    ]
    yield Check("a run would make nothing again", not open_steps, f"{len(open_steps)} steps open")


def _library(story: Story) -> Iterator[Check]:
    store = story.deployment.store
    names = ("people", "person_assignments", "unknown_clusters")
    with Generations(store.layout).open() as snapshot:
        tables = [snapshot.table(name) for name in names]
    assignments = tables[1]
    templates = sorted(read_templates(store).templates["track_key"])
    faults = library_faults(*tables)
    yield Check(
        "every track is in exactly one place of the library",
        not faults and sorted(assignments["track_key"]) == templates,
        f"{len(templates)} tracks of {assignments['video_id'].n_unique()} videos"
        + "".join(f"; {fault}" for fault in faults),
    )
    history, curator = LedgerStore(store.layout).history(), story.curator
    yield Check(
        "the ledger holds the decisions that were given",
        [e.seq for e in history.events] == curator.events
        and len(history.undone) == curator.undone > 0
        and not curator.refused,
        f"{len(curator.events)} given, {len(history.events)} there, {len(history.undone)} undone, "
        f"{len(curator.refused)} not accepted",
    )
    names = dict(tables[0].select("person_id", "name").iter_rows())
    who = dict(assignments.select("track_key", "person_id").iter_rows())
    honoured = sum(names.get(str(who.get(key))) == name for key, name in curator.named.items())
    against, lost = contradicted(LibraryStores.of(store))
    yield Check(
        "all of them are honoured by the library in force",
        honoured == len(curator.named) > 0 and not against and not lost,
        f"{honoured} of {len(curator.named)} tracks, {len(against)} against, {len(lost)} lost",
    )
    people = {who[key] for key in curator.named if who.get(key)}
    profiles = {p.person_id: len(p.sources) for p in ProfileStore(store.layout).all()}
    rides = Counter(
        person for person, _ in {(who.get(key), key.split(":")[1]) for key in curator.named}
    )
    wrong = [person for person in people if profiles.get(person) != rides[person]]
    yield Check(
        "each named person's profile holds each of their rides once",
        bool(people) and not wrong,
        f"{len(people)} people, {sum(rides.values())} rides",
    )
    yield _command(story, "the index is what the tables say", "index", "check")
    yield _asset_checks(story)


def _command(story: Story, name: str, *arguments: str) -> Check:
    try:
        said = story.deployment.command(*arguments)
    except subprocess.CalledProcessError as error:
        return Check(name, passed=False, found=error.stdout.strip()[-200:])
    return Check(name, passed=True, found=said.strip().splitlines()[-1])


def _asset_checks(story: Story) -> Check:
    """By the last evaluation of each check in each partition."""
    failed: list[str] = []
    number = 0
    with story.deployment.instance() as instance:
        records = instance.get_event_records(
            dg.EventRecordsFilter(dg.DagsterEventType.ASSET_CHECK_EVALUATION), ascending=True
        )
    last = {}
    for record in records:
        event = record.event_log_entry.dagster_event
        if event is not None:
            told = event.asset_check_evaluation_data
            last[told.asset_key.path[-1], told.check_name, told.partition] = told
    for (asset, check, partition), told in last.items():
        number += 1
        if not told.passed and told.severity == dg.AssetCheckSeverity.ERROR:
            failed.append(f"{asset} {check} {partition or ''}")
    warned = sum(not told.passed for told in last.values()) - len(failed)
    return Check(
        "the checks of all assets pass",
        not failed,
        f"{number} checks, {len(failed)} failed, {warned} warn" + "".join(f"; {f}" for f in failed),
    )


def _learning(story: Story) -> Iterator[Check]:
    layout = story.deployment.layout
    runs = story.deployment.runs(tags={BY: "retrain_when_labelled"})
    session, heads = TrainingSessions(layout).last(), HeadStore(layout)
    judged = heads.evaluation(session.head_id) if session and session.head_id else None
    end = "no training"
    if judged:
        reasons = "; ".join(judged.get("reasons") or ())
        end = "goes live" if judged.get("promoted") else f"kept, not live: {reasons}"
    yield Check(
        "the labels led to one training, which was judged and recorded",
        len(runs) == 1 and runs[0].is_success and judged is not None,
        f"{len(runs)} requested; {end}",
    )


def _operation(story: Story) -> Iterator[Check]:
    deployment = story.deployment
    open_runs, slots = deployment.open_runs(), deployment.slots_taken()
    yield Check(
        "no run is left, no slot taken",
        not open_runs and not any(slots.values()),
        f"{len(open_runs)} runs, {slots}",
    )
    unsuccessful = [run for run in deployment.runs() if not run.is_success]
    others = [run for run in unsuccessful if run.tags.get(PARTITION) != story.broken]
    yield Check(
        "no run failed but that of the broken file",
        not others,
        f"{len(deployment.runs())} runs, {len(unsuccessful)} failed",
    )
    restarts = sum(service.starts - 1 for service in deployment.services)
    yield Check("no service died", restarts == 0, f"{restarts} started again")
    watch = story.progress
    yield Check(
        "the progress never fell within a batch",
        not watch.faults and watch.looks > 0,
        f"{watch.looks} looks at {len(watch.shares)} batches" + "".join(watch.faults[:2]),
    )
    seen = json.loads(deployment.command("status", "--json"))
    states = {video["name"]: video["state"] for video in seen["videos"]}
    done = [name for name in story.rides if states.get(name) == State.DONE.value]
    good = (State.DONE.value, State.WAITING.value)
    yield Check(
        "status says that all is done",
        len(done) == len(story.rides)
        and seen["library"]["state"] in good
        and all(batch["finished"] for batch in seen["batches"])
        and seen["left_s"] == 0,
        f"{len(done)} videos done, library {seen['library']['state']}, {seen['left_s']:.0f} s left",
    )


def _memory(story: Story) -> Iterator[Check]:
    for role, samples in sorted(story.memory.services.items()):
        went = course(samples)
        quarters = ", ".join(f"{median:.1f}" for median in went.quarters)
        yield Check(
            f"the memory of the {role} is flat",
            went.flat,
            f"MB by quarter {quarters}; {went.mb_per_hour:+.1f} MB/h "
            f"({went.low:+.1f} to {went.high:+.1f}), {went.samples} samples",
        )
    peaks = worker_peaks(story)
    early, late, slope = growth(peaks)
    yield Check(
        "a later video needs no more memory",
        late <= early * 1.05,
        f"peak of a worker {early:.0f} MB in the first half, {late:.0f} in the second; "
        f"{slope:+.2f} MB per video, {len(peaks)} videos",
    )


def worker_peaks(story: Story) -> list[float]:
    """MB of the workers that processed new videos, in the order of their start."""
    from identity_pipeline.defs.automation.dead_runs import process_of

    found = []
    with story.deployment.instance() as instance:
        for run in story.deployment.runs(tags={BY: "new_videos"}):
            told = process_of(instance, run)
            if told and told[0] in story.memory.peaks and run.is_success:
                found.append((told[1], story.memory.peaks[told[0]]))
    return [peak for _, peak in sorted(found)]
