"""What the stores cost: points a second, opening, searching; what DuckDB does beside a writer.

`python -m identity_pipeline_tests.benchmarks.bench_stores [POINTS ...]`. Seconds are those of the
processor (of the wall in brackets), so that a busy machine says the same.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import duckdb
import numpy as np

from identity_pipeline.core.vectors import normalise
from identity_pipeline.storage.index.points import IndexPoint, VideoPoints
from identity_pipeline.storage.index.vector_index import Sources
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.storage.small_library import RIDE_A, index_of, started

PER_VIDEO, TEMPLATES, IDENTITY, VISION = 100, 10, 512, 384
SPACE, VISION_SPACE = f"s@0/{IDENTITY}", f"v@0/{VISION}"
QUERIES = 2000
WRITER = """
n = 0
while not (root / "stop").exists():
    n += 1
    size = 500 if n % 2 else 900
    put(store, "frames", RIDE_A, [{"frame_idx": size, "face_count": i} for i in range(size)])
"""
Result = TypeVar("Result")


def timed(label: str, work: Callable[[], Result], count: int = 0) -> Result:
    """Does the work and prints what it took."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = work()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    rate = f", {count / cpu:.0f} a second" if count else ""
    print(f"  {label}: {cpu:.2f} s ({wall:.2f} s){rate}")
    return result


def video(number: int) -> VideoPoints:
    """Points of an invented video: templates, and images with all three vectors."""
    rng, name = np.random.default_rng(number), f"v-{number:06d}"
    e_id, face, body = (
        normalise(rng.normal(size=(PER_VIDEO, size))) for size in (IDENTITY, VISION, VISION)
    )
    points = []
    for i in range(PER_VIDEO):
        kind, extra = "template", {}
        if i >= TEMPLATES:
            kind, extra = "image", {"e_vis_face": face[i], "e_vis_body": body[i]}
        subject = f"face:{name}:{i:06d}-0"
        vectors = {"e_id": e_id[i], **extra}
        fields = (kind, subject, name, 0, i, f"{i:06d}-0", 0, 0.5, None, None, vectors)
        points.append(IndexPoint(*fields))
    return VideoPoints(name, SPACE, VISION_SPACE, tuple(points))


def bench_index(count: int, root: Path) -> None:
    """An index of so many points."""
    print(f"{count} points of {IDENTITY} + 2 x {VISION} numbers, embedded")
    index = index_of(TableStore(Layout(root)))
    videos = {v.video_id: v for v in map(video, range(count // PER_VIDEO))}
    sources = Sources(lambda: list(videos), videos.__getitem__, lambda name: "same")
    timed("rebuild", lambda: index.rebuild(sources), count)
    opened = index.open("benchmark", write=True)
    session = timed("open", opened.__enter__)
    query = videos["v-000000"].points[0].vectors["e_id"]
    timed("search", lambda: session.search(SPACE, query))
    timed("a new video", lambda: session.replace(video(10**6)), PER_VIDEO)
    timed("the same video again", lambda: session.replace(video(10**6)))
    timed("checksums of all", session.contents)
    timed("close", lambda: opened.__exit__(None, None, None))


def bench_duckdb_beside_a_writer(root: Path) -> None:
    """How often plain DuckDB mixes a table with the one that replaces it while it is read."""
    writer = started(WRITER, root)
    table = root / "tables" / "frames" / f"{RIDE_A}.parquet"
    while not table.exists():
        time.sleep(0.02)
    seen: Counter[str] = Counter()
    with duckdb.connect(":memory:") as connection:
        for _ in range(QUERIES):
            try:
                rows = connection.execute(
                    "SELECT min(frame_idx), max(frame_idx), count(*) FROM read_parquet(?)",
                    [str(table)],
                ).fetchall()
                seen["whole" if len(set(rows[0])) == 1 else "mixed"] += 1
            except duckdb.Error:
                seen["error"] += 1
    (root / "stop").touch()
    writer.wait()
    print(f"{QUERIES} queries of plain DuckDB beside a writer that never rests: {dict(seen)}")


def main() -> None:
    """Runs all."""
    for count in [int(argument) for argument in sys.argv[1:]] or [1000]:
        with tempfile.TemporaryDirectory() as folder:
            bench_index(count, Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        bench_duckdb_beside_a_writer(Path(folder))


if __name__ == "__main__":
    main()
