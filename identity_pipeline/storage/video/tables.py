"""Parquet tables with a schema, one file per asset and video, and the manifest of what made them.

The tables of the whole library belong together and are elsewhere: see `generations`.
Equal tables are equal bytes: no clock and no writer state goes into a file.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.storage.files import atomic, small_files
from identity_pipeline.storage.files.hashing import sha256_of_file
from identity_pipeline.storage.files.recorded import (
    DamagedTableError,
    Held,
    bytes_as_recorded,
    read_recorded,
)
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.outputs import MADE_OF, MANIFEST, TABLE, Outputs
from identity_pipeline.storage.video.registry import mending_command
from identity_pipeline.tables import LATER, SchemaError, conform, with_later_columns, without_unused

if TYPE_CHECKING:
    from identity_pipeline.storage.video.crop_archive import CropArchive


LOG = logging.getLogger(__name__)


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
class _Note(Manifest):
    """A manifest as it lies on the disk.

    Attributes:
        of: asset and video whose output it is, so that another's is not taken for it; null in
            notes of older versions.
    """

    of: str | None = None


@dataclass(frozen=True)
class TableStore:
    """Reads and writes the tables of all videos and of the library."""

    layout: Layout

    @property
    def outputs(self) -> Outputs:
        """Their files."""
        return Outputs(self.layout)

    def write(self, asset: str, video_id: str, table: pl.DataFrame, fingerprint: str) -> Manifest:
        """Writes a table with its manifest; a crash between the two only costs a recomputation.

        Raises:
            SchemaError: the table does not have the asset's schema.
        """
        conformed = conform(asset, table)
        made: list[Manifest] = []

        def write_table(path: Path) -> None:
            _write_parquet(without_unused(asset, conformed), path)
            digest = sha256_of_file(path)
            made.append(Manifest(fingerprint, digest, conformed.height, _space_of(conformed)))

        def write_note(path: Path) -> None:
            path.write_bytes(_note_bytes(asset, video_id, made[0]))

        self.outputs.write(asset, video_id, (TABLE, write_table), (MANIFEST, write_note))
        return made[0]

    def read(self, asset: str, video_id: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Reads a table, after comparing it with what its manifest records.

        Args:
            asset: whose table.
            video_id: of which video.
            columns: which to read; all when None.

        Raises:
            MissingTableError: it was never written.
            DamagedTableError: it is not what was written, or of an incompatible version.
        """
        path, recorded, mend, held = self._compared(asset, video_id)
        there = None if asset in LATER else columns  # an older version may lack some
        try:
            table = read_recorded(path, recorded, mend, there, held)
        except FileNotFoundError as error:
            raise MissingTableError(
                f"{asset} of {video_id} is not there; `{mending_command(self.layout, video_id)}` "
                "makes it."
            ) from error
        table = with_later_columns(asset, table)
        if columns is not None:
            table = table.select(columns)
        try:
            conformed = conform(asset, table, columns)
        except SchemaError as error:
            reason = f"it was written by another version ({error})"
            raise DamagedTableError(path, reason, mend()) from error
        if "video_id" in conformed.columns:
            owner = conformed["video_id"]
            # Many small tables are read, so what is usual is only compared.
            if owner.null_count() or (owner != video_id).any():
                others = set(owner.unique()) - {video_id}
                reason = f"it is of {', '.join(sorted(map(str, others)))}"
                raise DamagedTableError(path, reason, mend())
        return conformed

    def check(self, asset: str, video_id: str) -> None:
        """Compares a table with what its manifest records, for who parses it elsewhere.

        Raises:
            FileNotFoundError: there is none.
            DamagedTableError: it is not what was written.
        """
        bytes_as_recorded(*self._compared(asset, video_id))

    def _compared(
        self, asset: str, video_id: str
    ) -> tuple[Path, Callable[[], str | None], Callable[[], str], Held]:
        """Of a table what `recorded` asks for: its path, its digest, what mends it, its bytes."""
        return (
            self.layout.table(asset, video_id),
            lambda: self._recorded(asset, video_id),
            partial(self.mend, video_id),
            lambda: self.outputs.read_dated(asset, video_id),
        )

    def mend(self, video_id: str) -> str:
        """What to do about a damaged output of a video, as a sentence."""
        return f"`{mending_command(self.layout, video_id)}` computes anew what is damaged."

    def crops(self, video_id: str) -> CropArchive:
        """The crops of a video, after comparing all parts with what was recorded of them.

        Once, when they are opened: parts are too large to be kept from then until they are read.

        Raises:
            MissingTableError: there are none.
            DamagedTableError: they are not those that the last whole pass wrote.
        """
        from identity_pipeline.storage.video.crop_archive import CropArchive

        archive = CropArchive(self.layout.crops(video_id))
        noted = self.noted("face_crops", video_id)
        if noted is None:
            raise MissingTableError(
                f"the crops of {video_id} are not there; "
                f"`{mending_command(self.layout, video_id)}` makes them again."
            )
        try:
            whole = archive.data_version() == noted.data_version
        except OSError as error:
            reason = f"a part cannot be read ({error.strerror or error})"
            raise DamagedTableError(archive.folder, reason, self.mend(video_id)) from error
        if not whole:
            reason = "its parts are not those that were recorded when they were written"
            raise DamagedTableError(archive.folder, reason, self.mend(video_id))
        return archive

    def manifest(self, asset: str, video_id: str) -> Manifest | None:
        """The manifest of an output that is whole and unchanged, else None."""
        noted = self.noted(asset, video_id)
        data = self.outputs.there(asset, video_id, TABLE) if noted else None
        if noted is None or data is None:
            return None
        return noted if hashlib.sha256(data).hexdigest() == noted.data_version else None

    def noted(self, asset: str, video_id: str) -> Manifest | None:
        """The manifest as it was written, without looking at the output.

        A damaged one, or another output's, counts as none: then the output was not made.
        """
        try:
            data = self.outputs.there(asset, video_id, MANIFEST)
            note = small_files.parse(data, _Note) if data is not None else None
        except (OSError, ValueError):
            return None
        if note is None or note.of not in (None, _name(asset, video_id)):
            return None
        return Manifest(note.fingerprint, note.data_version, note.rows, note.space)

    def notes(self, assets: Iterable[str], video_id: str) -> dict[str, Manifest]:
        """The manifests of those outputs of a video that have one; see `noted`."""
        found = {asset: self.noted(asset, video_id) for asset in assets}
        return {asset: noted for asset, noted in found.items() if noted}

    def _recorded(self, asset: str, video_id: str) -> str | None:
        noted = self.noted(asset, video_id)
        return noted.data_version if noted else None

    def note(self, asset: str, video_id: str, manifest: Manifest) -> None:
        """Writes the manifest of an output that is no table."""
        self.outputs.put(asset, video_id, MANIFEST, _note_bytes(asset, video_id, manifest))

    def versions(self, assets: Iterable[str], video_id: str) -> dict[str, str | None]:
        """Data version of each output by its manifest; None for one that was never made."""
        noted = self.notes(wanted := tuple(assets), video_id)
        return {a: noted[a].data_version if a in noted else None for a in wanted}

    def made_of(self, asset: str, video_id: str) -> dict[str, Any] | None:
        """What was noted by `note_made_of`, else None, as where the note is damaged."""
        try:
            data = self.outputs.there(asset, video_id, MADE_OF)
            return small_files.parse(data, dict[str, Any]) if data is not None else None
        except (OSError, ValueError) as error:
            LOG.warning("What %s of %s is made of cannot be read: %s", asset, video_id, error)
            return None

    def note_made_of(self, asset: str, video_id: str, made: Mapping[str, Any]) -> None:
        """Notes what an output is made of, so that it can be said what changed since."""
        self.outputs.put(asset, video_id, MADE_OF, atomic.json_bytes(made))

    def videos_noted(self, asset: str) -> set[str]:
        """Ids of all videos with a manifest of this asset; no file is opened."""
        return set(self.outputs.videos(asset, MANIFEST))

    def videos_with(self, asset: str) -> list[str]:
        """Ids of all videos that have a table of this asset, in alphabetical order."""
        return sorted(self.outputs.videos(asset, TABLE))


def _name(asset: str, video_id: str) -> str:
    return f"{asset}/{video_id}"


def _note_bytes(asset: str, video_id: str, manifest: Manifest) -> bytes:
    return atomic.json_bytes({**manifest.as_json(), "of": _name(asset, video_id)})


def _space_of(table: pl.DataFrame) -> str | None:
    """The one embedding space that all rows name."""
    found = table["space"].unique() if "space" in table.columns else ()
    return found[0] if len(found) == 1 else None


def _write_parquet(table: pl.DataFrame, path: Path) -> None:
    table.write_parquet(path, compression="zstd", statistics=True)
