"""What comparing tables with their manifests costs the library at the size of a season.

Writes the template tables of so many videos, of three tracks each, and reads them all as the
library does: once compared with the SHA-256 in the manifest, once only parsed.

    python -m identity_pipeline_tests.benchmarks.bench_reading --videos 20000
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from identity_pipeline.storage.files.hashing import sha256_of_file
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import Manifest, TableStore
from identity_pipeline.tables import TABLES, conform
from identity_pipeline_tests.benchmarks.timing import measured

ASSET = "track_templates"
TRACKS, SIZE = 3, 512


def write(store: TableStore, video_id: str, rng: np.random.Generator) -> None:
    """A table and its manifest, without waiting for the disk as the product does."""
    vectors = rng.standard_normal((TRACKS, SIZE)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    columns = {
        "video_id": [video_id] * TRACKS,
        "track_key": [f"track:{video_id}:{n}" for n in range(TRACKS)],
        "template": vectors.tolist(),
    }
    table = pl.DataFrame(
        {name: columns.get(name, [None] * TRACKS) for name in TABLES[ASSET]}, schema=TABLES[ASSET]
    )
    path = store.layout.table(ASSET, video_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    conform(ASSET, table).write_parquet(path, compression="zstd", statistics=True)
    store.note(ASSET, video_id, Manifest("0" * 64, sha256_of_file(path), TRACKS))


@click.command(help=(__doc__ or "").split("\n\n")[0])
@click.option("--videos", default=2_000, show_default=True)
def main(videos: int) -> None:
    """Measures and prints."""
    rng = np.random.default_rng(0)
    names = [f"ride-{n:06d}" for n in range(videos)]
    with tempfile.TemporaryDirectory() as folder:
        store = TableStore(Layout(Path(folder)))
        for name in names:
            write(store, name, rng)
        size = store.layout.table(ASSET, names[0]).stat().st_size
        with measured() as parsed:
            for name in names:
                conform(ASSET, pl.read_parquet(store.layout.table(ASSET, name)))
        with measured() as compared:
            for name in names:
                store.read(ASSET, name)
    table = Table(title=f"Reading {videos} template tables of {size / 1000:.1f} kB")
    for column in ("way", "CPU s", "wall s", "CPU ms a table"):
        table.add_column(column, justify="left" if column == "way" else "right")
    for way, took in (("parsed only", parsed), ("compared and parsed", compared)):
        each = 1000 * took.cpu / videos
        table.add_row(way, f"{took.cpu:.2f}", f"{took.wall:.2f}", f"{each:.3f}")
    Console().print(table)
    Console().print(f"compared / parsed only: {compared.cpu / parsed.cpu:.2f}")


if __name__ == "__main__":
    main()
