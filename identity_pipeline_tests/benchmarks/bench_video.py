"""Speed of the per-video job against its bare parts and against a user's own loop.

One run on one clip. The bare parts are decoding and each network on the inputs that the pipeline
gave it, in the same batches and nothing else. With `--production-size` the pack's detector and
recogniser sit inside random networks of the size that people use (`sized_nets`): what is found is
the pack's, what is paid is both. Times on the clock depend on what else the machine
does, so processor time of this process is measured beside them, and both ratios are printed.
"""

from __future__ import annotations

import gc
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import click
from rich.console import Console

from identity_pipeline import process_memory
from identity_pipeline.settings import load_settings
from identity_pipeline_tests.benchmarks import long_videos, material, parts, reach, report
from identity_pipeline_tests.benchmarks.pipeline_run import (
    Instance,
    PipelineRun,
    load_models,
    run_pipeline,
    settings_groups,
)
from identity_pipeline_tests.benchmarks.recording import Calls, by_step, recorded
from identity_pipeline_tests.benchmarks.report import BarePart, Measurement
from identity_pipeline_tests.benchmarks.timing import Sample, measured

TRYING = "ride_video"
"""The step that runs each network once on a blank picture, so that faults show: no bare part."""


def measure(
    video: Path,
    models: Path,
    vision: Path,
    rounds: int,
    kind: Instance,
    analysis_fps: float | None,
    with_users_loop: bool,
    say: Callable[[str], None],
) -> Measurement:
    """Loads, warms and records once, then measures everything `rounds` times in turn.

    Args:
        video: the clip.
        models: folder of the face pack.
        vision: folder of the vision encoder.
        rounds: how often; every second round runs backwards.
        kind: where Dagster keeps its events.
        analysis_fps: sampled frames per second; None takes the setting.
        with_users_loop: whether to run the loop of a user as well.
        say: told what is being done.
    """
    process_memory.settle_in()  # as a worker does
    groups = settings_groups(models, vision, analysis_fps)
    settings = load_settings(**groups)
    fps = settings.video.analysis_fps
    say("loading the models")
    with measured() as loading:
        hub = load_models(settings)
    # The detector makes the session of its input size when it first sees a frame.
    for frame in parts.decoded_frames(video, limit=1):
        hub.face_pack.detect(frame)
    say("one run of the job to warm up and to record what the networks are given")
    with recorded(hub) as made, measured() as warming:
        windows = run_pipeline(video, hub, groups, kind).windows
    process_memory.give_back()
    gc.freeze()  # as a worker does behind its first run
    calls = [one for one in by_step(made, windows) if one.step != TRYING]
    tasks = ["detection", "recognition", hub.face_pack.landmark_task or "detection"]
    size, score = settings.models.det_size, settings.models.det_score_min
    app = parts.users_app(models, tasks, size, score) if with_users_loop else None

    bare: dict[str, list[Sample]] = {"decoding": [], **{_of(c): [] for c in calls}}
    runs: list[PipelineRun] = []
    loops: list[parts.Looped] = []
    decoded = parts.Decoded(0, 0)

    def decode() -> None:
        nonlocal decoded
        with measured() as sample:
            decoded = parts.decode_alone(video, fps)
        bare["decoding"].append(sample)

    def replay(one: Calls) -> None:
        with measured() as sample:
            one.replay()
        bare[_of(one)].append(sample)

    jobs: list[tuple[str, Callable[[], object]]] = [("decoding alone", decode)]
    jobs += [(f"{_of(one)} alone", partial(replay, one)) for one in calls]
    jobs.append(("the job", lambda: runs.append(run_pipeline(video, hub, groups, kind))))
    if app is not None:
        jobs.append(
            ("the user's loop", lambda: loops.append(parts.users_loop(video, app, fps, hub.vision)))
        )
    for number in range(rounds):
        for name, job in jobs if number % 2 == 0 else jobs[::-1]:
            say(f"round {number + 1} of {rounds}: {name}")
            job()
    found = [BarePart("decoding", "watch", decoded.frames, "1 pass", bare["decoding"])]
    found += [BarePart(c.name, c.step, c.items, c.batches, bare[_of(c)]) for c in calls]
    return Measurement(decoded, fps, loading, warming, found, runs, loops)


def _of(calls: Calls) -> str:
    return f"{calls.name} of {calls.step}"


@click.command(help=(__doc__ or "").split("\n\n")[0])
@click.option("--video", type=Path, help="Clip. Default: ride_duo_a.mp4 of the real material.")
@click.option("--models", type=Path, help="Face pack folder. Default: that of the real material.")
@click.option(
    "--production-size",
    is_flag=True,
    help="The pack's nets inside SCRFD-10G and ArcFace's ResNet-50, with random weights.",
)
@click.option("--vision", type=Path, help="Encoder folder. Default: random, DINOv2-small's size.")
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Repetitions; medians are printed.",
)
@click.option("--seconds", default=0.0, help="Use only the beginning of the clip; 0: all of it.")
@click.option("--minutes", default=0.0, help="Show the clip again and again for so long, in 1080p.")
@click.option("--analysis-fps", type=float, help="Sampled frames per second. Default: the setting.")
@click.option(
    "--instance",
    "kind",
    type=click.Choice(["ephemeral", "sqlite"]),
    default="ephemeral",
    show_default=True,
    help="Where Dagster keeps its events.",
)
@click.option("--users-loop/--no-users-loop", default=True, show_default=True)
@click.option("--json", "json_file", type=Path, help="Also write all samples to this file.")
def main(
    video: Path | None,
    models: Path | None,
    production_size: bool,
    vision: Path | None,
    rounds: int,
    seconds: float,
    minutes: float,
    analysis_fps: float | None,
    kind: Instance,
    users_loop: bool,
    json_file: Path | None,
) -> None:
    """Measures and prints."""
    console = Console(width=max(100, Console().width))
    clip, pack = material.video_or_default(video), material.models_or_default(models)
    with tempfile.TemporaryDirectory(prefix="bench-material-") as name:
        if production_size:
            pack = material.of_production_size(pack, Path(name))
        encoder = vision.resolve() if vision else material.random_vision(Path(name) / "vision")
        if seconds:
            clip = parts.shortened(clip, seconds, Path(name) / f"first-{seconds:g}s-{clip.name}")
        if minutes:
            clip = long_videos.long_video(clip, Path(name), minutes)
        found = measure(
            clip,
            pack,
            encoder,
            rounds,
            kind,
            analysis_fps,
            users_loop,
            lambda text: click.echo(f"... {text}", err=True),
        )
    size = "of production size" if production_size else "as they are"
    title = f"{clip.name}, nets {size}, {os.cpu_count()} cores, Dagster on {kind}, rounds: {rounds}"
    for table in report.tables(found, title):
        console.print(table)
    for line in report.verdict(found):
        console.print(line)
    if json_file:
        told = {**asdict(found), **report.ratios(found)}
        told |= reach.as_json([*report.rows(found, f"{clip.name}, nets {size}")])
        json_file.write_text(json.dumps(told, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
