"""A second detector on some frames of a ride: how many faces do both miss?

What belongs here: which frames, and their faces by both. What does not: what follows from the
counts (`core.recall.recapture`). Nothing is kept.
"""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np

from identity_pipeline.core.geometry import Box
from identity_pipeline.core.imagesets.candidates import box_of
from identity_pipeline.core.recall.recapture import Recapture, in_common, recapture
from identity_pipeline.models.face_pack import FacePack
from identity_pipeline.models.packs import FacePackError, pack_folder
from identity_pipeline.settings import Settings
from identity_pipeline.stages.video.footage import Unproved, WantedFrame, footage_of
from identity_pipeline.storage.video.registry import VideoRegistry
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline.tables import BOX

FRAMES: Final = 200
"""At most so many are looked at again; chosen: seconds to a minute of a CPU."""
ONE_DETECTOR: Final = (
    "How many faces the detector misses was not measured: that takes a second one of another "
    "making (--second PACK)."
)


def looked_again(store: TableStore, video_id: str, settings: Settings, second: str) -> Recapture:
    """What the detector of another pack finds beside what was found in a ride.

    Args:
        store: the tables.
        video_id: which ride.
        settings: all settings.
        second: name or folder of the pack.

    Raises:
        FacePackError: there is no such pack, or it has the detector of `models.face_pack`.
        VideoError: the source is gone or another one.
        DamagedFileError, MissingTableError: a table or the crops cannot be read.
    """
    folder = pack_folder(second, settings.models, "--second")
    other = FacePack(settings.models.model_copy(update={"face_pack": str(folder)}))
    if other.detector_sha256 == FacePack(settings.models).detector_sha256:
        raise FacePackError(
            f"{second} finds faces by the net that has found those of the ride; a second detector "
            "is one of another making."
        )
    frames = _drawn(store, video_id)
    by_first, by_second = [], []
    for n, frame in footage_of(store, video_id, settings).proved(frames):
        if not isinstance(frame, Unproved):
            by_first.append(np.array(list(frames[n].faces.values()), dtype=float).reshape(-1, 4))
            by_second.append(other.detect(frame).boxes.astype(float))
    return recapture(*in_common(by_first, by_second))


def _drawn(store: TableStore, video_id: str) -> list[WantedFrame]:
    """The frames that are looked at again, with the faces that were found in them."""
    record = VideoRegistry(store.layout).get(video_id)
    seed = record.sha256 if record else video_id
    sampled = store.read("frames", video_id, ("frame_idx",))["frame_idx"].to_list()
    drawn = sorted(sampled, key=lambda n: hashlib.sha256(f"{seed}:{n}".encode()).digest())[:FRAMES]
    found: dict[int, dict[str, Box]] = {n: {} for n in sorted(drawn)}
    faces = store.read("face_detections", video_id, ("face_id", "frame_idx", *BOX))
    for row in faces.iter_rows(named=True):
        if row["frame_idx"] in found:
            found[row["frame_idx"]][row["face_id"]] = box_of(row)
    return [WantedFrame(n, boxes) for n, boxes in found.items()]
