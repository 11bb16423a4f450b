"""Jobs. One run of `per_video` is one video: models load once, and its steps share them."""

from __future__ import annotations

import dagster as dg

from identity_pipeline.defs.instance.partitions import person_datasets, photo_sets, videos
from identity_pipeline.stages.specs.assets import (
    DATASETS,
    LIBRARY,
    OPERATE,
    PHOTO_SPECS,
    REPORTS,
    VIDEO_SPECS,
)

per_video = dg.define_asset_job(
    "per_video",
    selection=dg.AssetSelection.assets(*VIDEO_SPECS),
    partitions_def=videos,
    executor_def=dg.in_process_executor,
    description="From one ride video to the image sets of its riders.",
)

per_photo_set = dg.define_asset_job(
    "per_photo_set",
    selection=dg.AssetSelection.assets(*PHOTO_SPECS),
    partitions_def=photo_sets,
    executor_def=dg.in_process_executor,
    description="From photographs of a person to what the library compares.",
)

datasets = dg.define_asset_job(
    "datasets",
    selection=dg.AssetSelection.groups(DATASETS),
    partitions_def=person_datasets,
    executor_def=dg.in_process_executor,
    description="A person's pictures over all rides, as a consumer reads them.",
)

library = dg.define_asset_job(
    "library",
    selection=dg.AssetSelection.groups(LIBRARY)
    | dg.AssetSelection.assets("head_embeddings", "library_report"),
    executor_def=dg.in_process_executor,
    description="Who is who across all videos: matches the known, groups the unknown.",
)

learn = dg.define_asset_job(
    "learn",
    selection=dg.AssetSelection.assets("training_set", "projection_head", "head_evaluation"),
    executor_def=dg.in_process_executor,
    description="A head from the labels: trained, judged, and live only if it is better.",
)

nightly = dg.define_asset_job(
    "nightly",
    selection=library.selection | dg.AssetSelection.groups(REPORTS),
    executor_def=dg.in_process_executor,
    description="The library, the profiles and all reports, once a day.",
)

retention = dg.define_asset_job(
    "retention",
    selection=dg.AssetSelection.groups(OPERATE),
    executor_def=dg.in_process_executor,
    description="What lies on the disk, and what may go.",
)

publish = dg.define_asset_job(
    "publish",
    selection=dg.AssetSelection.assets("published"),
    executor_def=dg.in_process_executor,
    description="Finished videos and the library, copied to an object store.",
)

ALL_JOBS = [per_video, per_photo_set, datasets, library, learn, nightly, retention, publish]
