"""Proof of every re-cut image: it shows the frame that was analysed, or is left out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from identity_pipeline.core.imagesets.candidates import box_of
from identity_pipeline.core.imagesets.frame_ledger import build_ledger, conservation_errors
from identity_pipeline.core.privacy.redaction import Redaction
from identity_pipeline.media.errors import VideoError
from identity_pipeline.models.face_pack import FacePack
from identity_pipeline.settings import ModelSettings, Settings
from identity_pipeline.stages.imagesets.dataset import (
    Dataset,
    VideoTables,
    write_dataset,
)
from identity_pipeline.stages.imagesets.provenance import Provenance
from identity_pipeline.stages.progress.protocol import Progress, silent
from identity_pipeline.stages.specs.exported import (
    LEFT_OUT,
    export_is_whole,
    exported_rows,
    files_of,
    not_shown,
    shown_sets,
)
from identity_pipeline.stages.video.footage import Footage, WantedFrame
from identity_pipeline.storage.video.crop_archive import CropArchive
from identity_pipeline.tables import SET_ASSETS
from identity_pipeline_tests.conftest import BUNDLED, OPEN
from identity_pipeline_tests.exports import described_images, said_of_rider
from identity_pipeline_tests.exports import images_of as images_of_export
from identity_pipeline_tests.library import DET_SIZE, VideoLibrary, digest_of_tree

RIDE = "demo_solo"
SOURCE = BUNDLED / "rides" / f"{RIDE}.mp4"


def tables_of(demo: VideoLibrary) -> VideoTables:
    names = (
        "ride_video", "frames", "face_detections", "face_tracks", "riders", "candidates",
        "selection", "moments",
    )  # fmt: skip
    video, store = demo.video_id(RIDE), demo.store
    shown = {n: exported_rows(store, n, video, demo.table(n, RIDE)) for n in SET_ASSETS}
    sets = {name: table.head(3) for name, table in shown.items()}
    return VideoTables(*(demo.table(name, RIDE) for name in names), sets=sets)


def export(
    demo: VideoLibrary,
    target: Path,
    tables: VideoTables,
    crops: CropArchive | None = None,
    progress: Progress = silent,
    **settings: dict[str, Any],
) -> Dataset:
    """The export of the demo ride as these tables would have it."""
    video_id = demo.video_id(RIDE)
    source = tables.ride_video.drop("video_id", "path").row(0, named=True)
    source["name"] = SOURCE.name
    provenance = Provenance(video_id, source, (), "vision", "faces", "0", "0")
    crops = crops or demo.store.crops(video_id)
    pack = FacePack(ModelSettings(face_pack=str(OPEN), device="cpu"))
    used = Settings(export={"checks": ("320",), **settings.get("export", {})})  # type: ignore[arg-type]
    hidden = Redaction()
    return write_dataset(target, SOURCE, tables, crops, pack, provenance, used, hidden, progress)


def images_of(folder: Path) -> dict[str, str]:
    digests = digest_of_tree(folder)
    return {name: digests[name] for name in images_of_export(folder)}


@pytest.fixture(scope="module")
def sound(demo: VideoLibrary, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export to which nothing happened."""
    folder = tmp_path_factory.mktemp("sound") / "export"
    assert not export(demo, folder, tables_of(demo)).left_out
    return folder


@pytest.mark.parametrize("shift", [1, 2, 30])
def test_stamps_that_lead_to_other_frames_change_no_image(
    demo: VideoLibrary, sound: Path, tmp_path: Path, shift: int
) -> None:
    tables = tables_of(demo)
    step = int(tables.frames["pts"].diff().drop_nulls().mode()[0]) // 3
    wrong = replace(tables, frames=tables.frames.with_columns(pl.col("pts") + shift * step))
    done = export(demo, tmp_path / "export", wrong)
    assert not done.left_out
    assert images_of(tmp_path / "export") == images_of(sound)


def test_a_frame_without_faces_is_sought_only_where_seeking_finds_the_others(
    demo: VideoLibrary,
) -> None:
    tables, video_id = tables_of(demo), demo.video_id(RIDE)
    step = int(tables.frames["pts"].diff().drop_nulls().mode()[0]) // 3
    face = tables.face_detections.row(40, named=True)
    wanted = [WantedFrame(30, {}), WantedFrame(face["frame_idx"], {face["face_id"]: box_of(face)})]

    def shown(frames: pl.DataFrame, asked: list[WantedFrame]) -> dict[int, bytes]:
        footage = Footage(SOURCE, frames, demo.store.crops(video_id), Settings(), Redaction())
        return {n: np.asarray(frame).tobytes() for n, frame in footage.proved(asked)}

    right = shown(tables.frames, wanted)
    assert len(right) == 2
    wrong = tables.frames.with_columns(pl.col("pts") + step)
    assert shown(wrong, wanted) == right
    assert shown(wrong, wanted[:1]) == {0: right[0]}  # nothing vouches for seeking: it is counted


