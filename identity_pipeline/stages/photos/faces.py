"""From the photographs of a set to the same tables that a ride has, so that all else reads both.

Picture n is frame n, a minute after the one before it, so that no two are of one moment. Track 0,
which is rider 0, holds the faces that are the person (`core.tracks.photo_choice`); no other face
has a track. What is measured of a face is measured by the stages of rides.

What differs: pictures have sizes of their own, every chosen picture is a moment that may become an
image, the prototype is the medoid of as few as one face, and no gate holds a picture's sharpness
against the person's other ones: they are of other cameras, and sharp enough is sharp enough.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol

import polars as pl

from identity_pipeline.core.faces.gates import regate
from identity_pipeline.core.tracks.photo_choice import (
    PHOTOGRAPHS,
    REASONS,
    THE_PERSON,
    Choice,
    Limits,
    choose_faces,
)
from identity_pipeline.core.tracks.riders import rider_faces
from identity_pipeline.core.tracks.stability import measure_stability
from identity_pipeline.media.stills import Still
from identity_pipeline.models.face_cover import FaceCover
from identity_pipeline.models.face_mesh import FaceMesh
from identity_pipeline.models.face_pack import FacePack
from identity_pipeline.models.vision_encoder import VisionEncoder
from identity_pipeline.settings import Settings
from identity_pipeline.stages.imagesets.curate import (
    Highlighted,
    Measurements,
    buckets_of,
    candidates_of,
    faces_to_see,
    frame_sizes,
    moments_of,
)
from identity_pipeline.stages.photos.looking import faces_of_still
from identity_pipeline.stages.photos.reading import stills_of
from identity_pipeline.stages.progress.protocol import Progress, silent
from identity_pipeline.stages.video.detect import UNTRACKED, found_faces
from identity_pipeline.stages.video.measure import (
    Nets,
    embed_faces,
    embed_views,
    measure_landmarks,
    measure_quality,
    smoothed_boxes,
)
from identity_pipeline.storage.photos.photo_sets import PhotoSet, PhotoSets
from identity_pipeline.storage.video.crop_archive import CropArchive, part_in, write_part
from identity_pipeline.tables import TABLES, conform, empty

MINUTE_MS: Final = 60_000.0
"""Between two pictures: longer than any distance in time that a selection keeps."""
FAULTS: Final = ("score_low", "cut_off", "blurred")
"""Why the loose gate refuses a face before its landmarks are known, in the order it is told."""


class Models(Protocol):
    """What looks at photographs; `models.hub.ModelHub` is one."""

    @property
    def face_pack(self) -> FacePack:
        """Detector and recogniser."""
        ...

    @property
    def perception(self) -> FaceMesh | None:
        """Face mesh, or none."""
        ...

    @property
    def cover(self) -> FaceCover | None:
        """What is before a face, or none."""
        ...

    @property
    def vision(self) -> VisionEncoder:
        """Vision encoder of the face."""
        ...

    @property
    def vision_body(self) -> VisionEncoder:
        """Vision encoder of the upper body."""
        ...


@dataclass(frozen=True)
class _Seen:
    """The faces of all pictures of a set, before anybody was chosen."""

    detections: pl.DataFrame
    quality: pl.DataFrame
    embeddings: pl.DataFrame
    faults: pl.DataFrame


def measure_photos(
    photo_set: PhotoSet,
    pictures: pl.DataFrame,
    photos: PhotoSets,
    folder: Path,
    models: Models,
    settings: Settings,
    progress: Progress = silent,
) -> dict[str, pl.DataFrame]:
    """Looks at every picture of a set that could be read, and measures the person's faces.

    One picture that cannot be used never ends the set.

    Args:
        photo_set: which set.
        pictures: table `photo_set`.
        photos: where sets are kept.
        folder: an empty one, which becomes the crop archive of the set.
        models: what looks at them.
        settings: gates, crops, buckets, `photos`.
        progress: called per picture, then per face.

    Returns:
        By name `photo_faces` and the tables that a ride has of its faces.
    """
    archive = CropArchive(folder)
    seen = _look(photo_set, pictures, photos, archive, models.face_pack, settings, progress)
    limits = Limits(
        settings.photos.dominant_times,
        settings.stability.stable_min,
        settings.photos.lead,
    )
    read = pictures.filter(pl.col("status") == "read")["frame_idx"].to_list()
    choices = choose_faces(_to_choose(seen), read, limits)
    chosen = sorted(c.face_id for c in choices.values() if c.face_id is not None)
    tracks = _tracks(seen, chosen)
    riders = _riders(seen, tracks, pictures, len(read))
    of_person = _of_person(seen, tracks, riders, pictures, archive, models, settings, progress)
    return {
        "photo_faces": _photo_faces(pictures, seen, choices),
        "face_detections": seen.detections.with_columns(
            tracklet_id=pl.when(pl.col("face_id").is_in(chosen)).then(pl.lit(THE_PERSON))
        ),
        "face_quality": seen.quality,
        "face_embeddings": seen.embeddings,
        "face_tracks": tracks,
        "riders": riders,
        "moment_embeddings": empty("moment_embeddings"),
        **of_person,
    }


def _look(
    photo_set: PhotoSet,
    pictures: pl.DataFrame,
    photos: PhotoSets,
    archive: CropArchive,
    pack: FacePack,
    settings: Settings,
    progress: Progress,
) -> _Seen:
    """Finds, cuts, measures and recognises all faces of a set."""
    found = list(_found(photo_set, photos, archive, pack, settings, progress))
    detections = pl.DataFrame(found, schema=UNTRACKED)
    sizes = frame_sizes(pictures)
    quality = measure_quality(detections, archive, sizes, settings, progress)
    faults = quality.select("face_id", fault=_fault(settings.photos.min_face_px))
    wanted = (
        detections.select("face_id", "frame_idx")
        .join(faults.filter(pl.col("fault").is_null()), on="face_id", maintain_order="left")
        .select("face_id", "frame_idx", because=pl.lit("usable"))
    )
    embeddings = embed_faces(wanted, archive, pack, settings, progress)
    return _Seen(detections, quality, embeddings, faults)


def _found(
    photo_set: PhotoSet,
    photos: PhotoSets,
    archive: CropArchive,
    pack: FacePack,
    settings: Settings,
    progress: Progress,
) -> Iterator[dict[str, object]]:
    """The faces of one picture after the other; those of each are a part of the archive."""
    parts = 0
    for picture, still in stills_of(photo_set, photos, settings):
        if isinstance(still, Still):
            finds = faces_of_still(still.bgr, pack, settings)
            at = picture.number * MINUTE_MS
            faces, crops = found_faces(picture.number, at, still.bgr, finds, settings.crops)
            if crops:
                write_part(part_in(archive.folder, parts), crops)
                parts += 1
            yield from faces
        progress("photo_faces", picture.number, len(photo_set.pictures), "pictures")


def _fault(min_face_px: float) -> pl.Expr:
    """Why a face is nobody's, as `photo_choice.REASONS` names it; null where it may be the person.

    A face that the loose gate refuses for its looks is refused here for the same reason.
    """
    fails = pl.col("loose_fails")
    told = pl.when(pl.col("face_px") < min_face_px).then(pl.lit("too_small"))
    for code in FAULTS:
        told = told.when(fails.list.contains(code)).then(pl.lit(code))
    return told.otherwise(None)


def _to_choose(seen: _Seen) -> pl.DataFrame:
    area = (pl.col("x2") - pl.col("x1")) * (pl.col("y2") - pl.col("y1"))
    return (
        seen.detections.select("face_id", "frame_idx", area=area)
        .join(seen.faults, on="face_id", how="left", maintain_order="left")
        .join(seen.embeddings.select("face_id", "e_id"), on="face_id", how="left")
    )


def _tracks(seen: _Seen, chosen: list[str]) -> pl.DataFrame:
    """The table `face_tracks`: the person's faces alone."""
    return seen.detections.filter(pl.col("face_id").is_in(chosen)).select(
        "face_id",
        "frame_idx",
        tracklet_id=pl.lit(THE_PERSON, pl.Int64),
        track_id=pl.lit(THE_PERSON, pl.Int64),
        track_cos=pl.lit(None, pl.Float32),
        stitch_cos=pl.lit(None, pl.Float32),
        split=pl.lit(value=False),
        parted_cos=pl.lit(None, pl.Float32),
    )


