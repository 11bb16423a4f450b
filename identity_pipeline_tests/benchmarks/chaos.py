"""Videos dropped at once into a running deployment whose processes are killed at random.

    python -m identity_pipeline_tests.benchmarks.chaos RIDES_FOLDER --videos 30 --kills 20 --seed 0

First the undisturbed run, then the disturbed one, in the same folder, so that both write the same
paths; then everything is compared (`sameness`). Exits with 1 when a video is not done, a byte
differs, a slot stays taken, the progress shown went back, something was made twice, or something
half-written is left.
"""

from __future__ import annotations

import json
import random
import shutil
import statistics
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import dagster as dg
from rich.console import Console
from rich.table import Table

from identity_pipeline.core.progress.shares import State
from identity_pipeline.stages.planning.words import status_json
from identity_pipeline.stages.specs.assets import steps
from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.layout import Layout
from identity_pipeline_tests.benchmarks.killing import Kill, Killer, Victim, plan
from identity_pipeline_tests.benchmarks.operated import Deployment, operated, write_home
from identity_pipeline_tests.benchmarks.rework import Rework
from identity_pipeline_tests.benchmarks.sameness import Compared, compare
from identity_pipeline_tests.benchmarks.services import environment_of, free_port

AT_ONCE = 2
"""Videos at once on this machine: as many as it has cores."""
CHANGES = {"concurrency": {"runs": {"max_concurrent_runs": AT_ONCE + 1}}}
SHORT = {
    "IDENTITY_PIPELINE__VIDEO__ANALYSIS_FPS": "2.5",
    "IDENTITY_PIPELINE__CROPS__CHUNK_FRAMES": "8",
    "IDENTITY_PIPELINE__CROPS__CHUNK_FACES": "8",
    "IDENTITY_PIPELINE__MODELS__RECOGNITION_BATCH": "4",
    "IDENTITY_PIPELINE__MODELS__VISION_BATCH": "8",
    "OMP_NUM_THREADS": "1",
}
"""A ride of a few seconds has several chunks, as one of two minutes has by default; each of two
workers on two cores computes in one thread."""
LINE_S = 20.0
LOOK_S = 4.0
SETTLE_S = 60.0
CALM = "calm.json"
"""Seconds of the undisturbed run, and whether it finished."""


@dataclass
class Disturbance:
    """What is done to a deployment, and what watches it."""

    kills: list[Kill]
    seed: int
    rework: Rework
    killer: Killer | None = None

    def begin(self, deployment: Deployment) -> Killer:
        """Time counts from now."""
        self.killer = Killer(deployment, self.kills, random.Random(self.seed), self.rework)  # noqa: S311
        return self.killer


@dataclass
class Shown:
    """The progress that `status --json` showed, look by look.

    Attributes:
        looks: how many.
        back: the largest step back of the share of a batch, or of a video's count of done steps.
        falls: each step back, in words.
    """

    looks: int = 0
    back: float = 0.0
    falls: list[str] = field(default_factory=list)
    _highest: dict[str, float] = field(default_factory=dict)

    def note(self, value: dict[str, Any]) -> None:
        """Compares a look with all before."""
        self.looks += 1
        figures = {f"batch {b['number']}": b["shares"]["done"] for b in value["batches"]}
        for video in value["videos"]:
            done = [phase["state"] == State.DONE.value for phase in video["phases"]]
            figures[f"steps of {video['name']}"] = sum(done) / len(done)
        for name, share in figures.items():
            before = self._highest.get(name, 0.0)
            if share < before:
                self.back = max(self.back, before - share)
                self.falls.append(f"look {self.looks}: {name} from {before:.4f} to {share:.4f}")
            self._highest[name] = max(before, share)


@dataclass
class Outcome:
    """What became of one run of all videos."""

    seconds: float
    finished: bool
    shown: Shown
    killed: list[Victim]
    planned: int
    videos: dict[str, str]
    runs: Counter[str]
    retries: int
    slots: dict[str, int]
    open_runs: int
    temporary: list[str]
    chunks_left: int
    notes_left: int
    peaks: dict[str, float]
    index: str
    launch_s: float


@dataclass
class Course:
    """Drops the videos and looks on until the library has them all."""

    deployment: Deployment
    videos: int
    killer: Killer | None
    shown: Shown = field(default_factory=Shown)
    peaks: dict[str, float] = field(default_factory=dict)
    done: bool = False
    _started: float = field(default_factory=time.monotonic)
    _line: float = 0.0

    def look(self) -> None:
        """One look at the progress; kills what is due."""
        seen = self.deployment.status()
        self.shown.note(status_json(seen))
        done = sum(video.count(State.DONE) for video in seen.videos)
        share = done / (self.videos * len(steps()))
        for role, size in self.deployment.memory_mb().items():
            self.peaks[role] = max(self.peaks.get(role, 0.0), size)
        all_done = [video.state for video in seen.videos].count(State.DONE) == self.videos
        self.done = (
            all_done
            and seen.library.state in (State.DONE, State.WAITING)
            and not self.deployment.open_runs()
            and (self.killer is None or self.killer.finished or self.killer.idle)
        )
        now = time.monotonic()
        if now - self._line >= LINE_S or self.done:
            self._line = now
            states = Counter(video.state.value for video in seen.videos)
            said = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
            kills = f", {len(self.killer.done)} kills" if self.killer else ""
            print(
                f"  {now - self._started:6.0f} s  {100 * share:5.1f} % of the steps{kills}; {said}"
            )
        if self.killer:
            self.killer.look(share)


