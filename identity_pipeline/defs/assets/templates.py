"""Group `templates`: what the library needs of one video, and the video's points in the index."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import polars as pl

from identity_pipeline.core.vectors import all_embeddings
from identity_pipeline.defs.display import library_pictures as pictures
from identity_pipeline.defs.display.metadata import numbers
from identity_pipeline.defs.resources.decorators import video_asset
from identity_pipeline.defs.resources.steps import VideoStep
from identity_pipeline.stages.specs.assets import TEMPLATE_TABLES
from identity_pipeline.stages.specs.cache_key import fingerprint
from identity_pipeline.storage.video.embeddings import IDENTITY_TABLES
from identity_pipeline.storage.video.tables import Manifest


@video_asset
def templates(step: VideoStep) -> Iterator[dg.MaterializeResult]:
    """What the library needs of a video: templates, calibration pairs, samples."""
    from identity_pipeline.stages.library.spaces import tables_of_video, templates_of_video

    made: dict[str, pl.DataFrame] = {}

    def table(name: str) -> pl.DataFrame:
        if not made:
            vectors = all_embeddings(*step.inputs.of(*IDENTITY_TABLES).values())
            video = tables_of_video(step.video_id, vectors, step.inputs.__getitem__)
            made.update(templates_of_video(video, step.settings))
        return made[name]

    with step.heartbeat():
        for name in TEMPLATE_TABLES:
            yield step.table(lambda name=name: table(name), pictures.describe_rows, asset=name)


@video_asset
def face_index(step: VideoStep) -> dg.MaterializeResult:
    """This video's points in the vector index: its templates and its exported images."""
    return indexed(step)


def indexed(step: VideoStep) -> dg.MaterializeResult:
    """Brings the points of a video or a photo set into the index, for the asset of the step."""
    from identity_pipeline.stages.library.indexing import sync_video

    (asset,) = (spec.key for spec in step.specs)
    # No pool: it would hold a slot as long as the whole run. The index has a lock of its own.
    index = step.stores.index(step.settings)
    with step.healing(), step.heartbeat():
        parts = step.key_parts(asset)
        with index.open(f"indexing {step.video_id}", write=True) as session:
            done = sync_video(step.stores, session, step.video_id)
        step.computed(asset, parts)
        # There is no table; the note says that the index was brought in step with these inputs.
        key = fingerprint(parts)
        points = Manifest(key, key, done.written + done.unchanged)
        step.store.note(asset, step.video_id, points)
    reused = not (done.written or done.removed)
    return dg.MaterializeResult(asset_key=asset, metadata={"reused": reused, **numbers(vars(done))})