def _riders(seen: _Seen, tracks: pl.DataFrame, pictures: pl.DataFrame, read: int) -> pl.DataFrame:
    """The table `riders`: one track, which nothing was weighed for."""
    if not tracks.height:
        return empty("riders")
    faces = (
        tracks.select("face_id")
        .join(seen.detections, on="face_id")
        .join(seen.quality.select("face_id", "area_share"), on="face_id")
        .join(pictures.select("frame_idx", "width", "height"), on="frame_idx")
    )
    row = faces.select(
        face_count=pl.len().cast(pl.Int64),
        presence=pl.len() / read,
        mean_area_share=pl.col("area_share").cast(pl.Float64).mean(),
        mean_centre_x_norm=((pl.col("x1") + pl.col("x2")) / 2 / pl.col("width")).mean(),
        mean_centre_y_norm=((pl.col("y1") + pl.col("y2")) / 2 / pl.col("height")).mean(),
        first_ms=pl.col("timestamp_ms").min(),
        last_ms=pl.col("timestamp_ms").max(),
    ).with_columns(
        track_id=pl.lit(THE_PERSON, pl.Int64),
        person_id=pl.lit(THE_PERSON, pl.Int64),
        reason=pl.lit(PHOTOGRAPHS),
        **{
            name: pl.lit(None, pl.Float32)
            for name in ("track_score", "size_score", "centre_score", "length_score")
        },
        **{name: pl.lit(None, pl.Int64) for name in ("seat", "row")},
    )
    return conform("riders", row)


