"""Where Dagster keeps its own state: in the data folder that the settings name, whoever starts it.

`dagster.yaml` names these classes in place of folders, so that it depends neither on where one
stands nor on which data folder it is about: each data folder has an instance of its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Self

from identity_pipeline.defs.compat import (
    ConfigurableClassData,
    DagsterSqliteStorage,
    LocalArtifactStorage,
    LocalComputeLogManager,
    UserConfigSchema,
)
from identity_pipeline.defs.instance.sqlite_storages import EventLog, Runs, Schedules
from identity_pipeline.settings import load_settings
from identity_pipeline.storage.files import private
from identity_pipeline.storage.folder.dagster_home import HOME_VARIABLE, NoInstanceError
from identity_pipeline.storage.layout import Layout

STORAGE, ARTIFACTS, LOGS = "storage", "artifacts", "logs"
_CHOSEN: ContextVar[Path | None] = ContextVar("data_folder", default=None)


@contextmanager
def instance_of(root: Path) -> Iterator[None]:
    """While the block runs, Dagster's state is that of a data folder, whatever the settings say."""
    token = _CHOSEN.set(root.absolute())
    try:
        yield
    finally:
        _CHOSEN.reset(token)


def state_folder() -> Path:
    """Dagster's folder in the data folder that was chosen, else in that of the settings.

    Raises:
        NoInstanceError: the settings name the data folder relative to the working folder, and
            Dagster was not started where `dagster.yaml` lies: that would be another, empty one.
    """
    private.guard()
    chosen = _CHOSEN.get()
    if chosen is not None:
        return Layout(chosen).dagster
    paths = load_settings().paths
    private.guard(group_may_read=paths.group_may_read)
    root, home = Path(paths.data), os.environ.get(HOME_VARIABLE)
    if not root.is_absolute() and home and not Path(home).samefile(Path.cwd()):
        raise NoInstanceError(
            f"paths.data is {root}, which counts from the working folder, and Dagster was started "
            f"in {Path.cwd()} but its dagster.yaml lies in {home}; start it there (make dev), or "
            "name the data folder whole: IDENTITY_PIPELINE__PATHS__DATA=/folder/of/data."
        )
    return Layout(root.absolute()).dagster


class _Unconfigured:
    """A class of `dagster.yaml` that takes no settings."""

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """There is nothing to configure."""
        return {}


class DataFolderStorage(_Unconfigured, DagsterSqliteStorage):
    """Dagster's database: SQLite in `{data}/dagster/storage`."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        # Dagster's own storages prepare the files.
        super().__init__(base_dir, inst_data)
        self._run_storage = Runs(self._run_storage._conn_string)
        self._schedule_storage = Schedules(self._schedule_storage._conn_string)
        self._event_log_storage = EventLog(self._event_log_storage._base_dir)

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: object
    ) -> Self:
        """The database of the data folder."""
        del config_value
        return cls.from_local(str(state_folder() / STORAGE), inst_data)


class DataFolderArtifacts(_Unconfigured, LocalArtifactStorage):
    """What Dagster itself keeps in files: in `{data}/dagster/artifacts`."""

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: object
    ) -> Self:
        """The folder of the data folder."""
        del config_value
        return cls(str(state_folder() / ARTIFACTS), inst_data)


class DataFolderLogs(_Unconfigured, LocalComputeLogManager):
    """What runs print: in `{data}/dagster/logs`."""

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: object
    ) -> Self:
        """The folder of the data folder."""
        del config_value
        return cls(str(state_folder() / LOGS), inst_data=inst_data)
