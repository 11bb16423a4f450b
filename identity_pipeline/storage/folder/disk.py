"""What lies on the disk, by kind, and what may go because it can be made again.

What may go is only what is listed here, and never: the ledger, exports, registrations, the tables
of a video, the library in force, profiles, heads, a source video, or the crops of a video whose
source is gone. A thing is renamed to a temporary name first and removed then: no reader sees half
of it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.layout import Layout, UnsafePathError, inside
from identity_pipeline.storage.library.generations import Generations
from identity_pipeline.storage.library.heads import HeadStore
from identity_pipeline.storage.library.snapshots import prune
from identity_pipeline.storage.video.outputs import MANIFEST, Outputs
from identity_pipeline.storage.video.registry import VideoRegistry

DAY_S: Final = 86_400.0
MAY_GO: Final = (("crops",), ("chunks",), ("tables", ".generations"), ("desk", "pictures"))
"""Folders of the data folder in which anything but a temporary file may be dropped."""


@dataclass(frozen=True)
class Kind:
    """A kind of thing on the disk.

    Attributes:
        name: what it is called.
        what: in a few words.
        again: what it costs to have it again; None for what is never dropped.
    """

    name: str
    what: str
    again: str | None


KINDS: Final = (
    Kind("videos", "source videos in the inbox", None),
    Kind("photos", "photographs that were taken in, and their inbox", None),
    Kind("tables", "tables of the videos and photo sets, and the library in force", None),
    Kind("exports", "image sets, and datasets of people", None),
    Kind("ledger", "human decisions", None),
    Kind("other", "registrations, profiles, heads, index, reports, notes", None),
    Kind("dagster", "Dagster's database and logs", "nothing"),
    Kind("generations", "the library as it was before", "nothing"),
    Kind(
        "projections",
        "templates in the space of heads; may go: neither live, nor gone back to next",
        "projecting all videos, should that head ever be live again",
    ),
    Kind("chunks", "parts of steps; may go: of finished videos", "nothing"),
    Kind("desk", "pictures that the desk drew, and curators' places", "drawing them again"),
    Kind("temporary", "half-written files of dead writers", "nothing"),
    Kind(
        "crops",
        "stored crops; may go: of finished videos",
        "one decoding pass a video",
    ),
)
CHEAP: Final = ("dagster", "generations", "projections", "chunks", "desk", "temporary")
"""Dropped without being named: nothing that is in use has to be made again."""
FOLDERS: Final = {
    "videos": "videos",
    "photos": "photos",
    "photo_sets": "photos",
    "tables": "tables",
    "output": "exports",
    "datasets": "exports",
    "ledger": "ledger",
    "dagster": "dagster",
    "crops": "crops",
    "chunks": "chunks",
    "desk": "desk",
}
"""Kind of each folder of the data folder; of all others it is `other`."""
PROJECTED: Final = "tables"
"""Folder of a head in which templates in its space lie."""
LIVE_S: Final = 3600.0
"""A temporary file that changed since is left alone: another host may be at it."""


@dataclass(frozen=True)
class Droppable:
    """A thing that may go.

    Attributes:
        kind: name of its kind.
        path: a file or folder below the data folder.
        size: bytes.
        video_id: whose it is; None where it is nobody's.
    """

    kind: str
    path: Path
    size: int
    video_id: str | None = None


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; links count nothing."""
    if path.is_symlink() or not path.exists():
        return 0
    if path.is_file():
        return path.stat().st_size
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file() and not p.is_symlink())


def droppable(layout: Layout, now: float, older_than_days: float = 0.0) -> list[Droppable]:
    """What may go; Dagster's runs are not files, and are not looked at here.

    Args:
        layout: the data folder.
        now: seconds since 1970.
        older_than_days: crops and chunks of videos that were finished later stay.
    """
    finished = finished_before(layout, now - older_than_days * DAY_S)
    found = [*_generations(layout), *_projections(layout, now), *_temporaries(layout, now)]
    for folder in _folders(layout.root / "crops"):
        if folder.name in finished and _has_source(layout, folder.name):
            found.append(Droppable("crops", folder, size_of(folder), folder.name))
    for step in _folders(layout.root / "chunks"):
        for folder in _folders(step):
            if folder.name in finished:
                found.append(Droppable("chunks", folder, size_of(folder), folder.name))
    for folder in _folders(layout.desk_pictures_root):
        found.append(Droppable("desk", folder, size_of(folder), folder.name))
    return found


