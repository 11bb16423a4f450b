"""Which video a partition is: one record per content, with every name it was seen under.

A video's id is the slug of the file's stem, a dash, and the first 8 hex digits of the content's
SHA-256; more digits where another content has that id already. The same bytes under another name
are linked to the first record, not processed twice.

Records are JSON files, each written whole. So a damaged one is the failure of its video alone, they
are read without a lock, also where nothing may be written, and a copy of a folder in use holds
whole records. What only saves time is derived from them and lies in one database (`known_files`).
"""

from __future__ import annotations

import os
import shlex
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePath

from identity_pipeline.errors import printable
from identity_pipeline.storage.files import atomic, small_files
from identity_pipeline.storage.files.hashing import sha256_of_file
from identity_pipeline.storage.files.inbox import UnusableFileError, checked_file, slug
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.files.still_files import still_format
from identity_pipeline.storage.layout import VIDEO_ID, Layout, check_video_id
from identity_pipeline.storage.photos.photo_sets import PhotoSets
from identity_pipeline.storage.video.known_files import DIGITS as USUAL_DIGITS
from identity_pipeline.storage.video.known_files import KnownFile, KnownFiles, Stamp

DIGITS = (USUAL_DIGITS, 12, 15)
"""Of the digest in an id: the usual number, and what a collision leads to."""
NAMED = 5
"""Videos that are named where a word may mean several."""


@dataclass(frozen=True)
class Registration:
    """One video.

    Attributes:
        video_id: partition key.
        sha256: digest of the file's bytes.
        path: where the file was first seen.
        links: other paths with the same bytes, sorted.
    """

    video_id: str
    sha256: str
    path: str
    links: tuple[str, ...] = ()

    def existing_path(self) -> Path:
        """The first of its paths that still holds its bytes; else one that exists; else any."""
        paths = [Path(self.path), *map(Path, self.links)]
        there = [path for path in paths if path.is_file()]
        same = (path for path in there if len(there) == 1 or sha256_of_file(path) == self.sha256)
        return next(same, there[0] if there else paths[0])


class StillPictureError(UnusableFileError):
    """A photograph where a video belongs."""


def checked_video(path: Path) -> Path:
    """The resolved path of a file that can be registered; its first bytes are looked at.

    Raises:
        StillPictureError: it is a photograph, whatever it is called.
        UnusableFileError, OSError: see `checked_file`.
    """
    resolved = checked_file(path)
    if kind := still_format(resolved):
        named = printable(str(path))
        raise StillPictureError(
            f"{named} is a photograph ({kind}), not a video. Is it of a person whom you know: "
            f"`identity-pipeline enrol PERSON {shlex.quote(named)}`; else remove it."
        )
    return resolved


def video_id_for(stem: str, sha256: str, digits: int = DIGITS[0]) -> str:
    """The partition key of a file."""
    return check_video_id(f"{slug(stem)}-{sha256[:digits]}")


