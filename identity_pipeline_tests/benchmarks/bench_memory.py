"""Peak memory on long 1080p videos: is it small, and does it grow with the length?

Each case runs in a process of its own. The long files are made once, by repeating the packets of
a clip that was scaled up to 1920 x 1080.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from identity_pipeline_tests.benchmarks import long_videos, material
from identity_pipeline_tests.benchmarks.memory import Peaks

TARGET_MB = 1536
FLAT_MB_PER_MINUTE = 10
"""Tables of a few numbers per face grow by less; pixels that are kept grow by far more."""

MODULE = "identity_pipeline_tests.benchmarks.bench_memory"


def stages_case(video: Path, models: Path, analysis_fps: float, folder: Path) -> dict[str, Any]:
    """The pass, quality and identity embeddings as the assets call them, without Dagster."""
    from identity_pipeline.models.hub import ModelHub
    from identity_pipeline.settings import load_settings
    from identity_pipeline.stages.video import measure
    from identity_pipeline.stages.video.detect import detect_video
    from identity_pipeline.stages.video.witnesses import embed_witnesses
    from identity_pipeline.storage.video.chunks import ChunkStore
    from identity_pipeline.storage.video.crop_archive import CropArchive, take_over
    from identity_pipeline_tests.benchmarks.pipeline_run import settings_groups

    settings = load_settings(**settings_groups(models, Path("unused"), analysis_fps))
    peaks = Peaks()
    pack = ModelHub(settings.models).face_pack
    pack.providers()
    peaks.end("models")
    crops = folder / "crops"
    crops.mkdir()
    expected = round(long_videos.minutes_of(video) * 60 * analysis_fps)
    chunks = ChunkStore(folder / "chunks")
    seen = detect_video(video, chunks, pack, settings, expected, peaks.along)
    take_over(seen.crop_parts, crops)
    peaks.end("watch")
    archive = CropArchive(crops)
    size = (long_videos.WIDTH, long_videos.HEIGHT)
    quality = measure.measure_quality(seen.face_detections, archive, size, settings)
    peaks.end("face_quality")
    embedded = embed_witnesses(seen.face_detections, quality, archive, pack, settings)
    peaks.end("face_embeddings")
    counts = (seen.frames.height, seen.face_detections.height, embedded.height)
    return peaks.result() | dict(zip(("frames", "faces", "embedded"), counts, strict=True))


def job_case(video: Path, models: Path, analysis_fps: float, folder: Path) -> dict[str, Any]:
    """The whole job through Dagster, with a random vision encoder of DINOv2-small's size."""
    from identity_pipeline.settings import load_settings
    from identity_pipeline_tests.benchmarks import pipeline_run

    groups = pipeline_run.settings_groups(
        models, material.random_vision(folder / "vision"), analysis_fps
    )
    peaks = Peaks()
    hub = pipeline_run.load_models(load_settings(**groups))
    peaks.end("models")
    counts = pipeline_run.run_pipeline(video, hub, groups).counts
    peaks.end("the job")
    names = {"frames": "frames", "face_detections": "faces", "identities": "embedded"}
    return peaks.result() | {name: counts[table] for table, name in names.items()}


def _in_own_process(video: Path, models: Path, analysis_fps: float, whole_job: bool) -> Any:
    command = [sys.executable, "-m", MODULE, "--case", str(video), "--models", str(models)]
    command += ["--analysis-fps", str(analysis_fps), "--whole-job" if whole_job else "--stages"]
    started = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False, text=True)
    if done.returncode:
        raise click.ClickException(f"the case of {video.name} failed; its error is above.")
    found = json.loads(done.stdout.splitlines()[-1])
    took = time.perf_counter() - started
    return found | {"minutes": long_videos.minutes_of(video), "took_s": took}


def _table(cases: list[dict[str, Any]], title: str) -> Table:
    table = Table(title=title, title_justify="left")
    steps = list(cases[0]["peak_mb"])
    along = cases[0]["along_mb"]
    headings = ["minutes", "frames", "faces", "took s", *(f"{step}, peak MB" for step in steps)]
    if along:
        headings.append("pass, MB at 1/4, 2/4, 3/4, 4/4")
    for heading in headings:
        table.add_column(heading, justify="right")
    for case in cases:
        cells = [f"{case['minutes']:.1f}", str(case["frames"]), str(case["faces"])]
        cells += [f"{case['took_s']:.0f}", *(f"{case['peak_mb'][step]:.0f}" for step in steps)]
        if along:
            cells.append(", ".join(f"{mb:.0f}" for mb in case["along_mb"]))
        table.add_row(*cells)
    return table


def _verdict(cases: list[dict[str, Any]]) -> list[str]:
    peaks = [max(case["peak_mb"].values()) for case in cases]
    said = [
        f"Peak of the longest: {peaks[-1]:.0f} MB (target: below {TARGET_MB} MB: "
        f"{'met' if peaks[-1] < TARGET_MB else 'missed'})."
    ]
    if len(cases) > 1:
        minutes = cases[-1]["minutes"] - cases[0]["minutes"]
        slope = (peaks[-1] - peaks[0]) / minutes
        flat = "flat" if slope < FLAT_MB_PER_MINUTE else "NOT flat"
        said.append(
            f"Slope from shortest to longest: {slope:.1f} MB per minute of video: {flat} "
            f"(limit {FLAT_MB_PER_MINUTE})."
        )
    return said


@click.command(help=(__doc__ or "").split("\n\n")[0])
@click.option("--video", type=Path, help="Clip to repeat. Default: that of the real material.")
@click.option("--models", type=Path, help="Face pack folder. Default: that of the real material.")
@click.option("--work", type=Path, help="Keeps the long files here. Default: a temporary folder.")
@click.option("--minutes", default="2,5,10", show_default=True, help="Lengths, comma-separated.")
@click.option("--analysis-fps", default=10.0, show_default=True, help="Lower for a quick look.")
@click.option(
    "--whole-job/--stages", default=False, help="The whole job through Dagster, or three stages."
)
@click.option("--json", "json_file", type=Path, help="Also write the figures to this file.")
@click.option("--case", type=Path, hidden=True, help="Run one case in this process.")
def main(
    video: Path | None,
    models: Path | None,
    work: Path | None,
    minutes: str,
    analysis_fps: float,
    whole_job: bool,
    json_file: Path | None,
    case: Path | None,
) -> None:
    """Measures and prints."""
    pack = models.resolve() if models and case else material.models_or_default(models)
    run = job_case if whole_job else stages_case
    with tempfile.TemporaryDirectory(prefix="bench-memory-") as name:
        if case:
            print(json.dumps(run(case, pack, analysis_fps, Path(name))))
            return
        clip = material.video_or_default(video)
        folder = work or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        cases = []
        for length in sorted(float(part) for part in minutes.split(",")):
            click.echo(f"... {length:g} minutes", err=True)
            made = long_videos.long_video(clip, folder, length)
            cases.append(_in_own_process(made, pack, analysis_fps, whole_job))
    what = "the whole job" if whole_job else "pass, quality, identity embeddings"
    console = Console(width=max(130, Console().width))
    console.print(_table(cases, f"Peak memory: {what}; 1080p, {analysis_fps:g} sampled frames/s"))
    for line in _verdict(cases):
        console.print(line)
    if json_file:
        json_file.write_text(json.dumps(cases, indent=1))


if __name__ == "__main__":
    main()
