r"""Where drawn riders smile and open their mouths, against what the model of the ride says of it.

    python -m identity_pipeline_tests.benchmarks.drawn_expressions DATA --truth FOLDER

DATA and FOLDER are as `drawn_phases` takes them. For each phase the share of the riders is printed
that `ride_expressions` tells, and that of the same riders who were drawn so in a usable face there;
then how far the two are apart, and whether one of the parts that are named is one of the largest
drawn share.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import polars as pl

from identity_pipeline.core.camera.shown_where import where_most
from identity_pipeline.core.ride.course import course_of
from identity_pipeline.core.ride.frame_phases import frame_phases
from identity_pipeline.core.ride.template import follow
from identity_pipeline.settings import Settings
from identity_pipeline.stages.video.ride_phases import template_of
from identity_pipeline.storage.cameras.editions import Edition
from identity_pipeline_tests.benchmarks.camera_rides import FOLDER
from identity_pipeline_tests.benchmarks.drawn_rides import Drawn

DRAWN: dict[str, str] = {"smile": "drawn_smile", "mouth_open": "drawn_mouth"}
PLAIN = 0.5
"""Of a drawn expression, 0 to 1: so much of it is plain to see."""


def drawn_shares(drawn: Drawn, model: Edition) -> pl.DataFrame:
    """`phase_number`, and of `DRAWN` the share of the riders who were drawn so in it."""
    template, phases = template_of(model)
    step_s, seen = template.track.course.step_s, []
    for video in model.table("ride_members").filter("counts")["video_id"]:
        frames = drawn.store.read("frames", video)
        where = frame_phases(frames, follow(course_of(frames, step_s), template), phases, step_s)
        quality = drawn.store.read("face_quality", video, ("face_id", "loose")).filter("loose")
        bins = drawn.store.read("face_buckets", video, ("face_id", "person_id", "expression_bin"))
        told = bins.drop_nulls("person_id").filter(pl.col("expression_bin") != "unknown")
        faces = drawn.faces(video).join(quality, on="face_id").join(told, on="face_id")
        own = faces.join(where.drop_nulls("phase_number"), on="frame_idx")
        of = own.group_by("phase_number", "person_id")
        seen.append(of.agg(pl.col(name).max().ge(PLAIN) for name in DRAWN.values()))
    means = (pl.col(name).mean() for name in DRAWN.values())
    return pl.concat(seen).group_by("phase_number").agg(means).sort("phase_number")


@click.command()
@click.argument("data", type=FOLDER)
@click.option("--truth", required=True, type=FOLDER)
def main(data: Path, truth: Path) -> None:
    """Prints where the riders of DATA show what, as it is told and as it was drawn."""
    drawn = Drawn.of(data, truth)
    model = drawn.ride_model()
    table, meant = model.table("ride_expressions"), drawn_shares(drawn, model)
    called = dict(model.table("ride_stretches").select("phase_number", "phase").iter_rows())
    for cell, column in DRAWN.items():
        own = table.filter(axis="expression", cell=cell).join(meant, on="phase_number")
        both = own.with_columns(told=pl.col("riders") / pl.col("of_riders"), drawn=column)
        for row in both.sort("phase_number").iter_rows(named=True):
            click.echo(
                f"{cell} in {row['phase_number']} {called[row['phase_number']]}: told "
                f"{row['told']:.0%}, drawn {row['drawn']:.0%}, of {row['of_riders']} riders"
            )
        off = (both["told"] - both["drawn"]).abs().to_numpy()
        named = where_most(table, ("expression", cell), Settings().camera.videos_min)
        largest = both.filter(pl.col("drawn") == pl.col("drawn").max())["phase_number"].to_list()
        right = {row["phase_number"] for row in named} & set(largest)
        click.echo(
            f"{cell}: off by {np.mean(off):.0%} (mean) and {np.max(off):.0%} (most); named: "
            f"{', '.join(str(row['phase_number']) for row in named) or 'none'}, "
            f"{'with' if right else 'without'} one of the largest drawn share "
            f"({', '.join(map(str, largest))})"
        )


if __name__ == "__main__":
    main()
