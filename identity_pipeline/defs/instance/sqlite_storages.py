"""Dagster's storages in SQLite: with databases that stay open, and a log without echoes.

What belongs here: how entries are written. What does not: where the files lie
(`defs.instance.instance_home`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

import dagster as dg

from identity_pipeline.defs.compat import (
    ConfigurableClassData,
    SqliteEventLogStorage,
    SqliteRunStorage,
    SqliteScheduleStorage,
)
from identity_pipeline.defs.instance.open_databases import OpenDatabases

if TYPE_CHECKING:
    from sqlalchemy import Connection

PLANNED: Final = (
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED,
)
"""Entries that say what a run is to make, which its plan says too."""


RESOURCES_OPEN: Final = (
    dg.DagsterEventType.RESOURCE_INIT_STARTED,
    dg.DagsterEventType.RESOURCE_INIT_SUCCESS,
)
"""Entries that the first step's beginning says too; a failure has an entry of its own."""
FINISHED: Final = "Finished steps in process"
"""How the executor ends what it says, right before the run's own end; in other words it is kept."""


def is_echo(entry: dg.EventLogEntry) -> bool:
    """Whether an entry says nothing that another one does not say.

    An output is an asset or a check, whose own entry follows right behind with the same metadata.
    One of the wrong type, or one of several by a key, is told by nothing else.
    """
    kind = entry.dagster_event_type
    if kind is dg.DagsterEventType.ENGINE_EVENT:
        return entry.user_message.startswith(FINISHED)
    if kind is not dg.DagsterEventType.STEP_OUTPUT:
        return kind in RESOURCES_OPEN
    output = entry.get_dagster_event().step_output_data
    type_check = output.type_check_data
    return output.mapping_key is None and (type_check is None or type_check.success)


class EventLog(SqliteEventLogStorage):
    """The log of each run, and the index of what all runs made.

    The log of a run has no echoes (`is_echo`), and what is planned stands in the index alone, where
    the UI looks for what is under way.
    """

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._databases = OpenDatabases()
        self._tables: set[str] = set()
        super().__init__(base_dir, inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            engine, is_new = self._databases.engine(Path(self.path_for_shard(shard)))
            if is_new or shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                yield connection

    def has_table(self, table_name: str) -> bool:
        """Whether the index has a table; tables do not go while a process lives."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def store_event(self, event: dg.EventLogEntry) -> None:
        """Stores an entry."""
        if is_echo(event):
            return
        if event.dagster_event_type in PLANNED:
            self._store_planned(event)
            return
        super().store_event(event)
        # The UI waits for changes of this file; while it is open, they go to the log beside it.
        os.utime(self.path_for_shard(event.run_id))

    def _store_planned(self, entry: dg.EventLogEntry) -> None:
        with self.index_connection() as connection:
            event_id: int = connection.execute(self.prepare_insert_event(entry)).lastrowid
            if entry.get_dagster_event().asset_key:
                self._store_asset_event_tags(connection, [entry], [event_id])
                self._store_asset_event(connection, entry, event_id)
        if entry.dagster_event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED:
            self.store_asset_check_event(entry, event_id)

    def delete_events(self, run_id: str) -> None:
        """Removes the entries of a run; its database is closed, for its file may go next."""
        super().delete_events(run_id)
        self._databases.close(Path(self.path_for_shard(run_id)))

    def dispose(self) -> None:
        """Closes all databases."""
        super().dispose()
        self._databases.close()


class _KeptOpen:
    """A storage of one database."""

    _conn_string: str

    @cached_property
    def _databases(self) -> OpenDatabases:
        return OpenDatabases()

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A connection in a transaction."""
        path = Path(self._conn_string.removeprefix("sqlite:///"))
        with self._databases.engine(path)[0].begin() as connection:
            yield connection

    def dispose(self) -> None:
        """Closes the database."""
        self._databases.close()


class Runs(_KeptOpen, SqliteRunStorage):
    """Runs and their tags."""


class Schedules(_KeptOpen, SqliteScheduleStorage):
    """What sensors and schedules did and when."""
