"""Of which code a process is: changed files make it another, so that no worker runs stale code."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import identity_pipeline
from identity_pipeline.storage.files.hashing import sha256_of_value

OURS = Path(identity_pipeline.__file__).parent
BYTECODE = "__pycache__"


def code_state(pointer: Any) -> str:
    """Digest of the code that a run would load now: paths, sizes and times of its files.

    Covered are this package, the package of the code location, and which packages are installed.

    Args:
        pointer: where Dagster finds the definitions (`CodePointer`).
    """
    files = [_stamps(folder) for folder in sorted({OURS, *_folders_of(pointer)})]
    return sha256_of_value([pointer.describe(), files, _installed()])


def _folders_of(pointer: Any) -> Iterator[Path]:
    """The folder of the file or of the topmost package that a pointer names."""
    if file := getattr(pointer, "python_file", None):
        yield Path(file).absolute().parent
    module = getattr(pointer, "module", None) or getattr(pointer, "package", None)
    if module:
        named = getattr(pointer, "working_directory", None)
        # Looked up without an import, which would load it into this process.
        spec = PathFinder.find_spec(module.partition(".")[0], [named] if named else None)
        yield from map(Path, (spec and spec.submodule_search_locations) or ())


def _stamps(folder: Path) -> list[tuple[str, int, int]]:
    return sorted(_walk(folder))


def _walk(folder: Path) -> Iterator[tuple[str, int, int]]:
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            if entry.name != BYTECODE:
                yield from _walk(Path(entry.path))
            continue
        with suppress(FileNotFoundError):  # a link to nothing, or what was there a moment ago
            known = entry.stat()
            yield entry.path, known.st_size, known.st_mtime_ns


def _installed() -> list[tuple[str, int]]:
    """When a package was last installed or removed."""
    folders: Iterable[str] = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    return [(folder, Path(folder).stat().st_mtime_ns) for folder in sorted(folders)]
