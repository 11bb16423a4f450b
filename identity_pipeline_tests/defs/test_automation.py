"""The sensor and the sweep: which files become partitions and runs, and when."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.utils import make_new_run_id
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.definitions import build_defs
from identity_pipeline.defs.automation.schedules import SETTLED_SECONDS, sweep_videos
from identity_pipeline.defs.automation.sensors import TICKS_AHEAD, sort_arrivals
from identity_pipeline.defs.instance.tags import BY, NEW_VIDEO, NIGHT, SWEEP, tags
from identity_pipeline.defs.resources.resources import SettingsResource
from identity_pipeline.stages.planning.video_list import LAST
from identity_pipeline.storage.video.archive import Archive, ArchiveMark
from identity_pipeline.storage.video.failures import FailureNote, FailureNotes
from identity_pipeline.storage.video.known_files import KnownFile, KnownFiles, Stamp
from identity_pipeline.storage.video.tables import Manifest, TableStore
from identity_pipeline_tests.conftest import BUNDLED, OPEN
from identity_pipeline_tests.inbox import Inbox


@pytest.fixture
def inbox(tmp_path: Path, instance: dg.DagsterInstance) -> Inbox:
    return Inbox(tmp_path / "data", instance)


def test_a_file_is_taken_at_the_second_tick_that_sees_it_unchanged(inbox: Inbox) -> None:
    inbox.put("Ride 1.mp4", b"abc")
    assert inbox.tick() == []
    (key,) = inbox.tick()
    assert key.startswith("ride-1-")
    assert inbox.instance.get_dynamic_partitions("videos") == [key]
    assert inbox.tick() == []


def test_a_growing_file_waits(inbox: Inbox) -> None:
    inbox.put("a.mp4", b"a")
    assert inbox.tick() == []
    inbox.put("a.mp4", b"ab")
    assert inbox.tick() == []
    assert len(inbox.tick()) == 1


def test_the_same_bytes_under_another_name_are_linked_and_not_run(inbox: Inbox) -> None:
    inbox.put("a.mp4", b"same")
    inbox.tick()
    (key,) = inbox.tick()
    inbox.put("b.mp4", b"same")
    assert inbox.tick() == [] and inbox.tick() == []
    record = inbox.layout.registration(key).read_text()
    assert "b.mp4" in record


def test_a_file_with_new_content_under_an_old_name_is_a_new_video(inbox: Inbox) -> None:
    inbox.put("a.mp4", b"first")
    inbox.tick()
    (first,) = inbox.tick()
    inbox.put("a.mp4", b"second")
    inbox.tick()
    (second,) = inbox.tick()
    assert first != second


def test_files_that_are_no_videos_are_ignored(inbox: Inbox) -> None:
    inbox.put("notes.txt", b"x")
    inbox.put(".hidden.mp4", b"x")
    assert inbox.tick() == [] and inbox.tick() == []


def test_no_more_than_the_limit_are_taken_in_one_tick_and_none_is_lost(inbox: Inbox) -> None:
    for i in range(7):
        inbox.put(f"v{i}.mp4", bytes([i]))
    inbox.tick()
    counts = [len(inbox.tick()) for _ in range(4)]
    assert counts == [3, 3, 1, 0]


def test_a_lost_cursor_runs_nothing_twice(inbox: Inbox) -> None:
    inbox.put("a.mp4", b"a")
    inbox.tick()
    assert len(inbox.tick()) == 1
    inbox.cursor = None
    assert inbox.tick() == [] and inbox.tick() == []


@pytest.mark.parametrize("dies", ["partitions", "kept"])
def test_a_daemon_that_dies_between_partition_and_run_leaves_no_video_without_run(
    inbox: Inbox, dies: str
) -> None:
    for name in ("a", "b"):
        inbox.put(f"{name}.mp4", name.encode())
    inbox.tick()
    keys = inbox.tick(dies=dies)
    assert len(keys) == 2
    assert inbox.tick(dies="kept") == keys
    assert inbox.tick() == keys
    assert inbox.tick() == []


def test_a_known_file_is_not_read_again(inbox: Inbox) -> None:
    path = inbox.put("a.mp4", b"a")
    inbox.tick()
    assert len(inbox.tick()) == 1
    path.chmod(0)
    inbox.cursor = None
    inbox.layout.registration(inbox.instance.get_dynamic_partitions("videos")[0]).unlink()
    assert inbox.tick() == [] and inbox.tick() == []
    # Reading it again would have registered it again.
    assert list(inbox.layout.registry.glob("*.json")) == []


def test_the_cursor_holds_no_file_that_is_done(inbox: Inbox) -> None:
    for i in range(3):
        inbox.put(f"v{i}.mp4", bytes([i]))
    for _ in range(4):
        inbox.tick()
    assert json.loads(inbox.cursor or "") == {"after": "", "files": {}, "refused": {}}


def test_the_memory_forgets_files_that_left_the_inbox(inbox: Inbox) -> None:
    path = inbox.put("a.mp4", b"a")
    inbox.tick()
    inbox.tick()
    path.unlink()
    inbox.tick()
    assert KnownFiles(inbox.layout).all() == {}


def test_a_video_whose_partition_was_lost_is_requested_again(inbox: Inbox) -> None:
    inbox.put("a.mp4", b"a")
    inbox.tick()
    (key,) = inbox.tick()
    inbox.instance.delete_dynamic_partition("videos", key)
    assert inbox.tick() == [key]


def last_run(inbox: Inbox, status: dg.DagsterRunStatus, **tags: str) -> None:
    """The last run ends; with tags, another one that ended so."""
    run = inbox.instance.get_runs(limit=1)[0]
    if tags:
        run = run._replace(run_id=make_new_run_id(), tags={**run.tags, **tags}, status=status)
        inbox.instance.add_run(run)
    else:
        event = dg.DagsterEventType.RUN_SUCCESS
        event = event if status is dg.DagsterRunStatus.SUCCESS else dg.DagsterEventType.RUN_CANCELED
        inbox.instance.report_dagster_event(dg.DagsterEvent(event.value, run.job_name), run.run_id)


def finish(inbox: Inbox, key: str) -> None:
    inbox.layout.export(key).mkdir(parents=True)
    for asset in LAST:
        TableStore(inbox.layout).note(asset, key, Manifest("f", "d", 0))


def test_what_dagster_did_elsewhere_is_not_done_here(inbox: Inbox) -> None:
    """The instance knows the video as made, and its outputs are in another data folder."""
    inbox.put("a.mp4", b"a")
    inbox.tick()
    (key,) = inbox.tick()
    last_run(inbox, dg.DagsterRunStatus.SUCCESS)
    for asset in LAST:
        event = dg.AssetMaterialization(asset, partition=key)
        inbox.instance.report_runless_asset_event(event)
    assert inbox.tick() == [key]
    last_run(inbox, dg.DagsterRunStatus.SUCCESS)
    finish(inbox, key)
    assert inbox.tick() == []


def test_outputs_that_were_deleted_are_made_again_but_not_without_end(inbox: Inbox) -> None:
    inbox.put("a.mp4", b"a")
    inbox.tick()
    (key,) = inbox.tick()
    last_run(inbox, dg.DagsterRunStatus.SUCCESS)
    finish(inbox, key)
    assert inbox.tick() == []
    shutil.rmtree(inbox.layout.tables)
    for _ in range(20):
        last_run(inbox, dg.DagsterRunStatus.SUCCESS, **{BY: "new_videos"})
        if not inbox.tick():
            break
    else:
        raise AssertionError("it is asked for without end")
    runs = inbox.instance.get_runs(dg.RunsFilter(tags={"dagster/partition": key}))
    assert len(runs) > 3


@pytest.mark.parametrize("permanent", [True, False])
def test_a_video_that_failed_is_left_to_the_sweep(inbox: Inbox, permanent: bool) -> None:
    inbox.put("a.mp4", b"a")
    inbox.tick()
    (key,) = inbox.tick()
    last_run(inbox, dg.DagsterRunStatus.SUCCESS)
    note = FailureNote("unexpected", "Something.", "frames", permanent)
    FailureNotes(inbox.layout).put(key, note)
    assert inbox.tick() == []


def test_a_video_that_somebody_cancelled_is_left_alone(inbox: Inbox) -> None:
    inbox.put("a.mp4", b"a")
    inbox.tick()
    inbox.tick()
    last_run(inbox, dg.DagsterRunStatus.CANCELED)
    assert inbox.tick() == []


def test_of_many_that_wait_each_is_looked_at(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("identity_pipeline.defs.automation.sensors.LOOKED_AT", 2)
    for i in range(7):
        inbox.put(f"v{i}.mp4", bytes([i]))
    inbox.tick()
    keys = [key for _ in range(3) for key in inbox.tick()]
    assert len(keys) == 7
    for run in inbox.instance.get_runs():
        inbox.instance.delete_run(run.run_id)  # all partitions, and none has a run
    assert sorted(key for _ in range(4) for key in inbox.tick()) == sorted(keys)


def test_a_partition_of_another_folder_is_not_swept(swept: Inbox) -> None:
    swept.instance.add_dynamic_partitions("videos", ["of-another-folder"])
    assert sweep(swept) == []


def test_an_archived_video_is_not_requested_again_whatever_its_file_is_called(
    inbox: Inbox,
) -> None:
    inbox.put("a.mp4", b"same")
    inbox.tick()
    (key,) = inbox.tick()
    Archive(inbox.layout).put(key, ArchiveMark("2026-01-01", "2026-01-01"))
    inbox.instance.delete_dynamic_partition("videos", key)
    inbox.put("b.mp4", b"same")
    assert [inbox.tick() for _ in range(3)] == [[], [], []]


def test_a_new_video_goes_before_a_backfill_and_a_retry_after_it() -> None:
    assert NEW_VIDEO > 0 > SWEEP > NIGHT
    assert tags("new_videos", NEW_VIDEO)["dagster/priority"] == str(NEW_VIDEO)


stamps = st.dictionaries(
    st.sampled_from("abcdef"),
    st.builds(Stamp, st.integers(0, 2), st.integers(0, 2), st.integers(0, 1)),
)


@given(now=stamps, seen=stamps, done=stamps, limit=st.integers(1, 4))
def test_arrivals_are_finished_waiting_or_done_and_never_two_of_them(
    now: dict, seen: dict, done: dict, limit: int
) -> None:
    known = {file: KnownFile(stamp, file) for file, stamp in done.items()}
    finished, remembered, gone = sort_arrivals(now, seen, known, limit)
    settled = {file for file in now if done.get(file) == now[file]}
    assert set(remembered) | settled == set(now)
    assert not set(remembered) & settled
    assert set(finished) <= set(remembered) and len(finished) <= limit
    assert all(now[f] == seen[f] for f in finished)
    assert set(gone) == set(done) - set(now)


def test_what_is_remembered_is_bounded_and_nothing_is_lost() -> None:
    now = {f"{n:05d}": Stamp(n, n, n) for n in range(500)}
    seen: dict[str, Stamp] = {}
    known: dict[str, KnownFile] = {}
    for _ in range(1 + 500 // 5):
        finished, seen, _ = sort_arrivals(now, seen, known, 5)
        assert len(seen) <= 5 * TICKS_AHEAD
        known |= {file: KnownFile(now[file], file) for file in finished}
    assert set(known) == set(now)


@pytest.fixture
def swept(tmp_path: Path) -> Iterator[Inbox]:
    """An inbox whose instance has storage, as schedules ask for."""
    home = tmp_path / "home"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as stored:
        yield Inbox(tmp_path / "data", stored)


def sweep(inbox: Inbox, later_s: float = SETTLED_SECONDS + 60) -> list[str]:
    resources = build_defs(inbox.resource).resources
    assert resources
    moment = datetime.fromtimestamp(datetime.now(tz=UTC).timestamp() + later_s, UTC)
    with dg.build_schedule_context(
        instance=inbox.instance,
        scheduled_execution_time=moment,
        resources={name: resources[name] for name in ("store", "settings")},
    ) as context:
        result = sweep_videos(context)
    return [] if isinstance(result, dg.SkipReason) else [str(r.partition_key) for r in result]


def test_the_sweep_takes_up_a_settled_file_that_no_sensor_saw(swept: Inbox) -> None:
    swept.put("missed.mp4", b"missed")
    (key,) = sweep(swept)
    assert key.startswith("missed-")
    assert swept.instance.has_dynamic_partition("videos", key)


def test_the_sweep_leaves_a_file_that_may_still_grow(swept: Inbox) -> None:
    path = swept.put("growing.mp4", b"g")
    os.utime(path)
    assert sweep(swept, later_s=0) == []


def test_the_sweep_leaves_what_failed_for_good(swept: Inbox) -> None:
    swept.put("bad.mp4", b"bad")
    (key,) = sweep(swept)
    notes = FailureNotes(swept.layout)
    notes.put(key, FailureNote("not_a_video", "It is none.", "ride_video", permanent=True))
    assert sweep(swept) == []
    notes.put(key, FailureNote("unexpected", "Disk full.", "frames", permanent=False))
    assert sweep(swept) == [key]
    assert sweep(swept) == [key]


def test_the_sweep_takes_up_a_video_that_died_behind_its_dataset(swept: Inbox) -> None:
    swept.put("late.mp4", b"late")
    (key,) = sweep(swept)
    swept.layout.export(key).mkdir(parents=True)
    for asset in LAST:
        # Whatever Dagster remembers of it: what counts is what lies in this folder.
        event = dg.AssetMaterialization(asset, partition=key)
        swept.instance.report_runless_asset_event(event)
        assert sweep(swept) == [key]
        TableStore(swept.layout).note(asset, key, Manifest("f", "d", 0))
    assert LAST[0] == "identity_dataset"
    assert sweep(swept) == []
    shutil.rmtree(swept.layout.export(key))
    assert sweep(swept) == [key]


def test_the_sweep_leaves_archived_videos_archived(swept: Inbox) -> None:
    swept.put("old.mp4", b"old")
    (key,) = sweep(swept)
    Archive(swept.layout).put(key, ArchiveMark("2026-01-01", "2026-01-01"))
    swept.instance.delete_dynamic_partition("videos", key)
    assert sweep(swept) == []
    assert swept.instance.get_dynamic_partitions("videos") == []


def test_a_wrong_model_fails_no_season_of_videos(inbox: Inbox) -> None:
    paths = {"data": str(inbox.layout.root)}
    pack = {"face_pack": str(OPEN), "vision_encoder": str(BUNDLED / "vision")}
    inbox.resource = SettingsResource.of(paths=paths, models={**pack, "face_pack": "/nowhere"})
    for name in "abc":
        inbox.put(f"{name}.mp4", name.encode())
    assert [inbox.tick() for _ in range(3)] == [[], [], []]
    assert inbox.instance.get_runs_count() == 0
    assert FailureNotes(inbox.layout).ids() == set()
    inbox.resource = SettingsResource.of(paths=paths, models=pack)
    assert len(inbox.tick()) == 3


def test_an_inbox_that_is_not_mounted_is_said(inbox: Inbox) -> None:
    inbox.folder.rmdir()
    inbox.folder.symlink_to(inbox.layout.root.parent / "share", target_is_directory=True)
    assert inbox.tick() == []
    (inbox.layout.root.parent / "share").mkdir()
    inbox.put("a.mp4", b"a")
    inbox.tick()
    assert inbox.tick()[0].startswith("a-")
