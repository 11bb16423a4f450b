"""`run` says why a video or the library failed, and keeps what is for machines apart."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from identity_pipeline.cli import run_progress
from identity_pipeline.cli.main import cli
from identity_pipeline.cli.working import TRY_LATER
from identity_pipeline.stages.planning import preflight
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.progress.pause import Pause, pause


@pytest.fixture(autouse=True)
def _bundled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["run", *map(str, arguments)], env={"COLUMNS": "400"})


def test_a_library_that_fails_is_told_with_its_reason_and_fails_the_command(
    make_video: Callable[..., Path], tmp_path: Path
) -> None:
    ledger = tmp_path / "data" / "ledger" / "events.jsonl"
    ledger.parent.mkdir(parents=True)
    ledger.write_text("{nonsense\n", encoding="utf-8")
    clip, copy = make_video(frames=6), tmp_path / "copy.mp4"
    copy.write_bytes(clip.read_bytes())
    done = run(clip, copy, "--data", tmp_path / "data", "--json")
    assert done.exit_code == 1, done.output
    (row,) = json.loads(done.stdout)
    assert row["video"].startswith("clip-") and row["riders"] is None
    assert "same content" in done.stderr
    assert "The library could not be brought up to date - " in done.stderr
    assert str(ledger) in done.stderr, "the reason itself, not how to find it"


def test_a_video_that_could_not_begin_is_told_with_the_reason(
    make_video: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = iter([[], ["the disk filled up meanwhile"]])
    monkeypatch.setattr(preflight, "video_faults", lambda *_: next(found))
    done = run(make_video(frames=6), "--data", tmp_path / "data")
    assert done.exit_code == 1, done.output
    assert "failed - not_ready: Nothing was begun: the disk filled up meanwhile." in done.output
    assert "same command" not in done.output


def test_a_run_that_a_pause_stopped_did_not_fail(
    make_video: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, begin = Pause("2026-01-02T03:04:05+00:00", "ada"), run_progress.Lines.begin

    def paused_at_once(lines: run_progress.Lines, total: int) -> None:
        pause(Layout(tmp_path / "data"), order)
        begin(lines, total)

    monkeypatch.setattr(run_progress.Lines, "begin", paused_at_once)
    done = run(make_video(frames=6), "--data", tmp_path / "data")
    assert done.exit_code == TRY_LATER, done.output
    assert "paused" in done.output and "failed" not in done.output
    assert "Paused by ada since " in done.output
    assert "lets the runs go on. Then run the same command again" in done.output


def test_what_nobody_foresaw_is_told_by_type_and_message(
    make_video: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr("identity_pipeline.defs.resources.resources.bind", broken)
    done = run(make_video(frames=6), "--data", tmp_path / "data")
    assert done.exit_code == 1, done.output
    assert "failed - ZeroDivisionError: by nothing" in done.output


def test_lines_of_a_stage_come_every_few_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 3.0, 11.0, 12.0, 13.0])
    monkeypatch.setattr(run_progress, "monotonic", lambda: next(clock))
    lines = run_progress.Lines()
    lines.begin(1)
    lines.at("ride-1")
    for done in (0, 5, 9):
        lines.report("frames", done, 10, "frames")
    lines.report("faces", 4, None, "faces")
    lines.at("library")
    lines.report("frames", 1, 10, "frames")
    assert capsys.readouterr().out.splitlines() == [
        "ride-1 (1 of 1)", "  frames: 0 of 10 frames", "  frames: 9 of 10 frames",
        "  faces: 4 faces", "library", "  frames: 1 of 10 frames",
    ]  # fmt: skip
