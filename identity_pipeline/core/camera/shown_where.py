"""Where on the ride riders of a camera show what: the table `ride_expressions`, and its words.

Most smile at the same place. Who did not may have been hidden there, or the part was not seen; that
can be told of each rider. A rider of a ride counts once in each phase, however many faces were seen
there, and only where a usable face could be told: who is turned away has no expression.

What belongs here: counting riders by phase, and what that says of what a rider lacks. What does
not: how many riders show something at all (`reach`), which frame is in which phase (`core.ride`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from identity_pipeline.core.camera.reach import LIGHTS
from identity_pipeline.core.evaluation.intervals import for_each_of, wilson
from identity_pipeline.core.faces.buckets import EXPRESSIONS
from identity_pipeline.core.ride.spans import Span, longest_by_number, place_words, spans_of
from identity_pipeline.tables import TABLES

SHOWN: Final[Mapping[str, Sequence[str]]] = {"expression": EXPRESSIONS, "lighting": LIGHTS}
"""What is counted, by axis."""
RIDERS_MIN: Final = 5
"""A part that fewer showed something in is not named for it: one row of one ride is no habit."""
_KEYS: Final = ("person_id", "phase_number", "axis")
Cell = tuple[str, str]
"""An axis and a bin of it."""


def shown_by_phase(phases: pl.DataFrame, faces: pl.DataFrame) -> pl.DataFrame:
    """What each rider of a ride showed in each phase, each once.

    Args:
        phases: table `ride_phases`.
        faces: `frame_idx, person_id, loose, expression_bin, lighting_bin` of the riders' faces.

    Returns:
        `person_id, phase_number, axis, cell`, of faces that pass the loose gate.
    """
    known = phases.drop_nulls("phase_number").select("frame_idx", "phase_number")
    told = faces.filter("loose").join(known, on="frame_idx")
    bins = told.select("person_id", "phase_number", *(pl.col(f"{a}_bin").alias(a) for a in SHOWN))
    long = bins.unpivot(index=_KEYS[:2], variable_name="axis", value_name="cell")
    cells = [cell for own in SHOWN.values() for cell in own]
    return long.filter(pl.col("cell").is_in(cells)).unique().sort(*_KEYS, "cell")


def expressions_of(rides: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The table `ride_expressions`: every cell of each phase in which somebody was told.

    Args:
        rides: of each, what `shown_by_phase` says of it.
    """
    schema = TABLES["ride_expressions"]
    if not rides:
        return pl.DataFrame(schema=schema)
    shown = pl.concat(ride.with_columns(ride=pl.lit(n)) for n, ride in enumerate(rides))
    riders = shown.select("ride", *_KEYS).unique().group_by("phase_number", "axis").len()
    counted = shown.group_by("phase_number", "axis", "cell").len()
    of = {(phase, axis, cell): count for phase, axis, cell, count in counted.iter_rows()}
    rows = []
    for phase, axis, told in riders.sort("phase_number", "axis").iter_rows():
        for cell in SHOWN[axis]:
            count = of.get((phase, axis, cell), 0)
            rows.append((phase, axis, cell, count, told, *(wilson(count, told) or (None, None))))
    return pl.DataFrame(rows, schema=schema, orient="row")


def where_most(table: pl.DataFrame, cell: Cell, least: int) -> list[dict[str, Any]]:
    """The phases in which the most riders show something, as far as they stand out.

    The largest of many shares is large by chance as well. So a phase stands out where the lower
    bound of its share, corrected for the number of phases, is above the upper bound of all the
    others' together.

    Args:
        table: `ride_expressions`.
        cell: what.
        least: riders of fewer than so many say nothing of a phase.

    Returns:
        The rows of those that stand out, of the phase with the largest share and of others whose
        share lies within its interval.
    """
    axis, name = cell
    everywhere = table.filter(pl.col("axis") == axis, pl.col("cell") == name)
    rows = everywhere.filter(pl.col("of_riders") >= least).with_columns(
        share=pl.col("riders") / pl.col("of_riders")
    )
    if not rows.height:
        return []
    best = rows.sort("share", "low", descending=True).row(0, named=True)
    most = rows.filter(pl.col("share") >= best["low"]).sort("phase_number")
    riders, told = int(everywhere["riders"].sum()), int(everywhere["of_riders"].sum())
    return [
        row
        for row in most.iter_rows(named=True)
        if row["riders"] >= RIDERS_MIN and _stands_out(row, riders, told, rows.height)
    ]


def _stands_out(row: Mapping[str, Any], riders: int, told: int, phases: int) -> bool:
    """Whether a phase does, of so many, in which so many riders were told together."""
    here = wilson(row["riders"], row["of_riders"], for_each_of(phases))
    others = wilson(riders - row["riders"], told - row["of_riders"])
    return here is not None and others is not None and here[0] > others[1]


def where_shown(
    table: pl.DataFrame, phases: pl.DataFrame, faces: pl.DataFrame, least: int
) -> dict[int, dict[Cell, str]]:
    """Of each rider of a ride, where riders show most what this one may lack.

    Args:
        table: `ride_expressions`.
        phases: table `ride_phases` of the ride.
        faces: `frame_idx, person_id, loose` of the riders' faces.
        least: riders of fewer than so many say nothing of a phase.

    Returns:
        Words by cell, such as "most often in drop, 0:41 to 0:45 (61% of 38 riders there)", with
        whether this ride has the part, and whether the rider was seen well in it.
    """
    spans = longest_by_number(spans_of(phases))
    cells = [(axis, cell) for axis, own in SHOWN.items() for cell in own]
    most = {cell: rows for cell in cells if (rows := where_most(table, cell, least))}
    number = phases.drop_nulls("phase_number").select("frame_idx", "phase_number")
    good = faces.filter("loose").join(number, on="frame_idx").group_by("person_id")
    seen = dict(good.agg(pl.col("phase_number").unique()).iter_rows())
    return {
        person: {cell: _words(rows, spans, seen.get(person, ())) for cell, rows in most.items()}
        for person in faces["person_id"].unique().sort().to_list()
    }


def _words(
    rows: Sequence[Mapping[str, Any]], spans: Mapping[int, Span], seen: Sequence[int]
) -> str:
    here = [row for row in rows if row["phase_number"] in spans]
    if not here:
        return f"most often in a part that this ride does not show ({_share(rows[0], ' riders')})"
    places = [
        f"{place_words(spans[row['phase_number']])} ({_share(row, '' if at else ' riders there')})"
        for at, row in enumerate(here)
    ]
    missed = not {row["phase_number"] for row in here} & set(seen)
    beside = ", where this rider was never seen well" if missed else ""
    return f"most often in {' and in '.join(places)}{beside}"


def _share(row: Mapping[str, Any], whom: str) -> str:
    return f"{row['riders'] / row['of_riders']:.0%} of {row['of_riders']}{whom}"


def with_places(lacking: Mapping[Cell, str], where: Mapping[Cell, str]) -> dict[Cell, str]:
    """What it says that bins are empty, and where riders show them.

    Args:
        lacking: from `reach.lacking`.
        where: of the rider, from `where_shown`; of what nobody shows it has nothing.
    """
    return {
        cell: f"{words}; {where[cell]}" if cell in where else words
        for cell, words in lacking.items()
    }
