"""What stands beside a picture: where in the ride it was taken, and what became of its face.

What belongs here: the ride's timeline with the picture's moment, and the frame ledger in words.
What does not: how either is drawn or worded (`media.timelines`, `stages.imagesets.why`).
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from identity_pipeline.media import wording
from identity_pipeline.media.timelines import track_timeline_svg
from identity_pipeline.settings import Settings
from identity_pipeline.stages.desk.drawing import NoPictureError
from identity_pipeline.stages.desk.faces import Face, known_faces
from identity_pipeline.stages.imagesets.explanation import explained
from identity_pipeline.stages.imagesets.why import measured_words, score_words, why_words
from identity_pipeline.stages.specs.exported import TYPES, exported_rows
from identity_pipeline.stages.video.laid_on import phases_of
from identity_pipeline.storage.video.tables import MissingTableError, TableStore


@dataclass(frozen=True)
class WhyOfFace:
    """What became of a face, as `identity-pipeline why` says it.

    Attributes:
        face_id, frame_idx, timestamp_ms: which, and when in the ride.
        state, reason: codes of the frame ledger.
        ended: both in words.
        measured: what was measured, a line each.
        scores: what it scored as a picture, a line each; none of a face that was not scored.
        why: sentences: what would have changed it, and how it did beside others.
    """

    face_id: str
    frame_idx: int
    timestamp_ms: float
    state: str
    reason: str
    ended: str
    measured: tuple[str, ...]
    scores: tuple[str, ...]
    why: tuple[str, ...]


def timeline_svg(
    store: TableStore, video_id: str, settings: Settings, face_id: str | None = None
) -> str:
    """Who was seen when in a ride, where its pictures were taken, and where this one was.

    Args:
        store: the tables.
        video_id: a ride.
        settings: what counts as dark and as overexposed.
        face_id: whose moment is marked; None: none.

    Raises:
        NoPictureError: there is no such face, or no frame.
        DamagedTableError, MissingTableError: a table cannot be read.
    """
    moment = None if face_id is None else _moment(store, Face(video_id, face_id))
    frames = store.read("frames", video_id)
    if not frames.height:
        raise NoPictureError(f"No frame of {video_id} was looked at.")
    tracks = store.read("face_tracks", video_id, ("track_id", "frame_idx"))
    riders = store.read("riders", video_id)
    exported = pl.concat(_exported(store, name, video_id) for name in TYPES)
    shown = (frames, tracks, riders, exported, settings.buckets)
    return track_timeline_svg(*shown, moment_ms=moment, phases=phases_of(store, video_id))


def _moment(store: TableStore, face: Face) -> float:
    faces = known_faces(store, face.video_id)
    own = faces.filter(pl.col("face_id") == face.face_id)
    if not own.height:
        raise NoPictureError(f"There is no face of that id in {face.video_id}.")
    return own["timestamp_ms"][0]


def _exported(store: TableStore, name: str, video_id: str) -> pl.DataFrame:
    """The images of a set; none where it was not made yet."""
    try:
        rows = exported_rows(store, name, video_id, store.read(name, video_id))
    except MissingTableError:
        return pl.DataFrame(
            schema={"person_id": pl.Int64, "timestamp_ms": pl.Float64, "set": pl.String}
        )
    return rows.select("person_id", "timestamp_ms", set=pl.lit(TYPES[name]))


def why_of(store: TableStore, face: Face, settings: Settings) -> WhyOfFace:
    """What became of a face, and on what evidence.

    Raises:
        NoPictureError: the frame ledger has no such face.
        DamagedTableError, MissingTableError: a table cannot be read.
    """
    frame_idx = int(face.face_id.partition("-")[0])
    told = explained(store, face.video_id, frame_idx, settings)
    own = next((one for one in told if one.ledger["face_id"] == face.face_id), None)
    if own is None:
        raise NoPictureError(f"The frame ledger of {face.video_id} has no such face.")
    state, reason = own.ledger["state"], own.ledger["reason"]
    return WhyOfFace(
        face.face_id,
        frame_idx,
        own.ledger["timestamp_ms"],
        state,
        reason,
        wording.explain(state, reason),
        tuple(measured_words(own)),
        tuple(score_words(own)),
        tuple(why_words(own, settings.quality)),
    )
