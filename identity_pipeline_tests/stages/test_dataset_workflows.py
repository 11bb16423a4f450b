"""Layouts of conditioning workflows and viewers, each read back as its consumer reads it."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cv2
import numpy as np
import polars as pl
import pytest
from pycocotools.coco import COCO
from rerun.chunk import RrdReader

from identity_pipeline.media.crops import decode_image
from identity_pipeline.stages.datasets.layouts import LAYOUTS
from identity_pipeline.stages.datasets.layouts.workflows.coco import attributes
from identity_pipeline.stages.datasets.layouts.workflows.references import by_view, in_order
from identity_pipeline.stages.datasets.layouts.workflows.rerun_recording import (
    MissingExtraError,
    NoRideError,
)
from identity_pipeline.stages.datasets.pictures import Dataset, Source, parts_of
from identity_pipeline_tests.comfyui_nodes import NODES, faults_of_api, faults_of_canvas
from identity_pipeline_tests.pictures import ADA, BEN, RIDE, RIDES, picture, turned

NODES_OF = ("instantid", "pulid", "faceid", "infiniteyou")


def write(root: Path, name: str, data: Dataset) -> dict[str, tuple[str, ...]]:
    """What a layout wrote, after looking whether it says so truly."""
    files = LAYOUTS[name].write(root, data)
    assert files.keys() == {one.key for one in data.pictures}
    for place in (place for places in files.values() for place in places):
        assert (root / place).is_file(), place
    assert LAYOUTS[name].usage(data).strip()
    return files


def of_two(name: str, count: int = 3) -> Dataset:
    """Pictures of two people, fit for every consumer of a layout."""
    shown = [*turned([3.0] * count), *turned([3.0] * count, BEN)]
    keys = frozenset(one.key for one in shown)
    return Dataset([ADA, BEN], shown, fit=dict.fromkeys(parts_of(LAYOUTS[name]), keys))


def test_comfyui_can_run_the_workflows_and_finds_every_picture(tmp_path: Path) -> None:
    """Against the inputs, choices and ranges that the nodes' code declares."""
    data = of_two("comfyui")
    alone = frozenset({f"{ADA.slug}_001", f"{BEN.slug}_001"})
    write(tmp_path, "comfyui", replace(data, fit={**data.fit, "infiniteyou": alone}))
    names = {f"{person.slug}-{node}.json" for person in (ADA, BEN) for node in NODES_OF}
    assert {path.name for path in (tmp_path / "workflows").glob("*.json")} == names
    for name in names:
        canvas = json.loads((tmp_path / "workflows" / name).read_text("utf-8"))
        api = json.loads((tmp_path / "workflows" / "api" / name).read_text("utf-8"))
        assert faults_of_canvas(canvas) == []
        assert faults_of_api(api) == []
        assert api == as_api(canvas)
        folder = Path(name).stem
        loaded = [n["inputs"]["image"] for n in api.values() if n["class_type"] == "LoadImage"]
        there = sorted((tmp_path / "input" / folder).iterdir())
        assert loaded == [f"{folder}/{path.name}" for path in there]
        assert batch_size(api) == len(there) == (1 if folder.endswith("infiniteyou") else 3)


def as_api(canvas: Mapping[str, Any]) -> dict[str, Any]:
    """What ComfyUI's canvas sends for its own graph: widgets by the order of the declaration."""
    links = {link[0]: link for link in canvas["links"]}
    sent = {}
    for node in canvas["nodes"]:
        widgets = iter(node["widgets_values"])
        inputs = {name: next(widgets) for name in NODES[node["type"]].canvas_widgets}
        assert not list(widgets)
        for name in ("control_after_generate", "upload"):
            inputs.pop(name, None)
        for one in node["inputs"]:
            if one["link"] is not None:
                _, origin, slot, *_ = links[one["link"]]
                inputs[one["name"]] = [str(origin), slot]
        title = {"title": node.get("title", node["type"])}
        sent[str(node["id"])] = {"class_type": node["type"], "inputs": inputs, "_meta": title}
    return sent


def batch_size(api: Mapping[str, Any]) -> int:
    """How many pictures arrive at the node, each once and in the order of their numbers."""
    types = {"ApplyInstantID", "ApplyPulid", "IPAdapterFaceID", "ExtractIDEmbedding"}
    (node,) = (node for node in api.values() if node["class_type"] in types)

    def arriving(link: Sequence[Any]) -> list[str]:
        origin = api[link[0]]
        if origin["class_type"] == "LoadImage":
            return [origin["inputs"]["image"]]
        assert origin["class_type"] == "ImageBatch"
        both = (origin["inputs"]["image1"], origin["inputs"]["image2"])
        return [path for one in both for path in arriving(one)]

    found = arriving(node["inputs"]["image"])
    assert found == sorted(set(found))
    return len(found)


