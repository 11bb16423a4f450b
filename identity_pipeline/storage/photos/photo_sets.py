"""Which photographs a set is: one record per set, with private copies of its pictures beside it.

A set's id is `photos-`, the slug of the name it was taken in under, a dash, and 8 hex digits of the
SHA-256 over the digests of its pictures (more where another set has that id). So the same pictures
are the same set, whatever their files are called and in whichever order they come; and the id fits
wherever that of a video does.

A picture is in one set only. Record and copies appear together, in one rename, or not at all.
"""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from identity_pipeline.errors import IdentityPipelineError, printable, system_words
from identity_pipeline.storage.files import atomic, locks, small_files
from identity_pipeline.storage.files.hashing import sha256_of_file
from identity_pipeline.storage.files.inbox import UnusableFileError, checked_file, slug
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.layout import VIDEO_ID, Layout, inside

PREFIX = "photos-"
RECORD = "set.json"
DIGITS = (8, 12, 16)
"""Of the digest in an id: the usual number, and what a collision leads to."""
SLUG_MAX = 40
"""Characters of the name in an id, so that the whole of it is no longer than a video's may be."""
MOST = 999
"""Pictures of a set: their stored names then all begin with the digit 0 (`mending_command`)."""
_SUFFIX = re.compile(r"\.[a-z0-9]{1,5}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class StoredPicture:
    """One picture of a set.

    Attributes:
        number: in the set, from 1, in the order of the names.
        name: of the file that was handed over; shown to people, never used as a path.
        file: of the private copy, in the folder of the set.
        sha256: of its bytes.
        size: of the file, bytes.
    """

    number: int
    name: str
    file: str
    sha256: str
    size: int


@dataclass(frozen=True)
class PhotoSet:
    """Photographs that were taken in together.

    Attributes:
        set_id: partition key; fits wherever the id of a video does.
        name: it was taken in under; who is in it is the ledger's to say.
        sha256: over the digests of the pictures.
        pictures: in the order of their numbers.
        added: ISO date when it was taken in; null where nobody said.
    """

    set_id: str
    name: str
    sha256: str
    pictures: tuple[StoredPicture, ...]
    added: str | None = None


@dataclass(frozen=True)
class NotTaken:
    """A picture that did not come into a set.

    Attributes:
        path: as it was named.
        code: stable: `known` (in a set already), `twice` (the same picture as another one of them),
            `unusable` (no file, or it cannot be read), `too_many`; or why it can be no photograph,
            see `media.stills`.
        sentence: the same in words.
        set_id: of the set that has it already; else null.
    """

    path: Path
    code: str
    sentence: str
    set_id: str | None = None

    @property
    def is_there(self) -> bool:
        """Whether it is no fault: the picture is taken in already, or with the others."""
        return self.code in ("known", "twice")


class Registered(NamedTuple):
    """What became of pictures that were handed over.

    Attributes:
        photo_set: the set they are; an older one where all that could be taken is that set already;
            null where nothing was taken and they are of no set or of several.
        not_taken: the pictures that did not come into it, and why.
    """

    photo_set: PhotoSet | None
    not_taken: tuple[NotTaken, ...]


class PictureChangedError(IdentityPipelineError, RuntimeError):
    """A picture was written to while it was copied."""


class _Found(NamedTuple):
    path: Path
    sha256: str


class _SortedOut(NamedTuple):
    """Pictures that were handed over: those that can be taken, the others, and the known sets."""

    found: list[_Found]
    refused: list[NotTaken]
    known: dict[str, PhotoSet]

    @property
    def new(self) -> list[_Found]:
        return [one for one in self.found if one.sha256 not in self.known]

    def left_out(self) -> tuple[NotTaken, ...]:
        there = [_known(f, self.known[f.sha256]) for f in self.found if f.sha256 in self.known]
        return (*self.refused, *there)

    def nothing_new(self) -> Registered:
        return _nothing_new(self.found, self.refused, self.known)


@dataclass(frozen=True)
class PhotoSets:
    """The sets in `data/photo_sets`."""

    layout: Layout

    def register(
        self,
        name: str,
        pictures: Sequence[Path],
        added: str | None = None,
        free: Collection[str] = (),
    ) -> Registered:
        """Takes pictures in as one set. Whether they can be read as pictures is not looked at.

        The same pictures again are the same set, and nothing is written. Whoever else registers
        meanwhile waits.

        Args:
            name: of the person.
            pictures: files, in any order.
            added: ISO date of today.
            free: digests of pictures of sets that may be in another one as well.

        Raises:
            PictureChangedError: a picture was written to meanwhile; nothing was taken.
            OSError: nothing can be written; nothing was taken.
        """
        lock = self.layout.photo_sets / ".lock"
        with locks.exclusive(lock, "The photo sets", "taking in photographs", None):
            sorted_out = self._sorted_out(pictures, free)
            if not sorted_out.new:
                self._mend_copies(sorted_out.found, sorted_out.known)
                return sorted_out.nothing_new()
            return Registered(self._write(name, sorted_out.new, added), sorted_out.left_out())

    def would_register(
        self, name: str, pictures: Sequence[Path], free: Collection[str] = ()
    ) -> Registered:
        """What `register` would do; nothing is written, and nobody is waited for."""
        sorted_out = self._sorted_out(pictures, free)
        if not sorted_out.new:
            return sorted_out.nothing_new()
        return Registered(self._planned(name, sorted_out.new, None), sorted_out.left_out())

    def _sorted_out(self, pictures: Sequence[Path], free: Collection[str]) -> _SortedOut:
        known = {p.sha256: one for one in self.all() for p in one.pictures if p.sha256 not in free}
        return _SortedOut(*_found(pictures, known), known)

    def _planned(self, name: str, new: Sequence[_Found], added: str | None) -> PhotoSet:
        """The set that new pictures are, in the order of their names."""
        pictures = tuple(_stored(n, one) for n, one in enumerate(_in_order(new), 1))
        sha256 = digest_of(picture.sha256 for picture in pictures)
        return PhotoSet(self._free_id(name, sha256), name, sha256, pictures, added)

    def _write(self, name: str, new: Sequence[_Found], added: str | None) -> PhotoSet:
        photo_set = self._planned(name, new, added)
        there = self._readable(photo_set.set_id)
        if there is not None:  # its pictures were free, and it is the same again
            self._mend_copies(new, dict.fromkeys((one.sha256 for one in new), there))
            return there
        folder = inside(self.layout.photo_sets, self.layout.photo_set(photo_set.set_id))
        with atomic.new_folder(folder) as beside:
            for one, picture in zip(_in_order(new), photo_set.pictures, strict=True):
                copy = beside / picture.file
                shutil.copyfile(one.path, copy)
                if sha256_of_file(copy) != picture.sha256:
                    raise _changed(one.path)
            (beside / RECORD).write_bytes(atomic.json_bytes(asdict(photo_set)))
        return photo_set

    def _mend_copies(self, found: Sequence[_Found], known: dict[str, PhotoSet]) -> None:
        """Puts back copies that are gone or damaged, of the pictures that were handed over."""
        for one in found:
            owner = known[one.sha256]
            (picture,) = (p for p in owner.pictures if p.sha256 == one.sha256)
            copy = self.path(owner, picture)
            if not copy.is_file() or sha256_of_file(copy) != one.sha256:
                data = one.path.read_bytes()
                if hashlib.sha256(data).hexdigest() != one.sha256:
                    raise _changed(one.path)
                atomic.write_bytes(copy, data)

    def _free_id(self, name: str, sha256: str) -> str:
        """The id of a new content, which no other content has, be it photographs or a video."""
        for digits in DIGITS:
            set_id = set_id_for(name, sha256, digits)
            there = self._readable(set_id)  # a damaged one is of this content, and written anew
            free = there is None or there.sha256 == sha256
            if free and not self.layout.registration(set_id).exists():
                return set_id
        raise ValueError(f"all ids of {name} are taken by other contents; use another name.")

    def _readable(self, set_id: str) -> PhotoSet | None:
        return next(iter(self.readable([set_id])), None)

    def get(self, set_id: str) -> PhotoSet | None:
        """The record of a set, or None.

        Raises:
            DamagedFileError: it cannot be read, or is another set's.
        """
        path = self.layout.photo_set(set_id) / RECORD
        mend = (
            "`identity-pipeline enrol PERSON PICTURES` with the pictures of this set takes it in "
            "anew; its own copies of them lie beside that file."
        )
        record = small_files.read(path, PhotoSet, mend)
        fault = None if record is None else _fault(record, set_id)
        if fault is not None:
            raise DamagedFileError(path, fault, mend)
        return record

    def is_set(self, set_id: str) -> bool:
        """Whether an id is one of a set of photographs, and not a video's; nothing is read."""
        return set_id.startswith(PREFIX) and (self.layout.photo_set(set_id) / RECORD).is_file()

    def ids(self) -> list[str]:
        """Ids of all sets in alphabetical order; no file is opened."""
        paths = self.layout.photo_sets.glob(f"{PREFIX}*/{RECORD}")
        return sorted(p.parent.name for p in paths if VIDEO_ID.fullmatch(p.parent.name))

    def all(self) -> Iterator[PhotoSet]:
        """All sets that can be read, in alphabetical order of their ids; see `damaged`."""
        return self.readable(self.ids())

    def readable(self, set_ids: Iterable[str]) -> Iterator[PhotoSet]:
        """Some sets, without those that are missing or cannot be read."""
        return small_files.readable(set_ids, self.get)

    def damaged(self) -> dict[str, DamagedFileError]:
        """What is wrong with each record that cannot be read, by the set's id."""
        return small_files.damaged(self.ids(), self.get)

    def path(self, photo_set: PhotoSet, picture: StoredPicture) -> Path:
        """Where the private copy of a picture lies.

        Raises:
            UnsafePathError: the record leads out of the folder of the set.
        """
        folder = self.layout.photo_set(photo_set.set_id)
        return inside(folder, folder / picture.file)

    def content(self, photo_set: PhotoSet, picture: StoredPicture) -> bytes:
        """The bytes of a picture, after comparing them with what was recorded of them.

        Raises:
            DamagedFileError: they are others, or cannot be read.
            UnsafePathError: the record leads out of the folder of the set.
        """
        path = self.path(photo_set, picture)
        mend = (
            f"`identity-pipeline enrol {shlex.quote(photo_set.name)} PICTURES` with this picture "
            f"({printable(picture.name)}) puts it back."
        )
        try:
            data = path.read_bytes()
        except OSError as error:
            reason = f"it cannot be read ({error.strerror or error})"
            raise DamagedFileError(path, reason, mend) from error
        if hashlib.sha256(data).hexdigest() != picture.sha256:
            raise DamagedFileError(path, "its bytes are not those that were taken in", mend)
        return data

    def mending_command(self, set_id: str) -> str:
        """What a person types to have what was measured of a set made anew."""
        try:
            record = self.get(set_id)
        except DamagedFileError:
            record = None
        if record is None:
            return "identity-pipeline enrol PERSON PICTURES"
        folder = shlex.quote(str(self.layout.photo_set(set_id)))
        return f"identity-pipeline enrol {shlex.quote(record.name)} {folder}/0*"


def digest_of(digests: Iterable[str]) -> str:
    """SHA-256 over the digests of pictures, whatever their order."""
    return hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()


def set_id_for(name: str, sha256: str, digits: int = DIGITS[0]) -> str:
    """The partition key of a set."""
    stem = slug(name, "person")[:SLUG_MAX].strip("-_")
    return f"{PREFIX}{stem}-{sha256[:digits]}"


def _found(pictures: Sequence[Path], known: Container[str]) -> tuple[list[_Found], list[NotTaken]]:
    """The files that can be read, each content once, and the others."""
    found: dict[str, _Found] = {}
    refused: list[NotTaken] = []
    new = 0
    for path in sorted(pictures):
        try:
            resolved = checked_file(path, "a photograph")
            sha256 = sha256_of_file(resolved)
        except UnusableFileError as error:
            refused.append(NotTaken(path, "unusable", str(error)))
        except OSError as error:
            refused.append(NotTaken(path, "unusable", system_words(error)))
        else:
            if sha256 in found:
                words = f"it is the same picture as {printable(found[sha256].path.name)}."
                refused.append(NotTaken(path, "twice", words))
            elif sha256 not in known and new >= MOST:
                words = f"a set has at most {MOST} pictures; this one is taken in the next time."
                refused.append(NotTaken(path, "too_many", words))
            else:
                found[sha256] = _Found(path, sha256)
                new += sha256 not in known
    return list(found.values()), refused


def _changed(path: Path) -> PictureChangedError:
    return PictureChangedError(
        f"{printable(str(path))} was written to while it was read; nothing was taken: do it again "
        "when the copying to that place has ended."
    )


def _in_order(new: Sequence[_Found]) -> list[_Found]:
    """As the pictures of a set are numbered."""
    return sorted(new, key=lambda one: (one.path.name, one.sha256))


def _nothing_new(
    found: Sequence[_Found], refused: Sequence[NotTaken], known: dict[str, PhotoSet]
) -> Registered:
    """The one set that all pictures are, or what sets they are in."""
    owners = {known[one.sha256].set_id: known[one.sha256] for one in found}
    if len(owners) == 1:
        (owner,) = owners.values()
        return Registered(owner, tuple(refused))
    return Registered(None, (*refused, *(_known(one, known[one.sha256]) for one in found)))


def _known(one: _Found, owner: PhotoSet) -> NotTaken:
    words = f"it is in the set {owner.set_id} already, which was taken in as {owner.name!r}."
    return NotTaken(one.path, "known", words, owner.set_id)


def _stored(number: int, one: _Found) -> StoredPicture:
    suffix = one.path.suffix.lower()
    file = f"{number:04d}{suffix if _SUFFIX.fullmatch(suffix) else ''}"
    return StoredPicture(number, one.path.name, file, one.sha256, one.path.stat().st_size)


def _fault(record: PhotoSet, set_id: str) -> str | None:
    """Why a record cannot be that of a set, or None."""
    if record.set_id != set_id:
        return f"it is the record of {record.set_id!r}"
    if not record.pictures:
        return "it has no pictures"
    if not all(_is_sound(picture, n) for n, picture in enumerate(record.pictures, 1)):
        return "a picture in it has no number, no digest, or is said to lie elsewhere"
    if record.sha256 != digest_of(picture.sha256 for picture in record.pictures):
        return "its pictures are not those that it was made of"
    return None


def _is_sound(picture: StoredPicture, number: int) -> bool:
    """Whether a picture has the number that is due, a digest, and a file in the set's folder."""
    beside = Path(picture.file).name == picture.file and not picture.file.startswith(".")
    return picture.number == number and beside and bool(_SHA256.fullmatch(picture.sha256))
