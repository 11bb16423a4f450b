"""General-vision encoders through `transformers.AutoModel`, by id or folder; batched.

The embedding is the class token, L2-normalised: DINOv2's own image-level feature. Of a
convolutional encoder, which has no such token, it is the mean of the last map.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from identity_pipeline.core.vectors import Matrix, normalise
from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.media.crops import VISION_PX, ImageBGR
from identity_pipeline.models.cards import ModelCardError, permitted
from identity_pipeline.models.device import torch_device
from identity_pipeline.models.spaces import EmbeddingSpace
from identity_pipeline.settings import ModelSettings
from identity_pipeline.storage.files.hashing import sha256_of_file

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
WEIGHTS = "model.safetensors"
FILES = (WEIGHTS, "config.json", "preprocessor_config.json")
REVISIONS = {"facebook/dinov2-small": "ed25f3a31f01632728cabb09d1542f84ab7b0056"}
"""Commits of encoders on the hub: a name alone is whatever its owner put there last."""


class VisionEncoderError(IdentityPipelineError, RuntimeError):
    """A vision encoder cannot be loaded."""


def encoder_folder(settings: ModelSettings) -> Path:
    """The folder of the encoder, downloaded from the hub if it is an id not yet in the cache.

    Raises:
        VisionEncoderError: there is no such folder and the download failed, or it holds no
            safetensors weights (pickled weights are refused).
    """
    given = Path(settings.vision_encoder).expanduser()
    if given.is_file() or (given.is_absolute() and not given.exists()):
        raise VisionEncoderError(
            f"models.vision_encoder names {given}, which is no folder; name a folder that "
            "save_pretrained wrote, or a Hugging Face id."
        )
    folder = given.resolve() if given.is_dir() else _from_hub(settings)
    if not (folder / WEIGHTS).is_file():
        raise VisionEncoderError(f"{folder} holds no {WEIGHTS}; pickled weights are not loaded.")
    return folder


def encoder_is_here(settings: ModelSettings) -> bool:
    """Whether the encoder can be had without a download.

    Raises:
        VisionEncoderError: it is named by what is neither a folder nor a name on the hub.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    given = Path(settings.vision_encoder).expanduser()
    if given.is_dir() or given.is_absolute():
        return True
    try:
        name, revision = settings.vision_encoder, encoder_revision(settings)
        return isinstance(try_to_load_from_cache(name, WEIGHTS, revision=revision), str)
    except HFValidationError as error:
        raise VisionEncoderError(
            f"{settings.vision_encoder} is no folder here, nor a name on the Hugging Face hub; set "
            "models.vision_encoder to one of them."
        ) from error


def encoder_revision(settings: ModelSettings) -> str:
    """The commit of the hub's repository from which an encoder is taken.

    Raises:
        VisionEncoderError: none is set, and none is known of this encoder.
    """
    revision = settings.vision_revision or REVISIONS.get(settings.vision_encoder, "")
    if not revision:
        raise VisionEncoderError(
            f"{settings.vision_encoder} is no folder here, and of no commit on the Hugging Face "
            "hub; set models.vision_revision to the 40 hex digits of the commit that you mean, or "
            "models.vision_encoder to a folder saved by save_pretrained."
        )
    return revision


def _from_hub(settings: ModelSettings) -> Path:
    from huggingface_hub import snapshot_download

    name, revision = settings.vision_encoder, encoder_revision(settings)
    try:
        found = snapshot_download(name, revision=revision, allow_patterns=list(FILES))
        return Path(found).resolve()
    except Exception as error:
        raise VisionEncoderError(
            f"the vision encoder {name} (commit {revision[:12]}) is neither a folder nor in the "
            f"Hugging Face cache and could not be downloaded ({type(error).__name__}); get it once "
            "on a machine with a network, or set models.vision_encoder to a folder saved by "
            "save_pretrained."
        ) from error


def encoder_sha256(folder: Path) -> str:
    """Digest over everything that shapes an embedding: weights, architecture, normalisation."""
    digest = hashlib.sha256()
    for name in FILES:
        path = folder / name
        digest.update(f"{name}:{sha256_of_file(path) if path.is_file() else None}\n".encode())
    return digest.hexdigest()


