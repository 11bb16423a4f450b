"""Words instead of tracebacks: every command, given every kind of wrong thing."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from identity_pipeline.cli.commands import COMMANDS, SENTENCES
from identity_pipeline.cli.main import cli
from identity_pipeline.errors import IdentityPipelineError, system_words
from identity_pipeline.storage.files import tracebacks

ARGUMENTS: dict[str, tuple[str, ...]] = {
    "accept-ledger": ("--dry-run",),
    "archive": ("--older-than", "1", "--dry-run"),
    "backup": ("backup.zip",),
    "camera": ("show", "cam1"),
    "clean": ("--dry-run",),
    "confirm": ("ride:1",),
    "consent": ("grant", "Ada"),
    "cover": ("Ada", "ride:1"),
    "enrol": ("Ada", "VIDEO"),
    "explain": ("ride:1",),
    "export": ("Ada", "--for", "kohya"),
    "find-more": ("Ada",),
    "forget": ("Ada",),
    "retention": (),
    "heads": (),
    "hide": ("Ada",),
    "identify": ("IMAGE",),
    "ignore": ("ride:1",),
    "index": ("status",),
    "label": ("ride:1", "--name", "Ada"),
    "merge": ("Ada", "Ben"),
    "pack": ("VIDEO",),
    "move": ("ride:1", "--to", "Ada"),
    "not-a-face": ("ride:1",),
    "picture": ("reject", "ride@000812-0"),
    "reassign": ("--dry-run",),
    "data-map": (),
    "recall": ("ride",),
    "receipts": ("list",),
    "reject": ("ride:1",),
    "rename": ("Ada", "Eve"),
    "report": ("Ada",),
    "restore": ("VIDEO",),
    "run": ("VIDEO",),
    "split": ("Ada", "ride:1"),
    "sql": ("SELECT 1",),
    "undo": ("last",),
    "unhide": ("Ada",),
    "why": ("ride", "1"),
    "worth": ("Ada",),
}
"""Of the commands that ask for something; whoever or whatever it names is not there."""
ELSEWHERE = {"settings", "models", "worker", "desk"}
"""Commands that need no data folder, or serve whatever there is until they are stopped."""
NEW = {"run", "enrol", "plan", "pools", "fetch", "publish", "restore"}
"""Commands that may begin a data folder, or need something else first."""
Place = Callable[[Path], None]


def missing(path: Path) -> None:
    assert not path.exists()


def empty(path: Path) -> None:
    path.mkdir()


def a_file(path: Path) -> None:
    path.write_text("no folder", encoding="utf-8")


def below_a_file(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_text("no folder", encoding="utf-8")


def other_things(path: Path) -> None:
    (path / "holiday").mkdir(parents=True)


def without_content(path: Path) -> None:
    for name in ("videos", "registry", "tables", "ledger"):
        (path / name).mkdir(parents=True)


def read_only(path: Path) -> None:
    without_content(path)
    for folder in (path, *path.iterdir()):
        folder.chmod(0o555)


def damaged(path: Path) -> None:
    """Every small file says nonsense."""
    without_content(path)
    (path / "registry" / "ride-00000000.json").write_text("[]", encoding="utf-8")
    (path / "ledger" / "events.jsonl").write_text("{nonsense\n", encoding="utf-8")
    (path / "models" / "heads").mkdir(parents=True)
    (path / "models" / "heads" / "live.json").write_text("[]", encoding="utf-8")


PLACES: tuple[Place, ...] = (
    missing, empty, a_file, below_a_file, other_things, without_content, read_only, damaged,
)  # fmt: skip


def call(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(cli, arguments, env={"COLUMNS": "160", **environment})


def arguments_of(command: str, folder: Path) -> list[str]:
    """Arguments of a command, with files that are there and are nonsense."""
    nonsense = {}
    for name in ("IMAGE", "VIDEO"):
        nonsense[name] = folder / f"{name}.mp4"
        nonsense[name].write_bytes(b"nonsense")
    return [str(nonsense.get(word, word)) for word in ARGUMENTS.get(command, ())]


def assert_words(result: Result) -> None:
    """A sentence, an exit status that says whose fault it is, and no traceback."""
    assert result.exit_code in (0, 1, 2), result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    assert "unforeseen" not in result.output, result.output
    assert result.output.strip()


STOPPED_AT_ONCE = (a_file, below_a_file, damaged)
"""Where `run` ends before it computes anything."""
TRIALS = [
    pytest.param(command, place, id=f"{command}-{place.__name__}")
    for command in sorted(set(COMMANDS) - ELSEWHERE)
    for place in (STOPPED_AT_ONCE if command == "run" else PLACES)
]


@pytest.mark.parametrize(("command", "place"), TRIALS)
def test_every_command_has_words_for_every_kind_of_folder(
    command: str, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "around" / "data"
    data.parent.mkdir()
    place(data)
    result = call("--data", str(data), command, *arguments_of(command, tmp_path))
    assert_words(result)
    if command not in NEW and place in (missing, a_file, below_a_file, other_things):
        assert result.exit_code == 2
        assert "data folder" in result.output and str(data) in result.output
    if data.is_dir():
        for folder in (data, *data.rglob("*")):
            folder.chmod(folder.stat().st_mode | stat.S_IRWXU)


BAD_SETTINGS = {
    "misspelt": ("[selection]\nnovelty_mim = 0.2\n", "did you mean novelty_min?"),
    "misspelt group": ("[selecton]\nnovelty_min = 0.2\n", "did you mean selection?"),
    "no group": ("novelty_min = 0.2\n", "did you mean selection.novelty_min?"),
    "one value": ("selection = 3\n", "group of settings"),
    "out of bounds": ("[selection]\nbucket_max = 0\n", "selection.bucket_max is 0"),
    "wrong type": ("[selection]\nnovelty_min = 'high'\n", "selection.novelty_min is 'high'"),
    "broken": ("[selection\n", "line 1"),
    "not ascending": ("[buckets]\nyaw_edges = [3, 2, 1]\n", "must ascend"),
}


@pytest.mark.parametrize("fault", BAD_SETTINGS)
def test_a_settings_file_that_cannot_be_used_is_one_sentence(fault: str, tmp_path: Path) -> None:
    text, words = BAD_SETTINGS[fault]
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    for arguments in (("--settings", str(path), "settings"), ("--settings", str(path), "people")):
        result = call(*arguments)
        assert_words(result)
        assert result.exit_code == 2 and words in result.output
        assert fault == "not ascending" or str(path) in result.output


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"worker"}))
def test_a_settings_file_that_is_not_there_stops_every_command(
    command: str, tmp_path: Path
) -> None:
    wrong = str(tmp_path / "nowhere.toml")
    result = call("--settings", wrong, command, *arguments_of(command, tmp_path))
    assert_words(result)
    assert result.exit_code == 2 and wrong in result.output
    assert "IDENTITY_PIPELINE_SETTINGS" not in os.environ, "it held for that call alone"


VARIABLES = {
    "IDENTITY_PIPELINE__SELECTON__NOVELTY_MIN": "IDENTITY_PIPELINE__SELECTION__NOVELTY_MIN",
    "IDENTITY_PIPELINE__SELECTION__NOVELTY_MN": "IDENTITY_PIPELINE__SELECTION__NOVELTY_MIN",
    "IDENTITY_PIPELINE_SELECTION_NOVELTY_MIN": "IDENTITY_PIPELINE__SELECTION__NOVELTY_MIN",
    "IDENTITY_PIPELINE__DATA": "Spell it so",
    "IDENTITY_PIPELINE__BUCKETS__YAW_EDGES": "JSON",
    "IDENTITY_PIPELINE__SELECTION": "JSON",
    "IDENTITY_PIPELINE__SELECTION__BUCKET_MAX": "selection.bucket_max is '0, 1'",
}


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_variable_that_is_no_setting_is_not_passed_over(variable: str) -> None:
    result = call("settings", "selection", **{variable: "0, 1"})
    assert_words(result)
    assert result.exit_code == 2 and VARIABLES[variable] in result.output


def test_a_wrong_folder_offers_the_one_that_may_be_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "tables").mkdir(parents=True)
    assert "did you mean data?" in call("people", "--data", "dota").output
    assert "did you mean data?" in call("people", "--data", "elsewhere").output, "of the settings"
    assert "did you mean data?" in call("people", "--data", "data/tables").output
    (tmp_path / "more" / "demo" / "registry").mkdir(parents=True)
    assert "did you mean more/demo?" in call("people", "--data", "more").output


def test_looking_at_a_folder_makes_nothing(tmp_path: Path) -> None:
    call("people", "--data", str(tmp_path / "typo"))
    call("pause", "--data", str(tmp_path / "typo"))
    assert not list(tmp_path.iterdir())


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception | type[BaseException]], None]:
    """Makes `people` raise."""

    def make(error: Exception | type[BaseException]) -> None:
        @click.command()
        def command() -> None:
            raise error

        monkeypatch.setattr("identity_pipeline.cli.people.people", command)

    return make


def test_an_unforeseen_error_says_its_cause_and_where_the_traceback_is(
    broken: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(ZeroDivisionError("by\nzero"))
    monkeypatch.setattr(tracebacks.tempfile, "gettempdir", lambda: str(tmp_path))
    result = call("people")
    (log,) = tmp_path.glob("*.log")
    assert result.exit_code == 1 and len(result.output.strip().splitlines()) == 1
    assert "ZeroDivisionError: by zero." in result.output and str(log) in result.output
    assert "again" not in result.output
    assert "Traceback" in log.read_text(encoding="utf-8")
    assert log.stat().st_mode & 0o077 == 0
    assert "Traceback" in call("--debug", "people").output
    assert "Traceback" in call("people", IDENTITY_PIPELINE_DEBUG="1").output


def test_its_traceback_lies_in_the_data_folder_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("identity_pipeline.stages.library.view.people_rows", fail)
    result = call("people", "--data", str(tmp_path))
    assert result.exit_code == 1
    assert len(list((tmp_path / "logs").glob("*.log"))) == 1


def test_ctrl_c_is_one_line(broken: Callable[..., None]) -> None:
    broken(KeyboardInterrupt)
    result = call("people")
    assert result.exit_code == 130 and result.output.strip() == "Stopped by Ctrl-C."


def test_an_error_of_the_product_is_its_sentence(broken: Callable[..., None]) -> None:
    class TomorrowError(IdentityPipelineError):
        """An error that no list knows."""

    broken(TomorrowError("the moon is full; wait."))
    result = call("people")
    assert (result.exit_code, result.output) == (1, "Error: the moon is full; wait.\n")


@pytest.mark.parametrize(
    ("number", "words"),
    [(28, "disk is full"), (13, "permissions"), (30, "read-only"), (20, "is a file"),
     (36, "shorter"), (24, "ulimit"), (5, "disk did not answer"), (9999, "strange")],
)  # fmt: skip
def test_errors_of_the_system_say_where_and_what_to_do(
    number: int, words: str, broken: Callable[..., None]
) -> None:
    error = OSError(number, "strange", "/some/where")
    assert "/some/where" in system_words(error) and words in system_words(error)
    broken(error)
    result = call("people")
    assert result.exit_code == 1 and words in result.output and "Traceback" not in result.output


def test_the_list_of_commands_says_what_each_says_of_itself() -> None:
    context = click.Context(cli, info_name="identity-pipeline")
    for name, sentence in SENTENCES.items():
        command = cli.get_command(context, name)
        assert command is not None and command.get_short_help_str(200) == sentence, name


def test_no_help_shows_what_is_meant_for_click() -> None:
    context = click.Context(cli, info_name="identity-pipeline")
    groups = [("", cli)] + [(n, cli.get_command(context, n)) for n in COMMANDS]
    for name, command in groups:
        assert command is not None
        within = command.commands if isinstance(command, click.Group) else {}
        for each in (command, *within.values()):
            text = each.get_help(click.Context(each, info_name=name))
            assert "\b" not in text and "\\b" not in text, name


def test_a_misspelt_command_is_answered_with_those_it_resembles() -> None:
    told = CliRunner().invoke(cli, ["recluser"])
    assert told.exit_code == 2 and "Did you mean" in told.output
    assert "'recluster'" in told.output
    told = CliRunner().invoke(cli, ["xyzzy"])
    assert told.exit_code == 2 and "Did you mean" not in told.output
