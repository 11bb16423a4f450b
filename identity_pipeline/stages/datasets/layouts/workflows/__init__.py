"""Layouts of what is conditioned or looked at: workflows of references, and viewers."""

from __future__ import annotations

from typing import Final

from identity_pipeline.stages.datasets.pictures import Layout

WORKFLOWS: Final[tuple[Layout, ...]] = ()
