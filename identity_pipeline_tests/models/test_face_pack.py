"""Face packs: batched runs agree with InsightFace's own, one face at a time."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from insightface.app import FaceAnalysis

from identity_pipeline.core.geometry import Box, region_box
from identity_pipeline.core.vectors import normalise
from identity_pipeline.media.crops import align, cut_region
from identity_pipeline.models.device import DeviceError, note_fallback, onnx_providers
from identity_pipeline.models.face_pack import FacePack
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.models.packs import FacePackError
from identity_pipeline.models.spaces import EmbeddingSpace, SpaceMismatchError, same_space
from identity_pipeline.settings import ModelSettings, load_settings


@pytest.fixture(scope="module")
def settings(real_pack: Path) -> ModelSettings:
    return load_settings(models={"face_pack": str(real_pack), "device": "cpu"}).models


@pytest.fixture(scope="module")
def pack(settings: ModelSettings) -> FacePack:
    return FacePack(settings)


@pytest.fixture(scope="module")
def photos(real: Path) -> list[np.ndarray]:
    return [cv2.imread(str(p)) for p in sorted((real / "pairs").glob("*.jpg"))]


@pytest.fixture(scope="module")
def reference(real_pack: Path, settings: ModelSettings) -> FaceAnalysis:
    app = FaceAnalysis(str(real_pack), providers=["CPUExecutionProvider"])
    app.prepare(0, det_thresh=settings.det_score_min, det_size=(settings.det_size,) * 2)
    return app


def test_detections_are_insightface_s_from_left_to_right(
    pack: FacePack, reference: FaceAnalysis, photos: list[np.ndarray]
) -> None:
    for photo in photos:
        found = pack.detect(photo)
        theirs = sorted((face.bbox.tolist() for face in reference.get(photo)), key=lambda b: b[0])
        np.testing.assert_allclose(found.boxes, np.array(theirs), atol=1e-3)
        assert (np.diff(found.boxes[:, 0]) >= 0).all()


def test_batched_embeddings_agree_with_one_by_one(
    pack: FacePack, reference: FaceAnalysis, photos: list[np.ndarray]
) -> None:
    """The only difference is the anti-aliased alignment, and it is small."""
    crops, theirs = [], []
    for photo in photos:
        for face in reference.get(photo):
            crops.append(align(photo, face.kps))
            theirs.append(face.embedding)
    ours = pack.embed(crops)
    cosines = (ours * normalise(np.stack(theirs))).sum(axis=1)
    assert cosines.min() > 0.9
    alone = np.concatenate([pack.embed([crop]) for crop in crops])
    np.testing.assert_allclose(ours, alone, atol=1e-4)


def test_embeddings_tell_the_labelled_people_apart(
    pack: FacePack, photos: list[np.ndarray], real: Path
) -> None:
    names = sorted(p.name for p in (real / "pairs").glob("*.jpg"))
    vectors = {}
    for name, photo in zip(names, photos, strict=True):
        found = pack.detect(photo)
        largest = int(np.argmax(found.boxes[:, 2] - found.boxes[:, 0]))
        vectors[name] = pack.embed([align(photo, found.key_points[largest])])[0]
    rows = (real / "pairs" / "pairs.csv").read_text().splitlines()[1:]
    same, different = [], []
    for row in rows:
        a, b, label = row.split(",")
        (same if label == "1" else different).append(float(vectors[a] @ vectors[b]))
    assert min(same) > max(different)


def test_landmarks_of_regions_are_insightface_s_on_the_frame(
    pack: FacePack, reference: FaceAnalysis, photos: list[np.ndarray]
) -> None:
    crops = load_settings().crops
    assert pack.landmark_task == "landmark_2d_68"
    for photo in photos[:4]:
        for face in reference.get(photo):
            box = Box(*(float(v) for v in face.bbox))
            where = region_box(box, photo.shape[1], photo.shape[0], widths=3, heights=4)
            region = cut_region(photo, where, box, crops)
            (ours,) = pack.landmarks([region], [box])
            distance = np.linalg.norm(ours - face.landmark_2d_68, axis=1).mean()
            assert distance / box.longer_side < 0.02


def test_the_space_names_model_weights_and_dimension(pack: FacePack) -> None:
    assert pack.space.dimension == 128
    assert pack.space.key.startswith("mobile/mobilefacenet_casia@")
    assert len(pack.sha256) == 64


def test_what_really_runs_is_said(pack: FacePack) -> None:
    assert set(pack.providers().values()) == {"CPUExecutionProvider"}


def test_a_gpu_build_that_fell_back_says_so_loudly(caplog: pytest.LogCaptureFixture) -> None:
    asked = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    assert note_fallback("detection", asked, ["CPUExecutionProvider"]) == "CPUExecutionProvider"
    assert "CUDAExecutionProvider" in caplog.text and "detection" in caplog.text


def test_cuda_that_is_not_there_is_an_error_with_advice() -> None:
    with pytest.raises(DeviceError, match="onnxruntime-gpu"):
        onnx_providers("cuda")


@pytest.mark.parametrize("folder", ["./no/such/pack", "./nowhere", "nowhere/", "~/.nowhere"])
def test_a_folder_that_is_not_there_is_no_name_to_download(folder: str) -> None:
    settings = load_settings(models={"face_pack": folder}).models
    with pytest.raises(FacePackError, match="does not exist; give the folder of a pack"):
        FacePack(settings)


def test_a_folder_without_a_detector_is_an_error(tmp_path: Path) -> None:
    settings = load_settings(models={"face_pack": str(tmp_path), "device": "cpu"}).models
    with pytest.raises(FacePackError, match="detector"):
        ModelHub(settings).face_pack.providers()


def test_two_spaces_are_never_compared() -> None:
    a, b = EmbeddingSpace("a", "0" * 64, 8), EmbeddingSpace("a", "1" * 64, 8)
    assert same_space(a.key, a.key) == a.key
    with pytest.raises(SpaceMismatchError):
        same_space(a.key, b.key)
