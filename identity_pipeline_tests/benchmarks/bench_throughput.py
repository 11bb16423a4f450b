"""Videos an hour with 1, 2 and 4 of them at once, against the bare parts; Dagster's own share.

    python -m identity_pipeline_tests.benchmarks.bench_throughput RIDES_FOLDER --videos 16

For each number of videos at once, the same files twice: first only decoding and networks, on what
the job gives them, in so many processes (`bare_worker`); then a real deployment (`operated`) with
so many slots of the pool `gpu`. Videos an hour are counted from when each worker has had its first
video, which opens everything, to the last one's end. The library is not brought up to date
meanwhile. Both use the machine as they can, so what else runs on it counts.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import click
import dagster as dg
from rich.console import Console
from rich.table import Table

from identity_pipeline.defs.automation.dead_runs import process_of
from identity_pipeline_tests.benchmarks import reach
from identity_pipeline_tests.benchmarks.bare_worker import bare_parts
from identity_pipeline_tests.benchmarks.first_frames import (
    LOCATION,
    NOTES,
    FirstFrame,
    first_frames,
)
from identity_pipeline_tests.benchmarks.operated import Deployment, operated
from identity_pipeline_tests.benchmarks.short_clips import RIDE, short_clips

DEADLINE_S = 1800.0
STEP_ENDS = {dg.DagsterEventType.STEP_SUCCESS, dg.DagsterEventType.STEP_FAILURE}


@dataclass(frozen=True)
class RunTimes:
    """Seconds of one run, on the clock.

    Attributes:
        launched: time of day at which the launcher was told.
        ended: time of day at which the run had succeeded.
        starting: from the launch to the run's first step.
        first_frame: from the launch to the first frame of the pass.
        steps: in steps.
        events: entries in Dagster's log.
        worker: process that did it.
    """

    launched: float
    ended: float
    starting: float
    first_frame: float
    steps: float
    events: int
    worker: int

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
        bare: seconds of the clock for the bare parts of all videos; None where not measured.
        runs: each run, in the order of their launch.
        work: seconds of all step bodies: what the steps themselves noted as their cost.
        opening: seconds to open all models, by the clock, in as many processes at once.
    """

    at_once: int
    videos: int
    bare: float | None
    runs: list[RunTimes]
    work: float
    opening: float | None

    @property
    def first_of_worker(self) -> list[RunTimes]:
        """The first run of each worker."""
        seen: dict[int, RunTimes] = {}
        for run in self.runs:
            seen.setdefault(run.worker, run)
        return list(seen.values())

    @property
    def later(self) -> list[RunTimes]:
        """All other runs."""
        first = self.first_of_worker
        return [run for run in self.runs if run not in first]

    @property
    def an_hour(self) -> float:
        """Videos an hour once every worker has had its first."""
        begun = max(run.ended for run in self.first_of_worker)
        behind = sorted(run.ended for run in self.runs if run.ended > begun)
        return 3600 * len(behind) / (behind[-1] - begun) if behind else float("nan")


def measure(videos: Sequence[Path], at_once: int, root: Path, with_bare: bool) -> Throughput:
    """Bare parts, then the deployment.

    Raises:
        RuntimeError: a video did not finish.
    """
    bare, opening = bare_parts(at_once, videos) if with_bare else (None, None)
    runs, notes = {"max_concurrent_runs": at_once}, root / "first_frames"
    with operated(
        root,
        changes={"concurrency": {"runs": runs}},
        environment={NOTES: str(notes)},
        pools={"gpu": at_once},
        location=LOCATION,
    ) as one:
        _switch_off(one, "library_changed")
        one.drop(videos)
        done = one.wait_until(lambda: _finished(one, len(videos)), DEADLINE_S, every_s=2.0)
        if not done:
            raise RuntimeError(f"not all videos were done after {DEADLINE_S:.0f} s; see {root}")
        with one.instance() as instance:
            frames = first_frames(notes)
            times = [_times(instance, run, frames) for run in instance.get_runs()]
        work = _noted_costs(one)
    times.sort(key=lambda run: run.launched)
    return Throughput(at_once, len(videos), bare.wall if bare else None, times, work, opening)


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


