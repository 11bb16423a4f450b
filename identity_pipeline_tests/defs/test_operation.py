"""Operation on a real finished video: archiving and back, cleaning, phases, checks, healing."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner, Result
from dagster._core.storage.dagster_run import RunOpConcurrency

from identity_pipeline.cli.main import cli
from identity_pipeline.definitions import build_defs
from identity_pipeline.defs.instance import archiving, old_runs
from identity_pipeline.defs.resources.resources import SettingsResource
from identity_pipeline.storage.files.locks import LockBusyError
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.progress.heartbeat import Heartbeat, Heartbeats
from identity_pipeline.storage.video.archive import Archive
from identity_pipeline.storage.video.failures import FailureNote, FailureNotes
from identity_pipeline_tests.conftest import BUNDLED, OPEN, stripes
from identity_pipeline_tests.library import VideoLibrary, digest_of_tree, reused_assets
from identity_pipeline_tests.synthetic import write_video

NOW = datetime(2030, 1, 1, tzinfo=UTC)
OFF = {"phases": {"vision": False, "pair_sets": False, "library": False, "index": False}}


@pytest.fixture(scope="module")
def processed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[VideoLibrary, dict]]:
    """A short video without a face, processed with everything on; and what each asset said."""
    root = tmp_path_factory.mktemp("operated")
    path = write_video(root / "clip.mp4", (stripes(i) for i in range(12)))
    for opened in VideoLibrary.open(root / "data", OPEN, BUNDLED / "vision"):
        result = opened.run(path)
        assert result.success
        yield opened, metadata_of(result)


def metadata_of(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, object]]:
    return {
        event.materialization.asset_key.path[-1]: {
            key: value.value for key, value in event.materialization.metadata.items()
        }
        for event in result.get_asset_materialization_events()
    }


@pytest.fixture
def video(
    processed: tuple[VideoLibrary, dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[VideoLibrary]:
    """A copy of that library, with an instance of its own that knows the partition."""
    original, _ = processed
    shutil.copytree(original.root, tmp_path / "data", symlinks=True)
    with dg.DagsterInstance.ephemeral() as instance:
        groups = {**original.groups, "paths": {"data": str(tmp_path / "data")}}
        library = VideoLibrary(tmp_path / "data", instance, groups)
        instance.add_dynamic_partitions("videos", [library.video_id("clip")])
        yield library


def archived(library: VideoLibrary, before: float) -> list[tuple[str, str | None]]:
    keys = archiving.candidates(library.instance, library.store, before)
    return list(archiving.archive(library.instance, library.store, keys, NOW))


def test_an_archived_video_leaves_dagster_and_nothing_else(video: VideoLibrary) -> None:
    key, before = video.video_id("clip"), digest_of_tree(video.root)
    assert archived(video, NOW.timestamp()) == [(key, None)]
    assert video.instance.get_dynamic_partitions("videos") == []
    after = digest_of_tree(video.root)
    assert {path for path in after if path not in before} == {f"archive/{key}.json"}
    assert {path: after[path] for path in before} == before
    mark = Archive(video.store.layout).get(key)
    assert mark is not None and mark.archived_at == "2030-01-01T00:00:00+00:00"


def test_it_comes_back_as_it_was(video: VideoLibrary) -> None:
    key = video.video_id("clip")
    archived(video, NOW.timestamp())
    assert archiving.unarchive(video.instance, video.store, key)
    assert video.instance.get_dynamic_partitions("videos") == [key]
    assert Archive(video.store.layout).ids() == set()
    assert not archiving.unarchive(video.instance, video.store, key)


def test_a_video_finished_later_stays(video: VideoLibrary) -> None:
    assert archived(video, before=0.0) == []


def damage_table(library: VideoLibrary, key: str) -> None:
    library.store.layout.table("face_quality", key).write_bytes(b"x")


def lose_an_export(library: VideoLibrary, key: str) -> None:
    (library.store.layout.export(key) / "index.html").unlink()


def note_a_failure(library: VideoLibrary, key: str) -> None:
    note = FailureNote("truncated", "It ends early.", "watch", permanent=False)
    FailureNotes(library.store.layout).put(key, note)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (damage_table, "face_quality is damaged"),
        (lose_an_export, "differs from its manifest"),
        (note_a_failure, "its last run failed"),
    ],
)
def test_what_is_not_whole_is_not_archived(
    video: VideoLibrary, spoil: Callable[[VideoLibrary, str], None], words: str
) -> None:
    key = video.video_id("clip")
    spoil(video, key)
    ((_, why_not),) = archived(video, NOW.timestamp())
    assert why_not is not None and words in why_not
    assert video.instance.get_dynamic_partitions("videos") == [key]
    assert Archive(video.store.layout).ids() == set()


def test_a_video_at_which_a_run_is_stays(video: VideoLibrary) -> None:
    from identity_pipeline.definitions import build_defs

    video.instance.create_run_for_job(
        build_defs().resolve_job_def("per_video"),
        status=dg.DagsterRunStatus.STARTED,
        tags={"dagster/partition": video.video_id("clip")},
    )
    assert archived(video, NOW.timestamp()) == []


def test_only_what_failed_for_good_is_put_aside_and_it_stays_a_failure(
    video: VideoLibrary,
) -> None:
    key, notes = video.video_id("clip"), FailureNotes(video.store.layout)
    may_heal = FailureNote("truncated", "It ends early.", "watch", permanent=False)
    for note in (None, may_heal):
        if note:
            notes.put(key, note)
        assert archiving.put_aside(video.instance, video.store, key, NOW) is not None
        assert video.instance.get_dynamic_partitions("videos") == [key]
    bad = FailureNote("not_a_video", "It is no video.", "ride_video", permanent=True)
    notes.put(key, bad)
    assert archiving.put_aside(video.instance, video.store, key, NOW) is None
    assert video.instance.get_dynamic_partitions("videos") == []
    assert Archive(video.store.layout).ids() == {key}
    assert notes.get(key) == bad
    assert archiving.unarchive(video.instance, video.store, key)
    assert video.instance.get_dynamic_partitions("videos") == [key]


def test_runs_of_open_partitions_are_kept_and_those_of_archived_ones_may_go(
    processed: tuple[VideoLibrary, dict], tmp_path: Path
) -> None:
    library, _ = processed
    key, far = library.video_id("clip"), NOW.timestamp()
    (run,) = library.instance.get_runs()
    assert list(old_runs.old_runs(library.instance, far, 30)) == []
    library.instance.delete_dynamic_partition("videos", key)
    try:
        assert [r.run_id for r in old_runs.old_runs(library.instance, far, 30)] == [run.run_id]
        ended = library.instance.get_run_records()[0].update_timestamp.timestamp()
        assert list(old_runs.old_runs(library.instance, ended + 86_400, 30)) == []
    finally:
        library.instance.add_dynamic_partitions("videos", [key])


def test_phases_that_are_switched_off_say_so_and_come_back(video: VideoLibrary) -> None:
    source = Path(video.store.read("ride_video", video.video_id("clip"))["path"][0])
    result = video.run(source, overrides=OFF)
    assert result.success
    said = metadata_of(result)
    expected = {
        "vision_embeddings": "vision",
        "pair_set": "pair_sets",
        "face_index": "index",
        "track_templates": "library",
        "calibration_pairs": "library",
        "face_samples": "library",
    }
    skipped = {name: values["reason"] for name, values in said.items() if "status" in values}
    assert skipped == {
        name: f"switched off by settings phases.{phase}" for name, phase in expected.items()
    }
    assert {values["status"] for values in said.values() if "status" in values} == {"skipped"}
    again = video.run(source)
    assert again.success
    assert not reused_assets(again)["vision_embeddings"]
    assert not any("status" in values for values in metadata_of(again).values())


def test_every_table_of_a_source_is_checked_where_it_is_made(
    processed: tuple[VideoLibrary, dict],
) -> None:
    from identity_pipeline.definitions import build_defs
    from identity_pipeline.stages.specs.assets import PHOTO_SPECS, VIDEO_SPECS
    from identity_pipeline.tables import TABLES

    checked = {
        key.asset_key.path[-1]
        for key in build_defs().resolve_asset_graph().asset_check_keys
        if key.name == "sound"
    }
    assert checked == TABLES.keys() & {*VIDEO_SPECS, *PHOTO_SPECS}


def test_a_table_that_is_not_sound_stops_its_own_video_and_says_why(video: VideoLibrary) -> None:
    import polars as pl

    source = Path(video.store.read("ride_video", video.video_id("clip"))["path"][0])
    frames = video.store.read("frames", video.video_id("clip"))
    spoilt = frames.with_columns(luma_mean=pl.lit(300.0, pl.Float32))
    noted = video.store.noted("frames", video.video_id("clip"))
    assert noted is not None
    video.store.write("frames", video.video_id("clip"), spoilt, noted.fingerprint)
    result = video.run(source)
    assert not result.success
    note = FailureNotes(video.store.layout).get(video.video_id("clip"))
    assert note is not None and note.code == "check_failed"
    assert note.asset == "frames" and "luma_mean" in note.sentence
    assert "riders" not in metadata_of(result)


def test_a_check_can_be_made_long_after_its_asset_and_makes_nothing(video: VideoLibrary) -> None:
    key = video.video_id("clip")
    lose_an_export(video, key)
    asset, before = dg.AssetKey("identity_dataset"), digest_of_tree(video.root)
    wanted = {dg.AssetCheckKey(asset, name) for name in ("export_is_complete", "sound")}
    job = build_defs(SettingsResource.of(**video.groups)).resolve_job_def("per_video")
    result = job.get_subset(asset_selection=set(), asset_check_selection=wanted).execute_in_process(
        instance=video.instance, partition_key=key, raise_on_error=False
    )
    found = {one.check_name: one.passed for one in result.get_asset_check_evaluations()}
    assert found == {"export_is_complete": False, "sound": True} and not result.success
    assert result.get_asset_materialization_events() == []
    assert digest_of_tree(video.root) == before


def test_an_error_that_heals_is_tried_again_in_the_run_and_another_is_not(
    video: VideoLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Path(video.store.read("ride_video", video.video_id("clip"))["path"][0])
    tries: list[BaseException] = []

    def failing(error: Exception, times: int) -> Callable[..., object]:
        def index_of(*_: object) -> object:
            if len(tries) < times:
                tries.append(error)
                raise error
            raise ValueError("a bug")

        return index_of

    quick = {"ingest": {"step_retry_wait_s": 0.0}}
    monkeypatch.setattr(
        "identity_pipeline.stages.library.indexing.sync_video", failing(LockBusyError("held"), 1)
    )
    result = video.run(source, overrides=quick)
    assert len(tries) == 1 and not result.success
    retried = [e for e in result.all_events if e.event_type_value == "STEP_RESTARTED"]
    assert [event.step_key for event in retried] == ["face_index"]


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, env={"COLUMNS": "200"})


def test_clean_shows_first_and_takes_crops_only_when_named(
    video: VideoLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    data = ("--data", str(video.root))
    crops = video.store.layout.crops(video.video_id("clip"))
    assert crops.is_dir()
    shown = invoke("clean", *data)
    assert shown.exit_code == 0, shown.output
    assert "stay unless named" in shown.output and "0 things" in shown.output
    assert "1 thing" in invoke("clean", "crops", "--dry-run", *data).output
    assert crops.is_dir()
    assert "1 thing" in invoke("clean", "crops", *data).output
    assert not crops.exists()
    refused = invoke("clean", "ledger", *data)
    assert refused.exit_code == 2 and "never dropped" in refused.output


def test_archive_by_command_goes_there_and_back(
    video: VideoLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    key, data = video.video_id("clip"), ("--data", str(video.root))
    with dg.DagsterInstance.get() as instance:
        instance.add_dynamic_partitions("videos", [key])
    stays = invoke("archive", "--failed", "clip", *data)
    assert "stays: it did not fail" in stays.output and stays.exit_code == 1
    assert (
        "1 video would be archived"
        in invoke("archive", "--older-than", "0", "--dry-run", *data).output
    )
    assert "1 video archived; 0 partitions" in invoke("archive", "--older-than", "0", *data).output
    assert "done (archived)" in invoke("videos", *data).output
    assert "0 partitions in Dagster, 1 archived video" in invoke("archive", *data).output
    counted = invoke("sql", "SELECT count(*) AS n FROM videos", "--json", *data).output
    assert '"n": 1' in counted
    assert "is a partition again" in invoke("archive", "--undo", "clip", *data).output
    assert "1 partition in Dagster, 0 archived videos" in invoke("archive", *data).output


def test_pools_have_the_slots_of_the_file_until_they_are_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dagster.yaml").write_text(
        "telemetry: {enabled: false}\nconcurrency: {pools: {granularity: run, default_limit: 3}}\n"
    )
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    data = ("--data", str(tmp_path / "data"))
    assert "dagster.yaml" in invoke("pools", *data).output
    with dg.DagsterInstance.get() as instance:
        limits = {pool.name: pool.limit for pool in instance.event_log_storage.get_pool_limits()}
    assert limits == {"gpu": 3, "library": 3}
    assert invoke("pools", "--set", "gpu=2", *data).exit_code == 0
    with dg.DagsterInstance.get() as instance:
        limits = {pool.name: pool.limit for pool in instance.event_log_storage.get_pool_limits()}
    assert limits == {"gpu": 2, "library": 3}
    for wrong in ("gpus=2", "gpu", "gpu=-1"):
        assert invoke("pools", "--set", wrong, *data).exit_code == 2


def test_pools_say_at_which_step_of_the_data_folder_a_holder_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dagster.yaml").write_text(
        "telemetry: {enabled: false}\nconcurrency: {pools: {granularity: run, default_limit: 1}}\n"
    )
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "160")
    holding = RunOpConcurrency(root_key_counts={"gpu": 1}, has_unconstrained_root_nodes=False,
                               all_pools={"gpu"})  # fmt: skip
    run = dg.DagsterRun(
        job_name="per_video",
        status=dg.DagsterRunStatus.STARTED,
        tags={"dagster/partition": "ride_7"},
        run_op_concurrency=holding,
    )
    with dg.DagsterInstance.get() as instance:
        instance.add_run(run)
    data = ("--data", str(tmp_path / "data"))
    live = Heartbeats(Layout(tmp_path / "data"))
    with live.working(Heartbeat(run.run_id, "watch", "ride_7", time.time())):
        assert "ride_7, at watch" in invoke("pools", *data).output
    assert "ride_7  " in invoke("pools", *data).output
