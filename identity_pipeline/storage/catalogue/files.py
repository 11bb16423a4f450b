"""The schema `raw`: one view per table, over the files as they lie; and what files those are."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from identity_pipeline.storage.catalogue.views import VIEWS
from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.library.snapshots import Snapshot
from identity_pipeline.storage.video.outputs import MANIFEST, TABLE, Outputs
from identity_pipeline.storage.video.packs import SUFFIX
from identity_pipeline.tables import LATER, LIBRARY_TABLES, TABLES

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

PROTOCOL: Final = "tables"
"""Of the addresses of `table_files`."""
NO_TABLES: Final = ("image_set",)
"""Schemas that several tables share and none is called by."""
SQL_TYPES: Final = {
    pl.String: "VARCHAR",
    pl.Int64: "BIGINT",
    pl.Float32: "FLOAT",
    pl.Float64: "DOUBLE",
    pl.Boolean: "BOOLEAN",
    pl.Binary: "BLOB",
}
REGISTRY: Final = {"path": "VARCHAR", "sha256": "VARCHAR"}
FAILURES: Final = {"code": "VARCHAR", "sentence": "VARCHAR", "asset": "VARCHAR"}
EVENTS: Final = {
    "seq": "BIGINT",
    "id": "VARCHAR",
    "time": "VARCHAR",
    "kind": "VARCHAR",
    "actor": "VARCHAR",
    "reason": "VARCHAR",
    "person_id": "VARCHAR",
    "name": "VARCHAR",
    "event_id": "VARCHAR",
}
RUNS: Final = {"fingerprint": "VARCHAR", "data_version": "VARCHAR", "rows": "BIGINT"}


TEXT: Final = "TRY(decode(content))"
"""Of a file; nothing where it is no UTF-8."""
ABOUT_ALL: Final = ("show", "information_schema", "duckdb_", "pg_", "sqlite_", "query_table")
"""Words with these beginnings list the views, or name one by a value, so all views are made."""


FileState = dict[str, str]
"""Table and video -> what changes with its file; and whether some are packed."""


def state_of_files(layout: Layout, sql: str) -> FileState:
    """The Parquet files that a statement may read, by the names that occur in it.

    A replaced file is another inode, so comparing two states tells whether one was replaced.
    """
    outputs = Outputs(layout)
    # Those of an open generation are never replaced.
    names = sorted(_named_tables(sql) - set(LIBRARY_TABLES))
    several = ((name, outputs.found(name, TABLE)) for name in names)
    state = {f"{name}/{v}": one.stamp for name, found in several for v, one in found.items()}
    return {**state, "packed": str(are_packed(layout))}


def are_packed(layout: Layout) -> bool:
    """Whether some videos are packed, so that what DuckDB itself sees of a folder is not all."""
    if not layout.packs.is_dir():
        return False
    with os.scandir(layout.packs) as entries:
        return any(entry.name.endswith(SUFFIX) for entry in entries)


def _named_tables(sql: str) -> set[str]:
    words = _words(sql)
    return (words | _below(words)) & TABLES.keys()


def _words(sql: str) -> set[str]:
    return set(re.findall(r"\w+", sql.lower()))


def _below(names: set[str]) -> set[str]:
    """What lies in `raw` below some views."""
    definitions = (VIEWS[name][1] for name in names & VIEWS.keys())
    return {found for text in definitions for found in re.findall(r"raw\.(\w+)", text)}


def create_views(
    connection: DuckDBPyConnection, layout: Layout, snapshot: Snapshot | None, statement: str = ""
) -> None:
    """Makes the schema `raw` over the files, and the views over it.

    Args:
        connection: of DuckDB.
        layout: whose files.
        snapshot: the library in force, which must stay open as long as the views are used; None
            before there is one.
        statement: makes only what this statement names, since DuckDB lists the files of every view
            that it makes; all where it names none, or asks for what there is.
    """
    sources: dict[str, Callable[[], str]] = {
        name: partial(_table, layout, name)
        for name in TABLES.keys() - {*NO_TABLES, *LIBRARY_TABLES}
    }
    sources |= {name: partial(_library_table, snapshot, name) for name in LIBRARY_TABLES}
    sources["registry"] = partial(_records, layout.registry, ".json", REGISTRY)
    sources["failures"] = partial(_records, layout.root / "failures", ".json", FAILURES)
    sources["events"] = partial(_events, layout)
    sources["runs"] = partial(_runs, layout)
    words = _words(statement)
    named = words & {*VIEWS, *sources}
    about_all = not named or any(word.startswith(ABOUT_ALL) for word in words)
    wanted = {*VIEWS, *sources} if about_all else named | _below(named)
    connection.execute("CREATE SCHEMA IF NOT EXISTS raw")
    for name in sorted(wanted & sources.keys()):
        connection.execute(f"CREATE OR REPLACE VIEW raw.{name} AS {sources[name]()}")
    for name in [name for name in VIEWS if name in wanted]:
        connection.execute(f"CREATE OR REPLACE VIEW {name} AS {VIEWS[name][1]}")


def _table(layout: Layout, name: str) -> str:
    schema = TABLES[name]
    columns = {"video_id": "VARCHAR", **{c: _sql_type(t) for c, t in schema.items()}}
    if not any(True for _ in Outputs(layout).videos(name, TABLE)):
        return _nothing(columns)
    video = "" if "video_id" in schema else f"{_stem('.parquet')} AS video_id, "
    chosen = ", ".join(f'"{column}"' for column in schema)
    files = _files(layout, name, TABLE)
    if name not in LATER:
        return f"SELECT {video}{chosen} FROM read_parquet({files}, filename = true)"  # noqa: S608
    # Files of older versions lack columns, perhaps all of them: no row brings them, as nulls.
    rows = f"SELECT * FROM read_parquet({files}, filename = true, union_by_name = true)"  # noqa: S608
    lacking = _nothing({c: columns[c] for c in sorted(LATER[name])})
    return f"SELECT {video}{chosen} FROM ({rows} UNION ALL BY NAME {lacking})"  # noqa: S608


def _library_table(snapshot: Snapshot | None, name: str) -> str:
    columns = {column: _sql_type(dtype) for column, dtype in TABLES[name].items()}
    if snapshot is None or not snapshot.path(name).is_file():
        return _nothing(columns)
    snapshot.table(name)  # compared with what was recorded
    path = snapshot.path(name)
    with path.open("rb") as stream:  # a path would be taken for a pattern
        there = pl.read_parquet_schema(stream)
    chosen = ", ".join(
        f'"{column}"' if column in there else f'NULL::{kind} AS "{column}"'
        for column, kind in columns.items()
    )
    return f"SELECT {chosen} FROM read_parquet({_pattern(path.parent, path.name)})"  # noqa: S608


def _records(folder: Path, suffix: str, fields: dict[str, str]) -> str:
    """One JSON object per file, named by a video."""
    if not _holds(folder, suffix):
        return _nothing({"video_id": "VARCHAR", **fields})
    files = _pattern(folder, f"*{suffix}")
    return (
        f"SELECT {_stem(suffix)} AS video_id, {_fields(TEXT, fields)} "  # noqa: S608
        f"FROM read_blob({files})"
    )


def _events(layout: Layout) -> str:
    """One row per whole line; a last line without its end was never acknowledged."""
    lists, columns = {"subjects": "VARCHAR[]"}, {"event": "JSON"}
    if not layout.ledger.is_file():
        return _nothing({**EVENTS, **lists, **columns})
    lines = f"""SELECT unnest(string_split(content, chr(10))[:-2]) AS line
        FROM read_text({_pattern(layout.ledger.parent, layout.ledger.name)})"""  # noqa: S608
    return (
        f"SELECT {_fields('line', EVENTS)}, "  # noqa: S608
        "from_json(line::JSON -> '$.subjects', '[\"VARCHAR\"]') AS subjects, "
        f"line::JSON AS event FROM ({lines})"
    )


def _runs(layout: Layout) -> str:
    head = {"asset": "VARCHAR", "video_id": "VARCHAR", "written_at": "TIMESTAMP"}
    noted = layout.tables.is_dir() and any(layout.tables.glob(f"*/*{MANIFEST}"))
    if not noted and not are_packed(layout):
        return _nothing({**head, **RUNS})
    folder, stem = "parse_filename(parse_dirpath(filename))", _stem(".manifest.json")
    return (
        f"SELECT CASE {folder} WHEN 'library' THEN {stem} ELSE {folder} END AS asset, "  # noqa: S608
        f"CASE {folder} WHEN 'library' THEN NULL ELSE {stem} END AS video_id, "
        f"last_modified::TIMESTAMP AS written_at, {_fields(TEXT, RUNS)} "
        f"FROM read_blob({_files(layout, '*', MANIFEST)})"
    )


def _nothing(columns: dict[str, str]) -> str:
    nulls = ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in columns.items())
    return f"SELECT {nulls} WHERE false"


def _fields(json: str, fields: dict[str, str]) -> str:
    """Fields of a JSON text; nothing of a text that is none, so that one file spoils no query."""
    return ", ".join(
        f"TRY_CAST((TRY_CAST({json} AS JSON) ->> '$.{name}') AS {kind}) AS {name}"
        for name, kind in fields.items()
    )


def _stem(suffix: str) -> str:
    return f"regexp_replace(parse_filename(filename), '{re.escape(suffix)}$', '')"


def _sql_type(dtype: Any) -> str:
    if isinstance(dtype, pl.List):
        return f"{_sql_type(dtype.inner)}[]"
    return SQL_TYPES[dtype if isinstance(dtype, type) else type(dtype)]


def _holds(folder: Path, suffix: str) -> bool:
    return folder.is_dir() and any(
        path.name.endswith(suffix) and not atomic.is_temporary(path) for path in folder.iterdir()
    )


def _files(layout: Layout, asset: str, part: str) -> str:
    """A quoted pattern of a part of an asset of all videos; see `table_files`."""
    if are_packed(layout):
        return quoted(f"{PROTOCOL}://{asset}/*{part}")
    folder = literal(layout.tables)
    return quoted(f"{folder}/{asset}/*{part}")


def _pattern(folder: Path, files: str) -> str:
    """A quoted pattern of files in a folder whose own name may hold anything."""
    return quoted(f"{literal(folder)}/{files}")


def literal(folder: Path) -> str:
    """The pattern that stands for a folder's path itself."""
    return re.sub(r"([*?\[])", r"[\1]", str(folder))


def quoted(text: str) -> str:
    """A text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"
