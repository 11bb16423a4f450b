"""Which model of its camera a video keeps, and what is made of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from identity_pipeline.cli.main import cli
from identity_pipeline.core.faces.angles import in_frame
from identity_pipeline.settings import Settings
from identity_pipeline.stages.imagesets.curate import buckets_of, zeros_of
from identity_pipeline.stages.library.camera_renewal import UnknownVideoError, renew, renewals
from identity_pipeline.stages.planning.staleness import Models, Verdict, judge_video
from identity_pipeline.stages.specs.assets import VIDEO_SPECS
from identity_pipeline.stages.specs.cache_key import differences, key_parts
from identity_pipeline.stages.specs.learnt import digests_of
from identity_pipeline.stages.video.pinning import pin_to_be, pin_video
from identity_pipeline.storage.cameras.cameras import (
    CameraRecord,
    Cameras,
    CameraVersion,
    folder_of,
)
from identity_pipeline.storage.cameras.editions import EditionName
from identity_pipeline.storage.cameras.forgetting import forget_videos
from identity_pipeline.storage.cameras.pins import NOT_KNOWN, Pin, Pins, kept_models
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline.tables import IN_FRAME, TABLES

S = Settings()
READ_IT = {"riders", "face_buckets", "identity_dataset"}
DIGESTS = {name: name for name in ("face_pack", "perception", "vision")}


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    return TableStore(Layout(tmp_path))


def film(store: TableStore, video_id: str, *, made: bool = False) -> None:
    """A video of the camera without a name, before or behind its first step that reads a model."""
    row = {"video_id": video_id, "path": f"/f/{video_id}.mp4", "width": 640, "height": 360}
    video = pl.DataFrame([{**row, "warnings": []}], schema=TABLES["ride_video"])
    store.write("ride_video", video_id, video, "f")
    if made:
        store.write("riders", video_id, pl.DataFrame(schema=TABLES["riders"]), "f")


def learn(store: TableStore, name: str, yaw: float = 12.0) -> None:
    """A model of the camera: it looks past the riders by an angle."""
    whole = {
        "seat": None,
        "pose_source": "mesh",
        "yaw": yaw,
        "yaw_low": yaw - 1,
        "yaw_high": yaw + 1,
    }
    tables = {
        "camera_pose_zero": pl.DataFrame([whole], schema=TABLES["camera_pose_zero"]),
        "camera_seats": pl.DataFrame(schema=TABLES["camera_seats"]),
        "camera_reach": pl.DataFrame(schema=TABLES["camera_reach"]),
        "camera_members": pl.DataFrame(schema=TABLES["camera_members"]),
    }
    Cameras(store.layout).write_model(None, EditionName.parse(name), tables, {})


def known(store: TableStore, *videos: str, moved_at: int | None = None) -> None:
    """The record of the camera."""
    later = () if moved_at is None else (CameraVersion(2, moved_at, True, ("it was moved",)),)
    record = CameraRecord(None, videos, (CameraVersion(), *later))
    Cameras(store.layout).write_record(record)


def keeps(store: TableStore, video_id: str) -> str:
    return pin_video(store, S, video_id).pin.camera


def folder(store: TableStore) -> Path:
    return store.layout.camera_models(folder_of(None))


def test_a_video_keeps_what_held_when_it_was_made(store: TableStore) -> None:
    for video in ("a-1", "b-2", "c-3"):
        film(store, video)
    assert pin_to_be(store, S, "a-1").pin == NOT_KNOWN and Pins(store.layout).of("a-1") is None
    assert keeps(store, "a-1") == ""  # and that is kept, too
    known(store, "a-1")
    learn(store, "1.20")
    assert pin_to_be(store, S, "b-2").pin.camera == keeps(store, "b-2") == "1.20"
    learn(store, "1.40")
    again = TableStore(Layout(store.layout.root))  # as after a kill
    assert [keeps(again, v) for v in ("a-1", "b-2", "c-3")] == ["", "1.20", "1.40"]


def test_what_was_made_without_models_keeps_none(store: TableStore) -> None:
    film(store, "old-1", made=True)
    known(store, "old-1")
    learn(store, "1.20")
    assert pin_to_be(store, S, "old-1").pin == NOT_KNOWN
    assert keeps(store, "old-1") == ""


def test_only_where_a_model_is_kept_something_is_made_of_it() -> None:
    """Else each key is the one of before there were models, letter by letter."""
    versions = {name: name for name in VIDEO_SPECS}
    learnt = {"camera": dict.fromkeys(("camera_seats", "camera_pose_zero", "camera_reach"), "x")}
    for name, spec in VIDEO_SPECS.items():
        without = key_parts(spec, S, DIGESTS, versions)
        made = key_parts(spec, S, DIGESTS, versions, learnt=learnt)
        assert not {"camera", "ride"} & without.keys()
        assert without["inputs"].keys() == set(spec.inputs)
        assert (made != without) == (name in READ_IT)
    buckets = VIDEO_SPECS["face_buckets"]
    one = key_parts(buckets, S, DIGESTS, versions, learnt=learnt)
    other = key_parts(buckets, S, DIGESTS, versions, learnt={"camera": {"camera_pose_zero": "y"}})
    assert "riders" in one["inputs"]
    assert differences(one, other) == ["it keeps another model of its camera"]


def test_a_model_that_is_lost_or_damaged_is_said_and_no_other_is_taken(store: TableStore) -> None:
    film(store, "a-1")
    known(store, "a-1")
    learn(store, "1.20")
    keeps(store, "a-1")
    learn(store, "1.40")
    (folder(store) / "1.20" / "camera_pose_zero.parquet").write_bytes(b"?")
    with pytest.raises(DamagedFileError, match="camera renew"):
        pin_video(store, S, "a-1").editions()["camera"].table("camera_pose_zero")
    shutil.rmtree(folder(store) / "1.20")
    pinned = pin_video(store, S, "a-1")
    assert pinned.pin.camera == "1.20"
    with pytest.raises(DamagedFileError, match="it is missing"):
        digests_of(VIDEO_SPECS["riders"], pinned)
    store.layout.camera_pins(folder_of(None)).write_text("{")
    with pytest.raises(DamagedFileError, match=r"pins\.json"):
        keeps(store, "a-1")
    assert list(kept_models(store.layout)) == [""]


def test_a_plan_says_that_a_model_is_lost(store: TableStore) -> None:
    film(store, "a-1")
    known(store, "a-1")
    learn(store, "1.20")
    keeps(store, "a-1")
    shutil.rmtree(folder(store) / "1.20")
    spec = {"riders": VIDEO_SPECS["riders"]}
    bare = {**VIDEO_SPECS, **spec}
    judged = judge_video(store, S, Models(DIGESTS), "a-1", thorough=False, specs=bare)
    assert judged["riders"].verdict is Verdict.BLOCKED


def test_a_renewal_moves_the_videos_that_it_names_and_no_other(store: TableStore) -> None:
    videos = ("a-1", "b-2", "c-3", "d-4")
    for video in videos:
        film(store, video, made=video == "a-1")
    known(store, *videos, moved_at=3)
    learn(store, "1.20")
    Pins(store.layout).move(None, {"b-2": Pin("1.20"), "c-3": Pin("1.20")})
    assert keeps(store, "d-4") == ""  # the camera was moved: what was known holds no more
    learn(store, "1.40", yaw=13.0)
    learn(store, "2.20", yaw=-8.0)
    due = [(each.video_id, each.after.camera) for each in renewals(store, None)]
    assert due == [("a-1", "1.40"), ("b-2", "1.40"), ("c-3", "1.40"), ("d-4", "2.20")]
    before = {v: digests_of(VIDEO_SPECS["riders"], pin_video(store, S, v)) for v in videos}
    kept = kept_models(store.layout)
    assert [each.video_id for each in renew(store, S, None, ["b-2"])[0]] == ["b-2"]
    outdated = [v for v in kept if kept_models(store.layout)[v] != kept[v]]
    assert outdated == ["b-2"] and keeps(store, "b-2") == "1.40" and keeps(store, "c-3") == "1.20"
    assert before["a-1"] == digests_of(VIDEO_SPECS["riders"], pin_video(store, S, "a-1")) == {}
    renew(store, S, None)
    assert [keeps(store, v) for v in videos] == ["1.40", "1.40", "1.40", "2.20"]
    assert renewals(store, None) == []
    with pytest.raises(UnknownVideoError):
        renewals(store, None, ["z-9"])


def test_the_command_says_what_it_would_outdate_before_it_does(store: TableStore) -> None:
    film(store, "a-1", made=True)
    known(store, "a-1")
    learn(store, "1.20")
    call = ["camera", "renew", "unnamed", "--data", str(store.layout.root)]
    told = CliRunner().invoke(cli, [*call, "--dry-run"])
    assert told.exit_code == 0 and "a-1" in told.output and "would be outdated" in told.output
    assert Pins(store.layout).of("a-1") is None
    done = CliRunner().invoke(cli, call)
    assert "outdated now" in done.output and keeps(store, "a-1") == "1.20"
    assert "already" in CliRunner().invoke(cli, call).output


def test_a_forgotten_video_leaves_the_pins(store: TableStore) -> None:
    for video in ("a-1", "b-2"):
        film(store, video)
        keeps(store, video)
    forget_videos(Cameras(store.layout), {"a-1"})
    assert "a-1" not in store.layout.camera_pins(folder_of(None)).read_text()
    assert Pins(store.layout).of("b-2") is not None


def faces() -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """One rider before a camera that looks past them by 12 degrees; they look about."""
    rows = [
        {
            "face_id": f"{frame:06d}-0",
            "frame_idx": frame,
            "person_id": 0,
            "pose_source": "mesh" if frame < 30 else "points",
            "yaw": 12.0 + turn,
            "pitch": 1.0,
            "pitch_raw": 4.0 if frame < 30 else None,
            "pitch_level": 3.0 if frame < 30 else None,
        }
        for frame, turn in enumerate([0.0, -20.0, 20.0] * 10 + [0.0])
    ]
    landmarks = pl.DataFrame(rows, schema=TABLES["face_landmarks"])
    quality = pl.DataFrame([{"face_id": r["face_id"]} for r in rows], schema=TABLES["face_quality"])
    who = [{"track_id": 0, "person_id": 0, "reason": "rider"}]
    return landmarks, quality, pl.DataFrame(who, schema=TABLES["riders"])


def test_bins_are_of_the_head_and_not_of_the_lens(store: TableStore) -> None:
    landmarks, quality, riders = faces()
    learn(store, "1.20")
    model = Cameras(store.layout).edition(None, "1.20")
    binned = buckets_of(landmarks, quality, S, zeros=zeros_of(model, riders))
    assert binned["yaw_bin"][:3].to_list() == ["[-5,5)", "[-30,-15)", "[15,30)"]
    assert binned["yaw_zero"][0] == 12.0 and binned["yaw"][:3].to_list() == [0.0, -20.0, 20.0]
    other = binned.row(30, named=True)  # posed by something of which no zero is known
    assert other["yaw_bin"] == "[5,15)" and other["yaw"] is other["yaw_zero"] is None
    seen = in_frame(landmarks, binned)
    assert seen["yaw"].to_list() == [0.0, -20.0, 20.0] * 10 + [12.0]
    assert seen["yaw_camera"][0] == 12.0 and seen["yaw_camera"][30] is None
    anchors = seen.filter(pl.col("yaw").abs() <= S.selection.anchor_yaw_max).height
    assert anchors == 11 and landmarks.filter(pl.col("yaw").abs() <= 5).height == 0


def test_without_a_model_the_table_is_the_same_file(store: TableStore) -> None:
    landmarks, quality, _ = faces()
    binned = buckets_of(landmarks, quality, S)
    store.write("face_buckets", "a-1", binned, "f")
    store.write("face_buckets", "b-2", binned.drop(IN_FRAME).with_columns(
        pl.lit(None, dtype=pl.Float32).alias(c) for c in IN_FRAME), "f")  # fmt: skip
    one, other = (store.layout.tables / "face_buckets" / f"{v}.parquet" for v in ("a-1", "b-2"))
    assert one.read_bytes() == other.read_bytes()
    assert not set(IN_FRAME) & set(pl.read_parquet_schema(one))
    seen = in_frame(landmarks, binned)
    assert seen.select(landmarks.columns).equals(landmarks)
    assert seen["yaw_camera"].null_count() == seen.height
