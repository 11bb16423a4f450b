"""The data map: every asset and every place with its class, how long and on which ground."""

from __future__ import annotations

from pathlib import Path

from identity_pipeline.media.data_map_page import CLASSES, render_data_map_page
from identity_pipeline.settings import Settings
from identity_pipeline.stages.privacy.data_map import data_map, personal_classes
from identity_pipeline.stages.specs.assets import SPECS


def test_every_asset_lies_in_a_place_and_what_is_exported_counts_as_pictures(
    tmp_path: Path,
) -> None:
    told = data_map(tmp_path, Settings())
    assert [one.asset for one in told.assets] == list(SPECS)
    assert all(one.places for one in told.assets)
    assert "picture" in personal_classes()["identity_dataset"]
    assert personal_classes()["face_embeddings"] == ("biometric",)
    assert {row.data_class for row in told.rows} <= CLASSES.keys()


def test_settings_say_how_long_and_on_which_ground_and_files_are_counted(tmp_path: Path) -> None:
    (tmp_path / "crops" / "ride").mkdir(parents=True)
    (tmp_path / "crops" / "ride" / "part-00000.parquet").write_bytes(b"12345")
    settings = Settings.model_validate(
        {"retention": {"crops_days": 7}, "consent": {"required": True}}
    )
    crops = next(r for r in data_map(tmp_path, settings).rows if r.place == "crops")
    assert (crops.kept, crops.files, crops.bytes) == ("7 days (retention.crops_days)", 1, 5)
    assert crops.ground.startswith("consent, scope export")
    off = next(r for r in data_map(tmp_path, Settings()).rows if r.place == "crops")
    assert "consent is not tracked here" in off.ground
    assert off.kept_days is None


def test_the_page_needs_nothing_and_is_the_same_for_the_same_map(tmp_path: Path) -> None:
    told = data_map(tmp_path, Settings()).as_json()
    page = render_data_map_page(told)
    assert page == render_data_map_page(told)
    assert "It is no legal advice." in page
    assert "<script" not in page
    assert all(f"{group}: " in page for group in {one["group"] for one in told["assets"]})
