"""Whole frames of moments that somebody is asked about, and what the page says beside them.

What belongs here: drawing and words. What does not: which moments are asked
(`stages.curation.recall`). A face that is asked about stands out as on other pages; where none was
found nothing does. Riders who may not be shown are painted over, whoever is asked about.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from identity_pipeline.core.geometry import Box
from identity_pipeline.core.imagesets.candidates import box_of
from identity_pipeline.core.privacy.redaction import Redaction, path_of
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

DRAWING: Final = 1
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
        noted = self.store.versions(("frames", "face_crops", "face_detections"), video_id)
        redacted = digest_of(Redactions(self.store.layout).of(video_id))
        hidden = ",".join(map(str, self._refused(video_id)))
        return version_of("audited", *noted.values(), redacted, hidden, DRAWING)

    def _draw(self, video_id: str, names: Collection[str]) -> Mapping[str, bytes]:
        faces = known_faces(self.store, video_id)
        boxes = {row["face_id"]: box_of(row) for row in faces.iter_rows(named=True)}
        sampled = set(self.store.read("frames", video_id, ("frame_idx",))["frame_idx"])
        known = [n for n in sorted(names) if n in boxes or (n.isdigit() and int(n) in sampled)]
        wanted = [
            WantedFrame(int(name.split("-")[0]), {name: boxes[name]} if name in boxes else {})
            for name in known
        ]
        # A frame in which nothing was found is compared with nothing: the file must be the same.
        to_look = crops_were_dropped(self.store, video_id)
        footage = footage_of(self.store, video_id, self.settings, to_look=to_look)
        hidden = self._hidden(video_id, faces)
        pictures = {}
        for n, frame in footage.proved(wanted):
            if not isinstance(frame, Unproved):
                shown = painted(np.asarray(frame), hidden.at(wanted[n].frame_idx))
                drawn = _drawn(shown, boxes.get(known[n]))
                pictures[known[n]] = encode_jpeg(drawn, JPEG_QUALITY)
        return pictures

    def _refused(self, video_id: str) -> list[int]:
        verdicts = Asked.now(LibraryStores.of(self.store), self.settings).of_riders(video_id)
        return sorted(seat for seat, verdict in verdicts.items() if not verdict.allowed)

    def _hidden(self, video_id: str, faces: pl.DataFrame) -> Redaction:
        """Where those are who may not be shown, from track to track."""
        refused = self._refused(video_id)
        tracks = [t for t, seat in seats_of(self.store, video_id).items() if seat in refused]
        own = faces.filter(pl.col("track_id").is_in(tracks))
        return Redaction().and_also(
            path_of((row["frame_idx"], box_of(row)) for row in each.iter_rows(named=True))
            for _, each in own.group_by("track_id")
        )


def _drawn(frame: ImageBGR, face: Box | None) -> ImageBGR:
    if face is not None:
        return dimmed(frame, face, LONGEST_SIDE)
    height, width = frame.shape[:2]
    scale = min(1.0, LONGEST_SIDE / max(height, width))
    return resized(frame, max(1, round(width * scale)), max(1, round(height * scale)))
