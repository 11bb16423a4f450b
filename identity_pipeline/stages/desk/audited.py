"""Whole frames of moments that somebody is asked about, and what the page says beside them.

What belongs here: drawing and words. What does not: which moments are asked
(`stages.curation.recall`). A face that is asked about stands out as on other pages; where none was
found nothing does. Riders who may not be shown are painted over, whoever is asked about, and so are
bystanders where consent is asked for and nobody asked them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from identity_pipeline.core.geometry import Box
from identity_pipeline.core.imagesets.candidates import box_of
from identity_pipeline.core.privacy.redaction import Path, Redaction, path_of
from identity_pipeline.core.recall.estimate import WORDS
from identity_pipeline.media.crops import ImageBGR, encode_jpeg, resized
from identity_pipeline.media.dimming import dimmed
from identity_pipeline.media.painting import painted
from identity_pipeline.stages.curation.consents import Asked, seats_of
from identity_pipeline.stages.curation.recall import Audit
from identity_pipeline.stages.desk.drawing import Drawn
from identity_pipeline.stages.desk.faces import known_faces
from identity_pipeline.stages.desk.frames import JPEG_QUALITY, LONGEST_SIDE
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.stages.video.footage import (
    Unproved,
    WantedFrame,
    crops_were_dropped,
    footage_of,
)
from identity_pipeline.storage.video.drawn_pictures import version_of
from identity_pipeline.storage.video.redactions import Redactions, digest_of

DRAWN_OF: Final = ("frames", "face_crops", "face_detections", "face_tracks", "riders")
"""Which frames, what vouches for them, the faces in them, and who each is, who may be hidden."""
DRAWING: Final = 2
"""Raised whenever the same frame is to give another picture."""
Name = str
"""`FRAME` alone, or the id of the face in it that stands out: `FRAME-NUMBER`."""


@dataclass(frozen=True)
class Question:
    """A moment that is asked about.

    Attributes:
        person_id: whose.
        moment: its number.
        name: of its picture.
        when: time in the ride.
        why: for what it was left out.
    """

    person_id: int
    moment: int
    name: Name
    when: str
    why: str


def questions(audit: Audit, moment_s: float, most: int) -> list[Question]:
    """The next moments that are open."""
    return [
        Question(
            row["person_id"],
            row["moment"],
            row["face_id"] or f"{row['frame_idx']:06d}",
            f"{row['moment'] * moment_s:.1f} s",
            f"A moment {WORDS[row['stratum']]}"
            + (f": {_said(row['reason'])}." if row["reason"] else "."),
        )
        for row in audit.open.head(most).iter_rows(named=True)
    ]


def _said(code: str) -> str:
    return code.replace("_", " ")


class AuditFrames(Drawn):
    """Whole frames of a ride as they may be shown; a picture's name is `Name`."""

    def version(self, video_id: str) -> str:
        """Of what the frames are found by, of the boxes in them, and of who is painted over."""
        noted = self.store.versions(DRAWN_OF, video_id)
        redacted = digest_of(Redactions(self.store.layout).of(video_id))
        refused, strangers = self._may_not_be_shown(video_id)
        hidden = (*map(str, refused), *(["strangers"] if strangers else []))
        return version_of("audited", *noted.values(), redacted, ",".join(hidden), DRAWING)

    def _draw(self, video_id: str, names: Collection[str]) -> Mapping[str, bytes]:
        faces = known_faces(self.store, video_id)
        boxes = {row["face_id"]: box_of(row) for row in faces.iter_rows(named=True)}
        known = self._known(video_id, names, boxes)
        wanted = [
            WantedFrame(int(name.split("-")[0]), {name: boxes[name]} if name in boxes else {})
            for name in known
        ]
        # A frame without a face is compared with nothing: what vouches for it is one beside it.
        beside = (_nearest(faces, one.frame_idx) for one in wanted if not one.faces)
        # Where nothing is compared the file must be the same.
        to_look = crops_were_dropped(self.store, video_id)
        footage = footage_of(self.store, video_id, self.settings, to_look=to_look)
        hidden = self._hidden(video_id, faces)
        pictures = {}
        for n, frame in footage.proved([*wanted, *filter(None, beside)]):
            if n < len(known) and not isinstance(frame, Unproved):
                over = _without(hidden, known[n]).at(wanted[n].frame_idx)
                drawn = _drawn(painted(np.asarray(frame), over), boxes.get(known[n]))
                pictures[known[n]] = encode_jpeg(drawn, JPEG_QUALITY)
        return pictures

    def _known(self, video_id: str, names: Collection[str], faces: Collection[str]) -> list[Name]:
        """Those of some names that are faces, or frames that were sampled."""
        sampled = set(self.store.read("frames", video_id, ("frame_idx",))["frame_idx"])
        return [n for n in sorted(names) if n in faces or (n.isdigit() and int(n) in sampled)]

    def _may_not_be_shown(self, video_id: str) -> tuple[list[int], bool]:
        """Riders who may not, and whether bystanders may not, whom nobody asked."""
        asked = Asked.now(LibraryStores.of(self.store), self.settings)
        verdicts = asked.of_riders(video_id)
        refused = sorted(seat for seat, verdict in verdicts.items() if not verdict.allowed)
        return refused, not asked.consents.of_stranger("export").allowed

    def _hidden(self, video_id: str, faces: pl.DataFrame) -> list[_Somebody]:
        """Where those are who may not be shown: a rider from track to track."""
        refused, strangers = self._may_not_be_shown(video_id)
        seat_of = seats_of(self.store, video_id)
        seat = pl.col("track_id").replace_strict(seat_of, default=None, return_dtype=pl.Int64)
        seated = faces.with_columns(seat=seat)
        riders = seated.filter(pl.col("seat").is_in(refused)).partition_by("seat")
        others = seated.filter(pl.col("seat").is_null() & pl.lit(strangers)).with_columns(
            who=pl.coalesce(pl.col("track_id").cast(pl.String), "face_id")
        )
        return [
            *((frozenset(), _path(own)) for own in riders),
            *((frozenset(own["face_id"]), _path(own)) for own in others.partition_by("who")),
        ]


_Somebody = tuple[frozenset[str], Path]
"""Who may not be shown: faces of a bystander, none of a rider; and where they are."""


def _path(faces: pl.DataFrame) -> Path:
    return path_of((row["frame_idx"], box_of(row)) for row in faces.iter_rows(named=True))


def _without(hidden: Sequence[_Somebody], asked: Name) -> Redaction:
    """What is painted over: of bystanders not who is asked about, for that may be the rider."""
    return Redaction().and_also(path for faces, path in hidden if asked not in faces)


def _nearest(faces: pl.DataFrame, frame_idx: int) -> WantedFrame | None:
    """The frame nearest to one in which a face was found; None where none was anywhere."""
    away = (pl.col("frame_idx") - frame_idx).abs()
    for row in faces.sort(away, "face_id").head(1).iter_rows(named=True):
        return WantedFrame(row["frame_idx"], {row["face_id"]: box_of(row)})
    return None


def _drawn(frame: ImageBGR, face: Box | None) -> ImageBGR:
    if face is not None:
        return dimmed(frame, face, LONGEST_SIDE)
    height, width = frame.shape[:2]
    scale = min(1.0, LONGEST_SIDE / max(height, width))
    return resized(frame, max(1, round(width * scale)), max(1, round(height * scale)))
