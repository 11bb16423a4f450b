r"""Whether a video of a camera that is not known is made as if no other video had ever come.

    python -m identity_pipeline_tests.benchmarks.unknown_camera DATA VIDEO... --scratch FOLDER \
        [--earlier 17]

DATA is the data folder of a library of one camera that has each VIDEO. A copy of it loses them, and
with `--earlier` all but that many of the camera's first videos and whatever these taught; then the
videos are run in it as new ones. Each is run in a data folder of its own, too, where nothing is
known. Every file that is made of a video is compared byte by byte: tables, the notes on them (data
version, fingerprint, what they are made of), crops, exports, registration. Exits with 1 where one
of a video that keeps no model is another; of one that keeps a model it is said what is.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

import click

from identity_pipeline.storage.cameras.cameras import CAMERA, RIDE, Cameras, folder_of
from identity_pipeline.storage.cameras.cameras import without_videos as without
from identity_pipeline.storage.cameras.pins import Pins
from identity_pipeline.storage.files.hashing import sha256_of_file
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.registry import VideoRegistry
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.benchmarks.same_bytes import difference

MADE: Final = ("tables", "crops", "output", "registry")
"""Folders in which each video has files of its own, called by its id."""
NOTES: Final = (".made-of.json", ".manifest.json")
FOLDER: Final = click.Path(file_okay=False, path_type=Path)
TEXTS: Final = (".json", ".jsonl", ".html", ".csv")
Files = dict[str, Path]


def lose(data: Path, new: Collection[str], earlier: int | None) -> None:
    """Takes videos of the camera without a name out of a library, as if they had never come.

    Args:
        data: its folder.
        new: the ids of those that are to come again.
        earlier: how many stay, of which nothing is learnt yet; None: all, and what they taught.
    """
    cameras = Cameras(Layout(data))
    record = cameras.record(None)
    if record is None:
        raise click.ClickException(f"No camera without a name is known in {data}.")
    others = [video for video in record.videos if video not in new]
    gone = set(record.videos) - set(others if earlier is None else others[:earlier])
    cameras.write_record(without(record, gone))
    Pins(cameras.layout).without_in(folder_of(None), gone)
    cameras.layout.camera_watch(folder_of(None)).unlink(missing_ok=True)
    if earlier is not None:
        for of in (CAMERA, RIDE):
            for name in cameras.editions(None, of):
                shutil.rmtree(cameras.edition(None, name, of).folder)
    for video in gone:
        for path in files_of(data, video).values():
            path.unlink()


def files_of(data: Path, video: str) -> Files:
    """All that is made of a video, by its place in the data folder."""
    found = (p for top in MADE for p in (data / top).rglob("*") if p.is_file())
    named = ((p.relative_to(data), p) for p in found)
    return {n.as_posix(): p for n, p in named if any(x.startswith(video) for x in n.parts)}


def run(data: Path, videos: Collection[Path]) -> None:
    """Makes the image sets of videos, as an operator would."""
    words = ("--data", str(data), "run", *map(str, videos))
    done = subprocess.run(
        [sys.executable, "-m", "identity_pipeline", *words], check=False, capture_output=True
    )
    if done.returncode:
        raise click.ClickException((done.stdout + done.stderr).decode()[-2000:])


def kind(name: str) -> str:
    """What a file is, in a word."""
    if name.endswith(NOTES):
        return "notes on tables"
    if name.startswith("output/"):
        return "exported pages and lists" if name.endswith(TEXTS) else "exported pictures"
    return name.split("/", maxsplit=1)[0]


def compared(one: Files, other: Files) -> Iterator[tuple[str, str, str | None]]:
    """Kind and name of each file, and what differs; None where it is the same bytes."""
    for name in sorted(one.keys() | other.keys()):
        paths = one.get(name), other.get(name)
        same = all(paths) and len({sha256_of_file(path) for path in paths if path}) == 1
        bytes_ = [path.read_bytes() if path and not same else None for path in paths]
        yield kind(name), name, None if same else difference(name, *bytes_)


@click.command()
@click.argument("data", type=FOLDER)
@click.argument("videos", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--scratch", required=True, type=FOLDER, help="An empty folder to work in.")
@click.option("--earlier", type=int, help="How many earlier videos stay.")
def main(data: Path, videos: tuple[Path, ...], scratch: Path, earlier: int | None) -> None:
    """Prints what differs of VIDEOS run in DATA, and alone."""
    known = {path: VideoRegistry(Layout(data)).find(path.name) for path in videos}
    new = [record.video_id for record in known.values() if record]
    library = scratch / "library"
    shutil.copytree(data, library, symlinks=True)
    lose(library, new, earlier)
    cameras = Cameras(Layout(library))
    before = cameras.record(None)
    models = ", ".join(f"{of} {cameras.in_force(None, of)}" for of in (CAMERA, RIDE))
    click.echo(f"{len(before.videos) if before else 0} earlier videos; models: {models}")
    run(library, videos)
    other = False
    for path, video in zip(videos, new, strict=True):
        alone = scratch / video
        run(alone, [path])
        pinned = Pins(cameras.layout).of(video)
        told = list(compared(files_of(alone, video), files_of(library, video)))
        assets = sorted({p.parent.name for p in (alone / "tables").glob(f"*/{video}*")})
        stores = TableStore(Layout(alone)), TableStore(Layout(library))
        versions = [store.versions(assets, video) for store in stores]
        moved = [each for each in assets if versions[0][each] != versions[1][each]]
        kinds = sorted({each for each, _, _ in told})
        counts = ((each, [why for k, _, why in told if k == each]) for each in kinds)
        words = ", ".join(f"{w.count(None)} of {len(w)} {each}" for each, w in counts)
        click.echo(
            f"{video} (keeps {pinned.pin.words if pinned else 'none'}): same bytes: {words}; "
            f"same data version: {len(assets) - len(moved)} of {len(assets)} tables"
        )
        for each, name, why in told:
            if why is not None:
                click.echo(f"  {each}: {name}: {why}")
                other = other or not (pinned and pinned.pin.known)
    sys.exit(other)


if __name__ == "__main__":
    main()
