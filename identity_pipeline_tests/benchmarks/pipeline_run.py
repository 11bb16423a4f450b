"""The whole per-video job through Dagster in this process, and what each of its steps took."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import dagster as dg
import polars as pl

from identity_pipeline.core.geometry import Box
from identity_pipeline.definitions import build_defs
from identity_pipeline.defs.resources.resources import SettingsResource
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.settings import Settings
from identity_pipeline.storage.folder.data_folder import claim_data_folder
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.embeddings import read_embeddings
from identity_pipeline.storage.video.registry import VideoRegistry
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.benchmarks.same_faces import Boxes
from identity_pipeline_tests.benchmarks.timing import Sample, measured

Instance = Literal["ephemeral", "sqlite"]
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
ENDS = ("STEP_SUCCESS", "STEP_FAILURE")


@dataclass(frozen=True)
class PipelineRun:
    """One run of the job.

    Attributes:
        whole: the call that runs the job.
        windows: when each step began and ended, by its key, in the order of their start.
        counts: rows of the tables by which work is counted.
        boxes: the faces that the pass found.
    """

    whole: Sample
    windows: dict[str, tuple[float, float]]
    counts: dict[str, int]
    boxes: Boxes

    @property
    def steps(self) -> dict[str, float]:
        """Seconds of each step."""
        return {step: end - begin for step, (begin, end) in self.windows.items()}

    @property
    def overhead(self) -> float:
        """Seconds on the clock outside all steps: Dagster's own."""
        return self.whole.wall - sum(self.steps.values())


def settings_groups(models: Path, vision: Path, analysis_fps: float | None) -> dict[str, Any]:
    """Groups of settings that a measurement sets; everything else is as shipped."""
    groups: dict[str, Any] = {
        "models": {"face_pack": str(models), "vision_encoder": str(vision), "device": "cpu"}
    }
    if analysis_fps is not None:
        groups["video"] = {"analysis_fps": analysis_fps}
    return groups


def load_models(settings: Settings) -> ModelHub:
    """A hub with every network open."""
    hub = ModelHub(settings.models)
    hub.providers("face_pack")
    # The encoder opens its network when it is asked for its dimension.
    hub.vision.space  # noqa: B018
    return hub


@contextmanager
def _instance(kind: Instance, folder: Path) -> Iterator[dg.DagsterInstance]:
    if kind == "ephemeral":
        yield dg.DagsterInstance.ephemeral()
        return
    home = folder / "dagster"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        yield instance


def run_pipeline(
    video: Path, hub: ModelHub, groups: dict[str, Any], kind: Instance = "ephemeral"
) -> PipelineRun:
    """Runs the job on a fresh data folder; the folder, definitions, registration are not timed.

    Args:
        video: the clip.
        hub: models, loaded already.
        groups: result of `settings_groups`.
        kind: where Dagster keeps its events.

    Raises:
        RuntimeError: the job failed.
    """
    warnings.simplefilter("ignore")
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        data = Path(name) / "data"
        settings = SettingsResource.of(**groups, paths={"data": str(data)})
        job = build_defs(settings, models=hub).resolve_job_def("per_video")
        claim_data_folder(Layout(data))
        record, _ = VideoRegistry(Layout(data)).register(video)
        with _instance(kind, Path(name)) as instance:
            instance.add_dynamic_partitions("videos", [record.video_id])
            with measured() as whole:
                result = job.execute_in_process(
                    instance=instance,
                    partition_key=record.video_id,
                    run_config=QUIET,
                    raise_on_error=False,
                )
            windows = _step_windows(instance, result.run_id)
            if not result.success:
                raise RuntimeError(_first_failure(result))
        store = TableStore(Layout(data))
        counts, boxes = _counts(store, record.video_id), _boxes(store, record.video_id)
        return PipelineRun(whole, windows, counts, boxes)


def _step_windows(instance: dg.DagsterInstance, run_id: str) -> dict[str, tuple[float, float]]:
    started: dict[str, float] = {}
    ended: dict[str, float] = {}
    for entry in instance.all_logs(run_id):
        event, step = entry.dagster_event, entry.step_key
        if event is None or step is None:
            continue
        if event.event_type_value == "STEP_START":
            started[step] = entry.timestamp
        elif event.event_type_value in ENDS:
            ended[step] = entry.timestamp
    return {step: (begin, ended[step]) for step, begin in started.items() if step in ended}


def _first_failure(result: dg.ExecuteInProcessResult) -> str:
    for event in result.all_events:
        if event.event_type_value == "STEP_FAILURE":
            data: Any = event.event_specific_data
            return f"{event.step_key}: {data.error_display_string}"
    return "the job failed outside its steps"


def _counts(store: TableStore, video_id: str) -> dict[str, int]:
    tables = (
        *("frames", "face_detections", "face_embeddings", "moment_embeddings", "face_landmarks"),
        "vision_embeddings",
    )
    counts = {name: store.read(name, video_id).height for name in tables}
    counts["identities"] = read_embeddings(store, video_id).height
    files = store.read("identity_dataset", video_id)
    counts["exported"] = files.filter(pl.col("type") != "metadata").height
    return counts


def _boxes(store: TableStore, video_id: str) -> Boxes:
    boxes: Boxes = {}
    faces = store.read("face_detections", video_id)
    for frame, *box in faces.select("frame_idx", "x1", "y1", "x2", "y2").iter_rows():
        boxes.setdefault(frame, []).append(Box(*box))
    return boxes
