"""Where a face is still named: rows of tables, lists of files, and names of files.

What belongs here: finding the ids of faces. A picture that was encoded anew from a crop has none of
its bytes, so no byte scan finds it; but whatever is exported says of which face it was made, beside
it. What does not: bytes (`stages.privacy.scanning`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import polars as pl

Faces = Mapping[str, Collection[str]]
"""Video or photo set -> ids of faces."""
LARGEST: Final = 128 * 2**20
"""Bytes of a list of files that is read (chosen: a thousand times the longest that is written)."""
OWNERS: Final = ("video_id", "source_id")


def named_in(path: Path, relative: Path, faces: Faces) -> Iterator[str]:
    """Faces that a file names, as `video:face`.

    Args:
        path: of the file.
        relative: below the data folder; a folder or name in it says of which video it is.
        faces: which to look for.

    Raises:
        OSError: it cannot be read.
        ValueError, polars.exceptions.PolarsError: it is not what its name says.
    """
    video = _video_of(relative, faces)
    if video is not None:
        yield from (f"{video}:{face}" for face in faces[video] if face in relative.name)
    if path.suffix == ".parquet":
        yield from _in_table(path, video, faces)
    elif path.suffix in (".json", ".jsonl") and path.stat().st_size <= LARGEST:
        data = path.read_bytes()
        for text in data.splitlines() if path.suffix == ".jsonl" else (data,):
            if text.strip():
                yield from _in_value(json.loads(text), video, faces)


def _video_of(relative: Path, faces: Faces) -> str | None:
    names = (*relative.parts[:-1], relative.name.partition(".")[0])
    return next((name for name in names if name in faces), None)


def _in_table(path: Path, video: str | None, faces: Faces) -> Iterator[str]:
    schema = pl.read_parquet_schema(path)
    owners = [pl.col(name) for name in OWNERS if name in schema]
    if not owners and video is None:
        return
    of = owners[0] if owners else pl.lit(video)
    for column in _columns_of_faces(schema):
        pairs = pl.scan_parquet(path, glob=False).select(of.alias("of"), pl.col(column))
        for name, face in pairs.collect().iter_rows():
            if face in faces.get(name, ()):
                yield f"{name}:{face}"


def _columns_of_faces(schema: Mapping[str, pl.DataType]) -> list[str]:
    texts = [name for name, dtype in schema.items() if dtype == pl.String]
    return [name for name in texts if name.endswith("face_id")]


def _in_value(value: Any, video: str | None, faces: Faces) -> Iterator[str]:
    """Faces in JSON: strings that are the id of one, within what says of which video it is."""
    if isinstance(value, dict):
        said = next((value[n] for n in OWNERS if isinstance(value.get(n), str)), video)
        for key, inner in value.items():
            yield from _in_value(key, said, faces)
            yield from _in_value(inner, said, faces)
    elif isinstance(value, list):
        for inner in value:
            yield from _in_value(inner, video, faces)
    elif isinstance(value, str) and video is not None and value in faces.get(video, ()):
        yield f"{video}:{value}"
