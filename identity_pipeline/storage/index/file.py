"""The embedded index at rest: one Parquet file, loaded into Qdrant's in-memory client.

Qdrant's own embedded store keeps each point as a pickle, and nothing of ours is pickled. So the
client lives in memory while the index is open, and its points lie in one file of plain numbers and
JSON that is replaced whole: a reader, and a kill at any moment, finds the old index or the new one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.index.points import IDENTITY, VISION

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

FILE: Final = "points.parquet"
VECTORS: Final = (IDENTITY, *VISION)
COLLECTIONS: Final = "identity_pipeline.collections"
"""Key of the file's own metadata: vectors and metadata of each collection, as JSON."""
SCHEMA: Final = {
    "collection": pl.String,
    "id": pl.String,
    "payload": pl.String,  # JSON
    **dict.fromkeys(VECTORS, pl.List(pl.Float32)),
}
PAGE: Final = 5000


def load(client: QdrantClient, path: Path) -> None:
    """Fills an empty client with what a file holds.

    Raises:
        polars.exceptions.PolarsError, ValueError, KeyError, TypeError: it is no such file.
    """
    from qdrant_client import models

    noted = json.loads(pl.read_parquet_metadata(path)[COLLECTIONS])
    table = pl.read_parquet(path, memory_map=False, glob=False).cast(SCHEMA)  # type: ignore[arg-type]
    for name, facts in sorted(noted.items()):
        client.create_collection(
            name,
            vectors_config={
                vector: models.VectorParams(size=size, distance=models.Distance.DOT)
                for vector, size in facts["vectors"].items()
            },
            metadata=facts["metadata"],
        )
        points = table.filter(pl.col("collection") == name)
        for page in points.iter_slices(PAGE):
            client.upsert(name, points=[_point(row) for row in page.iter_rows(named=True)])


def _point(row: dict[str, Any]) -> Any:
    from qdrant_client import models

    vectors = {name: row[name] for name in VECTORS if row[name] is not None}
    return models.PointStruct(id=row["id"], vector=vectors, payload=json.loads(row["payload"]))


def save(client: QdrantClient, path: Path) -> None:
    """Replaces a file by what a client holds; equal contents are equal bytes."""
    noted: dict[str, Any] = {}
    rows: list[dict[str, Any]] = []
    for name in sorted(c.name for c in client.get_collections().collections):
        info = client.get_collection(name)
        vectors = info.config.params.vectors
        sizes = {n: v.size for n, v in vectors.items()} if isinstance(vectors, dict) else {}
        noted[name] = {"vectors": sizes, "metadata": info.config.metadata or {}}
        rows += [_row(name, point) for point in _points(client, name)]
    table = pl.DataFrame(rows, schema=SCHEMA).sort("collection", "id")
    facts = {COLLECTIONS: json.dumps(noted, sort_keys=True)}
    atomic.write_with(
        path, lambda partial: table.write_parquet(partial, compression="zstd", metadata=facts)
    )


def _row(collection: str, point: Any) -> dict[str, Any]:
    payload = json.dumps(point.payload or {}, sort_keys=True)
    return {
        "collection": collection,
        "id": str(point.id),
        "payload": payload,
        **{name: (point.vector or {}).get(name) for name in VECTORS},
    }


def _points(client: QdrantClient, name: str) -> Iterator[Any]:
    offset = None
    while True:
        points, offset = client.scroll(name, limit=PAGE, offset=offset, with_vectors=True)
        yield from points
        if offset is None:
            return
