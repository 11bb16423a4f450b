"""What riders' faces measure in each phase: the tables `ride_faces` and `ride_failures`.

A face that is too dark may be bad for its place, or the place may be: what faces measure there says
which. Gates do not go by it, for who learns from a picture sees it alone.

What belongs here: measures of faces by phase, and what is said of a face or of a ride beside them.
What does not: usual values of frames (`normals`), the gates (`core.faces.gates`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from identity_pipeline.core.evaluation.intervals import for_each_of, wilson
from identity_pipeline.core.faces.gates import FAILING_WORDS
from identity_pipeline.core.ride.spans import Span, longest_by_number, place_words, spans_of
from identity_pipeline.tables import TABLES

FIGURES: Final = {"sharpness": "sharpness", "luma_mean": "light", "face_px": "size"}
"""Columns of `face_quality` that have a usual value, and what they are called."""
OF_CODE: Final = {
    "blurred": "sharpness",
    "too_dark": "luma_mean",
    "too_bright": "luma_mean",
    "few_pixels": "face_px",
}
"""Of which figure each code of a gate speaks."""
BAND: Final = (0.1, 0.5, 0.9)
"""Of ten faces, eight lie between the first and the last."""
LEAST_FACES: Final = 10
"""Of a ride with fewer faces that fail a gate, nothing is said of where they are."""


def measured_by_phase(phases: pl.DataFrame, faces: pl.DataFrame) -> pl.DataFrame:
    """The riders' faces of a ride with the phase of each.

    Args:
        phases: table `ride_phases`.
        faces: `frame_idx, person_id, strict_fails` and `FIGURES` of the riders' faces.
    """
    known = phases.select("frame_idx", "phase_number").drop_nulls()
    columns = ("person_id", "phase_number", "strict_fails", *FIGURES)
    return faces.join(known, on="frame_idx", maintain_order="left").select(columns)


def usual_faces(rides: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The table `ride_faces`: of each phase and of all of them what riders' faces measure.

    Each rider weighs the same, however long they were seen.

    Args:
        rides: of each, what `measured_by_phase` says of it.
    """
    schema = TABLES["ride_faces"]
    if not rides:
        return pl.DataFrame(schema=schema)
    faces = pl.concat(ride.with_columns(ride=pl.lit(n)) for n, ride in enumerate(rides))
    parts = [(None, faces)] + [
        (number, own) for (number,), own in sorted(faces.group_by("phase_number"))
    ]
    rows = [(number, name, *_band(own, name)) for number, own in parts for name in FIGURES]
    return pl.DataFrame(rows, schema=schema, orient="row")


def _band(faces: pl.DataFrame, name: str) -> tuple[Any, ...]:
    """Riders, faces, and the quantiles of `BAND`; null without a face that was measured."""
    value = pl.col(name).cast(pl.Float64).fill_nan(None)
    known = faces.select("ride", "person_id", value=value).drop_nulls().sort("value")
    riders = known.select("ride", "person_id").n_unique() if known.height else 0
    weighed = known.select("value", weight=1 / pl.len().over("ride", "person_id"))
    reached = weighed["weight"].cum_sum() / max(riders, 1)
    told = [weighed["value"].filter(reached >= share - 1e-9).head(1).to_list() for share in BAND]
    return (riders, known.height, *(next(iter(one), None) for one in told))


