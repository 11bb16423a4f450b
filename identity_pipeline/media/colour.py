"""From the code values of a decoded frame to a bt709 picture, whatever the camera coded them in.

What belongs here: what a stream says of its colours, and the conversion. What does not: the shape
and the orientation of a picture (`media.presentation`).

SDR goes through swscale. HDR and wide gamuts go through linear light: the inverse of the transfer
function, the matrix from the stream's primaries to those of bt709, the highlights rolled off, and
the display gamma of bt709 (ITU-R BT.1886). HDR reference white becomes SDR white, as in ITU-R
BT.2408, so that what an SDR camera would have recorded comes out as it would have recorded it; only
what is brighter than `KNEE` of SDR white is compressed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import cv2
import numpy as np
from av.error import FFmpegError
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, VideoReformatter
from numpy.typing import NDArray

ImageBGR = NDArray[np.uint8]

REFERENCE_WHITE_NITS: Final = 203.0
"""Luminance of diffuse white in HDR programmes (ITU-R BT.2408, table 1)."""
PEAK_NITS: Final = 1000.0
"""What becomes the brightest SDR value; also the HLG display's (BT.2100). Brighter clips."""
SDR_GAMMA: Final = 2.4
"""Of a bt709 display (ITU-R BT.1886)."""
HLG_GAMMA: Final = 1.2
"""System gamma of HLG on a display of 1,000 cd/m2 (ITU-R BT.2100)."""
KNEE: Final = 0.7
"""Linear light, of SDR white, up to which tone mapping changes nothing: 220 of 255.

Chosen: SDR white of 235 loses 4, and 203 to 1,000 cd/m2 still have 16 steps."""
HD_HEIGHT, HD_WIDTH = 720, 1280
"""Untagged pictures that are as high or as wide are bt709, smaller ones bt601."""

MATRICES: Final = {
    0: "gbr", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "ycgco",
    9: "bt2020nc", 10: "bt2020c", 11: "smpte2085", 12: "chroma-derived-nc",
    13: "chroma-derived-c", 14: "ictcp", 15: "ipt-c2", 16: "ycgco-re", 17: "ycgco-ro",
}  # fmt: skip
TRANSFERS: Final = {
    1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "linear",
    9: "log100", 10: "log316", 11: "iec61966-2-4", 12: "bt1361e", 13: "iec61966-2-1",
    14: "bt2020-10", 15: "bt2020-12", 16: "smpte2084", 17: "smpte428", 18: "arib-std-b67",
}  # fmt: skip
PRIMARIES: Final = {
    1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film", 9: "bt2020",
    10: "smpte428", 11: "smpte431", 12: "smpte432", 22: "ebu3213",
}  # fmt: skip
RANGES: Final = {1: "tv", 2: "pc"}
"""Names of the code points of ITU-T H.273, as ffprobe prints them."""

BY_SWSCALE: Final = ("gbr", "bt709", "fcc", "bt470bg", "smpte170m", "smpte240m", "bt2020nc")
"""Matrices that swscale knows."""
PQ, HLG, LINEAR = "smpte2084", "arib-std-b67", "linear"
UNCONVERTED: Final = ("log100", "log316", "smpte428")
"""Transfer functions that are shown as they are."""
CHROMATICITIES: Final = {
    "bt709": ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), (0.3127, 0.3290)),
    "bt2020": ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), (0.3127, 0.3290)),
    "smpte431": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    "smpte432": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.3127, 0.3290)),
}
"""x, y of red, green, blue and white (H.273); the gamuts so near to bt709 that none is converted
(bt470bg, smpte170m, smpte240m, ...) are left out."""


class UnsupportedColourError(ValueError):
    """The colours cannot be converted; the message names what they are coded in."""


