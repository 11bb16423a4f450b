"""What is under way, as other processes see it: the living, the killed, the far away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from identity_pipeline.storage.files.atomic import temporary_beside
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.progress.heartbeat import LOST_AFTER_S, Heartbeat, Heartbeats
from identity_pipeline.storage.progress.leftovers import sweep_after

WORKER = """
import sys, time
from pathlib import Path
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.files.atomic import temporary_beside
from identity_pipeline.storage.progress.heartbeat import Heartbeat, Heartbeats
root = Path(sys.argv[1])
steps, step = Heartbeats(Layout(root)), Heartbeat("run-1", "watch", "ride", time.time())
halves = [
    temporary_beside(root / place)
    for place in ("tables/frames/ride.parquet", "output/ride/identity_builder", "index/store-1")
]
for half in halves:
    half.mkdir(parents=True)
with steps.working(step):
    steps.put(step.advanced(7, 20, "frames", time.time()))
    print(*halves, sep="|", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def steps(tmp_path: Path) -> Heartbeats:
    return Heartbeats(Layout(tmp_path))


def step(**more: object) -> Heartbeat:
    return replace(Heartbeat("run-2", "watch", "ride", time.time()), **more)  # type: ignore[arg-type]


def test_a_step_is_seen_while_it_works_and_as_ended_until_the_next(steps: Heartbeats) -> None:
    with steps.working(step()):
        (seen,) = steps.all()
        assert seen.alive(time.time()) and seen.video_id == "ride" and not seen.ended
    assert [s.ended for s in steps.all()] == [True]
    with steps.working(step(step="riders")):
        assert [(s.step, s.ended) for s in steps.all()] == [("riders", False)]


def test_a_process_that_ends_leaves_nothing(steps: Heartbeats, tmp_path: Path) -> None:
    code = WORKER.replace("time.sleep(60)", "pass")
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True)
    assert steps.all() == []


def test_a_step_that_fails_has_ended(steps: Heartbeats) -> None:
    with pytest.raises(ValueError, match="bad frame"), steps.working(step()):
        raise ValueError("bad frame")
    assert [s.ended for s in steps.all()] == [True]


def test_a_killed_process_leaves_a_step_that_is_dead(steps: Heartbeats, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        (seen,) = steps.all()
        assert (seen.done, seen.total, seen.alive(time.time())) == (7, 20, True)
        process.send_signal(signal.SIGKILL)
    (left,) = steps.all()
    assert not left.alive(time.time())
    with steps.working(step()):
        assert [s.run_id for s in steps.all()] == ["run-2"], "a new attempt replaces the dead one"


def test_a_process_with_the_number_of_a_dead_one_is_not_it(steps: Heartbeats) -> None:
    mine = step()
    assert mine.born is not None
    assert not replace(mine, born=mine.born - 1).alive(time.time())


def test_a_step_of_another_host_lives_as_long_as_it_gives_signs(steps: Heartbeats) -> None:
    far = step(host="elsewhere", beat_at=1000.0)
    assert far.alive(1000.0 + LOST_AFTER_S / 2)
    assert not far.alive(1000.0 + 2 * LOST_AFTER_S)


def test_the_rate_counts_from_the_first_report_and_falls_while_nothing_happens() -> None:
    begun = step(started_at=0.0).advanced(10, 100, "frames", 50.0)
    assert replace(begun, beat_at=50.0).per_second is None
    on = replace(begun.advanced(30, 100, "frames", 60.0), beat_at=60.0)
    assert on.per_second == 2.0
    assert replace(on, beat_at=70.0).per_second == 1.0


def test_a_step_that_is_not_shown_leaves_no_file_behind(steps: Heartbeats) -> None:
    steps.advance(step().advanced(3, 9, "frames", 1.0))
    assert steps.all() == []


def test_a_half_written_file_is_passed_over(steps: Heartbeats) -> None:
    steps.put(step())
    (steps.folder / "run-3-watch.json").write_text('{"run_id": "run-3"')
    assert [s.run_id for s in steps.all()] == ["run-2"]
    os.utime(steps.folder / "run-2-watch.json", (5.0, 5.0))
    assert steps.all()[0].beat_at == 5.0


def test_what_a_killed_step_left_half_written_goes_and_that_of_others_stays(
    steps: Heartbeats, tmp_path: Path
) -> None:
    worker = subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path)], stdout=subprocess.PIPE)
    assert worker.stdout is not None
    mine = [Path(half) for half in worker.stdout.readline().decode().strip().split("|")]
    table = tmp_path / "tables" / "frames" / "ride.parquet"
    others = [temporary_beside(table), table]
    for path in (*others, mine[1] / "half.jpg"):
        path.write_bytes(b"")
    (living,) = steps.all()
    assert sweep_after(steps.layout, living, ["frames"]) == []
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    (dead,) = steps.dead("ride", time.time())
    assert sorted(sweep_after(steps.layout, dead, ["frames"])) == sorted(mine)
    assert not any(path.exists() for path in mine) and all(path.exists() for path in others)
