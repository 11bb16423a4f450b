"""From a decoded frame to the picture that a person would see: the one way to pixels.

What belongs here: the order in which a frame is deinterlaced, brought to bt709, given square pixels
and turned upright, as ffmpeg does it, and what of this a video's record says. Analysis and export
both take their pictures from here, so that both see the same. What does not: the conversions
themselves (`media.colour`, `media.display_matrix`), and which frames are wanted.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import cast

import cv2
import numpy as np
from av.sidedata.sidedata import SideDataContainer
from av.sidedata.sidedata import Type as SideData
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from identity_pipeline.media.boxes import Aperture, Description
from identity_pipeline.media.colour import (
    BgrConverter,
    Colour,
    ImageBGR,
    UnsupportedColourError,
    colour_of,
    matrix_of,
)
from identity_pipeline.media.display_matrix import (
    UPRIGHT,
    DistortingMatrixError,
    Orientation,
    orientation_of,
)
from identity_pipeline.media.errors import VideoError
from identity_pipeline.media.frame_filters import (
    RATIO_STEP,
    SQUARE,
    SampleAspectRatio,
    deinterlaced,
)

PACKED_3D = {
    1: "side by side",
    2: "one above the other",
    4: "as a chequerboard",
    5: "side by side, in a quincunx",
    6: "in alternating lines",
    7: "in alternating columns",
}
"""How one frame holds the pictures of both eyes (AVStereo3DType)."""
ALTERNATING_3D = 3
FLAT_PROJECTION = 4
"""`rectilinear` of AVSphericalProjection: an ordinary picture."""
DOLBY_DATA = (SideData.DOVI_RPU_BUFFER, SideData.DOVI_METADATA)
DOLBY_VISION_ONLY = ("dvhe", "dvh1", "dav1")
"""Codec tags of Dolby Vision without a base layer that others can show, unless it is tagged."""


@dataclass(frozen=True)
class Look:
    """What a frame says of how it is to be shown.

    Attributes:
        coded_width, coded_height: pixels as they are coded.
        aperture: what is cut off at the edges.
        sample_aspect_ratio: width over height of one pixel.
        interlaced: whether it holds two fields of different times.
        orientation: how it is brought upright.
        colour: what its colours are coded in.
        notes: what else a person should know, in sentences.
    """

    coded_width: int
    coded_height: int
    aperture: Aperture
    sample_aspect_ratio: Fraction
    interlaced: bool
    orientation: Orientation
    colour: Colour
    notes: tuple[str, ...]

    @property
    def region(self) -> tuple[slice, slice]:
        """Rows and columns of the coded picture that are shown."""
        cut = self.aperture
        return (
            slice(cut.top, self.coded_height - cut.bottom),
            slice(cut.left, self.coded_width - cut.right),
        )

    @property
    def square_size(self) -> tuple[int, int]:
        """Width and height with square pixels, before it is turned: no pixel is given away."""
        rows, columns = self.region
        width, height = columns.stop - columns.start, rows.stop - rows.start
        ratio = self.sample_aspect_ratio
        if ratio >= 1:
            return round(width * ratio), height
        return width, round(height / ratio)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as it is shown."""
        width, height = self.square_size
        return (height, width) if self.orientation.swaps_axes else (width, height)

    def warnings(self) -> list[str]:
        """What a person should know of how it is shown, in sentences."""
        said = list(self.notes)
        if self.aperture != Aperture():
            said.append(
                f"A margin of the {self.coded_width} × {self.coded_height} coded pixels is cut off,"
                " as the file asks for (clean aperture)."
            )
        if self.interlaced:
            said.append(
                "The pictures are interlaced and are deinterlaced one by one; fine detail is "
                "coarser than their size says."
            )
        if not self.orientation.is_right_angled:
            said.append(
                f"The pictures are turned by {self.orientation.rotation:.0f}°, which cuts off "
                "their corners."
            )
        return said + self.colour.warnings()


