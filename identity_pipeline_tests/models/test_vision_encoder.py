"""Vision encoders: real loading from a folder, batches, refusals."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from identity_pipeline.models.vision_encoder import (
    VisionEncoder,
    VisionEncoderError,
    encoder_folder,
    encoder_is_here,
)
from identity_pipeline.models.vision_speed import measured_precision
from identity_pipeline.settings import ModelSettings, load_settings


def settings_for(folder: Path, **more: object) -> ModelSettings:
    return load_settings(models={"vision_encoder": str(folder), "device": "cpu", **more}).models


@pytest.fixture(scope="module")
def crops() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 255, (7, 8, 8, 3), dtype=np.uint8)
    return [np.kron(image, np.ones((28, 28, 1), dtype=np.uint8)) for image in small]


def test_embeddings_are_unit_vectors_and_do_not_depend_on_the_batch(
    vision_encoder: Path, crops: list[np.ndarray]
) -> None:
    whole = VisionEncoder(settings_for(vision_encoder, vision_batch=16)).embed(crops)
    parts = VisionEncoder(settings_for(vision_encoder, vision_batch=2)).embed(crops)
    assert whole.shape == (7, 96)
    np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(whole, parts, atol=1e-4)


def test_no_crops_give_no_vectors(vision_encoder: Path) -> None:
    assert VisionEncoder(settings_for(vision_encoder)).embed([]).shape == (0, 96)


def test_crops_of_another_size_are_refused(vision_encoder: Path) -> None:
    with pytest.raises(ValueError, match="224"):
        VisionEncoder(settings_for(vision_encoder)).embed([np.zeros((112, 112, 3), np.uint8)])


def test_the_folder_s_own_normalisation_is_used(
    vision_encoder: Path, tmp_path: Path, crops: list[np.ndarray]
) -> None:
    other = Path(shutil.copytree(vision_encoder, tmp_path / "other"))
    plain = VisionEncoder(settings_for(other)).preprocess(crops[:1])
    config = {"image_mean": [0, 0, 0], "image_std": [1 / 255] * 3}
    (other / "preprocessor_config.json").write_text(json.dumps(config))
    raw = VisionEncoder(settings_for(other)).preprocess(crops[:1])
    np.testing.assert_allclose(raw[0, :, 0, 0], crops[0][0, 0, ::-1], atol=1e-3)
    assert not np.allclose(plain, raw)


def test_a_convolutional_encoder_is_pooled_at_its_own_size(
    tmp_path: Path, crops: list[np.ndarray]
) -> None:
    from transformers import ResNetConfig, ResNetModel

    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    ResNetModel(config).save_pretrained(tmp_path)
    preprocessing = {"crop_size": {"height": 112, "width": 112}}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(preprocessing))
    encoder = VisionEncoder(settings_for(tmp_path))
    assert tuple(encoder.preprocess(crops[:2]).shape) == (2, 3, 112, 112)
    vectors = encoder.embed(crops)
    assert vectors.shape == (7, 16) and encoder.space.dimension == 16
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80")
    with pytest.raises(VisionEncoderError, match="safetensors"):
        encoder_folder(settings_for(tmp_path))


def test_an_id_that_cannot_be_had_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    settings = load_settings(models={"vision_encoder": "nobody/no-such-model"}).models
    with pytest.raises(VisionEncoderError, match="save_pretrained"):
        encoder_folder(settings)


def test_other_weights_are_another_space(vision_encoder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    other = Path(shutil.copytree(vision_encoder, tmp_path / "other"))
    weights = load_file(other / "model.safetensors")
    weights["layernorm.bias"] = weights["layernorm.bias"] + 1
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    first, second = VisionEncoder(settings_for(vision_encoder)), VisionEncoder(settings_for(other))
    assert first.space.key != second.space.key


def test_a_path_without_a_folder_is_named_and_not_looked_up_on_the_hub() -> None:
    with pytest.raises(VisionEncoderError, match="models/vision/gone is no folder here"):
        encoder_is_here(settings_for(Path("models/vision/gone")))


def test_a_download_is_of_one_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def download(name: str, *, revision: str, allow_patterns: list[str]) -> str:
        asked.append((name, revision))
        raise ConnectionError

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    known = "ed25f3a31f01632728cabb09d1542f84ab7b0056"
    for given, revision in (("", known), ("0" * 40, "0" * 40)):
        settings = ModelSettings(vision_encoder="facebook/dinov2-small", vision_revision=given)
        with pytest.raises(VisionEncoderError, match=revision[:12]):
            VisionEncoder(settings)
        assert asked.pop() == ("facebook/dinov2-small", revision)


def test_another_name_on_the_hub_needs_a_commit() -> None:
    settings = ModelSettings(vision_encoder="somebody/encoder")
    for look in (VisionEncoder, encoder_is_here):
        with pytest.raises(VisionEncoderError, match=r"models\.vision_revision"):
            look(settings)
    with pytest.raises(ValueError, match="vision_revision"):
        ModelSettings(vision_revision="main")


def test_16_bits_give_nearly_the_same_vectors_in_a_space_of_their_own(
    vision_encoder: Path, crops: list[np.ndarray]
) -> None:
    full = VisionEncoder(settings_for(vision_encoder))
    narrow = VisionEncoder(settings_for(vision_encoder, vision_precision="bf16", vision_batch=3))
    vectors = narrow.embed(crops)
    assert (full.embed(crops) * vectors).sum(axis=1).min() >= 0.999
    assert narrow.space.name == f"{full.space.name}+bf16"
    assert narrow.sha256 != full.sha256 and narrow.runs_on == "cpu (bf16)"
    alone = VisionEncoder(settings_for(vision_encoder, vision_precision="bf16")).embed(crops[2:3])
    assert alone.tobytes() == vectors[2:3].tobytes()


def test_an_encoder_that_16_bits_would_change_is_refused(
    vision_encoder: Path, tmp_path: Path
) -> None:
    """All it knows is a ripple on one large number, which 32 bits hold and 16 do not."""
    import torch
    from transformers import Dinov2Model

    network = Dinov2Model.from_pretrained(vision_encoder)
    with torch.no_grad():
        network.embeddings.position_embeddings += 300
    network.save_pretrained(tmp_path)
    VisionEncoder(settings_for(tmp_path)).open()
    with pytest.raises(VisionEncoderError, match="vision_precision to full"):
        VisionEncoder(settings_for(tmp_path, vision_precision="bf16")).open()


def test_both_precisions_are_measured_on_this_machine(vision_encoder: Path) -> None:
    found = measured_precision(settings_for(vision_encoder, vision_batch=2), rounds=1)
    assert found.device == "cpu" and found.least_cosine >= 0.999
    assert found.full_ms > 0 and found.bf16_ms > 0
