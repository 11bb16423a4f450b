"""What a data folder takes from an object store, looked at like any input before it is used.

Whoever can write into a store can write anything: other ids, paths that lead out of the folder,
tables that no program of ours makes. The same look is taken at what is about to be published, so
that nothing goes there which nobody would take.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping
from io import BytesIO
from pathlib import PurePosixPath
from typing import Any, Final

import polars as pl

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.stages.specs.assets import VIDEO_SPECS
from identity_pipeline.storage.files.small_files import parse
from identity_pipeline.storage.library.generations import NOTE, Generation
from identity_pipeline.storage.library.snapshots import FILES
from identity_pipeline.storage.publishing.object_store import Contents
from identity_pipeline.storage.video.registry import Registration

DATASET: Final = "identity_dataset"
TABLES, EXPORT, REGISTRATION = "tables/", "export/", "registration.json"
SUFFIXES: Final = ("manifest.json", "made-of.json", "parquet")
SHA256: Final = re.compile(r"[0-9a-f]{64}")
GENERATION: Final = re.compile(r"\d{6,}-[0-9a-f]{1,12}")
TABLE: Final = re.compile(r"[a-z][a-z0-9_]*\.(manifest\.json|made-of\.json|parquet)")
"""A file of a table of the library, or what a step noted there, as older versions published too."""
DEEPEST: Final = 4
"""Folders of an export, one inside the other; it has two."""
LONGEST_PATH: Final = 4096
"""Bytes of a path on Linux."""


class NotOursError(IdentityPipelineError, ValueError):
    """Something is not what this program makes of a video or of a library."""


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
    names = {path.partition("/")[0] for path in contents}
    files = {path.partition("/")[2]: data for path, data in contents.items()}
    name = next(iter(names), "")
    if len(names) != 1 or not GENERATION.fullmatch(name):
        raise NotOursError(f"{', '.join(sorted(map(repr, names)))} is no generation of a library")
    for file in files:
        if file != NOTE and not TABLE.fullmatch(file):
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
    return name, {file: data for file, data in files.items() if file in FILES}


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
    known = {f"{TABLES}{asset}.{suffix}" for asset in VIDEO_SPECS for suffix in SUFFIXES}
    for path in contents:
        if path != REGISTRATION and path not in known and not path.startswith(EXPORT):
            raise NotOursError(f"{path!r} is no file of a video of this program")
    for asset in VIDEO_SPECS:
        manifest, table = (contents.get(f"{TABLES}{asset}.{s}") for s in (SUFFIXES[0], "parquet"))
        if manifest is None and table is None:
            continue
        noted = _object(f"{TABLES}{asset}.manifest.json", manifest or b"")
        if noted.get("of") not in (None, f"{asset}/{video_id}"):
            raise NotOursError(f"{TABLES}{asset}.manifest.json is that of {noted['of']}")
        if table is not None:
            _check_table(asset, table, noted)
        made_of = contents.get(f"{TABLES}{asset}.made-of.json")
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
        table = pl.read_parquet(BytesIO(contents[f"{TABLES}{DATASET}.parquet"]))
        named = dict(table.select("file", "sha256").cast(pl.String).iter_rows())
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
