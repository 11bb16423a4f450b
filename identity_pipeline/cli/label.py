"""Saying who is who: `label`, `confirm`, `reject`, `not-a-face`, `ignore`, and taking it back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from identity_pipeline.cli.curating import (
    TARGETS,
    carry_out,
    counted,
    decision,
    decision_options,
    free_name,
    looking,
    same_name_option,
    show_rows,
    targets_argument,
)
from identity_pipeline.cli.lists import say

if TYPE_CHECKING:
    from identity_pipeline.ledger.commands import Planned
    from identity_pipeline.settings import Settings
    from identity_pipeline.stages.curation.curation import Curator
    from identity_pipeline.stages.curation.snapshot import LibrarySnapshot


@click.command(epilog=TARGETS)
@targets_argument
@click.option("--name", help="Makes a new person of this name.")
@click.option("--person", help="Gives them to a known person: name, id, or its beginning.")
@same_name_option
@decision_options
def label(name: str | None, person: str | None, same_name: bool, **given: Any) -> None:
    """Say who TARGET is: a new person (--name) or a known one (--person).

    \b
      identity-pipeline label cluster 5 --name Ada
      identity-pipeline label ride_7:4 ride_9:1 --person Ada --dry-run

    The decision is kept for ever (`events` shows it, `undo` takes it back), and no recompute ever
    changes it.
    """
    if (name is None) == (person is None):
        raise click.UsageError("give one of --name (a new person) and --person (a known one).")
    if same_name and name is None:
        raise click.UsageError("--same-name goes with --name.")
    carry_out(_label, name=name, person=person, same_name=same_name, **given)


def _label(
    curator: Curator,
    targets: tuple[str, ...],
    name: str | None,
    person: str | None,
    same_name: bool,
) -> Iterator[Planned]:
    tracks = curator.tracks(targets)
    if person is not None:
        yield curator.confirm(curator.person(person), tracks)
        return
    with free_name(
        lambda them: (
            "If it is the same person: identity-pipeline label "
            f"{' '.join(targets)} --person {them} (or, where this is "
            f"somebody else already, identity-pipeline merge THEM {them})"
        )
    ):
        yield curator.name(str(name), tracks, same_name=same_name)


@click.command(epilog=TARGETS)
@targets_argument
@click.option("--person", help="Who they are.  [default: whom the machine names or suggests]")
@decision
def confirm(curator: Curator, targets: tuple[str, ...], person: str | None) -> Iterator[Planned]:
    """Confirm what the machine says of TARGET, so that it becomes evidence.

    Only what a human confirmed is compared with; automatic assignments never are.
    """
    tracks = curator.tracks(targets)
    if person is None:
        yield from curator.confirm_machine(tracks)
    else:
        yield curator.confirm(curator.person(person), tracks)


@click.command(epilog=TARGETS)
@targets_argument
@click.option("--person", help="Who they are not.  [default: whom the machine or a human named]")
@decision
def reject(curator: Curator, targets: tuple[str, ...], person: str | None) -> Iterator[Planned]:
    """Say that TARGET is not a person, for ever; takes it off them if it was."""
    tracks = curator.tracks(targets)
    if person is not None:
        yield curator.reject(curator.person(person), tracks)
        return
    for one, keys in curator.by_machine(tracks, "--person says who it is not").items():
        yield curator.reject(one, keys)


@click.command("not-a-face", epilog=TARGETS)
@targets_argument
@decision
def not_a_face(curator: Curator, targets: tuple[str, ...]) -> Iterator[Planned]:
    """Say that TARGET is no face at all; a face stands for its whole track."""
    yield curator.not_a_face(curator.tracks(targets))


@click.command(epilog=TARGETS)
@targets_argument
@decision
def ignore(curator: Curator, targets: tuple[str, ...]) -> Iterator[Planned]:
    """Say that nobody wants to know who TARGET is (a guard, a poster)."""
    yield curator.ignore(curator.tracks(targets))


@click.command()
@click.argument("events", nargs=-1, required=True, metavar="EVENT...")
@decision
def undo(curator: Curator, events: tuple[str, ...]) -> Iterator[Planned]:
    """Take decisions back, exactly, one after the other.

    EVENT is a number or id as `events` lists it, or `last`: the last decision in force. Undoing an
    undo brings its decision back. One that later decisions need is refused, and they are named.
    """
    from identity_pipeline.stages.curation.targets import find_event

    for word in events:
        yield curator.undo(find_event(curator.library, word))


@click.command()
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many.")
@click.option("--verify", is_flag=True, help="Read and check every event, from the first.")
@looking
def events(
    settings: Settings, library: LibrarySnapshot, limit: int, verify: bool, as_json: bool
) -> None:
    """List what was decided, the newest first: when, by whom, with which effect."""
    from identity_pipeline.stages.library.view import event_rows

    del settings
    if verify:
        count = len(library.stores.ledger.verify().events)
        say(f"{counted(count, 'event')} checked; each is as it was written.")
        return
    show_rows(
        list(event_rows(library.history, limit)),
        as_json,
        {
            "#": "seq",
            "time": lambda row: row["time"][:19].replace("T", " "),
            "who": "actor",
            "what": "kind",
            "effect": "effect",
            "reason": "reason",
            "undone": lambda row: "undone" if row["undone"] else "",
        },
        "Nothing was decided yet. To begin: identity-pipeline clusters",
    )
