"""From measured faces to the sets of one video: thin joins around `core`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import polars as pl

from identity_pipeline.core.camera.head_frame import UNKNOWN, Zero, in_head_frame, zero_for
from identity_pipeline.core.faces.angles import in_frame, without_frame
from identity_pipeline.core.faces.buckets import assign_buckets
from identity_pipeline.core.faces.gates import regate
from identity_pipeline.core.geometry import FrameSize
from identity_pipeline.core.imagesets.candidates import export_crops, gather, with_emphasis
from identity_pipeline.core.imagesets.decided import NOTHING, DecidedPictures
from identity_pipeline.core.imagesets.moments import find_moments
from identity_pipeline.core.imagesets.portrait import with_scores
from identity_pipeline.core.tracks.memory_bank import Bank
from identity_pipeline.core.tracks.stability import NO_BANKS, measure_stability
from identity_pipeline.core.video.highlights import Emphasis
from identity_pipeline.models.spaces import same_space
from identity_pipeline.settings import Settings
from identity_pipeline.storage.cameras.editions import Edition
from identity_pipeline.tables import BOX, IN_FRAME, TABLES


@dataclass(frozen=True)
class Measurements:
    """All that was measured of one video's faces, as the tables of that name.

    Of a set of photographs `ride_video` is the table `photo_set`.
    """

    ride_video: pl.DataFrame
    face_detections: pl.DataFrame
    face_quality: pl.DataFrame
    face_landmarks: pl.DataFrame
    identity_stability: pl.DataFrame
    face_buckets: pl.DataFrame
    moments: pl.DataFrame
    vision_embeddings: pl.DataFrame | None = None

    @property
    def frame_size(self) -> FrameSize:
        """(width, height) of the upright video, or of each photograph."""
        return frame_sizes(self.ride_video)


def frame_size(ride_video: pl.DataFrame) -> tuple[int, int]:
    """(width, height) of the upright video."""
    return int(ride_video["width"][0]), int(ride_video["height"][0])


def frame_sizes(shown: pl.DataFrame) -> FrameSize:
    """(width, height) of the upright video, or of each photograph that could be read.

    Args:
        shown: table `ride_video` or `photo_set`.
    """
    if "frame_idx" not in shown.columns:
        return frame_size(shown)
    known = shown.drop_nulls("width").select("frame_idx", "width", "height")
    return {number: (width, height) for number, width, height in known.iter_rows()}


def stability_of(
    rider_faces: pl.DataFrame,
    embeddings: pl.DataFrame,
    quality: pl.DataFrame,
    landmarks: pl.DataFrame,
    settings: Settings,
    banks: Mapping[int, Bank] = NO_BANKS,
) -> pl.DataFrame:
    """The table `identity_stability`.

    Args:
        rider_faces: result of `riders.rider_faces`.
        embeddings: every identity vector of the video.
        quality: table `face_quality`.
        landmarks: table `face_landmarks`.
        settings: thresholds.
        banks: of riders who are known from elsewhere (`stages.library.banks`).

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
    return measure_stability(faces, settings.stability, banks)


def buckets_of(
    landmarks: pl.DataFrame,
    quality: pl.DataFrame,
    settings: Settings,
    decided: DecidedPictures = NOTHING,
    zeros: Mapping[int, Zero] = MappingProxyType({}),
) -> pl.DataFrame:
    """The table `face_buckets`; bins that humans corrected are theirs.

    Args:
        landmarks: table `face_landmarks`.
        quality: table `face_quality`.
        settings: `buckets`.
        decided: what humans decided on these pictures.
        zeros: where each rider looks ahead; none where the camera is not known.
    """
    faces = landmarks.join(
        quality.select("face_id", "luma_mean", "clipped_share"), on="face_id", how="left"
    )
    if zeros:
        faces = in_head_frame(faces, zeros, settings.buckets)
    binned = assign_buckets(faces, settings.buckets, decided.bins)
    if not zeros:
        return binned
    framed = faces.filter("framed").select("face_id", *IN_FRAME)
    return binned.drop(IN_FRAME).join(framed, on="face_id", how="left", maintain_order="left")


