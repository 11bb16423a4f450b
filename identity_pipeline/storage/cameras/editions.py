"""Editions: models of which each is a folder of tables that never changes once it is there.

An edition is called `{version}.{made_of}`: of which version of its camera, and of how many videos.
Its folder holds tables, `about.json` and a manifest with the SHA-256 of each of these, which is
compared whenever one is read. It is written beside and renamed, so there is all of it or nothing.

What belongs here: any such folder. What does not: which there are (`storage.cameras.cameras`), and
what is in them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import polars as pl

from identity_pipeline.core.ride.labels import PhaseLabel, PlacedLabel, without_ids
from identity_pipeline.errors import IdentityPipelineError, first_line
from identity_pipeline.storage.files import atomic, small_files
from identity_pipeline.storage.files.hashing import sha256_of_file
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.tables import TABLES, conform, with_later_columns

ABOUT, MANIFEST, TABLE = "about.json", "manifest.json", ".parquet"
VIDEO: Final = "video_id"
LABELS: Final = "ride_labels"
LATER: Final = "The night adds it, or `identity-pipeline camera renew`."
NAME: Final = re.compile(r"([1-9][0-9]*)\.([1-9][0-9]*)(?:-([0-9]+))?(?:\.([1-9][0-9]*))?")


class EditionNameError(IdentityPipelineError, ValueError):
    """A text that is the name of no edition."""


class EarlierEditionError(DamagedFileError):
    """An edition of an earlier version of the program, which lacks a table that one has now.

    Attributes: see `DamagedFileError`; `path` is the folder of the edition.
    """

    def __init__(self, folder: Path, table: str) -> None:
        super().__init__(folder, f"it has no table {table}", LATER)
        self.args = (
            f"{folder} is of an earlier version of the program: it has no table {table}. {LATER}",
        )


class EditionName(NamedTuple):
    """Which edition; a later one is greater.

    Attributes:
        version: of the camera, from 1.
        videos: since the camera was last moved that it is made of: those of pose zero, seats and
            reach, or of the course of a ride.
        own: of these, those of the version itself: of its usual values.
        said: how often it was made anew of the same videos, as people said something of them.
    """

    version: int
    videos: int
    own: int
    said: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `1.40`, `2.40-20` where the version's own are fewer, or `1.40.1` made anew.

        Raises:
            EditionNameError: it is of another form.
        """
        found = NAME.fullmatch(text)
        if found is None:
            raise EditionNameError(f"{text!r} is no edition of a camera's model; one is `1.20`.")
        version, videos, own, said = found.groups()
        return cls(int(version), int(videos), int(own or videos), int(said or 0))

    def __str__(self) -> str:
        """As `parse` reads it: name of its folder, and what a video is pinned to."""
        own = "" if self.own == self.videos else f"-{self.own}"
        return f"{self.version}.{self.videos}{own}" + (f".{self.said}" if self.said else "")


@dataclass(frozen=True)
class Edition:
    """An edition as it lies on the disk; each file is read and compared when it is asked for.

    Attributes:
        name: which one.
        folder: of it.
        digests: SHA-256 of each file.
        mend: a sentence for errors, on what to do about a damaged one.
    """

    name: EditionName
    folder: Path
    digests: Mapping[str, str]
    mend: str

    @property
    def tables(self) -> list[str]:
        """Names of its tables."""
        return sorted(n.removesuffix(TABLE) for n in self.digests if n.endswith(TABLE))

    def digest(self, table: str) -> str:
        """SHA-256 of a table; what reads it alone is made of this.

        Raises:
            DamagedFileError: it has no such table.
        """
        return self._recorded(f"{table}{TABLE}")

    def table(self, table: str) -> pl.DataFrame:
        """A table, as `tables.TABLES` has it.

        Raises:
            DamagedFileError: it is not what was written.
        """
        file = f"{table}{TABLE}"
        data = self.bytes_of(file)
        try:
            return conform(table, with_later_columns(table, pl.read_parquet(data)))
        except (pl.exceptions.PolarsError, ValueError) as error:
            reason = f"it is no table of the expected form ({first_line(error)})"
            raise DamagedFileError(self.folder / file, reason, self.mend) from error

    def later_table(self, table: str) -> pl.DataFrame:
        """A table that one of an earlier version of the program may lack: then it has no rows.

        Raises:
            DamagedFileError: it is not what was written.
        """
        known = table in self.tables
        return self.table(table) if known else pl.DataFrame(schema=TABLES[table])

    @property
    def about(self) -> dict[str, Any]:
        """What is said of it besides: see who wrote it.

        Raises:
            DamagedFileError: it is not what was written.
        """
        return json.loads(self.bytes_of(ABOUT))

    def check(self) -> None:
        """Reads all of it.

        Raises:
            DamagedFileError: something is not what was written.
        """
        for file in self.digests:
            self.bytes_of(file)

    def bytes_of(self, file: str) -> bytes:
        """A file, compared with what was recorded of it.

        Raises:
            DamagedFileError: it is not what was written.
        """
        known, path = self._recorded(file), self.folder / file
        try:
            data = path.read_bytes()
        except OSError as error:
            reason = f"it cannot be read ({error.strerror or error})"
            raise DamagedFileError(path, reason, self.mend) from error
        if (digest := hashlib.sha256(data).hexdigest()) != known:
            reason = f"its SHA-256 begins with {digest[:12]}, but {known[:12]} was recorded"
            raise DamagedFileError(path, reason, self.mend)
        return data

    def _recorded(self, file: str) -> str:
        if file not in self.digests and file.removesuffix(TABLE) in TABLES:
            raise EarlierEditionError(self.folder, file.removesuffix(TABLE))
        if file not in self.digests:
            raise DamagedFileError(self.folder / file, "it is not in the manifest", self.mend)
        return self.digests[file]


