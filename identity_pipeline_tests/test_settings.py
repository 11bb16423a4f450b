"""Settings: bounds, provenance, sources and their order."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from identity_pipeline.settings import Settings, SettingsError, chosen, load_settings


def groups() -> list[tuple[str, type[BaseModel]]]:
    return [(name, type(getattr(Settings(), name))) for name in Settings.model_fields]


@pytest.mark.parametrize(("name", "group"), groups())
def test_every_setting_says_what_it_does_its_unit_and_its_source(
    name: str, group: type[BaseModel]
) -> None:
    for field, info in group.model_fields.items():
        notes = info.json_schema_extra
        assert isinstance(notes, dict), f"{name}.{field}"
        assert info.description and notes["unit"] and notes["source"], f"{name}.{field}"


def test_the_environment_beats_the_file_and_arguments_beat_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[selection]\nnovelty_min = 0.3\nbucket_max = 4\nanchor_max = 7\n")
    monkeypatch.setenv("IDENTITY_PIPELINE_SETTINGS", str(file))
    monkeypatch.setenv("IDENTITY_PIPELINE__SELECTION__BUCKET_MAX", "3")
    monkeypatch.setenv("IDENTITY_PIPELINE__SELECTION__ANCHOR_MAX", "8")
    selection = load_settings(selection={"anchor_max": 9}).selection
    assert (selection.novelty_min, selection.bucket_max, selection.anchor_max) == (0.3, 3, 9)


def test_a_misspelt_setting_is_an_error() -> None:
    with pytest.raises(SettingsError):
        load_settings(selection={"novelty_minimum": 0.2})


def test_a_value_out_of_bounds_is_an_error() -> None:
    with pytest.raises(SettingsError):
        load_settings(models={"det_size": 100})


def test_edges_must_ascend() -> None:
    with pytest.raises(SettingsError, match="yaw_edges"):
        load_settings(buckets={"yaw_edges": [-10, 10, 5]})


def test_a_named_file_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_PIPELINE_SETTINGS", "/nowhere/settings.toml")
    with pytest.raises(SettingsError, match="nowhere"):
        load_settings()


def test_chosen_takes_groups_and_single_names() -> None:
    values = chosen(load_settings(), ("export", "tracking.min_iou"))
    assert values["tracking.min_iou"] == load_settings().tracking.min_iou
    assert values["export"]["jpeg_quality"] == load_settings().export.jpeg_quality
    with pytest.raises(AttributeError):
        chosen(load_settings(), ("tracking.nonsense",))


RETIRED_FILE = "[bank]\ntemperature = 0.2\nimages_max = 2\n[selection]\nnovelty_min = 0.3\n"


def test_a_retired_setting_is_passed_over_and_named_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "old.toml"
    file.write_text(RETIRED_FILE)
    monkeypatch.setenv("IDENTITY_PIPELINE_SETTINGS", str(file))
    monkeypatch.setenv("IDENTITY_PIPELINE__BANK__TOP", "5")
    for _ in range(2):
        assert load_settings(bank={"anchor_weight_min": 0.1}).selection.novelty_min == 0.3
    told = [record.getMessage() for record in caplog.records]
    assert [words.rpartition("remove them: ")[2] for words in sorted(told)] == [
        "bank.temperature, bank.images_max.",
        "bank.anchor_weight_min.",
        "bank.top.",
    ]
    assert str(file) in sorted(told)[0]


def test_a_retired_setting_of_a_group_that_stays_fails_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "demo.toml"
    file.write_text("[models]\nallow_demo = true\ndet_size = 320\n")
    monkeypatch.setenv("IDENTITY_PIPELINE_SETTINGS", str(file))
    monkeypatch.setenv("IDENTITY_PIPELINE__MODELS__ALLOW_DEMO", "true")
    monkeypatch.setenv("IDENTITY_PIPELINE__MODELS__DEVICE", "cpu")
    models = load_settings(models={"allow_demo": False, "vision_batch": 4}).models
    assert (models.det_size, models.device, models.vision_batch) == (320, "cpu", 4)
    told = [r.getMessage() for r in caplog.records if "models.allow_demo" in r.getMessage()]
    assert len(told) == 3 and sum(str(file) in words for words in told) == 1


def test_what_never_was_a_setting_is_an_error_in_a_retired_group_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "old.toml"
    file.write_text(RETIRED_FILE.replace("images_max", "speed"))
    monkeypatch.setenv("IDENTITY_PIPELINE_SETTINGS", str(file))
    with pytest.raises(SettingsError, match=r"bank\.speed"):
        load_settings()
