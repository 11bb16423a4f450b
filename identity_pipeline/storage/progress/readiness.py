"""A run found that what it needs is not there: noted for whoever would start the next one.

A memory in `data/progress`; it may be deleted at any time.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from identity_pipeline.storage.files import atomic, small_files
from identity_pipeline.storage.layout import Layout


@dataclass(frozen=True)
class NotReady:
    """What a run found.

    Attributes:
        sentence: what is wrong and what to do.
        key: changes with the settings and the models, so that what was mended is noticed.
        at: when, in seconds since 1970.
    """

    sentence: str
    key: str
    at: float


def noted(layout: Layout) -> NotReady | None:
    """What the last run that could not begin found; None where the last one could."""
    return small_files.recall(_path(layout), NotReady)


def note(layout: Layout, found: NotReady) -> None:
    """Notes it."""
    atomic.write_json(_path(layout), asdict(found))


def clear(layout: Layout) -> None:
    """A run could begin."""
    _path(layout).unlink(missing_ok=True)


def _path(layout: Layout) -> Path:
    return layout.progress / "not_ready.json"
