"""Profiles at rest: `data/models/identities/{slug}-{uuid}/profile.json`.

The folder is named once, by the name the person had then; the name inside the file is the true one.
Writers take a lock, read what is there and write it whole, so two processes never lose each other's
sources.

`profile.json` is as long with a thousand rides as with two: it holds the statistics of each class
of source, and the digest of the list of sources. The list, a line for each, lies beside it under
that digest, and is written before the file that names it, so that no crash parts the two.
`profile.json` carries the digest of all else in it; one of an earlier version has none.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from identity_pipeline.core.library.identity_profile import (
    OLD_SOURCE,
    RIDE,
    ClassStatistics,
    Enrichment,
    IdentityProfile,
    NewEmbeddings,
    ProfileError,
    QualityStatistics,
    Quarantined,
    Source,
    check_profile,
    made_of,
    together,
)
from identity_pipeline.core.library.running_statistics import Moments, total
from identity_pipeline.storage.files import atomic, locks, small_files
from identity_pipeline.storage.files.inbox import slug
from identity_pipeline.storage.layout import Layout, UnsafePathError, inside

SCHEMA_VERSION = 3
PROFILE = "profile.json"
SOURCES = "sources-{}.json"
DIGITS = 12
"""Of the digest in the name of a list of sources."""
MEND = (
    "remove it, and `identity-pipeline recluster` makes it anew of the rides and photographs whose "
    "tables are there (a backup may have a whole one, which any zip program takes out)"
)


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
        """`Name (N embeddings, k sessions)` of those to stay that hold embeddings.

        The one that grew last comes first; of those that grew in one run, by name.
        """
        shown = [p for p in self.all([]) if not p.ephemeral and p.embedding_count]
        ordered = sorted(shown, key=lambda profile: (profile.name.casefold(), profile.person_id))
        ordered.sort(key=lambda profile: profile.last_training or "", reverse=True)
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
        model: str | None = None,
        gate_version: str | None = None,
    ) -> ProfileChange:
        """Makes a person's profile what these sources make of it; see `identity_profile.made_of`.

        Nothing is written where nothing changes, and nothing for a person without any source.

        Args:
            person_id: UUID.
            name: the person's name now.
            space: of the sources; a profile of another model is made anew.
            sources: all that there are.
            threshold: see `made_of`.
            today: ISO date or time.
            inputs: hash of what the sources come from, noted in the profile.
            model: recogniser by name, noted likewise.
            gate_version: of the settings that gated the faces, noted likewise.

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
                known = replace(known, space=space, sources={}, classes={})
            known = replace(
                known, name=name, made_of=inputs, model=model, gate_version=gate_version
            )
            after, added = made_of(known, sources, threshold, today)
            if after != before:
                self._write(after)
        return ProfileChange(added, tuple(sorted(held - set(after.sources))))

    def drop(self, person_id: str) -> tuple[str, ...]:
        """Removes a person's profile; the sources that it held, none where there was no profile.

        Raises:
            ProfileError: two folders claim the person.
        """
        with self._locked():
            folder = self.folder(person_id)
            if folder is None:
                return ()
            try:
                known = self.get(person_id)
            except ProfileError:  # what cannot be read goes all the same
                known = None
            atomic.remove(folder)
        return tuple(sorted(known.sources)) if known else ()

    def remove_all(self) -> int:
        """Removes every profile; how many there were."""
        with self._locked():
            folders = [path for path in sorted(self.layout.identities.glob("*")) if path.is_dir()]
            for folder in folders:
                atomic.remove(folder)
        return len(folders)

    def _write(self, profile: IdentityProfile) -> None:
        check_profile(profile)
        folder = self.folder(profile.person_id)
        if folder is None:
            person = checked_person_id(profile.person_id)
            named = self.layout.identities / f"{slug(profile.name, 'person')}-{person}"
            folder = inside(self.layout.identities, named)
        listed = sources_json(profile)
        atomic.write_bytes(folder / _name_of(listed), listed)
        atomic.write_json(folder / PROFILE, small_files.sealed(to_json(profile)))
        for older in folder.glob(SOURCES.format("*")):
            if older.name != _name_of(listed) and not atomic.is_temporary(older):
                older.unlink(missing_ok=True)

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
    """The profile as JSON-able values, without the list of its sources; floats keep every bit."""
    moments, spread = profile.moments, profile.spread
    return {
        "schema_version": SCHEMA_VERSION,
        "person_id": profile.person_id,
        "name": profile.name,
        "space": profile.space,
        "model": profile.model,
        "gate_version": profile.gate_version,
        "embedding_count": profile.embedding_count,
        "embedding_mean": None if moments is None else moments.mean.tolist(),
        "embedding_std": None if spread is None else spread.tolist(),
        "classes": {
            kind: {
                "sources": profile.count_of(kind),
                "moments": None if known.moments is None else _moments_json(known.moments),
                "quality": None if known.quality is None else asdict(known.quality),
            }
            for kind, known in profile.classes.items()
        },
        "source_count": len(profile.sources),
        "sources_sha256": hashlib.sha256(sources_json(profile)).hexdigest(),
        "quality": None if profile.quality is None else asdict(profile.quality),
        "sessions": profile.sessions,
        "last_training": profile.last_training,
        "cover": profile.cover,
        "ephemeral": profile.ephemeral,
        "retain_until": profile.retain_until,
        "quarantined_count": profile.quarantined_count,
        "quarantined": [asdict(q) for q in profile.quarantined],
        "made_of": profile.made_of,
    }


