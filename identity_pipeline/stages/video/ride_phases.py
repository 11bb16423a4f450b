"""Where on the ride of its camera each frame of a video is, and whether it is that ride at all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import polars as pl

from identity_pipeline.core.ride.alignment import Track, align, on_track, times_of
from identity_pipeline.core.ride.course import CHANNELS, LIGHT, MOTION, SHARPNESS, Course, course_of
from identity_pipeline.core.ride.frame_phases import frame_phases
from identity_pipeline.core.ride.phases import Phase
from identity_pipeline.core.ride.scenery import Fit, Scenery, Seen
from identity_pipeline.core.ride.template import Followed, Template, Usual, follow
from identity_pipeline.core.video.copies import BITS
from identity_pipeline.storage.cameras.cameras import RIDE, Cameras
from identity_pipeline.storage.cameras.editions import Edition
from identity_pipeline.storage.layout import Layout
from identity_pipeline.tables import TABLES

NOT_KNOWN: Final = (
    "The ride of its camera was not known when it was processed. Once it is, `identity-pipeline "
    "camera renew` makes the video anew with it."
)
OTHER_RIDE: Final = "other_ride"
"""State of a video in `ride_course` that follows another course."""
OTHER_SCENERY: Final = "other_scenery"
"""Of one that follows it, as far as its light and motion tell, and shows something else."""
_STATES: Final = {True: "followed", False: OTHER_RIDE, None: "too_little"}


def ride_tables(
    frames: pl.DataFrame, model: Edition | None, camera: str | None
) -> dict[str, pl.DataFrame]:
    """The tables `ride_phases` and `ride_course` of a video.

    Args:
        frames: table `frames`.
        model: of the ride of its camera; None: it is not known.
        camera: its name.

    Raises:
        DamagedFileError: the model is not what was written.
    """
    if model is None:
        return {
            "ride_phases": frame_phases(frames, None, [], 1.0),
            "ride_course": _row({"camera": camera, "state": "not_known", "sentence": NOT_KNOWN}),
        }
    template, phases = template_of(model)
    step_s = template.track.course.step_s
    followed = follow(course_of(frames, step_s), template)
    told = {"camera": camera, "edition": str(model.name), **_course(followed, template)}
    return {
        "ride_phases": frame_phases(frames, followed, phases, step_s),
        "ride_course": _row(told),
    }


def template_of(model: Edition) -> tuple[Template, list[Phase]]:
    """The template of an edition, and its phases.

    Raises:
        DamagedFileError: it is not what was written.
    """
    track, usual = model.table("ride_track"), model.table("ride_usual").row(0, named=True)
    values, spread = (
        track.select(f"{name}{end}" for name in CHANNELS).to_numpy().astype(np.float64)
        for end in ("", "_spread")
    )
    scale = np.array([usual[f"{name}_scale"] for name in CHANNELS])
    template = Template(
        Track(Course(usual["step_s"], values), scale),
        spread,
        track["passed"].to_numpy().astype(np.int64),
        Usual(usual["cost"], usual["limit"], usual["videos"]),
        (),
        {},
        _scenery(track, usual),
    )
    stretches = model.table("ride_stretches").drop("phase_number")
    return template, [Phase(**row) for row in stretches.iter_rows(named=True)]


def _scenery(track: pl.DataFrame, usual: Mapping[str, Any]) -> Scenery | None:
    """What the ride looks like; None: of an edition from before that was told."""
    if track["scenery"].null_count():
        return None
    mean = np.frombuffer(b"".join(track["scenery"].to_list()), np.int8).reshape(-1, BITS)
    told = None if usual["fit"] is None else Fit(usual["fit"], usual["rate"])
    return Scenery(mean, track["tells"].to_numpy(), told)


def drawn(layout: Layout, row: Mapping[str, Any], frames: pl.DataFrame) -> str | None:
    """The video over the template that it was laid on, as SVG; None where there is none.

    Args:
        layout: of the data folder.
        row: of its `ride_course`.
        frames: its table `frames`.

    Raises:
        DamagedFileError: the model is not what was written.
    """
    from identity_pipeline.media.ride_figure import ride_svg

    if row["edition"] is None:
        return None
    model = Cameras(layout).edition(row["camera"], row["edition"], RIDE)
    template, phases = template_of(model)
    step_s = template.track.course.step_s
    video = course_of(frames, step_s)
    laid = align(video, template.track)
    own = on_track(video.shifted(laid.levels).values, times_of(laid, template.length))
    values, spread = template.track.course.values, template.spread
    rows = [
        (CHANNELS[c], values[:, c], spread[:, c], own[:, c]) for c in (LIGHT, MOTION, SHARPNESS)
    ]
    stretches = [(p.start * step_s, p.end * step_s, p.phase, p.words) for p in phases]
    return ride_svg(step_s, rows, stretches, foreign=row["state"] in (OTHER_RIDE, OTHER_SCENERY))


def _course(followed: Followed, template: Template) -> dict[str, Any]:
    laid, usual = followed.alignment, template.usual
    levels = dict(zip(CHANNELS, laid.levels.tolist(), strict=True))
    cost = None if math.isnan(laid.cost) else laid.cost
    return {
        "state": OTHER_SCENERY if followed.other_scenery else _STATES[followed.same_ride],
        "cost": cost,
        "usual": usual.cost,
        "limit": usual.limit,
        "nearness": followed.nearness,
        "inside": laid.inside,
        **{
            f"level_{name}": None if cost is None else levels[name]
            for name in ("light", "contrast", "motion", "sharpness")
        },
        "sentence": followed.sentence,
        **seen_columns(followed.seen),
    }


def seen_columns(seen: Seen | None) -> dict[str, float | None]:
    """What is written of what a video shows of a ride."""
    if seen is None:
        return {}
    return {"seconds": seen.seconds, "fit": seen.fit, "usual_fit": seen.usual}


def _row(values: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame([values], schema=TABLES["ride_course"])
