"""Every consumer's layout by the name that `--for` takes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from identity_pipeline.ledger.events import ConsentScope
from identity_pipeline.stages.datasets.layouts.trainers import TRAINERS
from identity_pipeline.stages.datasets.layouts.workflows import WORKFLOWS
from identity_pipeline.stages.datasets.pictures import Layout

LAYOUTS: Final[Mapping[str, Layout]] = MappingProxyType(
    {layout.name: layout for layout in (*TRAINERS, *WORKFLOWS)}
)
_LEARN: Final = frozenset(layout.name for layout in TRAINERS)


def scopes_of(consumer: str) -> tuple[ConsentScope, ...]:
    """What somebody must consent to before a consumer gets their pictures.

    Of the pictures that a trainer reads somebody is learned.
    """
    return ("export", "training") if consumer in _LEARN else ("export",)
