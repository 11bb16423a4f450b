"""Where a face is named: rows of tables, lists and names of files; and which pictures show it.

What belongs here: finding the ids of faces. A picture that was encoded anew from a crop has none of
its bytes, so no byte scan finds it; but whatever is exported says of which face it was made, beside
it. What does not: bytes (`stages.privacy.scanning`).
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import polars as pl

from identity_pipeline.stages.datasets.manifest import FILE, datasets_in
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.packs import NO_ZIP

Faces = Mapping[str, Collection[str]]
"""Video or photo set -> ids of faces."""
PACKS: Final = Layout(Path()).packs.name
"""Folder of the packs of videos."""
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
    elif path.parent.name == PACKS:
        yield from _in_pack(path, video, faces)
    elif path.suffix in (".json", ".jsonl") and path.stat().st_size <= LARGEST:
        yield from _in_json(path, video, faces)


def _in_json(path: Path, video: str | None, faces: Faces) -> Iterator[str]:
    """Faces that a file of JSON names, or one of a value a line."""
    data = path.read_bytes()
    for text in data.splitlines() if path.suffix == ".jsonl" else (data,):
        if text.strip():
            yield from _in_value(json.loads(text), video, faces)


def _in_pack(path: Path, video: str | None, faces: Faces) -> Iterator[str]:
    """Faces that the files in the pack of a video name."""
    try:
        with zipfile.ZipFile(path) as pack:
            files = {name: pack.read(name) for name in pack.namelist()}
    except NO_ZIP as error:
        raise ValueError(str(error)) from error
    for name, data in files.items():
        if name.endswith(".parquet"):
            yield from _in_table(io.BytesIO(data), video, faces)
        else:
            yield from _in_value(json.loads(data), video, faces)


def pictures_of(layout: Layout, faces: Faces, photo_sets: Collection[str] = ()) -> Iterator[Path]:
    """Exported pictures and photographs that show some faces, by what is said of them beside them.

    Args:
        layout: of the data folder.
        faces: which.
        photo_sets: of which every photograph shows them.
    """
    for video in sorted(faces):
        yield from _exported(layout.export(video), video, faces)
    for folder in datasets_in(layout.datasets):
        yield from _in_dataset(folder, faces)
    for set_id in sorted(photo_sets):
        yield from (p for p in sorted(layout.photo_set(set_id).glob("*")) if p.suffix != ".json")


def _exported(export: Path, video: str, faces: Faces) -> Iterator[Path]:
    for note in sorted(export.glob("meta/**/*_meta.json")):
        told = _read(note)
        if isinstance(told, dict) and any(_in_value(told, video, faces)):
            yield export / str(told.get("file"))


def _in_dataset(folder: Path, faces: Faces) -> Iterator[Path]:
    told = _read(folder / FILE)
    for picture in told.get("pictures", ()) if isinstance(told, dict) else ():
        if any(_in_value(picture, None, faces)):
            yield from (folder / str(file) for file in picture.get("files", ()))


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):  # a damaged note names nothing; the scan says that it is one
        return None


def _video_of(relative: Path, faces: Faces) -> str | None:
    names = (*relative.parts[:-1], relative.name.partition(".")[0])
    return next((name for name in names if name in faces), None)


def _in_table(table: Path | io.BytesIO, video: str | None, faces: Faces) -> Iterator[str]:
    schema = pl.read_parquet_schema(table)
    owners = [pl.col(name) for name in OWNERS if name in schema]
    if not owners and video is None:
        return
    of = owners[0] if owners else pl.lit(video)
    for column in _columns_of_faces(schema):
        pairs = pl.scan_parquet(table, glob=False).select(of.alias("of"), pl.col(column))
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
