"""`videos` and `settings`: what there is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from pydantic import BaseModel
from rich.text import Text

from identity_pipeline.cli.lists import echo_json, echo_table, json_option, say, visible
from identity_pipeline.cli.options import (
    data_option,
    merged_settings,
    open_store,
    overrides,
)
from identity_pipeline.settings.wording import did_you_mean

if TYPE_CHECKING:
    from identity_pipeline.stages.planning.video_list import VideoList
    from identity_pipeline.storage.video.registry import Registration
    from identity_pipeline.storage.video.tables import TableStore


KINDS = ("failed", "done", "archived", "paused", "begun", "waiting")
"""Of `stages.planning.video_list.Kind`."""
STYLES = {"failed": "red", "done": "green", "archived": "green"}
SHOWN = 50
"""Videos listed without --all; chosen: a screen or two."""


@click.command()
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=SHOWN,
    show_default=True,
    help="List so many, the newest.",
)
@click.option("--all", "everything", is_flag=True, help="List all.")
@click.option(
    "--state",
    "states",
    type=click.Choice(KINDS),
    multiple=True,
    help="Only videos in this state; may be given again.",
)
@json_option
@data_option
def videos(
    limit: int, everything: bool, states: tuple[str, ...], as_json: bool, data: str | None
) -> None:
    """List the registered videos, their state and their other names, the newest first.

    \b
    Examples:
      identity-pipeline videos
      identity-pipeline videos --state failed --all
      identity-pipeline videos --all --json | jq -r '.[].video'
      identity-pipeline sql "SELECT video_id, path FROM videos"     every video, for machines
    """
    from identity_pipeline.media.wording import counted
    from identity_pipeline.stages.planning.video_list import Kind, VideoList
    from identity_pipeline.storage.progress.pause import paused

    store = open_store(merged_settings(overrides(data)))
    known = VideoList.of(store)
    chosen = known.chosen([Kind(state) for state in states])
    shown = chosen if everything else chosen[:limit]
    if as_json:
        echo_json(list(_video_rows(known, store, shown)))
        return
    if not known.ids:
        say(f"No video yet. Drop one into {store.layout.videos}, or: identity-pipeline run FILE")
        return
    if shown:
        rows = _video_rows(known, store, shown)
        cells = ((row["video"], ", ".join(row["files"]), _state(known, row)) for row in rows)
        echo_table(("video", "file", "state"), cells)
    if len(chosen) > len(shown):
        say(f"… and {len(chosen) - len(shown)} more, --all shows them.")
    say(f"{counted(len(known.ids), 'video')}: {_counts(known)}.")
    if order := paused(store.layout):
        say(order.sentence())


def _counts(known: VideoList) -> str:
    from identity_pipeline.stages.planning.video_list import Kind

    counts = known.counts()
    return ", ".join(f"{counts[kind]} {kind.value}" for kind in Kind if counts[kind])


def _video_rows(
    known: VideoList, store: TableStore, shown: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """One object for each video, as `--json` prints it."""
    from identity_pipeline.stages.video.notes import notes
    from identity_pipeline.storage.files.small_files import DamagedFileError
    from identity_pipeline.storage.video.registry import VideoRegistry

    registry = VideoRegistry(store.layout)
    for video_id in shown:
        try:
            record, damage = registry.get(video_id), None
        except DamagedFileError as error:
            record, damage = None, error
        if record is None and damage is None:  # it was taken away meanwhile
            continue
        yield {
            "video": video_id,
            "files": _names(record) if record else [],
            "kind": "failed" if damage else known.kind(video_id).value,
            "state": f"damaged: {damage}" if damage else known.words(video_id),
            "notes": list(notes(store, video_id)),
        }


def _names(record: Registration) -> list[str]:
    """The names of its file, each once: copies of one name may lie in several folders."""
    return list(dict.fromkeys(Path(path).name for path in (record.path, *record.links)))


def _state(known: VideoList, row: Mapping[str, Any]) -> Text:
    style = STYLES.get(row["kind"], "")
    said = ((f"\n{visible(note)}", "yellow") for note in row["notes"])
    return Text.assemble((visible(row["state"]), style), *said)


@click.command()
@json_option
@click.argument("group", required=False)
def settings(group: str | None, as_json: bool) -> None:
    """Show every setting with its unit and where its value comes from; of one GROUP if given.

    Change one in settings.toml ([selection] novelty_min = 0.2) or by the environment
    (IDENTITY_PIPELINE__SELECTION__NOVELTY_MIN=0.2).
    """
    current = merged_settings({})
    known = list(type(current).model_fields)
    if group is not None and group not in known:
        meant = did_you_mean(group, known)
        raise click.UsageError(f"No group is called {group}{meant} Groups: {', '.join(known)}.")
    if as_json:
        shown = current.model_dump(mode="json")
        echo_json(shown if group is None else {group: shown[group]})
        return
    for name in known if group is None else [group]:
        _print_settings(name, getattr(current, name), current.numbers.source)


def _print_settings(name: str, group: BaseModel, of_models: Mapping[str, str]) -> None:
    """The settings of one group; a changed value is marked, and one that a model in use gives."""
    rows = []
    for field, info in type(group).model_fields.items():
        extra = info.json_schema_extra
        said = extra if isinstance(extra, dict) else {}
        value, source = getattr(group, field), of_models.get(f"{name}.{field}")
        shown: object = value
        if source is not None:
            shown = Text(f"{visible(str(value))} (the model's own)", "bold")
        elif value != info.default:
            shown = Text(f"{visible(str(value))} (changed)", "bold yellow")
        rows.append(
            (field, shown, said.get("unit"), info.description, source or said.get("source"))
        )
    columns = ("setting", "value", "unit", "what it does", "source")
    echo_table(columns, rows, title=f"[{name}] {type(group).__doc__}")
