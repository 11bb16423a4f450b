"""Videos an hour with 1, 2 and 4 of them at once, against the bare parts; Dagster's own share.

    python -m identity_pipeline_tests.benchmarks.bench_throughput RIDES_FOLDER --videos 8

For each number of videos at once, the same files twice: first only decoding and networks, on what
the job gives them, in so many processes (`bare_worker`); then a real deployment (`operated`) with
so many slots of the pool `gpu`, from the first worker's start to the last one's end. The library is
not brought up to date meanwhile. Both use the machine as they can, so what else runs on it counts.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import click
import dagster as dg
from rich.console import Console
from rich.table import Table

from identity_pipeline_tests.benchmarks.bare_worker import bare_parts
from identity_pipeline_tests.benchmarks.operated import Deployment, operated

DEADLINE_S = 1800.0
STEP_ENDS = {dg.DagsterEventType.STEP_SUCCESS, dg.DagsterEventType.STEP_FAILURE}


@dataclass(frozen=True)
class RunTimes:
    """Seconds of one run, on the clock.

    Attributes:
        launched: time of day at which the launcher was told.
        ended: time of day at which the run had succeeded.
        starting: from the launch to the run's first step: interpreter, imports, definitions.
        steps: in steps.
        events: entries in Dagster's log.
    """

    launched: float
    ended: float
    starting: float
    steps: float
    events: int

    @property
    def whole(self) -> float:
        """From the launch to the end."""
        return self.ended - self.launched


@dataclass(frozen=True)
class Throughput:
    """So many videos at once.

    Attributes:
        at_once: slots.
        videos: how many were done.
        bare: seconds of the clock for the bare parts of all videos.
        wall: seconds of the clock for all runs.
        runs: each run.
        work: seconds of all step bodies: what the steps themselves noted as their cost.
        opening: seconds to open all models, by the clock, in as many processes at once.
    """

    at_once: int
    videos: int
    bare: float
    wall: float
    runs: list[RunTimes]
    work: float
    opening: float


def measure(videos: Sequence[Path], at_once: int, root: Path) -> Throughput:
    """Bare parts, then the deployment.

    Raises:
        RuntimeError: a video did not finish.
    """
    bare, opening = bare_parts(at_once, videos)
    runs = {"max_concurrent_runs": at_once}
    with operated(root, changes={"concurrency": {"runs": runs}}, pools={"gpu": at_once}) as one:
        _switch_off(one, "library_changed")
        one.drop(videos)
        done = one.wait_until(lambda: _finished(one, len(videos)), DEADLINE_S, every_s=2.0)
        if not done:
            raise RuntimeError(f"not all videos were done after {DEADLINE_S:.0f} s; see {root}")
        with one.instance() as instance:
            times = [_times(instance, run) for run in instance.get_runs()]
        work = _noted_costs(one)
    times.sort(key=lambda run: run.launched)
    wall = max(run.ended for run in times) - times[0].launched
    return Throughput(at_once, len(videos), bare.wall, wall, times, work, opening)


def _switch_off(one: Deployment, sensor: str) -> None:
    dagster = str(Path(sys.executable).parent / "dagster")
    workspace = str(one.root / "home" / "workspace.yaml")
    subprocess.run(
        [dagster, "sensor", "stop", sensor, "-w", workspace], check=True, capture_output=True
    )


def _finished(one: Deployment, videos: int) -> bool:
    done = one.runs(statuses=[dg.DagsterRunStatus.SUCCESS])
    failed = one.runs(statuses=[dg.DagsterRunStatus.FAILURE])
    if failed:
        raise RuntimeError(f"run {failed[0].run_id} failed; see {one.root}")
    return len(done) == videos


def _times(instance: dg.DagsterInstance, run: dg.DagsterRun) -> RunTimes:
    launched = ended = first = 0.0
    begun: dict[str, float] = {}
    steps = 0.0
    entries = instance.all_logs(run.run_id)
    for entry in entries:
        event = entry.dagster_event
        if event is None:
            continue
        kind = event.event_type
        if kind == dg.DagsterEventType.PIPELINE_STARTING:
            launched = entry.timestamp
        elif kind == dg.DagsterEventType.PIPELINE_SUCCESS:
            ended = entry.timestamp
        elif kind == dg.DagsterEventType.STEP_START and event.step_key:
            begun[event.step_key] = entry.timestamp
            first = first or entry.timestamp
        elif kind in STEP_ENDS and event.step_key:
            steps += entry.timestamp - begun[event.step_key]
    return RunTimes(launched, ended, first - launched, steps, len(entries))


def _noted_costs(one: Deployment) -> float:
    lines = [
        line
        for file in (one.layout.progress / "costs").glob("*.jsonl")
        for line in file.read_text().splitlines()
    ]
    return sum(json.loads(line)["seconds"] for line in lines)


def _speed_table(found: Sequence[Throughput]) -> Table:
    table = Table(title="Videos an hour", title_justify="left")
    for name in (
        "at once", "videos", "bare parts s", "pipeline s", "videos/h, bare", "videos/h, pipeline",
        "pipeline / bare", "against 1 at once",
    ):  # fmt: skip
        table.add_column(name, justify="right")
    for one in found:
        table.add_row(
            str(one.at_once),
            str(one.videos),
            f"{one.bare:.1f}",
            f"{one.wall:.1f}",
            f"{3600 * one.videos / one.bare:.0f}",
            f"{3600 * one.videos / one.wall:.0f}",
            f"{one.wall / one.bare:.2f}",
            f"{found[0].wall / one.wall:.2f}",
        )
    return table


def _share_table(found: Sequence[Throughput]) -> Table:
    table = Table(title="Where a video's time goes, seconds of the clock", title_justify="left")
    for name in (
        "at once", "launch to end", "start of the worker", "work of the steps",
        "models opened in it", "Dagster in the steps", "between steps", "slot idle until the next",
        "events",
        "Dagster in all", "% of the video",
    ):  # fmt: skip
        table.add_column(name, justify="right")
    for one in found:
        whole = statistics.mean(run.whole for run in one.runs)
        starting = statistics.mean(run.starting for run in one.runs)
        steps = statistics.mean(run.steps for run in one.runs)
        work = one.work / one.videos
        idle = [max(0.0, b.launched - a.ended) for a, b in pairwise(one.runs)]
        waited = statistics.mean(idle) if one.at_once == 1 and idle else None
        own = whole - work + (waited or 0.0)
        table.add_row(
            str(one.at_once),
            f"{whole:.2f}",
            f"{starting:.2f}",
            f"{work:.2f}",
            f"{one.opening:.2f}",
            f"{steps - work:.2f}",
            f"{whole - starting - steps:.2f}",
            "-" if waited is None else f"{waited:.2f}",
            f"{statistics.mean(run.events for run in one.runs):.0f}",
            f"{own:.2f}",
            f"{100 * own / (own + work):.0f}",
        )
    return table


@click.command(help=(__doc__ or "").split("\n\n")[0])
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--videos", default=8, show_default=True, help="How many of the folder's clips.")
@click.option("--at-once", multiple=True, type=int, default=(1, 2, 4), show_default=True)
def main(folder: Path, videos: int, at_once: tuple[int, ...]) -> None:
    """Measures and prints."""
    console = Console(width=max(120, Console().width))
    clips = sorted(folder.glob("*.mp4"))[:videos]
    if not clips:
        raise click.UsageError(f"{folder} holds no .mp4 file.")
    found = []
    for slots in at_once:
        click.echo(f"... {len(clips)} videos, {slots} at once", err=True)
        with tempfile.TemporaryDirectory(prefix="throughput-") as name:
            found.append(measure(clips, slots, Path(name)))
    console.print(_speed_table(found))
    console.print(_share_table(found))


if __name__ == "__main__":
    main()
