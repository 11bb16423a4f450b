"""`identity-pipeline run`: the whole graph of some videos in this process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import click
from rich.text import Text

from identity_pipeline.cli.instance import dagster_instance
from identity_pipeline.cli.lists import echo_json, echo_table, json_option, say
from identity_pipeline.cli.options import (
    data_option,
    merged_settings,
    model_options,
    open_store,
    overrides,
)
from identity_pipeline.cli.run_progress import Shown, shown
from identity_pipeline.cli.stopping import Terminated, hearing, raise_for
from identity_pipeline.cli.working import TRY_LATER, refuse_while_paused
from identity_pipeline.errors import printable

if TYPE_CHECKING:
    import dagster as dg

    from identity_pipeline.defs.instance.outcome import WhyFailed
    from identity_pipeline.models.hub import ModelHub
    from identity_pipeline.settings import Settings
    from identity_pipeline.storage.video.registry import Registration
    from identity_pipeline.storage.video.tables import TableStore


SETS = ("anchor", "coverage", "challenge", "pair")
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class Outcome:
    """What became of one video; why it failed, where it did."""

    record: Registration
    why: WhyFailed | None = None

    @property
    def succeeded(self) -> bool:
        """Whether its image sets are there."""
        return self.why is None

    @property
    def paused(self) -> bool:
        """Whether a pause stopped it, which is no failure."""
        return self.why is not None and self.why.paused


def register(
    paths: tuple[str, ...], store: TableStore, *, as_json: bool = False
) -> tuple[list[Registration], list[str]]:
    """Registers files, in the order given, each content once.

    Returns:
        Their records, and why others cannot be registered, in sentences.
    """
    from identity_pipeline.storage.files.inbox import UnusableFileError
    from identity_pipeline.storage.video.archive import Archive
    from identity_pipeline.storage.video.registry import VideoRegistry

    registry = VideoRegistry(store.layout)
    records: dict[str, Registration] = {}
    refused: list[str] = []
    for path in paths:
        try:
            record, _ = registry.register(Path(path))
        except UnusableFileError as error:
            refused.append(str(error))
            continue
        except OSError as error:
            refused.append(f"{printable(path)} cannot be read ({error.strerror or error}).")
            continue
        if record.video_id in records:
            same = f"{Path(path).name} has the same content as {record.video_id}: linked."
            say(same, err=as_json)
        records[record.video_id] = record
        Archive(store.layout).remove(record.video_id)  # it becomes a partition again
    for sentence in refused:
        say(f"refused - {sentence}", "red", err=as_json)
    return list(records.values()), refused


def _files_of(words: tuple[str, ...], settings: Settings) -> tuple[str, ...]:
    return tuple(_file_of(word, settings) for word in words)


def _file_of(word: str, settings: Settings) -> str:
    """A file as it is, or that of a registered video which is named by its id.

    Raises:
        click.BadParameter: it is neither.
    """
    from identity_pipeline.storage.layout import VIDEO_ID, Layout
    from identity_pipeline.storage.video.registry import VideoRegistry

    if Path(word).exists():
        return word
    registry = VideoRegistry(Layout(Path(settings.paths.data)))
    record = registry.get(word) if VIDEO_ID.fullmatch(word) else None
    if record is None:
        raise click.BadParameter(f"File {word!r} does not exist.", param_hint="'FILES...'")
    return str(record.existing_path())


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(dir_okay=False))
@json_option
@data_option
@model_options
def run(
    files: tuple[str, ...],
    as_json: bool,
    data: str | None,
    pack: str | None,
    vision: str | None,
    device: str | None,
) -> None:
    """Turn ride videos into image sets, here and now.

    Registers each FILE, or takes a registered video by its id, materialises the whole per-video
    graph in this process, and prints where the sets are. What is there already and made of the same
    is reused. Runs and pictures also appear in the Dagster UI of this folder. For a season of
    videos use `make dev` and drop the files into data/videos instead: that queues them and minds
    the GPU. At the end the library is brought up to date: who is known, and who rides again.
    """
    from identity_pipeline.stages.planning import preflight
    from identity_pipeline.storage.folder.disk import size_of

    groups = overrides(data, pack, vision, device)
    settings = merged_settings(groups)
    files = _files_of(files, settings)
    hub = looked_at(settings, [Path(file) for file in files])
    store = open_store(settings, claim=True)
    _say_forgettings(store)
    refuse_while_paused(store)
    _say_notes(store, settings, as_json)
    records, refused = register(files, store, as_json=as_json)
    if not records:
        raise SystemExit(1)
    sizes = {record.video_id: size_of(record.existing_path()) for record in records}
    preflight.refuse(preflight.video_faults(store, settings, hub, sizes))
    with shown(hidden=as_json) as progress, dagster_instance(store.layout) as instance:
        outcomes, library = run_videos(records, groups, progress, instance, hub)
    _say_summary(outcomes, store, settings, as_json)
    _say_failures(outcomes, library, store, as_json)
    unfinished = sum(outcome.succeeded for outcome in outcomes) < len(records)
    _end_if_paused(outcomes, library, unfinished, store, as_json)
    if unfinished or refused or library is not None:
        raise SystemExit(1)


def _end_if_paused(
    outcomes: list[Outcome],
    library: WhyFailed | None,
    unfinished: bool,
    store: TableStore,
    as_json: bool,
) -> None:
    """Ends the command where a pause is why something is left to do, and says how it goes on."""
    from identity_pipeline.storage.progress.pause import paused

    order = paused(store.layout)
    was_paused = any(outcome.paused for outcome in outcomes) or (library and library.paused)
    if was_paused or (order and unfinished):
        first = f"{order.sentence()} Then run" if order else "It was paused meanwhile: run"
        say(f"{first} the same command again; it goes on where it stopped.", err=as_json)
        raise SystemExit(TRY_LATER)


def _say_forgettings(store: TableStore) -> None:
    """What was begun to be forgotten and is still to be ended."""
    from identity_pipeline.stages.privacy.journal import Journals

    for journal in Journals(store.layout).unfinished():
        say(journal.sentence(), "yellow", err=True)


def _say_notes(store: TableStore, settings: Settings, as_json: bool) -> None:
    """What is to be known of the models before a run."""
    from identity_pipeline.stages.planning.model_notes import model_notes

    for note in model_notes(store, settings):
        say(note, "yellow", err=as_json)


def _say_summary(
    outcomes: list[Outcome], store: TableStore, settings: Settings, as_json: bool
) -> None:
    from identity_pipeline.stages.imagesets.no_images import why_none

    rows = summary(outcomes, store)
    if as_json:
        echo_json(rows)
        return
    print_summary(rows, [outcome.paused for outcome in outcomes])
    for row in rows:
        if row["riders"] is not None and not any(row[name] for name in SETS):
            say(f"{row['video']} has no image: {why_none(store, row['video'], settings.quality)}")
    _say_where(outcomes, store)


def _say_failures(
    outcomes: list[Outcome], library: WhyFailed | None, store: TableStore, as_json: bool
) -> None:
    """Which videos failed and why, and whether the library could be brought up to date."""
    for outcome in outcomes:
        if outcome.why is not None and not outcome.paused:
            said = f"{outcome.record.video_id} failed - {_reason(outcome, store)}"
            say(said, "red", err=as_json)
    if library is not None and not library.paused:
        say(
            f"The library could not be brought up to date - {library.sentence.rstrip('.')}. When "
            "that is mended: identity-pipeline recluster",
            "red",
            err=as_json,
        )


def _reason(outcome: Outcome, store: TableStore) -> str:
    """Why a video failed: in the words of the run, else of the note that it left."""
    from identity_pipeline.storage.video.failures import FailureNotes

    why = outcome.why
    note = FailureNotes(store.layout).get(outcome.record.video_id)
    if why is None or (note and not why.worded):
        return f"{note.code}: {note.sentence}" if note else ""
    return why.sentence


def looked_at(settings: Settings, files: list[Path]) -> ModelHub:
    """The models, after a look at what can be told before a file is read or a folder made.

    Raises:
        NotReadyError: something that every run needs is not there.
    """
    from identity_pipeline.models.hub import ModelHub
    from identity_pipeline.stages.planning import preflight
    from identity_pipeline.storage.layout import Layout

    layout, hub = Layout(Path(settings.paths.data)), ModelHub(settings.models)
    # Folders first: a model that is not here is fetched, which takes long and may be in vain.
    preflight.refuse(preflight.source_faults(files) + preflight.folder_faults(layout, settings))
    preflight.refuse(preflight.model_faults(hub, preflight.used_models(settings), opened=False))
    return hub


def _say_where(outcomes: list[Outcome], store: TableStore) -> None:
    """Where the pages are, and who is known."""
    for outcome in outcomes:
        if outcome.succeeded:
            page = store.layout.export(outcome.record.video_id) / "index.html"
            say(f"Open {page}")
    line = who_line(store)
    if line:
        say(line)


def run_videos(
    records: list[Registration],
    groups: dict[str, dict[str, str]],
    progress: Shown,
    instance: dg.DagsterInstance,
    hub: ModelHub,
) -> tuple[list[Outcome], WhyFailed | None]:
    """Runs the job of each video, one after the other, and then that of the library.

    All share the models, which are opened once. What stands whole already, and is shown by Dagster,
    is left out.

    Returns:
        What became of each video, and why the library failed; None where it did not.
    """
    keys = [record.video_id for record in records]
    stand, library_stands = _standing(groups, keys, instance, hub)
    if library_stands and stand == set(keys):
        return [Outcome(record) for record in records], None

    from identity_pipeline.definitions import build_defs
    from identity_pipeline.defs.instance.partitions import videos
    from identity_pipeline.defs.resources.resources import SettingsResource
    from identity_pipeline.storage.progress.pause import paused

    by = run_tags()
    store = open_store(merged_settings(groups), new=True)
    defs = build_defs(SettingsResource.of(**groups), progress=progress, models=hub)
    job = defs.resolve_job_def("per_video")
    instance.add_dynamic_partitions(str(videos.name), keys)
    outcomes = []
    progress.begin(len(records))
    for record in records:
        progress.at(record.video_id)
        stands = record.video_id in stand
        why = None if stands else executed(job, instance, by, record.video_id)
        outcomes.append(Outcome(record, why))
        stopped = paused(store.layout) is not None
        progress.ended(finished=not stopped)
        if stopped:
            return outcomes, None
    progress.at("library")
    library = executed(defs.resolve_job_def("library"), instance, by)
    progress.ended(finished=False)
    return outcomes, library


def run_tags() -> dict[str, str]:
    """Tags of a run of the command line."""
    from identity_pipeline.defs.instance.pausing import COMMAND_LINE
    from identity_pipeline.defs.instance.tags import BY, HOST
    from identity_pipeline.storage.progress.heartbeat import host

    return {BY: COMMAND_LINE, HOST: host()}


def _standing(
    groups: dict[str, dict[str, str]], keys: list[str], instance: dg.DagsterInstance, hub: ModelHub
) -> tuple[set[str], bool]:
    """Videos of which nothing is left to do or to show, and whether the library stands too."""
    from identity_pipeline.defs.instance.shown import shown_as_made
    from identity_pipeline.stages.planning.plans import standing
    from identity_pipeline.stages.planning.staleness import Models

    settings = merged_settings(groups)
    today = datetime.now(UTC).isoformat(timespec="seconds")
    store = open_store(settings, new=True)
    found = standing(store, settings, Models(*hub.here()), keys, today)
    return shown_as_made(instance, found.videos), found.library


def executed(
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    by: dict[str, str],
    video_id: str | None = None,
) -> WhyFailed | None:
    """Runs a job: why it failed, None where it did not; a signal takes the command along.

    Raises:
        KeyboardInterrupt, Terminated: a signal came; the run has ended as cancelled.
    """
    import dagster as dg

    from identity_pipeline.defs.instance.outcome import why_failed

    run_id = str(uuid4())
    with hearing() as heard:
        try:
            result = job.execute_in_process(
                instance=instance,
                partition_key=video_id,
                run_config=QUIET,
                raise_on_error=False,
                tags=by,
                run_id=run_id,
            )
        except (KeyboardInterrupt, Terminated, dg.DagsterExecutionInterruptedError):
            _cancelled(instance, run_id)
            if (number := heard.signal()) is not None:
                raise_for(number)
            raise
        if (number := heard.signal()) is not None:
            _cancelled(instance, run_id)
            raise_for(number)
    return None if result.success else why_failed(result, instance.get_run_by_id(run_id))


def _cancelled(instance: dg.DagsterInstance, run_id: str) -> None:
    """A run that was stopped did not fail: Dagster takes it for failed, or has not ended it."""
    import dagster as dg

    ended = dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.SUCCESS
    run = instance.get_run_by_id(run_id)
    if run is not None and run.status not in ended:
        instance.report_run_canceled(run, "The command was stopped.")


def who_line(store: TableStore) -> str:
    """How many tracks are known people, grouped unknown ones, and alone; empty without any."""
    import polars as pl

    from identity_pipeline.media.wording import counted
    from identity_pipeline.stages.stores import LibraryStores
    from identity_pipeline.storage.photos.photo_sets import PhotoSets

    snapshot = LibraryStores.of(store).generations.find()
    if snapshot is None:
        return ""
    with snapshot:
        assignments = snapshot.table("person_assignments")
        copies = snapshot.table("video_copies").height
    sets = set(PhotoSets(store.layout).ids())
    assignments = assignments.filter(~pl.col("video_id").is_in(sorted(sets)))
    states = dict(assignments.group_by("state").len().iter_rows())
    clusters = assignments["cluster_id"].drop_nulls().n_unique()
    copied = f"; {counted(copies, 'video')} a copy of another" if copies else ""
    return (
        f"Library: {counted(assignments.height, 'track')} of riders in "
        f"{counted(assignments['video_id'].n_unique(), 'video')}; {states.get('known', 0)} known, "
        f"{clusters} unknown people seen more than once, "
        f"{states.get('noise', 0)} seen once{copied}. Look: identity-pipeline clusters"
    )


def summary(outcomes: list[Outcome], store: TableStore) -> list[dict[str, Any]]:
    """Riders and sets of each video, None where it failed; an object each, for machines."""
    rows = []
    for outcome in outcomes:
        video_id = outcome.record.video_id
        row: dict[str, Any] = {"video": video_id, "riders": None, **dict.fromkeys(SETS)}
        if outcome.succeeded:
            seats = store.read("riders", video_id, ("person_id",))["person_id"]
            types = store.read("identity_dataset", video_id, ("type",))["type"]
            row["riders"] = seats.drop_nulls().len()
            row |= {name: int((types == name).sum()) for name in SETS}
        rows.append(row)
    return rows


def print_summary(rows: list[dict[str, Any]], paused: Sequence[bool]) -> None:
    """The same for people.

    Args:
        rows: of `summary`.
        paused: of each, whether a pause stopped it.
    """
    lacking = [Text("paused", "yellow") if stopped else Text("failed", "red") for stopped in paused]
    echo_table(
        ("video", ">riders", *(f">{name}" for name in SETS)),
        (
            (r["video"], why if r["riders"] is None else r["riders"], *(r[n] for n in SETS))
            for r, why in zip(rows, lacking, strict=True)
        ),
        title="Image sets",
    )
