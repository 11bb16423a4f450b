"""InsightFace packs: detection, recognition and landmarks, loaded by name or from a folder.

`insightface.app.FaceAnalysis` finds and loads the models; they are then run in batches across
faces and frames, which `FaceAnalysis.get` does not do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from identity_pipeline.core.geometry import Box, face_crop_box, without_nested
from identity_pipeline.core.vectors import Matrix, normalise
from identity_pipeline.errors import IdentityPipelineError, first_line
from identity_pipeline.media.crops import ImageBGR, Region
from identity_pipeline.models import scrfd
from identity_pipeline.models.cards import ModelCardError, read_card
from identity_pipeline.models.device import (
    cores,
    note_fallback,
    onnx_providers,
    provider_options,
    runners_of,
    session_options,
)
from identity_pipeline.models.faster import (
    Faster,
    arithmetic_of,
    faces_on_photographs,
    faster_detector,
    faster_recogniser,
)
from identity_pipeline.models.packs import FacePackError, pack_folder
from identity_pipeline.models.processor import at_once, net_to_open
from identity_pipeline.models.spaces import EmbeddingSpace
from identity_pipeline.settings import ModelSettings
from identity_pipeline.storage.files.hashing import sha256_of_file, sha256_of_value

LANDMARK_TASKS = ("landmark_3d_68", "landmark_2d_68", "landmark_2d_106")
"""In order of preference."""


@dataclass(frozen=True)
class Detections:
    """Faces of one frame, from left to right.

    Attributes:
        boxes: (N, 4) pixels.
        scores: (N,) in [0, 1].
        key_points: (N, 5, 2) pixels: eyes, nose, mouth corners; image-left first.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    key_points: NDArray[np.float32]


