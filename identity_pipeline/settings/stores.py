"""Settings of the stores: vector index (Qdrant), catalogue (DuckDB), object store."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import field_validator

from identity_pipeline.errors import without_secrets
from identity_pipeline.settings.base import Group, tunable


class IndexSettings(Group):
    """The vector index. The server, if any, is named by QDRANT_URL and QDRANT_API_KEY."""

    lock_wait_s: float = tunable(
        120.0,
        "How long to wait for another process that has the index open.",
        unit="s",
        source="chosen: ten times the longest use by one writer that was measured (12.8 s: one "
        "video beside 10 000 points of 1280 numbers, on 2 cores with eight times their load)",
        gt=0,
    )
    batch: int = tunable(
        256, "Points per request.", unit="points", source="chosen: about 1 MB of JSON", ge=1
    )
    embedded_points_max: int = tunable(
        20_000,
        "Above this, `index status` advises a server; nothing is refused.",
        unit="points",
        source="where qdrant-client itself starts to warn (LARGE_DATA_THRESHOLD)",
        ge=1,
    )


class CatalogueSettings(Group):
    """The SQL catalogue."""

    rows_shown: int = tunable(
        50, "Rows that `sql` prints without --limit.", unit="rows", source="a screen", ge=1
    )
    memory_mb: int = tunable(
        2048,
        "Memory a query may take; past it the query fails and says so.",
        unit="MiB",
        source="chosen: leaves a run its memory",
        ge=64,
    )


class PublishSettings(Group):
    """The object store. Keys and endpoints come from the environment (AWS_ACCESS_KEY_ID, ...)."""

    url: str = tunable(
        "",
        "Where finished tables and exports are copied: s3://BUCKET/PREFIX, file:///FOLDER, or any "
        "other address that fsspec knows. Empty: nowhere.",
        unit="URL",
        source="unset: off. The work itself stays on a file system, which has renames and locks",
    )
    versions: int = tunable(
        2,
        "Versions of a video that stay there; older ones are removed after a new one is whole.",
        unit="versions",
        source="chosen: the one in force, and the one that somebody may be reading",
        ge=1,
    )

    @field_validator("url")
    @classmethod
    def _no_secret(cls, url: str) -> str:
        if url and "://" not in url:
            raise ValueError("publish.url must be an address such as s3://bucket/prefix")
        if "@" in urlsplit(url).netloc or without_secrets(url) != url:
            raise ValueError("publish.url must hold no key; keys come from the environment")
        return url.rstrip("/")
