"""The highlights of a registered video, as its steps and `plan` see them."""

from __future__ import annotations

from identity_pipeline.media.errors import VideoError
from identity_pipeline.storage.video.highlights import (
    BAD_HIGHLIGHTS,
    Highlights,
    HighlightsError,
    highlights_of,
)
from identity_pipeline.storage.video.registry import Registration


def usable_highlights(record: Registration | None) -> Highlights | None:
    """The highlights of a video; None where it has none, or is not registered.

    Raises:
        VideoError: they cannot be used; that fails the video, for a run without them is not what
            was asked for.
    """
    if record is None:
        return None
    try:
        return highlights_of(record)
    except HighlightsError as error:
        raise VideoError(BAD_HIGHLIGHTS, str(error)) from error
