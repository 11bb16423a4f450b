"""Versions of a camera: a change begins one with its first video, and few videos know nothing."""

from __future__ import annotations

from functools import cache

import numpy as np
import polars as pl
import pytest

from identity_pipeline.core.camera.figures import camera_of, figures_of
from identity_pipeline.core.camera.normals import FIGURES, normals
from identity_pipeline.core.camera.reach import cells_of, lacking_words, reach
from identity_pipeline.core.camera.versions import (
    Version,
    another_picture,
    edition,
    member_rows,
    other_pictures,
)
from identity_pipeline.settings import BucketSettings, CameraSettings
from identity_pipeline.tables import TABLES, conform, empty
from identity_pipeline_tests.core.camera.park import sightings, versions_of

S, B = CameraSettings(), BucketSettings()


@cache
def history(count: int, change: str = "", at: int = 0) -> list[Version]:
    return versions_of(sightings(count, change, at), S)


def firsts(versions: list[Version]) -> list[str]:
    return [version.videos[0] for version in versions]


def test_a_camera_that_stays_is_one_version() -> None:
    (version,) = history(85)
    assert version.standing_still == version.videos and len(version.videos) == 85
    assert version.seats is not None


def test_a_bump_begins_a_version_with_its_first_video() -> None:
    before, after = history(85, "bumped", 45)
    assert firsts([before, after])[0] == "v0000"
    assert abs(int(after.videos[0][1:]) - 45) <= 1
    assert after.first == after.videos[0] and after.noticed in after.videos and after.moved
    assert [cause.kind for cause in after.causes] == ["bumped"]
    assert after.earlier == []
    assert edition(len(before.videos), S) == 40
    assert set(after.standing_still).isdisjoint(before.videos)


def test_another_light_leaves_pose_zero_and_seats_as_they_are() -> None:
    before, after = history(75, "exposure", 45)
    assert [cause.kind for cause in after.causes] == ["exposure"]
    assert after.standing_still[0] == "v0000" and not after.moved
    assert after.seats is not None and before.seats is not None
    assert after.seats.equals(before.seats)


def test_a_camera_that_changes_every_day_has_no_seats_to_go_wrong_by() -> None:
    for version in history(45, "daily"):
        assert version.seats is None or version.seats.is_empty()


def test_too_few_videos_make_no_model() -> None:
    (version,) = history(19)
    assert edition(len(version.videos), S) == 0 and version.seats is None


@pytest.mark.parametrize(
    ("videos", "made_of"),
    [(0, 0), (19, 0), (20, 20), (39, 20), (40, 40), (79, 40), (320, 320), (2000, 320)],
)
def test_a_model_is_made_anew_when_its_videos_have_doubled(videos: int, made_of: int) -> None:
    assert edition(videos, S) == made_of


def test_what_is_left_out_is_said_beside_what_counts() -> None:
    films = sightings(30)
    why = {"v0003": "it is of another ride: it does not follow the course of the others."}
    made_of = [each for each in films if each.video_id not in why][:20]
    members = conform("camera_members", member_rows(1, made_of, made_of, why))
    left = members.filter(pl.col("left_out").is_not_null())
    assert left.select("video_id", "left_out").rows() == list(why.items())
    counted = members.filter(pl.col("geometry"))
    assert counted.height == 20 and counted["data_version"].null_count() == 0


def test_a_picture_of_another_shape_is_of_another_camera() -> None:
    wide, tall = (1280, 720), (720, 1280)
    said = other_pictures({"v0": wide, "v1": (640, 360), "v2": tall, "v3": wide})
    assert list(said) == ["v2"] and "720 x 1280" in said["v2"]
    assert other_pictures({"v0": wide}) == other_pictures({}) == {}
    assert another_picture([wide, *[tall] * 20], S)
    assert not another_picture([wide, *[tall] * 19], S)
    assert not another_picture([tall] * 21, S)


# --- figures and usual values -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stem", "pattern", "camera"),
    [
        ("cam3_2026-05-01", r"^(cam[0-9]+)_", "cam3"),
        ("ride_7", r"^(cam[0-9]+)_", None),
        ("ride_7", "", None),
        ("_x", r"^(\w*?)_", None),
    ],
)
def test_the_camera_is_the_first_group_of_the_pattern(
    stem: str, pattern: str, camera: str | None
) -> None:
    assert camera_of(stem, pattern) == camera


def test_a_video_without_frames_or_faces_has_no_figures_but_no_error() -> None:
    (nothing,) = figures_of(
        empty("frames"), empty("face_detections"), empty("face_quality")
    ).to_dicts()
    assert set(nothing.values()) == {None, 0}


