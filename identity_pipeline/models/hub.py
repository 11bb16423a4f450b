"""All models of one process, opened at first use and kept.

Importing this module loads no model library: Dagster loads it with the definitions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from identity_pipeline.settings import ModelSettings
from identity_pipeline.storage.files.hashing import sha256_of_value

if TYPE_CHECKING:
    from identity_pipeline.models.face_cover import FaceCover
    from identity_pipeline.models.face_mesh import FaceMesh
    from identity_pipeline.models.face_pack import FacePack
    from identity_pipeline.models.vision_encoder import VisionEncoder


@dataclass
class ModelHub:
    """Loads what is asked for. Digests are read from files without opening a network.

    Attributes:
        settings: which models, and on which device.
        opened: those whose networks are open and ran once.
    """

    settings: ModelSettings
    opened: set[str] = field(default_factory=set)

    @cached_property
    def face_pack(self) -> FacePack:
        """Detector, recogniser, landmarks."""
        from identity_pipeline.models.face_pack import FacePack

        return FacePack(self.settings)

    @cached_property
    def perception(self) -> FaceMesh | None:
        """Face mesh and iris; None where the settings want none."""
        from identity_pipeline.models.face_mesh import FaceMesh, perception_folder

        folder = perception_folder(self.settings)
        return FaceMesh(folder, self.settings) if folder else None

    @cached_property
    def cover(self) -> FaceCover | None:
        """What is before a face; None where there is no mesh, along which it is looked for."""
        from identity_pipeline.models.face_cover import FaceCover

        return FaceCover(self.settings) if self.perception else None

    @cached_property
    def vision(self) -> VisionEncoder:
        """Vision encoder of the face."""
        from identity_pipeline.models.vision_encoder import VisionEncoder

        return VisionEncoder(self.settings)

    @cached_property
    def vision_body(self) -> VisionEncoder:
        """Vision encoder of the upper body: the face's, unless another is set."""
        from identity_pipeline.models.vision_encoder import VisionEncoder, own_body_encoder

        own = own_body_encoder(self.settings)
        return VisionEncoder(self.settings, "body") if own else self.vision

    def encoders(self) -> dict[str, VisionEncoder]:
        """The encoders that `vision` stands for, by role: one, or one of the face and of the body.

        Raises:
            VisionEncoderError: one is not there.
        """
        own = {} if self.vision_body is self.vision else {"vision_body": self.vision_body}
        return {"vision": self.vision, **own}

    def digest(self, model: str) -> str:
        """SHA-256 of `face_pack`, `perception` or `vision`; empty for nets that nobody wants.

        That of `perception` is of the cover nets too, which run along its mesh; of two vision
        encoders it is of both of theirs.

        Raises:
            FacePackError, VisionEncoderError: the model is not there.
        """
        if model == "face_pack":
            return self.face_pack.digest
        if model == "perception":
            return self._perception_digest()
        digests = [encoder.sha256 for encoder in self.encoders().values()]
        return digests[0] if len(digests) == 1 else sha256_of_value(digests)

    def _perception_digest(self) -> str:
        from identity_pipeline.models.face_cover import cover_sha256

        mesh = self.perception
        return sha256_of_value([mesh.sha256, cover_sha256()]) if mesh else ""

    def is_here(self, model: str) -> bool:
        """Whether a model can be had without a download; also one that nothing can be."""
        from identity_pipeline.models.packs import pack_is_here
        from identity_pipeline.models.vision_encoder import VisionEncoderError, encoders_are_here

        if model == "face_pack":
            return pack_is_here(self.settings.face_pack, self.settings)
        if model == "perception":
            name = self.settings.perception
            return not name or pack_is_here(name, self.settings)
        try:
            return encoders_are_here(self.settings)
        except VisionEncoderError:
            return True

    def fault(self, model: str, *, opened: bool = False) -> str | None:
        """Why a model cannot be used, in a sentence; None when it can.

        Args:
            model: `face_pack`, `perception` or `vision`. One that is not on this machine is
                fetched.
            opened: open its networks too, which are then open for the work; those that are open
                already are not tried again.
        """
        from identity_pipeline.models.device import DeviceError
        from identity_pipeline.models.packs import FacePackError
        from identity_pipeline.models.vision_encoder import VisionEncoderError

        if model in self.opened:
            return None
        try:
            used = self.encoders().values() if model == "vision" else (getattr(self, model),)
            for loaded in (one for one in used if opened and one is not None):
                loaded.open()
        except (DeviceError, FacePackError, VisionEncoderError) as error:
            return str(error)
        if opened:
            self.opened.add(model)
        return None

    def here(self) -> tuple[dict[str, str], dict[str, str]]:
        """Digests of the models that are on this machine, and why those of the others are unknown.

        Nothing is downloaded and no network opened.
        """
        from identity_pipeline.models.device import DeviceError
        from identity_pipeline.models.packs import FacePackError
        from identity_pipeline.models.vision_encoder import VisionEncoderError

        digests: dict[str, str] = {}
        faults: dict[str, str] = {}
        for model in ("face_pack", "perception", "vision"):
            try:
                if self.is_here(model):
                    digests[model] = self.digest(model)
                else:
                    faults[model] = f"the model {model} is not here yet; a run would fetch it first"
            except (DeviceError, FacePackError, VisionEncoderError) as error:
                faults[model] = str(error)
        return digests, faults

    def folders(self) -> list[Path] | None:
        """The folders of all models; None where one of them is not here."""
        if self.here()[1]:
            return None
        used = [self.face_pack, self.perception, *self.encoders().values()]
        return [model.folder for model in used if model is not None]

    def providers(self, model: str) -> dict[str, str]:
        """What really runs each network of a model, by role."""
        if model == "face_pack":
            return self.face_pack.providers()
        if model == "perception":
            nets = (self.perception, self.cover)
            return {role: on for net in nets if net for role, on in net.providers().items()}
        return {role: encoder.runs_on for role, encoder in self.encoders().items()}
