"""Whole frames of real clips: the one that was analysed, and only the face is left as it is."""

from __future__ import annotations

import cv2
import numpy as np
import polars as pl

from identity_pipeline.core.geometry import Box
from identity_pipeline.core.imagesets.candidates import box_of
from identity_pipeline.media.crops import decode_image
from identity_pipeline.settings import Settings
from identity_pipeline.stages.desk.faces import FacePictures, best_face, known_faces
from identity_pipeline.stages.desk.frames import FramePictures
from identity_pipeline_tests.library import VideoLibrary


def test_all_but_the_face_is_dimmed(real_library: VideoLibrary) -> None:
    store = real_library.store
    frames, faces = FramePictures(store, Settings()), FacePictures(store, Settings())
    for video_id in sorted(store.videos_noted("face_crops"))[:3]:
        face = best_face(store, video_id, 0)
        own = known_faces(store, video_id).filter(pl.col("face_id") == face.face_id)
        (row,) = own.iter_rows(named=True)
        record = store.read("ride_video", video_id).row(0, named=True)
        reader = cv2.VideoCapture(record["path"])
        reader.set(cv2.CAP_PROP_POS_FRAMES, row["frame_idx"])
        found, raw = reader.read()
        assert found
        shown = decode_image(frames.frame(face))
        scale = shown.shape[1] / raw.shape[1]
        box = Box(*(value * scale for value in box_of(row)))
        x1, y1, x2, y2 = (round(value) for value in box)
        raw = cv2.resize(raw, shown.shape[1::-1], interpolation=cv2.INTER_AREA)
        inside = np.abs(shown[y1:y2, x1:x2].astype(int) - raw[y1:y2, x1:x2])
        assert inside.mean() < 4, video_id
        far = np.ones(shown.shape[:2], dtype=bool)
        margin = round(0.6 * box.longer_side)
        far[max(0, y1 - margin) : y2 + margin, max(0, x1 - margin) : x2 + margin] = False
        if far.any() and raw[far].mean() > 20:
            assert shown[far].mean() < 0.6 * raw[far].mean(), video_id
        assert decode_image(faces.thumbnail(face)).shape[0] >= 60
