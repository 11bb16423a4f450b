"""The measured quality of a face, and the one scalar made of it.

All pixel measures are taken on the aligned 112 px crop, so they do not depend on the resolution
of the video. Gates read the vector (`core.faces.gates`); the scalar only ranks.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.geometry import Box
from identity_pipeline.core.video.frames import CLIPPED_ABOVE, CRUSHED_BELOW, laplacian_variance

REFERENCE_LUMA = 128.0
MAX_GAIN = 6.0
"""Sharpness is measured as if the face were lit to `REFERENCE_LUMA`; darker faces than a sixth of
that are not amplified further, because what would be measured is noise."""

NOISE_IN_LAPLACIAN = 20.0
"""White noise of deviation s adds 20 s^2 to the variance of the 4-neighbour Laplacian."""
SHARPNESS_HALF = 150.0
"""Sharpness at which the sharpness term of the score is one half."""
NOISE_SCALE = 12.0
"""Noise (standard deviation, 0-255) at which the noise term has fallen to 1/e."""
_ROW, _COLUMN = np.mgrid[:112, :112]
FACE_OVAL = ((_COLUMN - 55.5) / 34.0) ** 2 + ((_ROW - 66.0) / 44.0) ** 2 <= 1.0
"""(112, 112) pixels of an aligned crop that are skin whatever stands behind the face.

Below the hair and above the chin, around the places at which alignment puts eyes, nose and mouth.
Of 2,197 faces of eight real clips none changes its bin of light when only the oval is asked whether
it is blown (37 are); three studio portraits before white fall from .20 and more to below .001."""
FULL_SIZE_PX = 112.0
"""A face of the recogniser's own input size or larger loses nothing by its size."""

SCORE_WEIGHTS = {"sharpness": 0.4, "size": 0.2, "exposure": 0.2, "noise": 0.2}
OCCLUSION_WEIGHT = 0.3


class PixelQuality(NamedTuple):
    """What the pixels of an aligned face say."""

    sharpness: float
    luma_mean: float
    contrast: float
    clipped_share: float
    crushed_share: float
    noise: float


def luma_of(bgr: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Rec. 601 luma of (..., 3) BGR pixels, 0-255."""
    weights = np.array([0.114, 0.587, 0.299], dtype=np.float32)
    return np.asarray(bgr, dtype=np.float32) @ weights


def estimate_noise(luma: NDArray[np.floating]) -> float:
    """Standard deviation of the noise (Immerkaer 1996, fast noise variance estimation).

    The mask is blind to edges; the median of its magnitude is used instead of the mean because
    eyes and brows cover a good part of a face.
    """
    v = np.asarray(luma, dtype=np.float32)
    mask = (
        v[:-2, :-2]
        + v[:-2, 2:]
        + v[2:, :-2]
        + v[2:, 2:]
        - 2.0 * (v[:-2, 1:-1] + v[2:, 1:-1] + v[1:-1, :-2] + v[1:-1, 2:])
        + 4.0 * v[1:-1, 1:-1]
    )
    # For Gaussian noise the median of |x| is 0.6745 sigma, and the mask multiplies sigma by 6.
    return float(np.median(np.abs(mask)) / (0.6745 * 6.0))


def measure_pixels(aligned_bgr: NDArray[np.uint8]) -> PixelQuality:
    """Quality of one aligned face.

    Args:
        aligned_bgr: (112, 112, 3) crop aligned on the five key points.

    Returns:
        Sharpness is the variance of the Laplacian without the share of the noise, as if a darker
        face were lit to a mean luma of 128: a dark but sharp face is dark and not blurred, and
        grain is no sharpness. Blown pixels are counted in the oval of the face alone: a white wall
        or the sky behind a face does not overexpose it.
    """
    luma = luma_of(aligned_bgr)
    mean = float(luma.mean())
    noise = estimate_noise(luma)
    signal = max(0.0, laplacian_variance(luma) - NOISE_IN_LAPLACIAN * noise**2)
    return PixelQuality(
        sharpness=signal * _gain(mean) ** 2,
        luma_mean=mean,
        contrast=float(luma.std()),
        clipped_share=float((luma[FACE_OVAL] > CLIPPED_ABOVE).mean()),
        crushed_share=float((luma < CRUSHED_BELOW).mean()),
        noise=noise,
    )


def _gain(luma_mean: float) -> float:
    """By how much a face is too dark; 1 for one that is bright enough."""
    return float(np.clip(REFERENCE_LUMA / max(luma_mean, 1e-6), 1.0, MAX_GAIN))


def surround_luma(luma: NDArray[np.floating], face: Box) -> float | None:
    """Mean luma of what is around a face: brighter than the face, it stands against the light.

    Args:
        luma: (H, W) of a picture of the face and what is around it, 0-255.
        face: its box in pixels of that picture.

    Returns:
        0-255, or None where the face fills the picture.
    """
    around = np.ones(luma.shape, dtype=np.bool_)
    x1, y1, x2, y2 = (max(0, round(value)) for value in face)
    around[y1:y2, x1:x2] = False
    return float(luma[around].mean()) if around.any() else None


def exposure_term(luma_mean: float) -> float:
    """1 for a mean luma in [80, 180], falling linearly to 0 at 10 and at 250."""
    low = (luma_mean - 10.0) / 70.0
    high = (250.0 - luma_mean) / 70.0
    return float(np.clip(min(low, high), 0.0, 1.0))


def quality_score(pixels: PixelQuality, face_px: float, occlusion: float | None) -> float:
    """One number in [0, 1] that ranks faces of one person.

    The weighted geometric mean of four terms, each in [0, 1]: sharpness S / (S + 150 + N), N being
    the noise's own share of the Laplacian, size min(1, px / 112), exposure, and noise
    exp(-noise / 12); times (1 - occlusion) ** 0.3 where it was measured. It falls under blur,
    darkening, noise and down-scaling, and does not change when a sharp picture is enlarged.
    Frontality and the detector's score are left out: they would bias every bucket that is not
    frontal.

    Args:
        pixels: measures of the aligned crop.
        face_px: longer side of the face box in source pixels.
        occlusion: ratio in [0, 1], or None when unmeasured.
    """
    # A few per cent of strong noise survive its subtraction; beside the noise they are little.
    grain = NOISE_IN_LAPLACIAN * (_gain(pixels.luma_mean) * pixels.noise) ** 2
    terms = {
        "sharpness": pixels.sharpness / (pixels.sharpness + SHARPNESS_HALF + grain),
        "size": min(1.0, face_px / FULL_SIZE_PX),
        "exposure": exposure_term(pixels.luma_mean),
        "noise": float(np.exp(-pixels.noise / NOISE_SCALE)),
    }
    score = float(np.prod([terms[name] ** weight for name, weight in SCORE_WEIGHTS.items()]))
    if occlusion is not None:
        score *= (1.0 - float(np.clip(occlusion, 0.0, 1.0))) ** OCCLUSION_WEIGHT
    return score
