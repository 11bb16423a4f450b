"""Ctrl-C and SIGTERM end a command whole, with the status a shell expects; `status` tells it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from identity_pipeline.cli.instance import dagster_instance
from identity_pipeline.storage.folder.data_folder import claim_data_folder
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.failures import FailureNotes
from identity_pipeline_tests.conftest import BUNDLED, OPEN
from identity_pipeline_tests.curated_library import asked

CHECKOUT = Path(__file__).parents[2]
PATIENCE_S = 120.0


def started(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "identity_pipeline", *arguments],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(there: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not there():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow
def test_a_batch_of_videos_ends_with_the_one_at_work(
    tmp_path: Path,
    make_video: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = tmp_path / "data"
    files = [str(make_video(f"{name}.mp4", frames=10 + n)) for n, name in enumerate("abc")]
    models = ["--models", str(OPEN), "--vision", str(BUNDLED / "vision")]
    process = started("run", *files, "--data", str(data), *models)
    frames = data / "tables" / "frames"
    wait_for(lambda: frames.is_dir() and any(frames.glob("*.manifest.json")), process)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 128 + signal.SIGTERM, output
    assert "Traceback" not in output and "Stopped by" in output
    assert " (1 of 3)\n  watch: 0 of " in output and " of 3)" not in output.partition("1 of 3")[2]

    layout = Layout(data)
    assert FailureNotes(layout).ids() == set()
    with dagster_instance(layout) as instance:
        runs = instance.get_runs()
    assert [run.status for run in runs] == [dg.DagsterRunStatus.CANCELED]
    told = asked(tmp_path, "status", *models)
    assert sorted(video["state"] for video in told["videos"]) == ["paused", "pending", "pending"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_other_commands_end_by_the_same_rule(number: signal.Signals, tmp_path: Path) -> None:
    claim_data_folder(Layout(tmp_path / "data"))
    code = (
        "import sys, time\n"
        "from identity_pipeline.cli import review\n"
        "from identity_pipeline.cli.main import cli\n"
        "def slow(*a, **k):\n"
        "    print('at it', flush=True)\n"
        "    time.sleep(60)\n"
        "review.in_force = slow\n"
        "cli(['recluster', '--data', sys.argv[1]])\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "data")],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "at it\n"
    process.send_signal(number)
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 128 + number, output
    assert "Traceback" not in output
