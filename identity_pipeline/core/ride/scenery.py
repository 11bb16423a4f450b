"""What a ride looks like on its way, and whether a video shows that where it is laid.

Light and motion lay a video on the ride; two rides of the same parts at the same times are alike in
these. So pictures are compared besides, by the signs of `core.video.copies.frame_hash`. How alike
they are says little: what all videos of a camera share (seats, bodies of riders, the frame) looks
the same everywhere on the ride, and night or rain make all of it less alike. So each second of a
video is asked two things. By how much is the ride likest to it where it is laid, of all its places?
And by how much would its mirror image be? A mirror image has the same light, the same parts at the
same times and the same quality, but it is scenery that nobody passes: a video of another ride leads
about as much as its own mirror image, whatever the ride, and nothing had to be set for it. Where a
seat fills one side this is not quite fair, so only where the ride varies as much as its mirror
image is looked at; what is left of it lets some of another ride pass, most of all long ones.

The mean of the differences in their own standard deviations is the `fit`. It is of the ride where
chance would not do that (Student's t-test), and of another one where there is no sign of it, the
ride's own would nearly always give one, and the pictures are no noise. What is usual of these is
told with the scenery of the others, over the places where they tell themselves from their mirror
images (not at a standstill, in black night, or where the scenery is symmetrical). So a part that
was decorated, night and rain make the fit less and the answer later, but not another. A camera that
was knocked shows the scenery moved; so who is not found is looked for again, up to a cell of the
hash beside.

What belongs here: arrays of signs. What does not: laying videos on a ride (`core.ride.alignment`),
and what is done with the answer (`core.ride.template`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Final, NamedTuple

import numpy as np
import polars as pl
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.special import bdtrc, nctdtr, stdtr

from identity_pipeline.core.video.copies import BITS, COLUMNS, ROWS

Signs = NDArray[np.int8]
Array = NDArray[np.float64]
Field = NDArray[np.float32]
"""Of whole numbers below 2^24, which it holds exactly."""
Laid = tuple[Signs, NDArray[np.int64]]
"""(n, BITS) signs of a video, and (n,) which point of the track each is; -1: none."""

PART_S: Final = 1.0
"""How long a part is that is looked for: by what changes in it, not by what it shows all along."""
NEAR_S: Final = 0.6
"""So near to where it is laid a part counts as there: a phase is known within half a second."""
ELSEWHERE_S: Final = 1.0
"""From so far on another place is another one: nearer the same scenery is still in the picture."""
STALE_S: Final = 0.5
"""A picture stands for so much time on either side, where frames are rare."""
TELLS: Final = 0.75
"""A place tells where so many of the ride's own parts lead their mirror images: nearer to always
than to chance, which is a half."""
HALFWAY: Final = 0.5
"""What is less than that share of the usual is nearer to none than to the ride's."""
NO_SIGN: Final = 0.05
"""Where chance would do it so often there is no sign of the ride."""
ENOUGH_S: Final = 10.0
"""Of fewer seconds that can tell nobody is sure enough to leave a video out."""
LEAST_S: Final = 2.0
"""Of fewer there is no test: parts overlap, and count by their seconds."""
AGREED: Final = 0.5
"""A mean sign nearer to none is not the ride's: a few videos of another one may have made it."""
SCALE: Final = 127
"""Of a mean sign of 1."""
UNMOVED: Final[Sequence[tuple[int, int]]] = ((0, 0),)
BESIDE: Final[Sequence[tuple[int, int]]] = [*product(range(-2, 3), range(-2, 3))]
"""(down, right) by how many half cells a picture may be moved."""


class Fit(NamedTuple):
    """How well the videos of a ride fit the scenery of the others.

    Attributes:
        usual: median of their fits.
        rate: share of the ride's own that may be taken for another's.
    """

    usual: float
    rate: float


@dataclass(frozen=True)
class Scenery:
    """What the videos of a ride show at each point of its track.

    Attributes:
        mean: (length, BITS) mean sign over the videos, in `SCALE`; 0 where they do not agree.
        tells: (length,) whether its own videos tell themselves from their mirror images there.
        fit: what is usual; None where no place tells.
    """

    mean: Signs
    tells: NDArray[np.bool_]
    fit: Fit | None


