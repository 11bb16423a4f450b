"""One Polars schema per table that passes between assets: columns, dtypes, units.

What belongs here: the shape of tables at rest, and what must hold of their rows. What does not: how
they are computed (`core`) or where they lie (`storage`).

Conventions. Boxes are `x1, y1, x2, y2` in float pixels of the source after its rotation. Angles
are degrees: yaw > 0 nose to the image's right, pitch > 0 up, roll > 0 clockwise in the image.
Times are milliseconds of the stream's own clock. Null means "not measured", never zero.
`face_id` is `{frame_idx:06d}-{n}`, n counting the faces of a frame from left to right.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import polars as pl

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.tables import camera, library, photos, ride
from identity_pipeline.tables.base import (
    BOX,
    COUNT,
    FACE,
    KEY_POINTS,
    REASONS,
    SHARE,
    STRINGS,
    VECTOR,
    Range,
    Schema,
    Table,
)
from identity_pipeline.tables.library import LIBRARY_TABLES

__all__ = [
    "BOX",
    "FACE",
    "IN_FRAME",
    "KEY_POINTS",
    "LIBRARY_TABLES",
    "REASONS",
    "SCORES",
    "SET_ASSETS",
    "STRINGS",
    "TABLES",
    "VECTOR",
    "Schema",
    "SchemaError",
    "Table",
    "conform",
    "empty",
    "with_later_columns",
    "without_unused",
]

IN_FRAME: Final = ("yaw", "pitch", "yaw_zero", "pitch_level")
"""Columns of `face_buckets` that are null where its video's camera is not known."""
SCORES: Final[Schema] = dict.fromkeys(
    (
        *("score_eyes", "score_mouth", "score_view", "score_light", "score_sharp", "score_pose"),
        *("score_alone", "portrait_score", "picture_score"),
    ),
    pl.Float32,
)
"""What a face is worth as a picture, in [0, 1], and its parts: see core.imagesets.portrait."""
EMBEDDING: Final[Schema] = {
    **FACE,
    "space": pl.String,
    "because": pl.String,  # "usable" or "witness": whether it passes the loose gate
    "e_id": VECTOR,  # L2-normalised
}
SIZE: Final[Range] = (1.0, 65535.0)
"""Of a video, in pixels."""
TABLES: Final[dict[str, Table]] = {
    "ride_video": Table(
        {
            "video_id": pl.String,
            "path": pl.String,
            "sha256": pl.String,
            "size_bytes": pl.Int64,
            "container": pl.String,
            "codec": pl.String,
            "stream_index": pl.Int64,  # of the video that is looked at, among all streams
            "coded_width": pl.Int64,  # px, as they are coded
            "coded_height": pl.Int64,
            "sample_aspect_ratio": pl.String,  # width:height of a coded pixel
            "width": pl.Int64,  # px as shown: square and upright
            "height": pl.Int64,
            "mirrored": pl.Boolean,  # left to right, before the rotation
            "rotation": pl.Int64,  # degrees counter-clockwise to apply, 0 to 359
            "interlaced": pl.Boolean,
            "pixel_format": pl.String,
            "bit_depth": pl.Int64,
            "matrix": pl.String,  # this and the next three as ffprobe names them; null: not said
            "transfer": pl.String,
            "primaries": pl.String,
            "range": pl.String,  # tv (limited) or pc (full)
            "average_fps": pl.Float64,  # null when the container does not say
            "time_base": pl.Float64,  # s
            "duration_ms": pl.Float64,  # null when the container does not say
            "warnings": STRINGS,  # what to know of how it was read, in sentences
        },
        "video_id",
        ranges={"width": SIZE, "height": SIZE, "duration_ms": COUNT},
        later=(
            *("stream_index", "coded_width", "coded_height", "sample_aspect_ratio", "mirrored"),
            *("interlaced", "pixel_format", "bit_depth", "matrix", "transfer", "primaries"),
            *("range", "warnings"),
        ),
    ),
    "frames": Table(
        {
            "frame_idx": pl.Int64,  # decode order in the source, from 0
            "pts": pl.Int64,
            "timestamp_ms": pl.Float64,
            "luma_mean": pl.Float32,  # 0-255
            "luma_p05": pl.Float32,
            "luma_p50": pl.Float32,
            "luma_p95": pl.Float32,
            "clipped_share": pl.Float32,  # > 250
            "crushed_share": pl.Float32,  # < 5
            "sharpness": pl.Float32,  # variance of the Laplacian of the luma at 640 px width
            "scene_cut": pl.Boolean,  # cut between the previous sampled frame and this one
            "scene_correlation": pl.Float32,  # null for the first frame and for flat ones
            "decode_error": pl.String,  # damaged data, other size, clock; null: all was well
            "face_count": pl.Int64,
            "look_hash": pl.Binary,  # see core.video.copies.frame_hash; null for a flat frame
            "sampling_fps": pl.Float32,  # 1/s, that held here; null: video.analysis_fps throughout
        },
        "frame_idx",
        later=("look_hash",),
        optional=("sampling_fps",),
    ),
    "face_detections": Table(
        {
            **FACE,
            "timestamp_ms": pl.Float64,
            **BOX,
            "score": pl.Float32,
            **KEY_POINTS,
            "tracklet_id": pl.Int64,
        },
        "face_id",
        ranges={"score": SHARE},
    ),
    "face_quality": Table(
        {
            **FACE,
            "sharpness": pl.Float32,  # see core.faces.quality
            "face_px": pl.Float32,  # longer side of the box
            "area_share": pl.Float32,  # of the frame
            "outside_share": pl.Float32,  # of the box
            "luma_mean": pl.Float32,
            "contrast": pl.Float32,  # standard deviation of the luma
            "clipped_share": pl.Float32,  # of the oval of the face: see core.faces.quality
            "crushed_share": pl.Float32,
            "noise": pl.Float32,  # standard deviation, 0-255
            "score": pl.Float32,
            "occlusion": pl.Float32,  # null until the landmarks are known
            "relative_sharpness": pl.Float32,  # null until the riders are known
            "quality_score": pl.Float32,
            "strict": pl.Boolean,
            "loose": pl.Boolean,
            "strict_fails": REASONS,
            "loose_fails": REASONS,
            "unmeasured": REASONS,
        },
        "face_id",
        ranges={"score": SHARE},
    ),
    "face_embeddings": Table(EMBEDDING, "face_id"),
    "moment_embeddings": Table(EMBEDDING, "face_id"),
    "face_tracks": Table(
        {
            **FACE,
            "tracklet_id": pl.Int64,
            "track_id": pl.Int64,
            "track_cos": pl.Float32,  # to the mean of its track; null when not embedded
            "stitch_cos": pl.Float32,  # weakest join that brought its fragment in; null if none
            "split": pl.Boolean,  # its tracklet was found contaminated and split
            # to the mean of whom its track was parted from after a false join; null if from nobody
            "parted_cos": pl.Float32,
        },
        "face_id",
        later=("parted_cos",),
    ),
    "riders": Table(
        {
            "track_id": pl.Int64,
            "person_id": pl.Int64,  # 0, 1 from left to right; null for tracks that are no rider
            "reason": pl.String,  # "rider" or why not
            "track_score": pl.Float32,
            "size_score": pl.Float32,
            "centre_score": pl.Float32,
            "length_score": pl.Float32,
            "face_count": pl.Int64,
            "presence": pl.Float32,  # share of the sampled frames
            "mean_area_share": pl.Float32,
            "mean_centre_x_norm": pl.Float32,
            "mean_centre_y_norm": pl.Float32,
            "first_ms": pl.Float64,
            "last_ms": pl.Float64,
            "seat": pl.Int64,  # of the camera's seats (camera_seats); null: none is known
            "row": pl.Int64,  # of that seat, from 0 at the front
        },
        "track_id",
        optional=("seat", "row"),
    ),
    "face_landmarks": Table(
        {
            **FACE,
            "person_id": pl.Int64,
            "smooth_x1": pl.Float32,
            "smooth_y1": pl.Float32,
            "smooth_x2": pl.Float32,
            "smooth_y2": pl.Float32,
            "landmark_source": pl.String,  # see models.face_pack; or key_points_5
            "landmarks": VECTOR,  # x, y[, z] of each point in source pixels, flattened
            "pose_source": pl.String,
            "yaw": pl.Float32,
            "pitch": pl.Float32,
            "roll": pl.Float32,
            "pose_error": pl.Float32,  # of the fit, over the face size; null where not a fit
            "yaw_raw": pl.Float32,  # of the mesh's rotation; this and the next two: core.faces
            "pitch_raw": pl.Float32,  # .mesh_pose; null where no mesh posed the face
            "pitch_level": pl.Float32,  # the person's own, which was taken off pitch
            "eye_ratio": pl.Float32,  # raw lid gap over eye width
            "mouth_ratio": pl.Float32,  # raw inner lip gap over inner mouth width
            "mouth_width": pl.Float32,  # over the distance of the outer eye corners
            "mouth_dark": pl.Float32,  # this and the next five: see core.faces.mouth
            "mouth_height": pl.Float32,
            "mouth_lift": pl.Float32,
            "mouth_drop": pl.Float32,
            "mouth_tilt": pl.Float32,
            "mouth_shift": pl.Float32,
            "brow_height": pl.Float32,  # see core.faces.brows
            "eyes_source": pl.String,  # iris, face_mesh, another net or landmarks; null: none tells
            "lid_gap_left": pl.Float32,  # of the image-left eye; these seven: see core.faces.eyes
            "lid_gap_right": pl.Float32,
            "lid_gap": pl.Float32,
            "lid_height_left": pl.Float32,
            "lid_height_right": pl.Float32,
            "gaze_offset": pl.Float32,  # eye widths, > 0 to the image's right
            "eye_px": pl.Float32,  # width of an eye
            "lid_ratio": pl.Float32,  # mean lid gap over the person's own with open eyes
            "eyes": pl.String,  # closed, lowered, open, unknown
            "wink": pl.Boolean,  # one lid is down; null: not told
            "gaze_aside": pl.Boolean,  # the eyes do not look where the nose points
            "expression_source": pl.String,  # of mouth and smile; null: none tells
            "eye_open": pl.Float32,  # below 0.3 the eyes are closed
            "mouth_open": pl.Float32,  # from 0.3 the mouth is open
            "smile": pl.Float32,  # from 0.3 the face smiles
            "occlusion": pl.Float32,  # share of the face that is covered
            "occlusion_source": pl.String,  # face_cover; null: unmeasured
            "cover_beside": pl.Float32,  # share of a side, beside the usual: core.faces.occlusion
            "eye_left_there": pl.Float32,  # how surely the picture's left eye is seen, open or shut
            "eye_right_there": pl.Float32,
            "relative_sharpness": pl.Float32,  # over the person's own median in this video
            "surround_luma": pl.Float32,  # of the stored region around the face, 0-255
        },
        "face_id",
        later=(
            *("mouth_tilt", "mouth_shift", "brow_height", "surround_luma", "cover_beside"),
            *("mouth_dark", "mouth_height", "mouth_lift", "mouth_drop", "eyes_source"),
            "lid_gap_left",
            *("lid_gap_right", "lid_gap", "lid_height_left", "lid_height_right", "gaze_offset"),
            *("eye_px", "lid_ratio", "eyes", "wink", "gaze_aside"),
            *("eye_left_there", "eye_right_there", "yaw_raw", "pitch_raw", "pitch_level"),
        ),
    ),
    "identity_stability": Table(
        {
            **FACE,
            "person_id": pl.Int64,
            "stable_score": pl.Float32,  # cosine to what stands for the person; null without one
            "rival_score": pl.Float32,  # cosine to what stands for the other rider
            "margin": pl.Float32,
            "stable": pl.Boolean,
            "is_prototype": pl.Boolean,
            "reason": pl.String,  # "stable" or why not
            "judged_by": pl.String,  # bank: that of a known rider; null: the medoid of the ride
        },
        "face_id",
        optional=("judged_by",),
    ),
    "face_buckets": Table(
        {
            **FACE,
            "person_id": pl.Int64,
            "yaw_bin": pl.String,  # "[15,30)", "beyond", "unknown"
            "pitch_bin": pl.String,
            "expression_bin": pl.String,
            "occlusion_bin": pl.String,
            "lighting_bin": pl.String,
            "yaw_key": pl.Int64,  # edge farthest from zero; null when beyond or unknown
            "pitch_key": pl.Int64,
            "bucket_key": pl.String,  # null when beyond or unknown
            # Of a face whose bins a human corrected: axis:measured, of each axis. Null of others.
            "measured_bins": STRINGS,
            # By which it is binned, where the camera is known: in the person-and-camera frame.
            "yaw": pl.Float32,
            "pitch": pl.Float32,
            "yaw_zero": pl.Float32,  # of the camera or the seat, taken off yaw; null: nothing was
            "pitch_level": pl.Float32,  # the person's own, seen from there, taken off pitch
        },
        "face_id",
        later=("measured_bins",),
        optional=IN_FRAME,
    ),
    "moments": Table(
        {
            **FACE,
            "person_id": pl.Int64,
            "moment_id": pl.Int64,  # counts the moments of the video by track and time
            "representative_face_id": pl.String,  # the best face of the moment
            "representative": pl.Boolean,  # it is this one
            "rank": pl.Int64,  # 1: the representative; null: its bins are not the moment's
            "shortlisted": pl.Boolean,  # may become an image; null: no representative
            **SCORES,
        },
        "face_id",
        ranges=dict.fromkeys(SCORES, SHARE),
    ),
    "vision_embeddings": Table(
        {
            **FACE,
            "person_id": pl.Int64,
            "space": pl.String,
            "e_vis_face": VECTOR,
            "e_vis_body": VECTOR,
            "look": VECTOR,  # the aligned face itself, small: see core.imagesets.novelty.look_of
            "body_space": pl.String,  # of e_vis_body; null where it was always that of e_vis_face
        },
        "face_id",
        later=("body_space",),
    ),
    "selection": Table(
        {
            **FACE,
            "person_id": pl.Int64,
            "timestamp_ms": pl.Float64,
            "bucket_key": pl.String,
            "decision": pl.String,  # save, add, reject; replace with selection.stop = "cut" alone
            "reason": pl.String,
            "rival_face_id": pl.String,  # the image it lost to, replaced, resembles or is close to
            "quality_score": pl.Float32,
            "rival_quality": pl.Float32,
            "picture": pl.Float32,  # picture_score and bonus: what faces of a bucket are ranked by
            "rival_picture": pl.Float32,
            "gain": pl.Float64,  # of the value, when it was chosen; null: it was not
            "novelty": pl.Float32,  # at the time of the decision
            "kept": pl.Boolean,  # chosen for the coverage
            "yaw_bins_filled": pl.Int64,  # in the replay in time order, up to this candidate
            "pitch_bins_filled": pl.Int64,
            "expression_bins_filled": pl.Int64,
            "recent_novelty": pl.Float32,
            "stop_reason": pl.String,  # of the person, the same on all its rows
            "stop_ms": pl.Float64,  # when growth ended; null: it never did
            "weight": pl.Float32,  # of its highlight, 1 outside; null: the video has no highlights
            "bonus": pl.Float32,  # that this adds to its quality where faces are compared
            "rival_bonus": pl.Float32,  # the same of the rival
        },
        "face_id",
        later=("picture", "rival_picture", "gain", "stop_ms"),
        optional=("weight", "bonus", "rival_bonus"),
    ),
    "image_set": Table(
        {
            **FACE,
            "person_id": pl.Int64,
            "timestamp_ms": pl.Float64,
            "image": pl.String,  # file stem in the export
            "rank": pl.Int64,  # from 1
            "kind": pl.String,  # of challenge, see core.imagesets.challenge; else null
            "quality_score": pl.Float32,
            "portrait_score": pl.Float32,  # as candidates
            "picture_score": pl.Float32,
            "novelty": pl.Float32,  # to the images chosen before it
            "stable_score": pl.Float32,
            "crop_x1": pl.Float32,
            "crop_y1": pl.Float32,
            "crop_x2": pl.Float32,
            "crop_y2": pl.Float32,
        },
        "face_id",
        "image",
        later=("portrait_score", "picture_score"),
    ),
    "frame_ledger": Table(
        {
            **FACE,
            "timestamp_ms": pl.Float64,
            "track_id": pl.Int64,
            "person_id": pl.Int64,
            "state": pl.String,  # see core.imagesets.frame_ledger.STATES
            "reason": pl.String,
            "value": pl.Float32,
            "threshold": pl.Float32,
            "rival_face_id": pl.String,
            "would_change": pl.String,  # one sentence
        },
        "face_id",
    ),
    "identity_dataset": Table(
        {
            "file": pl.String,  # relative to the export folder
            "type": pl.String,  # metadata, the set's name, or left_out: then no such file is there
            "person_id": pl.Int64,
            "face_id": pl.String,
            "sha256": pl.String,  # null for what is left out
            "size_bytes": pl.Int64,
            "left_out": pl.String,  # code and sentence of why the image is not exported
            "stands_for": pl.String,  # the chosen face, where another one of its moment is shown
            "stable_score": pl.Float32,  # of such a face, which no other table has
            "instead_of": pl.String,  # code and sentence of why the chosen one is not shown
            "crop_x1": pl.Float32,  # what the image shows of its frame
            "crop_y1": pl.Float32,
            "crop_x2": pl.Float32,
            "crop_y2": pl.Float32,
        },
        "file",
        later=(
            *("left_out", "stands_for", "stable_score", "instead_of"),
            *("crop_x1", "crop_y1", "crop_x2", "crop_y2"),
        ),
    ),
}

