"""What a person is told of themselves, and that nobody else is in it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import polars as pl
import pytest

from identity_pipeline.settings import Settings
from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
from identity_pipeline.stages.privacy.access_report import (
    AccessReport,
    NoReportError,
    access_report,
    write_report,
)
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.tables import TABLES
from identity_pipeline_tests.curated_library import call, write_rides

NOW = "2026-01-02T03:04:05Z"


@pytest.fixture
def library(tmp_path: Path) -> LibrarySnapshot:
    store = write_rides(tmp_path)
    call(tmp_path, "recluster")
    call(tmp_path, "label", "ride-a:1", "--name", "Ada")
    call(tmp_path, "label", "ride-a:2", "--name", "Ben")
    call(tmp_path, "recluster")
    return LibrarySnapshot.open(LibraryStores.of(store), NOW, write=False)


def of(library: LibrarySnapshot, *, by_machine: bool = False) -> AccessReport:
    return access_report(library, Settings(), "Ada", by_machine=by_machine)


def test_all_that_is_known_is_told_and_nothing_of_anybody_else(library: LibrarySnapshot) -> None:
    told = of(library).told
    assert told["names"] == ("Ada",)
    assert [d["kind"] for d in told["decisions"]] == ["name"]
    tracks = [(t["says"], t["pictures_given"]) for one in told["seen_in"] for t in one["tracks"]]
    assert tracks == [("a human", True), ("the machine", False)]
    assert "Ben" not in json.dumps(told)


def test_how_much_of_a_person_a_ride_shows_is_told(library: LibrarySnapshot) -> None:
    ride, other = of(library).told["seen_in"]
    assert ride["recall"] is other["recall"] is None  # there are no frames of it
    frame = {"frame_idx": 0, "timestamp_ms": 0.0}
    face = {"face_id": "000000-0", "person_id": 0, "state": "failed_gate", "reason": "blurred"}
    for name, row in (("frames", frame), ("frame_ledger", {**frame, **face})):
        table = pl.DataFrame([row], schema=TABLES[name])
        library.stores.tables.write(name, ride["id"], table, "f")
    ride, _ = of(library).told["seen_in"]
    assert "was not measured: nobody has looked at the 1" in ride["recall"]


def test_answers_about_their_visits_are_told_and_those_of_others_are_not(
    tmp_path: Path, library: LibrarySnapshot
) -> None:
    (ride,) = [video for video in library.videos if video.startswith("ride-a")]
    call(tmp_path, "consent", "grant", "Ada", "--scope", "export")
    call(tmp_path, "consent", "refuse", f"{ride}/0", "--scope", "training")
    call(tmp_path, "consent", "refuse", f"{ride}/1", "--scope", "export", "--evidence", "of Ben")
    now = LibrarySnapshot.open(library.stores, NOW, write=False)
    told = [(one["whom"], one["scope"], one["answer"]) for one in of(now).told["consents"]]
    assert told == [("Ada", "export", "granted"), (f"{ride}/0", "training", "refused")]


def test_what_only_the_machine_says_is_counted_and_not_shown(library: LibrarySnapshot) -> None:
    (shown,) = of(library).shown
    assert shown.startswith("ride-a")
    faces = len(of(library).shown[shown])
    assert sum(map(len, of(library, by_machine=True).shown.values())) > faces


def test_it_is_a_folder_and_the_same_as_a_zip_and_overwrites_nothing_else(
    library: LibrarySnapshot, tmp_path: Path
) -> None:
    out = tmp_path / "out" / "ada"
    folder, packed = write_report(library, of(library), out)
    with zipfile.ZipFile(packed) as file:
        inside = {name: file.read(name) for name in file.namelist()}
    lying = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    assert {name: path.read_bytes() for name, path in lying.items()} == inside
    assert {"report.json", "index.html"} <= inside.keys()
    assert packed.stat().st_mode & 0o077 == 0
    assert {path.stat().st_mode & 0o077 for path in lying.values()} == {0}
    first = packed.read_bytes()
    write_report(library, of(library), out)
    assert packed.read_bytes() == first
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(NoReportError, match="--to"):
        write_report(library, of(library), tmp_path / "other")


def test_a_ride_has_no_report(library: LibrarySnapshot) -> None:
    with pytest.raises(NoReportError, match="people"):
        access_report(library, Settings(), "ride-a")
