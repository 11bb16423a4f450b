"""What packing finished videos (`storage.video.packs`) saves, and what it costs who reads them.

In a folder of many finished videos (`many_videos`), before and after packing: files of tables,
what they take on the disk, a first look of `status`, a whole reading of what the library is made
of, a question in SQL over all videos. CPU seconds, of processes of their own where the command line
is asked; and what packing itself takes.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from identity_pipeline.settings import load_settings
from identity_pipeline.stages.library.copies_in_force import NONE
from identity_pipeline.stages.library.reading import read_inputs
from identity_pipeline.stages.planning.packing import pack_videos, packable
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.catalogue.catalogue import open_catalogue
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.benchmarks.bench_commands import cpu_and_wall
from identity_pipeline_tests.benchmarks.many_videos import written
from identity_pipeline_tests.benchmarks.reach import Row, as_json

QUESTION = "SELECT count(*), count(DISTINCT video_id), sum(face_count) FROM raw.track_templates"
LATER_S = 10 * 86_400.0

Figures = dict[str, float]


def cpu_of(act: Callable[[], object]) -> float:
    """CPU seconds of something done here."""
    started = time.process_time()
    act()
    return time.process_time() - started


def figures_of(layout: Layout, videos: int) -> Figures:
    """What is told of the folder as it is."""
    settings = load_settings(paths={"data": str(layout.root)})
    stores = LibraryStores.of(TableStore(layout))

    def ask() -> object:
        with open_catalogue(layout, settings.catalogue, QUESTION) as catalogue:
            return catalogue.query(QUESTION).rows

    files = [path for path in layout.tables.glob("*/*") if path.is_file()]
    inodes = {path.stat().st_ino: path.stat().st_blocks for path in files}
    shutil.rmtree(layout.known, ignore_errors=True)
    listed = cpu_of(lambda: stores.tables.videos_noted("frames"))
    return {
        "files of tables a video": len(files) / videos,
        "MB on the disk": sum(inodes.values()) * 512 / 1e6,
        "first list of videos, s": listed,
        "library read whole, s": cpu_of(lambda: read_inputs(stores, NONE)),
        "SQL over all videos, s": cpu_of(ask),
        "status, first, s": cpu_and_wall(["--data", str(layout.root), "status"])[0],
    }


def measured(videos: int, into: Path | None) -> dict[str, Figures]:
    """The figures before and after, and of packing itself."""
    with tempfile.TemporaryDirectory(prefix="bench-packs-") as folder:
        layout = written((into or Path(folder)) / "data", videos, videos // 10)
        settings = load_settings(paths={"data": str(layout.root)})
        store, now = TableStore(layout), time.time() + LATER_S
        before = figures_of(layout, videos)
        chosen = packable(store, settings, now)
        packing = cpu_of(lambda: list(pack_videos(store, chosen, now)))
        after = figures_of(layout, videos)
    return {"loose": before, "packed": after, "packing": {"ms a video": packing / videos * 1e3}}


def rows_of(videos: int, told: Mapping[str, Figures]) -> list[Row]:
    """What is reached."""
    before, after = told["loose"], told["packed"]
    compared = ", ".join(
        f"{name} {before[name]:.2f} → {after[name]:.2f}" for name in before if name.endswith(" s")
    )
    files = "files of tables a video"
    return [
        Row(
            f"files of tables that a finished video leaves, {videos:,} videos",
            "1",
            f"{before[files]:.1f} → {after[files]:.2f}; CPU, {compared}",
            after[files] < 1.1,
        )
    ]


@click.command()
@click.option("--videos", default=500, help="How many.")
@click.option("--into", type=click.Path(path_type=Path), help="Make the folder here, and keep it.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="The figures as JSON.")
def main(videos: int, into: Path | None, json_file: Path | None) -> None:
    """Prints the figures."""
    told = measured(videos, into)
    for name in told["loose"]:
        click.echo(f"  {name:26} {told['loose'][name]:9.2f}  {told['packed'][name]:9.2f}")
    click.echo(f"  packing: {told['packing']['ms a video']:.1f} ms CPU a video")
    if json_file:
        json_file.write_text(json.dumps({**told, **as_json(rows_of(videos, told))}, indent=2))


if __name__ == "__main__":
    main()
