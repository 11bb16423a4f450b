"""The file of what people say of rides: what they wrote is never lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from identity_pipeline.core.ride.labels import PhaseLabel, without_ids
from identity_pipeline.storage.cameras.phase_labels import (
    BYTES_MAX,
    PhaseLabelError,
    PhaseLabels,
)
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.layout import Layout

FILE = "title,camera,video,start_s,end_s,phase\n"
TUNNEL = PhaseLabel("v1", 1.0, 2.0, "dark", "tünnel")
BRAKE = PhaseLabel("v2", 3.0, 4.0, "brake")


@pytest.fixture
def labels(tmp_path: Path) -> PhaseLabels:
    layout = Layout(tmp_path / "data")
    layout.cameras.mkdir(parents=True)
    return PhaseLabels(layout)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_a_line_that_is_wrong_costs_nobody_a_label_when_a_ride_is_forgotten(
    encoding: str, labels: PhaseLabels
) -> None:
    path = labels.layout.phase_labels
    right = f"{FILE}tünnel,cam1,v1,1,2,dark\nexit,cam2,v10,1,2,glare\n"
    wrong = ",cam2,v1,1,2,tunel\n"
    path.write_bytes(f"{right}{wrong}".encode(encoding))
    assert labels.without_videos({"v1"}) == [path]
    gone = without_ids(TUNNEL, {"v1"}).video
    left = path.read_bytes().decode(encoding)
    assert left.startswith(right.replace("v1,", f"{gone},")) and ",v1," not in left
    with pytest.raises(DamagedFileError, match=r"Until then no ride gets a next model|UTF-8"):
        labels.of("cam1")
    assert labels.without_videos({"v1"}) == labels.without_videos(()) == []
    path.write_text(left.replace("tunel", "dark"), encoding="utf-8")  # people correct it
    assert labels.of("cam1") == (without_ids(TUNNEL, {"v1"}),)
    assert [label.title for label in labels.of("cam2")] == ["exit", None]


@pytest.mark.parametrize("begun", ["", "\n", f"\n{FILE}", f"\r\n,,,,,\n{FILE}", FILE])
def test_what_is_said_is_found_again_whatever_the_file_begins_with(
    begun: str, labels: PhaseLabels
) -> None:
    labels.layout.phase_labels.write_text(begun, encoding="utf-8", newline="")
    for label in (TUNNEL, BRAKE, BRAKE):  # a form that is sent twice
        labels.add("cam1", label)
    assert labels.of("cam1") == (TUNNEL, BRAKE)


def test_blanks_around_words_are_none_of_them(labels: PhaseLabels) -> None:
    for title in ("tünnel ", " tünnel", "tünnel"):
        labels.add("cam 1 ", PhaseLabel("v1", 1, 2, "dark", title))
    assert labels.of("cam 1 ") == labels.of("cam 1") == (TUNNEL,)


def test_no_line_is_added_that_makes_the_file_too_large_to_be_read(labels: PhaseLabels) -> None:
    path = labels.layout.phase_labels
    line = f"{'t' * 55},cam1,v1,1,2,dark\n"
    full = FILE + line * ((BYTES_MAX - len(FILE)) // len(line))
    path.write_text(full, encoding="utf-8")
    with pytest.raises(PhaseLabelError, match="it has more than 1000 kB"):
        labels.add("cam1", PhaseLabel("v2", 3, 4, "brake", "ü" * 60))
    assert path.read_text(encoding="utf-8") == full
