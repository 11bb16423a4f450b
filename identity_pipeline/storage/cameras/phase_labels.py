"""What people say of parts of rides: `data/cameras/phases.csv`, which people may edit.

What belongs here: reading the file, adding a line to it, and one clear sentence for every way to be
wrong. What does not: where on a template a label lies (`core.ride.labels`). The program takes no
line out of it; where a ride is forgotten, its id goes and what was said stays, also in a file that
cannot be read.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, NamedTuple

from identity_pipeline.core.ride.labels import GONE, PhaseLabel, without_ids
from identity_pipeline.core.ride.phases import PHASES
from identity_pipeline.core.video.clock import seconds_of
from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.storage.files import atomic, locks, small_files
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.layout import Layout

COLUMNS: Final = ("camera", "video", "start_s", "end_s", "phase", "title")
BYTES_MAX: Final = 1_000_000
"""Of the file: ten thousand labels. More is another file under this name."""
SECONDS_MAX: Final = 1e6
"""Of a time: eleven days. More is a slip of the pen, such as milliseconds."""
TITLE_MAX: Final = 60
"""Letters of a title: a timeline has no room for more."""
ENCODINGS: Final = ("utf-8", "utf-16", "latin-1")
"""How bytes are read as text and written as they were; the last one does so with any."""
WAIT_S: Final = 10.0
MEND: Final = (
    "Correct it in any editor: it is a table with commas, and the first line is "
    f"{','.join(COLUMNS)}. Until then no ride gets a next model; damaged ones are made anew."
)


class PhaseLabelError(IdentityPipelineError, ValueError):
    """Something that cannot be said of a part of a ride."""


class SaidLabel(NamedTuple):
    """A line of the file.

    Attributes:
        line: of the file, from 1.
        camera: its name; empty: the one without.
        label: what is said.
    """

    line: int
    camera: str
    label: PhaseLabel


@dataclass(frozen=True)
class PhaseLabels:
    """The file of one data folder."""

    layout: Layout

    def of(self, camera: str | None) -> tuple[PhaseLabel, ...]:
        """What people say of the ride of a camera, in the order of the file.

        Args:
            camera: its name; None: the one without, whose lines have an empty camera.

        Raises:
            DamagedFileError: the file cannot be read; it says which line and why.
        """
        wanted = (camera or "").strip()
        return tuple(each.label for each in self.all() if each.camera == wanted)

    def all(self) -> list[SaidLabel]:
        """Every line; raises as `of` does."""
        return self._read()[1]

    def add(self, camera: str | None, label: PhaseLabel) -> None:
        """Adds a line; it is on the disk before this returns, and what was there stays as it was.

        What the last line says already, as a form that is sent twice would, is not added again.

        Raises:
            DamagedFileError: the file cannot be read; nothing is added.
            PhaseLabelError: this cannot be said.
            LockBusyError: somebody else keeps the file.
        """
        said = _to_be_said(camera, label)
        with self._locked("adding a label"):
            text, known = self._read()
            if known and known[-1][1:] == said:
                return
            text = text if text.strip() else _lines([COLUMNS])
            begun = text if text.endswith("\n") else f"{text}\n"
            row = {**asdict(said[1]), "camera": said[0]}
            added = f"{begun}{_lines([[row[name] for name in _header(_rows(text))]])}"
            try:
                _parsed(added)
            except ValueError as error:
                path = self.layout.phase_labels
                raise PhaseLabelError(f"no line can be added to {path}: {error}.") from None
            atomic.write_bytes(self.layout.phase_labels, added.encode())

    def without_videos(self, gone: Collection[str]) -> list[Path]:
        """Takes the ids of videos out of the file; what was said stays.

        Of a damaged file all else stays byte for byte, for people to correct.

        Returns:
            The file, where it named one.
        """
        path = self.layout.phase_labels
        if not gone or not path.exists():
            return []
        with self._locked("forgetting videos"):
            try:
                _, known = self._read()
            except DamagedFileError:
                return [path] if self._unread_without(gone) else []
            left = [each._replace(label=without_ids(each.label, gone)) for each in known]
            if left == known:
                return []
            rows = [{**asdict(each.label), "camera": each.camera} for each in left]
            table = [[row[name] for name in COLUMNS] for row in rows]
            atomic.write_bytes(path, _lines([COLUMNS, *table]).encode())
            return [path]

    def _unread_without(self, gone: Collection[str]) -> bool:
        """Takes ids out of a file that cannot be read as a table; whether it named one."""
        data = self.layout.phase_labels.read_bytes()
        encoding = next(name for name in ENCODINGS if _is_in(data, name))
        left = _without_ids(data.decode(encoding), gone).encode(encoding)
        if left == data:
            return False
        atomic.write_bytes(self.layout.phase_labels, left)
        return True

    def _locked(self, purpose: str) -> AbstractContextManager[None]:
        path = self.layout.cameras / ".phases.lock"
        return locks.exclusive(path, "the labels of rides", purpose, WAIT_S)

    def _read(self) -> tuple[str, list[SaidLabel]]:
        """The text of the file, empty where there is none, and its lines."""
        path = self.layout.phase_labels
        try:
            text = (small_files.bytes_of(path) or b"").decode("utf-8-sig")
            return text, _parsed(text)
        except UnicodeDecodeError as error:
            raise DamagedFileError(path, "it is no text in UTF-8", MEND) from error
        except OSError as error:
            reason = f"it cannot be read ({error.strerror or error})"
            raise DamagedFileError(path, reason, MEND) from error
        except ValueError as error:
            raise DamagedFileError(path, str(error), MEND) from None


def _parsed(text: str) -> list[SaidLabel]:
    if len(text.encode()) > BYTES_MAX:
        raise ValueError(f"it has more than {BYTES_MAX // 1000} kB")
    rows = _rows(text)
    header = _header(rows)
    if sorted(header) != sorted(COLUMNS):
        raise ValueError("its first line does not name its columns")
    return [_line(number, header, cells) for number, cells in rows[1:]]


def _rows(text: str) -> list[tuple[int, list[str]]]:
    """All that are not empty, each with the line of the file on which it ends."""
    lines = csv.reader(io.StringIO(text), strict=True)
    try:
        return [(lines.line_num, row) for row in lines if any(row)]
    except csv.Error as error:
        raise ValueError(f"line {lines.line_num} is none of a table ({error})") from None


def _header(rows: Sequence[tuple[int, Sequence[str]]]) -> Sequence[str]:
    return [cell.strip() for cell in rows[0][1]] if rows else COLUMNS


def _is_in(data: bytes, encoding: str) -> bool:
    try:
        return data.decode(encoding).encode(encoding) == data
    except UnicodeError:
        return False


def _without_ids(text: str, gone: Collection[str]) -> str:
    """A text that cannot be read as a table without the ids of videos, wherever they stand."""
    ids = "|".join(re.escape(video) for video in sorted(gone, key=len, reverse=True))
    named = re.compile(rf"(?<![\w-])(?:{ids})(?![\w-])")
    lines = text.splitlines(keepends=True)
    first = next((line for line in lines if line.strip()), "").removeprefix("\ufeff")
    header = [cell.strip() for cell in first.split(",")]
    return "".join(
        named.sub(_stand_in(line, header, named, gone), line) if named.search(line) else line
        for line in lines
    )


def _stand_in(
    line: str, header: Sequence[str], named: re.Pattern[str], gone: Collection[str]
) -> str:
    """What a line has in the place of an id: as `without_ids` says where it can be read."""
    try:
        label = _line(0, header, _rows(line)[0][1]).label
        if label.video in gone:
            return without_ids(label, gone).video
    except ValueError:
        pass  # people will correct it
    return f"{GONE}-{hashlib.sha256(named.sub(GONE, line).encode()).hexdigest()[:8]}"


def _line(number: int, header: Sequence[str], cells: Sequence[str]) -> SaidLabel:
    try:
        if len(cells) != len(header):
            raise ValueError(f"it has {len(cells)} values, not {len(header)}")
        told = _checked(dict(zip(header, (cell.strip() for cell in cells), strict=True)))
        return SaidLabel(number, *told)
    except ValueError as error:
        raise ValueError(f"line {number}: {error}") from None


def _to_be_said(camera: str | None, label: PhaseLabel) -> tuple[str, PhaseLabel]:
    """Camera and label as the file will hold them; a PhaseLabelError says what is wrong."""
    words = {**asdict(label), "camera": camera or "", "title": label.title or ""}
    try:
        return _checked({name: str(word).strip() for name, word in words.items()})
    except ValueError as error:
        raise PhaseLabelError(f"that cannot be said of a ride: {error}.") from None


def _checked(row: Mapping[str, str]) -> tuple[str, PhaseLabel]:
    """Camera and label of a line; a ValueError says what is wrong with it."""
    if not row["video"]:
        raise ValueError("it names no video")
    start_s, end_s = (_time(name, row[name]) for name in ("start_s", "end_s"))
    if end_s <= start_s:
        raise ValueError(f"its end ({end_s:g} s) is not after its start ({start_s:g} s)")
    if row["phase"] not in PHASES:
        raise ValueError(f"{row['phase']!r} is no phase; one is {', '.join(PHASES)}")
    title = row["title"]
    if not title.isprintable():
        raise ValueError("a title is one line of letters")
    if len(title) > TITLE_MAX:
        raise ValueError(f"its title has {len(title)} letters; there is room for {TITLE_MAX}")
    label = PhaseLabel(row["video"], start_s, end_s, row["phase"], title or None)
    return row["camera"], label


def _time(name: str, text: str) -> float:
    try:
        told = seconds_of(text)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if told > SECONDS_MAX:
        raise ValueError(f"{name}: {text} s are more than eleven days; are they milliseconds?")
    return told


def _lines(rows: Sequence[Sequence[object]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()
