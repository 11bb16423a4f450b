"""What ffmpeg's filters do for single frames: their sample aspect ratio, and deinterlacing.

What belongs here: filter graphs that take one frame and know nothing of its neighbours, so that a
frame gives the same picture whether it is met in the pass or sought. What does not: when they are
applied (`media.presentation`).
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import Final

from av.error import FFmpegError
from av.filter import Graph
from av.video.frame import VideoFrame

SQUARE: Final = Fraction(1)
SAR_STEPS: Final = 8192
"""Widths of the probe by which a frame's sample aspect ratio is read."""
RATIO_STEP: Final = Fraction(1, SAR_STEPS)
SAR_DENOMINATOR_MAX: Final = 10_000


class SampleAspectRatio:
    """Reads the sample aspect ratio of a frame, which PyAV does not show, by an ffmpeg filter."""

    def __init__(self) -> None:
        """Makes the filter with the first frame that is asked for."""
        self._graph: Graph | None = None

    def __call__(self, frame: VideoFrame) -> Fraction:
        """The ratio; 1 where the frame does not say."""
        if self._graph is None:
            width = f"clip(round({SAR_STEPS}*sar),1,16*{SAR_STEPS})"
            self._graph = _graph(frame, ("scale", f"w='{width}':h=2:eval=frame:flags=neighbor"))
        try:
            self._graph.vpush(frame)
            steps = self._graph.vpull().width
        except FFmpegError:  # a pixel format that cannot be scaled says so when it is converted
            return SQUARE
        return _ratio(steps)


@cache
def _ratio(steps: int) -> Fraction:
    return Fraction(steps, SAR_STEPS).limit_denominator(SAR_DENOMINATOR_MAX)


def _graph(frame: VideoFrame, *filters: tuple[str, str]) -> Graph:
    graph = Graph()
    source = graph.add(
        "buffer",
        video_size=f"{frame.width}x{frame.height}",
        pix_fmt=frame.format.name,
        time_base="1/1000",
    )
    graph.link_nodes(source, *(graph.add(*f) for f in filters), graph.add("buffersink")).configure()
    return graph


def deinterlaced(frame: VideoFrame) -> VideoFrame:
    """One picture of an interlaced frame's first field.

    It is computed of the frame alone (edge slope tracing), as a frame that is sought must give the
    same picture as in the pass, where its neighbours are known.
    """
    graph = _graph(frame, ("estdif", "mode=frame"))
    graph.vpush(frame)
    graph.vpush(None)
    return graph.vpull()
