"""A person's profile: exact statistics per class of source, a function of the set of its sources.

What belongs here: what some sources make of a profile. What does not: where it lies
(`storage.library.profiles`). Only embeddings of human-confirmed tracks may come in. Those too far
from the person's direction are quarantined: reported, and in no statistic. The direction is found
anew from all sources, each counting once, so that neither the order of arrival nor one poor source
decides who the person is, and a source that was withdrawn leaves no trace.

Statistics are kept of rides and of photographs as a whole, and not of each ride or photo set: they
are always made of all sources together, so a profile stays as long however many sources there are.
Of a source it is only kept that it came in, and when.
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
"""Name, and class, of the one source of a profile from before sources were told apart."""
RIDE, PHOTOS = "ride", "photos"
"""The classes of sources that are told apart."""
QUARANTINE_LISTED = 100
"""Embeddings kept out that are named, the farthest; all are counted."""
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
    """What one video, or one set of photographs, gave.

    Attributes:
        kind: its class: `ride`, `photos` or `before-sources`.
        count: its embeddings in the statistics.
        session: the session that added it.
    """

    kind: str
    count: int
    session: int


@dataclass(frozen=True)
class ClassStatistics:
    """What all sources of one class gave together.

    Attributes:
        moments: of their embeddings; null when all were quarantined.
        quality: of the same; null where it was not measured.
    """

    moments: Moments | None
    quality: QualityStatistics | None


@dataclass(frozen=True)
class IdentityProfile:
    """One person.

    Attributes:
        person_id: UUID.
        name: what people call the person.
        space: key of the embedding space; null in a profile from before spaces were told apart.
        sources: by SHA-256 of the content.
        classes: statistics by class of source.
        sessions: how often something was added.
        last_training: ISO date or time of the last time; null before the first.
        cover: face that shows the person; null: none chosen.
        quarantined: embeddings kept out; the `QUARANTINE_LISTED` farthest of them.
        quarantined_count: all of them.
        model: recogniser of the embeddings, by name; null where the space does not say.
        gate_version: digest of the settings by which its faces were gated; null where not all of
            them were gated by the same, or it is not known.
        made_of: hash of what it was last made of; null in a profile of an older version.
        ephemeral: the profile was imported as one that is not to stay; kept as it was read.
        retain_until: ISO date until which it may stay; null: none was given. Kept as it was read.
    """

    person_id: str
    name: str
    space: str | None
    sources: dict[str, Source] = field(default_factory=dict)
    classes: dict[str, ClassStatistics] = field(default_factory=dict)
    sessions: int = 0
    last_training: str | None = None
    cover: str | None = None
    quarantined: tuple[Quarantined, ...] = ()
    quarantined_count: int = 0
    model: str | None = None
    gate_version: str | None = None
    made_of: str | None = None
    ephemeral: bool = False
    retain_until: str | None = None

    @property
    def moments(self) -> Moments | None:
        """All sources together; null without any."""
        parts = {name: known.moments for name, known in self.classes.items()}
        return total({name: part for name, part in parts.items() if part is not None})

    @property
    def embedding_count(self) -> int:
        """Embeddings in the statistics."""
        parts = [known.moments for known in self.classes.values()]
        return sum(part.count for part in parts if part is not None)

    @property
    def quality(self) -> QualityStatistics | None:
        """Quality over all sources that measured it."""
        return together([self.classes[name].quality for name in sorted(self.classes)])

    @property
    def spread(self) -> Vectors | None:
        """(D,) standard deviation over all embeddings, divided by their number; null without any.

        It is exact. A spread pooled from those of two sessions would leave out how far apart their
        means are.
        """
        moments = self.moments
        return None if moments is None else np.sqrt(moments.m2 / moments.count)

    def count_of(self, kind: str) -> int:
        """How many sources of a class it is made of."""
        return sum(source.kind == kind for source in self.sources.values())

    @property
    def label(self) -> str:
        """`Name (N embeddings, k sessions)`."""
        return (
            f"{self.name} ({_counted(self.embedding_count, 'embedding')}, "
            f"{_counted(self.sessions, 'session')})"
        )


def together(parts: Sequence[QualityStatistics | None]) -> QualityStatistics | None:
    """The quality of several sources together; None where none measured it."""
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
        kind: class of the source.
    """

    action: str
    added: int
    total: int
    session: int
    quarantined: tuple[Quarantined, ...]
    message: str
    kind: str


