"""How long a page of the desk waits for its pictures: first, kept, and fifty at once.

Wall time, in one process, on rides of two people that are rendered anew, or on a data folder of
yours. What was drawn before is dropped first; the operating system holds the files, as it does for
a page that is looked at again.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import click
from rich.console import Console
from rich.table import Table

from identity_pipeline.settings import Settings
from identity_pipeline.stages.desk import faces as drawing
from identity_pipeline.stages.desk.faces import Face, FacePictures, known_faces
from identity_pipeline.stages.desk.frames import FramePictures
from identity_pipeline.storage.files import hashing
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video import crop_archive
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.small_ride import SmallRide, measure, write_ride

PAGE = 50
"""Faces on a page."""
LAST = 20
"""So many single pictures are drawn; the median is told."""


def rendered(root: Path, rides: int, frames: int) -> TableStore:
    """A data folder of so many rides; all of them show the same, under ids of their own."""
    first = write_ride(root, frames=frames)
    for n in range(1, rides):
        measure(SmallRide(first.store, f"ride-{n:08d}", first.file))
    return first.store


def cold(store: TableStore) -> None:
    """Drops what was drawn and what this process remembers of files."""
    shutil.rmtree(store.layout.root / "desk" / "pictures", ignore_errors=True)
    hashing._digest.cache_clear()
    crop_archive._first_and_last.cache_clear()
    drawing._known_faces.cache_clear()


def ms(call: Callable[[], object]) -> float:
    """Wall time of a call."""
    before = time.perf_counter()
    call()
    return (time.perf_counter() - before) * 1000


@click.command()
@click.option("--data", type=click.Path(exists=True, path_type=Path), help="A data folder.")
@click.option("--rides", default=100, show_default=True, help="Rendered rides without it.")
@click.option("--frames", default=60, show_default=True, help="Frames of a rendered ride.")
def main(data: Path | None, rides: int, frames: int) -> None:
    """Print a row for each thing that a page waits for."""
    with tempfile.TemporaryDirectory() as folder:
        store = rendered(Path(folder), rides, frames) if data is None else TableStore(Layout(data))
        rows = measured(store)
    shown = Table("what a page waits for", "ms")
    for what, value in rows:
        shown.add_row(what, f"{value:,.1f}")
    Console().print(shown)


def measured(store: TableStore) -> list[tuple[str, float]]:
    """What is waited for, and how long, ms."""
    videos = sorted(store.videos_noted("face_crops"))
    there = [video for video in videos if store.layout.registration(video).is_file()]
    ride = max(there, key=lambda video: known_faces(store, video).height)
    ids = known_faces(store, ride)["face_id"].to_list()
    spread = [Face(ride, ids[n * len(ids) // LAST]) for n in range(LAST)]
    page = [Face(ride, ids[n * len(ids) // PAGE]) for n in range(PAGE)]
    others = [(v, known_faces(store, v)["face_id"].to_list()) for v in videos]
    wide = [Face(v, own[n * 7 % len(own)]) for n, (v, own) in enumerate(others * PAGE)][:PAGE]
    faces, frames = FacePictures(store, Settings()), FramePictures(store, Settings())

    def each(draw: Callable[[Face], bytes]) -> float:
        return median(ms(lambda f=face: draw(f)) for face in spread)

    told: list[tuple[str, float]] = []
    cold(store)
    told.append(("a face, the first of its ride", ms(lambda: faces.thumbnail(spread[0]))))
    told.append(("a face", each(faces.thumbnail)))
    told.append(("a face that was drawn before", each(faces.thumbnail)))
    cold(store)
    told.append((f"{PAGE} faces of one ride", ms(lambda: faces.warm_faces(page))))
    cold(store)
    across = min(PAGE, len(videos))
    told.append((f"{PAGE} faces of {across} rides", ms(lambda: faces.warm_faces(wide))))
    again = ms(lambda: [faces.thumbnail(face) for face in wide])
    told.append((f"{PAGE} faces that were drawn before", again))
    cold(store)
    told.append(("a whole frame, the first of its ride", ms(lambda: frames.frame(spread[0]))))
    told.append(("a whole frame", each(frames.frame)))
    told.append(("a whole frame that was drawn before", each(frames.frame)))
    cold(store)
    told.append(("three whole frames in one pass", ms(lambda: frames.warm_frames(spread[::7]))))
    return told


if __name__ == "__main__":
    main()
