"""Families of vision encoders: how each is opened, what it is shown, and its feature of a picture.

What belongs here: what differs between architectures of `transformers`, and nothing of where an
encoder lies (`vision_encoder`). The feature is the one that the family itself was trained to have
for a whole picture:

==========================  =====================================================================
DINO, DINOv2, DINOv3, ViT    the class token (Oquab et al. 2023, section 7, use it so)
CLIP                        the projected class token, which is compared with texts
                            (Radford et al. 2021); of a tower without a projection, the class token
SigLIP, SigLIP 2            what its attention head pools of the patches (Zhai et al. 2023)
ResNet, ConvNeXt            the mean of the last map
DINOv3's ConvNeXt           the pooled feature that stands before its patches
==========================  =====================================================================

A family that is not listed is refused: a guess would be a vector too, and nobody would notice.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.media.crops import VISION_PX

CONFIG: Final = "config.json"
PREPROCESSOR: Final = "preprocessor_config.json"
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
UNUSED: Final = "pooler."
"""Weights that no feature here is made of, and that some encoders are published without."""


class VisionEncoderError(IdentityPipelineError, RuntimeError):
    """A vision encoder cannot be loaded."""


@dataclass(frozen=True)
class Family:
    """What differs between encoders.

    Attributes:
        name: as people call it.
        model: class of `transformers`.
        pooled: (N, D) of a network's output.
        dimension: D, of a network's own configuration.
        feature: the pooled feature, where it was not always this one: it is part of the space.
        needs_preprocessor: it was trained with another normalisation than the usual one, so that
            nothing may be taken for granted.
        patches: it takes the pictures cut into patches.
    """

    name: str
    model: str
    pooled: Callable[[Any], Any]
    dimension: Callable[[Any], int]
    feature: str = ""
    needs_preprocessor: bool = False
    patches: bool = False


def _width(config: Any) -> int:
    sizes = getattr(config, "hidden_sizes", None)  # of convolutional encoders, one per stage
    return int(sizes[-1] if sizes else config.hidden_size)


def _class_token(name: str) -> Family:
    return Family(name, "AutoModel", lambda output: output.last_hidden_state[:, 0], _width)


def _mean_map(name: str) -> Family:
    return Family(name, "AutoModel", lambda output: output.last_hidden_state.mean((2, 3)), _width)


def _pooler(name: str, model: str, **more: Any) -> Family:
    return Family(name, model, lambda output: output.pooler_output, _width, **more)


_CLIP: Final = Family(
    "CLIP",
    "CLIPVisionModelWithProjection",
    lambda output: output.image_embeds,
    lambda config: int(config.projection_dim),
    feature="projected",
    needs_preprocessor=True,
)
_CLIP_TOWER: Final = _pooler("CLIP", "CLIPVisionModel", feature="token", needs_preprocessor=True)
_SIGLIP: Final = _pooler("SigLIP", "SiglipVisionModel", feature="head", needs_preprocessor=True)
_SIGLIP2: Final = _pooler(
    "SigLIP 2", "Siglip2VisionModel", feature="head", needs_preprocessor=True, patches=True
)
FAMILIES: Final[Mapping[str, Family]] = MappingProxyType(
    {
        "dinov2": _class_token("DINOv2"),
        "dinov2_with_registers": _class_token("DINOv2"),
        "dinov3_vit": _class_token("DINOv3"),
        "vit": _class_token("ViT"),
        "resnet": _mean_map("ResNet"),
        "convnext": _mean_map("ConvNeXt"),
        "convnextv2": _mean_map("ConvNeXt"),
        "dinov3_convnext": _pooler("DINOv3's ConvNeXt", "AutoModel"),
        "clip": _CLIP,
        "clip_vision_model": _CLIP_TOWER,
        "siglip": _SIGLIP,
        "siglip_vision_model": _SIGLIP,
        "siglip2": _SIGLIP2,
        "siglip2_vision_model": _SIGLIP2,
    }
)
"""By `model_type` of a folder's `config.json`."""


def family_of(folder: Path) -> Family:
    """The family of the encoder in a folder, from its configuration alone.

    Raises:
        VisionEncoderError: it has no configuration, or is of a family that is not known.
    """
    config = _read(folder / CONFIG)
    if config is None:
        raise VisionEncoderError(f"{folder} holds no {CONFIG}, which says what encoder it is.")
    kind = config.get("model_type")
    if kind == "clip_vision_model" and _CLIP.model in (config.get("architectures") or ()):
        return _CLIP
    family = FAMILIES.get(str(kind))
    if family is None:
        known = sorted({family.name for family in FAMILIES.values()})
        raise VisionEncoderError(
            f"{folder} holds an encoder of the kind {kind!r}, of which it is not known which "
            f"feature stands for a whole picture; name one of {', '.join(known)}."
        )
    if family.needs_preprocessor and not (folder / PREPROCESSOR).is_file():
        raise VisionEncoderError(
            f"{folder} holds no {PREPROCESSOR}, which says how {family.name} wants its pictures; "
            "save its image processor beside it."
        )
    return family


