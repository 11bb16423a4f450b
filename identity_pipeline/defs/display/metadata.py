"""Metadata of materialisations: numbers, small tables, one picture below 60 kB."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np

from identity_pipeline.media.markdown import escaped

if TYPE_CHECKING:
    import polars as pl

PICTURE_BYTES = 60_000
"""The asset page loads the pictures of all shown materialisations at once."""
PREVIEW_ROWS = 12
PREVIEW_COLUMNS = 12


def plain(value: Any) -> Any:
    """NumPy scalars as Python numbers; Dagster refuses them."""
    return value.item() if isinstance(value, np.generic) else value


def numbers(values: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata of plain numbers and texts; None is said, not dropped."""
    return {
        name: "not measured" if value is None else plain(value) for name, value in values.items()
    }


def on_the_desk(url: str, path: str) -> dict[str, dg.UrlMetadataValue]:
    """Where the desk shows it, and lets people decide; nothing where there is no desk.

    Args:
        url: setting `desk.url`.
        path: of the page.
    """
    return {"desk": dg.MetadataValue.url(url.rstrip("/") + path)} if url else {}


def preview(table: pl.DataFrame) -> dg.TableMetadataValue | dg.TextMetadataValue:
    """The first rows of a table; vectors and pictures are left out."""
    import polars as pl

    shown = [c for c, t in table.schema.items() if not isinstance(t, pl.List) and t != pl.Binary]
    return records(table.select(shown[:PREVIEW_COLUMNS]).head(PREVIEW_ROWS).to_dicts())


def records(
    rows: Sequence[Mapping[str, Any]],
) -> dg.TableMetadataValue | dg.TextMetadataValue:
    """Rows as a table."""
    if not rows:
        return dg.MetadataValue.text("no rows")
    shown = [
        dg.TableRecord({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()})
        for row in rows
    ]
    return dg.MetadataValue.table(shown)


def jpeg(data: bytes, alt: str) -> dg.MarkdownMetadataValue:
    """An inline picture from JPEG bytes.

    Raises:
        ValueError: it is too large for the event log.
    """
    return _inline(data, "image/jpeg", alt)


def svg(text: str, alt: str) -> dg.MarkdownMetadataValue | dg.TextMetadataValue:
    """An inline drawing from SVG text; one that is too large for the event log is only named."""
    data = text.encode()
    if len(data) > PICTURE_BYTES:
        kilobytes = len(data) // 1000
        return dg.MetadataValue.text(f"{alt}: {kilobytes} kB, too large to show here; see the page")
    return _inline(data, "image/svg+xml", alt)


def _inline(data: bytes, mime: str, alt: str) -> dg.MarkdownMetadataValue:
    if len(data) > PICTURE_BYTES:
        raise ValueError(f"picture {alt!r} has {len(data)} bytes, more than {PICTURE_BYTES}")
    encoded = base64.b64encode(data).decode()
    return dg.MetadataValue.md(f"![{escaped(alt)}](data:{mime};base64,{encoded})")
