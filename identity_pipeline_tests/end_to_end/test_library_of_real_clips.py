"""The library of the real clips: who rides again is linked, and nobody else."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import polars as pl
import pytest

from identity_pipeline.settings import Settings, load_settings
from identity_pipeline.stages.library.profiles import quarantine_below
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.library.generations import Generations
from identity_pipeline_tests.benchmarks.library_quality import library
from identity_pipeline_tests.benchmarks.single_faces import anchors, own_anchors, quarantined
from identity_pipeline_tests.library import VideoLibrary
from identity_pipeline_tests.library_tables import read_templates
from identity_pipeline_tests.real_clips import people


@pytest.fixture(scope="module")
def assignments(real_library: VideoLibrary) -> pl.DataFrame:
    assert real_library.run_library().success
    return Generations(real_library.store.layout).open().table("person_assignments")


def test_riders_of_several_clips_are_one_cluster_and_all_others_are_apart(
    real_library: VideoLibrary, real: Path, assignments: pl.DataFrame
) -> None:
    who = people(real_library.store, real, assignments)
    rows = {row["track_key"]: row for row in assignments.iter_rows(named=True)}
    assert set(rows) <= set(who), "every rider's track has a true person"
    for a, b in combinations(sorted(rows), 2):
        together = rows[a]["cluster_id"] is not None and (
            rows[a]["cluster_id"] == rows[b]["cluster_id"]
        )
        assert together == (who[a] == who[b]), (a, b)


def test_the_index_holds_every_template(
    real_library: VideoLibrary, assignments: pl.DataFrame
) -> None:
    from identity_pipeline.settings import IndexSettings
    from identity_pipeline.stages.library.indexing import check
    from identity_pipeline.storage.index.client import IndexPlace
    from identity_pipeline.storage.index.vector_index import VectorIndex

    layout = real_library.store.layout
    assert (
        check(
            LibraryStores.of(real_library.store),
            VectorIndex(IndexPlace.of(layout), IndexSettings()),
        )
        == []
    )
    truth = json.loads((layout.library_tables / "generation.json").read_text())
    assert (
        truth["space"]
        == real_library.store.read("track_templates", assignments["video_id"][0])["space"][0]
    )


@pytest.fixture(scope="module")
def truth(real_library: VideoLibrary, real: Path, assignments: pl.DataFrame) -> dict[str, str]:
    who = people(real_library.store, real, assignments)
    return {key: who[key] for key in assignments["track_key"].to_list()}


def test_nobody_is_named_as_somebody_else(
    real_library: VideoLibrary, truth: dict[str, str]
) -> None:
    """Each person unnamed once, all others named by all their tracks."""
    inputs = read_templates(real_library.store)
    for person in sorted(set(truth.values())):
        others = {key: name for key, name in truth.items() if name != person}
        tables = library(inputs, Settings(), others).tables
        rows = tables["person_assignments"].filter(pl.col("track_key").is_in(truth.keys()))
        states = {row["track_key"]: row["state"] for row in rows.iter_rows(named=True)}
        own = {states[key] for key, name in truth.items() if name == person}
        assert own <= {"unknown", "noise"}, person


def test_own_anchors_are_named_right_and_own_faces_are_not_kept_out(
    real_library: VideoLibrary, truth: dict[str, str]
) -> None:
    settings = load_settings(**real_library.groups)
    store, inputs = (
        real_library.store,
        read_templates(real_library.store),
    )
    found = anchors(store, truth, settings)
    told = own_anchors(inputs, found, truth, settings)
    assert len(found) >= 30
    assert told["known right"] >= 0.95 * len(found)
    assert not told["known wrong"] and not told["probably wrong"]
    calibration = library(inputs, settings, truth).tables["calibration"]
    threshold = quarantine_below(calibration, settings)
    assert threshold is not None
    out, total = quarantined(store, truth, threshold, inputs.space)
    assert out < 0.02 * total
