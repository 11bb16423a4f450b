"""One file with everything of a data folder that cannot be made again, and reading it back.

What belongs here: the list of what that is, the archive, and the checks on the way in. What does
not: whether a ledger may be replaced by that of a backup (`stages.publishing.restoring`).

The archive is a zip file: `manifest.json` with size and SHA-256 of every file, `settings.toml`, and
the files of the data folder below `data/`. Equal content is equal bytes.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, Final

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.settings import settings_file
from identity_pipeline.storage.files import atomic, small_files
from identity_pipeline.storage.files.hashing import sha256_of_file
from identity_pipeline.storage.layout import Layout, inside

FORMAT: Final = 1
"""Of the archive."""
EVENTS, ACKNOWLEDGED, FOLDER = "ledger/events.jsonl", "acknowledged.json", "folder.json"
REDACTIONS: Final = "redactions/*.json"
PHOTOS: Final = "photo_sets/*/*"
"""Gigabytes of files that never change: they are streamed, and all others held in memory."""
CANNOT_BE_MADE_AGAIN: Final = (
    EVENTS,  # every human decision, with the faces by which it is found again
    ACKNOWLEDGED,  # how far the ledger was, and what was given up of it
    FOLDER,  # whose data this is
    "registry/*.json",  # which video an id is: decisions name ids
    "videos/*.truth.json",  # who rides in which frame, written by hand
    "models/heads/live.json",  # which head somebody made live, and why
    "models/heads/*/head.json",
    "models/heads/*/head.safetensors",
    "models/heads/*/head.onnx",
    "models/heads/*/evaluation.json",
    "models/identities/*/profile.json",  # retention, and statistics of sources that are gone
    "models/identities/*/sources-*.json",  # which sources those are
    REDACTIONS,  # without them a source that stayed would show whom was forgotten again
    "cameras/*/order.json",  # in which order rides came, by which versions of cameras are told
    "cameras/*/pins.json",  # which model each video keeps
    "cameras/*/versions/*/*",  # models whose rides may be gone
    "cameras/*/rides/*/*",
    "cameras/phases.csv",  # what people say of parts of rides
    "audits/*.jsonl",  # what somebody said of moments that were left out
    "receipts/*.json",  # what was forgotten, signed
    "receipts/*.html",
    PHOTOS,  # photographs that were taken in: nobody may have the originals any more
)
"""Patterns below the data folder, `*` within one name. Whatever joins them later belongs here.
Marks of archived videos do not: where the tables are gone too, nobody would run them again."""
MANIFEST, SETTINGS, DATA = "manifest.json", "settings.toml", "data/"
PRIVATE: Final = 0o600
CHUNK: Final = 2**20
"""Bytes of a file that are in memory at once while it is streamed."""
EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest time a zip file can note; equal content is to be equal bytes."""
MANIFEST_BYTES_MAX: Final = 256 * 2**20
MEND: Final = "Take another backup."


class BackupError(IdentityPipelineError, RuntimeError):
    """A file that is no whole backup, or of a newer version."""


@dataclass(frozen=True)
class Packed:
    """A file of a backup: its size in bytes and its SHA-256."""

    size: int
    sha256: str


@dataclass(frozen=True)
class BackupManifest:
    """What a backup holds.

    Attributes:
        format: of the archive.
        events: of the ledger.
        files: by their names in the archive.
    """

    format: int
    events: int
    files: Mapping[str, Packed]


def write_backup(layout: Layout, target: Path) -> BackupManifest:
    """Writes a backup that only its owner can read; an older file is replaced in one step.

    Raises:
        BackupError: a photograph was written to meanwhile; no backup was written.
    """
    contents = dict(_contents(layout))
    files = {name: _packed(content) for name, content in contents.items()}
    ledger = contents.get(DATA + EVENTS)
    events = ledger.count(b"\n") if isinstance(ledger, bytes) else 0
    manifest = BackupManifest(FORMAT, events, files)
    plain = {**asdict(manifest), "files": {n: asdict(packed) for n, packed in files.items()}}
    listed = atomic.json_bytes(plain)

    def write(path: Path) -> None:
        path.touch(PRIVATE)
        with zipfile.ZipFile(path, "w") as archive:
            _add(archive, MANIFEST, listed, _packed(listed))
            for name in sorted(contents):
                _add(archive, name, contents[name], files[name])

    atomic.write_with(target, write)
    return manifest


