"""What is watched of the videos of a camera: a memory that is made anew where it is gone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from identity_pipeline.storage.files import atomic, small_files
from identity_pipeline.storage.layout import Layout


@dataclass(frozen=True)
class WatchedVideo:
    """What is watched of a video.

    Attributes:
        data_version: of the tables that say it.
        size: (width, height) of its picture, px.
        figures: by their names in `core.camera.watch`; without what was not measured.
        other_ride: why it shows another ride than its camera's, in a sentence; null: it may not.
    """

    data_version: str
    size: tuple[int, int]
    figures: dict[str, float]
    other_ride: str | None = None


@dataclass(frozen=True)
class Watched:
    """What is remembered of a camera.

    Attributes:
        made_with: digest of the settings, and of what else shapes it.
        version: of the camera, for which it is.
        seats: rows of the table `camera_seats` by which its riders' places are told; null while too
            few videos are known.
        videos: what is watched of each.
    """

    made_with: str = ""
    version: int = 0
    seats: list[dict[str, Any]] | None = None
    videos: Mapping[str, WatchedVideo] = field(default_factory=dict)


def recall(layout: Layout, folder: str) -> Watched:
    """What is remembered of the camera of a folder; nothing where that is gone or damaged."""
    return small_files.recall(layout.camera_watch(folder), Watched) or Watched()


def write(layout: Layout, folder: str, watched: Watched) -> None:
    """Puts it in the place of what was remembered; for who holds the camera's lock."""
    atomic.write_json(layout.camera_watch(folder), asdict(watched), lines=False)


def without_videos(watched: Watched, gone: Collection[str]) -> Watched:
    """The same without some videos."""
    left = {name: each for name, each in watched.videos.items() if name not in gone}
    return replace(watched, videos=left)
