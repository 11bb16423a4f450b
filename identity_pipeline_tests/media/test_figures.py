"""The figures say what the tables hold, at the right place, as valid and self-contained SVG."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import polars as pl
import pytest

from identity_pipeline.core.imagesets.frame_ledger import STATES
from identity_pipeline.media.figures import (
    CELL_COLOURS,
    coverage_grid_svg,
    ledger_bar_svg,
)
from identity_pipeline.media.svg import SET_COLOURS, STATE_COLOURS
from identity_pipeline.media.timelines import moments_svg, track_timeline_svg
from identity_pipeline.settings import BucketSettings
from identity_pipeline.tables import TABLES
from identity_pipeline_tests.core.ride.tables import phases_of

NS = "{http://www.w3.org/2000/svg}"
BUCKETS = BucketSettings()
SEEN: set[tuple[int, int]] = set()
SAVED: list[tuple[int | None, int | None, str]] = [
    (0, 0, "neutral"),
    (0, 0, "smile"),
    (0, 0, "smile"),
    (-30, 30, "eyes_closed"),
    (30, -10, "unknown"),
]
SAVED_SCHEMA: Any = {"yaw_key": pl.Int64, "pitch_key": pl.Int64, "expression_bin": pl.String}


def saved(rows: Sequence[tuple[int | None, int | None, str]] = SAVED) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SAVED_SCHEMA, orient="row")


def parse(svg: str) -> ElementTree.Element:
    root = ElementTree.fromstring(svg)  # noqa: S314 (our own drawing)
    assert root.tag == f"{NS}svg"
    for reference in ("http", "url(", "@import", "<script", "<image"):
        assert reference not in svg.replace(NS[1:-1], "")
    return root


def having(root: ElementTree.Element, attribute: str) -> list[ElementTree.Element]:
    return [e for e in root.iter() if attribute in e.attrib]


def words(root: ElementTree.Element) -> list[str]:
    return [e.text or "" for e in root.iter(f"{NS}text")]


def cells(svg: str) -> dict[tuple[int, int], ElementTree.Element]:
    found = having(parse(svg), "data-count")
    return {(int(c.attrib["data-yaw"]), int(c.attrib["data-pitch"])): c for c in found}


def place(element: ElementTree.Element) -> float:
    """The x to which an element is moved."""
    return float(element.attrib["transform"].removeprefix("translate(").split()[0])


def corner(cell: ElementTree.Element) -> tuple[float, float]:
    rect = next(cell.iter(f"{NS}rect"))
    return float(rect.attrib["x"]), float(rect.attrib["y"])


def test_every_cell_shows_its_own_count() -> None:
    grid = cells(coverage_grid_svg(saved(), BUCKETS, seen=SEEN))
    assert len(grid) == 35
    shown = {key: words(cell)[0] for key, cell in grid.items() if words(cell)[0] != "0"}
    assert shown == {(0, 0): "3", (-30, 30): "1", (30, -10): "1"}


def test_yaw_runs_to_the_right_and_pitch_up() -> None:
    grid = cells(coverage_grid_svg(saved(), BUCKETS, seen=SEEN))
    yaws = [corner(grid[key, 0])[0] for key in (-45, -30, -15, 0, 15, 30, 45)]
    pitches = [corner(grid[0, key])[1] for key in (30, 10, 0, -10, -30)]
    assert yaws == sorted(set(yaws))
    assert pitches == sorted(set(pitches))


def test_the_marks_of_a_cell_are_filled_where_the_expression_was_saved() -> None:
    grid = cells(coverage_grid_svg(saved(), BUCKETS, seen=SEEN))

    def filled(cell: ElementTree.Element) -> list[bool]:
        rings = [(place(c), False) for c in cell.findall(f"{NS}circle")]
        return [on for _, on in sorted(rings + [(place(g), True) for g in cell.findall(f"{NS}g")])]

    assert filled(grid[0, 0]) == [True, True, False, False]
    assert filled(grid[-30, 30]) == [False, False, False, True]
    assert filled(grid[30, -10]) == [False] * 4
    assert filled(grid[45, 0]) == [False] * 4


def test_the_headline_counts_bins_as_the_selection_does() -> None:
    headline = words(parse(coverage_grid_svg(saved(), BUCKETS, seen=SEEN)))
    assert any("yaw 3/7 · pitch 3/5 · expression 3/4 · cells 3/35" in w for w in headline)
    half_known = saved([(15, None, "smile"), (None, 30, "smile")])
    svg = coverage_grid_svg(half_known, BUCKETS, seen=SEEN)
    assert "yaw 1/7 · pitch 1/5 · expression 1/4 · cells 0/35" in svg
    assert "2 images beyond the bins" in words(parse(svg))


def test_row_and_column_totals_add_up_to_all_images() -> None:
    root = parse(coverage_grid_svg(saved(), BUCKETS, seen=SEEN))
    grid = cells(coverage_grid_svg(saved(), BUCKETS, seen=SEEN))
    texts = [(float(t.attrib["x"]), float(t.attrib["y"]), t.text) for t in root.iter(f"{NS}text")]
    x, y = corner(grid[0, 0])
    right, bottom = corner(grid[45, -30])
    row_total = [t for tx, ty, t in texts if tx > right + 78 and y < ty < y + 62]
    column_total = [t for tx, ty, t in texts if x < tx < x + 78 and bottom + 62 < ty < bottom + 90]
    grand_total = [t for tx, ty, t in texts if tx > right + 78 and ty > bottom + 62]
    assert (row_total, column_total[:1], grand_total) == (["3"], ["3"], ["5"])


def test_cells_say_why_they_are_empty() -> None:
    svg = coverage_grid_svg(saved(), BUCKETS, seen={(0, 0), (15, 0), (-45, 0)})
    state = {key: cell.attrib["data-state"] for key, cell in cells(svg).items()}
    assert state[0, 0] == state[30, -10] == "saved"
    assert state[15, 0] == state[-45, 0] == "missed"
    assert state[30, 0] == "unseen"


def test_a_rider_without_images_has_an_empty_grid() -> None:
    svg = coverage_grid_svg(saved([]), BUCKETS, seen=SEEN)
    assert {c.attrib["data-count"] for c in cells(svg).values()} == {"0"}
    assert "yaw 0/7 · pitch 0/5 · expression 0/4" in svg


def test_the_grid_follows_the_edges_of_the_settings() -> None:
    wide = BucketSettings(yaw_edges=(-60, -20, 20, 60))
    svg = coverage_grid_svg(saved([(60, 0, "smile")]), wide, seen=SEEN)
    assert len(cells(svg)) == 15
    assert "yaw 1/3" in svg and "20…60°" in svg


def test_a_cell_with_more_images_is_darker() -> None:
    svg = coverage_grid_svg(saved([(0, 0, "smile")] * 3 + [(15, 0, "smile")]), BUCKETS, seen=SEEN)
    fills = {k: next(c.iter(f"{NS}rect")).attrib.get("fill") for k, c in cells(svg).items()}
    assert (fills[15, 0], fills[0, 0]) == (CELL_COLOURS[0], CELL_COLOURS[2])


def test_a_title_is_escaped_and_the_headline_can_be_left_out() -> None:
    titled = words(parse(coverage_grid_svg(saved(), BUCKETS, seen=SEEN, title="<b> &")))
    assert any(w.startswith("<b> & · yaw 3/7") for w in titled)
    bare = words(parse(coverage_grid_svg(saved(), BUCKETS, seen=SEEN, headline=False)))
    assert not any("yaw 3/7" in w for w in bare)


def test_the_order_of_rows_does_not_change_a_byte() -> None:
    first = coverage_grid_svg(saved(), BUCKETS, seen={(15, 0), (30, 0), (0, 30)})
    assert first == coverage_grid_svg(saved(SAVED[::-1]), BUCKETS, seen={(0, 30), (30, 0), (15, 0)})


def frames(lumas: list[float | None], cuts: tuple[int, ...] = ()) -> pl.DataFrame:
    """Sampled frames 100 ms apart; every third frame of the source."""
    rows = [
        dict.fromkeys(TABLES["frames"])
        | {
            "frame_idx": 3 * i,
            "timestamp_ms": 100.0 * i,
            "luma_mean": luma,
            "scene_cut": i in cuts,
        }
        for i, luma in enumerate(lumas)
    ]
    return pl.DataFrame(rows, schema=TABLES["frames"])


def riders(*rows: tuple[int, int | None, str, int]) -> pl.DataFrame:
    """Rows of (track_id, person_id, reason, face_count)."""
    full = [
        dict.fromkeys(TABLES["riders"])
        | {"track_id": t, "person_id": p, "reason": r, "face_count": n}
        for t, p, r, n in rows
    ]
    return pl.DataFrame(full, schema=TABLES["riders"])


def tracks(present: dict[int, list[int]]) -> pl.DataFrame:
    rows = [(t, 3 * i) for t, positions in present.items() for i in positions]
    return pl.DataFrame(rows, schema={"track_id": pl.Int64, "frame_idx": pl.Int64}, orient="row")


def exported(*rows: tuple[int, float, str]) -> pl.DataFrame:
    schema: Any = {"person_id": pl.Int64, "timestamp_ms": pl.Float64, "set": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def bars(svg: str) -> dict[str, list[tuple[float, float]]]:
    """(start, end) of the spans of each lane."""
    return {
        lane.attrib["data-track"]: [
            (float(r.attrib["x"]), float(r.attrib["x"]) + float(r.attrib["width"]))
            for r in lane.findall(f"{NS}rect")
        ]
        for lane in having(parse(svg), "data-track")
    }


ONE_RIDER = riders((4, 0, "rider", 7))


def test_a_missing_sampled_frame_breaks_the_bar_there() -> None:
    svg = track_timeline_svg(
        frames([120.0] * 10), tracks({4: [0, 1, 2, 5, 6, 9]}), ONE_RIDER, exported(), BUCKETS
    )
    spans = bars(svg)["4"]
    assert len(spans) == 3
    assert spans[0][1] < spans[1][0] < spans[1][1] < spans[2][0]
    frame = (spans[2][1] - spans[0][0]) / 10
    assert [(b - a) / frame for a, b in spans] == pytest.approx([3, 2, 1], abs=0.02)
    assert (spans[1][0] - spans[0][0]) / frame == pytest.approx(5, abs=0.02)


def test_a_hole_in_the_frames_themselves_is_a_gap_too() -> None:
    holed = frames([120.0] * 10).filter(~pl.col("frame_idx").is_between(9, 17))
    present = tracks({4: [0, 1, 2, 6, 7, 8, 9]})
    spans = bars(track_timeline_svg(holed, present, ONE_RIDER, exported(), BUCKETS))["4"]
    assert sum(b - a for a, b in spans) < 0.85 * (spans[-1][1] - spans[0][0])


def test_marks_stand_at_the_time_of_their_image_in_the_colour_of_their_set() -> None:
    images = exported((0, 200.0, "anchor"), (0, 700.0, "challenge"))
    svg = track_timeline_svg(
        frames([120.0] * 10), tracks({4: list(range(10))}), ONE_RIDER, images, BUCKETS
    )
    ((start, end),) = bars(svg)["4"]
    tipped = [
        e for e in having(parse(svg), "data-set") if " at " in (e.findtext(f"{NS}title") or "")
    ]
    marks = {
        e.attrib["data-set"]: (
            place(e),
            e.attrib["fill"],
            e.findtext(f"{NS}title"),
        )
        for e in tipped
    }
    assert set(marks) == {"anchor", "challenge"} and len(tipped) == 2
    assert marks["anchor"][0] == pytest.approx(start + 0.2 * (end - start), abs=0.1)
    assert marks["challenge"][0] == pytest.approx(start + 0.7 * (end - start), abs=0.1)
    assert marks["anchor"][1:] == (SET_COLOURS["anchor"], "anchor at 0:00.2")
    shapes = {e.attrib["d"] for e in tipped}
    assert len(shapes) == 2, "colour must not be the only difference"


def test_dark_and_overexposed_stretches_are_underlined_with_their_times() -> None:
    lumas = [120.0] * 3 + [59.0] * 4 + [None] + [201.0] * 2 + [60.0, 200.0]
    svg = track_timeline_svg(frames(lumas), tracks({}), riders(), exported(), BUCKETS)
    lights = having(parse(svg), "data-light")
    assert [(e.attrib["data-light"], e.findtext(f"{NS}title")) for e in lights] == [
        ("dark", "dark 0:00.3 to 0:00.7"),
        ("overexposed", "overexposed 0:00.8 to 0:01.0"),
    ]


def drawn_phases(*stretches: tuple[str | None, int]) -> str:
    phases = phases_of(*stretches)
    shown = frames([99.0] * phases.height).with_columns(frame_idx=phases["frame_idx"])
    return track_timeline_svg(shown, tracks({}), riders(), exported(), BUCKETS, phases=phases)


def test_phases_of_the_ride_have_a_lane_and_what_is_not_known_is_hatched() -> None:
    root = parse(drawn_phases(("boarding", 3), ("high_motion", 5), (None, 4)))
    bars_of = having(root, "data-phase")
    assert [(e.attrib["data-phase"], e.findtext(f"{NS}title")) for e in bars_of] == [
        ("boarding", "boarding 0:00.0 to 0:03.0"),
        ("high_motion", "high motion 0:03.0 to 0:08.0"),
        ("not known", "not known 0:08.0 to 0:12.0"),
    ]
    edges = [(float(e.attrib["x"]), float(e.attrib["width"])) for e in bars_of]
    assert all(x + w == pytest.approx(y) for (x, w), (y, _) in pairwise(edges))
    fills = [e.attrib["fill"] for e in bars_of]
    assert len(set(fills)) == 3 and fills[2] == "none"
    in_lane, _in_legend = having(root, "data-hatching")
    assert in_lane.attrib["d"].count("M") > 9
    assert {"phases", "boarding", "high motion", "not known"} <= set(words(root))


def test_a_name_without_room_is_in_the_legend_alone_and_without_phases_there_is_no_lane() -> None:
    told = words(parse(drawn_phases(("ride", 300), ("flash", 1))))
    assert (told.count("ride"), told.count("flash")) == (2, 1)
    shown = frames([99.0] * 9)
    without = track_timeline_svg(shown, tracks({}), riders(), exported(), BUCKETS)
    assert "phase" not in without


def test_scene_cuts_are_drawn_once_each() -> None:
    svg = track_timeline_svg(frames([99.0] * 9, (3, 7)), tracks({}), riders(), exported(), BUCKETS)
    titles = [e.findtext(f"{NS}title") for e in having(parse(svg), "data-cut")]
    assert titles == ["scene cut at 0:00.3", "scene cut at 0:00.7"]
    assert "scene cut" not in track_timeline_svg(
        frames([99.0] * 9), tracks({}), riders(), exported(), BUCKETS
    )


def test_riders_come_first_and_others_say_why_longest_first() -> None:
    table = riders(
        (1, None, "too_short", 2),
        (2, 1, "rider", 9),
        (3, None, "bystander", 5),
        (4, 0, "rider", 8),
    )
    present = tracks({1: [0], 2: [1], 3: [2], 4: [3]})
    svg = track_timeline_svg(frames([99.0] * 9), present, table, exported(), BUCKETS)
    assert list(bars(svg)) == ["4", "2", "3", "1"]
    labels = words(parse(svg))
    assert labels.index("person_0") < labels.index("person_1")
    assert "track 3 · bystander" in labels and "track 1 · too short" in labels


def test_many_other_tracks_share_the_last_lane() -> None:
    table = riders(*((i, None, "too_small", 100 - i) for i in range(30)))
    present = tracks({i: [i] for i in range(30)})
    svg = track_timeline_svg(frames([99.0] * 30), present, table, exported(), BUCKETS, max_others=5)
    lanes = bars(svg)
    assert len(lanes) == 6
    assert "25 more tracks" in words(parse(svg))
    (shared,) = [spans for name, spans in lanes.items() if " " in name]
    (first,) = lanes["0"]
    frame = first[1] - first[0]
    assert sum(b - a for a, b in shared) == pytest.approx(25 * frame, rel=0.01)


def test_an_hour_of_video_stays_a_small_file_and_one_frame_is_enough() -> None:
    long = track_timeline_svg(
        frames([90.0 + i % 60 for i in range(36_000)]), tracks({}), riders(), exported(), BUCKETS
    )
    assert len(long) < 80_000
    assert "1:00:00" not in long and "50:00" in words(parse(long))
    one = track_timeline_svg(frames([90.0]), tracks({4: [0]}), ONE_RIDER, exported(), BUCKETS)
    assert len(bars(one)["4"]) == 1


def test_no_frames_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one sampled frame"):
        track_timeline_svg(frames([]), tracks({}), riders(), exported(), BUCKETS)


def test_reasons_are_escaped_and_row_order_does_not_matter() -> None:
    table = riders((4, 0, "rider", 8), (5, None, "<script>&", 3), (6, None, "too_small", 3))
    present = tracks({4: [0, 1, 5], 5: [2], 6: [3]})
    images = exported((0, 100.0, "anchor"), (0, 300.0, "anchor"), (0, 200.0, "coverage"))
    a, b, c, d = frames([99.0] * 9, (4,)), present, table, images
    svg = track_timeline_svg(a, b, c, d, BUCKETS)
    assert "track 5 · <script>&" in words(parse(svg))
    assert svg == track_timeline_svg(a.reverse(), b.reverse(), c.reverse(), d.reverse(), BUCKETS)


def ledger(**counts: int) -> pl.DataFrame:
    states = [state for state, n in counts.items() for _ in range(n)]
    return pl.DataFrame({"state": states}, schema={"state": pl.String})


def parts_of(svg: str) -> dict[str, tuple[int, float, float]]:
    """State to (count, x, width)."""
    found = {}
    for part in having(parse(svg), "data-state"):
        rect = next(part.iter(f"{NS}rect"))
        found[part.attrib["data-state"]] = (
            int(part.attrib["data-count"]),
            float(rect.attrib["x"]),
            float(rect.attrib["width"]),
        )
    return found


def test_the_parts_add_up_to_every_face_in_proportion_and_in_order() -> None:
    svg = ledger_bar_svg(ledger(not_a_rider=100, saved=300, unstable=600), detected=1000)
    parts = parts_of(svg)
    assert list(parts) == ["saved", "unstable", "not_a_rider"]
    assert sum(n for n, _, _ in parts.values()) == 1000
    assert [x for _, x, _ in parts.values()] == pytest.approx([0, 288, 864])
    assert sum(w for _, _, w in parts.values()) == pytest.approx(960, abs=6)
    assert "1,000 faces seen, 1,000 faces accounted for" in words(parse(svg))


def test_the_legend_names_each_state_with_count_and_share() -> None:
    labels = words(parse(ledger_bar_svg(ledger(saved=1, failed_gate=3))))
    assert "exported 1 (25.0%)" in labels
    assert "failed the quality gate 3 (75.0%)" in labels


def test_a_face_without_account_raises_the_alarm() -> None:
    svg = ledger_bar_svg(ledger(saved=5), detected=7)
    (alarm,) = having(parse(svg), "data-alarm")
    assert alarm.text == "7 faces seen, 5 accounted for: 2 do not add up"
    assert not having(parse(ledger_bar_svg(ledger(saved=5), detected=5)), "data-alarm")


def test_a_state_nobody_knows_is_shown_not_hidden() -> None:
    parts = parts_of(ledger_bar_svg(ledger(saved=2, lost_in_space=3)))
    assert parts["lost_in_space"][0] == 3


def test_one_face_among_many_is_still_visible() -> None:
    assert parts_of(ledger_bar_svg(ledger(saved=1, beaten=9999)))["saved"][2] >= 0.5


def test_no_faces_at_all_is_said() -> None:
    svg = ledger_bar_svg(ledger(), detected=0)
    assert parts_of(svg) == {} and "0 faces seen, 0 faces accounted for" in words(parse(svg))


def test_every_state_of_the_ledger_has_a_colour_of_its_own() -> None:
    assert set(STATE_COLOURS) == set(STATES)
    assert len(set(STATE_COLOURS.values())) == len(STATES)


def moments_of(*moments: tuple[int, int, list[int], str]) -> pl.DataFrame:
    """Candidates: of each moment its number, the rider, times in ms, and how far it got."""
    rows = [(person, float(t), i, how) for i, person, times, how in moments for t in times]
    schema: Any = ["person_id", "timestamp_ms", "moment_id", "standing"]
    return pl.DataFrame(rows, schema=schema, orient="row")


def test_moments_are_blocks_and_those_that_were_weighed_stand_out() -> None:
    faces = moments_of(
        (0, 0, [0, 100, 200], "candidate"), (1, 0, [300], "outranked"), (2, 1, [900], "gate")
    )
    shown = pl.DataFrame({"person_id": [0], "timestamp_ms": [100.0], "set": ["anchor"]})
    svg = moments_svg(faces, shown, {0: 300.0, 1: None})
    root = parse(svg)
    (block,) = having(root, "data-moment")
    assert block.attrib["data-moment"] == "0" and float(block.attrib["width"]) > 100
    assert [p.attrib["data-pale"] for p in having(root, "data-pale")] == ["1", "1"]
    assert {"2 moments, 1 weighed", "1 moment, 0 weighed"} <= set(words(root))
    assert [e.attrib["data-growth"] for e in having(root, "data-growth")] == ["300"]
    assert len([m for m in having(root, "data-set") if m.attrib["data-set"] == "anchor"]) == 2
    assert svg == moments_svg(faces.reverse(), shown, {0: 300.0, 1: None})
    with pytest.raises(ValueError, match="at least one face"):
        moments_svg(faces.clear(), shown, {})
