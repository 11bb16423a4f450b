"""A person's profile: exact statistics per source, enriched and never overwritten.

What belongs here: how a profile grows and shrinks. What does not: where it lies
(`storage.profiles`). Only embeddings of human-confirmed tracks may come in. Those too far from the
person's direction are quarantined: reported, and in no statistic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.moments import (
    Moments,
    check_identity,
    moments_of,
    total,
    with_source,
    without_source,
)
from identity_pipeline.core.stability import medoid
from identity_pipeline.core.vectors import check_unit, same_space
from identity_pipeline.errors import IdentityPipelineError

OLD_SOURCE = "before-sources"
"""Name of the one source of a profile from before sources were told apart."""


class ProfileError(IdentityPipelineError, ValueError):
    """A change that would make a profile untrue."""


@dataclass(frozen=True)
class QualityStatistics:
    """Quality scores of some embeddings."""

    count: int
    mean: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class Quarantined:
    """An embedding kept out: its source, its face, and its cosine to the person's direction."""

    source: str
    face_id: str
    cosine: float


@dataclass(frozen=True)
class Source:
    """What one video gave.

    Attributes:
        moments: of its embeddings; null when all were quarantined.
        quality: of the same; null where it was not measured.
        session: the session that added it.
    """

    moments: Moments | None
    quality: QualityStatistics | None
    session: int


@dataclass(frozen=True)
class IdentityProfile:
    """One person.

    Attributes:
        person_id: UUID.
        name: what people call the person.
        space: key of the embedding space; null in a profile from before spaces were told apart.
        sources: by SHA-256 of the video.
        sessions: how often something was added.
        last_training: ISO date of the last time; null before the first.
        cover: face that shows the person; null: none chosen.
        ephemeral: the profile is to be deleted when its retention ends.
        retain_until: ISO date; null: for ever.
        quarantined: embeddings kept out.
    """

    person_id: str
    name: str
    space: str | None
    sources: dict[str, Source] = field(default_factory=dict)
    sessions: int = 0
    last_training: str | None = None
    cover: str | None = None
    ephemeral: bool = False
    retain_until: str | None = None
    quarantined: tuple[Quarantined, ...] = ()

    @property
    def moments(self) -> Moments | None:
        """All sources together; null without any."""
        parts = {name: source.moments for name, source in self.sources.items()}
        return total({name: part for name, part in parts.items() if part is not None})

    @property
    def embedding_count(self) -> int:
        """Embeddings in the statistics."""
        parts = [source.moments for source in self.sources.values()]
        return sum(part.count for part in parts if part is not None)

    @property
    def quality(self) -> QualityStatistics | None:
        """Quality over all sources that measured it."""
        parts = [self.sources[s].quality for s in sorted(self.sources)]
        measured = [part for part in parts if part is not None]
        if not measured:
            return None
        count = sum(part.count for part in measured)
        return QualityStatistics(
            count,
            sum(part.mean * part.count for part in measured) / count,
            min(part.lowest for part in measured),
            max(part.highest for part in measured),
        )

    @property
    def label(self) -> str:
        """`Name (N embeddings, k sessions)`."""
        return (
            f"{self.name} ({_counted(self.embedding_count, 'embedding')}, "
            f"{_counted(self.sessions, 'session')})"
        )

    def expired(self, today: str) -> bool:
        """Whether an ephemeral profile's retention has ended on an ISO date."""
        over = self.retain_until is not None and self.retain_until < today
        return self.ephemeral and over


@dataclass(frozen=True)
class Enrichment:
    """What an enrichment did.

    Attributes:
        action: `created`, `enriched` or `unchanged`.
        added: embeddings that came in.
        total: embeddings now.
        session: number of the session.
        quarantined: those kept out this time.
        message: the same in words.
    """

    action: str
    added: int
    total: int
    session: int
    quarantined: tuple[Quarantined, ...]
    message: str


