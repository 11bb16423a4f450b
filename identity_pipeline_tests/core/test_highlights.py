"""What the weight of a highlight does: to the rate, to the selection, and not to who rides."""

from __future__ import annotations

import polars as pl
import pytest

from identity_pipeline.core.imagesets.candidates import with_emphasis
from identity_pipeline.core.imagesets.image_sets import build_coverage_set
from identity_pipeline.core.imagesets.selection import open_candidates, select
from identity_pipeline.core.tracks.riders import spans_of
from identity_pipeline.core.video.highlights import Emphasis, Window
from identity_pipeline.settings import HighlightSettings, SelectionSettings
from identity_pipeline.tables import empty
from identity_pipeline_tests.core.builders import axis, candidate, candidates

USUAL, S = HighlightSettings(), SelectionSettings()
CUT = SelectionSettings(stop="cut")
NONE = empty("image_set")


def emphasis(*windows: tuple[float, float, float], settings: HighlightSettings = USUAL) -> Emphasis:
    return Emphasis(tuple(Window(*window) for window in windows), settings)


def test_a_window_holds_from_its_start_to_before_its_end_and_the_larger_weight_wins() -> None:
    told = emphasis((1, 2, 2), (1.5, 3, 3))
    assert [told.weight(at) for at in (999, 1000, 1500, 1999, 2999, 3000)] == [1, 2, 3, 3, 3, 1]


@pytest.mark.parametrize(
    ("weight", "times"), [(1, 1), (1.4, 1), (1.5, 2), (2, 2), (3.2, 3), (4, 4), (100, 4)]
)
def test_the_rate_is_multiplied_by_a_whole_number_within_the_bound(
    weight: float, times: int
) -> None:
    assert emphasis((0, 1, weight)).times(500) == times
    assert emphasis((0, 1, weight), settings=HighlightSettings(rate_times_max=1)).times(500) == 1


def test_the_bonus_is_nothing_at_weight_one_and_never_the_whole() -> None:
    told = emphasis((0, 1, 1), (1, 2, 2), (2, 3, 100))
    assert [told.bonus(at) for at in (500, 1500, 2500, 3500)] == pytest.approx([0, 0.1, 0.198, 0])


def test_expected_frames_follow_the_windows() -> None:
    assert emphasis((2, 4, 2)).expected_frames(10_000, 10) == 120
    assert emphasis((8, 40, 4)).expected_frames(10_000, 10) == 160
    assert emphasis().expected_frames(10_000, 10) == 100


def faces_at(*seconds_and_quality: tuple[float, float]) -> pl.DataFrame:
    return candidates(
        *(
            candidate(n, e_vis_face=axis(n), timestamp_ms=s * 1000, quality_score=q)
            for n, (s, q) in enumerate(seconds_and_quality)
        )
    )


def test_a_highlighted_face_replaces_a_slightly_better_one_and_the_decision_says_why() -> None:
    faces = faces_at((1, 0.60), (5, 0.55))
    plain = select(faces, NONE, NONE, CUT)
    assert plain["weight"].null_count() == plain["bonus"].null_count() == 2
    assert plain["decision"].to_list() == ["save", "add"]
    told = select(with_emphasis(faces, emphasis((4, 6, 2))), NONE, NONE, CUT)
    assert told["decision"].to_list() == ["save", "replace"]
    row = told.row(1, named=True)
    assert (row["weight"], row["bonus"], row["rival_bonus"]) == pytest.approx((2.0, 0.1, 0.0))
    assert row["quality_score"] == pytest.approx(0.55)  # as it was measured
    # The rule can be replayed from the row alone.
    gain = row["quality_score"] + row["bonus"] - row["rival_quality"] - row["rival_bonus"]
    assert gain > S.replace_gain
    assert told["weight"].to_list() == [1.0, 2.0]


def test_a_weight_makes_no_picture_of_a_much_poorer_face() -> None:
    told = select(
        with_emphasis(faces_at((1, 0.80), (5, 0.55)), emphasis((4, 6, 100))), NONE, NONE, CUT
    )
    assert told["decision"].to_list() == ["save", "add"]


def test_windows_count_from_the_first_frame() -> None:
    faces = faces_at((101, 0.60), (105, 0.55))
    told = with_emphasis(faces, emphasis((4, 6, 2)), 100_000.0)
    assert told["weight"].to_list() == [1.0, 2.0]


@pytest.mark.parametrize("settings", [S, CUT])
def test_the_sets_prefer_what_the_selection_preferred(settings: SelectionSettings) -> None:
    faces = faces_at((1, 0.60), (5, 0.55))
    firsts = []
    for told in (faces, with_emphasis(faces, emphasis((4, 6, 2)))):
        opened, decided = open_candidates(told, settings), select(told, NONE, NONE, settings)
        firsts.append(build_coverage_set(opened, decided, NONE, NONE, settings)["face_id"][0])
    assert firsts == faces["face_id"].to_list()


def test_frames_of_a_highlight_stand_for_less_time() -> None:
    frames = pl.DataFrame({"frame_idx": [0, 1, 2], "sampling_fps": [10.0, 20.0, 20.0]})
    told = spans_of(frames)
    assert told is not None
    assert told["span"].to_list() == pytest.approx([0.1, 0.05, 0.05])
    assert spans_of(frames.with_columns(sampling_fps=pl.lit(None, pl.Float32))) is None
