"""Packs: all files of the outputs of a video in one, once it is finished.

A hundred thousand videos are eight million small files otherwise. A pack is a ZIP whose members
are stored, not compressed: exactly the bytes of the files, so that what is recorded of a table
stays what is compared. Beside each member stands the stamp that its file had, so that nothing that
remembers what it saw of a video takes it for another one.

What belongs here: how a pack is made, read, checked and taken apart. Which videos are packed is for
`stages.planning.packing`; how a reader comes to a file, packed or not, for `outputs`.
"""

from __future__ import annotations

import errno
import io
import logging
import os
import re
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from identity_pipeline.storage.files import atomic, locks, private
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.layout import VIDEO_ID, Layout
from identity_pipeline.storage.progress.known import stamp_of

LOG = logging.getLogger(__name__)
TABLE: Final = ".parquet"
MANIFEST: Final = ".manifest.json"
MADE_OF: Final = ".made-of.json"
PARTS: Final = (TABLE, MANIFEST, MADE_OF)
"""Of an output, by how their names end, in the order in which they go: what tells how an output was
made goes last."""
NAME: Final = re.compile(r"([a-z][a-z0-9_]*)(\.parquet|\.manifest\.json|\.made-of\.json)")
"""Of a member: asset and part."""
STAMP: Final = re.compile(r"\d+/\d+/\d+")
SUFFIX: Final = ".zip"
EPOCH: Final = (1980, 1, 1, 0, 0, 0)
LOCAL: Final = 30
"""Bytes of a ZIP's local header before the name of the member."""
NO_ZIP: Final = (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, struct.error)
"""What `zipfile` raises of a file that is none."""
KEPT: Final = 64
"""Packs whose lists of members are kept in memory: many members of one video are asked for."""


@dataclass(frozen=True)
class Found:
    """A file that is there, by itself or in a pack.

    Attributes:
        stamp: changes with its content; in a pack it is the one that it had by itself.
    """

    stamp: str

    @property
    def changed_ns(self) -> int:
        """When it was written, in nanoseconds since 1970."""
        return int(self.stamp.split("/")[0])

    @property
    def size(self) -> int:
        """Bytes."""
        return int(self.stamp.split("/")[1])


@dataclass(frozen=True)
class Member:
    """A file in a pack.

    Attributes:
        found: what its folder told of it.
        start: where its bytes begin in the pack.
    """

    found: Found
    start: int


Members = Mapping[str, Member]
"""Of a pack, by name: asset and part."""
Files = Mapping[str, tuple[bytes, Found]]
"""Content of a pack, by name: asset and part."""


def members_of(layout: Layout, video_id: str) -> Members:
    """What the pack of a video holds; nothing where there is none.

    One that is damaged holds nothing: the log names it, and a run makes its outputs again.

    Raises:
        OSError: it cannot be read now, which says nothing of what it holds.
    """
    try:
        return members_read(layout, video_id)
    except DamagedFileError as error:
        LOG.warning("%s", error)
        return {}


def members_read(layout: Layout, video_id: str) -> Members:
    """The same for who must not take a damaged pack for none.

    Raises:
        DamagedFileError: it is damaged.
        OSError: it cannot be read now.
    """
    try:
        with layout.pack(video_id).open("rb") as stream:
            return _members(stream)
    except FileNotFoundError:
        return {}


def read_member(layout: Layout, video_id: str, name: str) -> tuple[bytes, Found]:
    """The bytes of a member as they lie, and what is told of it.

    Raises:
        FileNotFoundError: there is no such pack, or it has no such member.
        DamagedFileError: it is no pack.
    """
    with layout.pack(video_id).open("rb") as stream:
        member = _members(stream).get(name)
        if member is None:
            raise FileNotFoundError(f"{stream.name} has no {name}")
        return _read(stream, member)


def open_member(layout: Layout, video_id: str, name: str) -> IO[bytes]:
    """A member, to be read in pieces; see `read_member`."""
    stream = layout.pack(video_id).open("rb", buffering=0)
    try:
        member = _members(stream).get(name)
        if member is None:
            raise FileNotFoundError(f"{stream.name} has no {name}")
    except BaseException:
        stream.close()
        raise
    return io.BufferedReader(_Slice(stream, member))


class _Slice(io.RawIOBase):
    """The bytes of a member of an open pack."""

    def __init__(self, stream: io.FileIO, member: Member) -> None:
        self._stream, self._start, self._size = stream, member.start, member.found.size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_CUR: self._at, io.SEEK_END: self._size}.get(whence, 0)
        return self._at

    def readinto(self, buffer: Any) -> int:
        wanted = max(0, min(len(buffer), self._size - self._at))
        data = os.pread(self._stream.fileno(), wanted, self._start + self._at)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        self._stream.close()
        super().close()


def packs_in(layout: Layout) -> dict[str, str]:
    """The stamp of each pack, by video."""
    found: dict[str, str] = {}
    if layout.packs.is_dir():
        with os.scandir(layout.packs) as entries:
            for entry in entries:
                video_id = entry.name.removesuffix(SUFFIX)
                if video_id != entry.name and VIDEO_ID.fullmatch(video_id):
                    try:
                        found[video_id] = stamp_of(entry.stat())
                    except FileNotFoundError:  # it went in between
                        continue
    return found


# packing and unpacking ----------------------------------------------------------------------------


