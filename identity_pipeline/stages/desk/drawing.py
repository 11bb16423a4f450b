"""Pictures that are drawn once, kept, and drawn in one pass where several are asked for at a time.

What belongs here: keeping, and bringing together who asks for pictures of one video. What does not:
what a picture shows (`faces`, `frames`, `exported`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from threading import Lock

from identity_pipeline.errors import IdentityPipelineError, system_words
from identity_pipeline.settings import Settings
from identity_pipeline.storage.video.drawn_pictures import DrawnPictures
from identity_pipeline.storage.video.tables import TableStore


class NoPictureError(IdentityPipelineError, LookupError):
    """A picture is asked for that cannot be shown; the sentence says why."""


@dataclass
class Drawn(ABC):
    """Pictures of one kind, of all videos and photo sets.

    Attributes:
        store: tables and crops.
        settings: in force.
    """

    store: TableStore
    settings: Settings
    _waiting: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _turns: dict[str, Lock] = field(default_factory=lambda: defaultdict(Lock))
    _lock: Lock = field(default_factory=Lock)

    @property
    def _pictures(self) -> DrawnPictures:
        return DrawnPictures(self.store.layout)

    @abstractmethod
    def version(self, video_id: str) -> str:
        """Of what a video's pictures are drawn from; another one makes all of them anew."""

    @abstractmethod
    def _draw(self, video_id: str, names: Collection[str]) -> Mapping[str, bytes]:
        """Draws pictures in one pass; one that cannot be drawn is left out.

        Raises:
            IdentityPipelineError: none can be drawn; says why.
        """

    def why_not(self, video_id: str, name: str) -> str:
        """Why a picture was left out, as a sentence."""
        return f"There is no picture {name} of {video_id}."

    def kept(self, video_id: str, name: str) -> bytes | None:
        """A picture that was drawn before, a JPEG; None where it is to be drawn."""
        return self._pictures.get(video_id, self.version(video_id), name)

    def drawn(self, video_id: str, name: str) -> bytes:
        """A picture, drawn where that was not done before.

        Who asks while another picture of the video is being drawn waits, and is then served
        together with all others who wait.

        Raises:
            NoPictureError: it cannot be drawn.
            IdentityPipelineError: nothing of the video can be drawn.
        """
        there = self.kept(video_id, name)
        if there is None:
            self.warm(video_id, [name])
            there = self.kept(video_id, name)
        if there is None:
            raise NoPictureError(self.why_not(video_id, name))
        return there

    def warm(self, video_id: str, names: Iterable[str]) -> None:
        """Draws those of some pictures of a video that are not kept yet, in one pass.

        Raises:
            NoPictureError: they cannot be kept.
            IdentityPipelineError: none of them can be drawn; says why.
        """
        names = list(names)
        with self._lock:
            self._waiting[video_id].update(names)
            turn = self._turns[video_id]
        with turn:
            with self._lock:
                names = sorted({*names, *self._waiting.pop(video_id, ())})
            version = self.version(video_id)
            missing = self._pictures.missing(video_id, version, names)
            if missing:
                drawn = self._draw(video_id, missing)
                try:
                    self._pictures.keep(video_id, version, drawn)
                except OSError as error:
                    why = f"The picture cannot be kept in {self.store.layout.root}"
                    raise NoPictureError(f"{why}: {system_words(error)}") from error
