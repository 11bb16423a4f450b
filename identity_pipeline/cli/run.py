"""`identity-pipeline run`: the whole graph of some videos in this process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import dagster as dg
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from identity_pipeline.cli.instance import dagster_instance
from identity_pipeline.cli.options import (
    console,
    data_option,
    merged_settings,
    model_options,
    open_store,
    overrides,
)
from identity_pipeline.cli.working import TRY_LATER, refuse_while_paused
from identity_pipeline.defs.progress import live_step
from identity_pipeline.errors import printable
from identity_pipeline.stages.at_work import shown_to_others
from identity_pipeline.stages.progress import Progress as Report
from identity_pipeline.storage.archive import Archive
from identity_pipeline.storage.failures import FailureNotes
from identity_pipeline.storage.live import host
from identity_pipeline.storage.pause import paused
from identity_pipeline.storage.registry import Registration, UnusableFileError, VideoRegistry
from identity_pipeline.storage.tables import LIBRARY, DamagedTableError, TableStore

STOPPED = (
    "it was stopped before it was done; run the same command again: what is finished is reused."
)
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class RichReporters:
    """Shows the progress of each step as a bar."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, Any] = {}

    def reporter(self, context: dg.AssetExecutionContext) -> Report:
        """A callback for one step; the bars of a video stay until the next video."""
        return shown_to_others(context.resources.store, live_step(context), self._report)

    def _report(self, stage: str, done: int, total: int | None, unit: str) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(f"  {stage} ({unit})", total=total)
        self._progress.update(self._tasks[stage], completed=done, total=total)

    def clear(self) -> None:
        """Removes the bars of a video that is done."""
        for task in self._tasks.values():
            self._progress.remove_task(task)
        self._tasks.clear()


@dataclass(frozen=True)
class Outcome:
    """What became of one video."""

    record: Registration
    succeeded: bool


def register(paths: tuple[str, ...], store: TableStore) -> tuple[list[Registration], list[str]]:
    """Registers files, in the order given, each content once.

    Returns:
        Their records, and why others cannot be registered, in sentences.
    """
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
            name = escape(printable(Path(path).name))
            console.print(f"{name} has the same content as {record.video_id}: linked.")
        records[record.video_id] = record
        Archive(store.layout).remove(record.video_id)  # it becomes a partition again
    return list(records.values()), refused


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False))
@data_option
@model_options
def run(
    files: tuple[str, ...],
    data: str | None,
    pack: str | None,
    vision: str | None,
    device: str | None,
) -> None:
    """Turn ride videos into image sets, here and now.

    Registers each FILE, materialises the whole per-video graph in this process, and prints where
    the sets are. What is there already and made of the same is reused. Runs and pictures also
    appear in the Dagster UI of this folder. For a season of videos use `make dev` and drop the
    files into data/videos instead: that queues them and minds the GPU. At the end the library is
    brought up to date: who is known, and who rides again.
    """
    groups = overrides(data, pack, vision, device)
    settings = merged_settings(groups)
    store = open_store(settings, claim=True)
    refuse_while_paused(store)
    records, refused = register(files, store)
    for sentence in refused:
        console.print(f"[red]refused[/red] - {escape(sentence)}", soft_wrap=True)
    if not records:
        raise SystemExit(1)
    with (
        Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
        ) as progress,
        dagster_instance(store.layout) as instance,
    ):
        outcomes = run_videos(records, groups, progress, instance)
    console.print(summary_table(outcomes, store))
    for outcome in outcomes:
        if outcome.succeeded:
            page = store.layout.export(outcome.record.video_id) / "index.html"
            console.print(f"Open {page}", soft_wrap=True, highlight=False)
    if store.noted("person_assignments", LIBRARY):
        console.print(who_line(store), highlight=False, soft_wrap=True)
    unfinished = sum(outcome.succeeded for outcome in outcomes) < len(records)
    order = paused(store.layout)
    if order and unfinished:
        console.print(f"{order.sentence()} Then run the same command again.", soft_wrap=True)
        raise SystemExit(TRY_LATER)
    failed = [outcome.record for outcome in outcomes if not outcome.succeeded]
    for record in failed:
        note = FailureNotes(store.layout).get(record.video_id)
        reason = f"{note.code}: {note.sentence}" if note else STOPPED
        console.print(f"[red]{record.video_id} failed[/red] - {escape(reason)}", soft_wrap=True)
    if failed or refused:
        raise SystemExit(1)


