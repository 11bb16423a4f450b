"""The files of a published video or library: collected here, and checked before they are used.

Whoever can write into a store can write anything: other ids, paths that lead out of the folder,
tables that no program of ours makes. So what comes from one is checked like any input. What is
about to be published is checked in the same way: nothing goes there which nobody would take.

Crops and chunks are made again when they are needed; source videos and the ledger are the only
copies of what they hold and belong into a backup instead.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import PurePosixPath
from typing import Any, Final

import polars as pl

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.stages.specs.assets import VIDEO_SPECS
from identity_pipeline.stages.specs.current import FINISHED_BY
from identity_pipeline.stages.specs.exported import files_of
from identity_pipeline.storage.files.small_files import parse
from identity_pipeline.storage.layout import Layout, inside
from identity_pipeline.storage.library.generations import NOTE, Generation, Generations
from identity_pipeline.storage.library.snapshots import FILES
from identity_pipeline.storage.publishing.object_store import Contents
from identity_pipeline.storage.video.outputs import MADE_OF, MANIFEST, TABLE, Outputs
from identity_pipeline.storage.video.registry import Registration

DATASET: Final = FINISHED_BY
TABLES, EXPORT, REGISTRATION = "tables/", "export/", "registration.json"
NOTED: Final = (MANIFEST, MADE_OF, TABLE)
SHA256: Final = re.compile(r"[0-9a-f]{64}")
GENERATION: Final = re.compile(r"\d{6,}-[0-9a-f]{1,12}")
OF_LIBRARY: Final = re.compile(r"[a-z][a-z0-9_]*\.(manifest\.json|made-of\.json|parquet)")
"""A file of a table of the library, or what a step noted there, as older versions published too."""
DEEPEST: Final = 4
"""Parts of the path of a file of an export at most; `meta/person_0/anchors/..._meta.json`."""
LONGEST_PATH: Final = 4096
"""Bytes of a path on Linux."""


class NotOursError(IdentityPipelineError, ValueError):
    """Something is not what this program makes of a video or of a library."""


class NotWholeError(IdentityPipelineError, RuntimeError):
    """A video's files do not agree with each other: it is unfinished, damaged or being made."""


def video_contents(layout: Layout, video_id: str, off: frozenset[str]) -> Contents:
    """Everything of a video that is published, checked against its manifests.

    Raises:
        NotWholeError: it does not agree.
    """
    contents: Contents = {}
    versions: dict[str, str] = {}
    for asset in sorted(VIDEO_SPECS):
        found = _output(layout, video_id, asset)
        if found:
            versions[asset] = _read_note(found, f"{TABLES}{asset}.manifest.json", "data_version")
            table = found.get(f"{TABLES}{asset}.parquet")
            if table is not None and hashlib.sha256(table).hexdigest() != versions[asset]:
                raise NotWholeError(f"the table {asset} is being made, or damaged")
        contents |= found
    if f"{TABLES}{DATASET}.parquet" not in contents:
        raise NotWholeError("it is not finished")
    _check_made_of_each_other(contents, versions, off)
    registration = layout.registration(video_id)
    if not registration.is_file():
        raise NotWholeError("its registration is missing; `identity-pipeline run` its file again")
    contents[REGISTRATION] = registration.read_bytes()
    return contents | dict(_export(layout, video_id, contents[f"{TABLES}{DATASET}.parquet"]))


def models_of_export(contents: Contents) -> list[tuple[str, str | None]]:
    """Name and licence of each model that had a part in an export; none of the library."""
    path = f"{EXPORT}manifest.json"
    models = _read_note(contents, path, "models") if path in contents else []
    return [(str(model["name"]), model.get("licence")) for model in models]


def _output(layout: Layout, video_id: str, asset: str) -> Contents:
    """Manifest, note and table of one output; nothing where it has no manifest."""
    outputs = Outputs(layout)
    if not outputs.has(asset, video_id, MANIFEST):
        return {}
    parts = {part: outputs.there(asset, video_id, part) for part in NOTED}
    return {f"{TABLES}{asset}{part}": data for part, data in parts.items() if data is not None}


