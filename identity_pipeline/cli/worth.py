"""`identity-pipeline worth`: what a person's pictures are worth as references, by another judge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from identity_pipeline.cli.curating import counted, now
from identity_pipeline.cli.export import named_rides, rides_option
from identity_pipeline.cli.index import bar
from identity_pipeline.cli.lists import echo_json, json_option, say
from identity_pipeline.cli.options import (
    data_option,
    merged_settings,
    model_options,
    open_stores,
    overrides,
)

if TYPE_CHECKING:
    from identity_pipeline.stages.datasets.worth import Judged


@click.command()
@click.argument("person", metavar="PERSON")
@click.option(
    "--judge",
    metavar="PACK",
    help="Face pack that judges, by name or folder; not the one that chose.  "
    "[default: datasets.judge]",
)
@rides_option
@click.option(
    "--count",
    type=click.IntRange(2, 500),
    metavar="N",
    help="Pictures at most.  [default: datasets.count]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Where worth.json and worth.svg are written.  [default: with the person's datasets]",
)
@json_option
@data_option
@model_options
def worth(
    person: str,
    judge: str | None,
    rides: tuple[str, ...],
    count: int | None,
    out: Path | None,
    as_json: bool,
    data: str | None,
    pack: str | None,
    vision: str | None,
    device: str | None,
) -> None:
    """Say what the pictures of PERSON are worth as references, and what each of them adds.

    A recogniser that did not choose them compares each picture with those of other rides, and with
    those of other rides in other poses: with the best 1, 3, 5, 8 and with all, and with as many at
    random. It is a proxy: cosines of a recogniser, not what a generator makes of them. Without such
    a judge nothing is measured.

    \b
    Examples:
      identity-pipeline worth Ada --judge ~/packs/second
      identity-pipeline worth Ada --count 60 --json
    """
    from identity_pipeline.models.hub import ModelHub
    from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
    from identity_pipeline.stages.curation.targets import find_person
    from identity_pipeline.stages.datasets.export import default_place
    from identity_pipeline.stages.datasets.worth import (
        judge_of,
        pictures_of,
        refuse_foreign,
        worth_of_pictures,
        write_worth,
    )

    if out is not None:
        refuse_foreign(out)
    chosen = overrides(data, pack, vision, device)
    if judge is not None:
        chosen = {**chosen, "datasets": {"judge": judge}}
    settings = merged_settings(chosen)
    library = LibrarySnapshot.open(open_stores(settings), now(), write=False)
    models = ModelHub(settings.models)
    judging = judge_of(settings, models.face_pack)
    wanted = named_rides(rides)
    with bar() as report:
        person_id = find_person(library, person)
        pictures = pictures_of(library, person_id, settings, models, count, wanted, report)
        judged = worth_of_pictures(pictures, judging, models.face_pack, report)
    folder = out or default_place(library, [pictures[0].person], "worth")
    write_worth(folder, judged)
    if as_json:
        echo_json({"folder": str(folder), **judged.as_json()})
        return
    _tell(judged, folder)


def _tell(judged: Judged, folder: Path) -> None:
    from identity_pipeline.media.worth_plot import PROXY, worth_lines

    pictures = counted(len(judged.pictures), "picture")
    say(f"{judged.name}: {pictures}, judged by {judged.judge} ({PROXY}).")
    say("Similarity by number of references; in brackets the span over the rides of targets.")
    for trial, worth in judged.trials.items():
        for line in worth_lines(trial, worth):
            say(line)
    say(f"What each picture adds is in {folder}.")
