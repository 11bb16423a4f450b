"""What people say of phases: a person's word wins over the template's, and is never lost.

A label is said of times of a video, which a person can look at, not of a template, which nobody
sees. Where it lies on a template is computed: by where its video is on it, or, where that video is
gone, by where the earlier template, on which it was placed, lies on the new one. So labels outlive
templates. One that cannot be placed is kept and named in a sentence.

What belongs here: placing and applying labels. What does not: the file that holds them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.ride.alignment import align
from identity_pipeline.core.ride.course import Course
from identity_pipeline.core.ride.naming import HUMAN, Phase
from identity_pipeline.core.ride.template import Template, follow


@dataclass(frozen=True)
class PhaseLabel:
    """One line of the file.

    Attributes:
        video: id of the video whose times are meant.
        start_s, end_s: since its first frame, the end behind the start.
        phase: of `naming.PHASES`.
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


@dataclass(frozen=True)
class PlacedLabel:
    """A label on a template: points from `start` up to, but not including, `end`."""

    label: PhaseLabel
    start: int
    end: int


@dataclass(frozen=True)
class Placing:
    """Labels on a template.

    Attributes:
        placed: in the order of the file.
        sentences: of labels that cannot be placed, why.
    """

    placed: tuple[PlacedLabel, ...]
    sentences: tuple[str, ...]


def place_labels(
    labels: Sequence[PhaseLabel],
    courses: Mapping[str, Course],
    template: Template,
    earlier: tuple[Template, Sequence[PlacedLabel]] | None = None,
) -> Placing:
    """Where on a template labels lie.

    Args:
        labels: of one camera, in the order of the file.
        courses: of the videos that are there, by id.
        template: they are placed on.
        earlier: the template before it and where they lay on that, for labels of videos that are
            gone.
    """
    known = {one.label: one for one in earlier[1]} if earlier else {}
    carry = align(earlier[0].track.course, template.track).position if earlier else None
    positions: dict[str, NDArray[np.int64] | None] = {}
    placed: list[PlacedLabel] = []
    sentences: list[str] = []
    for label in labels:
        if label.video not in positions:
            positions[label.video] = _positions(courses.get(label.video), template)
        position = positions[label.video]
        where = None
        if position is not None:
            step_s = template.track.course.step_s
            where = _within(position, label.start_s / step_s, label.end_s / step_s)
        elif carry is not None and label in known:
            where = _within(carry, known[label].start, known[label].end)
        if where is None:
            sentences.append(_why_not(label, label.video in courses))
        else:
            placed.append(PlacedLabel(label, *where))
    return Placing(tuple(placed), tuple(sentences))


def _positions(course: Course | None, template: Template) -> NDArray[np.int64] | None:
    """Where a video is on the template; None where it is gone or of another ride."""
    if course is None:
        return None
    followed = follow(course, template)
    return followed.alignment.position if followed.same_ride else None


def _within(position: NDArray[np.int64], start: float, end: float) -> tuple[int, int] | None:
    """The points of the template between two points of a video; None where it shows none."""
    first = max(int(np.ceil(start - 0.5)), 0)
    last = max(int(np.ceil(end - 0.5)), 0)
    inside = position[first:last]
    inside = inside[inside >= 0]
    return (int(inside[0]), int(inside[-1]) + 1) if len(inside) else None


def _why_not(label: PhaseLabel, there: bool) -> str:
    if there:
        return (
            f"{label.words} is kept, and counts for nothing now: the video does not show that part "
            "of the ride as the others do. Say it of another video."
        )
    return (
        f"{label.words} is kept, and counts for nothing now: the video is gone. Say it of another "
        "video."
    )


def with_labels(phases: Sequence[Phase], placed: Sequence[PlacedLabel], least: int) -> list[Phase]:
    """The phases of a template with what people say of them; of two labels the later one counts.

    Args:
        phases: of the template, in its order, without a gap.
        placed: labels.
        least: what is left of the template's own beside a label, and is shorter than that many
            points, goes to the neighbour on its other side, unless a person named that too.
    """
    if not phases:
        return []
    owner: list[Phase] = [phase for phase in phases for _ in range(phase.end - phase.start)]
    offset = phases[0].start
    for one in placed:
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
