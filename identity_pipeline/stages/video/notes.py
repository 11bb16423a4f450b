"""What a person should know of how a video was read: of the file, and of its frames in the pass.

What belongs here: the sentences that lists, exports and Dagster show. What does not: finding it out
(`media.video`).
"""

from __future__ import annotations

import polars as pl

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.media.errors import DAMAGED, RESHAPED
from identity_pipeline.storage.video.tables import TableStore


def notes_of_file(ride_video: pl.DataFrame) -> list[str]:
    """The warnings of a row of `ride_video`; none are known of rows of older versions."""
    warnings = ride_video["warnings"][0]
    return [] if warnings is None else list(warnings)


def notes_of_frames(ride_video: pl.DataFrame, frames: pl.DataFrame) -> list[str]:
    """What was met only among the frames: another size in mid-stream, damaged data."""
    said = []
    row, errors = ride_video.row(0, named=True), frames["decode_error"]
    reshaped = errors.str.contains(RESHAPED, literal=True).sum()
    if reshaped:
        said.append(
            f"The size of the frames changes in mid-stream: {reshaped} of {frames.height} sampled "
            f"frames were brought to {row['width']} × {row['height']}."
        )
    damaged = errors.str.contains(DAMAGED, literal=True).sum()
    if damaged:
        said.append(
            f"The file is damaged: data before or of {damaged} of {frames.height} sampled frames "
            "could not be decoded."
        )
    return said


def notes(store: TableStore, video_id: str) -> list[str]:
    """All notes of a video, as far as it has been read; what cannot be read is told among them."""
    try:
        if store.noted("ride_video", video_id) is None:
            return []
        ride_video = store.read("ride_video", video_id)
        said = notes_of_file(ride_video)
        if store.noted("frames", video_id) is not None:
            frames = store.read("frames", video_id, ("decode_error",))
            said += notes_of_frames(ride_video, frames)
    except IdentityPipelineError as error:
        return [str(error)]
    return said
