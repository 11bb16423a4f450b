"""Tables `frames` of rides that never were: a track of known phases, and trains that pass it.

No picture is drawn. Light, motion, sharpness and faces follow the track's own course, each video
with its exposure, its noise, its pace and its ends, and with the truth of which phase every frame
shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.video.copies import COLUMNS, ROWS
from identity_pipeline.tables import TABLES

FPS: Final = 10.0
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """A phase of the track.

    Attributes:
        phase: its name.
        seconds: how long it takes at the usual pace.
        luma: mean, 0-255.
        motion: 1 - correlation per 0.1 s.
        blown: share of the picture.
        sharpness: as in `frames`.
        motion_end: of its end, where it changes.
    """

    phase: str
    seconds: float
    luma: float
    motion: float
    blown: float = 0.0
    sharpness: float = 150.0
    motion_end: float | None = None


TRACK: Final = (
    Part("boarding", 8, 95, 0.003),
    Part("ride", 7, 125, 0.04),
    Part("dark", 6, 24, 0.05, sharpness=20),
    Part("ride", 5, 140, 0.05),
    Part("high_motion", 4, 120, 0.22, sharpness=60),
    Part("ride", 5, 105, 0.04),
    Part("flash", 0.6, 215, 0.04, 0.4),
    Part("ride", 5, 115, 0.045),
    Part("glare", 3, 200, 0.04, 0.3),
    Part("ride", 5, 130, 0.04),
    Part("brake", 4, 120, 0.04, motion_end=0.007),
    Part("boarding", 7, 92, 0.003),
)
OTHER_TRACK: Final = (
    Part("boarding", 6, 60, 0.003),
    Part("ride", 18, 150, 0.08),
    Part("dark", 3, 30, 0.06, sharpness=25),
    Part("ride", 6, 90, 0.03),
    Part("dark", 4, 22, 0.03, sharpness=18),
    Part("high_motion", 9, 160, 0.3, sharpness=50),
    Part("ride", 20, 80, 0.06),
    Part("boarding", 14, 60, 0.003),
)


@dataclass(frozen=True)
class Train:
    """How a train passes a track, and how it is filmed.

    Attributes:
        pace: times as fast as the track says.
        wobble: relative spread of the pace from part to part.
        wait_s: more at the first station than the track says.
        begin_s, end_s: cut off of the track at its ends.
        stops: of light, more than usual.
        riders: faces in the picture.
        gap_s: time from 30 s on that is missing.
    """

    pace: float = 1.0
    wobble: float = 0.05
    wait_s: float = 0.0
    begin_s: float = 0.0
    end_s: float = 0.0
    stops: float = 0.0
    riders: int = 2
    gap_s: float = 0.0


@dataclass(frozen=True)
class Ride:
    """Table `frames`, and the phase of each of its frames."""

    frames: pl.DataFrame
    phases: list[str]


def surroundings(track: tuple[Part, ...], seed: int = 0) -> dict[str, Array]:
    """What the track is like every 0.05 s: its parts, and what is there on every ride."""
    rng = np.random.default_rng(seed)
    parts = [np.full(round(part.seconds * 20), n) for n, part in enumerate(track)]
    number = np.concatenate(parts)
    n = len(number)

    def wave(seconds: float) -> Array:
        knots = rng.normal(size=int(n / 20 / seconds) + 3)
        return np.interp(np.arange(n), np.arange(len(knots)) * 20 * seconds, knots)

    moving = np.array([part.motion > 0.01 for part in track])[number]
    light = np.where(moving, 0.12 * wave(2.5) + 0.06 * wave(0.8), 0.02 * wave(4))
    pace = np.where(moving, 0.15 * wave(1.5), 0)
    along = np.concatenate([np.linspace(0, 1, len(part)) for part in parts])
    return {"number": number.astype(np.float64), "light": light, "pace": pace, "along": along}


def pictures(place: Array, scenery: int, seed: int, faint: float = 0.0) -> list[bytes]:
    """Hashes of what is shown at points of a track of 0.05 s.

    Every camera shows its seats all the ride and every track the same things at the same times, as
    likely on the left as on the right; besides, the scenery, and noise.

    Args:
        place: (n,) the points.
        scenery: what stands beside the track.
        seed: of the noise.
        faint: how much more noise than scenery, as by night.
    """
    rows, columns = ROWS - 1, COLUMNS

    def field(of: int, seconds: float) -> Array:
        knots = np.random.default_rng([of, 23]).normal(size=(200, rows, columns))
        at = place / 20 / seconds
        low = np.floor(at).astype(np.int64)
        part = (at - low)[:, None, None]
        return knots[low] * (1 - part) + knots[low + 1] * part

    shared = field(-1 % 1000, 1.0)
    shown = 2 * np.random.default_rng(5).normal(size=(rows, columns))
    noise = np.random.default_rng([seed, 29]).normal(size=(len(place), rows, columns))
    steps = shown + shared + shared[..., ::-1] + field(scenery, 0.8) + (1 + faint) * noise
    flat = steps.reshape(len(place), -1)
    large = np.abs(flat) >= np.median(np.abs(flat), axis=1, keepdims=True)
    both = np.concatenate([np.packbits(flat > 0, axis=1), np.packbits(large, axis=1)], axis=1)
    return [row.tobytes() for row in both]


def ride(
    train: Train,
    seed: int,
    track: tuple[Part, ...] = TRACK,
    fps: float = FPS,
    course: int = 0,
    scenery: int | None = None,
    faint: float = 0.0,
) -> Ride:
    """A video of a ride: deterministic in its arguments; without `scenery` it has no pictures."""
    rng = np.random.default_rng([seed, 7])
    place = surroundings(track, course)
    seconds = _times(train, track, rng)
    at = _positions(seconds, fps, train, track)
    number = place["number"][at].astype(np.int64)
    parts = [track[n] for n in number]
    n = len(at)

    def noise(scale: float) -> Array:
        slow = np.interp(np.arange(n), np.arange(0, n + fps * 5, fps * 5), rng.normal(
            size=int(np.ceil((n + fps * 5) / (fps * 5))))) if n else np.empty(0)  # fmt: skip
        return scale * (0.5 * rng.normal(size=n) + 0.7 * slow)

    luma = np.array([part.luma for part in parts]) * 2 ** (place["light"][at] + train.stops / 2.2)
    luma = np.clip(luma * 2 ** noise(0.05), 1, 250)
    first = np.array([part.motion for part in parts])
    last = np.array([part.motion_end or part.motion for part in parts])
    motion = first * (last / first) ** place["along"][at] * 10 ** place["pace"][at]
    motion = motion * train.pace * 10 ** noise(0.1) * 10 / fps
    blown = np.clip(np.array([part.blown for part in parts]) * (1 + noise(0.2)), 0, 1)
    sharp = np.array([part.sharpness for part in parts]) * 2 ** noise(0.3)
    station = np.array([part.phase == "boarding" for part in parts], dtype=bool)
    staff = np.where(station, rng.integers(0, 3, n), 0)
    seen = rng.binomial(train.riders, np.where(luma < 35, 0.5, 0.95)) + staff
    time = np.arange(n) * 1000 / fps
    rows = {
        "frame_idx": np.arange(n) * 3,
        "pts": np.arange(n),
        "timestamp_ms": time + 40.0,
        "luma_mean": luma,
        "luma_p05": np.clip(luma * 0.3, 0, 255),
        "luma_p50": luma,
        "luma_p95": np.clip(luma * 1.7, 0, 255),
        "clipped_share": blown,
        "crushed_share": np.zeros(n),
        "sharpness": sharp,
        "scene_cut": np.zeros(n, bool),
        "scene_correlation": [None, *(1 - np.clip(motion, 0, 1)).tolist()[1:]],
        "decode_error": [None] * n,
        "face_count": seen,
        "look_hash": [None] * n if scenery is None else pictures(at, scenery, seed, faint),
        "sampling_fps": [None] * n,
    }
    return Ride(pl.DataFrame(rows, schema=TABLES["frames"]), [part.phase for part in parts])


def _times(train: Train, track: tuple[Part, ...], rng: np.random.Generator) -> list[float]:
    """How long each part of the track takes this train."""
    paces = train.pace * np.exp(train.wobble * rng.normal(size=len(track)))
    still = [part.motion < 0.01 for part in track]
    taken = [p.seconds / (1 if s else v) for p, v, s in zip(track, paces, still, strict=True)]
    taken[0] += train.wait_s
    return taken


def _positions(
    seconds: list[float], fps: float, train: Train, track: tuple[Part, ...]
) -> NDArray[np.int64]:
    """Index into the scenery of each frame: within a part the pace is even."""
    ends = np.concatenate([[0.0], np.cumsum(seconds)])
    begins = np.concatenate([[0.0], np.cumsum([part.seconds for part in track])])
    time = np.arange(train.begin_s, ends[-1] - train.end_s, 1 / fps)
    if train.gap_s:
        time = time[(time < 30) | (time >= 30 + train.gap_s)]
    last = sum(round(part.seconds * 20) for part in track) - 1
    return (np.interp(time, ends, begins) * 20).astype(np.int64).clip(0, last)


def any_track(seed: int) -> tuple[Part, ...]:
    """A track that no other ride has."""
    rng = np.random.default_rng([seed, 11])
    middle = [
        Part(
            "ride",
            float(rng.uniform(3, 14)),
            float(rng.choice([22, 60, 90, 130, 180, 210])),
            float(rng.choice([0.02, 0.05, 0.2])),
            sharpness=float(rng.choice([20, 60, 150])),
        )
        for _ in range(8)
    ]
    return (Part("boarding", 8, 90, 0.003), *middle, Part("boarding", 8, 90, 0.003))


def any_train(seed: int) -> Train:
    """One of a park's trains on one of its days."""
    rng = np.random.default_rng([seed, 5])
    return Train(
        pace=float(np.exp(rng.normal(0, 0.12))),
        wait_s=float(rng.exponential(5)),
        begin_s=float(rng.choice([0, 0, 0, 4, 10])),
        end_s=float(rng.choice([0, 0, 0, 8])),
        stops=float(rng.normal(0, 0.4)),
        riders=int(rng.integers(1, 3)),
    )


def seconds_off(found: list[str | None], truth: list[str], fps: float = FPS) -> dict[str, float]:
    """How far, at most, a frame of each phase that was found is from a frame that shows it.

    And a frame that shows it from one of which it was found. A frame without a phase, one of a
    phase that the video does not show, and a phase that was not found are infinitely far.
    """
    worst: dict[str, float] = {}
    for told, meant in ((found, truth), (truth, found)):
        at = {name: np.flatnonzero(np.array(meant) == name) for name in set(meant)}
        for n, name in enumerate(told):
            near = at.get(name or "", np.empty(0))
            off = float(np.abs(near - n).min()) / fps if len(near) else np.inf
            worst[name or ""] = max(worst.get(name or "", 0.0), off)
    return worst
