"""What a video is, and its sampled frames in one pass.

Memory does not depend on the length of the video: frames are yielded one at a time. Frames come as
a person would see them (`media.presentation`): upright, with square pixels, in the colours of
bt709.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from identity_pipeline.core.video.highlights import Emphasis
from identity_pipeline.media.boxes import ends_inside_a_box
from identity_pipeline.media.clocks import SamplingClock, StreamClock
from identity_pipeline.media.colour import ImageBGR
from identity_pipeline.media.errors import DAMAGED, RESHAPED, VideoError
from identity_pipeline.media.hardware import source_of
from identity_pipeline.media.source import VideoSource, other_videos
from identity_pipeline.settings import VideoSettings


@dataclass(frozen=True)
class VideoProbe:
    """What a video says of itself; None where it says nothing.

    Attributes:
        container, codec: names as ffmpeg has them.
        stream_index: of the stream that is looked at, among all of the container.
        coded_width, coded_height: pixels as they are coded.
        sample_aspect_ratio: width over height of one coded pixel, e.g. `4:3`.
        width, height: pixels of the pictures as they are shown: square, upright.
        mirrored: whether pictures are mirrored left to right, before they are turned.
        rotation: turn that is applied, degrees counter-clockwise.
        interlaced: whether the first frame is.
        pixel_format, bit_depth: of the coded frames.
        matrix, transfer, primaries, range: of the colours, as ffprobe names them.
        average_fps: frames per second.
        time_base: unit of time stamps, s.
        duration_ms: declared.
        warnings: what a person should know of how the video was read, in sentences.
    """

    container: str
    codec: str
    stream_index: int
    coded_width: int
    coded_height: int
    sample_aspect_ratio: str
    width: int
    height: int
    mirrored: bool
    rotation: int
    interlaced: bool
    pixel_format: str
    bit_depth: int
    matrix: str | None
    transfer: str | None
    primaries: str | None
    range: str | None
    average_fps: float | None
    time_base: float
    duration_ms: float | None
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class SampledFrame:
    """One decoded frame as a person would see it.

    Attributes:
        frame_idx: position in decode order, from 0.
        pts: presentation time in units of the stream's time base.
        timestamp_ms: presentation time in ms; runs on where the stream's own clock jumps back.
        bgr: (H, W, 3) pixels.
        decode_error: `damaged data` and what the clock's troubles are (`media.clocks`), of the
            frames since the last sampled one, and for the last of a video of those behind it;
            `other frame size` where it was brought to the size of the first; None when all was
            well.
    """

    frame_idx: int
    pts: int
    timestamp_ms: float
    bgr: ImageBGR
    decode_error: str | None


def _check_file(path: Path, settings: VideoSettings) -> None:
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


def probe(path: Path, settings: VideoSettings) -> VideoProbe:
    """Validates a file and reads what it says of itself; two frames are decoded for it.

    Raises:
        VideoError: the file cannot be processed; the sentence says why.
    """
    _check_file(path, settings)
    with VideoSource(path, settings) as source:
        duration_ms = source.duration_ms
        if duration_ms is not None and duration_ms > settings.max_duration_s * 1000:
            raise VideoError(
                "too_long",
                f"{path.name} lasts {duration_ms / 1000:.0f} s, more than the "
                f"{settings.max_duration_s:.0f} s of video.max_duration_s; cut it into rides.",
            )
        look, stream = source.look, source.stream
        ratio, colour = look.sample_aspect_ratio, look.colour
        width, height = look.size
        return VideoProbe(
            container=source.container.format.name,
            codec=stream.codec_context.name,
            stream_index=stream.index,
            coded_width=look.coded_width,
            coded_height=look.coded_height,
            sample_aspect_ratio=f"{ratio.numerator}:{ratio.denominator}",
            width=width,
            height=height,
            mirrored=look.orientation.mirrored,
            rotation=round(look.orientation.rotation) % 360,
            interlaced=look.interlaced,
            pixel_format=colour.pixel_format,
            bit_depth=colour.bit_depth,
            matrix=colour.matrix,
            transfer=colour.transfer,
            primaries=colour.primaries,
            range=colour.range,
            average_fps=float(stream.average_rate) if stream.average_rate else None,
            time_base=float(stream.time_base or 0),
            duration_ms=duration_ms,
            warnings=tuple(_warnings(source)),
        )


PROGRESSIVE = 1
"""Of ffmpeg's field orders: 0 is not known, those above are interlaced."""


