"""The nets of perception: a mesh of 468 points of a face, and the contour and iris of its eyes.

A folder holds them as `tasks/face_mesh.onnx` and, if at all, `tasks/iris.onnx`. Formats: the mesh
net takes (N, 3, 192, 192), RGB in [0, 1], and gives the points in pixels of its input (N, 1404) and
the logit of a face being there (N, 1); the iris net takes (N, 3, 64, 64), RGB in [0, 1], and gives
the eye contour (N, 213) and the iris (N, 15). Any other net is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from identity_pipeline.core.faces.mesh import (
    EYE_CORNERS,
    EYE_PX,
    EyeReading,
    MeshFace,
    brightened,
    eye_line,
)
from identity_pipeline.core.geometry import Box
from identity_pipeline.media.crops import ImageBGR, Region
from identity_pipeline.models.cards import PackCard, read_card
from identity_pipeline.models.device import (
    note_fallback,
    onnx_providers,
    provider_options,
    session_options,
)
from identity_pipeline.models.packs import FacePackError, pack_folder
from identity_pipeline.models.processor import at_once, net_to_open
from identity_pipeline.settings import ModelSettings
from identity_pipeline.storage.files.hashing import sha256_of_file

SOURCE: Final = "face_mesh"
MESH_FILE, IRIS_FILE = Path("tasks") / "face_mesh.onnx", Path("tasks") / "iris.onnx"
MESH_PX: Final = 192
FACE_EXPAND: Final = 1.5
"""Side of the mesh crop over the longer side of the face, as the net was trained (Kartynnik et al.
2019)."""
EYE_EXPAND: Final = 2.3
"""Side of the eye crop over the eye's width, as the net was trained (Ablavatski et al. 2020)."""
MESH_OUT, IRIS_OUT = (1404, 1), (213, 15)

Affine = NDArray[np.float64]


class FaceMeshError(FacePackError):
    """The nets of perception cannot be loaded or have another format."""


def perception_folder(settings: ModelSettings) -> Path | None:
    """The folder of the nets; None where the settings want none.

    Raises:
        FacePackError: there is no such pack, or no mesh net in it.
    """
    if not settings.perception:
        return None
    folder = pack_folder(settings.perception, settings, "models.perception")
    if not (folder / MESH_FILE).is_file():
        raise FaceMeshError(
            f"models.perception names {settings.perception}, where there is no {MESH_FILE}; name a "
            "pack that holds the face mesh, such as open, or set models.perception to an empty "
            "text to do without one."
        )
    return folder


def perception_sha256(folder: Path) -> str:
    """Digest over the names and contents of the nets of a folder."""
    digest = hashlib.sha256()
    for file in (MESH_FILE, IRIS_FILE):
        if (folder / file).is_file():
            digest.update(f"{file.name}:{sha256_of_file(folder / file)}\n".encode())
    return digest.hexdigest()


