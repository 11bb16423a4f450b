"""Coverage as an optimum: which faces of a rider show the most of them, in any order of frames.

The value of a set of faces S is

    f(S) = sum over bins b of w_b * (best picture in b)
           + lambda * mean over the rider's candidates of the largest picture * max(0, cosine)
             of a face of S, or of an anchor.

Bins are the buckets and the yaw, pitch and expression bins. `w_b` = 2 - the share of the rider's
candidates that lie in b: what few moments of the ride reach weighs more, for the others can be had
elsewhere. A picture is `picture_score` and the bonus of its highlight. The last term is facility
location in the vision space: every look of the rider is to be near a good picture. What the anchors
show is shown already: only what is better or new adds to it. f is monotone and submodular: a
weighted sum of maxima of numbers that are not negative.

It is maximised greedily: the face with the largest gain is chosen, until none may be chosen any
more. How near that is to the best set depends on what forbids a face:

- Only a number of images (one bucket): at least 1 - 1/e of the best value (Nemhauser, Wolsey and
  Fisher 1978, An analysis of approximations for maximizing submodular set functions I).
- Caps of buckets, a partition matroid: at least 1/2 (Fisher, Nemhauser and Wolsey 1978, part II).
- Caps and the gap in time: at least 1/4. A face that is chosen stands in the way of at most one
  face of any other allowed set by its bucket, and of at most two by its time, for three faces that
  keep the gap among themselves do not fit within less than a gap to both sides. So the allowed sets
  are a 3-system, and greedy reaches 1 / (p + 1) of the best on a p-system (the same paper).
- No two pictures alike, and beside an image of its own bucket only what is new and a good picture
  too: no bound is known. What greedy really reaches is measured:
  `python -m identity_pipeline_tests.benchmarks.coverage_ratio`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.faces.buckets import EXPRESSIONS
from identity_pipeline.core.imagesets.decided import ACCEPTED
from identity_pipeline.core.imagesets.faces import Face, is_accepted, likeness, near_in_time
from identity_pipeline.core.imagesets.novelty import Views, is_near_duplicate, novelty
from identity_pipeline.settings import SelectionSettings

DIGITS = 9
"""Gains that differ by less are equal: the earlier face wins, whatever adds up in which order."""


class Shown(NamedTuple):
    """What a set of faces shows: all that a further face's gain depends on.

    Attributes:
        best: (B,) the best picture in each bin; 0 where there is none.
        closest: (N,) how well each candidate is represented: the largest entry of `Value.close`.
    """

    best: NDArray[np.float64]
    closest: NDArray[np.float64]


@dataclass(frozen=True)
class Value:
    """f of one rider's N candidates and B bins.

    Attributes:
        picture: (N,) how good each is as a picture of what it shows; at least 0.
        inside: (N, B) whether it lies in a bin.
        weights: (B,) w_b.
        close: (N, N) how well the second candidate represents the first: picture * max(0, cosine).
        facility: lambda.
    """

    picture: NDArray[np.float64]
    inside: NDArray[np.bool_]
    weights: NDArray[np.float64]
    close: NDArray[np.float64]
    facility: float

    @classmethod
    def of(cls, table: Sequence[Face], views: Views, settings: SelectionSettings) -> Value:
        """The value that the candidates of a rider can have."""
        names = [_bins_of(face) for face in table]
        bins = sorted({name for those in names for name in those})
        # Without any bin, as of faces whose pose and expression are unknown, it has no column.
        inside = np.array([[b in those for b in bins] for those in names], dtype=np.bool_)
        inside = inside.reshape(len(table), len(bins))
        cosines = views.face.astype(np.float64) @ views.face.T.astype(np.float64)
        picture = np.clip([face["picture"] for face in table], 0.0, None)
        return cls(
            picture=picture,
            inside=inside,
            weights=2.0 - inside.mean(axis=0) if len(table) else np.zeros(0),
            close=np.clip(cosines, 0.0, 1.0) * picture,
            facility=settings.facility_weight,
        )

    def shown(self, anchors: Sequence[int]) -> Shown:
        """What the anchors show, before the choice."""
        rows = list(anchors)
        filled = self.inside[rows] * self.picture[rows, None]
        closest = self.close[:, rows].max(axis=1, initial=0.0)
        return Shown(filled.max(axis=0, initial=0.0), closest)

    def gains(self, shown: Shown) -> NDArray[np.float64]:
        """(N,) by how much each face would raise the value."""
        better = np.clip(self.picture[:, None] - shown.best, 0.0, None)
        bins = (better * self.inside) @ self.weights
        nearer = np.clip(self.close - shown.closest[:, None], 0.0, None).mean(axis=0)
        return np.round(bins + self.facility * nearer, DIGITS)

    def with_face(self, shown: Shown, row: int) -> Shown:
        """What is shown with one face more."""
        picture = np.where(self.inside[row], self.picture[row], 0.0)
        return Shown(np.maximum(shown.best, picture), np.maximum(shown.closest, self.close[:, row]))


def _bins_of(face: Face) -> set[tuple[str, object]]:
    bins = {(axis, face[axis]) for axis in ("bucket_key", "yaw_key", "pitch_key")}
    if face["expression_bin"] in EXPRESSIONS:
        bins.add(("expression", face["expression_bin"]))
    return {(axis, value) for axis, value in bins if value is not None}


class Verdict(NamedTuple):
    """What became of a face.

    Attributes:
        reason: `bucket_empty` or `novel` of a chosen one, `decided.ACCEPTED` of one that a human
            chose, else what stood in its way first.
        novelty: to what had been chosen when it was decided.
        gain: of the value, when it was chosen; None of one that was not.
        rival: the row that stood in its way.
    """

    reason: str
    novelty: float
    gain: float | None = None
    rival: int | None = None

    @property
    def chosen(self) -> bool:
        """Whether it was chosen."""
        return self.gain is not None


@dataclass
class _Greedy:
    """The choice as it goes on; rows are positions among the rider's candidates."""

    table: Sequence[Face]
    views: Views
    caps: Mapping[str, int]
    settings: SelectionSettings
    anchors: Sequence[int]
    left: list[int]
    chosen: list[int] = field(default_factory=list)
    verdicts: dict[int, Verdict] = field(default_factory=dict)

    @property
    def images(self) -> list[int]:
        """All images so far."""
        return [*self.anchors, *self.chosen]

    def bucket(self, row: int, among: Sequence[int]) -> list[int]:
        """Those of some rows that are in a face's bucket."""
        key = self.table[row]["bucket_key"]
        return [other for other in among if self.table[other]["bucket_key"] == key]

    def take(self, row: int, gain: float, reason: str | None = None) -> None:
        """Chooses a face."""
        reason = reason or ("novel" if self.bucket(row, self.images) else "bucket_empty")
        self.verdicts[row] = Verdict(reason, novelty(self.views, row, self.images), gain)
        self.left.remove(row)
        self.chosen.append(row)

    def rule_out(self, latest: Sequence[int]) -> None:
        """Decides on every face that the latest images forbid."""
        for row in list(self.left):
            found = self._obstacle(row, latest)
            if found is not None:
                self._reject(row, *found)

    def _reject(self, row: int, reason: str, rival: int) -> None:
        self.verdicts[row] = Verdict(reason, novelty(self.views, row, self.images), rival=rival)
        self.left.remove(row)

    def _obstacle(self, row: int, latest: Sequence[int]) -> tuple[str, int] | None:
        held, limit = self.bucket(row, self.chosen), likeness(self.settings)
        if len(held) >= self.caps[str(self.table[row]["bucket_key"])]:
            return "beaten_in_bucket", held[0]
        for other in latest:
            if is_near_duplicate(self.views, row, [other], limit):
                return "near_duplicate", other
        for other in latest:
            if near_in_time(self.table[row], [self.table[other]["timestamp_ms"]], self.settings):
                return "too_close_in_time", other
        return self._idle(row)

    def _idle(self, row: int) -> tuple[str, int] | None:
        """Beside an image of its own bucket a face must be a good picture too, and new."""
        images = self.images
        shown = self.bucket(row, images)
        if not shown:
            return None
        best = max(shown, key=lambda other: self.table[other]["picture"])
        least = self.settings.second_picture_min * self.table[best]["picture"]
        if self.table[row]["picture"] < least:
            return "beaten_in_bucket", best
        if novelty(self.views, row, images) >= self.settings.novelty_min:
            return None
        cosines = self.views.face[images] @ self.views.face[row]
        return "too_similar", images[int(np.argmax(cosines))]


