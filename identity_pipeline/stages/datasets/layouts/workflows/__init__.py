"""Layouts of what is conditioned or looked at: workflows of references, and viewers."""

from __future__ import annotations

from typing import Final

from identity_pipeline.stages.datasets.layouts.workflows.coco import Coco
from identity_pipeline.stages.datasets.layouts.workflows.comfyui import ComfyUI
from identity_pipeline.stages.datasets.layouts.workflows.fiftyone import FiftyOne
from identity_pipeline.stages.datasets.layouts.workflows.references import References
from identity_pipeline.stages.datasets.layouts.workflows.rerun_recording import Rerun
from identity_pipeline.stages.datasets.pictures import Layout

WORKFLOWS: Final[tuple[Layout, ...]] = (ComfyUI(), References(), Coco(), FiftyOne(), Rerun())
