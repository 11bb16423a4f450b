"""Faces as people recognise somebody: thumbnails of the stored crops, with hair and chin.

What belongs here: the picture of a face, and which face stands for a track or for a person. What
does not: the frame around it (`frames`). Drawn of the stored regions, which show more than the
aligned crops that the recogniser sees.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Final, NamedTuple

import polars as pl

from identity_pipeline.core.geometry import Box
from identity_pipeline.core.imagesets.candidates import box_of
from identity_pipeline.ledger import subjects as ids
from identity_pipeline.media.crops import ImageBGR, Region, cut, decode_image, encode_jpeg
from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
from identity_pipeline.stages.desk.drawing import Drawn, NoPictureError
from identity_pipeline.stages.video.footage import (
    Unproved,
    WantedFrame,
    crops_were_dropped,
    footage_of,
)
from identity_pipeline.stages.video.proof import region_of
from identity_pipeline.storage.layout import check_video_id
from identity_pipeline.storage.video.drawn_pictures import version_of
from identity_pipeline.storage.video.tables import MissingTableError, TableStore
from identity_pipeline.tables import BOX

FACE_ID: Final = re.compile(r"[0-9]{6,12}-[0-9]{1,6}")
SIZES: Final = (96, 160, 320)
"""Sides of thumbnails, px; another one is rounded up."""
USUAL_PX: Final = 160
EXPAND: Final = 1.7
"""Side of a thumbnail over the longer side of the face: with hair, ears and chin; chosen by eye."""
JPEG_QUALITY: Final = 85
DRAWING: Final = 1
"""Raised whenever the same crops are to give another picture."""
REMEMBERED: Final = 256
"""So many videos' faces are held in memory, about 0.1 MB each."""
MEMBERS_LOOKED_AT: Final = 200
"""Of a person without a cover, so many tracks at most are compared for the best one."""


Versions = tuple[str | None, ...]


class Face(NamedTuple):
    """A face of a ride or of a photo set."""

    video_id: str
    face_id: str


class FacePictures(Drawn):
    """Thumbnails of faces; a picture's name is the face's id and the size."""

    def version(self, video_id: str) -> str:
        """Of the crops, and of the boxes in them."""
        noted = self.store.versions(("face_crops", "face_detections"), video_id)
        return version_of("faces", *noted.values(), DRAWING)

    def thumbnail(self, face: Face, px: int = USUAL_PX) -> bytes:
        """The picture of a face, a JPEG; at most `px` wide, and never enlarged.

        Raises:
            NoPictureError: there is no such face.
            DamagedTableError, MissingTableError: its crops or boxes cannot be read.
        """
        return self.drawn(face.video_id, name_of(face.face_id, px))

    def warm_faces(self, faces: Collection[Face], px: int = USUAL_PX) -> None:
        """Draws what a page is about to show, each video's faces in one pass.

        Raises:
            DamagedTableError, MissingTableError: those of a video cannot be read.
        """
        for video_id, own in groupby(sorted(faces), key=lambda face: face.video_id):
            self.warm(video_id, [name_of(face.face_id, px) for face in own])

    def _draw(self, video_id: str, names: Collection[str]) -> Mapping[str, bytes]:
        wanted: dict[str, list[int]] = {}
        for name in names:
            face_id, _, px = name.rpartition("-")
            wanted.setdefault(face_id, []).append(int(px))
        pictures = {}
        for face_id, region, box in self._regions(video_id, wanted):
            for px in wanted[face_id]:
                shown = _square(region.bgr, region.to_region(box), px)
                pictures[name_of(face_id, px)] = encode_jpeg(shown, JPEG_QUALITY)
        return pictures

    def _regions(self, video_id: str, wanted: Collection[str]) -> Iterator[tuple[str, Region, Box]]:
        """What is around each face, with its box; cut anew of the source where crops were dropped.

        Raises:
            VideoError: they were dropped, and the source is gone or another one.
        """
        faces = known_faces(self.store, video_id).filter(pl.col("face_id").is_in(list(wanted)))
        rows = {str(row["face_id"]): row for row in faces.iter_rows(named=True)}
        boxes = {face_id: box_of(row) for face_id, row in rows.items()}
        if not crops_were_dropped(self.store, video_id):
            for face_id, region in stored_regions(self.store, video_id, boxes):
                yield face_id, region, boxes[face_id]
            return
        frames = [WantedFrame(rows[face]["frame_idx"], {face: box}) for face, box in boxes.items()]
        footage = footage_of(self.store, video_id, self.settings, to_look=True)
        for n, frame in footage.proved(frames):
            ((face_id, box),) = frames[n].faces.items()
            if not isinstance(frame, Unproved):
                yield face_id, region_of(frame, box, self.settings.crops), box

    def why_not(self, video_id: str, name: str) -> str:
        """Why there is no thumbnail."""
        return f"There is no face {name.rpartition('-')[0]} in {video_id}."


