"""Objects removed from a store for good, with every version that a bucket keeps of them.

What belongs here: how each kind of store removes. What does not: what is removed (`object_store`).

A bucket with versioning only hides what is removed in the ordinary way: the object stays below a
mark. So there each version, and each mark, is removed by its own id. Of stores other than S3 that
keep versions, or removed objects for some days, nothing of that can be seen through fsspec.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from upath import UPath

S3: Final = ("s3", "s3a")
OBJECTS_PER_CALL: Final = 1000
"""That one call of S3 removes at most."""


@dataclass(frozen=True)
class Stored:
    """An object, or one version of it.

    Attributes:
        path: in its store.
        size: bytes; None for the mark of one that was removed.
        version: its id where the store keeps versions.
    """

    path: str
    size: int | None
    version: str | None = None


def stored_below(folder: UPath) -> list[Stored]:
    """Everything below a folder, with all versions of it; raises whatever the store answers."""
    if folder.protocol in S3:
        return list(_versions(folder))
    folder.fs.invalidate_cache()
    found: Any = folder.fs.find(folder.path, detail=True)
    return [Stored(path, int(info["size"])) for path, info in sorted(found.items())]


def erase(folder: UPath, stored: Sequence[Stored]) -> str | None:
    """Removes what lies below a folder, in the order given, and looks whether it is gone.

    Returns:
        An object that the store keeps; None where all is gone.
    """
    refused = _erase_versions(folder, stored) if folder.protocol in S3 else None
    if folder.protocol not in S3:
        _erase_files(folder, stored)
    left = [one.path for one in stored_below(folder)]
    return refused or next(iter(left), None)


def _erase_files(folder: UPath, stored: Sequence[Stored]) -> None:
    """The first by itself, for readers begin with it, then the folder whole."""
    for one in stored[:1]:
        folder.fs.rm(one.path)
    folder.fs.invalidate_cache()
    if folder.exists():
        folder.fs.rm(folder.path, recursive=True)


def _versions(folder: UPath) -> Iterator[Stored]:
    fs: Any = folder.fs
    bucket, key, _ = fs.split_path(folder.path)
    after: dict[str, str] = {}
    while True:
        page = fs.call_s3("list_object_versions", Bucket=bucket, Prefix=f"{key}/", **after)
        for one in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
            yield Stored(one["Key"], one.get("Size"), one["VersionId"])
        if not page.get("IsTruncated"):
            return
        after = {
            "KeyMarker": page["NextKeyMarker"],
            "VersionIdMarker": page.get("NextVersionIdMarker", ""),
        }


def _erase_versions(folder: UPath, stored: Sequence[Stored]) -> str | None:
    """Every version by its id; says which one the store refuses, for fsspec would not."""
    fs: Any = folder.fs
    bucket, _, _ = fs.split_path(folder.path)
    fs.invalidate_cache()
    for start in range(0, len(stored), OBJECTS_PER_CALL):
        page = stored[start : start + OBJECTS_PER_CALL]
        named = [{"Key": one.path, "VersionId": one.version} for one in page]
        told = fs.call_s3("delete_objects", Bucket=bucket, Delete={"Objects": named, "Quiet": True})
        for error in told.get("Errors", ()):
            return f"{error.get('Key')} ({error.get('Code')})"
    return None
