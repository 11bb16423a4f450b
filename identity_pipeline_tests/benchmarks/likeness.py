"""How alike two moments of one person look: the figures behind `selection.near_duplicate_look`.

For each rider of a library that the pipeline has processed, the correlation of the aligned pixels
(`core.imagesets.novelty.look_of`) of neighbouring sampled frames, of frames a second apart, and of
all pairs.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from identity_pipeline.core.vectors import to_matrix
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore

SECOND = 10
"""Sampled frames in a second at the default rate."""


def percentiles(values: np.ndarray) -> str:
    """5 / 50 / 95 %."""
    return " / ".join(f"{v:.3f}" for v in np.percentile(values, [5, 50, 95]))


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False))
def main(data: str) -> None:
    """Print the likeness of the riders' faces in the data folder DATA."""
    store = TableStore(Layout(Path(data)))
    table = Table(title="Correlation of aligned pixels, 5 / 50 / 95 %")
    for column in ("video", "rider", "faces", "next frame", "a second apart", "all pairs"):
        table.add_column(column)
    for video_id in store.videos_with("vision_embeddings"):
        seen = store.read("vision_embeddings", video_id).sort("frame_idx")
        for (person,), faces in seen.group_by("person_id", maintain_order=True):
            if faces.height <= SECOND:
                continue
            looks = to_matrix(faces.select(pl.col("look"))["look"])
            cosines = looks @ looks.T
            table.add_row(
                video_id,
                f"person_{person}",
                str(faces.height),
                percentiles(np.diag(cosines, 1)),
                percentiles(np.diag(cosines, SECOND)),
                percentiles(cosines[np.triu_indices(len(looks), 1)]),
            )
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
