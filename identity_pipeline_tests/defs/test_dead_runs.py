"""Runs that died: found by their process, failed, their slots freed, their reason kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from identity_pipeline.cli.main import cli
from identity_pipeline.definitions import build_defs
from identity_pipeline.defs.automation import dead_runs as dead_runs_module
from identity_pipeline.defs.automation.dead_runs import (
    dead_runs,
    failed_videos,
    is_dead,
    is_process_of_this_host,
    process_of,
    runs_under_way,
    why_spared,
)
from identity_pipeline.defs.instance.jobs import per_video
from identity_pipeline.defs.instance.pools import GPU
from identity_pipeline.defs.instance.tags import HOST, WILL_RETRY
from identity_pipeline.defs.resources.resources import SettingsResource
from identity_pipeline.storage.folder.data_folder import claim_data_folder
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.progress.heartbeat import host
from identity_pipeline.storage.video.failures import RUN_DIED, FailureNote, FailureNotes
from identity_pipeline_tests.processes import ended, program, wait_for_word

VIDEO = "ride-1-aaaaaaaa"
OP_GRANULARITY = """
telemetry: {enabled: false}
concurrency: {pools: {granularity: op, default_limit: 1}}
"""


def tick(instance: dg.DagsterInstance, root: Path, cursor: str | None = None) -> dg.SensorResult:
    """One look of the sensor."""
    resources = build_defs(SettingsResource.of(paths={"data": str(root)})).resources
    assert resources
    wanted = {name: resources[name] for name in ("store", "settings")}
    with dg.build_sensor_context(instance=instance, resources=wanted, cursor=cursor) as context:
        result = dead_runs(context)
    assert isinstance(result, dg.SensorResult)
    return result


def taken_up(instance: dg.DagsterInstance, root: Path) -> list[str]:
    """The videos of which one look of the sensor requests a run."""
    return [str(request.partition_key) for request in tick(instance, root).run_requests or ()]


class Killed:
    """A run in a process of its own that holds the one slot of the GPU."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        home.mkdir()
        # `op`, so that the slot is a row in Dagster's database that outlives its process.
        (home / "dagster.yaml").write_text(OP_GRANULARITY)
        monkeypatch.setenv("DAGSTER_HOME", str(home))
        self.instance = dg.DagsterInstance.get()
        said = home / "said"
        self.process = program("identity_pipeline_tests.defs.killable", VIDEO, said=said)
        wait_for_word(self.process, said, "inside\n")

    def kill(self) -> None:
        self.process.kill()
        ended(self.process)

    @property
    def run(self) -> dg.DagsterRun:
        (run,) = self.instance.get_runs()
        return run

    def slots_taken(self) -> int:
        return self.instance.event_log_storage.get_concurrency_info(GPU).active_slot_count

    def tick(self, cursor: str | None = None) -> dg.SensorResult:
        return tick(self.instance, Path(self.instance.root_directory).parent / "data", cursor)


@pytest.fixture
def killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Killed]:
    victim = Killed(tmp_path / "home", monkeypatch)
    yield victim
    victim.kill()
    victim.instance.dispose()


def test_recover_leaves_the_living_and_frees_the_slot_of_the_dead(
    killed: Killed, tmp_path: Path
) -> None:
    claim_data_folder(Layout(tmp_path / "data"))
    arguments = ["recover", "--data", str(tmp_path / "data")]
    assert killed.slots_taken() == 1
    assert is_dead(killed.instance, killed.run) is False
    told = process_of(killed.instance, killed.run)
    assert told is not None and told[0] == killed.process.pid
    assert "is alive and is left alone" in CliRunner().invoke(cli, arguments).output
    assert killed.run.status == dg.DagsterRunStatus.STARTED

    killed.kill()
    assert is_dead(killed.instance, killed.run) is True
    assert killed.slots_taken() == 1  # nobody frees it by itself
    assert "would fail" in CliRunner().invoke(cli, [*arguments, "--dry-run"]).output
    assert killed.slots_taken() == 1
    assert "1 run failed, 0 half-written files" in CliRunner().invoke(cli, arguments).output
    assert killed.run.status == dg.DagsterRunStatus.FAILURE
    assert killed.slots_taken() == 0
    claim = killed.instance.event_log_storage.claim_concurrency_slot(GPU, "next", "step")
    assert claim.is_claimed