def name_of(face_id: str, px: int) -> str:
    """The name under which a thumbnail is kept.

    Raises:
        NoPictureError: that is no id of a face.
    """
    if not is_face_id(face_id):
        raise NoPictureError("That is no id of a face.")
    return f"{face_id}-{next((size for size in SIZES if size >= px), SIZES[-1])}"


def is_face_id(face_id: str) -> bool:
    """Whether a word may be the id of a face."""
    parts = face_id.split("-")
    return (
        len(parts) == 2 and len(face_id) <= 24 and all(p.isascii() and p.isdigit() for p in parts)
    )


def _square(region: ImageBGR, face: Box, px: int) -> ImageBGR:
    """The square about a face, moved and at last made smaller to lie within the region."""
    height, width = region.shape[:2]
    side = min(EXPAND * face.longer_side, height, width)
    x, y = (centre - side / 2 for centre in face.centre)
    x, y = min(max(0.0, x), width - side), min(max(0.0, y), height - side)
    drawn = max(1, min(px, round(side)))
    return cut(region, Box(x, y, x + side, y + side), drawn, drawn)


def known_faces(store: TableStore, video_id: str) -> pl.DataFrame:
    """All faces of a source: `face_id, frame_idx, timestamp_ms, x1 ... y2, track_id, quality`.

    `track_id` is null before tracks are known; `quality` is that by which the best is chosen.

    Raises:
        DamagedTableError, MissingTableError: its detections cannot be read.
        UnsafePathError: that is no id of a source.
    """
    check_video_id(video_id)
    assets = ("face_detections", "face_tracks", "face_quality")
    return _known_faces(store, video_id, tuple(store.versions(assets, video_id).values()))


@lru_cache(maxsize=REMEMBERED)
def _known_faces(
    store: TableStore, video_id: str, versions: tuple[str | None, ...]
) -> pl.DataFrame:
    del versions  # they are part of the cache's key
    faces = store.read(
        "face_detections", video_id, ("face_id", "frame_idx", "timestamp_ms", *BOX, "score")
    )
    for asset, column in (("face_tracks", "track_id"), ("face_quality", "quality_score")):
        try:
            table = store.read(asset, video_id, ("face_id", column))
        except MissingTableError:  # of a video that is on its way
            faces = faces.with_columns(pl.lit(None, dtype=pl.Float64).alias(column))
        else:
            faces = faces.join(table, on="face_id", how="left", maintain_order="left")
    return faces.rename({"quality_score": "quality"})


def stored_regions(
    store: TableStore, video_id: str, face_ids: Collection[str]
) -> Iterator[tuple[str, Region]]:
    """What was stored around some faces.

    Raises:
        DamagedTableError, MissingTableError: the crops cannot be read.
    """
    columns = ("region_jpeg", "region_x", "region_y", "region_scale")
    for row in store.crops(video_id).rows(face_ids, columns):
        jpeg, *place = (row[c] for c in columns)
        yield (
            str(row["face_id"]),
            Region(decode_image(bytes(jpeg)), *map(float, place)),  # type: ignore[arg-type]
        )


