"""Group `measure`: one row per face, from its quality to what a vision model sees in it.

Identity embeddings (who) and vision embeddings (what is new) are never mixed.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import dagster as dg
import polars as pl

from identity_pipeline.core.tracks.riders import rider_faces
from identity_pipeline.core.tracks.tracking import build_tracks
from identity_pipeline.core.vectors import all_embeddings
from identity_pipeline.defs.checks import video as check
from identity_pipeline.defs.display import metadata, pictures, ride_pictures
from identity_pipeline.defs.resources.decorators import checked_video_asset, video_asset
from identity_pipeline.defs.resources.steps import VideoStep
from identity_pipeline.storage.video.chunks import ChunkStore
from identity_pipeline.tables import empty


@video_asset
def face_quality(step: VideoStep) -> dg.MaterializeResult:
    """The measured quality vector of every face, and the strict and the loose gate with reasons."""
    from identity_pipeline.stages.imagesets.curate import frame_size
    from identity_pipeline.stages.video.measure import measure_quality

    inputs = step.inputs
    return step.table(
        lambda: measure_quality(
            inputs["face_detections"],
            inputs.crops,
            frame_size(inputs["ride_video"]),
            step.settings,
            step.reporter(),
        ),
        lambda table: pictures.describe_quality(table, inputs.crops),
    )


@checked_video_asset(check.follows_its_ride)
def ride_phases(step: VideoStep) -> Iterator[dg.MaterializeResult]:
    """Where on the ride of its camera each frame is; nothing where the ride is not known."""
    from identity_pipeline.stages.video.ride_phases import ride_tables

    # A name, so that one may be made without the other.
    wanted = {key.path[-1] for key in step.context.selected_asset_keys}
    made = lru_cache(lambda: ride_tables(step.inputs["frames"], step.ride, step.pinned.camera))
    with step.heartbeat():
        for name in (spec.key for spec in step.specs if spec.key in wanted):
            yield step.table(
                lambda name=name: made()[name], ride_pictures.DESCRIBED[name], asset=name
            )


@video_asset
def face_embeddings(step: VideoStep) -> dg.MaterializeResult:
    """`e_id` of the witnesses of each tracklet, and of all between two that do not agree."""
    from identity_pipeline.stages.video.witnesses import embed_witnesses

    inputs = step.inputs

    def compute(chunks: ChunkStore) -> pl.DataFrame:
        return embed_witnesses(
            inputs["face_detections"],
            inputs["face_quality"],
            inputs.crops,
            step.models.face_pack,
            step.settings,
            step.reporter(),
            chunks,
        )

    def describe(table: pl.DataFrame) -> dict[str, object]:
        return metadata.numbers(
            {
                "embedded": table.height,
                "refused_by_the_gate": (table["because"] == "witness").sum(),
                "left_out": inputs["face_detections"].height - table.height,
                "space": table["space"][0] if table.height else None,
            }
        )

    return step.chunked(compute, describe)


@checked_video_asset(check.counts_agree)
def face_tracks(step: VideoStep) -> dg.MaterializeResult:
    """Identity-aware tracks: contaminated tracklets split, fragments of one person stitched."""
    inputs = step.inputs
    return step.table(
        lambda: build_tracks(
            inputs["face_detections"],
            inputs["face_embeddings"],
            step.settings.tracking,
            inputs["frames"].filter("scene_cut")["frame_idx"].to_list(),
        ),
        pictures.describe_tracks,
    )


@checked_video_asset(check.somebody_rides)
def riders(step: VideoStep) -> dg.MaterializeResult:
    """The one or two riders, from left to right, and for every other track why it is none."""
    from identity_pipeline.stages.video.riding import riders_of

    inputs = step.inputs
    return step.table(
        lambda: riders_of(step.camera, step.ride, inputs.__getitem__, step.settings),
        lambda table: pictures.describe_riders(
            table, inputs["frames"], inputs["face_tracks"], step.all_settings
        ),
    )


@video_asset
def face_landmarks(step: VideoStep) -> dg.MaterializeResult:
    """Landmarks, head pose, eyes, mouth, smile and occlusion of the riders' usable faces."""
    from identity_pipeline.stages.video.measure import Nets, measure_landmarks, smoothed_boxes

    inputs, settings = step.inputs, step.settings

    def compute(chunks: ChunkStore) -> pl.DataFrame:
        faces = rider_faces(inputs["face_tracks"], inputs["riders"])
        boxes = smoothed_boxes(faces, inputs["face_detections"], settings)
        quality = inputs["face_quality"]
        usable = boxes.join(quality.filter("loose").select("face_id"), on="face_id")
        nets = Nets(step.models.face_pack, step.models.perception, step.models.cover)
        reporter = step.reporter()
        return measure_landmarks(usable, inputs.crops, nets, quality, settings, reporter, chunks)

    return step.chunked(compute, lambda table: pictures.describe_landmarks(table, inputs.crops))


