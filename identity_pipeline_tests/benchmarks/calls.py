"""How many faces the dear networks were given, and how many if every usable face had been.

Counted from the tables of finished videos. The rule to compare with embeds every face that passes
the loose gate, and besides the first of every `quality.witness_every` faces of a tracklet; of those
that could be exported and are not known to be somebody else's, the vision encoder is given face and
upper body. (Of a face without identity it is not known whether it would have been stable; on real
rides one in fifty is not.)
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
import polars as pl
from rich.console import Console
from rich.table import Table

from identity_pipeline.settings import Settings
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.embeddings import read_embeddings
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.benchmarks.bench_commands import BUNDLED, PROGRAM

COULD_BE_SHOWN: Final = (
    *("candidate", "not_the_best_of_its_moment", "outranked", "not_embedded", "no_vision"),
)
"""Standings of faces that nothing but the saving keeps from the vision encoder."""
VIEWS: Final = 2
"""Pictures of one face that the vision encoder is given."""


@dataclass(frozen=True)
class Calls:
    """Pictures that a network was given, and would have been given."""

    made: int
    every: int

    def __add__(self, other: Calls) -> Calls:
        """Of both together."""
        return Calls(self.made + other.made, self.every + other.every)

    def words(self) -> tuple[str, str, str]:
        """Both numbers, and the share that is saved."""
        saved = f"{1 - self.made / self.every:.0%}" if self.every else "-"
        return str(self.made), str(self.every), saved


def recognition(store: TableStore, video_id: str) -> Calls:
    """Of the recogniser, in one video."""
    faces = (
        store.read("face_detections", video_id)
        .join(store.read("face_quality", video_id).select("face_id", "loose"), on="face_id")
        .sort("frame_idx", "face_id")
    )
    nth = pl.int_range(pl.len()).over("tracklet_id") % Settings().quality.witness_every == 0
    every = faces.select((pl.col("loose") | nth).sum()).item()
    return Calls(read_embeddings(store, video_id).height, every)


def vision(store: TableStore, video_id: str) -> Calls:
    """Of the vision encoder, in one video."""
    seen = store.read("vision_embeddings", video_id, ["face_id"]).height
    standing = store.read("candidates", video_id, ["standing"])["standing"]
    return Calls(VIEWS * seen, VIEWS * int(standing.is_in(list(COULD_BE_SHOWN)).sum()))


def rows(store: TableStore) -> Iterator[tuple[str, Calls, Calls]]:
    """Each finished video with both counts."""
    for video_id in store.videos_with("identity_dataset"):
        yield video_id, recognition(store, video_id), vision(store, video_id)


def table_of(data: Path) -> Table:
    """The counts of one data folder."""
    table = Table(title=f"Pictures given to the networks, {data.name}")
    for column in ("video", "recognised", "of every usable", "saved", "seen", "of every", "saved"):
        table.add_column(column, justify="left" if column == "video" else "right")
    total = (Calls(0, 0), Calls(0, 0))
    for video_id, faces, views in rows(TableStore(Layout(data))):
        table.add_row(video_id, *faces.words(), *views.words())
        total = (total[0] + faces, total[1] + views)
    table.add_section()
    table.add_row("all", *total[0].words(), *total[1].words())
    return table


def run_bundled(data: Path) -> None:
    """Makes the image sets of the bundled rides."""
    rides = map(str, sorted((BUNDLED / "rides").glob("*.mp4")))
    subprocess.run([*PROGRAM, "--data", str(data), "run", *rides], check=True, capture_output=True)


@click.command()
@click.argument("data", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(data: Sequence[Path]) -> None:
    """Print the counts of the data folders DATA; without any, of the bundled rides, run anew."""
    console = Console(width=130)
    for folder in data:
        console.print(table_of(folder))
    if not data:
        with tempfile.TemporaryDirectory(prefix="calls-") as name:
            bundled = Path(name) / "bundled"
            run_bundled(bundled)
            console.print(table_of(bundled))


if __name__ == "__main__":
    main()
