"""Champion and challenger: whether a head may go live, by people and videos it never saw.

Both spaces are compared on the same held-out track pairs: at least one side is a held-out person or
video. A challenger goes live only if the share of genuine pairs accepted at the set false-accept
rate rises with an interval that excludes zero, and no person's recall falls by more than the
setting allows. Anything that cannot be measured is a reason against.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.evaluation.rates import ACCEPTS_MIN
from identity_pipeline.core.heads.training_set import HELD_OUT
from identity_pipeline.core.person_pairs import PersonPairs, person_pairs
from identity_pipeline.core.templates import weighted_direction
from identity_pipeline.core.vectors import Matrix, to_matrix
from identity_pipeline.core.verification import (
    Change,
    Verification,
    bootstrap_difference,
    recall_by_person,
    verification,
    verification_of,
)
from identity_pipeline.settings import TrainSettings

SEPARATION_BINS = 40
Apply = Callable[[NDArray[np.floating]], Matrix]
WEIGHT_FLOOR = 0.05
"""Least weight of a face in its track, as `match.template_weight_floor`."""


@dataclass(frozen=True)
class Tracks:
    """Confirmed tracks as rows.

    Attributes:
        keys, person, video: of each.
        held_out: whether it may judge.
        faces: (M,) row of each face's track.
        quality: (M,) of each face.
        vectors: (M, D) of each face, in the recogniser's space.
    """

    keys: list[str]
    person: list[str]
    video: list[str]
    held_out: list[bool]
    faces: NDArray[np.int64]
    quality: NDArray[np.float64]
    vectors: Matrix

    def in_space(self, apply: Apply) -> Matrix:
        """(N, K) quality-weighted mean direction of each track's faces in another space."""
        mapped = apply(self.vectors)
        rows = [
            weighted_direction(mapped[own], self.quality[own], WEIGHT_FLOOR)
            for own in (np.flatnonzero(self.faces == n) for n in range(len(self.keys)))
        ]
        return np.stack(rows)


def tracks_of(training_set: pl.DataFrame) -> Tracks:
    """The tracks of the table `training_set`."""
    ordered = training_set.sort("track_key", "face_id")
    keys, rows = np.unique(ordered["track_key"].to_numpy(), return_inverse=True)
    first = ordered.unique("track_key", keep="first", maintain_order=True).sort("track_key")
    return Tracks(
        [str(key) for key in keys],
        first["person_id"].to_list(),
        first["video_id"].to_list(),
        (first["split"] == HELD_OUT).to_list(),
        rows.astype(np.int64),
        ordered["quality"].cast(pl.Float64).to_numpy(),
        to_matrix(ordered["e_id"]),
    )


@dataclass(frozen=True)
class PersonRecall:
    """One person's genuine pairs that are accepted, before and after."""

    person_id: str
    pairs: int
    before: int
    after: int

    @property
    def drop(self) -> float:
        """By how much the share falls; negative where it rises."""
        return (self.before - self.after) / self.pairs


@dataclass(frozen=True)
class Separation:
    """Held-out pairs by cosine, in `SEPARATION_BINS` equal bins from -1 to 1."""

    genuine: tuple[int, ...]
    impostor: tuple[int, ...]


@dataclass(frozen=True)
class Judgement:
    """What came of a comparison.

    Attributes:
        promoted: whether the challenger may go live.
        reasons: why not; empty when it may.
        far: the rate at which both are compared.
        before: the champion's space on the held-out pairs.
        after: the challenger's.
        changes: with intervals.
        recalls: of each person with a held-out pair, the largest loss first.
        separation: both kinds of pairs by cosine, before and after.
        baselines: other maps on the same pairs, for comparison.
    """

    promoted: bool
    reasons: tuple[str, ...]
    far: float
    before: Verification
    after: Verification
    changes: tuple[Change, ...]
    recalls: tuple[PersonRecall, ...]
    separation: tuple[Separation, Separation]
    baselines: Mapping[str, Verification]

    @property
    def gain(self) -> Change:
        """The measure that decides."""
        return next(one for one in self.changes if one.measure == f"tar_{self.far:g}")

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


