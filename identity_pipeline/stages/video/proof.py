"""Proof that a re-cut picture is the one that was analysed.

Where a face was found, the pass has stored the region around it. The same region is cut from the
frame that was decoded again, stored the same way, and compared: the same frame gives the very same
bytes with the same libraries, and nearly the same pixels with others.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from identity_pipeline.core.geometry import Box, region_box
from identity_pipeline.core.video.frames import correlation
from identity_pipeline.media.crops import (
    ImageBGR,
    Region,
    cut_region,
    decode_image,
    encode_jpeg,
    resized,
)
from identity_pipeline.settings import CropSettings
from identity_pipeline.storage.video.crop_archive import CropArchive

IDENTICAL = 1.0
"""The likeness of equal pixels, and of nothing else."""


@dataclass(frozen=True)
class Analysed:
    """The regions of some faces as they were analysed: JPEG bytes by `face_id`."""

    regions: Mapping[str, bytes]
    settings: CropSettings

    @classmethod
    def of(cls, crops: CropArchive, face_ids: Collection[str], settings: CropSettings) -> Analysed:
        """Reads them from a video's crops."""
        rows = crops.rows(face_ids, ["region_jpeg"])
        return cls({str(r["face_id"]): bytes(r["region_jpeg"]) for r in rows}, settings)  # type: ignore[arg-type]

    def likeness(self, frame: ImageBGR, faces: Mapping[str, Box]) -> float:
        """How much a frame is the one in which faces were analysed: a correlation.

        Args:
            frame: (H, W, 3) decoded again.
            faces: boxes of faces of one frame by `face_id`.

        Returns:
            The least of all faces; `IDENTICAL` where every region has the very same pixels, 0 where
            a face has no stored region.
        """
        return min(self._likeness(frame, *face) for face in faces.items())

    def _likeness(self, frame: ImageBGR, face_id: str, face: Box) -> float:
        stored = self.regions.get(face_id)
        height, width = frame.shape[:2]
        if stored is None or face.x1 >= width or face.y1 >= height:
            return 0.0
        region = region_of(frame, face, self.settings).bgr
        again = encode_jpeg(region, self.settings.region_jpeg_quality)
        if again == stored:
            return IDENTICAL
        seen, known = decode_image(again), decode_image(stored)
        if seen.shape != known.shape:  # a frame of another size
            seen = resized(seen, known.shape[1], known.shape[0])
        return correlation(seen, known)


def region_of(frame: ImageBGR, face: Box, settings: CropSettings) -> Region:
    """What the pass stores around a face of a frame."""
    height, width = frame.shape[:2]
    sizes = {"widths": settings.body_widths, "heights": settings.body_heights}
    return cut_region(frame, region_box(face, width, height, **sizes), face, settings)
