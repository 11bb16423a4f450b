"""Learning in Dagster: the job, what goes stale, the sensor, failures that hold nothing up."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from identity_pipeline.definitions import build_defs
from identity_pipeline.defs.automation.library_sensor import library_stamp
from identity_pipeline.defs.instance.jobs import learn
from identity_pipeline.defs.instance.pausing import paused_videos
from identity_pipeline.defs.resources.progress import ProgressReporters
from identity_pipeline.defs.resources.resources import SettingsResource
from identity_pipeline.stages.progress.protocol import Progress
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.library.generations import Generations
from identity_pipeline.storage.library.heads import HeadStore
from identity_pipeline.storage.library.training_sessions import STOPPED, TrainingSessions
from identity_pipeline.storage.progress.pause import Pause, go_on, pause
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.curated_library import call
from identity_pipeline_tests.teaching_library import label, rides

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
PEOPLE = 24


class PausingReporters(ProgressReporters):
    """Reporters of a library in which somebody gives the order to pause after an epoch."""

    def __init__(self, learning: Learning) -> None:
        self.learning = learning

    def reporter(self, context: dg.AssetExecutionContext) -> Progress:
        report = super().reporter(context)

        def tell(stage: str, done: int, total: int | None, unit: str) -> None:
            report(stage, done, total, unit)
            if unit == "epochs" and done == self.learning.pause_after:
                pause(self.learning.store.layout, Pause("now", "somebody", "GPU"))

        return tell


class Learning:
    """A taught library in a Dagster instance."""

    def __init__(self, root: Path, instance: dg.DagsterInstance, **train: Any) -> None:
        self.root, self.instance = root, instance
        self.store = TableStore(Layout(root / "data"))
        # Light hides who people are here, so true labels look doubtful.
        groups = {
            "paths": {"data": str(root / "data")},
            "models": {"device": "cpu"},
            "match": {"bootstrap_rounds": 20},  # intervals are tested elsewhere
            "train": {
                "base_share": 0,
                "epochs": 5,
                "judge_far": 0.02,
                "judge_far_max": 0.05,
                "doubtful_share_max": 1,
                **train,
            },
        }
        self.defs = build_defs(SettingsResource.of(**groups), progress=PausingReporters(self))
        self.pause_after: int | None = None
        self.cursor: str | None = None

    def run(self, job: str) -> dg.ExecuteInProcessResult:
        return self.defs.resolve_job_def(job).execute_in_process(
            instance=self.instance, run_config=QUIET, raise_on_error=False
        )

    def tick(self) -> dg.SensorResult | dg.SkipReason:
        assert self.defs.resources
        sensor = self.defs.resolve_sensor_def("retrain_when_labelled")
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            resources={name: self.defs.resources[name] for name in ("store", "settings")},
        ) as context:
            result = sensor(context)
        assert isinstance(result, dg.SensorResult | dg.SkipReason)
        if isinstance(result, dg.SensorResult):
            self.cursor = result.cursor
        return result


@pytest.fixture
def root(unknown_rides: Path, tmp_path: Path) -> Path:
    """A library in which nobody is known yet."""
    return Path(shutil.copytree(unknown_rides, tmp_path, symlinks=True, dirs_exist_ok=True))


@pytest.fixture
def known(known_rides: Path, tmp_path: Path) -> Path:
    """A library in which everybody is known."""
    return Path(shutil.copytree(known_rides, tmp_path, symlinks=True, dirs_exist_ok=True))


def metadata_of(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    for event in result.get_asset_materialization_events():
        if event.materialization.asset_key == dg.AssetKey(asset):
            return {k: v.value for k, v in event.materialization.metadata.items()}
    raise AssertionError(asset)


def failure_of(result: dg.ExecuteInProcessResult) -> str:
    events = [e for e in result.all_events if e.is_step_failure]
    return str(events[0].step_failure_data.user_failure_data.description)


@pytest.mark.slow
def test_labels_train_a_head_that_goes_live_and_the_library_follows(
    known: Path, instance: dg.DagsterInstance
) -> None:
    learning = Learning(known, instance)
    before = library_stamp(learning.store)
    result = learning.run("learn")
    assert result.success
    assert metadata_of(result, "head_evaluation")["promoted"], metadata_of(
        result, "head_evaluation"
    )["verdict"]
    assert library_stamp(learning.store) != before  # so library_changed asks for a run
    told = metadata_of(result, "head_evaluation")
    assert told["promoted"], told["verdict"]
    assert told["tracks/accepted_after"] > told["tracks/accepted_before"]
    assert told["separation"].startswith("![held-out pairs by cosine]")
    head = metadata_of(result, "projection_head")
    assert "complete: 5 epochs" in head["message"]
    assert head["loss_curve"].startswith("![loss by epoch]")
    assert metadata_of(result, "training_set")["people"] == PEOPLE

    again = learning.run("library")
    assert again.success, failure_of(again)
    live = HeadStore(learning.store.layout).live().head_id
    assert metadata_of(again, "head_embeddings")["videos_projected"] + metadata_of(
        again, "head_embeddings"
    )["videos_unchanged"] == len(learning.store.videos_with("track_templates"))
    generation = Generations(learning.store.layout).current()
    assert generation is not None
    assert generation.space.startswith(f"head@{live}")
    assert metadata_of(again, "kmeans_heads")["people"] == PEOPLE
    assert all(check.passed for check in again.get_asset_check_evaluations())

    repeated = learning.run("learn")
    assert repeated.success
    assert metadata_of(repeated, "projection_head")["reused"]
    assert metadata_of(repeated, "training_set")["session"] == 1


def test_too_few_labels_fail_the_training_with_a_sentence_and_not_the_library(
    root: Path, instance: dg.DagsterInstance
) -> None:
    learning = Learning(root, instance)
    result = learning.run("learn")
    assert not result.success
    assert "too little to learn from" in failure_of(result)
    library = learning.run("library")
    assert library.success
    assert metadata_of(library, "head_embeddings")["live"] == "no head: the recogniser alone"
    assert metadata_of(library, "kmeans_heads")["people"] == 0


def test_the_sensor_asks_once_for_each_state_of_the_labels(
    root: Path, instance: dg.DagsterInstance
) -> None:
    learning = Learning(root, instance, retrain_tracks=6, retrain_people=50, retrain_hours=0)
    first = learning.tick()
    assert isinstance(first, dg.SkipReason)
    assert "0 of 6 new confirmed tracks" in str(first.skip_message)
    label(root, rides(PEOPLE)[:6])
    asked = learning.tick()
    assert isinstance(asked, dg.SensorResult)
    assert asked.run_requests is not None
    assert [request.run_key for request in asked.run_requests] == [None], "the cursor says it all"
    again = learning.tick()
    assert isinstance(again, dg.SkipReason)
    assert "requested for these labels already" in str(again.skip_message)
    call(root, "undo", "last")
    waiting = learning.tick()
    assert isinstance(waiting, dg.SkipReason)


def test_the_sensor_waits_between_two_trainings(root: Path, instance: dg.DagsterInstance) -> None:
    learning = Learning(root, instance, retrain_tracks=3, retrain_hours=5)
    label(root, rides(PEOPLE)[:3])
    assert isinstance(learning.tick(), dg.SensorResult)
    label(root, rides(PEOPLE)[3:9])
    waiting = learning.tick()
    assert isinstance(waiting, dg.SkipReason)
    assert "next training may start in" in str(waiting.skip_message)


def test_retraining_is_off_unless_the_settings_switch_it_on() -> None:
    for on, status in ((False, "STOPPED"), (True, "RUNNING")):
        defs = build_defs(SettingsResource.of(train={"automatic": on}))
        assert defs.resolve_sensor_def("retrain_when_labelled").default_status.value == status
        assert defs.resolve_schedule_def("retrain_monthly").default_status.value == status


def test_a_training_takes_a_slot_of_the_gpu() -> None:
    nodes = build_defs().resolve_job_def(learn.name).nodes
    assert {node.name: node.definition.pool for node in nodes if node.definition.pool} == {
        "projection_head": "gpu",
        "head_evaluation": "library",
    }


@pytest.mark.slow
def test_a_pause_stops_a_training_behind_its_epoch_and_it_is_taken_up(
    known: Path, instance: dg.DagsterInstance
) -> None:
    learning = Learning(known, instance)
    learning.pause_after = 2
    stopped = instance.get_run_by_id(learning.run("learn").run_id)
    assert stopped is not None and stopped.status == dg.DagsterRunStatus.CANCELED
    session = TrainingSessions(learning.store.layout).last()
    assert session is not None and session.state == STOPPED
    go_on(learning.store.layout)
    with dg.build_sensor_context(instance=instance, resources={"store": learning.store}) as context:
        requested = paused_videos(context)
    assert isinstance(requested, list)
    assert [request.job_name for request in requested] == ["learn"]
    learning.pause_after = None
    result = learning.run("learn")
    assert "complete: 5 epochs" in metadata_of(result, "projection_head")["message"]
