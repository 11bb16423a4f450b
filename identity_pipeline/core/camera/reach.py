"""Which poses, expressions and lights riders of a camera ever show: the table `camera_reach`.

One fixed camera never sees a left profile where nothing is to be seen on the right of the track. So
what a rider lacks is held against what riders of this camera reach: nobody does, or most do. A
rider of a video counts once, however often a cell was filled.

What belongs here: cells of a video, their shares over riders, and what they say of a shortfall.
What does not: bins (`core.faces.buckets`), whose words the cells are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import polars as pl

from identity_pipeline.core.evaluation.intervals import wilson
from identity_pipeline.core.faces.buckets import (
    BEYOND,
    EXPRESSIONS,
    PITCH_NAMES,
    UNKNOWN,
    axis_bins,
)
from identity_pipeline.settings import BucketSettings, CameraSettings, Settings
from identity_pipeline.tables import TABLES

POSE: Final = "pose"
AXES: Final = ("yaw", "pitch", "expression", "lighting")
COVERED: Final = ("yaw", "pitch", "expression")
"""Axes of which a rider's anchors and coverage are to show every bin."""
LIGHTS: Final = ("dark", "normal", "overexposed")
CELLS: Final = {"video_id": pl.String, "person_id": pl.Int64, "axis": pl.String, "cell": pl.String}
"""Columns of what riders reached."""


def cells_of(video_id: str, faces: pl.DataFrame) -> pl.DataFrame:
    """The cells that riders of a video filled, each once.

    Args:
        video_id: the video.
        faces: table `face_buckets`, with bins in the person-and-camera frame, of usable faces.
    """
    pose = pl.format("yaw{}_pitch{}", "yaw_key", "pitch_key")  # null where one of them is
    told = faces.select(
        "person_id", pose.alias(POSE), *(pl.col(f"{axis}_bin").alias(axis) for axis in AXES)
    )
    long = told.unpivot(index="person_id", variable_name="axis", value_name="cell").drop_nulls()
    riders = told.select("person_id", axis=pl.lit(""), cell=pl.lit(""))  # who reached nothing
    both = pl.concat([long.filter(~pl.col("cell").is_in([BEYOND, UNKNOWN])), riders]).unique()
    return (
        both.with_columns(video_id=pl.lit(video_id))
        .select(pl.col(name).cast(dtype) for name, dtype in CELLS.items())
        .sort("person_id", "axis", "cell")
    )


def reach(cells: pl.DataFrame, settings: BucketSettings) -> pl.DataFrame:
    """How many riders reached each cell that there is, also those that nobody reached.

    Args:
        cells: `cells_of` of all videos of a model.
        settings: which cells there are.
    """
    riders = cells.select("video_id", "person_id").unique().height
    counted = {
        (axis, cell): count
        for axis, cell, count in cells.unique().group_by("axis", "cell").len().iter_rows()
    }
    rows = []
    for axis, cell in _all_cells(settings):
        count = counted.get((axis, cell), 0)
        low, high = wilson(count, riders) or (None, None)
        rows.append((axis, cell, count, riders, low, high))
    return pl.DataFrame(rows, schema=TABLES["camera_reach"], orient="row")


def _all_cells(settings: BucketSettings) -> list[tuple[str, str]]:
    yaws = axis_bins(settings.yaw_edges)
    pitches = axis_bins(settings.pitch_edges, PITCH_NAMES)
    poses = [pose_cell(yaw.key, pitch.key) for pitch in pitches for yaw in yaws]
    words = {
        POSE: poses,
        "yaw": [each.label for each in yaws],
        "pitch": [each.label for each in pitches],
        "expression": list(EXPRESSIONS),
        "lighting": list(LIGHTS),
    }
    return [(axis, cell) for axis, own in words.items() for cell in own]


def pose_cell(yaw_key: int, pitch_key: int) -> str:
    """The cell of a pose, by the keys of its bins."""
    return f"yaw{yaw_key}_pitch{pitch_key}"


def reached_cells(table: pl.DataFrame, axes: Collection[str]) -> dict[str, set[str]]:
    """The cells of some axes that anybody reached.

    Args:
        table: `camera_reach`.
        axes: of it.
    """
    some = table.filter(pl.col("riders") > 0)
    return {axis: set(some.filter(pl.col("axis") == axis)["cell"]) for axis in axes}


def filled_bins(shown: pl.DataFrame) -> dict[str, set[str]]:
    """The bins of `COVERED` that pictures show.

    Args:
        shown: their rows of `face_buckets` or `candidates`.
    """
    return {axis: set(shown[f"{axis}_bin"]) for axis in COVERED}


def lacking(
    table: pl.DataFrame, filled: Mapping[str, Collection[str]], settings: Settings
) -> dict[tuple[str, str], str]:
    """What it says of a rider that bins are empty.

    Args:
        table: `camera_reach`.
        filled: by axis, what the rider's pictures show.
        settings: which bins there are, and of how many riders something is said.

    Returns:
        A sentence of every empty bin, by axis and bin, in their order.
    """
    return {
        (axis, cell): lacking_words(table, axis, cell, settings.camera)
        for axis, cell in _all_cells(settings.buckets)
        if axis in filled and cell not in filled[axis]
    }


def lacking_words(table: pl.DataFrame, axis: str, cell: str, settings: CameraSettings) -> str:
    """What it says of a rider that a cell is empty: who else reaches it.

    Args:
        table: `camera_reach`.
        axis: of the cell.
        cell: as the table names it.
        settings: riders of fewer than so many say nothing.
    """
    found = table.filter(pl.col("axis") == axis, pl.col("cell") == cell)
    if not found.height:
        return "who reaches it here is not known (the model of this camera has other bins)"
    row = found.row(0, named=True)
    if row["of_riders"] < settings.videos_min:
        return f"who reaches it here is not known ({row['of_riders']} riders are too few)"
    if not row["riders"]:
        return (
            f"never reached here by anyone (0 of {row['of_riders']} riders, so at most "
            f"{_share(row['high'])} do)"
        )
    share = row["riders"] / row["of_riders"]
    return (
        f"reached by {share:.0%} of riders here ({row['low']:.0%} to {row['high']:.0%}, "
        f"of {row['of_riders']})"
    )


def _share(value: float) -> str:
    """In per cent, with a decimal below ten: a bound of half a per cent is not one of one."""
    return f"{value:.1%}" if value < 0.095 else f"{value:.0%}"
