"""Work on a stream of items, several batches at once, whose results come in the order of the items.

What belongs here: the threads, and what becomes of errors. What does not: what the items are. It is
for work that spends its time in libraries that let go of the interpreter while they compute:
decoders, networks, OpenCV.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE_MAX: Final = 4
"""Batches at once: each is held whole, and what makes the items needs cores too."""
READY: Final = 2
"""Batches that wait for a thread: with one alone, a thread is idle while a slow item is made."""


def in_order(
    items: Iterable[T], work: Callable[[list[T]], Sequence[R]], *, batch: int, threads: int
) -> Generator[R, None, None]:
    """The results of `work`, one for each item, as if it were done one batch after the other.

    Items are made in the thread that asks for results, while others are worked on. At most `READY`
    batches more than are worked on at once are held at a time. When the iteration ends, is closed
    or raises, no thread is left: what has begun is waited for, what has not is dropped.

    Args:
        items: made one at a time.
        work: results of a batch in its order; called from several threads.
        batch: so many items are worked on by one call; the last ones may be fewer.
        threads: so many calls at once, but never more than `AT_ONCE_MAX`.

    Raises:
        Exception: what making an item or working on it raises, behind the results of all items
            (for work: of all batches) before it.
    """
    at_once = min(threads, AT_ONCE_MAX)
    pool = ThreadPoolExecutor(at_once, "overlap")
    under_way: deque[Future[Sequence[R]]] = deque()
    try:
        for begun in _begun(items, batch, lambda some: pool.submit(work, some)):
            under_way.append(begun)
            if len(under_way) == at_once + READY:
                yield from under_way.popleft().result()
        while under_way:
            yield from under_way.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _begun(
    items: Iterable[T], size: int, begin: Callable[[list[T]], Future[R]]
) -> Iterator[Future[R]]:
    """Work on each batch; an error of the items is the last, so that it is met in its turn."""
    batch: list[T] = []
    failed: Future[R] | None = None
    coming = iter(items)
    while failed is None:
        try:
            batch.append(next(coming))
        except StopIteration:
            break
        except Exception as error:  # noqa: BLE001 - raised behind what came before it
            failed = Future()
            failed.set_exception(error)
        else:
            if len(batch) == size:
                yield begin(batch)
                batch = []
    if batch:
        yield begin(batch)
    if failed is not None:
        yield failed
