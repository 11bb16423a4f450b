"""Long 1080p files made of a short clip."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
from av.container import OutputContainer
from av.video.stream import VideoStream

WIDTH, HEIGHT = 1920, 1080


def minutes_of(video: Path) -> float:
    """Length of a file as its container says it."""
    with av.open(str(video)) as container:
        return (container.duration or 0) / 60e6


def _scaled_up(clip: Path, target: Path) -> Path:
    """The clip in 1080p H.264, encoded fast and without frames that depend on later ones."""
    with av.open(str(clip)) as source, av.open(str(target), "w") as sink:
        given = source.streams.video[0]
        given.thread_type = "AUTO"
        rate = round(float(given.average_rate or 30))
        options = {"preset": "ultrafast", "crf": "23", "bf": "0"}
        stream = sink.add_stream("libx264", rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index, frame in enumerate(source.decode(given)):
            scaled = frame.reformat(WIDTH, HEIGHT, "yuv420p")
            scaled.pts, scaled.time_base = index, Fraction(1, rate)
            sink.mux(stream.encode(scaled))
        sink.mux(stream.encode(None))
    return target


def _append(
    unit: Path, sink: OutputContainer, stream: VideoStream, shift: int, limit: float
) -> int:
    """Appends all packets before the limit, shifted in time; returns where the next ones go."""
    end = shift
    with av.open(str(unit)) as source:
        for packet in source.demux(video=0):
            if packet.pts is None or packet.dts is None:
                continue
            packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
            end = max(end, packet.pts + (packet.duration or 1))
            if packet.pts < limit:
                packet.stream = stream
                sink.mux(packet)
    return end


def long_video(clip: Path, folder: Path, minutes: float) -> Path:
    """A file of the given length that shows the clip again and again; kept if it is there.

    Args:
        clip: any video.
        folder: where the file and the scaled clip lie.
        minutes: length.
    """
    target = folder / f"{clip.stem}-1080p-{minutes:g}min.mp4"
    if target.is_file():
        return target
    unit = folder / f"{clip.stem}-1080p.mp4"
    if not unit.is_file():
        _scaled_up(clip, folder / f"part-{unit.name}").rename(unit)
    unfinished = folder / f"part-{target.name}"
    with av.open(str(unit)) as template, av.open(str(unfinished), "w") as sink:
        given = template.streams.video[0]
        stream = sink.add_stream_from_template(given)
        limit = minutes * 60 / float(given.time_base or 1)
        shift = 0
        while shift < limit:
            shift = _append(unit, sink, stream, shift, limit)
    unfinished.rename(target)
    return target
