"""A twelve-hour day on compressed time, in a real deployment: nothing lost, nothing double.

Videos arrive by a seeded timetable, more of them at noon; one file is broken, one is there twice.
At noon the vision encoder changes, and the operator switches on what brings old videos up to date.
In the afternoon a curator names people on the command line; in the evening, when all rides are in
the library, errs once and takes it back, and names the others. These labels are enough for a
training; at night the nightly jobs run. Code server, daemon, sensors, schedules and run workers are
the real ones; nothing is called by hand but what an operator would do. Sensors tick in real time,
so a video waits longer in hours of the day than it would. Cron knows no compressed time either: the
jobs of the nightly schedules are launched at their hour.

    python -m identity_pipeline_tests.benchmarks.simulated_day RIDES --videos 24 --minutes 22

RIDES is a folder of rendered rides with their truth beside them. Exits with 1 if anything does not
hold. The evening waits for the queue, so on a busy machine the day ends later.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.table import Table

from identity_pipeline.core.progress.shares import State
from identity_pipeline.defs.instance.tags import BY, NIGHT
from identity_pipeline.models.vision_encoder import encoder_sha256
from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.files.hashing import sha256_of_file
from identity_pipeline.storage.library.generations import Generations
from identity_pipeline.storage.video.registry import video_id_for
from identity_pipeline_tests.benchmarks.day.checks import Check, Story, checks
from identity_pipeline_tests.benchmarks.day.computed import Made, counts, materialisations
from identity_pipeline_tests.benchmarks.day.curator import Curator
from identity_pipeline_tests.benchmarks.day.encoder import another_encoder
from identity_pipeline_tests.benchmarks.day.memory import Memory
from identity_pipeline_tests.benchmarks.day.progress import ProgressWatch
from identity_pipeline_tests.benchmarks.day.timetable import Clock, arrivals, shown
from identity_pipeline_tests.benchmarks.operated import BUNDLED, Deployment, operated

NOON: Final = 12.0
BROKEN_AT: Final = 11.3
SITTINGS: Final = ((15.0, 0.25), (17.0, 0.5))
"""(hour, share of the tracks that have names after it)."""
EVENING: Final = 19.0
"""The curator names all the others, once all rides are in the library."""
NIGHTLY_AT: Final = 20.5
RETENTION_AT: Final = 21.25
ENOUGH: Final = 0.7
"""Share of the tracks whose labels ask for a training: reached by the last sitting."""
QUIET_S: Final = 50.0
"""Longer than any sensor but that of trainings waits between two looks."""
DRAIN_S: Final = 1500.0
console = Console(width=150)
Act = tuple[float, str, Callable[[], None]]


def settings_text(encoder: str, tracks: int) -> str:
    """An encoder, and minima that so few rides can reach."""
    wanted = {
        "automatic": "true",
        "retrain_tracks": max(1, round(ENOUGH * tracks)),
        "retrain_people": 1000,
        "people_min": 2,
        "tracks_per_person_min": 1,
        "videos_min": 2,
        "held_out_people_min": 2,
    }
    return "\n".join(
        [
            "[models]",
            f'vision_encoder = "{encoder}"',
            "[train]",
            *(f"{name} = {value}" for name, value in wanted.items()),
            "",
        ]
    )


@dataclass
class Day:
    """What happens, and who does it."""

    story: Story
    clock: Clock
    rides: list[Path]
    settings: Path
    encoder: Path
    rng: random.Random

    @property
    def deployment(self) -> Deployment:
        """What works."""
        return self.story.deployment

    @property
    def tracks(self) -> int:
        """Riders of all rides, by their truth."""
        return sum(len(people_of(ride)) for ride in self.rides)

    def acts(self) -> list[Act]:
        """Everything that happens, by the hour."""
        hours = arrivals(len(self.rides), self.rng)
        found: list[Act] = [
            (hour, f"arrival of {ride.name}", lambda ride=ride: self.arrive(ride))
            for hour, ride in zip(hours, self.rides, strict=True)
        ]
        found += [
            (BROKEN_AT, "a broken file", self.drop_broken),
            (NOON, "another vision encoder", self.change_model),
            (hours[0] + 4.5, "a file that was there already", self.drop_duplicate),
            (EVENING, "evening", self.evening),
            (NIGHTLY_AT, "the night: library and reports", lambda: self.launch("nightly")),
            (RETENTION_AT, "the night: retention", lambda: self.launch("retention")),
        ]
        found += [
            (hour, "labels", lambda share=share: self.label(share)) for hour, share in SITTINGS
        ]
        return sorted(found, key=lambda act: act[0])

    def live(self) -> None:
        """The whole day, and the wait until all work is done."""
        for hour, what, act in self.acts():
            time.sleep(self.clock.until(hour))
            self.tell(what)
            act()
        self.tell("all is quiet" if self.drained() else "still at work, given up")

    def tell(self, what: str) -> None:
        """Notes what happens."""
        open_runs = Counter(str(run.status.value) for run in self.deployment.open_runs())
        queue = ", ".join(f"{n} {status.lower()}" for status, n in sorted(open_runs.items()))
        line = f"{shown(self.clock.hour)}  {what}" + (f"  ({queue})" if queue else "")
        self.story.notes.append(line)
        console.print(line, highlight=False, soft_wrap=True)

    def arrive(self, ride: Path) -> None:
        """One video."""
        self.deployment.drop([ride])
        self.story.rides.append(video_id_for(ride.stem, sha256_of_file(ride)))

    def drop_broken(self) -> None:
        """The first half of a ride, as a copy that broke off leaves it."""
        file = self.deployment.root / "broken_off.mp4"
        whole = self.rides[0].read_bytes()
        file.write_bytes(whole[: len(whole) // 2])
        self.deployment.drop([file])
        self.story.broken = video_id_for(file.stem, sha256_of_file(file))

    def drop_duplicate(self) -> None:
        """The first ride under another name."""
        first = self.rides[0]
        file = self.deployment.root / f"copy_of_{first.name}"
        shutil.copyfile(first, file)
        (self.story.duplicate,) = self.deployment.drop([file])
        self.story.original = video_id_for(first.stem, sha256_of_file(first))

    def change_model(self) -> None:
        """The operator asks what it means, changes the setting, and switches the sensor on."""
        story, store = self.story, self.deployment.store
        plan = json.loads(self.deployment.command("plan", "--json", "--vision", str(self.encoder)))
        steps = Counter(
            step["step"] for v in plan for step in v["steps"]
            if step["verdict"] == "compute" and v["video_id"] in story.rides
        )  # fmt: skip
        story.before_noon = [v for v in story.rides if store.noted("identity_dataset", v)]
        text = settings_text(str(self.encoder), self.tracks)
        story.noon, story.digest = time.time(), encoder_sha256(self.encoder)
        atomic.write_bytes(self.settings, text.encode())
        self.dagster("sensor", "start", "outdated_videos")
        named = ", ".join(f"{step} of {n}" for step, n in steps.items()) or "nothing"
        story.notes.append(f"       the plan: {named} would be computed")

    def label(self, share: float) -> None:
        """A sitting of the curator."""
        given = self.story.curator.sit(round(share * self.tracks))
        self.story.notes.append(f"       {given} tracks named")

    def evening(self) -> None:
        """Waits for the library, errs and takes it back, and names everybody else."""

        def all_in() -> bool:
            current = Generations(self.deployment.layout).current()
            return current is not None and set(self.story.rides) <= current.versions.keys()

        came = self.deployment.wait_until(all_in, DRAIN_S, every_s=3.0)
        erred = self.story.curator.err()
        self.tell(f"{'all' if came else 'not all'} rides are in, {'one' if erred else 'no'} error")
        self.label(1.0)

    def launch(self, job: str) -> None:
        """Asks for a run as the nightly schedule would."""
        by = {"nightly": "nightly_library", "retention": "nightly_retention"}[job]
        tags = {BY: by, "dagster/priority": str(NIGHT)}
        self.dagster("job", "launch", "-j", job, "--tags", json.dumps(tags))

    def dagster(self, *arguments: str) -> None:
        """`dagster ARGUMENTS`, on this deployment."""
        tool = Path(sys.executable).with_name("dagster")
        workspace = str(self.deployment.root / "home" / "workspace.yaml")
        command = [str(tool), *arguments[:2], "-w", workspace, *arguments[2:]]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)

    def drained(self) -> bool:
        """Whether everything came to its end in time."""
        quiet_since = time.monotonic()

        def quiet() -> bool:
            nonlocal quiet_since
            if self.deployment.open_runs():
                quiet_since = time.monotonic()
            if time.monotonic() - quiet_since < QUIET_S:
                return False
            seen = self.deployment.status()
            settled = {State.DONE, State.FAILED, State.WAITING}
            return {whole.state for whole in (*seen.videos, seen.library)} <= settled

        return self.deployment.wait_until(quiet, DRAIN_S + self.clock.until(22.0), every_s=3.0)


def people_of(ride: Path) -> list[str]:
    """Who rides, by the truth file."""
    return json.loads(ride.with_suffix(".truth.json").read_text())["people"]


@contextmanager
def folder_for(given: Path | None) -> Iterator[Path]:
    """The folder that was asked for, or one that is forgotten."""
    if given is not None:
        given.mkdir(parents=True)
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="simulated-day-") as name:
        yield Path(name)


def check_table(found: list[Check]) -> Table:
    """What holds."""
    table = Table(title="When the day is over", title_justify="left")
    for column in ("what must hold", "", "seen"):
        table.add_column(column, overflow="fold")
    for check in found:
        table.add_row(check.name, "holds" if check.passed else "[red]DOES NOT", check.found)
    return table


def count_table(story: Story, made: list[Made]) -> Table:
    """How often each output was computed and reused, and how often after noon."""
    table = Table(
        title=f"Outputs of {len(story.rides)} rides, of which {len(story.before_noon)} were "
        "finished before the model changed",
        title_justify="left",
    )
    for column in ("output", "computed", "reused", "of those finished before: computed after noon"):
        table.add_column(column, justify="left" if column == "output" else "right")
    ours = [m for m in made if m.video_id in story.rides]
    later = [m for m in ours if m.at > story.noon and m.video_id in story.before_noon]
    after = counts(later)
    for asset, (computed, reused) in counts(ours).items():
        table.add_row(asset, str(computed), str(reused), str(after[asset][0]))
    return table


@click.command(help=(__doc__ or "").split("\n\n")[0])
@click.argument("rides", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--videos", default=24, show_default=True, help="How many rides arrive.")
@click.option("--minutes", default=22.0, show_default=True, help="Minutes that the day takes.")
@click.option("--seed", default=6, show_default=True, help="Of the timetable and the new model.")
@click.option("--folder", type=click.Path(path_type=Path), help="Keep everything here.")
def main(rides: Path, videos: int, minutes: float, seed: int, folder: Path | None) -> None:
    """Lives the day, prints what holds."""
    files = sorted(p for p in rides.glob("*.mp4") if p.with_suffix(".truth.json").is_file())
    if len(files) < videos:
        raise click.UsageError(f"{rides} holds {len(files)} rides with their truth, not {videos}.")
    files = files[:videos]
    with folder_for(folder) as root:
        tracks = sum(len(people_of(ride)) for ride in files)
        settings = root / "settings.toml"
        settings.write_text(settings_text(str(BUNDLED / "vision"), tracks))
        rng = random.Random(seed)  # noqa: S311 - a timetable, no secret
        encoder = another_encoder(BUNDLED / "vision", root / "vision_of_noon", seed)
        environment = {"IDENTITY_PIPELINE_SETTINGS": str(settings)}
        with (
            operated(root, environment=environment, budget=3) as deployment,
            Memory(deployment) as memory,
            ProgressWatch(deployment) as progress,
        ):
            story = Story(deployment, Curator(deployment, rides), memory, progress)
            day = Day(story, Clock(minutes), files, settings, encoder, rng)
            day.live()
            with deployment.instance() as instance:
                made = materialisations(instance)
            found = list(checks(story, made))
    for line in story.notes:
        console.print(line, highlight=False, soft_wrap=True)
    console.print(count_table(story, made))
    console.print(check_table(found))
    for refusal in story.curator.refused:
        console.print(refusal, highlight=False, soft_wrap=True)
    failed = sum(not check.passed for check in found)
    took = f"{videos} rides, {minutes:g} minutes for 12 hours, seed {seed}"
    console.print(f"{len(found) - failed} of {len(found)} hold; {took}")
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
