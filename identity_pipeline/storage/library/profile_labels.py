"""What a list of people says of each profile, remembered: a profile holds long vectors."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.layout import Layout, inside
from identity_pipeline.storage.progress.known import Memory, stamp_of

VERSION: Final = 1
PROFILE: Final = "profile.json"


@dataclass(frozen=True)
class ProfileLabel:
    """What is listed of a profile; see `IdentityProfile`."""

    person_id: str
    embeddings: int
    sessions: int
    label: str


def profile_labels(layout: Layout) -> dict[str, ProfileLabel]:
    """Of every profile that can be read, by person."""
    memory = Memory(layout, "profiles", VERSION)
    known: dict[str, list[Any]] = memory.recall().get("profiles", {})
    now: dict[str, list[Any]] = {}
    for folder, stamp in _profiles(layout.identities):
        entry = known.get(folder)
        if entry is None or entry[0] != stamp:
            entry = _read(layout, layout.identities / folder / PROFILE, stamp)
        if entry is not None:
            now[folder] = entry
    if now != known:
        memory.keep({"profiles": now})
    labels = [ProfileLabel(*entry[1:]) for _, entry in sorted(now.items())]
    return {label.person_id: label for label in labels}


def _profiles(root: Path) -> list[tuple[str, str]]:
    """Name of the folder of each profile, and its stamp."""
    found = []
    if not root.is_dir():
        return []
    with os.scandir(root) as entries:
        for entry in entries:
            if entry.name.startswith(atomic.TEMPORARY_MARK):
                continue
            try:
                found.append((entry.name, stamp_of(os.stat(f"{entry.path}/{PROFILE}"))))  # noqa: PTH116 - of thousands
            except (FileNotFoundError, NotADirectoryError):
                continue
    return sorted(found)


def _read(layout: Layout, path: Path, stamp: str) -> list[Any] | None:
    from identity_pipeline.storage.library.profiles import ProfileError, read_profile

    try:
        profile = read_profile(inside(layout.identities, path))
    except ProfileError:
        return None
    return [stamp, profile.person_id, profile.embedding_count, profile.sessions, profile.label]
