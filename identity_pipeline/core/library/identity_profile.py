"""A person's profile: exact statistics per source, a function of the set of its sources.

What belongs here: what some sources make of a profile. What does not: where it lies
(`storage.library.profiles`). Only embeddings of human-confirmed tracks may come in. Those too far
from the person's direction are quarantined: reported, and in no statistic. The direction is found
anew from all sources, each counting once, so that neither the order of arrival nor one poor source
decides who the person is, and a source that was withdrawn leaves no trace.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.library.running_statistics import (
    Moments,
    check_identity,
    moments_of,
    total,
)
from identity_pipeline.core.tracks.stability import medoid
from identity_pipeline.core.vectors import check_unit, same_space
from identity_pipeline.errors import IdentityPipelineError

OLD_SOURCE = "before-sources"
"""Name of the one source of a profile from before sources were told apart."""
DECIMALS = 9
"""Sums of cosines that agree so far are equal: rounding must not decide who the person is."""
TINY = 1e-9
Vectors = NDArray[np.float64]


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
        quarantined: embeddings kept out.
        made_of: hash of what it was last made of; null in a profile of an older version.
        ephemeral: the profile was imported as one that is not to stay; kept as it was read.
        retain_until: ISO date until which it may stay; null: none was given. Kept as it was read.
    """

    person_id: str
    name: str
    space: str | None
    sources: dict[str, Source] = field(default_factory=dict)
    sessions: int = 0
    last_training: str | None = None
    cover: str | None = None
    quarantined: tuple[Quarantined, ...] = ()
    made_of: str | None = None
    ephemeral: bool = False
    retain_until: str | None = None

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


@dataclass(frozen=True)
class Enrichment:
    """What one new source did.

    Attributes:
        action: `created` or `enriched`.
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


def made_of(
    profile: IdentityProfile, sources: Sequence[NewEmbeddings], threshold: float | None, today: str
) -> tuple[IdentityProfile, tuple[Enrichment, ...]]:
    """The profile that these sources make, and what that did, a report for each new source.

    Statistics and quarantine hang on the set of sources alone; of the profile before stay its name
    and cover, the number of its sessions (they did take place), and the statistics from before
    sources were told apart, which nothing could make anew.

    Args:
        profile: before; of the space of the sources.
        sources: all that there are now, each once.
        threshold: least cosine to the person's direction; what is farther is quarantined; null:
            nothing is.
        today: ISO date.

    Raises:
        ProfileError: the profile does not say its space, or a source is empty.
        SpaceMismatchError: the spaces differ.
    """
    vectors = _checked(profile, sources)
    by_name = {source.source: source for source in sources}
    direction = None if threshold is None else common_direction(vectors, threshold)
    kept = {name: old for name, old in profile.sources.items() if name == OLD_SOURCE}
    kept_out: list[Quarantined] = []
    sessions = profile.sessions
    for name, own in vectors.items():
        before, new = profile.sources.get(name), by_name[name]
        sessions += before is None
        cosines, near = _near(own, direction, threshold)
        rows = np.flatnonzero(near)
        kept[name] = Source(
            moments_of(own[rows]) if len(rows) else None,
            _quality(new.qualities, rows),
            sessions if before is None else before.session,
        )
        kept_out += [
            Quarantined(name, new.face_ids[i], round(float(cosines[i]), 6))
            for i in np.flatnonzero(~near).tolist()
        ]
    made = replace(
        profile,
        sources=dict(sorted(kept.items())),
        sessions=sessions,
        last_training=today if sessions > profile.sessions else profile.last_training,
        quarantined=tuple(sorted(kept_out, key=_place)),
    )
    return made, tuple(_reports(profile, made))


def _checked(profile: IdentityProfile, sources: Sequence[NewEmbeddings]) -> dict[str, Vectors]:
    """The (N, D) unit vectors of each source in float64, by its name in ascending order."""
    if profile.space is None and sources:
        raise ProfileError(
            f"the profile of {profile.name} does not say its embedding space, so nothing can be "
            "added to it; make a new one from the videos."
        )
    vectors: dict[str, Vectors] = {}
    for new in sorted(sources, key=lambda source: source.source):
        same_space(str(profile.space), new.space)
        if len(new.face_ids) == 0:
            raise ProfileError(f"source {new.source[:12]} has no embedding to add")
        vectors[new.source] = check_unit(new.vectors, "embedding").astype(np.float64)
    return vectors


def _near(
    vectors: Vectors, direction: Vectors | None, threshold: float | None
) -> tuple[Vectors, NDArray[np.bool_]]:
    """(N,) cosines to the person's direction, and which are near it.

    All are where there is no direction or no threshold.
    """
    if direction is None or threshold is None:
        return np.ones(len(vectors)), np.ones(len(vectors), dtype=bool)
    cosines = vectors @ direction
    return cosines, cosines >= threshold


def common_direction(sources: Mapping[str, Vectors], threshold: float) -> Vectors | None:
    """(D,) where the person is, by all sources; None without any.

    Each source says where by the mean of its faces around their medoid. The source that the others
    agree with most (by the sum of cosines, each counting once; of equal ones that with more faces,
    then the smaller name) and those near it are averaged.

    Args:
        sources: (N, D) unit vectors by name.
        threshold: least cosine of what belongs together.
    """
    if not sources:
        return None
    names = sorted(sources)
    centres, faces = [], []
    for name in names:
        own = sources[name]
        around = own[own @ own[medoid(own)] >= threshold]
        centres.append(_direction(around.sum(axis=0), otherwise=own[medoid(own)]))
        faces.append(len(around))
    stacked = np.stack(centres)
    alike = stacked @ stacked.T
    agreed = np.round(alike.sum(axis=1), DECIMALS)
    best = min(range(len(names)), key=lambda i: (-agreed[i], -faces[i], names[i]))
    return _direction(stacked[alike[best] >= threshold].sum(axis=0), otherwise=stacked[best])


def _direction(summed: Vectors, *, otherwise: Vectors) -> Vectors:
    """Unit vector along a sum; the other where the sum is nothing."""
    norm = float(np.linalg.norm(summed))
    return summed / norm if norm > TINY else otherwise


def _reports(before: IdentityProfile, made: IdentityProfile) -> Iterator[Enrichment]:
    """One for each new source: how the profile grew by it."""
    there = {name: source for name, source in made.sources.items() if name in before.sources}
    for name in sorted(made.sources.keys() - there.keys()):
        action = "enriched" if there else "created"
        there[name] = source = made.sources[name]
        far = replace(made, sources=dict(there), sessions=source.session)
        added = source.moments.count if source.moments else 0
        out = tuple(q for q in made.quarantined if q.source == name)
        yield _report(action, far, added, out)


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
    message = f"{profile.name}: profile {action}, +{added} new, {in_all} in all, session {session}."
    if kept_out:
        message += f" {len(kept_out)} too far from the person: quarantined."
    return Enrichment(action, added, in_all, session, kept_out, message)


def _place(kept_out: Quarantined) -> tuple[str, str]:
    return kept_out.source, kept_out.face_id


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
