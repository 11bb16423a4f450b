"""What keeping chunks costs, and what taking up a stopped pass saves.

Runs the pass on a ride three times in turn: in chunks as set, in one chunk, and taken up behind
half of its chunks. Also says how long the tracker takes, which is run anew each time.

    python -m identity_pipeline_tests.benchmarks.bench_resume
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

import identity_pipeline
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.models.tracklets import tracklets_of
from identity_pipeline.settings import Settings, load_settings
from identity_pipeline.stages.video.detect import DetectionPass, detect_video
from identity_pipeline.storage.video.chunks import ChunkStore
from identity_pipeline_tests.benchmarks.timing import Sample, measured, median

BUNDLED = Path(identity_pipeline.__file__).parent / "bundled"
ONE_CHUNK = {"chunk_frames": 10**6, "chunk_faces": 10**6}


class TimedStore(ChunkStore):
    """Chunks, and the seconds that keeping them took."""

    seconds = 0.0

    def put(self, number, write):  # type: ignore[no-untyped-def]
        started = time.perf_counter()
        place = super().put(number, write)
        type(self).seconds += time.perf_counter() - started
        return place


def _pass(
    video: Path, hub: ModelHub, settings: Settings, folder: Path
) -> tuple[Sample, DetectionPass]:
    with measured() as sample:
        seen = detect_video(video, TimedStore(folder), hub.face_pack, settings, None)
    return sample, seen


def _half_gone(folder: Path) -> None:
    places = sorted(path for path in folder.iterdir() if path.is_dir())
    for place in places[len(places) // 2 :]:
        shutil.rmtree(place)


def _tracking(seen: DetectionPass, settings: Settings) -> Sample:
    untracked = seen.face_detections.drop("tracklet_id")
    with measured() as sample:
        tracklets_of(
            seen.frames, untracked, settings.tracking, settings.video.analysis_fps,
            settings.models.det_score_min,
        )  # fmt: skip
    return sample


@click.command(help=(__doc__ or "").split("\n\n")[0])
@click.option("--video", type=Path, default=BUNDLED / "rides" / "demo_duo_a.mp4")
@click.option("--models", default="open", show_default=True, help="Face pack.")
@click.option("--rounds", default=3, show_default=True)
def main(video: Path, models: str, rounds: int) -> None:
    """Measures and prints."""
    asked = {"models": {"face_pack": models, "device": "cpu"}}
    cut, whole = load_settings(**asked), load_settings(**asked, crops=ONE_CHUNK)
    hub = ModelHub(cut.models)
    hub.providers("face_pack")
    samples: dict[str, list[Sample]] = {}
    seconds: list[float] = []
    with tempfile.TemporaryDirectory(prefix="bench-resume-") as name:
        for number in range(rounds):
            folder = Path(name) / str(number)
            sample, _ = _pass(video, hub, whole, folder / "one")
            samples.setdefault("in one chunk", []).append(sample)
            TimedStore.seconds = 0.0
            sample, seen = _pass(video, hub, cut, folder / "cut")
            samples.setdefault("in chunks", []).append(sample)
            seconds.append(TimedStore.seconds)
            _half_gone(folder / "cut")
            sample, again = _pass(video, hub, cut, folder / "cut")
            samples.setdefault("taken up behind half of them", []).append(sample)
            samples.setdefault("tracker alone", []).append(_tracking(seen, cut))
            assert again.face_detections.equals(seen.face_detections)
    medians = {what: median(each) for what, each in samples.items()}
    _print(medians, sorted(seconds)[len(seconds) // 2], seen)


def _print(medians: dict[str, Sample], keeping: float, seen: DetectionPass) -> None:
    base = medians["in one chunk"]
    title = f"The pass: {seen.frames.height} frames, {seen.face_detections.height} faces"
    table = Table(title=title, title_justify="left")
    for column in ("pass", "wall s", "CPU s", "CPU, ratio"):
        table.add_column(column, justify="left" if column == "pass" else "right")
    for what, took in medians.items():
        ratio = f"{took.cpu / base.cpu:.3f}"
        table.add_row(what, f"{took.wall:.2f}", f"{took.cpu:.2f}", ratio)
    console = Console()
    console.print(table)
    share = keeping / medians["in chunks"].wall
    console.print(f"Keeping the chunks took {keeping:.3f} s, {100 * share:.1f} % of the pass.")


if __name__ == "__main__":
    main()
