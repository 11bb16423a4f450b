"""`identity-pipeline plan`: what a run would do, before it does it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.text import Text

from identity_pipeline.cli.index import bar
from identity_pipeline.cli.lists import echo_json, echo_table, json_option, say
from identity_pipeline.cli.options import (
    data_option,
    find_source,
    merged_settings,
    model_options,
    open_store,
    overrides,
)

if TYPE_CHECKING:
    from identity_pipeline.core.progress.costs import Price
    from identity_pipeline.settings import Settings
    from identity_pipeline.stages.planning.plans import PlannedVideo
    from identity_pipeline.stages.planning.staleness import Models
    from identity_pipeline.stages.progress.protocol import Progress
    from identity_pipeline.storage.video.tables import TableStore


WORDS: Mapping[str, tuple[str, str]] = {
    "compute": ("would be computed", "yellow"),
    "perhaps": ("would be computed unless its input comes out the same", ""),
    "reuse": ("reused", "green"),
    "blocked": ("cannot run", "red"),
    "aside": ("only when asked", ""),
}
"""Words and style of each `stages.planning.staleness.Verdict`."""


@click.command()
@click.argument("videos", nargs=-1)
@json_option
@click.option("--costs", is_flag=True, help="Show what each step costs here, and nothing else.")
@data_option
@model_options
def plan(
    videos: tuple[str, ...],
    as_json: bool,
    costs: bool,
    data: str | None,
    pack: str | None,
    vision: str | None,
    device: str | None,
) -> None:
    """Say what a run of VIDEOS would do, before it does it: which steps compute, and why.

    Then what the run of the library would do that follows: the tables of the live head, people,
    profiles, k-means heads and names in the index. A head is trained only when asked for; its rows
    say what is there to train.

    VIDEOS are ids, beginnings of ids, or files, registered or not; photo sets are named by ids too.
    By default they are all registered videos and photo sets, and the files that wait in the videos
    folder. The answer comes from the same fingerprints by which the steps decide: code, settings,
    models, and the data of all inputs. Nothing is computed, registered or downloaded. Every byte of
    what is there is read, as the steps do.

    \b
    Examples:
      identity-pipeline plan
      identity-pipeline plan demo_solo
      IDENTITY_PIPELINE__SELECTION__NOVELTY_MIN=0.3 identity-pipeline plan    what would that cost?
      identity-pipeline plan --costs

    A step of which an input would be computed is computed too, unless that input comes out the same
    as it was. Expected times are medians of what the same step took before on this machine with
    the same models. Where there is none yet, prices that ship with the package stand in, and are
    marked as such.
    """
    from identity_pipeline.models.hub import ModelHub
    from identity_pipeline.stages.planning import preflight
    from identity_pipeline.stages.planning.model_notes import model_notes
    from identity_pipeline.stages.planning.plans import plan_library
    from identity_pipeline.stages.planning.staleness import Models
    from identity_pipeline.stages.progress.costing import prices

    settings = merged_settings(overrides(data, pack, vision, device))
    store = open_store(settings, new=True)
    hub = ModelHub(settings.models)
    models = Models(*hub.here())
    refused = preflight.foreseen_faults(store.layout, settings, hub)
    known = prices(store, settings, models.digests)
    if costs:
        _print_costs(known)
        return
    notes = model_notes(store, settings)
    with bar() as report:
        planned = list(_planned(videos, store, settings, models, known, report))
        today = datetime.now(UTC).isoformat(timespec="seconds")
        library = plan_library(store, settings, known, planned, today)
    if as_json:
        of_videos = [asdict(video) for video in planned]
        value = {"refused": refused, "notes": notes, "videos": of_videos}
        echo_json(value | {"library": asdict(library)})
        return
    for note in notes:
        say(note, "yellow")
    for fault in refused:
        say(f"A run would be refused: {fault.rstrip('.')}.", "red")
    if not planned:
        say(f"No video yet: drop one into {store.layout.videos}, or name a FILE.")
    for video in planned:
        if len(planned) == 1 or videos:
            _print_steps(video)
        else:
            say(_line(video))
    _print_steps(library)
    _totals([*planned, library])


def _planned(
    names: tuple[str, ...],
    store: TableStore,
    settings: Settings,
    models: Models,
    costs: Mapping[str, Price],
    report: Progress,
) -> Iterator[PlannedVideo]:
    from identity_pipeline.stages.planning.plans import plan_file, plan_video
    from identity_pipeline.storage.video.failures import FailureNotes

    notes = FailureNotes(store.layout)
    ids, files = _named(names, store) if names else _all(store, settings)
    total = len(ids) + len(files)
    for n, video_id in enumerate(ids):
        report("reading", n, total, "videos")
        note = notes.get(video_id)
        failed = f"failed before ({note.code}: {note.sentence})" if note else ""
        yield plan_video(store, settings, models, costs, video_id, failed)
    for n, path in enumerate(files, len(ids)):
        report("reading", n, total, "videos")
        yield plan_file(store, settings, models, costs, path)


def _named(names: tuple[str, ...], store: TableStore) -> tuple[list[str], list[Path]]:
    files = [Path(name) for name in names if Path(name).is_file()]
    ids = [find_source(store, name) for name in names if not Path(name).is_file()]
    return ids, files


def _all(store: TableStore, settings: Settings) -> tuple[list[str], list[Path]]:
    """All registered videos and photo sets, and the files that wait in the videos folder."""
    from identity_pipeline.storage.photos.photo_sets import PhotoSets
    from identity_pipeline.storage.video.registry import VideoRegistry, video_files

    registry = VideoRegistry(store.layout)
    known = {path for record in registry.all() for path in (record.path, *record.links)}
    waiting = video_files(store.layout.videos, settings.ingest.extensions)
    ids = [*registry.ids(), *PhotoSets(store.layout).ids()]
    return ids, [path for path in waiting if str(path.resolve()) not in known]


def _print_steps(video: PlannedVideo) -> None:
    from identity_pipeline.media.progress_figure import span
    from identity_pipeline.stages.planning.staleness import Verdict

    aside = f" - {video.note}" if video.note else ""
    rows = []
    for step in video.steps:
        nothing = (Verdict.REUSE, Verdict.BLOCKED)
        cost = "" if step.verdict in nothing or step.seconds is None else span(step.seconds)
        mark = "" if step.measured or not cost else " *"
        words, style = WORDS[step.verdict]
        rows.append((step.step, Text(words, style), "; ".join(step.reasons), cost + mark))
    columns = ("step", "a run", "why", ">expected")
    echo_table(columns, rows, title=f"{video.video_id}{aside}")


def _line(video: PlannedVideo) -> str:
    from identity_pipeline.stages.planning.staleness import Verdict

    parts = [f"{len(video.of(v))} {v.value}" for v in Verdict if video.of(v)]
    wanted = [step for step in video.steps if step.verdict in (Verdict.COMPUTE, Verdict.BLOCKED)]
    why = f"; first {wanted[0].step}: {'; '.join(wanted[0].reasons)}" if wanted else ""
    aside = f" ({video.note})" if video.note else ""
    return f"{video.video_id}{aside}: {', '.join(parts)}{why}"


def _totals(planned: list[PlannedVideo]) -> None:
    from identity_pipeline.media.progress_figure import span
    from identity_pipeline.stages.planning.staleness import Verdict

    sure = sum(video.seconds(Verdict.COMPUTE) for video in planned)
    perhaps = sum(video.seconds(Verdict.PERHAPS) for video in planned)
    more = f", and {span(perhaps)} more if no input comes out the same" if perhaps else ""
    say(f"Expected: {span(sure)} of computing{more}.")
    computing = (Verdict.COMPUTE, Verdict.PERHAPS)
    if any(not s.measured for v in planned for s in v.steps if s.verdict in computing):
        say("* not measured on this machine yet: a price that ships with the package")


def _print_costs(costs: Mapping[str, Price]) -> None:
    from identity_pipeline.stages.progress.costing import unit_of
    from identity_pipeline.stages.specs.assets import steps

    rows = []
    for step, price in costs.items():
        unit = unit_of(step) if step in steps() else ""
        learnt = f"{price.samples} computations" if price.measured else "not measured here yet"
        rows.append((step, _ms(price.per_unit), unit, _ms(price.per_frame), learnt))
    columns = ("step", ">ms per unit", "unit", ">ms per sampled frame", "learnt from")
    echo_table(columns, rows, title="What each step costs")


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.2f}"
