"""Group `learn`: heads that learn from labels, judged before they go live.

A training that fails, or is refused, fails its own run and nothing else: the library goes on with
the head that is live, or with the recogniser alone.
"""

from __future__ import annotations

import dagster as dg

from identity_pipeline.defs.display import head_pictures as pictures
from identity_pipeline.defs.display.metadata import numbers
from identity_pipeline.defs.instance.preflight import check_folder
from identity_pipeline.defs.resources.decorators import library_asset
from identity_pipeline.defs.resources.failures import PermanentFailure
from identity_pipeline.defs.resources.steps import LibraryStep
from identity_pipeline.stages.progress.heartbeat import Work


@library_asset
def training_set(step: LibraryStep) -> dg.MaterializeResult:
    """Faces of human-confirmed tracks, thinned, split by person and by video."""
    from identity_pipeline.stages.learning.training import begin_or_go_on
    from identity_pipeline.storage.library.training_sessions import TrainingSessions

    check_folder(step.context, step.store, step.settings)
    with step.working() as work:
        session = begin_or_go_on(step.store, step.settings, step.now(), step.reporter())
        table = TrainingSessions(step.store.layout).training_set(session)
        work.computed, work.units = True, table["track_key"].n_unique()
    return dg.MaterializeResult(
        data_version=dg.DataVersion(session.data_version[:16]),
        metadata={
            "session": session.number,
            "state": session.state,
            **numbers(pictures.counts(table)),
            "splits": pictures.splits(table),
        },
    )


@library_asset
def projection_head(step: LibraryStep) -> dg.MaterializeResult:
    """The head of the last session: trained to its end, or taken as it is when it is complete."""
    from identity_pipeline.core.heads.training_state import Epoch
    from identity_pipeline.stages.learning.training import Trained, train
    from identity_pipeline.storage.library.heads import HeadStore
    from identity_pipeline.storage.library.training_sessions import COMPLETE, TrainingSessions

    work = Work(units=0)

    def told(epoch: Epoch, planned: int) -> None:
        work.units = (work.units or 0) + 1
        step.context.log.info(
            f"epoch {epoch.number} of {planned}: loss {epoch.loss:.4f}, "
            f"{epoch.active:.1%} not right by the margin yet"
        )
        # Its checkpoint is kept; a pause frees the GPU here, and a new run goes on from it.
        step.stop_if_paused()

    def when_stopped(trained: Trained) -> None:
        step.context.log.warning(trained.message)

    with step.healing():
        session = TrainingSessions(step.store.layout).last()
        if session is None:
            raise PermanentFailure("no_session", "Materialise training_set first.")
        reused, message = session.state == COMPLETE, f"session {session.number} is complete; reused"
        if not reused:
            step.stop_if_paused()
            with step.working(work):
                now, report = step.now(), step.reporter()
                trained = train(step.store, step.settings, session, now, report, told, when_stopped)
                work.computed = True
            session, message = trained.session, trained.message
        card = HeadStore(step.store.layout).card(str(session.head_id))
    step.context.log.info(message)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(card.head_id),
        metadata={"reused": reused, "message": message, **pictures.describe_head(card)},
    )


@library_asset
def head_evaluation(step: LibraryStep) -> dg.MaterializeResult:
    """Champion against challenger on people and videos that neither saw; the better goes live."""
    from identity_pipeline.stages.learning.judging import judge_head
    from identity_pipeline.storage.library.training_sessions import TrainingSessions

    with step.working(Work(units=1)) as work:
        session = TrainingSessions(step.store.layout).last()
        if session is None:
            first = "Materialise training_set and projection_head first."
            raise PermanentFailure("no_session", first)
        verdict = judge_head(step.store, step.settings, session, step.now(), step.reporter())
        work.computed = verdict.judgement is not None
    step.context.log.info(verdict.sentence)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(f"{verdict.head_id}-{verdict.promoted}"),
        metadata=pictures.describe_verdict(verdict),
    )


@library_asset
def head_embeddings(step: LibraryStep) -> dg.MaterializeResult:
    """Templates, pairs and samples of all videos in the space of the head that is live."""
    from identity_pipeline.stages.library.spaces import live_space, regenerate
    from identity_pipeline.storage.library.heads import HeadStore

    with step.healing():
        live = live_space(step.store)
    if live.unfit:
        step.context.log.warning(live.unfit)
    if live.head_id is None:
        return dg.MaterializeResult(
            data_version=dg.DataVersion("none"),
            metadata={"live": "no head: the recogniser alone", "unfit": live.unfit or "no"},
        )
    with step.working() as work:
        done = regenerate(step.store, live.head_id, step.settings, step.reporter())
        work.computed, work.units = bool(done.written), len(done.written)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(f"{live.head_id}-{done.digest[:12]}"),
        metadata={
            "live": live.head_id,
            "space": HeadStore(step.store.layout).card(live.head_id).space,
            "reused": not done.written and not done.removed,
            "videos_projected": len(done.written),
            "videos_unchanged": done.unchanged,
            "videos_of_another_recogniser": len(done.left_out),
        },
    )
