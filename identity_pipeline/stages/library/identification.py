"""Who is on a picture: the open-set question, through the face pack and the known people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.heads.projection import Head
from identity_pipeline.core.matching.gallery import Identification, gallery_of, identify
from identity_pipeline.core.matching.thresholds import thresholds_of
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.settings import Settings
from identity_pipeline.stages.curation.snapshot import CurationError, LibrarySnapshot
from identity_pipeline.stages.library.kmeans_heads import heads_at_work
from identity_pipeline.stages.library.spaces import head_of_space
from identity_pipeline.storage.library.heads import HeadStoreError


@dataclass(frozen=True)
class IdentifiedFace:
    """One face of a picture.

    Attributes:
        box: `x1, y1, x2, y2` in pixels.
        detection: the detector's score.
        result: who it is.
        rule: what stood for the best of the people: see `RULES`; null without anybody.
    """

    box: tuple[float, float, float, float]
    detection: float
    result: Identification
    rule: str | None


Ask = Callable[[NDArray[np.floating], str], tuple[Identification, str | None]]
"""Who a (D,) unit vector of a space is, and by which rule."""
RULES: Final = {
    "reference": "references: exemplars and centres of the library",
    "centre": "heads: a k-means centre",
    "raw_reference": "heads: a template that was confirmed after their training",
}


def identify_picture(
    library: LibrarySnapshot,
    path: Path,
    settings: Settings,
    by: Literal["references", "heads"] = "references",
) -> list[IdentifiedFace]:
    """Who the faces of a picture are, from left to right.

    Args:
        library: as it is now; its people are those of the last recompute.
        path: a photograph of any kind that is taken in: see `media.stills`.
        settings: models, and the margin.
        by: compare with the library's references, or with the k-means heads.

    Raises:
        KMeansHeadsError: there are no heads of the library's space.
        StillError: it is no photograph, or cannot be taken as one.
        CurationError: the library was made with another recogniser.
        SpaceMismatchError: the faces lie in another space than what they are compared with.
        FacePackError: the pack cannot be loaded.
    """
    from identity_pipeline.media.crops import align
    from identity_pipeline.media.stills import read_still

    if library.generation is None or not library.table("calibration").height:
        raise CurationError("there is no library yet; run `identity-pipeline recluster` first.")
    picture = read_still(path, settings.photos).bgr
    pack = ModelHub(settings.models).face_pack
    head, space = _head(library, library.generation.space, pack.space.key)
    try:
        asked = _by_heads if by == "heads" else _by_references
        ask = asked(library, settings, space)
    except LookupError as error:
        raise CurationError(
            f"the library is of the recogniser {library.generation.space}, models.face_pack is "
            f"{space}; name the same pack with --models."
        ) from error
    faces = pack.detect(picture)
    if not len(faces.boxes):
        return []
    vectors = pack.embed([align(picture, points) for points in faces.key_points])
    if head is not None:
        vectors = head.apply(vectors)
    answers = [ask(np.asarray(vector), space) for vector in vectors]
    found = zip(faces.boxes.tolist(), faces.scores.tolist(), answers, strict=True)
    return [IdentifiedFace(tuple(box), score, *answer) for box, score, answer in found]


def _head(library: LibrarySnapshot, made_in: str, space: str) -> tuple[Head | None, str]:
    """The head that the library was computed with, and the space in which faces are compared.

    Raises:
        CurationError: the head takes no vectors of the recogniser's space.
    """
    head_id = head_of_space(made_in)
    if head_id is None:
        return None, space
    heads = library.stores.heads
    try:
        return heads.load(head_id, space), heads.card(head_id).space
    except HeadStoreError as error:
        raise CurationError(str(error)) from error


def _by_references(library: LibrarySnapshot, settings: Settings, space: str) -> Ask:
    gallery = gallery_of(library.table("person_references"))
    thresholds = thresholds_of(library.table("calibration"), space, "probe", settings.match)

    def ask(probe: NDArray[np.floating], space: str) -> tuple[Identification, str | None]:
        result = identify(probe, space, gallery, thresholds, settings.match)
        return result, "reference" if result.people else None

    return ask


def _by_heads(library: LibrarySnapshot, settings: Settings, space: str) -> Ask:
    del space  # the heads say their own
    heads = heads_at_work(library.stores, settings)

    def ask(probe: NDArray[np.floating], space: str) -> tuple[Identification, str | None]:
        found = heads.identify(probe, space)
        return found.result, found.by

    return ask
