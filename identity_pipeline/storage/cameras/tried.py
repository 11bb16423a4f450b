"""What was tried of a camera and came to nothing: signs of what it hung on, and no ids of videos.

What belongs here: the memory `tried.json` of each camera; where it is lost, all is tried again.
What does not: what a sign is made of (`stages.library.camera_lessons` and `ride_template`).
"""

from __future__ import annotations

from collections.abc import Mapping

from identity_pipeline.storage.cameras.cameras import Cameras, folder_of
from identity_pipeline.storage.files import atomic, small_files


def recall(cameras: Cameras, camera: str | None) -> dict[str, str]:
    """What is noted of a camera, by what was tried."""
    path = cameras.layout.camera_tried(folder_of(camera))
    return small_files.recall(path, dict[str, str]) or {}


def note(cameras: Cameras, camera: str | None, tried: Mapping[str, str]) -> None:
    """Notes what was tried, beside what was before; for who does not hold the camera's lock."""
    with cameras.locked(camera, "noting what was tried"):
        path = cameras.layout.camera_tried(folder_of(camera))
        atomic.write_json(path, {**recall(cameras, camera), **tried})
