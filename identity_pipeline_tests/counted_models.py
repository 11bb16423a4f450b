"""The real detector and recogniser, with every call counted, and something done at one of them.

Run as a module it is a run of its own that kills itself in the middle:
`python -m identity_pipeline_tests.counted_models DATA PACK VISION VIDEO detect 25`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from identity_pipeline.media.crops import ImageBGR
from identity_pipeline.models.face_pack import Detections, FacePack
from identity_pipeline.models.vision_encoder import VisionEncoder

SMALL = {
    "video": {"analysis_fps": 5.0},
    "crops": {"chunk_frames": 8, "chunk_faces": 8},
    "models": {"recognition_batch": 4},
    # Every face is a witness, so that a short clip has chunks of them.
    "quality": {"witness_every": 1},
}
UP_TO_EMBEDDINGS = (
    "ride_video", "frames", "face_detections", "face_crops", "face_quality", "face_embeddings",
)  # fmt: skip


@dataclass
class Calls:
    """How many pictures each network was given; the detector is called from several threads.

    Attributes:
        at: network and number of its pictures at which `then` happens, once.
        then: what happens.
        looking: a network is being opened, and sees the blank picture of the preflight.
    """

    at: tuple[str, int] | None = None
    then: Callable[[], None] = lambda: None
    given: dict[str, int] = field(default_factory=lambda: {"detect": 0, "embed": 0, "see": 0})
    looking: bool = False
    lock: Lock = field(default_factory=Lock)

    def note(self, network: str, pictures: int) -> None:
        """Counts pictures before the network sees them, but for the blank one of the preflight."""
        if self.looking:
            return
        with self.lock:
            self.given[network] += pictures
            reached = self.at and self.at[0] == network and self.given[network] >= self.at[1]
            if reached:
                self.at = None
        if reached:
            self.then()


@contextmanager
def counted(calls: Calls) -> Iterator[Calls]:
    """The real networks, counted."""
    detect, embed, see = FacePack.detect, FacePack.embed, VisionEncoder.embed
    opened = {FacePack: FacePack.open, VisionEncoder: VisionEncoder.open}

    def looking(self: FacePack | VisionEncoder) -> None:
        calls.looking = True
        try:
            opened[type(self)](self)  # type: ignore[arg-type]
        finally:
            calls.looking = False

    def counting_detect(self: FacePack, frame: ImageBGR, **how: Any) -> Detections:
        if not how:  # else it is an exported picture, looked at as its readers will
            calls.note("detect", 1)
        return detect(self, frame, **how)

    def counting_embed(self: FacePack, aligned: Sequence[ImageBGR]) -> Any:
        calls.note("embed", len(aligned))
        return embed(self, aligned)

    def counting_see(self: VisionEncoder, images: Sequence[ImageBGR]) -> Any:
        calls.note("see", len(images))
        return see(self, images)

    FacePack.detect, FacePack.embed = counting_detect, counting_embed  # type: ignore[method-assign]
    VisionEncoder.embed = counting_see  # type: ignore[method-assign]
    FacePack.open = VisionEncoder.open = looking  # type: ignore[method-assign]
    try:
        yield calls
    finally:
        FacePack.detect, FacePack.embed = detect, embed  # type: ignore[method-assign]
        VisionEncoder.embed = see  # type: ignore[method-assign]
        for model, plain in opened.items():
            model.open = plain  # type: ignore[method-assign]


def main() -> None:
    """Runs a video and dies by SIGKILL at a call of a network."""
    from identity_pipeline_tests.library import VideoLibrary

    data, pack, vision, video, network, at = sys.argv[1:]

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    for library in VideoLibrary.open(Path(data), Path(pack), Path(vision)):
        with counted(Calls((network, int(at)), die)):
            library.run(Path(video), overrides=SMALL, assets=UP_TO_EMBEDDINGS)


if __name__ == "__main__":
    main()
