"""Group `library`: who is who, across all videos.

Templates, calibration pairs and the index are per video. People, assignments, clusters and
suggestions change together, so one step makes them and puts them in force at once.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import polars as pl

from identity_pipeline.defs.display import library_pictures as pictures
from identity_pipeline.defs.display.metadata import numbers
from identity_pipeline.defs.instance.partitions import videos
from identity_pipeline.defs.instance.pools import LIBRARY
from identity_pipeline.defs.instance.preflight import check_folder
from identity_pipeline.defs.instance.tags import NIGHTLY
from identity_pipeline.defs.resources.healing import healing
from identity_pipeline.defs.resources.phases import skipped
from identity_pipeline.defs.resources.progress import ProgressReporters, live_step
from identity_pipeline.defs.resources.steps import OWNERS, Step, video_tables
from identity_pipeline.media.markdown import bullets
from identity_pipeline.settings import Settings
from identity_pipeline.stages.progress.heartbeat import Work, at_work
from identity_pipeline.stages.specs.assets import TEMPLATE_TABLES, VIDEO_SPECS
from identity_pipeline.stages.specs.cache_key import fingerprint
from identity_pipeline.stages.specs.spec import switched_off
from identity_pipeline.storage.video.tables import Manifest, TableStore
from identity_pipeline.tables import LIBRARY_TABLES

GROUP = "library"


@video_tables(
    {
        name: dg.AssetOut(
            group_name=GROUP,
            kinds={"numpy"},
            owners=OWNERS,
            code_version=VIDEO_SPECS[name].code,
            io_manager_key="video_table_io",
            description=description,
            dagster_type=dg.Nothing,
        )
        for name, description in (
            ("track_templates", "One template per rider's track: the unit of the library."),
            ("calibration_pairs", "Cosines of which the ride itself says: same person, or two."),
            ("face_samples", "A few faces of each track, to compare with other videos."),
        )
    },
    checked=TEMPLATE_TABLES,
)
def templates(
    context: dg.AssetExecutionContext,
    face_embeddings: pl.DataFrame,
    face_quality: pl.DataFrame,
    face_tracks: pl.DataFrame,
    riders: pl.DataFrame,
    face_detections: pl.DataFrame,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.MaterializeResult]:
    """What the library needs of a video: templates, calibration pairs, samples."""
    from identity_pipeline.core.matching.templates import VideoTables
    from identity_pipeline.stages.library.spaces import templates_of_video

    step = Step(context, store, settings)
    if off := switched_off(settings, "library"):
        yield from (step.skip(off, name) for name in TEMPLATE_TABLES)
        return
    made: dict[str, pl.DataFrame] = {}

    def table(name: str) -> pl.DataFrame:
        if not made:
            video = VideoTables(
                context.partition_key,
                face_embeddings,
                face_quality,
                face_tracks,
                riders,
                face_detections,
            )
            made.update(templates_of_video(video, settings))
        return made[name]

    with step.at_work():
        for name in TEMPLATE_TABLES:
            yield step.table(lambda name=name: table(name), pictures.describe_rows, asset=name)


@dg.asset(
    partitions_def=videos,
    group_name=GROUP,
    kinds={"qdrant"},
    owners=OWNERS,
    code_version=VIDEO_SPECS["face_index"].code,
    # No pool: it would hold a slot as long as the whole run. The index has a lock of its own.
    deps=VIDEO_SPECS["face_index"].inputs,
)
def face_index(
    context: dg.AssetExecutionContext,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    """This video's points in the vector index: its templates and its exported images."""
    from identity_pipeline.stages.library.indexing import sync_video
    from identity_pipeline.storage.index.client import IndexPlace
    from identity_pipeline.storage.index.vector_index import VectorIndex

    if off := switched_off(settings, "index", "library"):
        return dg.MaterializeResult(metadata=skipped(off))
    step = Step(context, store, settings)
    index = VectorIndex(IndexPlace.of(store.layout), settings.index)
    with healing(context, settings), step.at_work():
        made = step.made_of("face_index")
        with index.open(f"indexing {context.partition_key}", write=True) as session:
            done = sync_video(store, session, context.partition_key)
        step.computed("face_index", made)
        # There is no table; the note says that the index was brought in step with these inputs.
        points = Manifest(fingerprint(made), fingerprint(made), done.written + done.unchanged)
        store.note("face_index", context.partition_key, points)
    reused = not (done.written or done.removed)
    return dg.MaterializeResult(metadata={"reused": reused, **numbers(vars(done))})


