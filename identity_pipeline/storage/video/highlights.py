"""Reading the highlights of a video: `X.highlights.csv` or `X.highlights.json` beside `X.mp4`.

What belongs here: finding the file, its shape, and one clear sentence for every way to be wrong.
What a weight means: `core.video.highlights`. Both forms are shown in `docs/footage.md`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from identity_pipeline.core.video.highlights import Window
from identity_pipeline.errors import IdentityPipelineError, printable
from identity_pipeline.storage.video.registry import Registration

SUFFIXES: Final = (".highlights.csv", ".highlights.json")
COLUMNS: Final = ("start_s", "end_s", "weight")
BAD_HIGHLIGHTS: Final = "bad_highlights"
"""Reason code of a video whose list cannot be used."""
BYTES_MAX: Final = 1_000_000
"""Of the file: twenty thousand windows. More is another file under this name."""
WEIGHT_MAX: Final = 100.0
SECONDS_MAX: Final = 1e6
"""Of a time: eleven days. More is a slip of the pen, such as milliseconds."""
EXAMPLE: Final = "start_s,end_s,weight, and below it lines such as 12.5,15,2"


class HighlightsError(IdentityPipelineError, ValueError):
    """A list of highlights cannot be used; the sentence says which and why."""


@dataclass(frozen=True)
class Highlights:
    """The highlights of a video.

    Attributes:
        name: of the file.
        sha256: of its bytes.
        windows: in the order of the file.
    """

    name: str
    sha256: str
    windows: tuple[Window, ...]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    start_s: Annotated[float, Field(ge=0, le=SECONDS_MAX, allow_inf_nan=False)]
    end_s: Annotated[float, Field(ge=0, le=SECONDS_MAX, allow_inf_nan=False)]
    weight: Annotated[float, Field(ge=1, le=WEIGHT_MAX, allow_inf_nan=False)]


ROWS: Final = TypeAdapter(list[_Row])


def highlights_paths(video: Path) -> tuple[Path, ...]:
    """Where the highlights of a video file may lie."""
    return tuple(video.with_suffix(suffix) for suffix in SUFFIXES)


def is_highlights(path: str) -> bool:
    """Whether a file is, by its name, a list of highlights."""
    return path.lower().endswith(SUFFIXES)


def video_stem(path: str) -> str:
    """What a video and its list of highlights have in common: the path without what tells them."""
    ending = next((suffix for suffix in SUFFIXES if path.lower().endswith(suffix)), None)
    return path[: -len(ending)] if ending else str(Path(path).with_suffix(""))


def highlights_files(folder: Path) -> list[Path]:
    """All files of highlights in a folder, sorted; links and folders of that name are none."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted(
            Path(entry)
            for entry in entries
            if is_highlights(entry.name) and entry.is_file(follow_symlinks=False)
        )


def find_highlights(record: Registration) -> Path | None:
    """The file of highlights of a video: beside the first of its names that has one.

    Raises:
        HighlightsError: there are two beside one name.
    """
    for name in (record.path, *record.links):
        there = [path for path in highlights_paths(Path(name)) if path.is_file()]
        if len(there) > 1:
            raise HighlightsError(
                f"{printable(Path(name).name)} has two lists of highlights, "
                f"{' and '.join(printable(path.name) for path in there)}; keep one of them."
            )
        if there:
            return there[0]
    return None


def highlights_of(record: Registration) -> Highlights | None:
    """The highlights of a video; None where it has none.

    Raises:
        HighlightsError: they cannot be used.
    """
    path = find_highlights(record)
    return None if path is None else read_highlights(path)


def read_highlights(path: Path) -> Highlights:
    """Reads and checks a file of highlights.

    Raises:
        HighlightsError: it is no list of highlights.
    """
    data = _bytes(path)
    name = printable(path.name)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise HighlightsError(f"{name} is no text in UTF-8; save it as UTF-8.") from error
    try:
        rows = _of_csv(text, name) if path.suffix.lower() == ".csv" else ROWS.validate_json(text)
    except ValidationError as error:
        raise HighlightsError(_words(error, name)) from None
    for number, row in enumerate(rows, 1):
        if row.end_s <= row.start_s:
            raise HighlightsError(
                f"{name}, window {number}: its end ({row.end_s:g} s) is not after its start "
                f"({row.start_s:g} s); correct it, or take the window out."
            )
    windows = tuple(Window(row.start_s, row.end_s, row.weight) for row in rows)
    return Highlights(path.name, hashlib.sha256(data).hexdigest(), windows)


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(BYTES_MAX + 1)
    except OSError as error:
        why = error.strerror or str(error)
        raise HighlightsError(f"{printable(path.name)} cannot be read: {why}.") from error
    if len(data) > BYTES_MAX:
        raise HighlightsError(
            f"{printable(path.name)} is larger than {BYTES_MAX // 1000} kB, which no list of "
            "highlights is; put the right file in its place, or remove it."
        )
    return data


def _of_csv(text: str, name: str) -> list[_Row]:
    try:
        lines = [row for row in csv.reader(io.StringIO(text), strict=True) if any(row)]
    except csv.Error as error:
        raise HighlightsError(f"{name} is no CSV: {error}. It begins with {EXAMPLE}.") from error
    header = [cell.strip() for cell in lines[0]] if lines else []
    if sorted(header) != sorted(COLUMNS):
        raise HighlightsError(
            f"{name} has no line of columns start_s, end_s, weight (commas between them); it "
            f"begins with {EXAMPLE}."
        )
    return ROWS.validate_python(
        [_cells(header, row, n, name) for n, row in enumerate(lines[1:], 1)]
    )


def _cells(header: Sequence[str], row: Sequence[str], number: int, name: str) -> dict[str, str]:
    if len(row) != len(header):
        raise HighlightsError(
            f"{name}, window {number} has {len(row)} values, not {len(header)}; write each as "
            "start_s,end_s,weight with a point in decimals."
        )
    return dict(zip(header, (cell.strip() for cell in row), strict=True))


def _words(error: ValidationError, name: str) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    place: Iterable[str | int] = first["loc"]
    parts = [f"window {part + 1}" if isinstance(part, int) else str(part) for part in place]
    where = ", ".join([name, *parts])
    return (
        f"{where}: {first['msg'][:1].lower()}{first['msg'][1:]}; a window has start_s and end_s in "
        f"seconds of the video and a weight from 1 to {WEIGHT_MAX:g}."
    )
