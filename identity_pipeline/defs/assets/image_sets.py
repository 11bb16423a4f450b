"""Group `image_sets`: candidates, the selection, the four sets, the export, the frame ledger."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import dagster as dg
import polars as pl

from identity_pipeline.core.imagesets import anchors, challenge, image_sets, pairs
from identity_pipeline.core.imagesets import frame_ledger as ledger
from identity_pipeline.core.imagesets import selection as select
from identity_pipeline.defs.assets.detect import registered
from identity_pipeline.defs.checks import consent
from identity_pipeline.defs.checks import video as check
from identity_pipeline.defs.display import pictures
from identity_pipeline.defs.resources.decorators import checked_video_asset, video_asset
from identity_pipeline.defs.resources.steps import VideoStep
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.video.failures import FailureNotes
from identity_pipeline.storage.video.set_versions import note_version
from identity_pipeline.storage.video.tables import MissingTableError
from identity_pipeline.tables import SET_ASSETS

ANCHORS, COVERAGE, CHALLENGE, PAIRS = SET_ASSETS


@video_asset
def candidates(step: VideoStep) -> dg.MaterializeResult:
    """Every rider face with all that was observed, its export crop, and how far it got."""
    from identity_pipeline.stages.imagesets.curate import Highlighted, Measurements, candidates_of

    inputs = step.inputs

    def compute() -> pl.DataFrame:
        observed = Measurements(
            inputs["ride_video"],
            inputs["face_detections"],
            inputs["face_quality"],
            inputs["face_landmarks"],
            inputs["identity_stability"],
            inputs["face_buckets"],
            inputs["moments"],
            inputs["vision_embeddings"],
        )
        highlighted = Highlighted(step.emphasis, step.first_ms)
        return candidates_of(observed, step.settings, highlighted, step.decided)

    return step.table(compute, lambda table: pictures.describe_counts(table, "standing"))


def _set_of(
    step: VideoStep, name: str, build: Callable[[pl.DataFrame], pl.DataFrame]
) -> dg.MaterializeResult:
    """A set that is chosen from the candidates up to the stop, where it cuts."""
    inputs = step.inputs
    return step.table(
        lambda: build(select.open_candidates(inputs["candidates"], step.settings.selection)),
        lambda table: pictures.describe_set(table, inputs.crops, name),
    )


@video_asset
def anchor_set(step: VideoStep) -> dg.MaterializeResult:
    """Three to five portraits of each rider: the best ones of the ride that are apart in time."""
    return _set_of(
        step, "anchor", lambda opened: anchors.build_anchor_set(opened, step.settings.selection)
    )


@video_asset
def pair_set(step: VideoStep) -> dg.MaterializeResult:
    """Frames in which both riders are good, well apart, and the largest by far."""
    from identity_pipeline.stages.imagesets.curate import frame_size

    inputs, settings = step.inputs, step.settings.selection
    return step.table(
        lambda: pairs.build_pair_set(
            select.until_the_stop(inputs["candidates"], settings),
            [inputs[ANCHORS]],
            inputs["face_detections"],
            frame_size(inputs["ride_video"]),
            settings,
        ),
        lambda table: pictures.describe_set(table, inputs.crops, "pair"),
    )


@video_asset
def selection(step: VideoStep) -> dg.MaterializeResult:
    """The decision on every candidate of the ride: save, add or reject, with reason and rival."""
    inputs = step.inputs
    return step.table(
        lambda: select.select(
            inputs["candidates"], inputs[ANCHORS], inputs[PAIRS], step.settings.selection
        ),
        lambda table: pictures.describe_selection(table, inputs["candidates"], step.all_settings),
    )


@video_asset
def coverage_set(step: VideoStep) -> dg.MaterializeResult:
    """The best image, at most two, of every pose and expression bucket."""
    inputs = step.inputs
    return _set_of(
        step,
        "coverage",
        lambda opened: image_sets.build_coverage_set(
            opened,
            inputs["selection"],
            inputs[ANCHORS],
            inputs[PAIRS],
            step.settings.selection,
        ),
    )


@video_asset
def challenge_set(step: VideoStep) -> dg.MaterializeResult:
    """Five to eight images of every kind of difficulty that are surely the same person."""
    return _set_of(
        step,
        "challenge",
        lambda opened: challenge.build_challenge_set(
            opened,
            [*step.inputs.of(ANCHORS, COVERAGE).values()],
            step.inputs[PAIRS],
            step.settings.selection,
        ),
    )


@checked_video_asset(check.export_is_complete, check.every_image_is_proved, consent.shown_consent)
def identity_dataset(step: VideoStep) -> dg.MaterializeResult:
    """The exported folder: images re-cut at native resolution, metadata, contact sheets, a page."""
    from identity_pipeline.stages.imagesets.dataset import VideoTables, write_dataset
    from identity_pipeline.stages.imagesets.provenance import (
        KnownCamera,
        KnownRide,
        provenance_of,
    )
    from identity_pipeline.stages.specs.exported import version_of

    inputs, settings, video_id = step.inputs, step.all_settings, step.video_id
    layout = step.store.layout
    target = layout.export(video_id)
    tables = VideoTables(
        ride_video=inputs["ride_video"],
        frames=inputs["frames"],
        face_detections=inputs["face_detections"],
        face_tracks=inputs["face_tracks"],
        riders=inputs["riders"],
        observed=inputs["candidates"],
        selection=inputs["selection"],
        moments=inputs["moments"],
        sets=inputs.of(*SET_ASSETS),
        ride_phases=inputs["ride_phases"] if step.ride else None,
    )

    def compute() -> pl.DataFrame:
        # It prints the digest of all settings; those that shape it are in its cache key.
        of_ride = (video_id, tables.ride_video, tables.frames, step.models, settings)
        phases, camera = tables.ride_phases, KnownCamera.of(step.pinned)
        known = None
        if phases is not None:
            known = KnownRide.of(step.pinned, phases, tables.observed, step.settings)
        origin = provenance_of(*of_ride, step.highlights, step.consents, camera, known)
        source = registered(step.store, video_id).existing_path()
        crops, pack, reporter = inputs.crops, step.models.face_pack, step.reporter()
        made_with = (crops, pack, origin, step.settings, step.redaction)
        return write_dataset(target, source, tables, *made_with, reporter).files

    def note() -> None:
        files = step.store.read("identity_dataset", video_id)
        note_version(layout, video_id, version_of(files))

    # The sets that were there, too: of an export that is older than its versions there is none yet.
    with suppress(DamagedFileError, MissingTableError):
        note()
    result = step.table(
        compute, lambda table: pictures.describe_dataset(table, target, tables, settings)
    )
    note()
    FailureNotes(layout).clear(video_id)
    return result


@checked_video_asset(check.every_face_is_accounted_for)
def frame_ledger(step: VideoStep) -> dg.MaterializeResult:
    """What became of every face: one state, one reason, and what would have changed it."""
    from identity_pipeline.stages.specs.exported import not_shown, shown_sets

    inputs = step.inputs
    sets, files = inputs.of(*SET_ASSETS), inputs["identity_dataset"]
    return step.table(
        lambda: ledger.build_ledger(
            inputs["face_detections"],
            inputs["face_tracks"],
            inputs["riders"],
            inputs["candidates"],
            inputs["selection"],
            shown_sets(sets, files, inputs["candidates"]),
            not_shown(sets, files),
            step.settings,
        ),
        pictures.describe_ledger,
    )