@dg.multi_asset(
    specs=[
        dg.AssetSpec(
            name,
            group_name=GROUP,
            kinds={"polars"},
            owners=OWNERS,
            code_version="1",
            # Lineage only: the step reads what is in the store, so that one video that failed, or
            # is still under way, neither holds the library up nor fails it.
            deps=[*TEMPLATE_TABLES, "head_embeddings"],
            freshness_policy=NIGHTLY,
            description=description,
        )
        for name, description in (
            ("calibration", "Thresholds by false-accept rate, with intervals and methods."),
            ("person_references", "What stands for each known person: exemplars and centres."),
            ("people", "Everybody whom humans have named."),
            ("person_assignments", "Who each track is, why, and how sure that is."),
            ("unknown_clusters", "Unknown people, grouped; ids are kept from run to run."),
            ("suggestions", "What the machine would ask a curator."),
            ("video_copies", "Videos that are copies of another one's ride, and so do not count."),
        )
    ],
    name="identity_library",
    pool=LIBRARY,
)
def identity_library(
    context: dg.AssetExecutionContext,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
    progress: dg.ResourceParam[ProgressReporters],
) -> Iterator[dg.MaterializeResult]:
    """Known people matched, unknown people grouped, from all templates and all decisions."""
    from identity_pipeline.stages.library.recompute import recompute

    if off := switched_off(settings, "library"):
        for name in LIBRARY_TABLES:
            yield dg.MaterializeResult(asset_key=name, metadata=skipped(off))
        return
    check_folder(context, store, settings)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    with healing(context, settings), at_work(store, live_step(context), Work()) as work:
        done = recompute(store, settings, now, progress.reporter(context))
        work.computed = not done.reused
    if done.reused:
        context.log.info("library: unchanged templates, decisions and settings; reused")
    for sentence in pictures.warnings(done):
        context.log.warning(sentence)
    shown = pictures.describe_library(store, done, settings)
    for name in LIBRARY_TABLES:
        yield dg.MaterializeResult(
            asset_key=name,
            data_version=dg.DataVersion(done.generation.fingerprint[:16]),
            metadata={"reused": done.reused, **shown[name]},
        )


@dg.asset(
    group_name=GROUP,
    kinds={"json"},
    owners=OWNERS,
    code_version="1",
    pool=LIBRARY,
    freshness_policy=NIGHTLY,
    deps=["people", "person_assignments", "calibration"],
)
def identity_profiles(
    context: dg.AssetExecutionContext,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
    progress: dg.ResourceParam[ProgressReporters],
) -> dg.MaterializeResult:
    """Exact statistics of each known person, enriched by every confirmed video, once."""
    from identity_pipeline.stages.library.profiles import sync_profiles

    if off := switched_off(settings, "library"):
        return dg.MaterializeResult(metadata=skipped(off))
    today = datetime.now(UTC).date().isoformat()
    with healing(context, settings), at_work(store, live_step(context), Work()) as work:
        changes = sync_profiles(store, settings, today, progress.reporter(context))
        work.computed = True
    for report in changes.enriched:
        context.log.info(report.message)
    for sentence in changes.left:
        context.log.warning(sentence)
    return dg.MaterializeResult(
        metadata={
            "profiles": len(changes.labels),
            "sources_added": len(changes.enriched),
            "sources_withdrawn": len(changes.withdrawn),
            "left_as_they_are": list(changes.left),
            "people": dg.MetadataValue.md(bullets(changes.labels, "nobody")),
        }
    )
