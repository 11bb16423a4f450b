"""General-vision encoders of `transformers`: the bundled one, by id, or from a folder; batched.

An embedding says how new a picture is, and never who is on it. It is the feature that the encoder's
family has for a whole picture (`vision_families`), L2-normalised. Face and upper body may have an
encoder each; their vectors are then of two spaces.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

import cv2
import numpy as np

from identity_pipeline.core.vectors import Matrix, normalise
from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.media.crops import VISION_PX, ImageBGR
from identity_pipeline.models.cards import ModelCardError, read_card
from identity_pipeline.models.device import set_torch_threads, torch_device
from identity_pipeline.models.self_check import LEAST_COSINE, least_cosine
from identity_pipeline.models.spaces import EmbeddingSpace
from identity_pipeline.models.vision_families import (
    CONFIG,
    PREPROCESSOR,
    VisionEncoderError,
    family_of,
    in_patches,
    open_network,
    preprocessing_of,
)
from identity_pipeline.models.vision_precision import Precision, sample_pictures
from identity_pipeline.settings import ModelSettings
from identity_pipeline.storage.files.hashing import sha256_of_file

__all__ = ["VisionEncoder", "VisionEncoderError", "encoder_folder", "encoder_is_here"]

BUNDLED: Final = "bundled"
"""The name of the encoder that ships with the package."""
BUNDLED_FOLDER: Final = Path(__file__).parents[1] / "bundled" / "vision"
Part = Literal["vision", "body"]
"""Of the face, or of the upper body: `models.vision_encoder` or `models.body_encoder`."""
WEIGHTS = "model.safetensors"
FILES = (WEIGHTS, CONFIG, PREPROCESSOR)
REVISIONS = {"facebook/dinov2-small": "ed25f3a31f01632728cabb09d1542f84ab7b0056"}
"""Commits of encoders on the hub: a name alone is whatever its owner put there last."""


def own_body_encoder(settings: ModelSettings) -> bool:
    """Whether the upper body is seen by another encoder than the face."""
    named = settings.body_encoder
    same = settings.body_revision in ("", settings.vision_revision)
    return bool(named) and not (named == settings.vision_encoder and same)


def encoder_folder(settings: ModelSettings, part: Part = "vision") -> Path:
    """The folder of the encoder, downloaded from the hub if it is an id not yet in the cache.

    Raises:
        VisionEncoderError: there is no such folder and the download failed, or it holds no
            safetensors weights (pickled weights are refused).
    """
    given = _given(settings, part)
    if given.is_file() or (given.is_absolute() and not given.exists()):
        raise VisionEncoderError(
            f"models.{part}_encoder names {given}, which is no folder; name a folder that "
            "save_pretrained wrote, or a Hugging Face id."
        )
    folder = given.resolve() if given.is_dir() else _from_hub(settings, part)
    if not (folder / WEIGHTS).is_file():
        raise VisionEncoderError(f"{folder} holds no {WEIGHTS}; pickled weights are not loaded.")
    return folder


def encoder_is_here(settings: ModelSettings, part: Part = "vision") -> bool:
    """Whether the encoder can be had without a download.

    Raises:
        VisionEncoderError: it is named by what is neither a folder nor a name on the hub.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    given = _given(settings, part)
    if given.is_dir() or given.is_absolute():
        return True
    name = _name(settings, part)
    try:
        revision = encoder_revision(settings, part)
        return isinstance(try_to_load_from_cache(name, WEIGHTS, revision=revision), str)
    except HFValidationError as error:
        raise VisionEncoderError(
            f"{name} is no folder here, nor a name on the Hugging Face hub; set "
            f"models.{part}_encoder to one of them."
        ) from error


def encoders_are_here(settings: ModelSettings) -> bool:
    """Whether all encoders that are set can be had without a download; see `encoder_is_here`."""
    parts: list[Part] = ["vision", *(["body"] if own_body_encoder(settings) else [])]
    return all(encoder_is_here(settings, part) for part in parts)


