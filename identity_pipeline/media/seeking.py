"""Single frames of a video by seeking, and by counting where a time stamp does not lead there.

What belongs here: finding again the frames that a pass has sampled. What does not: the pass itself
and turning a frame into pixels (`media.video`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from identity_pipeline.media.clocks import REORDERING_S
from identity_pipeline.media.errors import VideoError
from identity_pipeline.media.video import (
    ImageBGR,
    decoded,
    open_video,
    picture_of,
    video_stream,
)


def frames_at(
    path: Path, wanted: Iterable[tuple[int, int]], *, seekable: bool = True
) -> Iterator[tuple[int, ImageBGR]]:
    """Single upright frames by seeking, each decoded from a key frame before it.

    Some containers (MPEG-TS, AVI with B-frames) seek past the wanted frame: it is then looked for
    from farther back, and at last by counting frames from the start.

    Args:
        path: the video.
        wanted: (frame_idx, pts) of the frames, as `sampled_frames` gave them.
        seekable: whether a pts stands for one frame; it does not where the clock jumped back.

    Yields:
        (frame_idx, image) of each wanted frame, in the order in which they are found.

    Raises:
        VideoError: a frame is not found again.
    """
    missing = sorted(set(wanted), key=lambda item: item[1])
    if not missing:
        return
    with open_video(path) as container:
        stream = video_stream(container, path)
        groups = _neighbours(missing, stream) if seekable else [missing]
        for group in groups:
            for back_s in SEEK_BACK_S if seekable else ():
                if not group:
                    break
                for found, image in _found_near(container, stream, path, group, back_s):
                    group.remove(found)
                    yield found[0], image
            for found, image in _found_by_counting(path, group):
                group.remove(found)
                yield found[0], image
            if group:
                raise VideoError(
                    "unreadable_frame",
                    f"frame {group[0][0]} of {path.name} was not found again at pts "
                    f"{group[0][1]}; has the file changed? Register it anew.",
                )


SEEK_BACK_S = (0.0, 2.0, 10.0)
"""How far before a wanted frame a seek aims, one try after the other."""
NEIGHBOURS_S = 2.0
"""Frames that are nearer share a seek: decoding on costs less than a usual group of pictures."""


def _neighbours(
    frames: list[tuple[int, int]], stream: VideoStream
) -> Iterator[list[tuple[int, int]]]:
    base = stream.time_base or Fraction(1, 1000)
    group: list[tuple[int, int]] = []
    for frame in frames:
        if group and (frame[1] - group[-1][1]) * base >= NEIGHBOURS_S:
            yield group
            group = []
        group.append(frame)
    if group:
        yield group


def _found_near(
    container: InputContainer,
    stream: VideoStream,
    path: Path,
    group: list[tuple[int, int]],
    back_s: float,
) -> Iterator[tuple[tuple[int, int], ImageBGR]]:
    """Frames of a group by their pts, after seeking to `back_s` before its first."""
    base = stream.time_base or Fraction(1, 1000)
    by_pts = {pts: (frame_idx, pts) for frame_idx, pts in group}
    last = group[-1][1] + round(REORDERING_S / base)
    try:
        container.seek(group[0][1] - round(back_s / base), stream=stream, backward=True)
    except FFmpegError:
        return  # some containers refuse to seek before their start
    for frame, _ in decoded(container, path):
        if frame.pts in by_pts:
            yield by_pts.pop(frame.pts), picture_of(frame)
        if not by_pts or (frame.pts is not None and frame.pts > last):
            return


def _found_by_counting(
    path: Path, group: list[tuple[int, int]]
) -> Iterator[tuple[tuple[int, int], ImageBGR]]:
    """Frames of a group by their position in the video, which is decoded from the start."""
    by_index = {frame_idx: (frame_idx, pts) for frame_idx, pts in group}
    if not by_index:
        return
    with open_video(path) as container:
        video_stream(container, path)
        for frame_idx, (frame, _) in enumerate(decoded(container, path)):
            if frame_idx in by_index:
                yield by_index.pop(frame_idx), picture_of(frame)
            if not by_index:
                return
