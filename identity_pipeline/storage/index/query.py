"""What one may ask the vector index, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from identity_pipeline.storage.index.points import Kind

if TYPE_CHECKING:
    from qdrant_client import models


@dataclass(frozen=True)
class Filter:
    """What a hit must be; an empty field asks for nothing.

    Attributes:
        kinds: kinds of points.
        sets: image sets.
        video_ids: only these videos.
        without_videos: none of these videos.
        person_ids: only these people.
        labelled: true: only points with a person; false: only those without.
        quality_min: smallest quality score.
    """

    kinds: Sequence[Kind] = ()
    sets: Sequence[str] = ()
    video_ids: Sequence[str] = ()
    without_videos: Sequence[str] = ()
    person_ids: Sequence[str] = ()
    labelled: bool | None = None
    quality_min: float | None = None


@dataclass(frozen=True)
class Hit:
    """A point that was found; `score` is the cosine, the rest is its payload."""

    score: float
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


def to_qdrant(where: Filter) -> models.Filter:
    """The filter in Qdrant's words."""
    from qdrant_client import models

    def among(key: str, values: Sequence[str]) -> models.FieldCondition:
        return models.FieldCondition(key=key, match=models.MatchAny(any=list(values)))

    fields = {
        "kind": where.kinds,
        "set": where.sets,
        "video_id": where.video_ids,
        "person_id": where.person_ids,
    }
    must: list[models.Condition] = [among(key, values) for key, values in fields.items() if values]
    must_not: list[models.Condition] = []
    if where.without_videos:
        must_not.append(among("video_id", where.without_videos))
    if where.labelled is not None:
        no_person = models.IsNullCondition(is_null=models.PayloadField(key="person_id"))
        (must_not if where.labelled else must).append(no_person)
    if where.quality_min is not None:
        must.append(models.FieldCondition(key="quality", range=models.Range(gte=where.quality_min)))
    return models.Filter(must=must or None, must_not=must_not or None)
