"""The course of a ride over time: its segments, the light, the speed, the camera's shake and cuts.

Belongs here: everything that happens to car and camera, as pure functions of a plan.
Does not belong here: what the riders do (`choreography`), or drawing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline, PchipInterpolator

from tools.bundled_models.park import WEATHERS

Series = NDArray[np.float64]

# The order of what happens; the numbers are relative lengths. Every route begins in the station,
# for less than a tenth of the ride, as nobody on the platform must be seen as long as a rider is.
ROUTES: tuple[tuple[tuple[str, float], ...], ...] = (
    (("board", 9), ("lift", 16), ("tunnel", 12), ("glare", 4), ("bend", 13), ("drop", 15), ("bend", 12),
     ("straight", 8), ("brake", 6), ("end", 8)),
    (("board", 9), ("lift", 16), ("drop", 15), ("bend", 13), ("straight", 8), ("tunnel", 12), ("glare", 4),
     ("bend", 12), ("brake", 6), ("end", 8)),
    (("board", 9), ("bend", 12), ("tunnel", 12), ("glare", 4), ("lift", 15), ("drop", 15), ("straight", 8),
     ("bend", 12), ("brake", 6), ("end", 8)),
)  # fmt: skip


@dataclass(frozen=True)
class Mount:
    """A camera that films ride after ride: what stays the same, and how it is mounted just now.

    Attributes:
        seed: of the route, the scenery and the framing.
        yaw: degrees; > 0: the nose of a rider who looks ahead points to the image's right.
        pitch: degrees; > 0: it points up.
        shift: px to the right and down of the finished picture's 1280 x 720.
        lens: sigma (px of 1280 x 720) by which the picture is blurred; 0: clean.
        gain: of the light before clipping; 1: as it was.
        size: of the video, width and height in px: multiples of 8, for x264 gives other bytes every
            time for pictures of 180 rows.
    """

    seed: int
    yaw: float = 0.0
    pitch: float = 0.0
    shift: tuple[int, int] = (0, 0)
    lens: float = 0.0
    gain: float = 1.0
    size: tuple[int, int] = (640, 360)


@dataclass(frozen=True)
class RidePlan:
    """One ride: who sits where, and the seed of everything that happens."""

    name: str
    riders: tuple[int, ...]  # seeds, left to right in the image
    seed: int
    seconds: float = 18.0
    fps: int = 30
    takes: int = 1  # 2: half-way the picture changes to another framing, as a hard cut
    mount: Mount | None = None  # of a library of one camera; None: drawn by `seed` like all else
    seats: tuple[int, ...] = ()  # of each rider: 0 and 1 in front, 2 and 3 behind; (): all in front
    staff: int | None = None  # seed of who stands beside the car at boarding
    pace: float = 1.0  # of the train, > 1: slower; `seconds` are those of the video
    wobble: float = 0.0  # share by which each segment is longer or shorter than the route's
    wait_s: float = 0.0  # that boarding takes longer
    cut_s: tuple[float, float] = (0.0, 0.0)  # not in the video, at its beginning and end

    @property
    def frames(self) -> int:
        return round(self.seconds * self.fps)

    @property
    def filmed(self) -> range:
        """The frames that are in the video."""
        head, tail = (round(each * self.fps) for each in self.cut_s)
        return range(head, self.frames - tail)


@dataclass(frozen=True)
class Segment:
    """A stretch of the ride, in shares of its length."""

    kind: str
    start: float
    end: float


@dataclass(frozen=True)
class Framing:
    """How the camera is mounted: size and place of the riders in the picture."""

    scale: float  # px per cm at a rider's head
    head_y: int  # row of an adult's head
    shift: int  # px to the right
    gap: float = 0.42  # between two riders, share of the width


@dataclass(frozen=True)
class Course:
    """A ride's course, per frame where it is a series."""

    segments: tuple[Segment, ...]
    kind: tuple[str, ...]  # segment of each frame
    local: Series  # share of that segment that has passed
    exposure: Series  # 1: normal
    travelled: Series  # px of panorama
    speed: Series  # px of panorama per frame
    shake: Series  # (frames, 2) px
    bank: Series  # degrees by which the horizon tilts
    view: Series  # px by which the horizon lies lower than in the middle
    rise: Series  # bend of the track behind the car: > 0 comes from above
    bend: Series  # > 0: comes from the right
    sun: Series  # radians
    blur: NDArray[np.int64]  # px of motion blur over the whole picture; 0: none
    blur_down: bool  # whether that blur is vertical
    flash: NDArray[np.bool_]  # the lamp of the ride's photograph burns
    occluder: NDArray[np.bool_]
    cut: NDArray[np.bool_]  # first frames after a cut
    framing: tuple[Framing, ...]  # per frame
    weather: str


