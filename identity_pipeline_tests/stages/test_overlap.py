"""Work that is overlapped gives what it gives one item after the other, errors included."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.stages.video.overlap import READY, in_order


class MadeWrongError(Exception):
    pass


class LookedWrongError(Exception):
    pass


def items(count: int, wrong_at: int | None) -> Iterator[int]:
    for n in range(count):
        if n == wrong_at:
            raise MadeWrongError(n)
        yield n


def squares(wrong_at: int | None) -> Callable[[list[int]], list[int]]:
    def work(batch: list[int]) -> list[int]:
        time.sleep(0.0003 * (batch[0] % 3))  # later batches overtake earlier ones
        if wrong_at in batch:
            raise LookedWrongError(wrong_at)
        return [n * n for n in batch]

    return work


places = st.none() | st.integers(0, 14)


@given(
    count=st.integers(0, 12),
    batch=st.integers(1, 4),
    threads=st.integers(1, 3),
    made_wrong=places,
    looked_wrong=places,
)
def test_results_and_errors_come_where_they_would_without_threads(
    count: int, batch: int, threads: int, made_wrong: int | None, looked_wrong: int | None
) -> None:
    before = threading.active_count()
    found: list[int] = []
    error: Exception | None = None
    try:
        for result in in_order(
            items(count, made_wrong), squares(looked_wrong), batch=batch, threads=threads
        ):
            found.append(result)
    except (MadeWrongError, LookedWrongError) as raised:
        error = raised
    made = count if made_wrong is None else min(count, made_wrong)
    if looked_wrong is not None and looked_wrong < made:
        assert isinstance(error, LookedWrongError)
        made = looked_wrong // batch * batch
    elif made < count:
        assert isinstance(error, MadeWrongError)
    else:
        assert error is None
    assert found == [n * n for n in range(made)]
    assert threading.active_count() == before


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, ValueError])
def test_whoever_stops_early_leaves_no_thread_and_no_work(stop: type[BaseException]) -> None:
    before, begun = threading.active_count(), []

    def work(batch: list[int]) -> list[int]:
        begun.extend(batch)
        return batch

    with (
        pytest.raises(stop),
        closing(in_order(items(1000, None), work, batch=2, threads=2)) as results,
    ):
        for n in results:
            if n == 5:
                raise stop
    assert threading.active_count() == before
    assert max(begun) <= 5 + 2 * (2 + READY), "no more was begun than may be held"


def test_no_more_is_held_than_was_said() -> None:
    made: list[int] = []

    def noted() -> Iterator[int]:
        for n in items(40, None):
            made.append(n)
            yield n

    for n in in_order(noted(), lambda batch: batch, batch=3, threads=2):
        assert len(made) <= n // 3 * 3 + 3 * (2 + READY)
