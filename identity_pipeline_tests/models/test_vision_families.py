"""Each family's own feature of a whole picture, on small encoders with random weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf

from identity_pipeline.models.hub import ModelHub
from identity_pipeline.models.vision_encoder import VisionEncoder, VisionEncoderError
from identity_pipeline.models.vision_families import FAMILIES
from identity_pipeline.settings import ModelSettings

SIDE = 64
TOWER = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
    "patch_size": 16,
}  # fmt: skip
SQUARE = {**TOWER, "image_size": SIDE}
TEXTS = {
    "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 48,
    "vocab_size": 50,
}  # fmt: skip
MAPS = {"hidden_sizes": [8, 12, 16, 24], "depths": [1, 1, 1, 1]}
Made = tuple[Any, Callable[[Any], Any]]


def clip() -> Made:
    config = tf.CLIPConfig(vision_config=SQUARE, text_config=TEXTS, projection_dim=20)
    model = tf.CLIPModel(config)
    return model, lambda x: model.get_image_features(pixel_values=x).pooler_output


def clip_projected() -> Made:
    config = tf.CLIPVisionConfig(**SQUARE, projection_dim=20)
    model = tf.CLIPVisionModelWithProjection(config)
    return model, lambda x: model(pixel_values=x).image_embeds


def clip_tower() -> Made:
    model = tf.CLIPVisionModel(tf.CLIPVisionConfig(**SQUARE))
    return model, lambda x: model(pixel_values=x).pooler_output


def siglip() -> Made:
    model = tf.SiglipModel(tf.SiglipConfig(vision_config=SQUARE, text_config=TEXTS))
    return model, lambda x: model.get_image_features(pixel_values=x).pooler_output


def siglip_tower() -> Made:
    model = tf.SiglipVisionModel(tf.SiglipVisionConfig(**SQUARE))
    return model, lambda x: model(pixel_values=x).pooler_output


def vit(kind: str) -> Made:
    prefix = {"vit": "ViT", "dinov2": "Dinov2", "dinov2_with_registers": "Dinov2WithRegisters"}
    prefix["dinov3_vit"] = "DINOv3ViT"
    config = getattr(tf, f"{prefix[kind]}Config")(**SQUARE)
    model = getattr(tf, f"{prefix[kind]}Model")(config)
    return model, lambda x: model(pixel_values=x).last_hidden_state[:, 0]


def maps(kind: str) -> Made:
    prefix = {"resnet": "ResNet", "convnext": "ConvNext", "convnextv2": "ConvNextV2"}[kind]
    config = getattr(tf, f"{prefix}Config")(**MAPS)
    model = getattr(tf, f"{prefix}Model")(config)
    return model, lambda x: model(pixel_values=x).last_hidden_state.mean((2, 3))


def dinov3_convnext() -> Made:
    model = tf.DINOv3ConvNextModel(tf.DINOv3ConvNextConfig(**MAPS))
    return model, lambda x: model(pixel_values=x).pooler_output


MADE: dict[str, Callable[[], Made]] = {
    "a full CLIP": clip,
    "a CLIP tower with its projection": clip_projected,
    "a CLIP tower": clip_tower,
    "a full SigLIP": siglip,
    "a SigLIP tower": siglip_tower,
    **{kind: lambda kind=kind: vit(kind) for kind in
       ("vit", "dinov2", "dinov2_with_registers", "dinov3_vit")},
    **{kind: lambda kind=kind: maps(kind) for kind in ("resnet", "convnext", "convnextv2")},
    "dinov3_convnext": dinov3_convnext,
}  # fmt: skip
TOLD = {
    "size": {"height": SIDE, "width": SIDE}, "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.5, 0.6, 0.7], "rescale_factor": 1 / 255,
}  # fmt: skip


def save(model: Any, folder: Path, told: dict[str, Any] | None = TOLD) -> Path:
    model.eval().save_pretrained(folder)
    if told is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(told))
    return folder


def encoder_of(folder: Path) -> VisionEncoder:
    return VisionEncoder(ModelSettings(vision_encoder=str(folder), device="cpu"))


@pytest.fixture(scope="module")
def crops() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 255, (3, 8, 8, 3), dtype=np.uint8)
    return [np.kron(image, np.ones((28, 28, 1), dtype=np.uint8)) for image in small]


@pytest.mark.parametrize("kind", MADE)
def test_the_feature_is_the_familys_own(kind: str, crops: list[np.ndarray], tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, pooled = MADE[kind]()
    encoder = encoder_of(save(model, tmp_path))
    pictures = encoder.preprocess(crops)
    assert tuple(pictures.shape) == (3, 3, SIDE, SIDE)
    with torch.inference_mode():
        wanted = pooled(pictures).numpy()
    found = encoder.embed(crops)
    assert encoder.space.dimension == wanted.shape[1]
    unit = wanted / np.linalg.norm(wanted, axis=1, keepdims=True)
    np.testing.assert_allclose(found, unit, atol=1e-5)
    assert np.ptp(found @ found.T) > 0  # three pictures, three vectors


@pytest.mark.parametrize("whole", [True, False], ids=["full", "tower"])
def test_siglip_2_sees_the_patches_that_its_own_processor_cuts(
    whole: bool, crops: list[np.ndarray], tmp_path: Path
) -> None:
    from transformers.models.siglip2.image_processing_pil_siglip2 import Siglip2ImageProcessorPil

    torch.manual_seed(0)
    own = {**TOWER, "num_patches": 16}
    if whole:
        model: Any = tf.Siglip2Model(tf.Siglip2Config(vision_config=own, text_config=TEXTS))
    else:
        model = tf.Siglip2VisionModel(tf.Siglip2VisionConfig(**own))
    folder = save(model, tmp_path, None)
    processor = Siglip2ImageProcessorPil(patch_size=16, max_num_patches=14 * 14)  # no resizing
    processor.save_pretrained(folder)
    given = processor(images=[c[:, :, ::-1] for c in crops], return_tensors="pt")
    with torch.inference_mode():
        seen = model.get_image_features(**given) if whole else model(**given)
    wanted = seen.pooler_output.numpy()
    found = encoder_of(folder).embed(crops)
    unit = wanted / np.linalg.norm(wanted, axis=1, keepdims=True)
    np.testing.assert_allclose(found, unit, atol=1e-4)


@pytest.mark.parametrize(
    ("told", "side", "scale"),
    [
        ({"size": 48, "crop_size": 32}, 32, 255),  # numbers, as older files have them
        ({"size": {"shortest_edge": 48}, "crop_size": {"height": 32, "width": 32}}, 32, 255),
        ({"size": {"shortest_edge": 48}, "crop_size": 32, "do_center_crop": False}, 48, 255),
        ({"size": {"height": 48, "width": 48}}, 48, 255),
        ({"size": {"height": 288, "width": 288}, "do_rescale": False}, 288, 1),
    ],
)
def test_size_and_scale_are_the_preprocessors(
    told: dict[str, Any], side: int, scale: int, crops: list[np.ndarray], tmp_path: Path
) -> None:
    told = {**told, "image_mean": [0, 0, 0], "image_std": [1, 1, 1]}
    model, _ = maps("resnet")
    pictures = encoder_of(save(model, tmp_path, told)).preprocess([np.full_like(crops[0], 51)])
    assert tuple(pictures.shape[2:]) == (side, side)
    np.testing.assert_allclose(pictures.numpy(), 51 / scale, rtol=1e-5)


def refused(folder: Path) -> str:
    with pytest.raises(VisionEncoderError) as caught:
        encoder_of(folder).open()
    return str(caught.value)


def test_what_would_be_a_guess_is_refused(tmp_path: Path) -> None:
    swin = tf.SwinModel(tf.SwinConfig(image_size=SIDE, embed_dim=12, depths=[1], num_heads=[2]))
    assert "'swin'" in refused(save(swin, tmp_path / "swin"))
    model, _ = siglip()
    assert "preprocessor_config.json" in refused(save(model, tmp_path / "bare", None))
    wide = {**TOLD, "size": {"height": 64, "width": 96}}
    assert "64 by 96" in refused(save(model, tmp_path / "wide", wide))
    headless = tf.SiglipVisionModel(tf.SiglipVisionConfig(**SQUARE, vision_use_head=False))
    folder = save(headless, tmp_path / "headless")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "vision_use_head": True}))
    assert "lacks" in refused(folder) and "SigLIP" in refused(folder)


def test_face_and_body_have_a_space_each(
    vision_encoder: Path, crops: list[np.ndarray], tmp_path: Path
) -> None:
    model, _ = siglip_tower()
    body = save(model, tmp_path / "body")
    settings = ModelSettings(
        vision_encoder=str(vision_encoder), body_encoder=str(body), device="cpu"
    )
    two, one = ModelHub(settings), ModelHub(settings.model_copy(update={"body_encoder": ""}))
    assert two.vision.space == one.vision.space == one.vision_body.space
    assert two.vision_body.space.key.startswith("body@") and two.vision_body.space.dimension == 32
    assert two.vision_body.embed(crops).shape == (3, 32)
    assert set(two.providers("vision")) == {"vision", "vision_body"}
    assert two.digest("vision") not in (one.digest("vision"), two.vision_body.sha256)
    same = ModelHub(settings.model_copy(update={"body_encoder": str(vision_encoder)}))
    assert same.digest("vision") == one.digest("vision")


def test_every_family_that_is_named_is_tested() -> None:
    tested = {made()[0].config.model_type for made in MADE.values()}
    assert set(FAMILIES) - tested == {"siglip2", "siglip2_vision_model"}