def finished_before(layout: Layout, moment: float) -> set[str]:
    """Videos whose dataset was written before a moment (seconds since 1970)."""
    notes = Outputs(layout).found("identity_dataset", MANIFEST)
    return {video_id for video_id, note in notes.items() if note.changed_ns <= moment * 1e9}


def _has_source(layout: Layout, video_id: str) -> bool:
    """Whether a video's crops can be cut again; not where its record cannot be read."""
    records = VideoRegistry(layout).readable([video_id])
    return any(Path(path).is_file() for r in records for path in (r.path, *r.links))


def _folders(root: Path) -> Iterator[Path]:
    if root.is_dir():
        yield from sorted(
            path
            for path in root.iterdir()
            if path.is_dir() and not path.is_symlink() and not path.name.startswith(".")
        )


def _generations(layout: Layout) -> Iterator[Droppable]:
    """All but the one in force and the one before it, to which it is compared."""
    if not layout.library_tables.is_symlink():
        return
    in_force = layout.library_tables.resolve().name
    older = [folder for folder in _folders(layout.generations) if folder.name < in_force]
    for folder in older[:-1]:
        yield Droppable("generations", folder, size_of(folder))


def _projections(layout: Layout, now: float) -> Iterator[Droppable]:
    """Of all heads but the one that is live, the one before it, and the one of the library."""
    live = HeadStore(layout).live()
    try:
        current = Generations(layout).current()
    except DamagedFileError:  # which head it is of is not known, so all stay
        return
    kept = {live.head_id, *live.earlier[-1:]}
    for head in _folders(layout.heads):
        tables = head / PROJECTED
        in_force = current is not None and current.space.startswith(f"head@{head.name}/")
        if head.name in kept or in_force or not tables.is_dir():
            continue
        # A head that is being judged, or looked at, has just been projected to.
        if all(now - path.stat().st_mtime >= LIVE_S for path in (tables, *_folders(tables))):
            yield Droppable("projections", tables, size_of(tables))


def _temporaries(layout: Layout, now: float) -> Iterator[Droppable]:
    for path in sorted(layout.root.rglob(f"{atomic.TEMPORARY_MARK}*")):
        if any(atomic.is_temporary(parent) for parent in path.parents):
            continue
        live = atomic.is_writer_alive(path) or now - path.lstat().st_mtime < LIVE_S
        # A crash between two renames leaves the only whole export under a temporary name.
        only = path.is_relative_to(layout.output) and not atomic.target_of(path).exists()
        if not live and not only:
            yield Droppable("temporary", path, size_of(path))


def drop(layout: Layout, things: Iterable[Droppable]) -> int:
    """Removes things and returns the bytes that were freed.

    Raises:
        UnsafePathError: one lies where nothing is ever dropped.
    """
    freed = 0
    for thing in things:
        path = _safe(layout, thing)
        if thing.kind == "generations":
            freed += thing.size if prune(path) else 0
            continue
        retired = path if atomic.is_temporary(path) else atomic.temporary_beside(path)
        if not path.exists():
            continue
        path.rename(retired)
        if retired.is_dir():
            shutil.rmtree(retired, ignore_errors=True)
        else:
            retired.unlink(missing_ok=True)
        freed += thing.size
    return freed


def _safe(layout: Layout, thing: Droppable) -> Path:
    root = layout.root.resolve()
    path = inside(root, thing.path)
    parts = path.relative_to(root).parts
    allowed = any(parts[: len(top)] == top and len(parts) > len(top) for top in MAY_GO)
    projected = path.parent.parent == root / "models" / "heads" and path.name == PROJECTED
    allowed = allowed or projected or atomic.is_temporary(path)
    if not allowed or path == layout.library_tables.resolve():
        raise UnsafePathError(f"{thing.path} is never dropped")
    return path


def bytes_by_kind(layout: Layout, progress: Callable[[str], None]) -> dict[str, int]:
    """Bytes of everything below the data folder, by kind.

    Args:
        layout: the data folder.
        progress: called with the name of each folder before it is added up.
    """
    sums = dict.fromkeys((kind.name for kind in KINDS), 0)
    for path in sorted(layout.root.iterdir()) if layout.root.is_dir() else ():
        progress(path.name)
        sums[FOLDERS.get(path.name, "other")] += size_of(path)
    sums["generations"] = size_of(layout.generations)
    sums["tables"] -= sums["generations"]
    sums["projections"] = sum(size_of(head / PROJECTED) for head in _folders(layout.heads))
    sums["other"] -= sums["projections"]
    if layout.library_tables.is_symlink():
        in_force = size_of(layout.library_tables.resolve())
        sums["tables"] += in_force
        sums["generations"] -= in_force
    return sums