@dataclass(frozen=True)
class Colour:
    """What a frame says of its colours, in the names of ffprobe; None where it says nothing.

    Attributes:
        pixel_format: e.g. `yuv420p10le`.
        bit_depth: bits of a component.
        matrix: from RGB to the coded components.
        transfer: from light to code values.
        primaries: what red, green and blue are.
        range: `tv` (limited) or `pc` (full).
        alpha: whether there is transparency, which is not looked at.
    """

    pixel_format: str
    bit_depth: int
    matrix: str | None
    transfer: str | None
    primaries: str | None
    range: str | None
    alpha: bool = False

    @property
    def is_hdr(self) -> bool:
        """Whether code values stand for more light than an SDR display has."""
        return self.transfer in (PQ, HLG)

    @property
    def gamut(self) -> str:
        """The primaries that pixels are converted from."""
        guessed = "bt2020" if self.is_hdr else "bt709"
        return self.primaries if self.primaries in CHROMATICITIES else guessed

    @property
    def by_swscale(self) -> bool:
        """Whether no light needs to be computed."""
        return self.gamut == "bt709" and not self.is_hdr and self.transfer != LINEAR

    def warnings(self) -> list[str]:
        """What a person should know of the conversion, in sentences."""
        said = []
        if self.is_hdr:
            name = "PQ" if self.transfer == PQ else "HLG"
            said.append(
                f"The colours are HDR ({name}, {self.gamut}) and are brought to SDR (bt709): light "
                f"above {REFERENCE_WHITE_NITS:.0f} cd/m² is compressed."
            )
        elif self.gamut != "bt709":
            said.append(f"The colours are of a wide gamut ({self.gamut}) and brought to bt709.")
        if self.transfer in UNCONVERTED:
            said.append(
                f"The transfer function {self.transfer} is not converted: light and colours differ "
                "from what was filmed."
            )
        if self.matrix == "bt2020c":
            said.append("The colours are of constant luminance (bt2020c), read as bt2020nc.")
        if self.alpha:
            said.append("The pictures have transparency, which is not looked at.")
        return said


def colour_of(frame: VideoFrame) -> Colour:
    """What a decoded frame says of its colours."""
    bit_depth, alpha = _components(frame.format.name)
    return Colour(
        pixel_format=frame.format.name,
        bit_depth=bit_depth,
        matrix=MATRICES.get(frame.colorspace),
        transfer=TRANSFERS.get(frame.color_trc),
        primaries=PRIMARIES.get(frame.color_primaries),
        range=RANGES.get(frame.color_range),
        alpha=alpha,
    )


@cache
def _components(pixel_format: str) -> tuple[int, bool]:
    """Bits of the deepest component of a pixel format, and whether one is transparency."""
    components = VideoFormat(pixel_format).components
    return max(one.bits for one in components), any(one.is_alpha for one in components)


def matrix_of(colour: Colour, width: int, height: int) -> str:
    """The matrix that the pixels are read by, guessed from the size where the stream is silent.

    Raises:
        UnsupportedColourError: there is no conversion from it.
    """
    if colour.matrix in BY_SWSCALE and colour.matrix != "gbr":
        return colour.matrix
    if colour.matrix == "bt2020c":
        return "bt2020nc"
    if colour.matrix not in (None, "gbr"):
        raise UnsupportedColourError(colour.matrix)
    if colour.is_hdr or colour.primaries == "bt2020":
        return "bt2020nc"
    return "bt709" if height >= HD_HEIGHT or width >= HD_WIDTH else "smpte170m"


class BgrConverter:
    """Converts frames to bt709 pictures; keeps what swscale prepares from frame to frame."""

    def __init__(self) -> None:
        self._swscale = VideoReformatter()

    def convert(self, frame: VideoFrame, colour: Colour) -> ImageBGR:
        """The frame as an (H, W, 3) picture of 8 bits, in the order blue, green, red.

        Raises:
            UnsupportedColourError: the colours or the pixel format cannot be converted.
        """
        matrix = matrix_of(colour, frame.width, frame.height)
        is_rgb = frame.format.is_rgb
        if not is_rgb:
            frame.colorspace = next(n for n, name in MATRICES.items() if name == matrix)
        if colour.by_swscale:
            return np.asarray(self._converted(frame, "bgr24"), np.uint8)
        # Planes of 16 bits: swscale packs them at a fifth of the cost of rgb48.
        coded = np.asarray(self._converted(frame, "gbrp16le"), np.uint16)
        return to_sdr(coded, colour)

    def _converted(self, frame: VideoFrame, pixel_format: str) -> NDArray[np.generic]:
        try:
            converted = self._swscale.reformat(
                frame, format=pixel_format, dst_color_range=ColorRange.JPEG
            )
        except (FFmpegError, ValueError) as error:
            raise UnsupportedColourError(frame.format.name) from error
        return np.asarray(converted.to_ndarray())


