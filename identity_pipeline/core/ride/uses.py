"""What other steps learn from the phases of a ride.

Each function takes the table `ride_phases` of a video (or of many) and what it is about, and says
what it does not know with null: where no phase is known, nothing follows from phases.

What belongs here: what phases mean for somebody else. What does not: who rides, which gate holds
and what is exported, which are decided where they were.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl
from scipy.stats import beta, hypergeom

from identity_pipeline.core.ride.course import MAD_TO_DEVIATION
from identity_pipeline.core.ride.frame_phases import Span
from identity_pipeline.core.video.highlights import Window
from identity_pipeline.settings.ride import RideSettings

BOARDING: Final = "boarding"
HARD_TO_SEE: Final = ("dark", "flash", "glare", "high_motion")
"""Phases in which a rider need not be found."""
KNOWN_SHARE: Final = 0.8
"""Of a video whose phases are known for a smaller share of its frames, nobody is told from them."""
CONFIDENCE: Final = 0.95


def seen_at_boarding(
    tracks: pl.DataFrame, phases: pl.DataFrame, settings: RideSettings
) -> pl.DataFrame:
    """Which tracks are there at boarding alone: staff, the queue, whoever waves.

    Somebody who is there all the ride, and as easily seen beside boarding as in it, is seen in k
    seconds of boarding alone with a probability that counting gives: the k seconds would be drawn
    among all in which faces can be seen (a hypergeometric one). Seconds, not frames, for frames of
    one second are one sight; in the dark, in glare and in high motion nobody need be seen.

    Args:
        tracks: `track_id, frame_idx` of each face.
        phases: table `ride_phases`.
        settings: `boarding_chance`: below it a track is of boarding alone.

    Returns:
        `track_id, at_boarding, beside, boarding_only`: seconds of boarding and of other phases in
        which it is seen, and the verdict. False where it is seen beside boarding; null where the
        phases of too few frames are known, and where it was seen for too short to tell.
    """
    known = phases.with_columns(second=(pl.col("timestamp_ms") / 1000).floor().cast(pl.Int64))
    known = known.filter(pl.col("phase").is_not_null())
    boarding = pl.col("phase") == BOARDING
    seen = tracks.select("track_id", "frame_idx").join(
        known.select("frame_idx", "second", "phase"), on="frame_idx", how="left"
    )
    counted = (
        seen.group_by("track_id")
        .agg(
            at_boarding=pl.col("second").filter(boarding).n_unique().cast(pl.Int64),
            beside=pl.col("second").filter(~boarding).n_unique().cast(pl.Int64),
        )
        .sort("track_id")
    )
    if known.height < KNOWN_SHARE * max(phases.height, 1):
        return counted.with_columns(boarding_only=pl.lit(None, dtype=pl.Boolean))
    plain = known.filter(~pl.col("phase").is_in(HARD_TO_SEE))
    inside = known.filter(boarding)["second"].n_unique()
    everywhere = plain["second"].n_unique()
    verdicts = [
        False
        if beside
        else (hypergeom.pmf(k, everywhere, inside, k) <= settings.boarding_chance or None)
        for k, beside in counted.select("at_boarding", "beside").iter_rows()
    ]
    return counted.with_columns(
        boarding_only=pl.Series([v if v is None else bool(v) for v in verdicts], dtype=pl.Boolean)
    )


def windows(spans: Sequence[Span], weights: Mapping[str, float]) -> list[Window]:
    """Windows of a video in which more frames are worth sampling: as highlights are written.

    Args:
        spans: of the video.
        weights: by phase, at least 1; a phase without one is sampled as usual.
    """
    return [
        Window(span.start_s, span.end_s, weights[span.phase.phase])
        for span in spans
        if span.phase is not None
        and weights.get(span.phase.phase, 1.0) > 1.0
        and span.end_s > span.start_s
    ]


@dataclass(frozen=True)
class Expectation:
    """How many rides of a camera have a good frame of a rider in a phase.

    Attributes:
        number: of the phase in the template.
        with_good: rides that have one.
        rides: that pass it.
        upper: of the share, the exact bound at 95 %.
    """

    number: int
    with_good: int
    rides: int
    upper: float


def expectations(good: pl.DataFrame) -> list[Expectation]:
    """What to expect of each phase, from earlier rides.

    Args:
        good: `video_id, phase_number, good` (whether any face of a rider passed the loose gate),
            one row for each ride and phase that it passes.
    """
    counted = (
        good.filter(pl.col("phase_number").is_not_null(), pl.col("good").is_not_null())
        .group_by("phase_number")
        .agg(with_good=pl.col("good").sum().cast(pl.Int64), rides=pl.len().cast(pl.Int64))
        .sort("phase_number")
    )
    return [
        Expectation(number, hits, rides, _upper(hits, rides))
        for number, hits, rides in counted.iter_rows()
    ]


def _upper(hits: int, rides: int) -> float:
    """One-sided exact bound of a share (Clopper and Pearson 1934)."""
    return 1.0 if hits == rides else float(beta.ppf(CONFIDENCE, hits + 1, rides - hits))


def expectation_sentences(
    spans: Sequence[Span], expected: Sequence[Expectation], settings: RideSettings
) -> list[str]:
    """What not to expect of a video, such as `No good frames 0:41-0:58: tunnel (0 of 24 rides)`.

    Args:
        spans: of the video.
        expected: of the phases of its template.
        settings: `no_good_share`: where the bound of the share of rides with a good frame is below
            it, the phase is named.
    """
    by_number = {one.number: one for one in expected}
    sentences = []
    for span in spans:
        found = by_number.get(span.number) if span.number is not None else None
        if span.phase is None or found is None or found.upper > settings.no_good_share:
            continue
        hardly = "No" if not found.with_good else "Hardly any"
        sentences.append(
            f"{hardly} good frames {clock(span.start_s)}-{clock(span.end_s)}: {span.phase.words} "
            f"({found.with_good} of {found.rides} rides)."
        )
    return sentences


def clock(seconds: float) -> str:
    """A time of a video as people say it: minutes and whole seconds."""
    whole = int(seconds + 0.5)
    return f"{whole // 60}:{whole % 60:02d}"


def face_figures(faces: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """What the faces of one video are like in each phase.

    Args:
        faces: `phase_number` of each face's frame, and measures.
        columns: the measures.

    Returns:
        `phase_number, column, faces, median, deviation` (1.4826 MAD); phases and measures without
        a known value are left out.
    """
    rows = faces.filter(pl.col("phase_number").is_not_null())
    long = rows.select("phase_number", *(pl.col(c).cast(pl.Float64) for c in columns)).unpivot(
        on=list(columns), index="phase_number", variable_name="column"
    )
    away = (pl.col("value") - pl.col("value").median()).abs()
    return (
        long.drop_nulls("value")
        .group_by("phase_number", "column")
        .agg(
            faces=pl.len().cast(pl.Int64),
            median=pl.col("value").median(),
            deviation=MAD_TO_DEVIATION * away.median(),
        )
        .sort("phase_number", "column")
    )


def face_normals(figures: pl.DataFrame, videos_min: int) -> pl.DataFrame:
    """What faces are normally like in each phase of a camera's ride, each video one voice.

    Args:
        figures: of `face_figures`, of all videos.
        videos_min: with fewer videos of a phase nothing is said of it.

    Returns:
        `phase_number, column, videos, median, deviation`.
    """
    return (
        figures.group_by("phase_number", "column")
        .agg(
            videos=pl.len().cast(pl.Int64),
            median=pl.col("median").median(),
            deviation=pl.col("deviation").median(),
        )
        .filter(pl.col("videos") >= videos_min)
        .sort("phase_number", "column")
    )


def beside_normal(faces: pl.DataFrame, normals: pl.DataFrame, column: str) -> pl.Series:
    """How far a measure of each face is from what is normal where on the ride it is.

    Args:
        faces: `phase_number` of each face's frame, and the measure.
        normals: of `face_normals`.
        column: name of the measure.

    Returns:
        Robust standard deviations above the median; null where the phase, the measure or what is
        normal is not known, or where normal is one value alone.
    """
    own = normals.filter(pl.col("column") == column)
    own = own.select("phase_number", usual="median", spread="deviation")
    told = faces.select("phase_number", column).join(
        own, on="phase_number", how="left", maintain_order="left"
    )
    away = (pl.col(column).cast(pl.Float64) - pl.col("usual")) / pl.col("spread")
    return told.select(pl.when(pl.col("spread") > 0).then(away).alias(column)).to_series()


def timeline_rows(spans: Sequence[Span]) -> pl.DataFrame:
    """What a timeline shows of the phases: `start_s, end_s, phase, title, source, words`."""
    rows = [
        {
            "start_s": span.start_s,
            "end_s": span.end_s,
            "phase": span.phase and span.phase.phase,
            "title": span.phase and span.phase.title,
            "source": span.phase and span.phase.source,
            "words": span.phase.words if span.phase else "not known",
        }
        for span in spans
    ]
    schema = {
        "start_s": pl.Float64,
        "end_s": pl.Float64,
        **dict.fromkeys(("phase", "title", "source", "words"), pl.String),
    }
    return pl.DataFrame(rows, schema=schema)
