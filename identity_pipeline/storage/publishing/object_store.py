"""Finished things copied to an object store, whole or not at all.

::

    {url}/videos/{video_id}/{version}/...      the files of one version; never changed afterwards
    {url}/videos/{video_id}/manifest.json      which version is in force, and every file's digest
    {url}/library/{version}/..., manifest.json

A store of objects has no rename and no lock, only single objects that appear whole. So the files go
first, under a version that is the digest of them all, and the manifest goes last: a reader that
starts with the manifest sees the old version or the new one, however the writer ended.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.files.hashing import sha256_of_value
from identity_pipeline.storage.layout import VIDEO_ID, UnsafePathError, check_video_id
from identity_pipeline.storage.publishing import erasing

if TYPE_CHECKING:
    from upath import UPath

MANIFEST = "manifest.json"
SCHEMA_VERSION = 1
VERSION_DIGITS = 16
MOST_BYTES = 16 * 10**9
"""Of a version that is read: far more than a video's tables and pictures, and less than a disk."""
NOT_IN_NAMES = set("\\\0*?[]")
"""What leads out of a folder on some systems, or stands for several files to fsspec."""
Contents = dict[str, bytes]
"""Path below a version's folder -> bytes."""
LIBRARY_SUBJECT = "library"


class ObjectStoreError(IdentityPipelineError, ConnectionError):
    """The store cannot be reached, refuses, or lacks what a manifest names."""


class NoManifestError(ObjectStoreError):
    """The store answers, but what lies in the place of one subject's manifest is none of ours."""


class DamagedCopyError(ObjectStoreError):
    """The store answers, but files of one subject are missing or not what was published."""


