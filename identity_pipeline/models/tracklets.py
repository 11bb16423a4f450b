"""Short-term tracking by boxes alone: ByteTrack from the `trackers` library.

Tracklets end at scene cuts and after `lost_buffer_s` without a detection. They know nothing of
identity; `core.tracks.tracking` splits and stitches them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.settings import TrackingSettings


def tracklets_of(
    frames: pl.DataFrame,
    faces: pl.DataFrame,
    settings: TrackingSettings,
    frame_rate: float,
    score_min: float,
) -> list[int]:
    """Tracklet ids of all faces of a video, in their order, counting from 0.

    Args:
        frames: table `frames`.
        faces: `face_detections` without its tracklets, in the order of the frames.
        settings: of the short-term tracker.
        frame_rate: sampled frames per second.
        score_min: a fainter face starts no tracklet.
    """
    builder = TrackletBuilder(settings, frame_rate, score_min)
    boxes = faces.select("x1", "y1", "x2", "y2").to_numpy()
    scores = faces["score"].to_numpy()
    first = 0
    columns = ("timestamp_ms", "scene_cut", "face_count")
    for timestamp_ms, scene_cut, count in frames.select(columns).iter_rows():
        if scene_cut:
            builder.cut()
        builder.add_frame(boxes[first : first + count], scores[first : first + count], timestamp_ms)
        first += count
    return builder.finish()


class TrackletBuilder:
    """Feeds frames to the tracker and numbers the tracklets of one video.

    ByteTrack numbers a tracklet only when it is confirmed by a second detection; its first face is
    numbered in retrospect here. Faces that were never confirmed get a tracklet of their own.
    """

    def __init__(self, settings: TrackingSettings, frame_rate: float, score_min: float) -> None:
        self._settings = settings
        self._frame_rate = frame_rate
        self._score_min = score_min
        self._generation = 0
        self._ids: list[tuple[int, int] | None] = []
        self._births: dict[int, tuple[Any, int]] = {}
        self._tracker = self._new_tracker()

    def _new_tracker(self) -> Any:
        from trackers import ByteTrackTracker

        return ByteTrackTracker(
            lost_track_buffer=round(30 * self._settings.lost_buffer_s),
            frame_rate=self._frame_rate,
            track_activation_threshold=self._score_min,
            minimum_consecutive_frames=1,
            minimum_iou_threshold=self._settings.min_iou,
            high_conf_det_threshold=self._score_min,
        )

    def cut(self) -> None:
        """Ends all tracklets: the scene has changed."""
        self._tracker = self._new_tracker()
        self._births.clear()
        self._generation += 1

    def add_frame(
        self, boxes: NDArray[np.floating], scores: NDArray[np.floating], timestamp_ms: float
    ) -> None:
        """Adds the faces of the next sampled frame, (N, 4) boxes and (N,) scores."""
        import supervision

        first = len(self._ids)
        self._ids.extend([None] * len(boxes))
        before = list(self._tracker.tracks)
        tracked = self._tracker.update(
            supervision.Detections(
                xyxy=np.asarray(boxes, dtype=np.float32).reshape(-1, 4),
                confidence=np.asarray(scores, dtype=np.float32),
                data={"face": np.arange(first, first + len(boxes))},
            ),
            timestamp=timestamp_ms / 1000,
        )
        unconfirmed: list[int] = []
        if len(tracked):
            for face, number in zip(tracked.data["face"], tracked.tracker_id, strict=True):
                if number >= 0:
                    self._ids[int(face)] = (self._generation, int(number))
                else:
                    unconfirmed.append(int(face))
        self._number_births()
        born = [t for t in self._tracker.tracks if not any(t is old for old in before)]
        # The library spawns tracklets in the order in which it returns the unconfirmed faces.
        for track, face in zip(born, unconfirmed, strict=False):
            self._births[id(track)] = (track, face)

    def _number_births(self) -> None:
        alive = {id(track) for track in self._tracker.tracks}
        for key, (track, face) in list(self._births.items()):
            if track.tracker_id >= 0:
                self._ids[face] = (self._generation, int(track.tracker_id))
            if track.tracker_id >= 0 or key not in alive:
                del self._births[key]

    def finish(self) -> list[int]:
        """Tracklet ids of all faces in the order they were added, counting from 0."""
        numbers: dict[tuple[int, int], int] = {}
        result: list[int] = []
        count = 0
        for identity in self._ids:
            if identity is None or identity not in numbers:
                number, count = count, count + 1
                if identity is not None:
                    numbers[identity] = number
            else:
                number = numbers[identity]
            result.append(number)
        return result
