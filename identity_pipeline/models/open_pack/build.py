"""The folder of the pack, made of the two archives: its nets, its card, the licences.

The same archives give the same bytes on every machine.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from identity_pipeline.models.cards import FILE as CARD
from identity_pipeline.models.cards import ModelCardError, read_card
from identity_pipeline.models.open_pack import (
    detector,
    dlib,
    landmarks,
    recogniser,
    sources,
    tflite,
)
from identity_pipeline.settings.numbers import FACE_NUMBERS, SHIPPED_PACKS, read_numbers
from identity_pipeline.storage.files.atomic import json_bytes

VERSION: Final = 2
"""Of the converter: raise it with every change of a net."""
NAME: Final = "open"
DETECTOR: Final = "det_mediapipe_full.onnx"
LANDMARKS: Final = "mesh_3d68.onnx"
RECOGNISER: Final = "dlib_resnet_v1.onnx"
MESH: Final = "tasks/face_mesh.onnx"
IRIS: Final = "tasks/iris.onnx"
"""InsightFace looks for models in a pack's folder only, not in folders within."""
ROLES: Final = {
    DETECTOR: "detection",
    LANDMARKS: "landmark_3d_68",
    RECOGNISER: "recognition",
    MESH: "face_mesh",
    IRIS: "iris",
}
"""What each net does, as `FacePack` and `FaceMesh` call it."""
NETS: Final = tuple(ROLES)
Weights = Mapping[str, bytes]


def licence_file(archive: sources.Archive) -> str:
    """Under which name the licence of an archive lies in the pack."""
    return f"LICENSE-{archive.project}.txt"


FILES: Final = (*NETS, CARD, *map(licence_file, sources.ARCHIVES))
"""All that is in the folder."""


def build(archives: Mapping[str, Path], folder: Path) -> None:
    """Fills a new folder.

    Args:
        archives: where each archive lies, by the project's name.
        folder: an empty one.

    Raises:
        SourceError: an archive is not the one that was pinned.
        ConversionError: a weight file is that of another net.
    """
    weights: dict[str, bytes] = {}
    for archive in sources.ARCHIVES:
        found = sources.taken_out(archive, archives[archive.project])
        _write(folder / licence_file(archive), found.pop(sources.LICENCE))
        weights |= found
    digests = {}
    for name, net in _nets(weights).items():
        data = net.SerializeToString(deterministic=True)
        digests[name] = hashlib.sha256(data).hexdigest()
        _write(folder / name, data)
    _write(folder / CARD, card(digests))


def is_made_here(folder: Path) -> bool:
    """Whether a folder holds a pack that this converter made, in whatever version."""
    try:
        return set(read_card(folder).files) == set(NETS)
    except ModelCardError:
        return False


def card(digests: Mapping[str, str]) -> bytes:
    """The pack's `pack.json`.

    Args:
        digests: SHA-256 of each net by its path in the folder.
    """
    numbers = read_numbers(SHIPPED_PACKS[NAME], FACE_NUMBERS)
    known = {
        "name": NAME,
        "licence": "CC0-1.0 (recogniser) and Apache-2.0 (detector, mesh, iris), converted",
        "purpose": "production",
        "numbers": numbers.numbers,
        "provenance": numbers.provenance,
        "files": dict(digests),
        "converter": {"name": "identity_pipeline.models.open_pack", "version": VERSION},
        "space_of": population()["of"],
        "sources": [
            {
                "project": archive.project,
                "version": archive.version,
                "archive": archive.file,
                "sha256": archive.sha256,
                "licence": archive.licence,
                "licence_text": licence_file(archive),
                "weights": dict(archive.weights),
            }
            for archive in sources.ARCHIVES
        ],
    }
    return json_bytes(known)


@cache
def population() -> Mapping[str, Any]:
    """What is done to the recogniser's vectors, and of whose faces it was made."""
    return tomllib.loads(data_file("space.toml"))


def data_file(name: str) -> str:
    """The text of a file that ships beside this module."""
    return (files("identity_pipeline.models") / "open_pack" / name).read_text(encoding="utf-8")


def mean() -> NDArray[np.float32]:
    """(128,) what is taken off every vector of the recogniser."""
    return np.array(population()["mean"], np.float32)


def spread() -> NDArray[np.float32]:
    """(128, 128) what damps the directions in which people differ most; symmetric."""
    known = population()
    across = np.array(known["directions"], np.float64)
    damped = across.T @ ((np.array(known["kept"]) - 1.0)[:, None] * across)
    return (np.eye(across.shape[1]) + damped).astype(np.float32)


def _nets(weights: Weights) -> dict[str, ModelProto]:
    mesh = tflite.to_onnx(weights[sources.MESH], "mediapipe_face_mesh")
    full = tflite.to_onnx(weights[sources.DETECTOR], "mediapipe_full_range", free=True)
    made: dict[str, Callable[[], ModelProto]] = {
        DETECTOR: lambda: detector.detector(full),
        LANDMARKS: lambda: landmarks.landmarks(mesh),
        RECOGNISER: lambda: recogniser.recogniser(
            dlib.read_resnet(weights[sources.RECOGNISER]), mean(), spread()
        ),
        MESH: lambda: mesh,
        IRIS: lambda: tflite.to_onnx(weights[sources.IRIS], "mediapipe_iris"),
    }
    return {name: made[name]() for name in NETS}


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
