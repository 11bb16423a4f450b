"""Programs in processes of their own, to be stopped or killed, that start at once.

They are forked from a server that has made the heavy imports, which take five seconds of a
processor each time that an interpreter is started. Nothing else is shared with the tests.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import re
import runpy
import sys
import time
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload([
    "identity_pipeline.definitions",
    "identity_pipeline.cli.desk",
    "identity_pipeline.cli.run",
    "identity_pipeline.cli.train",
    "identity_pipeline.desk.app",
    "identity_pipeline.stages.privacy.forgetting",
    "insightface.app",
    "torch",
    "transformers",
    __name__,
])  # fmt: skip
PATIENCE_S = 120.0


def program(
    module: str,
    *arguments: object,
    said: Path,
    environment: Mapping[str, str] | None = None,
    umask: int = 0o022,
) -> BaseProcess:
    """`python -m MODULE ARGUMENTS`, started; what it says goes into a file.

    Args:
        module: of the program.
        arguments: of its command line.
        said: written behind what is in it.
        environment: beside that of the test.
        umask: of the process.
    """
    whole = {**os.environ, **(environment or {})}
    words = [str(a) for a in arguments]
    process = SERVER.Process(target=_run, args=(module, words, whole, said, umask))
    process.start()
    return process


def ended(process: BaseProcess) -> int:
    """Its exit status, once it has ended; of a signal it is negative."""
    process.join(PATIENCE_S)
    assert process.exitcode is not None, f"{process} has not ended"
    return process.exitcode


def wait_for_word(
    process: BaseProcess, said: Path, word: str | re.Pattern[str], times: int = 1
) -> list[re.Match[str]]:
    """Until it has said a word so many times; where."""
    end = time.monotonic() + PATIENCE_S
    while True:
        text = said.read_text("utf-8") if said.exists() else ""
        found = list(re.finditer(word, text))
        if len(found) >= times:
            return found
        assert process.exitcode is None and time.monotonic() < end, text
        time.sleep(0.01)


def _run(
    module: str, arguments: list[str], environment: dict[str, str], said: Path, umask: int
) -> None:
    from identity_pipeline.cli.lists import console

    os.umask(umask)
    os.environ.clear()
    os.environ.update(environment)
    with said.open("ab") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    console._width = None  # else that of the server
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()  # which a forked process leaves out
