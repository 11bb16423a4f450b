"""Parquet tables with a schema, one file per asset and video, and the manifest of what made them.

Tables of the whole library have no video: their `video_id` is `LIBRARY`, and there is one file.
Equal tables are equal bytes: no clock and no writer state goes into a file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.schemas import conform, with_later_columns
from identity_pipeline.storage import atomic
from identity_pipeline.storage.crop_archive import CropArchive
from identity_pipeline.storage.hashing import sha256_of_file
from identity_pipeline.storage.layout import Layout

LIBRARY: Final = None
"""In place of a video id: the unpartitioned tables of the library."""


class MissingTableError(IdentityPipelineError, FileNotFoundError):
    """A table is read that was never materialised."""


@dataclass(frozen=True)
class Manifest:
    """What an output was made of, and what it is.

    Attributes:
        fingerprint: SHA-256 over code version, settings, models and the inputs' data versions.
        data_version: SHA-256 of the output's bytes.
        rows: rows of the table.
        space: of the vectors, where all rows name one; null where they name none, and in notes of
            older versions.
    """

    fingerprint: str
    data_version: str
    rows: int
    space: str | None = None

    def as_json(self) -> dict[str, Any]:
        """As it is written: without what is not known."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class TableStore:
    """Reads and writes the tables of all videos and of the library."""

    layout: Layout

    def write(
        self, asset: str, video_id: str | None, table: pl.DataFrame, fingerprint: str
    ) -> Manifest:
        """Writes a table, then its manifest; a crash between the two only costs a recomputation.

        Raises:
            SchemaError: the table does not have the asset's schema.
        """
        path = self.layout.table(asset, video_id)
        conformed = conform(asset, table)
        atomic.write_with(path, lambda temporary: _write_parquet(conformed, temporary))
        space = _space_of(conformed)
        manifest = Manifest(fingerprint, sha256_of_file(path), conformed.height, space)
        self.note(asset, video_id, manifest)
        return manifest

    def read(self, asset: str, video_id: str | None) -> pl.DataFrame:
        """Reads a table.

        Raises:
            MissingTableError: it was never written.
            SchemaError: it was written by an incompatible version.
        """
        path = self.layout.table(asset, video_id)
        if not path.is_file():
            whose = video_id or "the library"
            raise MissingTableError(
                f"{asset} of {whose} is not there; materialise it first ({path})."
            )
        return conform(asset, with_later_columns(asset, pl.read_parquet(path)))

    def crops(self, video_id: str) -> CropArchive:
        """The crops of a video.

        Raises:
            MissingTableError: they are not those that the last whole pass wrote.
        """
        archive = CropArchive(self.layout.crops(video_id))
        noted = self.noted("face_crops", video_id)
        if noted is None or archive.data_version() != noted.data_version:
            raise MissingTableError(
                f"the crops of {video_id} are not whole; materialise face_crops again."
            )
        return archive

    def manifest(self, asset: str, video_id: str | None) -> Manifest | None:
        """The manifest of an output that is whole and unchanged, else None."""
        noted = self.noted(asset, video_id)
        path = self.layout.table(asset, video_id)
        whole = noted and path.is_file() and sha256_of_file(path) == noted.data_version
        return noted if whole else None

    def noted(self, asset: str, video_id: str | None) -> Manifest | None:
        """The manifest as it was written, without looking at the output."""
        path = self.layout.manifest(asset, video_id)
        return Manifest(**json.loads(path.read_text())) if path.is_file() else None

    def note(self, asset: str, video_id: str | None, manifest: Manifest) -> None:
        """Writes the manifest of an output that is no table."""
        atomic.write_json(self.layout.manifest(asset, video_id), manifest.as_json())

    def versions(self, assets: Iterable[str], video_id: str | None) -> dict[str, str | None]:
        """Data version of each output by its manifest; None for one that was never made."""
        noted = {asset: self.noted(asset, video_id) for asset in assets}
        return {asset: known.data_version if known else None for asset, known in noted.items()}

    def made_of(self, asset: str, video_id: str) -> dict[str, Any] | None:
        """What was noted by `note_made_of`, else None."""
        path = self.layout.made_of(asset, video_id)
        return json.loads(path.read_text()) if path.is_file() else None

    def note_made_of(self, asset: str, video_id: str, made: Mapping[str, Any]) -> None:
        """Notes what an output is made of, so that it can be said what changed since."""
        atomic.write_json(self.layout.made_of(asset, video_id), made)

    def videos_noted(self, asset: str) -> set[str]:
        """Ids of all videos with a manifest of this asset; no file is opened."""
        folder, suffix = self.layout.tables / asset, ".manifest.json"
        paths = folder.glob(f"*{suffix}")
        return {p.name.removesuffix(suffix) for p in paths if not atomic.is_temporary(p)}

    def videos_with(self, asset: str) -> list[str]:
        """Ids of all videos that have a table of this asset, in alphabetical order."""
        folder = self.layout.root / "tables" / asset
        return sorted(
            path.stem for path in folder.glob("*.parquet") if not atomic.is_temporary(path)
        )


def _space_of(table: pl.DataFrame) -> str | None:
    """The one embedding space that all rows name."""
    found = table["space"].unique() if "space" in table.columns else ()
    return found[0] if len(found) == 1 else None


def _write_parquet(table: pl.DataFrame, path: Path) -> None:
    table.write_parquet(path, compression="zstd", statistics=True)
