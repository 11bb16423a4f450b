"""What the last computation of the library left for the next: its templates, links and groups.

A memory, which may be lost at any time: then the library is computed whole, as it is every night.
It holds vectors of everybody, so it is private, and a forgetting removes it.

It is one note and files that the note names by their SHA-256; files are written first and never
changed, the note is replaced at once, and what it names no more is removed. Templates are two
files: a large one that stays, and a small one with those of rides that came or changed since.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Final

import polars as pl

from identity_pipeline.core.clustering.neighbours import Links
from identity_pipeline.core.clustering.regrouping import Grouping
from identity_pipeline.core.matching.templates import together_in_order
from identity_pipeline.storage.files import atomic, small_files
from identity_pipeline.storage.layout import Layout

LOG = logging.getLogger(__name__)
FORMAT: Final = "2"
"""Raise it with every change of what is remembered."""
NOTE: Final = "memory.json"
STAYS: Final = 10
"""The small file is taken into the large one when it is more than this part of it."""
LEAST: Final = 4096
"""Rows up to which the small file is let alone."""
FRAMES: Final = "frames"
NOTED: Final = ("track_templates", "calibration_pairs", "face_samples", FRAMES)
"""Outputs of a video by which it is known whether it is the one that was read."""
VIDEOS: Final = pl.Schema(
    {
        "video_id": pl.String,
        "stamp": pl.String,  # changes with each of its notes, see `reading.looked_at`
        "made_of": pl.List(pl.String),  # data versions of the tables `NOTED`
        "version": pl.String,  # of the templates in the recogniser's space
        "in_base": pl.Boolean,  # whether the large file has its templates
    }
)
BESIDE: Final = pl.Schema(
    {"video_id": pl.String, "left": pl.String, "right": pl.String}  # tracks that share a frame
)
TEMPLATES: Final = (
    *("track_key", "video_id", "track_id", "rider", "face_count", "quality", "best_face_id"),
    *("space", "template"),
)
"""What the library is computed of; where tracks were seen is told by `BESIDE`."""


@dataclass(frozen=True)
class Rides:
    """What was read of the rides.

    Attributes:
        videos: the table `VIDEOS`.
        templates: columns `TEMPLATES` of `track_templates` of these videos.
        beside: the table `BESIDE`.
        base: SHA-256 of the large file that has the templates of videos `in_base`; empty without.
    """

    videos: pl.DataFrame
    templates: pl.DataFrame
    beside: pl.DataFrame
    base: str = ""


@dataclass(frozen=True)
class LibraryMemory:
    """What is remembered.

    Attributes:
        head_id: the space that it is in; null: the recogniser's.
        rides: what was read.
        space: of the templates that were grouped.
        grouping: of unknown tracks; null where the method cannot be taken up again.
        calibrated_on: digest of what the calibration was made of, without and with the cohort.
        calibration: the table; null where none is remembered.
        matched_on: digest of what people were matched on, besides the templates.
        generation: name of the generation that was computed of all this.
    """

    head_id: str | None
    rides: Rides
    space: str = ""
    grouping: Grouping | None = None
    calibrated_on: tuple[str, str] = ("", "")
    calibration: pl.DataFrame | None = None
    matched_on: str = ""
    generation: str = ""


@dataclass(frozen=True)
class LaidDown:
    """Files of a memory that is not in force yet.

    Attributes:
        memory: that they hold.
        base_rows: of the large file.
        files: SHA-256 of each part, by name.
    """

    memory: LibraryMemory
    base_rows: int
    files: dict[str, str]


@dataclass
class _Left:
    """Of any note on the disk: what left it; the rest of another version's may look different."""

    format: str


@dataclass
class _Note:
    """The note on the disk.

    Attributes:
        format: see `FORMAT`, and the code that left it.
        head_id, space, calibrated_on, matched_on, generation: see `LibraryMemory`.
        least, floor: of the grouping; null without one.
        base_rows: of the large file.
        files: SHA-256 of each part, by name.
    """

    format: str
    head_id: str | None
    space: str
    calibrated_on: list[str]
    matched_on: str
    generation: str
    least: float | None
    floor: float | None
    base_rows: int
    files: dict[str, str] = field(default_factory=dict)


@contextmanager
def _told() -> Iterator[None]:
    """Where nothing can be written, that is said; the library is in force all the same."""
    try:
        yield
    except OSError as error:
        LOG.warning(
            "What the next computation of the library could take up cannot be written (%s): it "
            "takes up what there was before.",
            error,
        )


