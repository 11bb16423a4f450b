"""What the figures are computed from: truth and tables of all videos of one origin, joined.

What belongs here: the joined tables and how they say on what they rest. What does not: any figure.
Rows are sorted when the evidence is made, so that the order of the inputs changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from identity_pipeline.core.evaluation.matching import match_video
from identity_pipeline.core.evaluation.truth import ORIGIN_WORDS, Truth
from identity_pipeline.tables import BOX, SET_ASSETS

FACE_COLUMNS = {
    "face_detections": ("timestamp_ms", *BOX, "tracklet_id"),
    "face_quality": ("loose",),
    "face_tracks": ("track_id",),
    "face_landmarks": (
        "landmark_source", "landmarks", "yaw", "pitch", "roll",
        "eye_open", "mouth_open", "smile", "occlusion",
    ),
    "face_buckets": (
        "yaw_bin", "pitch_bin", "expression_bin", "occlusion_bin", "lighting_bin",
    ),
    "face_embeddings": ("space", "because", "e_id"),
    "vision_embeddings": ("vision_space", "e_vis_face"),
}  # fmt: skip
"""Columns that are looked up for every detected face, by table."""
NAMED = 12
"""So many clips are named in words; the table of videos has them all."""


@dataclass(frozen=True)
class VideoTables:
    """The tables of one video, by asset name, and its truth."""

    video: str
    truth: Truth
    tables: Mapping[str, pl.DataFrame]


@dataclass(frozen=True)
class Evidence:
    """All videos of one origin.

    Attributes:
        origin: `rendered` or `real`.
        truths: by video.
        outcomes: every true face and every detection of the sampled frames once: `video`, `kind`,
            `frame_idx`, `person`, `face_id`, `outcome`, `rider`, the `true_…` columns, and what the
            tables hold of the face; `track` is unique over all videos, `unit` too.
        seats: rows of `riders` that are a rider: `video`, `person_id`, `track_id`.
        images: faces of exported images: `video`, `set_name`, `image`, `person_id`, `face_id`.
        sampled: frames that were looked at, by video.
    """

    origin: str
    truths: Mapping[str, Truth]
    outcomes: pl.DataFrame
    seats: pl.DataFrame
    images: pl.DataFrame
    sampled: Mapping[str, int]

    @property
    def faces(self) -> pl.DataFrame:
        """Detected faces of which the truth says whose they are."""
        return self.outcomes.filter(
            pl.col("face_id").is_not_null() & pl.col("person").is_not_null()
        )

    def only(self, videos: Sequence[str]) -> Evidence:
        """The evidence of some of the videos."""
        chosen = pl.col("video").is_in(list(videos))
        return Evidence(
            origin=self.origin,
            truths={v: t for v, t in self.truths.items() if v in videos},
            outcomes=self.outcomes.filter(chosen),
            seats=self.seats.filter(chosen),
            images=self.images.filter(chosen),
            sampled={v: n for v, n in self.sampled.items() if v in videos},
        )

    def of_kind(self, kind: str) -> Evidence:
        """The evidence of the videos with one form of truth."""
        return self.only([video for video, truth in self.truths.items() if truth.kind == kind])

    @property
    def scope(self) -> str:
        """On what a figure rests, in words."""
        if not self.truths:
            return f"no {ORIGIN_WORDS[self.origin]}"
        riders = {person for truth in self.truths.values() for person in truth.people}
        others = set(self.outcomes["person"].drop_nulls()) - riders
        people = f"{len(riders)} rider{'s' * (len(riders) != 1)}"
        people += f" and {len(others)} bystander{'s' * (len(others) != 1)}" if others else ""
        clips = ORIGIN_WORDS[self.origin]
        clips = clips.removesuffix("s") if len(self.truths) == 1 else clips
        names = list(self.truths)
        more = [f"and {len(names) - NAMED} more"] if len(names) > NAMED else []
        return f"{len(names)} {clips} ({', '.join(names[:NAMED] + more)}), {people}"


def gather(origin: str, videos: Sequence[VideoTables]) -> Evidence:
    """Matches and joins the tables of all videos of one origin; at least one."""
    ordered = sorted(videos, key=lambda v: v.video)
    return Evidence(
        origin=origin,
        truths={v.video: v.truth for v in ordered},
        outcomes=pl.concat([_outcomes(v) for v in ordered], how="vertical"),
        seats=pl.concat([_seats(v) for v in ordered]),
        images=pl.concat([_images(v) for v in ordered]),
        sampled={v.video: v.tables["frames"].height for v in ordered},
    )


def _outcomes(video: VideoTables) -> pl.DataFrame:
    tables = dict(video.tables)
    tables["vision_embeddings"] = tables["vision_embeddings"].rename({"space": "vision_space"})
    detections = tables["face_detections"]
    rows = match_video(video.truth, tables["frames"]["frame_idx"], detections)
    rows = rows.join(
        video.truth.faces, on=["frame_idx", "person"], how="left", maintain_order="left"
    )
    for name, columns in FACE_COLUMNS.items():
        looked_up = tables[name].select("face_id", *columns)
        rows = rows.join(looked_up, on="face_id", how="left", maintain_order="left")
    seats = tables["riders"].select("track_id", "person_id")
    rows = rows.join(seats, on="track_id", how="left", maintain_order="left")
    prefix = pl.lit(f"{video.video}/")
    return rows.with_columns(
        video=pl.lit(video.video),
        kind=pl.lit(video.truth.kind),
        # A bootstrap draws these: a person's appearance in a video, or a second of it.
        unit=prefix + pl.col("person"),
        second=pl.format("{}/{}", pl.lit(video.video), pl.col("timestamp_ms") // 1000),
        track=prefix + pl.col("track_id").cast(pl.String),
        tracklet=prefix + pl.col("tracklet_id").cast(pl.String),
    ).sort("video", "frame_idx", "person", "face_id", nulls_last=True)


def _seats(video: VideoTables) -> pl.DataFrame:
    riders = video.tables["riders"].filter(pl.col("person_id").is_not_null())
    return riders.select(pl.lit(video.video).alias("video"), "person_id", "track_id").sort(
        "person_id", "track_id"
    )


def _images(video: VideoTables) -> pl.DataFrame:
    parts = [
        video.tables[name].select(
            pl.lit(video.video).alias("video"),
            pl.lit(name.removesuffix("_set")).alias("set_name"),
            "image",
            "person_id",
            "face_id",
        )
        for name in SET_ASSETS
    ]
    return pl.concat(parts).sort("set_name", "person_id", "image", "face_id")