def drift(rng: np.random.Generator, frames: int, period: float, amplitude: float) -> Series:
    """A smooth random motion; `period` in frames."""
    knots = rng.standard_normal(max(2, int(frames / period)) + 4)
    where = np.linspace(1, len(knots) - 2.001, frames)
    return np.asarray(CubicSpline(np.arange(len(knots)), knots)(where) * amplitude)


def through(frames: int, keys: list[tuple[float, float]]) -> Series:
    """Values between (share of the ride, value) without overshoot; a later key at a share replaces it."""
    table = dict(sorted(keys, key=lambda key: key[0]))
    shares, values = list(table), list(table.values())
    return np.asarray(PchipInterpolator(shares, values)(np.linspace(0, 1, frames)))


def plateaus(frames: int, spans: list[tuple[float, float, float]], ramp: float = 0.012) -> Series:
    """Plateaus (from, to, height) in shares of the ride, with soft edges of width `ramp`."""
    t = np.linspace(0, 1, frames)
    out = np.zeros(frames)
    for start, end, height in spans:
        out = np.maximum(out, height * np.clip(np.minimum(t - start, end - t) / ramp, 0, 1))
    return out


def tunnel_of(seed: int) -> int:
    """Which segment of the route that a seed draws is the tunnel."""
    route = ROUTES[int(np.random.default_rng([seed, 20]).integers(len(ROUTES)))]
    return [kind for kind, _ in route].index("tunnel")


def segments_of(plan: RidePlan) -> tuple[Segment, ...]:
    """The route of a plan, each segment a little longer or shorter."""
    rng = np.random.default_rng([plan.mount.seed if plan.mount else plan.seed, 20])
    route = ROUTES[int(rng.integers(len(ROUTES)))]
    lengths = np.array([length for _, length in route]) * rng.uniform(0.9, 1.12, len(route))
    if plan.mount:
        own = np.random.default_rng([plan.seed, 23])
        lengths = lengths * own.uniform(1 - plan.wobble, 1 + plan.wobble, len(route))
        lengths[0] += plan.wait_s * lengths.sum() / (plan.seconds - plan.wait_s)
    edges = np.concatenate([[0], np.cumsum(lengths) / lengths.sum()])
    kinds = [kind for kind, _ in route]
    return tuple(Segment(k, float(edges[i]), float(edges[i + 1])) for i, k in enumerate(kinds))


# Per kind of segment: speed (px of panorama in 1/30 s), how far the horizon sinks (px), bend of the track.
_SPEED: dict[str, float] = {
    "board": 0,
    "lift": 5,
    "tunnel": 16,
    "glare": 17,
    "bend": 20,
    "drop": 27,
    "straight": 20,
    "brake": 5,
    "end": 2,
}
_FLASH = ("drop", 0.5, 0.3, 5.0)  # where in which segment, for how many s, times the light
_VIEW = {"lift": -130, "drop": 190, "straight": 30}
_RISE = {"lift": -0.010, "drop": 0.024, "straight": 0.002}


def course_of(plan: RidePlan) -> Course:
    """Everything that happens to car and camera in a ride."""
    rng = np.random.default_rng([plan.seed, 21])
    fixed = np.random.default_rng([plan.mount.seed, 22]) if plan.mount else rng
    segments, frames, pace = segments_of(plan), plan.frames, 30 / plan.fps
    share = (np.arange(frames) + 0.5) / frames
    number = np.searchsorted([s.end for s in segments[:-1]], share, side="right")
    kind = tuple(segments[n].kind for n in number)
    local = np.array(
        [
            (t - segments[n].start) / (segments[n].end - segments[n].start)
            for t, n in zip(share, number, strict=True)
        ]
    )

    def course_keys(table: dict[str, float]) -> list[tuple[float, float]]:
        keys = [(0.0, table.get("board", 0.0))]
        for s in segments:
            keys += [
                (s.start * 0.75 + s.end * 0.25, table.get(s.kind, 0.0)),
                (s.start * 0.25 + s.end * 0.75, table.get(s.kind, 0.0)),
            ]
        return [*keys, (1.0, table.get("end", 0.0))]

    keys = course_keys(_SPEED)
    if plan.mount:
        keys = _until_it_stands(keys, segments)
    speed = through(frames, keys) * pace / plan.pace
    speed[[k == "board" for k in kind]] = 0
    tremble = 0.35 + speed / pace / 9
    shake = np.stack(
        [
            drift(rng, frames, plan.fps * 0.13, 2.4) * tremble,
            drift(rng, frames, plan.fps * 0.13, 2.0) * tremble,
        ],
        1,
    )
    bends = [s for s in segments if s.kind == "bend"]
    first = float(fixed.choice([-1, 1]))
    turning = [(s.start, s.end, first * (-1) ** k) for k, s in enumerate(bends)]
    bank = sum(
        (plateaus(frames, [(a, b, 1.0)], 0.05) * sign for a, b, sign in turning), np.zeros(frames)
    )
    blur, down = _blur(fixed, plan, segments)
    flash = _flash(plan, segments)
    framing = _framing(fixed, plan, segments)
    cut = np.zeros(frames, bool)
    cut[1:] |= [a == "board" != b for a, b in pairwise(kind)]
    cut[1:] |= [a != b for a, b in pairwise(framing)]
    straight = next(s for s in segments if s.kind == "straight")
    bar = (straight.start * 0.6 + straight.end * 0.4, straight.end)
    return Course(
        segments=segments, kind=kind, local=local,
        exposure=_exposure(rng, fixed, plan, kind, local) * np.where(flash, _FLASH[3], 1.0),
        travelled=np.cumsum(speed) + fixed.uniform(0, 4000), speed=speed, shake=shake,
        bank=bank * 7 + drift(rng, frames, plan.fps, 0.6) * (speed > 0),
        view=through(frames, course_keys({k: float(v) for k, v in _VIEW.items()})),
        rise=through(frames, course_keys(_RISE)), bend=bank * 0.035 + drift(rng, frames, plan.fps, 0.003),
        sun=drift(rng, frames, plan.fps * 2, 1.1), blur=blur, blur_down=down, flash=flash,
        occluder=(share >= bar[0]) & (share < bar[1]), cut=cut, framing=framing,
        weather=str(rng.choice(list(WEATHERS))),
    )  # fmt: skip


