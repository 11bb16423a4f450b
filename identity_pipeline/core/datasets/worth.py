"""What pictures of a person are worth as references, by a recogniser that did not choose them.

A picture is worth what it adds: how much of a person that is to be shown elsewhere can be told from
it. A generator is not at hand, so a recogniser stands for it, and all of this is a proxy.

**Targets** are the pictures themselves. Each is judged by references of other rides or photo sets,
and, as a trial of its own, by those of them in another pose, whose yaw or pitch differs by
`POSE_APART_DEG` at least (what has no pose is neither there). A target counts its cosine to

- the mean of its references (`averaged`), as consumers take it that average embeddings, or
- the nearest of them (`best_of`), as those may that are shown several pictures.

Nothing to go by is worth 0, which is what strangers have. Every source of targets counts the same,
and how much sources differ is told beside the mean: pictures of one ride resemble each other.

What belongs here: values of unit vectors. What does not: pictures, models and files
(`stages.datasets.worth`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.vectors import check_unit

Mode = Literal["averaged", "best_of"]
Trial = Literal["other_rides", "other_rides_and_poses"]
TRIALS: Final[tuple[Trial, ...]] = ("other_rides", "other_rides_and_poses")
MODES: Final[tuple[Mode, ...]] = ("averaged", "best_of")
POSE_APART_DEG: Final = 15.0
"""Of yaw or of pitch, between a target and its references: the width of the product's bins."""
COUNTS: Final = (1, 3, 5, 8)
"""Numbers of references, before all of them."""
SHUFFLES: Final = 200
"""Random orders that are the rival of the best-first one."""
SEED: Final = 20_240_501
ENOUGH: Final = 0.97
"""Share of the value of all that a few pictures are looked for with."""
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Shown:
    """Pictures of one person, the best first.

    Attributes:
        vectors: (N, D) unit embeddings by the judge.
        sources: N rides or photo sets.
        yaw, pitch: (N,) degrees; nan is unmeasured.
    """

    vectors: NDArray[np.floating]
    sources: Sequence[str]
    yaw: Floats
    pitch: Floats


@dataclass(frozen=True)
class Value:
    """A value of references.

    Attributes:
        mean: over the sources of targets, each counting the same.
        low, high: of the sources of targets, the one with the smallest mean and the largest; of
            random orders, 5 and 95 of 100 orders.
    """

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Point:
    """What so many references are worth.

    Attributes:
        count: of references for each target, at most.
        best_first: the first in the order of the selection.
        random: as many in random orders.
    """

    count: int
    best_first: Value
    random: Value


@dataclass(frozen=True)
class Kept:
    """A picture that was added for what it adds.

    Attributes:
        index: of the picture.
        share: of the value of all pictures, with this one and those before it.
    """

    index: int
    share: float


@dataclass(frozen=True)
class Curve:
    """What the references of a person are worth, used in one way.

    Attributes:
        mode: how references are used.
        points: by number; the last one is all of them.
        loss: (N,) what is lost of the value of all without each picture; below 0: it is in the way.
        greedy: pictures in the order in which they add most, up to the value of all. They are
            chosen on the very targets that they are judged by, so it is how few could do.
        held_out: the same number as `enough`, chosen without the source that judges them: share of
            the value of all; null with fewer than three sources.
    """

    mode: Mode
    points: tuple[Point, ...]
    loss: Floats
    greedy: tuple[Kept, ...]
    held_out: float | None

    @property
    def all(self) -> Point:
        """All references."""
        return self.points[-1]

    @property
    def enough(self) -> int:
        """How many of the greedy ones reach `ENOUGH` of the value of all."""
        return next(
            (n for n, k in enumerate(self.greedy, 1) if k.share >= ENOUGH), len(self.greedy)
        )


@dataclass(frozen=True)
class Worth:
    """What a person's pictures are worth.

    Attributes:
        pictures: how many there are.
        targets: how many of them are judged: those that have a reference.
        by_source: targets of each source, by name.
        curves: by mode; empty where nothing can be judged.
    """

    pictures: int
    targets: int
    by_source: dict[str, int]
    curves: tuple[Curve, ...]


