"""Frames of a source found again, each proved to be what was analysed.

What belongs here: from frames that are wanted to their pixels, of rides by seeking and counting, of
photo sets from the stored originals. What does not: the comparison (`proof`), and what is cut from
a frame or drawn on it (`stages.imagesets.images`, `stages.desk.frames`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from identity_pipeline.core.geometry import Box
from identity_pipeline.core.privacy.redaction import Redaction
from identity_pipeline.media.clocks import stamps_are_keys
from identity_pipeline.media.crops import ImageBGR
from identity_pipeline.media.errors import VideoError
from identity_pipeline.media.painting import painted
from identity_pipeline.media.seeking import frames_at
from identity_pipeline.media.stills import decode_still
from identity_pipeline.settings import Settings
from identity_pipeline.stages.video.proof import IDENTICAL, Analysed
from identity_pipeline.storage.files.hashing import sha256_of_file
from identity_pipeline.storage.photos.photo_sets import PhotoSet, PhotoSets
from identity_pipeline.storage.video.crop_archive import CropArchive
from identity_pipeline.storage.video.redactions import Redactions
from identity_pipeline.storage.video.registry import VideoRegistry
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline.tables import empty


@dataclass(frozen=True)
class WantedFrame:
    """A frame that is to be found again.

    Attributes:
        frame_idx: its number in the source.
        faces: boxes of faces that were analysed in it, by `face_id`. A frame without any is
            compared with nothing: see `Footage.proved`.
    """

    frame_idx: int
    faces: Mapping[str, Box]


@dataclass(frozen=True)
class Unproved:
    """A frame that was not found again.

    Attributes:
        likeness: of the frame that is there to the one that was analysed; None: there is none.
    """

    likeness: float | None


@dataclass(frozen=True)
class Footage:
    """A ride's file, and what its frames are compared with.

    Attributes:
        video: the source file.
        frames: table `frames`.
        crops: what was analysed, which every frame is compared with; None: they were dropped, and
            that the file is the very same has to do.
        settings: all settings.
        redaction: faces of the forgotten, which are painted over in every frame.
    """

    video: Path
    frames: pl.DataFrame
    crops: CropArchive | None
    settings: Settings
    redaction: Redaction

    def proved(self, wanted: Sequence[WantedFrame]) -> Iterator[tuple[int, ImageBGR | Unproved]]:
        """Each wanted frame by its place in the sequence, decoding each frame once.

        Every frame is compared with what was analysed, where that is still there. One that seeking
        has found must have the very same pixels; else it is looked for by counting, and then must
        be as alike as `export.same_region_min`. Those of which this is not so come last. Of a frame
        without faces seeking is believed where it found all that have some, and counting else.

        Raises:
            VideoError: the source cannot be read any more.
        """
        analysed = self._analysed(wanted)
        best: dict[int, float] = {}
        left = dict(enumerate(wanted))
        for seekable in self._ways():
            enough = IDENTICAL if seekable else self.settings.export.same_region_min
            for n, whole in self._looked_for(left, seekable=seekable, compared=bool(analysed)):
                frame = painted(whole, self.redaction.at(left[n].frame_idx))
                faces = left[n].faces
                alike = analysed.likeness(frame, faces) if analysed and faces else IDENTICAL
                best[n] = max(alike, best.get(n, -1.0))
                if alike >= enough:
                    del left[n]
                    yield n, frame
        for n in left:
            yield n, Unproved(best.get(n))

    def _analysed(self, wanted: Sequence[WantedFrame]) -> Analysed | None:
        if self.crops is None:
            return None
        faces = {face for one in wanted for face in one.faces}
        return Analysed.of(self.crops, faces, self.settings.crops)

    def _ways(self) -> tuple[bool, ...]:
        """By seeking, where a time stamp stands for one frame, then by counting."""
        return (True, False) if stamps_are_keys(self.frames["decode_error"]) else (False,)

    def _looked_for(
        self, left: dict[int, WantedFrame], *, seekable: bool, compared: bool
    ) -> Iterator[tuple[int, ImageBGR]]:
        """Each frame that is left; by seeking those without faces last, and only if it is sure.

        Args:
            left: those that are found meanwhile are taken out of it.
            seekable: whether to seek.
            compared: whether frames with faces are compared.
        """
        if not (seekable and compared):
            yield from self._frames_of(left, seekable=seekable)
            return
        shown = {n: one for n, one in left.items() if one.faces}
        yield from self._frames_of(shown, seekable=True)
        if shown and not shown.keys() & left.keys():
            yield from self._frames_of(left, seekable=True)

    def _frames_of(
        self, left: Mapping[int, WantedFrame], *, seekable: bool
    ) -> Iterator[tuple[int, ImageBGR]]:
        """Each frame that is left and can be found."""
        by_frame = _by_frame(left)
        pts_of = dict(self.frames.select("frame_idx", "pts").iter_rows())
        places = [(frame, pts_of[frame]) for frame in sorted(by_frame)]
        for frame_idx, frame in frames_at(
            self.video, places, seekable=seekable, settings=self.settings.video
        ):
            yield from ((n, frame) for n in by_frame[frame_idx] if n in left)


@dataclass(frozen=True)
class Photographs(Footage):
    """The same of a photo set, whose picture n is frame n.

    Attributes:
        photos: where sets are kept.
        photo_set: which set.
    """

    photos: PhotoSets
    photo_set: PhotoSet

    def _ways(self) -> tuple[bool, ...]:
        """Its bytes are those that were taken in; another decoder may make other pixels of them."""
        return (False,)

    def _frames_of(
        self, left: Mapping[int, WantedFrame], *, seekable: bool
    ) -> Iterator[tuple[int, ImageBGR]]:
        """The photograph of each frame that is left, each read once."""
        del seekable
        by_number = _by_frame(left)
        for picture in self.photo_set.pictures:
            wanted = by_number.get(picture.number, ())
            if not wanted:
                continue
            data = self.photos.content(self.photo_set, picture)
            still = decode_still(data, picture.name, self.settings.photos)
            yield from ((n, still.bgr) for n in wanted if n in left)


def footage_of(
    store: TableStore, source_id: str, settings: Settings, *, to_look: bool = False
) -> Footage:
    """What the frames of a ride or of a photo set are taken from.

    Args:
        store: the tables.
        source_id: of the ride or set.
        settings: all settings.
        to_look: for somebody who waits and looks: a file is not read as a whole where each frame of
            it is compared anyway; and where `clean` dropped what was stored, frames are taken as
            they are found in the very same file.

    Raises:
        VideoError: its file is gone, or is another one.
        DamagedFileError, MissingTableError: a record, a table or the crops cannot be read.
    """
    dropped = to_look and crops_were_dropped(store, source_id)
    crops = None if dropped else store.crops(source_id)
    photos = PhotoSets(store.layout)
    if photos.is_set(source_id):
        photo_set = photos.get(source_id)
        if photo_set is None:
            raise VideoError("missing", f"The photographs of {source_id} are gone.")
        folder = store.layout.photo_set(source_id)
        return Photographs(folder, empty("frames"), crops, settings, Redaction(), photos, photo_set)
    path = _source_of(store, source_id, compared=crops is None or not to_look)
    redaction = Redactions(store.layout).of(source_id)
    return Footage(path, store.read("frames", source_id), crops, settings, redaction)


def _source_of(store: TableStore, video_id: str, *, compared: bool) -> Path:
    """The file of a ride, which is there and, where it is compared, the one that was analysed."""
    record = VideoRegistry(store.layout).get(video_id)
    path = record.existing_path() if record else Path(video_id)
    there = record is not None and path.is_file()
    if record is None or not there or (compared and sha256_of_file(path) != record.sha256):
        raise VideoError(
            "missing", f"The file of {video_id} is gone or another one; put it back at {path}."
        )
    return path


def crops_were_dropped(store: TableStore, source_id: str) -> bool:
    """Whether the crops of a source were made and are not there any more."""
    noted = store.noted("face_crops", source_id)
    there = CropArchive(store.layout.crops(source_id)).parts
    return noted is not None and noted.rows > 0 and not there


def _by_frame(left: Mapping[int, WantedFrame]) -> Mapping[int, Sequence[int]]:
    by_frame: dict[int, list[int]] = defaultdict(list)
    for n, one in left.items():
        by_frame[one.frame_idx].append(n)
    return by_frame
