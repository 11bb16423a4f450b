"""Whose memory bank judges a rider: known people, from other rides, by what humans confirmed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from identity_pipeline.settings import Settings
from identity_pipeline.stages.library.banks import (
    Teachers,
    banks_of,
    digests,
    teachers_of,
)
from identity_pipeline.stages.specs.assets import VIDEO_SPECS
from identity_pipeline.stages.specs.cache_key import differences, fingerprint, key_parts
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline_tests.curated_library import SPACE, call, look, write_rides

BY_BANK = Settings(stability={"source": "bank"})  # type: ignore[arg-type]


class Library:
    """The curated library, and what teaches the banks of its rides."""

    def __init__(self, root: Path) -> None:
        self.root, self.tables = root, write_rides(root)
        self.stores = LibraryStores.of(self.tables)
        names = self.tables.videos_with("track_templates")
        self.ids = {name.rsplit("-", 1)[0]: name for name in names}

    def teachers(self, ride: str) -> dict[int, Teachers]:
        return teachers_of(self.stores, BY_BANK, self.ids[ride])

    def taught_by(self, ride: str) -> dict[int, dict[str, set[int]]]:
        """The tracks that teach, by rider and ride."""
        return {
            rider: {video.rsplit("-", 1)[0]: set(n) for video, n in one.tracks.items()}
            for rider, one in self.teachers(ride).items()
        }

    def say(self, *words: str) -> None:
        call(self.root, *words)


@pytest.fixture
def library(tmp_path: Path) -> Library:
    made = Library(tmp_path)
    made.say("recluster")
    made.say("label", "ride-a:1", "--name", "Ada")
    made.say("recluster")
    return made


def test_a_bank_is_of_other_rides_and_of_what_humans_confirmed(library: Library) -> None:
    assert library.taught_by("ride-b") == {0: {"ride-a": {1}}}, "matched by the library"
    assert library.taught_by("ride-a") == {}, "what the machine matched teaches nobody"
    library.say("label", "ride-c:1", "--person", "Ada")
    assert library.taught_by("ride-a") == {0: {"ride-c": {1}}}
    assert library.taught_by("ride-c") == {0: {"ride-a": {1}}}, "known before the next recluster"
    assert library.taught_by("ride-d") == {}
    assert teachers_of(library.stores, Settings(), library.ids["ride-b"]) == {}, "by the medoid"


def test_a_label_changes_the_bank_and_its_undo_changes_it_back(library: Library) -> None:
    spec = VIDEO_SPECS["identity_stability"]
    versions = dict.fromkeys(spec.inputs, "v")

    def parts() -> dict[str, object]:
        banks = digests(library.teachers("ride-b"))
        return key_parts(spec, BY_BANK, {}, versions, banks=banks)

    before = parts()
    library.say("label", "ride-c:1", "--person", "Ada")
    after = parts()
    assert fingerprint(before) != fingerprint(after)
    (said,) = differences(before, after)
    assert "memory banks" in said
    library.say("undo", "last")
    assert parts() == before
    library.say("reject", "ride-b:1", "--person", "Ada")
    assert "banks" not in parts(), "who was rejected is not known, before the next recluster too"


def test_a_bank_knows_the_looks_that_taught_it(library: Library) -> None:
    teachers = library.teachers("ride-b")
    banks = banks_of(library.stores, teachers, pl.Series([SPACE]), BY_BANK)
    own = np.array([look("A", 1.0, 4), look("B", 1.0, 5)], np.float32)
    assert banks[0].nearest(own) == pytest.approx([1.0, 0.0], abs=1e-6)
    assert banks_of(library.stores, teachers, pl.Series(["other@0/16"]), BY_BANK) == {}


def test_while_a_ride_is_processed_anew_nobody_in_it_is_known(library: Library) -> None:
    video = library.ids["ride-b"]
    tracks = library.tables.read("face_tracks", video)
    swapped = tracks.with_columns(track_id=3 - pl.col("track_id"))
    library.tables.write("face_tracks", video, swapped, "f")
    assert library.taught_by("ride-b") == {}
