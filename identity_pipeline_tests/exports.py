"""Exported folders as tests and benchmarks read them: every image with its metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from identity_pipeline.stages.specs.exported import METADATA, sidecar_of


def image_files(export: Path) -> list[str]:
    """The images of an export of any version, relative to it, by its manifest."""
    manifest = json.loads((export / "manifest.json").read_text(encoding="utf-8"))
    return sorted(entry["file"] for entry in manifest["files"] if entry["type"] != METADATA)


def described_images(export: Path) -> list[tuple[Path, dict[str, Any]]]:
    """Every image of an export of any version with its metadata."""
    return [
        (export / file, json.loads(sidecar_of(export, file).read_text(encoding="utf-8")))
        for file in image_files(export)
    ]


def said_of_rider(export: Path, name: str = "person_0") -> dict[str, Any]:
    """What an export says of a rider."""
    return json.loads((export / "meta" / f"{name}.json").read_text(encoding="utf-8"))
