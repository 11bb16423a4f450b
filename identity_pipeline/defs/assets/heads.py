"""Group `learn`: heads that learn from labels, judged before they go live.

A training that fails, or is refused, fails its own run and nothing else: the library goes on with
the head that is live, or with the recogniser alone.
"""

from datetime import UTC, datetime

import dagster as dg

from identity_pipeline.defs.display import head_pictures as pictures
from identity_pipeline.defs.display.metadata import numbers
from identity_pipeline.defs.instance.pausing import stop_if_paused
from identity_pipeline.defs.instance.pools import GPU, LIBRARY
from identity_pipeline.defs.instance.preflight import check_folder
from identity_pipeline.defs.instance.tags import NIGHTLY
from identity_pipeline.defs.resources.healing import PermanentFailure, healing
from identity_pipeline.defs.resources.phases import skipped
from identity_pipeline.defs.resources.progress import ProgressReporters, live_step
from identity_pipeline.defs.resources.steps import OWNERS
from identity_pipeline.settings import Settings
from identity_pipeline.stages.progress.heartbeat import Work, at_work
from identity_pipeline.stages.specs.spec import switched_off
from identity_pipeline.storage.video.tables import TableStore

LEARN = "learn"
TEMPLATES = ("track_templates", "face_samples")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dg.asset(
    group_name=LEARN,
    kinds={"polars"},
    owners=OWNERS,
    code_version="1",
    # Lineage only, and none on `people`: whom humans confirmed is read from the ledger.
    deps=list(TEMPLATES),
)
def training_set(
    context: dg.AssetExecutionContext,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
    progress: dg.ResourceParam[ProgressReporters],
) -> dg.MaterializeResult:
    """Faces of human-confirmed tracks, thinned, split by person and by video."""
    from identity_pipeline.stages.learning.training import begin_or_go_on
    from identity_pipeline.storage.library.training_sessions import TrainingSessions

    check_folder(context, store, settings)
    with healing(context, settings), at_work(store, live_step(context), Work()) as work:
        session = begin_or_go_on(store, settings, _now(), progress.reporter(context))
        table = TrainingSessions(store.layout).training_set(session)
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


@dg.asset(
    group_name=LEARN,
    kinds={"torch"},
    owners=OWNERS,
    code_version="1",
    pool=GPU,
    deps=[training_set],
)
def projection_head(
    context: dg.AssetExecutionContext,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
    progress: dg.ResourceParam[ProgressReporters],
) -> dg.MaterializeResult:
    """The head of the last session: trained to its end, or taken as it is when it is complete."""
    from identity_pipeline.core.heads.training_state import Epoch
    from identity_pipeline.stages.learning.training import Trained, train
    from identity_pipeline.storage.library.heads import HeadStore
    from identity_pipeline.storage.library.training_sessions import COMPLETE, TrainingSessions

    work = Work(units=0)

    def told(epoch: Epoch, planned: int) -> None:
        work.units = (work.units or 0) + 1
        context.log.info(
            f"epoch {epoch.number} of {planned}: loss {epoch.loss:.4f}, "
            f"{epoch.active:.1%} not right by the margin yet"
        )
        # Its checkpoint is kept; a pause frees the GPU here, and a new run goes on from it.
        stop_if_paused(context, store.layout)

    def when_stopped(trained: Trained) -> None:
        context.log.warning(trained.message)

    with healing(context, settings):
        session = TrainingSessions(store.layout).last()
        if session is None:
            raise PermanentFailure("no_session", "Materialise training_set first.")
        reused, message = session.state == COMPLETE, f"session {session.number} is complete; reused"
        if not reused:
            stop_if_paused(context, store.layout)
            with at_work(store, live_step(context), work):
                report = progress.reporter(context)
                trained = train(store, settings, session, _now(), report, told, when_stopped)
                work.computed = True
            session, message = trained.session, trained.message
        card = HeadStore(store.layout).card(str(session.head_id))
    context.log.info(message)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(card.head_id),
        metadata={"reused": reused, "message": message, **pictures.describe_head(card)},
    )


