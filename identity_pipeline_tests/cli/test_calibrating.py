"""`models calibrate` on rides without labels, and `models confusions` on a labelled library."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner, Result

from identity_pipeline.cli.main import cli
from identity_pipeline.core.matching.templates import build_templates
from identity_pipeline.models.cards import read_card
from identity_pipeline.models.face_pack import FacePack
from identity_pipeline.models.spaces import EmbeddingSpace
from identity_pipeline.settings import load_settings
from identity_pipeline.stages.library.pack_calibration import CalibrationError, centred_pack
from identity_pipeline.storage.files.hashing import sha256_of_file, sha256_of_value
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.crop_archive import part_in, write_part
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.core.test_pack_numbers import rides
from identity_pipeline_tests.curated_library import call, write_rides
from identity_pipeline_tests.models.test_centring import tiny_recogniser

SPACE = "mine/net@0123456789ab/64"


def invoke(root: Path, *arguments: str) -> Result:
    environment = {
        "COLUMNS": "200",
        "IDENTITY_PIPELINE__MODELS__FACE_PACK": str(root / "mine"),
        "IDENTITY_PIPELINE__MATCH__BOOTSTRAP_ROUNDS": "20",
    }
    return CliRunner().invoke(cli, [*arguments, "--data", str(root / "data")], env=environment)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Twenty rides in the space of a pack `mine` whose card carries no numbers."""
    store = TableStore(Layout(tmp_path / "data"))
    match = load_settings(models={"face_pack": "buffalo_l"}).match
    for video in rides(20):
        for name in ("embeddings", "quality", "tracks", "detections"):
            put(store, video.video_id, f"face_{name}", getattr(video, name))
        put(store, video.video_id, "riders", video.riders)
        put(store, video.video_id, "track_templates", build_templates(video, match).table)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "pack.json").write_text('{"licence": "ours", "more": 1}')
    return tmp_path


def put(store: TableStore, video_id: str, asset: str, table: pl.DataFrame) -> None:
    own = table.with_columns(space=pl.lit(SPACE)) if "space" in table.columns else table
    store.write(asset, video_id, own, "f")


def test_numbers_are_put_beside_the_pack_once_and_hold_from_then_on(root: Path) -> None:
    refused = invoke(root, "recluster")
    assert refused.exit_code != 0 and "models calibrate" in refused.output
    printed = invoke(root, "models", "calibrate", "--dry-run")
    lines = tomllib.loads(printed.output)
    assert "numbers" not in json.loads((root / "mine" / "pack.json").read_text())
    done = invoke(root, "models", "calibrate")
    assert done.exit_code == 0, done.output
    card = json.loads((root / "mine" / "pack.json").read_text())
    assert (card["licence"], card["more"]) == ("ours", 1)
    assert card["numbers"]["tracking.stitch_cos"] == lines["tracking"]["stitch_cos"]
    assert "40 tracklets of 20 rides" in card["provenance"]["tracking.stitch_cos"]
    again = invoke(root, "models", "calibrate")
    assert again.exit_code != 0 and "--replace" in again.output
    assert invoke(root, "models", "calibrate", "--replace").exit_code == 0
    assert invoke(root, "recluster").exit_code == 0


def test_numbers_of_the_detector_are_no_reason_to_refuse_and_stay(root: Path) -> None:
    path, of_detector = root / "mine" / "pack.json", {"models.det_score_min": 0.61}
    path.write_text(json.dumps({"numbers": of_detector, "provenance": "on ours"}))
    done = invoke(root, "models", "calibrate")
    assert done.exit_code == 0, done.output
    card = json.loads(path.read_text())
    assert card["numbers"].items() > of_detector.items()
    assert card["provenance"]["models.det_score_min"] == "on ours"


def test_numbers_that_ship_with_the_product_are_not_written_over(root: Path) -> None:
    for video in TableStore(Layout(root / "data")).videos_with("track_templates"):
        table = TableStore(Layout(root / "data")).read("track_templates", video)
        moved = table.with_columns(space=pl.lit("open/net@0123456789ab/64"))
        TableStore(Layout(root / "data")).write("track_templates", video, moved, "f")
    said = invoke(root, "models", "calibrate", "--models", "open")
    assert said.exit_code != 0 and "settings.toml" in said.output


def test_without_a_ride_of_the_pack_it_says_what_to_do(tmp_path: Path) -> None:
    write_rides(tmp_path)
    said = invoke(tmp_path, "models", "calibrate", "--dry-run")
    assert said.exit_code != 0 and "run your first rides" in said.output


