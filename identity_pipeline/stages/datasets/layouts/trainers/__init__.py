"""Layouts of what is trained: trainers of LoRAs, and loaders of datasets."""

from __future__ import annotations

from typing import Final

from identity_pipeline.stages.datasets.pictures import Layout

TRAINERS: Final[tuple[Layout, ...]] = ()
