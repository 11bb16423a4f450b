"""What is kept of cameras: read as it was written, or refused; and emptied of a video."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from identity_pipeline.storage.cameras.cameras import (
    CameraRecord,
    Cameras,
    CameraVersion,
    folder_of,
)
from identity_pipeline.storage.cameras.editions import EditionName, EditionNameError
from identity_pipeline.storage.cameras.forgetting import forget_videos
from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.layout import Layout
from identity_pipeline.tables import TABLES
from identity_pipeline_tests.made_up_cameras import order_of

FIRST = EditionName(1, 20, 20)


@pytest.fixture
def cameras(tmp_path: Path) -> Cameras:
    return Cameras(Layout(tmp_path))


def reach(riders: int = 3) -> pl.DataFrame:
    row = {"axis": "yaw", "cell": "[-5,5)", "riders": riders, "of_riders": 9, "low": 0.1}
    return pl.DataFrame([row], schema=TABLES["camera_reach"])


def members(*videos: str) -> pl.DataFrame:
    rows = [{"version": 1, "video_id": video, "geometry": True} for video in videos]
    return pl.DataFrame(rows, schema=TABLES["camera_members"])


def with_model(cameras: Cameras, name: EditionName = FIRST) -> None:
    tables = {"camera_reach": reach(), "camera_members": members("v-1", "v-2", "v-3")}
    cameras.write_model("cam", name, tables, {"of": ["v-1", "v-2"], "usual": {"v-2": 3, "x": 1}})


def test_cameras_are_kept_apart_whatever_their_names(cameras: Cameras, tmp_path: Path) -> None:
    names = ["", "../cam-1", "Cam 1", "cam-1", "unnamed"]
    for number, name in enumerate((*names, None)):
        cameras.write_record(CameraRecord(name, (f"v-{number}",)))
    assert cameras.names() == [None, *names]
    assert [order_of(cameras, name) for name in names] == [[f"v-{n}"] for n in range(5)]
    assert {path.parent.parent for path in tmp_path.rglob("order.json")} == {tmp_path / "cameras"}


def test_the_model_in_force_is_of_the_present_camera(cameras: Cameras) -> None:
    assert cameras.model("cam") is None and cameras.versions("cam").is_empty()
    seen = tuple(f"v-{n}" for n in range(99))
    lens = CameraVersion(2, 40, False, ("the lens is dirtier",), "v-46")
    bump = CameraVersion(3, 70, True, ("the camera was moved",), "v-77")
    for name in (FIRST, EditionName(1, 40, 40)):
        with_model(cameras, name)
    for versions, name in (
        ((CameraVersion(),), "1.40"),
        ((CameraVersion(), lens), "1.40"),  # pose zero and seats go on
        ((CameraVersion(), lens, bump), None),
    ):
        cameras.write_record(CameraRecord("cam", seen, versions))
        assert str(cameras.in_force("cam")) == str(name)
    assert cameras.versions("cam")["first_video"].to_list() == ["v-0", "v-40", "v-70"]
    with_model(cameras, EditionName(2, 80, 20))
    assert [str(name) for name in cameras.editions("cam")] == ["1.20", "1.40", "2.80-20"]
    found = cameras.edition("cam", "2.80-20")
    assert found is not None and found.table("camera_reach").equals(reach())
    with pytest.raises(EditionNameError):
        cameras.edition("cam", "../1.20")


@pytest.mark.parametrize("file", ["camera_reach.parquet", "about.json", "manifest.json", "."])
def test_what_is_not_what_was_written_is_refused(cameras: Cameras, file: str) -> None:
    with_model(cameras)
    path = cameras.layout.camera_models(folder_of("cam")) / "1.20" / file
    atomic.remove(path) if file == "." else path.write_bytes(path.read_bytes()[:-9] + b"123456789")
    with pytest.raises(DamagedFileError):
        found = cameras.edition("cam", "1.20")
        assert found is not None
        found.check()


def test_a_damaged_record_is_told_and_hides_no_other_camera(cameras: Cameras) -> None:
    for name in ("cam", "other"):
        cameras.write_record(CameraRecord(name, ("v-1",)))
    cameras.layout.camera_order(folder_of("cam")).write_text('{"camera": "other"}')
    assert cameras.names() == ["other"]
    assert list(cameras.damaged()) == [folder_of("cam")]
    with pytest.raises(DamagedFileError):
        order_of(cameras, "cam")


def test_a_video_that_is_forgotten_leaves_no_trace_and_outdates_nothing(cameras: Cameras) -> None:
    with_model(cameras)
    bump = CameraVersion(2, 1, True, ("the camera was moved",), "v-2")
    cameras.write_record(CameraRecord("cam", ("v-1", "v-2", "v-3"), (CameraVersion(), bump)))
    before = cameras.edition("cam", "1.20")
    assert forget_videos(cameras, ["v-2", "v-9"])
    after = cameras.edition("cam", "1.20")
    assert before is not None and after is not None
    assert after.table("camera_members")["video_id"].to_list() == ["v-1", "v-3"]
    assert after.about == {"of": ["v-1"], "usual": {"x": 1}}
    assert after.digest("camera_reach") == before.digest("camera_reach")
    assert cameras.versions("cam").select("first_video", "noticed").rows() == [
        ("v-1", None),
        ("v-3", None),
    ]
    assert not [p for p in cameras.layout.root.rglob("*.json") if b"v-2" in p.read_bytes()]
    assert forget_videos(cameras, ["v-2"]) == []


def test_what_a_killed_writer_left_goes_with_the_next_one(cameras: Cameras) -> None:
    models = cameras.layout.camera_models(folder_of("cam"))
    (models / f"{atomic.TEMPORARY_MARK}1.40-1@000000-00000000").mkdir(parents=True)
    with_model(cameras)
    assert [path.name for path in models.iterdir()] == ["1.20"]


def test_what_is_damaged_is_forgotten_as_a_whole(cameras: Cameras) -> None:
    with_model(cameras)
    cameras.write_record(CameraRecord("cam", ("v-1", "v-2")))
    model = cameras.layout.camera_models(folder_of("cam")) / "1.20"
    (model / "camera_members.parquet").write_bytes(b"x")
    watch = cameras.layout.camera_watch(folder_of("cam"))
    watch.write_bytes(b"x")
    forget_videos(cameras, ["v-2"])
    assert not model.exists() and not watch.exists()
    assert order_of(cameras, "cam") == ["v-1"]


def test_a_record_that_is_not_what_was_written_is_refused_and_one_of_before_gets_its_hash(
    tmp_path: Path,
) -> None:
    cameras, record = Cameras(Layout(tmp_path)), CameraRecord(None, ("v1", "v2"))
    cameras.write_record(record)
    path = cameras.layout.camera_order("unnamed")
    written = path.read_bytes()
    path.write_bytes(written.replace(b"v1", b"v3"))
    with pytest.raises(DamagedFileError, match="was recorded"):
        cameras.record(None)
    told = json.loads(written)
    path.write_text(json.dumps({**told, "sha256": None}), encoding="utf-8")
    with pytest.raises(DamagedFileError, match="but None was recorded"):
        cameras.record(None)
    del told["sha256"]
    path.write_text(json.dumps(told), encoding="utf-8")
    assert cameras.record(None) == record
    cameras.write_record(record)
    assert path.read_bytes() == written
