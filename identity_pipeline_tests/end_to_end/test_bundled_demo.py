"""The bundled ride and the open pack: the demo works offline, and the truth agrees."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

import identity_pipeline
from identity_pipeline.core.geometry import Box
from identity_pipeline.core.vectors import to_matrix
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.settings import load_settings
from identity_pipeline.stages.video.measure import embed_views
from identity_pipeline.storage.video.crop_archive import CropArchive
from identity_pipeline_tests.exports import described_images, said_of_rider
from identity_pipeline_tests.library import VideoLibrary, reused_assets

BUNDLED = Path(identity_pipeline.__file__).parent / "bundled"
RIDE = "demo_solo"
LIMITS = {"one file": 5 * 1024**2, "everything": 25 * 1024**2}


def truth() -> dict:
    return json.loads((BUNDLED / "rides" / f"{RIDE}.truth.json").read_text())


def metas(demo: VideoLibrary) -> list[dict]:
    return [meta for _, meta in described_images(demo.export(RIDE))]


def test_the_one_rider_is_found_and_the_bystanders_are_not_riders(demo: VideoLibrary) -> None:
    assert demo.table("riders", RIDE)["person_id"].drop_nulls().to_list() == [0]


def test_the_demo_shows_full_sets(demo: VideoLibrary) -> None:
    meta = said_of_rider(demo.export(RIDE))
    assert 3 <= meta["anchor_count"] <= 5
    kinds = {path.stem.split("_")[1] for path in demo.export(RIDE).glob("*/challenge/*.jpg")}
    assert kinds == {"pose", "dark", "overexposed", "occluded"}  # as the ride has them
    assert int(meta["coverage_buckets_filled"]["yaw"][0]) >= 5


def test_every_exported_face_is_the_rider(demo: VideoLibrary) -> None:
    frames = truth()["frames"]
    rider = truth()["people"][0]
    images = metas(demo)
    assert images
    for meta in images:
        faces = {f["person"]: Box(*f["box"]) for f in frames[meta["frame_idx"]]["faces"]}
        assert faces[rider].iou(Box(*meta["face_bbox"])) > 0.4, meta["face_id"]


def test_yaw_has_the_sign_of_the_truth(demo: VideoLibrary) -> None:
    frames, rider = truth()["frames"], truth()["people"][0]
    checked = 0
    for meta in metas(demo):
        (face,) = [f for f in frames[meta["frame_idx"]]["faces"] if f["person"] == rider]
        if abs(face["pose"][1]) > 20:
            assert meta["yaw_deg"] * face["pose"][1] > 0, meta["face_id"]
            checked += 1
    assert checked >= 3


def test_the_body_may_be_seen_by_an_encoder_of_its_own(demo: VideoLibrary, tmp_path: Path) -> None:
    """Its own space, its own length; what the face's encoder sees is the same to the bit."""
    from transformers import SiglipVisionConfig, SiglipVisionModel

    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    size |= {"intermediate_size": 16, "image_size": 32, "patch_size": 16}
    SiglipVisionModel(SiglipVisionConfig(**size)).save_pretrained(tmp_path / "body")
    told = {"size": {"height": 32, "width": 32}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (tmp_path / "body" / "preprocessor_config.json").write_text(json.dumps(told))
    settings = load_settings(models={"body_encoder": str(tmp_path / "body"), "device": "cpu"})
    hub, video_id = ModelHub(settings.models), demo.video_id(RIDE)
    seen = demo.store.read("vision_embeddings", video_id).head(20)
    boxes = demo.table("face_landmarks", RIDE).select("face_id", "^smooth_.*$")
    wanted = seen.select("face_id", "frame_idx", "person_id").join(boxes, on="face_id")
    archive = CropArchive(demo.store.layout.crops(video_id))
    found = embed_views(wanted, archive, hub.vision, hub.vision_body, settings)
    assert found["e_vis_body"].list.len().unique().to_list() == [16]
    assert found["body_space"].unique().to_list() == [hub.vision_body.space.key]
    assert found["space"].equals(seen["space"]) and seen["body_space"].equals(seen["space"])
    faces = (to_matrix(table.sort("face_id")["e_vis_face"]) for table in (found, seen))
    np.testing.assert_allclose(*faces, atol=1e-5)
    few_or_many = []
    for threads in (8, 0):
        own = ModelHub(settings.models.model_copy(update={"threads": threads}))
        few_or_many.append(
            embed_views(wanted.head(1), archive, own.vision, own.vision_body, settings)
        )
    assert few_or_many[0].equals(few_or_many[1]), "a face alone has the same bits on any machine"


def test_what_ships_is_small_enough() -> None:
    files = [p for p in BUNDLED.rglob("*") if p.is_file()]
    binaries = [p for p in files if p.suffix in (".onnx", ".safetensors", ".mp4")]
    assert all(p.stat().st_size < LIMITS["one file"] for p in files)
    assert sum(p.stat().st_size for p in binaries) < LIMITS["everything"]


def test_the_demo_does_nothing_twice(demo: VideoLibrary) -> None:
    again = demo.run(BUNDLED / "rides" / f"{RIDE}.mp4")
    computed = {name for name, reused in reused_assets(again).items() if not reused}
    assert computed == {"ride_video"}