def _of_person(
    seen: _Seen,
    tracks: pl.DataFrame,
    riders: pl.DataFrame,
    pictures: pl.DataFrame,
    archive: CropArchive,
    models: Models,
    settings: Settings,
    progress: Progress,
) -> Mapping[str, pl.DataFrame]:
    """The tables of the person's faces alone."""
    person = rider_faces(tracks, riders)
    boxes = smoothed_boxes(person, seen.detections, settings)
    nets = Nets(models.face_pack, models.perception, models.cover)
    landmarks = measure_landmarks(boxes, archive, nets, seen.quality, settings, progress)
    buckets = buckets_of(landmarks, seen.quality, settings)
    moments = moments_of(
        pictures,
        seen.detections,
        seen.quality,
        tracks,
        landmarks,
        buckets,
        Highlighted(),
        settings,
    ).with_columns(shortlisted=pl.lit(value=True))  # somebody took the picture for what it shows
    # Gates pass what is not measured; how sharp a face is among the others still ranks it.
    gated = landmarks.with_columns(relative_sharpness=pl.lit(None, pl.Float32))
    stability = _stability(person, seen, gated, settings)
    observed = Measurements(
        pictures,
        seen.detections,
        seen.quality,
        gated,
        stability,
        buckets,
        moments,
    )
    vision = empty("vision_embeddings")
    if settings.phases.vision:
        vision = embed_views(
            faces_to_see(observed, settings),
            archive,
            models.vision,
            models.vision_body,
            settings,
            progress,
        )
    return {
        "face_landmarks": landmarks,
        "face_buckets": buckets,
        "moments": moments,
        "identity_stability": stability,
        "vision_embeddings": vision,
        "candidates": candidates_of(replace(observed, vision_embeddings=vision), settings),
    }


def _stability(
    person: pl.DataFrame, seen: _Seen, landmarks: pl.DataFrame, settings: Settings
) -> pl.DataFrame:
    """The table `identity_stability`: each face against the medoid of the set's best.

    Somebody chose the pictures, so one strict face is a prototype, or any face where none is.
    """
    gated = regate(seen.quality, landmarks, settings.quality)
    faces = (
        person.select("face_id", "frame_idx", "person_id")
        .join(gated.select("face_id", "strict"), on="face_id", how="left")
        .join(landmarks.select("face_id", "yaw"), on="face_id", how="left")
        .join(seen.embeddings.select("face_id", "e_id"), on="face_id", how="left")
        .with_columns(strict=pl.col("strict") | ~pl.col("strict").any())
    )
    return measure_stability(faces, settings.stability.model_copy(update={"min_strict_frames": 1}))


def _photo_faces(
    pictures: pl.DataFrame, seen: _Seen, choices: Mapping[int, Choice]
) -> pl.DataFrame:
    """The table `photo_faces`, one row for each picture."""
    found = seen.detections.group_by("frame_idx").len().rows()
    usable = seen.embeddings.group_by("frame_idx").len().rows()
    largest = seen.quality.group_by("frame_idx").agg(pl.col("face_px").max()).rows()
    counts, usable_counts, largest_px = dict(found), dict(usable), dict(largest)
    px = dict(seen.quality.select("face_id", "face_px").iter_rows())
    rows = []
    for number, name, reason, sentence in pictures.select(
        "frame_idx", "name", "reason", "sentence"
    ).iter_rows():
        choice = choices.get(number)
        row: dict[str, Any] = {"frame_idx": number, "name": name}
        if choice is None:
            row |= {"status": "left_out", "reason": reason, "sentence": sentence}
        else:
            row |= {
                "status": "left_out" if choice.face_id is None else "chosen",
                "reason": choice.reason,
                "sentence": None if choice.reason is None else f"{REASONS[choice.reason]}.",
                "face_id": choice.face_id,
                "face_count": counts.get(number, 0),
                "usable_count": usable_counts.get(number, 0),
                "face_px": px.get(choice.face_id or "", largest_px.get(number)),
                "fit": choice.fit,
                "rival_fit": choice.rival_fit,
            }
        rows.append(row)
    return pl.DataFrame(rows, schema=TABLES["photo_faces"])