def names_in(folder: Path) -> list[EditionName]:
    """The editions that there are in a folder of them, the newest last; nothing is opened."""
    if not folder.is_dir():
        return []
    return sorted(EditionName.parse(p.name) for p in folder.iterdir() if NAME.fullmatch(p.name))


def open_edition(folder: Path, mend: str) -> Edition:
    """Opens an edition.

    Args:
        folder: of it, called like it.
        mend: a sentence for errors, on what to do about a damaged one.

    Raises:
        DamagedFileError: it is not there, or its manifest cannot be read.
    """
    digests = small_files.read(folder / MANIFEST, dict[str, str], mend)
    if digests is None:
        raise DamagedFileError(folder / MANIFEST, "it is missing", mend)
    return Edition(EditionName.parse(folder.name), folder, digests, mend)


def write_edition(
    folder: Path, tables: Mapping[str, pl.DataFrame], about: Mapping[str, Any]
) -> None:
    """Writes an edition as a whole; a damaged one of that name is replaced.

    Args:
        folder: of it.
        tables: of `tables.TABLES`, by name.
        about: what is said of it besides, as JSON.

    Raises:
        SchemaError: a table does not have its schema.
    """
    conformed = {name: conform(name, table) for name, table in sorted(tables.items())}
    with atomic.new_folder(folder) as new:
        for name, table in conformed.items():
            _write_table(new / f"{name}{TABLE}", table)
        (new / ABOUT).write_bytes(atomic.json_bytes(about))
        _write_manifest(new)


def without_videos(edition: Edition, gone: Collection[str]) -> bool:
    """Writes an edition anew without the rows of some videos, where it names any.

    What people said of such a video stays, without its id. Other tables stay byte for byte, so
    nothing that is made of them is outdated. Of `about`, keys,
    values and members of lists that are one of the ids go.

    Returns:
        Whether it named any.

    Raises:
        DamagedFileError: it is not what was written.
    """
    tables = {name: edition.table(name) for name in edition.tables}
    left = {name: _without_rows(name, table, gone) for name, table in tables.items()}
    named = {name: table for name, table in left.items() if not table.equals(tables[name])}
    about = _without(edition.about, gone)
    if not named and about == edition.about:
        return False
    _write_anew(edition, named, atomic.json_bytes(about))
    return True


def add_tables(edition: Edition, tables: Mapping[str, pl.DataFrame]) -> None:
    """Writes an edition anew with tables that it lacks; all that it holds stays byte for byte.

    Args:
        edition: of an earlier version of the program.
        tables: of `tables.TABLES`, by name.

    Raises:
        DamagedFileError: it is not what was written.
        SchemaError: a table does not have its schema.
    """
    conformed = {name: conform(name, table) for name, table in sorted(tables.items())}
    _write_anew(edition, conformed, edition.bytes_of(ABOUT))


def _write_anew(edition: Edition, tables: Mapping[str, pl.DataFrame], about: bytes) -> None:
    """Writes an edition with some other tables; the rest stays byte for byte."""
    with atomic.new_folder(edition.folder) as new:
        for file in edition.digests:
            (new / file).write_bytes(edition.bytes_of(file))
        for name, table in tables.items():
            _write_table(new / f"{name}{TABLE}", table)
        (new / ABOUT).write_bytes(about)
        _write_manifest(new)


def _without_rows(name: str, table: pl.DataFrame, gone: Collection[str]) -> pl.DataFrame:
    """A table without the rows of some videos; of what people said of them only the ids go."""
    if name == LABELS:
        placed = labels_in(table)
        return table_of_labels(replace(p, label=without_ids(p.label, gone)) for p in placed)
    return table.filter(~pl.col(VIDEO).is_in(list(gone))) if VIDEO in table.columns else table


def labels_in(table: pl.DataFrame) -> list[PlacedLabel]:
    """What a table `ride_labels` holds."""
    return [
        PlacedLabel(PhaseLabel(*said), start, end, why)
        for *said, start, end, why in table.drop("number").iter_rows()
    ]


def table_of_labels(placed: Iterable[PlacedLabel]) -> pl.DataFrame:
    """The table `ride_labels`."""
    rows = [
        {"number": number, **asdict(one.label), "start": one.start, "end": one.end, "why": one.why}
        for number, one in enumerate(placed)
    ]
    return pl.DataFrame(rows, schema=TABLES[LABELS])


def _without(value: Any, gone: Collection[str]) -> Any:
    """A JSON value without what is called like one of some videos."""
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if k not in gone and not _is_one(v, gone)}
        return {k: _without(v, gone) for k, v in kept.items()}
    if isinstance(value, list):
        return [_without(v, gone) for v in value if not _is_one(v, gone)]
    return value


def _is_one(value: Any, gone: Collection[str]) -> bool:
    return isinstance(value, str) and value in gone


def _write_table(path: Path, table: pl.DataFrame) -> None:
    table.write_parquet(path, compression="zstd", statistics=True)


def _write_manifest(folder: Path) -> None:
    digests = {path.name: sha256_of_file(path) for path in sorted(folder.iterdir())}
    digests.pop(MANIFEST, None)
    (folder / MANIFEST).write_bytes(atomic.json_bytes(digests))
