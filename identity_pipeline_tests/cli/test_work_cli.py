"""`status` and `plan`: what they print, for people and for machines."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from identity_pipeline.cli.main import cli
from identity_pipeline.definitions import build_defs
from identity_pipeline.defs.instance.jobs import per_video
from identity_pipeline.defs.instance.runs import last_runs
from identity_pipeline.defs.instance.tags import WILL_RETRY
from identity_pipeline.defs.resources.resources import SettingsResource
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.failures import FailureNote, FailureNotes
from identity_pipeline.storage.video.registry import VideoRegistry
from identity_pipeline_tests.conftest import BUNDLED, OPEN, stripes
from identity_pipeline_tests.synthetic import write_video

MODELS = ("--models", str(OPEN), "--vision", str(BUNDLED / "vision"))


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with a registered video that was never run, and one that waits."""
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.chdir(tmp_path)  # away from the dagster.yaml of the checkout
    root = tmp_path / "data"
    (root / "videos").mkdir(parents=True)
    write_video(root / "videos" / "waits.mp4", (stripes(i) for i in range(5)))
    file = write_video(tmp_path / "known.mp4", (stripes(2 * i) for i in range(5)))
    VideoRegistry(Layout(root)).register(file)
    return root


def call(*arguments: str) -> Result:
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    return result


def test_status_names_the_batch_and_says_that_nothing_works(data: Path) -> None:
    output = call("status", "--data", str(data), *MODELS).output
    assert "Batch 1 (new work: 27 steps of 1 video): 0 % done" in output
    assert "not measured on this machine yet" in output
    assert "No step is at work" in output and "known-" in output


