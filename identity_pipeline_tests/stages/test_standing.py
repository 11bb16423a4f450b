"""A run that has nothing to do is left out; one that has anything to do is not."""

from __future__ import annotations

import shutil
from pathlib import Path

import dagster as dg
import pytest

from identity_pipeline.defs.instance.shown import shown_as_made
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.settings import load_settings
from identity_pipeline.stages.planning.plans import Standing, standing
from identity_pipeline.stages.planning.staleness import Models
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.failures import FailureNote, FailureNotes
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.conftest import BUNDLED, OPEN
from identity_pipeline_tests.library import VideoLibrary

NOW = "2030-01-01T00:00:00+00:00"


@pytest.fixture
def found(demo: VideoLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Looks at a copy of the bundled solo ride, processed, after something was done to it."""
    root = tmp_path / "data"
    shutil.copytree(demo.root, root, symlinks=True)
    store = TableStore(Layout(root))
    (video_id,) = store.videos_with("selection")

    def look(**groups: object) -> Standing:
        models = {"face_pack": str(OPEN), "vision_encoder": str(BUNDLED / "vision")}
        known = {"paths": {"data": str(root)}, "models": models, "export": demo.groups["export"]}
        groups = {**known, **groups}
        settings = load_settings(**groups)
        hub = Models(*ModelHub(settings.models).here())
        return standing(store, settings, hub, [video_id], NOW)

    return look, store, video_id


def test_what_is_whole_stands_and_what_changed_does_not(found) -> None:
    look, store, video_id = found
    assert look().videos == {video_id}
    assert not look(selection={"novelty_min": 0.4}).videos
    FailureNotes(store.layout).put(video_id, FailureNote("x", "It failed.", "frames", False))
    assert not look().videos
    FailureNotes(store.layout).clear(video_id)
    path = store.layout.table("face_quality", video_id)
    path.write_bytes(path.read_bytes()[:-1])
    assert not look().videos, "every byte is read"
    assert not look().library


def test_a_library_of_another_day_does_not_stand(found) -> None:
    look, _, _ = found
    assert not look().library, "suggestions age by days"


def test_only_what_the_instance_shows_is_left_out() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert shown_as_made(instance, ["a-1"]) == {"a-1"}


def test_an_instance_that_never_saw_a_video_shows_it_first(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n", encoding="utf-8")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        instance.add_dynamic_partitions("videos", ["a-1", "b-2"])
        made = dg.AssetMaterialization("identity_dataset", partition="a-1")
        instance.report_runless_asset_event(made)
        assert shown_as_made(instance, ["a-1", "b-2", "c-3"]) == {"a-1"}
