"""The library of the real clips: who rides again is linked, and nobody else."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import polars as pl
import pytest

from identity_pipeline.storage.generations import Generations
from identity_pipeline_tests.library import VideoLibrary
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
    from identity_pipeline.stages.indexing import check
    from identity_pipeline.storage.index_client import IndexPlace
    from identity_pipeline.storage.vector_index import VectorIndex

    layout = real_library.store.layout
    assert check(real_library.store, VectorIndex(IndexPlace.of(layout), IndexSettings())) == []
    truth = json.loads((layout.library_tables / "generation.json").read_text())
    assert (
        truth["space"]
        == real_library.store.read("track_templates", assignments["video_id"][0])["space"][0]
    )
