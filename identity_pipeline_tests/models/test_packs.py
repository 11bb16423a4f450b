"""Packs by name and by folder: where they lie, and what is said where they do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from identity_pipeline.models.packs import FacePackError, kept_folder, pack_folder, pack_is_here
from identity_pipeline.settings import ModelSettings


def kept_in(root: Path) -> ModelSettings:
    return ModelSettings(pack_root=str(root), face_pack_root=str(root / "insightface"))


def test_the_open_pack_lies_in_the_users_cache_or_where_the_setting_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert kept_folder("open", ModelSettings()).is_relative_to(tmp_path / "cache")
    assert kept_folder("open", kept_in(tmp_path / "shared")) == tmp_path / "shared" / "open"


def test_a_missing_open_pack_names_the_setting_the_place_and_the_command(tmp_path: Path) -> None:
    with pytest.raises(FacePackError, match=r"models\.perception.*models fetch open") as told:
        pack_folder("open", kept_in(tmp_path), "models.perception")
    assert str(tmp_path / "open") in str(told.value)


def test_a_run_never_downloads_the_open_pack(tmp_path: Path) -> None:
    assert pack_is_here("open", kept_in(tmp_path))  # so that its absence is told beforehand


def test_the_name_open_wins_over_a_folder_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "open").mkdir(parents=True)
    (tmp_path / "kept" / "open").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    settings = kept_in(tmp_path / "kept")
    assert pack_folder("open", settings) == (tmp_path / "kept" / "open").resolve()
    assert pack_folder("./open", settings) == (tmp_path / "here" / "open").resolve()


def test_another_name_is_insightfaces(tmp_path: Path) -> None:
    settings = kept_in(tmp_path)
    assert not pack_is_here("buffalo_l", settings)
    kept = tmp_path / "insightface" / "models" / "buffalo_l"
    kept.mkdir(parents=True)
    assert pack_is_here("buffalo_l", settings)
    assert pack_folder("buffalo_l", settings) == kept.resolve()
