"""Single frames of a video by seeking, and by counting where a time stamp does not lead there.

What belongs here: finding again the frames that a pass has sampled. What does not: the pass itself
and turning a frame into pixels (`media.presentation`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

from identity_pipeline.media.colour import ImageBGR
from identity_pipeline.media.source import VideoSource
from identity_pipeline.settings import VideoSettings

USUAL = VideoSettings()


def frames_at(
    path: Path,
    wanted: Iterable[tuple[int, int]],
    *,
    seekable: bool = True,
    settings: VideoSettings = USUAL,
) -> Iterator[tuple[int, ImageBGR]]:
    """Single upright frames by seeking, each decoded from a key frame before it.

    Some containers (MPEG-TS, AVI with B-frames) seek past the wanted frame: it is then looked for
    from farther back, and at last by counting frames from the start.

    Args:
        path: the video.
        wanted: (frame_idx, pts) of the frames, as `sampled_frames` gave them.
        seekable: whether a pts stands for one frame: see `clocks.stamps_are_keys`.
        settings: the limits that frames are held to.

    Yields:
        (frame_idx, image) of each wanted frame that is there, in the order in which they are found.

    Raises:
        VideoError: the file cannot be opened as a video.
    """
    missing = set(wanted)
    if seekable and missing:
        for found, image in _found_by_seeking(
            path, sorted(missing, key=lambda item: item[1]), settings
        ):
            missing.remove(found)
            yield found[0], image
    yield from _found_by_counting(path, {frame_idx for frame_idx, _ in missing}, settings)


SEEK_BACK_S = (0.0, 2.0, 10.0)
"""How far before a wanted frame a seek aims, one try after the other."""
REORDERING_S = 1.0
"""So far behind the last wanted frame it is looked for, in what seeking has found."""
NEIGHBOURS_S = 2.0
"""Frames that are nearer share a seek: decoding on costs less than a usual group of pictures."""


def _found_by_seeking(
    path: Path, wanted: list[tuple[int, int]], settings: VideoSettings
) -> Iterator[tuple[tuple[int, int], ImageBGR]]:
    with VideoSource(path, settings) as source:
        for group in _neighbours(wanted, source.stream.time_base or Fraction(1, 1000)):
            for back_s in SEEK_BACK_S:
                if not group:
                    break
                for found, image in _found_near(source, group, back_s):
                    group.remove(found)
                    yield found, image


def _neighbours(frames: list[tuple[int, int]], base: Fraction) -> Iterator[list[tuple[int, int]]]:
    group: list[tuple[int, int]] = []
    for frame in frames:
        if group and (frame[1] - group[-1][1]) * base >= NEIGHBOURS_S:
            yield group
            group = []
        group.append(frame)
    if group:
        yield group


def _found_near(
    source: VideoSource, group: list[tuple[int, int]], back_s: float
) -> Iterator[tuple[tuple[int, int], ImageBGR]]:
    """Frames of a group by their pts, after seeking to `back_s` before its first."""
    base = source.stream.time_base or Fraction(1, 1000)
    by_pts = {pts: (frame_idx, pts) for frame_idx, pts in group}
    last = group[-1][1] + round(REORDERING_S / base)
    if not source.seek(group[0][1] - round(back_s / base)):
        return  # some containers refuse to seek before their start
    for frame, _ in source.frames():
        if frame.pts in by_pts:
            yield by_pts.pop(frame.pts), source.picture(frame)[0]
        if not by_pts or (frame.pts is not None and frame.pts > last):
            return


def _found_by_counting(
    path: Path, wanted: set[int], settings: VideoSettings
) -> Iterator[tuple[int, ImageBGR]]:
    """Frames by their position in the video, which is decoded from the start."""
    if not wanted:
        return
    last = max(wanted)
    with VideoSource(path, settings) as source:
        for frame_idx, (frame, _) in enumerate(source.frames()):
            if frame_idx in wanted:
                yield frame_idx, source.picture(frame)[0]
            if frame_idx >= last:
                return
