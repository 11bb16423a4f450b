"""What the videos of a camera say of it, read from their tables one by one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from identity_pipeline.core.camera.versions import Sighting
from identity_pipeline.settings import Settings
from identity_pipeline.stages.library.ride_template import other_ride
from identity_pipeline.stages.video.camera_view import CAMERA_VIEW, camera_of_video
from identity_pipeline.stages.video.ride_phases import OTHER_RIDE
from identity_pipeline.storage.files.hashing import sha256_of_value
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.video.tables import MissingTableError, TableStore


@dataclass(frozen=True)
class Sightings:
    """Sightings of one camera; each is read once.

    Attributes:
        store: the tables.
        settings: in force.
        camera: its name; None: the one without.
    """

    store: TableStore
    settings: Settings
    camera: str | None
    _read: dict[str, Sighting | None] = field(default_factory=dict)

    def __getitem__(self, video_id: str) -> Sighting:
        """What a video says.

        Raises:
            LookupError: it says nothing: see `find`.
        """
        found = self.find(video_id)
        if found is None:
            raise LookupError(f"{video_id} says nothing of its camera")
        return found

    def find(self, video_id: str) -> Sighting | None:
        """What a video says; None where a table is not there, damaged, or of another camera now.

        Its own step tells of a damaged one.
        """
        if video_id not in self._read:
            try:
                self._read[video_id] = self._sighting(video_id)
            except (MissingTableError, DamagedFileError):
                self._read[video_id] = None
        return self._read[video_id]

    def data_version(self, video_id: str) -> str:
        """Of all that a video says, without reading it."""
        return sha256_of_value(self.store.versions(CAMERA_VIEW, video_id))

    def other_ride(self, video_id: str) -> str | None:
        """Why a video does not follow the ride of its camera, in a sentence; None where it may.

        One that follows it and shows other scenery is watched: the camera may have been moved.
        """
        return other_ride(self.store, video_id, (OTHER_RIDE,))

    def there(self, video_ids: Iterable[str]) -> list[str]:
        """Those of some videos that say something."""
        return [video_id for video_id in video_ids if self.find(video_id) is not None]

    def _sighting(self, video_id: str) -> Sighting | None:
        video = self.store.read("ride_video", video_id, ("path", "width", "height"))
        if camera_of_video(video, self.settings) != self.camera:
            return None
        tables = (self.store.read(name, video_id) for name in CAMERA_VIEW)
        places, votes, figures = tables
        size = int(video["width"][0]), int(video["height"][0])
        version = self.data_version(video_id)
        return Sighting(video_id, version, size, places, votes, figures)
