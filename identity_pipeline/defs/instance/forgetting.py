"""Dagster's records of whom was forgotten: runs, events, partitions, ticks and printed lines.

What is recorded of a run shows faces and names: pictures in the metadata of assets, names in tags
and messages, a ride's name in every event. So the runs go of all rides that somebody forgotten was
in, of their datasets, and of what is made of all rides; in what stays, the names of what went are
written over. Databases are then written anew, for deleted rows stay in a file until it is. Every
function may be called again where an earlier call was killed.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from identity_pipeline.core.privacy.spelling import forms_of
from identity_pipeline.defs.instance.instance_home import LOGS, STORAGE
from identity_pipeline.defs.instance.old_runs import drop_run
from identity_pipeline.defs.instance.partitions import people, photo_sets, videos
from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.stages.privacy.footprint import Footprint
from identity_pipeline.stages.privacy.receipts import Removed
from identity_pipeline.stages.progress.protocol import Progress, silent
from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.files.inbox import slug
from identity_pipeline.storage.folder.disk import size_of
from identity_pipeline.storage.layout import Layout

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, MetaData, Table

PLACE: Final = "Dagster's records"
PAGE: Final = 500
WAIT_S: Final = 30
"""How long a database that somebody is writing to is waited for."""
IN_USE: Final = (
    "Dagster's database is in use, so that what was deleted would stay in its file; "
    "stop `make dev` and whatever else works on the data folder, then run "
    "`identity-pipeline forget --resume`."
)
GONE: Final = "forgotten"
"""What stands where a name stood."""
PARTITION: Final = "dagster/partition"
RUNLESS: Final = ""
"""The run of events that no run made."""
HISTORIES: Final = ("job_ticks", "bulk_actions", "backfill_tags", "asset_daemon_asset_evaluations")
"""Tables whose rows are history that nothing reads again: a row that names somebody goes."""
LEFT_ALONE: Final = ("alembic_version", "secondary_indexes", "snapshots")
"""Tables on the database itself and on the code."""
PICTURES: Final = re.compile(r"(data:[\w/+.-]+;base64,[A-Za-z0-9+/=]+)")
"""Pictures in a text: letters in them are no words."""
LATEST: Final = ("last_materialization", "last_run_id", "last_materialization_timestamp")


class RecordsBusyError(IdentityPipelineError, RuntimeError):
    """Dagster's database cannot be written anew; the sentence says what to do."""