def test_an_image_of_another_frame_is_left_out_and_the_others_are_sound(
    demo: VideoLibrary, sound: Path, tmp_path: Path
) -> None:
    tables = tables_of(demo)
    victim, other = tables.sets["anchor_set"]["face_id"].to_list()[:2]
    crops = exchanged(demo, tmp_path / "crops", victim, other)
    done = export(demo, tmp_path / "export", tables, crops)
    (image,) = done.left_out
    assert image.code == "other_picture" and "run it again" in image.sentence
    assert [face.face_id for face in image.faces] == [victim]
    found, whole = images_of(tmp_path / "export"), images_of(sound)
    assert found == {name: digest for name, digest in whole.items() if name != image.file}

    before, after = said_of_rider(sound), said_of_rider(tmp_path / "export")
    assert after["anchor_count"] == before["anchor_count"] - 1
    assert after["total_saved"] == before["total_saved"] - 1 == len(found)
    assert [entry["file"] for entry in after["left_out"]] == [image.file]
    manifest = json.loads((tmp_path / "export" / "manifest.json").read_text())
    assert [entry["face_ids"] for entry in manifest["left_out"]] == [[victim]]
    assert {f["file"] for f in manifest["files"]} >= found.keys()
    page = (tmp_path / "export" / "index.html").read_text()
    assert "1 image was chosen and is left out" in page and image.file in page

    (row,) = done.files.filter(pl.col("type") == LEFT_OUT).iter_rows(named=True)
    assert row["file"] == image.file and row["left_out"].startswith("other_picture: ")
    assert row["sha256"] is None
    assert export_is_whole(tmp_path / "export", done.files)
    assert files_of(done.files).height == done.files.height - 1


def exchanged(demo: VideoLibrary, folder: Path, victim: str, other: str) -> CropArchive:
    """The crops of the ride with the region of one face in the place of another's."""
    shutil.copytree(demo.store.layout.crops(demo.video_id(RIDE)), folder)
    crops = CropArchive(folder)
    regions = {row["face_id"]: row["region_jpeg"] for row in crops.rows(None, ["region_jpeg"])}
    for part in crops.parts:
        table = pl.read_parquet(part)
        swapped = [
            regions[other] if face == victim else region
            for face, region in table.select("face_id", "region_jpeg").iter_rows()
        ]
        replaced = table.with_columns(pl.Series("region_jpeg", swapped, dtype=pl.Binary))
        part.unlink()
        replaced.write_parquet(part, compression="lz4")
    return crops


def test_a_frame_that_is_not_there_any_more_costs_its_image_alone(
    demo: VideoLibrary, sound: Path, tmp_path: Path
) -> None:
    tables = tables_of(demo)
    moved = (
        tables.sets["coverage_set"]
        .with_row_index()
        .with_columns(frame_idx=pl.when(pl.col("index") == 0).then(10**6).otherwise("frame_idx"))
    )
    sets = {**tables.sets, "coverage_set": moved.drop("index")}
    last = tables.frames.tail(1).with_columns(
        frame_idx=pl.lit(10**6, dtype=pl.Int64), pts=pl.col("pts") + 10**9
    )
    tables = replace(tables, sets=sets, frames=pl.concat([tables.frames, last]))
    done = export(demo, tmp_path / "export", tables)
    assert [image.code for image in done.left_out] == ["frame_not_found"]
    assert len(images_of(tmp_path / "export")) == len(images_of(sound)) - 1


def test_another_file_in_the_place_of_the_one_analysed_is_refused(
    demo: VideoLibrary, tmp_path: Path
) -> None:
    tables = tables_of(demo)
    other = tables.ride_video.with_columns(sha256=pl.lit("0" * 64))
    with pytest.raises(VideoError, match=r"changed: .* another file .* put the old one back"):
        export(demo, tmp_path / "export", replace(tables, ride_video=other))
    assert not (tmp_path / "export").exists()


