"""Where an exported image lies, which rows of the sets were exported, and whether all is there.

What belongs here: names of files and types. What does not: writing them
(`stages.imagesets.dataset`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import polars as pl

from identity_pipeline.storage.files.hashing import sha256_of_file
from identity_pipeline.storage.video.tables import TableStore

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
LEFT_OUT: Final = "left_out"
"""In the table `identity_dataset`: the type of an image that is not in the folder."""


def image_file(set_name: str, row: Mapping[str, Any]) -> str:
    """Path of an image relative to the export folder."""
    if set_name == "pair_set":
        return f"pair/{row['image']}.jpg"
    return f"person_{row['person_id']}/{FOLDERS[set_name]}/{row['image']}.jpg"


def exported_rows(
    store: TableStore, set_name: str, video_id: str, table: pl.DataFrame
) -> pl.DataFrame:
    """The rows of a video's set whose images were not left out of the export.

    Args:
        store: the tables.
        set_name: asset of the set.
        video_id: the video.
        table: the set.
    """
    lacking = _left_out(store, video_id) if table.height else {}
    if not lacking:
        return table
    there = [image_file(set_name, row) not in lacking for row in table.iter_rows(named=True)]
    return table.filter(pl.Series(there, dtype=pl.Boolean))


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


def left_out_faces(store: TableStore, video_id: str) -> dict[str, str]:
    """Why the image of a face is not exported, by face; of a pair's image, of both."""
    lacking = _left_out(store, video_id)
    return {
        row["face_id"]: lacking[file]
        for set_name in (TYPES if lacking else ())
        for row in store.read(set_name, video_id).iter_rows(named=True)
        if (file := image_file(set_name, row)) in lacking
    }


def _left_out(store: TableStore, video_id: str) -> dict[str, str]:
    """Code and sentence of each image that is not exported, by file."""
    if store.noted("identity_dataset", video_id) is None:
        return {}
    files = store.read("identity_dataset", video_id, ["file", "left_out"]).drop_nulls("left_out")
    return dict(files.iter_rows())
