"""Lists of highlights beside a video: both forms, and one sentence for every way to be wrong."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from identity_pipeline.core.video.highlights import Window
from identity_pipeline.storage.video.highlights import (
    HighlightsError,
    highlights_of,
    read_highlights,
    video_stem,
)
from identity_pipeline.storage.video.registry import Registration


def registered(*paths: Path) -> Registration:
    return Registration("a-00000000", "0" * 64, str(paths[0]), tuple(map(str, paths[1:])))


def test_both_forms_say_the_same(tmp_path: Path) -> None:
    csv, other = tmp_path / "a.highlights.csv", tmp_path / "b.highlights.json"
    csv.write_bytes(b"\xef\xbb\xbfstart_s,end_s, weight\r\n3,5.5,2\r\n\r\n 8, 9,1.5\r\n")
    other.write_text(
        json.dumps(
            [
                {"start_s": 3, "end_s": 5.5, "weight": 2},
                {"start_s": 8, "end_s": 9, "weight": 1.5},
            ]
        )
    )
    wanted = (Window(3, 5.5, 2), Window(8, 9, 1.5))
    assert read_highlights(csv).windows == read_highlights(other).windows == wanted
    assert read_highlights(csv).sha256 == hashlib.sha256(csv.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no line of columns start_s, end_s, weight"),
        ("start,end,weight\n1,2,3\n", "has no line of columns start_s, end_s, weight"),
        ("start_s;end_s;weight\n1;2;3\n", "commas between them"),
        ("start_s,end_s,weight\n1,2\n", "window 1 has 2 values, not 3"),
        ("start_s,end_s,weight\n1,2,two\n", "window 1, weight: "),
        ("start_s,end_s,weight\n1,2,2\n3,nan,2\n", "window 2, end_s: "),
        ("start_s,end_s,weight\n5,4,2\n", "window 1: its end (4 s) is not after its start (5 s)"),
        ("start_s,end_s,weight\n-1,4,2\n", "window 1, start_s: "),
        ("start_s,end_s,weight\n1,4,0.5\n", "a weight from 1 to 100"),
        ("start_s,end_s,weight\n1,4,1000\n", "a weight from 1 to 100"),
        ('start_s,end_s,weight\n1,"4,2\n', "is no CSV"),
    ],
)
def test_a_bad_csv_is_one_sentence_that_says_where(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "ride.highlights.csv"
    path.write_text(text)
    with pytest.raises(HighlightsError, match=r"^ride.highlights.csv") as told:
        read_highlights(path)
    assert said in str(told.value) and "\n" not in str(told.value)


@pytest.mark.parametrize(
    "text",
    ["{", '{"start_s": 1}', '[{"start_s": 1, "end_s": 2}]', '[{"start_s": 1, "end": 2}]', "[1]"],
)
def test_a_bad_json_is_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ride.highlights.json"
    path.write_text(text)
    with pytest.raises(HighlightsError, match=r"^ride.highlights.json") as told:
        read_highlights(path)
    assert "\n" not in str(told.value)


def test_what_is_no_text_or_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ride.highlights.csv"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(HighlightsError, match="no text in UTF-8"):
        read_highlights(path)
    path.write_bytes(b"0" * 1_000_001)
    with pytest.raises(HighlightsError, match="larger than 1000 kB"):
        read_highlights(path)


def test_it_lies_beside_any_name_of_the_video_and_is_one(tmp_path: Path) -> None:
    one, other = tmp_path / "one.mp4", tmp_path / "b" / "other.take2.mov"
    assert highlights_of(registered(one, other)) is None
    other.parent.mkdir()
    (tmp_path / "b" / "other.take2.highlights.csv").write_text("start_s,end_s,weight\n1,2,3\n")
    found = highlights_of(registered(one, other))
    assert found is not None and found.name == "other.take2.highlights.csv"
    (tmp_path / "b" / "other.take2.highlights.json").write_text("[]")
    with pytest.raises(HighlightsError, match="has two lists of highlights"):
        highlights_of(registered(one, other))


def test_a_list_and_its_video_have_one_stem() -> None:
    assert video_stem("/a/ride.1.mp4") == video_stem("/a/ride.1.highlights.json") == "/a/ride.1"
