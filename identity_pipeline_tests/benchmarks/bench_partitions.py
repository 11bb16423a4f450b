"""What a season of partitions costs: sensor ticks, commands, and the queries of Dagster's pages.

`python -m identity_pipeline_tests.benchmarks.bench_partitions [PARTITIONS] [--files]`, 20 000 by
default, on an instance of its own in a temporary folder (`TMPDIR`). With `--files` there are no
events, which take most of the time, and only what looks at files and records is measured. The
partitions are real and so are the events: every video has a registration and materialisations of
`ASSETS`, reported to the instance as a run would. Tables and exports are empty, but whole, so that
archiving reads them back. Everything is measured before archiving all videos but the last 500, and
after: seconds of the wall (in brackets of the processor, without the web server's), and the load
of the machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from identity_pipeline.definitions import build_defs
from identity_pipeline.defs.automation.schedules import sweep_videos
from identity_pipeline.defs.automation.sensors import new_videos
from identity_pipeline.defs.instance import archiving
from identity_pipeline.defs.resources.resources import SettingsResource
from identity_pipeline.storage.folder.disk import finished_before
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.known_files import KnownFile, KnownFiles, Stamp
from identity_pipeline.storage.video.registry import VideoRegistry
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline.tables import empty

ASSET = "identity_dataset"
ASSETS = ("ride_video", "frames", ASSET)
"""Assets of which there are events; each event costs the instance some 10 ms of processor."""
OPEN = 500
PORT = 3178
REPEATS = 3
FILES_ONLY = "--files"
HEAD = "query($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode { "
PAGES = {
    "asset page: state of all partitions": HEAD
    + "partitionStats { numPartitions numMaterialized numFailed numMaterializing } "
    "assetPartitionStatuses { ... on DefaultPartitionStatuses { materializedPartitions "
    "failedPartitions unmaterializedPartitions materializingPartitions } } } } }",
    "asset page: names of all partitions": HEAD
    + "partitionKeysByDimension { name partitionKeys } } } }",
    "asset page: last 100 events": HEAD
    + "assetMaterializations(limit: 100) { runId partition timestamp } } } }",
    "runs page": "query { runsOrError(limit: 30) { ... on Runs { results { runId status } } } }",
    "assets page": "query { assetNodes { assetKey { path } "
    "partitionStats { numPartitions numMaterialized numFailed } } }",
}


class Season:
    """A data folder and an instance with so many finished videos."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.layout = Layout(root / "data")
        self.store = TableStore(self.layout)
        self.home = root / "home"
        self.home.mkdir()
        (self.home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
        os.environ["DAGSTER_HOME"] = str(self.home)
        os.environ["IDENTITY_PIPELINE__PATHS__DATA"] = str(self.layout.root)
        self.settings = SettingsResource.of(paths={"data": str(self.layout.root)})
        self.instance = dg.DagsterInstance.get()

    def fill(self, count: int, events: bool) -> None:
        """So many videos, as if each had been dropped, registered, run and finished.

        Args:
            count: how many.
            events: also their materialisations.
        """
        digests = [hashlib.sha256(str(n).encode()).hexdigest() for n in range(count)]
        keys = [f"ride-{n:06d}-{digest[:8]}" for n, digest in enumerate(digests)]
        started = time.perf_counter()
        self.layout.videos.mkdir(parents=True)
        self.layout.registry.mkdir(parents=True)
        known = {}
        for n, key in enumerate(keys):
            file = self.layout.videos / f"ride {n:06d}.mp4"
            file.write_bytes(b"")
            known[str(file)] = KnownFile(Stamp.of(file.stat()), key)
            record = {"video_id": key, "sha256": digests[n], "path": str(file), "links": []}
            (self.layout.registration(key)).write_text(json.dumps(record))
        KnownFiles(self.layout).remember(known)
        self._tables(keys)
        for start in range(0, count, 5000):
            self.instance.add_dynamic_partitions("videos", keys[start : start + 5000])
        for n, key in enumerate(keys if events else ()):
            for asset in ASSETS:
                event = dg.AssetMaterialization(asset, partition=key, metadata={"rows": n})
                self.instance.report_runless_asset_event(event)
            if n % 1000 == 999:
                print(f"  {n + 1} videos, {time.perf_counter() - started:.0f} s", flush=True)

    def _tables(self, keys: list[str]) -> None:
        """One whole table and manifest per video, linked: they are equal bytes."""
        self.store.write(ASSET, keys[0], empty(ASSET), "made up")
        self.layout.export(keys[0]).mkdir(parents=True)
        pattern = [f(ASSET, keys[0]) for f in (self.layout.table, self.layout.manifest)]
        for key in keys[1:]:
            for path, place in zip(pattern, (self.layout.table, self.layout.manifest), strict=True):
                place(ASSET, key).hardlink_to(path)
            self.layout.export(key).mkdir(parents=True)

    def tick(self) -> None:
        """One tick of the sensor, with nothing new."""
        with dg.build_sensor_context(
            instance=self.instance, cursor="{}", resources=self._resources()
        ) as context:
            assert isinstance(new_videos(context), dg.SkipReason)

    def sweep(self) -> None:
        """One sweep, with nothing to do."""
        with dg.build_schedule_context(
            instance=self.instance,
            scheduled_execution_time=datetime.now(UTC),
            resources=self._resources(),
        ) as context:
            assert isinstance(sweep_videos(context), dg.SkipReason)

    def _resources(self) -> dict[str, Any]:
        resources = build_defs(self.settings).resources
        assert resources
        return {name: resources[name] for name in ("store", "settings")}

    def archive_all_but(self, count: int) -> int:
        """Archives the oldest and returns how many."""
        now = datetime.now(UTC)
        keys = archiving.candidates(self.instance, self.store, now.timestamp())[:-count]
        done = list(archiving.archive(self.instance, self.store, keys, now))
        assert not any(why for _, why in done)
        return len(done)


def lookup(season: Season) -> None:
    """Whether the contents of 100 new files are known, one after the other."""
    registry = VideoRegistry(season.layout)
    new = [hashlib.sha256(f"new {n}".encode()).hexdigest() for n in range(100)]
    timed("100 new files: known contents?", lambda: [registry.by_digest(one) for one in new])


def cpu() -> float:
    """Processor seconds of this process and of the commands that it waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def timed(label: str, work: Callable[[], object], repeats: int = REPEATS) -> None:
    """Prints the shortest of some runs: the wall, and in brackets the processor."""
    seconds = []
    for _ in range(repeats):
        before, started = cpu(), time.perf_counter()
        work()
        seconds.append((time.perf_counter() - started, cpu() - before))
    wall, own = (min(several) for several in zip(*seconds, strict=True))
    print(f"  {label}: {wall:.2f} s ({own:.2f} s)", flush=True)


def command(*arguments: str) -> None:
    """One command of the product, output thrown away."""
    subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "identity_pipeline", *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
    )


@contextmanager
def webserver() -> Iterator[Callable[[str], int]]:
    """Dagster's web server on the instance; asks a query and returns the bytes of the answer."""
    url = f"http://127.0.0.1:{PORT}/graphql"
    server = subprocess.Popen(
        [sys.executable, "-m", "dagster_webserver", "-p", str(PORT), "-m",
         "identity_pipeline.definitions"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip

    def ask(query: str) -> int:
        variables = {"key": {"path": [ASSET]}} if "$key" in query else {}
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            url, data=body, headers={"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=300) as answer:  # noqa: S310
            content = answer.read()
        assert b'"errors"' not in content, content[:500]
        return len(content)

    try:
        for _ in range(120):
            try:
                ask("query { version }")
                break
            except OSError:
                time.sleep(0.5)
        yield ask
    finally:
        server.terminate()
        server.wait()


def measure_files(season: Season) -> None:
    """What looks at files and records."""
    print(f"  load of the machine: {os.getloadavg()[0]:.1f}")
    timed("tick of the sensor new_videos", season.tick)
    lookup(season)
    timed("identity-pipeline videos", lambda: command("videos"), 1)
    timed("identity-pipeline archive", lambda: command("archive"), 1)
    timed(
        "identity-pipeline sql, one count", lambda: command("sql", "SELECT count(*) FROM videos"), 1
    )


def measure(season: Season) -> None:
    """Everything once."""
    measure_files(season)
    timed("tick of the sweep", season.sweep)
    with webserver() as ask:
        for page, query in PAGES.items():
            timed(f"{page} ({ask(query) / 1e6:.2f} MB)", lambda query=query: ask(query))


def main() -> None:
    """Runs all."""
    words = [word for word in sys.argv[1:] if word != FILES_ONLY]
    count = int(words[0]) if words else 20_000
    events = FILES_ONLY not in sys.argv
    with tempfile.TemporaryDirectory() as folder:
        season = Season(Path(folder))
        print(f"making {count} videos with {len(ASSETS) if events else 0} events each")
        season.fill(count, events)
        assert len(finished_before(season.layout, time.time())) == count
        print(f"{count} partitions")
        if not events:
            measure_files(season)
            return
        measure(season)
        started = time.perf_counter()
        archived = season.archive_all_but(OPEN)
        seconds = time.perf_counter() - started
        print(
            f"archiving {archived} videos: {seconds:.1f} s, {1000 * seconds / archived:.1f} ms each"
        )
        print(f"{OPEN} partitions, {archived} archived")
        measure(season)


if __name__ == "__main__":
    main()
