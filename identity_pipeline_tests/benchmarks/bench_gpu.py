"""One GPU kept busy: the whole job, and its pass, with networks that hold a GPU for a stated time.

Where no GPU is at hand, timed stand-ins (`stand_ins`) take the networks' place: everything else of
the job is real. A ride is made of the clip shown again and again in 1080p, at 30 frames a second.
Timed are the job, the pass alone, and the pass with its frames at hand, as if another chip decoded
them, on a new GPU and an old one. What bounds each is told by the GPU's share of the pass, and by
the processor seconds of a ride: divided by a twentieth of its length they are the cores that twenty
times real time needs. What a real GPU makes of the networks themselves: `benchmarks.gpu`.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from identity_pipeline.media.video import SampledFrame, sampled_frames
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.settings import Settings, load_settings
from identity_pipeline.stages.video import detect
from identity_pipeline.storage.video.chunks import ChunkStore
from identity_pipeline_tests.benchmarks import material, parts, reach
from identity_pipeline_tests.benchmarks.long_videos import long_video
from identity_pipeline_tests.benchmarks.pipeline_run import (
    load_models,
    run_pipeline,
    settings_groups,
)
from identity_pipeline_tests.benchmarks.stand_ins import CARDS, Card, Gpu, standing_in
from identity_pipeline_tests.benchmarks.timing import Sample, measured

TIMES, BUSY = 20, 0.7
"""The reach: times real time, and the share of the pass in which the GPU computes."""


@dataclass(frozen=True)
class Timed:
    """One timed run.

    Attributes:
        name: what ran.
        took: on the clock and of the processor.
        gpu: seconds of it that the GPU was held.
        busy: the share of the pass, from its first call of the detector to the end of its last, in
            which the GPU was held.
        learnt: pictures of which nothing was remembered: they were computed in this run.
    """

    name: str
    took: Sample
    gpu: float
    busy: float
    learnt: int


@contextmanager
def timed(name: str, gpu: Gpu, found: list[Timed]) -> Iterator[None]:
    """Times a block, and notes it."""
    gpu.forget_times()
    with measured() as took:
        yield
    window = gpu.detected[0][0], gpu.detected[-1][1]
    held = sum(ends - began for began, ends in gpu.held)
    share = gpu.busy(window) / (window[1] - window[0])
    found.append(Timed(name, took, held, share, gpu.learnt))


def the_pass(ride: Path, hub: ModelHub, settings: Settings, folder: Path) -> None:
    """Detection of the whole ride, into a folder of its own."""
    with tempfile.TemporaryDirectory(dir=folder) as chunks:
        detect.detect_video(ride, ChunkStore(Path(chunks)), hub.face_pack, settings, None)


@contextmanager
def frames_at_hand(ride: Path, settings: Settings, distinct: int) -> Iterator[None]:
    """Frames of the ride come from memory: the first ones, again and again.

    Args:
        ride: the file.
        settings: sampling.
        distinct: so many frames are kept; the ride repeats itself after them.
    """
    kept: list[SampledFrame] = []
    count = 0
    for frame in sampled_frames(ride, settings.video):
        count += 1
        if len(kept) < distinct:
            kept.append(frame)

    def at_hand(*_: object, **__: object) -> Iterator[SampledFrame]:
        for n in range(count):
            one = kept[n % len(kept)]
            yield SampledFrame(n, n, 100.0 * n, one.bgr, None)

    original = detect.sampled_frames
    detect.sampled_frames = at_hand  # type: ignore[assignment]
    try:
        yield
    finally:
        detect.sampled_frames = original  # type: ignore[assignment]


def measure(ride: Path, models: Path, vision: Path, card: Card, folder: Path) -> list[Timed]:
    """Records what the networks say, then times the runs."""
    groups: dict[str, Any] = settings_groups(models, vision, None)
    groups["models"] |= {"detection_batch": 8}
    settings = load_settings(**groups)
    gpu, found = Gpu(), []
    with standing_in(gpu):
        hub = load_models(settings)
        click.echo("... one run of the job to record what the networks say", err=True)
        run_pipeline(ride, hub, groups)
        gpu.card = card
        click.echo("... the job, the pass, the pass with its frames at hand", err=True)
        with timed("the job", gpu, found):
            run_pipeline(ride, hub, groups)
        with timed("the pass", gpu, found):
            the_pass(ride, hub, settings, folder)
        with measured() as decoding:
            parts.decode_alone(ride, settings.video.analysis_fps)
        found.append(Timed("decoding alone", decoding, 0.0, 0.0, 0))
        with frames_at_hand(ride, settings, 60):
            for gpu.card in CARDS.values():
                with timed(f"frames at hand, {gpu.card.name}", gpu, found):
                    the_pass(ride, hub, settings, folder)
    return found


def rows(found: list[Timed], seconds: float, card: Card) -> list[reach.Row]:
    """What is to be reached, and what is."""
    job, alone, decoding, *at_hand = found
    times, allowed = seconds / job.took.wall, seconds / TIMES
    cores, bare = job.took.cpu / allowed, (job.took.cpu - decoding.took.cpu) / allowed
    shares = ", ".join(f"{one.busy:.0%} ({one.name})" for one in at_hand)
    return [
        reach.Row(
            f"a {seconds:.0f} s 1080p30 ride with two riders on one GPU (timed stand-ins: "
            f"{card.name})",
            "≥ 20 × real time, GPU ≥ 70 % busy in the pass, ≤ 4 GB",
            f"{times:.1f} × real time; GPU busy {alone.busy:.0%} of the pass; {shares}; its memory "
            "is not measured",
            times >= TIMES and alone.busy >= BUSY,
            f"{os.cpu_count()} cores: a ride costs {job.took.cpu:.1f} s of the processor "
            f"({decoding.took.cpu:.1f} s decoding, {at_hand[0].took.cpu:.1f} s around the "
            f"detector) and {job.gpu:.1f} s of the GPU; in {allowed:.1f} s that asks for "
            f"{cores:.0f} cores at least, {bare:.0f} where a chip decodes",
        )
    ]


def table(found: list[Timed], seconds: float, title: str) -> Table:
    """All figures."""
    told = Table(title=title)
    for column in ("run", "s on the clock", "× real time", "processor s", "GPU held s",
                   "GPU busy in the pass", "not remembered"):  # fmt: skip
        told.add_column(column)
    for one in found:
        held = [f"{one.gpu:.1f}", f"{one.busy:.0%}", str(one.learnt)] if one.gpu else ["", "", ""]
        told.add_row(one.name, f"{one.took.wall:.1f}", f"{seconds / one.took.wall:.1f}",
                     f"{one.took.cpu:.1f}", *held)  # fmt: skip
    return told


@click.command(help=(__doc__ or "").split("\n\n", maxsplit=1)[0])
@click.option("--video", type=Path, help="Clip. Default: ride_duo_a.mp4 of the real material.")
@click.option("--models", type=Path, help="Face pack folder. Default: that of the real material.")
@click.option("--minutes", default=2.0, show_default=True, help="Length of the ride.")
@click.option("--card", type=click.Choice(list(CARDS)), default="new", show_default=True)
@click.option("--work", type=Path, help="Folder for the ride, kept. Default: a temporary one.")
@click.option("--json", "json_file", type=Path, help="Also write the figures to this file.")
def main(
    video: Path | None,
    models: Path | None,
    minutes: float,
    card: str,
    work: Path | None,
    json_file: Path | None,
) -> None:
    """Measures and prints."""
    clip, pack = material.video_or_default(video), material.models_or_default(models)
    chosen, console = CARDS[card], Console(width=max(100, Console().width))
    with tempfile.TemporaryDirectory(prefix="bench-gpu-") as name:
        folder = work or Path(name)
        ride = long_video(clip, folder, minutes)
        vision = material.random_vision(folder / "vision")
        found = measure(ride, pack, vision, chosen, Path(name))
    console.print(table(found, 60 * minutes, f"{clip.name}, {minutes:g} min in 1080p30; GPU: "
                        f"{chosen.name} ({chosen.source})"))  # fmt: skip
    told = rows(found, 60 * minutes, chosen)
    for row in told:
        console.print(f"{row.what}: {row.here}. {row.why}.")
    if json_file:
        runs = [asdict(one) for one in found]
        json_file.write_text(json.dumps({"runs": runs, **reach.as_json(told)}, indent=1))


if __name__ == "__main__":
    main()