class FaceMesh:
    """The loaded nets. They are opened at first use."""

    def __init__(self, folder: Path, settings: ModelSettings) -> None:
        self.folder = folder
        self.name = folder.name
        self.card: PackCard = read_card(folder)
        self.sha256 = perception_sha256(folder)
        self._asked = onnx_providers(settings.device)
        self._on = provider_options(self._asked, settings.gpu_memory_mb)
        self._threads = settings.threads

    @cached_property
    def _mesh(self) -> onnxruntime.InferenceSession:
        return self._opened(MESH_FILE, MESH_OUT)

    @cached_property
    def _iris(self) -> onnxruntime.InferenceSession | None:
        there = (self.folder / IRIS_FILE).is_file()
        return self._opened(IRIS_FILE, IRIS_OUT) if there else None

    def _opened(self, file: Path, widths: tuple[int, int]) -> onnxruntime.InferenceSession:
        path = self.folder / file
        try:
            session = onnxruntime.InferenceSession(
                net_to_open(path, self._asked),
                sess_options=session_options(self._threads),
                providers=self._asked,
                provider_options=self._on,
            )
        except Exception as error:  # of ONNX or its Runtime, by the network's format
            raise FaceMeshError(
                f"{path} cannot be opened ({str(error).strip().splitlines()[0]}); fetch the pack "
                "anew, or set models.perception to another folder."
            ) from error
        found = tuple(output.shape[-1] for output in session.get_outputs())
        if found != widths:
            raise FaceMeshError(
                f"{path} is no net of perception: expected outputs of {widths} numbers a face, "
                f"found {found}; set models.perception to another folder."
            )
        return session

    def providers(self) -> dict[str, str]:
        """The execution provider that really runs each net."""
        nets = {SOURCE: self._mesh, "iris": self._iris}
        return {
            name: note_fallback(name, self._asked, list(net.get_providers()))
            for name, net in nets.items()
            if net is not None
        }

    def open(self) -> None:
        """Opens the nets and runs them once on a blank picture, so that faults show now.

        Raises:
            FaceMeshError: a net cannot be opened or has another format.
        """
        blank = Region(np.full((MESH_PX, MESH_PX, 3), 128, np.uint8), 0.0, 0.0, 1.0)
        self.read([blank], [Box(32, 32, 160, 160)], [None])

    def read(
        self,
        regions: Sequence[Region],
        boxes: Sequence[Box],
        key_points: Sequence[NDArray[np.floating] | None],
    ) -> list[MeshFace]:
        """Reads faces. The mesh is found twice, the second time in the crop that the first gives.

        Args:
            regions: one region per face.
            boxes: the face boxes in frame pixels.
            key_points: (5, 2) of the detector in frame pixels, image-left eye first; None where
                there are none: then the first crop is upright.
        """
        if not regions:
            return []
        first = [_turned(b, k) for b, k in zip(boxes, key_points, strict=True)]
        points, _ = self._found(regions, first)
        points, logits = self._found(regions, [_about(p) for p in points])
        eyes = self._eyes(regions, points)
        presence = 1 / (1 + np.exp(-logits.astype(np.float64)))
        return [
            MeshFace(p, float(there), both)
            for p, there, both in zip(points, presence, eyes, strict=True)
        ]

    def _found(
        self, regions: Sequence[Region], squares: Sequence[_Square]
    ) -> tuple[list[NDArray[np.float32]], NDArray[np.float32]]:
        """Points (468, 3) of each face in frame pixels, and the logits of faces being there."""
        maps = [square.to_crop(MESH_PX) for square in squares]
        crops = [_cut(region, m, MESH_PX) for region, m in zip(regions, maps, strict=True)]
        raw, logits = self._run(self._mesh, crops)
        points = [
            _in_frame(p, m) for p, m in zip(raw.reshape(len(crops), -1, 3), maps, strict=True)
        ]
        return points, logits.reshape(-1)

    def _eyes(
        self, regions: Sequence[Region], meshes: Sequence[NDArray[np.float32]]
    ) -> list[tuple[EyeReading, EyeReading] | None]:
        """Both eyes of each face; None without an iris net."""
        net = self._iris
        if net is None:
            return [None] * len(regions)
        maps = [
            _eye_square(points, side).to_crop(EYE_PX, mirrored=side == 1)
            for points in meshes
            for side in (0, 1)
        ]
        crops = [_cut(regions[i // 2], m, EYE_PX) for i, m in enumerate(maps)]
        lit = [brightened(crop) for crop in crops]
        raw, iris = self._run(net, lit)
        readings = [
            EyeReading(_in_frame(c, m)[:, :2], _in_frame(i, m)[:, :2], crop)
            for c, i, m, crop in zip(
                raw.reshape(len(maps), -1, 3),
                iris.reshape(len(maps), -1, 3),
                maps,
                crops,
                strict=True,
            )
        ]
        return list(zip(readings[::2], readings[1::2], strict=True))

    def _run(
        self, net: onnxruntime.InferenceSession, crops: Sequence[ImageBGR]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The two outputs of a net for square crops."""
        name, size = net.get_inputs()[0].name, at_once(self._asked, len(crops))
        outputs = [
            net.run(None, {name: _blob(crops[i : i + size])}) for i in range(0, len(crops), size)
        ]
        first, second = (np.concatenate(parts) for parts in zip(*outputs, strict=True))
        return np.asarray(first, np.float32), np.asarray(second, np.float32)


class _Square:
    """A turned square in frame pixels."""

    def __init__(self, centre: NDArray[np.floating], side: float, along: Any) -> None:
        self.centre = np.asarray(centre, dtype=np.float64)
        self.side = max(float(side), 1.0)
        length = float(np.hypot(*along))
        self.unit = np.asarray(along, float) / length if length > 0 else np.array([1.0, 0.0])

    def to_crop(self, pixels: int, *, mirrored: bool = False) -> Affine:
        """(2, 3) map from frame pixels to pixels of the crop."""
        cos, sin = self.unit
        turn = np.array([[cos, sin], [-sin, cos]]) * pixels / self.side
        if mirrored:
            turn[0] *= -1
        return np.hstack([turn, (pixels / 2 - turn @ self.centre)[:, None]])


def _turned(box: Box, key_points: NDArray[np.floating] | None) -> _Square:
    """The first crop of a face: about its box, turned by the line of the detector's eyes."""
    along = (1.0, 0.0) if key_points is None else key_points[1] - key_points[0]
    return _Square(np.array(box.centre), FACE_EXPAND * box.longer_side, along)


def _about(points: NDArray[np.floating]) -> _Square:
    """The crop about a mesh, turned by the line of its eyes."""
    square = _Square(points[0, :2], 1.0, eye_line(points))
    basis = np.array([square.unit, [-square.unit[1], square.unit[0]]])
    level = points[:, :2] @ basis.T
    low, high = level.min(axis=0), level.max(axis=0)
    return _Square((low + high) / 2 @ basis, FACE_EXPAND * float((high - low).max()), square.unit)


def _eye_square(points: NDArray[np.floating], side: int) -> _Square:
    """The crop of an eye, between its corners and level with them; side 0 is image-left."""
    a, b = (np.asarray(points[v, :2], dtype=np.float64) for v in EYE_CORNERS[side])
    return _Square((a + b) / 2, EYE_EXPAND * float(np.hypot(*(b - a))), b - a)


def _cut(region: Region, to_crop: Affine, pixels: int) -> ImageBGR:
    """The crop of a region. Coordinates count from a pixel's edge, OpenCV's from its middle."""
    turn = to_crop[:, :2] / region.scale
    shift = to_crop[:, :2] @ [region.x, region.y] + to_crop[:, 2]
    matrix = np.hstack([turn, (shift + turn @ [0.5, 0.5] - 0.5)[:, None]])
    return np.asarray(
        cv2.warpAffine(region.bgr, matrix, (pixels, pixels), borderValue=0.0), np.uint8
    )


def _blob(crops: Sequence[ImageBGR]) -> NDArray[np.float32]:
    """Square crops as a net takes them: RGB in [0, 1], channels first."""
    rgb = np.stack(crops)[..., ::-1].transpose(0, 3, 1, 2)
    blob = np.ascontiguousarray(rgb, dtype=np.float32)
    blob /= np.float32(255)
    return blob


def _in_frame(points: NDArray[np.floating], to_crop: Affine) -> NDArray[np.float32]:
    """Points (P, 3) of a crop in frame pixels; z, which the nets count from the viewer, turned."""
    back = np.linalg.inv(to_crop[:, :2])
    scale = float(np.sqrt(abs(np.linalg.det(back))))
    flat = (points[:, :2].astype(np.float64) - to_crop[:, 2]) @ back.T
    return np.hstack([flat, -scale * points[:, 2:3]]).astype(np.float32)
