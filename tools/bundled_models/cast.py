"""Who rides where in a library of rides: people, re-rides, swapped seats, twins, children.

Belongs here: the plan, a pure function of how many rides there are and a seed. Does not belong
here: what happens in a ride (`course`), rendering (`library`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tools.bundled_models.choreography import person_name
from tools.bundled_models.course import RidePlan
from tools.bundled_models.traits import TWIN, ride_traits, traits_of

FIRST_SEED = 400_000  # nobody trained on, and nobody of the demo
PEOPLE_PER_RIDE = 0.7
MOST_RIDES = 5  # of one person
_SOLO, _TWO_TAKES, _SAME_PARTNER = 0.33, 0.15, 0.5


@dataclass(frozen=True)
class Cast:
    """People and rides of a library."""

    people: tuple[int, ...]
    twins: tuple[tuple[int, int], ...]
    rides: tuple[RidePlan, ...]

    def document(self) -> dict[str, Any]:
        """What `cast.json` holds: the rides in order, and for everybody where they sat."""
        places: dict[int, list[dict[str, str]]] = defaultdict(list)
        for plan in self.rides:
            for seed, seat in zip(plan.riders, seats_of(plan), strict=True):
                places[seed].append({"ride": plan.name, "seat": seat})
        return {
            "rides": [
                {"name": p.name, "riders": [person_name(s) for s in p.riders], "seeds": list(p.riders),
                 "seed": p.seed, "seconds": p.seconds, "fps": p.fps, "takes": p.takes}
                for p in self.rides
            ],
            "people": {
                person_name(s): {"seed": s, "child": ride_traits(s).child > 0, "rides": places[s]}
                for s in self.people
            },
            "twins": [[person_name(a), person_name(b)] for a, b in self.twins],
        }  # fmt: skip


def seats_of(plan: RidePlan) -> tuple[str, ...]:
    """The riders' seats, as the image shows them."""
    return ("solo",) if len(plan.riders) == 1 else ("left", "right")


@dataclass
class _Queue:
    """What everybody has done so far."""

    wishes: dict[int, int]
    done: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    side: dict[int, int] = field(default_factory=dict)  # of the last ride of two; 0: left
    partner: dict[int, int] = field(default_factory=dict)

    def board(self, riders: Iterable[int]) -> tuple[int, ...]:
        """Seats riders, each on the other side than last time if that can be."""
        riders = tuple(riders)
        for seed in riders:
            self.done[seed] += 1
        if len(riders) == 2:
            first, second = riders
            wanted = 1 - self.side.get(
                first, 1 - self.side.get(second, 0) if second in self.side else 1
            )
            riders = (first, second) if wanted == 0 else (second, first)
            for side, seed in enumerate(riders):
                self.side[seed] = side
                self.partner[seed] = riders[1 - side]
        return riders

    def next(self, rng: np.random.Generator, without: int | None = None) -> int:
        """Who has ridden least of what they wish; newcomers come in between."""
        waiting = [s for s in self.wishes if s != without and self.done[s] < MOST_RIDES]
        open_ = (
            [s for s in waiting if self.done[s] < self.wishes[s]]
            or waiting
            or [s for s in self.wishes if s != without]
        )
        new = [s for s in open_ if not self.done[s]]
        return int(rng.choice(new if new and rng.random() < 0.6 else open_))


def plan_library(rides: int, seed: int, fps: int = 10, seconds: float = 9.0) -> Cast:
    """The cast of a library.

    Raises:
        ValueError: fewer than two rides; nobody could come back.
    """
    if rides < 2:
        raise ValueError("A library needs at least two rides, so that somebody can ride again.")
    rng = np.random.default_rng([seed, 50])
    solo = rng.random(rides) < _SOLO
    people, twins = _people(rng, max(4, round(rides * PEOPLE_PER_RIDE)))
    wishes = {
        s: int(n)
        for s, n in zip(
            people,
            rng.choice([1, 2, 3, 4, 5], len(people), p=[0.15, 0.35, 0.27, 0.13, 0.1]),
            strict=True,
        )
    }
    queue, parties = _Queue(wishes), []
    together = {
        int(i): pair
        for i, pair in zip(np.linspace(0, rides - 1, len(twins) + 2)[1:-1], twins, strict=True)
    }
    for number in range(rides):
        if number in together:
            parties.append(queue.board(together[number]))
            continue
        late = [s for s in people if not queue.done[s]]
        if len(late) >= 2 * (rides - number):  # everybody must come to ride
            parties.append(queue.board(late[:2]))
            continue
        first = queue.next(rng)
        if solo[number]:
            parties.append(queue.board([first]))
            continue
        friend = queue.partner.get(first)
        again = (
            friend is not None and queue.done[friend] < MOST_RIDES and rng.random() < _SAME_PARTNER
        )
        parties.append(
            queue.board([first, friend if again and friend is not None else queue.next(rng, first)])
        )
    plans = tuple(
        RidePlan(f"ride_{k:03d}", riders, int(rng.integers(1 << 30)), seconds, fps, 1 + int(rng.random() < _TWO_TAKES))
        for k, riders in enumerate(parties)
    )  # fmt: skip
    return Cast(people, twins, plans)


def _people(
    rng: np.random.Generator, count: int
) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
    """Seeds of `count` people, a tenth of them children, and a pair of twins for every 20."""
    pairs, children = max(1, count // 20), max(1, count // 10)
    young, grown, seed = [], [], FIRST_SEED + 1000 * int(rng.integers(100))
    while len(young) < children or len(grown) < count - pairs - children:
        (young if traits_of(seed).child else grown).append(seed)
        seed += 1
    young, grown = young[:children], grown[: count - pairs - children]
    siblings = [(grown if k % 2 == 0 else young)[k // 2] for k in range(pairs)]
    twins = tuple((s, s + TWIN) for s in siblings)
    return tuple(sorted([*young, *grown, *(t for _, t in twins)])), twins
