"""How alike the region of a face is in the frame analysed and in others.

The figures behind `export.same_region_min`: of faces spread over the videos of a data folder, the
likeness (`stages.video.proof`) of the frame itself, decoded again; of the frame as other libraries
would give it (other chroma interpolation; another JPEG quality on top); of its neighbours; and of
frames at least a second away.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import click
import cv2
import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from identity_pipeline.core.imagesets.candidates import box_of
from identity_pipeline.media.crops import decode_image, encode_jpeg
from identity_pipeline.media.video import sampled_frames
from identity_pipeline.settings import Settings
from identity_pipeline.stages.video.proof import Analysed
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.registry import VideoRegistry
from identity_pipeline.storage.video.tables import TableStore

NEAR = (1, 2, 3, 5)
FAR = 30
"""Frames: a second at the usual rate."""


def chroma_of_half(bgr: np.ndarray) -> np.ndarray:
    """The picture with its colours at half the resolution, as another conversion may leave them."""
    luma, *chroma = cv2.split(cv2.cvtColor(bgr, cv2.COLOR_BGR2YCrCb))
    size = (bgr.shape[1], bgr.shape[0])
    rough = [cv2.resize(cv2.resize(c, None, fx=0.5, fy=0.5), size) for c in chroma]
    return cv2.cvtColor(cv2.merge([luma, *rough]), cv2.COLOR_YCrCb2BGR)


def measured(store: TableStore, video_id: str, settings: Settings, faces: int) -> dict:
    """Likenesses of one video by what was compared."""
    record = VideoRegistry(store.layout).get(video_id)
    assert record is not None
    rows = store.read("candidates", video_id).filter(pl.col("loose")).sort("face_id")
    rows = rows[np.unique(np.linspace(0, rows.height - 1, faces).astype(int)).tolist()]
    crops = store.crops(video_id)
    analysed = Analysed.of(crops, set(rows["face_id"]), settings.crops)
    every = settings.video.model_copy(update={"analysis_fps": 0.0})
    decoded = [frame.bgr for frame in sampled_frames(record.existing_path(), every)]
    found = defaultdict(list)
    for row in rows.iter_rows(named=True):
        at, face = row["frame_idx"], {row["face_id"]: box_of(row)}
        own = decoded[at]
        rough = chroma_of_half(own)
        found["itself"].append(analysed.likeness(own, face))
        found["itself, other chroma"].append(analysed.likeness(rough, face))
        worse = decode_image(encode_jpeg(rough, 85))
        found["itself, other chroma and JPEG 85"].append(analysed.likeness(worse, face))
        for step in NEAR:
            for other in (at - step, at + step):
                if 0 <= other < len(decoded):
                    alike = analysed.likeness(decoded[other], face)
                    found[f"{step} frames away"].append(alike)
        for other in range(at % FAR, len(decoded), FAR):
            if abs(other - at) >= FAR:
                alike = analysed.likeness(decoded[other], face)
                found["a second away or more"].append(alike)
    return found


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False))
@click.option("--faces", default=24, help="Faces of each video.")
def main(data: str, faces: int) -> None:
    """Print the likeness of regions of the data folder DATA."""
    store = TableStore(Layout(Path(data)))
    found = defaultdict(list)
    for video_id in store.videos_with("candidates"):
        for name, values in measured(store, video_id, Settings(), faces).items():
            found[name] += values
    table = Table(title="Likeness of the region of a face")
    enough = Settings().export.same_region_min
    for column in (
        "compared",
        "pairs",
        "least",
        "1 %",
        "median",
        "99 %",
        "greatest",
        f">= {enough}",
    ):
        table.add_column(column)
    for name, values in found.items():
        least, low, mid, high, most = np.percentile(values, [0, 1, 50, 99, 100])
        share = float(np.mean(np.array(values) >= enough))
        shown = (f"{v:.4f}" for v in (least, low, mid, high, most))
        table.add_row(name, str(len(values)), *shown, f"{share:.1%}")
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
