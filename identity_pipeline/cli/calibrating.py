"""`models calibrate` and `models confusions`: a recogniser's numbers, and whom it confuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from identity_pipeline.cli.curating import counted, now
from identity_pipeline.cli.index import bar
from identity_pipeline.cli.lists import echo_json, echo_table, json_option, say
from identity_pipeline.cli.options import (
    data_option,
    merged_settings,
    model_options,
    open_store,
    open_stores,
    overrides,
)

if TYPE_CHECKING:
    from identity_pipeline.core.matching.pack_numbers import PackNumbers
    from identity_pipeline.settings import Settings
    from identity_pipeline.stages.library.confusions import Confusions
    from identity_pipeline.stages.stores import LibraryStores

PAIRS_SHOWN, NEAREST_SHOWN = 10, 3
"""Pairs that are listed without --limit, and below the models; chosen: a look, not a study."""


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
    store, where = open_store(settings), None if dry_run else centre
    if where is None and not dry_run:
        own.check_card(settings, again=replace)
    with bar() as report:
        if where is not None:
            from identity_pipeline.models.hub import ModelHub

            loaded = ModelHub(settings.models).face_pack
            numbers = own.centred_pack(store, settings, loaded, where.absolute(), report)
        else:
            numbers = own.measure_pack(store, settings, report).numbers
    if where is None and not dry_run:
        where = own.put_beside(settings, numbers)
    if as_json:
        said = {"numbers": numbers.values, "provenance": numbers.provenance}
        echo_json({**said, "written": str(where) if where else None})
        return
    _tell(numbers, where, centre is not None)


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


@click.command()
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=PAIRS_SHOWN,
    show_default=True,
    help="List so many pairs, the nearest.",
)
@click.option(
    "--groups",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="CSV with the columns person,group.  [default: paths.look_groups]",
)
@click.option(
    "--montage",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write the faces of these pairs as one JPEG file.",
)
@json_option
@data_option
def confusions(
    limit: int, groups: str | None, montage: Path | None, as_json: bool, data: str | None
) -> None:
    """Show which different people the recogniser takes for each other, the nearest pairs first.

    Every recogniser has such people, and more of them in groups of look that its training data
    showed seldom. The people are those you have named, the pairs those of their confirmed tracks.
    Nobody is named without asking below what the nearest other known person reaches. With --groups
    (a free word for each person, optional) also how near people of one group come, and across.

    \b
    Examples:
      identity-pipeline models confusions
      identity-pipeline models confusions --montage pairs.jpg
      identity-pipeline models confusions --groups groups.csv
    """
    given = overrides(data)
    if groups is not None:
        given["paths"] = {**given.get("paths", {}), "look_groups": groups}
    settings = merged_settings(given)
    stores = open_stores(settings)
    found = confusions_of(stores, settings)
    if as_json:
        echo_json(found.as_json(limit))
    else:
        _tell_confusions(found, limit)
    if montage is not None:
        from identity_pipeline.stages.library.montage import write_montage

        with bar() as report:
            shown = write_montage(stores.tables, found.groups(limit), montage, report)
        say(f"{counted(shown, 'face')} in {montage}", err=as_json)


def tell_nearest(settings: Settings) -> None:
    """The closest pairs of the library in force, below the models; nothing where there is none."""
    from identity_pipeline.stages.stores import LibraryStores
    from identity_pipeline.storage.layout import Layout
    from identity_pipeline.storage.video.tables import TableStore

    stores = LibraryStores.of(TableStore(Layout(Path(settings.paths.data))))
    if stores.generations.current() is None:
        return
    nearest = confusions_of(stores, settings).pairs[:NEAREST_SHOWN]
    if nearest:
        said = "; ".join(f"{' and '.join(pair.names)} {pair.cosine:.2f}" for pair in nearest)
        say(f"Nearest of different people in the library: {said}. All: models confusions")


def confusions_of(stores: LibraryStores, settings: Settings) -> Confusions:
    """Whom the recogniser of the library in force takes for each other."""
    from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
    from identity_pipeline.stages.library.confusions import confusions as found

    return found(LibrarySnapshot.open(stores, now(), write=False), settings)


def _tell_confusions(found: Confusions, most: int) -> None:
    if not found.pairs:
        say(f"{counted(found.people, 'known person')}: pairs need two. Name people first (label).")
        return
    rows = ((*pair.names, f"{pair.cosine:.3f}", *pair.places) for pair in found.pairs[:most])
    echo_table(("person", "taken for", ">cosine", "track", "track"), rows)
    at = ", ".join(
        f"{name} {value:.3f}" for name, value in found.thresholds.items() if value is not None
    )
    say(f"Thresholds by rate: {at or 'none measured'}.")
    _tell_curves(found)
    for name in found.unknown:
        say(f"The list of groups names {name}, whom the library does not know.", err=True)


def _tell_curves(found: Confusions) -> None:
    names = [name for name, value in found.thresholds.items() if value is not None]
    rows = (
        (
            curve.kind,
            curve.people,
            curve.pairs,
            *(f"{value:.3f}" for value in (curve.median, curve.p95, curve.largest)),
            *(f"{curve.reach[name]:.1%}" for name in names),
        )
        for curve in found.curves
    )
    reach = (f">reach {name}" for name in names)
    columns = ("pairs of different people", ">people", ">pairs", ">median", ">95 %", ">largest")
    echo_table((*columns, *reach), rows)