def test_a_node_that_can_take_nothing_gets_no_folder_and_the_first_picture_is_calm(
    tmp_path: Path,
) -> None:
    shown = [
        picture(
            1,
            measured={"yaw": 1.0, "pitch": 0.0},
        ),
        picture(2, measured={"yaw": 40.0, "pitch": 0.0}),
        replace(picture(3, measured={"yaw": 9.0, "pitch": 2.0}), role="anchor"),
    ]
    shown[:2] = [replace(one, role="coverage") for one in shown[:2]]
    keys = [one.key for one in shown]
    fit = {"instantid": frozenset(keys), "pulid": frozenset()}
    files = write(tmp_path, "comfyui", Dataset([ADA], shown, fit=fit))
    assert [files[key][0][-6:] for key in keys] == ["02.jpg", "03.jpg", "01.jpg"]
    assert [path.name for path in (tmp_path / "input").iterdir()] == ["ada-sol-instantid"]


def test_every_beginning_of_the_references_is_a_short_list_with_views(tmp_path: Path) -> None:
    shown = turned([-40.0, 3.0, 25.0, None, -20.0, 2.0, 0.0, 30.0, 8.0])
    assert [one.rank for one in in_order(shown)] == [2, 1, 3, 4, 5, 6, 7, 8, 9]
    files = write(tmp_path, "references", Dataset([ADA], shown))
    for count in (1, 3, 8):
        names = sorted(path.name for path in (tmp_path / "ada-sol" / f"best-{count}").iterdir())
        assert names == [f"{n:02d}.jpg" for n in range(1, count + 1)]
    mosaic = decode_image((tmp_path / "mosaics" / "ada-sol.jpg").read_bytes())
    assert mosaic.shape == (1536, 1536, 3)
    assert all("mosaics/ada-sol.jpg" in places for places in files.values())
    rows = by_view(shown, 3)
    assert sorted(one.rank for row in rows for one in row) == list(range(1, 10))
    turns = [[one.measured["yaw"] for one in row] for row in rows]
    assert {row[0] for row in turns} <= {-40.0, -20.0, None, 0.0}
    assert {25.0, 30.0} <= {row[2] for row in turns}


def test_few_references_make_a_smaller_mosaic_or_none(tmp_path: Path) -> None:
    for count, side in ((3, None), (4, 1024)):
        root = tmp_path / str(count)
        write(root, "references", Dataset([ADA], turned([0.0] * count)))
        mosaic = root / "mosaics" / "ada-sol.jpg"
        assert mosaic.exists() == (side is not None)
        if side is not None:
            assert cv2.imread(str(mosaic)).shape[:2] == (side, side)  # pyright: ignore[reportOptionalMemberAccess]


def test_pycocotools_reads_boxes_and_the_person_is_an_attribute(tmp_path: Path) -> None:
    shown = [picture(1), replace(picture(2, person=BEN), split="validation")]
    write(tmp_path, "coco", Dataset([ADA, BEN], shown, captions={"ada-sol_001": "a face"}))
    for one in shown:
        coco = COCO(str(tmp_path / "annotations" / f"instances_{one.split}.json"))
        assert [kind["name"] for kind in coco.loadCats(coco.getCatIds())] == ["face"]
        (image,) = coco.loadImgs(coco.getImgIds())
        said: dict[str, Any] = dict(coco.loadAnns(coco.getAnnIds())[0])
        stored = cv2.imread(str(tmp_path / "images" / one.split / image["file_name"]))
        assert stored is not None
        assert stored.shape == (image["height"], image["width"], 3)
        x, y, width, height = said["bbox"]
        assert (x, y) == pytest.approx(one.face[:2], abs=0.01)
        assert said["area"] == pytest.approx(width * height, rel=1e-3)
        assert said["attributes"]["person"] == one.person.name
        assert said["attributes"]["yaw"] == 4.0
        assert "occlusion" not in said["attributes"]
        assert "keypoints" not in said
    framed = picture(1, measured={"yaw_camera": 17.0, "pitch_camera": -13.0})
    told = {"yaw": 4.0, "yaw_camera": 17.0, "pitch": -3.0, "pitch_camera": -13.0}
    assert told.items() <= attributes(framed).items()


@dataclass
class Sample:
    """Of FiftyOne's Sample what a script of ten lines touches."""

    filepath: str
    tags: list[str] = field(default_factory=list)
    detections: list[dict[str, Any]] = field(default_factory=list)


