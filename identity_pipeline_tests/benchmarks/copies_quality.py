"""How alike copies of rides are, and how alike other rides: the figures behind `[copies]`.

Each VIDEO is copied in four ways: smaller and compressed hard; cut at both ends, with 25 frames per
second; in another codec and container; darker, with 15 frames per second. Printed: the share of
equal signs (`core.video.copies`) of each copy to its ride, and of rides to each other at their best
shift with half of the shorter one in common. With `--data`, of a data folder, the pairs of its
videos that pass by their whole pictures, and how alike they are where the faces are.

    python -m identity_pipeline_tests.benchmarks.copies_quality RIDES/*.mp4
    python -m identity_pipeline_tests.benchmarks.copies_quality --data DATA
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import combinations
from pathlib import Path

import av
import click
import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from identity_pipeline.core.video.copies import (
    Likeness,
    Link,
    Look,
    are_copies,
    frame_hash,
    likeness,
    look_of,
)
from identity_pipeline.media.luma import frame_luma, thumbnail
from identity_pipeline.media.video import sampled_frames
from identity_pipeline.settings import Settings
from identity_pipeline.stages.library.copies import look_of_video, same_faces
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore

Picture = NDArray[np.uint8]


def copy(
    source: Path,
    target: Path,
    *,
    codec: str = "libx264",
    scale: float = 1.0,
    fps: int = 30,
    cut: tuple[float, float] = (0.0, 1e6),
    crf: int = 30,
    tone: Callable[[Picture], Picture] = lambda picture: picture,
) -> Path:
    """Writes a video anew.

    Args:
        source: of 30 frames a second.
        target: its suffix names the container.
        codec: of FFmpeg.
        scale: of both sides.
        fps: frames are repeated or left out.
        cut: seconds of the source at which it begins and ends.
        crf: of x264.
        tone: changes a picture.
    """
    first, end = (round(30 * seconds) for seconds in cut)
    with av.open(str(source)) as read, av.open(str(target), "w") as written:
        stream = written.add_stream(codec, rate=fps)
        stream.width, stream.height = (
            2 * round(scale * side / 2)
            for side in (read.streams.video[0].width, read.streams.video[0].height)
        )
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": str(crf), "preset": "ultrafast"} if codec == "libx264" else {}
        number = 0
        for index, decoded in enumerate(read.decode(video=0)):
            if index >= end:
                break
            while index >= first and number * 30 // fps + first <= index:
                picture, size = decoded.to_ndarray(format="bgr24"), (stream.width, stream.height)
                small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
                frame = av.VideoFrame.from_ndarray(tone(np.asarray(small, np.uint8)), "bgr24")
                frame.pts, frame.time_base = number, Fraction(1, fps)
                written.mux(stream.encode(frame))
                number += 1
        written.mux(stream.encode())
    return target


def darker(picture: Picture) -> Picture:
    """Another tone curve."""
    return (230 * (picture / 255) ** 1.5 + 8).astype(np.uint8)


def copies_of(source: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """Name and file of each copy."""
    stem = folder / source.stem
    yield "a half, crf 38", copy(source, stem.with_suffix(".mp4"), scale=0.5, crf=38)
    ends = copy(source, stem.with_suffix(".mkv"), fps=25, cut=(2.37, 12.0))
    yield "cut at both ends, 25 fps", ends
    yield "mpeg4, avi, a third", copy(source, stem.with_suffix(".avi"), codec="mpeg4", scale=0.375)
    yield "darker, 15 fps", copy(source, stem.with_suffix(".ts"), fps=15, tone=darker)


def look_at(path: Path) -> Look:
    """The hashes of a file, as the first pass makes them."""
    frames = list(sampled_frames(path, Settings().video))
    hashes = [frame_hash(thumbnail(frame_luma(frame.bgr))) for frame in frames]
    return look_of([frame.timestamp_ms for frame in frames], hashes)


def best(one: Look, other: Look) -> Likeness:
    """At the best of all shifts that leave half of the shorter one in common."""
    shorter = min(one.duration_ms, other.duration_ms)
    far = int(max(one.duration_ms, other.duration_ms) / 100)
    tried = (likeness(one, other, (100.0 * step,)) for step in range(-far, far + 1, 2))
    return max(
        (found for found in tried if found.common_ms >= shorter / 2), default=Likeness(0, 0, 0)
    )


def of_files(videos: list[Path]) -> Table:
    """Copies of each file, and all pairs of files."""
    table = Table(title="Share of equal signs", title_justify="left")
    for column in ("ride", "compared with", "share", "shift, s", "in common, s"):
        table.add_column(column)
    looks = {video.stem: look_at(video) for video in videos}
    for video in videos:
        with tempfile.TemporaryDirectory(prefix="copies-quality-") as folder:
            for name, made in copies_of(video, Path(folder)):
                _row(table, video.stem, f"its copy: {name}", best(looks[video.stem], look_at(made)))
    for one, other in combinations(looks, 2):
        _row(table, one, other, best(looks[one], looks[other]))
    return table


def _row(table: Table, one: str, other: str, found: Likeness, *more: str) -> None:
    shown = (f"{found.share:.4f}", f"{found.offset_ms / 1000:.2f}", f"{found.common_ms / 1000:.1f}")
    table.add_row(one, other, *shown, *more)


def of_folder(data: Path) -> Table:
    """The pairs of a data folder that pass by their whole pictures."""
    store, settings = TableStore(Layout(data)), Settings().copies
    table = Table(title="Alike where the faces are", title_justify="left")
    for column in ("video", "compared with", "share", "shift, s", "in common, s", "at faces"):
        table.add_column(column)
    looks = {video: look_of_video(store, video) for video in sorted(store.videos_noted("frames"))}
    for one, other in combinations(looks, 2):
        found = best(looks[one], looks[other])
        if are_copies(found, looks[one], looks[other], settings):
            faces = same_faces(store, Link(one, other, found), looks[one], looks[other])
            _row(table, one, other, found, f"{faces:.3f}")
    return table


@click.command(help=(__doc__ or "").split("\n\n")[0])
@click.argument("videos", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(videos: tuple[Path, ...], data: Path | None) -> None:
    """Measures and prints."""
    console = Console(width=130)
    if videos:
        console.print(of_files(list(videos)))
    if data:
        console.print(of_folder(data))


if __name__ == "__main__":
    main()
