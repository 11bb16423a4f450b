"""What `plan` and `status` say, against what the steps then really do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from identity_pipeline.core.progress.shares import State
from identity_pipeline.definitions import build_defs
from identity_pipeline.defs.resources.inputs import Inputs
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.settings import Settings, load_settings
from identity_pipeline.stages.planning.phases import RunFact, Status, Whole
from identity_pipeline.stages.planning.plans import plan_file, plan_video
from identity_pipeline.stages.planning.staleness import Models, Verdict, judge_video
from identity_pipeline.stages.planning.status import look
from identity_pipeline.stages.planning.words import attention
from identity_pipeline.stages.progress.costing import prices
from identity_pipeline.stages.specs.assets import (
    SPECS,
    STEPS,
    VIDEO_SPECS,
    direct_inputs,
    made_of,
    steps,
)
from identity_pipeline.stages.specs.cache_key import differences, key_parts
from identity_pipeline.stages.specs.spec import Of
from identity_pipeline.stages.specs.view import UndeclaredError, settings_of
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.progress.heartbeat import Heartbeat, Heartbeats
from identity_pipeline.storage.video.failures import RUN_DIED, FailureNote, FailureNotes
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.conftest import BUNDLED, OPEN, stripes
from identity_pipeline_tests.library import VideoLibrary, reused_assets
from identity_pipeline_tests.synthetic import write_video

STRICTER = {"strict_score": 0.9}
TODAY = "2026-01-01T00:00:00+00:00"


class Small(VideoLibrary):
    """A library of one short video without a face, which runs in a moment."""

    file: Path

    @property
    def video(self) -> str:
        return self.video_id(self.file.stem)

    def settings(self, **overrides: dict[str, Any]) -> Settings:
        groups = {
            name: {**self.groups.get(name, {}), **overrides.get(name, {})}
            for name in {*self.groups, *overrides}
        }
        return load_settings(**groups)

    def models(self, settings: Settings) -> Models:
        return Models(*ModelHub(settings.models).here())

    def verdicts(self, **overrides: dict[str, Any]) -> dict[str, Verdict]:
        current = self.settings(**overrides)
        models = self.models(current)
        judged = judge_video(self.store, current, models, self.video, thorough=True)
        return {asset: known.verdict for asset, known in judged.items()}

    def status(self, run: RunFact | None = None, **overrides: dict[str, Any]) -> Status:
        current = self.settings(**overrides)
        facts = {self.video: run} if run else {}
        return look(self.store, current, self.models(current), facts, time.time(), TODAY)

    def whole(self, run: RunFact | None = None, **overrides: dict[str, Any]) -> Whole:
        (video,) = self.status(run, **overrides).videos
        return video


def open_small(root: Path) -> Iterator[Small]:
    for opened in VideoLibrary.open(root / "data", OPEN, BUNDLED / "vision"):
        small = Small(opened.root, opened.instance, opened.groups)
        small.file = write_video(root / "empty_car.mp4", (stripes(i) for i in range(20)))
        yield small


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    for opened in open_small(tmp_path_factory.mktemp("planned")):
        assert opened.run(opened.file).success
        assert opened.run_library().success
        yield opened


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Small]:
    for opened in open_small(tmp_path):
        opened.register(opened.file)
        yield opened


def states(whole: Whole) -> dict[str, State]:
    return {phase.step: phase.state for phase in whole.phases}


def test_the_graph_that_dagster_draws_is_that_of_the_specs() -> None:
    graph = build_defs().resolve_asset_graph()
    nodes = {key.path[-1]: graph.get(key) for key in graph.get_all_asset_keys()}
    assert set(nodes) == set(SPECS)
    for asset, node in nodes.items():
        drawn = {key.path[-1] for key in node.parent_keys}
        above = {key.path[-1] for key in graph.get_ancestor_asset_keys(node.key)} - {asset}
        of_step = (n for spec in STEPS[SPECS[asset].step] for n in direct_inputs(spec.key))
        assert drawn == (set(of_step) if node.is_partitioned else set(direct_inputs(asset))), asset
        assert above >= made_of(asset) >= set(SPECS[asset].inputs), asset
        assert node.is_partitioned == (SPECS[asset].of is not Of.ALL)
        assert node.assets_def.op.name == SPECS[asset].step


def test_every_spec_comes_after_what_it_needs_and_its_settings_exist() -> None:
    before: set[str] = set()
    for spec in VIDEO_SPECS.values():
        assert set(spec.inputs) <= before
        digests = dict.fromkeys(spec.models, "x")
        key_parts(spec, Settings(), digests, dict.fromkeys(spec.inputs))
        before.add(spec.key)


def test_a_step_reads_no_setting_and_no_table_that_its_spec_does_not_declare(
    tmp_path: Path,
) -> None:
    seen = settings_of([SPECS["face_tracks"]], Settings())
    assert seen.tracking.stitch_cos == Settings().tracking.stitch_cos
    with pytest.raises(UndeclaredError, match=r"face_tracks reads the setting tracking\.min_iou"):
        _ = seen.tracking.min_iou
    with pytest.raises(UndeclaredError, match="setting quality, which"):
        _ = seen.quality
    assert settings_of([SPECS["riders"]], Settings()).riders == Settings().riders
    inputs = Inputs(TableStore(Layout(tmp_path)), "ride-00000000", "riders", ("frames",))
    with pytest.raises(UndeclaredError, match="riders reads face_quality"):
        _ = inputs["face_quality"]


def test_what_was_planned_is_what_runs_do(small: Small) -> None:
    seen: set[Verdict] = set()
    for changed in ({"quality": STRICTER}, {"selection": {"novelty_min": 0.35}}, {}):
        planned = small.verdicts(**changed)
        reused = reused_assets(small.run(small.file, overrides=changed))
        for asset in VIDEO_SPECS.keys() - {"ride_video", "face_index"}:  # these two always look
            if planned[asset] is not Verdict.PERHAPS:
                assert reused[asset] == (planned[asset] is Verdict.REUSE), (asset, changed)
        assert {*small.verdicts(**changed).values()} == {Verdict.REUSE}
        seen |= {*planned.values()}
    assert seen == {Verdict.REUSE, Verdict.COMPUTE, Verdict.PERHAPS}


def test_a_lost_or_damaged_file_is_planned_again(small: Small) -> None:
    path = small.store.layout.table("riders", small.video)
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    verdicts = small.verdicts()
    path.write_bytes(whole)
    assert verdicts["riders"] is Verdict.COMPUTE
    assert verdicts["face_landmarks"] is Verdict.PERHAPS
    assert verdicts["face_tracks"] is Verdict.REUSE


def test_a_setting_is_declared_once_and_by_those_that_read_it() -> None:
    for spec in VIDEO_SPECS.values():
        assert len(spec.settings) == len(set(spec.settings)), spec.key
    for name, reader in (("anchor_score_min", "anchor_set"), ("pair_min", "pair_set")):
        declaring = {s.key for s in VIDEO_SPECS.values() if f"selection.{name}" in s.settings}
        assert declaring == {reader}  # identity_dataset declares the whole group


def test_a_plan_says_which_setting_changed_and_from_what(small: Small) -> None:
    settings = small.settings(selection={"novelty_min": 0.4})
    models = small.models(settings)
    known = prices(small.store, settings, models.digests)
    plan = plan_video(small.store, settings, models, known, small.video)
    by_step = {step.step: step for step in plan.steps}
    was = small.settings().selection.novelty_min
    changed = f"changed setting selection.novelty_min ({was} -> 0.4)"
    assert by_step["selection"].reasons == (changed,)
    assert by_step["watch"].verdict is Verdict.REUSE
    assert by_step["selection"].measured and by_step["watch"].seconds


def test_changed_code_models_and_inputs_are_told_apart() -> None:
    spec = VIDEO_SPECS["face_embeddings"]
    versions = dict.fromkeys(spec.inputs, "v1")
    before = key_parts(replace(spec, code="1"), Settings(), {"face_pack": "a"}, versions)
    now = key_parts(
        replace(spec, code="2"),
        Settings(),
        {"face_pack": "b"},
        {**versions, "face_quality": "v2"},
    )
    assert differences(before, now) == [
        "changed code (version 1 -> 2)",
        "changed model face_pack",
        "new input face_quality",
    ]


def test_a_file_that_is_not_registered_would_be_computed_and_stays_unregistered(
    small: Small, tmp_path: Path
) -> None:
    settings = small.settings()
    models = small.models(settings)
    other = write_video(tmp_path / "other.mp4", (stripes(3 * i) for i in range(10)))
    known = prices(small.store, settings, models.digests)
    plan = plan_file(small.store, settings, models, known, other)
    assert {step.verdict for step in plan.steps} == {Verdict.COMPUTE}
    assert plan.video_id.startswith("other-")
    assert [video.name for video in small.status().videos] == [small.video]
    assert plan_file(small.store, settings, models, known, small.file).video_id == small.video


def test_a_video_that_nobody_has_read_is_expected_to_be_as_long_as_the_last_ones(
    small: Small, tmp_path: Path
) -> None:
    settings = small.settings()
    models = small.models(settings)
    other = write_video(tmp_path / "another.mp4", (stripes(5 * i) for i in range(10)))
    known = prices(small.store, settings, models.digests)
    noted = small.store.noted("frames", small.video)
    assert noted is not None
    seconds = {
        s.step: s.seconds for s in plan_file(small.store, settings, models, known, other).steps
    }
    assert seconds["watch"] == known["watch"].expected(None, noted.rows)


def test_a_missing_model_blocks_what_runs_it_and_says_why(small: Small) -> None:
    settings = small.settings(models={"vision_encoder": "/nowhere"})
    judged = judge_video(small.store, settings, small.models(settings), small.video, thorough=True)
    assert judged["vision_embeddings"].verdict is Verdict.BLOCKED
    assert "/nowhere" in judged["vision_embeddings"].reasons[0]
    assert judged["face_landmarks"].verdict is Verdict.REUSE


def test_all_is_done_only_after_the_library_has_run_too(small: Small) -> None:
    seen = small.status()
    assert {*states(seen.videos[0]).values()} == {State.DONE}
    assert seen.library.state is State.DONE and seen.eta_s is None and seen.left_s == 0


def test_nothing_that_needs_a_stale_step_is_done(small: Small) -> None:
    found = states(small.whole(quality=STRICTER))
    assert found["watch"] is State.DONE
    assert found["face_quality"] is State.STALE
    stale = {step for step, state in found.items() if state is State.STALE}
    for step, specs in steps().items():
        needs = {VIDEO_SPECS[name].step for r in specs for name in r.inputs}
        assert step in stale or not needs & stale


def test_a_new_video_makes_the_library_stale_until_it_is_in_it(
    small: Small, tmp_path: Path
) -> None:
    other = write_video(tmp_path / "late.mp4", (stripes(7 * i) for i in range(10)))
    video_id = small.register(other)
    seen = small.status()
    small.store.layout.registration(video_id).unlink()
    assert seen.library.state is State.STALE
    assert "1 video" in seen.library.phases[0].why


def test_a_running_step_is_in_flight_and_a_dead_one_is_interrupted(fresh: Small) -> None:
    live = Heartbeats(fresh.store.layout)
    step = Heartbeat("run-1", "ride_video", fresh.video, time.time())
    with live.working(step):
        live.put(step.advanced(1, 4, "frames", time.time()))
        seen = fresh.status()
        assert states(seen.videos[0])["ride_video"] is State.RUNNING
        assert seen.at_once == 1 and seen.eta_s
        assert seen.batches[0].portions.done == 0 < seen.batches[0].portions.in_flight
        live.put(replace(step, born=1))
        dead = fresh.status()
    assert states(dead.videos[0])["ride_video"] is State.INTERRUPTED
    assert dead.at_once == 0 and dead.batches[0].portions.in_flight == 0


def test_a_run_between_two_steps_is_running_and_one_that_died_there_is_not(fresh: Small) -> None:
    live = Heartbeats(fresh.store.layout)
    run = RunFact("run-1", "started", time.time() - 90)
    step = Heartbeat("run-1", "ride_video", fresh.video, time.time(), ended=True)
    live.put(step)
    assert states(fresh.whole(run))["ride_video"] is State.RUNNING
    assert states(fresh.whole(RunFact("run-1", "failed")))["ride_video"] is State.FAILED
    live.put(replace(step, born=1))
    assert states(fresh.whole(run))["ride_video"] is State.INTERRUPTED


@pytest.mark.parametrize(
    ("run", "state"),
    [("queued", State.QUEUED), ("cancelled", State.PAUSED), ("started", State.PENDING)],
)
def test_what_dagster_knows_of_a_run_is_told(fresh: Small, run: str, state: State) -> None:
    whole = fresh.whole(RunFact("0123456789", run))
    assert {*states(whole).values()} == {state}
    assert ("no step of it shows a sign of life" in whole.note) == (run == "started")
    if run == "started":  # its process takes a while to begin
        begun = fresh.whole(RunFact("0123456789", run, time.time() - 30))
        assert begun.note == "run 01234567 begins: its process is starting" and begun.begins
        assert not list(attention(Status((begun,), (), Whole("library", ()), (), 0)))
        silent = fresh.whole(RunFact("0123456789", run, time.time() - 90))
        assert "no step of it shows a sign of life" in silent.note and not silent.begins


def test_a_run_that_failed_without_a_note_is_a_failure(fresh: Small) -> None:
    found = fresh.whole(RunFact("0123456789", "failed"))
    assert states(found)["ride_video"] is State.FAILED
    assert "01234567" in found.phases[0].why and found.state is State.FAILED


def test_a_failure_for_good_skips_what_needs_it_and_holds_up_nobody(fresh: Small) -> None:
    note = FailureNote("not_a_video", "It is none.", "ride_video", permanent=True)
    FailureNotes(fresh.store.layout).put(fresh.video, note)
    seen = fresh.status()
    found = states(seen.videos[0])
    assert found.pop("ride_video") is State.FAILED
    assert {*found.values()} == {State.SKIPPED}
    batch = seen.batches[0]
    assert batch.portions.done == 0 and batch.portions.failed + batch.portions.skipped > 0.9
    assert seen.videos[0].left_s == 0
    assert {*fresh.verdicts().values()} == {Verdict.BLOCKED}


def test_a_failure_that_may_heal_leaves_the_rest_pending(fresh: Small) -> None:
    note = FailureNote("unexpected", "Disk full.", "ride_video", permanent=False)
    FailureNotes(fresh.store.layout).put(fresh.video, note)
    found = states(fresh.whole())
    assert found.pop("ride_video") is State.FAILED
    assert {*found.values()} == {State.PENDING}


@pytest.mark.parametrize(
    ("run", "state"),
    [("queued", State.QUEUED), ("started", State.PENDING), ("failed", State.FAILED)],
)
def test_what_an_older_run_died_of_is_over_once_there_is_a_new_one(
    fresh: Small, run: str, state: State
) -> None:
    notes = FailureNotes(fresh.store.layout)
    notes.put(fresh.video, FailureNote(RUN_DIED, "Killed.", "ride_video", permanent=False))
    assert states(fresh.whole(RunFact("0123456789", run)))["ride_video"] is state
    notes.put(fresh.video, FailureNote("unexpected", "Disk full.", "ride_video", permanent=False))
    seen = states(fresh.whole(RunFact("0123456789", run)))["ride_video"]
    assert seen is (State.QUEUED if run == "queued" else State.FAILED)


def test_a_switched_off_phase_is_planned_and_shown_as_such(tmp_path: Path) -> None:
    off: dict[str, dict[str, Any]] = {"phases": {"vision": False, "index": False}}
    for small in open_small(tmp_path):
        assert small.run(small.file, overrides=off).success
        assert set(small.verdicts(**off).values()) == {Verdict.REUSE}
        seen = states(small.whole(**off))
        assert {step for step, state in seen.items() if state is State.SKIPPED} == {
            "vision_embeddings",
            "face_index",
        }
        assert small.whole(**off).state is State.DONE
        reasons = {phase.step: phase.why for phase in small.whole(**off).phases}
        assert reasons["vision_embeddings"] == "switched off by settings phases.vision"
        on = small.verdicts()
        assert on["vision_embeddings"] is on["face_index"] is Verdict.COMPUTE
        computed = {n for n, reused in reused_assets(small.run(small.file)).items() if not reused}
        assert "vision_embeddings" in computed and "face_quality" not in computed
        assert set(small.verdicts().values()) == {Verdict.REUSE}


def test_dropped_crops_of_a_finished_video_are_no_open_work(small: Small) -> None:
    crops = small.store.layout.crops(small.video)
    aside = crops.rename(crops.with_name("aside"))
    try:
        assert small.whole().state is State.DONE
        assert small.status().library.state is State.DONE
    finally:
        aside.rename(crops)


def test_learning_holds_nothing_up_and_says_what_it_waits_for(small: Small) -> None:
    library = small.status().library
    assert library.state is State.DONE
    phases = {phase.step: phase for phase in library.phases}
    assert phases["training_set"].state is State.WAITING
    assert "label" in phases["training_set"].why
    assert phases["projection_head"].state is phases["head_embeddings"].state is State.PENDING
    assert phases["kmeans_heads"].state is State.DONE
