"""Whether a camera has changed: bumped, a dirty lens, a new exposure; and since which video.

Two questions are asked of each video. Is it **unlike** all others by itself? That is a word to
whoever looks, for a night ride is unlike too, and stops nothing. And have the last few videos
**changed**, that is, lie higher or lower than those before as chance does not order them? That
begins a new version of the camera's model, from the first video after the change.

**The rate of false alarms is designed, not chosen.** `camera.videos_per_false_alarm` allows one in
so many videos; half of that is for `unlike`, shared evenly among all figures, half for changes,
shared among their kinds and the windows that are looked at (Bonferroni). A change is told by ranks,
which asks nothing of how a figure is distributed (`core.camera.rank_test`); where successive videos
resemble each other, as light follows the day, blocks of them count as one. `unlike` takes normal
values: it is told by Student's t around median and Qn. How many faces there are and how well they
are seen depends on who rides, so these make a video unlike, and change no camera.

What belongs here: what is watched, and the verdict on the last of a row of videos. What does not:
how the figures are measured (`core.camera.figures`, `seats`, `pose_zero`), and versions
(`versions`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from identity_pipeline.core.camera.rank_test import (
    block_length,
    blocks,
    chance_of,
    change_point,
    strongest,
)
from identity_pipeline.core.camera.robust import QN_EFFICIENCY, qn_scale
from identity_pipeline.settings import CameraSettings

Floats = NDArray[np.float64]
Figures = Mapping[str, float | None]

BUMPED, LENS, EXPOSURE = CHANGES = ("bumped", "lens", "exposure")
WINDOWS: Final = (5, 10, 20, 40, 80)
"""Last videos, or blocks, that are held against those before: a gross change is told by few, a
slight one by many."""
UNLIKE_MIN, UNLIKE_MAX = 10, 100
"""Videos before one that are needed for it to be unlike, and of which the last so many count: with
fewer a normal value is as likely to be far off as any, with more nothing is gained."""
FREEDOM_LESS: Final = 4.0
"""What Qn's degrees of freedom lack of its efficiency times the number of values. By simulation of
20,000 normal samples each of 8 to 100 values: then a value is never told more often than it is said
to be."""
LIGHT_MAX: Final = 100
"""Videos by which the part of the light in the sharpness is known; its cost grows with their
square."""


class Watched(NamedTuple):
    """A figure that is watched.

    Attributes:
        kind: of the change that it tells; None: it tells none.
        words: what it is, in a sentence.
        scale: on which its spread hardly depends on its level.
        back: from that scale.
        least: on that scale, a difference that means nothing; a spread is at least as large.
    """

    kind: str | None
    words: str
    scale: Callable[[Floats], Floats]
    back: Callable[[Floats], Floats]
    least: float


def _plain(values: Floats) -> Floats:
    return values


def _to_share(values: Floats) -> Floats:
    return np.sin(np.clip(values, 0.0, np.pi / 2)) ** 2


def _of_share(values: Floats) -> Floats:
    """Variance of a share is stable on this scale (Bartlett 1936)."""
    return np.arcsin(np.sqrt(np.clip(values, 0.0, 1.0)))


WATCHED: Final[Mapping[str, Watched]] = MappingProxyType(
    {
        "x": Watched(
            BUMPED, "place of the riders across, in picture heights", _plain, _plain, 0.01
        ),
        "y": Watched(BUMPED, "place of the riders down, in picture heights", _plain, _plain, 0.01),
        "log_size": Watched(BUMPED, "size of the riders' faces (logarithm)", _plain, _plain, 0.05),
        "yaw": Watched(BUMPED, "yaw at which riders look ahead, in degrees", _plain, _plain, 1.0),
        "pitch": Watched(
            BUMPED, "pitch at which riders look ahead, in degrees", _plain, _plain, 1.0
        ),
        "luma": Watched(EXPOSURE, "median luma", np.log1p, np.expm1, 0.1),
        "sharpness": Watched(LENS, "sharpness", np.log1p, np.expm1, 0.1),
        "faces_per_frame": Watched(None, "faces per frame", np.sqrt, np.square, 0.1),
        "detector_score": Watched(None, "mean detector score", _of_share, _to_share, 0.05),
        "usable_share": Watched(None, "share of usable faces", _of_share, _to_share, 0.05),
    }
)
"""All that is watched. Differences that mean nothing: a hundredth of the picture's height is a
tenth of a face; a degree is below what a pose estimate repeats to; a tenth is a tenth of the
light."""


def _judged_words(figure: str) -> str:
    """What is judged: of the sharpness what is left without the light."""
    words = WATCHED[figure].words
    return f"{words} at the same light" if figure == "sharpness" else words


@dataclass(frozen=True)
class Unlike:
    """A video that is far from all before it.

    Attributes:
        figure: in what.
        value: of the video.
        usual: median of the videos before.
    """

    figure: str
    value: float
    usual: float

    @property
    def sentence(self) -> str:
        """For an operator."""
        return f"{_judged_words(self.figure)} {self.value:.3g}, usually {self.usual:.3g}"


@dataclass(frozen=True)
class Change:
    """A change of the camera.

    Attributes:
        kind: `bumped`, `lens` or `exposure`.
        figure: what tells it best.
        since: index of the first video after it.
        before: median of the figure until then.
        after: median since.
        chance: probability that chance orders the videos so.
    """

    kind: str
    figure: str
    since: int
    before: float
    after: float
    chance: float

    @property
    def sentence(self) -> str:
        """For an operator."""
        what = {
            BUMPED: "the camera was moved",
            LENS: "the lens is dirtier" if self.after < self.before else "the lens is cleaner",
            EXPOSURE: "the exposure is another one",
        }[self.kind]
        words = _judged_words(self.figure)
        return f"{what}: {words} {self.after:.3g}, before {self.before:.3g}"


@dataclass(frozen=True)
class Verdict:
    """What the last video of a row says of the camera.

    Attributes:
        compared: with how many videos before it.
        unlike: in what it is by itself unlike them.
        changes: what has changed, the least likely by chance first; none while too few videos are
            there to tell.
    """

    compared: int
    unlike: tuple[Unlike, ...]
    changes: tuple[Change, ...]


def judge(videos: Sequence[Figures], settings: CameraSettings) -> Verdict:
    """The verdict on the last of a row of videos of one version of a camera.

    Args:
        videos: the figures of `WATCHED` of each, in the order in which they came; null or
            absent where not measured.
        settings: how many videos are needed, and how rare a false alarm is.
    """
    natural = {name: _column(videos, name) for name in WATCHED}
    scaled = {name: WATCHED[name].scale(column) for name, column in natural.items()}
    scaled["sharpness"] = _at_the_same_light(scaled["sharpness"], scaled["luma"], settings)
    natural["sharpness"] = WATCHED["sharpness"].back(scaled["sharpness"])
    budget = 1 / settings.videos_per_false_alarm / 2
    unlike = []
    for name, column in scaled.items():
        if _is_unlike(column, WATCHED[name].least, budget / len(WATCHED)):
            usual = float(np.nanmedian(natural[name][:-1]))
            unlike.append(Unlike(name, float(natural[name][-1]), usual))
    changes = [
        change
        for kind in CHANGES
        if (change := _changed(kind, scaled, natural, budget / len(CHANGES), settings))
    ]
    by_chance = tuple(sorted(changes, key=lambda c: (c.chance, c.kind)))
    return Verdict(max(len(videos) - 1, 0), tuple(unlike), by_chance)


def _column(videos: Sequence[Figures], name: str) -> Floats:
    told = [video.get(name) for video in videos]
    return np.array([np.nan if value is None else value for value in told], dtype=np.float64)


def _reference_length(known: int, settings: CameraSettings) -> int:
    """How many of the first values are before anything that is looked for now."""
    return min(settings.videos_max, max(settings.videos_min, known // 2))


def _at_the_same_light(sharpness: Floats, luma: Floats, settings: CameraSettings) -> Floats:
    """The sharpness that there were at the usual light, by the first videos (Theil 1950, Sen 1968).

    NaN in a light that those did not have: there nothing is known of it.
    """
    from scipy.stats import theilslopes  # half a second, which no page of the desk should wait

    both = np.flatnonzero(~np.isnan(sharpness) & ~np.isnan(luma))
    first = both[: min(LIGHT_MAX, _reference_length(len(both), settings))]
    left = np.full(len(sharpness), np.nan)
    if len(first) < settings.videos_min:
        return left
    low, high = luma[first].min(), luma[first].max()
    slope = float(np.asarray(theilslopes(sharpness[first], luma[first]))[0]) if high > low else 0.0
    same = both[(luma[both] >= low) & (luma[both] <= high)]
    left[same] = sharpness[same] - slope * (luma[same] - np.median(luma[first]))
    return left


def usual_range(past: Floats, least: float, rarely: float) -> tuple[float, float, float] | None:
    """Middle of some values, and between what a next one lies, were they normal.

    Args:
        past: (N,) on a scale on which their spread hardly depends on their level; NaN is passed
        over.
        least: their standard deviation is at least so large.
        rarely: share of next values that lie outside.

    Returns:
        (middle, low, high); None for fewer than `UNLIKE_MIN` values.
    """
    known = past[~np.isnan(past)][-UNLIKE_MAX:]
    n = len(known)
    if n < UNLIKE_MIN:
        return None
    middle, spread = float(np.median(known)), max(qn_scale(known), least)
    freedom = QN_EFFICIENCY * n - FREEDOM_LESS
    limit = -stdtrit(freedom, rarely / 2) * np.sqrt(1 + np.pi / 2 / n)
    return middle, middle - float(limit) * spread, middle + float(limit) * spread


def usual_band(figure: str, values: Floats, rarely: float) -> tuple[float, float, float] | None:
    """What a figure usually is, and between what its next value lies: `usual_range`, in its unit.

    Args:
        figure: one of `WATCHED`.
        values: (N,) those before; NaN is passed over.
        rarely: share of next values that lie outside, were they normal.
    """
    watched = WATCHED[figure]
    told = usual_range(watched.scale(values), watched.least, rarely)
    if told is None:
        return None
    usual, low, high = (float(watched.back(np.asarray(value))) for value in told)
    return usual, low, high


def _is_unlike(column: Floats, least: float, budget: float) -> bool:
    """Whether the last value is too far from those before, were they normal."""
    if not len(column) or np.isnan(column[-1]):
        return False
    usual = usual_range(column[:-1], least, budget)
    return usual is not None and not usual[1] <= column[-1] <= usual[2]


def _changed(
    kind: str,
    scaled: Mapping[str, Floats],
    natural: Mapping[str, Floats],
    budget: float,
    settings: CameraSettings,
) -> Change | None:
    """The change of a kind that the last video, of those that tell of it, makes plain."""
    names = [name for name, watched in WATCHED.items() if watched.kind == kind]
    table = np.stack([scaled[name] for name in names], axis=1)
    known = np.flatnonzero((~np.isnan(table)).any(axis=1))
    rows = table[known]
    if not len(rows) or known[-1] != len(table) - 1:
        return None
    length = block_length(rows[: _reference_length(len(rows), settings)])
    if len(rows) % length:
        return None  # the last block is not whole yet
    told = blocks(rows, length)
    least = np.array([WATCHED[name].least for name in names])
    found = _least_chance(told, least, settings)
    if found is None or found[0] * len(WINDOWS) > budget:
        return None
    chance, window = found
    since = int(known[change_point(told, settings.videos_min) * length])
    name = names[strongest(window, told)]
    before, after = natural[name][:since], natural[name][since:]
    middles = float(np.nanmedian(before)), float(np.nanmedian(after))
    return Change(kind, name, since, *middles, min(1.0, chance * len(WINDOWS)))


def _least_chance(
    told: Floats, least: Floats, settings: CameraSettings
) -> tuple[float, int] | None:
    """The smallest probability, and of which window, where the difference means something."""
    found: list[tuple[float, int]] = []
    for window in WINDOWS:
        before = told[: min(max(len(told) - window, 0), settings.videos_max)]
        if len(before) < settings.videos_min:
            break
        after = told[-window:]
        apart = np.abs(_medians(after) - _medians(before))
        if (apart >= least).any():
            found.append((chance_of(window, np.vstack([before, after])), window))
    return min(found, default=None)


def _medians(rows: Floats) -> Floats:
    """(D,); NaN of a figure that was never measured."""
    known = [column[~np.isnan(column)] for column in rows.T]
    return np.array([np.median(own) if len(own) else np.nan for own in known])
