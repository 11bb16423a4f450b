"""`desk`: the local page of curators."""

from __future__ import annotations

import click

from identity_pipeline.cli.lists import say
from identity_pipeline.cli.options import data_option, merged_settings, open_stores, overrides


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), help="Port.  [default: desk.port]")
@data_option
def desk(port: int | None, data: str | None) -> None:
    """Open the desk: a page on which people are named, checked and pictures chosen.

    \b
      identity-pipeline desk                 open the address that it prints in a browser
      identity-pipeline desk --port 0        on any free port

    Only this machine is answered, and only a browser that was opened by the printed address. What
    is decided there is the same as by `label`, `merge` and the other commands: `events` lists it,
    `undo` takes it back.
    """
    from identity_pipeline.desk.serve import serve

    settings = merged_settings(overrides(data))
    chosen = settings.desk.port if port is None else port
    try:
        serve(open_stores(settings), settings, say, port=chosen)
    except OSError as error:
        raise click.ClickException(
            f"Port {chosen} cannot be had ({error.strerror}); give another: --port 0."
        ) from error
