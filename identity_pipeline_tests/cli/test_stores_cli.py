"""`index` and `sql` on the command line."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from identity_pipeline.cli.main import cli
from identity_pipeline.storage.catalogue.views import VIEWS
from identity_pipeline.storage.files import locks
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.storage.small_library import RIDE_A, RIDE_B, index_of, write_ride


@pytest.fixture
def data(tmp_path: Path) -> str:
    store = TableStore(Layout(tmp_path / "data"))
    for seed, video_id in enumerate((RIDE_A, RIDE_B)):
        write_ride(store, video_id, seed=seed)
    return str(tmp_path / "data")


def call(*arguments: str, data: str, text: str | None = None) -> Result:
    return CliRunner().invoke(cli, [*arguments, "--data", data], env={"COLUMNS": "200"}, input=text)


def test_check_rebuild_and_status_tell_one_story(data: str) -> None:
    before = call("index", "check", data=data)
    assert before.exit_code == 1 and before.output.count("missing") == 2
    assert "index rebuild" in before.output
    assert "20 points of 2 videos" in call("index", "rebuild", data=data).output
    after = call("index", "check", data=data)
    assert after.exit_code == 0 and "2 videos, all as the tables say" in after.output
    facts = json.loads(call("index", "status", "--json", data=data).output)
    assert [c["count"] for c in facts["collections"]] == [20] and facts["unfinished"] == []
    assert json.loads(call("index", "check", "--json", data=data).output) == []


def test_status_names_unfinished_videos(data: str) -> None:
    assert "It is empty" in call("index", "status", data=data).output
    index = index_of(TableStore(Layout(Path(data))))
    index.place.markers.mkdir()
    (index.place.markers / RIDE_A).touch()
    assert f"1 unfinished: {RIDE_A}" in call("index", "status", data=data).output
    call("index", "rebuild", data=data)
    assert f"unfinished: {RIDE_A}" not in call("index", "status", data=data).output


def test_status_advises_a_server_for_many_points(
    data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("index", "rebuild", data=data)
    monkeypatch.setenv("IDENTITY_PIPELINE__INDEX__EMBEDDED_POINTS_MAX", "19")
    assert "QDRANT_URL" in call("index", "status", data=data).output


def test_a_busy_index_is_one_sentence_that_names_who(
    data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_PIPELINE__INDEX__LOCK_WAIT_S", "0.1")
    place = index_of(TableStore(Layout(Path(data)))).place
    with locks.exclusive(place.lock, "The vector index", "drinking tea", 1):
        result = call("index", "status", data=data)
    assert result.exit_code == 1 and "in use by drinking tea (process" in result.output


def test_a_rebuild_that_leaves_videos_out_says_which(data: str) -> None:
    store = TableStore(Layout(Path(data)))
    templates = store.read("track_templates", RIDE_B)
    write_ride(store, RIDE_B, space="face@000000000000/8")
    store.write("track_templates", RIDE_B, templates, "of another recogniser")
    result = call("index", "rebuild", data=data)
    assert result.exit_code == 1
    assert f"left out {RIDE_B}" in result.output and RIDE_A not in result.output
    assert "10 points of 1 videos" in result.output


def test_a_rebuild_takes_in_the_videos_of_every_vision_encoder(data: str) -> None:
    write_ride(TableStore(Layout(Path(data))), RIDE_B, vision="vision@000000000000/6")
    assert "20 points of 2 videos" in call("index", "rebuild", data=data).output
    facts = json.loads(call("index", "status", "--json", data=data).output)
    assert [c["count"] for c in facts["collections"]] == [10, 10]
    assert call("index", "check", data=data).exit_code == 0


def test_sql_without_a_query_lists_the_views(data: str) -> None:
    output = call("sql", data=data).output
    assert all(name in output for name in VIEWS) and "crop_x1" in output
    views = {
        view["name"]: view["rows"] for view in json.loads(call("sql", "--json", data=data).output)
    }
    assert views["images"] == 16 and views["events"] == 0


def test_sql_help_lists_the_views_and_examples_that_work(data: str) -> None:
    output = CliRunner().invoke(cli, ["sql", "--help"]).output
    assert all(f"  {name} " in output for name in VIEWS)
    queries = [part.split('"')[1] for part in output.split("identity-pipeline sql ")[1:]]
    assert len(queries) == 3
    for query in queries:
        assert call("sql", query, data=data).exit_code == 0, query


def test_sql_prints_tables_csv_and_json(data: str) -> None:
    query = (
        "SELECT video_id, set, count(*) AS n, NULL AS nothing FROM images GROUP BY ALL ORDER BY ALL"
    )
    assert "8 rows." in call("sql", query, data=data).output
    cut = call("sql", query, "--limit", "3", data=data).output
    assert "The first 3 rows" in cut
    rows = json.loads(call("sql", query, "--json", data=data).output)
    assert rows[0] == {"video_id": RIDE_A, "set": "anchor", "n": 2, "nothing": None}
    lines = list(csv.DictReader(call("sql", query, "--csv", data=data).output.splitlines()))
    assert len(lines) == 8 and lines[0]["n"] == "2"
    piped = call("sql", "-", "--json", data=data, text=query)
    assert json.loads(piped.output) == rows


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("DROP VIEW faces", "read only"),
        ("FROM read_csv('/etc/passwd')", "no other file"),
        ("FROM nowhere", "Views: videos"),
        ("SELECT nothing FROM faces", "nothing"),
    ],
)
def test_a_query_that_cannot_be_is_one_sentence(data: str, query: str, sentence: str) -> None:
    result = call("sql", query, data=data)
    assert result.exit_code == 1
    assert sentence in result.output and "Traceback" not in result.output


def test_csv_and_json_exclude_each_other(data: str) -> None:
    assert call("sql", "SELECT 1", "--csv", "--json", data=data).exit_code == 2
