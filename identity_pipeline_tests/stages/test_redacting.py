"""A ride of two, of whom one is forgotten: nothing of them is stored, the other keeps theirs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from identity_pipeline.core.geometry import Box
from identity_pipeline.core.privacy.redaction import Redaction
from identity_pipeline.media.crops import Region, decode_image
from identity_pipeline.settings import Settings
from identity_pipeline.stages.privacy.redacting import note_redaction, redact_video
from identity_pipeline.stages.specs.cache_key import fingerprint
from identity_pipeline.stages.video.footage import WantedFrame, footage_of
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.video.crop_archive import CropArchive
from identity_pipeline.storage.video.redactions import Redactions, digest_of
from identity_pipeline_tests.small_ride import FACES, SmallRide, write_ride

GREY = 128


@dataclass(frozen=True)
class FaceAt:
    frame_idx: int
    box: tuple[float, float, float, float]
    track_id: int | None


def faces_of(ride: SmallRide, track: int) -> list[FaceAt]:
    table = ride.store.read("face_detections", ride.video_id)
    own = table.filter(pl.col("face_id").str.ends_with(f"-{track}"))
    return [
        FaceAt(row["frame_idx"], (row["x1"], row["y1"], row["x2"], row["y2"]), track)
        for row in own.iter_rows(named=True)
    ]


@pytest.fixture
def ride(tmp_path: Path) -> SmallRide:
    made = write_ride(tmp_path)
    for name in ("frames", "face_detections", "face_crops"):
        made.store.note_made_of(name, made.video_id, {"asset": name})
    return made


def forget(ride: SmallRide, track: int) -> Redaction:
    return note_redaction(ride.store.layout, ride.video_id, faces_of(ride, track))


def test_nothing_of_them_is_stored_and_the_other_keeps_everything(ride: SmallRide) -> None:
    before = ride.store.read("face_detections", ride.video_id)
    redaction = forget(ride, 0)
    done = redact_video(ride.store, Settings(), ride.video_id)
    assert done.faces == 8 and done.outputs == 2 and done.bytes > 0
    left = ride.store.read("face_detections", ride.video_id)
    assert left.equals(before.filter(pl.col("face_id").str.ends_with("-1")))
    assert ride.store.read("frames", ride.video_id)["face_count"].to_list() == [1] * 8
    archive = ride.store.crops(ride.video_id)
    assert [face for face, _ in archive.aligned(None)] == left["face_id"].to_list()
    for later in ("face_tracks", "face_quality"):
        assert not ride.store.layout.table(later, ride.video_id).exists()
        assert ride.store.noted(later, ride.video_id) is None
    for name in ("frames", "face_detections", "face_crops"):
        noted = ride.store.noted(name, ride.video_id)
        wanted = {"asset": name, "redaction": digest_of(redaction)}
        assert noted and noted.fingerprint == fingerprint(wanted)
    again = redact_video(ride.store, Settings(), ride.video_id)
    assert (again.faces, again.outputs) == (0, 0)
    assert ride.store.read("face_detections", ride.video_id).equals(left)


def test_in_the_others_crops_the_forgotten_face_is_painted_over(ride: SmallRide) -> None:
    archive = CropArchive(ride.store.layout.crops(ride.video_id))
    columns = ["aligned", "region_jpeg", "region_x", "region_y", "region_scale"]
    before = {row["face_id"]: row for row in archive.rows(None, columns)}
    beside = Box(185, 80, 225, 130)
    somebody = [FaceAt(n, tuple(beside), 5) for n in range(8)]
    note_redaction(ride.store.layout, ride.video_id, somebody)
    done = redact_video(ride.store, Settings(), ride.video_id)
    assert done.faces == 0
    changed = 0
    for row in archive.rows(None, columns):
        region = Region(
            decode_image(row["region_jpeg"]),
            row["region_x"], row["region_y"], row["region_scale"],
        )  # fmt: skip
        x1, y1, x2, y2 = (round(v) for v in region.to_region(beside))
        part = region.bgr[max(0, y1) : max(0, y2), max(0, x1) : max(0, x2)]
        if part.size:
            changed += 1
            assert abs(part.astype(int) - GREY).max() < 12
        else:
            assert row == before[row["face_id"]]
    assert done.painted == changed == 8


def test_no_frame_that_is_read_again_shows_them(ride: SmallRide) -> None:
    forget(ride, 0)
    redact_video(ride.store, Settings(), ride.video_id)
    left = ride.store.read("face_detections", ride.video_id).row(3, named=True)
    box = Box(*FACES[1])
    wanted = [WantedFrame(left["frame_idx"], {left["face_id"]: box})]
    ((_, frame),) = footage_of(ride.store, ride.video_id, Settings()).proved(wanted)
    assert isinstance(frame, np.ndarray), "the frame is proved although it was painted"
    x1, y1, x2, y2 = FACES[0]
    assert (frame[y1:y2, x1:x2] == GREY).all()


def test_a_redaction_that_was_changed_is_refused(ride: SmallRide) -> None:
    forget(ride, 0)
    path = ride.store.layout.redaction(ride.video_id)
    assert path.stat().st_mode & 0o077 == 0
    record = json.loads(path.read_text())
    record["paths"] = []
    path.write_text(json.dumps(record))
    with pytest.raises(DamagedFileError, match="not what was written"):
        redact_video(ride.store, Settings(), ride.video_id)


def test_two_forgettings_of_one_ride_hide_both(ride: SmallRide) -> None:
    forget(ride, 0)
    redact_video(ride.store, Settings(), ride.video_id)
    both = forget(ride, 1)
    assert len(both.paths) == 2
    redact_video(ride.store, Settings(), ride.video_id)
    assert ride.store.read("face_detections", ride.video_id).is_empty()
    assert not ride.store.crops(ride.video_id).count()
    assert Redactions(ride.store.layout).of(ride.video_id) == both
