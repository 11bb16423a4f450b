"""Detection in batches: the numbers of InsightFace's own loop over frames, bit by bit."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from identity_pipeline.models import scrfd
from identity_pipeline_tests import pictures


@pytest.mark.parametrize("size", [None, (320, 320), (512, 256)])
def test_a_frame_gives_the_bits_of_insightface_s_detector(size: scrfd.Size | None) -> None:
    model = pictures.pack()._models["detection"]
    frame = pictures.frame("demo_duo_a", 90)
    for view in (frame, frame[:, :500], cv2.resize(frame, (333, 777)), np.zeros_like(frame)):
        boxes, key_points = model.detect(view, input_size=size, det_thresh=0.3)
        found = scrfd.find(model, np.asarray(view, np.uint8), scrfd.input_size(model, size), 0.3)
        assert found.boxes.dtype == boxes.dtype
        np.testing.assert_array_equal(found.boxes, boxes)
        np.testing.assert_array_equal(found.key_points, key_points)


def test_many_frames_are_each_as_if_alone() -> None:
    frames = [pictures.frame("demo_duo_a", n) for n in (0, 90, 180)]
    for one, frame in zip(pictures.pack().detect_many(frames), frames, strict=True):
        np.testing.assert_array_equal(one.boxes, pictures.pack().detect(frame).boxes)
