"""Labels that the faces speak against: where wrong names teach, no head may go live.

A confirmed track is doubtful when some track of another person, in another video, resembles it
clearly more than any track of its own person in another video does, and does so in the champion's
space and in the challenger's: what only the old space confuses is what a head is for. In a clean
library few are (people look alike); where names were mixed up many are, and a head that learned
from them must not be judged by them either. Nothing is changed: the tracks are named, for a curator
to look at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from identity_pipeline.core.heads.judging_rows import JudgingRows
from identity_pipeline.core.vectors import Matrix


@dataclass(frozen=True)
class DoubtfulLabel:
    """One track.

    Attributes:
        track_key: which.
        person_id: whom it was confirmed as.
        nearest: the track of another person that resembles it most, in the champion's space.
        nearest_person: that person.
        lead: by how much, in cosine; the smaller one of both spaces.
    """

    track_key: str
    person_id: str
    nearest: str
    nearest_person: str
    lead: float


@dataclass(frozen=True)
class LabelAudit:
    """All confirmed tracks that could be compared.

    Attributes:
        tracks: with a track of the same person in another video.
        doubtful: of them, the worst first.
    """

    tracks: int
    doubtful: tuple[DoubtfulLabel, ...]

    @property
    def share(self) -> float:
        """Doubtful ones of all; zero without any."""
        return len(self.doubtful) / self.tracks if self.tracks else 0.0


def audit_labels(rows: JudgingRows, spaces: Sequence[Matrix], lead_min: float) -> LabelAudit:
    """Compares each confirmed track with its own and with other people's, across videos.

    Args:
        rows: N confirmed tracks.
        spaces: their unit vectors (N, K) in each space, the champion's first.
        lead_min: cosine by which another person's track must be nearer, in all of them.
    """
    person, video = np.array(rows.tracks.person), np.array(rows.tracks.video)
    compared, doubtful = 0, []
    for i, key in enumerate(rows.keys):
        elsewhere = video != video[i]
        own, other = elsewhere & (person == person[i]), elsewhere & (person != person[i])
        if not own.any() or not other.any():
            continue
        compared += 1
        cosines = [space @ space[i] for space in spaces]
        lead = float(min(cosine[other].max() - cosine[own].max() for cosine in cosines))
        if lead >= lead_min:
            nearest = int(np.argmax(np.where(other, cosines[0], -np.inf)))
            doubtful.append(
                DoubtfulLabel(
                    key, str(person[i]), rows.keys[nearest], str(person[nearest]), round(lead, 6)
                )
            )
    doubtful.sort(key=lambda one: (-one.lead, one.track_key))
    return LabelAudit(compared, tuple(doubtful))
