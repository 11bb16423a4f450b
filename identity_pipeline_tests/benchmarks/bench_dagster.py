"""What Dagster costs a video beside the work of its steps, and what stands in its log.

The job of one ride on an instance as a data folder has it, in this process. The clock of the work
runs while a step's own function or check runs, and stands still while it reports to Dagster; all
else of the run is Dagster's: its log, versions of data, contexts, and the start of the run. What
passes outside of a run, from queue to start and from end to the next, is in `bench_throughput`.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click
import dagster as dg
import pytest
from rich.console import Console
from rich.table import Table

from identity_pipeline.cli.instance import dagster_instance
from identity_pipeline.definitions import build_defs
from identity_pipeline.defs.resources import decorators
from identity_pipeline.defs.resources.resources import SettingsResource
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.settings import load_settings
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.registry import VideoRegistry
from identity_pipeline_tests.benchmarks import material, parts
from identity_pipeline_tests.benchmarks.long_videos import long_video, minutes_of
from identity_pipeline_tests.benchmarks.pipeline_run import QUIET
from identity_pipeline_tests.benchmarks.reach import Row, as_json
from identity_pipeline_tests.benchmarks.timing import Sample, measured

RIDE = material.PROJECT / "identity_pipeline" / "bundled" / "rides" / "demo_solo.mp4"
REACH_SHARE, REACH_ENTRIES, RIDE_S = 0.03, 120, 120.0


@dataclass
class Share:
    """One run of the job.

    Attributes:
        whole: the call that runs it.
        work: of it, while steps worked.
        entries: in the run's log, by kind.
        indexed: in the log of all runs, by kind.
    """

    whole: Sample = field(default_factory=Sample)
    work: Sample = field(default_factory=Sample)
    entries: dict[str, int] = field(default_factory=dict)
    indexed: dict[str, int] = field(default_factory=dict)

    @property
    def dagster(self) -> Sample:
        """What is not the work of the steps."""
        return Sample(self.whole.wall - self.work.wall, self.whole.cpu - self.work.cpu)

    def shares(self) -> dict[str, float]:
        """Dagster's share of the clock and of the processor."""
        own = self.dagster
        return {"wall": own.wall / self.whole.wall, "cpu": own.cpu / self.whole.cpu}


