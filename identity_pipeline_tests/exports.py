"""Exported folders as tests and benchmarks read them: every image with its metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from identity_pipeline.stages.specs.exported import METADATA


def images_of(export: Path) -> dict[str, Path]:
    """The images of an export, relative to it, and where the metadata of each is.

    Exports whose manifest has schema version 1 keep it beside the image.
    """
    manifest = json.loads((export / "manifest.json").read_text(encoding="utf-8"))
    return {
        entry["file"]: export / entry.get("metadata", entry["file"].replace(".jpg", "_meta.json"))
        for entry in manifest["files"]
        if entry["type"] != METADATA
    }


def described_images(export: Path) -> list[tuple[Path, dict[str, Any]]]:
    """Every image of an export of any version with its metadata."""
    return [
        (export / file, json.loads(beside.read_text(encoding="utf-8")))
        for file, beside in images_of(export).items()
    ]


def said_of_rider(export: Path) -> dict[str, Any]:
    """What an export says of its first rider."""
    return json.loads((export / "meta" / "person_0.json").read_text(encoding="utf-8"))