def _read_note(contents: Contents, path: str, key: str) -> Any:
    """An entry of a manifest, or of a note on what a table is made of.

    Raises:
        NotWholeError: it cannot be read.
    """
    try:
        return json.loads(contents[path])[key]
    except (ValueError, TypeError, KeyError) as error:
        raise NotWholeError(f"{path} cannot be read ({error}); run it again") from error


def _check_made_of_each_other(
    contents: Contents, versions: dict[str, str], off: frozenset[str]
) -> None:
    """Tables of one making, not some old and some new: each names what it was made of.

    What is switched off is not asked: the index is then left as it was, with inputs of before.

    Raises:
        NotWholeError: one was made of another than the one that is there.
    """
    for asset in versions.keys() - off:
        note = f"{TABLES}{asset}.made-of.json"
        inputs = _read_note(contents, note, "inputs") if note in contents else {}
        for name, version in inputs.items():
            if versions.get(name) != version:
                raise NotWholeError(
                    f"{asset} is not made of the {name} that is there; run it again"
                )


def _export(layout: Layout, video_id: str, table: bytes) -> Iterator[tuple[str, bytes]]:
    folder = layout.export(video_id)
    for file, digest in _files_named(table).items():
        path = inside(folder, folder / file)
        data = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(data).hexdigest() != digest:
            raise NotWholeError(f"{file} of its export is missing, or not what was written")
        yield f"{EXPORT}{file}", data


def _files_named(table: bytes) -> dict[str, str]:
    """SHA-256 of each file of an export, by the table `identity_dataset`.

    Images that were left out are no files; tables of older versions have none of them.
    """
    rows = pl.read_parquet(BytesIO(table))
    files = files_of(rows) if "left_out" in rows.columns else rows
    return dict(files.select("file", "sha256").cast(pl.String).iter_rows())


def library_contents(layout: Layout) -> Contents:
    """The generation of the library that is in force.

    Raises:
        NotWholeError: there is none.
    """
    snapshot = Generations(layout).find()
    if snapshot is None:
        raise NotWholeError("there is no library yet")
    with snapshot:
        name = snapshot.generation.name
        return {f"{name}/{file}": data for file, data in snapshot.files().items()}


def check_video(video_id: str, contents: Contents) -> None:
    """Compares the files of a video with what a finished video has, and with each other.

    Raises:
        NotOursError: says what is wrong; nothing of it should be used.
    """
    try:
        _check_registration(video_id, contents[REGISTRATION])
        _check_tables(video_id, contents)
        _check_export(contents)
    except KeyError as error:
        raise NotOursError(f"{error.args[0]} is missing") from error


def check_library(contents: Contents) -> tuple[str, dict[str, bytes]]:
    """Compares the files of a generation of the library with what one has.

    Returns:
        The name of the generation, and its files by their names, without notes of steps.

    Raises:
        NotOursError: says what is wrong; nothing of it should be used.
    """
    names = sorted({path.partition("/")[0] for path in contents})
    files = {path.partition("/")[2]: data for path, data in contents.items()}
    if len(names) != 1 or not GENERATION.fullmatch(names[0]):
        raise NotOursError(f"{', '.join(map(repr, names))} is no generation of a library")
    _check_generation(names[0], files)
    return names[0], {file: data for file, data in files.items() if file in FILES}


def _check_generation(name: str, files: Contents) -> None:
    for file in files:
        if file != NOTE and not OF_LIBRARY.fullmatch(file):
            raise NotOursError(f"{file!r} is no file of a library")
    if NOTE not in files:
        raise NotOursError(f"{NOTE} is missing")
    if _parsed(NOTE, files[NOTE], Generation).name != name:
        raise NotOursError(f"{NOTE} is of another generation than {name}")
    for file, data in files.items():
        table, _, suffix = file.partition(".")
        if suffix == "parquet":
            noted = files.get(f"{table}.manifest.json", b"")
            _check_table(table, data, _object(f"{table}.manifest.json", noted))


