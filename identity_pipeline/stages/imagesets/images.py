"""The images of an export: cut again from the source, detected again, each with its metadata.

What belongs here: cutting the images at native resolution, and asking whether each shows its riders
and nobody else (`stages.imagesets.one_face`). What does not: finding the frames again and proving
that they are what was analysed (`stages.video.footage`), what is shown where one shows others
(`stages.imagesets.stand_ins`), the metadata of an image (`stages.imagesets.image_meta`), and
everything of the folder that is about more than one image (`stages.imagesets.dataset`).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from identity_pipeline.core.geometry import Box, export_crop_box, neighbour_share
from identity_pipeline.core.imagesets.candidates import box_of, crop_limits
from identity_pipeline.core.imagesets.faces import VECTORS
from identity_pipeline.core.imagesets.one_face import Fault, View, fault_of
from identity_pipeline.core.imagesets.summary import ExportedFace
from identity_pipeline.media.crops import ImageBGR, cut_native, decode_image, encode_jpeg
from identity_pipeline.media.sheets import thumbnail
from identity_pipeline.models.face_pack import FacePack
from identity_pipeline.settings import Settings
from identity_pipeline.stages.imagesets.one_face import look
from identity_pipeline.stages.specs.exported import TYPES, image_file
from identity_pipeline.stages.video.footage import Footage, Unproved, WantedFrame
from identity_pipeline.stages.video.overlap import in_order

THUMBNAIL_PX = 224
RETRIES = 2
"""How often a picture is cut anew without the places where strangers were found."""
TOO_SMALL = "below_min_side"
NOT_FOUND_AGAIN, OTHER_PICTURE = "frame_not_found", "other_picture"


@dataclass(frozen=True)
class PlannedImage:
    """An image that the sets want.

    Attributes:
        set_name: asset of its set.
        file: its place in the folder, with `/`.
        faces: the face that it shows; of a pair, from left to right.
        stands_for: the face that was chosen, where another one of its moment is shown instead.
        instead_of: what is wrong with the picture of that face.
    """

    set_name: str
    file: str
    faces: tuple[ExportedFace, ...]
    stands_for: str | None = field(default=None, kw_only=True)
    instead_of: Fault | None = field(default=None, kw_only=True)

    @property
    def is_pair(self) -> bool:
        """Whether it shows both riders."""
        return self.set_name == "pair_set"

    @property
    def type(self) -> str:
        """`anchor`, `coverage`, `challenge` or `pair`."""
        return TYPES[self.set_name]

    @property
    def frame_idx(self) -> int:
        """The frame it is cut from."""
        return self.faces[0].frame_idx

    def shows(self, person_id: int) -> bool:
        """Whether a rider is on it."""
        return any(face.person_id == person_id for face in self.faces)

    @property
    def short_side_px(self) -> int:
        """The shorter side of the picture."""
        crop = self.faces[0].crop
        return round(min(crop.width, crop.height))


@dataclass(frozen=True)
class Exported(PlannedImage):
    """An image that was written.

    Attributes:
        data: its bytes, a JPEG.
        thumbnail: a small picture of it.
        views: what was found in it when it was detected again.
        neighbour_share: of the picture that heads of other people cover.
    """

    data: bytes
    thumbnail: ImageBGR
    views: tuple[View, ...]
    neighbour_share: float

    @property
    def sha256(self) -> str:
        """Digest of its bytes."""
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True)
class LeftOut(PlannedImage):
    """An image that was chosen and is not exported.

    Attributes:
        code: `frame_not_found` or `other_picture`, where it could not be proved to be what was
            analysed; `second_face`, `other_face_largest` or `no_face_found`, where it does not show
            its riders alone; `below_min_side`; `no_consent`.
        sentence: why, and what to do.
    """

    code: str
    sentence: str

    def as_json(self) -> dict[str, Any]:
        """What manifest and metadata say of it."""
        return {
            "file": self.file,
            "type": self.type,
            "frame_idx": self.frame_idx,
            "face_ids": [face.face_id for face in self.faces],
            "code": self.code,
            "reason": self.sentence,
        }


def planned_images(
    sets: Mapping[str, pl.DataFrame], candidates: pl.DataFrame
) -> list[PlannedImage]:
    """The images of a video in the order of its sets.

    Args:
        sets: the set tables by asset name.
        candidates: the table of that name, for what was measured of the faces.
    """
    rows = {row["face_id"]: row for row in candidates.drop(VECTORS).iter_rows(named=True)}
    faces: dict[tuple[str, str], list[ExportedFace]] = defaultdict(list)
    for set_name, table in sets.items():
        for row in table.iter_rows(named=True):
            face = ExportedFace.of(rows[row["face_id"]], row)
            faces[set_name, image_file(set_name, row)].append(face)
    return [PlannedImage(*place, tuple(shown)) for place, shown in faces.items()]


_Made = tuple[PlannedImage, Exported | Fault]


@dataclass(frozen=True)
class Pictures:
    """What pictures are cut from, and looked at with.

    Attributes:
        footage: the source's frames, each of which is proved.
        detections: table `face_detections`: whom a picture must not show.
        pack: of the run, whose detector looks at every picture again.
        settings: all settings.
    """

    footage: Footage
    detections: pl.DataFrame
    pack: FacePack
    settings: Settings

    def of(self, planned: Sequence[PlannedImage]) -> Generator[_Made, None, None]:
        """Each image as it was cut, or why it is none; those that could not be proved come last.

        Raises:
            VideoError: the source cannot be read any more.
        """
        wanted = [
            WantedFrame(image.frame_idx, {face.face_id: face.box for face in image.faces})
            for image in planned
        ]

        def made(proved: list[tuple[int, ImageBGR | Unproved]]) -> list[_Made]:
            return [(planned[n], self._made(planned[n], frame)) for n, frame in proved]

        frames = self.footage.proved(wanted)
        yield from in_order(frames, made, batch=1, threads=self.pack.threads)

    def _made(self, image: PlannedImage, frame: ImageBGR | Unproved) -> Exported | Fault:
        if isinstance(frame, Unproved):
            return _why_not(frame.likeness, self.settings)
        return self._cut(image, frame)

    def _cut(self, image: PlannedImage, frame: ImageBGR) -> Exported | Fault:
        """The picture; where a stranger is found in it, one that leaves that place out."""
        height, width = frame.shape[:2]
        limits, others = crop_limits(self.settings.export), self._others(image)
        cut = self._picture(image, frame, others)
        for _ in range(RETRIES):
            if isinstance(cut, Exported) or image.is_pair or not cut.strangers:
                break
            face = image.faces[0]
            others += [_moved(box, face.crop, back=True) for box in cut.strangers]
            crop = export_crop_box(face.box, width, height, others, limits)
            if crop is None:
                break
            image = replace(image, faces=(replace(face, crop=crop),))
            cut = self._picture(image, frame, others)
        return cut

    def _others(self, image: PlannedImage) -> list[Box]:
        """The faces of the frame that an image is not to show."""
        shown = [face.face_id for face in image.faces]
        rows = self.detections.filter(
            (pl.col("frame_idx") == image.frame_idx) & ~pl.col("face_id").is_in(shown)
        )
        return [box_of(row) for row in rows.iter_rows(named=True)]

    def _picture(
        self, image: PlannedImage, frame: ImageBGR, others: Sequence[Box]
    ) -> Exported | Fault:
        export = self.settings.export
        if export.below_min_side == "leave_out" and image.short_side_px < export.min_side_px:
            return Fault(
                TOO_SMALL,
                f"Its short side is {image.short_side_px} px, {export.min_side_px} px are wanted "
                "(export.min_side_px, export.below_min_side).",
            )
        crop = image.faces[0].crop
        pixels = cut_native(frame, crop)
        data = encode_jpeg(pixels, export.jpeg_quality)
        faces = [_moved(face.box, crop) for face in image.faces]
        views = tuple(look(self.pack, decode_image(data), faces, export.checks))
        fault = fault_of(views, faces, self.settings.selection.pair_other_max)
        if fault is not None:
            return fault
        small = thumbnail(pixels, THUMBNAIL_PX)
        place = (image.set_name, image.file, image.faces)
        share = neighbour_share(crop, others)
        return Exported(*place, data, small, views, share, stands_for=image.stands_for)


def _moved(box: Box, crop: Box, *, back: bool = False) -> Box:
    """A box of the frame in pixels of a crop, or back."""
    x, y = (-crop.x1, -crop.y1) if back else (crop.x1, crop.y1)
    return Box(box.x1 - x, box.y1 - y, box.x2 - x, box.y2 - y)


def _why_not(alike: float | None, settings: Settings) -> Fault:
    """Why an image could not be proved."""
    if alike is None:
        return Fault(
            NOT_FOUND_AGAIN,
            "Its frame was not found again in the file; look whether the file was changed or "
            "damaged since it was analysed, and run it again.",
        )
    return Fault(
        OTHER_PICTURE,
        f"The frame that was decoded again is not the one analysed (likeness {alike:.3f}, "
        f"{settings.export.same_region_min:.3f} wanted); look whether the file was changed or "
        "damaged since it was analysed, and run it again.",
    )
