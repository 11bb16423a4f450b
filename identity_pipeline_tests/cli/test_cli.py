"""The command line: help that teaches, answers to `why`, errors that say what to do."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from identity_pipeline.cli.main import COMMANDS, cli
from identity_pipeline_tests.library import VideoLibrary


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, env={"COLUMNS": "160"})


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_explains_itself(command: str) -> None:
    result = call(command, "--help")
    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 5


def test_the_first_page_shows_first_steps_line_by_line() -> None:
    lines = [line.strip() for line in call("--help").output.splitlines()]
    assert any(line.startswith("identity-pipeline run ride.mp4") for line in lines)


def test_settings_say_unit_and_source_and_mark_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_PIPELINE__SELECTION__NOVELTY_MIN", "0.33")
    output = call("settings", "selection").output
    assert "0.33 (changed)" in output and "1 - cosine" in output
    values = json.loads(call("settings", "--json").output)
    assert values["selection"]["novelty_min"] == 0.33


def test_an_unknown_group_lists_the_groups() -> None:
    result = call("settings", "selectoin")
    assert "did you mean selection?" in result.output
    assert list(json.loads(call("settings", "selection", "--json").output)) == ["selection"]
    result = call("settings", "nonsense")
    assert result.exit_code == 2 and "quality" in result.output


def test_a_bad_setting_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_PIPELINE__SELECTION__BUCKET_MAX", "0")
    result = call("settings")
    assert result.exit_code == 2 and "bucket_max" in result.output


def test_no_videos_says_what_to_do_next(tmp_path: Path) -> None:
    output = call("videos", "--data", str(tmp_path)).output
    assert f"identity-pipeline --data {tmp_path} run FILE" in output


def test_an_unknown_video_is_a_usage_error(tmp_path: Path) -> None:
    result = call("why", "nothing", "1", "--data", str(tmp_path))
    assert result.exit_code == 2 and f"--data {tmp_path} videos` lists" in result.output


def test_models_shows_digests_licences_and_providers(real_pack: Path, vision_encoder: Path) -> None:
    arguments = ("models", "--models", str(real_pack), "--vision", str(vision_encoder))
    result = call(*arguments, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "CPUExecutionProvider" in result.output and "not known" in result.output


def test_a_missing_pack_is_one_sentence(tmp_path: Path) -> None:
    result = call("models", "--models", str(tmp_path / "nowhere"))
    assert result.exit_code == 1 and "does not exist" in result.output


def test_why_answers_for_every_face_of_a_frame(real_library: VideoLibrary) -> None:
    ledger = real_library.table("frame_ledger", "ride_duo_a")
    data = str(real_library.root)
    for state in ledger["state"].unique().sort():
        frame = ledger.filter(pl.col("state") == state)["frame_idx"][0]
        result = call("why", "ride_duo_a", str(frame), "--data", data)
        assert result.exit_code == 0 and state in result.output
        faces = json.loads(call("why", "ride_duo_a", str(frame), "--data", data, "--json").output)
        expected = ledger.filter(pl.col("frame_idx") == frame)
        assert [f["face_id"] for f in faces] == expected["face_id"].to_list()
        assert all(f["would_change"] for f in faces)


def test_why_of_a_frame_that_was_not_sampled_names_the_nearest(real_library: VideoLibrary) -> None:
    result = call("why", "ride_duo_a", "1", "--data", str(real_library.root))
    assert result.exit_code == 1 and "nearest sampled one is" in result.output


def test_videos_lists_what_is_done(real_library: VideoLibrary) -> None:
    output = call("videos", "--data", str(real_library.root)).output
    assert output.count("│ done") == 7
