"""Two workers, one of which is killed in the middle of a video: what it costs and what is lost.

    python -m identity_pipeline_tests.benchmarks.two_workers RIDE.mp4 [RIDE.mp4 ...]

First all rides run undisturbed in one process. Then a site of Postgres, Redis, code server, daemon
and two Celery workers gets them dropped into its inbox, with `deploy/linux/dagster.yaml` as it is.
One worker is killed (SIGKILL) while it is at a video, and is not started again. Printed is when
that was noticed, when its video went on, and whether all tables, crops and exports are the same
bytes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import dagster as dg

from identity_pipeline.defs.instance import pools
from identity_pipeline.defs.instance.jobs import per_video
from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.progress.heartbeat import Heartbeat, Heartbeats
from identity_pipeline.storage.video.chunks import unfinished
from identity_pipeline_tests.library import digest_of_tree
from identity_pipeline_tests.scale_out import servers
from identity_pipeline_tests.scale_out.site import (
    Site,
    instance_of,
    open_site,
    site_environment,
    start_daemon,
)

WORKERS = ("worker-1", "worker-2")
OF_A_SITE = ("dagster/", "registry/known_files.sqlite", "chunks/.locks/", "failures/", "cameras/")
"""What only a site has, or has in another order: Dagster's logs, the memory of its inbox, who held
a lock last, and the last videos of a camera, in the order in which they were done."""
VIDEO = "dagster/partition"


def undisturbed(rides: list[Path], root: Path) -> float:
    """Runs the rides one after the other in one process; returns the seconds it took."""
    started = time.monotonic()
    home = root / "undisturbed-home"
    home.mkdir()
    environment = {**os.environ, **site_environment(root / "data"), "DAGSTER_HOME": str(home)}
    with (root / "undisturbed.log").open("wb") as log:
        subprocess.run(
            [sys.executable, "-m", "identity_pipeline", "run", *map(str, rides)],
            check=True,
            cwd=root,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    return time.monotonic() - started


def drop(rides: list[Path], inbox: Path) -> list[Path]:
    """Copies rides into an inbox, each whole at once."""
    inbox.mkdir(parents=True)
    for ride in rides:
        atomic.write_bytes(inbox / ride.name, ride.read_bytes())
    return [inbox / ride.name for ride in rides]


def victim_of(site: Site) -> tuple[str, Heartbeat] | None:
    """A worker in the middle of a video of which it has kept a chunk, and the step it is at."""
    kept = {video for (_, video), count in unfinished(site.layout).items() if count}
    for step in Heartbeats(site.layout).all():
        for worker in WORKERS:
            at_it = not step.ended and step.pid in site.children(worker)
            if at_it and step.video_id in kept:
                return worker, step
    return None


def finished(site: Site) -> set[str]:
    """Videos whose export is written."""
    folder = site.layout.tables / "identity_dataset"
    return {p.name.removesuffix(".manifest.json") for p in folder.glob("[!.]*.manifest.json")}


def idle(instance: dg.DagsterInstance) -> bool:
    """Whether no run waits or works."""
    open_states = [*pools.BUSY, dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED]
    return not instance.get_runs(dg.RunsFilter(statuses=open_states), limit=1)


def disturbed(rides: list[Path], site: Site, instance: dg.DagsterInstance) -> None:
    """Drops the rides, kills a worker, waits for all videos, and prints what became of it."""
    pools.make_known(instance)
    instance.event_log_storage.set_concurrency_slots(pools.GPU, len(WORKERS))
    for worker in WORKERS:
        site.start_worker(worker)
    start_daemon(site)
    drop(rides, site.layout.videos)
    started = time.time()
    site.wait_until(lambda: victim_of(site), "a worker is in the middle of a video", 300)
    found = victim_of(site)
    assert found is not None
    worker, step = found
    chunks = sum(n for (_, video), n in unfinished(site.layout).items() if video == step.video_id)
    followers = site.kill(worker)
    killed = time.time()
    print(
        f"killed              {worker} at step {step.step} of {step.video_id}, {chunks} chunks kept"
    )
    site.wait_until(
        lambda: not any(Path(f"/proc/{pid}").exists() for pid in followers), "it is gone", 30
    )
    print(f"its processes       {len(followers)} more, gone with it")
    site.wait_until(
        lambda: len(finished(site)) == len(rides) and idle(instance), "all videos are done", 2400
    )
    print(f"all done            {time.time() - started:.0f} s after the drop")
    tell_of_runs(instance, step, killed)


def tell_of_runs(instance: dg.DagsterInstance, step: Heartbeat, killed: float) -> None:
    """When the death was noticed, who took over, and what is left in pools and queue."""
    runs = instance.get_runs(dg.RunsFilter(job_name=per_video.name))
    states: dict[str, int] = {}
    for run in runs:
        states[run.status.value] = states.get(run.status.value, 0) + 1
    dead = instance.get_run_record_by_id(step.run_id)
    assert dead is not None and dead.end_time is not None
    print(f"runs of videos      {states}")
    print(
        f"the dead run        {dead.dagster_run.status.value} {dead.end_time - killed:.0f} s later"
    )
    for run in runs:
        if run.tags.get(VIDEO) == step.video_id and run.run_id != step.run_id:
            record = instance.get_run_record_by_id(run.run_id)
            assert record is not None and record.start_time and record.end_time
            began, took = record.start_time - killed, record.end_time - record.start_time
            print(
                f"its video           {run.status.value}, began {began:.0f} s after the kill, took "
                f"{took:.0f} s"
            )
    library = instance.get_runs(dg.RunsFilter(job_name="library"))
    print(f"runs of the library {[run.status.value for run in library]}")
    for use in pools.uses(instance):
        info = instance.event_log_storage.get_concurrency_info(use.name)
        print(
            f"pool {use.name:<15}{use.slots} slots, {len(use.inside)} taken, {use.waiting} "
            f"waiting, {info.active_slot_count} claimed in the database"
        )


def compare(reference: Path, made: Path) -> bool:
    """Whether both folders hold the same bytes; prints what differs."""
    expected, found = (
        {file: digest for file, digest in digest_of_tree(folder).items() if is_result(file)}
        for folder in (reference, made)
    )
    different = sorted(
        file for file in {*expected, *found} if expected.get(file) != found.get(file)
    )
    by_kind: dict[str, int] = {}
    for file in expected:
        kind = file.partition("/")[0]
        by_kind[kind] = by_kind.get(kind, 0) + 1
    print(f"files compared      {len(expected)}: {by_kind}")
    print(f"files that differ   {len(different)} {different[:5]}")
    return not different


def is_result(file: str) -> bool:
    """Whether a file is one that both ways must make alike."""
    return not file.startswith(OF_A_SITE) and not Path(file).name.startswith(".partial-")


def main(rides: list[Path], root: Path) -> bool:
    """Both ways, and the comparison; whether the results are the same."""
    took = undisturbed(drop(rides, root / "data" / "videos"), root)
    print(f"undisturbed         {len(rides)} videos and the library in {took:.0f} s, one process")
    (root / "data").rename(root / "reference")
    with open_site(root) as site, instance_of(site) as instance:
        disturbed(rides, site, instance)
    return compare(root / "reference", Layout(root / "data").root)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rides", nargs="+", type=Path)
    parser.add_argument("--keep", type=Path, help="work in this new folder, and leave it there")
    given = parser.parse_args()
    missing = servers.without_postgres() or servers.without_redis()
    if missing:
        sys.exit(missing)
    work = given.keep or Path(tempfile.mkdtemp(prefix="two-workers-"))
    work.mkdir(parents=True, exist_ok=True)
    try:
        same = main([ride.resolve() for ride in given.rides], work.resolve())
    finally:
        if not given.keep:
            shutil.rmtree(work, ignore_errors=True)
    sys.exit(0 if same else 1)
