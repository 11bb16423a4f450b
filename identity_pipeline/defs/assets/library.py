"""Group `library`: who is who, across all videos.

People, assignments, clusters and suggestions change together, so one step makes them and puts them
in force at once.
"""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from identity_pipeline.defs.display import camera_pictures, ride_pictures
from identity_pipeline.defs.display import library_pictures as pictures
from identity_pipeline.defs.instance.jobs import nightly
from identity_pipeline.defs.instance.preflight import check_folder, check_numbers
from identity_pipeline.defs.resources.decorators import library_asset
from identity_pipeline.defs.resources.steps import LibraryStep
from identity_pipeline.media.markdown import bullets
from identity_pipeline.tables import LIBRARY_TABLES


@library_asset
def identity_library(step: LibraryStep) -> Iterator[dg.MaterializeResult]:
    """Known people matched, unknown people grouped, from all templates and all decisions."""
    from identity_pipeline.stages.library.recompute import recompute
    from identity_pipeline.stages.library.spaces import settings_of_library

    check_folder(step.context, step.store, step.settings)
    check_numbers(step.context, step.stores, step.settings)
    with step.working() as work:
        # What is kept between two runs is held against everything once a night.
        whole = step.context.job_name == nightly.name
        done = recompute(step.stores, step.settings, step.now(), step.reporter(), whole=whole)
        work.computed = not done.reused
    if done.reused:
        step.context.log.info("library: unchanged templates, decisions and settings; reused")
    for sentence in pictures.warnings(done):
        step.context.log.warning(sentence)
    settings = settings_of_library(step.stores, step.settings)
    shown = pictures.describe_library(step.store, done, settings)
    for name in LIBRARY_TABLES:
        yield dg.MaterializeResult(
            asset_key=name,
            data_version=dg.DataVersion(done.generation.fingerprint[:16]),
            metadata={"reused": done.reused, **shown[name]},
        )


@library_asset
def identity_profiles(step: LibraryStep) -> dg.MaterializeResult:
    """Exact statistics of each known person, enriched by every confirmed video, once."""
    from identity_pipeline.stages.library.profiles import sync_profiles

    with step.working() as work:
        changes = sync_profiles(step.stores, step.settings, step.now(), step.reporter())
        work.computed = True
    for report in changes.enriched:
        step.context.log.info(report.message)
    for sentence in changes.left:
        step.context.log.warning(sentence)
    return dg.MaterializeResult(
        metadata={
            "profiles": len(changes.labels),
            "sources_added": len(changes.enriched),
            "sources_withdrawn": len(changes.withdrawn),
            "left_as_they_are": list(changes.left),
            "people": dg.MetadataValue.md(bullets(changes.labels, "nobody")),
        }
    )


@library_asset
def kmeans_heads(step: LibraryStep) -> dg.MaterializeResult:
    """At most three centres of each known person's confirmed faces, and how well they recognise."""
    from identity_pipeline.stages.library.kmeans_heads import train_kmeans_heads
    from identity_pipeline.stages.library.kmeans_summary import summary

    with step.working() as work:
        trained = train_kmeans_heads(step.stores, step.settings, step.now(), step.reporter())
        work.computed = trained.heads is not None and not trained.reused
        work.units = len(trained.heads.people) if trained.heads else 0
    for message in trained.messages:
        step.context.log.info(message)
    return dg.MaterializeResult(
        metadata={
            "reused": trained.reused,
            "people": len(trained.heads.people) if trained.heads else 0,
            "summary": dg.MetadataValue.md(summary(trained)),
        },
    )


@library_asset
def ride_template(step: LibraryStep) -> dg.MaterializeResult:
    """The course that the rides of each camera have in common, its phases, and foreign videos.

    Made of twenty videos of a version of the camera, and anew when their number has doubled.
    """
    from identity_pipeline.stages.library.camera_lessons import learn_rides

    with step.working() as work:
        known = learn_rides(step.store, step.settings)
        work.computed = any(each.made for each in known)
    for each in known:
        if each.damage:
            step.context.log.warning(each.damage)
    return dg.MaterializeResult(metadata=ride_pictures.describe_rides(known))


@library_asset
def camera_model(step: LibraryStep) -> dg.MaterializeResult:
    """What the videos of each camera teach: pose zero, seats, reachable cells, usual values.

    Made of twenty videos of a version, and anew when their number has doubled.
    """
    from identity_pipeline.stages.library.camera_lessons import learn_models
    from identity_pipeline.storage.cameras.cameras import Cameras

    with step.working() as work:
        known = learn_models(step.store, step.settings)
        work.computed = any(each.made for each in known)
    for each in known:
        if each.damage:
            step.context.log.warning(each.damage)
    told = camera_pictures.describe_models(known, Cameras(step.store.layout))
    return dg.MaterializeResult(metadata=told)