def test_the_sensor_leaves_the_living_and_fails_the_dead_at_its_next_look(killed: Killed) -> None:
    killed.tick()
    assert runs_under_way(killed.instance)
    killed.kill()
    killed.tick()
    assert killed.run.status == dg.DagsterRunStatus.FAILURE
    assert killed.slots_taken() == 0


def test_a_run_that_ends_while_the_sensor_looks_is_not_failed(
    killed: Killed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ends(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
        instance.report_run_canceled(run)
        killed.kill()
        return True

    monkeypatch.setattr("identity_pipeline.defs.automation.dead_runs.is_dead", ends)
    killed.tick()
    assert killed.run.status == dg.DagsterRunStatus.CANCELED


def test_a_run_on_another_launcher_is_not_judged(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    run = failed_run(instance, tmp_path, status=dg.DagsterRunStatus.STARTED)
    assert is_dead(instance, run) is None


def test_a_process_of_another_host_is_not_looked_up_here(killed: Killed, tmp_path: Path) -> None:
    """Its number may be that of any process of this host, or of none."""
    killed.kill()
    killed.instance.add_run_tags(killed.run.run_id, {HOST: "another"})
    assert is_dead(killed.instance, killed.run) is None
    assert killed.tick(killed.tick().cursor).cursor == ""
    said = CliRunner().invoke(cli, ["recover", "--data", str(tmp_path / "data")]).output
    assert "cannot be judged from here and is left alone" in said
    assert killed.run.status == dg.DagsterRunStatus.STARTED
    killed.instance.add_run_tags(killed.run.run_id, {HOST: host()})
    assert is_dead(killed.instance, killed.run) is True


def failed_run(
    instance: dg.DagsterInstance, root: Path, *, status: dg.DagsterRunStatus
) -> dg.DagsterRun:
    """A run of the per-video job that ended without a word from any step."""
    job = build_defs(SettingsResource.of(paths={"data": str(root)})).resolve_job_def("per_video")
    run = instance.create_run_for_job(
        job, status=dg.DagsterRunStatus.STARTED, tags={"dagster/partition": VIDEO}
    )
    if status == dg.DagsterRunStatus.FAILURE:
        instance.report_run_failed(run, "Run process 12 was killed.")
    return instance.get_run_by_id(run.run_id) or run


def note_after(instance: dg.DagsterInstance, root: Path, run: dg.DagsterRun) -> FailureNote | None:
    resources = build_defs(SettingsResource.of(paths={"data": str(root)})).resources
    assert resources
    record = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    event = record.records[-1].event_log_entry.dagster_event
    assert event is not None
    with dg.build_run_status_sensor_context(
        sensor_name="failed_videos",
        dagster_event=event,
        dagster_instance=instance,
        dagster_run=run,
        resources={name: resources[name] for name in ("store", "settings")},
    ) as context:
        failed_videos(context.for_run_failure())
    return FailureNotes(Layout(root)).get(VIDEO)


def test_a_killed_run_leaves_its_reason_on_the_video(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    run = failed_run(instance, tmp_path, status=dg.DagsterRunStatus.FAILURE)
    note = note_after(instance, tmp_path, run)
    assert note is not None
    assert (note.code, note.permanent) == (RUN_DIED, False)
    assert note.sentence == (
        "Its run ended without a word before the first step; it is tried again "
        "(ingest.max_retries). Run process 12 was killed."
    )
    assert shown(instance, "ride_video") == [note.sentence]


def test_the_note_of_the_step_itself_is_kept(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    run = failed_run(instance, tmp_path, status=dg.DagsterRunStatus.FAILURE)
    own = FailureNote("truncated", "The file ends too early.", "watch", permanent=False)
    FailureNotes(Layout(tmp_path)).put(VIDEO, own)
    assert note_after(instance, tmp_path, run) == own
    assert shown(instance, "frames") == [own.sentence]


def shown(instance: dg.DagsterInstance, asset: str) -> list[object]:
    """Reasons of failures among the events of an asset's partition, the newest first."""
    where = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[VIDEO])
    found = instance.fetch_observations(where, limit=10).records
    seen = [record.event_log_entry.asset_observation for record in found]
    return [one.metadata["failed"].value for one in seen if one]


@pytest.mark.parametrize("status", ["NOT_STARTED", "STARTED", "SUCCESS"])
def test_once_a_later_run_has_taken_the_video_up_the_dead_one_is_the_past(
    instance: dg.DagsterInstance, tmp_path: Path, status: str
) -> None:
    run = failed_run(instance, tmp_path, status=dg.DagsterRunStatus.FAILURE)
    job = build_defs().resolve_job_def(per_video.name)
    instance.create_run_for_job(
        job, status=dg.DagsterRunStatus[status], tags={"dagster/partition": VIDEO}
    )
    assert note_after(instance, tmp_path, run) is None


@dg.op
def quick() -> None:
    pass


@dg.job
def done_at_once() -> None:
    quick()


def test_a_run_that_died_behind_its_last_step_is_no_failure_of_the_video(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    tags = {"dagster/partition": VIDEO}
    run_id = done_at_once.execute_in_process(instance=instance, tags=tags).run_id
    run = instance.get_run_by_id(run_id)
    assert run is not None
    instance.report_run_failed(run, "Run process 12 was killed.")
    assert note_after(instance, tmp_path, run) is None


def test_the_note_says_who_tries_again(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    run = failed_run(instance, tmp_path, status=dg.DagsterRunStatus.FAILURE)
    note = note_after(instance, tmp_path, run)
    assert note is not None and "ingest.max_retries" in note.sentence
    again = note_after(
        instance, tmp_path / "other", run.with_tags({**run.tags, WILL_RETRY: "true"})
    )
    assert again is not None and "a new run takes it up" in again.sentence


def test_the_note_says_that_nobody_tries_any_more(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    for _ in range(4):
        run = failed_run(instance, tmp_path, status=dg.DagsterRunStatus.FAILURE)
    note = note_after(instance, tmp_path, run)
    assert note is not None and note.sentence.startswith(
        "Its run ended without a word before the first step; it failed 4 times, so it is not tried "
        "again by itself (ingest.max_retries): once the cause is gone, `identity-pipeline run"
    )


def test_a_dead_video_that_dagster_gives_up_is_taken_up_at_once_and_not_for_ever(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    for _ in range(3):
        run = failed_run(instance, tmp_path, status=dg.DagsterRunStatus.FAILURE)
        instance.add_run_tags(run.run_id, {WILL_RETRY: "true"})
        note_after(instance, tmp_path, run)
        assert taken_up(instance, tmp_path) == []
        # As the daemon does when there is no code server.
        instance.add_run_tags(run.run_id, {WILL_RETRY: "false"})
        assert taken_up(instance, tmp_path) == [VIDEO]
    failed_run(instance, tmp_path, status=dg.DagsterRunStatus.FAILURE)
    assert taken_up(instance, tmp_path) == []


def test_a_video_that_a_run_is_at_is_not_requested(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    run = failed_run(instance, tmp_path, status=dg.DagsterRunStatus.FAILURE)
    note_after(instance, tmp_path, run)
    failed_run(instance, tmp_path, status=dg.DagsterRunStatus.STARTED)
    assert taken_up(instance, tmp_path) == []


def test_what_was_to_be_cancelled_ends_as_cancelled(killed: Killed) -> None:
    killed.instance.report_run_canceling(killed.run)
    killed.kill()
    killed.tick()
    assert killed.run.status == dg.DagsterRunStatus.CANCELED
    assert killed.slots_taken() == 0


def test_a_run_that_has_not_told_its_process_yet_is_spared(
    killed: Killed, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance, job = killed.instance, build_defs().resolve_job_def(per_video.name)
    run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTING)
    assert why_spared(instance, run) == "is just starting"
    monkeypatch.setattr(dead_runs_module, "STARTING_S", 0.0)
    assert why_spared(instance, run) is None


def test_a_re_execution_may_be_on_any_host(killed: Killed) -> None:
    instance, job = killed.instance, build_defs().resolve_job_def(per_video.name)
    tags = {HOST: "another"}
    first = instance.create_run_for_job(job, tags=tags)
    again = instance.create_run_for_job(
        job, tags=tags, parent_run_id=first.run_id, root_run_id=first.run_id
    )
    assert not is_process_of_this_host(instance, first)
    assert is_process_of_this_host(instance, again), "the launcher of this instance starts here"
