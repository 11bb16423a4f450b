"""What `plan` says of the library, against what the library then really does."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from identity_pipeline.settings import Settings, load_settings
from identity_pipeline.stages.library.spaces import live_space
from identity_pipeline.stages.library.update import update_library
from identity_pipeline.stages.planning.plans import PlannedStep, PlannedVideo, plan_library
from identity_pipeline.stages.planning.staleness import Verdict
from identity_pipeline.stages.progress.costing import prices
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.library.heads import HeadStore
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.curated_library import call
from identity_pipeline_tests.storage.test_heads import saved, trainer
from identity_pipeline_tests.teaching_library import SPACE, rides, write_library, write_ride

NOW = "2026-01-01T00:00:00+00:00"
TOMORROW = "2026-01-02T00:00:00+00:00"
PEOPLE = 24
EVERYTHING = (
    "head_embeddings", "identity_library", "identity_profiles", "kmeans_heads", "index",
)  # fmt: skip


@pytest.fixture(scope="module")
def up_to_date(known_rides: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library in which everybody is known, and which is up to date; copy it before a change."""
    root = tmp_path_factory.mktemp("up_to_date")
    shutil.copytree(known_rides, root, symlinks=True, dirs_exist_ok=True)
    run_library(TableStore(Layout(root / "data")))
    return root


@pytest.fixture
def store(up_to_date: Path, tmp_path: Path) -> TableStore:
    shutil.copytree(up_to_date, tmp_path, symlinks=True, dirs_exist_ok=True)
    return TableStore(Layout(tmp_path / "data"))


def run_library(store: TableStore) -> bool:
    """The steps of the library; whether it was reused."""
    updated = update_library(store, Settings(), NOW)
    assert not updated.behind
    return updated.library.reused


def planned(
    store: TableStore,
    videos: Sequence[PlannedVideo] = (),
    today: str = NOW,
    settings: Settings | None = None,
) -> dict[str, PlannedStep]:
    settings = settings or Settings()
    plan = plan_library(store, settings, prices(store, settings, {}), videos, today)
    return {step.step: step for step in plan.steps}


def verdicts(steps: dict[str, PlannedStep]) -> list[Verdict]:
    return [steps[name].verdict for name in EVERYTHING]


def coming(video_id: str, verdict: Verdict) -> PlannedVideo:
    return PlannedVideo(video_id, (PlannedStep("templates", verdict, (), 1.0, measured=True),))


def test_an_up_to_date_library_is_reused_and_so_it_is(store: TableStore) -> None:
    assert verdicts(planned(store)) == [Verdict.REUSE] * 5
    assert run_library(store)


@pytest.mark.parametrize("step", ["identity_profiles", "kmeans_heads", "index"])
def test_what_does_not_follow_the_library_yet_is_no_reuse(store: TableStore, step: str) -> None:
    (store.layout.library_tables / f"{step}.manifest.json").unlink()
    behind = planned(store)[step]
    assert behind.verdict is Verdict.COMPUTE and "library" in behind.reasons[0]
    assert run_library(store), "the tables themselves are reused"
    assert planned(store)[step].verdict is Verdict.REUSE


def test_what_changed_is_named_and_computed(store: TableStore) -> None:
    write_ride(store.layout.root.parent, store, rides(PEOPLE, each=4)[3])
    steps = planned(store)
    assert steps["identity_library"].verdict is Verdict.COMPUTE
    assert steps["identity_library"].reasons == ("new: 1 video",)
    assert steps["identity_library"].seconds
    assert steps["kmeans_heads"].verdict is steps["index"].verdict is Verdict.PERHAPS
    assert not run_library(store)
    assert verdicts(planned(store)) == [Verdict.REUSE] * 5


def test_decisions_and_another_day_are_told(store: TableStore) -> None:
    (aged,) = planned(store, today=TOMORROW)["identity_library"].reasons
    assert aged == "last computed on 2026-01-01: suggestions age by days"
    call(store.layout.root.parent, "undo", "last")
    (changed,) = planned(store)["identity_library"].reasons
    assert changed.startswith("decisions, settings or samples")


def test_videos_that_will_run_reach_the_library(store: TableStore) -> None:
    there = store.videos_with("track_templates")[0]
    again = planned(store, [coming(there, Verdict.PERHAPS)])["identity_library"]
    assert again.verdict is Verdict.PERHAPS and "1 video come out" in again.reasons[0]
    new = planned(store, [coming("new-00000000", Verdict.COMPUTE)])["identity_library"]
    assert new.verdict is Verdict.COMPUTE and new.reasons == ("1 video to come",)


def test_a_live_head_wants_its_tables_and_learning_is_only_offered(store: TableStore) -> None:
    heads = HeadStore(store.layout)
    card = saved(heads, trainer().head())
    heads.go_live(card.head_id, NOW, "test")
    steps = planned(store)
    assert steps["head_embeddings"].verdict is Verdict.COMPUTE
    assert steps["head_embeddings"].reasons == (f"{PEOPLE * 3} videos not in its space yet",)
    assert steps["identity_library"].reasons == ("another head is live",)
    assert steps["projection_head"].verdict is Verdict.ASIDE
    assert "identity-pipeline train" in steps["projection_head"].reasons[0]


def test_which_space_is_live_is_told_by_notes_and_by_tables_without_one(store: TableStore) -> None:
    heads = HeadStore(store.layout)
    card = saved(heads, trainer().head())
    heads.go_live(card.head_id, NOW, "test")
    videos = store.videos_with("track_templates")
    kept = {video: store.read("track_templates", video) for video in videos}
    for video in videos:
        store.layout.table("track_templates", video).write_bytes(b"is not opened")
    assert live_space(store).head_id == card.head_id
    for video, table in kept.items():
        noted = store.write("track_templates", video, table, "f")
        assert noted.space == SPACE
        store.note("track_templates", video, replace(noted, space=None))  # of an older version
    assert live_space(store).head_id == card.head_id
    other = kept[videos[0]].with_columns(space=pl.lit("other@0/64"))
    for video in videos[: len(videos) // 2 + 1]:
        store.write("track_templates", video, other, "f")
    assert "most videos are of other@0/64" in str(live_space(store).unfit)


def test_before_the_first_run_and_switched_off(tmp_path: Path) -> None:
    store = TableStore(Layout(tmp_path / "data"))
    assert set(verdicts(planned(store))) == {Verdict.REUSE}
    write_library(tmp_path, rides(2))
    first = planned(store)
    assert first["identity_library"].reasons == ("never made",)
    assert first["identity_profiles"].verdict is Verdict.COMPUTE
    off = planned(store, settings=load_settings(phases={"library": False}))
    assert off["identity_library"].reasons == ("switched off by settings phases.library",)
