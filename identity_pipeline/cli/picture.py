"""`identity-pipeline picture`: what a human knows better about single pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

import click

from identity_pipeline.cli.curating import counted, decision, looking, open_library, show_rows
from identity_pipeline.cli.lists import say
from identity_pipeline.cli.options import data_option, merged_settings, overrides
from identity_pipeline.ledger import events as ev

if TYPE_CHECKING:
    from identity_pipeline.ledger.commands import Planned
    from identity_pipeline.settings import Settings
    from identity_pipeline.stages.curation.curation import Curator
    from identity_pipeline.stages.curation.snapshot import LibrarySnapshot

PICTURES = """\b
PICTURE is any of
  ride_7@000812-1       a face, as `why` names it: frame 812, face 1
  data/output/ride_7-3f9a04c2/identity_builder/person_0/anchors/anchor_001.jpg
"""
pictures_argument = click.argument("pictures", nargs=-1, required=True, metavar="PICTURE...")


@click.group()
def picture() -> None:
    """Say which pictures are good, which never come back, and what the machine read wrong.

    \b
      identity-pipeline picture reject ride_7@000812-1 --fault eyes
      identity-pipeline picture accept ride_7@000640-0
      identity-pipeline picture anchor ride_7@000640-0 --instead-of ride_7@000812-1
      identity-pipeline picture bins ride_7@000812-1 --expression smile --yaw 20
      identity-pipeline picture order ride_7@000640-0 ride_7@000015-0
      identity-pipeline picture list ride_7
      identity-pipeline picture labels decided.csv

    A decision is on the face itself, so it holds under every later model and setting. What follows
    from it is made at the next run of the ride: `identity-pipeline plan` says what that is.
    """


@picture.command(epilog=PICTURES)
@pictures_argument
@decision
def accept(curator: Curator, pictures: tuple[str, ...]) -> Iterator[Planned]:
    """Say that a PICTURE is good: it is in a set, unless a hard rule forbids it.

    Hard rules are those on who is shown: the face must surely be the rider's, no other face may be
    in the crop, and the frame must not cut it. A face that is too poor to be measured at all is in
    no set either. `identity-pipeline why` says which one it was.
    """
    yield curator.accept_pictures(curator.pictures(pictures))


@picture.command(epilog=PICTURES)
@pictures_argument
@click.option(
    "--fault",
    type=click.Choice(get_args(ev.Fault)),
    default="other",
    show_default=True,
    help="What is wrong with it; not_them: it shows somebody else.",
)
@decision
def reject(curator: Curator, pictures: tuple[str, ...], fault: str) -> Iterator[Planned]:
    """Say that a PICTURE is bad: it, and its like within a moment, are in no set again.

    The next best takes its place, in the sets of the ride and in those of the person.
    """
    yield curator.reject_pictures(curator.pictures(pictures), cast("ev.Fault", fault))


@picture.command(epilog=PICTURES)
@click.argument("chosen", metavar="PICTURE")
@click.option("--instead-of", metavar="PICTURE", help="The anchor whose place it takes.")
@decision
def anchor(curator: Curator, chosen: str, instead_of: str | None) -> Iterator[Planned]:
    """Say that PICTURE is the better anchor: it is accepted, and the first of its rider's anchors.

    Anchors are the calm, frontal portraits that everything else is compared with.
    """
    other = curator.pictures([instead_of])[0] if instead_of else None
    yield curator.anchor_picture(curator.pictures([chosen])[0], other)


@picture.command(epilog=PICTURES)
@pictures_argument
@click.option("--yaw", help="Degrees from straight ahead, or a bin such as [15,30).")
@click.option("--pitch", type=click.Choice(ev.BIN_WORDS["pitch"]), help="Where the face looks.")
@click.option("--expression", type=click.Choice(ev.BIN_WORDS["expression"]), help="What it does.")
@click.option("--occlusion", type=click.Choice(ev.BIN_WORDS["occlusion"]), help="How covered.")
@click.option("--lighting", type=click.Choice(ev.BIN_WORDS["lighting"]), help="How it is lit.")
@decision
def bins(
    curator: Curator, pictures: tuple[str, ...], yaw: str | None, **words: str | None
) -> Iterator[Planned]:
    """Say in which bins a PICTURE belongs, where they were measured wrong; only those you give."""
    from identity_pipeline.stages.curation.pictures import yaw_word

    said = {axis: word for axis, word in words.items() if word is not None}
    if yaw is not None:
        said["yaw"] = yaw_word(yaw, merged_settings(overrides()).buckets.yaw_edges)
    if not said:
        raise click.UsageError("say at least one of --yaw, --pitch, --expression, ...")
    yield curator.bin_pictures(curator.pictures(pictures), cast("dict[ev.Axis, str]", said))


@picture.command(epilog=PICTURES)
@pictures_argument
@click.option(
    "--scope",
    type=click.Choice(get_args(ev.Scope)),
    default="ride",
    show_default=True,
    help="Order of the sets of the ride, or of those of the person over all rides.",
)
@decision
def order(curator: Curator, pictures: tuple[str, ...], scope: str) -> Iterator[Planned]:
    """Say in which order pictures stand: those you name first, in this order, then all others."""
    yield curator.order_pictures(curator.pictures(pictures), cast("ev.Scope", scope))


@picture.command("list")
@click.argument("video", required=False)
@looking
def list_(settings: Settings, library: LibrarySnapshot, video: str | None, as_json: bool) -> None:
    """List the decisions on pictures in force, of all rides and photographs or of one VIDEO."""
    from identity_pipeline.stages.curation.pictures import picture_rows

    del settings
    show_rows(
        picture_rows(library, video),
        as_json,
        {
            "picture": "picture",
            "verdict": lambda row: row["verdict"] or "",
            "fault": lambda row: row["fault"] or "",
            "anchor": lambda row: "anchor" if row["anchor"] else "",
            "instead of": lambda row: row["instead_of"] or "",
            "bins": lambda row: " ".join(f"{a}:{word}" for a, word in row["bins"].items()),
        },
        "No picture was decided on. `identity-pipeline picture --help` says what can be.",
    )


@picture.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@data_option
def labels(file: Path, data: str | None) -> None:
    """Write what was decided on pictures to FILE, as labels of single faces for `evaluate`.

    Chosen anchors are good ones, rejected pictures and those that gave way to them are not; bins
    that were corrected are words too. docs/evaluating.md says what reads it.
    """
    from identity_pipeline.stages.curation.picture_labels import labels_of
    from identity_pipeline.storage.files import atomic

    _, library = open_library(data)
    found, silent = labels_of(library)
    atomic.write_bytes(file.resolve(), found.write_csv().encode())
    say(f"{counted(found.height, 'face')} in {file}; {counted(silent, 'decision')} say nothing.")