def failures_of(rides: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The table `ride_failures`: in how many rides most faces that fail a gate are in one phase.

    Args:
        rides: of each, what `measured_by_phase` says of it.
    """
    told = [(code, *one) for ride in rides for code, one in _failing(ride).items()]
    schema = {"code": pl.String, "phase_number": pl.Int64, "faces": pl.Int64, "of": pl.Int64}
    found = pl.DataFrame(told, schema=schema, orient="row")
    most = found.filter(pl.col("faces") * 2 > pl.col("of")).group_by("code", "phase_number").len()
    rows = most.join(found.group_by("code").len("of_rides"), on="code")
    return (
        rows.sort("code", "phase_number")
        .select("code", "phase_number", rides="len", of_rides="of_rides")
        .cast(dict.fromkeys(("rides", "of_rides"), pl.Int64))
    )


def _failing(faces: pl.DataFrame) -> dict[str, tuple[int, int, int]]:
    """By code the phase with the most faces that fail by it, how many there, how many in all."""
    codes = faces.select("phase_number", code="strict_fails").explode("code")
    counted = codes.filter(pl.col("code").is_in(list(OF_CODE))).group_by("code", "phase_number")
    found = {}
    for (code,), own in sorted(counted.len().group_by("code")):
        phase, count = own.sort("len", "phase_number", descending=[True, False]).row(0)[1:]
        if (total := int(own["len"].sum())) >= LEAST_FACES:
            found[str(code)] = (phase, count, total)
    return found


def failing_as_usual(
    table: pl.DataFrame, phases: pl.DataFrame, faces: pl.DataFrame, least: int
) -> tuple[str, ...]:
    """Of a ride, what fails a gate where it does on most rides of its camera.

    Nothing is said of a phase in which half of the riders' faces are anyway.

    Args:
        table: `ride_failures`.
        phases: table `ride_phases` of the ride.
        faces: as `measured_by_phase` takes them.
        least: with fewer rides in which enough faces failed nothing is usual.

    Returns:
        Sentences such as "31 of 40 riders' faces that are too dark for an anchor are in tunnel,
        0:41 to 0:58, as most are in 18 of 20 rides here."
    """
    own, spans = measured_by_phase(phases, faces), longest_by_number(spans_of(phases))
    usual = {(code, phase): counts for code, phase, *counts in table.iter_rows()}
    sentences = []
    for code, (phase, count, total) in _failing(own).items():
        rides, of_rides = usual.get((code, phase), (0, 0))
        elsewhere = own.filter(pl.col("phase_number") != phase).height
        if count * 2 <= total or elsewhere * 2 <= own.height:
            continue
        if of_rides < least or not _mostly(rides, of_rides, len(spans)):
            continue
        sentences.append(
            f"{count} of {total} riders' faces that are {FAILING_WORDS[code]} for an anchor are in "
            f"{place_words(spans[phase])}, as most are in {rides} of {of_rides} rides here."
        )
    return tuple(sentences)


def _mostly(rides: int, of_rides: int, phases: int) -> bool:
    """Whether it surely is so in more than half of the rides.

    The phase is the one of so many with the most faces, so each has its part of the error alone.
    """
    known = wilson(rides, of_rides, for_each_of(phases))
    return known is not None and known[0] > 0.5


def beside_usual(
    table: pl.DataFrame,
    span: Span,
    measured: Mapping[str, float | None],
    codes: Sequence[str],
    least: int,
) -> tuple[str, ...]:
    """Of a face that fails a gate, whether it is bad for its place, or its place is.

    Args:
        table: `ride_faces`.
        span: the part of its ride that it is in.
        measured: its `FIGURES`.
        codes: of the gates that it fails.
        least: of a phase with fewer riders nothing is usual.

    Returns:
        A sentence for each figure that has a code.
    """
    rows = {(row["phase_number"], row["figure"]): row for row in table.iter_rows(named=True)}
    sentences = []
    for name in dict.fromkeys(OF_CODE[code] for code in codes if code in OF_CODE):
        here, value = rows.get((span.number, name)), measured.get(name)
        if value is None or here is None or here["riders"] < least:
            continue
        sentences.append(_beside(name, value, span, here, rows[None, name]))
    return tuple(sentences)


def _beside(
    name: str, value: float, span: Span, here: Mapping[str, Any], ever: Mapping[str, Any]
) -> str:
    low, high = here["low"], here["high"]
    verdict = "less than" if value < low else "more than" if value > high else "as"
    return (
        f"Its {FIGURES[name]}, {value:.0f}, is {verdict} usual in {place_words(span)}: there eight "
        f"of ten faces of riders have {low:.0f} to {high:.0f}, over the whole ride "
        f"{ever['low']:.0f} to {ever['high']:.0f}."
    )
