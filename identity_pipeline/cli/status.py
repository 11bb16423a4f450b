"""`identity-pipeline status`: how far the work is."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime

import click
from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from identity_pipeline.cli.curating import json_option
from identity_pipeline.cli.index import bar
from identity_pipeline.cli.instance import dagster_instance
from identity_pipeline.cli.options import (
    console,
    data_option,
    find_video,
    merged_settings,
    model_options,
    open_store,
    overrides,
)
from identity_pipeline.core.progress import LIBRARY_WORK, SETTLED, State
from identity_pipeline.defs.runs import last_runs
from identity_pipeline.media.progress_figure import span
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.settings import Settings
from identity_pipeline.stages.progress import Progress, silent
from identity_pipeline.stages.status import look
from identity_pipeline.stages.verdicts import Models
from identity_pipeline.stages.work import Phase, RunFact, Status, Whole
from identity_pipeline.stages.work_words import (
    attention,
    now_words,
    phase_words,
    progress_lines,
    status_json,
    steps_done,
)
from identity_pipeline.storage.pause import Pause, paused
from identity_pipeline.storage.tables import TableStore

STYLES: Mapping[State, str] = {
    State.DONE: "green",
    State.RUNNING: "bold blue",
    State.FAILED: "red",
    State.INTERRUPTED: "red",
    State.PAUSED: "yellow",
    State.STALE: "yellow",
    State.WAITING: "magenta",
    State.QUEUED: "cyan",
}
WATCH_S = 2.0


@click.command()
@click.argument("video", required=False)
@json_option
@click.option("--watch", is_flag=True, help="Look again every two seconds, until Ctrl-C.")
@data_option
@model_options
def status(
    video: str | None,
    as_json: bool,
    watch: bool,
    data: str | None,
    pack: str | None,
    vision: str | None,
    device: str | None,
) -> None:
    """Say how far the work is: every step of every video, or of one VIDEO, and the library.

    Runs of other processes are seen too. A share is that of a batch: the steps that were open at
    one moment, each weighted by the seconds it was then expected to take. The scope of a batch
    never changes, so its share never falls; a video that arrives later, or what turns stale after
    it was done, opens another batch. Only finished steps count: what a running step has done so far
    is told apart as "in flight", and so is what failed or was skipped.

    \b
    States of a step:
      done         its output is there, made of what it would be made of now, as is all it needs
      running      a living process works on it
      interrupted  its process died; a new run takes it up
      paused       its run was stopped by a person; a new run takes it up
      stale        there is an output, but a run would make it again (`plan` says why)
      pending      it was never made
      failed, skipped (it needs what failed for good), waiting for a slot, waiting for a person

    \b
    Examples:
      identity-pipeline status
      identity-pipeline status demo_solo      each step of one video
      identity-pipeline status library        each step of the library, and of learning
      identity-pipeline status --watch
      identity-pipeline status --json | jq .eta_s

    Expected times come from what the same step took before on this machine with the same models;
    steps that were never measured here are counted by prices that ship with the package, and said.
    Files are trusted by their notes here; `plan` reads every byte. Dagster's runs are those of the
    instance of this data folder.
    """
    groups = overrides(data, pack, vision, device)
    settings = merged_settings(groups)
    store = open_store(settings)
    wanted = video if video in (None, LIBRARY_WORK) else find_video(store, video).video_id
    models = Models(*ModelHub(settings.models).here())
    if watch:
        _watch(store, settings, models, wanted)
        return
    with bar() as report:
        seen = _look(store, settings, models, report)
    if as_json:
        value = status_json(seen)
        if wanted:
            value["videos"] = [v for v in value["videos"] if v["name"] == wanted]
        click.echo(json.dumps(value, indent=2))
        return
    console.print(_page(seen, wanted, paused(store.layout)), soft_wrap=False)


def _look(
    store: TableStore, settings: Settings, models: Models, report: Progress = silent
) -> Status:
    now = datetime.now(UTC)
    today = now.isoformat(timespec="seconds")
    return look(store, settings, models, _runs(store), now.timestamp(), today, report)


def _runs(store: TableStore) -> dict[str, RunFact]:
    with dagster_instance(store.layout, look=True) as instance:
        return last_runs(instance)


def _watch(store: TableStore, settings: Settings, models: Models, wanted: str | None) -> None:
    # Ctrl-C is how a person ends it, and no failure.
    with suppress(KeyboardInterrupt), Live(console=console, auto_refresh=False) as shown:
        while True:
            seen = _look(store, settings, models)
            shown.update(_page(seen, wanted, paused(store.layout)), refresh=True)
            time.sleep(WATCH_S)


def _page(seen: Status, wanted: str | None, order: Pause | None) -> Group:
    held = [order.sentence()] if order else []
    lines = [Text(line) for line in (*held, *progress_lines(seen))]
    if wanted:
        whole = next(w for w in (*seen.videos, seen.library) if w.name == wanted)
        return Group(*lines, _phase_table(whole), *([Text(whole.note)] if whole.note else []))
    looked = [Text(f"! {sentence}") for sentence in attention(seen)]
    return Group(*lines, _video_table(seen), *looked)


def _video_table(seen: Status) -> Table:
    table = Table()
    for column in ("video", "state"):
        table.add_column(column, overflow="fold")
    for column in ("steps done", "work left"):
        table.add_column(column, justify="right")
    table.add_column("now", overflow="fold")
    for whole in (*seen.videos, seen.library):
        skipped = whole.count(State.SKIPPED)
        aside = f" ({skipped} skipped)" if skipped else ""
        table.add_row(
            whole.name,
            _styled(whole.state),
            f"{steps_done(whole)}{aside}",
            span(whole.left_s) if whole.left_s else "",
            escape(now_words(whole)),
        )
    return table


def _phase_table(whole: Whole) -> Table:
    table = Table(title=f"{whole.name}: {whole.state.value}", title_justify="left")
    for column in ("step", "state"):
        table.add_column(column, no_wrap=True)
    for column in ("work", "time left"):
        table.add_column(column, justify="right")
    table.add_column("why", overflow="fold")
    for phase in whole.phases:
        row = phase.step, _styled(phase.state), _work(phase), _time(phase)
        table.add_row(*row, escape(phase_words(phase)))
    return table


def _styled(state: State) -> str:
    style = STYLES.get(state)
    return f"[{style}]{state.value}[/]" if style else state.value


def _work(phase: Phase) -> str:
    if phase.done is None and phase.total is None:
        return "not counted yet"
    known = "?" if phase.done is None else str(phase.done)
    of = "" if phase.total is None or phase.state is State.DONE else f" of {phase.total}"
    return f"{known}{of} {phase.unit}"


def _time(phase: Phase) -> str:
    if phase.state in (State.DONE, *SETTLED):
        return ""
    guess = "" if phase.measured else " (not measured here)"
    return f"{span(phase.left_s)}{guess}"
