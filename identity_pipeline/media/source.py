"""An opened video: the one stream of it that is looked at, its frames, and their pictures.

What belongs here: opening, the choice of the stream, decoding what can be decoded, and the limits
that hold before memory is taken. What does not: which frames are wanted (`media.video` samples,
`media.seeking` finds again), and what a picture of a frame is (`media.presentation`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from identity_pipeline.media.colour import ImageBGR
from identity_pipeline.media.errors import VideoError
from identity_pipeline.media.presentation import Look, Presenter, absurd_size
from identity_pipeline.settings import VideoSettings

NO_VIDEO = Disposition.attached_pic | Disposition.timed_thumbnails
"""Streams of pictures that are no video: a cover, thumbnails."""


class VideoSource:
    """One opened video; closes its file at the end of a `with`."""

    def __init__(self, path: Path, settings: VideoSettings) -> None:
        """Opens a video and decodes its first two frames.

        Raises:
            VideoError: it cannot be read or shown, or holds less than two pictures.
        """
        self.path = path
        self._settings = settings
        self.container = _opened(path)
        try:
            self.stream = chosen_stream(self.container, path)
            self.stream.thread_type = "AUTO"
            context = self.stream.codec_context
            self._check_size()
            # The decoder refuses larger frames before it takes memory for them.
            context.options = {**context.options, "max_pixels": str(settings.max_pixels)}
            self._presenter = Presenter(self.stream, path.name, settings.max_pixels)
            self.ended_in_error = False
            self._coming = self._decoded()
            self._ahead = deque(islice(self._coming, 2))
            self._check_moving()
            self._presenter.introduce(self._ahead[0][0])
        except BaseException:
            self.container.close()
            raise

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
        return self._presenter.picture(frame)

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
        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:  # its last packet has emptied the decoder
                return
            except FFmpegError:
                self.ended_in_error = True
                yield None
                return
            yield packet

    def _check_size(self, *, in_mid_stream: bool = False) -> None:
        context = self.stream.codec_context
        if context.width * context.height > self._settings.max_pixels:
            raise absurd_size(
                self.path.name, context.width, context.height, in_mid_stream=in_mid_stream
            )

    def _check_moving(self) -> None:
        name = self.path.name
        if not self._ahead:
            context = self.stream.codec_context
            if context.width <= 0 or context.height <= 0:
                raise absurd_size(name, context.width, context.height)
            raise VideoError(
                "no_frames", f"{name} holds no readable picture; copy it again from the camera."
            )
        if len(self._ahead) > 1:
            return
        rate = float(self.stream.average_rate or 10)
        frames = self.stream.frames or (self.duration_ms or 0) * rate / 1000
        if frames >= 2:
            raise VideoError(
                "truncated",
                f"{name} declares about {frames:.0f} pictures, of which one alone can be read; "
                "copy it again from the camera.",
            )
        raise VideoError(
            "still_picture", f"{name} is a still picture, not a video; is it the right file?"
        )


def _opened(path: Path) -> InputContainer:
    try:
        return av.open(str(path), mode="r")
    except (FFmpegError, ValueError) as error:
        raise VideoError(
            "not_a_video",
            f"{path.name} cannot be opened as a video "
            f"({getattr(error, 'strerror', None) or error}); copy it again from the camera, or "
            "remove it.",
        ) from error


def chosen_stream(container: InputContainer, path: Path) -> VideoStream:
    """The stream that is looked at: never a cover; the default one, else the largest.

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
    return max(readable, key=_rank)


def _rank(stream: VideoStream) -> tuple[bool, int, int]:
    context = stream.codec_context
    is_default = bool(stream.disposition & Disposition.default)
    return is_default, context.width * context.height, -stream.index


def other_videos(container: InputContainer, chosen: VideoStream) -> list[VideoStream]:
    """The streams that might have been looked at instead."""
    return [s for s in container.streams.video if not s.disposition & NO_VIDEO and s is not chosen]
