"""Where on a template lies what people say of a part of a ride.

A label is said of times of a video, which a person can look at, not of a template, which nobody
sees. It lies where its video is on the template, or, where that video is gone, where the earlier
template, on which it was placed, lies on the new one. So labels outlive templates. One that cannot
be placed is kept and named in a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.ride.alignment import align
from identity_pipeline.core.ride.course import Course
from identity_pipeline.core.ride.labels import GONE, NOT_SHOWN, TOO_LATE, PhaseLabel, PlacedLabel
from identity_pipeline.core.ride.template import Template, follow


def place_labels(
    labels: Sequence[PhaseLabel],
    courses: Mapping[str, Course],
    template: Template,
    earlier: tuple[Template, Sequence[PlacedLabel]] | None = None,
) -> list[PlacedLabel]:
    """Where on a template labels lie, in their order.

    Args:
        labels: of one camera, in the order of the file.
        courses: of the videos that are there, by id.
        template: they are placed on.
        earlier: the template before it and where they lay on that, for labels of videos that are
            gone.
    """
    gone = _carried(labels, template, earlier)
    positions = {
        video: _positions(courses[video], template)
        for video in sorted({label.video for label in labels})
        if video in courses
    }
    step_s = template.track.course.step_s
    placed: list[PlacedLabel] = []
    for label in labels:
        there = label.video in positions
        span = (label.start_s / step_s, label.end_s / step_s)
        where = _within(positions[label.video], *span) if there else gone.get(label)
        start, end = where or (None, None)
        why = None if where else _why_not(label, courses.get(label.video))
        placed.append(PlacedLabel(label, start, end, why))
    return placed


def _why_not(label: PhaseLabel, course: Course | None) -> str:
    if course is None:
        return GONE
    return NOT_SHOWN if label.start_s < len(course.values) * course.step_s else TOO_LATE


def _carried(
    labels: Sequence[PhaseLabel],
    template: Template,
    earlier: tuple[Template, Sequence[PlacedLabel]] | None,
) -> dict[PhaseLabel, tuple[int, int] | None]:
    """Where labels of an earlier template lie on this one."""
    known = [one for one in earlier[1] if one.label in labels] if earlier else []
    if not known or earlier is None:
        return {}
    carry = align(earlier[0].track.course, template.track).position
    return {one.label: _within(carry, one.start, one.end) for one in known}


def _positions(course: Course, template: Template) -> NDArray[np.int64] | None:
    """Where a video is on the template; None where it does not follow it."""
    followed = follow(course, template)
    return followed.alignment.position if followed.same_ride else None


def _within(
    position: NDArray[np.int64] | None, start: float | None, end: float | None
) -> tuple[int, int] | None:
    """The points of the template between two points of a video; None where it shows none."""
    if position is None or start is None or end is None:
        return None
    first = max(int(np.ceil(start - 0.5)), 0)
    last = max(int(np.ceil(end - 0.5)), 0)
    inside = position[first:last]
    inside = inside[inside >= 0]
    return (int(inside[0]), int(inside[-1]) + 1) if len(inside) else None
