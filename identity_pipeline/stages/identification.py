"""Who is on a picture: the open-set question, through the face pack and the known people."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from identity_pipeline.core.gallery import Identification, gallery_of, identify
from identity_pipeline.core.thresholds import thresholds_of
from identity_pipeline.core.vectors import SpaceMismatchError
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.settings import Settings
from identity_pipeline.stages.desk import CurationError, Desk
from identity_pipeline.stages.spaces import head_of_space
from identity_pipeline.storage.heads import HeadStore, HeadStoreError


@dataclass(frozen=True)
class IdentifiedFace:
    """One face of a picture.

    Attributes:
        box: `x1, y1, x2, y2` in pixels.
        detection: the detector's score.
        result: who it is.
    """

    box: tuple[float, float, float, float]
    detection: float
    result: Identification


def identify_picture(desk: Desk, path: Path, settings: Settings) -> list[IdentifiedFace]:
    """Who the faces of a picture are, from left to right.

    Args:
        desk: the library; its people are those of the last recompute.
        path: JPEG or PNG.
        settings: models, and the margin.

    Raises:
        CurationError: it is no picture, or the library was made with another recogniser.
        FacePackError: the pack cannot be loaded.
    """
    from identity_pipeline.media.crops import align, decode_image

    if desk.generation is None or not desk.table("calibration").height:
        raise CurationError("there is no library yet; run `identity-pipeline recluster` first.")
    try:
        picture = decode_image(path.read_bytes())
    except ValueError as error:
        raise CurationError(f"{path.name} is no picture that can be read.") from error
    pack = ModelHub(settings.models).face_pack
    gallery = gallery_of(desk.table("person_references"))
    head_id = head_of_space(desk.generation.space)
    head, space = None, pack.space.key
    if head_id is not None:
        heads = HeadStore(desk.store.layout)
        try:
            head, space = heads.load(head_id, pack.space.key), heads.card(head_id).space
        except HeadStoreError as error:
            raise CurationError(str(error)) from error
    try:
        thresholds = thresholds_of(desk.table("calibration"), space, "probe", settings.match)
    except LookupError as error:
        raise CurationError(
            f"the library is of the recogniser {desk.generation.space}, models.face_pack is "
            f"{space}; name the same pack with --models."
        ) from error
    faces = pack.detect(picture)
    if not len(faces.boxes):
        return []
    vectors = pack.embed([align(picture, points) for points in faces.key_points])
    if head is not None:
        vectors = head.apply(vectors)
    found = []
    for box, score, vector in zip(faces.boxes, faces.scores, vectors, strict=True):
        try:
            result = identify(np.asarray(vector), space, gallery, thresholds, settings.match)
        except SpaceMismatchError as error:
            raise CurationError(str(error)) from error
        x1, y1, x2, y2 = (float(v) for v in box)
        found.append(IdentifiedFace((x1, y1, x2, y2), float(score), result))
    return found
