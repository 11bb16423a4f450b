"""Real workers on a real Redis: a run that is stopped ends as cancelled, a killed one is found."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.launcher.base import WorkerStatus

from identity_pipeline_tests.scale_out import servers
from identity_pipeline_tests.scale_out.endless import endless
from identity_pipeline_tests.scale_out.site import children_of

pytest.importorskip("dagster_celery", reason="dagster-celery is not installed (extra `deploy`)")
if servers.without_redis():
    pytest.skip(str(servers.without_redis()), allow_module_level=True)

from identity_pipeline.cli.recover import recover
from identity_pipeline.defs.automation.dead_runs import is_dead, is_monitored, why_spared
from identity_pipeline.defs.deploy import celery_launcher
from identity_pipeline.defs.deploy.celery_launcher import WatchedCeleryRunLauncher

INSTANCE = """
telemetry: {enabled: false}
run_monitoring: {enabled: true}
run_launcher:
  module: identity_pipeline.defs.deploy.celery_launcher
  class: WatchedCeleryRunLauncher
  config:
    broker: {env: IDENTITY_PIPELINE_REDIS_URL}
    backend: {env: IDENTITY_PIPELINE_REDIS_URL}
    default_queue: cpu
"""
Status = dg.DagsterRunStatus


class Workers:
    """An instance on SQLite, a Redis, and one worker at a time."""

    def __init__(self, root: Path, instance: dg.DagsterInstance) -> None:
        self.root = root
        self.instance = instance
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def launcher(self) -> WatchedCeleryRunLauncher:
        assert isinstance(self.instance.run_launcher, WatchedCeleryRunLauncher)
        return self.instance.run_launcher

    def start(self) -> None:
        with (self.root / "worker.log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "identity_pipeline", "worker", "--queue", "cpu"],
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def launch(self) -> str:
        job = dg.reconstructable(endless)
        run = self.instance.create_run_for_job(endless, job_code_origin=job.get_python_origin())
        self.instance.launch_run(run.run_id, workspace=None)  # type: ignore[arg-type]
        return run.run_id

    def run(self, run_id: str) -> dg.DagsterRun:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run

    def wait(self, done: Callable[[], object]) -> None:
        end = time.monotonic() + 300
        while not done():
            assert time.monotonic() < end, (self.root / "worker.log").read_text()
            time.sleep(0.2)

    def wait_for(self, run_id: str, status: Status) -> None:
        self.wait(lambda: self.run(run_id).status == status)

    def at_step(self, run_id: str) -> bool:
        return bool(self.instance.get_run_step_stats(run_id))


@pytest.fixture
def workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    (tmp_path / "dagster.yaml").write_text(INSTANCE)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setattr(celery_launcher, "ANSWER_S", 1.0)
    with servers.redis() as url:
        monkeypatch.setenv("IDENTITY_PIPELINE_REDIS_URL", url)
        with dg.DagsterInstance.get() as instance:
            opened = Workers(tmp_path, instance)
            try:
                yield opened
            finally:
                if opened.process is not None and opened.process.poll() is None:
                    os.killpg(opened.process.pid, signal.SIGKILL)
                    opened.process.wait()


@pytest.mark.slow
def test_waiting_stopped_killed(workers: Workers) -> None:
    """One story, because starting a worker takes seconds."""
    instance, launcher = workers.instance, workers.launcher

    stopped = workers.launch()
    run = workers.run(stopped)
    assert run.status == Status.STARTING
    assert launcher.lost(run) is None, "it waits for a worker; nobody can have lost it"
    assert why_spared(instance, run) == "cannot be judged from here"
    assert not is_monitored(instance, run), "of runs that wait, the sensor dead_runs takes care"

    workers.start()
    workers.wait(lambda: workers.at_step(stopped))
    assert launcher.lost(workers.run(stopped)) is False
    assert is_dead(instance, workers.run(stopped)) is False
    assert is_monitored(instance, workers.run(stopped))
    assert why_spared(instance, workers.run(stopped)) == "is alive"
    assert launcher.terminate(stopped)
    workers.wait_for(stopped, Status.CANCELED)
    assert launcher.terminate(stopped) is False

    orphaned = workers.launch()
    workers.wait(lambda: workers.at_step(orphaned))
    launcher.celery.backend.client.flushall()
    assert launcher.lost(workers.run(orphaned)) is False, "the broker forgot; its worker did not"
    assert workers.process is not None
    for process in children_of(workers.process.pid):
        os.kill(process, signal.SIGKILL)
    workers.wait(lambda: launcher.lost(workers.run(orphaned)))

    killed = workers.launch()
    workers.wait(lambda: workers.at_step(killed))
    assert launcher.check_run_worker_health(workers.run(killed)).status == WorkerStatus.RUNNING
    workers.kill()
    looks = [launcher.check_run_worker_health(workers.run(killed)) for _ in range(2)]
    assert [look.status for look in looks] == [WorkerStatus.RUNNING, WorkerStatus.NOT_FOUND]
    assert launcher.lost(workers.run(killed)) is True
    assert workers.run(killed).status == Status.STARTED, "Celery itself still takes it for started"
    assert launcher.celery.AsyncResult(
        workers.run(killed).tags["dagster-celery/task_id"]
    ).state == ("STARTED")

    assert recover.callback is not None
    recover.callback(dry_run=False, everything=False, data=str(workers.root / "data"))
    for run_id in (orphaned, killed):
        assert workers.run(run_id).status == Status.FAILURE


def test_a_run_that_celery_did_not_start_is_left_alone(workers: Workers) -> None:
    run = workers.instance.create_run_for_job(endless, status=Status.STARTED)
    assert workers.launcher.lost(run) is None
    assert workers.launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING
    assert workers.launcher.terminate(run.run_id) is False
    assert workers.launcher.get_run_worker_debug_info(run) is None
