"""How alike copies of rides are, and how alike other rides: the figures behind `[copies]`.

Each VIDEO is copied in four ways: smaller and compressed hard; cut at both ends, with 25 frames per
second; in another codec and container; darker, with 15 frames per second; with a counter burned in;
a quarter of the size and compressed very hard. Printed: the share of equal signs
(`core.video.copies`) of each copy to its ride, and of rides to each other at their best shift with
half of the shorter one in common. With `--write` the copies stay, called `RIDE__WAY`. With
`--data`, of a data folder in which rides and such copies were run: the pairs of its videos that
pass by their whole pictures, with what is seen of their faces, and the same of heads that are no
copies: of each two riders, and of each one at another moment.

    python -m identity_pipeline_tests.benchmarks.copies_quality RIDES/*.mp4 --write COPIES
    identity-pipeline --data DATA run RIDES/*.mp4 COPIES/*
    python -m identity_pipeline_tests.benchmarks.copies_quality --data DATA
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import combinations, combinations_with_replacement
from pathlib import Path
from typing import Any, Final

import av
import click
import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from identity_pipeline.core.video.copied_heads import heads_likeness, people_likeness
from identity_pipeline.core.video.copies import (
    Likeness,
    Link,
    Look,
    are_copies,
    candidate_pairs,
    frame_hash,
    keys_of,
    likeness,
    look_of,
)
from identity_pipeline.core.video.key_table import KeyTable
from identity_pipeline.media.luma import frame_luma, thumbnail
from identity_pipeline.media.video import sampled_frames
from identity_pipeline.settings import Settings
from identity_pipeline.stages.library.copies import (
    boxes_of,
    faces_of_link,
    good_faces,
    look_of_video,
)
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore

Picture = NDArray[np.uint8]
Counted = dict[bool, list[int]]
WAY: Final = "__"
"""Between the name of a ride and the way in which it was copied."""
ALIKE: Final = ("share", "shift, s", "in common, s")
SEEN: Final = ("at faces", "heads", "people")
LONG: Final = 20
"""Tracks of fewer faces are of passers-by."""
SHIFTS_S: Final = (-8, -6, -4, -2, 2, 4, 6, 8)
"""Without 0: two videos may show the same moments of one person."""
HALF: Final = 0.5


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


class Counter:
    """Burns the number of each picture into the next one that it is given."""

    def __init__(self) -> None:
        self._number = 0

    def __call__(self, picture: Picture) -> Picture:
        """The picture with its number in 13 cells of its lowest rows."""
        cell = picture.shape[1] // 20
        for bit in range(13):
            lit = 255 * (bit == 0 or self._number >> (bit - 1) & 1)
            picture[-cell:, bit * cell : (bit + 1) * cell] = lit
        self._number += 1
        return picture


def copies_of(source: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """Name and file of each copy."""

    def made(way: str, suffix: str, **how: Any) -> Path:
        return copy(source, folder / f"{source.stem}{WAY}{way}{suffix}", **how)

    yield "a half, crf 38", made("half", ".mp4", scale=0.5, crf=38)
    yield "cut at both ends, 25 fps", made("cut", ".mkv", fps=25, cut=(2.37, 12.0))
    yield "mpeg4, avi, a third", made("avi", ".avi", codec="mpeg4", scale=0.375)
    yield "darker, 15 fps", made("dark", ".ts", fps=15, tone=darker)
    yield "with a counter", made("counter", ".mp4", crf=26, tone=Counter())
    yield "a quarter, crf 40", made("quarter", ".mp4", scale=0.25, crf=40)


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


def of_files(videos: list[Path], kept: Path | None) -> Table:
    """Copies of each file, and all pairs of files."""
    table = _table("Share of equal signs", "ride", "compared with", *ALIKE)
    looks = {video.stem: look_at(video) for video in videos}
    for video in videos:
        with tempfile.TemporaryDirectory(prefix="copies-quality-") as folder:
            for name, made in copies_of(video, kept or Path(folder)):
                found = best(looks[video.stem], look_at(made))
                table.add_row(video.stem, f"its copy: {name}", *_shown(found))
    for one, other in combinations(looks, 2):
        table.add_row(one, other, *_shown(best(looks[one], looks[other])))
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column)
    return table


def _shown(found: Likeness) -> tuple[str, str, str]:
    return f"{found.share:.4f}", f"{found.offset_ms / 1000:.2f}", f"{found.common_ms / 1000:.1f}"


def of_folder(data: Path) -> list[Table]:
    """The pairs of a data folder that pass by their whole pictures, and a summary of them."""
    store, settings = TableStore(Layout(data)), Settings().copies
    table = _table("Seen of the faces", "video", "compared with", *ALIKE, *SEEN, "copies")
    looks = {video: look_of_video(store, video) for video in sorted(store.videos_noted("frames"))}
    counted: Counted = {True: [0, 0], False: [0, 0]}
    keys = KeyTable.of({video: ("", keys_of(look)) for video, look in looks.items()})
    for left, right, offsets in candidate_pairs(keys):
        found = likeness(looks[left], looks[right], offsets)
        if not are_copies(found, looks[left], looks[right], settings):
            continue
        seen = faces_of_link(store, Link(left, right, found), looks[left], looks[right])
        copies = seen is not None and seen.are_the_same(settings)
        told = ("" if share is None else f"{share:.3f}" for share in seen or ())
        table.add_row(left, right, *_shown(found), *told, "yes" if copies else "no")
        of_one_ride = _ride(left) == _ride(right)
        counted[of_one_ride][0] += 1
        counted[of_one_ride][1] += copies
    summary = _table("Pairs of videos", "", "pass by their pictures", "are taken for copies")
    for of_one_ride, words in ((True, "copies of one ride"), (False, "of two rides")):
        summary.add_row(words, *map(str, counted[of_one_ride]))
    return [table, summary, of_others(store, sorted(v for v in looks if WAY not in v))]


def _ride(video: str) -> str:
    """The ride that a video is of: a copy is called `RIDE__WAY`, an id ends with a digest."""
    return video.rpartition("-")[0].partition(WAY)[0]


def of_others(store: TableStore, videos: list[str]) -> Table:
    """What is seen of heads that are no copies: of each two tracks, and of each later and sooner.

    Two videos may show one person, so the likeness of people has two rows: of the pairs below and
    above half, which a look at the videos must explain.
    """
    tracks = [
        (faces.filter(track_id=track), good, track)
        for faces, good in ((boxes_of(store, v), good_faces(store, v)) for v in videos)
        for (track,), part in faces.group_by("track_id", maintain_order=True)
        if len(part) >= LONG
    ]
    moved: list[float | None] = []
    people: list[float | None] = []
    for one, other in combinations_with_replacement(tracks, 2):
        same = {other[2]: one[2]}
        moved += [heads_likeness(one[0], other[0], 1000.0 * s, same) for s in SHIFTS_S]
        if one is not other:
            people.append(people_likeness(one[1], other[1], same))
    table = _table("No copies", "of", "pairs", "usual", "95 %", "most")
    told = [share for share in people if share is not None]
    for words, shares in (
        ("heads, at shifts of up to 8 s", [share for share in moved if share is not None]),
        ("people, below half", [share for share in told if share < HALF]),
        ("people, above", [share for share in told if share >= HALF]),
    ):
        figures = np.quantile(shares, (0.5, 0.95, 1)) if shares else ()
        table.add_row(words, str(len(shares)), *(f"{figure:.2f}" for figure in figures))
    return table


@click.command(help=(__doc__ or "").split("\n\n")[0])
@click.argument("videos", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--write", "kept", type=click.Path(file_okay=False, path_type=Path))
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(videos: tuple[Path, ...], kept: Path | None, data: Path | None) -> None:
    """Measures and prints."""
    console = Console(width=150)
    if kept:
        kept.mkdir(parents=True, exist_ok=True)
    if videos:
        console.print(of_files(list(videos), kept))
    if data:
        console.print(*of_folder(data), sep="\n")


if __name__ == "__main__":
    main()
