"""Calibration: which cosine keeps which false-accept rate, per embedding space and camera.

What belongs here: from pairs to named thresholds and their intervals. What does not: making the
pairs (`core.calibration_pairs`), curves and drift (`core.calibration_report`), using the thresholds
(`core.assignment`).

How a threshold was found is in `method`: `counted`; `tail_fit` (a normal tail with Student's
quantile, see `core.thresholds`, fitted to known impostor pairs or, where these are too few, to the
cohort); `pinned` by a setting; `default` where too little is known, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from identity_pipeline.core.calibration_pairs import LEVELS
from identity_pipeline.core.thresholds import NAMES, ImpostorModel, OperatingPoint, fisher_z
from identity_pipeline.schemas import TABLES
from identity_pipeline.settings import MatchSettings

CALIBRATION: Final = TABLES["calibration"]
MAD_TO_SIGMA: Final = 1.4826


@dataclass(frozen=True)
class _Impostors:
    """Impostor scores, largest first, with the units they are resampled by."""

    scores: NDArray[np.float64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    units: int
    groups: int
    robust: bool


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
    rows: list[dict[str, object]] = []
    for space in sorted(pairs["space"].unique().to_list()):
        own = pairs.filter(pl.col("space") == space)
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
    pairs: pl.DataFrame, where: dict[str, object], settings: MatchSettings
) -> list[dict[str, object]]:
    return [
        {**where, "level": level, **row}
        for level in LEVELS
        for row in _points(pairs.filter(pl.col("level") == level).sort(pairs.columns), settings)
    ]


def _points(pairs: pl.DataFrame, settings: MatchSettings) -> list[dict[str, object]]:
    genuine = pairs.filter(pl.col("kind") == "genuine")
    known = pairs.filter(pl.col("kind") == "impostor")
    impostors, reason = choose_impostors(known, pairs, settings)
    scores = genuine["score"].to_numpy()
    common: dict[str, object] = {
        "genuine_pairs": genuine.height,
        "genuine_tracks": _groups(genuine),
        "genuine_mean": float(scores.mean()) if len(scores) else None,
        "genuine_p05": float(np.quantile(scores, 0.05)) if len(scores) else None,
        "impostor_pairs": len(impostors.scores) if impostors else known.height,
        "impostor_groups": impostors.groups if impostors else _groups(known),
        "impostor_from": ("cohort" if impostors.robust else "known") if impostors else None,
        "impostor_max": known["score"].max(),
        "exceedances": settings.counted_exceedances,
    }
    model = fit(impostors, settings) if impostors else None
    rounds = _bootstrap(impostors, settings) if impostors else []
    return [
        {"name": name, **common, **_point(name, model, rounds, reason, scores, settings)}
        for name in NAMES
    ]


def _point(
    name: str,
    model: ImpostorModel | None,
    rounds: list[ImpostorModel],
    reason: str | None,
    genuine: NDArray[np.float64],
    settings: MatchSettings,
) -> dict[str, object]:
    far = float(getattr(settings, f"far_{name}"))
    default = float(getattr(settings, f"default_{name}"))
    pinned = getattr(settings, f"pin_{name}")
    in_effect, method = OperatingPoint(far, default, model, pinned).at()
    measured = model.threshold(far)[0] if model else None
    low = high = None
    if measured is not None and rounds:
        tail = (1.0 - settings.interval) / 2
        values = [again.threshold(far)[0] for again in rounds]
        low, high = (float(v) for v in np.quantile(values, [tail, 1.0 - tail]))
    kept = int(np.ceil(far * model.pairs)) + settings.counted_exceedances + 1 if model else 0
    return {
        "far": far,
        "threshold": measured,
        "low": low,
        "high": high,
        "in_effect": in_effect,
        "default": default,
        "method": method,
        "reason": "the setting pins it" if method == "pinned" else reason,
        "fnmr": float((genuine < in_effect).mean()) if len(genuine) else None,
        "mean": model.mean if model else None,
        "scale": model.scale if model else None,
        "dof": model.dof if model else None,
        "top": list(model.top[:kept]) if model else None,
    }


def choose_impostors(
    known: pl.DataFrame, pairs: pl.DataFrame, settings: MatchSettings
) -> tuple[_Impostors | None, str | None]:
    """The known impostor pairs, or the cohort where these are too few, or a reason for none."""
    least = settings.tail_fit_min_pairs
    groups = _groups(known)
    cohort = pairs.filter(pl.col("kind") == "cohort")
    tracks = _groups(cohort)
    if groups < settings.cohort_below and tracks >= least and tracks > groups:
        # Known impostors count among the unknown pairs; the fit ignores the genuine few.
        return _impostors(pl.concat([cohort, known]), tracks, robust=True), None
    if groups >= least:
        return _impostors(known, groups, robust=False), None
    return None, (
        f"{groups} independent pairs of tracks are known to be two people, and {tracks} can be "
        f"had from different videos; at least {least} of either are needed"
    )


def _groups(pairs: pl.DataFrame) -> int:
    """Independent pairs: those of tracks, but no more than there are units to resample."""
    if not pairs.height:
        return 0
    units = set(pairs["left"].to_list()) | set(pairs["right"].to_list())
    return min(len(units), pairs.select("left", "right").n_unique())


def _impostors(pairs: pl.DataFrame, groups: int, *, robust: bool) -> _Impostors:
    ordered = pairs.sort(["score", "left", "right"], descending=[True, False, False])
    names = sorted(set(ordered["left"].to_list()) | set(ordered["right"].to_list()))
    number = {name: i for i, name in enumerate(names)}
    left = np.array([number[name] for name in ordered["left"].to_list()], dtype=np.int64)
    right = np.array([number[name] for name in ordered["right"].to_list()], dtype=np.int64)
    return _Impostors(ordered["score"].to_numpy(), left, right, len(names), groups, robust)


def fit(
    impostors: _Impostors,
    settings: MatchSettings,
    weights: NDArray[np.int64] | None = None,
) -> ImpostorModel:
    """The model of impostor scores; `weights` says how often each counts (default: once)."""
    scores = impostors.scores if weights is None else np.repeat(impostors.scores, weights)
    z = fisher_z(scores)
    count = len(scores)
    least = settings.counted_exceedances
    if impostors.robust:
        mean = float(np.median(z))
        scale = MAD_TO_SIGMA * float(np.median(np.abs(z - mean)))
        top: tuple[float, ...] = ()  # the largest may be genuine
    else:
        mean, scale = float(z.mean()), float(z.std(ddof=1)) if count > 1 else 0.0
        kept = int(np.ceil(settings.far_exclude * count)) + least + 1
        top = tuple(scores[:kept].tolist())
        if count >= 4 * least:
            # A tail heavier than normal shows at the last pair that can be counted.
            reach = float(stats.norm.ppf(1.0 - least / count))
            scale = max(scale, (float(z[least]) - mean) / reach)
    return ImpostorModel(count, impostors.groups, mean, scale, impostors.groups - 1, top, least)


def _bootstrap(impostors: _Impostors, settings: MatchSettings) -> list[ImpostorModel]:
    """Models of resampled tracks; a pair of tracks counts as often as both are drawn."""
    rng = np.random.default_rng(settings.bootstrap_seed)
    models = []
    for _ in range(settings.bootstrap_rounds):
        drawn = np.bincount(rng.integers(impostors.units, size=impostors.units), minlength=1)
        drawn = np.pad(drawn, (0, impostors.units - len(drawn)))
        one = impostors.left == impostors.right
        weights = np.where(
            one, drawn[impostors.left], drawn[impostors.left] * drawn[impostors.right]
        )
        if weights.sum() >= 2:
            models.append(fit(impostors, settings, weights))
    return models
