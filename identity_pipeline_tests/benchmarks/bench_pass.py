"""The pass over the pixels against its bare parts: decoding, and the detector on the same inputs.

The parts run one after the other, each with all the threads it takes, which is what a loop of them
would need at the least; the pass overlaps them, and does everything else besides. Rounds are
interleaved, and the best of each is compared.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from identity_pipeline import process_memory
from identity_pipeline.models import scrfd
from identity_pipeline.models.face_pack import FacePack
from identity_pipeline.settings import Settings, load_settings
from identity_pipeline.stages.video.detect import detect_video
from identity_pipeline.storage.video.chunks import ChunkStore
from identity_pipeline_tests.benchmarks import material, parts
from identity_pipeline_tests.benchmarks.reach import Row, as_json
from identity_pipeline_tests.benchmarks.timing import Sample, measured

INPUTS = 16
"""Different inputs that the detector is given in turn."""
REACH = 1.1


def _detector_alone(video: Path, pack: FacePack, settings: Settings) -> Callable[[int], None]:
    """Runs the bare network so often, on inputs of the video."""
    model = vars(pack)["_models"]["detection"]
    side = settings.models.det_size
    size = scrfd.input_size(model, (side, side))
    frames = parts.decoded_frames(video, INPUTS)
    blobs = [scrfd.blob_of(model, scrfd.scaled(frame, size)[0], size) for frame in frames]
    session = model._session_for_input_size(size)

    def run(times: int) -> None:
        for n in range(times):
            session.run(model.output_names, {model.input_name: blobs[n % len(blobs)]})

    return run


def _passed(video: Path, pack: FacePack, settings: Settings) -> tuple[int, int]:
    """Sampled frames and faces of one pass, chunks and tracklets included."""
    with tempfile.TemporaryDirectory(prefix="bench-pass-") as folder:
        seen = detect_video(video, ChunkStore(Path(folder) / "chunks"), pack, settings, None)
    return seen.frames.height, seen.face_detections.height


def _best(samples: list[Sample]) -> Sample:
    return Sample(
        min(one.wall for one in samples),
        min(one.cpu for one in samples),
        min((one.others for one in samples if one.others is not None), default=None),
    )


@click.command(help=(__doc__ or "").split("\n\n")[0])
@click.option("--video", type=Path, help="Clip. Default: ride_duo_a.mp4 of the real material.")
@click.option("--models", type=Path, help="Face pack folder. Default: that of the real material.")
@click.option("--rounds", default=2, show_default=True, help="The best of so many is taken.")
@click.option("--json", "json_file", type=Path, help="Also write all samples to this file.")
def main(video: Path | None, models: Path | None, rounds: int, json_file: Path | None) -> None:
    """Measures and prints."""
    process_memory.settle_in()  # as a worker does
    clip, pack_folder = material.video_or_default(video), material.models_or_default(models)
    settings = load_settings(models={"face_pack": str(pack_folder), "device": "cpu"})
    pack = FacePack(settings.models)
    pack.open()
    alone = _detector_alone(clip, pack, settings)
    frames, faces = _passed(clip, pack, settings)
    jobs: dict[str, Callable[[], object]] = {
        "decoding alone": lambda: parts.decode_alone(clip, settings.video.analysis_fps),
        "the detector alone": lambda: alone(frames),
        "the pass": lambda: _passed(clip, pack, settings),
    }
    samples: dict[str, list[Sample]] = {name: [] for name in jobs}
    for number in range(max(1, rounds)):
        for name, job in list(jobs.items())[:: 1 if number % 2 == 0 else -1]:
            with measured() as sample:
                job()
            samples[name].append(sample)
    _report(f"{clip.name}: {frames} sampled frames, {faces} faces", samples, json_file)


def _report(title: str, samples: dict[str, list[Sample]], json_file: Path | None) -> None:
    best = {name: _best(each) for name, each in samples.items()}
    *bare, whole = best.values()
    wall, cpu = whole.wall / sum(p.wall for p in bare), whole.cpu / sum(p.cpu for p in bare)
    table = Table(title=f"{title}; {os.cpu_count()} cores", title_justify="left")
    for column in ("what", "wall s", "CPU s", "others' cores"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for name, took in best.items():
        others = "-" if took.others is None else f"{took.others:.1f}"
        table.add_row(name, f"{took.wall:.2f}", f"{took.cpu:.2f}", others)
    console = Console()
    console.print(table)
    console.print(f"pass / bare parts: wall {wall:.2f}, CPU {cpu:.2f}")
    if json_file:
        row = Row(
            "the pass over the pixels against decoding and the detector alone, on the clock",
            f"≤ {REACH:.2f}",
            f"{wall:.2f} (processor time: {cpu:.2f})",
            wall <= REACH,
            "" if wall <= REACH else "what is measured, cut and encoded besides",
        )
        found = {name: [asdict(one) for one in each] for name, each in samples.items()}
        told = {"samples": found, **as_json([row])}
        json_file.write_text(json.dumps(told, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
