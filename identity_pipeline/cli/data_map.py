"""`identity-pipeline data-map`: what of people lies where, for how long, and on which ground."""

from __future__ import annotations

from pathlib import Path

import click

from identity_pipeline.cli.lists import echo_json, echo_table, json_option, say
from identity_pipeline.cli.options import data_option, find_layout, merged_settings, overrides


@click.command("data-map")
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the page for a data protection officer to FILE.",
)
@json_option
@data_option
def data_map(html: Path | None, as_json: bool, data: str | None) -> None:
    """Say what of people lies where: its class, how long, on which ground, and who reads it.

    It is made from the asset graph, the list of places and the settings in force; it is no legal
    advice.

    \b
    Examples:
      identity-pipeline data-map
      identity-pipeline data-map --html data-map.html
    """
    from identity_pipeline.media.data_map_page import render_data_map_page
    from identity_pipeline.stages.privacy.data_map import data_map as mapped
    from identity_pipeline.storage.files import atomic

    settings = merged_settings(overrides(data))
    found = mapped(find_layout(settings).root, settings)
    told = found.as_json()
    if html is not None:
        atomic.write_bytes(html, render_data_map_page(told).encode())
    if as_json:
        echo_json(told)
        return
    if html is not None:
        say(f"The page: {html}")
        return
    rows = (
        (row.place, row.data_class, ", ".join(row.paths), row.kept, row.files, row.bytes)
        for row in found.rows
    )
    echo_table(("place", "class", "where", "how long", ">files", ">bytes"), rows)
    say(told["note"])
