"""Training sessions at rest: the training set, a checkpoint per epoch, and how it ended.

::

    data/models/heads/sessions/{number}/training_set.parquet, session.json
    data/models/heads/sessions/{number}/epoch-{n}/state.safetensors, state.json

A session keeps the very faces it learns from, so that it can be resumed after labels have changed.
A checkpoint is a folder that is renamed into place: a kill leaves the one before. The last two are
kept. Weights are safetensors and numbers are JSON; nothing is pickled.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from identity_pipeline.core.heads.training_state import Epoch, TrainerState
from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.storage.files import atomic, small_files, tensor_files
from identity_pipeline.storage.files.hashing import sha256_of_value
from identity_pipeline.storage.layout import Layout
from identity_pipeline.tables import conform

KEPT = 2
MEND = "Put it back from a backup, or remove its folder."
RUNNING, STOPPED, COMPLETE = "running", "stopped", "complete"


class TrainingSessionError(IdentityPipelineError, RuntimeError):
    """A session that is not there, or cannot be resumed."""


@dataclass(frozen=True)
class TrainingSession:
    """One training.

    Attributes:
        number: counts from 1.
        data_version: of its training set.
        settings: group `train` that it runs with.
        epochs: planned.
        device: where it runs, or ran last.
        state: running (or killed), stopped, complete.
        started: ISO time.
        head_id: the head that it gave last; null before it ended or stopped.
        moved: each change of the device, in words; another device need not give the same bits.
    """

    number: int
    data_version: str
    settings: Mapping[str, Any]
    epochs: int
    device: str
    state: str
    started: str
    head_id: str | None = None
    moved: tuple[str, ...] = ()


def version_of(training_set: pl.DataFrame) -> str:
    """Hash of a training set: who teaches with which faces, and of which space."""
    names = ("person_id", "track_key", "face_id", "split", "space")
    rows = training_set.select(names).sort(names)
    vectors = training_set.sort(names)["e_id"].to_list()
    return sha256_of_value([rows.rows(), vectors])


@dataclass(frozen=True)
class _Numbers:
    """The part of a checkpoint that is no array."""

    data_version: str
    epochs: tuple[Epoch, ...]
    rng: dict[str, Any]


@dataclass(frozen=True)
class TrainingSessions:
    """All sessions below one data folder."""

    layout: Layout

    def folder(self, number: int) -> Path:
        """The folder of one session."""
        return self.layout.training_sessions / f"{number:04d}"

    def all(self) -> list[TrainingSession]:
        """All sessions, the first first.

        Raises:
            DamagedFileError: the note of one cannot be read.
        """
        notes = sorted(self.layout.training_sessions.glob("[0-9]*/session.json"))
        found = [small_files.read(path, TrainingSession, MEND) for path in notes]
        return [session for session in found if session is not None]

    def last(self) -> TrainingSession | None:
        """The newest session."""
        sessions = self.all()
        return sessions[-1] if sessions else None

    def begin(
        self,
        training_set: pl.DataFrame,
        data_version: str,
        settings: Mapping[str, Any],
        epochs: int,
        device: str,
        started: str,
    ) -> TrainingSession:
        """A new session with its training set."""
        last = self.last()
        number = last.number + 1 if last else 1
        session = TrainingSession(number, data_version, settings, epochs, device, RUNNING, started)
        with atomic.new_folder(self.folder(number)) as folder:
            conform("training_set", training_set).write_parquet(folder / "training_set.parquet")
            atomic.write_json(folder / "session.json", asdict(session))
        return session

    def note(self, session: TrainingSession, state: str, head_id: str | None) -> TrainingSession:
        """Notes how a session stands."""
        noted = replace(session, state=state, head_id=head_id)
        atomic.write_json(self.folder(session.number) / "session.json", asdict(noted))
        return noted

    def move(self, session: TrainingSession, device: str) -> TrainingSession:
        """Notes that a session goes on elsewhere; on its own device nothing changes."""
        if device == session.device:
            return session
        change = f"after {self._done(session)} epochs from {session.device} to {device}"
        noted = replace(session, device=device, moved=(*session.moved, change))
        atomic.write_json(self.folder(session.number) / "session.json", asdict(noted))
        return noted

    def _done(self, session: TrainingSession) -> int:
        """Epochs of the last whole checkpoint; 0 before the first."""
        there = self._checkpoints(session)
        return int(there[-1].name.removeprefix("epoch-")) if there else 0

    def training_set(self, session: TrainingSession) -> pl.DataFrame:
        """The faces that a session learns from.

        Raises:
            DamagedFileError: they cannot be read.
        """
        path = self.folder(session.number) / "training_set.parquet"
        try:
            return conform("training_set", pl.read_parquet(path, glob=False))
        except (OSError, pl.exceptions.PolarsError) as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise small_files.DamagedFileError(path, reason, MEND) from error

    def checkpoint(self, session: TrainingSession, state: TrainerState) -> None:
        """Keeps the state after an epoch, and drops all but the last two."""
        from safetensors.numpy import save

        epoch = len(state.epochs)
        with atomic.new_folder(self._checkpoint(session, epoch)) as folder:
            ordered = {n: np.ascontiguousarray(state.tensors[n]) for n in sorted(state.tensors)}
            atomic.write_bytes(folder / "state.safetensors", save(ordered))
            numbers = {
                "data_version": session.data_version,
                "epochs": [asdict(one) for one in state.epochs],
                "rng": state.rng,
            }
            atomic.write_json(folder / "state.json", numbers)
        for old in self._checkpoints(session)[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)

    def restore(self, session: TrainingSession) -> TrainerState | None:
        """The state after the last whole epoch; None before the first.

        Raises:
            TrainingSessionError: the checkpoint is of another training set.
            DamagedFileError: the checkpoint cannot be read.
        """
        there = self._checkpoints(session)
        if not there:
            return None
        mend = f"Remove {there[-1]}: training goes on from the checkpoint before it."
        numbers = small_files.read(there[-1] / "state.json", _Numbers, mend)
        if numbers is None or numbers.data_version != session.data_version:
            raise TrainingSessionError(
                f"the checkpoint of session {session.number} is of another training set; train "
                "without --resume."
            )
        tensors = tensor_files.read(there[-1] / "state.safetensors", mend)
        return TrainerState(tensors, numbers.rng, numbers.epochs)

    def _checkpoint(self, session: TrainingSession, epoch: int) -> Path:
        return self.folder(session.number) / f"epoch-{epoch:04d}"

    def _checkpoints(self, session: TrainingSession) -> list[Path]:
        """Folders of whole checkpoints, oldest first."""
        notes = sorted(self.folder(session.number).glob("epoch-[0-9]*/state.json"))
        return [path.parent for path in notes]