@dataclass(frozen=True)
class Seen:
    """What a video shows of a scenery.

    Attributes:
        seconds: of it that can tell.
        fit: by how many standard deviations they fit better than their mirror images; None: too few
            for one.
        usual: fit of the ride's own.
        same_ride: whether it shows the ride; None where that cannot be told.
    """

    seconds: float
    fit: float | None
    usual: float | None
    same_ride: bool | None

    @property
    def words(self) -> str:
        """Why it is another ride's, for people."""
        return (
            f"It does not show the ride of this camera, so it is left out of the model: in "
            f"{self.seconds:.0f} seconds its pictures look like the ride no more than their mirror "
            f"images do (by {self.fit or 0:.1f} standard deviations; those of the ride itself by "
            f"{self.usual or 0:.1f}). Another ride in the folder, a camera that was moved, or new "
            "scenery would explain it."
        )


def signs_of(frames: pl.DataFrame, times: Array, length: int, step_s: float) -> Signs:
    """(length, BITS) signs of what a video shows at even steps: -1, 1; 0: it does not count.

    Args:
        frames: table `frames`; one whose decoding failed, or that is flat, says nothing.
        times: (n,) of its frames, s.
        length: how many steps.
        step_s: between two.
    """
    signs = np.zeros((length, BITS), np.int8)
    sound = frames["decode_error"].is_null() & frames["look_hash"].is_not_null()
    kept = np.flatnonzero(sound.to_numpy())
    if not len(kept) or not length:
        return signs
    data = b"".join(frames["look_hash"].gather(kept).to_list())
    bits = np.unpackbits(np.frombuffer(data, np.uint8).reshape(len(kept), -1), axis=1)
    own = (2 * bits[:, :BITS].astype(np.int8) - 1) * bits[:, BITS:].astype(np.int8)
    at, known = np.arange(length) * step_s, times[kept]
    after = np.searchsorted(known, at).clip(max=len(known) - 1)
    before = (after - 1).clip(min=0)
    near = np.where(at - known[before] <= known[after] - at, before, after)
    fresh = np.abs(known[near] - at) <= STALE_S
    signs[fresh] = own[near[fresh]]
    return signs


def scenery_of(
    videos: Mapping[str, Laid], length: int, step_s: float, rate: float
) -> tuple[Scenery, dict[str, Seen]]:
    """The scenery of a ride, and what each of some videos shows of that of the others.

    It is made twice: the second time of those alone that fit at least half as well as is usual, so
    that several of one other ride do not speak for each other.

    Args:
        videos: signs, and which point of the track each is (-1: none), by video id.
        length: points of the track.
        step_s: between two points.
        rate: see `Fit`.
    """
    first = _made(videos, videos, length, step_s, rate)
    if first.scenery.fit is None:
        return first.scenery, {v: _seen(each, first.scenery) for v, each in first.leads.items()}
    least = HALFWAY * first.scenery.fit.usual
    fits = {v: _fit(each, first.scenery.tells) for v, each in first.leads.items()}
    core = {v: videos[v] for v, fit in fits.items() if fit is not None and fit >= least}
    scenery, means, leads = _made(videos, core, length, step_s, rate)
    seen = {video: _seen(each, scenery) for video, each in leads.items()}
    for video, each in videos.items():
        seen[video] = _looked_again(seen[video], *each, scenery, means[video], step_s)
    return scenery, seen


def look_for(signs: Signs, position: NDArray[np.int64], scenery: Scenery, step_s: float) -> Seen:
    """What a video that is no part of a scenery shows of it; arguments as `scenery_of`."""
    seen = _seen(_leads(signs, position, scenery.mean, step_s), scenery)
    return _looked_again(seen, signs, position, scenery, scenery.mean, step_s)