def zeros_of(model: Edition, riders: pl.DataFrame) -> dict[int, Zero]:
    """Where each rider looks ahead, by rider: of their seat or of the camera.

    Args:
        model: of the video's camera.
        riders: table `riders`, whose seats are of the same model.

    Raises:
        DamagedFileError: the model is not what was written.
    """
    seats = riders.drop_nulls("person_id").select("person_id", "seat").iter_rows()
    table = model.table("camera_pose_zero")
    found = {person: zero_for(table, seat) for person, seat in seats}
    return {person: zero for person, zero in found.items() if zero != UNKNOWN}


@dataclass(frozen=True)
class Highlighted:
    """The highlights of a video, and when it begins.

    Attributes:
        emphasis: None where it has none.
        first_ms: time of its first frame.
    """

    emphasis: Emphasis | None = None
    first_ms: float = 0.0

    def weigh(self, faces: pl.DataFrame) -> pl.DataFrame:
        """Faces with the weight and the bonus of their highlight."""
        return with_emphasis(faces, self.emphasis, self.first_ms)


def moments_of(
    ride_video: pl.DataFrame,
    detections: pl.DataFrame,
    quality: pl.DataFrame,
    tracks: pl.DataFrame,
    landmarks: pl.DataFrame,
    buckets: pl.DataFrame,
    highlights: Highlighted,
    settings: Settings,
    decided: DecidedPictures = NOTHING,
) -> pl.DataFrame:
    """The table `moments`.

    Args:
        ride_video: table `ride_video`; of photographs `photo_set`.
        detections: table `face_detections`.
        quality: table `face_quality`.
        tracks: table `face_tracks`.
        landmarks: table `face_landmarks`.
        buckets: table `face_buckets`.
        highlights: of the video.
        settings: gates, crops, moments.
        decided: what humans decided on these pictures.
    """
    gated = regate(quality, landmarks, settings.quality)
    crops = export_crops(landmarks, detections, frame_sizes(ride_video), settings.export)
    faces = (
        in_frame(landmarks, buckets)
        .drop("relative_sharpness")
        .join(gated.drop("frame_idx", "occlusion"), on="face_id")
        .join(without_frame(buckets).drop("frame_idx", "person_id"), on="face_id")
        .join(tracks.select("face_id", "track_id"), on="face_id")
        .join(detections.select("face_id", "timestamp_ms", *BOX), on="face_id")
        .join(crops, on="face_id")
    )
    return find_moments(
        highlights.weigh(with_scores(faces)),
        settings.moments,
        settings.buckets,
        settings.selection,
        decided,
        _rejected_within_s(decided, settings),
    )


def _rejected_within_s(decided: DecidedPictures, settings: Settings) -> float:
    """Read only where it matters: else it is in no cache key."""
    return settings.pictures.rejected_within_s if decided.rejected else 0.0


def candidates_of(
    observed: Measurements,
    settings: Settings,
    highlights: Highlighted = Highlighted(),
    decided: DecidedPictures = NOTHING,
) -> pl.DataFrame:
    """The table `candidates`: what the selection looks at."""
    gathered = gather(
        observed.identity_stability,
        regate(observed.face_quality, observed.face_landmarks, settings.quality),
        observed.face_landmarks,
        observed.face_buckets,
        observed.moments,
        observed.face_detections,
        observed.vision_embeddings,
        observed.frame_size,
        settings.export,
        decided,
        _rejected_within_s(decided, settings),
    )
    return highlights.weigh(gathered).select(TABLES["candidates"].keys())


def faces_to_see(
    observed: Measurements, settings: Settings, decided: DecidedPictures = NOTHING
) -> pl.DataFrame:
    """The faces that earn a vision embedding: shortlisted, usable, stable, and fit for export."""
    wanted = candidates_of(observed, settings, decided=decided).filter(
        pl.col("standing") == "candidate"
    )
    boxes = observed.face_landmarks.select("face_id", r"^smooth_.*$")
    return wanted.select("face_id", "frame_idx", "person_id").join(boxes, on="face_id", how="inner")
