"""The whole frame of a face: where it was, who else was there, all but the face dimmed.

What belongs here: the frame found again in the source and proved, what is shown where that cannot
be, and the other faces of the frame as data. What does not: the dimming (`media.dimming`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from identity_pipeline.core.geometry import Box
from identity_pipeline.core.imagesets.candidates import box_of
from identity_pipeline.ledger import subjects as ids
from identity_pipeline.media.crops import encode_jpeg
from identity_pipeline.media.dimming import dimmed
from identity_pipeline.stages.desk.drawing import Drawn, NoPictureError
from identity_pipeline.stages.desk.faces import Face, is_face_id, known_faces, stored_regions
from identity_pipeline.stages.video.footage import Unproved, WantedFrame, footage_of
from identity_pipeline.storage.photos.photo_sets import PhotoSets
from identity_pipeline.storage.video.drawn_pictures import version_of
from identity_pipeline.storage.video.registry import VideoRegistry

LONGEST_SIDE: Final = 1280
"""Px of a frame as it is shown; chosen: as wide as the page."""
JPEG_QUALITY: Final = 82
DRAWING: Final = 1
"""Raised whenever the same frame is to give another picture."""


@dataclass(frozen=True)
class FaceInFrame:
    """A face of a frame, for what a page says beside the picture.

    Attributes:
        face_id: which.
        track_key: of its track; None: it is in none.
        where: its box in shares of the frame's width and height.
        asked: whether it is the one that stands out.
    """

    face_id: str
    track_key: str | None
    where: Box
    asked: bool


@dataclass
class FramePictures(Drawn):
    """Whole frames of faces; a picture's name is the face's id."""

    _not_found: dict[tuple[str, str, str], str] = field(default_factory=dict)

    def version(self, video_id: str) -> str:
        """Of what the frames are compared with, and of the boxes in them."""
        noted = self.store.versions(("face_crops", "face_detections"), video_id)
        return version_of("frames", *noted.values(), DRAWING)

    def frame(self, face: Face) -> bytes:
        """The whole frame of a face, a JPEG of at most `LONGEST_SIDE`.

        Raises:
            NoPictureError: there is no such face, or its frame is not found again in the source.
            VideoError: the source is gone, another one, or cannot be read.
            DamagedFileError, MissingTableError: a record, a table or the crops cannot be read.
        """
        known = self._not_found.get((face.video_id, self.version(face.video_id), face.face_id))
        if known is not None:
            raise NoPictureError(known)
        return self.drawn(face.video_id, _checked(face.face_id))

    def gone(self, video_id: str) -> str | None:
        """Why no frame of a source can be shown, for beside a picture; None: its file is there."""
        if PhotoSets(self.store.layout).is_set(video_id):
            return None
        for record in VideoRegistry(self.store.layout).readable([video_id]):
            if record.existing_path().is_file():
                return None
        return "The source video is gone, so only what was stored around the face can be shown."

    def warm_frames(self, faces: Collection[Face]) -> None:
        """Draws what is about to be shown: each source is opened once, in the order of its frames.

        Raises:
            VideoError, DamagedFileError, MissingTableError: as `frame`, of a whole source.
        """
        by_video: dict[str, list[str]] = {}
        for face in faces:
            by_video.setdefault(face.video_id, []).append(_checked(face.face_id))
        for video_id, names in sorted(by_video.items()):
            self.warm(video_id, names)

    def _draw(self, video_id: str, names: Collection[str]) -> Mapping[str, bytes]:
        rows = known_faces(self.store, video_id).filter(pl.col("face_id").is_in(list(names)))
        faces = [(r["face_id"], r["frame_idx"], box_of(r)) for r in rows.iter_rows(named=True)]
        wanted = [WantedFrame(frame_idx, {face_id: box}) for face_id, frame_idx, box in faces]
        if not wanted:
            return {}
        pictures, version = {}, self.version(video_id)
        footage = footage_of(self.store, video_id, self.settings, to_look=True)
        for n, frame in footage.proved(wanted):
            face_id, _, box = faces[n]
            if isinstance(frame, Unproved):
                self._not_found[video_id, version, face_id] = _sentence(frame)
            else:
                pictures[face_id] = encode_jpeg(dimmed(frame, box, LONGEST_SIDE), JPEG_QUALITY)
        return pictures

    def why_not(self, video_id: str, name: str) -> str:
        """Why there is no frame."""
        known = self._not_found.get((video_id, self.version(video_id), name))
        return known or f"There is no face {name} in {video_id}."

    def around(self, face: Face) -> bytes:
        """What was stored around a face, a JPEG: shown where its frame cannot be.

        Raises:
            NoPictureError: there is no such face.
            DamagedFileError, MissingTableError: its crops or boxes cannot be read.
        """
        face_id = _checked(face.face_id)
        rows = known_faces(self.store, face.video_id).filter(pl.col("face_id") == face_id)
        for _, region in stored_regions(self.store, face.video_id, {face_id}):
            box = region.to_region(box_of(rows.row(0, named=True)))
            return encode_jpeg(dimmed(region.bgr, box, LONGEST_SIDE), JPEG_QUALITY)
        raise NoPictureError(f"There is no face {face_id} in {face.video_id}.")

    def faces_in_frame(self, face: Face) -> list[FaceInFrame]:
        """All faces of the frame of a face, from left to right.

        Raises:
            NoPictureError: there is no such face.
            DamagedFileError, MissingTableError: a table cannot be read.
        """
        faces = known_faces(self.store, face.video_id)
        own = faces.filter(pl.col("face_id") == face.face_id)
        if not own.height:
            raise NoPictureError(f"There is no face of that id in {face.video_id}.")
        frame_idx = own["frame_idx"][0]
        size = self._size(face.video_id, frame_idx)
        rows = faces.filter(pl.col("frame_idx") == frame_idx).sort("x1", "face_id")
        return [_in_frame(row, face, size) for row in rows.iter_rows(named=True)]

    def _size(self, video_id: str, frame_idx: int) -> tuple[int, int]:
        """Width and height of a frame, px."""
        if PhotoSets(self.store.layout).is_set(video_id):
            table = self.store.read("photo_set", video_id, ("frame_idx", "width", "height"))
            table = table.filter(pl.col("frame_idx") == frame_idx)
        else:
            table = self.store.read("ride_video", video_id)
        return table["width"][0], table["height"][0]


def _in_frame(row: Mapping[str, object], asked: Face, size: tuple[int, int]) -> FaceInFrame:
    width, height = size
    box, track = box_of(row), row["track_id"]
    share = Box(box.x1 / width, box.y1 / height, box.x2 / width, box.y2 / height)
    key = None if track is None else ids.track(asked.video_id, int(str(track)))
    face_id = str(row["face_id"])
    return FaceInFrame(face_id, key, share, face_id == asked.face_id)


def _checked(face_id: str) -> str:
    if not is_face_id(face_id):
        raise NoPictureError("That is no id of a face.")
    return face_id


def _sentence(unproved: Unproved) -> str:
    if unproved.likeness is None:
        return "Its frame was not found again in the file; was that changed since it was analysed?"
    return (
        "The frame that was found again is not the one that was analysed; was the file changed "
        "since?"
    )