@dg.asset(
    group_name=LEARN,
    kinds={"json"},
    owners=OWNERS,
    code_version="1",
    pool=LIBRARY,
    deps=[projection_head],
)
def head_evaluation(
    context: dg.AssetExecutionContext,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
    progress: dg.ResourceParam[ProgressReporters],
) -> dg.MaterializeResult:
    """Champion against challenger on people and videos that neither saw; the better goes live."""
    from identity_pipeline.stages.learning.judging import judge_head
    from identity_pipeline.storage.library.training_sessions import TrainingSessions

    with healing(context, settings), at_work(store, live_step(context), Work(units=1)) as work:
        session = TrainingSessions(store.layout).last()
        if session is None:
            first = "Materialise training_set and projection_head first."
            raise PermanentFailure("no_session", first)
        verdict = judge_head(store, settings, session, _now(), progress.reporter(context))
        work.computed = verdict.judgement is not None
    context.log.info(verdict.sentence)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(f"{verdict.head_id}-{verdict.promoted}"),
        metadata=pictures.describe_verdict(verdict),
    )


@dg.asset(
    group_name=LEARN,
    kinds={"numpy"},
    owners=OWNERS,
    code_version="1",
    pool=LIBRARY,
    freshness_policy=NIGHTLY,
    deps=[head_evaluation, *TEMPLATES],
)
def head_embeddings(
    context: dg.AssetExecutionContext,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
    progress: dg.ResourceParam[ProgressReporters],
) -> dg.MaterializeResult:
    """Templates, pairs and samples of all videos in the space of the head that is live."""
    from identity_pipeline.stages.library.spaces import live_space, regenerate
    from identity_pipeline.storage.library.heads import HeadStore

    if off := switched_off(settings, "library"):
        return dg.MaterializeResult(metadata=skipped(off))
    with healing(context, settings):
        live = live_space(store)
    if live.unfit:
        context.log.warning(live.unfit)
    if live.head_id is None:
        return dg.MaterializeResult(
            data_version=dg.DataVersion("none"),
            metadata={"live": "no head: the recogniser alone", "unfit": live.unfit or "no"},
        )
    with healing(context, settings), at_work(store, live_step(context), Work()) as work:
        done = regenerate(store, live.head_id, settings, progress.reporter(context))
        work.computed, work.units = bool(done.written), len(done.written)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(f"{live.head_id}-{done.digest[:12]}"),
        metadata={
            "live": live.head_id,
            "space": HeadStore(store.layout).card(live.head_id).space,
            "reused": not done.written and not done.removed,
            "videos_projected": len(done.written),
            "videos_unchanged": done.unchanged,
            "videos_of_another_recogniser": len(done.left_out),
        },
    )


@dg.asset(
    group_name=LEARN,
    kinds={"numpy"},
    owners=OWNERS,
    code_version="1",
    pool=LIBRARY,
    freshness_policy=NIGHTLY,
    deps=["people", "person_assignments", "calibration"],
)
def kmeans_heads(
    context: dg.AssetExecutionContext,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
    progress: dg.ResourceParam[ProgressReporters],
) -> dg.MaterializeResult:
    """At most three centres of each known person's confirmed faces, and how well they recognise."""
    from identity_pipeline.stages.library.kmeans_heads import train_kmeans_heads
    from identity_pipeline.stages.library.kmeans_summary import summary

    if off := switched_off(settings, "library"):
        return dg.MaterializeResult(metadata=skipped(off))
    with healing(context, settings), at_work(store, live_step(context), Work()) as work:
        trained = train_kmeans_heads(store, settings, _now(), progress.reporter(context))
        work.computed = trained.heads is not None and not trained.reused
        work.units = len(trained.heads.people) if trained.heads else 0
    for message in trained.messages:
        context.log.info(message)
    return dg.MaterializeResult(
        metadata={
            "reused": trained.reused,
            "people": len(trained.heads.people) if trained.heads else 0,
            "summary": dg.MetadataValue.md(summary(trained)),
        },
    )