def test_status_names_the_folder_that_it_may_not_write(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = data / "dagster" / "storage"
    runs.parent.mkdir()
    runs.write_text("no folder, so that no database can be opened in it")
    # Who runs tests may be root.
    monkeypatch.setattr(os, "access", lambda _, mode: mode != os.W_OK)
    result = CliRunner().invoke(cli, ["status", "--data", str(data), *MODELS])
    assert result.exit_code
    assert f"{data / 'dagster'} cannot be written" in result.output


def test_status_says_that_a_pause_is_why_nothing_works(data: Path) -> None:
    asked = ("status", "--data", str(data), *MODELS)
    assert "Paused by" not in call(*asked).output
    call("pause", "--reason", "GPU needed", "--as", "ada", "--data", str(data))
    assert call(*asked).output.startswith("Paused by ada since ")
    call("continue", "--data", str(data))
    assert "Paused by" not in call(*asked).output


def test_status_of_one_video_shows_every_step(data: Path) -> None:
    output = call("status", "known", "--data", str(data), *MODELS).output
    assert "identity_dataset" in output and output.count("pending") >= 20


def test_status_for_machines(data: Path) -> None:
    seen = json.loads(call("status", "--json", "--data", str(data), *MODELS).stdout)
    assert {video["state"] for video in seen["videos"]} == {"pending"}
    assert seen["eta_s"] is None and seen["left_s"] > 0
    assert seen["batches"][0]["shares"]["done"] == 0
    again = json.loads(call("status", "--json", "--data", str(data), *MODELS).output)
    assert len(again["batches"]) == 1, "a second look opens no other batch"


def test_watch_looks_again_until_ctrl_c(data: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-W", "ignore", "-m", "identity_pipeline", "status", "--watch"]
    environment = {**os.environ, "COLUMNS": "160", "LINES": "50", "TERM": "xterm"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    arguments = [*command, "--data", str(data), *MODELS]
    with (
        ctrl_c_is_obeyed(),
        subprocess.Popen(
            arguments, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
        ) as process,
    ):
        os.close(theirs)
        assert "known-" in read_until(ours, "pending")
        (record,) = VideoRegistry(Layout(data)).all()
        note = FailureNote("not_a_video", "It is none.", "ride_video", permanent=True)
        FailureNotes(Layout(data)).put(record.video_id, note)
        read_until(ours, "not_a_video")
        process.send_signal(signal.SIGINT)
        # Whatever it still writes is taken, so that it can end.
        assert read_until(ours, None) is not None
    assert process.returncode == 0


@contextmanager
def ctrl_c_is_obeyed() -> Iterator[None]:
    """What a script's `&` starts ignores it, and so would its children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def read_until(terminal: int, wanted: str | None) -> str:
    """What a terminal shows until a text has come; None: until it is closed."""
    shown = b""
    while wanted is None or wanted.encode() not in shown:
        try:
            more = os.read(terminal, 65536)
        except OSError:  # closed
            more = b""
        if not more:
            assert wanted is None, shown.decode(errors="replace")
            break
        shown += more
    return shown.decode(errors="replace")


def test_plan_lists_the_registered_and_the_waiting(data: Path) -> None:
    output = call("plan", "--data", str(data), *MODELS).output
    assert "known-" in output and "waits-" in output and "not registered yet" in output
    planned = json.loads(call("plan", "--json", "--data", str(data), *MODELS).output)
    verdicts = {step["verdict"] for video in planned["videos"] for step in video["steps"]}
    assert verdicts == {"compute"}
    library = {step["step"]: step for step in planned["library"]["steps"]}
    assert library["identity_library"]["reasons"] == ["never made; 2 videos to come"]
    assert library["identity_library"]["verdict"] == "compute"
    assert "identity_profiles" in output and "only when asked" in output
    assert len(list(VideoRegistry(Layout(data)).all())) == 1, "planning registers nothing"


def test_plan_of_one_video_says_why_and_marks_bundled_prices(data: Path) -> None:
    output = call("plan", "known", "--data", str(data), *MODELS).output
    assert "never made" in output and "*" in output


def test_plan_says_what_each_step_costs(data: Path) -> None:
    output = call("plan", "--costs", "--data", str(data), *MODELS).output
    assert "vision_embeddings" in output and "not measured here yet" in output


def test_the_last_run_of_a_video_counts(instance: dg.DagsterInstance) -> None:
    defs = build_defs(SettingsResource.of())
    job = defs.resolve_job_def(per_video.name)
    for status, key in (("FAILURE", "a"), ("NOT_STARTED", "a"), ("CANCELED", "b")):
        instance.create_run_for_job(
            job,
            status=dg.DagsterRunStatus[status],
            tags={"dagster/partition": key},
            asset_selection=frozenset({dg.AssetKey("ride_video")}),
        )
    found = {key: run.status for key, run in last_runs(instance).items()}
    assert found == {"a": "queued", "b": "cancelled"}


def test_a_run_that_dagster_will_start_again_waits(instance: dg.DagsterInstance) -> None:
    job = build_defs(SettingsResource.of()).resolve_job_def(per_video.name)
    for key, retried in (("a", "true"), ("b", "false")):
        instance.create_run_for_job(
            job,
            status=dg.DagsterRunStatus.FAILURE,
            tags={"dagster/partition": key, WILL_RETRY: retried},
            asset_selection=frozenset({dg.AssetKey("ride_video")}),
        )
    found = {key: run.status for key, run in last_runs(instance).items()}
    assert found == {"a": "queued", "b": "failed"}


def test_the_report_shows_the_same_picture(data: Path, instance: dg.DagsterInstance) -> None:
    groups = {
        "paths": {"data": str(data)},
        "models": {"face_pack": MODELS[1], "vision_encoder": MODELS[3]},
    }
    defs = build_defs(SettingsResource.of(**groups))
    job = defs.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=instance, asset_selection=[dg.AssetKey("library_report")]
    )
    (event,) = result.asset_materializations_for_node("library_report")
    assert event.metadata["videos"].value == event.metadata["videos/pending"].value == 1
    assert "0 % done" in str(event.metadata["progress"].value)
    assert "was not measured of any ride" in str(event.metadata["recall"].value)
    assert "data:image/svg+xml" in str(event.metadata["picture"].value)


def test_a_folder_without_a_video_has_nothing_computed(tmp_path: Path) -> None:
    (tmp_path / "data" / "videos").mkdir(parents=True)
    told = call("status", "--data", str(tmp_path / "data"), *MODELS).output
    assert "No video yet: drop one into the videos folder" in told
    assert "All is computed" not in told
