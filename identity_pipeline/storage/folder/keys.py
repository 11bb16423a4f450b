"""Keys of what is sealed in the ledger: a person's for their names, an event's for its words.

Who destroys a key makes what was sealed with it unreadable wherever it was copied to, without
touching the file in which it stands (crypto-shredding). So keys lie apart from the ledger, and no
backup of the folder holds them.

A ride or a set of photographs is called in the ledger by a token, for its own id is made of a
file's name: `~` and 16 random hex digits. Which is whose stands here, and is destroyed likewise.

The file has a line a key: an id and 32 random bytes in base64, or a token and the id of a ride; `-`
in the place of either where it was destroyed.
A key is appended and on the disk before anything is sealed with it; a last line without its end was
never used. Destroying rewrites the whole file.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.storage.files import atomic, locks, private
from identity_pipeline.storage.layout import Layout

BYTES: Final = 32
DESTROYED: Final = b"-"
LINE: Final = re.compile(
    rb"(?:([0-9a-zA-Z-]{1,64}) (-|[A-Za-z0-9+/=]{44})|(~[0-9a-f]{16}) (-|[a-z0-9][a-z0-9_-]{0,63}))"
)


UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
Value = TypeVar("Value")


class KeysError(IdentityPipelineError, RuntimeError):
    """The file of keys cannot be used."""


@dataclass(frozen=True)
class Keyring:
    """The keys at one moment.

    Attributes:
        keys: id -> 32 bytes.
        videos: token -> id of a ride or a set of photographs.
        destroyed: ids of keys, and tokens, that were destroyed on purpose.
        missed: ids that were asked for and are neither; grows while lines are read.
    """

    keys: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    videos: Mapping[str, str] = field(default_factory=dict, repr=False)
    destroyed: frozenset[str] = frozenset()
    missed: set[str] = field(default_factory=set, compare=False, repr=False)

    @cached_property
    def tokens(self) -> Mapping[str, str]:
        """Id of a ride or a set of photographs -> its token."""
        return {video_id: token for token, video_id in self.videos.items()}

    @cached_property
    def version(self) -> str:
        """Changes when a key is destroyed: what was read before may hold what must not be shown."""
        return hashlib.sha256("\n".join(sorted(self.destroyed)).encode()).hexdigest()


@dataclass(frozen=True)
class KeyStore:
    """The keys of one data folder."""

    layout: Layout

    @property
    def path(self) -> Path:
        """The file."""
        return self.layout.keys / "names.keys"

    def keyring(self) -> Keyring:
        """The keys that there are now; none where nothing was ever sealed.

        Raises:
            KeysError: the file is damaged.
        """
        return read_keys(self.path)

    def ensure(self, ids: Iterable[str], videos: Iterable[str] = ()) -> Keyring:
        """The keys with one for each id, made where it is not there, and a token for each ride.

        Raises:
            KeysError: the file is damaged, or one of the keys was destroyed.
        """
        wanted, rides = dict.fromkeys(ids), dict.fromkeys(videos)
        ring = self.keyring()
        if wanted.keys() <= ring.keys.keys() and rides.keys() <= ring.tokens.keys():
            return ring
        with self._locked():
            ring = self.keyring()
            if gone := sorted(ring.destroyed & wanted.keys()):
                raise KeysError(
                    f"What belongs to {gone[0]} was forgotten; nothing new can be kept of it."
                )
            new = {name: os.urandom(BYTES) for name in wanted if name not in ring.keys}
            called = {_token(): video for video in rides if video not in ring.tokens}
            self._append(_bytes(new, called, ()))
        return Keyring({**ring.keys, **new}, {**ring.videos, **called}, ring.destroyed)

    def destroy(self, ids: Iterable[str]) -> int:
        """Destroys keys for good, and the tokens of rides; ids without a key can get none either.

        Args:
            ids: of people, events, rides and sets of photographs.

        Returns:
            How many keys and tokens there were of them.
        """
        with self._locked():
            ring = self.keyring()
            given = frozenset(ids)
            # A copy of keys that was brought back may have another token of the same ride.
            tokens = {token for token, name in ring.videos.items() if name in given}
            # The id of a ride never stands here as something destroyed: it bears a name.
            gone = {name for name in given if UUID.fullmatch(name)} | tokens
            if gone <= ring.destroyed:
                return 0
            keys = {name: key for name, key in ring.keys.items() if name not in gone}
            videos = {token: name for token, name in ring.videos.items() if token not in gone}
            atomic.write_bytes(self.path, _bytes(keys, videos, ring.destroyed | gone))
        return len(ring.keys) - len(keys) + len(tokens)

    def copy_to(self, target: Path) -> int:
        """Writes all keys to a private file outside the data folder; returns how many.

        Raises:
            KeysError: the target lies in the data folder, or there are no keys.
        """
        if target.resolve().is_relative_to(self.layout.root.resolve()):
            raise KeysError(f"{target} lies in the data folder; keys are kept apart from it.")
        ring = self.keyring()
        if not ring.keys and not ring.destroyed:
            raise KeysError(f"There are no keys in {self.layout.root}: nothing is sealed yet.")
        atomic.write_bytes(target, _bytes(ring.keys, ring.videos, ring.destroyed))
        return len(ring.keys)

    def bring_back(self, source: Path) -> int:
        """Takes keys over that are neither here nor destroyed here; returns how many.

        What was destroyed according to the source is destroyed here, too.

        Raises:
            KeysError: there is no such file, or it is damaged.
        """
        if not source.is_file():
            raise KeysError(f"There is no file of keys {source}.")
        other = read_keys(source)
        with self._locked():
            ring = self.keyring()
            destroyed = ring.destroyed | other.destroyed
            kept = _but({**other.keys, **ring.keys}, destroyed)
            videos = _but({**other.videos, **ring.videos}, destroyed)
            atomic.write_bytes(self.path, _bytes(kept, videos, destroyed))
        return len(kept.keys() - ring.keys.keys())

    def _append(self, lines: bytes) -> None:
        """Appends whole lines durably, behind the last whole line."""
        new = not self.path.exists()
        with self.path.open("ab", buffering=0) as stream:
            data = self.path.read_bytes()
            whole = data.rfind(b"\n") + 1
            if whole != len(data):
                stream.truncate(whole)
            stream.write(lines)
            os.fsync(stream.fileno())
        if new:
            self.path.chmod(private.file_mode())
            atomic.flush(self.path.parent)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        private.make_folder(self.path.parent)
        lock = self.path.with_name(".lock")
        with locks.exclusive(lock, "The file of keys", "changing keys", None):
            yield


def read_keys(path: Path) -> Keyring:
    """The keys of a file; none where there is no file.

    Raises:
        KeysError: it is damaged.
    """
    try:
        found = path.stat()
        keys, videos, destroyed = _parsed(path, found.st_ino, found.st_size, found.st_mtime_ns)
    except FileNotFoundError:
        return Keyring()
    return Keyring(keys, videos, destroyed)


@lru_cache(maxsize=1)  # the one before may hold what was destroyed since
def _parsed(
    path: Path, *stamp: int
) -> tuple[Mapping[str, bytes], Mapping[str, str], frozenset[str]]:
    del stamp  # part of the cache's key
    data = path.read_bytes()
    keys: dict[str, bytes] = {}
    videos: dict[str, str] = {}
    destroyed: set[str] = set()
    for number, line in enumerate(data[: data.rfind(b"\n") + 1].split(b"\n")[:-1], start=1):
        found = LINE.fullmatch(line)
        try:
            if found is None:
                raise ValueError("it is no key")
            name, value = (found[1] or found[3]).decode(), found[2] or found[4]
            if value == DESTROYED:
                destroyed.add(name)
            elif found[3]:
                videos[name] = value.decode()
            else:
                keys[name] = base64.b64decode(value, validate=True)
        except (ValueError, binascii.Error) as error:
            raise KeysError(
                f"Line {number} of {path} is damaged; bring the keys back from a copy with "
                "`identity-pipeline restore BACKUP --keys COPY`, after moving this file aside."
            ) from error
    return MappingProxyType(keys), MappingProxyType(videos), frozenset(destroyed)


def _token() -> str:
    return "~" + os.urandom(8).hex()


def _but(values: Mapping[str, Value], names: Collection[str]) -> dict[str, Value]:
    return {name: value for name, value in values.items() if name not in names}


def _bytes(keys: Mapping[str, bytes], videos: Mapping[str, str], destroyed: Iterable[str]) -> bytes:
    lines = [f"{name} {base64.b64encode(key).decode()}" for name, key in keys.items()]
    lines += [f"{token} {video_id}" for token, video_id in videos.items()]
    lines += [f"{name} -" for name in sorted(destroyed)]
    return "".join(f"{line}\n" for line in lines).encode()
