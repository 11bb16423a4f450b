"""Tiny videos as cameras write them, and as they should not: made by PyAV, some bytes patched."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
SIDE = 64


def grey(i: int, width: int = SIDE, height: int = SIDE) -> Picture:
    """A flat picture that grows brighter, again and again."""
    return np.full((height, width, 3), 60 + 4 * (i % 40), np.uint8)


def circle(_: int, width: int = SIDE, height: int = SIDE) -> Picture:
    """A bright disc that is round where pixels are square, red in the top left corner."""
    y, x = np.mgrid[:height, :width] + 0.5
    inside = ((x / width - 0.5) ** 2 + (y / height - 0.5) ** 2) < 0.3**2
    image = np.where(inside[..., None], 220, 30).astype(np.uint8).repeat(3, axis=2)
    image[: height // 8, : width // 8] = (0, 0, 255)
    return image


def write(
    path: Path,
    frames: int | Sequence[Picture] = 6,
    *,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    draw: Callable[[int], Picture] = grey,
    container: str | None = None,
    options: Mapping[str, str] | None = None,
    mux: Mapping[str, str] | None = None,
    start: int = 0,
    rate: int = 25,
    prepare: Callable[[av.VideoFrame], av.VideoFrame] | None = None,
    **context: Any,
) -> Path:
    """A small video; `context` are attributes of the codec context; `prepare` converts a frame."""
    pictures = [draw(i) for i in range(frames)] if isinstance(frames, int) else list(frames)
    with av.open(str(path), "w", format=container, options=dict(mux or {})) as output:
        stream = output.add_stream(codec, rate=rate, options=dict(options or {}))
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pixel_format
        for name, value in context.items():
            setattr(stream.codec_context, name, value)
        for i, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, "bgr24")
            frame = prepare(frame) if prepare else frame.reformat(format=pixel_format)
            frame.pts, frame.time_base = start + i, Fraction(1, rate)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path


def coded(components: Sequence[int], pixel_format: str, width: int, height: int) -> av.VideoFrame:
    """A flat frame of given code values, one for each plane."""
    frame = av.VideoFrame(width, height, pixel_format)
    for plane, value in zip(frame.planes, components, strict=True):
        wide = "10" in pixel_format or "12" in pixel_format
        kind = np.dtype("<u2" if wide else "u1")
        plane.update(np.full(plane.buffer_size // kind.itemsize, value, kind).tobytes())
    return frame


def joined(path: Path, *parts: Path) -> Path:
    """Parts of a transport stream one behind the other, as a recorder that was interrupted."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def with_matrix(path: Path, a: float, b: float, c: float, d: float) -> Path:
    """Writes a display matrix into the track header of an MP4, in place."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    numbers = (int(v * 65536).to_bytes(4, "big", signed=True) for v in (a, b, c, d))
    first, second, third, fourth = numbers
    data[at : at + 20] = first + second + bytes(4) + third + fourth
    path.write_bytes(data)
    return path


def with_box(path: Path, box: bytes) -> Path:
    """Adds a box to the sample entry of an MP4 whose movie box comes last, in place."""
    return _grown(path, box, (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"), b"avc1")


def with_track_box(path: Path, box: bytes) -> Path:
    """Adds a box to the track of an MP4 whose movie box comes last, in place."""
    return _grown(path, box, (b"moov",), b"trak")


def _grown(path: Path, box: bytes, parents: Sequence[bytes], last: bytes) -> Path:
    data = bytearray(path.read_bytes())
    assert data.index(b"mdat") < data.index(b"moov")  # so that no chunk offset changes
    at = 0
    for kind in (*parents, last):
        at = data.index(kind, at)
        size = int.from_bytes(data[at - 4 : at], "big")
        data[at - 4 : at] = (size + len(box)).to_bytes(4, "big")
    end = at - 4 + size
    path.write_bytes(bytes(data[:end]) + box + bytes(data[end:]))
    return path


def box(kind: bytes, contents: bytes) -> bytes:
    """One MP4 box."""
    return (8 + len(contents)).to_bytes(4, "big") + kind + contents
