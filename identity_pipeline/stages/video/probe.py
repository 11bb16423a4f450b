"""What a video is: the row of `ride_video`."""

from __future__ import annotations

from dataclasses import asdict

import polars as pl

from identity_pipeline.media.errors import VideoError
from identity_pipeline.media.video import probe
from identity_pipeline.settings import VideoSettings
from identity_pipeline.storage.files.hashing import sha256_of_file
from identity_pipeline.storage.video.registry import Registration
from identity_pipeline.tables import TABLES


def video_row(record: Registration, settings: VideoSettings) -> pl.DataFrame:
    """Validates a registered video and describes it in one row.

    `path` is where the file was first seen, so that moving it changes nothing.

    Raises:
        VideoError: it cannot be processed, or its bytes are not those that were registered.
    """
    path = record.existing_path()
    probed = probe(path, settings)
    sha256 = sha256_of_file(path)
    if sha256 != record.sha256:
        raise VideoError(
            "changed",
            f"{path.name} has changed since it was registered as {record.video_id}; it will be "
            "picked up as a new video.",
        )
    row = {
        "video_id": record.video_id,
        "path": record.path,
        "sha256": sha256,
        "size_bytes": path.stat().st_size,
        **asdict(probed),
        "warnings": list(probed.warnings),
    }
    return pl.DataFrame([row], schema=TABLES["ride_video"])
