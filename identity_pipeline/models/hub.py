"""All models of one process, opened at first use and kept.

Importing this module loads no model library: Dagster loads it with the definitions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from identity_pipeline.settings import ModelSettings

if TYPE_CHECKING:
    from identity_pipeline.models.face_pack import FacePack
    from identity_pipeline.models.vision_encoder import VisionEncoder


@dataclass
class ModelHub:
    """Loads what is asked for. Digests are read from files without opening a network."""

    settings: ModelSettings

    @cached_property
    def face_pack(self) -> FacePack:
        """Detector, recogniser, landmarks."""
        from identity_pipeline.models.face_pack import FacePack

        return FacePack(self.settings)

    @cached_property
    def vision(self) -> VisionEncoder:
        """Vision encoder."""
        from identity_pipeline.models.vision_encoder import VisionEncoder

        return VisionEncoder(self.settings)

    def digest(self, model: str) -> str:
        """SHA-256 of `face_pack` or `vision`.

        Raises:
            FacePackError, VisionEncoderError: the model is not there.
        """
        if model == "face_pack":
            return self.face_pack.sha256
        return self.vision.sha256

    def providers(self, model: str) -> dict[str, str]:
        """What really runs each network of `face_pack` or `vision`, by role."""
        if model == "face_pack":
            return self.face_pack.providers()
        return {"vision": self.vision.device}
