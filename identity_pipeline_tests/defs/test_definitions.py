"""The definitions: loadable and complete."""

from __future__ import annotations

import dagster as dg
import pytest

from identity_pipeline.definitions import build_defs
from identity_pipeline.defs.instance.pools import ALL_POOLS
from identity_pipeline_tests.test_same_structure import assets_of


@pytest.fixture(scope="module")
def defs() -> dg.Definitions:
    return build_defs()


def test_the_definitions_load(defs: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(defs)


def test_every_asset_has_a_description_an_owner_and_a_kind(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        spec = graph.get(key).assets_def.specs_by_key[key]
        assert spec.description and spec.owners and spec.kinds, key


def test_every_dependency_exists(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    keys = set(graph.get_all_asset_keys())
    assert all(graph.get(key).parent_keys <= keys for key in keys)


def test_pools_are_known(defs: dg.Definitions) -> None:
    assert {a["pool"] for a in assets_of(defs).values()} - {None} == set(ALL_POOLS)


def test_only_what_is_made_of_all_videos_must_be_fresh(defs: dg.Definitions) -> None:
    """An idle week is no failure of a video."""
    graph = defs.resolve_asset_graph()
    fresh = {
        key.to_user_string()
        for key in graph.get_all_asset_keys()
        if graph.get(key).assets_def.specs_by_key[key].freshness_policy is not None
    }
    unpartitioned = {n for n, a in assets_of(defs).items() if a["partitions"] is None}
    # A head is trained when there are labels to learn from, however long that takes.
    on_demand = {"training_set", "projection_head", "head_evaluation"}
    assert fresh == unpartitioned - on_demand


def test_everything_that_happens_by_itself_says_what_it_does(defs: dg.Definitions) -> None:
    for sensor in defs.sensors or ():
        assert sensor.description, sensor.name
    for schedule in defs.schedules or ():
        assert isinstance(schedule, dg.ScheduleDefinition)
        assert schedule.description, schedule.name


def test_one_run_is_one_video_in_one_process(defs: dg.Definitions) -> None:
    job = defs.resolve_job_def("per_video")
    assert job.executor_def.name == "in_process"
    assert job.partitions_def.name == "videos"  # type: ignore[union-attr]
    selected = {key.to_user_string() for key in job.asset_layer.executable_asset_keys}
    per_video = {n for n, a in assets_of(defs).items() if a["partitions"] == "videos"}
    assert selected == per_video
