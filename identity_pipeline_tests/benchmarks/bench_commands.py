"""What a command costs before it does anything, and where many videos and decisions lie.

`--help`, completion, a run of what is done; and with `--videos N` what `label`, `people` and
`status` take in a folder of so many finished videos and as many decisions (`many_videos`): at the
first look, when nothing of it is remembered; again; and after one video was made anew.

CPU seconds of a process of its own, user and system together, so that what else the machine does
counts little. Each figure is the least of a few tries, with the wall beside it.
"""

from __future__ import annotations

import atexit
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import click

import identity_pipeline
from identity_pipeline.cli.commands import COMMANDS
from identity_pipeline.ledger import subjects
from identity_pipeline.stages.specs.assets import VIDEO_SPECS
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.registry import VideoRegistry
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.benchmarks.many_videos import written
from identity_pipeline_tests.benchmarks.reach import Row, as_json

TRIES = 3
SETTLES_S = 2.5
"""After a change a folder is not taken for still so long (`storage.progress.known`)."""
REACH, REACH_S = ("label", "people", "status"), 0.5
FULL = 20_000
"""Videos, and decisions, at which the reach is to hold."""
BUNDLED = Path(identity_pipeline.__file__).parent / "bundled"
CALL = "from identity_pipeline.cli.main import cli; cli(prog_name='identity-pipeline')"
PROGRAM = (sys.executable, "-c", CALL)


def cpu_and_wall(arguments: Sequence[str], more: Mapping[str, str] | None = None) -> list[float]:
    """CPU and wall seconds of one call."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = {**os.environ, **with_bytecode(), **(more or {})}
    subprocess.run([*PROGRAM, *arguments], check=True, capture_output=True, env=environment)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - started
    return [after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, wall]


@lru_cache(maxsize=1)
def with_bytecode() -> dict[str, str]:
    """The environment of who installed the package: modules are not compiled at every call."""
    if "PYTHONDONTWRITEBYTECODE" not in os.environ:
        return {}
    folder = tempfile.mkdtemp(prefix="bench-bytecode-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": folder}


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


class Folder:
    """The commands that are measured, in a folder with many videos."""

    def __init__(self, layout: Layout, figures: dict[str, list[float]]) -> None:
        self.layout, self.figures = layout, figures
        self.ids = VideoRegistry(layout).ids()
        self.others = (ride for ride in reversed(self.ids) if ride not in _decided(layout))

    def measure(self) -> None:
        """All of them, each at the first look and then again."""
        for name in ("people", "status"):
            self.told(f"{name}, first", [cpu_and_wall(self.of(name))])
            time.sleep(SETTLES_S)
            self.told(name, [cpu_and_wall(self.of(name)) for _ in range(TRIES)])
        label = [cpu_and_wall(self.of("label", f"{next(self.others)}:1", "--name", f"New {n}"))
                 for n in range(TRIES)]  # fmt: skip
        self.told("label", label)
        self.told("people, after a decision", [cpu_and_wall(self.of("people"))])
        self.told("status, after a decision", [cpu_and_wall(self.of("status"))])
        self.touch(self.ids[len(self.ids) // 2])
        self.told("status, one video made anew", [cpu_and_wall(self.of("status"))])

    def touch(self, video_id: str) -> None:
        """Every output of a video written again, as a run would leave it."""
        for asset in VIDEO_SPECS:
            for place in (self.layout.table, self.layout.manifest, self.layout.made_of):
                path = place(asset, video_id)
                if path.is_file():
                    atomic.write_bytes(path, path.read_bytes())

    def of(self, *words: str) -> list[str]:
        """A command in the folder."""
        return ["--data", str(self.layout.root), *words]

    def told(self, name: str, tries: Sequence[Sequence[float]]) -> None:
        """Prints and notes a figure."""
        cpu, wall = (min(several) for several in zip(*tries, strict=True))
        self.figures[name] = [round(cpu, 3), round(wall, 3)]
        click.echo(f"  {name:30} {cpu:6.2f}   wall {wall:.2f} s")


@lru_cache(maxsize=1)
def _decided(layout: Layout) -> set[str]:
    """Rides of which somebody is named already."""
    assigned = LibraryStores.of(TableStore(layout)).ledger.history().state.assigned
    return {subjects.parse(subject).video_id for subject in assigned}


def many(videos: int, into: Path | None) -> dict[str, list[float]]:
    """The figures of commands where there are many videos and as many decisions."""
    figures: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-commands-") as folder:
        layout = Layout((into or Path(folder)) / "data")
        started = time.perf_counter()
        if not layout.registry.is_dir():
            written(layout.root, videos, videos)
        click.echo(
            f"CPU seconds at {videos:,} videos and {videos:,} decisions "
            f"(made in {time.perf_counter() - started:.0f} s; load {os.getloadavg()[0]:.1f})"
        )
        Folder(layout, figures).measure()
    return figures


def row_of(videos: int, figures: Mapping[str, Sequence[float]]) -> Row:
    """What is reached of the reach: CPU and wall of the commands, at the size that it is for."""
    worst = max(max(figures[name]) for name in REACH)
    here = ", ".join("{} {:.2f} s ({:.2f} s CPU)".format(n, *reversed(figures[n])) for n in REACH)
    others = ", ".join(f"{name} {figures[name][1]:.1f} s" for name in figures if name not in REACH)
    small = videos < FULL
    return Row(
        f"label, people, status at {videos:,} videos and {videos:,} decisions",
        f"≤ {REACH_S} s at {FULL:,}",
        f"{here}; {others}",
        None if small and worst <= REACH_S else worst <= REACH_S,
        "this size does not tell"
        if small and worst <= REACH_S
        else ""
        if worst <= REACH_S
        else "half of it is Python's imports (settings, Polars, events)",
    )


@click.command()
@click.option("--help-texts/--no-help-texts", default=True, help="Every command's `--help`.")
@click.option("--run/--no-run", default=True, help="Also a second run of the bundled solo ride.")
@click.option("--videos", default=0, help="Also the commands of a folder with so many videos.")
@click.option("--into", type=click.Path(path_type=Path), help="Keep that folder here.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="The figures as JSON.")
def main(
    help_texts: bool, run: bool, videos: int, into: Path | None, json_file: Path | None
) -> None:
    """Prints the rows."""
    figures = many(videos, into) if videos else {}
    if json_file:
        rows = [row_of(videos, figures)] if figures else []
        told = {"videos": videos, "cpu_and_wall_s": figures, **as_json(rows)}
        json_file.write_text(json.dumps(told, indent=2))
    if help_texts:
        print_helps()
    if run:
        print_runs()


def print_helps() -> None:
    """What comes before a command does anything."""
    click.echo("CPU seconds until it is there")
    click.echo(f"  {'--help':24} {least(['--help']):6.2f}")
    click.echo(f"  {'completion':24} {least([], completion('identity-pipeline pe')):6.2f}")
    for command in sorted(COMMANDS):
        click.echo(f"  {command + ' --help':24} {least([command, '--help']):6.2f}")


def print_runs() -> None:
    """A ride, and what is done of it."""
    with tempfile.TemporaryDirectory() as folder:
        ride = str(BUNDLED / "rides" / "demo_solo.mp4")
        for time_ in ("first", "second"):
            cpu, wall = cpu_and_wall(["--data", f"{folder}/data", "run", ride])
            click.echo(f"  {time_ + ' run of demo_solo':24} {cpu:6.2f}   wall {wall:.1f} s")


if __name__ == "__main__":
    main()
