"""Memory banks in a step: which riders they judge, and when the step does its work again."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from identity_pipeline.defs.automation.outdated_sensor import standing_of
from identity_pipeline.settings import load_settings
from identity_pipeline_tests.curated_library import call, write_rides
from identity_pipeline_tests.library import VideoLibrary, reused_assets
from identity_pipeline_tests.storage.small_library import put

ASSET = "identity_stability"
BY_BANK = {"stability": {"source": "bank"}}


class Rides(VideoLibrary):
    """The curated library, whose rides are judged again and again."""

    def judge(self, ride: str, **overrides: dict[str, str]) -> bool:
        """Runs the step for a ride; whether it had nothing to do."""
        file = self.root.parent / f"{ride}.mp4"
        result = self.run(file, overrides=overrides, assets=[ASSET])
        assert result.success
        return reused_assets(result)[ASSET]

    def judged(self, ride: str) -> dict[int, set[str | None]]:
        """What judged each rider of a ride."""
        table = self.table(ASSET, ride)
        groups = table.group_by("person_id").agg(pl.col("judged_by").unique())
        return {row[0]: set(row[1]) for row in groups.iter_rows()}


@pytest.fixture
def rides(tmp_path: Path, instance: dg.DagsterInstance) -> Rides:
    store = write_rides(tmp_path)
    for video_id in store.videos_with("riders"):
        put(store, "face_landmarks", video_id, [])
        put(store, "moment_embeddings", video_id, [])
    call(tmp_path, "recluster")
    call(tmp_path, "label", "ride-a:1", "--name", "Ada")
    call(tmp_path, "recluster")
    return Rides(tmp_path / "data", instance, {"paths": {"data": str(tmp_path / "data")}})


def test_a_known_rider_is_judged_by_the_bank_until_what_is_known_changes(
    rides: Rides, tmp_path: Path
) -> None:
    assert not rides.judge("ride-b")
    assert rides.judged("ride-b") == {0: {None}, 1: {None}}, "by the medoid, which is the default"
    assert not rides.judge("ride-b", **BY_BANK)
    assert rides.judged("ride-b") == {0: {"bank"}, 1: {None}}
    first = rides.table(ASSET, "ride-b")
    assert rides.judge("ride-b", **BY_BANK), "nothing has changed"
    call(tmp_path, "label", "ride-c:1", "--person", "Ada")
    assert not rides.judge("ride-b", **BY_BANK), "more is known of the rider"
    assert rides.judge("ride-b", **BY_BANK)
    call(tmp_path, "undo", "last")
    assert not rides.judge("ride-b", **BY_BANK)
    assert rides.table(ASSET, "ride-b").equals(first), "an undo takes all of it back"


def test_videos_may_be_outdated_by_a_label_where_banks_judge(rides: Rides, tmp_path: Path) -> None:
    by_medoid, by_bank = load_settings(), load_settings(**BY_BANK)
    before = [standing_of("made of", rides.store, s) for s in (by_medoid, by_bank)]
    call(tmp_path, "label", "ride-c:1", "--person", "Ada")
    after = [standing_of("made of", rides.store, s) for s in (by_medoid, by_bank)]
    assert before[0] == after[0] == "made of"
    assert before[1] != after[1]
