"""What all commands of the curator share: options, errors in one sentence, effects."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from identity_pipeline.cli.lists import say
from identity_pipeline.cli.options import (
    data_option,
    merged_settings,
    open_stores,
    overrides,
)

if TYPE_CHECKING:
    from identity_pipeline.ledger.commands import Planned
    from identity_pipeline.settings import Settings
    from identity_pipeline.stages.curation.curation import Curator
    from identity_pipeline.stages.curation.snapshot import LibrarySnapshot


Command = TypeVar("Command", bound=Callable[..., Any])
same_name_option = click.option(
    "--same-name", is_flag=True, help="Two people bear this name, and this is the other one."
)
targets_argument = click.argument("targets", nargs=-1, required=True, metavar="TARGET...")
TARGETS = """\b
TARGET is any of
  ride_7:4              a track: a video (id, or the beginning of one) and its number
  ride_7@000812-1       a face, as `why` names it; it stands for its whole track
  cluster 5             all tracks of unknown_cluster_5
  unknown_noise_000812-1
  3f9a04c2...           a suggestion, for its track
  Ada                   a person by name or id, for all their tracks
"""


actor_option = click.option(
    "--as",
    "actor",
    default=lambda: os.environ.get("USER") or "unknown",
    help="Who decides.  [default: $USER]",
)


def decision_options(command: Command) -> Command:
    """`--as`, `--reason`, `--dry-run` and `--data`."""
    for option in (
        data_option,
        click.option("--dry-run", is_flag=True, help="Say what would change, and write nothing."),
        click.option("--reason", default="", help="Why, for the history."),
        actor_option,
    ):
        command = option(command)
    return command


def now() -> str:
    """The time, in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def open_library(data: str | None) -> tuple[Settings, LibrarySnapshot]:
    """Settings and library, to look at; nothing is written."""
    from identity_pipeline.stages.curation.snapshot import LibrarySnapshot

    settings = merged_settings(overrides(data))
    return settings, LibrarySnapshot.open(open_stores(settings), now(), write=False)


def open_curator(data: str | None, actor: str, reason: str, dry_run: bool) -> Curator:
    """Who decides, with the library before them."""
    from identity_pipeline.stages.curation.curation import Curator
    from identity_pipeline.stages.curation.snapshot import LibrarySnapshot

    if not actor.strip():
        raise click.UsageError("--as must name somebody.")
    time = now()
    library = LibrarySnapshot.open(
        open_stores(merged_settings(overrides(data))), time, write=not dry_run
    )
    return Curator(library, actor, time, reason, dry_run)


def tell(curator: Curator, planned: Sequence[Planned], undoing: str = "takes it back") -> None:
    """Prints what changed, or would change, and what to do next."""
    if curator.dry_run:
        say("Dry run, nothing is written. It would change:")
    for decision in planned:
        head = "" if curator.dry_run else f"#{decision.event.seq} "
        say(f"{head}{decision.effect}")
    if curator.dry_run:
        return
    numbers = [str(decision.event.seq) for decision in reversed(planned)]
    last = "last" if len(planned) == 1 and undoing == "takes it back" else " ".join(numbers)
    first = (
        "nothing was grouped yet, so run `identity-pipeline recluster` next"
        if curator.library.generation is None
        else "`identity-pipeline recluster` brings the rest of the library up to date"
    )
    say(f"{first[0].upper()}{first[1:]}; `identity-pipeline undo {last}` {undoing}.")


def short_track(track_key: object) -> str:
    """`VIDEO:N`, as it may be typed."""
    return str(track_key).removeprefix("track:")


def counted(number: int, noun: str) -> str:
    """`1 track`, `2 tracks`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