@video_asset
def face_buckets(step: VideoStep) -> dg.MaterializeResult:
    """Pose, expression, occlusion and lighting bins of the riders' usable faces."""
    from identity_pipeline.stages.imagesets.curate import buckets_of, zeros_of

    inputs = step.inputs
    return step.table(
        lambda: buckets_of(
            inputs["face_landmarks"],
            inputs["face_quality"],
            step.settings,
            step.decided,
            zeros_of(step.camera, inputs["riders"]) if step.camera else {},
        ),
        pictures.describe_buckets,
    )


@checked_video_asset(check.like_its_camera)
def camera_view(step: VideoStep) -> Iterator[dg.MaterializeResult]:
    """What a video says of its camera: the models of cameras are made of this alone."""
    from identity_pipeline.stages.video.camera_view import camera_view as view_of

    # A name, so that one may be made without the others.
    wanted = {key.path[-1] for key in step.context.selected_asset_keys}
    table_of = step.inputs.__getitem__
    with step.heartbeat():
        for name in (spec.key for spec in step.specs if spec.key in wanted):
            yield step.table(
                lambda name=name: view_of(name, table_of, step.settings),
                lambda table: metadata.numbers({"rows": table.height}),
                asset=name,
            )


@video_asset
def moments(step: VideoStep) -> dg.MaterializeResult:
    """Runs of a rider's faces that show the same, their best face, and which may become images."""
    from identity_pipeline.stages.imagesets.curate import Highlighted, moments_of

    inputs = step.inputs
    return step.table(
        lambda: moments_of(
            inputs["ride_video"],
            inputs["face_detections"],
            inputs["face_quality"],
            inputs["face_tracks"],
            inputs["face_landmarks"],
            inputs["face_buckets"],
            Highlighted(step.emphasis, step.first_ms),
            step.settings,
            step.decided,
        ),
        lambda table: pictures.describe_moments(table, inputs.crops),
    )


@video_asset
def moment_embeddings(step: VideoStep) -> dg.MaterializeResult:
    """`e_id` of the best faces of moments that may become images, but for the witnesses' own."""
    from identity_pipeline.stages.video.measure import embed_faces, faces_of_moments

    inputs = step.inputs

    def compute(chunks: ChunkStore) -> pl.DataFrame:
        wanted = faces_of_moments(inputs["moments"], inputs["face_embeddings"])
        pack, asset = step.models.face_pack, "moment_embeddings"
        report = step.reporter()
        return embed_faces(wanted, inputs.crops, pack, step.settings, report, chunks, asset)

    def describe(table: pl.DataFrame) -> dict[str, object]:
        listed = inputs["moments"].filter(pl.col("shortlisted")).height
        return metadata.numbers(
            {
                "embedded": table.height,
                "known_as_witnesses": listed - table.height,
                "left_out": inputs["moments"].height - listed,
                "space": table["space"][0] if table.height else None,
            }
        )

    return step.chunked(compute, describe)


@video_asset
def identity_stability(step: VideoStep) -> dg.MaterializeResult:
    """Each rider's prototype (a medoid), and which faces surely are that rider."""
    from identity_pipeline.stages.imagesets.curate import stability_of
    from identity_pipeline.stages.library.banks import banks_of

    inputs = step.inputs

    def compute() -> pl.DataFrame:
        embeddings = all_embeddings(inputs["face_embeddings"], inputs["moment_embeddings"])
        return stability_of(
            rider_faces(inputs["face_tracks"], inputs["riders"]),
            embeddings,
            inputs["face_quality"],
            inputs["face_landmarks"],
            step.settings,
            banks_of(step.stores, step.teachers, embeddings["space"], step.settings),
        )

    return step.table(compute, pictures.describe_stability)


@video_asset
def vision_embeddings(step: VideoStep) -> dg.MaterializeResult:
    """`e_vis_face` and `e_vis_body` of the shortlisted faces that are stable and fit for export."""
    from identity_pipeline.stages.imagesets.curate import Measurements, faces_to_see
    from identity_pipeline.stages.video.measure import embed_views

    inputs, settings = step.inputs, step.settings

    def compute(chunks: ChunkStore) -> pl.DataFrame:
        observed = Measurements(
            inputs["ride_video"],
            inputs["face_detections"],
            inputs["face_quality"],
            inputs["face_landmarks"],
            inputs["identity_stability"],
            # Which bucket a face falls into is in its moment; more is not asked of it here.
            empty("face_buckets"),
            inputs["moments"],
        )
        wanted = faces_to_see(observed, settings, step.decided)
        face, body = step.models.vision, step.models.vision_body
        return embed_views(wanted, inputs.crops, face, body, settings, step.reporter(), chunks)

    def describe(table: pl.DataFrame) -> dict[str, object]:
        return metadata.numbers(
            {
                "embedded": table.height,
                "left_out": inputs["identity_stability"].height - table.height,
                "space": table["space"][0] if table.height else None,
                "body_space": table["body_space"][0] if table.height else None,
            }
        )

    return step.chunked(compute, describe)
