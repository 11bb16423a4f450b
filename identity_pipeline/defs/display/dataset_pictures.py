"""What an operator sees of a person's dataset: its sheet, where it is from, what was refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from identity_pipeline.core.privacy.consent import NOT_TRACKED_SENTENCE
from identity_pipeline.defs.display import metadata
from identity_pipeline.media.markdown import bullets


def describe(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Counts, sources, reasons, the page and the sheet.

    Args:
        folder: of the dataset.
        manifest: of it.
    """
    from identity_pipeline.media.crops import decode_image
    from identity_pipeline.media.sheets import encode_jpeg_below

    sources = [f"{s['source_id']}: {s['pictures']}, by {s['origin']}" for s in manifest["sources"]]
    refused = [f"{n['source_id']} {n['face_id']}: {n['sentence']}" for n in manifest["not_written"]]
    lacking = [f"{one['consumer']}: {one['sentence']}" for one in manifest["lacking"]]
    described: dict[str, Any] = {
        "person": ", ".join(person["name"] for person in manifest["people"]),
        "pictures": len(manifest["pictures"]),
        "refused": len(refused),
        "megabytes": round(sum(row["size_bytes"] for row in manifest["files"]) / 1e6, 3),
        "folder": dg.MetadataValue.path(folder),
        "page": dg.MetadataValue.path(folder / "about" / "index.html"),
        "sources": dg.MetadataValue.md(bullets(sources, "none")),
        "why_refused": dg.MetadataValue.md(bullets(refused[:20], "none was")),
        "lacking": dg.MetadataValue.md(bullets(lacking, "nothing")),
    }
    described["consent"] = consent_words(manifest)
    for sheet in sorted((folder / "about").glob("sheet*.jpg")):
        data = encode_jpeg_below(decode_image(sheet.read_bytes()), metadata.PICTURE_BYTES)
        described[f"picture/{sheet.stem}"] = metadata.jpeg(data, sheet.stem)
    return described


def consent_words(manifest: Mapping[str, Any]) -> str:
    """What a dataset's manifest says of consent, in words."""
    told = manifest.get("consent") or {}
    if not told.get("tracked"):
        return NOT_TRACKED_SENTENCE
    return "; ".join(f"{row['source_id']}: {row['reason']}" for row in told["sources"]) + "."
