"""Heads at rest, and which one is live.

::

    data/models/heads/{head_id}/head.safetensors, head.json, evaluation.json
    data/models/heads/{head_id}/head.onnx                            if training was completed
    data/models/heads/{head_id}/tables/{asset}/{video_id}.parquet    the library in its space
    data/models/heads/live.json                                      which head is live, and was

A head is written as a whole folder and never changed, but for its evaluation and its tables, which
can be made again. Going live and rolling back are one atomic write of `live.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from identity_pipeline.core.heads.projection import Head
from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.storage.files import atomic, small_files, tensor_files
from identity_pipeline.storage.files.hashing import sha256_of_value
from identity_pipeline.storage.layout import Layout

SCHEMA = 1
LIVE = "live.json"
MEND = "Put it back from a backup, or remove its folder and train anew."


class HeadStoreError(IdentityPipelineError, RuntimeError):
    """A head that is not there, is of another version, or cannot go live."""


@dataclass(frozen=True)
class HeadCard:
    """What is known of a stored head.

    Attributes:
        head_id: from its weights; the same weights are the same head.
        input_space: key of the space it maps from.
        space: key of the space it maps to.
        base_share: weight of the recogniser's own cosine.
        session: number of the training session.
        epochs: done.
        planned: epochs that were asked for.
        data_version: of the training set.
        losses: of each epoch.
        teaching: people, tracks, faces and videos that taught.
        settings: group `train` as it was.
        created: ISO time.
        moved: each change of the device during the training, in words.
    """

    head_id: str
    input_space: str
    space: str
    base_share: float
    session: int
    epochs: int
    planned: int
    data_version: str
    losses: tuple[float, ...]
    teaching: Mapping[str, int]
    settings: Mapping[str, Any]
    created: str
    moved: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether all planned epochs were done."""
        return self.epochs >= self.planned


@dataclass(frozen=True)
class _StoredCard(HeadCard):
    """A card as it lies on the disk."""

    schema: int = 0


@dataclass(frozen=True)
class Change:
    """A moment at which another head went live; `head_id` null: the recogniser alone."""

    head_id: str | None
    at: str
    why: str


