"""Champion and challenger: whether a head may go live, by people and videos it never saw.

Both spaces are compared on the same held-out pairs: at least one side is a held-out person or
video. A challenger goes live only if

- of single faces, surely more genuine pairs are accepted at the set false-accept rate: the interval
  of the difference excludes zero (faces are many, and where a recogniser is weak it shows in them);
- of tracks, by which the library decides, no fewer are;
- few of the confirmed tracks are doubtful (`LabelAudit`): wrong names neither teach nor judge; and
- no person's share of accepted track pairs falls by more than the setting allows.

Anything that cannot be measured is a reason against.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from identity_pipeline.core.evaluation.roc import ACCEPTS_MIN
from identity_pipeline.core.heads.judging_rows import Apply, JudgingRows, Labels
from identity_pipeline.core.matching.verification import (
    Change,
    PersonPairs,
    Verification,
    bootstrap_difference,
    person_pairs,
    recall_by_person,
    verification_of,
)
from identity_pipeline.core.vectors import Matrix
from identity_pipeline.settings import TrainSettings


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
    """Confirmed tracks whose label the faces speak against.

    A track is doubtful when some track of another person, in another video, resembles it clearly
    more than any track of its own person in another video does, in the champion's space and in the
    challenger's: what only the old space confuses is what a head is for. In a clean library few are
    (people look alike); where names were mixed up many are, and a head that learned from them must
    not be judged by them either. Nothing is changed: a curator is told which tracks to look at.

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


SEPARATION_BINS = 40


@dataclass(frozen=True)
class Separation:
    """Held-out pairs by cosine, in `SEPARATION_BINS` equal bins from -1 to 1."""

    genuine: tuple[int, ...]
    impostor: tuple[int, ...]


@dataclass(frozen=True)
class Comparison:
    """Two spaces on the same pairs.

    Attributes:
        far: rate of false accepts at which they are compared.
        before: the champion's space.
        after: the challenger's.
        changes: of AUC and of the share accepted at `far`, with intervals.
        separation: both kinds of pairs by cosine, before and after.
    """

    far: float
    before: Verification
    after: Verification
    changes: tuple[Change, ...]
    separation: tuple[Separation, Separation]

    @property
    def accepted(self) -> Change:
        """The share of genuine pairs accepted at `far`."""
        return next(one for one in self.changes if one.measure == f"tar_{self.far:g}")


@dataclass(frozen=True)
class PersonRecall:
    """One person's genuine track pairs that are accepted, before and after."""

    person_id: str
    pairs: int
    before: int
    after: int

    @property
    def drop(self) -> float:
        """By how much the share falls; negative where it rises."""
        return (self.before - self.after) / self.pairs


@dataclass(frozen=True)
class Judgement:
    """What came of a comparison.

    Attributes:
        promoted: whether the challenger may go live.
        reasons: why not; empty when it may.
        faces: single faces compared.
        tracks: tracks compared.
        recalls: of each person with a held-out pair of tracks, the largest loss first.
        audit: confirmed tracks that both spaces speak against.
        baselines: share of genuine pairs of faces and of tracks that other maps accept.
    """

    promoted: bool
    reasons: tuple[str, ...]
    faces: Comparison
    tracks: Comparison
    recalls: tuple[PersonRecall, ...]
    audit: LabelAudit
    baselines: Mapping[str, tuple[float | None, float | None]]

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


def judge(
    rows: JudgingRows,
    champion: Apply,
    challenger: Apply,
    settings: TrainSettings,
    others: Mapping[str, Apply] | None = None,
) -> Judgement:
    """Compares two spaces on held-out pairs.

    Args:
        rows: all confirmed tracks, with what is held out.
        champion: from the recogniser's vectors to the space that is live.
        challenger: to the new one.
        settings: the rates and what a person may lose.
        others: baselines by name.

    Raises:
        NotUnitNormError: a space gives vectors that are not of unit length.
    """
    chosen = rows.some_faces(settings.judge_faces_per_track)
    of_faces = rows.tracks.of(rows.owner[chosen])

    def spaces(apply: Apply) -> tuple[Matrix, Matrix]:
        return apply(rows.vectors[chosen]), rows.in_space(apply)

    (old_faces, old), (new_faces, new) = spaces(champion), spaces(challenger)
    faces = compare(old_faces, new_faces, of_faces, settings)
    tracks = compare(old, new, rows.tracks, settings)
    recalls = _recalls(old, new, tracks, rows.tracks)
    measured = {}
    for name, apply in (others or {}).items():
        other_faces, other = spaces(apply)
        measured[name] = (
            _accepted(other_faces, of_faces, faces.far),
            _accepted(other, rows.tracks, tracks.far),
        )
    audit = audit_labels(rows, (old, new), settings.doubtful_lead)
    reasons = (
        *_no_gain(faces),
        *_lost(tracks),
        *_harmed(recalls, settings),
        *_doubtful(audit, settings),
    )
    return Judgement(not reasons, reasons, faces, tracks, recalls, audit, measured)


