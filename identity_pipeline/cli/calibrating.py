"""`identity-pipeline models calibrate`: the numbers of a pack that carries none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from identity_pipeline.cli.index import bar
from identity_pipeline.cli.lists import echo_json, echo_table, json_option, say
from identity_pipeline.cli.options import (
    data_option,
    merged_settings,
    model_options,
    open_store,
    overrides,
)

if TYPE_CHECKING:
    from identity_pipeline.core.matching.pack_numbers import PackNumbers


@click.command()
@click.option("--dry-run", is_flag=True, help="Print the numbers, and write nothing.")
@click.option("--replace", is_flag=True, help="Replace numbers that the pack carries already.")
@click.option(
    "--centre",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Make FOLDER: the pack with the mean of these rides taken off, a space of its own.",
)
@json_option
@data_option
@model_options
def calibrate(
    dry_run: bool,
    replace: bool,
    centre: Path | None,
    as_json: bool,
    data: str | None,
    pack: str | None,
    vision: str | None,
    device: str | None,
) -> None:
    """Measure the numbers of the face pack on your own rides, without labels.

    Which likeness makes two faces one person differs from recogniser to recogniser. Run your first
    rides with the pack, some twenty with two riders each; then this reads what was embedded: faces
    of one tracklet are one person, tracklets in one picture are two. The numbers are written, with
    where they come from, into the pack's `pack.json`, and hold from then on: the next run stitches
    and selects anew by them, and the library decides. What you set in settings.toml still wins.

    \b
    Examples:
      identity-pipeline models calibrate --dry-run      as lines for settings.toml
      identity-pipeline models calibrate                into the pack's own card
      identity-pipeline models calibrate --centre ../packs/ours

    --centre is for recognisers whose vectors have a large mean in common (everybody looks alike).
    Do it once: the mean stays as it is, and the new pack is a space of its own, so that all rides
    are run again with it.
    """
    from identity_pipeline.stages.library import pack_calibration as own

    settings = merged_settings(overrides(data, pack, vision, device))
    store = open_store(settings)
    with bar() as report:
        if centre is not None and not dry_run:
            from identity_pipeline.models.hub import ModelHub

            loaded = ModelHub(settings.models).face_pack
            numbers = own.centred_pack(store, settings, loaded, centre.absolute(), report)
        else:
            numbers = own.measure_pack(store, settings, report).numbers
    where = centre
    if centre is None and not dry_run:
        where = own.put_beside(settings, numbers, again=replace)
    if as_json:
        echo_json(
            {
                "numbers": numbers.values,
                "provenance": numbers.provenance,
                "written": None if dry_run or where is None else str(where),
            }
        )
        return
    _tell(numbers, None if dry_run else where, centre is not None)


def _tell(numbers: PackNumbers, where: Path | None, centred: bool) -> None:
    if where is None:
        for line in _as_toml(numbers):
            click.echo(line)
        return
    rows = ((name, value, numbers.provenance[name]) for name, value in numbers.values.items())
    echo_table(("setting", ">value", "where it comes from"), rows)
    if centred:
        say(f"Made {where}. Use it: [models] face_pack = {json.dumps(str(where))}; then run again.")
    else:
        say(f"Written into {where}. `identity-pipeline plan` says what follows them.")


def _as_toml(numbers: PackNumbers) -> list[str]:
    groups: dict[str, list[str]] = {}
    for name, value in numbers.values.items():
        group, _, own = name.partition(".")
        groups.setdefault(group, []).append(f"{own} = {value}")
    head = f"# measured on {numbers.evidence}"
    return [head, *(line for group, own in groups.items() for line in (f"[{group}]", *own))]
