"""What Dagster keeps of somebody: nothing after they were forgotten, and all of everybody else."""

import base64
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from identity_pipeline.defs.instance import forgetting
from identity_pipeline.defs.instance.forgetting import RecordsBusyError, forget_records
from identity_pipeline.defs.instance.partitions import people, photo_sets, videos
from identity_pipeline.stages.privacy.footprint import FaceAt, Footprint
from identity_pipeline.storage.layout import Layout

WHOLE, SHARED, OTHER = "solo-11111111", "duo-22222222", "other-33333333"
ADA, BEN = "aaaaaaaa-0000-4000-8000-000000000001", "bbbbbbbb-0000-4000-8000-000000000002"
FOOTPRINT = Footprint(
    "person",
    person_ids=(ADA,),
    names=("Adaé",),
    faces={v: (FaceAt("000000-0", 0, (0, 0, 9, 9), 1),) for v in (WHOLE, SHARED)},
    videos=(WHOLE,),
    inbox=("/rides/at_the_seat.mp4",),
)


def picture_of(key: str) -> str:
    """What stands for a picture of a ride; of Ben it has the name in it by chance."""
    return base64.b64encode(f"the face in {key}".encode() * 40).decode()


@dg.asset(partitions_def=videos)
def faces(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Shows a ride."""
    key = context.partition_key
    said = f"![face](data:image/png;base64,{picture_of(key)})"
    if key == OTHER:
        said += f" unlike Adaé of {WHOLE} in at_the_seat.mp4"
    context.log.info(f"looking at {key}")
    return dg.MaterializeResult(metadata={"shown": dg.MetadataValue.md(said), "faces": 7})


@dg.asset_check(asset=faces)
def whole(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    """Says something of a ride."""
    return dg.AssetCheckResult(passed=True, metadata={"of": f"Adaé in {context.run.run_id}"})


@dg.asset
def library() -> dg.MaterializeResult:
    """Shows everybody."""
    return dg.MaterializeResult(metadata={"people": f"Adaé {picture_of('library')}"})


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "data")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Dagster keeps after runs of all of them."""
    layout = Layout(tmp_path_factory.mktemp("recorded") / "data")
    home = layout.dagster / "storage"
    home.mkdir(parents=True)
    with dg.DagsterInstance.local_temp(str(home)) as opened:
        opened.add_dynamic_partitions(str(videos.name), [WHOLE, SHARED, OTHER])
        opened.add_dynamic_partitions(str(photo_sets.name), ["photos-of-ben"])
        opened.add_dynamic_partitions(str(people.name), [ADA, BEN])
        for key in (OTHER, SHARED, WHOLE):
            ran = dg.materialize([faces, whole], instance=opened, partition_key=key)
            assert ran.success
        assert dg.materialize([library], instance=opened).success
        event = dg.AssetMaterialization("faces", partition=WHOLE, metadata={"name": "Adaé"})
        opened.report_runless_asset_event(event)
        logs = layout.dagster / "logs" / "ticks"
        logs.mkdir(parents=True)
        (logs / "tick.err").write_text(f"saw {WHOLE} of Adaé\nand {OTHER}\n", encoding="utf-8")
    return layout.dagster


@pytest.fixture
def instance(recorded: Path, layout: Layout) -> Iterator[dg.DagsterInstance]:
    shutil.copytree(recorded, layout.dagster)
    with dg.DagsterInstance.local_temp(str(layout.dagster / "storage")) as opened:
        yield opened


def found_in(folder: Path, word: str) -> int:
    """How often a word is anywhere in the files, however Dagster escapes it."""
    forms = {word.encode(), word.encode("unicode_escape").replace(b"\\xe9", b"\\u00e9")}
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sum(path.read_bytes().count(form) for path in files for form in forms)


GONE = (WHOLE, ADA, "Adaé", "at_the_seat.mp4")


def test_nothing_of_the_forgotten_and_all_of_the_others_is_left_in_any_byte(
    instance: dg.DagsterInstance, layout: Layout
) -> None:
    shown = [picture_of(key)[:60] for key in (WHOLE, SHARED, "library")]
    other = picture_of(OTHER)[:60]
    assert all(found_in(layout.dagster, word) for word in (*GONE, *shown, other))
    removed = forget_records(instance, layout, FOOTPRINT)
    assert {word: found_in(layout.dagster, word) for word in (*GONE, *shown)} == dict.fromkeys(
        (*GONE, *shown), 0
    )
    assert found_in(layout.dagster, other) > 0 < found_in(layout.dagster, BEN)
    assert [one.count > 0 for one in removed] == [True, True] and (removed[0].bytes or 0) > 0

    # Dagster reads what is left as before.
    assert {*instance.get_dynamic_partitions(str(videos.name))} == {OTHER, SHARED}
    assert instance.get_dynamic_partitions(str(people.name)) == [BEN]
    assert instance.get_materialized_partitions(dg.AssetKey("faces")) == {OTHER}
    (run,) = instance.get_runs()
    assert run.tags["dagster/partition"] == OTHER
    latest = instance.get_latest_materialization_event(dg.AssetKey("faces"))
    assert latest is not None and latest.run_id == run.run_id
    said = latest.asset_materialization.metadata["shown"].value  # type: ignore[union-attr]
    assert f"base64,{picture_of(OTHER)})" in str(said)
    assert str(said).endswith(" unlike forgotten of forgotten in forgotten")
    assert instance.get_latest_materialization_event(dg.AssetKey("library")) is None
    assert [log.message for log in instance.all_logs(run.run_id)]
    # And goes on.
    assert dg.materialize([faces, whole], instance=instance, partition_key=SHARED).success
    assert dg.materialize([library], instance=instance).success


def test_a_kill_in_the_middle_is_taken_up_and_a_third_time_changes_nothing(
    instance: dg.DagsterInstance, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the run and its events, which Dagster removes one after the other."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(instance.event_log_storage), "delete_events", killed)
        with pytest.raises(KeyboardInterrupt):
            forget_records(instance, layout, FOOTPRINT)
    with monkeypatch.context() as patch:
        patch.setattr(forgetting, "_write_anew", killed)
        with pytest.raises(KeyboardInterrupt):
            forget_records(instance, layout, FOOTPRINT)
    forget_records(instance, layout, FOOTPRINT)
    assert [found_in(layout.dagster, word) for word in GONE] == [0] * len(GONE)
    assert [one.count for one in forget_records(instance, layout, FOOTPRINT)] == [0, 0]


def test_a_database_that_somebody_writes_to_or_reads_is_said(
    instance: dg.DagsterInstance, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forgetting, "WAIT_S", 0.1)
    for name, statements in (
        ("schedules/schedules.db", ["BEGIN EXCLUSIVE"]),
        ("history/runs/index.db", ["BEGIN", "SELECT count(*) FROM event_logs"]),
    ):
        held = sqlite3.connect(layout.dagster / "storage" / name)
        for statement in statements:
            held.execute(statement).fetchall()
        with pytest.raises(RecordsBusyError, match=r"forget --resume"):
            forget_records(instance, layout, FOOTPRINT)
        held.rollback()
        held.close()
    forget_records(instance, layout, FOOTPRINT)
    assert [found_in(layout.dagster, word) for word in GONE] == [0] * len(GONE)
