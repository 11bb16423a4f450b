"""Thresholds named by their false-accept rate, for any number of references and people.

What belongs here: how a threshold follows from what is known of impostor cosines. What does not:
where those come from (`core.matching.calibration`).

A person with n references is scored by the best of them, so a stranger has n chances: for a rate F
the single comparison must keep 1 - (1 - F)^(1/n). This takes the n chances for independent; the
references of one person are not, which makes the threshold strict rather than loose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from identity_pipeline.core.matching.upper_tail import UpperTail, best_of, may_exceed
from identity_pipeline.settings import MatchSettings

HEAD: Final = "head@"
"""How the key of a projection head's embedding space begins."""
NAMES: Final = ("exclude", "suggest", "assign")
Method = Literal["counted", "tail_fit", "pinned", "default", "not_measured"]


@dataclass(frozen=True)
class ImpostorModel:
    """What is known of the cosines of two people.

    Attributes:
        pairs: comparisons.
        groups: independent pairs of tracks among them.
        mean: mean of their Fisher z, see `fisher_z`.
        scale: standard deviation of the same, widened where the observed tail is heavier than a
            normal one.
        dof: degrees of freedom of Student's t: the smaller the evidence, the heavier the tail.
        top: the largest cosines, descending; empty where single values may not be counted.
        exceedances: a rate is counted only where so many pairs exceed the threshold.
    """

    pairs: int
    groups: int
    mean: float
    scale: float
    dof: float
    top: tuple[float, ...]
    exceedances: int

    def threshold(self, far: float, single: float | None = None) -> tuple[float, Method]:
        """The smallest cosine t with P(impostor >= t) <= rate, and how it was found.

        Counted where enough pairs exceed it; otherwise the upper prediction limit of a normal
        sample of Fisher z, mean + t(dof, 1 - far) * scale * sqrt(1 + 1/groups), as a cosine, and
        never below what can still be counted.

        Args:
            far: the named rate; its Student quantile carries what is not known of the scale.
            single: the rate of one comparison where several are made (default: `far`). They share
                the unknown scale, so the distance to the mean grows as a normal quantile does.
        """
        single = far if single is None else single
        index = self._index(single)
        if index is not None:
            return self._above(index), "counted"
        distance = -float(stdtrit(self.dof, far)) * growth(far, single) * self.scale
        limit = self.mean + distance * float(np.sqrt(1.0 + 1.0 / self.groups))
        fitted = float(np.tanh(limit))
        if len(self.top) > self.exceedances:
            fitted = max(fitted, self._above(self.exceedances))
        return fitted, "tail_fit"

    def _index(self, far: float) -> int | None:
        index = int(np.floor(far * self.pairs))
        return index if self.exceedances <= index < len(self.top) else None

    def _above(self, index: int) -> float:
        return float(np.nextafter(self.top[index], np.inf))


def fisher_z(cosines: NDArray[np.floating]) -> NDArray[np.float64]:
    """Fisher's z = artanh of cosines: nearly normal where cosines, bound by 1, are not.

    A normal tail fitted to wide cosines reaches beyond 1, where no threshold can be (rendered
    library of 36 rides: 0.96 at 8e-4, where 0.85 already keeps all people apart).
    """
    bound = 1.0 - np.finfo(np.float32).eps
    return np.arctanh(np.clip(np.asarray(cosines, dtype=np.float64), -bound, bound))


def single_rate(far: float, references: int) -> float:
    """The rate one comparison must keep so that the best of n keeps `far`.

    Raises:
        ValueError: there is no reference.
    """
    if references < 1:
        raise ValueError("a person without references has no threshold")
    return float(-np.expm1(np.log1p(-far) / references))


def growth(far: float, single: float) -> float:
    """Normal quantile of a stricter rate over that of the named one."""
    return float(ndtri(single) / ndtri(far))


@dataclass(frozen=True)
class OperatingPoint:
    """One named threshold before it knows how many references it guards.

    Attributes:
        far: false-accept rate per person.
        default: the setting used while nothing is measured; taken for the quantile of a normal
            distribution around zero, so that it too grows with the number of references; null
            where no setting speaks of what is compared.
        model: null while too little is known.
        pinned: a number set by hand; it holds as it stands.
        reason: why there is no model.
        safe: the safe end of the model; where it is given the threshold is read there.
        known_max: largest cosine of two tracks that are known to be two people; null without any.
        doubt: of the safe end, one minus its confidence.
        least: what look-alikes reach: no measured or default threshold is lower.
    """

    far: float
    default: float | None
    model: ImpostorModel | None = None
    pinned: float | None = None
    reason: str | None = None
    safe: UpperTail | None = None
    known_max: float | None = None
    doubt: float = 0.05
    least: float | None = None

    def at(self, references: int = 1, rate: float | None = None) -> tuple[float | None, Method]:
        """The threshold for a person with so many references, and how it was found.

        Args:
            references: templates and centres of the person, >= 1.
            rate: a stricter rate than the own.

        Returns:
            Null where it was not measured and no setting gives it.
        """
        single = single_rate(min(self.far, rate or self.far), references)
        if self.pinned is not None:
            return self.pinned, "pinned"
        if self.model is not None:
            value, method = self.model.threshold(self.far, single)
            if self.safe is not None:
                value = max(value, self.safe.threshold(single), self._seen(self.model, single))
            return self._not_below(value), method
        if self.default is None:
            return None, "not_measured"
        return self._not_below(self.default * growth(self.far, single)), "default"

    def _not_below(self, value: float) -> float:
        return value if self.least is None else max(value, self.least)

    def _seen(self, model: ImpostorModel, single: float) -> float:
        """Above what two people are known to reach more often than the rate allows."""
        if model.top:
            allowed = may_exceed(model.pairs, single, self.doubt)
            return float(np.nextafter(model.top[allowed], 2)) if allowed < len(model.top) else -1.0
        return -1.0 if self.known_max is None else float(np.nextafter(self.known_max, 2))