class Colours(FacePack):
    """A pack whose recogniser gives the mean colour of a crop."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.name, self.sha256 = folder, folder.name, "f" * 64
        self.card = read_card(folder)

    @property
    def recogniser_file(self) -> Path:
        return self.folder / "net.onnx"

    space = EmbeddingSpace("mine/net", "0" * 64, 3)  # type: ignore[assignment]

    def features(self, aligned: Any) -> Any:
        return np.stack([np.asarray(crop, np.float32).mean(axis=(0, 1)) for crop in aligned])


@pytest.fixture
def with_crops(root: Path) -> Callable[[], tuple[TableStore, Colours]]:
    """The rides with crops of a colour for each person, about a common grey."""

    def make() -> tuple[TableStore, Colours]:
        store, rng = TableStore(Layout(root / "data")), np.random.default_rng(0)
        for video_id in store.videos_with("track_templates"):
            tracks = store.read("face_tracks", video_id)
            colours = {n: rng.uniform(100, 160, 3) for n in (0, 1)}
            rows = []
            for face, tracklet in tracks.select("face_id", "tracklet_id").iter_rows():
                own = np.clip(colours[tracklet] + rng.normal(0, 1, 3), 0, 255).astype(np.uint8)
                rows.append({"face_id": face, "aligned": np.full((112, 112, 3), own).tobytes()})
            folder = store.layout.crops(video_id)
            folder.mkdir(parents=True)
            write_part(part_in(folder, 0), rows)
        tiny_recogniser(root / "mine" / "net.onnx")
        (root / "mine" / "LICENCE").write_text("ours")
        return store, Colours(root / "mine")

    return make


def test_a_pack_with_a_centre_is_a_new_folder_with_its_own_numbers(
    root: Path, with_crops: Callable[[], tuple[TableStore, Colours]]
) -> None:
    files = {"net.onnx": "a" * 64, "LICENCE": sha256_of_value("ours")}
    of_detector = {"quality.strict_score": 0.66}
    card = {"files": files, "numbers": of_detector}
    (root / "mine" / "pack.json").write_text(json.dumps(card))
    store, pack = with_crops()
    settings = load_settings(models={"face_pack": str(root / "mine")})
    numbers = centred_pack(store, settings, pack, root / "ours")
    assert sorted(path.name for path in (root / "ours").iterdir()) == [
        "LICENCE",
        "net_centred.onnx",
        "pack.json",
    ]
    card = json.loads((root / "ours" / "pack.json").read_text())
    made = sha256_of_file(root / "ours" / "net_centred.onnx")
    assert card["files"] == {"LICENCE": files["LICENCE"], "net_centred.onnx": made}
    assert card["numbers"] == numbers.values | of_detector and card["made_from"]["pack"] == "mine"
    assert not load_settings(models={"face_pack": str(root / "ours")}).numbers.unknown
    with pytest.raises(CalibrationError, match="there already"):
        centred_pack(store, settings, pack, root / "ours")
    shutil.rmtree(store.layout.crops("ride-000"))
    with pytest.raises(CalibrationError, match="run the video again"):
        centred_pack(store, settings, pack, root / "other")


def test_a_space_like_arcface_gets_no_centre(
    root: Path, with_crops: Callable[[], tuple[TableStore, Colours]]
) -> None:
    store, pack = with_crops()
    settings = load_settings(models={"face_pack": str(root / "mine"), "arcface_like": True})
    with pytest.raises(CalibrationError, match="like ArcFace"):
        centred_pack(store, settings, pack, root / "ours")
    assert not (root / "ours").exists()


def test_the_closest_people_are_shown_by_name_with_groups_where_somebody_gave_them(
    tmp_path: Path,
) -> None:
    write_rides(tmp_path)
    for number, (place, name) in enumerate(
        {"ride-a:1": "Ada", "ride-a:2": "Bea", "ride-b:2": "Cy", "ride-d:1": "Dee"}.items()
    ):
        call(tmp_path, "label", place, "--name", name)
        if number == 0:
            call(tmp_path, "recluster")
            assert "pairs need two" in invoke(tmp_path, "models", "confusions").output
    call(tmp_path, "recluster")
    groups = tmp_path / "groups.csv"
    groups.write_text("person,group\nAda,one\nBea,one\nCy,other\nNobody,other\n")
    asked = ("models", "confusions", "--groups", str(groups), "--limit", "3")
    found = json.loads(invoke(tmp_path, *asked, "--json").output)
    assert len(found["pairs"]) == 3
    assert {name for pair in found["pairs"] for name in pair["names"]} <= {
        *("Ada", "Bea", "Cy", "Dee")
    }
    assert found["unknown"] == ["Nobody"]
    pairs = {curve["kind"]: curve["pairs"] for curve in found["curves"]}
    assert pairs == {"all": 6, "within one": 1, "across groups": 2}
    nearest = " and ".join(found["pairs"][0]["names"])
    told = CliRunner().invoke(cli, ["--data", str(tmp_path / "data"), "models"]).output
    assert f"Nearest of different people in the library: {nearest}" in " ".join(told.split())
    picture = tmp_path / "pairs.jpg"
    said = invoke(tmp_path, *asked, "--montage", str(picture)).output
    assert "taken for" in said and "within one" in said and picture.stat().st_size > 1000
    groups.write_text("group,person\none,Ada\none\n", encoding="utf-8-sig")  # a mark, a short line
    marked = json.loads(invoke(tmp_path, *asked, "--json").output)
    assert [curve["kind"] for curve in marked["curves"]] == ["all"] and not marked["unknown"]
    groups.write_text("name;group\n")
    refused = invoke(tmp_path, *asked)
    assert refused.exit_code != 0 and "person,group" in refused.output
