"""K-means heads at rest: `heads.json` and `heads.safetensors` in a folder of their space.

The folder is replaced whole, and heads of another space go with it: a person who is no longer
confirmed is in no file after the next training. Nothing is loaded that has another schema, is of
another space, or does not belong together.
"""

from __future__ import annotations

import shutil
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from safetensors.numpy import load_file, save_file

from identity_pipeline.core.heads.kmeans import KMeansHeads, PersonHead
from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.storage.files import atomic, small_files
from identity_pipeline.storage.files.hashing import sha256_of_file, sha256_of_value
from identity_pipeline.storage.files.inbox import slug
from identity_pipeline.storage.files.locks import exclusive
from identity_pipeline.storage.layout import Layout

SCHEMA_VERSION: Final = 1
NOTE, ARRAYS = "heads.json", "heads.safetensors"
PER_CENTRE: Final = ("centres", "strengths", "spreads", "members")
LOCK_WAIT_S = 60.0
TRAIN_AGAIN = "train the heads again (asset `kmeans_heads`)"


class KMeansHeadsError(IdentityPipelineError, ValueError):
    """There are no heads, or those that lie there cannot be used; the sentence says what to do."""


@dataclass(frozen=True)
class StoredHeads:
    """Heads and what was noted with them.

    Attributes:
        heads: of one space.
        fingerprint: SHA-256 of everything they were made of.
        trained_at: ISO time with a zone.
        made_of: settings, counts and digest of the tracks.
        metrics: how good they are.
    """

    heads: KMeansHeads
    fingerprint: str
    trained_at: str
    made_of: dict[str, Any]
    metrics: dict[str, Any]


@dataclass(frozen=True)
class KMeansHeadStore:
    """The heads of the library's space."""

    layout: Layout

    def folder(self, space: str) -> Path:
        """Where the heads of a space lie."""
        return self.layout.kmeans_heads / f"{slug(space, 'space')}-{sha256_of_value(space)[:8]}"

    def spaces(self) -> tuple[str, ...]:
        """The spaces of which there are heads."""
        notes = (_read_note(folder) for folder in self._folders())
        return tuple(sorted(str(note["space"]) for note in notes if note))

    def save(self, stored: StoredHeads) -> Path:
        """Writes the heads in place of all others, and returns their folder."""
        target = self.folder(stored.heads.space)
        with self._locked("saving heads"):
            with atomic.new_folder(target) as folder:
                save_file(_arrays(stored.heads), folder / ARRAYS)
                digest = sha256_of_file(folder / ARRAYS)
                atomic.write_json(folder / NOTE, _note(stored, digest))
            self._keep_only(target)
        return target

    def load(self, space: str) -> StoredHeads:
        """The heads of a space.

        Raises:
            KMeansHeadsError: there are none, they are of another space or schema, or the two files
                do not belong together.
        """
        folder = self.folder(space)
        note = _read_note(folder)
        if note is None:
            raise KMeansHeadsError(self._why_none(space))
        if note.get("schema_version") != SCHEMA_VERSION:
            raise KMeansHeadsError(
                f"{folder / NOTE} has schema {note.get('schema_version')}, this version reads "
                f"{SCHEMA_VERSION}; {TRAIN_AGAIN}."
            )
        if note["space"] != space:
            raise KMeansHeadsError(
                f"{folder} holds heads of the space {note['space']}, not of {space}; {TRAIN_AGAIN}."
            )
        arrays = folder / ARRAYS
        if not arrays.is_file() or sha256_of_file(arrays) != note["sha256"]:
            raise KMeansHeadsError(
                f"{arrays} is not the file that {NOTE} was written for; {TRAIN_AGAIN}."
            )
        return StoredHeads(
            _heads(note, load_file(arrays)),
            note["fingerprint"],
            note["trained_at"],
            note["made_of"],
            note["metrics"],
        )

    def clear(self) -> bool:
        """Removes all heads; whether there were any."""
        if not self._folders():
            return False
        with self._locked("removing heads"):
            there = bool(self._folders())
            self._keep_only(None)
        return there

    def _why_none(self, space: str) -> str:
        others = self.spaces()
        if others:
            return (
                f"the k-means heads are of the space {', '.join(others)}, the library is of "
                f"{space}; {TRAIN_AGAIN}."
            )
        return f"there are no k-means heads of the space {space} yet; {TRAIN_AGAIN}."

    def _folders(self) -> list[Path]:
        found = sorted(self.layout.kmeans_heads.glob(f"*/{NOTE}"))
        return [path.parent for path in found if not atomic.is_temporary(path.parent)]

    def _keep_only(self, kept: Path | None) -> None:
        for folder in self._folders():
            if folder != kept:
                shutil.rmtree(folder)

    def _locked(self, purpose: str) -> AbstractContextManager[None]:
        lock = self.layout.kmeans_heads / ".lock"
        return exclusive(lock, "the folder of k-means heads", purpose, LOCK_WAIT_S)


def _read_note(folder: Path) -> dict[str, Any] | None:
    path = folder / NOTE
    try:
        return small_files.parse(path.read_bytes(), dict[str, Any])
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise KMeansHeadsError(f"{path} cannot be read; {TRAIN_AGAIN}.") from error


def _arrays(heads: KMeansHeads) -> dict[str, np.ndarray]:
    return {
        name: np.concatenate([getattr(head, name) for head in heads.people]) for name in PER_CENTRE
    }


def _note(stored: StoredHeads, digest: str) -> dict[str, Any]:
    people = [
        {
            "person_id": head.person_id,
            "centres": len(head.members),
            "tracks": head.tracks,
            "videos": head.videos,
        }
        for head in stored.heads.people
    ]
    return {
        "schema_version": SCHEMA_VERSION,
        "space": stored.heads.space,
        "sha256": digest,
        "fingerprint": stored.fingerprint,
        "trained_at": stored.trained_at,
        "made_of": stored.made_of,
        "metrics": stored.metrics,
        "people": people,
    }


def _heads(note: dict[str, Any], arrays: dict[str, np.ndarray]) -> KMeansHeads:
    heads, start = [], 0
    for person in note["people"]:
        rows = slice(start, start + person["centres"])
        start = rows.stop
        heads.append(
            PersonHead(
                person["person_id"],
                tracks=person["tracks"],
                videos=person["videos"],
                **{name: arrays[name][rows] for name in PER_CENTRE},
            )
        )
    return KMeansHeads(note["space"], tuple(heads))
