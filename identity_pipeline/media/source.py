"""An opened video: the one stream of it that is looked at, its frames, and their pictures.

What belongs here: opening, the choice of the stream, decoding what can be decoded, and the limits
that hold before memory is taken. What does not: which frames are wanted (`media.video` samples,
`media.seeking` finds again), and what a picture of a frame is (`media.presentation`).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from identity_pipeline.media import boxes, matroska
from identity_pipeline.media.boxes import Description
from identity_pipeline.media.colour import ImageBGR
from identity_pipeline.media.errors import VideoError
from identity_pipeline.media.presentation import Look, Presenter, absurd_size
from identity_pipeline.settings import VideoSettings

DURATION_TAG = r"(\d+):(\d\d):(\d\d\.\d+)"
"""How Matroska says what one stream lasts; the container's duration is that of the longest."""
IMAGE_FORMATS = ("_pipe", "image2", "gif", "webp", "apng", "ico")
"""How ffmpeg's names of still picture formats end."""
BY_NAME = "image2"
"""What ffmpeg takes a file for that is called like a picture and begins like nothing it knows."""
AS_DECODED = {"nv12": "yuv420p", "p010le": "yuv420p10le"}
"""Layouts in which devices give frames, and those of the same numbers that the processor gives."""
NO_VIDEO = Disposition.attached_pic | Disposition.timed_thumbnails
"""Streams of pictures that are no video: a cover, thumbnails."""


