"""Reading video with PyAV: what a file is, and its sampled frames in one pass.

Memory does not depend on the length of the video: frames are yielded one at a time. Frames come
upright: the rotation that a phone or camera wrote into the file is applied.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from identity_pipeline.media.clocks import SamplingClock, StreamClock
from identity_pipeline.media.errors import VideoError
from identity_pipeline.settings import VideoSettings

ImageBGR = NDArray[np.uint8]


@dataclass(frozen=True)
class VideoFacts:
    """What the container says of a video; None where it says nothing."""

    container: str
    codec: str
    width: int
    height: int
    rotation: int
    average_fps: float | None
    time_base: float
    duration_ms: float | None


@dataclass(frozen=True)
class SampledFrame:
    """One decoded frame, upright.

    Attributes:
        frame_idx: position in decode order, from 0.
        pts: presentation time in units of the stream's time base.
        timestamp_ms: presentation time in ms; runs on where the stream's own clock jumps back.
        bgr: (H, W, 3) pixels.
        decode_error: `damaged data`, `clock jumped back` or both, of the frames since the last
            sampled one; None when all was well.
    """

    frame_idx: int
    pts: int
    timestamp_ms: float
    bgr: ImageBGR
    decode_error: str | None


def open_video(path: Path) -> InputContainer:
    """The opened container.

    Raises:
        VideoError: it is no video.
    """
    try:
        return av.open(str(path), mode="r")
    except (FFmpegError, ValueError) as error:
        raise VideoError(
            "not_a_video",
            f"{path.name} cannot be opened as a video ({_reason(error)}); copy it again from the "
            "camera, or remove it.",
        ) from error


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def video_stream(container: InputContainer, path: Path) -> VideoStream:
    """The stream of pictures that is read.

    Raises:
        VideoError: there is none, or none that can be decoded.
    """
    if not container.streams.video:
        raise VideoError(
            "no_video_stream",
            f"{path.name} holds sound or data but no pictures; is it the right file?",
        )
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise VideoError(
            "unknown_codec", f"{path.name} is in a format that cannot be decoded here; convert it."
        )
    stream.thread_type = "AUTO"
    return stream


def _check_size(path: Path, settings: VideoSettings) -> int:
    if not path.is_file():
        raise VideoError("missing", f"{path.name} is not there any more; restore or forget it.")
    size = path.stat().st_size
    if size == 0:
        raise VideoError("empty", f"{path.name} is empty; copy it again from the camera.")
    if size > settings.max_file_bytes:
        raise VideoError(
            "too_large",
            f"{path.name} has {size / 1e9:.1f} GB, more than the "
            f"{settings.max_file_bytes / 1e9:.1f} GB of video.max_file_bytes; cut it, or raise the "
            "limit.",
        )
    return size


def probe(path: Path, settings: VideoSettings) -> VideoFacts:
    """Validates a file and reads its facts; decodes one frame to know its rotation.

    Raises:
        VideoError: the file cannot be processed; the sentence says why.
    """
    _check_size(path, settings)
    with open_video(path) as container:
        stream = video_stream(container, path)
        width, height = stream.codec_context.width, stream.codec_context.height
        if width <= 0 or height <= 0 or width * height > settings.max_pixels:
            raise VideoError(
                "absurd_dimensions",
                f"{path.name} declares pictures of {width} x {height}; nothing that large or small "
                "comes from a camera (video.max_pixels).",
            )
        duration_ms = _duration_ms(container, stream)
        if duration_ms is not None and duration_ms > settings.max_duration_s * 1000:
            raise VideoError(
                "too_long",
                f"{path.name} lasts {duration_ms / 1000:.0f} s, more than the "
                f"{settings.max_duration_s:.0f} s of video.max_duration_s; cut it into rides.",
            )
        rotation = _first_rotation(container, path)
        turned = rotation in (90, 270)
        fps = stream.average_rate
        return VideoFacts(
            container=container.format.name,
            codec=stream.codec_context.name,
            width=height if turned else width,
            height=width if turned else height,
            rotation=rotation,
            average_fps=float(fps) if fps else None,
            time_base=float(stream.time_base or 0),
            duration_ms=duration_ms,
        )


def _duration_ms(container: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base * 1000)
    if container.duration is not None:
        return container.duration / 1000  # in units of 1 us
    return None


def _first_rotation(container: InputContainer, path: Path) -> int:
    for frame, _ in decoded(container, path):
        return frame.rotation % 360
    raise VideoError(
        "no_frames", f"{path.name} holds no readable picture; copy it again from the camera."
    )


def decoded(container: InputContainer, path: Path) -> Iterator[tuple[VideoFrame, bool]]:
    """All frames that can be decoded, and whether something before each was damaged.

    Damaged packets are skipped; a broken container ends it, and the caller judges the shortfall
    against the declared duration.
    """
    packets = container.demux(video=0)
    damaged = False
    while True:
        try:
            packet = next(packets)
        except (StopIteration, FFmpegError):
            return
        try:
            for frame in packet.decode():
                yield frame, damaged
                damaged = False
        except FFmpegError:
            damaged = True


def upright(bgr: ImageBGR, rotation: int) -> ImageBGR:
    """The picture turned counter-clockwise by a multiple of 90 degrees."""
    return np.ascontiguousarray(np.rot90(bgr, k=rotation // 90)) if rotation else bgr


def picture_of(frame: VideoFrame) -> ImageBGR:
    """The frame's pixels, upright."""
    return upright(np.asarray(frame.to_ndarray(format="bgr24"), np.uint8), frame.rotation % 360)


