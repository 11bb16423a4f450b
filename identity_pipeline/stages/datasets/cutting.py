"""A person's pictures cut again from their sources, at native resolution and proved.

What belongs here: from rows of the selection to bytes of pictures, source by source, each decoded
once. What does not: whether a consumer can take a picture (`stages.datasets.checks`). Proof and
cutting are those of a ride's own export (`stages.imagesets.images`). Where a ride's file is gone,
the picture that was exported of the same face stands in; where there is none, it is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.geometry import Box
from identity_pipeline.core.imagesets.candidates import box_of
from identity_pipeline.core.imagesets.faces import VECTORS
from identity_pipeline.core.imagesets.image_sets import CROP
from identity_pipeline.core.imagesets.one_face import Fault
from identity_pipeline.core.imagesets.summary import ExportedFace
from identity_pipeline.media.crops import decode_image, encode_jpeg, resized
from identity_pipeline.media.errors import VideoError
from identity_pipeline.media.stills import StillError
from identity_pipeline.models.face_pack import FacePack
from identity_pipeline.settings import Settings
from identity_pipeline.stages.imagesets.images import Exported, Pictures, PlannedImage
from identity_pipeline.stages.progress.protocol import Progress, silent
from identity_pipeline.stages.specs.exported import TYPES
from identity_pipeline.stages.video.footage import footage_of
from identity_pipeline.storage.files.hashing import sha256_of_file
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.layout import UnsafePathError, inside
from identity_pipeline.storage.video.tables import MissingTableError, TableStore
from identity_pipeline.tables import KEY_POINTS

Place = tuple[str, str]
"""Source and face."""
SOURCE_GONE: Final = "source_gone"
MEASURED_AGAIN: Final = Fault("measured_again", "Its source was measured again meanwhile.")
SMALL_SETS: Final = tuple(TYPES[name] for name in ("anchor_set", "coverage_set", "challenge_set"))
SET: Final = "coverage_set"
"""What a picture is to `images.Pictures`: of one face."""


@dataclass(frozen=True, eq=False)
class Cut:
    """The picture of one face.

    Attributes:
        jpeg: its bytes.
        width, height: px.
        face: px of this picture.
        key_points: (5, 2) px of this picture.
        crop: what it shows, px of the source.
        made: `cut` anew from the source, or `exported` with the ride, whose file is gone.
    """

    jpeg: bytes
    width: int
    height: int
    face: Box
    key_points: NDArray[np.float32]
    crop: Box
    made: Literal["cut", "exported"] = "cut"


@dataclass(frozen=True)
class Cutter:
    """Cuts pictures.

    Attributes:
        store: tables and crops of all sources.
        pack: whose detector looks at every picture.
        settings: all settings.
        size: longest side of a picture, px; null: as it is cut.
    """

    store: TableStore
    pack: FacePack
    settings: Settings
    size: int | None = None

    def cut(self, rows: pl.DataFrame, progress: Progress = silent) -> dict[Place, Cut | Fault]:
        """The picture of each row, or why there is none.

        Args:
            rows: of `candidates`, with `source_id`.
            progress: called per picture.
        """
        done: dict[Place, Cut | Fault] = {}
        for (name,), own in sorted(rows.group_by("source_id"), key=lambda one: str(one[0][0])):
            source_id = str(name)
            faces = own.sort("frame_idx", "face_id").drop(VECTORS)
            points = self._key_points(source_id, faces)
            for face_id, made in self._of_source(source_id, faces):
                there = face_id in points
                done[source_id, face_id] = (
                    self._finished(made, points[face_id]) if there else MEASURED_AGAIN
                )
                progress("pictures", len(done), rows.height, "pictures")
        return done

    def _key_points(self, source_id: str, faces: pl.DataFrame) -> dict[str, NDArray[np.float32]]:
        table = self.store.read("face_detections", source_id, ("face_id", *KEY_POINTS))
        own = table.join(faces.select("face_id"), on="face_id", how="semi")
        points = own.select(KEY_POINTS.keys()).to_numpy().astype(np.float32)
        return dict(zip(own["face_id"], points.reshape(-1, 5, 2), strict=True))

    def _finished(self, made: _Made | Fault, points: NDArray[np.float32]) -> Cut | Fault:
        """The picture at the size that is wanted; nothing is ever enlarged."""
        if isinstance(made, Fault):
            return made
        pixels = decode_image(made.jpeg)
        height, width = pixels.shape[:2]
        corner = np.array([made.crop.x1, made.crop.y1], dtype=np.float32)
        across, down = width / made.crop.width, height / made.crop.height
        jpeg = made.jpeg
        if self.size is not None and max(width, height) > self.size:
            share = self.size / max(width, height)
            new = max(1, round(width * share)), max(1, round(height * share))
            jpeg = encode_jpeg(resized(pixels, *new), self.settings.export.jpeg_quality)
            across, down = across * new[0] / width, down * new[1] / height
            width, height = new
        box, (x, y) = made.face, corner.tolist()
        face = Box(
            (box.x1 - x) * across, (box.y1 - y) * down, (box.x2 - x) * across, (box.y2 - y) * down
        )
        scale = np.array([across, down], dtype=np.float32)
        return Cut(jpeg, width, height, face, (points - corner) * scale, made.crop, made.made)

    def _of_source(
        self, source_id: str, faces: pl.DataFrame
    ) -> Iterator[tuple[str, _Made | Fault]]:
        """Each face of a source with its picture."""
        planned = [_planned(row) for row in faces.iter_rows(named=True)]
        try:
            pictures = self._pictures(source_id)
            for image, made in pictures.of(planned):
                yield image.faces[0].face_id, made if isinstance(made, Fault) else _made(made)
        except (VideoError, StillError, DamagedFileError, MissingTableError, OSError) as error:
            why = getattr(error, "sentence", str(error))
            yield from self._exported(source_id, faces, why)

    def _pictures(self, source_id: str) -> Pictures:
        """What pictures of a ride or of a photo set are cut from.

        Raises:
            VideoError, DamagedFileError, MissingTableError: see `footage_of`.
        """
        return Pictures(
            footage_of(self.store, source_id, self.settings),
            self.store.read("face_detections", source_id),
            self.pack,
            self.settings,
        )

    def _exported(
        self, source_id: str, faces: pl.DataFrame, why: str
    ) -> Iterator[tuple[str, _Made | Fault]]:
        """The pictures that were exported of the same faces with their ride."""
        there = self._export_rows(source_id)
        for row in faces.iter_rows(named=True):
            found = there.get(row["face_id"])
            made = None if found is None else self._read(source_id, row, found)
            yield (
                row["face_id"],
                made
                or Fault(SOURCE_GONE, f"{why} No picture of this face was exported with its ride."),
            )

    def _export_rows(self, source_id: str) -> Mapping[str, dict[str, Any]]:
        try:
            files = self.store.read("identity_dataset", source_id)
        except (DamagedFileError, MissingTableError):
            return {}
        alone = files.filter(pl.col("type").is_in(SMALL_SETS) & pl.col("sha256").is_not_null())
        return {row["face_id"]: row for row in alone.sort("file").iter_rows(named=True)}

    def _read(self, source_id: str, row: dict[str, Any], found: dict[str, Any]) -> _Made | None:
        """An exported picture, where its bytes are those that were recorded."""
        folder = self.store.layout.export(source_id)
        try:
            path = inside(folder, folder / found["file"])
            if sha256_of_file(path) != found["sha256"]:
                return None
            jpeg = path.read_bytes()
        except (OSError, UnsafePathError):
            return None
        told = found if found[CROP[0]] is not None else row
        crop = Box(*(float(told[name]) for name in CROP))
        return _Made(jpeg, box_of(row), crop, "exported")


@dataclass(frozen=True)
class _Made:
    """A picture as it was cut: bytes, and the face and the crop in px of the source."""

    jpeg: bytes
    face: Box
    crop: Box
    made: Literal["cut", "exported"] = "cut"


def _made(image: Exported) -> _Made:
    face = image.faces[0]
    return _Made(image.data, face.box, face.crop)


def _planned(row: dict[str, Any]) -> PlannedImage:
    face = ExportedFace.of(row, {"novelty": None, "kind": None})
    return PlannedImage(SET, f"{row['face_id']}.jpg", (face,))
