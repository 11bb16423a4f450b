"""Learning on real faces: seven clips are enough for k-means heads, and too few for a head.

What can be shown at this size: that nothing is learned or promoted from too little, and that
everything runs on real vectors. Whether a head helps real faces cannot.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from identity_pipeline.cli.main import cli
from identity_pipeline.settings import Settings
from identity_pipeline.stages.library.kmeans_heads import train_kmeans_heads
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.library.generations import Generations
from identity_pipeline.storage.library.heads import HeadStore
from identity_pipeline.storage.library.profiles import ProfileStore
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.library import VideoLibrary
from identity_pipeline_tests.real_clips import people

NOW = "2026-01-01T00:00:00+00:00"
LENIENT = {
    "PEOPLE_MIN": "2",
    "VIDEOS_MIN": "2",
    "TRACKS_PER_PERSON_MIN": "1",
    "HELD_OUT_PEOPLE": "0.001",
    "HELD_OUT_VIDEOS": "0.3",
    "HELD_OUT_PEOPLE_MIN": "2",
    "EPOCHS": "3",
}


def call(data: Path, *arguments: str, lenient: bool = False) -> Result:
    minima = {f"IDENTITY_PIPELINE__TRAIN__{k}": v for k, v in LENIENT.items()} if lenient else {}
    environment = {"COLUMNS": "200", "IDENTITY_PIPELINE__MODELS__DEVICE": "cpu", **minima}
    return CliRunner().invoke(cli, [*arguments, "--data", str(data)], env=environment)


@pytest.fixture(scope="module")
def named(real_library: VideoLibrary, real: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the library in which every rider of every clip has been named."""
    assert real_library.run_library().success
    data = tmp_path_factory.mktemp("learning") / "data"
    shutil.copytree(real_library.root, data, symlinks=True)
    store = TableStore(Layout(data))
    who = people(store, real, Generations(store.layout).open().table("person_assignments"))
    for name in sorted(set(who.values())):
        tracks = [key.removeprefix("track:") for key in sorted(who) if who[key] == name]
        assert call(data, "label", *tracks, "--name", name).exit_code == 0
    assert call(data, "recluster").exit_code == 0
    return data


def test_a_handful_of_people_is_refused_and_what_is_missing_is_said(named: Path) -> None:
    result = call(named, "train")
    assert result.exit_code == 1
    assert "too little to learn from" in result.output
    assert "people with 2 confirmed tracks or more" in result.output


def test_kmeans_heads_name_no_real_rider_wrongly_on_a_clip_left_out(named: Path) -> None:
    trained = train_kmeans_heads(LibraryStores.of(TableStore(Layout(named))), Settings(), NOW)
    assert trained.heads is not None
    found = trained.metrics["left_out"]
    assert found["tracks"] > 0
    assert found["wrong"] == 0
    assert found["strangers_named"] == 0


def test_a_head_of_real_faces_trains_to_its_end_and_is_not_promoted(named: Path) -> None:
    result = call(named, "train", lenient=True)
    assert result.exit_code == 0, result.output
    assert "complete: 3 epochs" in result.output
    assert "kept and not promoted" in result.output
    store = HeadStore(Layout(named))
    assert store.live().head_id is None
    assert (store.folder(store.cards()[0].head_id) / "head.onnx").is_file()
    assert ProfileStore(Layout(named)).all()
