"""K-means heads: a few spherical centres of each person's confirmed faces, and who a vector is.

The centres are those of `core.library.prototypes.spherical_centres`: never centred, one to three by
its criterion, one face is enough. The mean direction of some faces of a track is a template of it,
so a centre is scored as templates are: by the mean cosine to what each track gives to it. A track's
template is therefore held against the thresholds of level `template`, a single face against those
of level `probe`, and both know how many centres a person has.

Somebody who was confirmed after the training has no head yet and is compared by the raw templates,
one reference each; the answer says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.library.prototypes import Centres, spherical_centres
from identity_pipeline.core.matching.gallery import Gallery, Identification, identify
from identity_pipeline.core.matching.thresholds import Thresholds
from identity_pipeline.core.vectors import Matrix, check_unit, mean_direction, same_space
from identity_pipeline.settings import MatchSettings

By = Literal["centre", "raw_reference"]
LEVELS: Final[Mapping[str, str]] = {"face": "probe", "template": "template"}
"""Level of the thresholds by what is compared with a head."""


@dataclass(frozen=True)
class ConfirmedVectors:
    """Faces or templates of human-confirmed tracks, of one space.

    Attributes:
        space: its key.
        vectors: (N, D) unit vectors.
        person: N person ids.
        video: N videos.
        track: N track keys.
    """

    space: str
    vectors: Matrix
    person: tuple[str, ...]
    video: tuple[str, ...]
    track: tuple[str, ...]

    def where(self, keep: Sequence[bool] | NDArray[np.bool_]) -> ConfirmedVectors:
        """Some of the vectors."""
        rows = np.flatnonzero(keep)
        names = ([column[i] for i in rows] for column in (self.person, self.video, self.track))
        return ConfirmedVectors(self.space, self.vectors[rows], *(tuple(each) for each in names))

    def of(self, people: Iterable[str]) -> ConfirmedVectors:
        """The vectors of some people."""
        wanted = set(people)
        return self.where([person in wanted for person in self.person])


@dataclass(frozen=True)
class PersonHead:
    """The centres of one person.

    Attributes:
        person_id: the person.
        centres: (k, D) unit vectors.
        strengths: (k,) mean cosine to it of the templates that each track's faces in it make.
        spreads: (k,) 1 - length of the mean of its faces.
        members: (k,) faces of each centre.
        tracks: that the faces are of.
        videos: that the tracks are of.
    """

    person_id: str
    centres: Matrix
    strengths: NDArray[np.float64]
    spreads: NDArray[np.float64]
    members: NDArray[np.int64]
    tracks: int
    videos: int


@dataclass(frozen=True)
class KMeansHeads:
    """The heads of all people, ascending by person, of one space."""

    space: str
    people: tuple[PersonHead, ...]

    @property
    def centres(self) -> int:
        """How many there are."""
        return sum(len(head.members) for head in self.people)


def train_heads(faces: ConfirmedVectors, settings: MatchSettings) -> KMeansHeads:
    """A head for everybody who has a face.

    Args:
        faces: of human-confirmed tracks only.
        settings: the number of centres and what one more must bring.

    Raises:
        NotUnitNormError: a vector is not of unit length.
    """
    check_unit(faces.vectors, "face")
    people = sorted(set(faces.person))
    return KMeansHeads(faces.space, tuple(_head(p, faces.of([p]), settings) for p in people))


def _head(person: str, faces: ConfirmedVectors, settings: MatchSettings) -> PersonHead:
    found = spherical_centres(faces.vectors, settings)
    return PersonHead(
        person,
        found.vectors,
        _strengths(faces, found),
        1.0 - found.strengths,
        np.bincount(found.labels, minlength=len(found.vectors)),
        len(set(faces.track)),
        len(set(faces.video)),
    )


def _strengths(faces: ConfirmedVectors, found: Centres) -> NDArray[np.float64]:
    """(k,) see `PersonHead`; every centre has a member."""
    track = np.asarray(faces.track)
    strengths = np.empty(len(found.vectors))
    for i, centre in enumerate(found.vectors):
        inside = found.labels == i
        parts = [
            mean_direction(faces.vectors[inside & (track == key)])
            for key in sorted(set(track[inside].tolist()))
        ]
        strengths[i] = min(float(np.mean(np.stack(parts) @ centre)), 1.0)
    return strengths


@dataclass(frozen=True)
class HeadsGallery:
    """Everybody who can be named.

    Attributes:
        gallery: centres, and raw templates of people without a head.
        by: what stands for each person.
    """

    gallery: Gallery
    by: Mapping[str, By]


def heads_gallery(heads: KMeansHeads, templates: ConfirmedVectors) -> HeadsGallery:
    """The people who have a confirmed track: by their head, or by the templates without one.

    A head of somebody who has no confirmed track any more takes no part.

    Args:
        heads: trained some time ago.
        templates: of all tracks that are confirmed now.

    Raises:
        SpaceMismatchError: heads and templates are of two spaces.
    """
    same_space(heads.space, templates.space)
    of_person = {head.person_id: head for head in heads.people}
    people = tuple(sorted(set(templates.person)))
    vectors, names, sources, owner = [], [], [], []
    for place, person in enumerate(people):
        head = of_person.get(person)
        if head is not None:
            own = head.centres * head.strengths[:, None].astype(np.float32)
            names += [f"centre:{i}" for i in range(len(own))]
            sources += [()] * len(own)
        else:
            raw = templates.of([person])
            own = raw.vectors
            names += raw.track
            sources += [(key,) for key in raw.track]
        vectors.append(own)
        owner += [place] * len(own)
    gallery = Gallery(
        templates.space,
        people,
        np.asarray(owner, dtype=np.int64),
        np.concatenate(vectors) if vectors else np.zeros((0, 0), dtype=np.float32),
        tuple(names),
        tuple(sources),
    )
    by: dict[str, By] = {p: "centre" if p in of_person else "raw_reference" for p in people}
    return HeadsGallery(gallery, by)


@dataclass(frozen=True)
class HeadIdentification:
    """The answer of the heads.

    Attributes:
        result: known, unknown or ambiguous, and all people that were compared.
        by: what stood for the best of them; null without anybody.
    """

    result: Identification
    by: By | None


def identify_with_heads(
    probe: NDArray[np.floating],
    space: str,
    known: HeadsGallery,
    thresholds: Thresholds,
    settings: MatchSettings,
) -> HeadIdentification:
    """Who a face or a template is, by the best centre.

    Args:
        probe: (D,) unit vector.
        space: key of its space.
        known: everybody who can be named.
        thresholds: of the level that `LEVELS` gives for the probe.
        settings: the margin.

    Raises:
        SpaceMismatchError: probe, heads and thresholds are not of one space.
        NotUnitNormError: the probe is not of unit length.
    """
    result = identify(probe, space, known.gallery, thresholds, settings)
    return HeadIdentification(
        result, known.by[result.people[0].person_id] if result.people else None
    )
