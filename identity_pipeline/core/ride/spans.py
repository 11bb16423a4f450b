"""The stretches of a video by phase: what its timeline shows, and what sentences speak of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from identity_pipeline.core.ride.phases import HUMAN
from identity_pipeline.core.video.clock import clock

NOT_KNOWN: Final = "not known"


@dataclass(frozen=True)
class Span:
    """A stretch of a video, or of a template, that is of one phase.

    Attributes:
        start_ms, end_ms: on the clock of the video, up to where the next stretch begins.
        number: of the phase in the template, from 0; None where no phase is known.
        phase: its name, see `core.ride.phases.PHASES`; None where it is not known.
        title: what people call it; None where nobody said.
        by_people: whether people said so, and not the template.
    """

    start_ms: float
    end_ms: float
    number: int | None = None
    phase: str | None = None
    title: str | None = None
    by_people: bool = False

    @property
    def words(self) -> str:
        """How it is called."""
        return self.title or (self.phase or NOT_KNOWN).replace("_", " ")


SHORT_MS: Final = 3000.0
"""Where a stretch is shorter times are told in tenths: in whole seconds it may seem to have no
length."""


def clocks(spans: Sequence[Span]) -> list[tuple[str, str]]:
    """From when to when each stretch is, for people."""
    decimals = int(any(span.end_ms - span.start_ms < SHORT_MS for span in spans))
    return [(clock(span.start_ms, decimals), clock(span.end_ms, decimals)) for span in spans]


def called(span: Span) -> str:
    """How it is called, with its phase where it has a title: `tunnel (dark)`."""
    phase = (span.phase or NOT_KNOWN).replace("_", " ")
    return f"{span.title} ({phase})" if span.title else phase


def spans_of(phases: pl.DataFrame) -> list[Span]:
    """The stretches of a video, in its order, without a gap.

    Args:
        phases: table `ride_phases`.
    """
    if not phases.height:
        return []
    rows = phases.sort("frame_idx").with_columns(
        run=pl.col("phase_number").ne_missing(pl.col("phase_number").shift()).cum_sum()
    )
    begins = rows.unique("run", keep="first", maintain_order=True)
    starts = begins["timestamp_ms"].to_list()
    ends = [*starts[1:], rows["timestamp_ms"][-1]]
    named = begins.select("phase_number", "phase", "title", by_people=pl.col("source") == HUMAN)
    return [
        Span(start, end, number, phase, title, bool(by_people))
        for start, end, (number, phase, title, by_people) in zip(
            starts, ends, named.iter_rows(), strict=True
        )
    ]


def place_words(span: Span) -> str:
    """What a stretch is called and when it is: `tunnel, 0:41 to 0:58`."""
    ((start, end),) = clocks([span])
    return f"{span.words}, {start} to {end}"


def longest_by_number(spans: Iterable[Span]) -> dict[int, Span]:
    """Of each phase of the template that a video passes, its longest stretch."""
    known = sorted((s for s in spans if s.number is not None), key=lambda s: s.end_ms - s.start_ms)
    return {span.number: span for span in known if span.number is not None}


def stretches_of(stretches: pl.DataFrame, step_ms: float) -> list[Span]:
    """The same of a template, on its own clock.

    Args:
        stretches: table `ride_stretches`.
        step_ms: between two points of the template.
    """
    columns = ("start", "end", "phase_number", "phase", "title", "source")
    return [
        Span(start * step_ms, end * step_ms, number, phase, title, source == HUMAN)
        for start, end, number, phase, title, source in stretches.select(columns).iter_rows()
    ]
