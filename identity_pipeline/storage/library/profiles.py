"""Profiles at rest: `data/models/identities/{slug}-{uuid}/profile.json`.

The folder is named once, by the name the person had then; the name inside the file is the true one.
Writers take a lock, read what is there and write it whole, so two processes never lose each other's
sources.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from identity_pipeline.core.library.identity_profile import (
    OLD_SOURCE,
    Enrichment,
    IdentityProfile,
    NewEmbeddings,
    ProfileError,
    QualityStatistics,
    Quarantined,
    Source,
    check_profile,
    made_of,
)
from identity_pipeline.core.library.running_statistics import Moments
from identity_pipeline.storage.files import atomic, locks, small_files
from identity_pipeline.storage.files.inbox import slug
from identity_pipeline.storage.layout import Layout, UnsafePathError, inside

SCHEMA_VERSION = 2
PROFILE = "profile.json"


@dataclass(frozen=True)
class ProfileChange:
    """What became of a profile.

    Attributes:
        added: a report for each source that came in.
        withdrawn: sources that are no more.
    """

    added: tuple[Enrichment, ...]
    withdrawn: tuple[str, ...]


@dataclass(frozen=True)
class ProfileStore:
    """The profiles of all people."""

    layout: Layout

    def folder(self, person_id: str) -> Path | None:
        """Where a person's profile lies, or None when there is none.

        Raises:
            UnsafePathError: the id is no UUID, or the folder leads out of its root.
            ProfileError: two folders claim the person.
        """
        person = checked_person_id(person_id)
        found = sorted(self.layout.identities.glob(f"*-{person}"))
        found = [path for path in found if not atomic.is_temporary(path)]
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise ProfileError(f"two profiles of one person: {names}; remove the wrong one.")
        return inside(self.layout.identities, found[0]) if found else None

    def get(self, person_id: str) -> IdentityProfile | None:
        """A person's profile, or None when there is none.

        Raises:
            ProfileError: it was written by a newer version, or cannot be read.
        """
        folder = self.folder(person_id)
        path = folder / PROFILE if folder else None
        return read_profile(path) if path and path.is_file() else None

    def all(self, faults: list[str] | None = None) -> Iterator[IdentityProfile]:
        """All profiles, by the names of their folders.

        Args:
            faults: gets a sentence for each that cannot be read, which then is left out.

        Raises:
            ProfileError: one cannot be read, and there are no `faults` to say so.
        """
        for path in sorted(self.layout.identities.glob(f"*/{PROFILE}")):
            if atomic.is_temporary(path.parent):
                continue
            try:
                yield read_profile(inside(self.layout.identities, path))
            except ProfileError as error:
                if faults is None:
                    raise
                faults.append(str(error))

    def listing(self) -> list[str]:
        """`Name (N embeddings, k sessions)` of those to stay that hold embeddings, by name."""
        shown = [p for p in self.all([]) if not p.ephemeral and p.embedding_count]
        ordered = sorted(shown, key=lambda profile: (profile.name.casefold(), profile.person_id))
        return [profile.label for profile in ordered]

    def put_in_step(
        self,
        person_id: str,
        name: str,
        space: str,
        sources: Sequence[NewEmbeddings],
        threshold: float | None,
        today: str,
        inputs: str | None = None,
    ) -> ProfileChange:
        """Makes a person's profile what these sources make of it; see `identity_profile.made_of`.

        Nothing is written where nothing changes, and nothing for a person without any source.

        Args:
            person_id: UUID.
            name: the person's name now.
            space: of the sources; a profile of another model is made anew.
            sources: all that there are.
            threshold: see `made_of`.
            today: ISO date.
            inputs: hash of what the sources come from, noted in the profile.

        Raises:
            ProfileError: the profile cannot be read, or does not say its space.
        """
        with self._locked():
            before = self.get(person_id)
            if before is None and not sources:
                return ProfileChange((), ())
            known = before or IdentityProfile(person_id, name, space)
            held = set(known.sources) - {OLD_SOURCE}
            if known.space not in (None, space) or not known.sources:
                known = replace(known, space=space, sources={})
            known = replace(known, name=name, made_of=inputs)
            after, added = made_of(known, sources, threshold, today)
            if after != before:
                self._write(after)
        return ProfileChange(added, tuple(sorted(held - set(after.sources))))

    def _write(self, profile: IdentityProfile) -> None:
        check_profile(profile)
        folder = self.folder(profile.person_id)
        if folder is None:
            person = checked_person_id(profile.person_id)
            named = self.layout.identities / f"{slug(profile.name, 'person')}-{person}"
            folder = inside(self.layout.identities, named)
        atomic.write_json(folder / PROFILE, to_json(profile))

    def _locked(self) -> AbstractContextManager[None]:
        lock = self.layout.identities / ".lock"
        return locks.exclusive(lock, "The library's profiles", "writing a profile", None)


def checked_person_id(person_id: str) -> str:
    """The id, after checking that it is a UUID in its usual form.

    Raises:
        UnsafePathError: it is not.
    """
    try:
        usual = str(uuid.UUID(person_id))
    except ValueError:
        usual = None
    if usual is None or usual != person_id:
        raise UnsafePathError(f"{person_id!r} is no person id; expected a UUID")
    return usual


def to_json(profile: IdentityProfile) -> dict[str, Any]:
    """The profile as JSON-able values; floats keep every bit."""
    sources = {
        name: {
            "moments": None if source.moments is None else _moments_json(source.moments),
            "quality": None if source.quality is None else asdict(source.quality),
            "session": source.session,
        }
        for name, source in profile.sources.items()
    }
    return {
        "schema_version": SCHEMA_VERSION,
        "person_id": profile.person_id,
        "name": profile.name,
        "space": profile.space,
        "sources": sources,
        "embedding_count": profile.embedding_count,
        "quality": None if profile.quality is None else asdict(profile.quality),
        "sessions": profile.sessions,
        "last_training": profile.last_training,
        "cover": profile.cover,
        "ephemeral": profile.ephemeral,
        "retain_until": profile.retain_until,
        "quarantined_count": len(profile.quarantined),
        "quarantined": [asdict(q) for q in profile.quarantined],
        "made_of": profile.made_of,
    }


def read_profile(path: Path) -> IdentityProfile:
    """The profile in a file.

    Raises:
        ProfileError: it was written by a newer version, or cannot be read.
    """
    try:
        return from_json(path.read_bytes())
    except ProfileError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ProfileError(
            f"{path} is no profile ({error!r}); restore it from a backup or remove it."
        ) from error


@dataclass(frozen=True)
class _MomentsAtRest:
    n: int
    mean: list[float]
    m2: list[float]


@dataclass(frozen=True)
class _SourceAtRest:
    moments: _MomentsAtRest | None
    quality: QualityStatistics | None
    session: int


@dataclass(frozen=True)
class _ProfileAtRest:
    """Schema 2; what can be computed of it is left out."""

    person_id: str
    name: str
    space: str | None
    sources: dict[str, _SourceAtRest]
    sessions: int
    last_training: str | None
    cover: str | None
    quarantined: list[Quarantined]
    ephemeral: bool = False
    retain_until: str | None = None
    made_of: str | None = None


def from_json(data: bytes) -> IdentityProfile:
    """The profile in JSON: of this schema, or of the one with mean, std and count only.

    Raises:
        ProfileError: the schema is newer than this program.
        ValueError, LookupError, TypeError, AttributeError: it is no profile.
    """
    value = json.loads(data)
    if not isinstance(value, dict):
        raise TypeError("it is no object")
    version = value.get("schema_version", 1)
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise ProfileError(
            f"the profile of {value.get('name', 'an unknown person')} has schema {version}, this "
            f"program knows up to {SCHEMA_VERSION}; update identity_pipeline."
        )
    if version < SCHEMA_VERSION:
        return _from_old(value)
    known = small_files.parse(data, _ProfileAtRest)
    sources = {
        name: Source(
            None if part.moments is None else _moments(part.moments), part.quality, part.session
        )
        for name, part in known.sources.items()
    }
    return IdentityProfile(
        **{**vars(known), "sources": sources, "quarantined": tuple(known.quarantined)}
    )


def _from_old(value: dict[str, Any]) -> IdentityProfile:
    """Mean, standard deviation (over n) and count; without counters it is session 1."""
    mean = np.asarray(value["embedding_mean"], dtype=np.float64)
    spread = np.asarray(value["embedding_std"], dtype=np.float64)
    statistics = value.get("quality_stats", {})
    count = int(value.get("count") or statistics["final_embedding_count"])
    sessions = int(statistics.get("training_sessions", 1))
    source = Source(Moments(count, mean, spread**2 * count), None, sessions)
    return IdentityProfile(
        person_id=value.get("person_id") or value["id"],
        name=value["name"],
        space=None,
        sources={OLD_SOURCE: source},
        sessions=sessions,
        last_training=statistics.get("last_training"),
        ephemeral=bool(value.get("is_ephemeral", False)),
    )


def _moments_json(moments: Moments) -> dict[str, Any]:
    return {"n": moments.count, "mean": moments.mean.tolist(), "m2": moments.m2.tolist()}


def _moments(known: _MomentsAtRest) -> Moments:
    return Moments(known.n, np.asarray(known.mean, np.float64), np.asarray(known.m2, np.float64))
