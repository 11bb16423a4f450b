"""Who rides, and what they do: the demo's rides and the choreography of riders and bystanders.

Belongs here: motion of people over time, as functions of seeds. Does not belong here: the course of
the ride (`course`), drawing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from tools.bundled_models import moments
from tools.bundled_models.course import (
    RidePlan,
    Segment,
    Series,
    drift,
    plateaus,
    segments_of,
    through,
)
from tools.bundled_models.facekit import FaceKit, Floats
from tools.bundled_models.identity import Person, rider_of
from tools.bundled_models.outfit import Outfit
from tools.bundled_models.torso import body_scale

DEMO = (
    RidePlan("demo_duo_a", (200_031, 200_018), 12),
    RidePlan("demo_duo_b", (200_018, 200_012), 15, takes=2),
    RidePlan("demo_solo", (200_031,), 13),
)
"""The rider on the right of the first ride sits on the left in the second."""

_REST, _UP, _OVER = np.array([10.0, -42, 12]), np.array([22.5, 21, 9]), np.array([3.5, -11.5, 19.0])
_VIA = np.array([27.0, -24, 17])


def person_name(seed: int) -> str:
    return f"rider_{seed}"


@dataclass(frozen=True)
class Performance:
    """What one person does, per frame."""

    person: Person
    outfit: Outfit
    pitch: Series
    yaw: Series
    roll: Series
    smile: Series
    jaw: Series
    blink: Series
    brow: Series
    hands: Series  # (frames, 2): 0 on the lap, 1 up; the left of the image first
    cover: Series  # (frames, 2): 1 in front of the face

    def weights(self, kit: FaceKit, frame: int) -> Floats:
        """The 57 expression coefficients of a frame."""
        face = moments.Expression(kit)
        smile, jaw, blink = self.smile[frame], self.jaw[frame], self.blink[frame]
        face.set("mouthSmile", smile).set("cheekSquint", 0.5 * smile)
        face.set("mouthUpperUp", 0.2 * smile).set("mouthDimple", 0.2 * smile)
        face.set("jawOpen", jaw).set("browInnerUp", max(0.5 * jaw, self.brow[frame]))
        face.set("eyeWide", 0.5 * jaw * (1 - min(1.0, blink))).set("mouthStretch", 0.25 * jaw)
        face.set("eyeBlink", blink)
        ahead = float(np.clip(-self.yaw[frame] / 90, -0.4, 0.4))
        return face.look(ahead, float(np.clip(-self.pitch[frame] / 80, -0.3, 0.3))).weights

    def dressed(self, frame: int) -> Outfit:
        """Clothes, and where the wrists are."""
        scale = body_scale(self.person)
        arms = []
        for k, side in enumerate((-1.0, 1.0)):
            up, cover = self.hands[frame, k], self.cover[frame, k]
            place = (1 - up) ** 2 * _REST + 2 * up * (1 - up) * _VIA + up**2 * _UP
            place = place * (1 - cover) + cover * _OVER * [1, 1, 1 / scale]
            arms.append(tuple(float(v) for v in place * scale * [side, 1, 1]))
        return replace(self.outfit, arms=tuple(arms))  # type: ignore[arg-type]


# What riders do in each kind of segment: (share of the segment, value); `far` is a wide turn of the
# head, which goes to the other side in the next wide turn. Plateaus are (from, to, height).
_YAW: dict[str, tuple[tuple[float, float], ...]] = {  # in units of a wide turn
    "board": ((0.25, 0.2), (0.55, -0.25), (0.85, 0)),
    "lift": (
        (0.08, 0),
        (0.22, 0.25),
        (0.36, 0.5),
        (0.5, 1.0),
        (0.62, 0.95),
        (0.74, 0.72),
        (0.94, 0),
    ),
    "tunnel": ((0.3, -0.2), (0.65, 0.17), (0.9, 0)),
    "bend": ((0.06, 0), (0.2, 0.45), (0.4, 1.0), (0.54, 0.95), (0.68, 0.7), (0.8, 0.25), (0.94, 0)),
    "drop": ((0.3, 0.08), (0.7, -0.08)),
    "straight": ((0.3, 0.4), (0.65, -0.3)),
    "brake": ((0.5, 0.1),),
    "end": ((0.3, -0.62), (0.6, 0.68), (0.9, 0)),
}
_PITCH: dict[str, tuple[tuple[float, float], ...]] = {
    "board": ((0.35, -14), (0.6, -4), (0.85, 0)),
    "lift": ((0.12, 18), (0.24, 20), (0.5, 2), (0.8, -12), (0.95, -2)),
    "tunnel": ((0.3, 8), (0.6, 13), (0.9, -6)),
    "glare": ((0.5, -8),),
    "bend": ((0.15, 3), (0.42, 12), (0.62, -9), (0.9, 0)),
    "drop": ((0.12, -14), (0.34, 21), (0.62, 15), (0.8, -7), (0.95, 0)),
    "straight": ((0.25, -19), (0.5, -14), (0.85, 7)),
    "brake": ((0.3, -27), (0.6, 8), (0.85, -5)),
    "end": ((0.5, 7),),
}  # fmt: skip
_SMILE: dict[str, tuple[tuple[float, float, float], ...]] = {
    "board": ((0.15, 0.7, 0.7),),
    "lift": ((0.4, 0.75, 0.9),),
    "bend": ((0.25, 0.8, 0.85),),
    "straight": ((0.5, 0.95, 0.8),),
    "brake": ((0.5, 1.0, 0.9),),
    "end": ((0.1, 0.75, 1.0),),
}
_JAW: dict[str, tuple[tuple[float, float, float], ...]] = {
    "lift": ((0.02, 0.2, 0.5),),
    "tunnel": ((0.15, 0.5, 0.8),),
    "drop": ((0.15, 0.9, 1.0),),
    "brake": ((0.05, 0.4, 0.5),),
    "bend": ((0.3, 0.5, 0.3),),
}
_CLOSED: dict[str, tuple[tuple[float, float, float], ...]] = {
    "tunnel": ((0.68, 1.01, 1.0),),
    "glare": ((-0.01, 0.4, 1.0),),
    "drop": ((0.74, 0.92, 1.0),),
    "straight": ((0.15, 0.3, 1.0),),
    "end": ((0.8, 0.95, 1.0),),
}
_WIDE = ("lift", "bend")  # segments in which the head turns far to a side


def perform(kit: FaceKit, plan: RidePlan, seat: int) -> Performance:
    """The choreography of one rider: every rider turns both ways, looks up and down, smiles, shouts."""
    rng, frames = np.random.default_rng([plan.seed, seat]), plan.frames
    person, segments = rider_of(kit, plan.riders[seat]), segments_of(plan)
    far = float(rng.uniform(47, 54))
    way = 1.0 if seat == 0 else -1.0

    def late() -> float:
        return float(rng.uniform(-0.03, 0.03))

    yaw, pitch = [(0.0, 0.0), (1.0, 0.0)], [(0.0, 0.0), (1.0, 0.0)]
    for segment in segments:
        place = _placing(segment, late())
        yaw += [(place(t), v * far * way) for t, v in _YAW.get(segment.kind, ())]
        pitch += [
            (place(t), v * float(rng.uniform(0.9, 1.1))) for t, v in _PITCH.get(segment.kind, ())
        ]
        if segment.kind in _WIDE:
            way = -way
    hands, cover = _gestures(rng, frames, segments)
    smile = _spans(frames, segments, _SMILE, late(), 0.014) * rng.uniform(0.85, 1.05)
    return Performance(
        person=person,
        outfit=_clothes(rng, person),
        pitch=through(frames, pitch) + drift(rng, frames, plan.fps * 0.8, 1.8),
        yaw=through(frames, yaw) + drift(rng, frames, plan.fps * 0.8, 2.4),
        roll=drift(rng, frames, plan.fps * 0.9, 3.5) + 0.1 * through(frames, yaw),
        smile=np.clip(smile + drift(rng, frames, plan.fps, 0.05), 0, 1),
        jaw=_spans(frames, segments, _JAW, late(), 0.016) * rng.uniform(0.85, 1.0),
        blink=np.clip(np.maximum(_spans(frames, segments, _CLOSED, 0.0, 0.006), _blinks(rng, plan)), 0, 1.03),
        brow=np.clip(drift(rng, frames, plan.fps, 0.2), 0, 1),
        hands=hands,
        cover=cover,
    )  # fmt: skip


def stand_by(kit: FaceKit, seed: int, plan: RidePlan, number: int) -> Performance:
    """Somebody on the platform who looks around, smiles and perhaps waves."""
    rng, frames = np.random.default_rng([plan.seed, 40, number]), plan.frames
    person = rider_of(kit, seed)
    t = np.arange(frames) / plan.fps
    wave = np.clip(np.sin(t * 1.1 + rng.uniform(0, 6)), 0, 1) * (rng.random() < 0.4)
    hands = np.stack([np.zeros(frames), wave * (0.9 + 0.1 * np.sin(t * 11))], 1)
    return Performance(
        person=person,
        outfit=_clothes(rng, person),
        pitch=drift(rng, frames, plan.fps, 5) - 4,
        yaw=drift(rng, frames, plan.fps, 16),
        roll=drift(rng, frames, plan.fps, 3),
        smile=np.clip(drift(rng, frames, plan.fps, 0.4), 0, 1),
        jaw=np.clip(drift(rng, frames, plan.fps * 0.4, 0.15), 0, 1),
        blink=np.clip(_blinks(rng, plan), 0, 1),
        brow=np.zeros(frames),
        hands=hands,
        cover=np.zeros((frames, 2)),
    )


def _placing(segment: Segment, late: float) -> Callable[[float], float]:
    """From a share of the segment to a share of the ride, inside the ride."""
    length = segment.end - segment.start

    def place(t: float) -> float:
        return float(np.clip(segment.start + (t + late) * length, 0.001, 0.999))

    return place


def _spans(
    frames: int, segments: tuple[Segment, ...], table: dict[str, tuple[tuple[float, float, float], ...]],
    late: float, ramp: float,
) -> Series:  # fmt: skip
    spans = []
    for segment in segments:
        length = segment.end - segment.start
        for start, end, height in table.get(segment.kind, ()):
            moved = (segment.start + (t + late) * length for t in (start, end))
            spans.append((*moved, height))
    return plateaus(frames, spans, ramp)  # type: ignore[arg-type]


def _gestures(
    rng: np.random.Generator, frames: int, segments: tuple[Segment, ...]
) -> tuple[Series, Series]:
    """Hands up in the drop, one or both; a hand before the face once in the ride."""
    hands, cover = np.zeros((frames, 2)), np.zeros((frames, 2))
    shy = rng.random() < 0.35  # hides behind a hand in the drop instead of lifting both
    for segment in segments:
        length = segment.end - segment.start

        def span(
            a: float, b: float, start: float = segment.start, length: float = length
        ) -> Series:
            return plateaus(frames, [(start + a * length, start + b * length, 1.0)], 0.025)

        side = int(rng.integers(2))
        if segment.kind == "drop" and shy:
            cover[:, side] = np.maximum(cover[:, side], span(0.3, 0.8))
        elif segment.kind == "drop":
            for k in (0, 1) if rng.random() < 0.75 else (side,):
                hands[:, k] = span(0.1, 0.88) * (rng.uniform(0.86, 1) + drift(rng, frames, 4, 0.03))
        elif segment.kind == "straight" and not shy:
            cover[:, side] = np.maximum(cover[:, side], span(0.0, 0.75))
        elif segment.kind == "end" and rng.random() < 0.4:
            hands[:, side] = np.maximum(hands[:, side], span(0.2, 0.9) * 0.9)
    return np.clip(hands, 0, 1.05), np.sin(cover * np.pi / 2) ** 2


def _blinks(rng: np.random.Generator, plan: RidePlan) -> Series:
    """A blink of a sixth of a second every two or three seconds."""
    t, out = np.arange(plan.frames) / plan.fps, np.zeros(plan.frames)
    for start in np.cumsum(rng.uniform(1.5, 3.2, int(plan.seconds) + 2)):
        out = np.maximum(out, np.clip(np.sin(np.clip((t - start) / 0.17, 0, 1) * np.pi), 0, 1))
    return out


def _clothes(rng: np.random.Generator, person: Person) -> Outfit:
    glasses = person.traits.wears_glasses
    hat = str(rng.choice(["none", "cap", "helmet"], p=[0.74, 0.2, 0.06]))
    return Outfit(
        hat=None if hat == "none" else hat,
        glasses=bool(glasses and rng.random() < 0.85),
        sunglasses=bool(rng.random() < 0.05),
        seed=int(rng.integers(1 << 30)),
        seated=True,
    )
