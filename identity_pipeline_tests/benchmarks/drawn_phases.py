r"""How far off the phases of drawn rides are, which are known to the frame.

    python -m tools.bundled_models.camera --facekit ARRAYS --camera 7 --rides 28 --seconds 36 \
        --fps 5 --yaw 12 --pitch -8 --out FOLDER
    identity-pipeline --data DATA run FOLDER/*.mp4
    python -m identity_pipeline_tests.benchmarks.drawn_phases DATA --truth FOLDER

Videos of the track are laid on the newest template of the ride, those that it is made of and
others. Printed is by phase how many seconds beginning and end of each drawn stretch are from those
of what was found of that name in it, and how many were not found; what was named so where nothing
was drawn; and the share of frames with the right phase.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import click
import numpy as np

from identity_pipeline.core.ride.course import course_of
from identity_pipeline.core.ride.frame_phases import frame_phases
from identity_pipeline.core.ride.template import follow
from identity_pipeline.stages.video.ride_phases import template_of
from identity_pipeline.storage.cameras.editions import Edition
from identity_pipeline_tests.benchmarks.camera_rides import FOLDER
from identity_pipeline_tests.benchmarks.drawn_rides import Drawn

REACH_S = 0.5
Stretch = tuple[str, float, float]
"""Phase, and from when to when in s."""


def stretches_of(phases: Sequence[str | None], times_s: Sequence[float]) -> list[Stretch]:
    """Runs of one phase; each ends where the next begins, the last with the last frame."""
    found, at = [], 0
    for phase, run in groupby(phases):
        start, at = at, at + len(list(run))
        found.append((phase or "not known", times_s[start], times_s[min(at, len(times_s) - 1)]))
    return found


@dataclass
class Judged:
    """What was off over some videos.

    Attributes:
        edges: s, of every beginning and end but those of the video itself, by phase.
        lost: stretches that nothing of their name overlaps, by phase.
        extra: stretches of a name that overlap no drawn one, by phase.
        right: of each frame, whether its phase is right.
    """

    edges: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    lost: Counter[str] = field(default_factory=Counter)
    extra: Counter[str] = field(default_factory=Counter)
    right: list[bool] = field(default_factory=list)

    def add(self, drawn: Sequence[str], found: Sequence[str | None], times_s: list[float]) -> None:
        """Judges a video by the phases of its frames."""
        self.right += [a == b for a, b in zip(drawn, found, strict=True)]
        meant, told = stretches_of(drawn, times_s), stretches_of(found, times_s)
        for phase, start, end in meant:
            own = [s for s in told if s[0] == phase and s[1] < end and start < s[2]]
            if not own:
                self.lost[phase] += 1
                continue
            if start > times_s[0]:
                self.edges[phase].append(abs(min(s[1] for s in own) - start))
            if end < times_s[-1]:
                self.edges[phase].append(abs(max(s[2] for s in own) - end))
        for phase, start, end in told:
            if not any(s[0] == phase and s[1] < end and start < s[2] for s in meant):
                self.extra[phase] += 1

    def words(self) -> Iterator[str]:
        """Figures by phase, and of all."""
        for phase in sorted(self.edges | self.lost | self.extra):
            off = self.edges.get(phase, [])
            told = "no edge" if not off else f"edges off {_spread(off)}"
            yield (
                f"  {phase}: {told}; {self.lost[phase]} drawn and not found, "
                f"{self.extra[phase]} found where none was drawn"
            )
        every = [off for own in self.edges.values() for off in own]
        if every:
            share = np.mean(np.array(every) <= REACH_S + 1e-6)
            yield f"  all: edges off {_spread(every)}, {share:.1%} within {REACH_S} s"
        yield f"  frames with the right phase: {np.mean(self.right):.1%} of {len(self.right)}"


def _spread(off: Sequence[float]) -> str:
    median, most, worst = np.quantile(off, [0.5, 0.95, 1.0])
    return f"{median:.2f} s (median), {most:.2f} s (95 %), {worst:.2f} s (most), of {len(off)}"


def judged(drawn: Drawn, model: Edition, videos: Sequence[str]) -> Judged:
    """The phases of some videos by a model of their ride."""
    template, phases = template_of(model)
    step_s, result = template.track.course.step_s, Judged()
    for video in videos:
        frames = drawn.store.read("frames", video)
        truth = {row["frame_idx"]: row["phase"] for row in drawn.truth(video)["frames"]}
        found = frame_phases(frames, follow(course_of(frames, step_s), template), phases, step_s)
        times = ((frames["timestamp_ms"] - frames["timestamp_ms"][0]) / 1000).to_list()
        known = [truth[number] for number in frames["frame_idx"]]
        result.add(known, found["phase"].to_list(), times)
    return result


@click.command()
@click.argument("data", type=FOLDER)
@click.option("--truth", required=True, type=FOLDER)
def main(data: Path, truth: Path) -> None:
    """Prints how far off the phases are that the newest model of the ride in DATA tells."""
    drawn = Drawn.of(data, truth)
    model = drawn.ride_model()
    members = set(model.table("ride_members").filter("counts")["video_id"])
    step_s = model.table("ride_usual")["step_s"][0]
    for row in model.table("ride_stretches").iter_rows(named=True):
        start, end = row["start"] * step_s, row["end"] * step_s
        click.echo(f"template: {row['phase']} from {start:.1f} to {end:.1f} s")
    for words, videos in (
        ("that the template is made of", [v for v in drawn.own_videos() if v in members]),
        ("that it is not made of", [v for v in drawn.own_videos() if v not in members]),
    ):
        click.echo(f"{len(videos)} videos {words}:")
        if videos:
            for line in judged(drawn, model, videos).words():
                click.echo(line)


if __name__ == "__main__":
    main()
