"""What is kept longer than it may be: each kind of thing has its days, or none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

Kind = Literal[
    "sources", "crops", "embeddings", "sets", "datasets", "photos", "backups", "logs", "unconsented"
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
DAY_S: Final = 86_400.0


@dataclass(frozen=True)
class Thing:
    """Something that is kept.

    Attributes:
        kind: which days are its own.
        name: of what it is: a ride, a folder, a file.
        at: when it was finished or made, seconds since 1970.
        size: bytes; None where nobody counted.
    """

    kind: Kind
    name: str
    at: float
    size: int | None = None


@dataclass(frozen=True)
class Due:
    """A thing that is kept too long.

    Attributes:
        thing: it.
        days: that its kind is kept.
        age: in days.
    """

    thing: Thing
    days: float
    age: float


def due(things: Iterable[Thing], days: Mapping[Kind, float | None], now: float) -> list[Due]:
    """What is older than its kind is kept, by kind and name.

    Args:
        things: that are there.
        days: of each kind; None keeps it for ever.
        now: seconds since 1970.
    """
    found = []
    for thing in things:
        kept, age = days.get(thing.kind), (now - thing.at) / DAY_S
        if kept is not None and age >= kept:
            found.append(Due(thing, kept, age))
    return sorted(found, key=lambda one: (KINDS.index(one.thing.kind), one.thing.name))
