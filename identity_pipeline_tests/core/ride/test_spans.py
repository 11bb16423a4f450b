"""The stretches of a video by phase."""

from __future__ import annotations

import polars as pl

from identity_pipeline.core.ride.spans import Span, spans_of
from identity_pipeline_tests.core.ride.tables import phases_of


def test_frames_of_one_phase_are_one_stretch_and_what_is_not_known_is_one_too() -> None:
    table = phases_of(("boarding", 2), ("dark", 3), (None, 1), ("dark", 1))
    tunnel = pl.col("phase_number") == 1
    table = table.with_columns(
        title=pl.when(tunnel).then(pl.lit("tunnel")),
        source=pl.when(tunnel).then(pl.lit("human")).otherwise(pl.lit("template")),
    )
    assert spans_of(table) == [
        Span(0.0, 2000.0, 0, "boarding"),
        Span(2000.0, 5000.0, 1, "dark", "tunnel", by_people=True),
        Span(5000.0, 6000.0),
        Span(6000.0, 6900.0, 3, "dark"),
    ]
    assert [span.words for span in spans_of(table)] == ["boarding", "tunnel", "not known", "dark"]
    assert spans_of(table.reverse()) == spans_of(table)
    assert spans_of(table.clear()) == []


def test_where_no_phase_is_known_the_video_is_one_stretch() -> None:
    assert spans_of(phases_of((None, 3))) == [Span(0.0, 2900.0)]
