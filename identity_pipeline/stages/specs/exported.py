"""Where an image and its metadata lie, which rows were exported, and whether all is there.

What belongs here: names of files and types. What does not: writing them
(`stages.imagesets.dataset`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

import polars as pl

from identity_pipeline.storage.files.hashing import sha256_of_file
from identity_pipeline.storage.video.set_versions import Version
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline.tables import empty

FOLDERS: Final = {
    "anchor_set": "anchors",
    "coverage_set": "coverage",
    "challenge_set": "challenge",
}
TYPES: Final = {
    "anchor_set": "anchor",
    "coverage_set": "coverage",
    "challenge_set": "challenge",
    "pair_set": "pair",
}
METADATA: Final = "metadata"
"""In the table `identity_dataset` and the manifest: the type of a file that is no image."""
LEFT_OUT: Final = "left_out"
"""In the table `identity_dataset`: the type of an image that is not in the folder."""


def image_file(set_name: str, row: Mapping[str, Any]) -> str:
    """Path of an image relative to the export folder."""
    if set_name == "pair_set":
        return f"pair/{row['image']}.jpg"
    return f"person_{row['person_id']}/{FOLDERS[set_name]}/{row['image']}.jpg"


def seats_of(file: str, seats: Iterable[int]) -> tuple[int, ...]:
    """The riders on an image of an export by its path: all of them on a pair.

    Args:
        file: path of the image relative to the export folder, with `/`.
        seats: of all riders of the ride.
    """
    whose = PurePosixPath(file).parts[0].removeprefix("person_")
    return (int(whose),) if whose.isdecimal() else tuple(seats)


META: Final = "meta"
"""The folder of all metadata; what shows riders holds images alone, for loaders open every entry
or walk all folders below the one that they are given."""


def sidecar_file(image: str) -> str:
    """Path of an image's metadata relative to the export folder.

    Args:
        image: path of the image relative to the export folder, with `/`.
    """
    path = PurePosixPath(image)
    return str(META / path.with_name(f"{path.stem}_meta.json"))


def rider_file(name: str) -> str:
    """Path of what is said of a rider (`person_0`, ...) relative to the export folder."""
    return f"{META}/{name}.json"


def sheet_file(name: str) -> str:
    """Path of a rider's contact sheet relative to the export folder; a rider may have none."""
    return f"sheets/{name}.jpg"


def shown_rows(
    set_name: str, table: pl.DataFrame, files: pl.DataFrame, observed: pl.DataFrame
) -> pl.DataFrame:
    """A set as it is exported: without what was left out, and with the faces really shown.

    Args:
        set_name: asset of the set.
        table: the set as it was chosen.
        files: table `identity_dataset`.
        observed: table `candidates`, for what is said of a face that stands in for another.
    """
    told = {row["file"]: row for row in files.iter_rows(named=True)}
    stand_ins = files["face_id"].filter(files["stands_for"].is_not_null())
    measured = observed.filter(pl.col("face_id").is_in(stand_ins.implode()))
    faces = {row["face_id"]: row for row in measured.select(MEASURED).iter_rows(named=True)}
    rows = []
    for row in table.iter_rows(named=True):
        place = told.get(image_file(set_name, row))
        if place is None:  # of an export that was made otherwise
            rows.append(row)
        elif place["left_out"] is None:
            rows.append(_as_shown(row, place, faces))
    return pl.DataFrame(rows, schema=table.schema)


MEASURED: Final = (
    *("face_id", "frame_idx", "timestamp_ms", "quality_score", "portrait_score", "picture_score"),
)
"""Columns of `candidates` that a set tells of a face."""
CROP: Final = ("crop_x1", "crop_y1", "crop_x2", "crop_y2")


def _as_shown(
    row: dict[str, Any], place: Mapping[str, Any], faces: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """A row of a set with the crop that was cut, and the face that is shown."""
    if place["crop_x1"] is not None:
        row |= {name: place[name] for name in CROP}
    if place["stands_for"] == row["face_id"]:
        row |= faces[place["face_id"]]
        row |= {"stable_score": place["stable_score"], "novelty": None}
    return row


def shown_sets(
    sets: Mapping[str, pl.DataFrame], files: pl.DataFrame, observed: pl.DataFrame
) -> dict[str, pl.DataFrame]:
    """All sets of a video as they are exported: see `shown_rows`."""
    return {name: shown_rows(name, table, files, observed) for name, table in sets.items()}


def version_of(files: pl.DataFrame) -> Version:
    """Which faces each rider's sets are made of as they are exported, in the order of the files.

    Args:
        files: table `identity_dataset`. Pairs are no rider's, and are left out.
    """
    shown = files.filter(pl.col("face_id").is_not_null() & pl.col("left_out").is_null())
    found: dict[str, list[str]] = {}
    for kind, seat, face in shown.sort("file").select("type", "person_id", "face_id").iter_rows():
        found.setdefault(f"{kind}/{seat}", []).append(face)
    return Version(found)


def not_shown(
    sets: Mapping[str, pl.DataFrame], files: pl.DataFrame
) -> dict[str, tuple[str, str, str | None]]:
    """Faces that were chosen and are not shown: code, sentence, and the face shown instead.

    Args:
        sets: the set tables as they were chosen.
        files: table `identity_dataset`.
    """
    told = {row["file"]: row for row in files.iter_rows(named=True)}
    found: dict[str, tuple[str, str, str | None]] = {}
    for set_name, table in sets.items():
        for row in table.iter_rows(named=True):
            place = told.get(image_file(set_name, row), {})
            why = place.get("left_out") or place.get("instead_of")
            if why is not None:
                code, _, sentence = why.partition(": ")
                instead = place["face_id"] if place["left_out"] is None else None
                found[row["face_id"]] = (code, sentence, instead)
    return found


def exported_rows(
    store: TableStore, set_name: str, video_id: str, table: pl.DataFrame
) -> pl.DataFrame:
    """A set of a video as it is exported: see `shown_rows`.

    Args:
        store: the tables.
        set_name: asset of the set.
        video_id: the video.
        table: the set as it was chosen.
    """
    if not table.height or store.noted("identity_dataset", video_id) is None:
        return table
    files = store.read("identity_dataset", video_id)
    stand_ins = files["stands_for"].is_not_null().any()
    observed = store.read("candidates", video_id, MEASURED) if stand_ins else empty("candidates")
    return shown_rows(set_name, table, files, observed)


def files_of(table: pl.DataFrame) -> pl.DataFrame:
    """The rows of `identity_dataset` that are files of the folder."""
    return table.filter(pl.col("left_out").is_null())


def export_is_whole(target: Path, files: pl.DataFrame) -> bool:
    """Whether every file of an export is in its place with its bytes, and no other."""
    if not target.is_dir():
        return False
    expected = dict(files_of(files).select("file", "sha256").iter_rows())
    found = {
        path.relative_to(target).as_posix(): sha256_of_file(path)
        for path in target.rglob("*")
        if path.is_file()
    }
    return found == expected
