"""Every consumer's layout by the name that `--for` takes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from identity_pipeline.stages.datasets.layouts.trainers import TRAINERS
from identity_pipeline.stages.datasets.layouts.workflows import WORKFLOWS
from identity_pipeline.stages.datasets.pictures import Layout

LAYOUTS: Final[Mapping[str, Layout]] = MappingProxyType(
    {layout.name: layout for layout in (*TRAINERS, *WORKFLOWS)}
)