def _warnings(source: VideoSource) -> list[str]:
    said = source.look.warnings()
    if not source.look.interlaced and source.stream.codec_context.field_order > PROGRESSIVE:
        said.append(
            "The file calls its pictures interlaced, the first of them does not; those that do are "
            "deinterlaced."
        )
    if "mp4" in source.container.format.name and ends_inside_a_box(source.path):
        said.append(
            "The file ends in the middle of what it began to write; how much is missing is not "
            "known. If the camera has more of this ride, copy it again."
        )
    others = other_videos(source.container, source.stream)
    if others:
        names = ", ".join(
            f"stream {s.index} ({s.codec_context.width} × {s.codec_context.height})"
            if s.codec_context
            else f"stream {s.index} (unknown format)"
            for s in others
        )
        said.insert(
            0,
            f"The file holds several videos; stream {source.stream.index} is looked at, not "
            f"{names}.",
        )
    if source.duration_ms is None:
        said.append("The file does not say how long it lasts: a missing end cannot be noticed.")
    return said


def sampled_frames(
    path: Path, settings: VideoSettings, skip: int = 0, emphasis: Emphasis | None = None
) -> Iterator[SampledFrame]:
    """Decodes a video once and yields its sampled frames in order.

    Args:
        path: the video.
        settings: sampling, and what is done about a truncated file.
        skip: so many sampled frames are known already: they are decoded, as what follows depends
            on them, but neither turned into pictures nor yielded.
        emphasis: the video's highlights, where more frames are sampled.

    Raises:
        VideoError: the file cannot be opened, yields no frame, or ends long before its declared
            duration and `allow_truncated` is off.
    """
    _check_file(path, settings)
    with source_of(path, settings) as source:
        sampling = SamplingClock(settings.analysis_fps, emphasis)
        clock = StreamClock(source.stream)
        troubles: set[str] = set()
        held: SampledFrame | None = None
        for frame_idx, (frame, damaged) in enumerate(source.frames()):
            pts, clock_troubles = clock.read(frame)
            troubles |= clock_troubles
            if damaged or frame.is_corrupt:
                troubles.add(DAMAGED)
            if not sampling.takes(clock.now_ms - clock.first_ms):
                continue
            if held is not None:
                yield held
            if skip > 0:
                skip -= 1
            else:
                image, differs = source.picture(frame)
                told = _told(troubles | ({RESHAPED} if differs else set()))
                held = SampledFrame(frame_idx, pts, clock.now_ms, image, told)
            troubles = set()
        if held is not None:  # what was wrong behind it is told with it: no other row follows
            yield replace(held, decode_error=_told(troubles | _said(held.decode_error)))
        _check_complete(source, clock.now_ms - clock.first_ms, settings)


def _told(troubles: set[str]) -> str | None:
    return "; ".join(sorted(troubles, reverse=True)) or None


def _said(decode_error: str | None) -> set[str]:
    return set(decode_error.split("; ")) if decode_error else set()


def _check_complete(source: VideoSource, read_ms: float, settings: VideoSettings) -> None:
    if settings.allow_truncated:
        return
    name, declared_ms = source.path.name, source.duration_ms
    if declared_ms is None:
        if source.ended_in_error:
            raise VideoError(
                "truncated",
                f"{name} breaks off after {read_ms / 1000:.1f} s; copy it again from the camera, "
                "or set video.allow_truncated to use what is there.",
            )
        return
    # The last picture has a duration of its own, and so may the sound after it; a rate that was
    # computed of a few left-over pictures must not excuse the lack of all others.
    rate = float(source.stream.average_rate or 10)
    grace_ms = max(min(3000 / rate, declared_ms / 2), 250.0)
    if read_ms < settings.truncated_share * declared_ms - grace_ms:
        raise VideoError(
            "truncated",
            f"{name} ends after {read_ms / 1000:.1f} of {declared_ms / 1000:.1f} s; copy it "
            "again from the camera, or set video.allow_truncated to use what is there.",
        )
