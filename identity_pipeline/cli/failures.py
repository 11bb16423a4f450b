"""The one place where the command line turns what went wrong into words and an exit status.

What belongs here: which errors are sentences already, which become one, and where the traceback of
any other is kept. What does not: the words of an error of the product (they are where it arises),
or catching one by name.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from identity_pipeline.cli.spoken import DATA, as_invoked
from identity_pipeline.errors import IdentityPipelineError, system_words
from identity_pipeline.storage.files.tracebacks import keep_traceback

DEBUG_VARIABLE = "IDENTITY_PIPELINE_DEBUG"
INTERRUPTED = 130
"""Exit status of a command that Ctrl-C ended: 128 and the number of SIGINT, as shells say it."""
ONE_LINE = 400
"""Characters of an unexpected message that are shown; chosen: five lines of a terminal."""


class Told(click.ClickException):
    """A sentence that ends the command, with exit status 1."""


class Refused(Told):
    """The same before anything began: what was asked for has to change."""

    exit_code = 2


@contextmanager
def in_words(context: click.Context) -> Iterator[None]:
    """Ends the command with one sentence, whatever is raised in the block.

    With `--debug` (or IDENTITY_PIPELINE_DEBUG) the traceback is shown before it.

    Args:
        context: of the whole command line; says where the data folder is.

    Raises:
        Told: what went wrong.
        SystemExit: after Ctrl-C.
    """
    try:
        yield
    except (click.exceptions.Exit, click.Abort):
        raise
    except click.ClickException as error:
        vars(error).update(message=as_invoked(error.message))
        raise
    except KeyboardInterrupt:
        click.echo("\nStopped by Ctrl-C.", err=True)
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:  # whoever reads has read enough; click ends quietly
        raise
    except Exception as error:
        if _debugging(context):
            click.echo(traceback.format_exc(), err=True)
        raise _told(error, context) from error


def _told(error: Exception, context: click.Context) -> Told:
    if isinstance(error, IdentityPipelineError):
        kind = Refused if error.exit_status == Refused.exit_code else Told
        return kind(as_invoked(str(error)))
    if isinstance(error, OSError) and error.errno is not None:
        return Told(as_invoked(system_words(error)))
    said = " ".join(str(error).split())
    cause = f"{type(error).__name__}{f': {said[:ONE_LINE]}' if said else ''}"
    kept = keep_traceback(error, _data_of(context))
    return Told(
        f"something unforeseen happened: {cause.rstrip('.')}. The traceback is in {kept}; --debug "
        "shows it here."
    )


def _data_of(context: click.Context) -> Path | None:
    """The data folder in use; None where the command had none open yet."""
    named = context.meta.get(DATA)
    return Path(named) if named else None


def _debugging(context: click.Context) -> bool:
    return bool(context.params.get("debug") or os.environ.get(DEBUG_VARIABLE))
