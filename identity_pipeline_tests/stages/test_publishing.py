"""A finished video to an object store and back: the same bytes, or nothing at all."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from identity_pipeline.cli.main import cli
from identity_pipeline.definitions import build_defs
from identity_pipeline.defs.assets import publishing
from identity_pipeline.defs.assets.publishing import publish_finished
from identity_pipeline.defs.instance import archiving
from identity_pipeline.defs.resources.resources import SettingsResource
from identity_pipeline.settings import Settings, load_settings
from identity_pipeline.stages.publishing import publishing as publishing_work
from identity_pipeline.stages.publishing.publishing import OthersThereError, Published, Publisher
from identity_pipeline.stages.specs.assets import VIDEO_SPECS
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.library.generations import Generations
from identity_pipeline.storage.progress.pause import Pause, go_on, pause
from identity_pipeline.storage.publishing.object_store import ObjectStore, ObjectStoreError
from identity_pipeline.storage.video.known_files import KnownFiles
from identity_pipeline.storage.video.registry import VideoRegistry
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.library import VideoLibrary, digest_of_tree

KEPT = ("tables/", "output/", "registry/")


@pytest.fixture
def made(demo: VideoLibrary, tmp_path: Path) -> Layout:
    """The data folder of a finished ride, to be changed at will."""
    shutil.copytree(demo.root, tmp_path / "made", symlinks=True)
    return Layout(tmp_path / "made")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/bucket"


@pytest.fixture
def video_id(demo: VideoLibrary) -> str:
    return demo.video_id("demo_solo")


def publisher(layout: Layout, url: str) -> Publisher:
    return Publisher(layout, ObjectStore(url), versions=2)


def kept(layout: Layout) -> dict[str, str]:
    """What is published of a data folder, by path."""
    files = digest_of_tree(layout.root).items()
    return {file: digest for file, digest in files if file.startswith(KEPT)}


def test_there_and_back_gives_the_same_bytes(
    made: Layout, url: str, video_id: str, tmp_path: Path
) -> None:
    work = publisher(made, url)
    assert work.pending() == [video_id]
    assert work.publish(video_id).is_new
    assert work.pending() == []
    assert not work.publish(video_id).is_new
    elsewhere = publisher(Layout(tmp_path / "elsewhere"), url)
    assert elsewhere.fetch(video_id) is not None
    assert kept(elsewhere.layout) == kept(made)
    assert elsewhere.fetch(video_id) is None  # the same is there
    whole = archiving.unsafe(TableStore(elsewhere.layout), video_id)
    assert whole is None, "what was fetched may be archived like what was made"


def test_what_is_made_anew_is_published_anew(made: Layout, url: str, video_id: str) -> None:
    work = publisher(made, url)
    before = work.publish(video_id).version
    store = TableStore(made)
    store.write("face_samples", video_id, store.read("face_samples", video_id).head(0), "another")
    assert work.pending() == [video_id]
    after = work.publish(video_id)
    assert after.is_new and before and after.version and after.version.older == (before.version,)


def test_another_version_in_the_folder_is_not_replaced_by_itself(
    made: Layout, url: str, video_id: str
) -> None:
    work = publisher(made, url)
    work.publish(video_id)
    published = kept(made)
    store = TableStore(made)
    store.write("riders", video_id, store.read("riders", video_id).head(0), "another")
    mine = kept(made)
    with pytest.raises(OthersThereError, match="--force"):
        work.fetch(video_id)
    assert kept(made) == mine
    work.fetch(video_id, force=True)
    assert kept(made) == published


@pytest.mark.parametrize("damage", ["table", "image", "unfinished", "half made anew"])
def test_what_is_not_whole_stays_here(made: Layout, url: str, video_id: str, damage: str) -> None:
    if damage == "table":
        with made.table("riders", video_id).open("ab") as stream:
            stream.write(b"x")
    elif damage == "image":
        next(made.export(video_id).rglob("*.jpg")).write_bytes(b"")
    elif damage == "unfinished":
        made.table("identity_dataset", video_id).unlink()
    else:
        store = TableStore(made)
        store.write("riders", video_id, store.read("riders", video_id).head(0), "another")
    work = publisher(made, url)
    assert work.publish(video_id).why_not
    assert work.store.subjects() == []
    assert work.pending() == [], "it is not asked for again while its files are the same"


def test_what_its_purpose_refuses_is_asked_for_again_once_the_purpose_changes(
    made: Layout, url: str, video_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    licences = [("mine", "non-commercial research only")]
    monkeypatch.setattr(publishing_work, "models_of_export", lambda contents: licences)
    work = replace(publisher(made, url), purpose="commercial")
    assert "research only" in (work.publish(video_id).why_not or "")
    assert work.pending() == [], "no run is asked for again and again"
    assert video_id in work.refused()
    assert publisher(made, url).pending() == [video_id]


@pytest.mark.parametrize("riders", ["known", "removed"])
def test_a_later_no_takes_away_what_was_sent(
    made: Layout, url: str, video_id: str, riders: str
) -> None:
    def say(answer: str, *more: str) -> None:
        done = CliRunner().invoke(cli, ["--data", str(made.root), "consent", answer, *more])
        assert done.exit_code == 0, done.output

    say("grant", video_id, "--adult")
    work = Publisher.of(
        made,
        load_settings(
            paths={"data": str(made.root)}, consent={"required": True}, publish={"url": url}
        ),
    )
    assert work.publish(video_id).is_new
    say("unknown", video_id)
    assert work.publish(video_id).why_not and video_id not in work.pending()
    if riders == "removed":
        for path in (made.manifest("riders", video_id), made.table("riders", video_id)):
            path.unlink()
    say("refuse", f"{video_id}/0")
    assert video_id in work.pending() and video_id in work.unconsented()
    assert work.publish(video_id).why_not
    assert work.store.subjects() == [] and work.unconsented() == {}
    say("grant", f"{video_id}/0", "--adult")
    assert video_id in work.pending(), "an answer is looked at again, too"


def test_what_was_refused_is_said_until_its_files_change(
    made: Layout, url: str, video_id: str, instance: dg.DagsterInstance
) -> None:
    before = made.table("riders", video_id).read_bytes()
    made.table("riders", video_id).write_bytes(b"x")
    settings = SettingsResource.of(paths={"data": str(made.root)}, publish={"url": url})
    for _ in range(2):
        told = materialize(settings, instance)
        assert told["refused"] == 1 and "riders" in str(told["why_refused"])
    assert "Everything finished is there." in ticked(settings, instance)
    environment = {"IDENTITY_PIPELINE__PUBLISH__URL": url, "COLUMNS": "160"}
    asked = CliRunner().invoke(cli, ["publish", "--data", str(made.root)], env=environment)
    assert asked.exit_code == 1 and f"{video_id} stays here" in asked.output
    made.table("riders", video_id).write_bytes(before)
    assert ticked(settings, instance) == "requested"
    told = materialize(settings, instance)
    assert (told["sent"], told["refused"], told["why_refused"]) == (1, 0, "")


def twin_of(layout: Layout, video_id: str) -> str:
    """A second finished video, behind the first in the alphabet."""
    twin = f"z-{video_id}"
    for asset in VIDEO_SPECS:
        for place in (layout.table, layout.manifest, layout.made_of):
            if place(asset, video_id).is_file():
                shutil.copy(place(asset, video_id), place(asset, twin))
    shutil.copytree(layout.export(video_id), layout.export(twin))
    shutil.copy(layout.registration(video_id), layout.registration(twin))
    for note in (*layout.tables.glob(f"*/{twin}.manifest.json"), layout.registration(twin)):
        note.write_text(note.read_text(encoding="utf-8").replace(video_id, twin), encoding="utf-8")
    return twin


@pytest.mark.parametrize("what", ["registration", "manifest", "manifest there"])
def test_what_is_wrong_with_one_leaves_the_others_alone(
    made: Layout, url: str, video_id: str, instance: dg.DagsterInstance, what: str
) -> None:
    twin = twin_of(made, video_id)
    there = Path(url.removeprefix("file://")) / "videos" / video_id / "manifest.json"
    if what == "registration":
        made.registration(video_id).unlink()
    elif what == "manifest":
        made.manifest("riders", video_id).write_text("{")
    else:
        there.parent.mkdir(parents=True)
        there.write_text("{")
    settings = SettingsResource.of(paths={"data": str(made.root)}, publish={"url": url})
    job = build_defs(settings).resolve_job_def("publish")
    result = job.execute_in_process(instance=instance, raise_on_error=False)
    assert result.success is (what != "manifest there"), "a person has to look into the bucket"
    work = publisher(made, url)
    assert work.store.version(f"videos/{twin}") is not None
    assert list(work.refused()) == [video_id] and work.pending() == []
    if what == "manifest there":
        (failure,) = result.filter_events(lambda event: event.is_step_failure)
        assert str(there) in str(failure.step_failure_data.user_failure_data)
        there.unlink()
        invoke("publish", "--data", str(made.root), url=url)
        assert work.refused() == {}


def test_a_run_sends_so_many_and_the_next_goes_on(
    made: Layout,
    url: str,
    video_id: str,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(publishing, "MOST", 1)
    twin = twin_of(made, video_id)
    settings = SettingsResource.of(paths={"data": str(made.root)}, publish={"url": url})
    first = materialize(settings, instance)
    assert (first["sent"], first["left"]) == (1, 1)
    assert publisher(made, url).pending() == [twin]
    assert ticked(settings, instance) == "requested"
    second = materialize(settings, instance)
    assert (second["sent"], second["left"]) == (1, 0)


def test_a_pause_stops_it_between_two_videos(
    made: Layout,
    url: str,
    video_id: str,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    twin = twin_of(made, video_id)
    send = Publisher.publish

    def send_then_pause(work: Publisher, one: str | None) -> Published:
        sent = send(work, one)
        pause(made, Pause("now", "somebody", "bandwidth"))
        return sent

    monkeypatch.setattr(Publisher, "publish", send_then_pause)
    settings = SettingsResource.of(paths={"data": str(made.root)}, publish={"url": url})
    job = build_defs(settings).resolve_job_def("publish")
    run_id = job.execute_in_process(instance=instance, raise_on_error=False).run_id
    stopped = instance.get_run_by_id(run_id)
    assert stopped is not None and stopped.status == dg.DagsterRunStatus.CANCELED
    assert publisher(made, url).pending() == [twin]
    assert "bandwidth" in ticked(settings, instance)
    go_on(made)
    assert ticked(settings, instance) == "requested"


def test_an_index_of_before_it_was_switched_off_is_no_fault(
    made: Layout, url: str, video_id: str
) -> None:
    store = TableStore(made)
    made_of = store.made_of("face_index", video_id)
    assert made_of is not None
    old = dict.fromkeys(made_of["inputs"], "of before")
    store.note_made_of("face_index", video_id, {**made_of, "inputs": old})
    for phases, is_sent in (({}, False), ({"index": False}, True)):
        settings = Settings.model_validate({"publish": {"url": url}, "phases": phases})
        assert Publisher.of(made, settings).publish(video_id).is_new is is_sent


def test_a_damaged_store_changes_nothing_here_and_is_mended_from_here(
    made: Layout, url: str, video_id: str, tmp_path: Path
) -> None:
    work = publisher(made, url)
    there = work.publish(video_id).version
    assert there is not None
    place = tmp_path / "bucket" / "videos" / video_id / there.version
    (place / "tables" / "riders.parquet").write_bytes(b"tampered")
    (place / "export" / "manifest.json").unlink()
    elsewhere = publisher(Layout(tmp_path / "elsewhere"), url)
    with pytest.raises(ObjectStoreError):
        elsewhere.fetch(video_id)
    assert kept(elsewhere.layout) == {}
    assert sorted(work.mend(video_id)) == ["export/manifest.json", "tables/riders.parquet"]
    assert elsewhere.fetch(video_id) is not None
    assert kept(elsewhere.layout) == kept(made)


def test_what_is_fetched_while_another_registers_is_known_by_its_content(
    made: Layout, url: str, video_id: str, tmp_path: Path
) -> None:
    publisher(made, url).publish(video_id)
    mine = VideoRegistry(made).get(video_id)
    assert mine is not None
    elsewhere = Layout(tmp_path / "elsewhere")
    elsewhere.registry.mkdir(parents=True)
    with KnownFiles(elsewhere).writing_record("other-00000000", "0" * 64):
        publisher(elsewhere, url).fetch(video_id)
    assert VideoRegistry(elsewhere).by_digest(mine.sha256) == mine


def invoke(*arguments: str, url: str) -> str:
    environment = {"IDENTITY_PIPELINE__PUBLISH__URL": url, "COLUMNS": "160"}
    result = CliRunner().invoke(cli, list(arguments), env=environment)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_commands_there_and_back(made: Layout, url: str, video_id: str, tmp_path: Path) -> None:
    here, reading = str(made.root), str(tmp_path / "reading")
    assert f"would publish {video_id}" in invoke("publish", "--dry-run", "--data", here, url=url)
    assert not (tmp_path / "bucket").exists()
    assert "1 sent to" in invoke("publish", "--data", here, url=url)
    assert "0 sent to" in invoke("publish", video_id, "--data", here, url=url)
    assert "0 files wrong" in invoke("publish", "--verify", "--data", here, url=url)
    assert video_id in invoke("fetch", "--data", reading, url=url)
    assert "1 video fetched" in invoke("fetch", "--all", "--data", reading, url=url)
    count = "SELECT count(*) AS n FROM images"
    asked = [invoke("sql", count, "--csv", "--data", folder, url="") for folder in (here, reading)]
    assert asked[0] == asked[1] and asked[0].split()[-1] != "0"


def test_without_an_address_nothing_happens_and_says_so(
    made: Layout, instance: dg.DagsterInstance
) -> None:
    settings = SettingsResource.of(paths={"data": str(made.root)})
    assert "publish.url" in ticked(settings, instance)
    result = materialize(settings, instance)
    assert result["status"] == "skipped"
    refused = CliRunner().invoke(cli, ["publish", "--data", str(made.root)])
    assert refused.exit_code == 2 and "publish.url is empty" in refused.output


def test_the_sensor_asks_once_and_the_asset_sends(
    made: Layout, url: str, instance: dg.DagsterInstance
) -> None:
    settings = SettingsResource.of(paths={"data": str(made.root)}, publish={"url": url})
    assert ticked(settings, instance) == "requested"
    sent = materialize(settings, instance)
    assert (sent["sent"], sent["refused"]) == (1, 0)
    assert "Everything finished is there." in ticked(settings, instance)


def test_the_sensor_looks_at_files_only_where_a_folder_changed(
    made: Layout, url: str, video_id: str, instance: dg.DagsterInstance
) -> None:
    settings = SettingsResource.of(paths={"data": str(made.root)}, publish={"url": url})
    with sensor_context(settings, instance) as context:

        def tick() -> str:
            return said(publish_finished(context))

        assert [tick(), tick()] == ["requested"] * 2, "it asks until nothing is left"
        materialize(settings, instance)
        assert "Everything" in tick()
        # Nothing of ours changes a file in its place, so that this is not looked for.
        os.utime(made.manifest("face_samples", video_id))
        assert publisher(made, url).pending() == [video_id]
        assert "Everything" in tick()
        store = TableStore(made)
        table = store.read("face_samples", video_id).head(0)
        store.write("face_samples", video_id, table, "another")
        assert tick() == "requested"
        materialize(settings, instance)
        assert "Everything" in tick()
        shutil.rmtree(made.published)
        assert tick() == "requested", "the notes may be deleted"


def sensor_context(
    settings: SettingsResource, instance: dg.DagsterInstance
) -> dg.SensorEvaluationContext:
    resources = build_defs(settings).resources or {}
    wanted = {name: resources[name] for name in ("settings", "store")}
    return dg.build_sensor_context(instance=instance, resources=wanted)


def ticked(settings: SettingsResource, instance: dg.DagsterInstance) -> str:
    with sensor_context(settings, instance) as context:
        return said(publish_finished(context))


def said(result: object) -> str:
    return str(result.skip_message) if isinstance(result, dg.SkipReason) else "requested"


def materialize(settings: SettingsResource, instance: dg.DagsterInstance) -> dict[str, object]:
    job = build_defs(settings).resolve_job_def("publish")
    result = job.execute_in_process(instance=instance)
    (event,) = result.get_asset_materialization_events()
    found = event.step_materialization_data.materialization.metadata
    return {name: value.value for name, value in found.items()}


def test_the_library_there_and_back(unknown_rides: Path, url: str, tmp_path: Path) -> None:
    shutil.copytree(unknown_rides / "data", tmp_path / "known", symlinks=True)
    work = publisher(Layout(tmp_path / "known"), url)
    assert work.pending() == [None]
    assert work.publish(None).is_new and not work.publish(None).is_new
    assert work.pending() == []
    elsewhere = publisher(Layout(tmp_path / "elsewhere"), url)
    assert elsewhere.fetch_library() is not None
    assert elsewhere.fetch_library() is None
    assert table_files(elsewhere.layout) == table_files(work.layout)
    names = {path.name for path in elsewhere.layout.library_tables.iterdir()}
    assert names == set(table_files(work.layout)), "it would speak of this ledger and this index"

    other = Generations(work.layout).current()
    assert other is not None
    Generations(work.layout).publish({}, "f" * 64, space=other.space, next_cluster_id=9)
    assert work.pending() == [None]
    with pytest.raises(OthersThereError, match="--force"):
        work.fetch_library()
    assert work.fetch_library(force=True) is not None
    assert table_files(work.layout) == table_files(elsewhere.layout)


def table_files(layout: Layout) -> dict[str, bytes]:
    """The library's tables in force, without what steps of this folder noted of it."""
    with Generations(layout).open() as snapshot:
        return snapshot.files()
