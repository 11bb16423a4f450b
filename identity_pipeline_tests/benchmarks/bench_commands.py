"""What a command costs before it does anything: `--help`, completion, and a run of what is done.

CPU seconds of a process of its own, user and system together, so that what else the machine does
counts little. Each figure is the least of a few tries.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

import identity_pipeline
from identity_pipeline.cli.commands import COMMANDS

TRIES = 3
BUNDLED = Path(identity_pipeline.__file__).parent / "bundled"
CALL = "from identity_pipeline.cli.main import cli; cli(prog_name='identity-pipeline')"
PROGRAM = (sys.executable, "-c", CALL)


def cpu_and_wall(arguments: Sequence[str], more: Mapping[str, str] | None = None) -> list[float]:
    """CPU and wall seconds of one call."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [*PROGRAM, *arguments], check=True, capture_output=True, env={**os.environ, **(more or {})}
    )
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - started
    return [after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, wall]


def least(arguments: Sequence[str], more: Mapping[str, str] | None = None) -> float:
    """CPU seconds, of the cheapest try."""
    return min(cpu_and_wall(arguments, more)[0] for _ in range(TRIES))


def completion(words: str) -> dict[str, str]:
    """The environment in which bash asks for what may follow."""
    return {
        "_IDENTITY_PIPELINE_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split())),
    }


@click.command()
@click.option("--run/--no-run", default=True, help="Also a second run of the bundled solo ride.")
def main(run: bool) -> None:
    """Prints the rows."""
    click.echo("CPU seconds until it is there")
    click.echo(f"  {'--help':24} {least(['--help']):6.2f}")
    click.echo(f"  {'completion':24} {least([], completion('identity-pipeline pe')):6.2f}")
    for command in sorted(COMMANDS):
        click.echo(f"  {command + ' --help':24} {least([command, '--help']):6.2f}")
    if not run:
        return
    with tempfile.TemporaryDirectory() as folder:
        ride = str(BUNDLED / "rides" / "demo_solo.mp4")
        for time_ in ("first", "second"):
            cpu, wall = cpu_and_wall(["--data", f"{folder}/data", "run", ride])
            click.echo(f"  {time_ + ' run of demo_solo':24} {cpu:6.2f}   wall {wall:.1f} s")


if __name__ == "__main__":
    main()