def pack_sha256(folder: Path) -> str:
    """Digest over the names and contents of all ONNX files of a pack."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.onnx")):
        digest.update(f"{path.name}:{sha256_of_file(path)}\n".encode())
    return digest.hexdigest()


class FacePack:
    """A loaded pack. Models are opened at first use."""

    def __init__(self, settings: ModelSettings) -> None:
        self._settings = settings
        self.folder = pack_folder(settings.face_pack, settings)
        try:
            self.card = read_card(self.folder)
        except ModelCardError as error:
            raise FacePackError(str(error)) from error
        if not any(self.folder.glob("*.onnx")):
            raise FacePackError(
                f"models.face_pack names {self.folder}, which holds no face detector, nor any "
                "other ONNX model; name a folder "
                "that insightface.app.FaceAnalysis loads."
            )
        self.name = self.folder.name
        self.sha256 = pack_sha256(self.folder)
        self._asked = onnx_providers(settings.device)
        self.threads = settings.threads or cores()
        """Cores that work on a video may take."""

    @cached_property
    def _models(self) -> dict[str, Any]:
        from insightface.app import FaceAnalysis

        tasks = ["detection", "recognition", *LANDMARK_TASKS]
        try:
            app = FaceAnalysis(
                str(self.folder),
                allowed_modules=tasks,
                providers=self._asked,
                provider_options=provider_options(self._asked, self._settings.gpu_memory_mb),
                sess_options=session_options(self._settings.threads),
            )
        except AssertionError as error:
            raise FacePackError(f"{self.folder} holds no face detector (*.onnx).") from error
        except Exception as error:  # of ONNX Runtime, by the network's format
            raise FacePackError(
                f"a model in {self.folder} cannot be opened ({first_line(error)}); fetch the pack "
                "anew, or set models.face_pack to another one."
            ) from error
        size = (self._settings.det_size, self._settings.det_size)
        app.prepare(ctx_id=0, det_thresh=self._settings.det_score_min, det_size=size)
        if "recognition" not in app.models:
            raise FacePackError(f"{self.folder} holds no face recogniser (*.onnx).")
        self._open_again(app.models["recognition"])
        return dict(app.models)

    def _open_again(self, recogniser: Any) -> None:
        """Opens the recogniser anew where another form of it is faster: see `models.processor`."""
        net = net_to_open(Path(recogniser.model_file), self._asked)
        if isinstance(net, bytes):
            recogniser.session = onnxruntime.InferenceSession(
                net,
                sess_options=session_options(self._settings.threads),
                providers=self._asked,
                provider_options=provider_options(self._asked, self._settings.gpu_memory_mb),
            )

    @property
    def _detector(self) -> Any:
        model = self._models["detection"]
        if not model.use_kps:
            raise FacePackError(f"the detector of {self.name} gives no 5 key points.")
        return model

    @cached_property
    def detector_sha256(self) -> str:
        """Of the net that finds faces: packs of different names may share it."""
        return sha256_of_file(Path(self._detector.model_file))

    @property
    def landmark_task(self) -> str | None:
        """The best landmark model of the pack, or None: then the 5 key points must do."""
        return next((task for task in LANDMARK_TASKS if task in self._models), None)

    @property
    def mean_shape_3d(self) -> NDArray[np.float64] | None:
        """(68, 3) mean of `landmark_3d_68` in the head frame, or None without such a model."""
        if self.landmark_task != "landmark_3d_68":
            return None
        # InsightFace keeps it with y down, like the landmarks.
        mean = np.asarray(self._models["landmark_3d_68"].mean_lmk, dtype=np.float64)
        return mean * np.array([1.0, -1.0, 1.0])

    @cached_property
    def space(self) -> EmbeddingSpace:
        """The recogniser's embedding space: of its weights, and of how it really computes."""
        model = self._models["recognition"]
        weights = sha256_of_file(Path(model.model_file))
        computes = self._faster_recogniser.changes
        return EmbeddingSpace(
            name=f"{self.name}/{Path(model.model_file).stem}",
            sha256=sha256_of_value([weights, *computes]) if computes else weights,
            dimension=int(model.output_shape[-1]),
        )

    def providers(self) -> dict[str, str]:
        """The execution provider that really runs each model, and how where that was chosen."""
        faster = {"detection": self._faster_detector, "recognition": self._faster_recogniser}
        return {
            task: faster.get(task, Faster()).told(
                note_fallback(task, self._asked, list(model.session.get_providers()))
            )
            for task, model in self._models.items()
        }

    @property
    def digest(self) -> str:
        """What of the pack an output depends on: its files, and how they are to compute.

        Nothing is opened for it: whether they really compute so is part of `space`.
        """
        asked = arithmetic_of(self._settings)
        return sha256_of_value([self.sha256, *asked]) if asked else self.sha256

    def open(self) -> None:
        """Opens all networks and runs them once on a blank picture, so that faults show now.

        Raises:
            FacePackError: a network cannot be opened or run, or gives no key points.
            DeviceError: the device is not there.
        """
        self.providers()
        side = self._settings.det_size
        try:
            self.detect_many([np.zeros((side, side, 3), np.uint8)])
            self.embed([np.full((112, 112, 3), 128, np.uint8)])
        except IdentityPipelineError:
            raise
        except Exception as error:  # of ONNX Runtime or InsightFace, by the network's shape
            raise FacePackError(
                f"a model of {self.name} does not run ({first_line(error)}); set "
                "models.face_pack to another pack."
            ) from error

    def detect(
        self,
        frame: ImageBGR,
        *,
        size: int | tuple[int, int] | None = None,
        score_min: float | None = None,
    ) -> Detections:
        """Finds the faces of one frame; a part of a face that is taken for another one is none.

        Args:
            frame: (H, W, 3).
            size: side of the detector's input, or its width and height; `models.det_size` by
                default. A detector whose input has a size of its own keeps that.
            score_min: detections below it are none; `models.det_score_min` by default.

        Raises:
            FacePackError: the detector gives no key points.
        """
        model, least = self._detector, score_min
        wanted = (size, size) if isinstance(size, int) else size
        if least is None:
            least = self._settings.det_score_min
        return _in_order(scrfd.find(model, frame, scrfd.input_size(model, wanted), least))

    @property
    def detection_batch(self) -> int:
        """How many frames `detect_many` looks at in one call of the network."""
        net = self._faster_detector.net
        return net.batch if net else 1

    def detect_many(self, frames: Sequence[ImageBGR]) -> list[Detections]:
        """The faces of each of several frames.

        What a frame gives does not depend on those beside it. On the CPU in full precision it is
        what `detect` gives, bit by bit; a GPU may round the last digits otherwise.

        Args:
            frames: (H, W, 3) each; for speed a multiple of `detection_batch`.

        Raises:
            FacePackError: the detector gives no key points.
        """
        net = self._faster_detector.net
        if net is None:
            return [self.detect(frame) for frame in frames]
        least = self._settings.det_score_min
        return [_in_order(found) for found in scrfd.find_many(self._detector, net, frames, least)]

    @cached_property
    def _faster_detector(self) -> Faster:
        runners = runners_of(self._asked, self._settings)
        return faster_detector(self._detector, runners, self._settings)

    @cached_property
    def _faster_recogniser(self) -> Faster:
        def faces() -> list[ImageBGR]:
            return faces_on_photographs(self._detector, self._settings.det_score_min)

        runners = runners_of(self._asked, self._settings)
        return faster_recogniser(self._models["recognition"], runners, self._settings, faces)

    def embed(self, aligned: Sequence[ImageBGR]) -> Matrix:
        """Unit embeddings (N, D) of aligned (112, 112, 3) faces, in batches."""
        found = self.features(aligned)
        return normalise(found) if len(found) else found

    def features(self, aligned: Sequence[ImageBGR]) -> Matrix:
        """The same as the recogniser gives them, (N, D) of any length."""
        faster = self._faster_recogniser.net
        if faster is not None and aligned:
            return faster.over(aligned).astype(np.float32)
        model = self._models["recognition"]
        size = at_once(self._asked, self._settings.recognition_batch)
        batches = [
            model.get_feat(list(aligned[i : i + size])) for i in range(0, len(aligned), size)
        ]
        if not batches:
            return np.zeros((0, self.space.dimension), dtype=np.float32)
        return np.concatenate(batches).astype(np.float32)

    @property
    def recogniser_file(self) -> Path:
        """The file of the recogniser's network."""
        return Path(self._models["recognition"].model_file)

    def landmarks(self, regions: Sequence[Region], boxes: Sequence[Box]) -> NDArray[np.float32]:
        """Landmarks (N, P, 2 or 3) in frame pixels, z towards the viewer.

        Args:
            regions: one region per face.
            boxes: the face boxes in frame pixels.

        Raises:
            FacePackError: the pack has no landmark model.
        """
        task = self.landmark_task
        if task is None:
            raise FacePackError(f"{self.name} holds no landmark model.")
        model = self._models[task]
        side = int(model.input_size[0])
        crops, matrices = _face_crops(regions, boxes, side)
        raw = _run_landmarks(model, crops, side)
        inverses = [np.asarray(cv2.invertAffineTransform(matrix), float) for matrix in matrices]
        return np.stack([_to_frame(*where) for where in zip(raw, inverses, regions, strict=True)])


