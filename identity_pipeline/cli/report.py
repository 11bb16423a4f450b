"""`identity-pipeline report`: everything known of a person, to be handed to that person."""

from __future__ import annotations

from pathlib import Path

import click

from identity_pipeline.cli.curating import counted, now
from identity_pipeline.cli.index import bar
from identity_pipeline.cli.lists import echo_json, json_option, say
from identity_pipeline.cli.options import data_option, merged_settings, open_stores, overrides


@click.command()
@click.argument("person", metavar="PERSON")
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Where the report is written, outside the data folder.  [default: report-ID]",
)
@click.option(
    "--by-machine",
    is_flag=True,
    help="Also give pictures of tracks that the machine alone says are theirs: look at them first.",
)
@json_option
@data_option
def report(
    person: str, folder: Path | None, by_machine: bool, as_json: bool, data: str | None
) -> None:
    """Write everything known of PERSON into a folder and a ZIP, to be handed to that person.

    Names, decisions about them, consents, rides and photographs with their pictures, profile,
    datasets, exports, published copies, and heads trained with them: as JSON and as a page. Other
    people are not in it. Reasons are free text: read them before you hand it over.

    \b
    Examples:
      identity-pipeline report Ada
      identity-pipeline report Ada --to ~/requests/ada
    """
    from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
    from identity_pipeline.stages.privacy.access_report import (
        NoReportError,
        access_report,
        write_report,
    )

    settings = merged_settings(overrides(data))
    stores = open_stores(settings)
    library = LibrarySnapshot.open(stores, now(), write=False)
    found = access_report(library, settings, person, by_machine=by_machine)
    to = (folder or Path(f"report-{str(found.told['person_id'])[:8]}")).resolve()
    if to.is_relative_to(stores.layout.root.resolve()):
        raise NoReportError(
            f"{to} lies in the data folder, where a forgetting would not find it; give another "
            "folder with --to."
        )
    with bar() as progress:
        written, packed = write_report(library, found, to, progress)
    if as_json:
        echo_json({"folder": str(written), "zip": str(packed), **found.told})
        return
    seen, decided = len(found.told["seen_in"]), len(found.told["decisions"])
    say(f"{counted(seen, 'ride or photo set')}, {counted(decided, 'decision')}: {written}")
    say(f"To be handed over: {packed}. Remove both afterwards; they are private.")
