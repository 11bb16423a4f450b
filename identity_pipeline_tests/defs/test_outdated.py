"""The sensor `outdated_videos`: what it requests, in which bounds, and when it rests."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from identity_pipeline.definitions import build_defs
from identity_pipeline.defs.automation.outdated_sensor import outdated_videos
from identity_pipeline.defs.instance.pausing import PAUSED_TAG
from identity_pipeline.defs.instance.tags import OUTDATED, SWEEP
from identity_pipeline.defs.resources.resources import SettingsResource, all_resources
from identity_pipeline.storage.progress.pause import Pause, pause
from identity_pipeline_tests.conftest import BUNDLED, OPEN, stripes
from identity_pipeline_tests.library import VideoLibrary, reused_assets
from identity_pipeline_tests.synthetic import write_video

DEFS = build_defs()
JOB = DEFS.resolve_job_def("per_video")
STRICTER = {"selection": {"novelty_min": 0.35}}


class Watched:
    """Finished videos, and the sensor that looks after them."""

    def __init__(self, library: VideoLibrary, instance: dg.DagsterInstance) -> None:
        self.library, self.instance = library, instance
        self.cursor: str | None = None
        for video_id in library.store.videos_with("ride_video"):
            instance.add_dynamic_partitions("videos", [video_id])

    def tick(self, **changed: dict[str, Any]) -> list[dg.RunRequest]:
        """One evaluation under changed settings; the requested runs are put in the queue."""
        own = self.library.groups
        groups = {n: {**own.get(n, {}), **changed.get(n, {})} for n in {*own, *changed}}
        resources = all_resources(SettingsResource.of(**groups))
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            resources={name: resources[name] for name in ("store", "settings")},
        ) as context:
            result = outdated_videos(context)
            self.cursor = getattr(result, "cursor", None) or context.cursor
        self.said = getattr(result, "skip_message", None)
        return list(getattr(result, "run_requests", None) or [])

    def queue(self, request: dg.RunRequest, status: dg.DagsterRunStatus) -> None:
        """A run as the daemon would make it of a request."""
        tags = {**request.tags, "dagster/partition": str(request.partition_key)}
        self.instance.create_run_for_job(JOB, tags=tags, status=status)

    @property
    def rests(self) -> bool:
        return bool(json.loads(self.cursor or "{}").get("over"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VideoLibrary]:
    """Two short videos without a face."""
    root = tmp_path_factory.mktemp("finished")
    for opened in VideoLibrary.open(root / "data", OPEN, BUNDLED / "vision"):
        for n, name in enumerate(("a", "b")):
            path = write_video(root / f"{name}.mp4", (stripes(i + n) for i in range(12)))
            assert opened.run(path).success
        yield opened


@pytest.fixture
def watched(finished: VideoLibrary, instance: dg.DagsterInstance) -> Watched:
    return Watched(finished, instance)


def test_what_is_up_to_date_is_left_alone_and_not_looked_at_again(watched: Watched) -> None:
    assert watched.tick() == []
    assert watched.rests
    assert watched.tick() == []


def test_a_changed_setting_requests_every_video_that_it_outdates(watched: Watched) -> None:
    watched.tick()
    requests = watched.tick(**STRICTER)
    assert {r.partition_key for r in requests} == {watched.library.video_id(v) for v in "ab"}
    assert all(r.tags["identity_pipeline/by"] == "outdated_videos" for r in requests)
    assert not watched.rests


def test_a_setting_that_no_step_of_a_video_reads_outdates_nothing(watched: Watched) -> None:
    assert watched.tick(cluster={"min_cluster_size": 3}, ingest={"max_retries": 1}) == []
    assert watched.rests


def test_another_vision_model_outdates_what_it_saw(watched: Watched, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(BUNDLED / "vision", other)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "note": "another"}))
    assert len(watched.tick(models={"vision_encoder": str(other)})) == 2


def test_what_was_requested_and_done_is_not_requested_again(
    finished: VideoLibrary, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    copy = tmp_path / "data"
    shutil.copytree(finished.root, copy, symlinks=True)
    own = VideoLibrary(copy, finished.instance, {**finished.groups, "paths": {"data": str(copy)}})
    watched = Watched(own, instance)
    assert len(watched.tick(**STRICTER)) == 2
    for name in "ab":
        file = finished.root.parent / f"{name}.mp4"
        computed = {n for n, r in reused_assets(own.run(file, overrides=STRICTER)).items() if not r}
        assert "selection" in computed and "face_detections" not in computed
    assert watched.tick(**STRICTER) == []
    assert watched.rests


def test_a_video_that_a_run_is_at_is_looked_at_again_later(watched: Watched) -> None:
    first = watched.tick(**STRICTER)
    watched.cursor = None
    for request in first:
        watched.queue(request, dg.DagsterRunStatus.STARTED)
    assert watched.tick(**STRICTER) == []
    assert not watched.rests


def test_what_stays_outdated_is_tried_as_often_as_the_sweep_tries(watched: Watched) -> None:
    rounds = 0
    while (requests := watched.tick(ingest={"max_retries": 1}, **STRICTER)) and rounds < 10:
        rounds += 1
        assert len({r.run_key for r in requests}) == 2
        for request in requests:
            watched.queue(request, dg.DagsterRunStatus.FAILURE)
    assert rounds == 2
    assert watched.rests


def test_what_somebody_cancelled_is_not_requested_again(watched: Watched) -> None:
    for request in watched.tick(**STRICTER):
        watched.queue(request, dg.DagsterRunStatus.CANCELED)
    assert watched.tick(**STRICTER) == []


def test_what_a_pause_stopped_does_not_count_as_a_try(watched: Watched) -> None:
    for _ in range(5):
        requests = watched.tick(**STRICTER)
        assert len(requests) == 2
        for request in requests:
            paused = dg.RunRequest(
                partition_key=request.partition_key, tags={**request.tags, PAUSED_TAG: "yes"}
            )
            watched.queue(paused, dg.DagsterRunStatus.CANCELED)


def test_what_is_left_alone_is_not_said_to_be_up_to_date(watched: Watched) -> None:
    for request in watched.tick(**STRICTER):
        watched.queue(request, dg.DagsterRunStatus.CANCELED)
    assert watched.tick(**STRICTER) == []
    assert watched.tick(**STRICTER) == []
    assert watched.rests
    assert "2 outdated videos are left alone" in str(watched.said)


def test_no_more_wait_in_the_queue_than_the_limit(watched: Watched) -> None:
    limited = {"ingest": {"max_new_per_tick": 1}, **STRICTER}
    (first,) = watched.tick(**limited)
    watched.queue(first, dg.DagsterRunStatus.NOT_STARTED)
    assert watched.tick(**limited) == []
    assert not watched.rests


def test_an_unfinished_video_is_left_to_the_sweep(
    watched: Watched, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    instance.add_dynamic_partitions("videos", ["never-00000000"])
    assert {r.partition_key for r in watched.tick(**STRICTER)} == {
        watched.library.video_id(v) for v in "ab"
    }


def test_nothing_is_requested_during_a_pause(
    finished: VideoLibrary, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    copy = tmp_path / "data"
    shutil.copytree(finished.root, copy, symlinks=True)
    own = VideoLibrary(copy, finished.instance, {**finished.groups, "paths": {"data": str(copy)}})
    pause(own.store.layout, Pause("2026-01-01T00:00:00+00:00", "somebody", "noon"))
    assert Watched(own, instance).tick(**STRICTER) == []


def test_it_is_off_until_switched_on_and_goes_behind_other_work() -> None:
    sensor = DEFS.resolve_sensor_def("outdated_videos")
    assert sensor.default_status == dg.DefaultSensorStatus.STOPPED
    assert 0 > OUTDATED > SWEEP