class Imported:
    """A dataset as FiftyOne's COCO importer documents it: `data/` and `labels.json`, boxes relative
    to the picture, what stands beside them as attributes."""

    def __init__(self, folder: Path) -> None:
        coco = COCO(str(folder / "labels.json"))
        known = {"id", "image_id", "category_id", "bbox", "area", "segmentation", "iscrowd"}
        self.samples: list[Sample] = []
        for image in coco.loadImgs(coco.getImgIds()):
            sample = Sample(str(folder / "data" / image["file_name"]))
            assert Path(sample.filepath).is_file()
            for said in coco.loadAnns(coco.getAnnIds(imgIds=[image["id"]])):
                x, y, width, height = said["bbox"]
                box = (x / image["width"], y / image["height"])
                box += (width / image["width"], height / image["height"])
                label = coco.cats[said["category_id"]]["name"]
                extra = {name: value for name, value in said.items() if name not in known}
                sample.detections.append({"label": label, "bounding_box": box, **extra})
            self.samples.append(sample)

    def iter_samples(self, *, autosave: bool) -> list[Sample]:
        assert autosave
        return self.samples


def test_the_script_loads_the_folder_as_fiftyone_documents_its_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FiftyOne is not installed: its COCO importer is written here from its documentation."""
    shown = [picture(1), replace(picture(2, person=BEN), variant="look_2", role="coverage")]
    write(tmp_path, "fiftyone", Dataset([ADA, BEN], shown))

    def from_dir(*, dataset_dir: str, dataset_type: object, label_types: str) -> Imported:
        assert (dataset_type, label_types) == ("COCODetectionDataset", "detections")
        return Imported(Path(dataset_dir))

    fake = ModuleType("fiftyone")
    vars(fake).update(
        types=SimpleNamespace(COCODetectionDataset="COCODetectionDataset"),
        Dataset=SimpleNamespace(from_dir=from_dir),
    )
    monkeypatch.setitem(sys.modules, "fiftyone", fake)
    loaded = runpy.run_path(str(tmp_path / "load.py"))["people"].samples
    assert [sample.tags for sample in loaded] == [
        ["ada-sol", "train", "anchor", "ride"],
        ["ben", "train", "coverage", "look_2", "ride"],
    ]
    (face,) = loaded[1].detections
    assert (face["label"], face["person"], face["look"]) == ("face", "Ben", "look_2")
    assert all(0 < share < 1 for share in face["bounding_box"])


class OneRide:
    """Tables of a ride of four frames: the person in three of them, a bystander in one."""

    def __init__(self, *ahead: float | None) -> None:
        self.ahead = ahead or (None, None)

    def table(self, source_id: str, asset: str) -> pl.DataFrame:
        assert source_id == RIDE.source_id
        ids = ["000000-0", "000001-0", "000001-1", "000003-0"]
        frames = [0, 1, 1, 3]
        box = {"x1": [10.0] * 4, "y1": [20.0] * 4, "x2": [50.0] * 4, "y2": [80.0] * 4}
        times = [100.0 * frame for frame in frames]
        return {
            "frames": pl.DataFrame(
                {"frame_idx": range(6), "timestamp_ms": [100.0 * n for n in range(6)]}
            ),
            "face_detections": pl.DataFrame(
                {"face_id": ids, "frame_idx": frames, "timestamp_ms": times, **box}
            ),
            "face_tracks": pl.DataFrame({"face_id": ids, "track_id": [7, 7, 2, 7]}),
            "face_quality": pl.DataFrame({"face_id": ids, "quality_score": [0.5, 0.6, 0.1, 0.7]}),
            "identity_stability": pl.DataFrame(
                {"face_id": ids, "stable_score": [0.9, None, None, 0.8]}
            ),
            "face_landmarks": pl.DataFrame(
                {"face_id": ids[:2], "yaw": [1.0, 2.0], "pitch": [0.0, 0.0]}
            ),
            "face_buckets": pl.DataFrame(
                {"face_id": ids[:2], "yaw": self.ahead, "pitch": self.ahead},
                schema_overrides={"yaw": pl.Float32, "pitch": pl.Float32},
            ),
            "riders": pl.DataFrame({"track_id": [2, 7], "person_id": [None, 0]}),
        }[asset]

    def video(self, source_id: str) -> Path:
        return RIDES / "demo_solo.mp4"


def test_reruns_own_reader_finds_video_boxes_curves_and_moments(tmp_path: Path) -> None:
    shown = [
        replace(picture(1), face_id="000003-0", timestamp_ms=300.0),
        picture(2, source=Source("photos-ada-00000000", "photos", "cd" * 32, None, "human")),
    ]
    files = LAYOUTS["rerun"].write(tmp_path, Dataset([ADA], shown, rides=OneRide()))
    place = f"recordings/{RIDE.source_id}.rrd"
    assert files == {shown[0].key: (place,)}
    (recording,) = RrdReader(tmp_path / place).recordings()
    assert recording.recording_id == RIDE.source_id
    assert RrdReader(tmp_path / place).blueprints()
    rows: dict[str, list[Any]] = {}
    for chunk in RrdReader(tmp_path / place).stream().to_chunks():
        key = chunk.entity_path + (" static" if chunk.is_static else "")
        rows.setdefault(key, []).append(chunk.to_record_batch())
    (asset,) = rows["/ride static"]
    assert bytes(np.asarray(asset["AssetVideo:blob"][0][0].as_py(), np.uint8)) == (
        (RIDES / "demo_solo.mp4").read_bytes()
    )
    assert rows["/ride"][0].num_rows == 540
    (boxes,) = rows["/ride/track_7"]
    assert [time.value / 1_000_000 for time in boxes["ride_time"]] == [0, 100, 200, 300, 400]
    half = boxes["Boxes2D:half_sizes"].to_pylist()
    assert half == [[[20.0, 30.0]], [[20.0, 30.0]], [], [[20.0, 30.0]], []]
    assert rows["/ride/track_7 static"][0]["Boxes2D:labels"].to_pylist() == [["Ada Sol"]]
    assert rows["/ride/track_2 static"][0]["Boxes2D:labels"].to_pylist() == [["track 2"]]
    quality = rows["/curves/quality/track_7"][0]["Scalars:scalars"].to_pylist()
    assert np.allclose(quality, [[0.5], [0.6], [0.7]])
    assert rows["/curves/stability/track_7"][0].num_rows == 2
    assert "/curves/quality/track_2" not in rows
    (chosen,) = rows["/chosen"]
    assert chosen["ride_time"].to_pylist()[0].total_seconds() == pytest.approx(0.3)
    assert chosen["TextLog:text"].to_pylist() == [["ada-sol_001: anchor of Ada Sol, place 1"]]


def test_a_recording_of_a_known_camera_has_both_angles(tmp_path: Path) -> None:
    shown = [replace(picture(1), face_id="000001-0")]
    curves = {}
    for name, ride in (("known", OneRide(-11.0, -10.0)), ("unknown", OneRide())):
        (tmp_path / name).mkdir()
        LAYOUTS["rerun"].write(tmp_path / name, Dataset([ADA], shown, rides=ride))
        place = tmp_path / name / f"recordings/{RIDE.source_id}.rrd"
        for chunk in RrdReader(place).stream().to_chunks():
            if "/yaw" in chunk.entity_path and not chunk.is_static:
                values = chunk.to_record_batch()["Scalars:scalars"].to_pylist()
                curves[name, chunk.entity_path] = [value for (value,) in values]
    assert curves == {
        ("known", "/curves/yaw/track_7"): [-11.0, -10.0],
        ("known", "/curves/yaw_camera/track_7"): [1.0, 2.0],
        ("unknown", "/curves/yaw/track_7"): [1.0, 2.0],
    }


def test_recordings_need_rerun_and_a_ride(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = Source("photos-ada-00000000", "photos", "cd" * 32, None, "human")
    data = Dataset([ADA], [picture(1, source=photos)], rides=OneRide())
    with pytest.raises(NoRideError, match="no ride of Ada Sol"):
        LAYOUTS["rerun"].write(tmp_path, data)
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(MissingExtraError, match=r"identity_pipeline\[rerun\]"):
        LAYOUTS["rerun"].write(tmp_path, data)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["comfyui", "references", "coco", "fiftyone"])
def test_the_same_pictures_are_the_same_bytes_and_nothing_else_lies_at_the_root(
    name: str, tmp_path: Path
) -> None:
    data = of_two(name, 9)
    for root in ("a", "b"):
        write(tmp_path / root, name, data)
    first = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    assert first == sorted(
        path.relative_to(tmp_path / "b") for path in (tmp_path / "b").rglob("*.*")
    )
    assert all(
        (tmp_path / "a" / p).read_bytes() == (tmp_path / "b" / p).read_bytes() for p in first
    )
    reserved = {"manifest.json", "README.md", "about"}
    assert not reserved & {path.name for path in (tmp_path / "a").iterdir()}
