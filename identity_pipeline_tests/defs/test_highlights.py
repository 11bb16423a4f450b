"""A list of highlights beside a video: what becomes stale, what is sampled, who asks for runs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from click.testing import CliRunner

from identity_pipeline.cli.main import cli
from identity_pipeline.definitions import build_defs
from identity_pipeline.defs.automation.highlight_sensor import new_highlights
from identity_pipeline.defs.automation.sensors import new_videos
from identity_pipeline.defs.resources.resources import SettingsResource, all_resources
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.settings import load_settings
from identity_pipeline.stages.planning.staleness import Models, Verdict, judge_video
from identity_pipeline.stages.specs.assets import SPECS
from identity_pipeline_tests.conftest import BUNDLED, OPEN, stripes
from identity_pipeline_tests.library import (
    VideoLibrary,
    digest_of_tree,
    failure_of,
    reused_assets,
)
from identity_pipeline_tests.synthetic import write_video

DIRECTLY = {key for key, spec in SPECS.items() if spec.highlights is not None}
LIST = "start_s,end_s,weight\n1,2,2\n"


@pytest.fixture(scope="module")
def processed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VideoLibrary]:
    """A short video without a face in the inbox, processed once."""
    root = tmp_path_factory.mktemp("highlights")
    for opened in VideoLibrary.open(root / "data", OPEN, BUNDLED / "vision"):
        write_video(clip_of(opened), (stripes(i) for i in range(90)))
        assert opened.run(clip_of(opened)).success
        yield opened


@pytest.fixture
def rides(processed: VideoLibrary) -> Iterator[VideoLibrary]:
    """The same, without a list before and after."""
    yield processed
    list_of(processed).unlink(missing_ok=True)


def clip_of(rides: VideoLibrary) -> Path:
    folder = rides.root / "videos"
    folder.mkdir(exist_ok=True)
    return folder / "ride.mp4"


def list_of(rides: VideoLibrary) -> Path:
    return clip_of(rides).with_suffix(".highlights.csv")


def judged(rides: VideoLibrary) -> dict[str, tuple[str, ...]]:
    """Why each output would surely be made again, by the rule that `plan` follows."""
    settings = load_settings(**rides.groups)
    models = Models(*ModelHub(settings.models).here())
    found = judge_video(rides.store, settings, models, rides.video_id("ride"), thorough=True)
    return {
        name: one.reasons
        for name, one in found.items()
        if one.verdict in (Verdict.COMPUTE, Verdict.BLOCKED)
    }


@pytest.mark.slow
def test_it_raises_the_rate_in_its_window_and_taking_it_away_takes_all_back(
    rides: VideoLibrary,
) -> None:
    before = digest_of_tree(rides.root / "tables")
    usual = rides.table("frames", "ride")
    written = rides.store.layout.table("frames", rides.video_id("ride"))
    assert "sampling_fps" not in pl.read_parquet_schema(written)
    assert judged(rides) == {}

    list_of(rides).write_text(LIST)
    assert set(judged(rides)) == DIRECTLY
    assert {reason for reasons in judged(rides).values() for reason in reasons} == {
        "it has highlights now"
    }
    result = rides.run(clip_of(rides))
    assert result.success
    again = {name for name, kept in reused_assets(result).items() if not kept}
    assert again >= DIRECTLY and "riders" in again
    assert judged(rides) == {}
    frames = rides.table("frames", "ride")
    inside = pl.col("timestamp_ms").is_between(1000, 2000, closed="left")
    assert frames.filter(inside).height == 2 * usual.filter(inside).height
    assert frames.filter(~inside)["frame_idx"].equals(usual.filter(~inside)["frame_idx"])
    assert set(usual["frame_idx"]) < set(frames["frame_idx"])
    assert frames.filter(inside)["sampling_fps"].unique().to_list() == [20.0]
    assert frames.filter(~inside)["sampling_fps"].unique().to_list() == [10.0]
    manifest = json.loads((rides.export("ride") / "manifest.json").read_text())["highlights"]
    assert manifest["name"] == "ride.highlights.csv" and len(manifest["sha256"]) == 64
    assert manifest["windows"] == [{"start_s": 1.0, "end_s": 2.0, "weight": 2.0}]
    once_more = reused_assets(rides.run(clip_of(rides)))
    assert {name for name, kept in once_more.items() if not kept} == {"ride_video"}

    list_of(rides).write_text(LIST + "2,2.5,4\n")
    assert {r for reasons in judged(rides).values() for r in reasons} == {"its highlights changed"}
    list_of(rides).unlink()
    assert {r for reasons in judged(rides).values() for r in reasons} == {"its highlights are gone"}
    assert rides.run(clip_of(rides)).success
    assert digest_of_tree(rides.root / "tables") == before


def test_plan_says_so(rides: VideoLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in rides.groups["models"].items():
        monkeypatch.setenv(f"IDENTITY_PIPELINE__MODELS__{name.upper()}", str(value))
    list_of(rides).write_text(LIST)
    told = CliRunner().invoke(cli, ["plan", "ride.mp4", "--data", str(rides.root)])
    assert told.exit_code == 0, told.output
    assert "it has highlights now" in told.output


class Ticks:
    """The sensors of the inbox, tick by tick; what they ask for is run at once."""

    def __init__(self, rides: VideoLibrary) -> None:
        self.rides, self.cursor = rides, None
        self.said = ""

    def evaluate(
        self, sensor: dg.SensorDefinition, cursor: str | None
    ) -> tuple[object, str | None]:
        resources = all_resources(SettingsResource.of(**self.rides.groups))
        with dg.build_sensor_context(
            instance=self.rides.instance,
            cursor=cursor,
            resources={name: resources[name] for name in ("store", "settings")},
        ) as context:
            result = sensor(context)
            return result, getattr(result, "cursor", None) or context.cursor

    def tick(self) -> list[str]:
        result, self.cursor = self.evaluate(new_highlights, self.cursor)
        self.said = str(getattr(result, "skip_message", ""))
        return [str(r.partition_key) for r in getattr(result, "run_requests", None) or []]


@pytest.mark.slow
def test_a_list_that_comes_after_its_video_is_asked_for_once(
    rides: VideoLibrary,
) -> None:
    ticks, video_id = Ticks(rides), rides.video_id("ride")
    _, cursor = ticks.evaluate(new_videos, None)
    ticks.evaluate(new_videos, cursor)  # the video is known to the inbox now
    assert ticks.tick() == [] == ticks.tick()

    list_of(rides).write_text(LIST[:-3])
    assert ticks.tick() == []
    list_of(rides).write_text(LIST)  # it was still growing
    os.utime(list_of(rides), ns=(1, 1))
    assert ticks.tick() == []
    assert ticks.tick() == [video_id]
    assert rides.run(clip_of(rides)).success
    assert rides.table("frames", "ride")["sampling_fps"].max() == 20
    assert ticks.tick() == [] == ticks.tick()
    assert "all others are known" in ticks.said
    ticks.evaluate(new_videos, cursor)  # which forgets no list
    assert ticks.tick() == [] == ticks.tick()

    # A bad one is asked for until its run has said so, and again when it is mended.
    list_of(rides).write_text("start_s,end_s,weight\n2,1,2\n")
    assert "is not after its start" in judged(rides)["ride_video"][0]  # `plan` says it first
    assert (ticks.tick(), ticks.tick()) == ([], [video_id])
    code, sentence = failure_of(rides.run(clip_of(rides)))
    assert code == "bad_highlights"
    assert sentence.startswith("ride.highlights.csv, window 1: its end (1 s)")
    assert ticks.tick() == [] == ticks.tick()
    list_of(rides).write_text(LIST + "2,2.5,4\n")
    assert set(judged(rides)) == DIRECTLY
    assert (ticks.tick(), ticks.tick()) == ([], [video_id])
    assert rides.run(clip_of(rides)).success
    assert ticks.tick() == [] == ticks.tick()

    list_of(rides).unlink()
    assert (ticks.tick(), ticks.tick()) == ([], [video_id])
    assert rides.run(clip_of(rides)).success
    assert ticks.tick() == [] == ticks.tick()


def test_the_sensor_is_on() -> None:
    sensor = build_defs().resolve_sensor_def("new_highlights")
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
