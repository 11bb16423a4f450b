"""The catalogue: SQL over the Parquet tables and the ledger, read only.

Each connection is a DuckDB of its own in memory, with views over the files. So there is no database
file that a writer could lock, and any number of processes read while others write. Files are
replaced by renaming, but DuckDB 2.0 opens a file more than once during a query, and then mixes the
old and the new one (measured: 2 % of queries beside a writer that never rests gave an error or a
mixture). So a query is run again when a file that it may have read was replaced meanwhile. The
tables of the library are of one generation, which stays open as long as the catalogue.

DuckDB compares nothing with what was recorded, so before a query every table that it may read is: a
damaged one is named, and not asked.

Read only is held twice: a statement must be one SELECT (or its EXPLAIN), and DuckDB itself may read
below the folders of the tables and of the ledger only, its configuration locked.
"""

from __future__ import annotations

import csv
import datetime
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TextIO, TypeVar

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.settings import CatalogueSettings
from identity_pipeline.storage.catalogue.files import (
    PROTOCOL,
    FileState,
    are_packed,
    create_views,
    literal,
    quoted,
    state_of_files,
)
from identity_pipeline.storage.catalogue.views import VIEWS
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.library.generations import Generations
from identity_pipeline.storage.video.tables import TableStore

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from identity_pipeline.storage.library.snapshots import Snapshot

Fetched = TypeVar("Fetched")
Progress = Callable[[str, int, int | None, str], None]
"""Called with a stage, what of it is done, of how much, and the unit."""
PAGE: Final = 2000
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a spreadsheet takes for the beginning of a formula, once it has dropped white space."""
NAMES: Final = {"MULTI": "PIVOT without its IN list"}
ATTEMPTS: Final = 10
"""How often a query is run again when a table was replaced under it; chosen."""


def _untold(stage: str, done: int, total: int | None, unit: str) -> None:
    """Progress that nobody watches."""


class CatalogueError(IdentityPipelineError, RuntimeError):
    """A query that is not allowed, or not possible."""


@dataclass(frozen=True)
class Answer:
    """Rows of a query.

    Attributes:
        columns: their names.
        types: their SQL types.
        rows: at most as many as were asked for.
        more: whether there are more rows than that.
    """

    columns: list[str]
    types: list[str]
    rows: list[tuple[Any, ...]]
    more: bool


@dataclass(frozen=True)
class ViewFacts:
    """A view: name, what it holds, rows, columns with their types."""

    name: str
    description: str
    rows: int
    columns: dict[str, str]


@contextmanager
def open_catalogue(
    layout: Layout,
    settings: CatalogueSettings,
    statement: str = "",
    progress: Progress = _untold,
) -> Iterator[Catalogue]:
    """A catalogue over the tables that are there now; tables that are not there are empty views.

    Args:
        layout: whose tables.
        settings: memory, rows.
        statement: the only one that will be asked: views that it does not name are not made.
        progress: called per table that is compared with what was recorded of it.
    """
    import duckdb

    from identity_pipeline.storage.catalogue.table_files import TableFiles

    options: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{settings.memory_mb}MiB",
        "temp_directory": "",  # past the limit a query fails; it never spills beside the tables
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "allow_community_extensions": "false",
        "python_enable_replacements": "false",  # a name in SQL is no Python variable
        "preserve_insertion_order": "true",
    }
    root = layout.root.resolve()
    names = ("tables", "registry", "failures", "ledger")
    readable = {f"{base}/{name}/" for base in (root, literal(root)) for name in names}
    snapshot = Generations(Layout(root)).find()
    with snapshot or nullcontext(), duckdb.connect(":memory:", config=options) as connection:
        connection.register_filesystem(TableFiles(Layout(root)))
        views = _Views(connection, Layout(root), snapshot, statement)
        views.bring_up()
        folders = ", ".join(quoted(folder) for folder in (*sorted(readable), f"{PROTOCOL}://"))
        connection.execute(f"SET allowed_directories = [{folders}]")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        try:
            yield Catalogue(connection, Layout(root), views, progress)
        finally:
            connection.unregister_filesystem(PROTOCOL)


@dataclass
class _Views:
    """The views, which are made anew when the first video is packed or the last one unpacked.

    Attributes:
        connection, layout, snapshot, statement: see `create_views`.
        packed: whether they were made where some videos were packed; None before.
    """

    connection: DuckDBPyConnection
    layout: Layout
    snapshot: Snapshot | None
    statement: str
    packed: bool | None = None

    def bring_up(self) -> None:
        """Makes them, where they are not as they would be made now."""
        packed = are_packed(self.layout)
        if packed != self.packed:
            with _sentences():
                create_views(self.connection, self.layout, self.snapshot, self.statement)
            self.packed = packed


@dataclass(frozen=True)
class Catalogue:
    """An open catalogue; see `open_catalogue`."""

    connection: DuckDBPyConnection
    layout: Layout
    views_made: _Views
    progress: Progress = _untold
    _whole_ones: set[tuple[str, str]] = field(default_factory=set)

    def query(self, sql: str, limit: int | None = None) -> Answer:
        """The rows of one SELECT.

        Args:
            sql: the statement.
            limit: at most so many rows; all when None.

        Raises:
            CatalogueError: it is no single SELECT, or DuckDB cannot do it.
            DamagedTableError: a table that it may read is not what was written.
        """

        def fetch(cursor: DuckDBPyConnection) -> Answer:
            columns = [(str(name), str(kind)) for name, kind, *_ in cursor.description or []]
            rows = cursor.fetchall() if limit is None else cursor.fetchmany(limit + 1)
            names, types = [name for name, _ in columns], [kind for _, kind in columns]
            cut = len(rows) if limit is None else limit
            return Answer(names, types, rows[:cut], len(rows) > cut)

        return self._whole(sql, fetch)

    def write_csv(self, sql: str, stream: TextIO) -> int:
        """Writes all rows of one SELECT as CSV with a header and returns their number.

        Raises:
            CatalogueError, DamagedTableError: as `query`.
        """

        def fetch(cursor: DuckDBPyConnection) -> int:
            spool.seek(0)
            spool.truncate()
            writer, count = csv.writer(spool, lineterminator="\n"), 0
            writer.writerow([_csv_cell(column[0]) for column in cursor.description or []])
            while rows := cursor.fetchmany(PAGE):
                writer.writerows([_csv_cell(value) for value in row] for row in rows)
                count += len(rows)
            return count

        # Aside first: what was written to the stream could not be taken back.
        with tempfile.TemporaryFile("w+", encoding="utf-8", newline="") as spool:
            count = self._whole(sql, fetch)
            spool.seek(0)
            shutil.copyfileobj(spool, stream)
        return count

    def views(self) -> list[ViewFacts]:
        """All views, with their columns and numbers of rows, by the heads of their tables alone."""
        return [
            ViewFacts(name, description, self._count(name), self._columns(name))
            for name, (description, _) in VIEWS.items()
        ]

    def _count(self, view: str) -> int:
        return int(self._told(f"SELECT count(*) FROM {view}")[0][0])  # noqa: S608  our name

    def _columns(self, view: str) -> dict[str, str]:
        return {str(row[0]): str(row[1]) for row in self._told(f"DESCRIBE {view}")}

    def _told(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows about tables, of which no value is read: so they are compared with nothing."""
        return self._whole(sql, lambda cursor: cursor.fetchall(), compared=False)

    def _whole(
        self, sql: str, fetch: Callable[[DuckDBPyConnection], Fetched], *, compared: bool = True
    ) -> Fetched:
        """Runs a statement, and again when a table that it may have read was replaced meanwhile."""
        import duckdb

        with _sentences():
            self._refuse_all_but_reading(sql)
            for _ in range(ATTEMPTS):
                before, result, failure = state_of_files(self.layout, sql), None, None
                self.views_made.bring_up()
                if compared:
                    self._compare(before)
                try:
                    result = fetch(self.connection.execute(sql))
                except duckdb.Error as error:
                    failure = error
                after = state_of_files(self.layout, sql)
                if all(after.get(path) == state for path, state in before.items()):
                    if result is None:
                        raise failure or CatalogueError("the query gave nothing")
                    return result
        raise CatalogueError(
            f"tables of this query were replaced each of the {ATTEMPTS} times it ran; try again "
            "when less is being written, or ask for less."
        )

    def _compare(self, state: FileState) -> None:
        """Compares tables with what was recorded of them, each once.

        Raises:
            DamagedTableError: one is not what was written.
        """
        store, new = TableStore(self.layout), sorted(state.items() - self._whole_ones)
        for number, (name, stamp) in enumerate(new, 1):
            asset, of_video, video_id = name.partition("/")
            if of_video:
                with suppress(FileNotFoundError):  # it went meanwhile, which is seen afterwards
                    store.check(asset, video_id)
            self._whole_ones.add((name, stamp))
            self.progress("compared", number, len(new), "tables")

    def _refuse_all_but_reading(self, sql: str) -> None:
        found = [s.type.name for s in self.connection.extract_statements(sql)]
        if found == ["EXPLAIN"]:
            found = [s.type.name for s in self.connection.extract_statements(_unexplained(sql))]
        if found != ["SELECT"]:
            what = " and ".join(NAMES.get(name, name) for name in found) or "nothing"
            raise CatalogueError(
                f"the catalogue is read only and takes one SELECT at a time, not {what}; to keep a "
                "result, use --csv or --json and write it where you like."
            )


