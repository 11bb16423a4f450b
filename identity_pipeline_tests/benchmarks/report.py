"""What `bench_video` found, as tables and sentences."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rich.table import Table

from identity_pipeline_tests.benchmarks import same_faces
from identity_pipeline_tests.benchmarks.parts import Decoded, Looped
from identity_pipeline_tests.benchmarks.pipeline_run import PipelineRun
from identity_pipeline_tests.benchmarks.reach import Row
from identity_pipeline_tests.benchmarks.timing import Sample, median, total

RATIO_MAX, LOOP_MIN = 1.1, 3.0
"""What is to be reached: of the job over its bare parts, and of a user's loop over the job."""
VISION = "vision_embeddings"
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
    """One bare part in a step: items over all calls, their batches, one sample per round."""

    name: str
    step: str
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
    table.add_column("in step")
    for name in ("wall s", "CPU s", "items", "wall ms/item", "CPU ms/item", "others' cores"):
        table.add_column(name, justify="right")
    table.add_column("calls")
    for part in found.bare:
        took = median(part.samples)
        table.add_row(
            part.name,
            part.step,
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
    table.add_row("sum", "", f"{took.wall:.2f}", f"{took.cpu:.2f}", "", "", "", _others(took), "")
    return table


def _step_rows(found: Measurement) -> Iterator[tuple[str, float, float]]:
    """Step, median seconds, and seconds of the bare parts inside it; most lost first."""
    rows = []
    for step in found.runs[0].steps:
        inside = sum(median(part.samples).wall for part in found.bare if part.step == step)
        rows.append((step, _step_seconds(found, step), inside))
    yield from sorted(rows, key=lambda row: row[2] - row[1])


def _step_seconds(found: Measurement, step: str) -> float:
    return statistics.median(run.steps.get(step, 0.0) for run in found.runs)


def _pipeline_table(found: Measurement) -> Table:
    table = Table(title="(2) The pipeline, by step; most lost first", title_justify="left")
    table.add_column("step")
    for name in ("wall s", "share", "bare parts in it", "beyond them", "ms beyond, per item"):
        table.add_column(name, justify="right")
    counts = found.runs[0].counts
    for step, seconds, inside in _step_rows(found):
        count, unit = COUNT_OF_STEP.get(step, ("", ""))
        per_item = _ms(seconds - inside, counts.get(count, 0)) + (f" /{unit}" if unit else "")
        table.add_row(
            step,
            f"{seconds:.2f}",
            f"{seconds / found.pipeline.wall:.0%}",
            f"{inside:.2f}" if inside else "",
            f"{seconds - inside:.2f}",
            per_item if count else "",
        )
    overhead = statistics.median(run.overhead for run in found.runs)
    table.add_section()
    took = found.pipeline
    share = f"{overhead / took.wall:.0%}"
    table.add_row("Dagster, outside all steps", f"{overhead:.2f}", share, "", f"{overhead:.2f}", "")
    table.add_section()
    table.add_row(
        "whole job",
        f"{took.wall:.2f}",
        "",
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
    frames, count = found.loops[0].frames, same_faces.count(found.loops[0].boxes)
    rows = (
        ("VideoCapture + FaceAnalysis.get", faces, f"{frames} frames"),
        ("vision, face by face", vision, f"{count} faces"),
        ("both", total([faces, vision]), ""),
    )
    for name, took, items in rows:
        ratios = (f"{took.wall / whole.wall:.2f}", f"{took.cpu / whole.cpu:.2f}")
        shown = ratios if name != "vision, face by face" else ("", "")
        table.add_row(name, f"{took.wall:.2f}", f"{took.cpu:.2f}", items, *shown)
    without = whole.wall - _step_seconds(found, VISION)
    table.caption = (
        f"The pipeline without its vision step: {without:.2f} s on the clock; "
        f"the loop's faces part is {faces.wall / without:.2f} times that."
    )
    return table


def tables(found: Measurement, title: str) -> Iterable[Table]:
    """All tables in order."""
    yield _bare_table(found, title)
    yield _pipeline_table(found)
    if found.loops:
        yield _loop_table(found)


def ratios(found: Measurement) -> dict[str, float]:
    """The ratios of the pipeline to its bare parts; a large vision model hides everything else.

    Processor time is not told by step: of the vision step that of its network is taken off.
    """
    whole, bare = found.pipeline, found.bare_sum
    vision = total([Sample(), *(median(p.samples) for p in found.bare if p.name == "vision")])
    return {
        "ratio_wall": whole.wall / bare.wall,
        "ratio_cpu": whole.cpu / bare.cpu,
        "ratio_wall_without_vision": (whole.wall - _step_seconds(found, VISION))
        / (bare.wall - vision.wall),
        "ratio_cpu_without_vision": (whole.cpu - vision.cpu) / (bare.cpu - vision.cpu),
    }


def loop_ratios(found: Measurement) -> tuple[float, float]:
    """How often the job is done while a user's loop runs: with and without the vision part."""
    faces = median([loop.faces_only for loop in found.loops])
    both = faces + median([loop.vision_only for loop in found.loops])
    whole = found.pipeline.wall
    return both.wall / whole, faces.wall / (whole - _step_seconds(found, VISION))


def verdict(found: Measurement) -> Iterator[str]:
    """What the figures are of, in sentences."""
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
    clocks = ("wall", "CPU", "wall, without the vision part", "CPU, without the vision part")
    for clock, ratio in zip(clocks, ratios(found).values(), strict=True):
        yield f"(3) pipeline / bare parts, {clock}: {ratio:.3f} (to be reached: {RATIO_MAX:.2f})"


def rows(found: Measurement, on: str) -> Iterator[Row]:
    """The figures that are asked for, beside what is to be reached.

    Args:
        found: what was measured.
        on: the clip and the networks, in words.
    """
    told = ratios(found)
    walls = (told["ratio_wall"], told["ratio_wall_without_vision"])
    yield Row(
        f"whole job against its bare parts, on the clock, with and without the vision part ({on})",
        f"≤ {RATIO_MAX:.2f} both",
        f"{walls[0]:.2f} with, {walls[1]:.2f} without (processor time: "
        f"{told['ratio_cpu']:.2f}, {told['ratio_cpu_without_vision']:.2f})",
        max(walls) <= RATIO_MAX,
        "" if max(walls) <= RATIO_MAX else f"most lost: {_most_lost(found)}",
    )
    if found.loops:
        loop = loop_ratios(found)
        yield Row(
            f"the same clip through the loop that a user would write ({on})",
            f"≥ {LOOP_MIN:g}x as fast",
            f"{loop[0]:.1f}x with vision, {loop[1]:.1f}x without; {_same_faces(found)}",
            min(loop) >= LOOP_MIN,
        )


def _same_faces(found: Measurement) -> str:
    """How many faces of the loop the job has too."""
    loop, job = found.loops[0].boxes, found.runs[0].boxes
    both, own = same_faces.found_by_both(loop, job), same_faces.count(job)
    return f"of its {same_faces.count(loop)} faces the job finds {both}, and {own - both} others"


def _most_lost(found: Measurement) -> str:
    """Where the most seconds beyond the bare parts go."""
    outside = statistics.median(run.overhead for run in found.runs)
    lost = [(step, seconds - inside) for step, seconds, inside in _step_rows(found)]
    lost = sorted([*lost, ("Dagster outside the steps", outside)], key=lambda row: -row[1])
    return ", ".join(f"{step} {seconds:.1f} s" for step, seconds in lost[:4])
