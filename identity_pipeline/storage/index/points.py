"""What a point of the vector index is: its id, payload, vectors and checksum.

Vectors are stored as they are given (unit length, float32, compared by dot product, which for unit
vectors is the cosine), so a checksum is over exact bytes and needs no rounding.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.vectors import check_unit
from identity_pipeline.errors import IdentityPipelineError

IDENTITY: Final = "e_id"
BODY: Final = "e_vis_body"
VISION: Final = ("e_vis_face", BODY)
TEMPLATE: Final = "template"
EXEMPLAR: Final = "exemplar"
IMAGE: Final = "image"
Kind = Literal["template", "exemplar", "image"]
VectorName = Literal["e_id", "e_vis_face", "e_vis_body"]
Vector = NDArray[np.float32]

NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "identity_pipeline/index")
COLLECTION_PREFIX: Final = "identity__"


class MixedSpacesError(IdentityPipelineError, ValueError):
    """Vectors of two embedding spaces were about to share a collection."""


@dataclass(frozen=True)
class Payload:
    """What a point says of itself.

    Attributes:
        kind: template (a track), exemplar (of a person) or image (an exported one).
        subject: `track:{video_id}:{track_id}` or `face:{video_id}:{face_id}`.
        video_id: its video.
        track_id: its track; null when its face is on none.
        frame_idx: frame of its face (of a template: of its best face).
        face_id: its face (of a template: its best face).
        rider: 0 or 1 in its video; null for tracks that are no rider.
        quality: quality score of the face, of a template the mean.
        person_id: person of the library; null when unknown.
        set: anchor, coverage, challenge, pair, or photo: of a set of photographs; null for other
            kinds.
    """

    kind: Kind
    subject: str
    video_id: str
    track_id: int | None
    frame_idx: int
    face_id: str
    rider: int | None
    quality: float | None
    person_id: str | None
    set: str | None


@dataclass(frozen=True)
class IndexPoint(Payload):
    """One point.

    Attributes:
        vectors: unit vectors (D,) by name.
    """

    vectors: Mapping[VectorName, Vector]

    def payload(self) -> dict[str, Any]:
        """All but the vectors, nulls included."""
        return {field.name: getattr(self, field.name) for field in fields(Payload)}

    def point_id(self, space: str) -> str:
        """UUIDv5 of space, kind and subject: the same point is the same id on every run."""
        return str(uuid.uuid5(NAMESPACE, f"{space}|{self.kind}|{self.subject}"))


@dataclass(frozen=True)
class VideoPoints:
    """All points of one video.

    Attributes:
        video_id: partition key.
        space: key of the recogniser's space; null when there is no point.
        vision_space: key of the vision encoder's space; null when no point has such a vector.
        points: the points.
        body_space: key of the space of `e_vis_body`; null where it is `vision_space`.

    Raises:
        NotUnitNormError: a vector is not of unit length.
        ValueError: a point belongs to another video, or has vectors without a space.
    """

    video_id: str
    space: str | None
    vision_space: str | None
    points: tuple[IndexPoint, ...]
    body_space: str | None = None

    def __post_init__(self) -> None:
        """Checks the promises."""
        for point in self.points:
            if point.video_id != self.video_id:
                raise ValueError(f"{point.subject} is no point of {self.video_id}")
        for name in (IDENTITY, *VISION):
            vectors = [p.vectors[name] for p in self.points if name in p.vectors]
            if not vectors:
                continue
            if (self.space if name == IDENTITY else self.vision_space) is None:
                raise ValueError(f"{name} of {self.video_id} comes without its space")
            check_unit(np.stack(vectors), f"{name} of {self.video_id}")

    def dimensions(self) -> dict[VectorName, int]:
        """Length of the vectors by name."""
        return {name: len(v) for point in self.points for name, v in point.vectors.items()}

    def digests(self) -> dict[str, str]:
        """Digest of each point by its id."""
        space = str(self.space)
        return {
            (id_ := point.point_id(space)): digest(
                id_, point.payload(), point.vectors, encoders(self.vision_space, self.body_space)
            )
            for point in self.points
        }


def encoders(vision_space: str | None, body_space: str | None) -> str | None:
    """The encoders of a point's vectors in one word: one that sees both, or two; None for none."""
    return vision_space if body_space is None else f"{vision_space}+{body_space}"


def collection_name(space: str, vision_space: str | None = None) -> str:
    """Name of the collection of a space: readable, and never the same for two spaces.

    Args:
        space: key of the recogniser's space.
        vision_space: `encoders`, where the recogniser has more than one collection.
    """
    readable = re.sub(r"[^A-Za-z0-9_.-]+", "_", space)[:100]
    both = space if vision_space is None else f"{space}\n{vision_space}"
    return f"{COLLECTION_PREFIX}{readable}__{hashlib.sha256(both.encode()).hexdigest()[:8]}"


def digest(
    point_id: str,
    payload: Mapping[str, Any],
    vectors: Mapping[Any, Any],
    seen_by: str | None,
) -> str:
    """SHA-256 of a point: id (which knows the recogniser), payload, float32 bytes of its vectors.

    The encoders (`encoders`) count where there is a vector of theirs.
    """
    encoder = seen_by if any(name in vectors for name in VISION) else None
    text = json.dumps([point_id, payload, encoder], sort_keys=True, separators=(",", ":"))
    state = hashlib.sha256(text.encode())
    for name in sorted(vectors):
        values = np.asarray(vectors[name], dtype="<f4") + np.float32(0)  # no negative zero
        state.update(name.encode() + b"\0" + values.tobytes())
    return state.hexdigest()


def checksum(digests: Iterable[str]) -> str:
    """SHA-256 of a set of points, whatever their order."""
    return hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()