DAMAGED, JUMPED = "damaged data", "clock jumped back"


def sampled_frames(path: Path, settings: VideoSettings, skip: int = 0) -> Iterator[SampledFrame]:
    """Decodes a video once and yields its sampled frames in order.

    Args:
        path: the video.
        settings: sampling, and what is done about a truncated file.
        skip: so many sampled frames are known already: they are decoded, as what follows depends
            on them, but neither turned into pictures nor yielded.

    Raises:
        VideoError: the file cannot be opened, yields no frame, or ends long before its declared
            duration and `allow_truncated` is off.
    """
    _check_size(path, settings)
    with open_video(path) as container:
        stream = video_stream(container, path)
        declared = _duration_ms(container, stream)
        sampling = SamplingClock(settings.analysis_fps)
        clock = StreamClock(stream)
        first_ms: float | None = None
        troubles: set[str] = set()
        taken = 0
        for frame_idx, (frame, damaged) in enumerate(decoded(container, path)):
            pts, jumped = clock.read(frame)
            first_ms = clock.now_ms if first_ms is None else first_ms
            troubles |= {DAMAGED} if damaged or frame.is_corrupt else set()
            troubles |= {JUMPED} if jumped else set()
            if not sampling.takes(clock.now_ms - first_ms):
                continue
            error, troubles = "; ".join(sorted(troubles, reverse=True)) or None, set()
            taken += 1
            if taken > skip:
                yield SampledFrame(frame_idx, pts, clock.now_ms, picture_of(frame), error)
    if first_ms is None:
        raise VideoError("no_frames", f"{path.name} holds no readable picture.")
    rate = float(stream.average_rate or 10)
    _check_complete(path, clock.now_ms - first_ms, declared, 3000 / rate, settings)


def _check_complete(
    path: Path,
    read_ms: float,
    declared_ms: float | None,
    grace_ms: float,
    settings: VideoSettings,
) -> None:
    if declared_ms is None or settings.allow_truncated:
        return
    # The last picture has a duration of its own, and so may the sound after it.
    if read_ms < settings.truncated_share * declared_ms - max(grace_ms, 250.0):
        raise VideoError(
            "truncated",
            f"{path.name} ends after {read_ms / 1000:.1f} of {declared_ms / 1000:.1f} s; copy it "
            "again from the camera, or set video.allow_truncated to use what is there.",
        )