@dataclass(frozen=True)
class VideoRegistry:
    """The records in `data/registry`."""

    layout: Layout

    def register(self, path: Path) -> tuple[Registration, bool]:
        """Registers a file.

        Returns:
            Its record, and whether the content is new. A known content under a new name is linked.

        Raises:
            UnusableFileError: it is no file, its name cannot be written down, or it is a picture.
            OSError: it cannot be read.
        """
        path = checked_video(path)
        sha256 = sha256_of_file(path)
        known = self.by_digest(sha256)
        if known is None:
            video_id = self._damaged_id(sha256) or self._free_id(path.stem, sha256)
            record = Registration(video_id, sha256, str(path))
        elif str(path) in (known.path, *known.links):
            return known, False
        else:
            record = replace(known, links=tuple(sorted({*known.links, str(path)})))
        with KnownFiles(self.layout).writing_record(record.video_id, sha256):
            atomic.write_json(self.layout.registration(record.video_id), asdict(record))
        return record, known is None

    def register_remembered(self, path: Path) -> tuple[Registration, bool]:
        """As `register`, and remembers the file, unless it changed meanwhile."""
        before = Stamp.of(path.stat())
        record, is_new = self.register(path)
        if Stamp.of(path.stat()) == before:
            KnownFiles(self.layout).remember({str(path): KnownFile(before, record.video_id)})
        return record, is_new

    def adopt(self, video_id: str, record: bytes) -> None:
        """Takes over a record of another data folder, unless there is one that can be read."""
        path = self.layout.registration(video_id)
        if path.is_file() and not self._is_damaged(video_id):
            return
        sha256 = small_files.parse(record, Registration).sha256
        known = KnownFiles(self.layout)
        known.ids_of_content(sha256)  # it takes older names for read once something is written
        with known.writing_record(video_id, sha256):
            atomic.write_bytes(path, record)

    def _free_id(self, stem: str, sha256: str) -> str:
        """The id of a new content, which no other content has, photo sets among them."""
        for digits in DIGITS:
            video_id = video_id_for(stem, sha256, digits)
            taken = self.layout.registration(video_id), self.layout.photo_set(video_id)
            if not any(path.exists() for path in taken):
                return video_id
        raise ValueError(f"all ids of {stem} are taken by other contents; rename it and try again.")

    def _damaged_id(self, sha256: str) -> str | None:
        """The id of a damaged record that is, by its name, of this content; it is written anew."""
        same = KnownFiles(self.layout).ids_of_content(sha256)
        return next((video_id for video_id in same if self._is_damaged(video_id)), None)

    def _is_damaged(self, video_id: str) -> bool:
        try:
            self.get(video_id)
        except DamagedFileError:
            return True
        return False

    def get(self, video_id: str) -> Registration | None:
        """The record of a video id, or None.

        Raises:
            DamagedFileError: it cannot be read, or is another video's.
        """
        path = self.layout.registration(video_id)
        return _load(path) if path.is_file() else None

    def by_digest(self, sha256: str) -> Registration | None:
        """The record of a content, or None; damaged ones are passed over."""
        candidates = self.readable(KnownFiles(self.layout).ids_of_content(sha256))
        return next((r for r in candidates if r.sha256 == sha256), None)

    def all(self) -> Iterator[Registration]:
        """All records that can be read, in alphabetical order of their ids; see `damaged`."""
        return self.readable(self.ids())

    def readable(self, video_ids: Iterable[str]) -> Iterator[Registration]:
        """The records of some videos, without those that are missing or damaged."""
        return small_files.readable(video_ids, self.get)

    def damaged(self) -> dict[str, DamagedFileError]:
        """What is wrong with each record that cannot be read, by video id."""
        return small_files.damaged(self.ids(), self.get)

    def ids(self) -> list[str]:
        """Ids of all records in alphabetical order; no file is opened."""
        try:
            names = os.listdir(self.layout.registry)  # noqa: PTH208 - of ten thousands
        except (FileNotFoundError, NotADirectoryError):
            return []
        half = atomic.TEMPORARY_MARK
        found = (n for n in names if n.endswith(".json") and not n.startswith(half))
        return sorted(name.removesuffix(".json") for name in found)

    def newest_first(self) -> list[str]:
        """Ids of all records, the one written last first; no file is opened.

        A record is written again when its content is seen under another name.
        """
        if not self.layout.registry.is_dir():
            return []
        with os.scandir(self.layout.registry) as entries:
            written = [
                (-entry.stat().st_mtime_ns, entry.name.removesuffix(".json"))
                for entry in entries
                if entry.name.endswith(".json") and not atomic.is_temporary(Path(entry))
            ]
        return [video_id for _, video_id in sorted(written)]

    def find(self, name: str) -> Registration | None:
        """The video meant by a person: an id, a file name, or an unambiguous beginning of an id.

        Raises:
            DamagedFileError: it is registered, but its record cannot be read.
        """
        if VIDEO_ID.fullmatch(name) and (record := self.get(name)) is not None:
            return record
        found = self.fitting(name)
        return self.get(found[0]) if len(found) == 1 else None

    def fitting(self, name: str) -> list[str]:
        """The ids of all videos that a person may mean, sorted; see `find`."""
        if VIDEO_ID.fullmatch(name):  # no file name: those have a suffix
            return sorted(video_id for video_id in self.ids() if video_id.startswith(name))
        records = list(self.all())
        found = [r for r in records if name in _names(r)]
        if not found:  # the same letters, written down in another form
            found = [r for r in records if _plain(name) in map(_plain, _names(r))]
        return sorted(record.video_id for record in found)

    def no_single(self, name: str) -> str:
        """That a name means no video, or which ones it may mean, as the beginning of a sentence."""
        return f"no single video fits {printable(name)!r} ({which_of(self.fitting(name))})"


def which_of(fit: Sequence[str]) -> str:
    """Which of several videos fit a name, in a few words."""
    if not fit:
        return "none does"
    more = f" and {len(fit) - NAMED} more" if len(fit) > NAMED else ""
    return f"{', '.join(fit[:NAMED])}{more} do"


def _names(record: Registration) -> set[str]:
    paths = (record.path, *record.links)
    return {record.video_id, *paths, *(Path(path).name for path in paths)}


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def mending_command(layout: Layout, video_id: str) -> str:
    """What a person types to have the damaged outputs of a video, or a photo set, made anew."""
    photos = PhotoSets(layout)
    if photos.is_set(video_id):
        return photos.mending_command(video_id)
    try:
        record = VideoRegistry(layout).get(video_id)
    except DamagedFileError:
        record = None
    if record is None:
        return "identity-pipeline run VIDEO_FILE"
    paths = [record.path, *record.links]
    there = next((path for path in paths if Path(path).is_file()), record.path)
    return f"identity-pipeline run {shlex.quote(there)}"


def _load(path: Path) -> Registration:
    mend = "`identity-pipeline run` with the file of this video registers it anew."
    record = small_files.read(path, Registration, mend)
    if record is None:
        raise DamagedFileError(path, "it is no file", mend)
    if record.video_id != path.stem:
        raise DamagedFileError(path, f"it is the record of {record.video_id!r}", mend)
    return record


def video_files(folder: Path, extensions: Iterable[str]) -> list[Path]:
    """Files in a folder that could be videos, sorted; hidden and temporary ones are left out.

    Links that lead out of the folder are left out too.
    """
    if not folder.is_dir():
        return []
    suffixes = {extension.lower() for extension in extensions}
    with os.scandir(folder) as entries:
        return sorted(
            Path(entry)
            for entry in entries
            if not entry.name.startswith(".")
            and PurePath(entry.name).suffix.lower() in suffixes
            and _is_file_within(entry, folder)
        )


def _is_file_within(entry: os.DirEntry[str], folder: Path) -> bool:
    """Whether an entry of a folder is a file in it; only links need a look at where they lead.

    A folder, a pipe, and a link that leads nowhere or in a circle are none.
    """
    try:
        if not entry.is_symlink():
            return entry.is_file()
        target = Path(entry).resolve()
        return target.is_file() and target.is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # a circle is the latter in 3.11
        return False
