"""What looking for somebody in a whole data folder costs, and what is found of who is there.

Takes probes of one person (the first of the library, else of one track), and looks for them in
every file, as it lies and decoded. Nothing is changed but for the planted control, which goes.
Printed: how many probes were taken in which time, MB a second, the most memory, and of each kind
of probe how many were found by the bytes as they lie alone, and by all: what the first leaves out
is why containers are decoded.

    python -m identity_pipeline_tests.benchmarks.bench_scan --data data/demo
"""

from __future__ import annotations

import resource
import time
from collections import Counter
from pathlib import Path

import click
import polars as pl
from rich.console import Console
from rich.table import Table

from identity_pipeline.ledger import subjects
from identity_pipeline.stages.privacy.probes import (
    Sought,
    control_of,
    probes_of,
    words_that_stay,
)
from identity_pipeline.stages.privacy.scanning import scan
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore


def somebody(stores: LibraryStores) -> Sought:
    """The first person of the library, else the first track of the first video."""
    state = stores.ledger.history().state
    for person_id in state.active:
        if state.members.get(person_id):
            name = state.people[person_id].name
            keys = state.members[person_id]
            return _of_tracks(stores, keys, (person_id,), (name,) if name else ())
    video = stores.tables.videos_with("track_templates")[0]
    return _of_tracks(stores, (subjects.track(video, 0),), (), ())


def _of_tracks(
    stores: LibraryStores, keys: tuple[str, ...], people: tuple[str, ...], names: tuple[str, ...]
) -> Sought:
    faces: dict[str, list[str]] = {}
    tracks: dict[str, list[int]] = {}
    for one in map(subjects.parse, keys):
        if one.kind == "track" and not one.lost:
            table = pl.read_parquet(stores.layout.table("face_tracks", one.video_id))
            mine = table.filter(pl.col("track_id") == int(one.local_id))["face_id"]
            faces.setdefault(one.video_id, []).extend(mine)
            tracks.setdefault(one.video_id, []).append(int(one.local_id))
    return Sought(people, names, faces, tracks)


@click.command(help=(__doc__ or "").split("\n\n")[0])
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True)
def main(data: Path) -> None:
    """Measures and prints."""
    stores = LibraryStores.of(TableStore(Layout(data)))
    sought, begun = somebody(stores), time.perf_counter()
    probes, control = probes_of(stores, sought), control_of(stores, sought)
    taken = time.perf_counter() - begun
    kept = words_that_stay(stores, sought)
    begun = time.perf_counter()
    report = scan(data, probes, control, kept=kept, sought=sought)
    took = time.perf_counter() - begun
    console, mb = Console(), 1e-6
    console.print(f"probes taken in {taken:.2f} s: {dict(report.sought)}")
    console.print(
        f"{report.files} files, {report.bytes_read * mb:.1f} MB as they lie and "
        f"{report.bytes_decoded * mb:.1f} MB decoded, in {took:.1f} s: "
        f"{report.bytes_read * mb / took:.1f} MB/s of the disk, "
        f"{(report.bytes_read + report.bytes_decoded) * mb / took:.1f} MB/s in all; most memory "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB"
    )
    whole = sum(found == there for found, there in report.planted.values())
    console.print(
        f"control: {dict(report.control)} of {dict(report.control_of)}; planted: whole in {whole} "
        f"of {len(report.planted)} files"
    )
    table = Table("probe", "in files as they lie", "decoded only", title="places where one is left")
    for kind, (raw, decoded) in sorted(_places(report.hits).items()):
        table.add_row(kind, str(raw), str(decoded))
    console.print(table)


def _places(hits: tuple) -> dict[str, tuple[int, int]]:
    raw: Counter[str] = Counter()
    both: dict[str, set[str]] = {}
    for hit in hits:
        both.setdefault(hit.kind, set()).add(hit.file)
    as_they_lie = {(hit.kind, hit.file) for hit in hits if "as it lies" in hit.form}
    for kind, _ in as_they_lie:
        raw[kind] += 1
    return {kind: (raw[kind], len(files) - raw[kind]) for kind, files in both.items()}


if __name__ == "__main__":
    main()