@dataclass(frozen=True)
class NewEmbeddings:
    """What one source brings.

    Attributes:
        source: SHA-256 of the content.
        space: key of the embedding space.
        face_ids: N faces.
        vectors: (N, D) unit vectors.
        qualities: N quality scores; null where they were not measured.
        kind: class of the source: `ride` or `photos`.
    """

    source: str
    space: str
    face_ids: Sequence[str]
    vectors: NDArray[np.floating]
    qualities: Sequence[float] | None = None
    kind: str = RIDE


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
        today: ISO date or time.

    Raises:
        ProfileError: the profile does not say its space, or a source is empty.
        SpaceMismatchError: the spaces differ.
    """
    vectors = _checked(profile, sources)
    by_name = {source.source: source for source in sources}
    direction = None if threshold is None else common_direction(vectors, threshold)
    kept = {name: old for name, old in profile.sources.items() if name == OLD_SOURCE}
    parts: dict[str, dict[str, ClassStatistics]] = {}
    kept_out: list[Quarantined] = []
    sessions = profile.sessions
    for name, own in vectors.items():
        before, new = profile.sources.get(name), by_name[name]
        sessions += before is None
        given, far = _given(new, own, direction, threshold)
        parts.setdefault(new.kind, {})[name] = given
        count = given.moments.count if given.moments else 0
        kept[name] = Source(new.kind, count, sessions if before is None else before.session)
        kept_out += far
    farthest = sorted(kept_out, key=lambda out: (out.cosine, *_place(out)))[:QUARANTINE_LISTED]
    made = replace(
        profile,
        sources=dict(sorted(kept.items())),
        classes=_classes(profile, parts),
        sessions=sessions,
        last_training=today if sessions > profile.sessions else profile.last_training,
        quarantined=tuple(sorted(farthest, key=_place)),
        quarantined_count=len(kept_out),
    )
    return made, tuple(_reports(profile, made, kept_out))


def _given(
    new: NewEmbeddings, own: Vectors, direction: Vectors | None, threshold: float | None
) -> tuple[ClassStatistics, list[Quarantined]]:
    """The statistics of what a source gives, and what of it is too far from the person."""
    cosines, near = _near(own, direction, threshold)
    rows = np.flatnonzero(near)
    moments = moments_of(own[rows]) if len(rows) else None
    far = [
        Quarantined(new.source, new.face_ids[i], round(float(cosines[i]), 6))
        for i in np.flatnonzero(~near).tolist()
    ]
    return ClassStatistics(moments, _quality(new.qualities, rows)), far


def _classes(
    profile: IdentityProfile, parts: Mapping[str, Mapping[str, ClassStatistics]]
) -> dict[str, ClassStatistics]:
    """Statistics by class: of these sources, and what nothing could make anew."""
    old = {kind: known for kind, known in profile.classes.items() if kind == OLD_SOURCE}
    made = {kind: _class(several) for kind, several in parts.items()}
    return dict(sorted({**old, **made}.items()))


def _class(parts: Mapping[str, ClassStatistics]) -> ClassStatistics:
    """The sources of one class together, merged in the order of their contents."""
    moments = {name: part.moments for name, part in parts.items() if part.moments is not None}
    return ClassStatistics(
        total(moments), together([parts[name].quality for name in sorted(parts)])
    )


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


def _reports(
    before: IdentityProfile, made: IdentityProfile, kept_out: Sequence[Quarantined]
) -> Iterator[Enrichment]:
    """One for each new source: how the profile grew by it."""
    there = {name: source for name, source in made.sources.items() if name in before.sources}
    in_all = sum(source.count for source in there.values())
    for name in sorted(made.sources.keys() - there.keys()):
        source = made.sources[name]
        in_all += source.count
        out = tuple(q for q in kept_out if q.source == name)
        action = "enriched" if there else "created"
        there[name] = source
        yield _report(action, made.name, source, in_all, out)


def check_profile(profile: IdentityProfile) -> None:
    """Asserts what must hold of the statistics of unit vectors.

    Raises:
        MomentsError: it does not hold.
    """
    for name, known in profile.classes.items():
        if name != OLD_SOURCE and known.moments is not None:
            check_identity(known.moments)


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
    action: str, name: str, source: Source, in_all: int, kept_out: tuple[Quarantined, ...]
) -> Enrichment:
    added, session = source.count, source.session
    message = f"{name}: profile {action}, +{added} new, {in_all} in all, session {session}."
    if kept_out:
        message += f" {len(kept_out)} too far from the person: quarantined."
    return Enrichment(action, added, in_all, session, kept_out, message, source.kind)


def _place(kept_out: Quarantined) -> tuple[str, str]:
    return kept_out.source, kept_out.face_id


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