def worth_of(shown: Shown, trial: Trial) -> Worth:
    """What a person's pictures are worth; without two sources nothing can be judged.

    Args:
        shown: the pictures.
        trial: which references a target has.

    Raises:
        NotUnitNormError: a vector is not of unit length.
    """
    vectors = check_unit(shown.vectors, "judge's embedding").astype(np.float64)
    fit = may_refer(shown, trial)
    judged = np.flatnonzero(fit.any(axis=1))
    sources = np.array(shown.sources, dtype=object)[judged]
    by_source = {name: int((sources == name).sum()) for name in sorted(set(sources))}
    if not len(judged):
        return Worth(len(vectors), 0, {}, ())
    cosines = vectors @ vectors.T
    tried = _Tried(cosines[judged], cosines, fit[judged], sources)
    return Worth(len(vectors), len(judged), by_source, tuple(_curve(tried, mode) for mode in MODES))


def may_refer(shown: Shown, trial: Trial) -> Mask:
    """(N, N): whether the picture of the column may be a reference for that of the row."""
    sources = np.array(shown.sources, dtype=object)
    elsewhere = sources[:, None] != sources[None, :]
    if trial == "other_rides":
        return elsewhere
    turned = np.abs(shown.yaw[:, None] - shown.yaw[None, :]) >= POSE_APART_DEG
    tilted = np.abs(shown.pitch[:, None] - shown.pitch[None, :]) >= POSE_APART_DEG
    known = np.isfinite(shown.yaw) & np.isfinite(shown.pitch)
    return elsewhere & (turned | tilted) & known[:, None] & known[None, :]


@dataclass(frozen=True)
class _Tried:
    """What is tried.

    Attributes:
        to_targets: (T, N) cosines of targets and references.
        among: (N, N) cosines of references.
        fit: (T, N) which may be a reference for which target.
        sources: (T,) of the targets.
    """

    to_targets: Floats
    among: Floats
    fit: Mask
    sources: NDArray[np.object_]

    def of_targets(self, taken: Mask, mode: Mode) -> Floats:
        """(T,) what references are worth to each target; `taken` is (T, N)."""
        used = taken & self.fit
        if mode == "best_of":
            best = np.where(used, self.to_targets, -np.inf).max(axis=1, initial=-np.inf)
            return np.where(used.any(axis=1), best, 0.0)
        weights = used.astype(np.float64)
        along = (weights * self.to_targets).sum(axis=1)
        return _over(along, ((weights @ self.among) * weights).sum(axis=1))

    def by_source(self, values: Floats) -> Floats:
        """The mean of each source of targets, (..., S) of (..., T)."""
        names = sorted(set(self.sources))
        return np.stack([values[..., self.sources == name].mean(axis=-1) for name in names], -1)

    def value(self, taken: Mask, mode: Mode) -> float:
        """The mean over sources of what references are worth; `taken` is (N,) or (T, N)."""
        return float(self.by_source(self.of_targets(taken, mode)).mean())

    def first(self, order: Sequence[int] | NDArray[np.int64], count: int) -> Mask:
        """(T, N): of each target the first references of an order that may be its."""
        ordered = self.fit[:, order]
        first = np.zeros_like(self.fit)
        first[:, order] = ordered & (np.cumsum(ordered, axis=1) <= count)
        return first

    def without(self, source: str) -> _Tried:
        """The same without the targets of a source; its pictures stay references."""
        left = self.sources != source
        return _Tried(self.to_targets[left], self.among, self.fit[left], self.sources[left])

    def only(self, source: str) -> _Tried:
        """The same with the targets of one source alone."""
        own = self.sources == source
        return _Tried(self.to_targets[own], self.among, self.fit[own], self.sources[own])


def _over(along: Floats, squared: Floats) -> Floats:
    """Cosine to a sum of vectors: their products with the target over the length of the sum."""
    some = squared > 1e-12
    return np.divide(along, np.sqrt(np.where(some, squared, 1.0)), where=some, out=0.0 * along)


