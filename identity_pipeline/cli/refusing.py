"""A command that cannot begin: one sentence, exit status 2, nothing done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from identity_pipeline.errors import IdentityPipelineError


class Refused(click.ClickException):
    """What the command needs is not there; nothing was begun."""

    exit_code = 2


@contextmanager
def refused() -> Iterator[None]:
    """Around what comes before the work: what is wrong there ends the command as `Refused`."""
    try:
        yield
    except IdentityPipelineError as error:
        raise Refused(str(error)) from error