def test_figures_are_of_the_whole_and_of_each_phase() -> None:
    frames = pl.DataFrame(
        [{"frame_idx": k, "luma_mean": 10.0 * (k + 1), "sharpness": 5.0} for k in range(4)],
        schema=TABLES["frames"],
    )
    faces = pl.DataFrame(
        [{"face_id": str(k), "frame_idx": k, "score": 0.5 + k / 10} for k in (0, 1)],
        schema=TABLES["face_detections"],
    )
    quality = pl.DataFrame(
        [{"face_id": "0", "loose": True}, {"face_id": "1", "loose": False}],
        schema=TABLES["face_quality"],
    )
    phases = pl.DataFrame({"frame_idx": [0, 1, 2], "phase": ["dark", "boarding", None]})
    table = conform("camera_figures", figures_of(frames, faces, quality, phases))
    assert table["phase"].to_list() == [None, "boarding", "dark"]
    assert table["frames"].to_list() == [4, 1, 1]
    assert table["luma"].to_list() == [25.0, 20.0, 10.0]
    assert table["faces_per_frame"].to_list() == [0.5, 1.0, 1.0]
    assert table["usable_share"].to_list() == [0.5, 0.0, 1.0]


def test_usual_values_are_of_one_phase_and_never_of_another() -> None:
    rng, rows = np.random.default_rng(0), []
    for video in range(40):
        for phase, luma in ((None, 110), ("dark", 12), ("brake", 130)):
            if phase != "brake" or video < 5:
                rows.append({"video_id": f"v{video}", "phase": phase, "frames": 10,
                             "luma": luma * np.exp(rng.normal(0, 0.1))})  # fmt: skip
    figures = pl.DataFrame(rows, schema={"video_id": pl.String, **TABLES["camera_figures"]})
    table = conform("camera_normals", normals(figures, S))
    usual = {(r["figure"], r["phase"]): r["usual"] for r in table.iter_rows(named=True)}
    assert usual["luma", None] == pytest.approx(110, rel=0.05)
    assert usual["luma", "dark"] == pytest.approx(12, rel=0.05)
    for unknown in (("luma", "brake"), ("sharpness", None), ("luma", "lift")):
        assert usual.get(unknown) is None  # of five videos; never measured; of none
    dark = table.filter(pl.col("phase") == "dark", pl.col("figure") == "luma").row(0, named=True)
    assert dark["low"] < 9.5 and 15 < dark["high"] < 30
    assert set(table["figure"]) == set(FIGURES)


# --- reach --------------------------------------------------------------------------------------


def buckets(*faces: tuple[int, int | None, int | None, str, str]) -> pl.DataFrame:
    words = {-45: "[-45,-30)", 0: "[-5,5)", 15: "[5,15)", None: "beyond"}
    levels = {0: "neutral", 10: "slight-up", None: "unknown"}
    rows = [
        {"face_id": str(k), "frame_idx": k, "person_id": person, "yaw_key": yaw, "pitch_key": pitch,
         "yaw_bin": words[yaw], "pitch_bin": levels[pitch], "expression_bin": expression,
         "lighting_bin": light}
        for k, (person, yaw, pitch, expression, light) in enumerate(faces)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=TABLES["face_buckets"])


def test_a_rider_counts_once_in_a_cell_however_often_it_was_filled() -> None:
    smiles = buckets(*[(0, 0, 0, "smile", "normal")] * 50, (1, 15, 10, "neutral", "dark"))
    cells = pl.concat(cells_of(f"v{k}", smiles) for k in range(15))
    table = conform("camera_reach", reach(cells, B))
    told = {
        (axis, cell): counts
        for axis, cell, *counts in table.select("axis", "cell", "riders", "of_riders").iter_rows()
    }
    assert told["pose", "yaw0_pitch0"] == [15, 30]
    assert told["expression", "smile"] == told["lighting", "dark"] == [15, 30]
    assert told["yaw", "[-45,-30)"] == [0, 30]
    assert len(told) == 7 * 5 + 7 + 5 + 4 + 3
    assert lacking_words(table, "yaw", "[-45,-30)", S) == (
        "never reached here by anyone (0 of 30 riders, so at most 11% do)"
    )
    assert lacking_words(table, "expression", "smile", S) == (
        "reached by 50% of riders here (33% to 67%, of 30)"
    )


def test_what_is_beyond_or_unknown_is_no_cell_and_who_reached_nothing_is_a_rider() -> None:
    nothing = buckets((0, None, None, "unknown", "unknown"), (1, 0, None, "smile", "normal"))
    cells = pl.concat(cells_of(f"v{k}", nothing) for k in range(2))
    table = reach(cells, B)
    assert set(table["of_riders"]) == {4}
    assert table.filter(pl.col("axis") == "pose")["riders"].sum() == 0
    assert table.filter(pl.col("axis") == "yaw")["riders"].sum() == 2
    assert lacking_words(table, "yaw", "[-5,5)", S) == (
        "who reaches it here is not known (4 riders are too few)"
    )
    assert reach(cells.clear(), B)["low"].null_count() == table.height
