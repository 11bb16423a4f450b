"""How precisely a vision encoder multiplies, and what that may change of a picture's vector.

bfloat16 has the range of float32 and 8 bits of precision. Processors with instructions for it
(AVX512-BF16, AMX) and GPUs multiply it at about twice the speed, elsewhere it is slower. A picture
has the same vector whatever is in its batch. Bytes were tried and are not offered: scaled for each
token they are no faster than bfloat16, scaled for a batch a vector depends on its neighbours.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import cv2
import numpy as np

from identity_pipeline.media.crops import VISION_PX, ImageBGR
from identity_pipeline.models.self_check import photographs

Precision = Literal["full", "bf16"]


@cache
def sample_pictures() -> tuple[ImageBGR, ...]:
    """The middle squares of a bundled photograph of each person, (224, 224, 3)."""
    return tuple(map(_square, photographs("1_*")))


def _square(photo: ImageBGR) -> ImageBGR:
    side = min(photo.shape[:2])
    top, left = ((length - side) // 2 for length in photo.shape[:2])
    middle = photo[top : top + side, left : left + side]
    small = cv2.resize(middle, (VISION_PX, VISION_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)
