"""From measured faces to the sets of one video: thin joins around `core`."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from identity_pipeline.core.faces.buckets import assign_buckets
from identity_pipeline.core.faces.gates import regate
from identity_pipeline.core.imagesets.candidates import gather
from identity_pipeline.core.tracks.stability import measure_stability
from identity_pipeline.models.spaces import same_space
from identity_pipeline.settings import Settings


@dataclass(frozen=True)
class Measurements:
    """All that was measured of one video's faces, as the tables of that name."""

    ride_video: pl.DataFrame
    face_detections: pl.DataFrame
    face_quality: pl.DataFrame
    face_landmarks: pl.DataFrame
    identity_stability: pl.DataFrame
    face_buckets: pl.DataFrame
    vision_embeddings: pl.DataFrame | None = None

    @property
    def frame_size(self) -> tuple[int, int]:
        """(width, height) of the upright video."""
        return frame_size(self.ride_video)


def frame_size(ride_video: pl.DataFrame) -> tuple[int, int]:
    """(width, height) of the upright video."""
    return int(ride_video["width"][0]), int(ride_video["height"][0])


def stability_of(
    rider_faces: pl.DataFrame,
    embeddings: pl.DataFrame,
    quality: pl.DataFrame,
    landmarks: pl.DataFrame,
    settings: Settings,
) -> pl.DataFrame:
    """The table `identity_stability`.

    Args:
        rider_faces: result of `riders.rider_faces`.
        embeddings: table `face_embeddings`.
        quality: table `face_quality`.
        landmarks: table `face_landmarks`.
        settings: thresholds.

    Raises:
        SpaceMismatchError: the embeddings are of two spaces.
    """
    if embeddings.height:
        same_space(*embeddings["space"].unique().to_list())
    gated = regate(quality, landmarks, settings.quality)
    faces = (
        rider_faces.select("face_id", "frame_idx", "person_id")
        .join(gated.select("face_id", "strict"), on="face_id", how="left")
        .join(landmarks.select("face_id", "yaw"), on="face_id", how="left")
        .join(embeddings.select("face_id", "e_id"), on="face_id", how="left")
    )
    return measure_stability(faces, settings.stability)


def buckets_of(landmarks: pl.DataFrame, quality: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """The table `face_buckets`."""
    faces = landmarks.join(
        quality.select("face_id", "luma_mean", "clipped_share"), on="face_id", how="left"
    )
    return assign_buckets(faces, settings.buckets)


def candidates_of(observed: Measurements, settings: Settings) -> pl.DataFrame:
    """The table `candidates`: what the selection looks at."""
    return gather(
        observed.identity_stability,
        regate(observed.face_quality, observed.face_landmarks, settings.quality),
        observed.face_landmarks,
        observed.face_buckets,
        observed.face_detections,
        observed.vision_embeddings,
        observed.frame_size,
        settings.export,
    )


def faces_to_see(observed: Measurements, settings: Settings) -> pl.DataFrame:
    """The faces that earn a vision embedding: usable, stable, and fit to be exported."""
    wanted = candidates_of(observed, settings).filter(pl.col("standing") == "candidate")
    boxes = observed.face_landmarks.select("face_id", r"^smooth_.*$")
    return wanted.select("face_id", "frame_idx", "person_id").join(boxes, on="face_id", how="inner")
