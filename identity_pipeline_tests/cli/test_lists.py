"""Lists fit where they are read: no id broken, no answer lost, nothing in a name obeyed."""

from __future__ import annotations

import json
import logging
import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from rich.text import Text

from identity_pipeline.cli import lists
from identity_pipeline.cli.inspect import KINDS
from identity_pipeline.cli.main import cli
from identity_pipeline.stages.planning.video_list import Kind

WIDTHS = (60, 80, 120, 200)
COLUMNS = ("face", "who", ">score", "what would have changed it")
ID = "a-very-long-name-of-a-video-that-somebody-chose-0123456789abcdef:12"
ANSWER = "Its track would have to be seen in 10% of the sampled frames (riders.min_presence)."
ROWS = [("000812-1", "person_0", 0.5, ANSWER), (ID, "[red]Ada[/red] \x1b[31m", None, "")]


def call(*arguments: str, width: int | None = 160) -> Result:
    environment = {"COLUMNS": None if width is None else str(width)}
    return CliRunner().invoke(cli, arguments, env=environment)


def words(text: str) -> str:
    """The words of a list, whatever it was laid out as."""
    return " ".join(re.sub(r"[│┃┏┓┗┛━─┡┩╇┴└┘┳╞╡╪]", " ", text).split())


@pytest.mark.parametrize("width", WIDTHS)
def test_a_list_fits_and_loses_nothing(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    lists.echo_table(COLUMNS, ROWS, title="Faces [of] a frame")
    shown = capsys.readouterr().out
    longer = [line for line in shown.splitlines() if len(line) > width]
    assert all(ID in line for line in longer), "only what cannot be broken is wider"
    assert ID in shown and "000812-1" in shown
    assert "Faces [of] a frame" in shown and "[red]Ada[/red] \\x1b[31m" in words(shown)
    if width < 120:  # a card for each row: the answer is read from line to line
        assert ANSWER in words(shown)
        assert "┃" not in shown
    else:
        assert all(word in shown for word in ANSWER.split())


def test_a_pipe_gets_one_line_for_each_row(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    lists.echo_table(COLUMNS, ROWS)
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.startswith("face ") and first.endswith(ANSWER) and second.startswith(ID)
    assert "│" not in first


def test_a_style_is_no_text_and_a_text_no_style(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lists.echo_table(("who",), [(Text("failed", "red"),), ("[bold]",)])
    assert "failed" in (shown := capsys.readouterr().out) and "[bold]" in shown


def test_states_of_videos_are_those_that_can_be_asked_for() -> None:
    assert tuple(kind.value for kind in Kind) == KINDS


@pytest.mark.parametrize("width", WIDTHS)
def test_groups_keep_their_ids_whole(width: int, unknown_rides: Path) -> None:
    rows = json.loads(call("clusters", "--json", "--data", str(unknown_rides / "data")).stdout)
    shown = call("clusters", "--data", str(unknown_rides / "data"), width=width).output
    assert rows
    for row in rows:
        assert f"unknown_cluster_{row['cluster_id']}" in shown
        assert str(row["representative"]).removeprefix("track:") in shown


LISTS = (
    ("videos",), ("people",), ("clusters",), ("clusters", "--noise"), ("suggestions",),
    ("events",), ("stats",), ("heads",), ("settings",), ("settings", "selection"),
    ("clean", "--dry-run"), ("archive",), ("recover", "--dry-run"), ("pools",),
    ("find-more", "PERSON"), ("explain", "TRACK"), ("status",), ("plan",), ("sql",),
    ("index", "status"), ("index", "check"),
)  # fmt: skip


@pytest.fixture(scope="session")
def looked_at(known_rides: Path) -> dict[str, str]:
    """A person and a track of the library."""
    people = json.loads(call("people", "--json", "--data", str(known_rides / "data")).stdout)
    query = "SELECT track_key FROM assignments LIMIT 1"
    tracks = json.loads(call("sql", query, "--json", "--data", str(known_rides / "data")).stdout)
    track = tracks[0]["track_key"].removeprefix("track:")
    return {"PERSON": people[0]["person_id"], "TRACK": track}


@pytest.mark.parametrize("command", LISTS, ids=" ".join)
def test_every_list_is_there_for_machines_and_at_80_columns(
    command: tuple[str, ...], known_rides: Path, looked_at: dict[str, str]
) -> None:
    words_of = [looked_at.get(word, word) for word in command]
    data = ("--data", str(known_rides / "data"))
    result = call(*data, *words_of, "--json")
    assert result.exit_code in (0, 1), result.output
    assert not result.stdout or json.loads(result.stdout) is not None
    assert result.stdout or result.stderr.startswith("Error: ")
    at_80 = call(*data, *words_of, width=80)
    assert at_80.exit_code == result.exit_code
    sentences = [line for line in at_80.stdout.splitlines() if line.startswith(("┃", "│"))]
    assert all(len(line) <= 80 for line in sentences)


HINT = re.compile(r"identity-pipeline (--data [^`;(\n]*?)(?=[`;,)(\n]| \(|$| then| next| brings)")


@pytest.mark.parametrize(
    "command",
    [("people",), ("clusters",), ("suggestions",), ("events",), ("heads",), ("recluster",),
     ("why", "nothing", "1"), ("label", "cluster 99999", "--name", "Ada"), ("explain", "nobody"),
     ("label", "cluster 1", "--name", "Ada")],
    ids=" ".join,
)  # fmt: skip
def test_a_hint_can_be_typed_as_printed(
    command: tuple[str, ...], unknown_rides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "a folder"
    shutil.copytree(unknown_rides / "data", folder, symlinks=True)
    monkeypatch.chdir(tmp_path)
    output = call("--data", str(folder), *command).output
    hints = HINT.findall(output)
    assert output.count("identity-pipeline") == output.count("identity-pipeline --data")
    for hint in hints:
        if re.search(r"\b(FILE|NAME|NUMBER|TRACK)\b", hint):  # for the reader to fill in
            continue
        again = call(*shlex.split(hint.rstrip(" .")))
        assert again.exit_code in (0, 1), (hint, again.output)
        assert "No such" not in again.output and "no data folder" not in again.output


def test_a_hint_repeats_the_settings_file_and_quotes(tmp_path: Path) -> None:
    file = tmp_path / "my settings.toml"
    file.write_text(f'[paths]\ndata = "{tmp_path / "data"}"\n', encoding="utf-8")
    (tmp_path / "data").mkdir()
    shown = call("--settings", str(file), "people").output
    assert f"identity-pipeline --settings '{file}' clusters" in shown


def test_what_the_package_warns_of_is_one_sentence_on_standard_error(tmp_path: Path) -> None:
    variable = {"IDENTITY_PIPELINE__BANK__TEMPERATURE": "0.2"}
    said = CliRunner().invoke(cli, ["--data", str(tmp_path), "settings"], env=variable)
    assert said.stderr.count("remove them: bank.temperature.") == 1
    assert "bank.temperature" not in said.stdout


def test_a_warning_that_cannot_be_shown_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(text: str, *, err: bool) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(lists, "say", gone)
    monkeypatch.setattr(logging, "raiseExceptions", False)
    with lists.telling():
        logging.getLogger("identity_pipeline.storage.anything").warning("damaged")