class VisionEncoder:
    """A loaded encoder. The network is opened at first use."""

    def __init__(self, settings: ModelSettings) -> None:
        self._settings = settings
        self.folder = encoder_folder(settings)
        try:
            self.card = permitted(
                self.folder,
                settings.allow_demo,
                "models.vision_encoder",
                "facebook/dinov2-small",
            )
        except ModelCardError as error:
            raise VisionEncoderError(str(error)) from error
        self.sha256 = encoder_sha256(self.folder)
        given = Path(settings.vision_encoder).expanduser()
        self.name = given.name if given.is_dir() else settings.vision_encoder

    @cached_property
    def device(self) -> str:
        """`cpu` or `cuda`."""
        return torch_device(self._settings.device)

    @cached_property
    def _model(self) -> Any:
        import torch
        from transformers import AutoModel
        from transformers.utils import logging

        logging.disable_progress_bar()  # a bar per run for what takes a moment
        model = AutoModel.from_pretrained(
            self.folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
        )
        return model.eval().to(self.device)

    def open(self) -> None:
        """Opens the network and runs it once on a blank picture, so that faults show now.

        Raises:
            VisionEncoderError: the network cannot be opened or does not take pictures.
            DeviceError: the device is not there.
        """
        try:
            self.embed([np.full((VISION_PX, VISION_PX, 3), 128, np.uint8)])
        except IdentityPipelineError:
            raise
        except Exception as error:  # of transformers, safetensors or torch, by what is wrong
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise VisionEncoderError(
                f"models.vision_encoder names {self.folder}, which does not open as a vision "
                f"encoder ({reason}); name a Hugging Face id, or a folder that save_pretrained "
                "wrote."
            ) from error

    @cached_property
    def _preprocessing(self) -> dict[str, Any]:
        """The encoder's own `preprocessor_config.json`; empty without one."""
        path = self.folder / "preprocessor_config.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    @cached_property
    def _side(self) -> int:
        """Side of the pictures that the encoder takes, in pixels."""
        return int(self._preprocessing.get("crop_size", {}).get("height", VISION_PX))

    @cached_property
    def _normalisation(self) -> tuple[Any, Any]:
        """Mean and standard deviation as (1, 3, 1, 1) tensors on the 0-255 scale."""
        import torch

        mean = self._preprocessing.get("image_mean", IMAGENET_MEAN)
        std = self._preprocessing.get("image_std", IMAGENET_STD)
        return tuple(  # type: ignore[return-value]
            255 * torch.tensor(v, device=self.device, dtype=torch.float32).view(1, 3, 1, 1)
            for v in (mean, std)
        )

    @cached_property
    def space(self) -> EmbeddingSpace:
        """The encoder's embedding space."""
        config = self._model.config
        sizes = getattr(config, "hidden_sizes", None)  # convolutional encoders: one per stage
        dimension = sizes[-1] if sizes else config.hidden_size
        return EmbeddingSpace(self.name, self.sha256, int(dimension))

    def embed(self, crops: Sequence[ImageBGR]) -> Matrix:
        """Unit embeddings (N, D) of (224, 224, 3) BGR crops, in batches."""
        size = self._settings.vision_batch
        batches = [self._embed_batch(crops[i : i + size]) for i in range(0, len(crops), size)]
        if not batches:
            return np.zeros((0, self.space.dimension), dtype=np.float32)
        return normalise(np.concatenate(batches))

    def preprocess(self, crops: Sequence[ImageBGR]) -> Any:
        """The network's input tensor (N, 3, side, side) on its device, at the encoder's own size.

        Raises:
            ValueError: a crop has another size.
        """
        import torch

        stacked = np.stack(crops)
        if stacked.shape[1:] != (VISION_PX, VISION_PX, 3):
            raise ValueError(f"expected {VISION_PX} px BGR crops, got {stacked.shape[1:]}")
        pictures = list(stacked)
        if self._side != VISION_PX:
            size = (self._side, self._side)
            pictures = [cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in pictures]
        blob = cv2.dnn.blobFromImages(pictures, swapRB=True)  # (N, 3, H, W) float32
        mean, std = self._normalisation
        return torch.from_numpy(blob).to(self.device).sub_(mean).div_(std)

    def _embed_batch(self, crops: Sequence[ImageBGR]) -> Matrix:
        import torch

        with torch.inference_mode():
            output = self._model(pixel_values=self.preprocess(crops))
        hidden = output.last_hidden_state  # (N, tokens, D), or a map (N, D, h, w)
        pooled = hidden[:, 0] if hidden.ndim == 3 else hidden.mean((2, 3))
        return pooled.float().cpu().numpy()