class VideoSource:
    """One opened video; closes its file at the end of a `with`."""

    def __init__(self, path: Path, settings: VideoSettings, device: str | None = None) -> None:
        """Opens a video and decodes its first two frames.

        Args:
            path: the file.
            settings: limits.
            device: what decodes, by ffmpeg's name; None: the processor.

        Raises:
            FFmpegError, RuntimeError: there is no such device, or it cannot decode this.
            VideoError: it cannot be read or shown, or holds less than two pictures.
        """
        self.path = path
        self._settings = settings
        self._device = device
        self.ended_in_error = False
        choice = 0
        while not self._opens(choice):
            choice += 1  # of one picture, as a cover that is not marked as one

    def _opens(self, choice: int) -> bool:
        """Opens a stream; False where it does not move, and there is another one to look at."""
        self.container = _opened(self.path, self._settings, self._device)
        try:
            streams = ranked_streams(self.container, self.path)
            self.stream = streams[choice]
            self.stream.thread_type = "AUTO"
            context = self.stream.codec_context
            self._check_size()
            # The decoder refuses larger frames before it takes memory for them.
            context.options = {**context.options, "max_pixels": str(self._settings.max_pixels)}
            self._presenter = Presenter(
                self.stream, self._description(), self.path.name, self._settings.max_pixels
            )
            self._coming = self._decoded()
            self._ahead = deque(islice(self._coming, 2))
            if len(self._ahead) > 1:
                self._presenter.introduce(self._planar(self._ahead[0][0]))
                return True
            if choice + 1 == len(streams):
                raise self._not_moving()
        except BaseException:
            self.container.close()
            raise
        self.container.close()
        return False

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the file."""
        self.container.close()

    @property
    def look(self) -> Look:
        """How the first frame is shown; all pictures have its size."""
        return self._presenter.first

    @property
    def duration_ms(self) -> float | None:
        """What the container says it lasts; None where it says nothing."""
        stream = self.stream
        if stream.duration is not None and stream.time_base is not None:
            return float(stream.duration * stream.time_base * 1000)
        own = re.fullmatch(DURATION_TAG, stream.metadata.get("DURATION", ""))
        if own:
            hours, minutes, seconds = own.groups()
            return (int(hours) * 3600 + int(minutes) * 60 + float(seconds)) * 1000
        if self.container.duration is not None:
            return self.container.duration / 1000  # in units of 1 us
        return None

    def frames(self) -> Iterator[tuple[VideoFrame, bool]]:
        """All frames that can be decoded from here on, and whether data before each was damaged.

        Damaged packets are skipped; a broken container ends it, and the caller judges the shortfall
        against the declared duration.

        Raises:
            VideoError: the frames become absurdly large.
        """
        while self._ahead:
            yield self._ahead.popleft()
        yield from self._coming

    def seek(self, pts: int) -> bool:
        """Goes to the key frame at or before a time stamp; False where the container cannot."""
        try:
            self.container.seek(pts, stream=self.stream, backward=True)
        except FFmpegError:
            return False
        self._ahead.clear()
        self._coming = self._decoded()
        return True

    def picture(self, frame: VideoFrame) -> tuple[ImageBGR, bool]:
        """A frame as a person would see it, and whether its shape differs from the first one's.

        Raises:
            VideoError: it cannot be shown.
        """
        return self._presenter.picture(self._planar(frame))

    def _planar(self, frame: VideoFrame) -> VideoFrame:
        """A frame of a device in the layout that the processor decodes into, with the same bits."""
        layout = AS_DECODED.get(frame.format.name) if self._device else None
        return frame.reformat(format=layout) if layout else frame

    def _description(self) -> Description:
        names = self.container.format.name.split(",")
        if "mp4" in names:
            return boxes.description_of(self.path, self.stream.id)
        if "matroska" in names:
            return matroska.description_of(self.path, self.stream.index)
        return Description()

    def _decoded(self) -> Iterator[tuple[VideoFrame, bool]]:
        damaged = False
        for packet in self._packets():
            try:
                # Without a packet, what the decoder still holds comes out.
                for frame in self.stream.decode(packet):
                    yield frame, damaged
                    damaged = False
            except FFmpegError:
                self._check_size(in_mid_stream=True)
                damaged = True

    def _packets(self) -> Iterator[Packet[VideoStream] | None]:
        """All packets; at the end one that empties the decoder, or None where none came."""
        packets = self.container.demux(self.stream)
        held: Packet[VideoStream] | None = None
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except FFmpegError:
                self.ended_in_error = True
                yield None
                return
            # A last packet that was cut short is not given to the decoder: its error, met while the
            # decoder is emptied, would cost whole frames that are still in there.
            if held is not None and packet.size:
                yield held
            held = packet if packet.is_corrupt else None
            if held is None:
                yield packet

    def _check_size(self, *, in_mid_stream: bool = False) -> None:
        context = self.stream.codec_context
        if context.width * context.height > self._settings.max_pixels:
            raise absurd_size(
                self.path.name, context.width, context.height, in_mid_stream=in_mid_stream
            )

    def _not_moving(self) -> VideoError:
        """Why a video of less than two pictures is refused."""
        name = self.path.name
        if not self._ahead and (refusal := self._nothing_readable()):
            return refusal
        if not self.container.format.name.endswith(IMAGE_FORMATS):
            rate = float(self.stream.average_rate or 10)
            frames = self.stream.frames or (self.duration_ms or 0) * rate / 1000
            if frames >= 2:
                return VideoError(
                    "truncated",
                    f"{name} declares about {frames:.0f} pictures, of which one alone can be read; "
                    "copy it again from the camera.",
                )
        return VideoError(
            "still_picture",
            f"{name} is a still picture, not a video; is it the right file? Photographs of a "
            "person are taken in by `identity-pipeline enrol`.",
        )

    def _nothing_readable(self) -> VideoError | None:
        """Why a file is refused of which no picture can be read; None where it is a still one."""
        name, context = self.path.name, self.stream.codec_context
        if self.container.format.name == BY_NAME:
            return VideoError(
                "not_a_video",
                f"{name} is no video, and no picture that can be read, whatever its name says; "
                "is it the right file?",
            )
        if self.container.format.name.endswith(IMAGE_FORMATS):
            return None
        if min(context.width, context.height) <= 0:
            return absurd_size(name, context.width, context.height)
        return VideoError(
            "no_frames", f"{name} holds no readable picture; copy it again from the camera."
        )


def _opened(path: Path, settings: VideoSettings, device: str | None) -> InputContainer:
    # The option is for the decoders that look into the first packets.
    options = {"max_pixels": str(settings.max_pixels)}
    if device:
        on_device = HWAccel(device, allow_software_fallback=False)
        return av.open(str(path), mode="r", options=options, hwaccel=on_device)
    try:
        return av.open(str(path), mode="r", options=options)
    except (FFmpegError, ValueError) as error:
        raise VideoError(
            "not_a_video",
            f"{path.name} cannot be opened as a video "
            f"({getattr(error, 'strerror', None) or error}); copy it again from the camera, or "
            "remove it.",
        ) from error


def ranked_streams(container: InputContainer, path: Path) -> list[VideoStream]:
    """The streams that may be looked at, the best first: the default one, else the largest.

    Covers and thumbnails are none of them.

    Raises:
        VideoError: there is none, or none that can be decoded.
    """
    videos = [s for s in container.streams.video if not s.disposition & NO_VIDEO]
    if not videos:
        raise VideoError(
            "no_video_stream",
            f"{path.name} holds sound, a cover or data, but no video; is it the right file?",
        )
    readable = [s for s in videos if s.codec_context is not None]
    if not readable:
        raise VideoError(
            "unknown_codec", f"{path.name} is in a format that cannot be decoded here; convert it."
        )
    return sorted(readable, key=_rank)


def _rank(stream: VideoStream) -> tuple[bool, int, int]:
    context = stream.codec_context
    is_default = bool(stream.disposition & Disposition.default)
    return not is_default, -context.width * context.height, stream.index


def other_videos(container: InputContainer, chosen: VideoStream) -> list[VideoStream]:
    """The streams that might have been looked at instead."""
    return [s for s in container.streams.video if not s.disposition & NO_VIDEO and s is not chosen]