class Presenter:
    """Makes pictures of the frames of one stream, all of the size of its first frame."""

    def __init__(
        self, stream: VideoStream, description: Description, name: str, max_pixels: int
    ) -> None:
        """Prepares for a stream.

        Args:
            stream: the opened stream, before its first frame is decoded.
            description: what the container says of it besides.
            name: of the file, for error messages.
            max_pixels: largest picture, in pixels.
        """
        self._codec_tag = stream.codec_context.codec_tag.lower()
        self._guessed_ratio = stream.sample_aspect_ratio
        # What the container does not say is told by the decoder that has looked ahead, maybe to
        # other frames than the first.
        self._told_by_codec = stream.codec_context.sample_aspect_ratio == stream.sample_aspect_ratio
        self._container_ratio: Fraction | None = None
        self._description = description
        self._name = name
        self._max_pixels = max_pixels
        self._ratio_of = SampleAspectRatio()
        self._converter = BgrConverter()
        self._first: Look | None = None

    @property
    def first(self) -> Look:
        """How the first frame is shown, which all others are brought to."""
        if self._first is None:
            raise RuntimeError("no frame has been introduced yet")
        return self._first

    def introduce(self, frame: VideoFrame) -> Look:
        """Takes the first frame of the video as the measure of all others.

        Raises:
            VideoError: it cannot be shown.
        """
        ratio, guessed = self._ratio_of(frame), self._guessed_ratio
        differs = guessed is not None and guessed > 0 and abs(guessed - ratio) > RATIO_STEP
        if differs and not self._told_by_codec:
            self._container_ratio = guessed  # the container knows better than the codec
        self._first = self.look(frame)
        return self._first

    def look(self, frame: VideoFrame) -> Look:
        """How a frame is to be shown.

        Raises:
            VideoError: it cannot be shown, or would be absurdly large.
        """
        colour = colour_of(frame)
        look = Look(
            coded_width=frame.width,
            coded_height=frame.height,
            aperture=self._aperture(frame),
            sample_aspect_ratio=self._ratio(frame),
            interlaced=frame.interlaced_frame,
            orientation=self._orientation(frame),
            colour=colour,
            notes=tuple(self._notes(frame, colour)),
        )
        width, height = look.size
        if not 0 < width * height <= self._max_pixels:
            raise absurd_size(self._name, width, height)
        return look

    def picture(self, frame: VideoFrame) -> tuple[ImageBGR, bool]:
        """A frame as a person would see it, and whether its shape differs from the first one's.

        A frame of another shape is scaled into the first one's, centred, and padded with black.

        Returns:
            (H, W, 3) bt709 picture with square pixels, upright, blue first; and the difference.

        Raises:
            VideoError: it cannot be shown.
        """
        look = self.look(frame)
        source = deinterlaced(frame) if look.interlaced else frame
        try:
            bgr = self._converter.convert(source, look.colour)
        except UnsupportedColourError as error:
            raise self._unsupported(f"its colours ({error}) cannot be converted") from error
        bgr = bgr[look.region]
        size = look.square_size
        if size != bgr.shape[1::-1]:
            bgr = np.asarray(cv2.resize(bgr, size, interpolation=cv2.INTER_CUBIC), np.uint8)
        bgr = look.orientation.apply(bgr)
        if look.size == self.first.size:
            return bgr, False
        return _fitted(bgr, *self.first.size), True

    def _aperture(self, frame: VideoFrame) -> Aperture:
        first = self._first
        described = first is None or (frame.width, frame.height) == (
            first.coded_width,
            first.coded_height,
        )
        cut = self._description.aperture
        within = cut.left + cut.right < frame.width and cut.top + cut.bottom < frame.height
        return cut if described and within else Aperture()

    def _ratio(self, frame: VideoFrame) -> Fraction:
        if self._container_ratio is not None:
            return self._container_ratio
        ratio = self._ratio_of(frame)
        guessed = self._guessed_ratio or SQUARE
        return guessed if abs(guessed - ratio) <= RATIO_STEP else ratio

    def _orientation(self, frame: VideoFrame) -> Orientation:
        matrix = _side_data(frame, SideData.DISPLAYMATRIX)
        try:
            return orientation_of(matrix) if matrix else UPRIGHT
        except DistortingMatrixError as error:
            raise self._unsupported("its display matrix shears or flattens the picture") from error

    def _notes(self, frame: VideoFrame, colour: Colour) -> list[str]:
        notes = []
        stereo = _side_data(frame, SideData.STEREO3D)
        kind = int.from_bytes(stereo[:4], "little") if stereo else 0
        if kind in PACKED_3D:
            raise self._unsupported(
                f"it is stereoscopic: each frame holds the pictures of both eyes {PACKED_3D[kind]},"
                " so everybody would be seen twice"
            )
        if kind == ALTERNATING_3D:
            notes.append("The video is stereoscopic: the pictures of both eyes alternate.")
        sphere = _side_data(frame, SideData.SPHERICAL)
        if sphere and int.from_bytes(sphere[:4], "little") != FLAT_PROJECTION:
            notes.append(
                "The pictures are a projection of a sphere (360° video), looked at as if they were "
                "flat: faces off the middle are distorted, and those at the seam are cut."
            )
        self._check_colours(frame, colour, notes)
        return notes

    def _check_colours(self, frame: VideoFrame, colour: Colour, notes: list[str]) -> None:
        try:
            matrix_of(colour, frame.width, frame.height)
        except UnsupportedColourError as error:
            raise self._unsupported(f"its colours ({error}) cannot be converted") from error
        described = self._description.dolby_profile is not None
        dolby = described or self._codec_tag in DOLBY_VISION_ONLY
        dolby |= any(map(partial(_side_data, frame), DOLBY_DATA))
        only = described and not self._description.dolby_compatible
        if only or (dolby and not described and colour.transfer is None):
            raise self._unsupported("it is Dolby Vision without a base layer that others can show")
        if dolby:
            notes.append("The video is Dolby Vision; its base layer alone is looked at.")

    def _unsupported(self, reason: str) -> VideoError:
        return VideoError(
            "unsupported_picture",
            f"{self._name} cannot be shown as it was filmed: {reason}; convert it to an ordinary "
            "video first (for instance with ffmpeg, to H.264 and bt709).",
        )


def absurd_size(name: str, width: int, height: int, *, in_mid_stream: bool = False) -> VideoError:
    """The refusal of a picture of an absurd size."""
    what = "changes in mid-stream to" if in_mid_stream else "declares"
    return VideoError(
        "absurd_dimensions",
        f"{name} {what} pictures of {width} x {height}; nothing that large or small comes from a "
        "camera (video.max_pixels).",
    )


def _side_data(frame: VideoFrame, kind: SideData) -> bytes:
    held = cast("SideDataContainer", frame.side_data)  # PyAV's stub names two of its kinds only
    return bytes(held[kind]) if kind in held else b""


def _fitted(bgr: ImageBGR, width: int, height: int) -> ImageBGR:
    """A picture scaled into a frame of another shape, centred on black."""
    scale = min(width / bgr.shape[1], height / bgr.shape[0])
    w = min(width, max(1, round(bgr.shape[1] * scale)))
    h = min(height, max(1, round(bgr.shape[0] * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    fitted = np.zeros((height, width, 3), np.uint8)
    x, y = (width - w) // 2, (height - h) // 2
    fitted[y : y + h, x : x + w] = cv2.resize(bgr, (w, h), interpolation=how)
    return fitted