def open_network(folder: Path, family: Family) -> Any:
    """The network with its weights in 32 bits; of a model of pictures and texts its vision tower.

    Raises:
        VisionEncoderError: weights are missing, which would be drawn at random.
    """
    import torch
    import transformers

    config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
    tower = getattr(config, "vision_config", None)
    if tower is not None:
        if hasattr(config, "projection_dim"):
            tower.projection_dim = config.projection_dim  # the whole model's holds
        config = tower
    model, found = getattr(transformers, family.model).from_pretrained(
        folder,
        config=config,
        local_files_only=True,
        use_safetensors=True,
        dtype=torch.float32,
        output_loading_info=True,
    )
    missing = sorted(name for name in found["missing_keys"] if not name.startswith(UNUSED))
    if missing:
        raise VisionEncoderError(
            f"{folder} lacks {len(missing)} weights of {family.name} (such as {missing[0]}); "
            "fetch it anew."
        )
    return model.eval()


@dataclass(frozen=True)
class Preprocessing:
    """How an encoder wants its pictures.

    Attributes:
        side: of the square picture, in pixels.
        scale: a picture's values, 0 to 255, over those that mean and deviation are of.
        mean: of each channel (red, green, blue).
        std: standard deviation of each channel.
        patch: side of the patches that the picture is cut into; None where it is not.
    """

    side: int
    scale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    patch: int | None = None


def preprocessing_of(folder: Path, family: Family) -> Preprocessing:
    """From the encoder's own `preprocessor_config.json`; without one, what ImageNet is shown at.

    Crops are square and already cut to what is to be seen, so they are brought straight to the side
    that the network sees in the end. What a family would first enlarge and then cut off at the
    border (DINOv2: 256 to 224 pixels) is kept.

    Raises:
        VisionEncoderError: the file is damaged, or asks for pictures that are not square.
    """
    said = _read(folder / PREPROCESSOR) or {}
    patch = _number(said.get("patch_size"), 16) if family.patches else None
    side = (
        _side(folder, said)
        if patch is None
        else patch * math.isqrt(_number(said.get("max_num_patches"), 256))
    )
    scale = 1 / float(said.get("rescale_factor", 1 / 255)) if said.get("do_rescale", True) else 1.0
    normalised = said.get("do_normalize", True)
    mean = said.get("image_mean", IMAGENET_MEAN) if normalised else (0, 0, 0)
    std = said.get("image_std", IMAGENET_STD) if normalised else (1, 1, 1)
    return Preprocessing(side, scale, _channels(folder, mean), _channels(folder, std), patch)


def _number(value: object, default: int) -> int:
    return value if isinstance(value, int) else default


def _side(folder: Path, said: Mapping[str, Any]) -> int:
    """Side of the square that the network sees; sizes are numbers in older files."""
    size = said.get("size")
    if said.get("do_center_crop", True) and said.get("crop_size"):
        size = said["crop_size"]
    if isinstance(size, int):
        return size
    if not isinstance(size, Mapping):
        return VISION_PX
    if "shortest_edge" in size:
        return int(size["shortest_edge"])
    if size.get("height") != size.get("width"):
        raise VisionEncoderError(
            f"{folder / PREPROCESSOR} asks for pictures of {size.get('height')} by "
            f"{size.get('width')} pixels, and faces are square; name an encoder of squares."
        )
    return int(size.get("height", VISION_PX))


def _channels(folder: Path, values: object) -> tuple[float, float, float]:
    try:
        red, green, blue = (float(v) for v in values)  # type: ignore[attr-defined]
    except (TypeError, ValueError) as error:
        raise VisionEncoderError(
            f"{folder / PREPROCESSOR} does not give a number for each of three colours; fetch the "
            "encoder anew."
        ) from error
    return red, green, blue


def in_patches(pictures: Any, patch: int) -> dict[str, Any]:
    """Pictures (N, 3, S, S) as what an encoder of patches takes.

    Row by row, and of each patch its pixels with their three colours side by side, as
    `Siglip2ImageProcessor` lays them; all patches count.

    Returns:
        `pixel_values` (N, P, 3 patch²), `pixel_attention_mask` (N, P), `spatial_shapes` (N, 2).
    """
    import torch

    count, channels, side, _ = pictures.shape
    rows = side // patch
    cut = pictures.reshape(count, channels, rows, patch, rows, patch)
    flat = cut.permute(0, 2, 4, 3, 5, 1).reshape(count, rows * rows, patch * patch * channels)
    of_all = {"device": pictures.device, "dtype": torch.int64}
    return {
        "pixel_values": flat,
        "pixel_attention_mask": torch.ones((count, rows * rows), **of_all),
        "spatial_shapes": torch.full((count, 2), rows, **of_all),
    }


def _read(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise VisionEncoderError(f"{path} is no JSON; fetch the encoder anew.") from error
    if not isinstance(found, dict):
        raise VisionEncoderError(f"{path} holds no description of an encoder; fetch it anew.")
    return found
