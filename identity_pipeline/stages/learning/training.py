"""Training a head: a session with a checkpoint per epoch, that may be stopped and resumed.

Whether it completes or not, the weights so far are kept as a head and the people's profiles are
brought up to date. Only a complete head is exported to ONNX, and only a complete one may go live.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from identity_pipeline.core.heads.training_set import sufficiency, teachers, teaching_arrays
from identity_pipeline.core.heads.training_state import Epoch
from identity_pipeline.settings import Settings
from identity_pipeline.stages.learning.training_data import (
    build_training_set,
    check_enough,
    teaching_counts,
)
from identity_pipeline.stages.library.profiles import ProfileChanges
from identity_pipeline.stages.library.update import Updated, update_library
from identity_pipeline.stages.progress.protocol import Progress, silent
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.library.heads import HeadCard, head_id_of, space_of
from identity_pipeline.storage.library.training_sessions import (
    COMPLETE,
    RUNNING,
    STOPPED,
    TrainingSession,
    TrainingSessionError,
    version_of,
)

EpochDone = Callable[[Epoch, int], None]
"""Told of each epoch, and of how many are planned."""


@dataclass(frozen=True)
class TrainingRequest:
    """What is asked for.

    Attributes:
        epochs: null: as the settings say, or as the session to be resumed planned.
        resume: go on with the last session instead of beginning one.
        device: of torch, as `models.device`: one that is resumed stays on its own where it may.
    """

    epochs: int | None = None
    resume: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"


@dataclass(frozen=True)
class Trained:
    """What a training gave.

    Attributes:
        session: as it ended.
        card: of the head; null when not one epoch was done.
        epochs: all epochs of the session.
        stopped: it ended before its last epoch.
        message: how it ended, and what became of the profiles, in words.
        profiles: what was added to them; null where they were current.
    """

    session: TrainingSession
    card: HeadCard | None
    epochs: tuple[Epoch, ...]
    stopped: bool
    message: str
    profiles: ProfileChanges | None


def start(
    stores: LibraryStores,
    settings: Settings,
    now: str,
    request: TrainingRequest,
    progress: Progress = silent,
) -> TrainingSession:
    """The session to train: a new one on the labels as they are now, or the last one again.

    Raises:
        TooLittleToLearnError: there are too few labels.
        TrainingSessionError: there is nothing to resume.
        SpaceMismatchError: confirmed tracks are of more than one recogniser.
        DeviceError: `cuda` is wanted and there is none.
    """
    from identity_pipeline.models.device import device_to_go_on, torch_device

    sessions = stores.trainings
    if request.resume:
        last = sessions.last()
        if last is None or last.state == COMPLETE:
            raise TrainingSessionError(
                "there is no unfinished training to resume; start one without --resume."
            )
        if request.epochs not in (None, last.epochs):
            raise TrainingSessionError(
                f"session {last.number} was planned for {last.epochs} epochs; resume it without "
                "--epochs, or start a new one without --resume."
            )
        last = sessions.move(last, device_to_go_on(last.device, request.device))
        return sessions.note(last, RUNNING, last.head_id)
    device = torch_device(request.device)
    training_set = build_training_set(stores, settings, now, progress)
    check_enough(stores, training_set, settings)
    return sessions.begin(
        training_set,
        version_of(training_set),
        settings.train.model_dump(mode="json"),
        request.epochs or settings.train.epochs,
        device,
        now,
    )


def begin_or_go_on(
    stores: LibraryStores, settings: Settings, now: str, progress: Progress = silent
) -> TrainingSession:
    """What a scheduler wants: the last session while it fits the labels, else a new one.

    The last one fits when its training set and settings are those of now; an unfinished one goes on
    where it stopped, a complete one is not trained again.

    Raises:
        TooLittleToLearnError: there are too few labels.
        SpaceMismatchError: confirmed tracks are of more than one recogniser.
        DeviceError: `cuda` is wanted and there is none.
    """
    from identity_pipeline.models.device import device_to_go_on, torch_device

    sessions, wanted = stores.trainings, settings.models.device
    training_set = build_training_set(stores, settings, now, progress)
    version, own = version_of(training_set), settings.train.model_dump(mode="json")
    last = sessions.last()
    if last is not None and (last.data_version, last.settings) == (version, own):
        done = last.state == COMPLETE
        return last if done else sessions.move(last, device_to_go_on(last.device, wanted))
    check_enough(stores, training_set, settings)
    device = torch_device(wanted)
    return sessions.begin(training_set, version, own, settings.train.epochs, device, now)


def train(
    stores: LibraryStores,
    settings: Settings,
    session: TrainingSession,
    now: str,
    progress: Progress = silent,
    told: EpochDone = lambda epoch, planned: None,
    when_stopped: Callable[[Trained], None] = lambda trained: None,
) -> Trained:
    """Runs a session to its end, or as far as it is let.

    An interrupt (Ctrl-C, Dagster's cancel) is passed on after the head so far was kept and the
    profiles were brought up to date; the epoch under way is lost. A kill leaves the last
    checkpoint.

    Args:
        stores: of the data folder.
        settings: `match` and `cluster`, for the profiles; the session has its own `train`.
        session: from `start`.
        now: ISO time with a zone.
        progress: called per epoch.
        told: called with each epoch.
        when_stopped: called with what was kept when it is interrupted.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    run = _Run(stores, settings, session, now)
    try:
        while len(run.trainer.epochs) < session.epochs:
            done = run.epoch()
            progress("training", done.number, session.epochs, "epochs")
            told(done, session.epochs)
    except Exception:
        raise
    except BaseException:  # an interrupt: what was learnt is kept before it is passed on
        when_stopped(run.finish())
        raise
    return run.finish()


class _Run:
    """One training under way."""

    def __init__(
        self, stores: LibraryStores, settings: Settings, session: TrainingSession, now: str
    ) -> None:
        self._stores, self._settings, self._session, self._now = stores, settings, session, now
        self._sessions = stores.trainings
        self._train = type(settings.train).model_validate(session.settings)
        self._set = self._sessions.training_set(session)
        self._own = teachers(self._set, self._train)
        from identity_pipeline.core.heads.trainer import HeadTrainer

        self.trainer = HeadTrainer(teaching_arrays(self._own), self._train, session.device)
        state = self._sessions.restore(session)
        if state is not None:
            self.trainer.restore(state)

    def epoch(self) -> Epoch:
        done = self.trainer.run_epoch()
        if not np.isfinite(done.loss):
            raise FloatingPointError(
                f"the loss of epoch {done.number} is not finite; lower train.rate and train anew."
            )
        self._sessions.checkpoint(self._session, self.trainer.state())
        return done

    def finish(self) -> Trained:
        """Keeps the head so far, and brings the profiles up to date."""
        # An epoch that was interrupted has touched the weights: those of the checkpoint count.
        state = self._sessions.restore(self._session)
        card = None
        if state is not None:
            self.trainer.restore(state)
            card = self._save()
        epochs = state.epochs if state is not None else ()
        stopped = len(epochs) < self._session.epochs
        session = self._sessions.note(
            self._session, STOPPED if stopped else COMPLETE, card.head_id if card else None
        )
        updated = update_library(self._stores, self._settings, self._now)
        message = outcome(session, len(epochs), updated)
        return Trained(session, card, epochs, stopped, message, updated.profiles)

    def _save(self) -> HeadCard:
        from identity_pipeline.models.head_export import export_head

        head, space = self.trainer.head(), str(self._own["space"][0])
        head_id, epochs = head_id_of(head, space), self.trainer.epochs
        card = HeadCard(
            head_id=head_id,
            input_space=space,
            space=space_of(head, head_id),
            base_share=head.base_share,
            session=self._session.number,
            epochs=len(epochs),
            planned=self._session.epochs,
            data_version=self._session.data_version,
            losses=tuple(epoch.loss for epoch in epochs),
            teaching=teaching_counts(sufficiency(self._set, self._train)),
            settings=self._session.settings,
            created=self._now,
            moved=self._session.moved,
        )
        onnx = export_head(head) if card.complete else None
        self._stores.heads.save(head, card, onnx)
        return card


def profiles_without_learning(stores: LibraryStores, settings: Settings, now: str) -> str | None:
    """Brings the profiles up to date where there are too few labels to train.

    Returns:
        What became of them, in words; None where no video has anything for the library.
    """
    if not stores.tables.videos_with("track_templates"):
        return None
    return "\n".join(_profiles_told(update_library(stores, settings, now)))


def outcome(session: TrainingSession, epochs: int, updated: Updated) -> str:
    """How a training ended, and what became of the profiles."""
    how = (
        f"Training session {session.number} is complete: {epochs} epochs."
        if epochs >= session.epochs
        else f"Training session {session.number} stopped early, after {epochs} of "
        f"{session.epochs} epochs; `identity-pipeline train --resume` goes on."
    )
    told = _profiles_told(updated)
    moved = [
        f"It changed its device {change}: one device for all epochs might have given other weights."
        for change in session.moved
    ]
    return "\n".join([how, *moved, *told])


def _profiles_told(updated: Updated) -> list[str]:
    """A sentence for each source that was added, or that there was none; and what is behind."""
    told = [report.message for report in updated.profiles.enriched] if updated.profiles else []
    if not told and not updated.behind:
        told = [f"Profiles: +0 new; {', '.join(updated.labels) or 'nobody has one yet'}."]
    return told + [str(behind) for behind in updated.behind]
