"""A scan of everything that lies somewhere for what is left of somebody, with a control.

What belongs here: looking for probes in files, in a served index and in an object store, and what
was found where. What does not: taking the probes (`probes`), and taking files apart (`containers`).

One pass looks for three kinds of probes: of whom was forgotten, of somebody who stays, and planted
ones (`planting`). Nothing found of the first says something only where the other two were found.
"""

from __future__ import annotations

import io
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from identity_pipeline.core.privacy.needles import Needles, same_direction
from identity_pipeline.core.privacy.spelling import (
    DENSE,
    TEXT,
    Form,
    forms_of,
    places_of,
    within_kept,
)
from identity_pipeline.stages.privacy import containers
from identity_pipeline.stages.privacy.containers import Bytes, NotDecoded, Numbers, Part
from identity_pipeline.stages.privacy.planting import planted
from identity_pipeline.stages.privacy.probes import (
    CROP,
    EMBEDDING,
    NAME,
    NAMED_FILE,
    PIXELS,
    Probes,
    Sought,
)
from identity_pipeline.stages.privacy.provenance import named_in
from identity_pipeline.stages.progress.protocol import Progress, silent
from identity_pipeline.storage.files.atomic import TEMPORARY_MARK
from identity_pipeline.storage.index.vector_index import VectorIndex
from identity_pipeline.storage.publishing.object_store import ObjectStore

if TYPE_CHECKING:
    from numpy.typing import NDArray

GONE, STAYS = "gone", "stays"
ALIKE: Final = 0.9999
"""Cosine from which two vectors are one, written in another precision: half precision and four
decimals are above it, the next frame of the same person is not always (chosen)."""
MIB: Final = 2**20


@dataclass(frozen=True)
class Hit:
    """Something found.

    Attributes:
        file: below the place that was scanned.
        form: how it lies there.
        kind: of the probes.
        count: different probes.
    """

    file: str
    form: str
    kind: str
    count: int


@dataclass(frozen=True)
class ScanReport:
    """What a scan found.

    Attributes:
        place: what was scanned, in words.
        files: that were read.
        bytes_read: of them, as they lie.
        bytes_decoded: of what they hold once decoded.
        sought: probes by kind.
        sought_of: how many there were, of the kinds of which not all were taken.
        hits: of whom was forgotten.
        shared: places where a name stands only as part of words that stay.
        control_of: probes of somebody who stays, by kind.
        control: how many of them were found, by kind.
        planted: file of the planted control -> (probes found in it, probes in it).
        not_decoded: what could only be looked at as it lies: file, form and why.
        unreadable: files that could not be read at all, and why.
    """

    place: str
    files: int
    bytes_read: int
    bytes_decoded: int
    sought: Mapping[str, int]
    sought_of: Mapping[str, int] = field(default_factory=dict)
    hits: tuple[Hit, ...] = ()
    shared: int = 0
    control_of: Mapping[str, int] = field(default_factory=dict)
    control: Mapping[str, int] = field(default_factory=dict)
    planted: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    not_decoded: tuple[tuple[str, str, str], ...] = ()
    unreadable: tuple[tuple[str, str], ...] = ()

    @property
    def positive(self) -> bool:
        """Whether the scan finds what is there: all that was planted, and some of who stays.

        Where nothing lies there is nothing to find.
        """
        if not self.files:
            return True
        if any(found < there for found, there in self.planted.values()):
            return False
        living = [kind for kind in (EMBEDDING, CROP, PIXELS) if self.control_of.get(kind)]
        if not living and not self.planted:
            return False
        return all(self.control.get(kind, 0) for kind in living)

    @property
    def clean(self) -> bool:
        """Whether nothing is left: no hit, by a scan that finds what is there and read it all."""
        return not self.hits and not self.unreadable and self.positive


