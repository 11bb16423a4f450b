"""`identity-pipeline heads` and `reassign`: which head is live, going back, and what it moves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from identity_pipeline.cli.curating import counted, now, show_rows
from identity_pipeline.cli.index import bar
from identity_pipeline.cli.lists import echo_json, json_option, say
from identity_pipeline.cli.options import data_option, merged_settings, open_stores, overrides
from identity_pipeline.cli.review import compared, put_in_force, tell_changes, tell_followed
from identity_pipeline.cli.working import refuse_unless_ready

if TYPE_CHECKING:
    from identity_pipeline.stages.library.spaces import LiveSpace
    from identity_pipeline.stages.stores import LibraryStores


@click.group(invoke_without_command=True)
@json_option
@data_option
@click.pass_context
def heads(context: click.Context, as_json: bool, data: str | None) -> None:
    """List the heads that were trained, how each was judged, and which one is live.

    \b
      identity-pipeline heads                   the list
      identity-pipeline heads rollback          back to what was live before
      identity-pipeline heads export 3f9a0c...  a copy as ONNX
    """
    if context.invoked_subcommand is not None:
        return
    kept = open_stores(merged_settings(overrides(data))).heads
    live = kept.live()
    rows = [
        {
            "head_id": card.head_id,
            "session": card.session,
            "epochs": f"{card.epochs}/{card.planned}",
            "taught_by": dict(card.teaching),
            "live": card.head_id == live.head_id,
            "verdict": (kept.evaluation(card.head_id) or {}).get("sentence", "not judged yet"),
        }
        for card in kept.cards()
    ]
    if as_json:
        echo_json({"live": live.head_id, "changes": [vars(c) for c in live.changes], "heads": rows})
        return
    columns = {
        "head": "head_id",
        ">session": "session",
        ">epochs": "epochs",
        "taught by": lambda row: ", ".join(f"{n} {what}" for what, n in row["taught_by"].items()),
        "live": lambda row: "live" if row["live"] else "",
        "verdict": "verdict",
    }
    nothing = "No head was trained yet; the recogniser alone decides. identity-pipeline train"
    if show_rows(rows, as_json, columns, nothing) and live.head_id is None:
        say("The recogniser alone decides.")


@heads.command()
@data_option
def rollback(data: str | None) -> None:
    """Go back to the head (or the recogniser alone) that was live before; again goes further."""
    kept = open_stores(merged_settings(overrides(data))).heads
    live = kept.roll_back(now(), "rolled back")
    what = "The recogniser alone" if live.head_id is None else f"Head {live.head_id}"
    say(
        f"{what} is live again. `identity-pipeline reassign --use-trained-model` puts it in force "
        "now; in the UI the sensor library_changed does."
    )


@heads.command()
@click.argument("head_id")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@data_option
def export(head_id: str, file: Path, data: str | None) -> None:
    """Copy HEAD_ID's ONNX graph to FILE; input `e_id` (n, D), output `e_head` (n, K)."""
    kept = open_stores(merged_settings(overrides(data))).heads
    source = kept.folder(head_id) / "head.onnx"
    if not source.is_file():
        raise click.ClickException(
            f"the training of head {head_id} was not completed, so it was not exported; "
            "`identity-pipeline train --resume` goes on."
        )
    file.write_bytes(source.read_bytes())
    say(f"{file}: {file.stat().st_size // 1000} kB")


@click.command()
@click.option(
    "--use-trained-model/--recogniser-only",
    "trained",
    default=True,
    show_default=True,
    help="In the space of the head that is live, or as if none were.",
)
@click.option("--head", "head_id", help="As if this head were live; only looked at, never written.")
@click.option("--dry-run", is_flag=True, help="Only show what would move.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@data_option
def reassign(
    trained: bool, head_id: str | None, dry_run: bool, yes: bool, data: str | None
) -> None:
    """Recompute who everybody is in the space of the trained head: shows the difference first.

    What humans decided never changes. `--recogniser-only` and `--head` only show; to go back for
    good, `identity-pipeline heads rollback`.
    """
    from identity_pipeline.stages.library.recompute import recompute

    settings = merged_settings(overrides(data))
    stores = open_stores(settings)
    if not dry_run:
        refuse_unless_ready(stores.tables, settings)
    with bar() as report:
        space = _space(stores, trained, head_id)
        preview = recompute(stores, settings, now(), report, publish=False, space=space)
    if space.unfit:
        raise click.ClickException(space.unfit)
    where = "the recogniser's space" if space.head_id is None else f"the space of {space.head_id}"
    say(f"In {where}:")
    tell_changes(preview, compared(stores, preview), dry_run=True)
    if dry_run or head_id is not None or not trained:
        return
    if not yes and not click.confirm("Put this in force?"):
        say("Nothing was changed.")
        return
    with bar() as report:
        updated = put_in_force(stores, settings, report)
    done = updated.library
    say(f"{counted(done.tracks, 'track')} in generation {done.generation.number}.")
    tell_followed(updated)


def _space(stores: LibraryStores, trained: bool, head_id: str | None) -> LiveSpace:
    """Of a named head, of the one that is live, or the recogniser's."""
    from identity_pipeline.stages.library.spaces import LiveSpace, live_space

    if head_id is not None:
        return LiveSpace(stores.heads.card(head_id).head_id)
    return live_space(stores) if trained else LiveSpace(None)