@dataclass(frozen=True)
class _Words:
    """What must not be read any more.

    Attributes:
        ids: keys of partitions that are gone; no word contains one by chance.
        names: of people and files.
    """

    ids: tuple[str, ...]
    names: tuple[str, ...]

    @cached_property
    def forms(self) -> tuple[str, ...]:
        """Every way in which they may be written in a text."""
        forms = [f for word in (*self.ids, *self.names) for f in forms_of(word)]
        plain = {f.data.decode() for f in forms if f.encoding in ("utf-8", "ascii")}
        return tuple(sorted(plain, key=lambda form: (-len(form), form)))

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(rf"(?<![^\W_])(?:{'|'.join(map(re.escape, self.forms))})(?![^\W_])")

    def over(self, text: str) -> str:
        """A text in which something else stands for them; pictures in it are left alone."""
        if not self.forms:
            return text
        pieces = PICTURES.split(text)
        return "".join(p if n % 2 else self._pattern.sub(GONE, p) for n, p in enumerate(pieces))

    def over_value(self, text: str) -> str:
        """The same of a value of a table: where it is JSON, only of the texts in it."""
        if not text.startswith(("{", "[")):
            return self.over(text)
        try:
            value = json.loads(text)
        except ValueError:
            return self.over(text)
        changed = self._over_json(value)
        return text if changed == value else json.dumps(changed)

    def _over_json(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.over(value)
        if isinstance(value, list):
            return [self._over_json(one) for one in value]
        if isinstance(value, dict):
            return {
                self._over_key(k): v if k == "__class__" else self._over_json(v)
                for k, v in value.items()
            }
        return value

    def _over_key(self, key: str) -> str:
        return self.over(key) if any(one in key for one in self.ids) else key


def forget_records(
    instance: dg.DagsterInstance,
    layout: Layout,
    footprint: Footprint,
    progress: Progress = silent,
) -> tuple[Removed, ...]:
    """Removes what Dagster keeps of whom was forgotten.

    Args:
        instance: Dagster's, of which no run is under way.
        layout: the data folder, in which its databases and logs lie, unless a server has them.
        footprint: what was forgotten.
        progress: called per run and per database.

    Raises:
        RecordsBusyError: a database is held by another process.
    """
    before = size_of(layout.dagster) if layout.dagster.exists() else 0
    dropped = _drop_runs(instance, footprint, progress)
    _drop_partitions(instance, footprint)
    words = _words(footprint)
    rewritten = _rewrite(instance, layout, footprint, words, progress)
    rewritten += _write_over_logs(layout.dagster / LOGS, words)
    after = size_of(layout.dagster) if layout.dagster.exists() else 0
    return (
        Removed(PLACE, "record", dropped, max(before - after, 0), "deleted"),
        Removed(PLACE, "record", rewritten, None, "rewritten"),
    )


def _words(footprint: Footprint) -> _Words:
    files = {Path(path).name for path in footprint.inbox}
    names = {*footprint.names, *map(slug, footprint.names), *files} - {""}
    return _Words((*footprint.whole, *footprint.person_ids), tuple(sorted(names)))


def _shows(footprint: Footprint) -> Callable[[str | None], bool]:
    """Whether what was recorded under a key of a partition may show somebody; under none it may."""
    gone = {*footprint.faces, *footprint.whole, *footprint.person_ids}

    def shows(key: str | None) -> bool:
        return key is None or not gone.isdisjoint(key.split("|")) or key in gone

    return shows


def _drop_runs(instance: dg.DagsterInstance, footprint: Footprint, progress: Progress) -> int:
    """Removes runs with their events and logs; how many."""
    shows = _shows(footprint)
    runs = [run for run in _all_runs(instance) if shows(run.tags.get(PARTITION))]
    for done, run in enumerate(runs, 1):
        drop_run(instance, run)
        progress("records", done, len(runs), "runs")
    return len(runs)


def _all_runs(instance: dg.DagsterInstance) -> Iterator[dg.DagsterRun]:
    cursor: str | None = None
    while page := instance.get_runs(limit=PAGE, cursor=cursor):
        cursor = page[-1].run_id
        yield from page


def _drop_partitions(instance: dg.DagsterInstance, footprint: Footprint) -> None:
    gone = {
        str(videos.name): footprint.videos,
        str(photo_sets.name): footprint.photo_sets,
        str(people.name): footprint.person_ids,
    }
    for name, keys in gone.items():
        for key in {*keys} & {*instance.get_dynamic_partitions(name)}:
            instance.delete_dynamic_partition(name, key)


def _rewrite(
    instance: dg.DagsterInstance,
    layout: Layout,
    footprint: Footprint,
    words: _Words,
    progress: Progress,
) -> int:
    """Writes names over in all databases, and each database anew; how many rows were changed."""
    there = {run.run_id for run in _all_runs(instance)}
    _drop_files_of_no_run(layout, there)
    engines = list(_engines(instance, layout))
    changed = 0
    for done, (engine, always) in enumerate(engines, 1):
        try:
            with engine.begin() as connection:
                rows = _Database(connection, footprint, words, there).write_over()
            if rows or always:
                _write_anew(engine)
        except _operational_error() as error:
            raise RecordsBusyError(IN_USE) from error
        finally:
            engine.dispose()
        changed += rows
        progress("records", done, len(engines), "databases")
    return changed


def _operational_error() -> type[Exception]:
    from sqlalchemy.exc import OperationalError

    return OperationalError


def _drop_files_of_no_run(layout: Layout, there: Collection[str]) -> None:
    """Removes event logs, printed lines and artifacts of runs that are not there any more."""
    history = layout.dagster / STORAGE / "history" / "runs"
    for path in sorted(history.glob("*-*-*-*-*.db*")):
        if path.name.partition(".")[0] not in there:
            path.unlink()
    for folder in (layout.dagster / LOGS, layout.dagster / "artifacts" / "storage"):
        for path in sorted(folder.glob("*-*-*-*-*")):
            if path.is_dir() and path.name not in there:
                shutil.rmtree(path)


def _engines(instance: dg.DagsterInstance, layout: Layout) -> Iterator[tuple[Engine, bool]]:
    """Each database, and whether rows were deleted from it before it was looked at."""
    from sqlalchemy import create_engine

    server = getattr(instance.event_log_storage, "postgres_url", None)
    if server:
        yield create_engine(server), True
        return
    for path in sorted((layout.dagster / STORAGE).rglob("*.db")):
        of_one_run = path.parent.name == "runs" and path.stem != "index"
        url = f"sqlite:///{path}"
        yield create_engine(url, connect_args={"timeout": WAIT_S}), not of_one_run


def _write_anew(engine: Engine) -> None:
    """Lets no byte of a deleted row stay in the files of a database.

    Raises:
        RecordsBusyError: somebody reads what was there before, so that it stays in the file.
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("VACUUM")
            busy = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()[0]
            if busy:  # SQLite says so in a row, and raises nothing
                raise RecordsBusyError(IN_USE)
        else:
            connection.exec_driver_sql("VACUUM FULL")


@dataclass(frozen=True)
class _Database:
    """One database of Dagster, in a transaction.

    Attributes:
        connection: to it.
        footprint: what was forgotten.
        words: what must not be read in it any more.
        there: runs that stay.
    """

    connection: Connection
    footprint: Footprint
    words: _Words
    there: Collection[str]

    @cached_property
    def _tables(self) -> MetaData:
        from sqlalchemy import MetaData

        found = MetaData()
        found.reflect(self.connection, only=lambda name, _: name not in LEFT_ALONE)
        return found

    def write_over(self) -> int:
        """Removes and rewrites rows; how many."""
        changed = self._drop_events() + self._drop_checks() + self._mend_latest()
        for name, table in self._tables.tables.items():
            changed += sum(self._over(table, row, name in HISTORIES) for row in self._named(table))
        return changed

    def _drop_events(self) -> int:
        """Events of runs that are gone, and of none that are of a partition that is."""
        from sqlalchemy import delete, select

        events, tags = (self._tables.tables.get(n) for n in ("event_logs", "asset_event_tags"))
        if events is None:
            return 0
        shows = _shows(self.footprint)
        known = self.connection.execute(
            select(events.c.run_id, events.c.partition).distinct()
        ).fetchall()
        gone = 0
        for run_id, key in known:
            orphan = run_id not in self.there and run_id != RUNLESS
            if not orphan and not (run_id == RUNLESS and shows(key)):
                continue
            these = (events.c.run_id == run_id) & (events.c.partition.is_not_distinct_from(key))
            if tags is not None:
                ids = select(events.c.id).where(these)
                self.connection.execute(delete(tags).where(tags.c.event_id.in_(ids)))
            gone += self.connection.execute(delete(events).where(these)).rowcount
        return gone

    def _drop_checks(self) -> int:
        """What checks said in runs that are gone."""
        from sqlalchemy import delete, select

        checks = self._tables.tables.get("asset_check_executions")
        if checks is None:
            return 0
        runs = self.connection.execute(select(checks.c.run_id).distinct()).scalars().all()
        gone = [run_id for run_id in runs if run_id is not None and run_id not in self.there]
        found = [
            self.connection.execute(delete(checks).where(checks.c.run_id == run_id))
            for run_id in gone
        ]
        return sum(result.rowcount for result in found)

    def _mend_latest(self) -> int:
        """Lets each asset name as its latest what is the latest of what stays."""
        from sqlalchemy import select, update

        keys, events = (self._tables.tables.get(n) for n in ("asset_keys", "event_logs"))
        if keys is None or events is None:
            return 0
        changed = 0
        known = self.connection.execute(select(keys.c.asset_key, keys.c.last_run_id)).fetchall()
        for asset, run_id in known:
            values: dict[str, Any] = {"cached_status_data": None}
            if run_id is not None and run_id not in self.there:
                latest = self.connection.execute(
                    select(events.c.event, events.c.run_id, events.c.timestamp)
                    .where(events.c.asset_key == asset)
                    .where(events.c.dagster_event_type == "ASSET_MATERIALIZATION")
                    .order_by(events.c.id.desc())
                    .limit(1)
                ).first()
                values |= dict(zip(LATEST, latest or (None,) * len(LATEST), strict=True))
                changed += 1
            self.connection.execute(update(keys).where(keys.c.asset_key == asset).values(**values))
        return changed

    def _named(self, table: Table) -> Iterable[Any]:
        """Rows in which one of the words may be written."""
        from sqlalchemy import or_, select

        texts = self._texts(table)
        if not texts or "id" not in table.c or not self.words.forms:
            return []
        wanted = or_(*(c.contains(f, autoescape=True) for c in texts for f in self.words.forms))
        return self.connection.execute(select(table.c.id, *texts).where(wanted)).mappings().all()

    def _texts(self, table: Table) -> list[Any]:
        from sqlalchemy import String

        return [c for c in table.c if isinstance(c.type, String) and c.name != "id"]

    def _over(self, table: Table, row: Any, drop: bool) -> bool:
        """Removes or rewrites one row; whether one of the words was written in it."""
        from sqlalchemy import delete, update

        old = {c.name: row[c.name] for c in self._texts(table) if row[c.name]}
        new = {name: self.words.over_value(value) for name, value in old.items()}
        changed = {name: value for name, value in new.items() if value != old[name]}
        if not changed:
            return False
        this = table.c.id == row["id"]
        change = delete(table) if drop else update(table).values(**changed)
        self.connection.execute(change.where(this))
        return True


def _write_over_logs(folder: Path, words: _Words) -> int:
    """Writes names over in what runs and ticks printed; how many files."""
    changed = 0
    for path in sorted(folder.rglob("*")) if words.forms else ():
        if not path.is_file():
            continue
        data = path.read_bytes()
        text = data.decode("utf-8", "surrogateescape")
        over = words.over(text).encode("utf-8", "surrogateescape")
        if over != data:
            atomic.write_bytes(path, over)
            changed += 1
    return changed