def run_all(
    root: Path, rides: list[Path], deadline_s: float, disturbance: Disturbance | None = None
) -> Outcome:
    """Starts a deployment, drops the rides, and waits until all is done or the deadline is over."""
    started = time.monotonic()
    with operated(root, changes=CHANGES, environment=SHORT, pools={"gpu": AT_ONCE}) as deployment:
        deployment.drop(rides)
        killer = disturbance.begin(deployment) if disturbance else None
        course = Course(deployment, len(rides), killer)
        finished = deployment.wait_until(lambda: course.done, deadline_s, LOOK_S, course.look)
        seconds = time.monotonic() - started
        deployment.wait_until(lambda: not any(deployment.slots_taken().values()), SETTLE_S, LOOK_S)
        course.shown.note(json.loads(deployment.command("status", "--json")))
        return _outcome(deployment, course, seconds, finished)


def _outcome(deployment: Deployment, course: Course, seconds: float, finished: bool) -> Outcome:
    runs, killer = deployment.runs(), course.killer
    layout = deployment.layout
    temporary = [p for p in layout.root.rglob(f"{atomic.TEMPORARY_MARK}*") if p.exists()]
    return Outcome(
        seconds,
        finished,
        course.shown,
        [victim for _, victim, _ in killer.done] if killer else [],
        len(killer.kills) if killer else 0,
        {video.name: video.state.value for video in deployment.status().videos},
        Counter(run.status.value for run in runs),
        sum("dagster/retry_number" in run.tags for run in runs),
        deployment.slots_taken(),
        len(deployment.open_runs()),
        sorted(path.relative_to(layout.root).as_posix() for path in temporary),
        len(list((layout.root / "chunks").glob("*/*/*"))),
        len(list((layout.root / "failures").glob("*.json"))),
        course.peaks,
        " ".join(deployment.command("index", "check").split()),
        _launching(deployment),
    )


def _launching(deployment: Deployment) -> float:
    """Median seconds from leaving the queue to the first step, of runs that succeeded."""
    with deployment.instance() as instance:
        runs = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS]))
        stats = [instance.get_run_stats(run.run_id) for run in runs]
    return statistics.median(
        s.start_time - s.launch_time for s in stats if s.start_time and s.launch_time
    )


def failures(wild: Outcome, same: Compared, rework: Rework) -> list[str]:
    """What was promised and is not so."""
    done = Counter(wild.videos.values())
    rules = {
        "the disturbed run did not finish": not wild.finished,
        f"videos that are not done: {dict(done)}": set(done) - {"done"},
        f"only {len(wild.killed)} kills": len(wild.killed) < wild.planned,
        f"files differ: {', '.join(same.different[:10])}": same.different,
        f"the library says otherwise: {same.library_different}": same.library_different,
        f"progress went back: {'; '.join(wild.shown.falls[:5])}": wild.shown.back > 0,
        f"slots stay taken: {wild.slots}": any(wild.slots.values()),
        f"{wild.open_runs} runs are left as started": wild.open_runs,
        f"half-written: {', '.join(wild.temporary[:10])}": wild.temporary,
        f"{wild.chunks_left} folders of chunks are left": wild.chunks_left,
        f"{wild.notes_left} notes of failures are left": wild.notes_left,
        f"chunks made twice: {rework.again('chunks/')[:5]}": rework.again("chunks/"),
        f"chunks lost: {sorted(rework.lost)[:5]}": rework.lost,
        f"outputs made twice: {rework.again('tables/')[:5]}": rework.again("tables/"),
        f"exports made twice: {rework.again('output/')[:5]}": rework.again("output/"),
    }
    return [sentence for sentence, holds in rules.items() if holds]


