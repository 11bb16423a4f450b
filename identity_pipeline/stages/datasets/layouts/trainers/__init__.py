"""Layouts of what is trained: trainers of LoRAs, and loaders of datasets."""

from __future__ import annotations

from typing import Final

from identity_pipeline.stages.datasets.layouts.trainers.ai_toolkit import AiToolkit
from identity_pipeline.stages.datasets.layouts.trainers.diffusers import Diffusers
from identity_pipeline.stages.datasets.layouts.trainers.imagefolder import ImageFolder
from identity_pipeline.stages.datasets.layouts.trainers.kohya import Kohya
from identity_pipeline.stages.datasets.layouts.trainers.musubi import Musubi
from identity_pipeline.stages.datasets.layouts.trainers.onetrainer import OneTrainer
from identity_pipeline.stages.datasets.layouts.trainers.simpletuner import SimpleTuner
from identity_pipeline.stages.datasets.layouts.trainers.webdataset import WebDataset
from identity_pipeline.stages.datasets.pictures import Layout

TRAINERS: Final[tuple[Layout, ...]] = (
    ImageFolder(),
    Diffusers(),
    Kohya(),
    Musubi(),
    AiToolkit(),
    OneTrainer(),
    SimpleTuner(),
    WebDataset(),
)
