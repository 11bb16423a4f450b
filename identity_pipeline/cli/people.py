"""The known people: the list, and what can be decided about a whole person."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from identity_pipeline.cli.curating import (
    TARGETS,
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
    from identity_pipeline.ledger import commands
    from identity_pipeline.ledger.commands import Planned
    from identity_pipeline.ledger.replay import History
    from identity_pipeline.stages.curation.curation import Curator


@click.command()
@click.option("--hidden", is_flag=True, help="Also those who are hidden.")
@json_option
@data_option
def people(hidden: bool, as_json: bool, data: str | None) -> None:
    """List the known people: their tracks, faces and videos, and what their profile holds.

    `confirmed` counts tracks by human decision; the other tracks were assigned by the machine at
    the last `recluster`.
    """
    from identity_pipeline.stages.library.view import people_rows

    _, library = open_library(data)
    rows = people_rows(library, hidden=hidden)
    if as_json:
        echo_json(rows)
        return
    if not rows:
        say(
            "Nobody is known yet. `identity-pipeline clusters` lists the unknown; "
            "`identity-pipeline label cluster 1 --name NAME` names them."
        )
        return
    echo_table(
        ("name", "id", ">tracks", ">confirmed", ">faces", ">videos", "profile", "state"),
        (
            (
                row["name"],
                str(row["person_id"])[:8],
                row["track_count"],
                row["confirmed"],
                row["face_count"],
                row["video_count"],
                row["label"] or "none yet",
                row["state"],
            )
            for row in rows
        ),
    )


@click.command()
@click.argument("person")
@click.argument("into")
@decision_options
def merge(person: str, into: str, actor: str, reason: str, dry_run: bool, data: str | None) -> None:
    """Say that PERSON is INTO, who keeps their name; exactly undone by `undo`, even much later."""
    from identity_pipeline.stages.curation.targets import find_person

    curator = open_curator(data, actor, reason, dry_run)
    pair = (find_person(curator.library, person), find_person(curator.library, into))
    tell(curator, [curator.merge(*pair)])


@click.command(epilog=TARGETS)
@click.argument("person")
@targets_argument
@click.option("--name", help="Name of the new person.  [default: none]")
@same_name_option
@decision_options
def split(
    person: str,
    targets: tuple[str, ...],
    name: str | None,
    same_name: bool,
    actor: str,
    reason: str,
    dry_run: bool,
    data: str | None,
) -> None:
    """Make a new person of some of PERSON's confirmed tracks; the two are never joined again."""
    from identity_pipeline.ledger.errors import NameTakenError
    from identity_pipeline.stages.curation.targets import find_person, find_targets

    curator = open_curator(data, actor, reason, dry_run)
    found = find_person(curator.library, person)
    subjects = find_targets(curator.library, targets, confirmed=True).subjects
    try:
        planned = curator.split(found, subjects, name, same_name)
    except NameTakenError as error:
        raise click.ClickException(
            f"{name!r} is already the name of {', '.join(error.person_ids)}. If the tracks are "
            f"theirs: identity-pipeline move {' '.join(targets)} --to {error.person_ids[0]}; "
            "if two people bear the name: add --same-name."
        ) from error
    tell(curator, [planned])


@click.command(epilog=TARGETS)
@targets_argument
@click.option("--from", "source", help="Whose they are.  [default: who has all of them]")
@click.option("--to", required=True, help="Whose they shall be.")
@decision_options
def move(
    targets: tuple[str, ...],
    source: str | None,
    to: str,
    actor: str,
    reason: str,
    dry_run: bool,
    data: str | None,
) -> None:
    """Give confirmed tracks of one person to another."""
    from identity_pipeline.stages.curation.targets import find_person, find_targets

    curator = open_curator(data, actor, reason, dry_run)
    subjects = find_targets(curator.library, targets, confirmed=True).subjects
    owner = find_person(curator.library, source) if source else curator.owner(subjects)
    tell(curator, [curator.move(owner, find_person(curator.library, to), subjects)])


@click.command()
@click.argument("person")
@click.argument("name")
@same_name_option
@decision_options
def rename(
    person: str,
    name: str,
    same_name: bool,
    actor: str,
    reason: str,
    dry_run: bool,
    data: str | None,
) -> None:
    """Give PERSON another NAME; nothing else changes, for a name is no key."""
    from identity_pipeline.ledger import commands
    from identity_pipeline.ledger.errors import NameTakenError
    from identity_pipeline.stages.curation.targets import find_person

    curator = open_curator(data, actor, reason, dry_run)
    found = find_person(curator.library, person)
    try:
        planned = curator.decide(
            lambda h, s: commands.rename(h, s, found, name, same_name=same_name)
        )
    except NameTakenError as error:
        raise click.ClickException(
            f"{name!r} is already the name of {', '.join(error.person_ids)}. If the two are "
            f"one person: identity-pipeline merge {found} {error.person_ids[0]}; if two people "
            "bear the name: add --same-name."
        ) from error
    tell(curator, [planned])


def _of_person(
    curator: Curator, person: str, command: Callable[[History, commands.Stamp, str], Planned]
) -> None:
    from identity_pipeline.stages.curation.targets import find_person

    found = find_person(curator.library, person)
    tell(curator, [curator.decide(lambda h, s: command(h, s, found))])


@click.command()
@click.argument("person")
@decision_options
def hide(person: str, actor: str, reason: str, dry_run: bool, data: str | None) -> None:
    """Leave PERSON out of lists; they are still recognised."""
    from identity_pipeline.ledger import commands

    _of_person(open_curator(data, actor, reason, dry_run), person, commands.hide)


@click.command()
@click.argument("person")
@decision_options
def unhide(person: str, actor: str, reason: str, dry_run: bool, data: str | None) -> None:
    """List PERSON again."""
    from identity_pipeline.ledger import commands

    _of_person(open_curator(data, actor, reason, dry_run), person, commands.unhide)


@click.command(epilog=TARGETS)
@click.argument("person")
@click.argument("target", nargs=-1, required=True)
@decision_options
def cover(
    person: str,
    target: tuple[str, ...],
    actor: str,
    reason: str,
    dry_run: bool,
    data: str | None,
) -> None:
    """Choose the picture of PERSON: one confirmed track, or one face of it, which is then shown."""
    from identity_pipeline.ledger import commands
    from identity_pipeline.stages.curation.targets import find_person, find_targets

    curator = open_curator(data, actor, reason, dry_run)
    found = find_person(curator.library, person)
    chosen = find_targets(curator.library, target, confirmed=True)
    if len(chosen.subjects) != 1:
        raise click.UsageError(f"a cover is one track; {len(chosen.subjects)} are given.")
    subject = chosen.subjects[0]
    face = chosen.faces.get(subject)
    tell(
        curator,
        [curator.decide(lambda h, s: commands.set_cover(h, s, found, subject, face), [subject])],
    )