def sources_json(profile: IdentityProfile) -> bytes:
    """The list of a profile's sources as it lies beside it."""
    return atomic.json_bytes({name: asdict(one) for name, one in profile.sources.items()})


def _name_of(listed: bytes) -> str:
    """Of the file of a list of sources."""
    return SOURCES.format(hashlib.sha256(listed).hexdigest()[:DIGITS])


def read_profile(path: Path) -> IdentityProfile:
    """The profile in a file, with the list of sources beside it.

    A writer may replace both between the look at one and at the other; then both are read again.

    Raises:
        ProfileError: it was written by a newer version, or cannot be read.
    """
    data = _bytes(path)
    try:
        return _parsed(path, data)
    except ProfileError:
        if (now := _bytes(path)) == data:
            raise
        return _parsed(path, now)


def _parsed(path: Path, data: bytes) -> IdentityProfile:
    try:
        return from_json(data, lambda name: (path.parent / name).read_bytes())
    except ProfileError:
        raise
    except OSError as error:
        why = f"its list of sources, {error.filename}, cannot be read: {error.strerror}"
        raise ProfileError(f"{path} is no profile ({why}); {MEND}.") from error
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        why = str(error) if isinstance(error, ValueError) else repr(error)
        raise ProfileError(f"{path} is no profile ({why}); {MEND}.") from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ProfileError(f"{path} cannot be read ({error.strerror}); {MEND}.") from error


@dataclass(frozen=True)
class _MomentsAtRest:
    n: int
    mean: list[float]
    m2: list[float]


@dataclass(frozen=True)
class _SourceOfTwo:
    """A source in schema 2, which kept the statistics of each."""

    moments: _MomentsAtRest | None
    quality: QualityStatistics | None
    session: int


@dataclass(frozen=True)
class _ClassAtRest:
    moments: _MomentsAtRest | None
    quality: QualityStatistics | None


@dataclass(frozen=True)
class _Common:
    """What schemas 2 and 3 have in common; what can be computed of it is left out."""

    person_id: str
    name: str
    space: str | None
    sessions: int
    last_training: str | None
    cover: str | None
    quarantined: list[Quarantined]


@dataclass(frozen=True)
class _ProfileOfTwo(_Common):
    sources: dict[str, _SourceOfTwo]
    ephemeral: bool = False
    retain_until: str | None = None
    made_of: str | None = None


@dataclass(frozen=True)
class _ProfileAtRest(_Common):
    """Schema 3."""

    classes: dict[str, _ClassAtRest]
    sources_sha256: str
    quarantined_count: int
    model: str | None = None
    gate_version: str | None = None
    ephemeral: bool = False
    retain_until: str | None = None
    made_of: str | None = None