def choose(
    table: Sequence[Face],
    views: Views,
    allowed: Sequence[int],
    anchors: Sequence[int],
    caps: Mapping[str, int],
    settings: SelectionSettings,
) -> dict[int, Verdict]:
    """The greedy choice among a rider's candidates, with a verdict on each that is allowed.

    What a human accepted is chosen before all others, the better first, and whatever is near it.

    Args:
        table: the rider's candidates, in a stable order.
        views: their embeddings.
        allowed: rows that may be chosen, each in a bucket with a cap of at least 1.
        anchors: rows that are images already: everything keeps its distance from them, and beside
            them only what is new is chosen for their buckets.
        caps: images at most of each bucket; what a human accepted may be more.
        settings: gap, likeness, novelty, and lambda.
    """
    value = Value.of(table, views, settings)
    shown = value.shown(anchors)
    greedy = _Greedy(table, views, caps, settings, anchors, sorted(allowed))
    accepted = [row for row in greedy.left if is_accepted(table[row])]
    for row in sorted(accepted, key=lambda row: (-table[row]["picture"], row)):
        greedy.take(row, float(value.gains(shown)[row]), ACCEPTED)
        shown = value.with_face(shown, row)
    greedy.rule_out(accepted)
    greedy.rule_out(anchors)
    while greedy.left:
        gains = value.gains(shown)
        row = greedy.left[int(np.argmax(gains[greedy.left]))]
        greedy.take(row, float(gains[row]))
        shown = value.with_face(shown, row)
        greedy.rule_out([row])
    return greedy.verdicts
