"""The report: what a figure says of itself, and how two reports differ.

A figure is a value with what it was measured on, of how many, and how sure it is; one that could
not be measured has no value and a reason. Shares are in [0, 1].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

Better = Literal["higher", "lower"] | None
Place = tuple[str, str]
"""Origin and key of a figure."""
SCHEMA_VERSION: Final = 1
DIGITS: Final = 6


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Attributes:
        key: stable name, `topic.name`.
        label: what it is, for people.
        value: None when not measured.
        n: how many of `counted` it rests on.
        counted: what n counts.
        low, high: 95 % interval; None when there is none (see `interval`).
        interval: how the interval was made, or why there is none.
        unit: `share`, `area` (under a ROC curve), `degrees`, `count`, `of box`, `r`, `ratio`.
        measured_on: the clips and the people.
        better: which direction is better; None for neither.
        reason: why there is no value.
        target: what the product promises; None without a promise.
    """

    key: str
    label: str
    value: float | None
    n: int
    counted: str
    unit: str
    measured_on: str
    low: float | None = None
    high: float | None = None
    interval: str | None = None
    better: Better = "higher"
    reason: str | None = None
    target: float | None = None

    @property
    def topic(self) -> str:
        """The part of the pipeline it judges."""
        return self.key.split(".", 1)[0]


@dataclass(frozen=True)
class Confusion:
    """Confusion matrix of bins: `counts[true][called]`."""

    name: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Roc:
    """Share of impostors (`far`) and of genuine pairs (`tar`) accepted, along the threshold."""

    name: str
    far: tuple[float, ...]
    tar: tuple[float, ...]
    genuine: int
    impostor: int


@dataclass(frozen=True)
class ErrorBand:
    """Pose errors of the faces whose true yaw lies in one bin, in degrees."""

    axis: str
    low: float
    high: float
    n: int
    median: float
    p90: float


@dataclass(frozen=True)
class CoverageRow:
    """Bins of one axis for one rider.

    Attributes:
        reachable: that the rider truly showed.
        filled: reachable ones that an exported image is filed under.
        truly: reachable ones in which an exported image truly lies.
        bins: of the axis.
    """

    video: str
    person: str
    axis: str
    filled: int
    truly: int
    reachable: int
    bins: int


@dataclass(frozen=True)
class VideoRow:
    """One video in figures; None where not measured."""

    video: str
    truth: str
    people: tuple[str, ...]
    traits: tuple[str, ...]
    sampled_frames: int
    values: Mapping[str, float | None]


@dataclass(frozen=True)
class PersonRow:
    """One person of whom labelled faces were met, and the figures of these faces alone."""

    person: str
    faces: int
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Section:
    """All figures of the clips of one origin."""

    origin: str
    scope: str
    figures: tuple[Figure, ...]
    videos: tuple[VideoRow, ...] = ()
    confusions: tuple[Confusion, ...] = ()
    rocs: tuple[Roc, ...] = ()
    pose_errors: tuple[ErrorBand, ...] = ()
    coverage: tuple[CoverageRow, ...] = ()
    people: tuple[PersonRow, ...] = ()

    def figure(self, key: str) -> Figure | None:
        """The figure of this key; None where nothing of the kind was looked for."""
        return next((figure for figure in self.figures if figure.key == key), None)


@dataclass(frozen=True)
class Difference:
    """One figure now and in an earlier report.

    Attributes:
        verdict: better, worse, same, new, gone, or moved where neither direction is better.
        within: whether the earlier value lies within the interval of now, so that the change may
            be chance; None without an interval.
        other_clips: it was measured on other clips then, so that the two cannot be compared.
    """

    origin: str
    key: str
    before: float | None
    after: float | None
    verdict: str
    within: bool | None = None
    other_clips: bool = False


@dataclass(frozen=True)
class Report:
    """Everything that was measured, and with what."""

    package_version: str
    gate_versions: tuple[str, ...]
    identity_spaces: tuple[str, ...]
    vision_spaces: tuple[str, ...]
    models: tuple[Mapping[str, str], ...]
    settings_sha256: tuple[str, ...]
    sections: tuple[Section, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    differences: tuple[Difference, ...] | None = None
    schema_version: int = SCHEMA_VERSION

    def as_json(self) -> dict[str, Any]:
        """Plain values with at most six decimals: equal measurements are equal bytes."""
        return _rounded(asdict(self))


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, Mapping):
        return {str(key): _rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    return value


def differences(report: Report, previous: Mapping[str, Any]) -> tuple[Difference, ...]:
    """How each figure of the report differs from the same one of an earlier report.

    Args:
        report: now.
        previous: an earlier `Report.as_json()`.

    Raises:
        ValueError: it is no report of this schema.
    """
    before, here = figures_of(previous), figures_of(report.as_json())
    known = {(s.origin, f.key): f for s in report.sections for f in s.figures}
    return tuple(
        _difference(place, before.get(place), here.get(place), known.get(place))
        for place in [*here, *(place for place in before if place not in here)]
    )


def _difference(
    place: Place,
    before: Mapping[str, Any] | None,
    here: Mapping[str, Any] | None,
    figure: Figure | None,
) -> Difference:
    old, new = (side["value"] if side else None for side in (before, here))
    moved = before and here and before["measured_on"] != here["measured_on"]
    other = bool(moved) and old is not None and new is not None
    return Difference(*place, old, new, _verdict(old, new, figure), _within(old, figure), other)


def _within(before: float | None, figure: Figure | None) -> bool | None:
    if before is None or figure is None or figure.high is None:
        return None
    return (figure.low or 0.0) <= before <= figure.high


def figures_of(report: Mapping[str, Any]) -> dict[Place, Mapping[str, Any]]:
    """Value and clips of each figure of a report that was read from JSON.

    Raises:
        ValueError: it is no report of this schema.
    """
    try:
        if report["schema_version"] != SCHEMA_VERSION:
            raise ValueError(
                f"the previous report has schema version {report['schema_version']}, "
                f"this one {SCHEMA_VERSION}; make it again to compare."
            )
        return {
            (str(section["origin"]), str(figure["key"])): {
                "value": _number(figure["value"]),
                "measured_on": figure["measured_on"],
            }
            for section in report["sections"]
            for figure in section["figures"]
        }
    except (KeyError, TypeError) as error:
        raise ValueError("the previous file is no evaluation report.") from error


def _number(value: Any) -> float | None:
    """A value of a report that was read.

    Raises:
        TypeError: it is neither a number nor null.
    """
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
        raise TypeError(value)
    return value


def _verdict(old: float | None, new: float | None, figure: Figure | None) -> str:
    if new is None or old is None:
        return "same" if new is old else ("new" if old is None else "gone")
    if new == old:
        return "same"
    if figure is None or figure.better is None:
        return "moved"
    return "better" if (new > old) == (figure.better == "higher") else "worse"