def to_sdr(coded: NDArray[np.uint16], colour: Colour) -> ImageBGR:
    """HDR or wide-gamut code values as an SDR picture.

    Args:
        coded: (H, W, 3) R'G'B' of the stream's own transfer and primaries, 0 to 65535.
        colour: what they are coded in.

    Returns:
        (H, W, 3) picture, blue first. Grey stays grey: all three channels pass the same functions.
    """
    light = np.asarray(cv2.LUT(coded, _linear(colour.transfer)))
    if colour.transfer == HLG:  # scene light; the display's depends on the luminance (OOTF)
        luminance = cv2.transform(light, _luminance_row(colour.gamut))
        light *= cv2.pow(luminance, HLG_GAMMA - 1)[..., None]
        light *= PEAK_NITS / REFERENCE_WHITE_NITS
    light = np.maximum(cv2.transform(light, _to_bt709(colour.gamut)), 0)
    if colour.is_hdr:
        _roll_off(light)
    # A square root in between spreads 16 bits over the dark values like an 8-bit gamma.
    index = np.minimum(cv2.sqrt(light) * 65535 + 0.5, 65535).astype(np.uint16)
    return np.asarray(cv2.LUT(index, _encoded()), np.uint8)


def _roll_off(light: NDArray[np.float32]) -> None:
    """Compresses, in place, what is above `KNEE` towards 1 at `PEAK_NITS`, hues kept (Moebius)."""
    brightest = cv2.max(cv2.max(light[..., 0], light[..., 1]), light[..., 2])
    above = brightest > KNEE
    if not above.any():
        return
    peak = PEAK_NITS / REFERENCE_WHITE_NITS
    x = np.minimum(brightest[above], peak)
    a = -(KNEE**2) * (peak - 1) / (KNEE**2 - 2 * KNEE + peak)
    b = (KNEE**2 - 2 * KNEE * peak + peak) / (peak - 1)
    mapped = (b + KNEE) ** 2 / (b - a) * (x + a) / (x + b)
    light[above] *= (mapped / brightest[above])[:, None]


@cache
def _linear(transfer: str | None) -> NDArray[np.float32]:
    """Light of each code value; PQ and SDR in units of SDR white, HLG of the scene's peak."""
    code = np.linspace(0, 1, 65536)
    if transfer == PQ:  # SMPTE ST 2084
        m1, m2 = 2610 / 16384, 2523 / 4096 * 128
        c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
        power = code ** (1 / m2)
        nits = 10000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
        light = nits / REFERENCE_WHITE_NITS
    elif transfer == HLG:  # ARIB STD-B67
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    else:
        light = code if transfer == LINEAR else code**SDR_GAMMA
    return light.astype(np.float32)


@cache
def _encoded() -> NDArray[np.uint8]:
    """The 8-bit value of each square root of light."""
    root = np.linspace(0, 1, 65536)
    return np.rint(255 * root ** (2 / SDR_GAMMA)).astype(np.uint8)


def _rgb_to_xyz(gamut: str) -> NDArray[np.float64]:
    points = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in CHROMATICITIES[gamut]])
    columns, white = points[:3].T, points[3]
    return columns * np.linalg.solve(columns, white)


@cache
def _to_bt709(gamut: str) -> NDArray[np.float32]:
    """From linear R, G, B of a gamut to linear B, G, R of bt709; white stays white."""
    there = np.linalg.solve(_rgb_to_xyz("bt709"), _rgb_to_xyz(gamut))
    there /= there.sum(axis=1, keepdims=True)  # another white point is adapted to
    return there[::-1].astype(np.float32)


@cache
def _luminance_row(gamut: str) -> NDArray[np.float32]:
    return _rgb_to_xyz(gamut)[1:2].astype(np.float32)