def _curve(tried: _Tried, mode: Mode) -> Curve:
    total = tried.fit.shape[1]
    whole = tried.value(np.ones(total, bool), mode)
    most = int(tried.fit.sum(axis=1).max())
    counts = (*(count for count in COUNTS if count < most), most)
    alone = ~np.eye(total, dtype=bool)
    loss = np.array([whole - tried.value(alone[n], mode) for n in range(total)])
    greedy = _greedy(tried, mode, whole)
    curve = Curve(mode, tuple(_point(tried, mode, n) for n in counts), loss, greedy, None)
    return Curve(mode, curve.points, loss, greedy, _held_out(tried, mode, curve.enough))


def _point(tried: _Tried, mode: Mode, count: int) -> Point:
    order = np.arange(tried.fit.shape[1])
    found = tried.by_source(tried.of_targets(tried.first(order, count), mode))
    best = Value(float(found.mean()), float(found.min()), float(found.max()))
    rng = np.random.default_rng(SEED)
    drawn = [tried.value(tried.first(rng.permutation(order), count), mode) for _ in range(SHUFFLES)]
    low, high = np.quantile(drawn, (0.05, 0.95))
    return Point(count, best, Value(float(np.mean(drawn)), float(low), float(high)))


def _greedy(tried: _Tried, mode: Mode, whole: float, most: int | None = None) -> tuple[Kept, ...]:
    """Pictures in the order in which they add most, until all that can be had is had.

    Of `best_of` the value is monotone and submodular, so that each prefix is worth at least
    1 - 1/e of the best set of its size (Nemhauser, Wolsey and Fisher 1978); of `averaged` there is
    no bound.
    """
    taken, kept = np.zeros(tried.fit.shape[1], bool), list[Kept]()
    best = 0.0
    while len(kept) < (len(taken) if most is None else most):
        values = _with_each(tried, taken, mode)
        values[taken] = -np.inf
        chosen = int(np.argmax(np.round(values, 9)))  # of equals the first
        if most is None and (values[chosen] <= best or best >= whole > 0):
            break
        taken[chosen], best = True, float(values[chosen])
        kept.append(Kept(chosen, best / whole if whole > 0 else 0.0))
    return tuple(kept)


def _with_each(tried: _Tried, taken: Mask, mode: Mode) -> Floats:
    """(N,) what the taken references are worth with each other one beside them."""
    used = (taken & tried.fit).astype(np.float64)
    if mode == "best_of":
        now = np.where(used > 0, tried.to_targets, -np.inf).max(axis=1)[:, None]
        then = np.maximum(now, np.where(tried.fit, tried.to_targets, -np.inf))
        return tried.by_source(np.where(np.isfinite(then), then, 0.0).T).mean(axis=-1)
    along = (used * tried.to_targets).sum(axis=1)[:, None] + tried.fit * tried.to_targets
    beside = used @ tried.among
    squared = (beside * used).sum(axis=1)[:, None] + tried.fit * (2 * beside + 1)
    return tried.by_source(_over(along, squared).T).mean(axis=-1)


def _held_out(tried: _Tried, mode: Mode, count: int) -> float | None:
    """What as many pictures are worth to a source that had no part in choosing them."""
    names = sorted(set(tried.sources))
    if len(names) < 3:  # else there is no second source of references to choose from
        return None
    shares = []
    for name in names:
        others, own = tried.without(name), tried.only(name)
        # Pictures of the judging source can be no reference for it, and take no place.
        others = _Tried(
            others.to_targets, others.among, others.fit & own.fit.any(axis=0), others.sources
        )
        whole = own.value(np.ones(own.fit.shape[1], bool), mode)
        chosen = [kept.index for kept in _greedy(others, mode, 1.0, most=count)]
        taken = np.isin(np.arange(own.fit.shape[1]), chosen)
        shares.append(own.value(taken, mode) / whole if whole > 0 else 0.0)
    return float(np.mean(shares))
