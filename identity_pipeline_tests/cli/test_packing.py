"""Packing a finished ride: nothing that is said or published of it changes, and it comes back."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from identity_pipeline.cli.main import cli
from identity_pipeline.defs.assets.housekeeping import pack_at_rest
from identity_pipeline.settings import Settings
from identity_pipeline.stages.publishing.publishing import Publisher
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.publishing.object_store import ObjectStore
from identity_pipeline.storage.video.packs import packs_in
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.library import VideoLibrary, digest_of_tree

DAY_S = 86_400.0


@pytest.fixture
def made(demo: VideoLibrary, tmp_path: Path) -> Layout:
    """The data folder of a finished ride, to be changed at will."""
    shutil.copytree(demo.root, tmp_path / "made", symlinks=True)
    return Layout(tmp_path / "made")


def call(layout: Layout, *words: str, code: int = 0) -> str:
    """A command in the folder; what it prints."""
    result = CliRunner().invoke(cli, [*words, "--data", str(layout.root)], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else result.output


def asked(layout: Layout, *words: str) -> Any:
    """What it says with `--json`."""
    return json.loads(call(layout, *words, "--json"))


def told_of(layout: Layout, video_id: str) -> list[Any]:
    """What is said of a ride, where packing might show."""
    sql = "SELECT video_id, frames, faces, riders, images FROM videos"
    return [asked(layout, *words) for words in (("plan", video_id), ("videos",), ("sql", sql))]


def tables_of(layout: Layout) -> dict[str, str]:
    """Digests of all files of tables."""
    files = digest_of_tree(layout.tables).items()
    return {path: digest for path, digest in files if path != layout.tables_lock.name}


def test_a_packed_ride_is_as_it_was_for_everybody_and_comes_back(
    made: Layout, demo: VideoLibrary, tmp_path: Path
) -> None:
    video_id = demo.video_id("demo_solo")
    publisher = Publisher(made, ObjectStore(f"file://{tmp_path}/bucket"), versions=2)
    assert publisher.publish(video_id).is_new
    told, files = told_of(made, video_id), tables_of(made)
    assert asked(made, "pack", "--dry-run") == [], "it has not been at rest for a day"
    [row] = asked(made, "pack", video_id)
    assert row["video"] == video_id and row["files"] > 60
    assert sum(video_id in path for path in tables_of(made)) == 1
    assert told_of(made, video_id) == told
    assert publisher.pending() == [] and not publisher.publish(video_id).is_new
    assert asked(made, "pack", "--undo") == [{"video": video_id, "files": row["files"]}]
    assert tables_of(made) == files
    assert "is not finished" not in call(made, "pack", "--undo")


def test_the_night_packs_what_has_been_at_rest(made: Layout, demo: VideoLibrary) -> None:
    store, now = TableStore(made), time.time()
    never = Settings.model_validate({"paths": {"pack_after_days": None}})
    assert pack_at_rest(store, Settings(), now) == 0
    assert pack_at_rest(store, never, now + 2 * DAY_S) == 0
    assert pack_at_rest(store, Settings(), now + 2 * DAY_S) == 1
    assert list(packs_in(made)) == [demo.video_id("demo_solo")]
    assert pack_at_rest(store, Settings(), now + 2 * DAY_S) == 0
