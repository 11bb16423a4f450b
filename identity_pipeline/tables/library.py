"""Tables of the identity library: per video (templates, pairs, samples) and of the whole."""

from __future__ import annotations

from typing import Final

import polars as pl

from identity_pipeline.tables.base import COSINE, STRINGS, VECTOR, Table

TABLES: Final[dict[str, Table]] = {
    "track_templates": Table(
        {
            "track_key": pl.String,  # track:{video_id}:{track_id}
            "video_id": pl.String,
            "track_id": pl.Int64,
            "rider": pl.Int64,  # 0, 1 in its video; null: no rider
            "face_count": pl.Int64,  # embedded, usable faces
            "quality": pl.Float32,  # mean quality_score
            "first_frame": pl.Int64,
            "last_frame": pl.Int64,
            "frames": pl.List(pl.Int64),  # sampled frames in which the track has a face
            "best_face_id": pl.String,
            "best_frame": pl.Int64,
            "box": VECTOR,  # x1, y1, x2, y2 of the best face
            "spread": pl.Float32,  # 1 - norm of the mean of its unit vectors
            "space": pl.String,
            "template": VECTOR,  # L2-normalised, quality-weighted mean
        },
        "track_key",
    ),
    "calibration_pairs": Table(
        {
            "space": pl.String,
            "level": pl.String,
            "kind": pl.String,  # genuine, impostor, cohort
            "source": pl.String,  # track, same_frame, labelled, cohort
            "left": pl.String,  # what is resampled: a track, or two tracks that share a frame
            "right": pl.String,
            "left_video": pl.String,
            "right_video": pl.String,
            "score": pl.Float64,  # cosine
        },
        ranges={"score": COSINE},
    ),
    "face_samples": Table(
        {
            "track_key": pl.String,
            "video_id": pl.String,
            "space": pl.String,
            "e_id": VECTOR,
        }
    ),
    "calibration": Table(
        {
            "space": pl.String,
            "camera": pl.String,  # null: all cameras together
            "level": pl.String,  # face, probe, template
            "name": pl.String,  # exclude, suggest, assign
            "far": pl.Float64,
            "threshold": pl.Float64,  # measured, for one reference; null: too little is known
            "low": pl.Float64,  # bootstrap interval by track
            "high": pl.Float64,
            "in_effect": pl.Float64,  # measured (assign: safe end), pinned or default; null: none
            "default": pl.Float64,  # null: there is none at this level
            "method": pl.String,  # counted, tail_fit, pinned, default, not_measured
            "reason": pl.String,  # why it is not measured
            "far_bound": pl.Float64,  # upper bound of the rate at in_effect, of one comparison
            "far_counted": pl.Float64,  # by counting known impostors alone, without a model
            "safe_mean": pl.Float64,  # upper confidence ends, of Fisher z
            "safe_scale": pl.Float64,
            "safe_from": pl.String,  # known, cohort
            "fnmr": pl.Float64,  # share of genuine pairs below the threshold in effect
            "genuine_pairs": pl.Int64,
            "genuine_tracks": pl.Int64,  # pairs of tracks, for labelled ones
            "genuine_mean": pl.Float64,
            "genuine_p05": pl.Float64,
            "genuine_p01": pl.Float64,
            "impostor_pairs": pl.Int64,
            "impostor_groups": pl.Int64,  # independent pairs of tracks
            "impostor_from": pl.String,  # known, cohort; null: none
            "impostor_max": pl.Float64,  # of the known ones
            "known_groups": pl.Int64,  # independent known impostor pairs
            "mean": pl.Float64,  # of Fisher z = artanh(cosine)
            "scale": pl.Float64,
            "dof": pl.Float64,
            "top": pl.List(pl.Float64),  # largest impostor cosines, descending
            "exceedances": pl.Int64,
        },
        later=(
            *("far_bound", "far_counted", "safe_mean", "safe_scale", "safe_from"),
            *("genuine_p01", "known_groups"),
        ),
    ),
    "person_references": Table(
        {
            "person_id": pl.String,
            "reference": pl.String,  # track_key of an exemplar, "centre:{n}"
            "kind": pl.String,  # exemplar, centre
            "pinned": pl.Boolean,
            "track_keys": pl.List(pl.String),  # what it is made of
            "strength": pl.Float32,  # 1 for an exemplar, length of the mean for a centre
            "quality": pl.Float32,
            "space": pl.String,
            "vector": VECTOR,  # unit
        }
    ),
    "people": Table(
        {
            "person_id": pl.String,  # UUID
            "name": pl.String,
            "state": pl.String,  # active, hidden
            "cover": pl.String,  # a subject
            "track_count": pl.Int64,
            "face_count": pl.Int64,
            "video_count": pl.Int64,
            "videos": STRINGS,
        },
        "person_id",
    ),
    "person_assignments": Table(
        {
            "track_key": pl.String,
            "video_id": pl.String,
            "track_id": pl.Int64,
            "rider": pl.Int64,
            "state": pl.String,  # known, suggested, unknown, noise, ignored, not_a_face
            "person_id": pl.String,
            "cluster_id": pl.Int64,
            "display": pl.String,  # person_{uuid}, unknown_cluster_{n}, unknown_noise_{face_id}
            "origin": pl.String,  # human, auto, suggestion_accepted; null for unknown
            "score": pl.Float32,
            "margin": pl.Float32,  # over the runner-up
            "runner_up": pl.String,  # person_id
            "rule": pl.String,  # stable code
            "threshold": pl.Float32,
            "reference_count": pl.Int64,  # templates of the person
            "nearest": STRINGS,  # track_keys
        },
        "track_key",
    ),
    "unknown_clusters": Table(
        {
            "cluster_id": pl.Int64,  # kept between runs, never used again
            "track_count": pl.Int64,
            "face_count": pl.Int64,
            "video_count": pl.Int64,
            "confidence": pl.Float32,  # mean pairwise cosine
            "representative": pl.String,  # track_key
            "tracks": STRINGS,
        },
        "cluster_id",
    ),
    "training_set": Table(
        {
            "person_id": pl.String,
            "track_key": pl.String,
            "video_id": pl.String,
            "face_id": pl.String,
            "split": pl.String,  # train, held_out
            "quality": pl.Float32,
            "space": pl.String,
            "e_id": VECTOR,
        }
    ),
    "suggestions": Table(
        {
            "suggestion_id": pl.String,  # hash of track_key and person_id
            "track_key": pl.String,
            "person_id": pl.String,
            "score": pl.Float32,
            "state": pl.String,  # pending, accepted, rejected, expired
            "first_seen": pl.String,  # ISO date
            "expires": pl.String,
            "evidence": pl.Float32,  # score when it was rejected
        },
        "suggestion_id",
    ),
    "video_copies": Table(
        {
            "video_id": pl.String,  # a copy
            "copy_of": pl.String,  # the video that counts in its place
            "linked_to": pl.String,  # the video it resembles most; of the same ride
            "likeness": pl.Float64,  # to that one: share of equal signs, see core.video.copies
            "offset_ms": pl.Float64,  # added to its time, gives that of the other
            "common_ms": pl.Float64,  # how long both show the same
            "decided": STRINGS,  # its tracks on which a human decided something
            "stands_for": STRINGS,  # the track that has each decision; null: its own one
        },
        "video_id",
    ),
}
LIBRARY_TABLES: Final = (
    "calibration",
    "person_references",
    "people",
    "person_assignments",
    "unknown_clusters",
    "suggestions",
    "video_copies",
)
"""Tables of the whole library, without a video."""