@dataclass(frozen=True)
class Thresholds:
    """The operating points of one embedding space at one level.

    Attributes:
        space: its key.
        level: what is compared: face, probe or template.
        points: by name.
        fpir: share of strangers that may reach a point with any known person, by its name.
        usual: cosine that 95 percent of the genuine pairs reach; null without any.
        own: cosine that 99 percent of them reach; null likewise.
    """

    space: str
    level: str
    points: Mapping[str, OperatingPoint]
    fpir: Mapping[str, float] = field(default_factory=dict)
    usual: float | None = None
    own: float | None = None

    @property
    def measured(self) -> bool:
        """Whether there are thresholds at all: measured, set by hand, or by default."""
        return all(point.at()[0] is not None for point in self.points.values())

    @property
    def unproven(self) -> str | None:
        """Why nobody may be named by `assign` without asking; None where it is known to hold.

        A pin is the word of whoever set it; a default is nobody's.
        """
        point = self.points["assign"]
        if point.pinned is not None or point.safe is not None:
            return None
        return point.reason or "the library was computed by an older version"

    def at(self, name: str, references: int = 1, people: int = 1) -> float:
        """The threshold of a person with n references among so many people.

        `assign` and `suggest` keep both their rate per person and the one over all people;
        `suggest` is never above `assign`.

        Raises:
            LookupError: nothing was measured at this level, see `measured`.
        """
        value = self.points[name].at(references, self._rate(name, people))[0]
        if value is None:
            raise LookupError(f"nothing is calibrated at level {self.level}")
        return min(value, self.at("assign", references, people)) if name == "suggest" else value

    def _rate(self, name: str, people: int) -> float | None:
        over_all = self.fpir.get(name)
        return None if over_all is None else single_rate(over_all, max(people, 1))

    def bound(self, references: Sequence[int]) -> float | None:
        """Upper bound of the share of strangers that `assign` takes for anybody.

        Args:
            references: how many each known person has.

        Returns:
            Null where nothing was measured.
        """
        point = self.points["assign"]
        if point.safe is None:
            return None
        let_in = [
            best_of(point.safe.rate(self.at("assign", n, len(references))), n) for n in references
        ]
        return float(-np.expm1(np.sum(np.log1p(-np.minimum(let_in, 1.0 - 1e-15)))))


def thresholds_of(
    calibration: pl.DataFrame,
    space: str,
    level: str,
    settings: MatchSettings,
    camera: str | None = None,
) -> Thresholds:
    """The thresholds stored in the table `CALIBRATION`.

    Args:
        calibration: the table.
        space: key of the embedding space.
        level: face, probe or template.
        settings: the rates over all people.
        camera: use this camera's own numbers where it has measured ones.

    Raises:
        LookupError: the table has no row for the space and level.
    """
    rows = calibration.filter(pl.col("space") == space, pl.col("level") == level)
    points: dict[str, OperatingPoint] = {}
    for name in NAMES:
        named = rows.filter(pl.col("name") == name)
        chosen = named.filter(pl.col("camera").is_null())
        if camera is not None:
            own = named.filter(pl.col("camera") == camera, pl.col("threshold").is_not_null())
            chosen = own if own.height else chosen
        if not chosen.height:
            raise LookupError(
                f"no calibration of {space} at level {level}; calibrate that space first"
            )
        row = _Row(*chosen.select(_Row._fields).row(0))
        points[name] = _point(row, name, settings, space)
    common = rows.filter(pl.col("camera").is_null())
    genuine = common.select("genuine_p05", "genuine_p01")
    usual, own = genuine.row(0) if genuine.height else (None, None)
    fpir = {"assign": settings.fpir_assign, "suggest": settings.fpir_suggest}
    return Thresholds(space, level, points, fpir, usual, own)


class _Row(NamedTuple):
    """The columns of `CALIBRATION` that make an operating point."""

    level: str
    far: float
    in_effect: float | None
    default: float | None
    method: str
    reason: str | None
    safe_mean: float | None
    safe_scale: float | None
    impostor_pairs: int
    impostor_groups: int
    impostor_max: float | None
    mean: float | None
    scale: float | None
    dof: float | None
    top: list[float] | None
    exceedances: int


def least_of(name: str, settings: MatchSettings, space: str) -> float | None:
    """Below what a named threshold may never fall: `assign` not below what look-alikes reach.

    That was measured among a recogniser's own vectors; those of a head have another scale, on which
    nobody has measured it.
    """
    return settings.lookalike_cos if name == "assign" and not space.startswith(HEAD) else None


def _point(row: _Row, name: str, settings: MatchSettings, space: str) -> OperatingPoint:
    model = safe = None
    if row.mean is not None and row.scale is not None and row.dof is not None:
        model = ImpostorModel(
            row.impostor_pairs,
            row.impostor_groups,
            row.mean,
            row.scale,
            row.dof,
            tuple(row.top or ()),
            row.exceedances,
        )
    if name == "assign" and row.safe_mean is not None and row.safe_scale is not None:
        safe = UpperTail(row.safe_mean, row.safe_scale)
    return OperatingPoint(
        row.far,
        # Older versions noted the default of templates for single faces too.
        row.default if row.level == "template" else None,
        model,
        pinned=row.in_effect if row.method == "pinned" else None,
        reason=row.reason,
        safe=safe,
        known_max=row.impostor_max,
        doubt=1.0 - settings.interval,
        least=least_of(name, settings, space),
    )
