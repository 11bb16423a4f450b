"""Where riders show what: that a rider counts once, what stands out, and what is said of one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import polars as pl
import pytest

from identity_pipeline.core.camera.shown_where import (
    expressions_of,
    shown_by_phase,
    where_most,
    where_shown,
    with_places,
)
from identity_pipeline.core.evaluation.intervals import wilson
from identity_pipeline.tables import TABLES, conform
from identity_pipeline_tests.core.ride.tables import phases_of

RIDE = phases_of(("boarding", 2), ("dark", 3), ("ride", 4), ("brake", 2), (None, 1))
SMILE = ("expression", "smile")
BOUNDS = lru_cache(wilson)


def seen(*faces: tuple[int, int, str, bool]) -> pl.DataFrame:
    """Riders' faces: whose, the second, the expression, the verdict of the loose gate."""
    columns = ("person_id", "frame_idx", "expression_bin", "loose")
    rows = [(person, 10 * second, bin_, good) for person, second, bin_, good in faces]
    return pl.DataFrame(rows, schema=columns, orient="row").with_columns(
        lighting_bin=pl.lit("dark")
    )


def told(*rows: tuple[int, int, int]) -> pl.DataFrame:
    """The table: phase, riders who smiled there, of how many."""
    full = [(phase, *SMILE, k, n, *BOUNDS(k, n)) for phase, k, n in rows]
    return pl.DataFrame(full, schema=TABLES["ride_expressions"], orient="row")


def drawn(shares: Sequence[float], of: int, seed: int) -> list[int]:
    """The phases that are named where riders of a library smile by chance, with these shares."""
    draw = np.random.default_rng(seed)
    rows = [(phase, int(draw.binomial(of, share)), of) for phase, share in enumerate(shares)]
    return [row["phase_number"] for row in where_most(told(*rows), SMILE, 20)]


def nobody() -> pl.DataFrame:
    """A ride whose one rider is seen well and smiles nowhere."""
    return shown_by_phase(RIDE, seen((0, 0, "neutral", True)))


def test_a_rider_counts_once_in_a_phase_and_only_where_a_usable_face_can_be_told() -> None:
    faces = seen(
        *((0, 0, "smile", True), (0, 1, "smile", True), (0, 1, "neutral", True)),
        *((1, 0, "neutral", True), (1, 1, "smile", False)),
        *((2, 0, "unknown", True), (2, 2, "smile", True), (0, 11, "smile", True)),
    )
    table = conform("ride_expressions", expressions_of([shown_by_phase(RIDE, faces)] * 2))
    smiles = table.filter(cell="smile").select("phase_number", "riders", "of_riders")
    assert smiles.rows() == [(0, 2, 4), (1, 2, 2)]
    light = table.filter(cell="dark").select("phase_number", "riders", "of_riders")
    assert light.rows() == [(0, 6, 6), (1, 2, 2)]  # light is told where an expression is not
    assert table.filter(phase_number=0, axis="expression").height == 4  # also what nobody showed
    assert table.filter(cell="smile").row(0)[-2:] == wilson(2, 4)
    assert expressions_of([]).is_empty() and expressions_of([nobody().clear()]).is_empty()


@pytest.mark.parametrize(
    ("rows", "places"),
    [
        ([(0, 2, 40), (1, 30, 40), (2, 3, 40), (3, 1, 40)], [1]),
        ([(0, 2, 40), (1, 30, 40), (2, 28, 40), (3, 1, 40)], [1, 2]),  # about as many
        ([(0, 29, 40), (1, 30, 40), (2, 28, 40), (3, 1, 40)], []),  # nearly everywhere
        ([(0, 30, 40)], []),
        ([(0, 2, 40), (1, 19, 19), (2, 3, 40), (3, 30, 40)], [3]),  # of too few to say
        ([(0, 0, 400), (1, 4, 20), (2, 0, 400), (3, 0, 400)], []),  # by a handful
        ([(0, 0, 400), (1, 5, 20), (2, 0, 400), (3, 0, 400)], [1]),
        ([(0, 10, 40), (1, 16, 40), (2, 9, 40), (3, 11, 40)], []),  # the largest, as one must be
        ([], []),
    ],
)
def test_a_part_is_named_only_where_it_stands_out(
    rows: list[tuple[int, int, int]], places: list[int]
) -> None:
    assert [row["phase_number"] for row in where_most(told(*rows), SMILE, 20)] == places


@pytest.mark.parametrize("share", [0.02, 0.05, 0.2, 0.5])
def test_hardly_any_part_is_named_where_all_are_alike(share: float) -> None:
    assert sum(bool(drawn([share] * 8, 40, seed)) for seed in range(100)) <= 5


def test_a_part_that_is_another_is_nearly_always_named() -> None:
    found = [drawn([0.1, 0.1, 0.1, 0.5, 0.1, 0.1, 0.1, 0.1], 40, seed) for seed in range(50)]
    assert sum(phases == [3] for phases in found) >= 47


def test_what_is_said_of_a_rider_holds_for_this_ride() -> None:
    table = told((0, 2, 40), (1, 30, 40), (2, 3, 40), (3, 1, 40))
    faces = seen((0, 3, "neutral", True), (1, 0, "neutral", True), (1, 3, "smile", False))
    words = where_shown(table, RIDE, faces, 20)
    most = "most often in dark, 0:02 to 0:05 (75% of 40 riders there)"
    assert words[0] == {SMILE: most}
    assert words[1] == {SMILE: f"{most}, where this rider was never seen well"}
    short = phases_of(("boarding", 2))
    gone = where_shown(table, short, faces, 20)[0][SMILE]
    assert gone == "most often in a part that this ride does not show (75% of 40 riders)"
    lacking = {SMILE: "reached by 68%", ("yaw", "[-5,5)"): "reached by 9%"}
    assert with_places(lacking, words[0]) == lacking | {SMILE: f"reached by 68%; {most}"}
    assert with_places(lacking, {}) == lacking
