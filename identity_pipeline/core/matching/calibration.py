"""Calibration: which cosine keeps which false-accept rate, per embedding space and camera.

What belongs here: from pairs to named thresholds and their intervals, and which of them moved since
the last time. What does not: making the pairs (`core.matching.calibration_pairs`), using the
thresholds (`core.matching.assignment`).

`assign` names people without asking, so it is not read at the estimate but at the safe end of its
interval (`core.matching.upper_tail`); `far_bound` says which rate that keeps at most. Defaults are
cosines between templates and say nothing of single faces: there a threshold is measured, pinned or
null.

How a threshold was found is in `method`: `counted`; `tail_fit` (a normal tail with Student's
quantile, see `core.matching.thresholds`, fitted to known impostor pairs or, where these are too
few, to the cohort); `pinned` by a setting; `default` where too little is known, with the reason;
`not_measured` likewise where there is no default either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl

from identity_pipeline.core.evaluation.intervals import upper_bound
from identity_pipeline.core.matching.calibration_pairs import LEVELS
from identity_pipeline.core.matching.impostors import Impostors, fit, resampled
from identity_pipeline.core.matching.thresholds import (
    NAMES,
    ImpostorModel,
    OperatingPoint,
    least_of,
)
from identity_pipeline.core.matching.upper_tail import UpperTail, upper_tail
from identity_pipeline.settings import MatchSettings
from identity_pipeline.tables import TABLES

CALIBRATION: Final = TABLES["calibration"]
SIDES: Final = ("left", "right")
ORDER: Final = ("kind", "source", *SIDES, "score")


def calibrate(
    pairs: pl.DataFrame,
    settings: MatchSettings,
    camera_of: Mapping[str, str] | None = None,
) -> pl.DataFrame:
    """The table `CALIBRATION`.

    Args:
        pairs: table `PAIRS` of all videos; may hold several spaces.
        settings: rates, pins, defaults.
        camera_of: camera of each video; then each camera gets rows besides the common ones, from
            the pairs of its own videos.

    Returns:
        Three rows (exclude, suggest, assign) per space, camera and level.
    """
    rows: list[dict[str, Any]] = []
    for space in sorted(pairs["space"].unique().to_list()):
        own = _numbered(pairs.filter(pl.col("space") == space))
        rows += _levels(own, {"space": space, "camera": None}, settings)
        for camera in sorted(set((camera_of or {}).values())):
            videos = sorted(v for v, c in (camera_of or {}).items() if c == camera)
            there = own.filter(
                pl.col("left_video").is_in(videos), pl.col("right_video").is_in(videos)
            )
            rows += _levels(there, {"space": space, "camera": camera}, settings)
    return pl.DataFrame(rows, schema=CALIBRATION)


def uncalibrated(space: str, settings: MatchSettings) -> pl.DataFrame:
    """The table `CALIBRATION` of a space without any pair: defaults and pins, named as such."""
    empty = pl.DataFrame(
        schema={"level": pl.String, "kind": pl.String, "score": pl.Float64}
        | dict.fromkeys(("source", "left", "right"), pl.String)
    )
    return pl.DataFrame(
        _levels(empty, {"space": space, "camera": None}, settings), schema=CALIBRATION
    )


def _levels(
    pairs: pl.DataFrame, where: Mapping[str, str | None], settings: MatchSettings
) -> list[dict[str, Any]]:
    rows = []
    for level in LEVELS:
        own = pairs.filter(pl.col("level") == level).sort(ORDER)
        known = _Level.of(own, settings)
        rows += [
            {**where, "level": level, "name": name, **known.common(settings)}
            | _point(
                name,
                known,
                _told_by_settings(level, name, settings),
                least_of(name, settings, str(where["space"])),
                settings,
            )
            for name in NAMES
        ]
    return rows


class _Told(NamedTuple):
    """What the settings say of a point."""

    pin: float | None
    default: float | None


def _told_by_settings(level: str, name: str, settings: MatchSettings) -> _Told:
    """Pin and default of a point; there are defaults between templates alone."""
    if level == "face":
        return _Told(None, None)
    if level == "probe":
        return _Told(getattr(settings, f"pin_probe_{name}"), None)
    return _Told(getattr(settings, f"pin_{name}"), getattr(settings, f"default_{name}"))


@dataclass(frozen=True)
class _Evidence:
    """Impostors with what follows from them: the estimate, and resampled ones."""

    impostors: Impostors
    model: ImpostorModel
    rounds: list[ImpostorModel]

    @classmethod
    def of(cls, impostors: Impostors, settings: MatchSettings) -> _Evidence:
        return cls(impostors, fit(impostors, settings), list(resampled(impostors, settings)))

    def interval(self, far: float, settings: MatchSettings) -> tuple[float, float] | None:
        if not self.rounds:
            return None
        tail = (1.0 - settings.interval) / 2
        values = [again.threshold(far)[0] for again in self.rounds]
        low, high = (float(v) for v in np.quantile(values, [tail, 1.0 - tail]))
        return low, high

    def safe_end(
        self, far: float, between: tuple[float, float] | None, settings: MatchSettings
    ) -> UpperTail:
        model, robust = self.model, self.impostors.robust
        confidence = (1.0 + settings.interval) / 2
        tail = upper_tail(
            model.mean, model.scale, model.groups, robust=robust, confidence=confidence
        )
        return tail if between is None else tail.at_least(between[1], far)


def _source(impostors: Impostors) -> str:
    return "cohort" if impostors.robust else "known"


@dataclass(frozen=True)
class _Level:
    """The pairs of one level and what follows from them.

    Attributes:
        genuine: pairs of one person.
        known: pairs known to be two people.
        evidence: impostors to read thresholds from, the better ones first.
        reason: why there are none.
    """

    genuine: pl.DataFrame
    known: pl.DataFrame
    evidence: list[_Evidence]
    reason: str | None

    @classmethod
    def of(cls, pairs: pl.DataFrame, settings: MatchSettings) -> _Level:
        genuine = pairs.filter(pl.col("kind") == "genuine")
        known = pairs.filter(pl.col("kind") == "impostor")
        found, reason = choose_impostors(known, pairs, settings)
        return cls(genuine, known, [_Evidence.of(each, settings) for each in found], reason)

    @cached_property
    def genuine_groups(self) -> int:
        """Independent pairs of one person."""
        return _groups(self.genuine)

    @cached_property
    def known_groups(self) -> int:
        """Independent pairs known to be two people."""
        return _groups(self.known)

    @cached_property
    def known_max(self) -> float | None:
        """The largest cosine of two tracks that are known to be two people."""
        return self.known.select(pl.col("score").max()).item()

    def common(self, settings: MatchSettings) -> dict[str, Any]:
        """The columns of `CALIBRATION` that are the same for all points of the level."""
        chosen = self.evidence[0] if self.evidence else None
        scores = self.genuine["score"].to_numpy()
        return {
            "genuine_pairs": self.genuine.height,
            "genuine_tracks": self.genuine_groups,
            "genuine_mean": float(scores.mean()) if len(scores) else None,
            "genuine_p05": float(np.quantile(scores, 0.05)) if len(scores) else None,
            "genuine_p01": float(np.quantile(scores, 0.01)) if len(scores) else None,
            "impostor_pairs": chosen.model.pairs if chosen else self.known.height,
            "impostor_groups": chosen.model.groups if chosen else self.known_groups,
            "impostor_from": _source(chosen.impostors) if chosen else None,
            "impostor_max": self.known_max,
            "known_groups": self.known_groups,
            "exceedances": settings.counted_exceedances,
        }

    def counted(self, in_effect: float | None) -> dict[str, float | None]:
        """What the pairs themselves say of a threshold, without any model."""
        if in_effect is None:
            return {"far_counted": None, "fnmr": None}
        units = self.known_groups
        reached = _groups(self.known.filter(pl.col("score") >= in_effect))
        below = (self.genuine["score"] < in_effect).to_numpy()
        return {
            "far_counted": upper_bound(min(reached, units), units),
            "fnmr": float(below.mean()) if len(below) else None,
        }


def _point(
    name: str, level: _Level, told: _Told, least: float | None, settings: MatchSettings
) -> dict[str, Any]:
    """The columns of `CALIBRATION` of one point, besides `_Level.common`."""
    far: float = getattr(settings, f"far_{name}")
    # Each tail holds with its confidence, so the narrower of two may be used: both are wrong at
    # once, or one of them is, no more often than the two doubts together.
    intervals = [each.interval(far, settings) for each in level.evidence]
    ends = [
        (each.safe_end(far, interval, settings), _source(each.impostors))
        for each, interval in zip(level.evidence, intervals, strict=True)
    ]
    safe, safe_from = min(ends, key=lambda end: end[0].threshold(far)) if ends else (None, None)
    model = level.evidence[0].model if level.evidence else None
    point = OperatingPoint(
        far,
        told.default,
        model,
        told.pin,
        safe=safe if name == "assign" else None,
        known_max=level.known_max,
        doubt=1.0 - settings.interval,
        least=least,
    )
    in_effect, method = point.at()
    low, high = (intervals[0] if intervals else None) or (None, None)
    return {
        "far": far,
        "low": low,
        "high": high,
        "in_effect": in_effect,
        "default": told.default,
        "method": method,
        "reason": "the setting pins it" if method == "pinned" else level.reason,
        "safe_from": safe_from,
        **_of_safe_end(safe, in_effect),
        **level.counted(in_effect),
        **_of_model(model, far),
    }


def _of_safe_end(safe: UpperTail | None, in_effect: float | None) -> dict[str, float | None]:
    if safe is None:
        return {"far_bound": None, "safe_mean": None, "safe_scale": None}
    return {
        "far_bound": None if in_effect is None else safe.rate(in_effect),
        "safe_mean": safe.mean,
        "safe_scale": safe.scale,
    }


def _of_model(model: ImpostorModel | None, far: float) -> dict[str, Any]:
    if model is None:
        return dict.fromkeys(("threshold", "mean", "scale", "dof", "top"))
    kept = int(np.ceil(far * model.pairs)) + model.exceedances + 1
    return {
        "threshold": model.threshold(far)[0],
        "mean": model.mean,
        "scale": model.scale,
        "dof": model.dof,
        "top": list(model.top[:kept]),
    }


def choose_impostors(
    known: pl.DataFrame, pairs: pl.DataFrame, settings: MatchSettings
) -> tuple[list[Impostors], str | None]:
    """The known impostor pairs and the cohort, the better one first, or a reason for neither.

    The cohort comes first where the known pairs are too few; it stands for nothing else.
    """
    least = settings.tail_fit_min_pairs
    groups = _groups(known)
    cohort = pairs.filter(pl.col("kind") == "cohort")
    tracks = _groups(cohort)
    found = [Impostors.among(known, groups, robust=False)] if groups >= least else []
    if groups < settings.cohort_below and tracks >= least and tracks > groups:
        # Known impostors count among the unknown pairs; the fit ignores the genuine few.
        found.insert(0, Impostors.among(pl.concat([cohort, known]), tracks, robust=True))
    if found:
        return found, None
    return [], (
        f"{groups} independent pairs of tracks are known to be two people, and {tracks} can be "
        f"had from different videos; at least {least} of either are needed"
    )


def wants_cohort(known: pl.DataFrame, settings: MatchSettings) -> bool:
    """Whether the cohort is looked at at any level: the known impostors are too few without it.

    Args:
        known: table `PAIRS`; its impostors count.
        settings: how many are enough.
    """
    enough = max(settings.cohort_below, settings.tail_fit_min_pairs)
    impostors = known.filter(pl.col("kind") == "impostor")
    return any(_groups(impostors.filter(pl.col("level") == level)) < enough for level in LEVELS)


def _groups(pairs: pl.DataFrame) -> int:
    """Independent pairs: those of tracks, but no more than there are units to resample."""
    if not pairs.height:
        return 0
    return min(len(_names(pairs)), pairs.select("left", "right").n_unique())


def _names(pairs: pl.DataFrame) -> pl.Series:
    """The tracks of pairs, sorted."""
    return pl.concat([pairs[side].unique().alias("name") for side in SIDES]).unique().sort()


def _numbered(pairs: pl.DataFrame) -> pl.DataFrame:
    """Pairs with their tracks as numbers in the order of the names: millions are sorted by them."""
    return pairs.with_columns(pl.col(SIDES).cast(pl.Enum(_names(pairs))))


def drift(new: pl.DataFrame, previous: pl.DataFrame) -> pl.DataFrame:
    """Measured thresholds beside the previous ones, and which moved out of their interval.

    Args:
        new: table `CALIBRATION`.
        previous: the table before.

    Returns:
        space, camera, level, name, previous, low, high, threshold, moved; only rows measured both
        times.
    """
    keys = ["space", "camera", "level", "name"]
    before = previous.select(*keys, "low", "high", previous="threshold")
    return (
        new.select(*keys, "threshold")
        .join(before, on=keys, how="inner", nulls_equal=True)
        .filter(*(pl.col(c).is_not_null() for c in ("threshold", "previous", "low", "high")))
        .with_columns(
            moved=(pl.col("threshold") < pl.col("low")) | (pl.col("threshold") > pl.col("high"))
        )
        .select(*keys, "previous", "low", "high", "threshold", "moved")
        .sort(keys, nulls_last=False)
    )
