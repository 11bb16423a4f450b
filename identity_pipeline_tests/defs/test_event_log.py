"""What stands in Dagster's log, and that its databases may stay open."""

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from identity_pipeline.defs.instance.instance_home import DataFolderStorage
from identity_pipeline.defs.instance.open_databases import KEPT, OpenDatabases
from identity_pipeline.defs.instance.sqlite_storages import EventLog

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
BROKEN = "broken"


@dg.asset(check_specs=[dg.AssetCheckSpec("holds", asset="first")])
def first() -> dg.MaterializeResult:
    """An asset with a check."""
    return dg.MaterializeResult(
        metadata={"rows": 3}, check_results=[dg.AssetCheckResult(passed=True)]
    )


@dg.asset(deps=[first])
def second(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Fails where the run is told to."""
    if context.run.tags.get(BROKEN):
        raise ValueError(BROKEN)
    return dg.MaterializeResult()


@dg.asset(deps=[second])
def third() -> dg.MaterializeResult:
    """Comes behind the one that may fail."""
    return dg.MaterializeResult()


defs = dg.Definitions(
    assets=[first, second, third],
    jobs=[dg.define_asset_job("all_three", executor_def=dg.in_process_executor)],
)


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """An instance that keeps its state as that of a data folder does."""
    tmp_path = tmp_path_factory.mktemp("home")
    (tmp_path / "data").mkdir()
    (tmp_path / "dagster.yaml").write_text(
        "telemetry: {enabled: false}\n"
        "storage:\n"
        "  custom:\n"
        f"    module: {DataFolderStorage.__module__}\n"
        f"    class: {DataFolderStorage.__name__}\n"
        "    config: {}\n"
    )
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    patch = pytest.MonkeyPatch()
    patch.setenv("IDENTITY_PIPELINE__PATHS__DATA", str(tmp_path / "data"))
    try:
        with dg.DagsterInstance.from_config(str(tmp_path)) as made:
            yield made
    finally:
        patch.undo()


def run(instance: dg.DagsterInstance, **tags: str) -> dg.ExecuteInProcessResult:
    job = defs.resolve_job_def("all_three")
    return job.execute_in_process(
        instance=instance, run_config=QUIET, raise_on_error=False, tags=tags
    )


def test_a_log_says_each_thing_once_and_the_index_what_is_under_way(
    instance: dg.DagsterInstance,
) -> None:
    done = run(instance)
    kinds = Counter(entry.dagster_event_type for entry in instance.all_logs(done.run_id))
    kind = dg.DagsterEventType
    assert kinds[kind.ASSET_MATERIALIZATION] == 3 and kinds[kind.ASSET_CHECK_EVALUATION] == 1
    assert kinds[kind.STEP_START] == kinds[kind.STEP_SUCCESS] == 3
    assert kinds[kind.ENGINE_EVENT] == 1  # which tells the process
    echoes = kind.STEP_OUTPUT, kind.RESOURCE_INIT_STARTED, kind.RESOURCE_INIT_SUCCESS
    planned_too = kind.ASSET_MATERIALIZATION_PLANNED, kind.ASSET_CHECK_EVALUATION_PLANNED
    assert not any(kinds[one] for one in (*echoes, *planned_too))
    made = instance.get_latest_materialization_event(first.key)
    assert made and made.asset_materialization
    assert made.asset_materialization.metadata["rows"].value == 3
    checks = instance.event_log_storage.get_latest_asset_check_execution_by_key(
        [dg.AssetCheckKey(first.key, "holds")]
    )
    assert [one.status.value for one in checks.values()] == ["SUCCEEDED"]

    # Behind a failure nothing is made: what was planned is how the UI knows.
    failed = run(instance, **{BROKEN: "yes"})
    planned = instance.event_log_storage.get_latest_planned_materialization_info(third.key)
    assert planned and planned.run_id == failed.run_id


def test_a_run_goes_on_from_where_it_failed(instance: dg.DagsterInstance) -> None:
    failed = run(instance, **{BROKEN: "yes"})
    assert not failed.success
    again = dg.execute_job(
        dg.reconstructable(whole_job),
        instance,
        reexecution_options=dg.ReexecutionOptions.from_failure(failed.run_id, instance),
        tags={BROKEN: ""},
        run_config=QUIET,
    )
    with again as done:
        steps = {event.step_key for event in done.all_events if event.is_step_success}
        assert done.success and steps == {"second", "third"}


def whole_job() -> dg.JobDefinition:
    return defs.resolve_job_def("all_three")


def test_an_entry_is_there_for_others_at_once_and_for_a_child_process(
    instance: dg.DagsterInstance,
) -> None:
    run_id = run(instance).run_id
    written = len(instance.all_logs(run_id))
    child = os.fork()
    if child == 0:  # it must not use what its parent has open
        right = len(instance.all_logs(run_id)) == written
        instance.add_run_tags(run_id, {"from": "child"})
        os._exit(0 if right else 1)
    assert os.waitpid(child, 0)[1] == 0
    later = instance.get_run_by_id(run_id)
    assert later and later.tags["from"] == "child"


def test_who_watches_a_run_sees_each_entry_as_it_comes(instance: dg.DagsterInstance) -> None:
    run_id, came = run(instance).run_id, threading.Event()
    seen: list[str] = []

    def see(entry: dg.EventLogEntry, _: str) -> None:
        seen.append(entry.user_message)
        if entry.user_message == "late":
            came.set()

    storage = instance.event_log_storage
    watching = EventLog(str(Path(storage.path_for_shard(run_id)).parent))  # pyright: ignore
    watching.register_instance(instance)
    watching.watch(run_id, None, see)
    try:
        late = dg.EventLogEntry(None, logging.INFO, "late", run_id, time.time())
        storage.store_event(late)
        assert came.wait(30), seen
    finally:
        watching.end_watch(run_id, see)
        watching.dispose()


def test_a_database_that_was_replaced_is_opened_anew(tmp_path: Path) -> None:
    databases, path = OpenDatabases(), tmp_path / "one.db"

    def tables() -> int:
        with databases.engine(path)[0].begin() as connection:
            found = connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")
            return int(found.scalar_one())

    assert databases.engine(path)[1], "there is no file yet"
    with databases.engine(path)[0].begin() as connection:
        connection.exec_driver_sql("CREATE TABLE seen (id INTEGER)")
    assert tables() == 1 and not databases.engine(path)[1]
    path.rename(tmp_path / "kept.db")
    assert databases.engine(path)[1] and tables() == 0
    databases.close()


def test_few_databases_stay_open(tmp_path: Path) -> None:
    databases = OpenDatabases()
    for number in range(2 * KEPT):
        with databases.engine(tmp_path / f"{number}.db")[0].begin() as connection:
            connection.exec_driver_sql("CREATE TABLE seen (id INTEGER)")
    opened = [os.fsdecode(one.resolve()) for one in Path("/proc/self/fd").iterdir()]
    kept = {file for file in opened if file.startswith(str(tmp_path)) and file.endswith(".db")}
    assert len(kept) == KEPT
    databases.close()