@dataclass(frozen=True)
class StoredFile:
    """A file of a version: SHA-256 of its bytes, and how many they are."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Version:
    """What is in force for a subject.

    Attributes:
        version: the folder of its files.
        files: path below that folder -> file.
        older: versions before it that are still there, the newest first.
    """

    version: str
    files: Mapping[str, StoredFile]
    older: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files.values())


@dataclass(frozen=True)
class Erased:
    """What was removed: objects, each version of one counted, and their bytes."""

    objects: int
    bytes: int


def subject_of(video_id: str | None) -> str:
    """Where a video, or the library, lies below the address of the store."""
    return LIBRARY_SUBJECT if video_id is None else f"videos/{check_video_id(video_id)}"


def version_of(contents: Contents) -> Version:
    """The version that files with these contents make."""
    files = {
        _safe(path): StoredFile(hashlib.sha256(data).hexdigest(), len(data))
        for path, data in sorted(contents.items())
    }
    digest = sha256_of_value({path: file.sha256 for path, file in files.items()})
    return Version(digest[:VERSION_DIGITS], files)


def _safe(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or set(path) & NOT_IN_NAMES:
        raise UnsafePathError(f"{path!r} is no path below a folder")
    return path


@dataclass(frozen=True)
class ObjectStore:
    """A place that fsspec knows.

    Attributes:
        url: its address; keys come from the environment.
    """

    url: str

    @property
    def root(self) -> UPath:
        """The address as a path."""
        from upath import UPath

        return UPath(self.url)

    @property
    def is_gone(self) -> bool:
        """Whether it is a folder that is not there: a share that is not mounted looks empty."""
        return self.root.protocol in ("", "file", "local") and not self.root.is_dir()

    def version(self, subject: str) -> Version | None:
        """What is in force; None where nothing was ever published.

        Raises:
            NoManifestError: the manifest is no manifest.
            ObjectStoreError: the store does not answer.
        """
        with self._reached():
            (text,) = _bytes_of([self._at(subject, MANIFEST)])
        if text is None:
            return None
        try:
            return _version(json.loads(text), subject)
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise NoManifestError(
                f"{self.url}/{subject}/{MANIFEST} is no manifest of ours ({error}); look what it "
                "is, then remove it and publish again."
            ) from error

    def put(self, subject: str, contents: Contents, keep: int) -> Version:
        """Publishes a version: all files, then the manifest, then what is too old goes.

        Args:
            subject: result of `subject_of`.
            contents: path -> bytes of each file.
            keep: versions that stay, this one included.

        Raises:
            ObjectStoreError: the store does not answer or refuses; the old version stays in force.
        """
        before = self.version(subject)
        made = version_of(contents)
        behind = (before.version, *before.older) if before else ()
        older = tuple(v for v in dict.fromkeys(behind) if v != made.version)
        made = Version(made.version, made.files, older[: keep - 1])
        with self._reached():
            self._write({self._at(subject, made.version, p): d for p, d in contents.items()})
            self._put_in_force(subject, made)
            for version in older[keep - 1 :]:
                self._remove(self._at(subject, check_video_id(version)))
        return made

    def remove(self, subject: str) -> bool:
        """Removes every version of something; False where nothing of it was there.

        The manifest goes first: whoever reads meanwhile finds nothing rather than half of it.

        Raises:
            ObjectStoreError: the store does not answer, and some of it may still be there.
        """
        with self._reached():
            folder = self._at(subject)
            folder.fs.invalidate_cache()
            if not folder.exists():
                return False
            self._remove(self._at(subject, MANIFEST))
            self._remove(folder)
        return True

    def _put_in_force(self, subject: str, version: Version) -> None:
        noted = {"schema_version": SCHEMA_VERSION, "subject": subject, **asdict(version)}
        self._write({self._at(subject, MANIFEST): atomic.json_bytes(noted)})

    def wrong(self, subject: str, version: Version) -> list[str]:
        """Files that are missing or hold other bytes than the manifest says; reads them all.

        Raises:
            ObjectStoreError: the store does not answer.
        """
        found = self._found(subject, version)
        return [path for path in version.files if path not in found]

    def read(self, subject: str, version: Version) -> Contents:
        """The bytes of all files of a version, each checked.

        Raises:
            DamagedCopyError: a file is missing or holds other bytes.
            ObjectStoreError: the store does not answer.
        """
        found = self._found(subject, version)
        wrong = [path for path in version.files if path not in found]
        if wrong:
            raise DamagedCopyError(
                f"{len(wrong)} files of {subject} are missing in {self.url}, or not what was "
                f"published, such as {wrong[0]}; `identity-pipeline publish --verify` mends them "
                "where the data folder still has them."
            )
        return found

    def erase(self, subject: str) -> Erased:
        """Removes every version of a subject, also what a bucket keeps of removed objects.

        The manifest goes first, so that no reader is sent to files that are gone. Whatever else
        lies below the subject goes as well.

        Raises:
            ObjectStoreError: the store does not answer, or keeps something; what is gone is gone,
                and asking again goes on.
        """
        folder = self._at(subject)
        with self._reached():
            stored = erasing.stored_below(folder)
            first = sorted(stored, key=lambda one: not one.path.endswith(f"/{MANIFEST}"))
            kept = erasing.erase(folder, first)
        if kept is not None:
            raise ObjectStoreError(
                f"{self.url} keeps {kept}; whoever runs the store has to let it go (a lock on "
                "objects, or a right to remove versions that is missing), then ask again."
            )
        sizes = [one.size for one in stored if one.size is not None]
        return Erased(len(sizes), sum(sizes))

    def subjects(self) -> list[str]:
        """Everything that was ever published: videos in alphabetical order, then the library.

        Those whose manifest cannot be read are among them.

        Raises:
            ObjectStoreError: the store does not answer.
        """
        with self._reached():
            folder = self._at("videos")
            folder.fs.invalidate_cache()  # of what another process has put there since
            videos = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        # Whatever else lies there, somebody else put it there.
        found = [subject_of(video) for video in videos if VIDEO_ID.fullmatch(video)]
        return [s for s in (*found, LIBRARY_SUBJECT) if self._is_there(s)]

    def everything(self) -> Iterator[tuple[str, bytes]]:
        """Every object below the address, whoever put it there: its path below it, and its bytes.

        One is in memory at a time.

        Raises:
            ObjectStoreError: the store does not answer.
        """
        root = self.root
        with self._reached():
            names = sorted(_sizes(root))
        for name in (name.removeprefix(root.path).lstrip("/") for name in names):
            with self._reached():
                (data,) = _bytes_of([self._at(name)])
            if data is not None:
                yield name, data

    def _is_there(self, subject: str) -> bool:
        try:
            return self.version(subject) is not None
        except NoManifestError:
            return True

    def _found(self, subject: str, version: Version) -> Contents:
        """The files of a version that hold the bytes that the manifest says.

        One of another size is not read: it cannot be the one, whatever it is.
        """
        with self._reached():
            sizes = _sizes(self._at(subject, version.version))
            at = {path: self._at(subject, version.version, path) for path in version.files}
            wanted = {p: a for p, a in at.items() if sizes.get(a.path) == version.files[p].size}
            there = _bytes_of(list(wanted.values()))
        return {
            path: data
            for path, data in zip(wanted, there, strict=True)
            if data is not None and hashlib.sha256(data).hexdigest() == version.files[path].sha256
        }

    def _at(self, *parts: str) -> UPath:
        return self.root.joinpath(*parts)

    def _write(self, files: Mapping[UPath, bytes]) -> None:
        """Objects, each whole at once: a store does that by itself, a folder by a rename."""
        first = next(iter(files))
        if first.protocol in ("", "file", "local"):
            for path, data in files.items():
                atomic.write_bytes(Path(path.path), data)
        else:
            first.fs.pipe({path.path: data for path, data in files.items()})

    def _remove(self, path: UPath) -> None:
        path.fs.invalidate_cache()
        if path.exists():
            path.fs.rm(path.path, recursive=True)

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """Gives what the libraries of the stores raise one name and one sentence."""
        try:
            yield
        except FileNotFoundError as error:
            raise ObjectStoreError(f"{self.url} is not there ({error}).") from error
        except (OSError, ImportError, ValueError) as error:
            raise ObjectStoreError(_sentence(self.url, error)) from error
        except Exception as error:
            if type(error).__module__.startswith(FOREIGN):
                raise ObjectStoreError(_sentence(self.url, error)) from error
            raise


def _version(noted: Any, subject: str) -> Version:
    """What a manifest says.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it is none of ours.
    """
    if noted["subject"] != subject:
        raise ValueError(f"it is that of {noted['subject']!r}")
    files = {_safe(path): _stored_file(file) for path, file in noted["files"].items()}
    if sum(file.size for file in files.values()) > MOST_BYTES:
        raise ValueError(f"its files are more than {MOST_BYTES / 1e9:.0f} GB")
    digest = sha256_of_value({path: files[path].sha256 for path in sorted(files)})
    if noted["version"] != digest[:VERSION_DIGITS]:
        raise ValueError("its version is not the digest of its files")
    older = noted["older"]
    if not isinstance(older, list):
        raise TypeError("the older versions are no list")
    return Version(noted["version"], files, tuple(map(check_video_id, older)))


def _stored_file(noted: Any) -> StoredFile:
    file = StoredFile(**noted)
    if not re.fullmatch(r"[0-9a-f]{64}", file.sha256) or type(file.size) is not int:
        raise ValueError("a file has no SHA-256 or no size")
    if file.size < 0:
        raise ValueError("a file has less than no bytes")
    return file


def _sizes(folder: UPath) -> dict[str, int]:
    """Path -> bytes of every file below a folder; links are none."""
    folder.fs.invalidate_cache()
    found: Any = folder.fs.find(folder.path, detail=True)
    return {path: int(info["size"]) for path, info in found.items() if not info.get("islink")}


def _bytes_of(paths: list[UPath]) -> list[bytes | None]:
    """Contents; None for a path that is not there. Opening would trust an earlier listing's size.

    Raises:
        Exception: whatever else the store answered.
    """
    found: Any = paths[0].fs.cat([path.path for path in paths], on_error="return") if paths else {}
    contents: list[bytes | None] = []
    for path in paths:
        answer = found[path.path]
        if isinstance(answer, Exception) and not isinstance(answer, FileNotFoundError):
            raise answer
        contents.append(None if isinstance(answer, Exception) else bytes(answer))
    return contents


FOREIGN = ("botocore", "aiobotocore", "aiohttp", "google", "azure", "gcsfs")
"""Libraries below fsspec whose errors are no OSError, such as botocore's of missing keys."""


def _sentence(url: str, error: Exception) -> str:
    reason: Any = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"{url} did not do what was asked ({type(error).__name__}: {reason})."
