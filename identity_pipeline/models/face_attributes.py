"""A net for what InsightFace packs do not give: occlusion, eyes, mouth, smile, and head pose.

A pack may hold it at `attributes/face_attributes.onnx`, one folder deeper than InsightFace looks.
Its format: `data` (N, 3, S, S), RGB, (x - 127.5) / 128, the crop of the landmark models; outputs
`attributes` (N, 4) and `pose` (N, 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import onnxruntime

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.media.crops import ImageBGR
from identity_pipeline.models.device import note_fallback, session_options

FILE = Path("attributes") / "face_attributes.onnx"
SOURCE = "face_attributes"


class FaceAttributesError(IdentityPipelineError, RuntimeError):
    """The net of a pack has another format."""


class FaceAttributes(NamedTuple):
    """What the net says of one face.

    Attributes:
        eye_open: 1 is the person's neutral, 0 closed.
        mouth_open: 0 closed, 1 wide open.
        smile: 0 none, 1 full.
        occlusion: share of the face that is covered.
        pitch: degrees, > 0 up.
        yaw: degrees, > 0 nose to the image's right.
        roll: degrees, > 0 clockwise in the image.
    """

    eye_open: float
    mouth_open: float
    smile: float
    occlusion: float
    pitch: float
    yaw: float
    roll: float


class FaceAttributeNet:
    """The loaded net."""

    def __init__(self, path: Path, providers: list[str]) -> None:
        self._session = onnxruntime.InferenceSession(
            str(path), sess_options=session_options(), providers=providers
        )
        self._asked = providers
        inputs = self._session.get_inputs()
        outputs = {output.name: output.shape[-1] for output in self._session.get_outputs()}
        side = inputs[0].shape[-1]
        if outputs.get("attributes") != 4 or outputs.get("pose") != 3 or not isinstance(side, int):
            raise FaceAttributesError(
                f"{path} is no face-attribute net: expected the outputs attributes (N, 4) and "
                f"pose (N, 3), found {outputs}; remove the file or export it anew."
            )
        self.side, self._input = side, inputs[0].name

    @property
    def provider(self) -> str:
        """What really runs it."""
        return note_fallback(SOURCE, self._asked, list(self._session.get_providers()))

    def read(self, crops: Sequence[ImageBGR]) -> list[FaceAttributes]:
        """Reads square crops of `side` pixels."""
        if not crops:
            return []
        blob = cv2.dnn.blobFromImages(
            list(crops), 1 / 128, (self.side, self.side), (127.5,) * 3, swapRB=True
        )
        told = self._session.run(["attributes", "pose"], {self._input: blob})
        rows = np.concatenate([np.asarray(part, np.float32) for part in told], axis=1)
        return [FaceAttributes(*map(float, row)) for row in rows]