def encoder_revision(settings: ModelSettings, part: Part = "vision") -> str:
    """The commit of the hub's repository from which an encoder is taken.

    Raises:
        VisionEncoderError: none is set, and none is known of this encoder.
    """
    name = _name(settings, part)
    given = settings.body_revision if part == "body" else settings.vision_revision
    revision = given or REVISIONS.get(name, "")
    if not revision:
        raise VisionEncoderError(
            f"{name} is no folder here, and of no commit on the Hugging Face "
            f"hub; set models.{part}_revision to the 40 hex digits of the commit that you mean, or "
            f"models.{part}_encoder to a folder saved by save_pretrained."
        )
    return revision


def encoder_name(settings: ModelSettings, part: Part = "vision") -> str:
    """What the encoder is called by: the name of its folder, or that on the hub."""
    given = _given(settings, part)
    return given.name if given.is_dir() else _name(settings, part)


def space_name(settings: ModelSettings, part: Part = "vision") -> str:
    """What the space of the encoder's vectors is called: full precision goes without saying."""
    name, precision = encoder_name(settings, part), settings.vision_precision
    return name if precision == "full" else f"{name}+{precision}"


def _name(settings: ModelSettings, part: Part) -> str:
    return settings.body_encoder if part == "body" else settings.vision_encoder


def _given(settings: ModelSettings, part: Part) -> Path:
    """What a setting names, as a folder; a name on the hub gives one that does not exist."""
    name = _name(settings, part)
    return BUNDLED_FOLDER if name == BUNDLED else Path(name).expanduser()


def _from_hub(settings: ModelSettings, part: Part) -> Path:
    from huggingface_hub import snapshot_download

    name, revision = _name(settings, part), encoder_revision(settings, part)
    try:
        found = snapshot_download(name, revision=revision, allow_patterns=list(FILES))
        return Path(found).resolve()
    except Exception as error:
        raise VisionEncoderError(
            f"the vision encoder {name} (commit {revision[:12]}) is neither a folder nor in the "
            f"Hugging Face cache and could not be downloaded ({type(error).__name__}); get it once "
            f"on a machine with a network, set models.{part}_encoder to a folder saved by "
            f"save_pretrained, or to {BUNDLED}."
        ) from error


def encoder_sha256(folder: Path, precision: Precision = "full") -> str:
    """Digest over everything that shapes an embedding.

    That is the weights, the architecture, the normalisation, which feature is taken, and how
    precisely it is computed.

    Raises:
        VisionEncoderError: the encoder is of a family that is not known.
    """
    digest = hashlib.sha256()
    for name in FILES:
        path = folder / name
        digest.update(f"{name}:{sha256_of_file(path) if path.is_file() else None}\n".encode())
    feature = family_of(folder).feature
    digest.update(f"feature:{feature}\n".encode() if feature else b"")
    digest.update(f"precision:{precision}\n".encode() if precision != "full" else b"")
    return digest.hexdigest()


