"""What is written of people is for its owner alone, under whatever umask a process is started."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from identity_pipeline.storage.files import atomic, private
from identity_pipeline.storage.folder.data_folder import claim_data_folder, open_data_folder
from identity_pipeline.storage.layout import Layout
from identity_pipeline_tests.processes import ended, program

ROOT = Path(__file__).parents[2]
BUNDLED = ROOT / "identity_pipeline" / "bundled"
HOME = """
run_launcher: {module: dagster, class: DefaultRunLauncher}
storage: {custom: {module: identity_pipeline.defs.instance.instance_home, class: DataFolderStorage,
  config: {}}}
telemetry: {enabled: false}
"""


def modes(root: Path) -> dict[str, str]:
    """Every file and folder that others may do something with, and what."""
    found = [root, *root.rglob("*")]
    return {
        str(path.relative_to(root)): oct(stat.S_IMODE(path.lstat().st_mode))
        for path in found
        if not path.is_symlink() and stat.S_IMODE(path.lstat().st_mode) & 0o077
    }


@pytest.fixture(params=[0o022, 0o000], ids=["umask 022", "umask 000"])
def umask(request: pytest.FixtureRequest):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_what_is_written_whole_is_private(tmp_path: Path, umask: int) -> None:
    root = tmp_path / "data"
    atomic.write_bytes(root / "a" / "b" / "file", b"x")
    atomic.write_json(root / "note.json", {})
    with atomic.new_folder(root / "folder") as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "face.jpg").write_bytes(b"x")
    assert modes(root) == {}


def test_a_group_may_read_where_the_settings_say_so(
    tmp_path: Path, umask: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(private._Guard, "mask", private.GROUP)
    atomic.write_bytes(tmp_path / "data" / "file", b"x")
    assert set(modes(tmp_path / "data").values()) == {"0o750", "0o640"}


def run(arguments: list[str], umask: int, cwd: Path, **environment: str) -> str:
    """Runs a program with our package, as somebody with that umask would."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        umask=umask,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.slow
def test_commands_and_runs_of_dagster_write_private_files(tmp_path: Path) -> None:
    """A run of its own process, which fails: Dagster's database, logs, and what it failed of."""
    umask = 0  # takes nothing away, so what is private is made so
    (tmp_path / "dagster.yaml").write_text(HOME, encoding="utf-8")
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    where = {
        "DAGSTER_HOME": str(tmp_path),
        "IDENTITY_PIPELINE__PATHS__DATA": str(tmp_path / "data"),
        "HF_HUB_OFFLINE": "1",
    }
    data, told = tmp_path / "data", tmp_path / "told"
    for words in (["run", tmp_path / "broken.mp4"], ["recluster"]):
        ended(program("identity_pipeline", *words, said=told, environment=where, umask=umask))
        assert list(data.glob("failures/*.json")), told.read_text()
    assert (data / "dagster").is_dir() and (data / "registry").is_dir()
    assert modes(data) == {}
    said = run(
        ["-m", "dagster", "job", "execute", "-m", "identity_pipeline.definitions", "-j", "library"],
        umask, tmp_path, **where,
    )  # fmt: skip
    assert "RUN_" in said, said
    assert modes(data) == {}


def old_folder(root: Path) -> Layout:
    """A data folder as it was made under the usual umask, with a link that leads out of it."""
    layout = Layout(root / "data")
    for folder in ("ledger", "tables/frames", "videos"):
        (layout.root / folder).mkdir(parents=True)
    for file in ("ledger/events.jsonl", "tables/frames/a.parquet", "videos/ride.mp4"):
        (layout.root / file).write_bytes(b"")
    (root / "outside").write_bytes(b"")
    (layout.root / "tables" / "library").symlink_to(root / "outside")
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o777 if path.is_dir() else 0o666)
    return layout


@pytest.mark.parametrize("opened", [open_data_folder, claim_data_folder])
def test_an_open_folder_is_made_private_once(tmp_path: Path, opened) -> None:
    layout = old_folder(tmp_path)
    said: list[str] = []
    opened(layout, said.append)
    assert set(modes(layout.root)) == {"videos", "videos/ride.mp4"}, "the inbox is its owner's"
    assert stat.S_IMODE((tmp_path / "outside").stat().st_mode) == 0o666, "no link is followed"
    assert any("private now" in sentence for sentence in said)
    said.clear()
    opened(layout, said.append)
    assert said == []


def test_what_is_no_data_folder_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "tables").mkdir(parents=True)
    folder.chmod(0o755)
    assert open_data_folder(Layout(folder)) is None
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


def test_names_survive_where_the_locale_is_none(tmp_path: Path) -> None:
    data, name = tmp_path / "data", "Zoë Łódź 李"
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from identity_pipeline.ledger import commands\n"
        "from identity_pipeline.ledger.store import LedgerStore\n"
        "from identity_pipeline.storage.layout import Layout\n"
        "from identity_pipeline_tests.ledger.curator import TIME, anchor, t\n"
        "store = LedgerStore(Layout(Path(sys.argv[1])))\n"
        "stamp = commands.Stamp('me', TIME, anchors=[anchor(t(1))])\n"
        f"store.commit(lambda h: commands.name(h, stamp, {name!a}, [t(1)]))\n"
    )
    bare = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    assert run(["-c", code, str(data)], 0o022, tmp_path, **bare) == ""
    asked = ["-m", "identity_pipeline", "people", "--json", "--data", str(data)]
    said = run(asked, 0o022, tmp_path, **{**bare, "PYTHONIOENCODING": "utf-8"})
    assert name in said
    assert "Traceback" not in run(asked, 0o022, tmp_path, **bare)
