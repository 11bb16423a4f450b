"""Who somebody is, as numbers: a pure function of a seed.

Belongs here: the traits of a person, of riders and of their twins, and the hairline they give.
Does not belong here: the mesh and the hair made of them (`identity`), or how skin is painted
(`albedo`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.bundled_models.facekit import Floats

HAIR_COLOURS = (
    (0.02, 0.017, 0.015), (0.035, 0.025, 0.02), (0.07, 0.04, 0.025), (0.12, 0.07, 0.04), (0.2, 0.12, 0.06),
    (0.4, 0.28, 0.14), (0.5, 0.38, 0.22), (0.25, 0.09, 0.03), (0.35, 0.34, 0.33), (0.6, 0.58, 0.55),
)  # fmt: skip
SKIN_TONES = np.array(
    [(0.80, 0.58, 0.47), (0.74, 0.52, 0.41), (0.68, 0.46, 0.34), (0.58, 0.37, 0.26), (0.47, 0.29, 0.19),
     (0.36, 0.21, 0.13), (0.25, 0.14, 0.085), (0.15, 0.085, 0.05)]
)  # fmt: skip
IRIS_COLOURS = (
    (0.10, 0.05, 0.02),
    (0.16, 0.09, 0.04),
    (0.22, 0.25, 0.13),
    (0.2, 0.32, 0.42),
    (0.3, 0.38, 0.42),
)


TWIN = 1_000_000
"""The identical twin of the person of seed S is the person of seed S + TWIN."""
_TWINS_DIFFER = 0.22  # deviation of each shape coefficient, where two strangers differ by 1.4


@dataclass(frozen=True)
class Traits:
    """The numbers a person is made of. Colours are linear light in [0, 1]."""

    seed: int
    shape: Floats  # (100,) coefficients of the identity basis
    skin: NDArray[np.float64]
    dark_skin: bool
    hair: NDArray[np.float64]
    brow: NDArray[np.float64]
    iris: NDArray[np.float64]
    female: bool
    child: float  # 0: adult; up to 1: the lower face of a small child
    style: str  # bald, buzz, short, curly, long
    hairline: dict[str, float]  # heights (cm) at the front, sides and back
    volume: float  # cm of hair on the skull
    length: float  # lower end of long hair, cm in head space
    beard: float
    beard_style: int
    gloss: float
    wears_glasses: bool
    glasses: dict[str, float]
    detail_seed: int  # feeds the painted details


def traits_of(seed: int, shape_spread: float = 1.0) -> Traits:
    """Draw a person. Cheap: no texture is painted."""
    rng = np.random.default_rng(seed + 7_000_003)
    shape = (rng.standard_normal(100) * shape_spread).astype(np.float32)
    tone = rng.uniform(0, len(SKIN_TONES) - 1)
    lower = int(tone)
    skin = SKIN_TONES[lower] * (1 - tone + lower) + SKIN_TONES[lower + 1] * (tone - lower)
    skin = np.clip(skin * rng.normal(1, 0.05, 3) * rng.uniform(0.9, 1.1), 0.03, 0.9)
    dark_skin = tone > 4
    dark_hair = dark_skin or rng.random() < 0.45
    hair = np.array(
        HAIR_COLOURS[rng.integers(0, 4 if dark_hair else len(HAIR_COLOURS))]
    ) * rng.uniform(0.8, 1.2)
    brow = hair * rng.uniform(0.45, 1)
    female = bool(rng.random() < 0.5)
    child = float(rng.uniform(0.4, 1.0)) if rng.random() < 0.13 else 0.0
    of_women = ("short", "long", "long", "long", "curly")
    of_men = ("bald", "short", "short", "curly", "long", "buzz")
    styles = of_women if female else of_men
    style = str(rng.choice(styles))
    hairline = {
        "front": rng.uniform(7.6, 10.8),
        "side": rng.uniform(1.5, 5.0),
        "back": rng.uniform(-7, -3),
    }
    volume = rng.uniform(0.5, 2.2)
    if style == "bald" and child:
        style = "short"
    if style == "buzz":
        volume = 0.15
    elif style == "curly":
        volume = rng.uniform(1.5, 3.4)
    elif style == "bald":
        hairline["front"], hairline["side"], volume = rng.uniform(11, 16), rng.uniform(2, 6), 0.25
    shaven = female or child > 0 or rng.random() < 0.45
    beard, beard_style = rng.uniform(0.15, 1.0), int(rng.integers(0, 3))
    iris = IRIS_COLOURS[rng.integers(0, 2 if dark_skin else 5)]
    return Traits(
        seed=seed,
        shape=shape * (0.75 if child else 1.0),
        skin=skin,
        dark_skin=dark_skin,
        hair=hair,
        brow=brow,
        iris=np.array(iris) * rng.uniform(0.7, 1.3),
        female=female,
        child=child,
        style=style,
        hairline=hairline,
        volume=volume,
        length=rng.uniform(-18, -6),
        beard=0.0 if shaven else beard,
        beard_style=beard_style,
        gloss=rng.uniform(0.08, 0.45),
        wears_glasses=bool(rng.random() < 0.22),
        glasses={
            "half_width": rng.uniform(2.1, 2.8),
            "half_height": rng.uniform(1.5, 2.3),
            "power": rng.uniform(2, 5),
            "tube": rng.uniform(0.08, 0.28),
            "colour": float(rng.choice([0, 0, 0, 1, 2])),
        },
        detail_seed=int(rng.integers(1 << 30)),
    )


def ride_traits(seed: int) -> Traits:
    """As `traits_of`, for rides: a twin is the sibling with small differences, no child is grey."""
    if seed < TWIN:
        traits = traits_of(seed)
        grey = traits.hair.max() > 0.2 and traits.hair.min() > 0.85 * traits.hair.max()
        if traits.child and grey:
            brown = np.array(HAIR_COLOURS[4])
            return replace(traits, hair=brown, brow=0.7 * brown)
        return traits
    sibling, rng = ride_traits(seed - TWIN), np.random.default_rng([seed, 3])
    return replace(
        sibling,
        seed=seed,
        shape=(sibling.shape + _TWINS_DIFFER * rng.standard_normal(100)).astype(np.float32),
        skin=np.clip(sibling.skin * rng.uniform(0.96, 1.04), 0.03, 0.9),
        hairline={k: v + rng.normal(0, 0.3) for k, v in sibling.hairline.items()},
        volume=sibling.volume * rng.uniform(0.8, 1.2),
        length=sibling.length + rng.normal(0, 2.5),
        beard=sibling.beard * rng.uniform(0.6, 1.0),
        wears_glasses=bool(rng.random() < 0.22),
    )


def smooth_step(low: Any, high: Any, value: Any) -> Any:
    """0 below `low`, 1 above `high`, smooth between."""
    share = np.clip((value - low) / (high - low), 0, 1)
    return share * share * (3 - 2 * share)


def hairline_height(angle: NDArray[Any], heights: dict[str, float]) -> NDArray[Any]:
    """Height of the hairline (cm) at an angle around the head (radians, 0 in front)."""
    degrees = np.abs(np.degrees(angle))
    front_to_side = (heights["side"] - heights["front"]) * smooth_step(30, 72, degrees)
    side_to_back = (heights["back"] - heights["side"]) * smooth_step(95, 150, degrees)
    return np.asarray(heights["front"] + front_to_side + side_to_back)
