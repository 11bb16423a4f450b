"""What is wrong with a video, as a stable code and one sentence that says what to do."""

from __future__ import annotations

from typing import Final

from identity_pipeline.errors import IdentityPipelineError, printable

DAMAGED: Final = "damaged data"
RESHAPED: Final = "other frame size"
"""What is noted of single frames that could be used all the same."""


class VideoError(IdentityPipelineError):
    """A video that cannot be processed, whatever is retried.

    Attributes:
        code: stable reason code: `missing`, `empty`, `changed`, `too_large`, `not_a_video`,
            `unknown_codec`, `no_video_stream`, `absurd_dimensions`, `unsupported_picture`,
            `still_picture`, `too_long`, `truncated`, `no_frames`, `unreadable_frame`.
        sentence: what is wrong and what to do next.
    """

    def __init__(self, code: str, sentence: str) -> None:
        self.code, self.sentence = code, printable(sentence)  # it names a file as it is called
        super().__init__(f"{code}: {self.sentence}")
