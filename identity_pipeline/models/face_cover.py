"""The nets that see what is before a face: of each eye, and of the cells of the face's chip.

They come with the product and were trained on rendered people alone (see the model card beside
them). Formats: `eye_there.onnx` takes (N, 3, 64, 64) and gives (N,), how surely an eye is hidden;
`face_cover.onnx` takes (N, 3, 96, 96) and gives (N, 16, 16), how surely each cell is covered. Both
take RGB in [0, 1], brightened to a mean of 110.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from identity_pipeline.core.faces.cover import (
    CHIP_PX,
    CHIP_VERTICES,
    EYE_PX,
    OVAL_VERTICES,
    CoverReading,
    cells_inside,
    chip_matrix,
    eye_matrix,
)
from identity_pipeline.core.faces.mesh import EYE_CORNERS, MeshFace, brightened
from identity_pipeline.media.crops import HALVE_FROM, ImageBGR, Region, halved
from identity_pipeline.models.device import (
    note_fallback,
    onnx_providers,
    provider_options,
    session_options,
)
from identity_pipeline.models.packs import FacePackError
from identity_pipeline.settings import ModelSettings
from identity_pipeline.storage.files.hashing import sha256_of_file, sha256_of_value

FOLDER: Final = Path(__file__).parent.parent / "bundled" / "perception"
EYE_FILE, FACE_FILE = "eye_there.onnx", "face_cover.onnx"


class FaceCoverError(FacePackError):
    """The cover nets are damaged."""


def _recorded(folder: Path) -> dict[str, str]:
    """SHA-256 of each net, by file, as it was shipped; compared when the nets are opened."""
    return json.loads((folder / "pack.json").read_text(encoding="utf-8"))["sha256"]


def cover_sha256(folder: Path = FOLDER) -> str:
    """One digest of both nets, without opening them."""
    return sha256_of_value(_recorded(folder))


class FaceCover:
    """The loaded nets."""

    def __init__(self, settings: ModelSettings, folder: Path = FOLDER) -> None:
        self._asked = onnx_providers(settings.device)
        self._on = provider_options(self._asked, settings.gpu_memory_mb)
        digests = _recorded(folder)
        self._eye, self._face = (
            self._opened(folder / name, digests[name], settings.threads)
            for name in (EYE_FILE, FACE_FILE)
        )

    def _opened(self, path: Path, sha256: str, threads: int) -> onnxruntime.InferenceSession:
        if sha256_of_file(path) != sha256:
            raise FaceCoverError(f"{path} is not the file that was shipped; install anew.")
        return onnxruntime.InferenceSession(
            str(path),
            sess_options=session_options(threads),
            providers=self._asked,
            provider_options=self._on,
        )

    def providers(self) -> dict[str, str]:
        """The execution provider that really runs the nets."""
        active = list(self._face.get_providers())
        return {"face_cover": note_fallback("face_cover", self._asked, active)}

    def read(self, regions: Sequence[Region], meshes: Sequence[MeshFace]) -> list[CoverReading]:
        """What is before each face.

        Args:
            regions: one region per face.
            meshes: their meshes, in frame pixels.
        """
        if not meshes:
            return []
        points = [
            (mesh.points[:, :2] - [region.x, region.y]) * region.scale
            for region, mesh in zip(regions, meshes, strict=True)
        ]
        eyes, chips, inside = [], [], []
        for region, p in zip(regions, points, strict=True):
            for side, (a, b) in enumerate(EYE_CORNERS):
                crop = _cut(region.bgr, eye_matrix(p[a], p[b]), EYE_PX)
                eyes.append(crop[:, ::-1] if side else crop)
            matrix = chip_matrix(p[list(CHIP_VERTICES)])
            chips.append(_cut(region.bgr, matrix, CHIP_PX))
            outline = p[list(OVAL_VERTICES)] @ matrix[:, :2].T + matrix[:, 2]
            inside.append(cells_inside(outline))
        there = 1 - _run(self._eye, eyes)
        return [
            CoverReading(cells, within, float(left), float(right))
            for cells, within, left, right in zip(
                _run(self._face, chips), inside, there[::2], there[1::2], strict=True
            )
        ]


def _cut(image: ImageBGR, matrix: NDArray[np.float64], side: int) -> ImageBGR:
    """A square of the picture; reduced by exact halvings first where much is reduced."""
    scale = float(np.hypot(matrix[0, 0], matrix[0, 1]))
    if scale <= HALVE_FROM:
        corners = np.array([[0, 0], [side, 0], [side, side], [0, side]], np.float64)
        back = cv2.invertAffineTransform(matrix)
        spots = corners @ back[:, :2].T + back[:, 2]
        high = np.array([image.shape[1], image.shape[0]])
        x1, y1 = np.clip(np.floor(spots.min(axis=0)) - 1, 0, high - 1).astype(int)
        x2, y2 = np.clip(np.ceil(spots.max(axis=0)) + 1, [x1 + 1, y1 + 1], high).astype(int)
        image, times = halved(image[y1:y2, x1:x2], scale)
        # Pixel centres: x of the part lies at (x + 0.5) / times - 0.5 after the halving.
        shift = np.array([x1, y1]) - 0.5 + 0.5 * times
        offset = matrix[:, :2] @ shift + matrix[:, 2]
        matrix = np.hstack([matrix[:, :2] * times, offset[:, None]])
    return np.asarray(cv2.warpAffine(image, matrix, (side, side), borderValue=0.0), np.uint8)


def _run(net: onnxruntime.InferenceSession, views: Sequence[ImageBGR]) -> NDArray[np.float32]:
    rgb = np.stack([brightened(view) for view in views])[..., ::-1].transpose(0, 3, 1, 2)
    blob = np.ascontiguousarray(rgb, dtype=np.float32) / np.float32(255)
    return np.asarray(net.run(None, {"data": blob})[0], np.float32)