def _check_registration(video_id: str, data: bytes) -> None:
    record = _parsed(REGISTRATION, data, Registration)
    digits = video_id.rpartition("-")[2]
    if record.video_id != video_id:
        raise NotOursError(f"{REGISTRATION} is of {record.video_id!r}, not of {video_id}")
    if not SHA256.fullmatch(record.sha256):
        raise NotOursError(f"{REGISTRATION} names no SHA-256")
    if not record.sha256.startswith(digits):
        raise NotOursError(f"{REGISTRATION} names another content than its id does")
    for path in (record.path, *record.links):
        too_long = len(path.encode(errors="surrogateescape")) > LONGEST_PATH
        if not path or too_long or any(unicodedata.category(c) == "Cc" for c in path):
            raise NotOursError(f"{REGISTRATION} names a file that cannot be one: {path[:80]!r}")


def _check_tables(video_id: str, contents: Contents) -> None:
    known = {f"{TABLES}{asset}{part}" for asset in VIDEO_SPECS for part in NOTED}
    for path in contents:
        if path != REGISTRATION and path not in known and not path.startswith(EXPORT):
            raise NotOursError(f"{path!r} is no file of a video of this program")
    for asset in VIDEO_SPECS:
        _check_output(video_id, asset, contents)


def _check_output(video_id: str, asset: str, contents: Contents) -> None:
    manifest, made_of, table = (contents.get(f"{TABLES}{asset}{part}") for part in NOTED)
    if manifest is None and table is None:
        return
    noted = _object(f"{TABLES}{asset}.manifest.json", manifest or b"")
    if noted.get("of") not in (None, f"{asset}/{video_id}"):
        raise NotOursError(f"{TABLES}{asset}.manifest.json is that of {noted['of']}")
    if table is not None:
        _check_table(asset, table, noted)
    if made_of is not None:
        _object(f"{TABLES}{asset}.made-of.json", made_of)


def _check_table(name: str, data: bytes, manifest: Mapping[str, Any]) -> None:
    if hashlib.sha256(data).hexdigest() != manifest.get("data_version"):
        raise NotOursError(f"the table {name} is being made, or damaged")
    try:
        pl.read_parquet_schema(BytesIO(data))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise NotOursError(f"the table {name} is no table") from error


def _check_export(contents: Contents) -> None:
    """Its files are those that the dataset's table names, with those digests."""
    try:
        named = _files_named(contents[f"{TABLES}{DATASET}.parquet"])
    except pl.exceptions.PolarsError as error:
        raise NotOursError(f"the table {DATASET} does not name the files of an export") from error
    there = {
        path.removeprefix(EXPORT): d for path, d in contents.items() if path.startswith(EXPORT)
    }
    for file in sorted({*named, *there}, key=str):
        if not _is_file_of_an_export(file):
            raise NotOursError(f"{file!r} is no file of an export")
        if file not in named:
            raise NotOursError(f"{file} lies in its export, and its table does not name it")
        if file not in there or hashlib.sha256(there[file]).hexdigest() != named[file]:
            raise NotOursError(f"{file} of its export is missing, or not what was written")


def _is_file_of_an_export(file: str | None) -> bool:
    if not file or file != PurePosixPath(file).as_posix():
        return False
    parts = PurePosixPath(file).parts
    if len(parts) > DEEPEST or ".." in parts or file.startswith("/"):
        return False
    return re.fullmatch(r"[\w.@+-]+(/[\w.@+-]+)*", file, re.ASCII) is not None


def _parsed(path: str, data: bytes, form: Any) -> Any:
    try:
        return parse(data, form)
    except ValueError as error:
        raise NotOursError(f"{path} is damaged: {error}") from error


def _object(path: str, data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise NotOursError(f"{path} is missing or cannot be read; run it again") from error
    if not isinstance(found, dict):
        raise NotOursError(f"{path} is no manifest")
    return found