@contextmanager
def _working(share: Share) -> Iterator[None]:
    """While the block runs, the clock of the work runs with the steps."""
    begun = Sample()

    def go(sign: int) -> None:
        nonlocal begun
        now = Sample(*_now())
        if sign > 0:
            begun = now
        else:
            share.work += Sample(now.wall - begun.wall, now.cpu - begun.cpu)

    def timed(made: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        def run(*given: Any) -> Iterator[Any]:
            results = made(*given)
            while True:
                go(+1)
                try:
                    result = next(results, None)
                finally:
                    go(-1)
                if result is None:
                    return
                yield result

        return run

    def reported(report: Callable[..., None]) -> Callable[..., None]:
        def run(*given: Any, **named: Any) -> None:
            go(-1)
            try:
                report(*given, **named)
            finally:
                go(+1)

        return run

    with pytest.MonkeyPatch.context() as patch:
        for place, name, by in (
            (decorators, "_made", timed),
            (decorators, "checked", timed),
            (dg.AssetExecutionContext, "log_event", reported),
        ):
            patch.setattr(place, name, by(getattr(place, name)))
        yield


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def run(video: Path, hub: ModelHub, groups: dict[str, Any]) -> Share:
    """Runs the job on a fresh data folder with its own instance, which is there already.

    Args:
        video: the clip.
        hub: models, loaded already.
        groups: of settings.

    Raises:
        RuntimeError: the job failed.
    """
    share = Share()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        data = Path(name) / "data"
        layout = Layout(data)
        defs = build_defs(SettingsResource.of(**groups, paths={"data": str(data)}), models=hub)
        job = defs.resolve_job_def("per_video")
        record, _ = VideoRegistry(layout).register(video)
        with dagster_instance(layout) as instance:
            instance.add_dynamic_partitions("videos", [record.video_id])
            with _working(share), measured() as share.whole:
                done = job.execute_in_process(
                    instance=instance,
                    partition_key=record.video_id,
                    run_config=QUIET,
                    raise_on_error=False,
                )
            if not done.success:
                raise RuntimeError("the job failed")
            share.entries = _kinds(instance, done.run_id)
            storage = instance.event_log_storage
            with storage.index_connection() as connection:  # pyright: ignore
                rows = connection.exec_driver_sql("SELECT dagster_event_type FROM event_logs")
                share.indexed = dict(Counter(str(kind) for (kind,) in rows))
    return share


def _kinds(instance: dg.DagsterInstance, run_id: str) -> dict[str, int]:
    kinds = (entry.dagster_event_type for entry in instance.all_logs(run_id))
    return dict(Counter(kind.value if kind else "a line" for kind in kinds).most_common())


def tables(found: Share, title: str) -> Iterator[Table]:
    """What it costs, and what is in the log."""
    cost = Table(title=title, title_justify="left")
    for name in ("", "on the clock, s", "processor, s"):
        cost.add_column(name, justify="left" if not name else "right")
    own, shares = found.dagster, found.shares()
    for name, sample in (("run", found.whole), ("work of the steps", found.work), ("Dagster", own)):
        cost.add_row(name, f"{sample.wall:.2f}", f"{sample.cpu:.2f}")
    cost.add_row("share", f"{shares['wall']:.1%}", f"{shares['cpu']:.1%}")
    yield cost
    log = Table(title="entries in Dagster's log", title_justify="left")
    for name in ("kind", "of the run", "of all runs"):
        log.add_column(name, justify="left" if name == "kind" else "right")
    for kind in dict.fromkeys((*found.entries, *found.indexed)):
        log.add_row(kind, str(found.entries.get(kind, 0)), str(found.indexed.get(kind, 0)))
    log.add_row("all", str(sum(found.entries.values())), str(sum(found.indexed.values())))
    yield log


def rows(found: Share, seconds: float) -> list[Row]:
    """What was to be reached, of a ride of some seconds."""
    own, work, share = found.dagster.cpu, found.work.cpu, found.shares()["cpu"]
    of_two = own / (own + work * RIDE_S / seconds)
    whole = seconds >= RIDE_S
    entries = sum(found.entries.values())
    of_what = ", ".join(f"{n} {kind}" for kind, n in list(found.entries.items())[:5])
    return [
        Row(
            what="Dagster's share of a two-minute ride, processor time",
            reach=f"≤ {REACH_SHARE:.0%}",
            here=f"{share:.1%}" if whole else f"{own:.2f} s; {share:.1%} of {seconds:.0f} s",
            met=share <= REACH_SHARE if whole else None,
            why="" if whole else f"were its work longer by as much as the ride: {of_two:.1%}",
        ),
        Row(
            what=f"entries in Dagster's log, a ride of {seconds:.0f} s",
            reach=f"≤ {REACH_ENTRIES}",
            here=str(entries),
            met=entries <= REACH_ENTRIES,
            why=of_what if entries > REACH_ENTRIES else "",
        ),
    ]


@click.command(help=(__doc__ or "").split("\n\n")[0])
@click.option("--video", type=Path, default=RIDE, show_default=True, help="Clip.")
@click.option("--models", help="Face pack. Default: the setting.")
@click.option("--vision", help="Vision encoder. Default: the setting.")
@click.option("--seconds", default=0.0, help="Use only the beginning of the clip; 0: all of it.")
@click.option("--minutes", default=0.0, help="Show the clip again and again, this long; 0: once.")
@click.option("--json", "json_file", type=Path, help="Also write the figures to this file.")
def main(
    video: Path,
    models: str | None,
    vision: str | None,
    seconds: float,
    minutes: float,
    json_file: Path | None,
) -> None:
    """Measures and prints."""
    warnings.simplefilter("ignore")
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    named = {"face_pack": models, "vision_encoder": vision}
    groups = {"models": {name: value for name, value in named.items() if value}}
    hub = ModelHub(load_settings(**groups).models)
    with tempfile.TemporaryDirectory(prefix="bench-material-") as name:
        folder = Path(name)
        begun = parts.shortened(video, 1.0, folder / f"begun-{video.name}")
        run(begun, hub, groups)  # opens the models and loads what a process loads once
        if seconds:
            video = parts.shortened(video, seconds, folder / f"first-{video.name}")
        if minutes:
            video = long_video(video, folder, minutes)
        length = round(60 * minutes_of(video), 1)
        found = run(video, hub, groups)
    console = Console(width=max(100, Console().width))
    where = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    for table in tables(found, f"A ride of {length:g} s, {where}"):
        console.print(table)
    if json_file:
        told = asdict(found) | {"shares": found.shares()} | as_json(rows(found, length))
        json_file.write_text(json.dumps(told, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