@dataclass(frozen=True)
class Live:
    """Which head is live.

    Attributes:
        head_id: null: the recogniser alone.
        earlier: what a rollback goes back to, the last one last.
        changes: everything that happened, the oldest first.
    """

    head_id: str | None = None
    earlier: tuple[str | None, ...] = ()
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True)
class HeadStore:
    """All heads below one data folder."""

    layout: Layout

    @property
    def root(self) -> Path:
        """The folder of all heads."""
        return self.layout.heads

    def folder(self, head_id: str) -> Path:
        """The folder of one head.

        Raises:
            HeadStoreError: there is no such head.
        """
        path = self.layout.head(head_id)
        if not (path / "head.json").is_file():
            known = ", ".join(card.head_id for card in self.cards()) or "none"
            raise HeadStoreError(f"there is no head {head_id}; known heads: {known}.")
        return path

    def save(self, head: Head, card: HeadCard, onnx: bytes | None) -> None:
        """Writes a head; one that is there with as many epochs is left alone."""
        path = self.layout.head(card.head_id)
        if (path / "head.json").is_file() and (onnx is None or (path / "head.onnx").is_file()):
            return
        from safetensors.numpy import save

        with atomic.new_folder(path) as folder:
            ordered = {
                name: np.ascontiguousarray(head.tensors[name]) for name in sorted(head.tensors)
            }
            atomic.write_bytes(folder / "head.safetensors", save(ordered))
            if onnx is not None:
                atomic.write_bytes(folder / "head.onnx", onnx)
            atomic.write_json(folder / "head.json", {"schema": SCHEMA, **asdict(card)})

    def card(self, head_id: str) -> HeadCard:
        """What is known of a head.

        Raises:
            HeadStoreError: it is not there, or was written by another version.
            DamagedFileError: its card cannot be read.
        """
        noted = small_files.read(self.folder(head_id) / "head.json", _StoredCard, MEND)
        schema = noted.schema if noted else 0
        if noted is None or schema != SCHEMA:
            newer = schema > SCHEMA
            raise HeadStoreError(
                f"head {head_id} was written by {'a newer' if newer else 'another'} version of "
                f"this package; {'update identity_pipeline' if newer else 'train anew'}."
            )
        return HeadCard(**{field.name: getattr(noted, field.name) for field in fields(HeadCard)})

    def load(self, head_id: str, input_space: str | None = None) -> Head:
        """The head itself.

        Args:
            head_id: which.
            input_space: the space of the vectors it will be given.

        Raises:
            HeadStoreError: it is not there, of another version, or maps from another space.
            HeadShapeError: its file holds something else.
            DamagedFileError: its file cannot be read.
        """
        card = self.card(head_id)
        if input_space is not None and card.input_space != input_space:
            raise HeadStoreError(
                f"head {head_id} was trained on {card.input_space}, the faces are of "
                f"{input_space}; train a head for that recogniser, or go back with "
                "`identity-pipeline heads rollback`."
            )
        tensors = tensor_files.read(self.folder(head_id) / "head.safetensors", MEND)
        return Head(tensors, card.base_share)

    def cards(self) -> list[HeadCard]:
        """All heads, by session and id."""
        names = [path.parent.name for path in self.root.glob("*/head.json") if path.is_file()]
        return sorted(
            (self.card(name) for name in names), key=lambda card: (card.session, card.head_id)
        )

    def judge(self, head_id: str, evaluation: Mapping[str, Any]) -> None:
        """Notes what an evaluation found."""
        atomic.write_json(self.folder(head_id) / "evaluation.json", evaluation)

    def evaluation(self, head_id: str) -> dict[str, Any] | None:
        """What an evaluation found; None before one, and where it cannot be read: judge anew."""
        return small_files.recall(self.folder(head_id) / "evaluation.json", dict[str, Any])

    def live(self) -> Live:
        """Which head is live.

        Raises:
            DamagedFileError: the note of it cannot be read.
        """
        mend = "Put it back from a backup, or remove it: the recogniser alone then decides."
        return small_files.read(self.root / LIVE, Live, mend) or Live()

    def go_live(self, head_id: str | None, at: str, why: str) -> Live:
        """Makes a head live, or the recogniser alone; the same head again changes nothing.

        Raises:
            HeadStoreError: there is no such head.
        """
        before = self.live()
        if head_id is not None:
            self.folder(head_id)
        if before.head_id == head_id:
            return before
        return self._noted(before, head_id, (*before.earlier, before.head_id), at, why)

    def roll_back(self, at: str, why: str) -> Live:
        """Makes live what was live before; once more goes one further back.

        Raises:
            HeadStoreError: there is nothing to go back to.
        """
        live = self.live()
        if not live.earlier:
            raise HeadStoreError("no head is live, so there is nothing to go back to.")
        return self._noted(live, live.earlier[-1], live.earlier[:-1], at, why)

    def _noted(
        self, before: Live, head_id: str | None, earlier: tuple[str | None, ...], at: str, why: str
    ) -> Live:
        after = Live(head_id, earlier, (*before.changes, Change(head_id, at, why)))
        atomic.write_json(self.root / LIVE, asdict(after))
        return after


def head_id_of(head: Head, input_space: str) -> str:
    """The id of a head: equal weights on equal input are one head."""
    digests = {name: array.tobytes().hex() for name, array in sorted(head.tensors.items())}
    content = {"weights": digests, "base_share": head.base_share, "input": input_space}
    return sha256_of_value(content)[:12]


def space_of(head: Head, head_id: str) -> str:
    """Key of the space it maps to."""
    return f"head@{head_id}/{head.dimension}"
