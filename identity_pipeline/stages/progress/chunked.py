"""A dear computation over many faces, cut into chunks that a stopped run takes up again.

Chunks end between two batches, and batches begin where they would have begun without a stop, so
that a network sees the same batches and gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl

from identity_pipeline.storage.video.chunks import ChunkStore

ROWS = "rows.parquet"


def by_chunks(
    face_ids: Sequence[str],
    compute: Callable[[list[str]], Generator[pl.DataFrame, None, None]],
    schema: Mapping[str, Any],
    chunk_faces: int,
    chunks: ChunkStore | None,
    report: Callable[[int], None],
) -> pl.DataFrame:
    """The rows of all faces, those of earlier runs read and those that are left computed.

    What is computed behind the last full chunk is not kept: the step's output is next.

    Args:
        face_ids: the wanted faces.
        compute: yields a table with `face_id` per batch of the faces it is given.
        schema: of these tables.
        chunk_faces: a chunk ends behind the batch that reaches so many faces.
        chunks: where they lie; None computes everything and keeps nothing.
        report: told how many faces are done.
    """
    tables = (
        [pl.read_parquet(place / ROWS, glob=False) for place in chunks.finished()] if chunks else []
    )
    known = set(pl.concat([pl.DataFrame(schema=dict(schema)), *tables])["face_id"])
    report(len(known))
    number, done = len(tables), len(known)
    pending: list[pl.DataFrame] = []
    with closing(compute([face_id for face_id in face_ids if face_id not in known])) as batches:
        for batch in batches:
            pending.append(batch)
            done += batch.height
            report(done)
            if chunks and done < len(face_ids) and sum(map(len, pending)) >= chunk_faces:
                rows = pl.concat(pending)
                chunks.put(number, lambda folder, rows=rows: _write(rows, folder))
                tables.append(rows)
                number, pending = number + 1, []
    return pl.concat([pl.DataFrame(schema=dict(schema)), *tables, *pending])


def _write(rows: pl.DataFrame, folder: Path) -> None:
    rows.write_parquet(folder / ROWS)
