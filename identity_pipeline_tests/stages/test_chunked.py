"""A computation over faces, stopped behind any chunk: the same rows, none computed twice."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.stages.progress.chunked import by_chunks
from identity_pipeline.storage.video.chunks import ChunkStore
from identity_pipeline_tests.core.builders import FEW

SCHEMA = {"face_id": pl.String, "batch": pl.List(pl.String)}


class StopError(Exception):
    """What a boundary raises."""


class Network:
    """Answers with the batch that a face was in, as a network's last bits may depend on it."""

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self.seen: list[str] = []

    def __call__(self, face_ids: list[str]) -> Generator[pl.DataFrame, None, None]:
        for first in range(0, len(face_ids), self.batch):
            batch = face_ids[first : first + self.batch]
            self.seen += batch
            rows = [{"face_id": face_id, "batch": batch} for face_id in batch]
            yield pl.DataFrame(rows, schema=SCHEMA)


def whole(faces: list[str], network: Network, chunks: ChunkStore | None) -> pl.DataFrame:
    return by_chunks(faces, network, SCHEMA, 6, chunks, lambda done: None)


@given(st.integers(0, 40), st.integers(1, 9), st.integers(1, 4))
@FEW
def test_stopped_behind_a_chunk_and_taken_up(
    tmp_path_factory: pytest.TempPathFactory, count: int, batch: int, stop_after: int
) -> None:
    faces = [f"{i:06d}-0" for i in range(count)]
    expected = whole(faces, Network(batch), None)
    folder = tmp_path_factory.mktemp("chunks") / "key"
    puts = iter(range(1, 100))

    def boundary() -> None:
        if next(puts) == stop_after:
            raise StopError

    network = Network(batch)
    try:
        whole(faces, network, ChunkStore(folder, boundary))
        stopped = False
    except StopError:
        stopped = True
    again = Network(batch)
    assert whole(faces, again, ChunkStore(folder)).equals(expected)
    if stopped:
        assert network.seen + again.seen == faces
        assert len(network.seen) >= 6 * stop_after


def test_no_face_gives_the_empty_table(tmp_path: Path) -> None:
    table = whole([], Network(4), ChunkStore(tmp_path / "key"))
    assert table.height == 0 and dict(table.schema) == SCHEMA
