"""How a stage says how far it is."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called as work gets done; must be cheap and may be called often."""

    def __call__(self, stage: str, done: int, total: int | None, unit: str) -> None:
        """`done` of `total` units (None: unknown) of a stage are finished."""
        ...


def silent(stage: str, done: int, total: int | None, unit: str) -> None:
    """Progress that nobody watches."""
