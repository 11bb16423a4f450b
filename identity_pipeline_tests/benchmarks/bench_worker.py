"""Video after video in one worker: how soon each begins, and whether its memory stays flat.

    python -m identity_pipeline_tests.benchmarks.bench_worker --videos 200

The launcher of `dagster.yaml` is told of one run after another, as the daemon tells it; one worker
does them all. Printed is the time from the launch to the first frame of the pass, of the worker's
first video and of later ones, by the clock and as seconds of the processor that the worker spent;
and its resident memory behind each video.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import dagster as dg
import psutil
from dagster._core.definitions.reconstruct import ReconstructableRepository
from rich.console import Console
from rich.table import Table

from identity_pipeline.defs.automation.dead_runs import process_of
from identity_pipeline.defs.deploy.worker_pool import pool_of
from identity_pipeline.defs.instance import pools
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.registry import VideoRegistry
from identity_pipeline_tests.benchmarks import reach
from identity_pipeline_tests.benchmarks.first_frames import LOCATION, NOTES, first_frames
from identity_pipeline_tests.benchmarks.services import REPOSITORY, environment_of
from identity_pipeline_tests.benchmarks.short_clips import RIDE, short_clips

JOB, PARTITION = "per_video", "dagster/partition"
REACH_S = 0.5
FLAT_MB = 0.25
"""Growth a video below which memory is called flat: 50 MB in 200 videos."""


@dataclass(frozen=True)
class Video:
    """One video of the worker.

    Attributes:
        first_frame: seconds of the clock from the launch to its first frame.
        until_then: seconds of the processor that the worker spent up to it.
        processor: seconds of the processor that the worker spent from the launch to the end.
        whole: seconds of the clock from the launch to the end.
        memory_mb: resident, behind it.
        worker: its process.
    """

    first_frame: float
    until_then: float
    processor: float
    whole: float
    memory_mb: float
    worker: int


@contextmanager
def _launching(root: Path, notes: Path) -> Iterator[dg.DagsterInstance]:
    """An instance with the repository's `dagster.yaml`, whose workers live while the block runs."""
    home = root / "home"
    home.mkdir()
    shutil.copy(REPOSITORY / "dagster.yaml", home)
    variables = {
        "DAGSTER_HOME": str(home),
        "IDENTITY_PIPELINE__PATHS__DATA": str(root / "data"),
        "IDENTITY_PIPELINE__WORKERS__RUNS": "1000000",
        "IDENTITY_PIPELINE__WORKERS__GROWTH_MB": "1000000",
        "PYTHONPATH": str(REPOSITORY),
        NOTES: str(notes),
    }
    with environment_of(variables), dg.DagsterInstance.get() as instance:
        pools.make_known(instance)
        try:
            yield instance
        finally:
            for worker in list(pool_of(instance).workers):
                worker.process.kill()
                worker.process.wait()


def measure(videos: int, seconds: float) -> list[Video]:
    """Makes the clips, and runs them one after the other.

    Raises:
        RuntimeError: a video failed.
    """
    with tempfile.TemporaryDirectory(prefix="bench-worker-") as name:
        root, notes = Path(name), Path(name) / "first_frames"
        clips = short_clips(RIDE, root, videos, seconds)
        (root / "data").mkdir()
        registry = VideoRegistry(Layout(root / "data"))
        location = ReconstructableRepository.for_module(LOCATION, "defs", str(REPOSITORY))
        found = []
        with _launching(root, notes) as instance:
            job = location.get_reconstructable_job(JOB)
            for clip in clips:
                video_id = registry.register(clip)[0].video_id
                instance.add_dynamic_partitions("videos", [video_id])
                run = instance.create_run_for_job(
                    job.get_definition(),
                    job_code_origin=job.get_python_origin(),
                    tags={PARTITION: video_id},
                )
                found.append(_one(instance, run.run_id, notes))
    return found


