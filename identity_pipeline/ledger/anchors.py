"""Finds decisions again when videos were processed anew and their tracks have other numbers; pure.

Each decision carries one face of each subject, its anchor. The face is still there after a new
processing, under whatever track: the best overlapping box of the same frame, or of the sampled
frame nearest to it, says which. What is not found is kept and reported, never dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from identity_pipeline.core.box import Box
from identity_pipeline.ledger import subjects as ids
from identity_pipeline.ledger.events import Anchor
from identity_pipeline.ledger.renaming import Conflict, new_names
from identity_pipeline.ledger.state import LibraryState
from identity_pipeline.ledger.working import WorkingState

MIN_IOU = 0.5
"""Overlap from which two boxes are one face; the usual bound of detection (PASCAL VOC)."""
FRAMES_WITHIN = 2
"""How far the frame may be, in decoded frames, when another sampling rate skipped it; chosen."""


@dataclass(frozen=True)
class Resolution:
    """Where subjects are in the present tables.

    Attributes:
        found: old → present subject; equal where nothing changed.
        not_found: subjects of processed videos of which no anchor matches a face, sorted.
        absent: subjects of videos that have no faces in the tables at all, sorted: they keep their
            names.
    """

    found: Mapping[str, str]
    not_found: tuple[str, ...]
    absent: tuple[str, ...]

    @property
    def changes(self) -> bool:
        """Whether a `renumber` event is due."""
        lost_anew = any(not ids.parse(subject).lost for subject in self.not_found)
        return lost_anew or any(old != new for old, new in self.found.items())


def resolve(
    anchors: Mapping[str, Sequence[Anchor]],
    faces: pl.DataFrame,
    *,
    min_iou: float = MIN_IOU,
    frames_within: int = FRAMES_WITHIN,
) -> Resolution:
    """Finds subjects by their anchors.

    Args:
        anchors: subject → its anchors, the most trusted first (`History.anchors`).
        faces: present faces: `video_id`, `track_id` (null: in no track), `frame_idx`, `x1`, `y1`,
            `x2`, `y2`, and `face_id` where face subjects are to be found.
        min_iou: smallest overlap of the boxes.
        frames_within: farthest frame to look in; nearer frames first, then earlier ones.
    """
    present = _by_frame(anchors, faces, frames_within)
    videos = set(faces["video_id"].unique())
    found, not_found, absent = {}, [], []
    for subject in sorted(anchors):
        match = next(
            (
                hit
                for anchor in anchors[subject]
                if (hit := _match(anchor, present, min_iou, frames_within))
            ),
            None,
        )
        if match is not None:
            found[subject] = match
        elif ids.parse(subject).video_id in videos:
            not_found.append(subject)
        else:
            absent.append(subject)
    return Resolution(found, tuple(not_found), tuple(absent))


def apply(
    state: LibraryState, resolution: Resolution, seq: int = 0
) -> tuple[LibraryState, tuple[Conflict, ...]]:
    """A state in terms of the present tables.

    Args:
        state: in terms of older tables.
        resolution: of all subjects of the state; others keep their names.
        seq: goes into the names of subjects that are kept as lost.

    Returns:
        The state, and old subjects that are one track now although they must not be one person;
        these are kept as lost, each with its decisions.
    """
    renaming = new_names(state, resolution.found, resolution.not_found, seq)
    working = WorkingState.of(state)
    working.rename(renaming.names)
    return working.freeze(), renaming.conflicts


_Faces = Mapping[tuple[str, str, int], Sequence[tuple[str, Box]]]
"""(kind, video, frame) → present subjects with their boxes, sorted by subject."""


def _by_frame(
    anchors: Mapping[str, Sequence[Anchor]], faces: pl.DataFrame, frames_within: int
) -> _Faces:
    wanted = pl.DataFrame(
        [
            (anchor.video_id, anchor.frame_idx + offset)
            for several in anchors.values()
            for anchor in several
            for offset in range(-frames_within, frames_within + 1)
        ],
        schema={"video_id": pl.String, "frame_idx": pl.Int64},
        orient="row",
    )
    rows = faces.with_columns(pl.col("frame_idx").cast(pl.Int64)).join(
        wanted.unique(), on=["video_id", "frame_idx"], how="semi"
    )
    present: dict[tuple[str, str, int], list[tuple[str, Box]]] = {}
    for row in rows.iter_rows(named=True):
        box = Box(row["x1"], row["y1"], row["x2"], row["y2"])
        for subject in _subjects_of(row):
            key = ids.parse(subject).kind, row["video_id"], row["frame_idx"]
            present.setdefault(key, []).append((subject, box))
    return {key: sorted(several) for key, several in present.items()}


def _subjects_of(row: Mapping[str, object]) -> Iterable[str]:
    video_id = str(row["video_id"])
    if isinstance(track_id := row["track_id"], int):
        yield ids.track(video_id, track_id)
    if isinstance(face_id := row.get("face_id"), str):
        yield ids.face(video_id, face_id)


def _match(anchor: Anchor, present: _Faces, min_iou: float, frames_within: int) -> str | None:
    kind, box = ids.parse(anchor.subject).kind, Box(*anchor.box)
    offsets = sorted(range(-frames_within, frames_within + 1), key=lambda d: (abs(d), d))
    for offset in offsets:
        candidates = present.get((kind, anchor.video_id, anchor.frame_idx + offset), ())
        overlaps = [(box.iou(other), subject) for subject, other in candidates]
        # The first of equals is the smallest subject, so the result does not depend on row order.
        best = max(overlaps, key=lambda pair: pair[0], default=(0.0, ""))
        if best[0] >= min_iou:
            return best[1]
    return None