def _until_it_stands(
    keys: list[tuple[float, float]], segments: tuple[Segment, ...]
) -> list[tuple[float, float]]:
    """Of speeds: the train brakes from the first moment of `brake` on, and stands at its end."""
    brake = next(s for s in segments if s.kind == "brake")
    fast = [key for key in keys if key[0] < brake.start]
    return [*fast, (brake.start, fast[-1][1]), (brake.end, 0.0), (1.0, 0.0)]


def _flash(plan: RidePlan, segments: tuple[Segment, ...]) -> NDArray[np.bool_]:
    """Where a camera's ride is photographed, which takes as long in a slow train as in a fast one."""
    flash = np.zeros(plan.frames, bool)
    if plan.mount:
        kind, where, seconds, _ = _FLASH
        segment = next(s for s in segments if s.kind == kind)
        first = round((segment.start + where * (segment.end - segment.start)) * plan.frames)
        flash[first : first + max(1, round(seconds * plan.fps))] = True
    return flash


def _blur(
    rng: np.random.Generator, plan: RidePlan, segments: tuple[Segment, ...]
) -> tuple[NDArray[np.int64], bool]:
    """Two short spells of motion blur: late in the drop, and in a bend."""
    blur = np.zeros(plan.frames, np.int64)
    for kind, start, length in (("drop", 0.72, 0.16), ("bend", 0.80, 0.14)):
        segment = next(s for s in segments if s.kind == kind)
        width = segment.end - segment.start
        a = round((segment.start + start * width) * plan.frames)
        b = max(a + 1, round((segment.start + (start + length) * width) * plan.frames))
        blur[a:b] = int(rng.choice([13, 17, 21]))
    return blur, bool(rng.random() < 0.4)


def _framing(
    rng: np.random.Generator, plan: RidePlan, segments: tuple[Segment, ...]
) -> tuple[Framing, ...]:
    """One mounting of the camera per take."""
    first = Framing(
        float(rng.uniform(9.1, 9.8)), int(rng.uniform(372, 392)), int(rng.normal(0, 12))
    )
    if plan.mount:
        across, down = plan.mount.shift
        first = replace(first, shift=first.shift + across, head_y=first.head_y + down)
    if plan.takes == 1:
        return (first,) * plan.frames
    near = rng.random() < 0.5
    second = Framing(
        10.6 if near else 7.9,
        400 if near else 408,
        int(rng.choice([-46, 46])),
        0.46 if near else 0.36,
    )
    start = round([s for s in segments if s.kind == "bend"][-1].start * plan.frames)
    return (first,) * start + (second,) * (plan.frames - start)


def _exposure(
    rng: np.random.Generator,
    fixed: np.random.Generator,
    plan: RidePlan,
    kind: tuple[str, ...],
    local: Series,
) -> Series:
    """Dark with passing lamps in the tunnel, far too bright after it, else nearly one."""
    dark, bright = float(fixed.choice([0.045, 0.055, 0.075, 0.2])), float(fixed.uniform(4.0, 5.2))
    passing = np.clip(np.sin(local * np.pi * 5) ** 8, 0, 1)
    shade = 1 + drift(rng, plan.frames, plan.fps * 0.7, 0.06)
    out = np.where([k == "tunnel" for k in kind], dark * (1 + 0.7 * passing), shade)
    glare = bright * (1 - 0.55 * np.clip((local - 0.6) / 0.4, 0, 1))
    gain = plan.mount.gain if plan.mount else 1.0
    return np.asarray(np.where([k == "glare" for k in kind], glare, out)) * gain
