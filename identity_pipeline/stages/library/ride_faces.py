"""What the riders of its rides teach of a ride: where they are seen well, what they show there.

What belongs here: reading the faces of the rides that a template is made of. What does not: what is
counted of them (`core.ride.expectation`, `core.camera`), and editions (`ride_template`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl

from identity_pipeline.core.camera.shown_where import expressions_of, shown_by_phase
from identity_pipeline.core.camera.usual_faces import (
    FIGURES,
    failures_of,
    measured_by_phase,
    usual_faces,
)
from identity_pipeline.core.ride.course import course_of
from identity_pipeline.core.ride.expectation import expected_of, good_by_phase
from identity_pipeline.core.ride.frame_phases import frame_phases
from identity_pipeline.core.ride.phases import Phase
from identity_pipeline.core.ride.template import Template, follow
from identity_pipeline.core.tracks.riders import rider_faces
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.video.tables import MissingTableError, TableStore

READ: Final = ("frames", "face_tracks", "riders", "face_quality", "face_buckets")
ROUNDED: Final = pl.col(pl.Float64).round_sig_figs(6)
"""So that the last bits of another processor's sums change no table."""


def tables_of_faces(
    store: TableStore, template: Template, phases: Sequence[Phase]
) -> dict[str, pl.DataFrame]:
    """The tables of an edition that riders' faces tell, by who the riders are now.

    Args:
        store: the tables.
        template: of the ride.
        phases: of it.
    """
    step_s = template.track.course.step_s
    good, shown, measured = [], [], []
    for video in template.members:
        try:
            frames, *of_faces = (store.read(name, video) for name in READ)
        except (MissingTableError, DamagedFileError):
            continue  # its own step tells of it
        followed = follow(course_of(frames, step_s), template)
        where, faces = frame_phases(frames, followed, phases, step_s), _faces(*of_faces)
        good.append(good_by_phase(where, faces))
        shown.append(shown_by_phase(where, faces))
        measured.append(measured_by_phase(where, faces))
    return {
        "ride_expected": expected_of(good),
        "ride_expressions": expressions_of(shown).with_columns(ROUNDED),
        "ride_faces": usual_faces(measured).with_columns(ROUNDED),
        "ride_failures": failures_of(measured),
    }


def _faces(
    tracks: pl.DataFrame, riders: pl.DataFrame, quality: pl.DataFrame, buckets: pl.DataFrame
) -> pl.DataFrame:
    bins = buckets.select("face_id", "expression_bin", "lighting_bin")
    verdicts = quality.select("face_id", "loose", "strict_fails", *FIGURES)
    faces = rider_faces(tracks, riders).join(verdicts, on="face_id", maintain_order="left")
    return faces.join(bins, on="face_id", how="left", maintain_order="left")