def _looked_again(
    seen: Seen,
    signs: Signs,
    position: NDArray[np.int64],
    scenery: Scenery,
    mean: Signs,
    step_s: float,
) -> Seen:
    """Looks beside for the scenery of who is not found where it should be.

    Both looks must say that it is not there, of pictures that show something: in noise nothing is
    found either.
    """
    if seen.same_ride or scenery.fit is None:
        return seen
    beside = _seen(_leads(signs, position, mean, step_s, BESIDE), scenery)
    if beside.same_ride:
        return beside
    apart = seen.same_ride is False and beside.same_ride is False
    return replace(seen, same_ride=False if apart and _shows(signs, position, mean) else None)


def _shows(signs: Signs, position: NDArray[np.int64], mean: Signs) -> bool:
    """Whether the pictures of a video agree from one moment to the next as a scenery does."""
    on = position >= 0
    own, ride = _steady(signs, on[1:] & on[:-1]), _steady(mean, np.ones(len(mean) - 1, bool))
    return own >= HALFWAY * ride


def _steady(signs: Signs, counted: NDArray[np.bool_]) -> float:
    """Correlation of the signs of successive points that count."""
    one, other = (each[counted].astype(np.float64) for each in (signs[:-1], signs[1:]))
    scale = float((one**2).sum() * (other**2).sum()) ** 0.5
    return float((one * other).sum()) / scale if scale else 0.0


class _Made(NamedTuple):
    """A scenery; by video the mean of the others of it, and how well the video fits that."""

    scenery: Scenery
    means: Mapping[str, Signs]
    leads: Mapping[str, _Leads]


def _made(
    videos: Mapping[str, Laid], core: Mapping[str, Laid], length: int, step_s: float, rate: float
) -> _Made:
    """The scenery of some of the videos; arguments as `scenery_of`."""
    total, count = np.zeros((length, BITS), np.int32), np.zeros((length, 1), np.int32)
    own = {video: _on_track(*each, length) for video, each in core.items()}
    for signs in own.values():
        total += signs
        count += signs.any(axis=1, keepdims=True)
    mean = _mean(total, count)
    means = dict.fromkeys(videos, mean)
    for video, signs in own.items():
        means[video] = _mean(total - signs, count - signs.any(axis=1, keepdims=True))
    leads = {video: _leads(*each, means[video], step_s) for video, each in videos.items()}
    tells = _tells((leads[video] for video in core), length)
    fits = [fit for video in core if (fit := _fit(leads[video], tells)) is not None]
    usual = Fit(float(np.median(fits)), rate) if fits else None
    return _Made(Scenery(mean, tells, usual), means, leads)


class _Leads(NamedTuple):
    """P parts of a video, in its order.

    Attributes:
        points: (P, points of a part) of the track.
        lead: (P,) by how much more they lead where they are laid than their mirror images do.
        strayed: how many parts are likest to the ride somewhere else, and the part after each right
            after it.
        mirrored: how many of the mirror images are.
        seconds: how much of a video each part is worth: they overlap by half.
    """

    points: NDArray[np.int64]
    lead: Array
    strayed: int
    mirrored: int
    seconds: float

    @property
    def is_elsewhere(self) -> bool:
        """Whether it is the ride, but laid where it is not: by a sign test of its seconds."""
        own, mirrored = (round(n * self.seconds) for n in (self.strayed, self.mirrored))
        return own > 0 and bool(bdtrc(own - 1, own + mirrored, 0.5) < NO_SIGN)


def _on_track(signs: Signs, position: NDArray[np.int64], length: int) -> Signs:
    """(length, BITS) what a video shows at each point that it passes: the first moment there."""
    result = np.zeros((length, BITS), np.int8)
    points, first = np.unique(position, return_index=True)
    on = points >= 0
    result[points[on]] = signs[first[on]]
    return result


def _mean(total: NDArray[np.int32], count: NDArray[np.int32]) -> Signs:
    mean = total / np.maximum(count, 1)
    return np.where(np.abs(mean) < AGREED, 0, np.rint(SCALE * mean)).astype(np.int8)


