"""What the last videos of each camera looked like: a short list per camera, the newest last.

It can be deleted at any time; then comparing begins anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from identity_pipeline.storage.files import atomic, locks, small_files
from identity_pipeline.storage.files.inbox import slug
from identity_pipeline.storage.layout import Layout

NO_NAME = "unnamed"
WAIT_S = 30.0

Figures = Mapping[str, float | None]


@dataclass(frozen=True)
class CameraHistory:
    """The lists in `data/cameras`."""

    layout: Layout

    def _path(self, camera: str | None) -> Path:
        name = NO_NAME
        if camera is not None:  # two cameras may have one slug
            name = f"{slug(camera, 'camera')}-{hashlib.sha256(camera.encode()).hexdigest()[:8]}"
        return self.layout.root / "cameras" / f"{name}.json"

    def add(self, camera: str | None, video_id: str, figures: Figures, keep: int) -> list[Figures]:
        """Notes a video and returns what is known of the others, oldest first.

        A video that was noted before keeps its place; one of which an earlier version noted other
        figures is dropped.

        Args:
            camera: its name; None for the camera without one.
            video_id: the video.
            figures: of the video.
            keep: how many others to remember.
        """
        path = self._path(camera)
        lock = path.with_name(".lock")
        with locks.exclusive(lock, "the list of a camera's videos", f"noting {video_id}", WAIT_S):
            noted = small_files.recall(path, list[tuple[str, dict[str, float | None]]])
            known: dict[str, Figures] = {
                name: told for name, told in noted or () if told.keys() == figures.keys()
            }
            others = [known[name] for name in known if name != video_id]
            known[video_id] = dict(figures)
            atomic.write_json(path, list(known.items())[-keep - 1 :])
        return others

    def begin_at(self, camera: str | None, index: int) -> None:
        """Forgets the videos before one: the camera has changed, and they are of another.

        Args:
            camera: its name; None for the camera without one.
            index: of the first video that stays.
        """
        path = self._path(camera)
        lock = path.with_name(".lock")
        with locks.exclusive(lock, "the list of a camera's videos", "a change", WAIT_S):
            noted = small_files.recall(path, list[tuple[str, dict[str, float | None]]])
            atomic.write_json(path, list(noted or ())[index:])
