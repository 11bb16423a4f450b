"""What a decision is about: the ids of tracks and faces as strings.

`track:{video_id}:{track_id}`, `face:{video_id}:{face_id}` with `face_id` = `{frame_idx:06d}-{n}`,
and `lost:{seq}:` before one of them for a subject that a new processing of its video did not find
again (see `anchors`).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from identity_pipeline.storage.layout import VIDEO_ID

_VIDEO = VIDEO_ID.pattern.strip("^$")
SUBJECT = re.compile(
    rf"(lost:\d+:)?(?:(track):({_VIDEO}):(0|[1-9]\d*)|(face):({_VIDEO}):(\d{{6,}}-\d+))", re.ASCII
)


class Subject(NamedTuple):
    """The parts of a subject's id.

    Attributes:
        kind: `track` or `face`.
        video_id: of the video in which it is seen.
        local_id: the track's number or the face's id, as text.
        lost: whether its video was processed anew without finding it.
    """

    kind: str
    video_id: str
    local_id: str
    lost: bool


@lru_cache(maxsize=1 << 16)
def parse(subject: str) -> Subject:
    """The parts of a subject's id.

    Raises:
        ValueError: it is none.
    """
    match = SUBJECT.fullmatch(subject)
    if match is None:
        raise ValueError(
            f"{subject!r} is no subject; expected track:VIDEO:NUMBER or face:VIDEO:FRAME-NUMBER."
        )
    lost, *parts = match.groups()
    kind, video_id, local_id = [part for part in parts if part is not None]
    return Subject(kind, video_id, local_id, lost is not None)


def track(video_id: str, track_id: int) -> str:
    """The id of a track; the same as `track_key` in tables."""
    return f"track:{video_id}:{track_id}"


def face(video_id: str, face_id: str) -> str:
    """The id of a single face."""
    return f"face:{video_id}:{face_id}"


def lost(subject: str, seq: int) -> str:
    """The id under which event `seq` keeps a subject that was not found again."""
    return subject if parse(subject).lost else f"lost:{seq}:{subject}"
