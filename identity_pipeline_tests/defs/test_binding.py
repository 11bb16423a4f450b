"""One Dagster instance for one data folder: where it lies, what is refused, what a folder knows."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner
from dagster._cli.utils import TMP_DAGSTER_HOME_PREFIX

from identity_pipeline.cli.instance import dagster_instance
from identity_pipeline.cli.main import cli
from identity_pipeline.definitions import build_defs
from identity_pipeline.defs.instance.binding import TEMPORARY, WrongInstanceError, bind
from identity_pipeline.defs.instance.gate import skip_unless_ready
from identity_pipeline.defs.instance.instance_home import NoInstanceError, instance_of
from identity_pipeline.defs.resources.resources import SettingsResource
from identity_pipeline.storage.folder.data_folder import claim_data_folder
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.library import QUIET

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DAGSTER_HOME with the `dagster.yaml` of the checkout."""
    folder = tmp_path / "home"
    folder.mkdir()
    shutil.copy(CHECKOUT / "dagster.yaml", folder)
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    return folder


def test_each_data_folder_has_an_instance_of_its_own(home: Path, tmp_path: Path) -> None:
    first, second = Layout(tmp_path / "first"), Layout(tmp_path / "second")
    with dagster_instance(first) as instance:
        instance.add_dynamic_partitions("videos", ["ride-1"])
    with dagster_instance(second) as instance:
        assert instance.get_dynamic_partitions("videos") == []
    with dagster_instance(first) as instance:
        assert instance.get_dynamic_partitions("videos") == ["ride-1"]
    assert first.dagster.is_dir() and second.dagster.is_dir()
    assert sorted(path.name for path in home.iterdir()) == ["dagster.yaml"]


def test_a_data_folder_with_a_new_id_keeps_its_instance(home: Path, tmp_path: Path) -> None:
    """Whose damaged `folder.json` was removed, as its sentence says."""
    layout = Layout(tmp_path / "data")
    with dagster_instance(layout) as instance:
        bind(instance, layout)
        before = claim_data_folder(layout).id
        layout.folder_note.unlink()
        bind(instance, layout)
        assert claim_data_folder(layout).id != before
        bind(instance, layout, look=True)


def test_where_one_stands_makes_no_second_instance(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    with pytest.raises(NoInstanceError, match="start it there"):
        dg.DagsterInstance.get()
    assert list(elsewhere.iterdir()) == []
    monkeypatch.setenv("IDENTITY_PIPELINE__PATHS__DATA", str(tmp_path / "data"))
    with dg.DagsterInstance.get() as instance:
        assert Path(instance.root_directory).is_relative_to(tmp_path / "data" / "dagster")
    monkeypatch.delenv("IDENTITY_PIPELINE__PATHS__DATA")
    monkeypatch.chdir(home)
    with dg.DagsterInstance.get() as instance:
        assert Path(instance.root_directory).is_relative_to(home / "data" / "dagster")


def test_the_command_finds_the_checkout_from_anywhere(tmp_path: Path) -> None:
    data = tmp_path / "data"
    done = subprocess.run(
        [sys.executable, "-m", "identity_pipeline", "pools", "--data", str(data)],
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (data / "dagster" / "storage").is_dir()


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DAGSTER_HOME whose instance lies in it, as one on a database server would elsewhere."""
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    return folder


def test_an_instance_of_another_data_folder_is_refused_by_whoever_uses_it(
    own: Path, tmp_path: Path
) -> None:
    first, second = TableStore(Layout(tmp_path / "a")), TableStore(Layout(tmp_path / "b"))
    with dagster_instance(first.layout) as instance:
        assert skip_unless_ready(instance, first) is None
        refused = skip_unless_ready(instance, second)
        assert refused and "belongs to another data folder" in str(refused.skip_message)
        settings = SettingsResource.of(paths={"data": str(second.layout.root)})
        job = build_defs(settings).resolve_job_def("retention")
        run = job.execute_in_process(instance=instance, run_config=QUIET, raise_on_error=False)
        assert not run.success and not run.get_asset_materialization_events()
    command = CliRunner().invoke(cli, ["pools", "--data", str(second.layout.root)])
    assert command.exit_code == 2
    assert "belongs to another data folder" in command.output


def test_a_second_instance_of_a_data_folder_is_refused(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout(tmp_path / "data")
    with dagster_instance(layout) as instance:
        bind(instance, layout)
    other = tmp_path / "other"
    other.mkdir()
    (other / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(other))
    with (
        pytest.raises(WrongInstanceError, match="has a Dagster instance already"),
        dagster_instance(layout),
    ):
        pass
    (layout.dagster / "instance.json").unlink()  # as the sentence says
    with dagster_instance(layout):
        pass


def test_an_instance_that_dagster_forgets_is_refused(tmp_path: Path) -> None:
    assert TMP_DAGSTER_HOME_PREFIX.startswith(TEMPORARY)
    forgotten = tmp_path / f"{TMP_DAGSTER_HOME_PREFIX}1"
    forgotten.mkdir()
    with (
        dg.DagsterInstance.local_temp(str(forgotten)) as instance,
        pytest.raises(WrongInstanceError, match="without DAGSTER_HOME"),
    ):
        bind(instance, Layout(tmp_path / "data"))
    assert not (tmp_path / "data").exists()


def test_a_moved_data_folder_takes_its_instance_along(home: Path, tmp_path: Path) -> None:
    with dagster_instance(Layout(tmp_path / "data")) as instance:
        instance.add_dynamic_partitions("videos", ["ride-1"])
    (tmp_path / "data").rename(tmp_path / "moved")
    with dagster_instance(Layout(tmp_path / "moved")) as instance:
        assert instance.get_dynamic_partitions("videos") == ["ride-1"]


def test_an_older_instance_forgets_the_videos_of_another_folder(home: Path, tmp_path: Path) -> None:
    """Before there were notes, the demo's videos came into the instance of `data`."""
    layout = Layout(tmp_path / "data")
    with instance_of(layout.root), dg.DagsterInstance.get() as instance:
        instance.add_dynamic_partitions("videos", ["demo-1"])
    with dagster_instance(layout) as instance:
        assert instance.get_dynamic_partitions("videos") == []


def test_a_look_makes_no_instance(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_PIPELINE__MODELS__FACE_PACK", "/nowhere/pack")
    with dagster_instance(Layout(tmp_path / "data"), look=True) as instance:
        assert instance.is_ephemeral
    assert not (tmp_path / "data").exists()
