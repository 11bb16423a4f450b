"""The flag that stops all runs."""

from __future__ import annotations

from pathlib import Path

from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.progress.pause import Pause, go_on, pause, paused

ORDER = Pause("2026-01-02T03:04:05+00:00", "ada", "GPU needed")


def test_a_pause_holds_until_it_is_taken_back(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    assert paused(layout) is None and go_on(layout) is None
    assert pause(layout, ORDER)
    assert paused(layout) == ORDER
    assert go_on(layout) == ORDER
    assert paused(layout) is None


def test_a_second_pause_leaves_the_first(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    assert pause(layout, ORDER)
    assert not pause(layout, Pause("later", "bob"))
    assert paused(layout) == ORDER


def test_the_sentence_says_who_when_why_and_what_to_do(tmp_path: Path) -> None:
    said = ORDER.sentence()
    assert "ada" in said and "03:04:05" in said and "(GPU needed)" in said
    assert "identity-pipeline continue" in said


def test_a_flag_made_by_hand_is_a_pause_too(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.pause.touch()
    found = paused(layout)
    assert found is not None and "paused.json" in found.sentence()
    go_on(layout)
    assert paused(layout) is None
