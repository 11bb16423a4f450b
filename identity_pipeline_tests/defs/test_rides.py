"""The ride of a camera in Dagster: twenty videos make its template, the next one has phases."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from identity_pipeline.definitions import build_defs
from identity_pipeline.defs.instance.partitions import videos
from identity_pipeline.defs.resources.resources import SettingsResource
from identity_pipeline.storage.cameras.cameras import RIDE, CameraRecord, Cameras
from identity_pipeline.storage.folder.data_folder import claim_data_folder
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline.tables import TABLES, conform
from identity_pipeline_tests.core.ride.rides import OTHER_TRACK, any_train, ride, seconds_off
from identity_pipeline_tests.library import QUIET
from identity_pipeline_tests.storage.small_library import put

COARSE = {"step_s": 0.4}
"""Half of the usual points: what is stated here does not hang on them."""


class Site:
    """A data folder of one camera, and the jobs of its code location."""

    def __init__(self, root: Path, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.store = TableStore(Layout(root))
        self.cameras = Cameras(self.store.layout)
        claim_data_folder(self.store.layout)
        self.defs = build_defs(SettingsResource.of(paths={"data": str(root)}, ride=COARSE))

    def film(self, video: str, frames: pl.DataFrame) -> str:
        """Writes the tables of a video that the ride is told by."""
        source = {"video_id": video, "path": f"/{video}.mp4", "width": 1280, "height": 720}
        put(self.store, "ride_video", video, [{**source, "warnings": []}])
        table = frames.select(
            pl.col(name) if name in frames.columns else pl.lit(None, dtype=dtype).alias(name)
            for name, dtype in TABLES["frames"].items()
        )
        self.store.write("frames", video, conform("frames", table), "f")
        record = self.cameras.record(None) or CameraRecord(None)
        self.cameras.write_record(CameraRecord(None, (*record.videos, video)))
        return video

    def phases(self, video: str) -> dg.AssetCheckEvaluation:
        """Materialises the phases of a video; the check."""
        self.instance.add_dynamic_partitions(str(videos.name), [video])
        ran = self._run("per_video", video, "ride_phases", "ride_course")
        checks = ran.get_asset_check_evaluations()
        (found,) = (check for check in checks if check.check_name == "follows_its_ride")
        return found

    def template(self) -> dict[str, object]:
        """Materialises the template; what is said of the camera."""
        ran = self._run("library", None, "ride_template")
        (made,) = ran.get_asset_materialization_events()
        cameras = made.materialization.metadata["cameras"]
        assert isinstance(cameras, dg.TableMetadataValue)
        (camera,) = cameras.records
        return dict(camera.data)

    def _run(self, job: str, video: str | None, *assets: str) -> dg.ExecuteInProcessResult:
        return self.defs.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            partition_key=video,
            asset_selection=[dg.AssetKey(asset) for asset in assets],
            run_config=QUIET,
        )


@pytest.fixture
def site(tmp_path: Path, instance: dg.DagsterInstance) -> Site:
    return Site(tmp_path / "data", instance)


@pytest.mark.slow
def test_twenty_videos_teach_the_phases_of_the_next_and_tell_a_foreign_one(site: Site) -> None:
    first = [site.film(f"ride-{n:08d}", ride(any_train(n), n).frames) for n in range(19)]
    assert site.phases(first[0]).passed
    before = site.store.read("ride_phases", first[0])
    assert before["phase"].null_count() == before.height > 0
    assert site.store.read("ride_course", first[0])["state"].to_list() == ["not_known"]
    assert "not known yet: 19 of the 20" in str(site.template()["ride"])

    site.film("foreign-0001", ride(any_train(1), 1, track=OTHER_TRACK, course=3).frames)
    site.film("ride-00000019", ride(any_train(19), 19).frames)
    told = site.template()
    assert told["ride"] == "The ride of this camera is known, of 20 videos."
    assert str(told["other_rides"]).startswith("foreign-0001: It does not follow the ride")
    assert [str(name) for name in site.cameras.editions(None, RIDE)] == ["1.20"]
    assert site.template()["made_now"] == "nothing"

    seen = ride(any_train(100), 100)
    assert site.phases(site.film("ride-00000100", seen.frames)).passed
    found = site.store.read("ride_phases", "ride-00000100")
    moving = {"brake": "ride"}
    off = seconds_off(
        [moving.get(name, name) for name in found["phase"]],
        [moving.get(name, name) for name in seen.phases],
    )
    assert max(off.values()) <= 1.0
    other = ride(any_train(2), 2, track=OTHER_TRACK, course=3).frames
    warned = site.phases(site.film("foreign-0002", other))
    assert not warned.passed and warned.severity is dg.AssetCheckSeverity.WARN
    assert "standard deviations off" in (warned.description or "")
    assert "data:image/svg+xml" in str(warned.metadata["course"].value)
    assert site.store.read("ride_phases", "foreign-0002")["phase"].null_count() == other.height

    site.phases(first[0])
    assert site.store.read("ride_phases", first[0]).equals(before), "what is done stays as it is"

    whole = site.cameras.edition(None, "1.20", RIDE)
    (whole.folder / "ride_track.parquet").write_bytes(b"damaged")
    assert site.template()["made_now"] == "1.20"
    mended = site.cameras.edition(None, "1.20", RIDE)
    mended.check()
    assert mended.digests == whole.digests