class VisionEncoder:
    """A loaded encoder. The network is opened at first use."""

    def __init__(self, settings: ModelSettings, part: Part = "vision") -> None:
        self._settings = settings
        self._part: Part = part
        self.folder = encoder_folder(settings, part)
        try:
            self.card = read_card(self.folder)
            self._family = family_of(self.folder)
            self._preprocessing = preprocessing_of(self.folder, self._family)
        except (ModelCardError, VisionEncoderError) as error:
            raise VisionEncoderError(f"models.{part}_encoder: {error}") from error
        self.precision: Precision = settings.vision_precision
        self.sha256 = encoder_sha256(self.folder, self.precision)
        self.name = encoder_name(settings, part)

    @cached_property
    def device(self) -> str:
        """`cpu` or `cuda`."""
        return torch_device(self._settings.device)

    @cached_property
    def _model(self) -> Any:
        from transformers.utils import logging

        logging.disable_progress_bar()  # a bar per run for what takes a moment
        set_torch_threads(self._settings.threads)
        network = open_network(self.folder, self._family).to(self.device)
        return network if self.precision == "full" else self._narrowed(network)

    def _narrowed(self, network: Any) -> Any:
        """The network in 16 bits, once it has said the same of the bundled photographs.

        Raises:
            VisionEncoderError: it says something else.
        """
        import torch

        pictures = sample_pictures()
        full = self._vectors(network, pictures)
        narrow = network.to(torch.bfloat16)
        cosine = least_cosine(full, self._vectors(narrow, pictures))
        if not cosine >= LEAST_COSINE:  # also where a number is none
            raise VisionEncoderError(
                f"models.{self._part}_encoder: {self.name} in 16 bits gives a picture a vector of "
                f"cosine {cosine:.4f} to its own, and must give {LEAST_COSINE}; set "
                "models.vision_precision to full."
            )
        return narrow

    @property
    def runs_on(self) -> str:
        """The device, and the precision where it is not full."""
        return self.device if self.precision == "full" else f"{self.device} ({self.precision})"

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
                f"models.{self._part}_encoder names {self.folder}, which does not open as a vision "
                f"encoder ({reason}); name a Hugging Face id, or a folder that save_pretrained "
                "wrote."
            ) from error

    @cached_property
    def _normalisation(self) -> tuple[Any, Any]:
        """Mean and standard deviation as (1, 3, 1, 1) tensors on the 0-255 scale."""
        import torch

        told = self._preprocessing
        return tuple(  # type: ignore[return-value]
            told.scale * torch.tensor(v, device=self.device, dtype=torch.float32).view(1, 3, 1, 1)
            for v in (told.mean, told.std)
        )

    @cached_property
    def space(self) -> EmbeddingSpace:
        """The encoder's embedding space."""
        dimension = self._family.dimension(self._model.config)
        return EmbeddingSpace(space_name(self._settings, self._part), self.sha256, dimension)

    def embed(self, crops: Sequence[ImageBGR]) -> Matrix:
        """Unit embeddings (N, D) of (224, 224, 3) BGR crops, in batches."""
        size = self._settings.vision_batch
        network = self._model
        batches = [self._vectors(network, crops[i : i + size]) for i in range(0, len(crops), size)]
        if not batches:
            return np.zeros((0, self.space.dimension), dtype=np.float32)
        return np.concatenate(batches)

    def preprocess(self, crops: Sequence[ImageBGR]) -> Any:
        """The network's input tensor (N, 3, side, side) on its device, at the encoder's own size.

        Raises:
            ValueError: a crop has another size.
        """
        import torch

        stacked = np.stack(crops)
        if stacked.shape[1:] != (VISION_PX, VISION_PX, 3):
            raise ValueError(f"expected {VISION_PX} px BGR crops, got {stacked.shape[1:]}")
        pictures, side = list(stacked), self._preprocessing.side
        if side != VISION_PX:
            how = cv2.INTER_AREA if side < VISION_PX else cv2.INTER_CUBIC
            pictures = [cv2.resize(p, (side, side), interpolation=how) for p in pictures]
        blob = cv2.dnn.blobFromImages(pictures, swapRB=True)  # (N, 3, H, W) float32
        mean, std = self._normalisation
        return torch.from_numpy(blob).to(self.device).sub_(mean).div_(std)

    def _vectors(self, network: Any, crops: Sequence[ImageBGR]) -> Matrix:
        import torch

        pictures, patch = self.preprocess(crops).to(network.dtype), self._preprocessing.patch
        given = {"pixel_values": pictures} if patch is None else in_patches(pictures, patch)
        with torch.inference_mode():
            pooled = self._family.pooled(network(**given))
        return normalise(pooled.float().cpu().numpy())
