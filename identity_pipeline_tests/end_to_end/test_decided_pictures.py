"""What humans say of pictures of a bundled ride: what becomes of it, and that it stays so."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import dagster as dg
import polars as pl
import pytest

from identity_pipeline.definitions import build_defs
from identity_pipeline.defs.automation.picture_sensor import pictures_decided
from identity_pipeline.defs.resources.resources import SettingsResource, all_resources
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.settings import load_settings
from identity_pipeline.stages.curation.curation import Curator
from identity_pipeline.stages.curation.picture_labels import labels_of
from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
from identity_pipeline.stages.planning.staleness import Models, Verdict, judge_video
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.tables import SET_ASSETS
from identity_pipeline_tests.conftest import BUNDLED
from identity_pipeline_tests.library import VideoLibrary, reused_assets

NOW = "2026-01-02T03:04:05Z"
RIDE = BUNDLED / "rides" / "demo_solo.mp4"
SETS = [name for name in SET_ASSETS if name != "pair_set"]
CHOSEN = (
    *("face_buckets", "moments", "moment_embeddings", "identity_stability", "vision_embeddings"),
    *("candidates", "selection", *SET_ASSETS),
)
"""From bins to sets, without an export."""


class Ride:
    """The bundled solo ride, and somebody who decides on its pictures."""

    def __init__(self, library: VideoLibrary) -> None:
        self.library, self.video_id = library, library.video_id("demo_solo")
        self.cursor: str | None = None

    @property
    def curator(self) -> Curator:
        stores = LibraryStores.of(self.library.store)
        return Curator(LibrarySnapshot.open(stores, NOW, write=False), "me", NOW)

    def subject(self, face_id: str) -> str:
        return f"face:{self.video_id}:{face_id}"

    def table(self, name: str) -> pl.DataFrame:
        return self.library.table(name, "demo_solo")

    def shown(self) -> dict[str, list[str]]:
        """The faces of each set, by rank."""
        return {name: self.table(name).sort("rank")["face_id"].to_list() for name in SETS}

    def run(self, *assets: str, **overrides: dict[str, Any]) -> dict[str, bool]:
        result = self.library.run(RIDE, overrides=overrides, assets=assets)
        assert result.success
        return reused_assets(result)

    def to_make(self) -> set[str]:
        """What would surely be made anew, as `plan` says it."""
        settings = load_settings(**self.library.groups)
        models = Models(*ModelHub(settings.models).here())
        judged = judge_video(self.library.store, settings, models, self.video_id, thorough=True)
        return {name for name, one in judged.items() if one.verdict is Verdict.COMPUTE}

    def said(self, face_id: str) -> dict[str, Any]:
        ledger = self.table("frame_ledger")
        return ledger.row(by_predicate=pl.col("face_id") == face_id, named=True)

    def tick(self) -> list[str]:
        """Whom the sensor asks a run for."""
        resources = all_resources(SettingsResource.of(**self.library.groups))
        with dg.build_sensor_context(
            instance=self.library.instance,
            cursor=self.cursor,
            resources={name: resources[name] for name in ("store", "settings")},
        ) as context:
            result = pictures_decided(context)
            self.cursor = getattr(result, "cursor", None) or context.cursor
            return [str(r.partition_key) for r in getattr(result, "run_requests", None) or []]


@pytest.fixture
def ride(demo: VideoLibrary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ride]:
    root = tmp_path_factory.mktemp("decided") / "data"
    shutil.copytree(demo.root, root, symlinks=True)
    groups = {**demo.groups, "paths": {"data": str(root)}}
    with dg.DagsterInstance.ephemeral() as instance:
        yield Ride(replace(demo, root=root, instance=instance, groups=groups))


@pytest.mark.slow
def test_what_humans_say_of_pictures_holds_under_every_setting(ride: Ride) -> None:
    assert ride.to_make() == set() and ride.tick() == []
    before = ride.shown()
    first = before["anchor_set"][0]
    ride.curator.reject_pictures([ride.subject(first)], "eyes")
    made = {"moments", "vision_embeddings", "candidates", "identity_dataset", "frame_ledger"}
    assert ride.to_make() == made
    assert (ride.tick(), ride.tick(), ride.tick()) == ([], [ride.video_id], [])
    reused = ride.run()
    assert all(reused[name] for name in ("face_embeddings", "face_landmarks", "face_buckets"))
    assert ride.to_make() == set() and ride.tick() == []

    # The next best takes the place, and nothing a moment away from what was rejected.
    after = ride.shown()
    assert after["anchor_set"] and after["anchor_set"] != before["anchor_set"]
    at = dict(ride.table("face_detections").select("face_id", "timestamp_ms").iter_rows())
    for faces in after.values():
        assert all(abs(at[face] - at[first]) > 500 for face in faces)
    assert ride.said(first)["reason"] == "rejected_by_a_human"
    near = ride.table("frame_ledger").filter(pl.col("reason") == "near_a_rejected_picture")
    assert near.height and all(abs(at[face] - at[first]) <= 500 for face in near["face_id"])

    # What nobody would have chosen is in a set; the better anchor is the first one.
    beaten = ride.table("frame_ledger").filter(pl.col("reason") == "not_the_best_of_its_moment")
    free = [face for face in beaten["face_id"] if abs(at[face] - at[first]) > 2000]
    accepted = free[len(free) // 2]
    ride.curator.accept_pictures([ride.subject(accepted)])
    anchor = next(f for f in reversed(free) if abs(at[f] - at[accepted]) > 2000)
    replaced = after["anchor_set"][-1]
    ride.curator.anchor_picture(ride.subject(anchor), ride.subject(replaced))
    assert not ride.run(selection={"novelty_min": 0.3, "min_gap_s": 0.2})["selection"]
    changed = ride.shown()
    shown = {face for faces in changed.values() for face in faces}
    assert changed["anchor_set"][0] == anchor and replaced not in changed["anchor_set"]
    assert accepted in shown and ride.said(accepted)["would_change"].startswith("A human accepted")
    assert first not in shown
    assert ride.said(first)["state"] == "rejected"

    # What was said of anchors is a file of labels, too.
    labels, silent = labels_of(ride.curator.library)
    assert dict(labels.select("frame_idx", "good_anchor").iter_rows()) == {
        int(first[:6]): "no", int(replaced[:6]): "no", int(anchor[:6]): "yes"
    }  # fmt: skip
    assert silent == 1 and set(labels["seat"]) == {"only"}

    # Taken back, everything is as it was, to the byte.
    curator = ride.curator
    for event in reversed(curator.library.history.in_force):
        curator.undo(event)
    assert (ride.tick(), ride.tick()) == ([], [ride.video_id])
    ride.run(*CHOSEN)
    assert ride.shown() == before


def test_right_bins_and_an_order_are_those_of_humans(ride: Ride) -> None:
    before = ride.shown()
    face, *_, last = before["coverage_set"]
    measured = ride.table("face_buckets").row(by_predicate=pl.col("face_id") == face, named=True)
    other = "smile" if measured["expression_bin"] != "smile" else "mouth_open"
    curator = ride.curator
    curator.bin_pictures([ride.subject(face)], {"expression": other, "yaw": "[15,30)"})
    assert ride.to_make() == {"face_buckets"}
    curator.order_pictures([ride.subject(last), ride.subject(face)])
    assert ride.to_make() == {"face_buckets", "candidates"}
    ride.run(*CHOSEN)
    row = ride.table("face_buckets").row(by_predicate=pl.col("face_id") == face, named=True)
    assert (row["expression_bin"], row["yaw_bin"]) == (other, "[15,30)")
    assert row["bucket_key"].startswith("yaw30_") and row["bucket_key"].endswith(other)
    assert f"expression:{measured['expression_bin']}" in row["measured_bins"]
    order = ride.shown()["coverage_set"]
    assert order.index(last) < order.index(face) if {last, face} <= {*order} else order
    assert build_defs().resolve_sensor_def("pictures_decided") is not None
