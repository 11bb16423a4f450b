"""`manifest.json` of a person's dataset: what is in it, where it comes from, what was left out.

What belongs here: the manifest as JSON, and reading one. What does not: writing the folder
(`stages.datasets.export`) and checking it (`stages.datasets.verifying`). No clock goes into it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from identity_pipeline.core.imagesets.faces import VECTORS
from identity_pipeline.core.imagesets.one_face import Fault
from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.stages.datasets.cutting import Cut
from identity_pipeline.stages.datasets.pictures import Limits, Person, Picture, Source
from identity_pipeline.storage.files import atomic

FILE: Final = "manifest.json"
KIND: Final = "person_dataset"
SCHEMA_VERSION: Final = 1
DIGITS: Final = 6
UNTOLD: Final = frozenset(
    {*VECTORS, "face_id", "frame_idx", "person_id", "timestamp_ms", "source_id", "recency"}
    | {f"{prefix}{corner}" for prefix in ("", "crop_") for corner in ("x1", "y1", "x2", "y2")}
)
"""Columns of `candidates` that are no measurement of a picture, are said elsewhere, or are
embeddings, which are never exported."""


class ManifestError(IdentityPipelineError, ValueError):
    """A folder is no export, or its manifest cannot be read."""

    exit_status = 2


@dataclass(frozen=True)
class NotWritten:
    """A picture that was tried and is not in the dataset.

    Attributes:
        person_id: of whom.
        source_id, face_id: what it would have shown.
        place: in the person's order.
        code: stable reason.
        sentence: the same in words.
    """

    person_id: str
    source_id: str
    face_id: str
    place: int
    code: str
    sentence: str


def measured(row: Mapping[str, Any]) -> dict[str, Any]:
    """What was measured of a face, as JSON: numbers rounded, null where nothing was."""
    return {name: _plain(value) for name, value in sorted(row.items()) if name not in UNTOLD}


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, DIGITS) if math.isfinite(value) else None
    return list(value) if isinstance(value, (list, tuple)) else value


def picture_json(
    picture: Picture,
    files: Sequence[str],
    caption: str | None,
    cut: Cut | Fault,
) -> dict[str, Any]:
    """What the manifest says of a picture that is fit for its consumer.

    Args:
        picture: that was written.
        files: of it, relative to the folder.
        caption: None where none was wanted.
        cut: what it was cut as.
    """
    crop = cut.crop if isinstance(cut, Cut) else ()
    return {
        "key": picture.key,
        "person_id": picture.person.person_id,
        "source_id": picture.source.source_id,
        "face_id": picture.face_id,
        "frame_idx": picture.frame_idx,
        "timestamp_ms": _plain(picture.timestamp_ms),
        "role": picture.role,
        "rank": picture.rank,
        "split": picture.split,
        "variant": picture.variant,
        "width": picture.width,
        "height": picture.height,
        "face": [round(float(v), 3) for v in picture.face],
        "key_points": [[round(float(v), 3) for v in point] for point in picture.key_points],
        "jpeg_sha256": hashlib.sha256(picture.jpeg).hexdigest(),
        "files": sorted(files),
        "caption": caption,
        "verdict": {"passed": True, "code": None, "sentence": None},
        "crop": [round(float(v), 3) for v in crop],
        "made": cut.made if isinstance(cut, Cut) else None,
        "measured": dict(picture.measured),
    }


def person_json(person: Person) -> dict[str, Any]:
    """What the manifest says of a person."""
    return asdict(person)


def source_json(person: Person, source: Source) -> dict[str, Any]:
    """What the manifest says of a ride or photo set of a person."""
    return {"person_id": person.person_id, **asdict(source)}


def limits_json(limits: Limits) -> dict[str, Any]:
    """What the consumer takes."""
    return asdict(limits)


def not_written_json(left: Iterable[NotWritten]) -> list[dict[str, Any]]:
    """The pictures that were tried and are not there, by person and place."""
    order = sorted(left, key=lambda one: (one.person_id, one.place, one.source_id, one.face_id))
    return [asdict(one) for one in order]


def files_json(folder: Path) -> list[dict[str, Any]]:
    """Every file of a folder but the manifest, with its digest and size, by name."""
    rows = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if name != FILE:
            data = path.read_bytes()
            digest = hashlib.sha256(data).hexdigest()
            rows.append({"file": name, "sha256": digest, "size_bytes": len(data)})
    return rows


def datasets_in(root: Path) -> list[Path]:
    """The exports of people below a folder of datasets, without what is half written."""
    found = sorted(path.parent for path in root.glob(f"*/*/{FILE}"))
    return [path for path in found if not atomic.is_temporary(path)]


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of an export, of a person or of a ride.

    Raises:
        ManifestError: there is none, or it cannot be read, or names no files.
    """
    path = folder / FILE
    if not path.is_file():
        raise ManifestError(
            f"{folder} is no export: it has no {FILE}. Name the folder that `identity-pipeline "
            "export` wrote, or identity_builder below data/output."
        )
    try:
        told = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ManifestError(f"{path} cannot be read ({error}); export it again.") from error
    if not isinstance(told, dict) or not _names_files(told.get("files")):
        raise ManifestError(f"{path} is no manifest of an export; export it again.")
    return told


def _names_files(rows: Any) -> bool:
    """Whether each row names a file, its digest and its size."""
    kinds = (("file", str), ("sha256", str), ("size_bytes", int))
    return isinstance(rows, list) and all(
        isinstance(row, dict) and all(isinstance(row.get(name), kind) for name, kind in kinds)
        for row in rows
    )
