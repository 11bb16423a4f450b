"""What of a finished video, or of the library, goes to an object store: whole, and of one making.

Crops and chunks are made again when they are needed; source videos and the ledger are the only
copies of what they hold and belong into a backup instead.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import polars as pl

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.stages.publishing.incoming import DATASET, EXPORT, REGISTRATION, TABLES
from identity_pipeline.stages.specs.assets import VIDEO_SPECS
from identity_pipeline.storage.layout import Layout, inside
from identity_pipeline.storage.library.generations import Generations
from identity_pipeline.storage.publishing.object_store import Contents


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
        manifest = layout.manifest(asset, video_id)
        if not manifest.is_file():
            continue
        found = {
            f"{TABLES}{asset}.{suffix}": path.read_bytes()
            for suffix, path in (
                ("manifest.json", manifest),
                ("made-of.json", layout.made_of(asset, video_id)),
                ("parquet", layout.table(asset, video_id)),
            )
            if path.is_file()
        }
        noted = _read_note(found, f"{TABLES}{asset}.manifest.json", "data_version")
        versions[asset] = noted
        table = found.get(f"{TABLES}{asset}.parquet")
        if table is not None and hashlib.sha256(table).hexdigest() != noted:
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
    for file, digest in pl.read_parquet(table).select("file", "sha256").iter_rows():
        path = inside(folder, folder / file)
        data = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(data).hexdigest() != digest:
            raise NotWholeError(f"{file} of its export is missing, or not what was written")
        yield f"{EXPORT}{file}", data


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
