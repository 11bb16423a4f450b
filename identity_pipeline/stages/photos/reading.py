"""Photographs read: which of those handed over are taken, and the table of those of a set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import polars as pl

from identity_pipeline.media.stills import Still, StillError, decode_still, read_still
from identity_pipeline.settings import Settings
from identity_pipeline.stages.progress.protocol import Progress, silent
from identity_pipeline.storage.files.hashing import sha256_of_file
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.photos.photo_sets import (
    NotTaken,
    PhotoSet,
    PhotoSets,
    Registered,
    StoredPicture,
)
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline.tables import TABLES

DAMAGED: Final = "damaged_copy"
"""Reason of a picture whose private copy is not what was taken in."""
_FACTS: Final = (
    *("format", "coded_width", "coded_height", "width", "height", "scale", "orientation"),
    *("bit_depth", "profile", "transparent", "taken_at"),
)
"""Columns of `photo_set` that are what `media.stills` says."""


def take_in(
    photos: PhotoSets,
    name: str,
    pictures: Sequence[Path],
    settings: Settings,
    added: str | None = None,
    progress: Progress = silent,
) -> Registered:
    """Takes in those pictures that can be read, as one set; the others are named, each with why.

    What is in a set already was read when it was taken in, and is not read again.

    Args:
        photos: where sets are kept.
        name: of the person.
        pictures: files, in any order.
        settings: `photos`.
        added: ISO date of today.
        progress: called per picture.

    Raises:
        PictureChangedError: a picture was written to meanwhile; nothing was taken.
        OSError: nothing can be written; nothing was taken.
    """
    readable, refused = _readable(photos, pictures, settings, progress)
    taken = (
        photos.register(name, readable, added, nobodys(photos))
        if readable
        else Registered(None, ())
    )
    return _with_refused(taken, refused)


def would_take_in(
    photos: PhotoSets, name: str, pictures: Sequence[Path], settings: Settings
) -> Registered:
    """What `take_in` would do; nothing is written."""
    readable, refused = _readable(photos, pictures, settings, silent)
    taken = (
        photos.would_register(name, readable, nobodys(photos)) if readable else Registered(None, ())
    )
    return _with_refused(taken, refused)


def nobodys(photos: PhotoSets) -> frozenset[str]:
    """Ids of the sets that were measured and show nobody: no decision can be about them.

    Their pictures are free: one that shows several people says who is meant once there are others.
    """
    store = TableStore(photos.layout)
    measured = (one for one in photos.ids() if store.noted("photo_templates", one) is not None)
    templates = ((one, store.noted("track_templates", one)) for one in measured)
    return frozenset(one for one, noted in templates if noted is not None and not noted.rows)


def _readable(
    photos: PhotoSets, pictures: Sequence[Path], settings: Settings, progress: Progress
) -> tuple[list[Path], list[NotTaken]]:
    """The files that can be read as photographs, and why the others cannot."""
    known = {one.sha256 for photo_set in photos.all() for one in photo_set.pictures}
    readable: list[Path] = []
    refused: list[NotTaken] = []
    for n, path in enumerate(pictures, 1):
        try:
            if not _is_known(path, known):
                read_still(path, settings.photos)
        except StillError as error:
            refused.append(NotTaken(path, error.code, error.sentence))
        else:
            readable.append(path)
        progress("photo_set", n, len(pictures), "pictures")
    return readable, refused


def _is_known(path: Path, known: Set[str]) -> bool:
    """Whether a file is a picture of some set; of what cannot be opened, reading says why."""
    try:
        return path.is_file() and sha256_of_file(path) in known
    except OSError:
        return False


def _with_refused(taken: Registered, refused: Sequence[NotTaken]) -> Registered:
    told = sorted((*refused, *taken.not_taken), key=lambda one: str(one.path))
    return Registered(taken.photo_set, tuple(told))


def stills_of(
    photo_set: PhotoSet, photos: PhotoSets, settings: Settings
) -> Iterator[tuple[StoredPicture, Still | StillError | DamagedFileError]]:
    """The pictures of a set one after the other, or why one cannot be read."""
    for picture in photo_set.pictures:
        try:
            data = photos.content(photo_set, picture)
            yield picture, decode_still(data, picture.name, settings.photos)
        except (StillError, DamagedFileError) as error:
            yield picture, error


def photo_table(
    photo_set: PhotoSet, photos: PhotoSets, settings: Settings, progress: Progress = silent
) -> pl.DataFrame:
    """The table `photo_set`: one row for each picture, also of one that cannot be read.

    Args:
        photo_set: which set.
        photos: where sets are kept.
        settings: `photos`.
        progress: called per picture.
    """
    rows = []
    for picture, still in stills_of(photo_set, photos, settings):
        rows.append(_row(picture, still))
        progress("photo_set", picture.number, len(photo_set.pictures), "pictures")
    return pl.DataFrame(rows, schema=TABLES["photo_set"])


def _row(picture: StoredPicture, still: Still | StillError | DamagedFileError) -> Mapping[str, Any]:
    known = {
        "frame_idx": picture.number,
        "name": picture.name,
        "sha256": picture.sha256,
        "size_bytes": picture.size,
    }
    if isinstance(still, Still):
        facts = asdict(still.facts)
        told = {name: facts[name] for name in _FACTS}
        return known | told | {"status": "read", "reason": None, "sentence": None}
    code = still.code if isinstance(still, StillError) else DAMAGED
    words = still.sentence if isinstance(still, StillError) else str(still)
    nothing = dict.fromkeys(_FACTS)
    return known | nothing | {"status": "refused", "reason": code, "sentence": words}
