"""One face looked at closely: its frame, who else is in it, its track, its ride, what became of it.

What belongs here: what the page of a face says. What does not: decisions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from identity_pipeline.core.video.clock import clock
from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.ledger import subjects as ids
from identity_pipeline.settings import Settings
from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
from identity_pipeline.stages.desk.drawing import NoPictureError
from identity_pipeline.stages.desk.faces import Face, known_faces, strip
from identity_pipeline.stages.desk.frames import FaceInFrame, FramePictures
from identity_pipeline.stages.desk.timeline import WhyOfFace, why_of

STRIP: Final = 8
"""So many faces show a track over its time; chosen: one row of a page."""


@dataclass(frozen=True)
class Beside:
    """A face of the frame, and whose track it is, in words."""

    face: FaceInFrame
    words: str


@dataclass(frozen=True)
class FaceLook:
    """What the page of a face shows.

    Attributes:
        face: which.
        track_key: of its track; None: it is in none.
        words: whose track that is.
        when: time in the ride; None of a photograph.
        beside: all faces of its frame, from left to right.
        strip: faces of its track over time.
        earlier, later: the faces of its track before and after it; None: there is none.
        gone: why its frame cannot be shown; None: it can.
        why: what became of it; None where its ride is not finished, and of a photograph.
    """

    face: Face
    track_key: str | None
    words: str
    when: str | None
    beside: tuple[Beside, ...]
    strip: tuple[Face, ...]
    earlier: Face | None
    later: Face | None
    gone: str | None
    why: WhyOfFace | None


def look_at(
    library: LibrarySnapshot, frames: FramePictures, face: Face, settings: Settings
) -> FaceLook:
    """What there is to see of a face.

    Raises:
        NoPictureError: there is no such face.
        DamagedTableError, MissingTableError, UnsafePathError: there is no such source, or it
            cannot be read.
    """
    store = library.stores.tables
    faces = known_faces(store, face.video_id)
    own = faces.filter(pl.col("face_id") == face.face_id)
    if not own.height:
        raise NoPictureError(f"There is no face of that id in {face.video_id}.")
    track = own["track_id"][0]
    of_track = faces.filter(pl.col("track_id") == track).sort("frame_idx")["face_id"].to_list()
    place = of_track.index(face.face_id) if face.face_id in of_track else 0
    around = [*of_track[:place][-1:], None], [*of_track[place + 1 :][:1], None]
    earlier, later = (None if one[0] is None else Face(face.video_id, one[0]) for one in around)
    key = None if track is None else ids.track(face.video_id, int(track))
    is_ride = not library.stores.photos.is_set(face.video_id)
    return FaceLook(
        face,
        key,
        _words(library, key),
        clock(own["timestamp_ms"][0], 1) if is_ride else None,
        tuple(Beside(f, _words(library, f.track_key)) for f in frames.faces_in_frame(face)),
        () if track is None else tuple(strip(store, face.video_id, int(track), STRIP)),
        earlier,
        later,
        frames.gone(face.video_id),
        _why(library, face, settings) if is_ride else None,
    )


def _words(library: LibrarySnapshot, track_key: str | None) -> str:
    """Whose a track is: by the ledger now, else by the last recompute."""
    if track_key is None:
        return "In no track"
    state = library.state
    if decided := state.assigned.get(track_key):
        return library.called(decided)
    if track_key in state.ignored | state.not_faces:
        return "Set aside: " + ("ignored" if track_key in state.ignored else "not a face")
    row = library.assignments.get(track_key)
    if row is None:
        return "Not in the library yet"
    if row["state"] == "known" and row["person_id"]:
        return f"{library.called(row['person_id'])} (automatic)"
    return "Not named yet" + ("" if row["cluster_id"] is None else f", group {row['cluster_id']}")


def _why(library: LibrarySnapshot, face: Face, settings: Settings) -> WhyOfFace | None:
    try:
        return why_of(library.stores.tables, face, settings)
    except IdentityPipelineError:  # a ride that is on its way, or damaged: its page says which
        return None