def _one(instance: dg.DagsterInstance, run_id: str, notes: Path) -> Video:
    known = {w.process.pid: psutil.Process(w.process.pid) for w in pool_of(instance).workers}
    before = {pid: sum(process.cpu_times()[:2]) for pid, process in known.items()}
    launched = time.time()
    instance.launch_run(run_id, workspace=None)  # type: ignore[arg-type]
    while not (run := instance.get_run_by_id(run_id)) or not run.is_finished:
        time.sleep(0.05)
    ended = time.time()
    if not run.is_success:
        raise RuntimeError(f"run {run_id} failed: {run.status.value}")
    told = process_of(instance, run)
    if told is None:
        raise RuntimeError(f"run {run_id} has told no process")
    pid = told[0]
    while any(worker.run_id for worker in pool_of(instance).workers):
        time.sleep(0.01)
    process = psutil.Process(pid)
    first = next(one for one in first_frames(notes) if one.pid == pid and one.at >= launched)
    return Video(
        first.at - launched,
        first.processor - before.get(pid, 0.0),
        sum(process.cpu_times()[:2]) - before.get(pid, 0.0),
        ended - launched,
        process.memory_info().rss / 1e6,
        pid,
    )


def growth(found: list[Video]) -> float | None:
    """MB a video, over the second half: what caches and allocators take at first is no growth.

    None where that is too short to tell.
    """
    half = [video.memory_mb for video in found[len(found) // 2 :]]
    if len(half) < 4:
        return None
    return statistics.linear_regression(range(len(half)), half).slope


def rows_of(found: list[Video]) -> list[reach.Row]:
    """What of the reach this measures."""
    later = found[1:]
    middle = statistics.median(video.first_frame for video in later)
    cost = statistics.median(video.until_then for video in later)
    grown, workers = growth(found), len({video.worker for video in found})
    whole = len(found) >= 200
    return [
        reach.Row(
            "from launch to first frame, second video of a worker",
            f"≤ {REACH_S} s",
            f"{middle:.2f} s, of it {cost:.2f} s of the processor (median of {len(later)}; the "
            f"worker's first {found[0].first_frame:.1f} s)",
            middle <= REACH_S,
            f"load {os.getloadavg()[0]:.1f}" if middle > REACH_S else "",
        ),
        reach.Row(
            "memory of one worker over 200 videos",
            "flat",
            f"{'-' if grown is None else f'{grown:+.2f}'} MB a video over the last "
            f"{len(found) - len(found) // 2} of {len(found)} "
            f"(from {found[0].memory_mb:.0f} to {found[-1].memory_mb:.0f} MB, {workers} worker)",
            (grown < FLAT_MB and workers == 1) if whole and grown is not None else None,
            "" if whole else f"{len(found)} videos tell little of 200",
        ),
    ]


def _table(found: list[Video]) -> Table:
    table = Table(title="One worker, video after video", title_justify="left")
    for name in (
        "video",
        "first frame s",
        "of it processor s",
        "whole s",
        "worker, processor s",
        "resident MB",
    ):
        table.add_column(name, justify="right")
    shown = sorted({0, 1, 2, *range(9, len(found), max(1, len(found) // 10)), len(found) - 1})
    for number in (n for n in shown if n < len(found)):
        video = found[number]
        table.add_row(
            str(number + 1),
            f"{video.first_frame:.2f}",
            f"{video.until_then:.2f}",
            f"{video.whole:.1f}",
            f"{video.processor:.1f}",
            f"{video.memory_mb:.0f}",
        )
    return table


@click.command(help=(__doc__ or "").split("\n\n")[0])
@click.option("--videos", default=8, show_default=True)
@click.option("--seconds", default=1.0, show_default=True, help="Of each clip.")
@click.option("--json", "json_file", type=Path, help="Also write the figures to this file.")
def main(videos: int, seconds: float, json_file: Path | None) -> None:
    """Measures and prints."""
    found = measure(videos, seconds)
    rows = rows_of(found)
    console = Console(width=max(120, Console().width))
    console.print(_table(found))
    for row in rows:
        console.print(f"{row.what}: {row.here} (reach: {row.reach})")
    console.print(f"Load {os.getloadavg()[0]:.1f}.")
    if json_file:
        told = {"videos": [asdict(video) for video in found], **reach.as_json(rows)}
        json_file.write_text(json.dumps(told, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
