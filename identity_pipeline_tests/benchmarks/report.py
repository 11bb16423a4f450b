"""What `bench_video` found, as tables and sentences."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rich.table import Table

from identity_pipeline_tests.benchmarks.parts import Decoded, Looped
from identity_pipeline_tests.benchmarks.pipeline_run import PipelineRun
from identity_pipeline_tests.benchmarks.timing import Sample, median, total

TARGET, AIM = 1.25, 1.1

PART_OF_STEP = {
    "watch": ("decoding", "detection"),
    "face_embeddings": ("recognition",),
    "face_landmarks": ("landmark_3d_68", "landmark_2d_68", "landmark_2d_106"),
    "vision_embeddings": ("vision",),
}
COUNT_OF_STEP = {
    "watch": ("frames", "frame"),
    "face_quality": ("face_detections", "face"),
    "face_embeddings": ("face_embeddings", "face"),
    "face_landmarks": ("face_landmarks", "face"),
    "moment_embeddings": ("moment_embeddings", "face"),
    "vision_embeddings": ("vision_embeddings", "face"),
    "identity_dataset": ("exported", "image"),
}


@dataclass(frozen=True)
class BarePart:
    """One bare part: items over all calls, the batches they came in, one sample per round."""

    name: str
    items: int
    batches: str
    samples: list[Sample]


@dataclass(frozen=True)
class Measurement:
    """Everything that was measured."""

    decoded: Decoded
    analysis_fps: float
    loading: Sample
    warming: Sample
    bare: list[BarePart]
    runs: list[PipelineRun]
    loops: list[Looped]

    @property
    def bare_sum(self) -> Sample:
        """Sum of the medians of the bare parts."""
        return total([median(part.samples) for part in self.bare])

    @property
    def pipeline(self) -> Sample:
        """Median of the whole job."""
        return median([run.whole for run in self.runs])


def _ms(seconds: float, items: int) -> str:
    return f"{1000 * seconds / items:.1f}" if items else "-"


def _others(sample: Sample) -> str:
    return "-" if sample.others is None else f"{sample.others:.1f}"


def _bare_table(found: Measurement, title: str) -> Table:
    table = Table(title=f"(1) The bare parts: {title}", title_justify="left")
    table.add_column("part")
    for name in ("wall s", "CPU s", "items", "wall ms/item", "CPU ms/item", "others' cores"):
        table.add_column(name, justify="right")
    table.add_column("calls")
    for part in found.bare:
        took = median(part.samples)
        table.add_row(
            part.name,
            f"{took.wall:.2f}",
            f"{took.cpu:.2f}",
            str(part.items),
            _ms(took.wall, part.items),
            _ms(took.cpu, part.items),
            _others(took),
            part.batches,
        )
    took = found.bare_sum
    table.add_section()
    table.add_row("sum", f"{took.wall:.2f}", f"{took.cpu:.2f}", "", "", "", _others(took), "")
    return table


def _step_rows(found: Measurement) -> Iterator[tuple[str, float, float]]:
    """Step, median seconds, and seconds of the bare parts inside it; slowest first."""
    bare = {part.name: median(part.samples).wall for part in found.bare}
    rows = []
    for step in found.runs[0].steps:
        seconds = statistics.median(run.steps[step] for run in found.runs)
        inside = sum(bare.get(name, 0.0) for name in PART_OF_STEP.get(step, ()))
        rows.append((step, seconds, inside))
    yield from sorted(rows, key=lambda row: row[2] - row[1])


def _pipeline_table(found: Measurement) -> Table:
    table = Table(title="(2) The pipeline, by step; most lost first", title_justify="left")
    table.add_column("step")
    for name in ("wall s", "bare parts in it", "beyond them", "ms beyond, per item"):
        table.add_column(name, justify="right")
    counts = found.runs[0].counts
    for step, seconds, inside in _step_rows(found):
        count, unit = COUNT_OF_STEP.get(step, ("", ""))
        per_item = _ms(seconds - inside, counts.get(count, 0)) + (f" /{unit}" if unit else "")
        table.add_row(
            step,
            f"{seconds:.2f}",
            f"{inside:.2f}" if inside else "",
            f"{seconds - inside:.2f}",
            per_item if count else "",
        )
    overhead = statistics.median(run.overhead for run in found.runs)
    table.add_section()
    table.add_row("Dagster, outside all steps", f"{overhead:.2f}", "", f"{overhead:.2f}", "")
    took = found.pipeline
    table.add_section()
    table.add_row(
        "whole job",
        f"{took.wall:.2f}",
        f"{found.bare_sum.wall:.2f}",
        f"{took.wall - found.bare_sum.wall:.2f}",
        f"CPU {took.cpu:.2f} s, others {_others(took)} cores",
    )
    return table


def _loop_table(found: Measurement) -> Table:
    table = Table(title="(4) The loop that a user would write today", title_justify="left")
    table.add_column("what")
    for name in ("wall s", "CPU s", "items", "loop / pipeline, wall", "CPU"):
        table.add_column(name, justify="right")
    whole = found.pipeline
    faces = median([loop.faces_only for loop in found.loops])
    vision = median([loop.vision_only for loop in found.loops])
    frames, count = found.loops[0].frames, found.loops[0].faces
    rows = (
        ("VideoCapture + FaceAnalysis.get", faces, f"{frames} frames"),
        ("vision, face by face", vision, f"{count} faces"),
        ("both", total([faces, vision]), ""),
    )
    for name, took, items in rows:
        ratios = (f"{took.wall / whole.wall:.2f}", f"{took.cpu / whole.cpu:.2f}")
        shown = ratios if name != "vision, face by face" else ("", "")
        table.add_row(name, f"{took.wall:.2f}", f"{took.cpu:.2f}", items, *shown)
    vision_step = statistics.median(r.steps.get("vision_embeddings", 0.0) for r in found.runs)
    table.caption = (
        f"The pipeline without its vision step: {whole.wall - vision_step:.2f} s on the clock; "
        f"the loop's faces part is {faces.wall / (whole.wall - vision_step):.2f} times that."
    )
    return table


def tables(found: Measurement, title: str) -> Iterable[Table]:
    """All tables in order."""
    yield _bare_table(found, title)
    yield _pipeline_table(found)
    if found.loops:
        yield _loop_table(found)


def ratios(found: Measurement) -> dict[str, float]:
    """The ratios of the pipeline to its bare parts; a large vision model hides everything else."""
    whole, bare = found.pipeline, found.bare_sum
    vision = sum(median(p.samples).wall for p in found.bare if p.name == "vision")
    step = statistics.median(run.steps.get("vision_embeddings", 0.0) for run in found.runs)
    return {
        "ratio_wall": whole.wall / bare.wall,
        "ratio_cpu": whole.cpu / bare.cpu,
        "ratio_wall_without_vision": (whole.wall - step) / (bare.wall - vision),
    }


def verdict(found: Measurement) -> Iterator[str]:
    """The figures that are asked for, in sentences."""
    counts = found.runs[0].counts
    yield (
        f"{found.decoded.frames} frames, {found.decoded.sampled} sampled at "
        f"{found.analysis_fps:g}/s, {counts['face_detections']} faces, "
        f"{counts['identities']} identity embeddings, {counts['face_landmarks']} landmarks, "
        f"{counts['vision_embeddings']} vision embeddings of face and body, "
        f"{counts['exported']} images."
    )
    yield (
        f"Loading the models: {found.loading.wall:.1f} s, not counted; "
        f"warm-up run: {found.warming.wall:.1f} s, not counted."
    )
    clocks = ("wall", "CPU", "wall, both without the vision part")
    for clock, ratio in zip(clocks, ratios(found).values(), strict=True):
        said = "met" if ratio <= TARGET else "missed"
        aim = ", and the aim too" if ratio <= AIM else ""
        yield (
            f"(3) pipeline / bare parts, {clock}: {ratio:.3f} (target {TARGET}: {said}{aim}; "
            f"aim {AIM})"
        )
