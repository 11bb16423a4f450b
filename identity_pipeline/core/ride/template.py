"""The template of a ride: the course that a camera's videos have in common, and who follows it.

The first shape of the template is the medoid, the video on which a quarter of the others are laid
at the least cost, so that of two rides under one name the commoner one is found. Then each point
becomes the median of what the videos show there, a barycentre under dynamic time warping
(Petitjean, Ketterlin and Gancarski, "A global averaging method for dynamic time warping", Pattern
Recognition 44, 2011) with the median in the place of the mean, so that a video of another ride
among them moves little.

What a video of the ride costs is measured on videos that the template was not made of: of two
halves, each is laid on the template of the other one. Costs are positive and skewed, so they are
looked at as logarithms; `limit` leaves as many of the camera's own as `ride.other_ride_rate` above
it, if these are normal, with the uncertainty of median and spread of so few (Student's prediction
interval). Videos above it are of another ride and left out, and it is done again. Each is also laid
on the template in reverse, a course of the same light and motion that nobody rides: where that
costs hardly more than the ride, the videos have no course in common, and there is no template
rather than a bad one.

Where pictures can tell (`core.ride.scenery`), they have a say: a video that is found where it is
laid is of the ride at any cost, as by night, and none is made of one that is not, however well its
light and motion fit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from math import exp, log
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrc, stdtrit

from identity_pipeline.core.ride.alignment import (
    Alignment,
    Track,
    align,
    align_all,
    on_track,
    times_of,
)
from identity_pipeline.core.ride.course import (
    FLOORS,
    LEVELS,
    MAD_TO_DEVIATION,
    Array,
    Course,
    median,
    scale_of,
)
from identity_pipeline.core.ride.scenery import Scenery, Seen, Signs, look_for, scenery_of
from identity_pipeline.core.video.copies import BITS
from identity_pipeline.settings import RideSettings

MEDOID_STEP_S: Final = 0.8
"""Step at which all are laid on all: a ride of two minutes has 150 points."""
NEAREST: Final = 0.25
"""Share of the videos by which the medoid is judged: another ride may have as many as this one."""
ROUNDS: Final = 5
"""How often it is asked again who follows the ride."""
PASSES: Final = 3
"""How often the template is made anew of videos that are laid on it."""
BESIDE_S: Final = 30.0
"""By so much a pass may lengthen the template at either end."""
SEEN_BY: Final = 0.5
"""Where a smaller share of the videos shows anything, the template ends."""
NO_COURSE: Final = 0.001
"""Chance that videos without a common course are taken to have one (of the sign test)."""
MAD_EFFICIENCY: Final = 0.37
"""Of the MAD beside the standard deviation, for normal values (Rousseeuw and Croux, "Alternatives
to the median absolute deviation", J. Am. Stat. Assoc. 88, 1993): so much fewer degrees of freedom
has what is told with it."""
COST_SPREAD: Final = 0.05
"""Least standard deviation of the logarithm of costs: twenty videos that are all alike must not
make the next one another ride's."""


@dataclass(frozen=True)
class Usual:
    """What videos of a ride cost that the template is not made of.

    Attributes:
        cost: median.
        limit: more is another ride's.
        n: of how many videos.
    """

    cost: float
    limit: float
    n: int


class Apart(NamedTuple):
    """Why a video is another ride's.

    Attributes:
        cost: of laying it on the ride.
        seen: what it shows of the ride; None where the cost alone says it.
    """

    cost: float
    seen: Seen | None = None

    def words(self, usual: Usual) -> str:
        """For people; `usual` is what the ride's own cost."""
        return other_ride_words(self.cost, usual) if self.seen is None else self.seen.words


@dataclass(frozen=True)
class Template:
    """The course of a ride.

    Attributes:
        track: what videos are laid on; its values are medians over the videos.
        spread: (length, channels) robust standard deviations over the videos; NaN: not measured.
        passed: (length,) how many of the videos pass each point.
        usual: what its videos cost.
        members: ids of the videos that it is made of, sorted.
        others: each video that was at hand and is another ride's, by id.
        scenery: what its videos show on their way; None: of an edition from before it was told.
    """

    track: Track
    spread: Array
    passed: NDArray[np.int64]
    usual: Usual
    members: tuple[str, ...]
    others: Mapping[str, Apart]
    scenery: Scenery | None = None

    @property
    def length(self) -> int:
        """How many points it has."""
        return len(self.track.course.values)


@dataclass(frozen=True)
class NoTemplate:
    """Why there is none.

    Attributes:
        sentence: for people.
        followers: how many of the videos may follow one course.
    """

    sentence: str
    followers: int = 0


def build_template(
    courses: Mapping[str, Course], settings: RideSettings, videos_min: int
) -> Template | NoTemplate:
    """The template of the videos of one camera; the same of the same videos in any order.

    Args:
        courses: by video id, with the step of the settings.
        settings: how many videos are looked at, and what is another ride.
        videos_min: with fewer that follow one course there is none.
    """
    measured = {v: c for v, c in courses.items() if not np.isnan(c.values).all()}
    if len(measured) < videos_min:
        return NoTemplate(
            f"The ride of this camera is not known yet: {len(measured)} of the "
            f"{videos_min} videos that it takes are there (camera.videos_min).",
            len(measured),
        )
    taken = dict(sorted(measured.items(), key=lambda item: _shuffled(item[0])))
    taken = dict(list(taken.items())[: settings.videos_max])
    first, near = _medoid(list(taken.values()))
    by_cost, costs = _followers(taken, first, list(compress(taken, near)), settings, videos_min)
    ride = _of_the_ride(taken, by_cost, first, settings, videos_min)
    members = ride.members if ride else by_cost
    if ride is None or len(members) < videos_min:
        return NoTemplate(
            f"The ride of this camera is not known: {len(members)} of the {len(taken)} videos that "
            f"were looked at follow one course, and it takes {videos_min} (camera.videos_min). "
            "Several rides under one name of a camera (ingest.camera_pattern), "
            "or a camera that is moved every day, would explain it.",
            len(members),
        )
    return ride.template(_usual_cost(members, by_cost, costs, settings), costs)


def _usual_cost(
    members: Collection[str],
    by_cost: Collection[str],
    costs: Mapping[str, float],
    settings: RideSettings,
) -> Usual:
    """What the members cost: those that follow by it, for one that is found by night costs much."""
    own = [v for v in members if v in by_cost]
    asked = own if len(own) > 1 else sorted(by_cost)
    return usual_of([costs[v] for v in asked], settings.other_ride_rate)


class _Ride(NamedTuple):
    """A template of which it is not told yet what its own cost; the rest as there.

    Attributes:
        seen: what each video that was at hand shows of it.
    """

    track: Track
    spread: Array
    passed: NDArray[np.int64]
    scenery: Scenery
    members: tuple[str, ...]
    seen: Mapping[str, Seen]

    def template(self, usual: Usual, costs: Mapping[str, float]) -> Template:
        """With what its own cost, and what each video that was at hand costs."""
        others = {}
        for video in sorted(costs.keys() - set(self.members)):
            seen = self.seen[video]
            if not seen.same_ride:
                others[video] = Apart(costs[video], seen if seen.same_ride is False else None)
        return Template(
            self.track, self.spread, self.passed, usual, self.members, others, self.scenery
        )


def _of_the_ride(
    courses: Mapping[str, Course],
    by_cost: Collection[str],
    first: Course,
    settings: RideSettings,
    videos_min: int,
) -> _Ride | None:
    """The template of those whose pictures show it; None where too few follow it anyhow.

    Args:
        courses: by video id.
        by_cost: ids of those that follow it by their light and motion.
        first: first shape of the template.
        settings: what share of the ride's own may be taken for another's.
        videos_min: with fewer members there is no template.
    """
    ride, told = None, sorted(by_cost)
    for _ in range(ROUNDS):
        if len(told) < videos_min:
            return ride and ride._replace(members=tuple(told))
        members = told
        track, spread, passed = _barycentre([courses[v] for v in members], first)
        scenery, seen = _scenery(courses, members, track, settings.other_ride_rate)
        ride = _Ride(track, spread, passed, scenery, tuple(members), seen)
        said = {v: one.same_ride for v, one in seen.items()}
        told = sorted(v for v in courses if (v in by_cost if said[v] is None else said[v]))
        if told == members:
            break
    return ride


def _scenery(
    courses: Mapping[str, Course], members: Sequence[str], track: Track, rate: float
) -> tuple[Scenery, dict[str, Seen]]:
    """What the members show on their way, and what each video shows of what the others do."""
    laid = align_all(list(courses.values()), track)
    shown = {
        video: (_signs(course), one.position)
        for (video, course), one in zip(courses.items(), laid, strict=True)
    }
    step_s = track.course.step_s
    own = {video: shown[video] for video in members}
    scenery, seen = scenery_of(own, len(track.course.values), step_s, rate)
    others = {v: look_for(*each, scenery, step_s) for v, each in shown.items() if v not in own}
    return scenery, seen | others


def _signs(course: Course) -> Signs:
    return np.zeros((len(course.values), BITS), np.int8) if course.signs is None else course.signs


def usual_of(costs: Sequence[float], rate: float) -> Usual:
    """What videos of the ride cost; see the module.

    Args:
        costs: of at least two.
        rate: share of the ride's own videos above the limit.
    """
    logs = np.log(np.asarray(costs))
    middle = float(np.median(logs))
    spread = max(MAD_TO_DEVIATION * float(np.median(np.abs(logs - middle))), COST_SPREAD)
    n = len(logs)
    freedom = MAD_EFFICIENCY * (n - 1)
    factor = float(stdtrit(freedom, 1 - rate)) * (1 + 1 / n) ** 0.5
    return Usual(exp(middle), exp(middle + factor * spread), n)


def _shuffled(video_id: str) -> str:
    """An order that has nothing to do with time or names."""
    return hashlib.sha256(video_id.encode()).hexdigest()


def _medoid(courses: Sequence[Course]) -> tuple[Course, Sequence[bool]]:
    """The video on which a quarter of the others are laid at the least cost, and who is near it.

    Near is less than halfway, in logarithms, from that quarter to what the videos cost on the
    medoid in reverse.
    """
    coarse = [_at_most(course, MEDOID_STEP_S) for course in courses]
    scale = _within(courses)
    costs = np.array([_costs_on(Track(one, scale), coarse) for one in coarse])
    quarters = np.quantile(costs, NEAREST, axis=1)
    best = int(np.argmin(quarters))
    reversed_costs = _costs_on(_reversed(Track(coarse[best], scale)), coarse)
    halfway = (quarters[best] * np.median(reversed_costs)) ** 0.5
    return courses[best], (costs[best] < halfway).tolist()


def _costs_on(track: Track, courses: Sequence[Course]) -> Array:
    return np.array([laid.cost for laid in align_all(courses, track)])


def _reversed(track: Track) -> Track:
    """A course of the same light and motion that nobody rides."""
    back = track.course.values[::-1].copy()
    return replace(track, course=replace(track.course, values=back))


def _at_most(course: Course, step_s: float) -> Course:
    """A course at half as many points, as often as its step stays within `step_s`."""
    while 2 * course.step_s <= step_s:
        course = course.halved()
    return course


def _within(courses: Sequence[Course]) -> Array:
    """A third of how much the channels vary along the rides: how much they may differ at a place.

    Only the first shape of the template is judged by it; then the videos say how they differ.
    """
    values = np.concatenate([c.values - np.where(LEVELS, median(c.values), 0) for c in courses])
    return np.maximum(scale_of(values) / 3, FLOORS)


def _barycentre(courses: Sequence[Course], first: Course) -> tuple[Track, Array, NDArray[np.int64]]:
    """The template of videos that are all of the ride, with spread and passes: see `Template`.

    It is as long as what half of the videos show, so the first shape may lack an end.
    """
    track = Track(first, _within([*courses, first]))
    spread, passed = first.values, np.zeros(len(first.values), np.int64)
    for _ in range(PASSES if courses else 0):
        laid = align_all(courses, track)
        stack = np.stack([_carried(*pair, track) for pair in zip(courses, laid, strict=True)])
        seen = (~np.isnan(stack).all(axis=2)).sum(axis=0)
        kept = np.flatnonzero(seen >= SEEN_BY * len(courses))
        if not len(kept):
            break
        part = slice(int(kept[0]), int(kept[-1]) + 1)
        stack, passed = stack[:, part], seen[part]
        centre = median(stack)
        off = np.abs(stack - centre)
        centre = centre + np.median([each.levels for each in laid], axis=0)
        spread = MAD_TO_DEVIATION * median(off)
        scale = MAD_TO_DEVIATION * median(off.reshape(-1, off.shape[2]))
        scale = np.maximum(np.where(np.isnan(scale), FLOORS, scale), FLOORS)
        track = Track(Course(first.step_s, centre), scale)
    return track, spread, passed


def _carried(course: Course, alignment: Alignment, track: Track) -> Array:
    """What a video shows at each point of the track, without its levels, and beside its ends.

    Returns:
        (margin + length + margin, channels): beside the ends what it shows before and after, at the
        pace of the track, for `BESIDE_S`.
    """
    margin = round(BESIDE_S / course.step_s)
    times = np.pad(times_of(alignment, len(track.course.values)), margin, constant_values=np.nan)
    passed = np.flatnonzero(~np.isnan(times))
    if len(passed):
        first, last = int(passed[0]), int(passed[-1])
        times[:first] = times[first] - np.arange(first, 0, -1)
        times[last + 1 :] = times[last] + np.arange(1, len(times) - last)
        times[(times < 0) | (times > len(course.values) - 1)] = np.nan
    return on_track(course.shifted(alignment.levels).values, times)


def _followers(
    courses: Mapping[str, Course],
    first: Course,
    near: Sequence[str],
    settings: RideSettings,
    videos_min: int,
) -> tuple[Collection[str], dict[str, float]]:
    """Which videos follow the ride, and what each costs; none where they have no common course.

    Args:
        courses: by video id.
        first: first shape of the template.
        near: ids of the videos that it is first made of.
        settings: what share of the ride's own may be taken for another's.
        videos_min: with fewer than half of them left it is given up.
    """
    members, costs = list(near), dict.fromkeys(courses, np.inf)
    reversed_costs = dict.fromkeys(courses, np.inf)
    for _ in range(ROUNDS):
        if len(members) < videos_min / 2:
            return [], costs
        costs, reversed_costs = _held_out(courses, members, first)
        limit = usual_of([costs[v] for v in members], settings.other_ride_rate).limit
        followed = [v for v in courses if costs[v] <= limit]
        if followed == members:
            break
        members = followed
    nearer = sum(costs[v] < reversed_costs[v] for v in members)
    common = float(bdtrc(nearer - 1, len(members), 0.5)) < NO_COURSE
    return (members if common else []), costs


def _held_out(
    courses: Mapping[str, Course], members: Collection[str], first: Course
) -> tuple[dict[str, float], dict[str, float]]:
    """The cost of each video on a template that it is no part of; and on that in reverse."""
    halves = [list(courses)[::2], list(courses)[1::2]]
    costs: dict[str, float] = {}
    reversed_costs: dict[str, float] = {}
    for judged, others in (halves, halves[::-1]):
        track, _, _ = _barycentre([courses[v] for v in others if v in members], first)
        videos = [courses[v] for v in judged]
        costs.update(zip(judged, _costs_on(track, videos).tolist(), strict=True))
        back = _costs_on(_reversed(track), videos)
        reversed_costs.update(zip(judged, back.tolist(), strict=True))
    return costs, reversed_costs


@dataclass(frozen=True)
class Followed:
    """How a video follows a template.

    Attributes:
        alignment: where on the track it is.
        nearness: of its cost to the limit, in logarithms: 0 is the usual cost, 1 the limit; None
            where nothing was measured.
        same_ride: whether it passes what the ride passes; None where that cannot be told: nothing
            was measured, or what there is would follow the ride backwards as well.
        sentence: for people, where it does not, or shows other scenery; else None.
        seen: what it shows of the ride; None where nobody knows what the ride looks like.
    """

    alignment: Alignment
    nearness: float | None
    same_ride: bool | None
    sentence: str | None
    seen: Seen | None = None

    @property
    def other_scenery(self) -> bool:
        """Whether it passes what the ride passes, or may, but its pictures show something else.

        Another ride of the same parts, a camera that was moved, or new scenery: so its phases are
        told and the camera is watched, but no model is made of it.
        """
        seen = self.seen is not None and self.seen.same_ride is False
        return seen and self.same_ride is not False


NOTHING: Final = "Nothing was measured of its light and motion, so its phases are not known."
TOO_LITTLE: Final = (
    "It shows too little of the ride to tell where on it that is (it would follow the ride "
    "backwards as well), so its phases are not known. For the camera it counts all the same."
)


def follow(course: Course, template: Template) -> Followed:
    """Lays a video on the template of its camera, and says whether it is of that ride at all."""
    alignment = align(course, template.track)
    usual, cost = template.usual, alignment.cost
    if np.isnan(cost):
        return Followed(alignment, None, None, NOTHING)
    share = log(cost / usual.cost) / log(usual.limit / usual.cost) if cost > 0 else -np.inf
    seen = None
    if template.scenery is not None:
        step_s = template.track.course.step_s
        seen = look_for(_signs(course), alignment.position, template.scenery, step_s)
    if seen is not None and seen.same_ride:
        return Followed(alignment, share, True, None, seen)
    placed = _placed(course, cost, template)
    words = {True: None, False: other_ride_words(cost, usual), None: TOO_LITTLE}[placed]
    apart = seen is not None and seen.same_ride is False
    return Followed(alignment, share, placed, seen.words if seen and apart else words, seen)


def _placed(course: Course, cost: float, template: Template) -> bool | None:
    """Whether light and motion say that a video follows; None where it might backwards as well."""
    usual = template.usual
    if cost > usual.limit:
        return False
    # Nearer to the ride than halfway to what is another one: forwards against backwards.
    backwards = align(course, _reversed(template.track)).cost
    return True if backwards**2 * usual.cost > cost**2 * usual.limit else None


def other_ride_words(cost: float, usual: Usual) -> str:
    """Why a video is another ride's, for people."""
    return (
        f"It does not follow the ride of this camera, so it is left out of the model: laid on the "
        f"others it is {cost:.2f} standard deviations off, where {usual.n} videos of the ride are "
        f"usually {usual.cost:.2f} and at most {usual.limit:.2f}. Another ride in the folder, or a "
        "camera that was moved, would explain it."
    )
