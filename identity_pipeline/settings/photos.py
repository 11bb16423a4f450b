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
        1 << 31,
        "A JPEG of more pixels is refused, whatever it could be reduced to.",
        unit="pixels",
        source="operations: a mosaic of 30,000 x 40,000 takes 2 s and 0.4 GB; no camera has more",
        gt=0,
    )
    min_side_px: int = tunable(
        64,
        "A picture whose shorter side is less is not taken.",
        unit="px",
        source="design: a face in it has less than half of the px of quality.strict_face_px",
        ge=1,
    )
    detect_at: tuple[int, ...] = tunable(
        (1280, 640, 320, 160),
        "Sides of the detector's input, one after the other: large ones find small faces, small "
        "ones those that fill the picture. None is larger than the picture or models.det_size.",
        unit="px",
        source="nine real photographs of four people, cut tightly about the face: found by two "
        "detectors at 320 and 160 each time, at 640 in 8 and in none; reduced to a sixteenth: at "
        "1280 each time, at 640 in 8 and in 2",
        min_length=1,
    )
    min_face_px: float = tunable(
        56.0,
        "A smaller face (its longer side) is nobody's.",
        unit="px",
        source="design: half of the crop of 112 px that recognisers read",
        ge=0,
    )
    dominant_times: float = tunable(
        4.0,
        "A face dominates a picture when its area is so many times that of any other; a face that "
        "is so much smaller than another one is in the background.",
        unit="times",
        source="chosen: twice as wide and as high; who stand beside each other differ by less",
        ge=1,
    )
    lead: float = tunable(
        0.2,
        "Of several faces in a picture one is the person if its mean cosine to the person's faces "
        "in the other pictures is larger by this than that of any other.",
        unit="cosine",
        source="six people of real ride clips, sets of 1 to 8 faces and a picture with a stranger "
        "beside: the own face is chosen in 97 to 100 %, the stranger never, at any lead from 0.05 "
        "to 0.2: `identity_pipeline_tests/benchmarks/photo_choice.py`",
        ge=0,
        le=2,
    )