def _tells(leads: Iterable[_Leads], length: int) -> NDArray[np.bool_]:
    """(length,) see `Scenery`; by the rule of succession, so that of few none is sure."""
    ahead, looked = np.zeros(length), np.zeros(length)
    for each in leads:
        for points, lead in zip(each.points, each.lead, strict=True):
            here = np.unique(points)
            ahead[here] += lead > 0
            looked[here] += 1
    return (ahead + 1) / (looked + 2) >= TELLS


def _fit(leads: _Leads, tells: NDArray[np.bool_]) -> float | None:
    """See `Seen`."""
    lead = leads.lead[_asked(leads, tells)]
    spread = float(np.std(lead, ddof=1)) if len(lead) > 2 else 0.0
    return float(np.mean(lead)) / spread if spread else None


def _asked(leads: _Leads, tells: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return tells[leads.points[:, leads.points.shape[1] // 2]]


def _seen(leads: _Leads, scenery: Scenery) -> Seen:
    seconds = leads.seconds * int(_asked(leads, scenery.tells).sum())
    fit, usual = _fit(leads, scenery.tells), scenery.fit
    if fit is None or usual is None or seconds < LEAST_S:
        return Seen(seconds, fit, usual and usual.usual, None)
    return Seen(seconds, fit, usual.usual, _same_ride(leads, seconds, fit, usual))


def _same_ride(leads: _Leads, seconds: float, fit: float, usual: Fit) -> bool | None:
    """A t-test against none, and one against the usual, by the noncentral t-distribution.

    Parts that overlap count by their seconds.
    """
    t, freedom = fit * seconds**0.5, seconds - 1
    chance = float(stdtr(freedom, -t))
    if chance < usual.rate:
        return True
    if chance < NO_SIGN or seconds < ENOUGH_S or leads.is_elsewhere:
        return None
    return False if nctdtr(freedom, usual.usual * seconds**0.5, t) < usual.rate else None


class _Grid(NamedTuple):
    """In points. Attributes: size of a part, hop from one to the next, what is near, and apart."""

    size: int
    hop: int
    near: int
    apart: int


def _grid(step_s: float) -> _Grid:
    size = max(round(PART_S / step_s), 2)
    near = max(round(NEAR_S / step_s), 1)
    return _Grid(size, max(size // 2, 1), near, max(round(ELSEWHERE_S / step_s), near + 1))


def _leads(
    signs: Signs,
    position: NDArray[np.int64],
    mean: Signs,
    step_s: float,
    moves: Sequence[tuple[int, int]] = UNMOVED,
) -> _Leads:
    """How the parts of a video, and their mirror images, fit a scenery where they are laid.

    Each moved so that it fits best.
    """
    grid = _grid(step_s)
    alike = _varying_alike(mean)
    signs, mean = signs * alike, mean * alike
    places = len(mean) - grid.size + 1
    starts = _starts(signs, position, grid)
    laid = position[starts + grid.size // 2] - grid.size // 2
    inside = (laid >= 0) & (laid < places)
    starts, laid = starts[inside], laid[inside]
    rows = starts[:, None] + np.arange(grid.size)
    points, seconds = position[rows], grid.hop * step_s
    if not len(starts):
        return _Leads(points, np.zeros(0), 0, 0, seconds)
    away = np.abs(np.arange(places) - laid[:, None])
    there, elsewhere = away <= grid.near, away >= grid.apart
    tracks = [_moved(mean, *by) for by in moves]
    best, lead = _likest(signs[rows], tracks, there, elsewhere)
    best_mirrored, mirrored = _likest(_mirrored(signs[rows]), tracks, there, elsewhere)
    strayed, also = (_strayed(each, laid, starts, grid) for each in (best, best_mirrored))
    return _Leads(points, lead - mirrored, strayed, also, seconds)


def _starts(signs: Signs, position: NDArray[np.int64], grid: _Grid) -> NDArray[np.int64]:
    """First points of the parts of a video that lie on the track and have a picture everywhere."""
    known = (position >= 0) & signs.any(axis=1)
    starts = np.arange(0, len(known) - grid.size + 1, grid.hop)
    return starts[[bool(known[start : start + grid.size].all()) for start in starts]]


def _strayed(
    best: NDArray[np.int64], laid: NDArray[np.int64], starts: NDArray[np.int64], grid: _Grid
) -> int:
    """See `_Leads`; `best` is the place that each part is likest to."""
    onward = np.abs(np.diff(best) - grid.hop) <= grid.near
    next_to = np.diff(starts) == grid.hop
    return int((onward & next_to & (np.abs(best - laid) >= grid.apart)[:-1]).sum())


def _varying_alike(mean: Signs) -> Signs:
    """(BITS,) 1 where the ride varies as much as in the mirror image, else 0.

    Where a seat fills one side, all that passes is on the other, and a mirror image would show it
    where the ride shows nothing that passes: then it would be no fair comparison.
    """
    varied = mean.astype(np.float64).var(axis=0) if len(mean) else np.zeros(BITS)
    mirrored = _mirrored(varied)
    alike = np.minimum(varied, mirrored) >= HALFWAY * np.maximum(varied, mirrored)
    return alike.astype(np.int8)


def _mirrored(signs: NDArray) -> NDArray:
    """Of pictures that are mirrored left to right: vertical differences keep their signs."""
    return signs.reshape(*signs.shape[:-1], ROWS - 1, COLUMNS)[..., ::-1].reshape(signs.shape)


def _likest(
    parts: Signs, tracks: Sequence[Field], near: NDArray[np.bool_], far: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], Array]:
    """Which place of the track each part is likest to, and by how much those near lead those far.

    Args:
        parts: (P, points of a part, BITS).
        tracks: the scenery as it may be moved; that with the greatest mean lead is taken.
        near: (P, places) which ones are where a part is laid.
        far: (P, places) which ones are elsewhere.
    """
    centred = parts.shape[1] * parts.astype(np.float32) - parts.sum(axis=1, keepdims=True)
    best = np.zeros(len(parts), np.int64), np.full(len(parts), -np.inf)
    for track in tracks:
        like = _likeness(centred, track)
        lead = np.where(near, like, -1).max(axis=1) - np.where(far, like, -1).max(axis=1)
        if lead.mean() > best[1].mean():
            best = like.argmax(axis=1), lead
    return best


def _likeness(centred: Field, track: Field) -> Array:
    """(P, places) correlation of parts with as long parts of the track, each less its own mean.

    All sums are of whole numbers below 2^24, so no processor and no order gives others.

    Args:
        centred: (P, size, BITS), less the mean of each part, in `size`ths.
        track: (length, BITS).
    """
    size, places = centred.shape[1], len(track) - centred.shape[1] + 1
    products = centred.astype(np.float32) @ track.T
    both = sum(products[:, j, j : j + places].astype(np.float64) for j in range(size))
    windows = sliding_window_view(track.astype(np.float64), size, axis=0)
    varied = size * (windows**2).sum(axis=(1, 2)) - (windows.sum(axis=2) ** 2).sum(axis=1)
    own = (centred.astype(np.float64) ** 2).sum(axis=(1, 2)) / size
    scale = np.sqrt(own)[:, None] * np.sqrt(varied)
    return np.divide(both, scale, out=np.zeros(scale.shape), where=scale > 0)


def _moved(mean: Signs, down: int, right: int) -> Field:
    """A scenery whose picture is moved by half cells: of an odd number, the sum of both cells."""
    field = mean.reshape(-1, ROWS - 1, COLUMNS).astype(np.float32)
    for axis, by in ((1, down), (2, right)):
        whole, side = np.moveaxis(field, axis, 0), (by > 0) - (by < 0)
        moved = _pushed(whole, side * (abs(by) // 2))
        if by % 2:
            moved = moved + _pushed(whole, side * (abs(by) // 2 + 1))
        field = np.moveaxis(moved, 0, axis)
    return np.ascontiguousarray(field).reshape(len(mean), BITS)


def _pushed(field: Field, by: int) -> Field:
    """Moved along its first axis; what comes in is not known."""
    pushed = np.zeros_like(field)
    if by >= 0:
        pushed[by:] = field[: len(field) - by]
    else:
        pushed[:by] = field[-by:]
    return pushed