TABLES.update(library.TABLES)
TABLES.update(photos.TABLES)
TABLES.update(camera.TABLES)
TABLES.update(ride.RIDE_TABLES)


def _without(name: str, *columns: str) -> Schema:
    return {c: dtype for c, dtype in TABLES[name].items() if c not in columns}


TABLES["candidates"] = Table(
    {
        **_without("identity_stability", "reason"),
        "stability_reason": pl.String,
        **_without("face_quality", "face_id", "frame_idx", "occlusion"),
        "yaw": pl.Float32,  # in the frame of face_buckets
        "pitch": pl.Float32,
        "roll": pl.Float32,
        "yaw_camera": pl.Float32,  # as measured, where that is another frame; else null
        "pitch_camera": pl.Float32,
        "occlusion": pl.Float32,
        "eyes": pl.String,
        "wink": pl.Boolean,
        "gaze_aside": pl.Boolean,
        "gaze_offset": pl.Float32,
        "lid_ratio": pl.Float32,
        "mouth_open": pl.Float32,
        "smile": pl.Float32,
        "surround_luma": pl.Float32,
        **_without("face_buckets", "face_id", "frame_idx", "person_id", *IN_FRAME),
        "timestamp_ms": pl.Float64,
        **BOX,
        "crop_x1": pl.Float32,
        "crop_y1": pl.Float32,
        "crop_x2": pl.Float32,
        "crop_y2": pl.Float32,
        "crop_px": pl.Float32,  # side of the crop
        "neighbour_share": pl.Float32,  # of the crop that neighbours' heads cover
        "crop_reason": pl.String,
        "e_vis_face": VECTOR,
        "e_vis_body": VECTOR,
        "look": VECTOR,
        "standing": pl.String,  # "candidate" or what took it out: see core.imagesets.candidates
        "moment_id": pl.Int64,  # null: not usable, so of no moment
        "representative_face_id": pl.String,  # the best face of its moment
        **SCORES,
        "weight": pl.Float32,  # of its highlight, 1 outside; null: the video has no highlights
        "bonus": pl.Float32,  # that this adds to its worth where faces are compared
        "decided": pl.String,  # by a human, see core.imagesets.decided; null: nothing
        "anchor_place": pl.Int64,  # of a chosen anchor, from 1; 0: another one takes its place
        "human_place": pl.Int64,  # in the order that a human gave; null: not in it
    },
    "face_id",
    ranges={"score": SHARE, "neighbour_share": SHARE, **dict.fromkeys(SCORES, SHARE)},
    later=(
        *("eyes", "wink", "gaze_aside", "gaze_offset", "lid_ratio", "mouth_open", "smile"),
        "surround_luma",
        *("moment_id", "representative_face_id", *SCORES, "neighbour_share", "crop_px"),
        *("measured_bins", "decided", "anchor_place", "human_place"),
    ),
    optional=("weight", "bonus", "judged_by", "yaw_camera", "pitch_camera"),
)
SET_ASSETS: Final = ("anchor_set", "coverage_set", "challenge_set", "pair_set")
TABLES.update(dict.fromkeys(SET_ASSETS, TABLES["image_set"]))