def run_videos(
    records: list[Registration],
    groups: dict[str, dict[str, str]],
    progress: Progress,
    instance: dg.DagsterInstance,
) -> list[Outcome]:
    """Runs the job of each video, one after the other, and then that of the library."""
    from identity_pipeline.definitions import build_defs
    from identity_pipeline.defs.automation import BY, HOST
    from identity_pipeline.defs.partitions import videos
    from identity_pipeline.defs.pausing import COMMAND_LINE
    from identity_pipeline.defs.resources import SettingsResource

    by = {BY: COMMAND_LINE, HOST: host()}
    store = open_store(merged_settings(groups), new=True)
    reporters = RichReporters(progress)
    defs = build_defs(SettingsResource.of(**groups), progress=reporters)
    job = defs.resolve_job_def("per_video")
    keys = [record.video_id for record in records]
    instance.add_dynamic_partitions(str(videos.name), keys)
    outcomes = []
    overall = progress.add_task("videos", total=len(records))
    for record in records:
        progress.update(overall, description=f"[bold]{record.video_id}[/bold]")
        result = job.execute_in_process(
            instance=instance,
            partition_key=record.video_id,
            run_config=QUIET,
            raise_on_error=False,
            tags=by,
        )
        outcomes.append(Outcome(record, result.success))
        reporters.clear()
        if paused(store.layout):
            return outcomes
        progress.advance(overall)
    progress.update(overall, description="[bold]library[/bold]")
    library = defs.resolve_job_def("library").execute_in_process(
        instance=instance, run_config=QUIET, raise_on_error=False, tags=by
    )
    if not library.success:
        progress.console.print(
            "[red]The library could not be brought up to date; the image sets are whole. For the "
            "reason: identity-pipeline recluster[/red]"
        )
    progress.update(overall, description="videos")
    return outcomes


def who_line(store: TableStore) -> str:
    """How many tracks are known people, grouped unknown ones, and alone."""
    assignments = store.read("person_assignments", LIBRARY)
    states = dict(assignments.group_by("state").len().iter_rows())
    clusters = assignments["cluster_id"].drop_nulls().n_unique()
    return (
        f"Library: {assignments.height} riders' tracks of {assignments['video_id'].n_unique()} "
        f"videos; {states.get('known', 0)} known, {clusters} unknown people seen more than once, "
        f"{states.get('noise', 0)} seen once. Look: identity-pipeline clusters"
    )


def summary_table(outcomes: list[Outcome], store: TableStore) -> Table:
    """Riders and sets of each video."""
    table = Table(title="Image sets", title_justify="left")
    for column in ("video", "riders", "anchor", "coverage", "challenge", "pair"):
        table.add_column(column, justify="left" if column == "video" else "right")
    for outcome in outcomes:
        video_id = outcome.record.video_id
        if not outcome.succeeded:
            table.add_row(video_id, "[red]failed[/red]", *["-"] * 4)
            continue
        try:
            seats = store.read("riders", video_id)["person_id"].drop_nulls().len()
            types = store.read("identity_dataset", video_id)["type"]
        except DamagedTableError:
            table.add_row(video_id, "[red]damaged[/red]", *["-"] * 4)
            continue
        counts = [
            str((types == name).sum()) for name in ("anchor", "coverage", "challenge", "pair")
        ]
        table.add_row(video_id, str(seats), *counts)
    return table
