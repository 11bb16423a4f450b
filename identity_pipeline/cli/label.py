"""Saying who is who: `label`, `confirm`, `reject`, `not-a-face`, `ignore`, and taking it back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from identity_pipeline.cli.curating import (
    TARGETS,
    counted,
    decision_options,
    open_curator,
    open_library,
    same_name_option,
    targets_argument,
    tell,
)
from identity_pipeline.cli.lists import echo_json, echo_table, json_option, say
from identity_pipeline.cli.options import data_option

if TYPE_CHECKING:
    from identity_pipeline.ledger.errors import NameTakenError


@click.command(epilog=TARGETS)
@targets_argument
@click.option("--name", help="Makes a new person of this name.")
@click.option("--person", help="Gives them to a known person: name, id, or its beginning.")
@same_name_option
@decision_options
def label(
    targets: tuple[str, ...],
    name: str | None,
    person: str | None,
    same_name: bool,
    actor: str,
    reason: str,
    dry_run: bool,
    data: str | None,
) -> None:
    """Say who TARGET is: a new person (--name) or a known one (--person).

    \b
      identity-pipeline label cluster 5 --name Ada
      identity-pipeline label ride_7:4 ride_9:1 --person Ada --dry-run

    The decision is kept for ever (`events` shows it, `undo` takes it back), and no recompute ever
    changes it.
    """
    from identity_pipeline.ledger.errors import NameTakenError
    from identity_pipeline.stages.curation.targets import find_person, find_targets

    if (name is None) == (person is None):
        raise click.UsageError("give one of --name (a new person) and --person (a known one).")
    if same_name and name is None:
        raise click.UsageError("--same-name goes with --name.")
    curator = open_curator(data, actor, reason, dry_run)
    subjects = find_targets(curator.library, targets).subjects
    if person is not None:
        found = find_person(curator.library, person)
        tell(curator, [curator.confirm(found, subjects)])
        return
    try:
        planned = curator.name(str(name), subjects, same_name=same_name)
    except NameTakenError as error:
        raise click.ClickException(name_taken(error, " ".join(targets))) from error
    tell(curator, [planned])


def name_taken(error: NameTakenError, targets: str) -> str:
    """What to do where somebody bears the name already."""
    bearers = ", ".join(error.person_ids)
    return (
        f"{error.name!r} is already the name of {bearers}. If it is the same person: "
        f"identity-pipeline label {targets} --person {error.person_ids[0]} (or, where this is "
        f"somebody else already, identity-pipeline merge THEM {error.person_ids[0]}); if two "
        "people bear the name: add --same-name."
    )


@click.command(epilog=TARGETS)
@targets_argument
@click.option("--person", help="Who they are.  [default: whom the machine names or suggests]")
@decision_options
def confirm(
    targets: tuple[str, ...],
    person: str | None,
    actor: str,
    reason: str,
    dry_run: bool,
    data: str | None,
) -> None:
    """Confirm what the machine says of TARGET, so that it becomes evidence.

    Only what a human confirmed is compared with; automatic assignments never are.
    """
    from identity_pipeline.stages.curation.targets import find_person, find_targets

    curator = open_curator(data, actor, reason, dry_run)
    subjects = find_targets(curator.library, targets).subjects
    if person is None:
        tell(curator, curator.confirm_machine(subjects))
    else:
        found = find_person(curator.library, person)
        tell(curator, [curator.confirm(found, subjects)])


@click.command(epilog=TARGETS)
@targets_argument
@click.option("--person", help="Who they are not.  [default: whom the machine or a human named]")
@decision_options
def reject(
    targets: tuple[str, ...],
    person: str | None,
    actor: str,
    reason: str,
    dry_run: bool,
    data: str | None,
) -> None:
    """Say that TARGET is not a person, for ever; takes it off them if it was."""
    from identity_pipeline.stages.curation.targets import find_person, find_targets

    curator = open_curator(data, actor, reason, dry_run)
    subjects = find_targets(curator.library, targets).subjects
    if person is not None:
        groups = {find_person(curator.library, person): list(subjects)}
    else:
        groups = curator.by_machine(subjects, "--person says who it is not")
    tell(curator, [curator.reject(one, keys) for one, keys in groups.items()])


@click.command("not-a-face", epilog=TARGETS)
@targets_argument
@decision_options
def not_a_face(
    targets: tuple[str, ...], actor: str, reason: str, dry_run: bool, data: str | None
) -> None:
    """Say that TARGET is no face at all; a face stands for its whole track."""
    from identity_pipeline.ledger import commands
    from identity_pipeline.stages.curation.targets import find_targets

    curator = open_curator(data, actor, reason, dry_run)
    subjects = find_targets(curator.library, targets).subjects
    tell(curator, [curator.decide(lambda h, s: commands.not_a_face(h, s, subjects), subjects)])


@click.command(epilog=TARGETS)
@targets_argument
@decision_options
def ignore(
    targets: tuple[str, ...], actor: str, reason: str, dry_run: bool, data: str | None
) -> None:
    """Say that nobody wants to know who TARGET is (a guard, a poster)."""
    from identity_pipeline.ledger import commands
    from identity_pipeline.stages.curation.targets import find_targets

    curator = open_curator(data, actor, reason, dry_run)
    subjects = find_targets(curator.library, targets).subjects
    tell(curator, [curator.decide(lambda h, s: commands.ignore(h, s, subjects), subjects)])


@click.command()
@click.argument("events", nargs=-1, required=True, metavar="EVENT...")
@decision_options
def undo(events: tuple[str, ...], actor: str, reason: str, dry_run: bool, data: str | None) -> None:
    """Take decisions back, exactly, one after the other.

    EVENT is a number or id as `events` lists it, or `last`: the last decision in force. Undoing an
    undo brings its decision back. One that later decisions need is refused, and they are named.
    """
    from identity_pipeline.stages.curation.targets import find_event

    curator = open_curator(data, actor, reason, dry_run)
    planned = []
    try:
        for word in events:
            planned.append(curator.undo(find_event(curator.library, word)))
    finally:
        if planned:
            tell(curator, planned, "brings it back")


@click.command()
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many.")
@click.option("--verify", is_flag=True, help="Read and check every event, from the first.")
@json_option
@data_option
def events(limit: int, verify: bool, as_json: bool, data: str | None) -> None:
    """List what was decided, the newest first: when, by whom, with which effect."""
    from identity_pipeline.stages.library.view import event_rows

    _, library = open_library(data)
    if verify:
        count = len(library.stores.ledger.verify().events)
        say(f"{counted(count, 'event')} checked; each is as it was written.")
        return
    rows = list(event_rows(library.history, limit))
    if as_json:
        echo_json(rows)
        return
    if not rows:
        say("Nothing was decided yet. To begin: identity-pipeline clusters")
        return
    echo_table(
        ("#", "time", "who", "what", "effect", "reason", "undone"),
        (
            (
                row["seq"],
                str(row["time"])[:19].replace("T", " "),
                row["actor"],
                row["kind"],
                row["effect"],
                row["reason"],
                "undone" if row["undone"] else "",
            )
            for row in rows
        ),
    )
