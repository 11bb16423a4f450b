"""A pack of its own: the open detector and mesh with a recogniser that somebody else publishes.

What belongs here: checking that a file is a recogniser as InsightFace loads one, and the folder
with its card. Downloading it does not: where a hub is reachable, its own client does that.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.models.cards import read_card
from identity_pipeline.models.open_pack import build, check, fetch
from identity_pipeline.settings.numbers import (
    FACE_NUMBERS,
    OF_DETECTOR,
    SHIPPED_PACKS,
    read_numbers,
)
from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.files.hashing import sha256_of_file

SIDE: Final = 112
"""Side of an aligned face in pixels, which a recogniser must take."""


class CombineError(IdentityPipelineError, ValueError):
    """The two make no pack; the sentence says why."""


def combine(pack: Path, recogniser: Path, folder: Path, licence: str, *, arcface_like: bool) -> int:
    """Makes a folder with all nets of the open pack but its recogniser, and another one.

    Args:
        pack: folder of the open pack, whole.
        recogniser: an ONNX file that takes aligned 112 px faces, as ArcFace's do.
        folder: to be made; named after it, the pack has spaces of its own.
        licence: of the recogniser, in words.
        arcface_like: its cosines have the scale of ArcFace's, for which the product's own
            numbers are; else nobody is matched before numbers are given.

    Returns:
        How many numbers the recogniser gives for a face.

    Raises:
        CombineError: the folder is there, the pack is not whole, or the file is no recogniser.
    """
    if folder.exists():
        raise CombineError(f"{folder} is there already; name a new folder.")
    fault = fetch.fault_of(pack)
    if fault is not None:
        raise CombineError(
            f"the open pack in {pack} cannot be taken: {fault}; get it first: "
            "identity-pipeline models fetch open"
        )
    size = _size_of(recogniser)
    kept = [net for net in build.NETS if net != build.RECOGNISER]
    licences = [build.licence_file(each) for each in build.sources.ARCHIVES]
    with atomic.new_folder(folder) as fresh:
        for name in (*kept, *licences):
            (fresh / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(pack / name, fresh / name)
        shutil.copyfile(recogniser, fresh / recogniser.name)
        files = {name: sha256_of_file(fresh / name) for name in (*kept, recogniser.name)}
        known = _card(folder.name, licence, files, read_card(pack).licence, arcface_like)
        (fresh / build.CARD).write_bytes(atomic.json_bytes(known))
    return size


def _card(
    name: str, licence: str, files: dict[str, str], others: str | None, arcface_like: bool
) -> dict[str, Any]:
    numbers = read_numbers(SHIPPED_PACKS[build.NAME], FACE_NUMBERS)
    own = {key: value for key, value in numbers.numbers.items() if key.startswith(OF_DETECTOR)}
    return {
        "name": name,
        "licence": f"recogniser: {licence}; the other nets: {others}",
        "purpose": "production",
        "arcface_like": arcface_like,
        "numbers": own,
        "provenance": {key: numbers.provenance_of(key) for key in own},
        "files": files,
    }


def _size_of(recogniser: Path) -> int:
    """Length of the vector of a face.

    Raises:
        CombineError: the file is no such recogniser.
    """
    wanted = f"InsightFace takes a net for a recogniser that is given (N, 3, {SIDE}, {SIDE})"
    try:
        session = onnxruntime.InferenceSession(str(recogniser), providers=["CPUExecutionProvider"])
    except Exception as error:  # of ONNX Runtime, by what is wrong with the file
        raise CombineError(f"{recogniser} is no ONNX model that can be opened.") from error
    inputs = session.get_inputs()
    if len(inputs) != 1 or list(inputs[0].shape[1:]) != [3, SIDE, SIDE]:
        raise CombineError(f"{recogniser} is given something else than an aligned face; {wanted}.")
    face = (check.drawn_face(SIDE).astype(np.float32) - 127.5) / 127.5
    told = session.run(None, {inputs[0].name: face.transpose(2, 0, 1)[None]})
    vector = np.asarray(told[0])
    if len(told) != 1 or vector.ndim != 2 or vector.shape[0] != 1 or not np.isfinite(vector).all():
        raise CombineError(f"{recogniser} does not give one vector for a face.")
    return int(vector.shape[1])
