"""Decoding by a device: taken where its pictures are the processor's, else left with a sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from identity_pipeline.media.hardware import differing
from identity_pipeline.media.source import VideoSource
from identity_pipeline.media.video import sampled_frames
from identity_pipeline.settings import VideoSettings


def test_without_a_device_the_processor_decodes_and_says_why(
    make_video: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    clip = make_video(frames=12)
    plain = list(sampled_frames(clip, VideoSettings(analysis_fps=0)))
    asked = list(sampled_frames(clip, VideoSettings(analysis_fps=0, decoder="cuda")))
    assert len(plain) == len(asked) == 12
    for one, other in zip(plain, asked, strict=True):
        np.testing.assert_array_equal(one.bgr, other.bgr)
    assert f"{clip.name} is decoded by the processor, not by cuda: " in caplog.text


def test_a_device_that_gives_other_pixels_or_frames_is_not_taken() -> None:
    here = [(n, np.full((4, 4, 3), n, np.uint8)) for n in range(3)]
    assert differing(here, here) is None
    other = [*here[:2], (2, np.full((4, 4, 3), 9, np.uint8))]
    assert differing(here, other) == "frame 2 has other pixels"
    assert differing(here, here[:2]) == "it gives other frames"


def test_frames_in_a_device_s_layout_make_the_same_pictures(
    make_video: Callable[..., Path],
) -> None:
    clip = make_video(frames=5)
    with VideoSource(clip, VideoSettings()) as source:
        frames = [frame for frame, _ in source.frames()]
        pictures = [source.picture(frame)[0] for frame in frames]
        source._device = "cuda"
        for frame, picture in zip(frames, pictures, strict=True):
            given = source.picture(frame.reformat(format="nv12"))[0]
            np.testing.assert_array_equal(given, picture)
