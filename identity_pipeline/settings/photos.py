"""Settings of photographs that are taken in: what is read at all, and who in them is the person."""

from __future__ import annotations

from identity_pipeline.settings.base import Group, tunable


class PhotoSettings(Group):
    """Photographs of a person."""

    max_file_bytes: int = tunable(
        256 * 1024**2,
        "A larger file is not taken; it is refused before it is opened.",
        unit="bytes",
        source="operations: several times what cameras of 100 megapixels write",
        gt=0,
    )
    max_pixels: int = tunable(
        1 << 26,
        "At most so many pixels are decoded. A larger JPEG is decoded at a half, a quarter or an "
        "eighth of its size, if that is enough; other formats cannot, and are refused.",
        unit="pixels",
        source="operations: 67 megapixels, above the 48 of phones; about 0.6 GB of memory",
        gt=0,
    )
    max_coded_pixels: int = tunable(
        1 << 30,
        "A JPEG of more pixels is refused, whatever it could be reduced to.",
        unit="pixels",
        source="operations: five times the largest camera; seconds to decode",
        gt=0,
    )
    min_side_px: int = tunable(
        64,
        "A picture whose shorter side is less is not taken.",
        unit="px",
        source="design: a face in it has less than half of the px of quality.strict_face_px",
        ge=1,
    )
