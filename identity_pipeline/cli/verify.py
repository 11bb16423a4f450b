"""`identity-pipeline verify`: an export checked against its own manifest, without a network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from identity_pipeline.cli.curating import counted, now
from identity_pipeline.cli.index import bar
from identity_pipeline.cli.lists import echo_json, json_option, say
from identity_pipeline.cli.options import (
    data_option,
    merged_settings,
    model_options,
    open_store,
    open_stores,
    overrides,
)

if TYPE_CHECKING:
    from identity_pipeline.settings import Settings
    from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
    from identity_pipeline.stages.datasets.verifying import Verified

SHOWN = 20
"""Findings that are told; --json tells all."""


@click.command()
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path), metavar="[FOLDER...]")
@click.option("--no-faces", is_flag=True, help="Compare files only; look at no picture.")
@json_option
@data_option
@model_options
def verify(
    folders: tuple[Path, ...],
    no_faces: bool,
    as_json: bool,
    data: str | None,
    pack: str | None,
    vision: str | None,
    device: str | None,
) -> None:
    """Check an exported FOLDER against its manifest: files, faces, limits, licences, consent.

    FOLDER is what `export` wrote, or the image sets of a ride (data/output/RIDE/identity_builder),
    of this or an earlier version. Nothing is fetched or written. Every file is compared with its
    SHA-256, files that nobody wrote are named, and every picture is looked at again under the
    limits of its consumer.

    Without a FOLDER all datasets in the data folder are checked, and whether the people in them are
    still who they were: labels are undone, and people are merged, after an export.

    Exits with 0 where all is as it was written, 1 where something is wrong, 2 where FOLDER is no
    export.
    """
    from identity_pipeline.models.hub import ModelHub
    from identity_pipeline.stages.datasets.verifying import verify as check

    settings = merged_settings(overrides(data, pack, vision, device))
    models = None if no_faces else ModelHub(settings.models)
    library = _library(settings) if _asks(settings, folders) else None
    found: dict[Path, Verified] = {}
    for folder in folders or _all_of(settings):
        with bar() as report:
            found[folder] = check(folder, models, report, library, settings)
        if not as_json:
            _tell(folder, found[folder])
    if as_json:
        echo_json([_json(folder, one) for folder, one in found.items()])
    if any(one.wrong for one in found.values()):
        raise SystemExit(1)


def _asks(settings: Settings, folders: Sequence[Path]) -> bool:
    """Whether the library is asked about some folders: all, or of consent in the data folder."""
    if not folders:
        return True
    data = Path(settings.paths.data).resolve()
    return settings.consent.required and all(f.resolve().is_relative_to(data) for f in folders)


def _all_of(settings: Settings) -> list[Path]:
    """All datasets in the data folder."""
    from identity_pipeline.stages.datasets.manifest import datasets_in

    found = datasets_in(open_store(settings).layout.datasets)
    if not found:
        say("There are no datasets; `identity-pipeline export` writes them.", err=True)
    return found


def _library(settings: Settings) -> LibrarySnapshot:
    from identity_pipeline.stages.curation.snapshot import LibrarySnapshot

    return LibrarySnapshot.open(open_stores(settings), now(), write=False)


def _tell(folder: Path, found: Verified) -> None:
    for finding in found.findings[:SHOWN]:
        say(f"{finding.level}  {finding.subject}: {finding.sentence}")
    if len(found.findings) > SHOWN:
        say(f"and {len(found.findings) - SHOWN} more; --json says all.")
    looked = f", {counted(found.pictures, 'picture')} looked at" if found.pictures else ""
    verdict = f"{len(found.wrong)} wrong" if found.wrong else "as it was written"
    say(f"{folder}: {counted(found.files, 'file')} compared{looked}: {verdict}.")


def _json(folder: Path, found: Verified) -> dict[str, Any]:
    return {
        "folder": str(folder),
        "of": found.kind,
        "files": found.files,
        "pictures": found.pictures,
        "wrong": len(found.wrong),
        "findings": [vars(finding) for finding in found.findings],
    }
