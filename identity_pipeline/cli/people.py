"""The known people: the list, and what can be decided about a whole person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from identity_pipeline.cli.curating import (
    TARGETS,
    decision,
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


@click.command()
@click.option("--hidden", is_flag=True, help="Also those who are hidden.")
@looking
def people(settings: Settings, library: LibrarySnapshot, hidden: bool, as_json: bool) -> None:
    """List the known people: their tracks, videos and photographs, and what their profile holds.

    `confirmed` counts tracks by human decision; the other tracks were assigned by the machine at
    the last `recluster`.
    """
    from identity_pipeline.stages.curation.consents import unprofiled
    from identity_pipeline.stages.library.view import people_rows

    refused = unprofiled(library.stores, library.state, settings)
    if unreadable := library.stores.ledger.unreadable(library.history):
        say(unreadable, err=True)
    rows = people_rows(library, hidden=hidden)
    for row in rows:
        if row["fault"] and not as_json:
            say(row["fault"], err=True)
    show_rows(
        rows,
        as_json,
        {
            "name": "name",
            "id": lambda row: row["person_id"][:8],
            ">tracks": "track_count",
            ">confirmed": "confirmed",
            ">faces": "face_count",
            ">videos": "video_count",
            ">photo sets": "photo_set_count",
            "profile": lambda row: _profile(row, refused),
            "state": "state",
        },
        "Nobody is known yet. `identity-pipeline clusters` lists the unknown; "
        "`identity-pipeline label cluster 1 --name NAME` names them.",
    )


def _profile(row: Mapping[str, Any], refused: Mapping[str, str]) -> str:
    if row["fault"]:
        return "cannot be read"
    return row["label"] or refused.get(row["person_id"], "none yet")


@click.command()
@click.argument("person")
@click.argument("into")
@decision
def merge(curator: Curator, person: str, into: str) -> Iterator[Planned]:
    """Say that PERSON is INTO, who keeps their name; exactly undone by `undo`, even much later."""
    yield curator.merge(curator.person(person), curator.person(into))


@click.command(epilog=TARGETS)
@click.argument("person")
@targets_argument
@click.option("--name", help="Name of the new person.  [default: none]")
@same_name_option
@decision
def split(
    curator: Curator, person: str, targets: tuple[str, ...], name: str | None, same_name: bool
) -> Iterator[Planned]:
    """Make a new person of some of PERSON's confirmed tracks; the two are never joined again."""
    found, tracks = curator.person(person), curator.tracks(targets, confirmed=True)
    with free_name(
        lambda them: (
            f"If the tracks are theirs: identity-pipeline move {' '.join(targets)} --to {them}"
        )
    ):
        yield curator.split(found, tracks, name, same_name)


@click.command(epilog=TARGETS)
@targets_argument
@click.option("--from", "source", help="Whose they are.  [default: who has all of them]")
@click.option("--to", required=True, help="Whose they shall be.")
@decision
def move(
    curator: Curator, targets: tuple[str, ...], source: str | None, to: str
) -> Iterator[Planned]:
    """Give confirmed tracks of one person to another."""
    tracks = curator.tracks(targets, confirmed=True)
    owner = curator.person(source) if source else curator.owner(tracks)
    yield curator.move(owner, curator.person(to), tracks)


@click.command()
@click.argument("person")
@click.argument("name")
@same_name_option
@decision
def rename(curator: Curator, person: str, name: str, same_name: bool) -> Iterator[Planned]:
    """Give PERSON another NAME; nothing else changes, for a name is no key."""
    found = curator.person(person)
    with free_name(
        lambda them: f"If the two are one person: identity-pipeline merge {found} {them}"
    ):
        yield curator.rename(found, name, same_name=same_name)


@click.command()
@click.argument("person")
@decision
def hide(curator: Curator, person: str) -> Iterator[Planned]:
    """Leave PERSON out of lists; they are still recognised."""
    yield curator.hide(curator.person(person), hidden=True)


@click.command()
@click.argument("person")
@decision
def unhide(curator: Curator, person: str) -> Iterator[Planned]:
    """List PERSON again."""
    yield curator.hide(curator.person(person), hidden=False)


@click.command(epilog=TARGETS)
@click.argument("person")
@click.argument("target", nargs=-1, required=True)
@decision
def cover(curator: Curator, person: str, target: tuple[str, ...]) -> Iterator[Planned]:
    """Choose the picture of PERSON: one confirmed track, or one face of it, which is then shown."""
    from identity_pipeline.stages.curation.targets import find_targets

    found, chosen = curator.person(person), find_targets(curator.library, target, confirmed=True)
    if len(chosen.subjects) != 1:
        raise click.UsageError(f"a cover is one track; {len(chosen.subjects)} are given.")
    track = chosen.subjects[0]
    yield curator.show_by(found, track, chosen.faces.get(track))
