"""`recall`: nothing is measured without an audit, and a second detector is one of another net."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from identity_pipeline.cli.main import cli
from identity_pipeline_tests.library import VideoLibrary


def said(demo: VideoLibrary, *words: str, code: int = 0) -> str:
    ride = demo.store.videos_with("frame_ledger")[0]
    result = CliRunner().invoke(cli, ["--data", str(demo.root), "recall", ride, *words])
    assert result.exit_code == code, result.output
    return result.stdout or result.output


def test_without_an_audit_and_a_second_detector_nothing_is_measured(demo: VideoLibrary) -> None:
    told = json.loads(said(demo, "--json"))
    assert told["ride"]["share"] is told["ride"]["low"] is None and told["ride"]["left_out"]
    assert "was not measured" in said(demo) and "--second PACK" in told["detector"]["sentence"]
    assert "by the net that has found those" in said(demo, "--second", "open", code=1)
    assert "--second names the folder" in said(demo, "--second", "/nowhere/pack", code=1)


def test_a_second_detector_tells_what_the_first_found_at_most(
    demo: VideoLibrary, real_pack: Path
) -> None:
    found = json.loads(said(demo, "--second", str(real_pack), "--json"))["detector"]
    assert 0.9 < found["share"] <= 1 and found["found"] >= found["by_first"] > 50
