"""What people say of phases: a person's word wins over the template's, and is never lost.

What belongs here: what a label is, and applying labels. What does not: where on a template they lie
(`core.ride.placing`), and the file that holds them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from identity_pipeline.core.ride.phases import HUMAN, Phase


@dataclass(frozen=True)
class PhaseLabel:
    """What a person says of a part of a ride: one line of the file.

    Attributes:
        video: id of the video whose times are meant.
        start_s, end_s: since its first frame, the end behind the start.
        phase: of `phases.PHASES`.
        title: what it is called; None: by its phase.
    """

    video: str
    start_s: float
    end_s: float
    phase: str
    title: str | None = None

    @property
    def words(self) -> str:
        """How it is named in a sentence."""
        return (
            f"The label {self.title or self.phase} at {self.start_s:g} to {self.end_s:g} s of "
            f"{self.video}"
        )


def without_ids(label: PhaseLabel, gone: Collection[str]) -> PhaseLabel:
    """The label; of a video that is gone under a name that is made of the rest of the label alone.

    So it is the same wherever the label is written, and tells nothing of the video.
    """
    if label.video not in gone:
        return label
    said = f"{label.start_s!r} {label.end_s!r} {label.phase} {label.title or ''}"
    return replace(label, video=f"{GONE}-{hashlib.sha256(said.encode()).hexdigest()[:8]}")


GONE, TOO_LATE, NOT_SHOWN = "gone", "too_late", "not_shown"
"""Why a label cannot be placed: its video is not there; it ends before that; it does not show that
part as the others do."""


@dataclass(frozen=True)
class PlacedLabel:
    """A label, and where it lies on a template.

    Attributes:
        label: what was said.
        start, end: points from `start` up to, but not including, `end`; None where it lies nowhere.
        why: `GONE`, `TOO_LATE` or `NOT_SHOWN` where it lies nowhere, else None.
    """

    label: PhaseLabel
    start: int | None
    end: int | None
    why: str | None = None

    @property
    def sentence(self) -> str | None:
        """Why it counts for nothing, for people; None where it counts."""
        if self.why is None:
            return None
        forgotten = self.label.video.startswith(f"{GONE}-")
        reasons = {
            GONE: "the video is gone" if forgotten else "no frames of such a video are known",
            TOO_LATE: "the video ends before that",
            NOT_SHOWN: "the video does not show that part of the ride as the others do",
        }
        kept = "is kept, and counts for nothing now"
        return f"{self.label.words} {kept}: {reasons[self.why]}. Say it of another video."


def with_labels(phases: Sequence[Phase], placed: Sequence[PlacedLabel], least: int) -> list[Phase]:
    """The phases of a template with what people say of them; of two labels the later one counts.

    Args:
        phases: of the template, in its order, without a gap.
        placed: labels; those that lie nowhere count for nothing.
        least: what is left of the template's own beside a label, and is shorter than that many
            points, goes to the neighbour on its other side, unless a person named that too.
    """
    if not phases:
        return []
    owner: list[Phase] = [phase for phase in phases for _ in range(phase.end - phase.start)]
    offset = phases[0].start
    for one in placed:
        if one.start is None or one.end is None:
            continue
        said = Phase(one.start, one.end, one.label.phase, one.label.title, HUMAN)
        for point in range(max(one.start - offset, 0), min(one.end - offset, len(owner))):
            owner[point] = said
    pieces = _pieces(owner, offset)
    return _pieces(_without_slivers(pieces, phases, least), offset)


def _pieces(owner: Sequence[Phase], offset: int) -> list[Phase]:
    """Runs of points of one owner; runs of one name by the template are one."""
    pieces: list[Phase] = []
    for point, phase in enumerate(owner, offset):
        last = pieces[-1] if pieces else None
        if last is not None and _same(last, phase):
            pieces[-1] = replace(last, end=point + 1)
        else:
            pieces.append(replace(phase, start=point, end=point + 1))
    return pieces


def _same(one: Phase, other: Phase) -> bool:
    return (one.phase, one.title, one.source) == (other.phase, other.title, other.source)


def _without_slivers(pieces: Sequence[Phase], phases: Sequence[Phase], least: int) -> list[Phase]:
    """(points,) owners, with slivers beside labels given to their other neighbour."""
    whole = {(phase.start, phase.end) for phase in phases}
    owner: list[Phase] = []
    for before, piece, after in zip([None, *pieces], pieces, [*pieces[1:], None], strict=False):
        length = piece.end - piece.start
        sliver = piece.source != HUMAN and length < least and (piece.start, piece.end) not in whole
        takers = [one for one in (before, after) if one is not None and one.source != HUMAN]
        owner += [takers[0] if sliver and takers else piece] * length
    return owner
