"""The library in Dagster: its job, its checks, its sensor, on a small library of known vectors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from identity_pipeline.definitions import build_defs
from identity_pipeline.defs.automation.library_sensor import library_changed
from identity_pipeline.defs.instance.tags import BY
from identity_pipeline.defs.resources.resources import SettingsResource
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.library.generations import Generations
from identity_pipeline.storage.library.profiles import ProfileStore
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline.tables import LIBRARY_TABLES
from identity_pipeline_tests.curated_library import call, write_rides

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class Curated:
    """The rides of `curated_library`, in a Dagster instance."""

    def __init__(self, root: Path, instance: dg.DagsterInstance) -> None:
        self.root, self.instance = root, instance
        self.store: TableStore = write_rides(root)
        settings = SettingsResource.of(
            paths={"data": str(root / "data")},
            cluster={"merge_cos": 0.6},
            match={"pin_exclude": 0.25, "pin_suggest": 0.35, "pin_assign": 0.6},
        )
        self.defs = build_defs(settings)
        self.cursor: str | None = None

    def run(self) -> dg.ExecuteInProcessResult:
        job = self.defs.resolve_job_def("library")
        return job.execute_in_process(instance=self.instance, run_config=QUIET)

    def tick(self) -> int:
        """Runs that the sensor requests."""
        assert self.defs.resources
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            resources={name: self.defs.resources[name] for name in ("store", "settings")},
        ) as context:
            result = library_changed(context)
        if isinstance(result, dg.SkipReason):
            return 0
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor
        return len(result.run_requests or [])


@pytest.fixture
def curated(tmp_path: Path, instance: dg.DagsterInstance) -> Iterator[Curated]:
    yield Curated(tmp_path, instance)


def metadata_of(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, object]:
    for event in result.get_asset_materialization_events():
        if event.materialization.asset_key == dg.AssetKey(asset):
            return {k: v.value for k, v in event.materialization.metadata.items()}
    raise AssertionError(asset)


def checks_of(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {e.check_name: e.passed for e in result.get_asset_check_evaluations()}


def test_the_job_makes_every_table_of_one_generation_and_checks_it(curated: Curated) -> None:
    result = curated.run()
    assert result.success
    generation = Generations(curated.store.layout).current()
    assert generation is not None
    versions = {
        str(event.materialization.tags.get("dagster/data_version"))
        for event in result.get_asset_materialization_events()
        if event.asset_key and event.asset_key.path[-1] in LIBRARY_TABLES
    }
    assert versions == {generation.fingerprint[:16]}
    assert checks_of(result) == {
        "decisions_are_honoured": True,
        "every_video_is_read": True,
        "tracks_add_up": True,
        "thresholds_hold": True,
        "index_agrees": True,
        "known_consent": True,
    }
    assert "data:image/jpeg" in str(metadata_of(result, "unknown_clusters")["picture"]) or (
        metadata_of(result, "unknown_clusters")["picture"] == "nobody to show"
    )


def test_a_second_run_reuses_and_a_label_makes_a_new_generation_and_a_profile(
    curated: Curated,
) -> None:
    curated.run()
    assert metadata_of(curated.run(), "people")["reused"] is True
    call(curated.root, "label", "unknown_cluster_1", "--name", "Ada")
    result = curated.run()
    assert metadata_of(result, "people")["reused"] is False
    assert checks_of(result)["decisions_are_honoured"]
    people = Generations(curated.store.layout).open().table("people")
    assert people["name"].to_list() == ["Ada"]
    assert people["track_count"][0] >= 2
    assert "- Ada " in str(metadata_of(result, "identity_profiles")["people"])


def test_a_decision_that_is_not_yet_in_force_is_noticed(curated: Curated) -> None:
    curated.run()
    call(curated.root, "label", "unknown_cluster_1", "--name", "Ada")
    check = curated.defs.resolve_asset_graph()
    assert dg.AssetCheckKey(dg.AssetKey("person_assignments"), "decisions_are_honoured") in set(
        check.asset_check_keys
    )
    from identity_pipeline.stages.curation.decisions import contradicted

    wrong, lost = contradicted(LibraryStores.of(curated.store))
    assert wrong
    assert not lost
    curated.run()
    assert contradicted(LibraryStores.of(curated.store)) == ([], [])


def test_the_sensor_asks_once_per_change(curated: Curated) -> None:
    assert curated.tick() == 1
    assert curated.tick() == 0
    curated.run()
    assert curated.tick() == 0
    call(curated.root, "label", "unknown_cluster_1", "--name", "Ada")
    assert curated.tick() == 1
    assert curated.tick() == 0


def test_in_a_rush_finished_videos_are_gathered_but_decisions_are_not(curated: Curated) -> None:
    def add(job: str, status: dg.DagsterRunStatus, by: str) -> dg.DagsterRun:
        definition = curated.defs.resolve_job_def(job)
        return curated.instance.create_run_for_job(definition, status=status, tags={BY: by})

    def finish_one() -> None:
        """The folder's time changes, as with a table that is renamed into it."""
        folder = curated.store.layout.tables / "track_templates"
        os.utime(folder, ns=(0, folder.stat().st_mtime_ns + 1_000_000))

    assert curated.tick() == 1
    curated.run()
    add("library", dg.DagsterRunStatus.SUCCESS, "library_changed")
    video = add("per_video", dg.DagsterRunStatus.STARTED, "new_videos")
    finish_one()
    assert curated.tick() == 0
    call(curated.root, "label", "unknown_cluster_1", "--name", "Ada")
    assert curated.tick() == 1
    finish_one()
    assert curated.tick() == 0
    curated.instance.report_run_failed(video)
    assert curated.tick() == 1


def test_an_empty_library_is_no_error(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    defs = build_defs(SettingsResource.of(paths={"data": str(tmp_path / "data")}))
    job = defs.resolve_job_def("library")
    result = job.execute_in_process(instance=instance, run_config=QUIET)
    assert result.success
    assert metadata_of(result, "people")["people"] == 0


def test_a_profile_follows_its_person_and_leaves_with_it(curated: Curated) -> None:
    curated.run()
    call(curated.root, "label", "unknown_cluster_1", "--name", "Ada")
    curated.run()
    profiles = ProfileStore(curated.store.layout)
    (ada,) = profiles.all()
    assert (len(ada.sources), ada.sessions) == (2, 2)
    assert metadata_of(curated.run(), "identity_profiles")["sources_added"] == 0
    one = call(curated.root, "reject", "ride-b:1", "--person", "Ada")
    assert "Ada" in one
    assert metadata_of(curated.run(), "identity_profiles")["sources_withdrawn"] == 1
    call(curated.root, "undo", "last")
    call(curated.root, "undo", "1")
    assert metadata_of(curated.run(), "identity_profiles")["people"] == "nobody"


def test_settling_writes_nothing_twice(curated: Curated) -> None:
    curated.run()
    call(curated.root, "label", "ride-a:1", "--name", "Ada")
    call(curated.root, "label", "ride-a:2", "--name", "Bea")
    video = next(v for v in curated.store.videos_with("face_tracks") if v.startswith("ride-a"))
    for name in ("face_tracks", "track_templates"):  # both riders are one track now
        table = curated.store.read(name, video).with_columns(track_id=pl.lit(1, pl.Int64))
        if name == "track_templates":
            table = table.with_columns(track_key=pl.lit(f"track:{video}:1")).head(1)
        curated.store.write(name, video, table, "anew")
    curated.run()
    events = curated.store.layout.ledger.read_bytes()
    curated.run()
    assert curated.store.layout.ledger.read_bytes() == events