def _in_order(found: scrfd.Found) -> Detections:
    """Faces from left to right; a part of a face that was taken for another one is none."""
    kept = without_nested(found.boxes[:, :4], found.boxes[:, 4])
    boxes, key_points = found.boxes[kept], found.key_points[kept]
    order = np.lexsort((boxes[:, 1], boxes[:, 0]))
    return Detections(boxes[order, :4], boxes[order, 4], key_points[order])


def _face_crops(
    regions: Sequence[Region], boxes: Sequence[Box], side: int
) -> tuple[list[ImageBGR], list[NDArray[np.float64]]]:
    """The square crops that landmark models see, and the maps that cut them."""
    matrices = [
        _landmark_transform(region, box, side) for region, box in zip(regions, boxes, strict=True)
    ]
    crops = [
        np.asarray(cv2.warpAffine(region.bgr, matrix, (side, side), borderValue=0.0), np.uint8)
        for region, matrix in zip(regions, matrices, strict=True)
    ]
    return crops, matrices


def _landmark_transform(region: Region, box: Box, side: int) -> NDArray[np.float64]:
    """Maps region pixels to the model's input: 1.5 longer sides about the box, unrotated."""
    crop = region.to_region(face_crop_box(box, 1.5))
    scale = side / crop.width
    return np.array([[scale, 0, -crop.x1 * scale], [0, scale, -crop.y1 * scale]])


def _run_landmarks(model: Any, crops: list[ImageBGR], side: int) -> NDArray[np.float32]:
    """Points (N, P, 2 or 3) in pixels of the model's input."""
    blob = cv2.dnn.blobFromImages(
        crops, 1.0 / model.input_std, (side, side), (model.input_mean,) * 3, swapRB=True
    )
    batched = not isinstance(model.input_shape[0], int)
    calls = [blob] if batched else [blob[i : i + 1] for i in range(len(blob))]
    outputs = [model.session.run(model.output_names, {model.input_name: b})[0] for b in calls]
    points = np.concatenate(outputs).reshape(len(crops), -1, model.lmk_dim)[:, -model.lmk_num :]
    half = side // 2
    points = points.astype(np.float32) * half
    points[:, :, :2] += half
    return points


def _to_frame(
    points: NDArray[np.float32], inverse: NDArray[np.float64], region: Region
) -> NDArray[np.float32]:
    moved = points.astype(np.float64).copy()
    moved[:, :2] = (points[:, :2] @ inverse[:, :2].T + inverse[:, 2]) / region.scale
    moved[:, :2] += (region.x, region.y)
    if points.shape[1] == 3:
        moved[:, 2] *= inverse[0, 0] / region.scale
    return moved.astype(np.float32)
