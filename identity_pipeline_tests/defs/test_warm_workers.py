"""Workers that do one run after another: who is used again, who is not, and what a death costs."""

from __future__ import annotations

import dataclasses
import gc
import logging
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import psutil
import pytest
from dagster._core.code_pointer import FileCodePointer, ModuleCodePointer

import identity_pipeline
from identity_pipeline.defs.automation.dead_runs import is_dead, is_process_of_this_host, process_of
from identity_pipeline.defs.compat import QUEUE_LOG
from identity_pipeline.defs.deploy import warm_worker
from identity_pipeline.defs.deploy.channel import Channel, ChannelClosedError
from identity_pipeline.defs.deploy.code_state import code_state
from identity_pipeline.defs.deploy.warm_launcher import say_waiting_once
from identity_pipeline.defs.deploy.worker_pool import Worker, pool_of
from identity_pipeline.defs.instance.pools import GPU, videos_at_once
from identity_pipeline.defs.resources import kept_models
from identity_pipeline.settings import ModelSettings
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.failures import FailureNote, FailureNotes
from identity_pipeline_tests.defs.brief_jobs import brief, endless, refused

Status = dg.DagsterRunStatus
HOME = Path(identity_pipeline.__file__).parents[1]


class Launching:
    """An instance as the repository configures it, and what this process launches on it."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance

    @property
    def workers(self) -> list[Worker]:
        return pool_of(self.instance).workers

    def launch(self, job: dg.JobDefinition) -> str:
        origin = dg.reconstructable(job).get_python_origin()
        run = self.instance.create_run_for_job(job, job_code_origin=origin)
        self.instance.launch_run(run.run_id, workspace=None)  # type: ignore[arg-type]
        return run.run_id

    def run(self, run_id: str) -> dg.DagsterRun:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run

    def wait(self, done: Callable[[], object]) -> None:
        end = time.monotonic() + 120
        while not done():
            assert time.monotonic() < end
            time.sleep(0.05)

    def ended(self, run_id: str) -> Status:
        self.wait(lambda: self.run(run_id).is_finished)
        return self.run(run_id).status

    def process(self, run_id: str) -> int:
        told = process_of(self.instance, self.run(run_id))
        assert told is not None
        return told[0]

    def at_its_step(self, run_id: str) -> int:
        self.wait(lambda: self.instance.get_run_step_stats(run_id))
        return self.process(run_id)


@pytest.fixture
def launching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Launching]:
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(HOME / "dagster.yaml", home)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setenv("IDENTITY_PIPELINE__PATHS__DATA", str(tmp_path / "data"))
    monkeypatch.setenv("IDENTITY_PIPELINE__WORKERS__RUNS", "2")
    # A worker that is to be open before its first run finds nothing to open, which takes no time.
    monkeypatch.setenv("IDENTITY_PIPELINE__MODELS__FACE_PACK", str(home))
    monkeypatch.setenv("IDENTITY_PIPELINE__MODELS__PERCEPTION", "")
    monkeypatch.setenv("IDENTITY_PIPELINE__MODELS__VISION_ENCODER", str(home / "nothing"))
    monkeypatch.setenv("PYTHONPATH", str(HOME))
    with dg.DagsterInstance.get() as instance:
        opened = Launching(instance)
        yield opened
        for worker in list(opened.workers):
            worker.process.kill()
        opened.wait(lambda: not opened.workers)


@pytest.mark.slow
def test_used_again_worn_stopped_killed(launching: Launching) -> None:
    """One story, because starting a worker takes seconds."""
    first = launching.launch(brief)
    assert is_process_of_this_host(launching.instance, launching.run(first))
    assert launching.ended(first) == Status.SUCCESS
    launching.wait(lambda: launching.workers[0].run_id is None)
    held = [one.path for one in psutil.Process(launching.process(first)).open_files()]
    assert not [path for path in held if path.endswith(".db")], "what is erased would stay"
    second = launching.launch(brief)
    assert launching.ended(second) == Status.SUCCESS
    assert launching.process(first) == launching.process(second) != os.getpid()
    logs = launching.instance.compute_log_manager
    for run_id in (first, second):
        (captured,) = launching.instance.all_logs(run_id, of_type=dg.DagsterEventType.LOGS_CAPTURED)
        key = [run_id, "compute_logs", captured.dagster_event.logs_captured_data.file_key]  # type: ignore[union-attr]
        assert logs.get_log_data(key).stdout == f"printed by {run_id}\n".encode()

    # Two runs are what it is good for here: another one is up before it is asked for.
    launching.wait(lambda: [w.process.pid for w in launching.workers] != [launching.process(first)])
    stopped = launching.launch(endless)
    assert launching.at_its_step(stopped) not in (launching.process(first), os.getpid())
    assert is_dead(launching.instance, launching.run(stopped)) is False
    assert launching.instance.run_launcher.terminate(stopped)
    assert launching.ended(stopped) == Status.CANCELED
    launching.wait(lambda: not psutil.pid_exists(launching.process(stopped)))

    killed, other = launching.launch(endless), launching.launch(brief)
    os.kill(launching.at_its_step(killed), signal.SIGKILL)
    assert launching.ended(killed) == Status.FAILURE
    assert launching.ended(other) == Status.SUCCESS
    said = [entry.message for entry in launching.instance.all_logs(killed)]
    assert any("SIGKILL" in message for message in said)


def test_that_a_run_waits_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger(QUEUE_LOG)
    with caplog.at_level(logging.INFO, QUEUE_LOG):
        for _ in range(2):
            say_waiting_once()
            logger.info("Looking.")
        for said in ("Launched.", "Looking.", "Looking."):
            logger.info(said)
        for _ in range(2):
            logger.warning("Lost.")
    assert [one.getMessage() for one in caplog.records] == [
        "Looking.", "Launched.", "Looking.", "Lost.", "Lost."
    ]  # fmt: skip


def test_a_run_that_refused_its_file_spoilt_nothing(
    instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_PIPELINE__PATHS__DATA", str(tmp_path / "data"))
    notes, began = FailureNotes(Layout(tmp_path / "data")), time.time()
    run = instance.create_run_for_job(brief, tags={"dagster/partition": "ride-a"})
    said = FailureNote("not_a_video", "It is no video.", "ride_video", permanent=True)
    assert not warm_worker.refused(run, began)
    notes.put("ride-a", said)

    assert warm_worker.refused(run, began)
    assert not warm_worker.refused(run, began + 60), "an older run said so"
    assert not warm_worker.refused(instance.create_run_for_job(brief), began)
    notes.put("ride-a", dataclasses.replace(said, asset="watch"))
    assert not warm_worker.refused(run, began), "models were open by then"


@pytest.mark.usefixtures("keeping")
def test_who_waits_after_a_refused_file_has_no_database_open(launching: Launching) -> None:
    origin = dg.reconstructable(refused).get_python_origin()
    tags = {"dagster/partition": "ride-a"}
    run = launching.instance.create_run_for_job(refused, job_code_origin=origin, tags=tags)
    ours, its = socket.socketpair()
    Channel(ours).send(run=run.run_id)
    waiting = Channel(its)
    try:
        ours.shutdown(socket.SHUT_WR)
        with pytest.raises(ChannelClosedError):  # it waits for another run, and there is none
            warm_worker.serve(waiting, launching.instance)
    finally:
        gc.unfreeze()
    told = Channel(ours).receive(0)
    assert told is not None and not (told["goes"] or told["succeeded"])
    held = [one.path for one in psutil.Process().open_files()]
    assert not [path for path in held if path.endswith(".db")], "what is erased would stay"


def test_what_another_worker_is_at_is_left_to_it(launching: Launching) -> None:
    """Two daemons may take one run from the queue."""
    origin = dg.reconstructable(brief).get_python_origin()
    run = launching.instance.create_run_for_job(
        brief, job_code_origin=origin, status=Status.STARTED
    )
    assert not warm_worker.do(run.run_id, launching.instance)
    assert launching.run(run.run_id).status == Status.STARTED


def test_each_end_learns_that_the_other_is_gone() -> None:
    ours, its = (Channel(end) for end in socket.socketpair())
    ours.send(run="a")
    ours.send(run="b")
    assert (its.receive(), its.receive(), its.receive(0)) == ({"run": "a"}, {"run": "b"}, None)
    ours.hang_up()
    for end in (ours, its):
        with pytest.raises(ChannelClosedError):
            end.receive()
    with pytest.raises(ChannelClosedError):
        its.send(ended="a")


def test_changed_code_is_other_code(tmp_path: Path) -> None:
    pointer = FileCodePointer(str(tmp_path / "location.py"), "defs")
    (tmp_path / "location.py").write_text("defs = 1\n")
    before = code_state(pointer)
    assert code_state(pointer) == before
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "location.pyc").write_bytes(b"compiled")
    assert code_state(pointer) == before, "that it was imported changes nothing"
    (tmp_path / "location.py").write_text("defs = 12\n")
    changed = code_state(pointer)
    assert changed != before
    (tmp_path / ".#location.py").symlink_to("somebody@host.1234")
    assert code_state(pointer) == changed, "an editor's lock is a link to nothing"
    (tmp_path / "beside.py").write_text("")
    assert code_state(pointer) != changed


def test_the_package_of_a_location_counts_too(tmp_path: Path) -> None:
    (tmp_path / "site_of_ours").mkdir()
    module = tmp_path / "site_of_ours" / "__init__.py"
    module.write_text("")
    pointer = ModuleCodePointer("site_of_ours.definitions", "defs", str(tmp_path))
    before = code_state(pointer)
    module.write_text("x = 1\n")
    assert code_state(pointer) != before


@pytest.fixture
def keeping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_models, "_KEPT", kept_models._Kept())


@pytest.mark.usefixtures("keeping")
def test_models_are_kept_until_settings_or_files_change(tmp_path: Path) -> None:
    net = tmp_path / "net.onnx"
    net.write_bytes(b"a network")
    settings = ModelSettings(face_pack=str(tmp_path), threads=1)
    once = kept_models.models_of(settings)
    assert kept_models.models_of(settings) is not once, "a process of one run keeps nothing"
    kept_models.keep_models(at_once=1)
    kept = kept_models.models_of(settings)
    assert kept_models.models_of(ModelSettings(face_pack=str(tmp_path), threads=1)) is kept
    net.write_bytes(b"another network")
    other = kept_models.models_of(settings)
    assert other is not kept
    assert kept_models.models_of(settings.model_copy(update={"det_size": 320})) is not other


@pytest.mark.usefixtures("keeping")
def test_videos_at_once_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8))
    for at_once, threads in ((1, 0), (2, 4), (3, 2), (16, 1)):
        kept_models.keep_models(at_once)
        assert kept_models.models_of(ModelSettings()).settings.threads == threads
    assert kept_models.models_of(ModelSettings(threads=3)).settings.threads == 3


def test_the_slots_of_the_gpu_are_the_videos_at_once(instance: dg.DagsterInstance) -> None:
    assert videos_at_once(instance) == 1
    instance.event_log_storage.set_concurrency_slots(GPU, 3)
    assert videos_at_once(instance) == 3