@pytest.fixture
def tampered(demo: VideoLibrary, tmp_path: Path) -> Iterator[tuple[VideoLibrary, str]]:
    """A copy of the demo's folder in which one face's region is another's, by all its records."""
    tables = tables_of(demo)
    victim, other = tables.sets["anchor_set"]["face_id"].to_list()[:2]
    root = tmp_path / "data"
    shutil.copytree(demo.root, root, symlinks=True)
    for opened in VideoLibrary.open(root, OPEN, BUNDLED / "vision", DET_SIZE):
        video_id = opened.video_id(RIDE)
        place = opened.store.layout.crops(video_id)
        shutil.rmtree(place)
        crops = exchanged(demo, place, victim, other)
        noted = opened.store.noted("face_crops", video_id)
        assert noted is not None
        changed = replace(noted, data_version=crops.data_version())
        opened.store.note("face_crops", video_id, changed)
        yield opened, victim


def test_dagster_counts_what_is_left_out_and_warns(
    tampered: tuple[VideoLibrary, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    library, victim = tampered
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    overrides = {"export": {"jpeg_quality": 90}}
    before = set(library.table("identity_dataset", RIDE).drop_nulls("left_out")["face_id"])
    result = library.run(SOURCE, overrides=overrides, assets=["identity_dataset"])
    assert result.success
    (made,) = result.asset_materializations_for_node("identity_dataset")
    assert made.metadata["left_out"].value == len(before) + 1
    assert "picture/person_0" in made.metadata  # its contact sheet
    checks = {e.check_name: e for e in result.get_asset_check_evaluations()}
    warned = checks["every_image_is_proved"]
    assert not warned.passed and warned.severity.value == "WARN"
    assert checks["export_is_complete"].passed
    table = library.table("identity_dataset", RIDE)
    assert set(table.drop_nulls("left_out")["face_id"]) == before | {victim}
    anchors = library.table("anchor_set", RIDE)
    there = exported_rows(library.store, "anchor_set", library.video_id(RIDE), anchors)
    assert set(anchors["face_id"]) - set(there["face_id"]) - before == {victim}


BESIDE = "000027-1"
"""A face of the ride above which somebody in the row behind looks into the picture."""


def one_image(demo: VideoLibrary, other: str | None) -> VideoTables:
    """A coverage set of `BESIDE` alone, of which another face may be the same moment."""
    tables = tables_of(demo)
    whole = demo.table("coverage_set", RIDE)
    row = demo.table("candidates", RIDE).filter(pl.col("face_id") == BESIDE)
    chosen = whole.head(1).with_columns(
        row[name].alias(name) for name in whole.columns if name in row.columns
    )
    sets = {name: whole.clear() for name in SET_ASSETS} | {"coverage_set": chosen}
    moments = tables.moments.with_columns(
        moment_id=pl.when(pl.col("face_id").is_in([BESIDE, other])).then(-1).otherwise("moment_id"),
        rank=pl.when(pl.col("face_id") == BESIDE).then(1).otherwise(2),
    )
    return replace(tables, sets=sets, moments=moments)


def free_face(demo: VideoLibrary) -> str:
    """The best face of the ride that is seconds away from `BESIDE`."""
    faces = demo.table("candidates", RIDE).filter(
        (pl.col("standing") == "candidate") & (pl.col("timestamp_ms") > 5000) & pl.col("strict")
    )
    return str(faces.sort("picture_score", descending=True)["face_id"][0])


def ledger_of(tables: VideoTables, files: pl.DataFrame) -> pl.DataFrame:
    shown = shown_sets(tables.sets, files, tables.observed)
    faces = (tables.face_detections, tables.face_tracks, tables.riders, tables.observed)
    lacking = not_shown(tables.sets, files)
    table = build_ledger(*faces, tables.selection, shown, lacking, Settings())
    assert conservation_errors(table, tables.face_detections, tables.frames, shown) == []
    return table


def test_another_face_of_the_moment_is_shown_where_the_chosen_one_is_not_alone(
    demo: VideoLibrary, tmp_path: Path
) -> None:
    other = free_face(demo)
    tables = one_image(demo, other)
    done = export(demo, tmp_path / "export", tables)
    assert not done.left_out
    (row,) = done.files.filter(pl.col("type") == "coverage").iter_rows(named=True)
    assert (row["face_id"], row["stands_for"]) == (other, BESIDE)
    assert row["instead_of"].startswith("second_face: ")
    ((path, meta),) = described_images(tmp_path / "export")
    assert path == tmp_path / "export" / row["file"]
    mine = tables.observed.filter(pl.col("face_id") == other)
    assert (meta["face_id"], meta["stands_for"]) == (other, BESIDE)
    assert (meta["frame_idx"], meta["yaw_bin"]) == (mine["frame_idx"][0], mine["yaw_bin"][0])
    assert meta["stable_score"] == pytest.approx(mine["stable_score"][0], abs=1e-4)
    assert meta["novelty_score"] is None
    ledger = ledger_of(tables, done.files)
    states = dict(ledger.select("face_id", "state").iter_rows())
    assert (states[other], states[BESIDE]) == ("saved", "not_croppable")
    (told,) = ledger.filter(pl.col("face_id") == BESIDE).iter_rows(named=True)
    assert told["reason"] == "second_face" and told["rival_face_id"] == other


def test_without_a_stand_in_it_is_left_out_and_says_why(demo: VideoLibrary, tmp_path: Path) -> None:
    tables = one_image(demo, None)
    done = export(demo, tmp_path / "export", tables)
    (image,) = done.left_out
    assert image.code == "second_face" and "320" in image.sentence
    told = ledger_of(tables, done.files).filter(pl.col("face_id") == BESIDE)
    assert told["state"].to_list() == ["not_croppable"]


def test_a_stand_in_keeps_its_distance_to_the_riders_other_images(
    demo: VideoLibrary, tmp_path: Path
) -> None:
    other = free_face(demo)
    tables = one_image(demo, other)
    near = demo.table("anchor_set", RIDE).head(1)
    row = tables.observed.filter(pl.col("face_id") == other)
    near = near.with_columns(row[name].alias(name) for name in near.columns if name in row.columns)
    done = export(
        demo, tmp_path / "export", replace(tables, sets={**tables.sets, "anchor_set": near})
    )
    assert [image.code for image in done.left_out] == ["second_face"]


def test_a_stand_in_for_an_anchor_is_as_far_from_the_other_anchors_as_they_are(
    demo: VideoLibrary, tmp_path: Path
) -> None:
    other = free_face(demo)
    tables = one_image(demo, other)
    faces = tables.observed
    at = faces.filter(pl.col("face_id") == other)["timestamp_ms"][0]
    away = (pl.col("timestamp_ms") - at).abs()
    # Far enough for images of two sets, and too near for two anchors.
    near = faces.filter(away.is_between(500, 1400), pl.col("standing") == "candidate", "strict")
    chosen = tables.sets["coverage_set"].with_columns(image=pl.lit("anchor_001"))
    row = near.sort("picture_score", descending=True).head(1)
    second = chosen.with_columns(row[n].alias(n) for n in chosen.columns if n in row.columns)
    second = second.with_columns(image=pl.lit("anchor_002"), rank=pl.lit(2, pl.Int64))
    sets = {**tables.sets, "coverage_set": chosen.clear()}
    for beside, lacking in (("anchor_set", ["second_face"]), ("challenge_set", [])):
        shown = sets | {"anchor_set": chosen}
        shown[beside] = pl.concat([shown[beside], second])
        done = export(demo, tmp_path / beside, replace(tables, sets=shown))
        assert [image.code for image in done.left_out] == lacking


def test_an_export_that_breaks_off_leaves_the_old_one(
    demo: VideoLibrary, sound: Path, tmp_path: Path
) -> None:
    target = tmp_path / "export"
    shutil.copytree(sound, target)
    before = digest_of_tree(target)

    def stop(stage: str, done: int, total: int | None, unit: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(demo, target, tables_of(demo), progress=stop)
    assert digest_of_tree(target) == before
    assert [path.name for path in tmp_path.iterdir()] == ["export"]


def test_small_images_are_marked_or_left_out_as_asked(demo: VideoLibrary, tmp_path: Path) -> None:
    tables = tables_of(demo)
    few = {name: table.head(1) for name, table in tables.sets.items()}
    tables = replace(tables, sets={**few, "challenge_set": few["challenge_set"].clear()})
    wanted: dict[str, Any] = {"min_side_px": 1000}  # the frame is lower than that
    marked = export(demo, tmp_path / "marked", tables, export=wanted)
    metas = [meta for _, meta in described_images(tmp_path / "marked")]
    assert metas and all(meta["below_min_side"] for meta in metas)
    rider = said_of_rider(tmp_path / "marked")
    assert rider["images_below_min_side"] == len(metas)
    assert not marked.left_out
    dropped = export(
        demo, tmp_path / "out", tables, export=wanted | {"below_min_side": "leave_out"}
    )
    assert {image.code for image in dropped.left_out} == {"below_min_side"}
    assert not images_of(tmp_path / "out")
