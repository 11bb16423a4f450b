"""What a list of people says of each profile, remembered: a profile holds long vectors."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.layout import Layout, inside
from identity_pipeline.storage.progress.known import Memory, stamp_of

VERSION: Final = 2
PROFILE: Final = "profile.json"
ID: Final = 36
"""Characters of a person's id, with which the name of their folder ends."""


@dataclass(frozen=True)
class ProfileLabel:
    """What is listed of a profile; see `IdentityProfile`."""

    person_id: str
    embeddings: int
    sessions: int
    label: str


@dataclass(frozen=True)
class Profiles:
    """All profiles.

    Attributes:
        labels: of those that can be read, by person.
        faults: a sentence on each that cannot, by person.
    """

    labels: Mapping[str, ProfileLabel]
    faults: Mapping[str, str]

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.labels) + len(self.faults)


def profile_labels(layout: Layout) -> Profiles:
    """Of every profile; what cannot be read is looked at each time."""
    memory = Memory(layout, "profiles", VERSION)
    known: dict[str, list[Any]] = memory.recall().get("profiles", {})
    now: dict[str, list[Any]] = {}
    faults: dict[str, str] = {}
    for folder, stamp in _profiles(layout.identities):
        entry = known.get(folder)
        if entry is None or entry[0] != stamp:
            try:
                entry = [stamp, *_read(layout, layout.identities / folder / PROFILE)]
            except IdentityPipelineError as error:
                faults[folder[-ID:]] = str(error)
                continue
        now[folder] = entry
    if now != known:
        memory.keep({"profiles": now})
    labels = [ProfileLabel(*entry[1:]) for _, entry in sorted(now.items())]
    return Profiles({label.person_id: label for label in labels}, faults)


def _profiles(root: Path) -> list[tuple[str, list[str]]]:
    """Name of the folder of each profile, and the stamps of the profile and its list of sources."""
    found = []
    if not root.is_dir():
        return []
    with os.scandir(root) as entries:
        for entry in entries:
            if entry.name.startswith(atomic.TEMPORARY_MARK):
                continue
            try:
                names = os.listdir(entry.path)  # noqa: PTH208 - of thousands
            except (FileNotFoundError, NotADirectoryError):
                continue
            if PROFILE in names:
                found.append((entry.name, [_stamp(entry.path, name) for name in sorted(names)]))
    return sorted(found)


def _stamp(folder: str, name: str) -> str:
    try:
        return f"{name}/{stamp_of(os.stat(f'{folder}/{name}'))}"  # noqa: PTH116 - of thousands
    except OSError:  # it went in between
        return name


def _read(layout: Layout, path: Path) -> list[Any]:
    from identity_pipeline.storage.library.profiles import read_profile

    profile = read_profile(inside(layout.identities, path))
    return [profile.person_id, profile.embedding_count, profile.sessions, profile.label]