def pack(layout: Layout, video_id: str, before_ns: int, last: str) -> int:
    """Packs all outputs of a video; called again it packs what lies by itself since.

    While the pack is written and the files go, no writer of any video is at work. A kill at any
    line leaves each file by itself, in the pack, or both with the same bytes.

    Args:
        layout: the data folder.
        video_id: of the video.
        before_ns: a video with a file that changed later stays as it is.
        last: the asset whose files go last: while they are there the video is not packed.

    Returns:
        How many files went into the pack.

    Raises:
        DamagedFileError: what was written cannot be read again; the files stay as they are.
    """
    with locks.exclusive(layout.tables_lock, "The tables", "packing", None):
        paths = dict(_loose(layout, video_id))
        found = {name: Found(stamp_of(path.stat())) for name, path in paths.items()}
        if not paths or any(one.changed_ns > before_ns for one in found.values()):
            return 0
        files = {name: (path.read_bytes(), found[name]) for name, path in paths.items()}
        for name in members_of(layout, video_id).keys() - files.keys():
            files[name] = read_member(layout, video_id, name)
        _write(layout, video_id, files)
        for name in sorted(paths, key=lambda name: (name.startswith(f"{last}."), name)):
            _drop_unseen(paths[name])
        return len(files)


def unpack(layout: Layout, video_id: str) -> int:
    """Puts the files of a packed video back where they lay; those that lie there stay as they are.

    Returns:
        How many were put back; what cannot be read of a damaged pack goes with it.
    """
    if not layout.pack(video_id).exists():
        return 0
    with locks.exclusive(layout.tables_lock, "The tables", "unpacking", None):
        put = 0
        for name in members_of(layout, video_id):
            path = _place(layout, video_id, name)
            if not path.exists():
                atomic.write_with(path, _writer(*read_member(layout, video_id, name)))
                put += 1
        layout.pack(video_id).unlink(missing_ok=True)
        if layout.packs.is_dir():
            atomic.flush(layout.packs)
        return put


def _loose(layout: Layout, video_id: str) -> Iterator[tuple[str, Path]]:
    """The files of a video that lie by themselves, by the names that they have in a pack."""
    for folder in sorted(layout.tables.iterdir()) if layout.tables.is_dir() else ():
        for name in (f"{folder.name}{part}" for part in PARTS):
            if NAME.fullmatch(name) and (path := _place(layout, video_id, name)).is_file():
                yield name, path


def _place(layout: Layout, video_id: str, name: str) -> Path:
    asset, dot, part = name.partition(".")
    return layout.tables / asset / f"{video_id}{dot}{part}"


def _drop_unseen(path: Path) -> None:
    """Removes a file that is in a pack; its folder holds the same as before, and tells so."""
    folder = path.parent
    before = folder.stat()
    path.unlink()
    os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))


def _writer(data: bytes, found: Found) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with private.new_file(path) as file:
            file.write(data)
        os.utime(path, ns=(found.changed_ns, found.changed_ns))

    return write


def _write(layout: Layout, video_id: str, files: Files) -> None:
    """Writes a pack: the tables by name, then the notes, which so lie together."""

    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            for name in sorted(files, key=lambda name: (name.endswith(".json"), name)):
                data, found = files[name]
                info = zipfile.ZipInfo(name, EPOCH)
                info.create_system, info.external_attr = 3, 0o100600 << 16
                info.comment = found.stamp.encode()
                archive.writestr(info, data)
        with path.open("rb") as stream:
            read = {name: _read(stream, member) for name, member in _members(stream).items()}
        if read != files:
            raise DamagedFileError(path, "it is not what was written", "Look at the disk.")

    atomic.write_with(layout.pack(video_id), write)


def _read(stream: IO[bytes], member: Member) -> tuple[bytes, Found]:
    stream.seek(member.start)
    return stream.read(member.found.size), member.found


_KNOWN: dict[tuple[str, str], Members] = {}
"""Members by path and stamp of a pack."""


def _members(stream: IO[bytes]) -> Members:
    """What an open pack holds.

    Raises:
        DamagedFileError: it is no pack.
    """
    key = stream.name, stamp_of(os.fstat(stream.fileno()))
    known = _KNOWN.get(key)
    if known is None:
        try:
            with zipfile.ZipFile(stream) as archive:
                known = dict(map(_member, archive.infolist()))
        except (*NO_ZIP, OSError) as error:
            # A place before the file's beginning is damage; all else of the system may pass.
            if isinstance(error, OSError) and error.errno != errno.EINVAL:
                raise
            mend = "What it held is made again by the next run of its video."
            raise DamagedFileError(Path(stream.name), f"it is no pack ({error})", mend) from error
        if len(_KNOWN) >= KEPT:
            _KNOWN.clear()
        _KNOWN[key] = known
    return known


def _member(info: zipfile.ZipInfo) -> tuple[str, Member]:
    stamp = info.comment.decode()
    if not (NAME.fullmatch(info.filename) and STAMP.fullmatch(stamp)):
        raise ValueError(f"{info.filename!r} has no place in it")
    found = Found(stamp)
    if info.compress_type != zipfile.ZIP_STORED or found.size != info.file_size:
        raise ValueError(f"{info.filename} is not stored as it was")
    return info.filename, Member(found, info.header_offset + LOCAL + len(info.filename))