def compare(old: Matrix, new: Matrix, labels: Labels, settings: TrainSettings) -> Comparison:
    """Two spaces of the same rows, at the set rate or the strictest that can be counted."""
    pairs = [person_pairs(space, **vars(labels)) for space in (old, new)]
    far = countable_far(int((~pairs[0].genuine).sum()), settings)
    before, after = (verification_of(own, (far,)) for own in pairs)
    changes = bootstrap_difference(old, new, fars=(far,), seed=settings.seed, **vars(labels))
    separation = (_separation(pairs[0]), _separation(pairs[1]))
    return Comparison(far, before, after, changes, separation)


def countable_far(impostors: int, settings: TrainSettings) -> float:
    """The rate that two spaces are compared at: the set one, or the strictest that can be counted.

    Never looser than `train.judge_far_max`; then nothing can be measured.
    """
    strictest = float(np.nextafter(ACCEPTS_MIN / max(impostors, 1), 1.0))
    return min(max(settings.judge_far, strictest), settings.judge_far_max)


def _accepted(space: Matrix, labels: Labels, far: float) -> float | None:
    return verification_of(person_pairs(space, **vars(labels)), (far,)).at_far(far).tar


def _separation(pairs: PersonPairs) -> Separation:
    edges = np.linspace(-1.0, 1.0, SEPARATION_BINS + 1)
    genuine, impostor = (
        np.histogram(np.clip(pairs.cosine[kind], -1.0, 1.0), edges)[0].tolist()
        for kind in (pairs.genuine, ~pairs.genuine)
    )
    return Separation(tuple(genuine), tuple(impostor))


def _recalls(
    old: Matrix, new: Matrix, tracks: Comparison, labels: Labels
) -> tuple[PersonRecall, ...]:
    limits = [one.at_far(tracks.far).threshold for one in (tracks.before, tracks.after)]
    if limits[0] is None or limits[1] is None:
        return ()
    was = recall_by_person(old, threshold=limits[0], **vars(labels))
    now = recall_by_person(new, threshold=limits[1], **vars(labels))
    recalls = [PersonRecall(p, was[p].pairs, was[p].accepted, now[p].accepted) for p in was]
    return tuple(sorted(recalls, key=lambda one: (-one.drop, one.person_id)))


def _no_gain(faces: Comparison) -> list[str]:
    """Why single faces show no sure gain; empty when they do."""
    gain = faces.accepted
    what = f"genuine pairs of faces accepted at FAR {faces.far:.2g}"
    if gain.difference is None:
        return [f"{what} cannot be measured: there are too few held-out pairs"]
    told = f"{what} went from {gain.before:.3f} to {gain.after:.3f}"
    if gain.low is None or gain.high is None:
        return [f"{told}, and there are too few people for an interval"]
    if gain.low > 0:
        return []
    between = f"95 % interval {gain.low:+.3f} to {gain.high:+.3f}"
    return [f"{told} (difference {gain.difference:+.3f}, {between}), which is no sure gain"]


def _lost(tracks: Comparison) -> list[str]:
    """Why tracks are recognised worse; empty when they are not."""
    change = tracks.accepted
    what = f"genuine pairs of tracks accepted at FAR {tracks.far:.2g}"
    if change.difference is None:
        return [f"{what} cannot be measured: there are too few held-out pairs"]
    if change.difference >= 0:
        return []
    return [f"{what} fell from {change.before:.3f} to {change.after:.3f}"]


def _harmed(recalls: tuple[PersonRecall, ...], settings: TrainSettings) -> list[str]:
    """Who would be found less often, in words; empty when nobody is."""
    harmed = [one for one in recalls if one.drop > settings.recall_drop_max]
    if not harmed:
        return []
    worst = harmed[0]
    return [
        f"{len(harmed)} of {len(recalls)} people would be found less often, most of all "
        f"{worst.person_id} ({worst.before} of {worst.pairs} pairs of tracks before, "
        f"{worst.after} after)"
    ]


def _doubtful(audit: LabelAudit, settings: TrainSettings) -> list[str]:
    """Why the labels cannot be trusted; empty when they can."""
    if audit.share <= settings.doubtful_share_max:
        return []
    named = ", ".join(one.track_key.removeprefix("track:") for one in audit.doubtful[:3])
    return [
        f"{len(audit.doubtful)} of {audit.tracks} confirmed tracks look much more like somebody "
        f"else, so names may be mixed up; look at {named} first"
    ]