def read_backup(path: Path) -> tuple[BackupManifest, dict[str, bytes]]:
    """A backup, after comparing every file of it with its manifest; nothing is written.

    Returns:
        The manifest, and the files by their names in the archive.

    Raises:
        BackupError: it is damaged, no backup, or of a newer version, or holds a file that has no
            place in a data folder.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = _manifest(path, archive)
            names = archive.namelist()
            if sorted(names) != sorted([MANIFEST, *manifest.files]):
                raise BackupError(f"{path} does not hold what its manifest lists. {MEND}")
            return manifest, {n: _file(path, archive, n, p) for n, p in manifest.files.items()}
    except FileNotFoundError:
        raise BackupError(f"there is no backup {path}.") from None
    except BackupError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
        raise BackupError(f"{path} is no whole backup ({error}). {MEND}") from error


def may_be_restored(name: str) -> bool:
    """Whether a name in an archive is one of those that are backed up."""
    return name == SETTINGS or (name.startswith(DATA) and _belongs(name.removeprefix(DATA)))


def place_of(layout: Layout, name: str) -> Path:
    """Where a file of the data folder lies. The inbox may be a link to a folder elsewhere.

    Raises:
        UnsafePathError: a link leads out of the folder.
    """
    path = layout.root / name
    return inside(layout.videos if path.parent == layout.videos else layout.root, path)


def _contents(layout: Layout) -> Iterator[tuple[str, bytes | Path]]:
    """Names in the archive, with the bytes that belong there or the file that holds them."""
    settings = settings_file()
    if settings is not None:
        yield SETTINGS, settings.read_bytes()
    # The ledger first: of every video that it names there was a record by then.
    for pattern in CANNOT_BE_MADE_AGAIN:
        for path in sorted(layout.root.glob(pattern)):
            if not path.is_file() or path.is_symlink() or atomic.is_temporary(path):
                continue
            name = path.relative_to(layout.root).as_posix()
            if _belongs(name):
                there = place_of(layout, name)
                yield DATA + name, there if pattern == PHOTOS else _held(there, name)


def _held(path: Path, name: str) -> bytes:
    """The bytes of a file; a last line of the ledger without its end was never acknowledged."""
    data = path.read_bytes()
    return data[: data.rfind(b"\n") + 1] if name == EVENTS else data


def _packed(content: bytes | Path) -> Packed:
    if isinstance(content, Path):
        return Packed(content.stat().st_size, sha256_of_file(content))
    return Packed(len(content), hashlib.sha256(content).hexdigest())


def _belongs(name: str) -> bool:
    parts = name.split("/")
    safe = all(part and not part.startswith(".") and part.isprintable() for part in parts)
    return safe and any(
        len(wanted) == len(parts) and all(map(fnmatchcase, parts, wanted))
        for wanted in (pattern.split("/") for pattern in CANNOT_BE_MADE_AGAIN)
    )


def _add(archive: zipfile.ZipFile, name: str, content: bytes | Path, packed: Packed) -> None:
    """Adds a file to an archive; only a part of it is read at a time.

    Raises:
        BackupError: it is not what the manifest says any more.
    """
    info = zipfile.ZipInfo(name, EPOCH)
    info.create_system, info.external_attr = 3, (0o100000 | PRIVATE) << 16
    info.compress_type, info.file_size = zipfile.ZIP_DEFLATED, packed.size
    digest = hashlib.sha256()
    with _opened(content) as source, archive.open(info, "w") as target:
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            target.write(chunk)
    if digest.hexdigest() != packed.sha256:
        raise BackupError(f"{name} was written to while it was backed up. {MEND}")


def _opened(content: bytes | Path) -> IO[bytes]:
    return content.open("rb") if isinstance(content, Path) else io.BytesIO(content)


def _manifest(path: Path, archive: zipfile.ZipFile) -> BackupManifest:
    try:
        info = archive.getinfo(MANIFEST)
        if info.file_size > MANIFEST_BYTES_MAX:
            raise ValueError("its manifest is too large")
        manifest = small_files.parse(archive.read(info), BackupManifest)
    except (KeyError, ValueError) as error:
        raise BackupError(f"{path} is no backup ({error}). {MEND}") from error
    if manifest.format > FORMAT:
        raise BackupError(
            f"{path} is a backup of format {manifest.format}, and this program knows formats up to "
            f"{FORMAT}; update identity_pipeline."
        )
    strange = [name for name in manifest.files if not may_be_restored(name)]
    if strange:
        raise BackupError(f"{path} holds {strange[0]!r}, which has no place in a data folder.")
    return manifest


def _file(path: Path, archive: zipfile.ZipFile, name: str, packed: Packed) -> bytes:
    info = archive.getinfo(name)
    data = b""
    if info.file_size == packed.size:  # else it may be of any size
        with archive.open(info) as stream:
            data = stream.read(packed.size + 1)
    if len(data) != packed.size or hashlib.sha256(data).hexdigest() != packed.sha256:
        raise BackupError(f"{name} in {path} is not what was backed up. {MEND}")
    return data
