"""What all commands of the curator share: options, the library they open, lists, effects."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import wraps
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import click

from identity_pipeline.cli.lists import echo_json, echo_table, json_option, say
from identity_pipeline.cli.options import data_option, merged_settings, open_stores, overrides

if TYPE_CHECKING:
    from identity_pipeline.ledger.commands import Planned
    from identity_pipeline.ledger.events import Event
    from identity_pipeline.settings import Settings
    from identity_pipeline.stages.curation.curation import Curator
    from identity_pipeline.stages.curation.snapshot import LibrarySnapshot


TOLD = 20
"""Decisions of one command that are told each; of more of them the number is."""
Columns = Mapping[str, str | Callable[[Any], object]]
"""What a list shows of a row, by the heading: a column of it, or what is made of it."""
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


def decision_options(command: Callable[..., None]) -> Callable[..., None]:
    """`--as`, `--reason`, `--dry-run` and `--data`."""
    for option in (
        data_option,
        click.option("--dry-run", is_flag=True, help="Say what would change, and write nothing."),
        click.option("--reason", default="", help="Why, for the history."),
        actor_option,
    ):
        command = option(command)
    return command


def carry_out(
    command: Callable[..., Iterable[Planned]],
    actor: str,
    reason: str,
    dry_run: bool,
    data: str | None,
    **own: Any,
) -> None:
    """Carries out what a curator decides, and tells what it changed.

    Args:
        command: is given the curator and its own arguments, and yields its decisions; those before
            one that is refused are in force, and told.
        actor: who decides.
        reason: in their words.
        dry_run: plan only; nothing is written.
        data: the data folder, where it was given.
        own: the arguments of the command.
    """
    curator, planned = _curator(data, actor, reason, dry_run), []
    try:
        for decided in command(curator, **own):
            planned.append(decided)
    finally:
        if planned:
            _tell(curator, planned)


def decision(command: Callable[..., Iterable[Planned]]) -> Callable[..., None]:
    """A command that decides: has `decision_options`, and is carried out by `carry_out`."""

    @decision_options
    @wraps(command)
    def decided(**given: Any) -> None:
        carry_out(command, **given)

    return decided


def looking(command: Callable[..., None]) -> Callable[..., None]:
    """A command that looks at the library: `--json` and `--data`; nothing is written.

    The function is given the settings and the library, then the command's own arguments.
    """

    @json_option
    @data_option
    @wraps(command)
    def shown(data: str | None, **own: Any) -> None:
        command(*open_library(data), **own)

    return shown


def now() -> str:
    """The time, in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def open_library(data: str | None) -> tuple[Settings, LibrarySnapshot]:
    """Settings and library, to look at; nothing is written."""
    from identity_pipeline.stages.curation.snapshot import LibrarySnapshot

    settings = merged_settings(overrides(data))
    return settings, LibrarySnapshot.open(open_stores(settings), now(), write=False)


def _curator(data: str | None, actor: str, reason: str, dry_run: bool) -> Curator:
    from identity_pipeline.stages.curation.curation import Curator
    from identity_pipeline.stages.curation.snapshot import LibrarySnapshot

    if not actor.strip():
        raise click.UsageError("--as must name somebody.")
    stores, time = open_stores(merged_settings(overrides(data))), now()
    library = LibrarySnapshot.open(stores, time, write=not dry_run)
    return Curator(library, actor, time, reason, dry_run)


@contextmanager
def free_name(otherwise: Callable[[str], str]) -> Iterator[None]:
    """Says what to do where somebody bears a new name already.

    Args:
        otherwise: what to do if it is the same person, by the id of the one who bears it.
    """
    from identity_pipeline.ledger.errors import NameTakenError

    try:
        yield
    except NameTakenError as error:
        bearers = ", ".join(error.person_ids)
        raise click.ClickException(
            f"{error.name!r} is already the name of {bearers}. {otherwise(error.person_ids[0])}; "
            "if two people bear the name: add --same-name."
        ) from error


def _tell(curator: Curator, planned: Sequence[Planned]) -> None:
    """Prints what changed, or would change, and what to do next."""
    if curator.dry_run:
        say("Dry run, nothing is written. It would change:")
    for decided in planned[:TOLD]:
        head = "" if curator.dry_run else f"#{decided.event.seq} "
        say(f"{head}{decided.effect}")
    if more := len(planned[TOLD:]):
        say(f"and {more} more.")
    if not curator.dry_run:
        _tell_next(curator, planned)


def _tell_next(curator: Curator, planned: Sequence[Planned]) -> None:
    """Prints what to do next, and what takes it back."""
    taken_back = planned[0].event.kind == "undo"
    numbers = " ".join(str(decided.event.seq) for decided in reversed(planned))
    last = "last" if len(planned) == 1 and not taken_back else numbers
    first = _next_step(curator, planned)
    undoes = "brings it back" if taken_back else "takes it back"
    if len(planned) > TOLD:
        say(f"{first}; `identity-pipeline events` lists them, `identity-pipeline undo` takes back.")
        return
    say(f"{first}; `identity-pipeline undo {last}` {undoes}.")


def _next_step(curator: Curator, planned: Sequence[Planned]) -> str:
    """What brings up to date what follows from decisions."""
    videos = {video for decided in planned for video in _videos_of_pictures(curator, decided.event)}
    rides = sorted(v for v in videos if curator.library.stores.photos.get(v) is None)
    if rides:
        return f"`identity-pipeline run {' '.join(rides)}` makes the sets anew"
    if videos:
        return "`identity-pipeline export` makes their datasets anew"
    if all(decided.event.kind == "consent" for decided in planned):
        return "`identity-pipeline plan` says what follows for rides"
    if curator.library.generation is None:
        return "Nothing was grouped yet, so run `identity-pipeline recluster` next"
    return "`identity-pipeline recluster` brings the rest of the library up to date"


def _videos_of_pictures(curator: Curator, event: Event) -> set[str]:
    """The videos whose pictures an event is about, or what it takes back."""
    from identity_pipeline.ledger import subjects as ids

    while event.kind == "undo":
        event = curator.library.history.event(event.event_id)
    several = event.named_subjects if event.kind.startswith("picture_") else ()
    return {ids.parse(subject).video_id for subject in several}


def show_rows(
    rows: Sequence[Mapping[str, Any]],
    as_json: bool,
    columns: Columns,
    nothing: str,
) -> bool:
    """Prints rows as JSON or as a table; whether a table was shown.

    Args:
        rows: to be shown.
        as_json: for machines.
        columns: see `Columns`.
        nothing: what is said where there is no row.
    """
    if as_json:
        echo_json(rows)
    elif not rows:
        say(nothing)
    else:
        cells = [c if callable(c) else itemgetter(c) for c in columns.values()]
        echo_table(tuple(columns), ([cell(row) for cell in cells] for row in rows))
    return bool(rows) and not as_json


def short_track(track_key: object) -> str:
    """`VIDEO:N`, as it may be typed."""
    return str(track_key).removeprefix("track:")


def counted(number: int, noun: str) -> str:
    """`1 track`, `2 tracks`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
