"""Prices: medians of what work took, and what stands in before it was measured."""

from __future__ import annotations

from identity_pipeline.core.progress.costs import LAST, Price, Sample, price

BUNDLED = Price(None, 0.5, 0)


def test_one_odd_computation_does_not_move_the_price() -> None:
    samples = [Sample(10.0, 100, 50)] * 4 + [Sample(900.0, 100, 50)]
    assert price(samples, BUNDLED) == Price(0.1, 0.2, 5, 50)


def test_only_the_last_computations_count() -> None:
    old, new = Sample(100.0, 10, 10), Sample(1.0, 10, 10)
    assert price([old] * 50 + [new] * LAST, BUNDLED).per_unit == 0.1


def test_an_unmeasured_price_says_so() -> None:
    known = price([], BUNDLED)
    assert not known.measured and known.expected(None, 10) == 5.0


def test_work_whose_units_are_not_counted_is_estimated_by_the_length_of_the_video() -> None:
    known = price([Sample(10.0, 100, 50)], BUNDLED)
    assert known.expected(20, 50) == 2.0
    assert known.expected(None, 50) == 10.0
    assert known.expected(None, None) is None


def test_the_usual_length_of_a_video_is_the_middle_of_the_last_ones() -> None:
    samples = [Sample(1.0, 10, frames) for frames in (80, 80, 1200)]
    assert price(samples, BUNDLED).frames == 80
    assert price([], BUNDLED).frames is None


def test_work_without_units_gives_no_price_per_unit() -> None:
    assert price([Sample(1.0, 0, None)], BUNDLED) == Price(None, None, 1)
