"""Tables of the ride: what every camera's rides have in common, and the phase of every frame."""

from __future__ import annotations

from typing import Final

import polars as pl

from identity_pipeline.tables.base import COUNT, SHARE, Table

CHANNELS: Final = ("light", "contrast", "blown", "motion", "sharpness", "faces")
"""What a course is told by, in the order of its values; see `core.ride.course`."""

_SEEN: Final = ("seconds", "fit", "usual_fit")

RIDE_TABLES: Final[dict[str, Table]] = {
    "ride_phases": Table(
        {
            "frame_idx": pl.Int64,
            "timestamp_ms": pl.Float64,
            "position_s": pl.Float64,  # on the template; null: outside of it, or none is known
            "phase_number": pl.Int64,  # of the template's phases, from 0
            "phase": pl.String,  # see core.ride.phases.PHASES
            "title": pl.String,  # what people call it; null: nobody said
            "source": pl.String,  # template, or human
        },
        "frame_idx",
        ranges={"position_s": COUNT},
    ),
    "ride_course": Table(  # of a video: how it follows the ride of its camera; one row
        {
            "camera": pl.String,  # null: the one without a name
            "edition": pl.String,  # edition of the ride's model; null: it was not known
            "state": pl.String,  # followed, other_ride, other_scenery, too_little, not_known
            "cost": pl.Float64,  # mean distance, in robust standard deviations
            "usual": pl.Float64,  # the same of the videos of the ride
            "limit": pl.Float64,  # more is another ride's
            "nearness": pl.Float64,  # 0: the usual cost, 1: the limit, in logarithms
            "inside": pl.Float64,  # share of the video that is on the template
            **{
                f"level_{name}": pl.Float64  # above the template: octaves, of motion decades
                for name in ("light", "contrast", "motion", "sharpness")
            },
            "sentence": pl.String,  # why no phase is known; null where they are
            "seconds": pl.Float64,  # of it whose pictures can tell whether it is the ride
            "fit": pl.Float64,  # how well they do; see core.ride.scenery.Seen
            "usual_fit": pl.Float64,  # the same of the videos of the ride
        },
        ranges={"inside": SHARE, "cost": COUNT, "seconds": COUNT},
        optional=_SEEN,
    ),
    "ride_track": Table(  # of a model: the course that the rides of a camera have in common
        {
            "point": pl.Int64,
            "position_s": pl.Float64,
            **dict.fromkeys(CHANNELS, pl.Float64),  # medians; null: not measured
            **{f"{name}_spread": pl.Float64 for name in CHANNELS},  # robust standard deviations
            "passed": pl.Int64,  # videos that pass it
            "scenery": pl.Binary,  # what they show: 128 bytes, see core.ride.scenery.Scenery
            "tells": pl.Boolean,  # whether that differs from its mirror image
        },
        "point",
        later=("scenery", "tells"),
    ),
    "ride_usual": Table(  # of a model: how near its own videos are; one row
        {
            "step_s": pl.Float64,
            **{f"{name}_scale": pl.Float64 for name in CHANNELS},  # by which two videos differ
            "cost": pl.Float64,  # median, of videos that the template is not made of
            "limit": pl.Float64,  # more is another ride's
            "videos": pl.Int64,
            "fit": pl.Float64,  # median, of how well their pictures fit those of the others
            "rate": pl.Float64,  # share of its own that may be taken for another's
        },
        later=("fit", "rate"),
    ),
    "ride_stretches": Table(  # of a model: its phases, without a gap, with what people say
        {
            "phase_number": pl.Int64,  # from 0
            "start": pl.Int64,  # points of the track, up to, but not including, `end`
            "end": pl.Int64,
            "phase": pl.String,
            "title": pl.String,  # null: nobody said
            "source": pl.String,  # template, or human
        },
        "phase_number",
    ),
    "ride_expected": Table(  # of a model: in how many of its rides a rider is seen well
        {
            "phase_number": pl.Int64,
            "with_good": pl.Int64,  # rides with a face of a rider there that passes the loose gate
            "rides": pl.Int64,  # that pass the phase, with a rider
        },
        "phase_number",
        ranges={"with_good": COUNT, "rides": COUNT},
    ),
    "ride_expressions": Table(  # of a model: what its riders show in each phase
        {
            "phase_number": pl.Int64,
            "axis": pl.String,  # expression, lighting
            "cell": pl.String,  # as in face_buckets
            "riders": pl.Int64,  # that showed it there in a usable face
            "of_riders": pl.Int64,  # of whom any cell of the axis was told there
            "low": pl.Float64,  # 95 % interval of the share (Wilson)
            "high": pl.Float64,
        },
        *("phase_number", "axis", "cell"),
        ranges={"riders": COUNT, "of_riders": COUNT, "low": SHARE, "high": SHARE},
    ),
    "ride_faces": Table(  # of a model: what the faces of its riders measure in each phase
        {
            "phase_number": pl.Int64,  # null: wherever the phase is known
            "figure": pl.String,  # a column of face_quality
            "riders": pl.Int64,
            "faces": pl.Int64,
            "low": pl.Float64,  # a tenth of the faces has less, where each rider weighs the same
            "usual": pl.Float64,  # median
            "high": pl.Float64,  # a tenth has more
        },
        *("phase_number", "figure"),
        ranges={"riders": COUNT, "faces": COUNT},
    ),
    "ride_failures": Table(  # of a model: where riders' faces fail the strict gate
        {
            "code": pl.String,  # of the gate
            "phase_number": pl.Int64,
            "rides": pl.Int64,  # in which most of the faces that fail by it are there
            "of_rides": pl.Int64,  # in which so many fail by it that something can be said
        },
        *("code", "phase_number"),
        ranges={"rides": COUNT, "of_rides": COUNT},
    ),
    "ride_labels": Table(  # of a model: what people said of parts of the ride, and where it lies
        {
            "number": pl.Int64,  # in the order of the file, from 0
            "video": pl.String,  # of whose times it is said; of one that is gone, a stand-in
            "start_s": pl.Float64,  # since its first frame
            "end_s": pl.Float64,
            "phase": pl.String,
            "title": pl.String,
            "start": pl.Int64,  # points of the track; null: it lies nowhere
            "end": pl.Int64,
            "why": pl.String,  # why it lies nowhere: gone, too_late, not_shown
        },
        "number",
    ),
    "ride_members": Table(  # of a model: the videos that were looked at
        {
            "video_id": pl.String,
            "frames_version": pl.String,  # data version of its table `frames`
            "counts": pl.Boolean,  # whether the model is made of it
            "cost": pl.Float64,  # of another ride's
            "seconds": pl.Float64,  # of one that is another's by its pictures: as in ride_course
            "fit": pl.Float64,
            "usual_fit": pl.Float64,
        },
        "video_id",
        later=_SEEN,
    ),
}
"""By name."""
OF_COURSE: Final = ("ride_track", "ride_usual", "ride_stretches", "ride_members")
"""Those that every model has had; one of an earlier version of the program may lack the others."""
OF_FACES: Final = ("ride_expected", "ride_expressions", "ride_faces", "ride_failures")
"""Those of a model that riders' faces tell."""
