"""What it costs to make a picture of a decoded frame: plain, HDR, interlaced, anamorphic.

Processor time, which depends less on what else the machine does; the first row is what ffmpeg alone
takes to convert the plain frame, and all others are also given as multiples of it.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import click
import numpy as np
from rich.console import Console
from rich.table import Table

from identity_pipeline.media.source import VideoSource
from identity_pipeline.settings import VideoSettings
from identity_pipeline_tests.camera_files import write

WIDTH, HEIGHT = 1280, 720
HDR = {"colorspace": 9, "color_range": 1, "color_primaries": 9}
KINDS: dict[str, dict[str, object]] = {
    "8-bit bt709": {"colorspace": 1, "color_range": 1, "color_primaries": 1, "color_trc": 1},
    "PQ, 10 bit": {"pixel_format": "yuv420p10le", "color_trc": 16, **HDR},
    "HLG, 10 bit": {"pixel_format": "yuv420p10le", "color_trc": 18, **HDR},
    "interlaced": {"options": {"x264-params": "interlaced=1"}},
    "pixels of 4:3": {"sample_aspect_ratio": Fraction(4, 3)},
}


def cpu_ms(call: Callable[[], object], times: int) -> float:
    """Processor time of one call, after one to warm up."""
    call()
    before = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - before) / times * 1000


@click.command()
@click.option("--times", default=40, show_default=True, help="Pictures of each kind.")
def main(times: int) -> None:
    """Print a row for each kind of frame."""
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    rows: list[tuple[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        for kind, tags in KINDS.items():
            path = write(Path(folder) / "clip.mkv", [noise] * 2, **tags)  # type: ignore[arg-type]
            with VideoSource(path, VideoSettings()) as source:
                frame, _ = next(source.frames())
                if not rows:
                    alone = cpu_ms(lambda f=frame: _by_ffmpeg(f), times)
                    rows.append(("ffmpeg alone, 8-bit bt709", alone))
                made = cpu_ms(lambda s=source, f=frame: s.picture(f), times)
            rows.append((kind, made))
    table = Table(title=f"A picture of a decoded frame of {WIDTH} x {HEIGHT}")
    for column in ("frame", "ms of CPU", "times ffmpeg"):
        table.add_column(column, justify="left" if column == "frame" else "right")
    for kind, made in rows:
        table.add_row(kind, f"{made:.2f}", f"{made / rows[0][1]:.1f}")
    Console().print(table)


def _by_ffmpeg(frame: av.VideoFrame) -> object:
    return frame.to_ndarray(format="bgr24")


if __name__ == "__main__":
    main()
