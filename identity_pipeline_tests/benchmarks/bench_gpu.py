"""One GPU kept busy: the whole job, and its pass, on a ride of two riders in 1080p.

Where CUDA is there the networks run on it. A random SCRFD-10G and a random ResNet-50 of ArcFace sit
inside the given pack's own nets (`sized_nets`): what is found is the pack's, what is paid is both,
and the vision encoder is a random DINOv2-small. Told are how much faster than real time the job is,
how busy the GPU is in the pass, by the driver's counter (`gpu_meter`) and by the time inside the
networks' calls, and what this process holds of its memory.

Without a GPU, timed stand-ins (`stand_ins`) take the networks' place, on a new GPU and an old one:
everything else of the job is real.

A ride is made of the clip shown again and again, at 30 frames a second. Timed are the job, the pass
alone, and the pass with its frames at hand, as if another chip decoded them. What bounds each is
told by the GPU's share of the pass, and by the processor seconds of a ride: divided by a twentieth
of its length they are the cores that twenty times real time needs. What a GPU makes of each network
alone: `benchmarks.gpu`.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from identity_pipeline.media.video import SampledFrame, sampled_frames
from identity_pipeline.models import onnx_runtime
from identity_pipeline.models.device import CUDA, torch_device
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.settings import Settings, load_settings
from identity_pipeline.stages.video import detect
from identity_pipeline.storage.video.chunks import ChunkStore
from identity_pipeline_tests.benchmarks import gpu_meter, material, parts, reach
from identity_pipeline_tests.benchmarks.gpu_meter import Meter, Reading
from identity_pipeline_tests.benchmarks.long_videos import long_video
from identity_pipeline_tests.benchmarks.pipeline_run import (
    load_models,
    run_pipeline,
    settings_groups,
)
from identity_pipeline_tests.benchmarks.stand_ins import CARDS, Card, Gpu, noted, standing_in
from identity_pipeline_tests.benchmarks.timing import Sample, measured

TIMES, BUSY, MEMORY_MB = 20, 0.7, 4096
"""The reach: times real time, the share of the pass in which the GPU computes, its memory."""


@dataclass(frozen=True)
class Timed:
    """One timed run.

    Attributes:
        name: what ran.
        took: on the clock and of the processor.
        gpu: seconds of it inside the networks' calls; of stand-ins, that the GPU was held.
        busy: their share of the pass, from its first call of the detector to the end of its last.
        learnt: pictures of which nothing was remembered: they were computed in this run.
        readings: what the driver said meanwhile.
    """

    name: str
    took: Sample
    gpu: float
    busy: float
    learnt: int = 0
    readings: tuple[Reading, ...] = ()


@contextmanager
def timed(name: str, gpu: Gpu, found: list[Timed], meter: Meter | None = None) -> Iterator[None]:
    """Times a block, and notes it."""
    gpu.forget_times()
    began = time.perf_counter()
    with gpu_meter.watched(meter) as readings, measured() as took:
        yield
    # Calls of a detector that keeps to one frame are not told from others: the block is the pass.
    calls = sorted(gpu.detected) or [(began, began + took.wall)]
    window = calls[0][0], calls[-1][1]
    held = gpu.busy((began, began + took.wall))
    share = gpu.busy(window) / (window[1] - window[0])
    found.append(Timed(name, took, held, share, gpu.learnt, tuple(readings)))


def no_gpu(runtime: onnx_runtime.OnnxRuntime, torch_on: str) -> str:
    """Why the networks cannot run on a GPU here; empty where they can.

    Args:
        runtime: what a small network ran on.
        torch_on: torch's device.
    """
    if runtime.provider != CUDA:
        said = runtime.fault or f"ONNX Runtime runs on {runtime.provider}"
        return f"no GPU is here: {said.rstrip('.')}"
    return "" if torch_on == "cuda" else "no GPU is here: torch sees no CUDA device"


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
    """Records what the networks say, then times the runs with stand-ins."""
    groups: dict[str, Any] = settings_groups(models, vision, None)
    groups["models"] |= {"detection_batch": 8}
    settings = load_settings(**groups)
    gpu, found = Gpu(), []
    with standing_in(gpu, settings.models.vision_batch):
        hub = load_models(settings)
        click.echo("... one run of the job to record what the networks say", err=True)
        run_pipeline(ride, hub, groups)
        gpu.card = card
        _job_and_pass(ride, hub, groups, gpu, found, folder)
        with frames_at_hand(ride, settings, 60):
            for gpu.card in CARDS.values():
                with timed(f"frames at hand, {gpu.card.name}", gpu, found):
                    the_pass(ride, hub, settings, folder)
    return found


def measure_real(
    ride: Path, models: Path, vision: Path, meter: Meter | None, folder: Path
) -> tuple[list[Timed], dict[str, str]]:
    """Times the runs with networks of production size on the GPU; also what runs each of them."""
    groups: dict[str, Any] = settings_groups(
        material.of_production_size(models, folder), vision, None
    )
    groups["models"] |= {"device": "cuda"}
    settings = load_settings(**groups)
    gpu, found = Gpu(), []
    with noted(gpu):
        hub = load_models(settings)
        click.echo("... one run of the job that is not counted", err=True)
        run_pipeline(ride, hub, groups)
        _job_and_pass(ride, hub, groups, gpu, found, folder, meter)
        with frames_at_hand(ride, settings, 60), timed("frames at hand", gpu, found, meter):
            the_pass(ride, hub, settings, folder)
    return found, hub.providers("face_pack")


def _job_and_pass(
    ride: Path,
    hub: ModelHub,
    groups: dict[str, Any],
    gpu: Gpu,
    found: list[Timed],
    folder: Path,
    meter: Meter | None = None,
) -> None:
    click.echo("... the job, the pass, the pass with its frames at hand", err=True)
    settings = load_settings(**groups)
    with timed("the job", gpu, found, meter):
        run_pipeline(ride, hub, groups)
    with timed("the pass", gpu, found, meter):
        the_pass(ride, hub, settings, folder)
    with measured() as decoding:
        parts.decode_alone(ride, settings.video.analysis_fps)
    found.append(Timed("decoding alone", decoding, 0.0, 0.0))


def rows(found: list[Timed], seconds: float, card: Card, why: str) -> list[reach.Row]:
    """What is to be reached, and what is, with stand-ins.

    Args:
        found: result of `measure`.
        seconds: length of the ride.
        card: of the job and the pass.
        why: no GPU is here.
    """
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
            f"{why}; {os.cpu_count()} cores: a ride costs {job.took.cpu:.1f} s of the processor "
            f"({decoding.took.cpu:.1f} s decoding, {at_hand[0].took.cpu:.1f} s around the "
            f"detector) and {job.gpu:.1f} s of the GPU; in {allowed:.1f} s that asks for "
            f"{cores:.0f} cores at least, {bare:.0f} where a chip decodes",
        )
    ]


def real_rows(
    found: list[Timed], seconds: float, on: str, meter: Meter | None, before: Reading | None
) -> list[reach.Row]:
    """What is to be reached, and what is, on a GPU.

    Args:
        found: result of `measure_real`.
        seconds: length of the ride.
        on: the GPU, and what runs each network.
        meter: what was asked; None: there was nothing.
        before: a reading from before this process used the GPU.
    """
    job, alone, decoding, at_hand = found
    ride, times = f"a {seconds:.0f} s 1080p30 ride with two riders", seconds / job.took.wall
    busy = gpu_meter.busy([*alone.readings])
    every = [reading for run in found for reading in run.readings]
    memory = gpu_meter.memory_mb(every, before) if before else None
    asked = meter.name if meter else "neither NVML nor nvidia-smi is here"
    counted = "not read" if busy is None else f"{busy:.0%}"
    held = "not read" if memory is None else f"{memory / 1024:.1f} GB"
    cost = (
        f"{on}; {os.cpu_count()} cores: a ride costs {job.took.cpu:.1f} s of the processor "
        f"({decoding.took.cpu:.1f} s decoding) and {job.gpu:.1f} s inside the networks' calls"
    )
    return [
        reach.Row(f"{ride} on one GPU", f"≥ {TIMES} × real time", f"{times:.1f} × real time",
                  times >= TIMES, cost),
        reach.Row(
            f"{ride}: the GPU in the pass",
            f"≥ {BUSY:.0%} busy",
            f"{counted} by its counter ({asked}); {alone.busy:.0%} inside the networks' calls, "
            f"{at_hand.busy:.0%} with frames at hand",
            None if busy is None else busy >= BUSY,
            f"the pass takes {alone.took.wall:.1f} s, decoding alone {decoding.took.wall:.1f} s",
        ),
        reach.Row(f"{ride}: memory of the GPU", f"≤ {MEMORY_MB // 1024} GB", held,
                  None if memory is None else memory <= MEMORY_MB, asked),
    ]  # fmt: skip


def table(found: list[Timed], seconds: float, title: str) -> Table:
    """All figures."""
    told = Table(title=title)
    for column in ("run", "s on the clock", "× real time", "processor s", "networks' calls s",
                   "their share of the pass", "counter", "not remembered"):  # fmt: skip
        told.add_column(column)
    for one in found:
        busy = gpu_meter.busy([*one.readings])
        counter = "" if busy is None else f"{busy:.0%}"
        held = [f"{one.gpu:.1f}", f"{one.busy:.0%}", counter, str(one.learnt)] if one.gpu else []
        told.add_row(one.name, f"{one.took.wall:.1f}", f"{seconds / one.took.wall:.1f}",
                     f"{one.took.cpu:.1f}", *held)  # fmt: skip
    return told


def _card_name() -> str:
    import torch

    return torch.cuda.get_device_name()


@click.command(help=(__doc__ or "").split("\n\n", maxsplit=1)[0])
@click.option("--video", type=Path, help="Clip. Default: ride_duo_a.mp4 of the real material.")
@click.option("--models", type=Path, help="Face pack folder. Default: that of the real material.")
@click.option("--minutes", default=2.0, show_default=True, help="Length of the ride.")
@click.option("--card", type=click.Choice(list(CARDS)), default="new", show_default=True,
              help="Which GPU stand-ins stand for, where none is here.")  # fmt: skip
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
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # as the driver counts
    meter = gpu_meter.meter_here()
    before = meter.read() if meter else None
    why = no_gpu(onnx_runtime.look("auto"), torch_device("auto"))
    title, seconds = f"{clip.name}, {minutes:g} min in 1080p30; ", 60 * minutes
    with tempfile.TemporaryDirectory(prefix="bench-gpu-") as name:
        folder = work or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        ride = long_video(clip, folder, minutes)
        vision = material.random_vision(folder / "vision")
        if why:
            click.echo(f"... {why}; timed stand-ins take the networks' place", err=True)
            found = measure(ride, pack, vision, CARDS[card], Path(name))
            told = rows(found, seconds, CARDS[card], why)
            title += f"GPU: {CARDS[card].name} ({CARDS[card].source})"
        else:
            found, providers = measure_real(ride, pack, vision, meter, Path(name))
            on = "; ".join([_card_name(), *(f"{net}: {by}" for net, by in providers.items())])
            told = real_rows(found, seconds, on, meter, before)
            title += f"GPU: {on}"
    console = Console(width=max(100, Console().width))
    console.print(table(found, seconds, title))
    for row in told:
        console.print(f"{row.what}: {row.here}. {row.why}.")
    if json_file:
        runs = [asdict(one) for one in found]
        json_file.write_text(json.dumps({"runs": runs, **reach.as_json(told)}, indent=1))


if __name__ == "__main__":
    main()
