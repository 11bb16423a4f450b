"""`identity-pipeline status`: how far the work is."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from identity_pipeline.cli.index import later_bar
from identity_pipeline.cli.instance import dagster_instance, may_have_runs
from identity_pipeline.cli.lists import console, echo_json, echo_table, json_option, say
from identity_pipeline.cli.options import (
    data_option,
    find_source,
    merged_settings,
    model_options,
    open_layout,
    overrides,
)
from identity_pipeline.cli.status_page import Asked, Page, page_of
from identity_pipeline.core.progress.shares import State
from identity_pipeline.stages.progress.protocol import silent

if TYPE_CHECKING:
    from identity_pipeline.settings import Settings
    from identity_pipeline.stages.planning.phases import RunFact, Status, Whole
    from identity_pipeline.stages.planning.staleness import Models
    from identity_pipeline.stages.progress.protocol import Progress
    from identity_pipeline.storage.layout import Layout
    from identity_pipeline.storage.video.tables import TableStore


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
    layout = open_layout(settings)
    asked = Asked(layout, settings)
    if not (video or as_json or watch) and (page := asked.still_there()):
        _print_notes(page, layout)
        _print_page(page, layout)
        return
    _status_now(asked, video, as_json, watch)


def _status_now(asked: Asked, video: str | None, as_json: bool, watch: bool) -> None:
    """Looks at everything, and says it."""
    from identity_pipeline.core.progress.shares import LIBRARY_WORK
    from identity_pipeline.models.hub import ModelHub
    from identity_pipeline.stages.planning.model_notes import model_notes
    from identity_pipeline.stages.planning.staleness import Models
    from identity_pipeline.storage.video.tables import TableStore

    settings, store = asked.settings, TableStore(asked.layout)
    wanted = video if video in (None, LIBRARY_WORK) else find_source(store, video)
    hub = ModelHub(settings.models)
    models = Models(*hub.here())
    if watch:
        _watch(store, settings, models, wanted)
        return
    before = asked.begin()
    with later_bar() as report:
        seen = _look(store, settings, models, report)
    notes = model_notes(store, settings)
    if as_json:
        notes = [*_forgettings(asked.layout), *notes]
        echo_json(_json(seen, wanted) | {"notes": notes})
        return
    page = page_of(seen, notes)
    asked.keep(before, page, seen, hub)
    _print_notes(page, asked.layout)
    if wanted:
        _print_one(page, next(w for w in seen.wholes if w.name == wanted), asked.layout)
    else:
        _print_page(page, asked.layout)


def _json(seen: Status, wanted: str | None) -> dict[str, Any]:
    """For machines; of several videos only the one that is wanted."""
    from identity_pipeline.stages.planning.words import status_json

    value = status_json(seen)
    if wanted:
        for several in ("videos", "photo_sets"):
            value[several] = [one for one in value[several] if one["name"] == wanted]
    return value


def _forgettings(layout: Layout) -> list[str]:
    """What is to be said of forgettings that were stopped before their end."""
    if not layout.forgetting.is_dir():
        return []
    from identity_pipeline.stages.privacy.journal import Journals

    return [journal.sentence() for journal in Journals(layout).unfinished()]


def _look(
    store: TableStore, settings: Settings, models: Models, report: Progress = silent
) -> Status:
    from identity_pipeline.stages.planning.status import look

    now = datetime.now(UTC)
    today = now.isoformat(timespec="seconds")
    return look(store, settings, models, _runs(store), now.timestamp(), today, report)


def _runs(store: TableStore) -> dict[str, RunFact]:
    if not may_have_runs(store.layout):
        return {}
    from identity_pipeline.defs.instance.runs import last_runs

    with dagster_instance(store.layout, look=True) as instance:
        return last_runs(instance)


def _watch(store: TableStore, settings: Settings, models: Models, wanted: str | None) -> None:
    from rich.live import Live

    # Ctrl-C is how a person ends it, and no failure.
    with suppress(KeyboardInterrupt), Live(console=console, auto_refresh=False) as shown:
        while True:
            seen = _look(store, settings, models)
            page = page_of(seen, ())
            with console.capture() as printed:
                if wanted:
                    whole = next(w for w in seen.wholes if w.name == wanted)
                    _print_one(page, whole, store.layout)
                else:
                    _print_page(page, store.layout)
            shown.update(Text.from_ansi(printed.get()), refresh=True)
            time.sleep(WATCH_S)


def _print_notes(page: Page, layout: Layout) -> None:
    for note in [*_forgettings(layout), *page.notes]:
        say(note, "yellow")


def _print_head(page: Page, layout: Layout) -> None:
    from identity_pipeline.storage.progress.pause import paused

    order = paused(layout)
    for line in ([order.sentence()] if order else []) + list(page.lines):
        say(line)


def _print_one(page: Page, whole: Whole, layout: Layout) -> None:
    """The steps of one video, or of the library."""
    _print_head(page, layout)
    _print_phases(whole)
    if whole.note:
        say(whole.note)


def _print_page(page: Page, layout: Layout) -> None:
    """All videos, a row each."""
    _print_head(page, layout)
    columns = ("video", "state", ">steps done", ">work left", "now")
    echo_table(columns, [(name, _styled(State(s)), *rest) for name, s, *rest in page.rows])
    for sentence in page.attention:
        say(f"! {sentence}")


def _print_phases(whole: Whole) -> None:
    from identity_pipeline.stages.planning.words import phase_words, time_words, work_words

    rows = [
        (phase.step, _styled(phase.state), work_words(phase), time_words(phase), phase_words(phase))
        for phase in whole.phases
    ]
    columns = ("step", "state", ">work", ">time left", "why")
    echo_table(columns, rows, title=f"{whole.name}: {whole.state.value}")


def _styled(state: State) -> Text:
    return Text(state.value, STYLES.get(state, ""))
