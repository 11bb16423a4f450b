"""Leave one video out: what heads trained without a video say of its confirmed tracks.

Somebody who is in no other video cannot be recognised; such tracks are strangers there, who should
not be named, and never count as right. Thresholds are those in force, which were calibrated on all
videos.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from identity_pipeline.core.heads.kmeans import (
    ConfirmedVectors,
    HeadIdentification,
    KMeansHeads,
    heads_gallery,
    identify_with_heads,
    train_heads,
)
from identity_pipeline.core.matching.thresholds import Thresholds
from identity_pipeline.core.matching.verification import (
    FARS,
    PersonPairs,
    Verification,
    verification_of,
)
from identity_pipeline.settings import MatchSettings


@dataclass(frozen=True)
class Recognised:
    """How many of a person's tracks were recognised, of those that could be."""

    right: int
    tracks: int


@dataclass(frozen=True)
class LeftOut:
    """All videos, each left out once.

    Attributes:
        videos: that were left out.
        tracks: of people who are also in another video.
        right: of them, given the right name.
        wrong: given another one.
        probable: the right name, but not surely enough to give it.
        ambiguous: left open between names, or probably another one.
        unknown: given none.
        strangers: tracks of people who are in no other video; not testable.
        strangers_named: of them, given a name.
        by_person: of each person with a testable track.
        scores: of each track with each head trained without its video: genuine with the head of
            its person, impostor with the others.
    """

    videos: int
    tracks: int
    right: int
    wrong: int
    probable: int
    ambiguous: int
    unknown: int
    strangers: int
    strangers_named: int
    by_person: Mapping[str, Recognised]
    scores: Verification


@dataclass
class _Tally:
    """What was counted so far."""

    outcomes: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    tracks: Counter[str] = field(default_factory=Counter)
    scores: list[tuple[str, str, float]] = field(default_factory=list)

    def add(self, person: str, answer: HeadIdentification) -> None:
        """Counts the answer about a track of a person."""
        result = answer.result
        compared = {standing.person_id for standing in result.people}
        self.scores += [(person, other.person_id, other.score) for other in result.people]
        if person not in compared:
            self.outcomes["stranger"] += 1
            self.outcomes["stranger_named"] += result.answer == "known"
            return
        outcome = result.answer
        if outcome == "known":
            outcome = "right" if result.person_id == person else "wrong"
        elif outcome == "probably":
            outcome = "probable" if result.probable_id == person else "ambiguous"
        self.outcomes[outcome] += 1
        self.tracks[person] += 1
        self.right[person] += outcome == "right"


class LeaveOneVideoOut:
    """Takes the videos one by one, so that a caller can say how far it is."""

    def __init__(
        self,
        faces: ConfirmedVectors,
        templates: ConfirmedVectors,
        heads: KMeansHeads,
        thresholds: Thresholds,
        settings: MatchSettings,
    ) -> None:
        """Prepares the probes.

        Args:
            faces: all confirmed faces.
            templates: the templates of the same tracks.
            heads: trained on all of the faces.
            thresholds: of level `template`.
            settings: centres and margin.
        """
        self.videos = sorted(set(templates.video))
        self._faces, self._templates, self._heads = faces, templates, heads
        self._thresholds, self._settings = thresholds, settings
        self._tally = _Tally()

    def leave_out(self, video: str) -> None:
        """Identifies the tracks of one video by heads trained without it."""
        faces = self._faces.where(np.asarray(self._faces.video) != video)
        inside = np.asarray(self._templates.video) == video
        probes, others = self._templates.where(inside), self._templates.where(~inside)
        # Only the heads of people in the video change.
        touched = set(probes.person)
        anew = train_heads(faces.of(touched), self._settings)
        same = (head for head in self._heads.people if head.person_id not in touched)
        known = heads_gallery(KMeansHeads(faces.space, (*same, *anew.people)), others)
        for person, vector in zip(probes.person, probes.vectors, strict=True):
            answer = identify_with_heads(
                vector, probes.space, known, self._thresholds, self._settings
            )
            self._tally.add(person, answer)

    def result(self, fars: Sequence[float] = FARS) -> LeftOut:
        """What the videos left out so far gave."""
        outcomes, tracks = self._tally.outcomes, self._tally.tracks
        return LeftOut(
            videos=len(self.videos),
            tracks=sum(tracks.values()),
            right=outcomes["right"],
            wrong=outcomes["wrong"],
            probable=outcomes["probable"],
            ambiguous=outcomes["ambiguous"],
            unknown=outcomes["unknown"] + outcomes["not_calibrated"],
            strangers=outcomes["stranger"],
            strangers_named=outcomes["stranger_named"],
            by_person={p: Recognised(self._tally.right[p], tracks[p]) for p in sorted(tracks)},
            scores=verification_of(self._pairs(), fars),
        )

    def _pairs(self) -> PersonPairs:
        scores = self._tally.scores
        own = [person for person, _, _ in scores]
        names = sorted({*own, *(other for _, other, _ in scores)})
        place = {name: i for i, name in enumerate(names)}
        a = np.array([place[person] for person in own], dtype=np.int64)
        b = np.array([place[other] for _, other, _ in scores], dtype=np.int64)
        cosine = np.array([score for _, _, score in scores], dtype=np.float64)
        tracks = len(self._templates.person)
        return PersonPairs(tuple(names), cosine, a == b, a, b, len(self.videos), tracks)