@dataclass(frozen=True)
class LibraryMemories:
    """Reads and writes the one memory of a data folder; one computation at a time.

    Attributes:
        layout: the data folder.
        code: version of what computes; what another one left is not taken up.
    """

    layout: Layout
    code: str

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self.layout.library_memory

    def recall(self, head_id: str | None) -> LibraryMemory | None:
        """What is remembered in a space; None where there is nothing, or it is damaged."""
        note = self._noted()
        if note is None or note.head_id != head_id:
            return None
        try:
            tables = {name: self._read(name, digest) for name, digest in note.files.items()}
            return _memory_of(note, tables)
        except FileNotFoundError:  # another computation replaced it meanwhile, or it is gone
            return None
        except (OSError, ValueError, LookupError, pl.exceptions.PolarsError) as error:
            LOG.warning(
                "What the library remembered of its last computation is damaged (%s): the library "
                "is computed whole.",
                error,
            )
            return None

    def laid_down(self, memory: LibraryMemory) -> LaidDown | None:
        """Writes files that nothing names yet, see `put_in_force`; None where that cannot be."""
        with _told():
            return self._laid_down(memory)
        return None

    def put_in_force(self, laid: LaidDown | None, generation: str) -> None:
        """Replaces what is remembered by what was laid down, of a generation of this name."""
        if laid is not None:
            with _told():
                memory = replace(laid.memory, generation=generation)
                self._note(memory, laid.base_rows, laid.files)

    def _laid_down(self, memory: LibraryMemory) -> LaidDown:
        note = self._noted()
        rides, base_rows = _split(memory.rides, note.base_rows if note else 0)
        later = rides.templates.filter(~_in_base(rides))
        if not rides.base or not self._path("base", rides.base).is_file():
            rides = _taken_in(rides)
            base = self._write("base", rides.templates)
            rides, later = replace(rides, base=base), rides.templates.clear()
            base_rows = rides.templates.height
        grouping = memory.grouping
        tables = {"later": later, "videos": rides.videos, "beside": rides.beside}
        if memory.calibration is not None:
            tables["calibration"] = memory.calibration
        if grouping is not None:
            tables |= _tables_of(grouping)
        files = {name: self._write(name, table) for name, table in tables.items()}
        return LaidDown(memory, base_rows, {"base": rides.base, **files})

    def _noted(self) -> _Note | None:
        """The note that is there, if this version left it."""
        path = self.folder / NOTE
        left = small_files.recall(path, _Left)
        return small_files.recall(path, _Note) if left and left.format == self._format else None

    def _note(self, memory: LibraryMemory, base_rows: int, files: dict[str, str]) -> None:
        """Puts files in force, and removes all others."""
        grouping = memory.grouping
        new = _Note(
            self._format,
            memory.head_id,
            memory.space,
            list(memory.calibrated_on),
            memory.matched_on,
            memory.generation,
            grouping.least if grouping else None,
            grouping.floor if grouping else None,
            base_rows,
            files,
        )
        atomic.write_json(self.folder / NOTE, vars(new))
        named = {NOTE, *(self._path(name, digest).name for name, digest in files.items())}
        for path in self.folder.iterdir():
            if path.name not in named:
                path.unlink(missing_ok=True)

    @property
    def _format(self) -> str:
        return f"{FORMAT}/{self.code}"

    def _path(self, name: str, digest: str) -> Path:
        return self.folder / f"{name}-{digest[:16]}.arrow"

    def _read(self, name: str, digest: str) -> pl.DataFrame:
        path = self._path(name, digest)
        data = path.read_bytes()
        if sha256(data).hexdigest() != digest:
            small_files.discard(path)  # else what is kept next, if it is the same, would be this
            raise ValueError(f"{name} is not what was written")
        return pl.read_ipc(data)

    def _write(self, name: str, table: pl.DataFrame) -> str:
        buffer = io.BytesIO()
        table.rechunk().write_ipc(buffer)
        data = buffer.getvalue()
        digest = sha256(data).hexdigest()
        path = self._path(name, digest)
        if not path.is_file():
            atomic.write_bytes(path, data)
        return digest


def _in_base(rides: Rides) -> pl.Expr:
    """Of templates: whether the large file has them."""
    return pl.col("video_id").is_in(rides.videos.filter("in_base")["video_id"].to_list())


def _taken_in(rides: Rides) -> Rides:
    return replace(rides, videos=rides.videos.with_columns(in_base=pl.lit(value=True)), base="")


def _split(rides: Rides, base_rows: int) -> tuple[Rides, int]:
    """The rides, all taken into a new large file where the old one does not do any longer.

    So it is where a row of it is of no ride that is there: vectors of what is gone are not kept.
    """
    old = rides.templates.select(_in_base(rides).sum()).item()  # no vector is copied
    if old < base_rows or rides.templates.height - old > max(LEAST, base_rows // STAYS):
        return _taken_in(rides), rides.templates.height
    return rides, base_rows


def _memory_of(note: _Note, tables: Mapping[str, pl.DataFrame]) -> LibraryMemory:
    base = tables["base"]
    rides = Rides(
        tables["videos"],
        together_in_order(base, tables["later"]),
        tables["beside"],
        note.files["base"],
    )
    grouping = None
    if note.least is not None and note.floor is not None:
        grouping = _grouping_of(tables, note.least, note.floor)
    on = note.calibrated_on
    return LibraryMemory(
        note.head_id,
        rides,
        note.space,
        grouping,
        (on[0], on[1]),
        tables.get("calibration"),
        note.matched_on,
        note.generation,
    )


def _tables_of(grouping: Grouping) -> dict[str, pl.DataFrame]:
    links, valid = grouping.links, grouping.valid
    return {
        "items": pl.DataFrame(
            {"key": grouping.keys, "root": grouping.root, "low": valid[:, 0], "high": valid[:, 1]},
            schema_overrides={"key": pl.String},
        ),
        "links": pl.DataFrame(
            {"left": links.left, "right": links.right, "distance": links.distance}
        ),
        "apart": pl.DataFrame({"left": grouping.apart[:, 0], "right": grouping.apart[:, 1]}),
    }


def _grouping_of(tables: Mapping[str, pl.DataFrame], least: float, floor: float) -> Grouping:
    items, links = tables["items"], tables["links"]
    left, right, distance = (links[name].to_numpy() for name in ("left", "right", "distance"))
    return Grouping(
        tuple(items["key"].to_list()),
        Links(items.height, left, right, distance),
        least,
        floor,
        items["root"].to_numpy(),
        items.select("low", "high").to_numpy(),
        tables["apart"].to_numpy(),
    )
