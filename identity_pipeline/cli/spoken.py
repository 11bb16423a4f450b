"""Commands that are named in a text, written so that they can be typed as printed.

Sentences everywhere name commands as `identity-pipeline people`. What has to be typed here and now
may be longer: the program is not on the PATH, or the command was given another data folder or
settings file. The command line prints every sentence through `as_invoked`.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import click

from identity_pipeline.cli.commands import COMMANDS

PROGRAM = "identity-pipeline"
DATA_OPTION = "identity_pipeline.data_option"
"""Where the context keeps the data folder that was given as an option."""
DATA = "identity_pipeline.data"
"""Where it keeps the data folder in use."""
NAMED = re.compile(
    rf"(?<![\w./-]){PROGRAM} (?=(?:{'|'.join(sorted(COMMANDS, key=len, reverse=True))})\b)"
)
"""Where a text names a command."""


def as_invoked(text: str) -> str:
    """The text, with its commands as they have to be typed after the one at work."""
    context = click.get_current_context(silent=True)
    if context is None:
        return text
    start = " ".join((program(), *_options(context))) + " "
    return NAMED.sub(lambda _: start, text)


def program() -> str:
    """How this program is called from here."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py" and called.parent.name == "identity_pipeline":
        return f"{shlex.quote(sys.executable)} -m identity_pipeline"
    if called.name != PROGRAM:  # another program's process, such as a test
        return PROGRAM
    found = shutil.which(PROGRAM)
    if found and Path(found).resolve() == called.resolve():
        return PROGRAM
    here, path = Path.cwd(), called.absolute()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))


def _options(context: click.Context) -> list[str]:
    from identity_pipeline.settings import SETTINGS_FILE_VARIABLE

    options: list[str] = []
    settings = os.environ.get(SETTINGS_FILE_VARIABLE)
    if settings and Path(settings).resolve() != Path("settings.toml").resolve():
        options += ["--settings", shlex.quote(settings)]
    data = context.meta.get(DATA_OPTION)
    if data:
        options += ["--data", shlex.quote(str(data))]
    return options