def _unexplained(sql: str) -> str:
    """The statement that an EXPLAIN explains; EXPLAIN ANALYZE would run whatever follows."""
    return re.sub(r"^\s*explain(\s+analyze)?\b(\s*\([^)]*\))?", "", sql, flags=re.IGNORECASE)


def _csv_cell(value: object) -> object:
    """A value of which no spreadsheet makes a formula: such a text gets an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


@contextmanager
def _sentences() -> Iterator[None]:
    import duckdb

    try:
        yield
    except duckdb.PermissionException as error:
        raise CatalogueError(
            "the catalogue reads the tables and the ledger only, no other file; "
            f"{_first_line(error)}"
        ) from error
    except duckdb.CatalogException as error:
        raise CatalogueError(f"{_first_line(error)} Views: {', '.join(VIEWS)}.") from error
    except duckdb.OutOfMemoryException as error:
        raise CatalogueError(
            "the query needs more memory than catalogue.memory_mb; ask for less, or raise it."
        ) from error
    except duckdb.Error as error:
        raise CatalogueError(_first_line(error)) from error


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]


def jsonable(value: Any) -> Any:
    """A value of a row as JSON can hold it: times as ISO text, bytes as their length."""
    if isinstance(value, datetime.date | datetime.time | datetime.datetime):
        return value.isoformat()
    if isinstance(value, bytes | bytearray):
        return f"<{len(value)} bytes>"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [jsonable(item) for item in value]
    return value if isinstance(value, int | float | str | bool | None | dict) else str(value)