class SchemaError(IdentityPipelineError, ValueError):
    """A table does not have the columns and dtypes of its schema."""


LATER: Final = {name: table.later for name, table in TABLES.items() if table.later}
"""Columns that tables of older versions lack; null, as not measured, where one is read."""


def with_later_columns(name: str, table: pl.DataFrame) -> pl.DataFrame:
    """A table that was read, with the columns that its version did not know as nulls."""
    lacking = [c for c in TABLES[name] if c in LATER.get(name, ()) and c not in table.columns]
    if not lacking:
        return table
    return table.with_columns(pl.lit(None, dtype=TABLES[name][c]).alias(c) for c in lacking)


def conform(name: str, table: pl.DataFrame, columns: Collection[str] | None = None) -> pl.DataFrame:
    """The table with exactly the columns of `TABLES[name]`, in order and cast to their dtypes.

    Args:
        name: of the table.
        table: to be checked.
        columns: of the schema that it is to have; all when None.

    Raises:
        SchemaError: a column is missing, superfluous, or cannot be cast.
    """
    schema = {c: d for c, d in TABLES[name].items() if columns is None or c in columns}
    missing, extra = schema.keys() - set(table.columns), set(table.columns) - schema.keys()
    if missing or extra:
        raise SchemaError(f"table {name}: missing {sorted(missing)}, superfluous {sorted(extra)}")
    if table.schema == pl.Schema(schema):
        return table
    try:
        return table.select(pl.col(c).cast(dtype, strict=True) for c, dtype in schema.items())
    except pl.exceptions.PolarsError as error:
        raise SchemaError(f"table {name}: {error}") from error


def without_unused(name: str, table: pl.DataFrame) -> pl.DataFrame:
    """A table that is about to be written, without the optional columns that no row has."""
    unused = [c for c in TABLES[name].optional if table[c].null_count() == table.height]
    return table.drop(unused)


def empty(name: str) -> pl.DataFrame:
    """The table with no rows."""
    return pl.DataFrame(schema=TABLES[name])
