"""Stopped and taken up again: the same bytes, and no finished chunk computed twice."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from identity_pipeline.cli.main import cli
from identity_pipeline.definitions import build_defs
from identity_pipeline.defs.automation.library_sensor import library_changed
from identity_pipeline.defs.automation.retraining import retraining_sensor
from identity_pipeline.defs.automation.schedules import nightly_library, sweep_videos
from identity_pipeline.defs.automation.sensors import new_videos
from identity_pipeline.defs.instance.pausing import paused_videos
from identity_pipeline.defs.resources.resources import SettingsResource
from identity_pipeline.stages.video.overlap import AT_ONCE_MAX, READY
from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.video.chunks import unfinished
from identity_pipeline_tests import counted_models
from identity_pipeline_tests.counted_models import SMALL, UP_TO_EMBEDDINGS, Calls, counted
from identity_pipeline_tests.library import VideoLibrary, digest_of_tree
from identity_pipeline_tests.processes import ended, program

CLIP = "solo_d19"
CANCELED = dg.DagsterRunStatus.CANCELED


@pytest.fixture(scope="module")
def clip(real: Path) -> Path:
    return real / "videos" / f"{CLIP}.mp4"


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, clip: Path, real_pack: Path, vision_encoder: Path
) -> Iterator[tuple[VideoLibrary, dict[str, int]]]:
    """A library with the clip, and how many pictures each network was given."""
    root = tmp_path_factory.mktemp("undisturbed")
    for opened in VideoLibrary.open(root, real_pack, vision_encoder):
        with counted(Calls()) as calls:
            assert run(opened, clip).success
        yield opened, calls.given


def run(library: VideoLibrary, clip: Path) -> dg.ExecuteInProcessResult:
    return library.run(clip, overrides=SMALL, assets=UP_TO_EMBEDDINGS)


def kept(library: VideoLibrary) -> dict[str, int]:
    """Chunks by step."""
    return {step: count for (step, _), count in unfinished(library.store.layout).items()}


def assert_same(library: VideoLibrary, whole: VideoLibrary) -> None:
    """Equal bytes, nothing left over and nothing missing."""
    assert digest_of_tree(library.root) == digest_of_tree(whole.root)


def killed_at(library: VideoLibrary, clip: Path, network: str, at: int) -> None:
    """A run in a process of its own, killed when a network is given its n-th picture."""
    models, said = library.groups["models"], library.root.with_name("said")
    folders = library.root, models["face_pack"], models["vision_encoder"]
    killed = program(counted_models.__name__, *folders, clip, network, at, said=said)
    assert ended(killed) == -signal.SIGKILL, said.read_text()


@pytest.mark.slow
def test_kill_9_costs_the_chunk_that_was_under_way_and_nothing_else(
    undisturbed: tuple[VideoLibrary, dict[str, int]], library: VideoLibrary, clip: Path
) -> None:
    """First in the middle of the pass, then in the middle of the embeddings."""
    whole, once = undisturbed
    killed_at(library, clip, "detect", 22)
    assert kept(library)["watch"] in {1, 2}  # the second may be under way still
    # The second run is killed at its own 21st face, which tells that it got as far as that.
    killed_at(library, clip, "embed", 21)
    done = kept(library)["face_embeddings"]
    assert done in {1, 2}
    with counted(Calls()) as calls:
        assert run(library, clip).success
    assert calls.given["detect"] == 0
    assert calls.given["embed"] == once["embed"] - 8 * done
    assert kept(library) == {}
    atomic.sweep_temporaries(library.root)
    assert_same(library, whole)


def test_the_pass_goes_on_behind_its_last_finished_chunk(
    undisturbed: tuple[VideoLibrary, dict[str, int]], library: VideoLibrary, clip: Path
) -> None:
    """An interrupt as Dagster's own, by a signal, at the 22nd frame."""
    whole, once = undisturbed
    stop = Calls(("detect", 22), lambda: cancel(library.instance))
    with counted(stop):
        result = run(library, clip)
    assert status_of(result, library) == CANCELED
    assert kept(library) == {"watch": 2}
    assert not [p for p in library.root.rglob("*") if atomic.is_temporary(p)]
    with counted(Calls()) as calls:
        assert run(library, clip).success
    assert calls.given == {**once, "detect": once["detect"] - 16}
    assert_same(library, whole)


def cancel(instance: dg.DagsterInstance) -> None:
    """What terminating a run in the UI does."""
    (under_way,) = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    instance.report_run_canceling(under_way)
    os.kill(os.getpid(), signal.SIGTERM)


def status_of(result: dg.ExecuteInProcessResult, library: VideoLibrary) -> dg.DagsterRunStatus:
    run_now = library.instance.get_run_by_id(result.run_id)
    assert run_now is not None
    return run_now.status


def test_a_pause_stops_behind_the_chunk_and_the_video_goes_on_from_it(
    undisturbed: tuple[VideoLibrary, dict[str, int]], library: VideoLibrary, clip: Path
) -> None:
    whole, once = undisturbed
    data = ("--data", str(library.root))

    def pause() -> None:
        assert CliRunner().invoke(cli, ["pause", "--reason", "GPU", *data]).exit_code == 0

    with counted(Calls(("detect", 22), pause)) as calls:
        paused = run(library, clip)
    ahead = calls.given["detect"] - 24
    assert 0 <= ahead <= AT_ONCE_MAX + READY, "behind the chunk, what was under way is finished"
    assert status_of(paused, library) == CANCELED
    assert kept(library) == {"watch": 3}
    said = CliRunner().invoke(cli, ["videos", *data], env={"COLUMNS": "160"}).output
    assert "paused: the first pass, 3 chunks" in said and "GPU" in said
    assert tick(paused_videos, library) == "skipped: GPU"
    again = run(library, clip)
    assert status_of(again, library) == CANCELED and kept(library) == {"watch": 3}

    said = CliRunner().invoke(cli, ["continue", *data]).output
    assert "kept of watch: 3 chunks" in said
    assert tick(paused_videos, library) == [library.video_id(CLIP)]
    with counted(Calls()) as calls:
        assert run(library, clip).success
    assert calls.given == {**once, "detect": once["detect"] - 24}
    assert tick(paused_videos, library) == "skipped: "
    assert_same(library, whole)


@pytest.mark.parametrize(
    "starter",
    [new_videos, sweep_videos, library_changed, nightly_library, retraining_sensor(True)],
)
def test_while_paused_nothing_is_started_and_the_reason_is_told(
    library: VideoLibrary, starter: Any, tmp_path: Path
) -> None:
    CliRunner().invoke(cli, ["pause", "--reason", "GPU", "--data", str(library.root)])
    home = tmp_path / "home"
    home.mkdir()
    # A schedule is given a reference to its instance, which one that is forgotten does not have.
    with dg.DagsterInstance.local_temp(str(home)) as stored:
        assert tick(starter, replace(library, instance=stored)) == "skipped: GPU"


def tick(starter: Any, library: VideoLibrary) -> list[str] | str:
    """Partitions that a sensor or schedule requests, or why it requests none."""
    resources = build_defs(SettingsResource.of(**library.groups)).resources or {}
    wanted = starter.required_resource_keys
    build = (
        dg.build_schedule_context if isinstance(starter, dg.ScheduleDefinition)
        else dg.build_sensor_context
    )  # fmt: skip
    with build(
        instance=library.instance, resources={name: resources[name] for name in wanted}
    ) as context:
        result = starter(context)
    if isinstance(result, dg.SkipReason):
        return f"skipped: {'GPU' if 'GPU' in str(result.skip_message) else ''}"
    return [str(request.partition_key) for request in result]
