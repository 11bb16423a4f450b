"""Unit vectors of people who do not exist, in spaces of a stated separation, with known truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DIMENSION = 512


@dataclass(frozen=True)
class Space:
    """Cosines of pairs of templates: of one person, and of two people.

    Attributes:
        same: mean cosine of two templates of one person.
        different: mean cosine of templates of two people.
        spread: standard deviation of the latter; it fixes the dimensions that people really use.
        unevenness: how much more noisy some templates are than others (sigma of log-normal).
    """

    same: float
    different: float
    spread: float
    unevenness: float = 0.35

    @property
    def axes(self) -> int:
        """Dimensions in use: cosines of random directions vary by one over their root."""
        return max(2, min(DIMENSION - 1, round(((1 - self.different) / self.spread) ** 2)))


STRONG = Space(same=0.62, different=0.02, spread=0.055)
"""Like ArcFace spaces on good faces."""
WEAK = Space(same=0.40, different=0.09, spread=0.10)
"""Like the bundled recogniser on rendered rides (same 0.40, different 0.09)."""


@dataclass(frozen=True)
class Library:
    """Templates with truth. `apart` are indices of templates of one video."""

    vectors: NDArray[np.float32]
    person: NDArray[np.int64]
    apart: list[tuple[int, int]]

    @property
    def keys(self) -> list[str]:
        """A key per template."""
        return [f"track:{i:07d}" for i in range(len(self.person))]

    @property
    def apart_keys(self) -> list[tuple[str, str]]:
        """Keys of the templates of one video."""
        keys = self.keys
        return [(keys[i], keys[j]) for i, j in self.apart]


def directions(rng: np.random.Generator, n: int, axes: int) -> NDArray[np.float32]:
    """Random unit vectors (n, 512) in the first `axes` dimensions."""
    found = np.zeros((n, DIMENSION), dtype=np.float32)
    found[:, :axes] = rng.standard_normal((n, axes), dtype=np.float32)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found


def templates(
    rng: np.random.Generator, person: NDArray[np.int64], space: Space, alike: int = 0
) -> NDArray[np.float32]:
    """Templates (N, 512) of people; the first 2 x `alike` people are pairs of look-alikes.

    Look-alikes share half of what makes a person (cosine 0.5 between the two).
    """
    faces = directions(rng, int(person.max()) + 1, space.axes)
    for k in range(alike):
        a, b = 2 * k, 2 * k + 1
        faces[b] = 0.5 * faces[a] + np.sqrt(0.75) * faces[b]
    faces /= np.linalg.norm(faces, axis=1, keepdims=True)
    own = (space.same - space.different) ** 0.5
    noise = (1 - space.same) ** 0.5
    uneven = np.exp(rng.normal(0, space.unevenness, len(person))).astype(np.float32)
    vectors = directions(rng, len(person), space.axes)
    vectors *= (noise * uneven)[:, None]
    for start in range(0, len(person), 8192):  # in parts: no second array of full size
        part = slice(start, start + 8192)
        vectors[part] += own * faces[person[part]]
    vectors[:, DIMENSION - 1] += space.different**0.5
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def park(
    rng: np.random.Generator, space: Space, *, videos: int = 60, people: int = 45, alike: int = 2
) -> Library:
    """A theme park's library: two seats per video, people ride one to five times.

    Two of a video are always two people; some seats stay empty.
    """
    rides = rng.choice(np.arange(1, 6), size=people, p=[0.35, 0.25, 0.2, 0.1, 0.1])
    wanted = rng.permutation(np.repeat(np.arange(people), rides))
    seats: list[list[tuple[int, int]]] = [[] for _ in range(videos)]
    person: list[int] = []
    for who in wanted.tolist():
        free = [
            v for v, s in enumerate(seats) if len(s) < 2 and who not in [other for other, _ in s]
        ]
        if free:
            seats[int(rng.choice(free))].append((who, len(person)))
            person.append(who)
    of_person = np.unique(np.array(person), return_inverse=True)[1].astype(np.int64)
    apart = [(s[0][1], s[1][1]) for s in seats if len(s) == 2]
    return Library(templates(rng, of_person, space, alike), of_person, apart)


def crowd(rng: np.random.Generator, n: int, space: Space, *, most: int = 30) -> Library:
    """n templates of people with 1 to `most` templates each, evenly spread; no videos."""
    sizes = rng.integers(1, most + 1, size=n)
    people = int(np.searchsorted(np.cumsum(sizes), n)) + 1
    person = rng.permutation(np.repeat(np.arange(people), sizes[:people])[:n]).astype(np.int64)
    return Library(templates(rng, person, space), person, [])