def scan(
    root: Path,
    probes: Probes,
    control: Probes,
    progress: Progress = silent,
    *,
    kept: Collection[str] = (),
    leave_out: Collection[Path] = (),
    sought: Sought | None = None,
) -> ScanReport:
    """Looks for probes in every file below a folder, as it lies and decoded.

    Args:
        root: the data folder.
        probes: of whom was forgotten.
        control: of somebody who stays; may be empty.
        progress: told of MiB.
        kept: words that stay and may hold a name: names of others, ids and file names of rides.
        leave_out: folders and files that are not looked at: the journal that holds the probes.
        sought: whose faces no table and no list of files may name any more.
    """
    with planted(root) as (folder, secrets):
        look = _Look({GONE: probes, STAYS: control, **secrets}, kept)
        files = list(files_below(root, leave_out, look.unreadable))
        total = sum(size for _, size in files)
        for path, size in files:
            name = _relative(path, root)
            look.at_path(name)
            look.at_file(path, name)
            if sought is not None and not path.is_relative_to(folder):
                look.at_list(path, name, sought)
            look.bytes_read += size
            progress("scan", look.bytes_read // MIB, total // MIB, "MiB")
        report = look.report("the data folder", len(files), secrets)
    faces = sum(len(found) for found in sought.faces.values()) if sought is not None else 0
    return replace(report, sought={**report.sought, NAMED_FILE: faces})


def scan_index(
    index: VectorIndex, probes: Probes, control: Probes, progress: Progress = silent
) -> ScanReport:
    """Looks for probes in every point of the vector index, by its own listing of them.

    A server may keep deleted points on its own disk, which cannot be seen from here.

    Args:
        index: embedded or served.
        probes: of whom was forgotten.
        control: of somebody who stays; of them only vectors can be there.
        progress: told of points.

    Raises:
        IndexUnreachableError: the server does not answer.
    """
    vectors_of = tuple(blob for blob in control.blobs if blob.kind == EMBEDDING)
    look, points = _Look({GONE: probes, STAYS: Probes(vectors_of, control.vectors)}), 0
    with index.open("looking for what was forgotten") as session:
        for name, payload, vectors in session.everything():
            points += 1
            told = json.dumps(payload, ensure_ascii=False).encode()
            look.at_part(name, Bytes("payload of the index", told, TEXT))
            for values in vectors.values():
                row = np.asarray(values, dtype=np.float32)
                look.at_part(name, Bytes("vector of the index", row.tobytes(), DENSE))
                look.at_part(name, Numbers("vector of the index", row[None, :]))
            progress("scan of the index", points, None, "points")
    return look.report("the vector index", points, {})


def scan_store(
    url: str,
    probes: Probes,
    control: Probes,
    progress: Progress = silent,
    *,
    kept: Collection[str] = (),
) -> ScanReport:
    """Looks for probes in every object below an address, as it lies and decoded.

    Older versions that a bucket keeps by itself cannot be seen so. Nothing is planted there: a
    planted control of this machine says that what is read is taken apart.

    Args:
        url: of the store.
        probes: of whom was forgotten.
        control: of somebody who stays and of whom something was published; may be empty.
        progress: told of objects.
        kept: as of `scan`.

    Raises:
        ObjectStoreError: the store does not answer.
    """
    objects = 0
    with TemporaryDirectory() as here, planted(Path(here)) as (folder, secrets):
        look = _Look({GONE: probes, STAYS: control, **secrets}, kept)
        for path in sorted(folder.iterdir()):
            look.at_file(path, _relative(path, Path(here)))
        look.bytes_decoded = 0
        for name, data in ObjectStore(url).everything():
            objects += 1
            look.at_path(name)
            look.bytes_read += len(data)
            for part in containers.parts(io.BytesIO(data), "", 0):
                look.at_part(name, part)
            progress("scan of the object store", objects, None, "objects")
        return look.report("the object store", objects, secrets)


Unreadable = list[tuple[str, str]]
"""Files and folders that could not be read, below the place that is scanned, and why."""


def files_below(
    root: Path, leave_out: Collection[Path], unreadable: Unreadable
) -> Iterator[tuple[Path, int]]:
    """Every file below a folder and its size, also where a link leads out of the folder.

    Args:
        root: the folder.
        leave_out: folders and files that are not looked at.
        unreadable: gets what cannot be listed.
    """
    top, waiting = root.resolve(), [root]
    done = {path.resolve() for path in leave_out}
    while waiting:
        folder = waiting.pop()
        if folder.resolve() in done:
            continue
        done.add(folder.resolve())
        for path in _listed(folder, root, unreadable):
            if path.is_symlink() and path.resolve().is_relative_to(top):
                continue  # what it leads to is met by itself
            if path.is_dir():
                waiting.append(path)
            elif path.is_file() and path.resolve() not in done:
                yield path, _size(path)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # it went meanwhile, as a database's journal does
        return 0


def _listed(folder: Path, root: Path, unreadable: Unreadable) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:  # it went meanwhile
        return []
    except OSError as error:
        unreadable.append((_relative(folder, root), error.strerror or str(error)))
        return []


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


@dataclass(frozen=True)
class _Owner:
    """Whose a piece is: group of probes, kind, and number within the group."""

    group: str
    kind: str
    number: int
    form: str


class _Look:
    """One scan under way.

    Attributes:
        groups: probes by whose they are; those of a planted file are looked for in it alone.
        found: (group, kind, file, form) -> probes.
    """

    def __init__(self, groups: Mapping[str, Probes], kept: Iterable[str] = ()) -> None:
        self.groups = groups
        self.owners: list[_Owner] = []
        needles: list[bytes] = []
        for group, probes in groups.items():
            for number, blob in enumerate(probes.blobs):
                for form, piece in blob.pieces:
                    self.owners.append(_Owner(group, blob.kind, number, form))
                    needles.append(piece)
        self.needles = Needles(needles)
        self.names = {group: list(_named(probes)) for group, probes in groups.items()}
        self.kept = {
            form.data: [word for word in kept if form.data in word.encode()]
            for _, form in self.names[GONE]
        }
        self.found: dict[tuple[str, str, str, str], set[int | str]] = defaultdict(set)
        self.shared: set[tuple[str, int, str]] = set()
        self.not_decoded: list[tuple[str, str, str]] = []
        self.unreadable: Unreadable = []
        self.bytes_read = self.bytes_decoded = 0

    def at_path(self, name: str) -> None:
        """The name of a file, with its folders."""
        self.at_part(name, Bytes("name of the file", name.encode(), TEXT))

    def at_file(self, path: Path, name: str) -> None:
        """A file; one that went meanwhile holds nothing."""
        try:
            for part in containers.parts_of(path):
                self.at_part(name, part)
        except FileNotFoundError:
            return
        except OSError as error:
            self.unreadable.append((name, error.strerror or str(error)))

    def at_list(self, path: Path, name: str, sought: Sought) -> None:
        """A table or list of files."""
        try:
            for face in named_in(path, Path(name), sought.faces):
                key = (GONE, NAMED_FILE, name, "id of a face")
                self.found[key].add(face)
        except FileNotFoundError:
            return
        except (OSError, ValueError, pl.exceptions.PolarsError) as error:
            self.not_decoded.append((name, "list of files", str(error)[:200]))

    def at_part(self, name: str, part: Part) -> None:
        """A part of a file."""
        if isinstance(part, NotDecoded):
            self.not_decoded.append((name, part.form, part.why))
        elif isinstance(part, Numbers):
            self._at_numbers(name, part.form, part.rows)
        else:
            if part.form != "as it lies":
                self.bytes_decoded += len(part.data)
            self._at_bytes(name, part)

    def _at_bytes(self, name: str, part: Bytes) -> None:
        for _, number in self.needles.find(part.data):
            owner = self.owners[number]
            form = part.form if owner.form == owner.kind else f"{owner.form}, {part.form}"
            self.found[owner.group, owner.kind, name, form].add(owner.number)
        for group in self._groups_at(name):
            for number, form in self.names[group]:
                for place in places_of(part.data, form, part.texture):
                    self._at_name(group, name, number, form, part, place)

    def _at_name(
        self, group: str, name: str, number: int, form: Form, part: Bytes, place: int
    ) -> None:
        if group == GONE and within_kept(part.data, place, form, self.kept[form.data]):
            self.shared.add((name, place, part.form))
        else:
            self.found[group, NAME, name, f"{form.name}, {part.form}"].add(number)

    def _at_numbers(self, name: str, form: str, rows: NDArray[np.floating]) -> None:
        for group in self._groups_at(name):
            wanted = self.groups[group].vectors.get(rows.shape[1])
            if wanted is not None:
                numbers = {-1 - n for n in same_direction(rows, wanted, ALIKE).tolist() if n >= 0}
                if numbers:
                    self.found[group, EMBEDDING, name, f"as numbers, {form}"] |= numbers

    def _groups_at(self, name: str) -> tuple[str, ...]:
        own = name.rpartition("/")[2]
        planted_here = own in self.groups and name.startswith(TEMPORARY_MARK)
        return (own,) if planted_here else (GONE, STAYS)

    def report(self, place: str, files: int, secrets: Mapping[str, Probes]) -> ScanReport:
        """What was found."""
        gone, stays = self.groups[GONE], self.groups[STAYS]
        hits = [
            Hit(name, form, kind, len(numbers))
            for (group, kind, name, form), numbers in sorted(self.found.items())
            if group == GONE
        ]
        return ScanReport(
            place,
            files,
            self.bytes_read,
            self.bytes_decoded,
            gone.counts(),
            gone.of,
            tuple(hits),
            len(self.shared),
            {kind: count for kind, count in stays.counts().items() if count},
            self._found_of(STAYS),
            {name: (sum(self._found_of(name).values()), PLANTED) for name in secrets},
            tuple(self.not_decoded),
            tuple(self.unreadable),
        )

    def _found_of(self, group: str) -> dict[str, int]:
        """Different probes of a group that were found, by kind."""
        found: dict[str, set[int | str]] = defaultdict(set)
        for (of, kind, _, _), numbers in self.found.items():
            if of == group:
                found[kind] |= numbers
        # One that was found as bytes and as numbers has two numbers.
        as_bytes = {k: {n for n in found[k] if isinstance(n, int) and n >= 0} for k in found}
        return {kind: len(as_bytes[kind]) or len(numbers) for kind, numbers in found.items()}


PLANTED: Final = 3
"""Probes in each planted file: a vector, a crop and a name."""


def _named(probes: Probes) -> Iterator[tuple[int, Form]]:
    for number, name in enumerate(probes.names):
        for form in forms_of(name):
            yield number, form
    for number, folder in enumerate(probes.folders):
        yield -1 - number, Form("called after the name", folder.encode(), "utf-8", begins=True)