def _times(
    instance: dg.DagsterInstance, run: dg.DagsterRun, frames: Sequence[FirstFrame]
) -> RunTimes:
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
    told = process_of(instance, run)
    if told is None:
        raise RuntimeError(f"run {run.run_id} has told no process")
    seen = next(one.at for one in frames if one.pid == told[0] and one.at >= launched)
    return RunTimes(
        launched, ended, first - launched, seen - launched, steps, len(entries), told[0]
    )


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
        "at once", "videos", "videos/h, bare", "videos/h, pipeline", "against 1 at once",
        "workers", "first frame of a worker's first s", "of later ones s",
    ):  # fmt: skip
        table.add_column(name, justify="right")
    for one in found:
        table.add_row(
            str(one.at_once),
            str(one.videos),
            "-" if one.bare is None else f"{3600 * one.videos / one.bare:.0f}",
            f"{one.an_hour:.0f}",
            f"{one.an_hour / found[0].an_hour:.2f}",
            str(len(one.first_of_worker)),
            f"{statistics.median(run.first_frame for run in one.first_of_worker):.2f}",
            f"{statistics.median(run.first_frame for run in one.later):.2f}",
        )
    return table


def _share_table(found: Sequence[Throughput]) -> Table:
    table = Table(title="Where a video's time goes, seconds of the clock", title_justify="left")
    for name in (
        "at once", "launch to end", "launch to first step", "work of the steps",
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
            "-" if one.opening is None else f"{one.opening:.2f}",
            f"{steps - work:.2f}",
            f"{whole - starting - steps:.2f}",
            "-" if waited is None else f"{waited:.2f}",
            f"{statistics.mean(run.events for run in one.runs):.0f}",
            f"{own:.2f}",
            f"{100 * own / (own + work):.0f}",
        )
    return table


def rows_of(found: Sequence[Throughput]) -> list[reach.Row]:
    """What of the reach this measures."""
    speeds = [one.an_hour for one in found]
    falls = any(later < 0.95 * earlier for earlier, later in pairwise(speeds))
    return [
        reach.Row(
            f"{', '.join(str(one.at_once) for one in found)} videos at once, videos an hour",
            "rising to the cores' limit, never falling (5 % is noise)",
            ", ".join(f"{speed:.0f}" for speed in speeds),
            not falls,
            f"load {os.getloadavg()[0]:.1f}" if falls else "",
        )
    ]


@click.command(help=(__doc__ or "").split("\n\n")[0])
@click.argument(
    "folder", type=click.Path(exists=True, file_okay=False, path_type=Path), required=False
)
@click.option("--videos", default=16, show_default=True, help="How many clips.")
@click.option(
    "--seconds", default=2.0, show_default=True, help="Of each clip, where no FOLDER is given."
)
@click.option("--at-once", multiple=True, type=int, default=(1, 2, 4), show_default=True)
@click.option("--bare/--no-bare", default=True, help="Whether the bare parts are measured too.")
@click.option("--json", "json_file", type=Path, help="Also write the figures to this file.")
def main(
    folder: Path | None,
    videos: int,
    seconds: float,
    at_once: tuple[int, ...],
    bare: bool,
    json_file: Path | None,
) -> None:
    """Measures and prints."""
    console = Console(width=max(120, Console().width))
    found = []
    with tempfile.TemporaryDirectory(prefix="clips-") as kept:
        if folder:
            clips = sorted(folder.glob("*.mp4"))[:videos]
        else:
            clips = short_clips(RIDE, Path(kept), videos, seconds)
        if len(clips) <= max(at_once):
            raise click.UsageError(f"{max(at_once)} at once need more than {len(clips)} clips.")
        for slots in at_once:
            click.echo(f"... {len(clips)} videos, {slots} at once", err=True)
            with tempfile.TemporaryDirectory(prefix="throughput-") as name:
                found.append(measure(clips, slots, Path(name), bare))
    console.print(_speed_table(found))
    console.print(_share_table(found))
    if json_file:
        told = {"at_once": [asdict(one) for one in found], **reach.as_json(rows_of(found))}
        json_file.write_text(json.dumps(told, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