def figures(calm: str, wild: Outcome, same: Compared, rework: Rework) -> Table:
    """All that was counted."""
    by = Counter(wild.killed)
    rows: dict[str, object] = {
        "videos done": f"{Counter(wild.videos.values())['done']} of {len(wild.videos)}",
        "kills": f"{len(wild.killed)}: " + ", ".join(f"{n} {who}" for who, n in by.items()),
        "wall, undisturbed": calm,
        "wall, disturbed": f"{wild.seconds:.0f} s",
        "runs by status": ", ".join(f"{n} {status}" for status, n in sorted(wild.runs.items())),
        "of these retries": wild.retries,
        "runs left as started": wild.open_runs,
        "slots taken at the end": wild.slots,
        "looks at the progress": wild.shown.looks,
        "largest step back": wild.shown.back,
        "outputs made": f"{rework.count('tables/')}, again {len(rework.again('tables/'))}",
        "exports made": f"{rework.count('output/')}, again {len(rework.again('output/'))}",
        "chunks seen": f"{rework.count('chunks/')}, again {len(rework.again('chunks/'))}",
        "chunks that killed runs left": f"{len(rework.left_behind)}, lost {len(rework.lost)}",
        "half-written files left": len(wild.temporary),
        "chunks, notes of failures left": f"{wild.chunks_left}, {wild.notes_left}",
        "files that are the same bytes": (
            f"{same.files}: {same.tables} tables, {same.images} of exports; "
            f"different {len(same.different)}"
        ),
        "library: same bytes": ", ".join(same.library_bytes) or "none",
        "library: same but for the numbers of clusters": ", ".join(same.library_rows) or "none",
        "index against tables": wild.index,
        "launching a run, median": f"{wild.launch_s:.1f} s",
        "memory, peak by role": ", ".join(f"{r} {mb:.0f} MB" for r, mb in wild.peaks.items()),
    }
    table = Table(title="Killed at random", title_justify="left", show_header=False)
    for name, value in rows.items():
        table.add_row(name, str(value))
    return table


def _calm(live: Path, chosen: list[Path], deadline_s: float) -> tuple[float, bool, str]:
    done = run_all(live, chosen, deadline_s)
    return done.seconds, done.finished, "deployment"


def _by_command(live: Path, chosen: list[Path]) -> tuple[float, bool, str]:
    """One process does it all, one video after the other: much quicker where cores are few."""
    deployment, started = Deployment(live.resolve(), ""), time.monotonic()
    variables = {
        "IDENTITY_PIPELINE__PATHS__DATA": str(deployment.layout.root),
        "DAGSTER_HOME": str(live / "home"),
        **SHORT,
    }
    write_home(live, CHANGES, free_port())
    with environment_of(variables):
        files = deployment.drop(chosen)
        deployment.command("run", *map(str, files), timeout_s=3600.0)
    return time.monotonic() - started, True, "command run"


@click.command(help=(__doc__ or "").split("\n\n")[0])
@click.argument("rides", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--videos", default=30, show_default=True)
@click.option("--kills", default=20, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--work", type=click.Path(path_type=Path), help="Where to work; kept.")
@click.option("--by-command", is_flag=True, help="Undisturbed: `run`, in one process.")
@click.option("--keep-reference", is_flag=True, help="Take the undisturbed run that WORK holds.")
@click.option("--deadline-s", default=3600.0, show_default=True, help="Of each of the two.")
def main(
    rides: Path,
    videos: int,
    kills: int,
    seed: int,
    work: Path | None,
    by_command: bool,
    keep_reference: bool,
    deadline_s: float,
) -> None:
    """Runs both and compares."""
    console = Console()
    chosen = sorted(rides.rglob("*.mp4"))[:videos]
    if len(chosen) < videos:
        raise click.UsageError(f"{rides} holds {len(chosen)} rides only.")
    with tempfile.TemporaryDirectory(prefix="chaos-") as temporary:
        place = (work or Path(temporary)).resolve()
        live, reference = place / "live", place / "reference"
        console.print(
            f"{videos} videos, {AT_ONCE} at once; {CHANGES}; {SHORT}; everything else as in "
            "dagster.yaml and the settings",
            soft_wrap=True,
            highlight=False,
        )
        if not (keep_reference and (reference / CALM).is_file()):
            for folder in (live, reference):
                shutil.rmtree(folder, ignore_errors=True)
            how = "by the command `run`, in one process" if by_command else "in a deployment"
            print(f"Undisturbed, {how}:")
            calm = _by_command(live, chosen) if by_command else _calm(live, chosen, deadline_s)
            live.rename(reference)
            (reference / CALM).write_text(json.dumps(calm))
        calm_s, calm_finished, calm_by = json.loads((reference / CALM).read_text())
        shutil.rmtree(live, ignore_errors=True)
        print("Disturbed:")
        with Rework(Layout(live / "data")) as rework:
            disturbance = Disturbance(plan(kills, random.Random(seed)), seed, rework)  # noqa: S311
            wild = run_all(live, chosen, deadline_s, disturbance)
        same = compare(reference / "data", live / "data")
        wrong = failures(wild, same, rework)
        wrong += [] if calm_finished else ["the undisturbed run did not finish"]
        console.print(figures(f"{calm_s:.0f} s ({calm_by})", wild, same, rework))
    for sentence in wrong:
        print(f"FAILED: {sentence}")
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
