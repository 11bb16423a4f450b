"""What the sharpness floors in the settings rest on: real ride clips with their truth files.

Each face of a sampled frame gets the label of its frame and the seat it lies in. A face is blurred
when its frame's truth says so; `normal` faces are those that the gates must not lose.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from identity_pipeline.core.faces.gates import LATE_MEASURES, regate
from identity_pipeline.core.faces.quality import measure_pixels
from identity_pipeline.media.video import probe
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.settings import QualitySettings, Settings, load_settings
from identity_pipeline.stages.video.detect import detect_video
from identity_pipeline.stages.video.measure import measure_quality
from identity_pipeline.storage.video.chunks import ChunkStore
from identity_pipeline.storage.video.crop_archive import CropArchive, take_over
from identity_pipeline_tests.benchmarks import material
from identity_pipeline_tests.benchmarks.pipeline_run import settings_groups

CONDITIONS = ("normal", "motion_blur", "dark", "overexposed", "occluder")
BLUR_LENGTHS = (1, 3, 5, 7, 9, 13)
"""Lengths of the artificial motion blur in pixels of the 112 px crop; 1 changes nothing."""
BLURRED_CODES = ("blurred", "blurred_for_person")


def condition_of(truth: dict[str, Any]) -> str:
    """The one label of a frame; the truth files never give two."""
    if truth["motion_blur"]:
        return "motion_blur"
    return "occluder" if truth["occluder"] else str(truth["lighting"])


def _seat(x: float, y: float, seats: Sequence[Sequence[float]]) -> int | None:
    for number, (x1, y1, x2, y2) in enumerate(seats):
        if x1 <= x <= x2 and y1 <= y <= y2:
            return number
    return None


def labelled_faces(
    clip: Path, hub: ModelHub, settings: Settings, folder: Path
) -> tuple[pl.DataFrame, dict[str, NDArray[np.uint8]]]:
    """Measured faces in the riders' seats with `clip, rider, condition`, and their aligned crops.

    The gates are applied as in the pipeline: `relative_sharpness` is the sharpness over the median
    of the rider's faces that pass the loose gate without it. The seat stands in for the rider.
    """
    truth = json.loads(clip.with_suffix(".truth.json").read_text())
    seen = detect_video(clip, ChunkStore(folder / "chunks"), hub.face_pack, settings, None)
    take_over(seen.crop_parts, folder)
    archive = CropArchive(folder)
    facts = probe(clip, settings.video)
    size = (facts.width, facts.height)
    quality = measure_quality(seen.face_detections, archive, size, settings)
    labels = []
    for face in seen.face_detections.iter_rows(named=True):
        frame = truth["frames"][face["frame_idx"]]
        x, y = (face["x1"] + face["x2"]) / 2, (face["y1"] + face["y2"]) / 2
        labels.append((face["face_id"], _seat(x, y, frame["seats"]), condition_of(frame)))
    schema = {"face_id": pl.String, "seat": pl.Int64, "condition": pl.String}
    faces = quality.join(
        pl.DataFrame(labels, schema=schema, orient="row"), on="face_id"
    ).drop_nulls("seat")
    usual = pl.col("sharpness").filter(pl.col("loose")).median().over("seat")
    late = faces.filter("loose").select(
        "face_id",
        occlusion=pl.lit(None, dtype=quality.schema["occlusion"]),
        relative_sharpness=pl.col("sharpness") / usual,
    )
    gated = regate(quality, late.select("face_id", *LATE_MEASURES), settings.quality)
    verdicts = gated.select("face_id", "loose", "strict", "loose_fails", "strict_fails")
    result = (
        faces.drop("loose", "strict", "loose_fails", "strict_fails", "relative_sharpness")
        .with_columns(
            relative_sharpness=pl.col("sharpness") / faces.select(usual=usual)["usual"],
            clip=pl.lit(clip.stem),
            rider=pl.Series([truth["people"][seat] for seat in faces["seat"]], dtype=pl.String),
        )
        .join(verdicts, on="face_id", how="left")
        .sort("face_id")
    )
    wanted = result["face_id"].to_list()
    return result, dict(archive.aligned(wanted))


def motion_blurred(image: NDArray[np.uint8], length: int) -> NDArray[np.uint8]:
    """Blurred along the horizontal by a box of the given length."""
    return np.asarray(cv2.blur(image, (length, 1)), dtype=np.uint8)


def _percentiles(values: pl.Series, digits: int) -> list[str]:
    return [f"{values.quantile(q, 'linear') or 0.0:.{digits}f}" for q in (0.05, 0.5, 0.95)]


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%} ({part})" if whole else "-"


def _lost(faces: pl.DataFrame, gate: str) -> tuple[int, int]:
    """Faces that a gate fails at all, and those that it fails for blur."""
    blurred = faces[f"{gate}_fails"].list.eval(pl.element().is_in(BLURRED_CODES)).list.any().sum()
    return faces.height - int(faces[gate].sum()), int(blurred)


def conditions_table(faces: pl.DataFrame, settings: QualitySettings) -> Table:
    """Percentiles by clip, rider and condition, and what the gates make of them."""
    table = Table(
        title=f"Faces by condition; floors: loose {settings.loose_sharpness:g} and "
        f"{settings.loose_relative_sharpness:g} relative, strict {settings.strict_sharpness:g} "
        f"and {settings.strict_relative_sharpness:g}",
        title_justify="left",
    )
    for name in ("clip", "rider", "condition"):
        table.add_column(name)
    for name in (
        "faces",
        "sharpness 5/50/95 %",
        "relative 5/50/95 %",
        "not loose",
        "loose: blurred",
        "strict: blurred",
    ):
        table.add_column(name, justify="right")
    for (clip, rider), mine in faces.group_by("clip", "rider", maintain_order=True):
        for condition in CONDITIONS:
            group = mine.filter(pl.col("condition") == condition)
            if not group.height:
                continue
            lost, loose_blurred = _lost(group, "loose")
            table.add_row(
                str(clip),
                str(rider),
                condition,
                str(group.height),
                " / ".join(_percentiles(group["sharpness"], 0)),
                " / ".join(_percentiles(group["relative_sharpness"], 2)),
                _share(lost, group.height),
                _share(loose_blurred, group.height),
                _share(_lost(group, "strict")[1], group.height),
            )
        table.add_section()
    return table


def degraded_table(
    faces: pl.DataFrame, crops: dict[tuple[str, str], NDArray[np.uint8]], settings: QualitySettings
) -> Table:
    """Normal faces blurred by known lengths, over all clips, judged by each floor alone."""
    table = Table(
        title="Normal strict faces, blurred by motion of known length", title_justify="left"
    )
    for name in (
        "length, px of 112",
        "faces",
        "sharpness 5/50/95 %",
        "relative 5/50/95 %",
        "below loose floor",
        "below loose relative",
        "either: loose",
        "either: strict",
    ):
        table.add_column(name, justify="right")
    normal = faces.filter((pl.col("condition") == "normal") & pl.col("strict"))
    keys = list(normal.select("clip", "face_id").iter_rows())
    usual = (normal["sharpness"] / normal["relative_sharpness"]).to_numpy()
    for length in BLUR_LENGTHS:
        measured = [measure_pixels(motion_blurred(crops[key], length)).sharpness for key in keys]
        sharp = np.asarray(measured, dtype=np.float64)
        relative = sharp / usual
        loose = (sharp < settings.loose_sharpness, relative < settings.loose_relative_sharpness)
        strict = (sharp < settings.strict_sharpness, relative < settings.strict_relative_sharpness)
        table.add_row(
            str(length),
            str(len(keys)),
            " / ".join(_percentiles(pl.Series(sharp), 0)),
            " / ".join(_percentiles(pl.Series(relative), 2)),
            f"{loose[0].mean():.0%}",
            f"{loose[1].mean():.0%}",
            f"{(loose[0] | loose[1]).mean():.0%}",
            f"{(strict[0] | strict[1]).mean():.0%}",
        )
    return table


def summary(faces: pl.DataFrame) -> list[str]:
    """What the loose gate catches and loses, over all clips."""
    lines = [
        f"{faces['rider'].n_unique()} people, {faces['clip'].n_unique()} clips, "
        f"{faces.height} faces in the riders' seats."
    ]
    for condition, what in (("motion_blur", "caught as blurred"), ("normal", "lost as blurred")):
        group = faces.filter(pl.col("condition") == condition)
        for gate in ("loose", "strict"):
            blurred = _lost(group, gate)[1]
            lines.append(
                f"{condition}: {_share(blurred, group.height)} of {group.height} faces {what} "
                f"by the {gate} gate."
            )
    return lines


@click.command(help=(__doc__ or "").split("\n\n")[0])
@click.option("--videos", type=Path, help="Folder of clips with truth files.")
@click.option("--models", type=Path, help="Face pack folder. Default: that of the real material.")
@click.option("--analysis-fps", default=10.0, show_default=True, help="Sampled frames per second.")
def main(videos: Path | None, models: Path | None, analysis_fps: float) -> None:
    """Measures and prints."""
    clips, pack = material.clips_or_default(videos), material.models_or_default(models)
    settings = load_settings(**settings_groups(pack, Path("unused"), analysis_fps))
    hub = ModelHub(settings.models)
    parts: list[pl.DataFrame] = []
    crops: dict[tuple[str, str], NDArray[np.uint8]] = {}
    for clip in clips:
        click.echo(f"... {clip.name}", err=True)
        with tempfile.TemporaryDirectory(prefix="bench-sharpness-") as folder:
            faces, images = labelled_faces(clip, hub, settings, Path(folder))
        parts.append(faces)
        crops |= {(clip.stem, face_id): image for face_id, image in images.items()}
    every = pl.concat(parts)
    console = Console(width=max(140, Console().width))
    console.print(conditions_table(every, settings.quality))
    console.print(degraded_table(every, crops, settings.quality))
    for line in summary(every):
        console.print(line)


if __name__ == "__main__":
    main()
