"""Decoding on a GPU, where it gives the pictures that the processor gives, bit by bit.

The first frames of a file are decoded both ways and compared as the pipeline would see them. Where
one differs, or there is no such device, the processor decodes, and a sentence says why. Frames
further on are not compared: what is decoded by a standard's rules is the same everywhere.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from av.error import FFmpegError

from identity_pipeline.media.colour import ImageBGR
from identity_pipeline.media.errors import VideoError
from identity_pipeline.media.source import VideoSource
from identity_pipeline.settings import VideoSettings

Seen = tuple[int | None, ImageBGR]
"""A frame: its pts and its pixels."""
COMPARED: Final = 8
"""Frames."""
log = logging.getLogger(__name__)


def source_of(path: Path, settings: VideoSettings) -> VideoSource:
    """A video opened for the decoder that `video.decoder` names, or for the processor.

    Raises:
        VideoError: it cannot be read.
    """
    if settings.decoder == "processor":
        return VideoSource(path, settings)
    fault = _fault(path, settings)
    if fault is None:
        return VideoSource(path, settings, device=settings.decoder)
    log.warning("%s is decoded by the processor, not by %s: %s", path.name, settings.decoder, fault)
    return VideoSource(path, settings)


def _fault(path: Path, settings: VideoSettings) -> str | None:
    """Why a device does not decode a file, in words; None where its pictures are the same."""
    try:
        with VideoSource(path, settings, device=settings.decoder) as source:
            there = _first_pictures(source)
    except (FFmpegError, RuntimeError, ValueError, VideoError) as error:
        return f"it does not open there ({error})"
    with VideoSource(path, settings) as source:
        here = _first_pictures(source)
    return differing(here, there)


def _first_pictures(source: VideoSource) -> list[Seen]:
    return [(frame.pts, source.picture(frame)[0]) for frame, _ in islice(source.frames(), COMPARED)]


def differing(here: Sequence[Seen], there: Sequence[Seen]) -> str | None:
    """What differs between the first frames of two decoders, in words; None where nothing does.

    Args:
        here: (pts, pixels) of the processor.
        there: the same of a device.
    """
    if [pts for pts, _ in here] != [pts for pts, _ in there]:
        return "it gives other frames"
    for n, ((_, ours), (_, theirs)) in enumerate(zip(here, there, strict=True)):
        if not np.array_equal(ours, theirs):
            return f"frame {n} has other pixels"
    return None