def from_json(data: bytes, listed: Callable[[str], bytes]) -> IdentityProfile:
    """The profile in JSON: of this schema, of one before, or of mean, std and count only.

    Args:
        data: of the file.
        listed: gives the list of sources by the name of its file.

    Raises:
        ProfileError: the schema is newer than this program.
        ValueError, LookupError, TypeError, AttributeError: it is no profile, or not as it was
            written, or the list is another one.
        OSError: of `listed`.
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
    if unfit := small_files.unfit(value):
        raise ValueError(unfit)
    if version == 1:
        return _from_old(value)
    if version < SCHEMA_VERSION:
        return _from_two(small_files.parse(data, _ProfileOfTwo))
    return _from_three(small_files.parse(data, _ProfileAtRest), listed)


def _from_three(known: _ProfileAtRest, listed: Callable[[str], bytes]) -> IdentityProfile:
    sha256 = known.sources_sha256
    name = SOURCES.format(sha256[:DIGITS])
    found = listed(name)
    if hashlib.sha256(found).hexdigest() != sha256:
        raise ValueError(f"{name}, its list of sources, is not what was written")
    values = {key: value for key, value in vars(known).items() if key != "sources_sha256"}
    classes = {kind: _class(part.moments, part.quality) for kind, part in known.classes.items()}
    changed = {
        "classes": classes,
        "sources": small_files.parse(found, dict[str, Source]),
        "quarantined": tuple(known.quarantined),
    }
    return IdentityProfile(**{**values, **changed})


def _from_two(known: _ProfileOfTwo) -> IdentityProfile:
    """All sources but that of the oldest schema were rides.

    The statistics of a class are merged as `identity_profile` does; it is made anew of all sources
    at the next chance, for it does not say by which code it was made.
    """
    rides = {name: part for name, part in known.sources.items() if name != OLD_SOURCE}
    classes = {RIDE: _merged(rides)} if rides else {}
    if (old := known.sources.get(OLD_SOURCE)) is not None:
        classes[OLD_SOURCE] = _class(old.moments, old.quality)
    sources = {
        name: Source(
            OLD_SOURCE if name == OLD_SOURCE else RIDE,
            part.moments.n if part.moments else 0,
            part.session,
        )
        for name, part in known.sources.items()
    }
    return IdentityProfile(
        **{
            **vars(known),
            "sources": sources,
            "classes": classes,
            "quarantined": tuple(known.quarantined),
            "quarantined_count": len(known.quarantined),
            "made_of": None,
        }
    )


def _merged(parts: Mapping[str, _SourceOfTwo]) -> ClassStatistics:
    moments = {name: _moments(part.moments) for name, part in parts.items() if part.moments}
    qualities = [part.quality for _, part in sorted(parts.items())]
    return ClassStatistics(total(moments), together(qualities))


def _class(moments: _MomentsAtRest | None, quality: QualityStatistics | None) -> ClassStatistics:
    return ClassStatistics(None if moments is None else _moments(moments), quality)


def _from_old(value: dict[str, Any]) -> IdentityProfile:
    """Mean, standard deviation (over n) and count; without counters it is session 1."""
    mean = np.asarray(value["embedding_mean"], dtype=np.float64)
    spread = np.asarray(value["embedding_std"], dtype=np.float64)
    statistics = value.get("quality_stats", {})
    count = int(value.get("count") or statistics["final_embedding_count"])
    sessions = int(statistics.get("training_sessions", 1))
    moments = Moments(count, mean, spread**2 * count)
    return IdentityProfile(
        person_id=value.get("person_id") or value["id"],
        name=value["name"],
        space=None,
        sources={OLD_SOURCE: Source(OLD_SOURCE, count, sessions)},
        classes={OLD_SOURCE: ClassStatistics(moments, None)},
        sessions=sessions,
        last_training=statistics.get("last_training"),
        ephemeral=bool(value.get("is_ephemeral", False)),
    )


def _moments_json(moments: Moments) -> dict[str, Any]:
    return {"n": moments.count, "mean": moments.mean.tolist(), "m2": moments.m2.tolist()}


def _moments(known: _MomentsAtRest) -> Moments:
    return Moments(known.n, np.asarray(known.mean, np.float64), np.asarray(known.m2, np.float64))