def judge(
    tracks: Tracks,
    champion: Apply,
    challenger: Apply,
    settings: TrainSettings,
    others: Mapping[str, Apply] | None = None,
) -> Judgement:
    """Compares two spaces on held-out pairs of tracks.

    Args:
        tracks: all confirmed tracks, with what is held out.
        champion: from the recogniser's vectors to the space that is live.
        challenger: to the new one.
        settings: the rate and what a person may lose.
        others: baselines by name.

    Raises:
        NotUnitNormError: a space gives vectors that are not of unit length.
    """
    rows = {"person": tracks.person, "video": tracks.video, "judging": tracks.held_out}
    old, new = tracks.in_space(champion), tracks.in_space(challenger)
    pairs = [person_pairs(space, **rows) for space in (old, new)]
    far = countable_far(int((~pairs[0].genuine).sum()), settings)
    fars = (far,)
    before, after = (verification_of(own, fars) for own in pairs)
    changes = bootstrap_difference(old, new, fars=fars, seed=settings.seed, **rows)
    recalls = _recalls(old, new, before, after, rows, far)
    measured = {
        name: verification(tracks.in_space(apply), fars=fars, **rows)
        for name, apply in (others or {}).items()
    }
    reasons = tuple(_against(changes, recalls, far, settings))
    return Judgement(
        promoted=not reasons,
        reasons=reasons,
        far=far,
        before=before,
        after=after,
        changes=changes,
        recalls=recalls,
        separation=(_separation(pairs[0]), _separation(pairs[1])),
        baselines=measured,
    )


def countable_far(impostors: int, settings: TrainSettings) -> float:
    """The rate that two spaces are compared at: the set one, or the strictest that can be counted.

    Never looser than `train.judge_far_max`; then nothing can be measured.
    """
    strictest = float(np.nextafter(ACCEPTS_MIN / max(impostors, 1), 1.0))
    return min(max(settings.judge_far, strictest), settings.judge_far_max)


def _separation(pairs: PersonPairs) -> Separation:
    edges = np.linspace(-1.0, 1.0, SEPARATION_BINS + 1)
    genuine, impostor = (
        np.histogram(np.clip(pairs.cosine[kind], -1.0, 1.0), edges)[0].tolist()
        for kind in (pairs.genuine, ~pairs.genuine)
    )
    return Separation(tuple(genuine), tuple(impostor))


def _recalls(
    old: Matrix,
    new: Matrix,
    before: Verification,
    after: Verification,
    rows: Mapping[str, Any],
    far: float,
) -> tuple[PersonRecall, ...]:
    limits = before.at_far(far).threshold, after.at_far(far).threshold
    if limits[0] is None or limits[1] is None:
        return ()
    was = recall_by_person(old, threshold=limits[0], **rows)
    now = recall_by_person(new, threshold=limits[1], **rows)
    recalls = [PersonRecall(p, was[p].pairs, was[p].accepted, now[p].accepted) for p in was]
    return tuple(sorted(recalls, key=lambda one: (-one.drop, one.person_id)))


def _against(
    changes: tuple[Change, ...],
    recalls: tuple[PersonRecall, ...],
    far: float,
    settings: TrainSettings,
) -> list[str]:
    gain = next(change for change in changes if change.measure == f"tar_{far:g}")
    what = f"the share of genuine pairs accepted at FAR {far:.2g}"
    if gain.difference is None or gain.before is None or gain.after is None:
        return [f"{what} cannot be measured: too few held-out pairs of confirmed tracks"]
    told = f"{what} went from {gain.before:.3f} to {gain.after:.3f}"
    if gain.low is None or gain.high is None:
        return [f"{told}, and there are too few people for an interval"]
    reasons = []
    if gain.low <= 0:
        reasons.append(
            f"{told} (difference {gain.difference:+.3f}, 95 % interval {gain.low:+.3f} to "
            f"{gain.high:+.3f}), which is no sure gain"
        )
    harmed = [one for one in recalls if one.drop > settings.recall_drop_max]
    if harmed:
        worst = harmed[0]
        reasons.append(
            f"{len(harmed)} of {len(recalls)} people would be found less often, most of all "
            f"{worst.person_id} ({worst.before} of {worst.pairs} pairs before, {worst.after} after)"
        )
    return reasons
