"""Figures from columns: shares and means with an interval, and what was not measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from identity_pipeline.core.evaluation.intervals import (
    MIN_UNITS,
    bootstrap_ratio,
    clopper_pearson,
    upper_bound,
    wilson,
)
from identity_pipeline.core.evaluation.report import Better, Figure

TRACKS, SECONDS, PEOPLE = "tracks", "seconds of video", "people"
EXACT = "exact binomial interval"
WILSON = "Wilson's interval, as if faces erred independently"
EXACT_UPPER = "exact one-sided 95 % upper bound"


def how_drawn(drawn: object, drawn_from: str) -> str:
    """How an interval was made, or why there is none."""
    return f"bootstrap over {drawn_from}" if drawn else too_few(drawn_from)


def too_few(drawn_from: str) -> str:
    """Why there is no interval."""
    return f"no interval: fewer than {MIN_UNITS} {drawn_from}"


def unmeasured(
    key: str, label: str, unit: str, scope: str, reason: str, better: Better = "higher"
) -> Figure:
    """A figure without a value, and why."""
    return Figure(key, label, None, 0, "", unit, scope, better=better, reason=reason)


def share(
    key: str, label: str, right: ArrayLike, units: Sequence[str], scope: str, counted: str,
    nothing: str, better: Better = "higher", drawn_from: str = TRACKS,
) -> Figure:  # fmt: skip
    """The share of true values.

    Its interval draws whole `units` again (what they are: `drawn_from`) and is never narrower than
    the exact binomial one. `nothing` says why there is no value when there are no rows.
    """
    values = np.asarray(right, dtype=bool)
    n, successes = len(values), int(values.sum())
    exact = clopper_pearson(successes, n)
    if exact is None:
        return unmeasured(key, label, "share", scope, nothing, better)
    drawn = bootstrap_ratio(units, values)
    low, high = (min(drawn[0], exact[0]), max(drawn[1], exact[1])) if drawn else (None, None)
    return Figure(
        key, label, successes / n, n, counted, "share", scope, low, high,
        how_drawn(drawn, drawn_from), better,
    )  # fmt: skip


def share_of_people(
    key: str, label: str, right: ArrayLike, people: Sequence[str], scope: str, counted: str,
    nothing: str, better: Better = "higher",
) -> Figure:  # fmt: skip
    """The share of true values among faces of some people, each of whom may err in a way of theirs.

    Its interval is Wilson's, or that of drawing whole people again where it is wider.
    """
    values = np.asarray(right, dtype=bool)
    n, successes = len(values), int(values.sum())
    bounds = wilson(successes, n)
    if bounds is None:
        return unmeasured(key, label, "share", scope, nothing, better)
    drawn = bootstrap_ratio(people, values)
    low, high = (min(drawn[0], bounds[0]), max(drawn[1], bounds[1])) if drawn else bounds
    made = f"Wilson's, or a bootstrap over {PEOPLE} where wider" if drawn else WILSON
    return Figure(
        key, label, successes / n, n, counted, "share", scope, low, high, made, better
    )  # fmt: skip


def exact_share(
    key: str, label: str, successes: int, n: int, scope: str, counted: str, nothing: str
) -> Figure:
    """A share of things that are independent of each other, such as riders."""
    bounds = clopper_pearson(successes, n)
    if bounds is None:
        return unmeasured(key, label, "share", scope, nothing)
    return Figure(key, label, successes / n, n, counted, "share", scope, *bounds, EXACT)


def rate_of_errors(
    key: str, label: str, errors: int, n: int, scope: str, counted: str, nothing: str,
    target: float | None = None,
) -> Figure:  # fmt: skip
    """A rate that should be zero, with its exact upper bound."""
    bound = upper_bound(errors, n)
    if bound is None:
        return unmeasured(key, label, "share", scope, nothing, "lower")
    return Figure(
        key, label, errors / n, n, counted, "share", scope, None, bound, EXACT_UPPER, "lower",
        target=target,
    )  # fmt: skip


def mean(
    key: str, label: str, values: ArrayLike, units: Sequence[str], scope: str, counted: str,
    unit: str, nothing: str, better: Better = "lower",
) -> Figure:  # fmt: skip
    """A mean, with an interval by track."""
    numbers = np.asarray(values, dtype=np.float64)
    if not len(numbers):
        return unmeasured(key, label, unit, scope, nothing, better)
    drawn = bootstrap_ratio(units, numbers)
    low, high = drawn or (None, None)
    return Figure(
        key, label, float(numbers.mean()), len(numbers), counted, unit, scope, low, high,
        how_drawn(drawn, TRACKS), better,
    )  # fmt: skip


def counted_value(
    key: str, label: str, value: float | None, n: int, counted: str, unit: str, scope: str,
    reason: str, better: Better = "higher",
) -> Figure:  # fmt: skip
    """A value without an interval; `reason` says why when it is None."""
    if value is None or not np.isfinite(value):
        return unmeasured(key, label, unit, scope, reason, better)
    return Figure(key, label, float(value), n, counted, unit, scope, better=better)
