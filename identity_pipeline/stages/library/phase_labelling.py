"""What a person says of a part of a ride, looked at in one video, becomes a line of the file."""

from __future__ import annotations

from identity_pipeline.core.ride.course import elapsed_s
from identity_pipeline.core.ride.labels import PhaseLabel
from identity_pipeline.settings import Settings
from identity_pipeline.stages.video.pinning import camera_of
from identity_pipeline.storage.cameras.phase_labels import PhaseLabelError, PhaseLabels
from identity_pipeline.storage.video.tables import TableStore


def label_part(store: TableStore, settings: Settings, label: PhaseLabel) -> str:
    """Notes what somebody says of a part of the ride that a video shows.

    Args:
        store: the tables.
        settings: which camera filmed a video.
        label: times of the video, since its first frame.

    Returns:
        What comes of it, in sentences.

    Raises:
        DamagedFileError: the file of labels cannot be read; nothing is added.
        MissingTableError: nothing is known of the video.
        PhaseLabelError: this cannot be said.
    """
    camera = camera_of(store, settings, label.video)
    times = elapsed_s(store.read("frames", label.video, ("timestamp_ms",)))
    length = float(times[-1]) if len(times) else 0.0
    if label.start_s >= length:
        raise PhaseLabelError(f"that cannot be said of a ride: the video is {length:.0f} s long.")
    PhaseLabels(store.layout).add(camera, label)
    return (
        "Noted. The night places it on the ride, or `identity-pipeline camera renew`; it is shown "
        "of videos that are made after that."
    )
