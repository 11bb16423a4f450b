"""Many short files made of one clip, each of which begins elsewhere in it."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice
from pathlib import Path

import av

from identity_pipeline_tests.benchmarks.services import REPOSITORY

RIDE = REPOSITORY / "identity_pipeline" / "bundled" / "rides" / "demo_solo.mp4"
"""One rider, rendered; it ships."""
STEP_FRAMES = 3
"""Frames from the beginning of one file to that of the next: one at ten sampled ones a second."""


def short_clips(clip: Path, folder: Path, count: int, seconds: float) -> list[Path]:
    """Files of a few seconds, encoded anew.

    Args:
        clip: any video; those that begin near its end come from its beginning again.
        folder: where they go.
        count: how many.
        seconds: how long each is.
    """
    with av.open(str(clip)) as source:
        stream = source.streams.video[0]
        stream.thread_type = "AUTO"
        rate = round(float(stream.average_rate or 30))
        frames = [frame.reformat(format="yuv420p") for frame in source.decode(stream)]
    length = round(seconds * rate)
    starts = max(1, (len(frames) - length) // STEP_FRAMES)
    made = []
    for number in range(count):
        target = folder / f"clip_{number:03d}.mp4"
        begin = (number % starts) * STEP_FRAMES
        # A later round of the same beginnings is a frame shorter, hence another file.
        end = begin + length - number // starts
        _encode(list(islice(frames, begin, end)), target, rate)
        made.append(target)
    return made


def _encode(frames: list[av.VideoFrame], target: Path, rate: int) -> None:
    with av.open(str(target), "w") as sink:
        stream = sink.add_stream("libx264", rate=rate, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, "yuv420p"
        for index, frame in enumerate(frames):
            frame.pts, frame.time_base = index, Fraction(1, rate)
            frame.pict_type = 0
            sink.mux(stream.encode(frame))
        sink.mux(stream.encode(None))