def best_face(store: TableStore, video_id: str, track_id: int) -> Face:
    """The face that shows a track best: by quality, then by the detector's score.

    Raises:
        NoPictureError: there is no such track.
    """
    faces = _ranked(known_faces(store, video_id).filter(pl.col("track_id") == track_id))
    if not faces.height:
        raise NoPictureError(f"There is no track {track_id} in {video_id}.")
    return Face(video_id, faces["face_id"][0])


def strip(store: TableStore, video_id: str, track_id: int, most: int) -> list[Face]:
    """Faces of a track spread over its time, in order: of each of `most` spans the best one.

    Raises:
        NoPictureError: there is no such track.
    """
    faces = known_faces(store, video_id).filter(pl.col("track_id") == track_id)
    if not faces.height:
        raise NoPictureError(f"There is no track {track_id} in {video_id}.")
    time = pl.col("timestamp_ms")
    share = (time - time.min()) / pl.max_horizontal(time.max() - time.min(), pl.lit(1.0))
    spans = faces.with_columns(span=(share * most).floor().clip(0, most - 1))
    best = _ranked(spans).unique("span", keep="first", maintain_order=True).sort("frame_idx")
    return [Face(video_id, face_id) for face_id in best["face_id"]]


def _ranked(faces: pl.DataFrame) -> pl.DataFrame:
    order = ("quality", "score", "face_id")
    return faces.sort(order, descending=[True, True, False], nulls_last=True)


def face_of_subject(store: TableStore, subject: str) -> Face | None:
    """The face that shows a track or face of the ledger; None where it was lost."""
    parsed = ids.parse(subject)
    if parsed.lost:
        return None
    if parsed.kind == "face":
        return Face(parsed.video_id, parsed.local_id)
    return best_face(store, parsed.video_id, int(parsed.local_id))


def face_of_person(library: LibrarySnapshot, person_id: str) -> Face:
    """The face that stands for a person: the cover, else the best of the best confirmed track.

    Raises:
        NoPictureError: nobody by that id is known, or no face of theirs is there.
    """
    person = library.state.people.get(person_id)
    if person is None:
        raise NoPictureError("There is no such person.")
    survivor = library.state.people[library.survivor(person_id)]
    store = library.stores.tables
    if survivor.cover and survivor.cover_face:
        parsed = ids.parse(survivor.cover)
        if not parsed.lost:
            return Face(parsed.video_id, survivor.cover_face)
    for subject in _candidates(library, library.survivor(person_id)):
        try:
            face = face_of_subject(store, subject)
        except (NoPictureError, MissingTableError):
            continue
        if face is not None:
            return face
    raise NoPictureError("No face of this person is there yet.")


def _candidates(library: LibrarySnapshot, person_id: str) -> Sequence[str]:
    """Subjects that may show a person, the best first."""
    cover = library.state.people[person_id].cover
    own = library.state.members.get(person_id, ())[:MEMBERS_LOOKED_AT]
    noted = library.table("people").filter(pl.col("person_id") == person_id)["cover"].drop_nulls()
    # What the last recompute chose holds as long as nobody gave that track to somebody else.
    chosen = [s for s in noted if library.state.assigned.get(s, person_id) == person_id]
    first = [cover, *chosen] if cover else chosen
    return [*first, *(own if first else _by_quality(library, own))]


def _by_quality(library: LibrarySnapshot, subjects: Sequence[str]) -> list[str]:
    """Tracks by their quality, the best first, then all other subjects."""
    videos = {ids.parse(subject).video_id for subject in subjects}
    own = library.templates(videos).filter(pl.col("track_key").is_in(list(subjects)))
    ranked = own.sort(["quality", "track_key"], descending=[True, False])["track_key"].to_list()
    return [*ranked, *(subject for subject in subjects if subject not in ranked)]
