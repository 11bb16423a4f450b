"""Cameras in Dagster: each video says what it sees of its camera, and twenty make a model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from identity_pipeline.core.camera.versions import Sighting
from identity_pipeline.definitions import build_defs
from identity_pipeline.defs.instance.partitions import videos
from identity_pipeline.defs.resources.resources import SettingsResource
from identity_pipeline.settings import Settings
from identity_pipeline.stages.library.camera_watch import look
from identity_pipeline.storage.cameras.cameras import Cameras, folder_of
from identity_pipeline.storage.cameras.editions import EditionName
from identity_pipeline.storage.cameras.forgetting import forget_videos
from identity_pipeline.storage.folder.data_folder import claim_data_folder
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.core.camera.park import sightings
from identity_pipeline_tests.library import QUIET, reused_assets
from identity_pipeline_tests.made_up_cameras import film, order_of
from identity_pipeline_tests.storage.small_library import put

VIEW = ("camera_places", "camera_votes", "camera_figures")
CHECK = "like_its_camera"


class Site:
    """A data folder, and the jobs of its code location."""

    def __init__(self, root: Path, instance: dg.DagsterInstance) -> None:
        self.root, self.instance = root, instance
        self.store = TableStore(Layout(root))
        self.cameras = Cameras(self.store.layout)
        claim_data_folder(self.store.layout)
        self.defs = build_defs(SettingsResource.of(paths={"data": str(root)}))

    def run(self, job: str, video: str | None, *assets: str) -> dg.ExecuteInProcessResult:
        """Materialises assets, of a video or of all."""
        return self.defs.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            partition_key=video,
            asset_selection=[dg.AssetKey(asset) for asset in assets],
            run_config=QUIET,
        )

    def check(self, video: str) -> dg.AssetCheckEvaluation:
        """Makes the check of a video and nothing else."""
        self.instance.add_dynamic_partitions(str(videos.name), [video])
        job = self.defs.resolve_job_def("per_video").get_subset(
            asset_selection=set(),
            asset_check_selection={dg.AssetCheckKey(dg.AssetKey("camera_places"), CHECK)},
        )
        ran = job.execute_in_process(instance=self.instance, partition_key=video, run_config=QUIET)
        (found,) = ran.get_asset_check_evaluations()
        return found

    def seen(self, films: Iterable[Sighting]) -> None:
        """What the check does, without Dagster around it."""
        for each in films:
            look(self.store, Settings(), film(self.store, each))

    def model(self) -> tuple[bool, str]:
        """Materialises the model; whether there was nothing to do, and what is said of it."""
        (made,) = self.run("library", None, "camera_model").get_asset_materialization_events()
        told = made.materialization.metadata
        (camera,) = told["cameras"].records
        return bool(told["reused"].value), str(camera.data["model"])


@pytest.fixture
def site(tmp_path: Path, instance: dg.DagsterInstance) -> Site:
    return Site(tmp_path / "data", instance)


def write_inputs(store: TableStore, video: str, light: float = 100.0) -> None:
    """The tables of a video of one rider, as the steps before leave them."""
    frames = range(40)
    boxes = {"x1": 500.0, "y1": 200.0, "x2": 620.0, "y2": 340.0}
    face = [{"face_id": f"{n:06d}-0", "frame_idx": n} for n in frames]
    put(store, "ride_video", video, [
        {"video_id": video, "path": "/f.mp4", "width": 1280, "height": 720, "warnings": []}
    ])  # fmt: skip
    put(store, "ride_phases", video, [])
    put(store, "frames", video, [
        {"frame_idx": n, "timestamp_ms": 100.0 * n, "luma_mean": light, "sharpness": 90.0}
        for n in frames
    ])  # fmt: skip
    put(store, "face_detections", video, [{**f, **boxes, "score": 0.8} for f in face])
    put(store, "face_tracks", video, [{**f, "track_id": 1} for f in face])
    put(store, "face_quality", video, [{**f, "loose": True} for f in face])
    put(store, "face_landmarks", video, [])


def test_a_video_says_what_it_sees_of_its_camera(site: Site) -> None:
    video = "ride-00000001"
    write_inputs(site.store, video)
    site.instance.add_dynamic_partitions(str(videos.name), [video])
    ran = site.run("per_video", video, *VIEW)
    checks = {c.check_name: c for c in ran.get_asset_check_evaluations() if c.check_name == CHECK}
    assert checks[CHECK].passed
    assert checks[CHECK].description == (
        "As the 0 videos of the camera without a name before it; too few to tell a change."
    )
    places, votes, figures = (site.store.read(name, video) for name in VIEW)
    assert places.select("track_id", "faces").rows() == [(1, 40)] and votes.is_empty()
    assert places["x"][0] == pytest.approx(560 / 720)
    assert figures.select("phase", "luma", "usable_share").rows() == [(None, 100.0, 1.0)]
    assert set(reused_assets(site.run("per_video", video, *VIEW)).values()) == {True}
    alone = site.run("per_video", video, "camera_votes")
    assert set(reused_assets(alone)) == {"camera_votes"}, "one may be made without the others"
    assert order_of(site.cameras, None) == [video]


def test_a_video_unlike_its_camera_warns_with_its_picture(site: Site) -> None:
    *before, seen = sightings(13)
    site.seen(before)
    assert site.check(film(site.store, seen)).passed
    dark = seen.figures.with_columns(luma=pl.lit(1.0))
    site.store.write("camera_figures", seen.video_id, dark, "f")
    found = site.check(seen.video_id)
    assert not found.passed and found.severity is dg.AssetCheckSeverity.WARN
    assert "Median luma 1, usually" in (found.description or "")
    picture = str(found.metadata["figures"].value)
    assert picture.startswith("![") and "data:image/svg+xml;base64," in picture
    assert found.metadata["videos_before"].value == 12


def test_twenty_videos_make_a_model_and_the_next_is_made_at_forty(site: Site) -> None:
    films = sightings(41)
    site.seen(films[:19])
    assert site.model() == (True, "not known yet (19 of 20 videos)")
    assert site.cameras.model(None) is None
    site.check(film(site.store, films[19]))
    assert site.model() == (False, "is of 20 videos, 20 known; made anew at 40")
    first = site.cameras.model(None)
    assert first is not None and str(first.name) == "1.20"
    zero = first.table("camera_pose_zero").row(0, named=True)
    assert zero["yaw"] == pytest.approx(12, abs=2) and zero["videos"] == 20
    assert set(first.table("camera_seats")["kind"]) >= {"seat"}
    ahead = first.table("camera_reach").filter(pl.col("axis") == "yaw", pl.col("cell") == "[-5,5)")
    assert ahead["riders"][0] > 30, "of the person and the camera: they look 12 degrees aside"
    assert first.table("camera_normals")["usual"].null_count() == 0
    assert first.table("camera_members")["video_id"].to_list() == [f"v{k:04d}" for k in range(20)]
    site.check(film(site.store, films[20]))
    assert site.model() == (True, "is of 20 videos, 21 known; made anew at 40")
    assert site.cameras.editions(None) == [first.name]
    damaged(site, first.name)
    mended = site.cameras.model(None)
    assert mended is not None and dict(mended.digests) == dict(first.digests)
    forgotten(site, films[3].video_id)


def damaged(site: Site, name: EditionName) -> None:
    """A model that is damaged is made anew, byte for byte."""
    folder = site.store.layout.camera_models(folder_of(None)) / str(name)
    (folder / "camera_seats.parquet").write_bytes(b"x")
    assert site.model()[0] is False
    assert site.model()[0] is True


def forgotten(site: Site, video: str) -> None:
    """A video that is forgotten leaves the list of a model, and the model as it is."""
    before = site.cameras.model(None)
    forget_videos(site.cameras, [video])
    assert site.model() == (True, "is of 20 videos, 20 known; made anew at 40")
    after = site.cameras.model(None)
    assert before is not None and after is not None
    assert video not in after.table("camera_members")["video_id"].to_list()
    changed = {file for file in before.digests if before.digests[file] != after.digests[file]}
    assert changed == {"camera_members.parquet"}


def test_a_video_of_another_ride_counts_for_no_camera(site: Site) -> None:
    *others, last = sightings(21)
    put(site.store, "ride_course", last.video_id, [{"state": "other_ride", "sentence": "No."}])
    site.seen([last, *others[:19]])
    assert site.check(last.video_id).description == (
        "It does not count for its camera, of which little is known: No."
    )
    assert site.model()[1] == "not known yet (19 of 20 videos)"
    site.seen(others[19:])
    assert site.model()[1] == "is of 20 videos, 20 known; made anew at 40"
    found = site.cameras.model(None)
    assert found is not None
    members = found.table("camera_members").filter(pl.col("left_out").is_not_null())
    assert members.select("video_id", "left_out").rows() == [(last.video_id, "No.")]


def test_a_camera_that_is_turned_every_day_has_neither_seats_nor_zero(site: Site) -> None:
    site.seen(
        replace(seen, votes=seen.votes.with_columns(yaw=pl.col("yaw") + 25 * (number // 5 % 2)))
        for number, seen in enumerate(sightings(21, "daily"))
    )
    assert site.model()[1] == "is of 20 videos, 21 known; made anew at 40"
    found = site.cameras.model(None)
    assert found is not None and found.table("camera_seats").is_empty()
    assert found.table("camera_pose_zero")["yaw"].to_list() == [None]
