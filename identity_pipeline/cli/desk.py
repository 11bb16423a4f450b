"""`desk`: the local page of curators."""

from __future__ import annotations

import os
from pathlib import Path

import click

from identity_pipeline.cli.lists import say
from identity_pipeline.cli.options import data_option, merged_settings, open_stores, overrides

PASSWORD = "IDENTITY_PIPELINE_PASSWORD_OF_DESK"  # noqa: S105 - its name


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), help="Port.  [default: desk.port]")
@click.option("--host", metavar="ADDRESS", help="Also answer others, who need the password.")
@click.option(
    "--password-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=f"Its first line is the password.  [default: ${PASSWORD}]",
)
@click.option("--open", "show", is_flag=True, help="Open it in this machine's browser.")
@data_option
def desk(
    port: int | None,
    host: str | None,
    password_file: Path | None,
    show: bool,
    data: str | None,
) -> None:
    """Open the desk: a page on which people are named, checked and pictures chosen.

    \b
      identity-pipeline desk                 open the address that it prints in a browser
      identity-pipeline desk --open          or have it opened
      identity-pipeline desk --host 10.0.0.7 --password-file desk.password
                                             for curators on other machines

    Only a browser that was opened by the printed address is answered, on this machine; with --host
    those who know the password, too. What is decided there is the same as by `label`, `merge` and
    the other commands: `events` lists it, `undo` takes it back.
    """
    from identity_pipeline.desk.serve import LOOPBACK, serve

    password = _password(password_file)
    if host is not None and host != LOOPBACK and not password:
        raise click.UsageError(
            f"--host lets others in, so it needs a password: --password-file FILE, or ${PASSWORD}."
        )
    settings = merged_settings(overrides(data))
    chosen = settings.desk.port if port is None else port
    stores = open_stores(settings)
    try:
        serve(
            stores, settings, say, host=host or LOOPBACK, port=chosen, password=password, show=show
        )
    except OSError as error:
        raise click.ClickException(
            f"Port {chosen} of {host or LOOPBACK} cannot be had ({error.strerror}); is a desk open "
            "already? Another port: --port 0."
        ) from error


def _password(file: Path | None) -> str | None:
    if file is None:
        return os.environ.get(PASSWORD) or None
    lines = file.read_text(encoding="utf-8").splitlines()
    return (lines[0].strip() or None) if lines else None
