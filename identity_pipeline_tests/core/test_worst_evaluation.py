"""The evaluation of results that are as bad as can be: every figure there, or why it is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from identity_pipeline.core.evaluation.evidence import VideoTables
from identity_pipeline.core.evaluation.report import Report, differences, figures_of
from identity_pipeline.core.evaluation.sections import section_of
from identity_pipeline.core.evaluation.truth import SEATS
from identity_pipeline.media.evaluation_page import HEADLINES, render_evaluation_page
from identity_pipeline.settings import BucketSettings
from identity_pipeline_tests.core.evaluation_builders import (
    BACK,
    LEFT,
    RIGHT,
    duo,
    evidence_of,
    found,
    true_face,
    video_of,
)


def embedded(frame: int, space: str, **more: Any) -> dict[str, Any]:
    vector = np.zeros(512, dtype=np.float32)
    vector[frame] = 1.0
    return found(frame, LEFT, 1, 0, e_id=vector, space=space, because="usable", **more)


def nothing_found() -> list[VideoTables]:
    return [video_of("ride", [true_face(0, "ann", LEFT)], [], ["ann"])]


def nothing_true() -> list[VideoTables]:
    """The truth names no frame that was looked at."""
    return [video_of("ride", [true_face(10**9, "ann", LEFT)], [found(0, BACK, 1, 0)], ["ann"])]


def no_tracks() -> list[VideoTables]:
    return [video_of("ride", [true_face(0, "ann", LEFT)], [found(0, LEFT, None)], ["ann"])]


def one_face() -> list[VideoTables]:
    return [video_of("ride", [true_face(0, "ann", LEFT)], [embedded(0, "a")], ["ann"])]


def one_person() -> list[VideoTables]:
    faces = [true_face(frame, "ann", LEFT) for frame in range(3)]
    return [video_of("ride", faces, [embedded(frame, "a") for frame in range(3)], ["ann"])]


def two_spaces() -> list[VideoTables]:
    return [
        video_of(space, [true_face(0, "ann", LEFT)], [embedded(0, space)], ["ann"])
        for space in "ab"
    ]


def empty_seats() -> list[VideoTables]:
    faces = [true_face(0, "ann", LEFT), true_face(0, "ben", RIGHT)]
    return [video_of("ride", faces, [], ["ann", "ben"], kind=SEATS)]


def one_of_two_found() -> list[VideoTables]:
    return [*nothing_found(), duo(name="other")]


WORST = (nothing_found, nothing_true, no_tracks, one_face, one_person, two_spaces, empty_seats,
         one_of_two_found)  # fmt: skip


@pytest.mark.parametrize("make", WORST)
def test_whatever_the_results_there_is_a_report_and_a_page(make: Any) -> None:
    section = section_of(evidence_of(*make()), BucketSettings())
    assert set(HEADLINES) <= {figure.key for figure in section.figures}
    assert all(f.value is not None or f.reason for f in section.figures)
    assert all(f.value is None or np.isfinite(f.value) for f in section.figures)
    report = Report("0", (), (), (), (), (), (section,))
    assert "not measured" in render_evaluation_page(report)
    assert differences(report, report.as_json())


def test_a_page_of_a_report_without_some_figures_shows_the_others() -> None:
    section = section_of(evidence_of(duo()), BucketSettings())
    fewer = [f for f in section.figures if f.topic != "recognition"]
    report = Report("0", (), (), (), (), (), (type(section)("rendered", "x", tuple(fewer)),))
    assert "Detection" in render_evaluation_page(report)


@pytest.mark.parametrize("value", ["0.5", True, [1], {}])
def test_an_earlier_report_with_something_else_for_a_value_is_none(value: Any) -> None:
    figure = {"key": "detection.recall", "value": value, "measured_on": "x"}
    report = {"schema_version": 1, "sections": [{"origin": "real", "figures": [figure]}]}
    with pytest.raises(ValueError, match="no evaluation report"):
        figures_of(report)
