"""The exported images of a ride, as they are or small.

What belongs here: finding an image by its place in the export, compared with what was recorded of
it. What does not: what is chosen (`stages.desk.pictures`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import polars as pl

from identity_pipeline.media.crops import decode_image, encode_jpeg
from identity_pipeline.media.sheets import thumbnail
from identity_pipeline.stages.desk.drawing import Drawn, NoPictureError
from identity_pipeline.storage.files.hashing import sha256_of_file
from identity_pipeline.storage.layout import inside
from identity_pipeline.storage.video.drawn_pictures import version_of

SIZES: Final = (240, 480)
"""Longer sides of small ones, px; another one is rounded up."""
JPEG_QUALITY: Final = 85
DRAWING: Final = 1
"""Raised whenever the same image is to give another small one."""


class ExportedPictures(Drawn):
    """Small copies of exported images; a picture's name is its row in the export's table."""

    def version(self, video_id: str) -> str:
        """Of the export."""
        return version_of(
            "exported", *self.store.versions(("identity_dataset",), video_id).values(), DRAWING
        )

    def name_of(self, video_id: str, file: str, px: int) -> str:
        """The name under which a small image is kept.

        Raises:
            NoPictureError: the export has no such image.
            DamagedTableError, MissingTableError: there is no export, or it cannot be read.
        """
        size = next((size for size in SIZES if size >= px), SIZES[-1])
        return f"{self._row(video_id, file)}-{size}"

    def original(self, video_id: str, file: str) -> bytes:
        """An exported image as it is, a JPEG.

        Raises:
            NoPictureError: the export has no such image, or it is not the one that was written.
            DamagedTableError, MissingTableError: there is no export, or it cannot be read.
        """
        return self._read(video_id, self._row(video_id, file))

    def _files(self, video_id: str) -> pl.DataFrame:
        return self.store.read("identity_dataset", video_id, ("file", "sha256"))

    def _row(self, video_id: str, file: str) -> int:
        rows = self._files(video_id).with_row_index("row")
        image = (pl.col("file") == file) & pl.col("sha256").is_not_null()
        found = rows.filter(image & pl.col("file").str.ends_with(".jpg"))["row"]
        if not found.len():
            raise NoPictureError(f"There is no such image in the export of {video_id}.")
        return int(found[0])

    def _read(self, video_id: str, row: int) -> bytes:
        file, sha256 = self._files(video_id).row(row)
        folder = self.store.layout.export(video_id)
        try:
            path = inside(folder, folder / file)
            whole = sha256_of_file(path) == sha256
            data = path.read_bytes()
        except OSError as error:
            raise NoPictureError(
                f"{file} of {video_id} cannot be read ({error.strerror})."
            ) from error
        if not whole:
            raise NoPictureError(
                f"{file} of {video_id} is not the image that was exported; "
                f"{self.store.mend(video_id)}"
            )
        return data

    def _draw(self, video_id: str, names: Collection[str]) -> Mapping[str, bytes]:
        pictures = {}
        for name in names:
            row, _, px = name.partition("-")
            shown = thumbnail(decode_image(self._read(video_id, int(row))), int(px))
            pictures[name] = encode_jpeg(shown, JPEG_QUALITY)
        return pictures