@dataclass(frozen=True)
class NewEmbeddings:
    """What one source brings.

    Attributes:
        source: SHA-256 of the video.
        space: key of the embedding space.
        face_ids: N faces.
        vectors: (N, D) unit vectors.
        qualities: N quality scores; null where they were not measured.
    """

    source: str
    space: str
    face_ids: Sequence[str]
    vectors: NDArray[np.floating]
    qualities: Sequence[float] | None = None


def enrich(
    profile: IdentityProfile, new: NewEmbeddings, threshold: float, today: str
) -> tuple[IdentityProfile, Enrichment]:
    """The profile with one more source; a source that is already in it changes nothing.

    Args:
        profile: before.
        new: the embeddings of one source.
        threshold: least cosine to the person's direction (the mean of what is known, or the medoid
            of the new ones when nothing is); what is farther is quarantined.
        today: ISO date.

    Raises:
        ProfileError: the profile does not say its space, or there is nothing to add.
        SpaceMismatchError: the spaces differ.
    """
    if new.source in profile.sources:
        return profile, _report("unchanged", profile, 0, ())
    if profile.space is None:
        raise ProfileError(
            f"the profile of {profile.name} does not say its embedding space, so nothing can be "
            "added to it; make a new one from the videos."
        )
    same_space(profile.space, new.space)
    if len(new.face_ids) == 0:
        raise ProfileError(f"source {new.source[:12]} has no embedding to add")
    vectors = check_unit(new.vectors, "embedding").astype(np.float64)
    known = profile.moments
    direction = known.direction if known is not None else None
    if direction is None:
        direction = vectors[medoid(vectors)]
    cosines = vectors @ direction
    near = np.flatnonzero(cosines >= threshold)
    kept_out = tuple(
        Quarantined(new.source, new.face_ids[i], round(float(cosines[i]), 6))
        for i in np.flatnonzero(cosines < threshold).tolist()
    )
    session = profile.sessions + 1
    source = Source(
        moments_of(vectors[near]) if len(near) else None,
        _quality(new.qualities, near),
        session,
    )
    grown = replace(
        profile,
        sources=with_source(profile.sources, new.source, source),
        sessions=session,
        last_training=today,
        quarantined=tuple(sorted((*profile.quarantined, *kept_out), key=_place)),
    )
    action = "enriched" if profile.sources else "created"
    return grown, _report(action, grown, len(near), kept_out)


def withdraw(profile: IdentityProfile, source: str) -> IdentityProfile:
    """The profile with statistics and quarantine as if a source had never been added.

    The number of sessions stays: they did take place.

    Raises:
        ProfileError: the source is not in it.
    """
    if source not in profile.sources:
        raise ProfileError(f"source {source[:12]} is not in the profile of {profile.name}")
    return replace(
        profile,
        sources=without_source(profile.sources, source),
        quarantined=tuple(q for q in profile.quarantined if q.source != source),
    )


def check_profile(profile: IdentityProfile) -> None:
    """Asserts what must hold of the statistics of unit vectors.

    Raises:
        MomentsError: it does not hold.
    """
    for name, source in profile.sources.items():
        if name != OLD_SOURCE and source.moments is not None:
            check_identity(source.moments)


def _quality(
    qualities: Sequence[float] | None, rows: NDArray[np.int64]
) -> QualityStatistics | None:
    if qualities is None or not len(rows):
        return None
    values = np.asarray(qualities, dtype=np.float64)[rows]
    return QualityStatistics(
        len(values), float(values.mean()), float(values.min()), float(values.max())
    )


def _report(
    action: str, profile: IdentityProfile, added: int, kept_out: tuple[Quarantined, ...]
) -> Enrichment:
    in_all, session = profile.embedding_count, profile.sessions
    if action == "unchanged":
        message = (
            f"{profile.name}: nothing new, this source is already in the profile "
            f"({in_all} in all, session {session})."
        )
    else:
        message = (
            f"{profile.name}: profile {action}, +{added} new, {in_all} in all, session {session}."
        )
    if kept_out:
        message += f" {len(kept_out)} too far from the person: quarantined."
    return Enrichment(action, added, in_all, session, kept_out, message)


def _place(kept_out: Quarantined) -> tuple[str, str]:
    return kept_out.source, kept_out.face_id


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
