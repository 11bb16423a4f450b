"""SQL over the tables: the right columns always, one row per thing, nothing but reading."""

from __future__ import annotations

import io
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from identity_pipeline.settings import CatalogueSettings
from identity_pipeline.storage.catalogue.catalogue import (
    Catalogue,
    CatalogueError,
    jsonable,
    open_catalogue,
)
from identity_pipeline.storage.catalogue.views import VIEWS
from identity_pipeline.storage.files.hashing import sha256_of_file
from identity_pipeline.storage.files.recorded import DamagedTableError
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.library.generations import Generations
from identity_pipeline.storage.video.outputs import TABLE
from identity_pipeline.storage.video.packs import pack
from identity_pipeline.storage.video.tables import Manifest, TableStore
from identity_pipeline.tables import LATER, TABLES
from identity_pipeline_tests.storage.small_library import (
    RIDE_A,
    RIDE_B,
    name_track,
    put,
    put_library,
    started,
    write_ride,
)

PERSON = "11111111-1111-4111-8111-111111111111"
SETTINGS = CatalogueSettings()
WRITER = """
for n in range(10_000):
    size = 500 if n % 2 else 900
    put(store, "frames", RIDE_A, [{"frame_idx": size, "face_count": i} for i in range(size)])
    (root / "begun").touch()
    if (root / "stop").exists():
        break
    time.sleep(0.1)
"""


def ask(layout: Layout, sql: str) -> list[tuple[object, ...]]:
    with open_catalogue(layout, SETTINGS) as catalogue:
        return catalogue.query(sql).rows


@pytest.fixture(params=["by themselves", "packed"])
def store(tmp_path: Path, request: pytest.FixtureRequest) -> TableStore:
    """A small library in a folder with every awkward character, once with a packed ride."""
    store = TableStore(Layout(tmp_path / 'it\'s "da[t]a*?" $HOME; é'))
    for seed, video_id in enumerate((RIDE_A, RIDE_B)):
        write_ride(store, video_id, seed=seed)
        put(
            store,
            "face_detections",
            video_id,
            [{"face_id": f"{i:06d}-0", "frame_idx": i, "score": 0.9} for i in range(8)],
        )
        put(
            store,
            "riders",
            video_id,
            [{"track_id": t, "person_id": t, "reason": "rider"} for t in (0, 1)],
        )
        put(store, "ride_video", video_id, [{"video_id": video_id, "path": "/r.mp4", "width": 7}])
        put(store, "frames", video_id, [{"frame_idx": i, "face_count": 1} for i in range(8)])
    name_track(store, RIDE_A, 1, PERSON)
    put_library(store, "people", [{"person_id": PERSON, "name": "Ada", "state": "active"}])
    if request.param == "packed":
        assert pack(store.layout, RIDE_A, 2**62, "frames")
    return store


def test_an_empty_folder_has_all_views_with_all_columns(store: TableStore, tmp_path: Path) -> None:
    with open_catalogue(Layout(tmp_path / "none"), SETTINGS) as catalogue:
        empty = catalogue.views()
    with open_catalogue(store.layout, SETTINGS) as catalogue:
        full = catalogue.views()
    assert [view.name for view in empty] == list(VIEWS)
    assert not any(view.rows for view in empty)
    assert [view.columns for view in empty] == [view.columns for view in full]


def test_a_statement_gets_the_views_that_it_names_and_the_same_rows(store: TableStore) -> None:
    for statement in (
        "SELECT count(*) FROM videos",
        'SELECT count(*) FROM Faces JOIN "tracks" USING (video_id, track_id)',
        "FROM raw.riders ORDER BY ALL",
        "DESCRIBE images",
    ):
        with open_catalogue(store.layout, SETTINGS, statement) as catalogue:
            assert catalogue.query(statement).rows == ask(store.layout, statement)
            made = catalogue.query("SELECT view_name FROM duckdb_views() WHERE NOT internal").rows
            assert 0 < len(made) < len(VIEWS) + len(TABLES) - 5, statement
    for statement in ("SHOW TABLES", "SELECT 1", "FROM information_schema.tables"):
        with open_catalogue(store.layout, SETTINGS, statement) as catalogue:
            assert catalogue.query("SELECT count(*) FROM videos").rows[0][0] == 2
    wrong = "SELECT * FROM videos JOIN clips USING (video_id)"
    with (
        open_catalogue(store.layout, SETTINGS, wrong) as catalogue,
        pytest.raises(CatalogueError, match="Views: videos, frames"),
    ):
        catalogue.query(wrong)


def test_a_damaged_table_is_named_and_its_values_are_not_told(store: TableStore) -> None:
    """One byte of a value is another one; the file looks as before in its folder."""
    layout, question = store.layout, "SELECT max(score) FROM faces"
    packed = layout.pack(RIDE_A)
    path = packed if packed.exists() else layout.table("face_detections", RIDE_A)
    assert ask(layout, question) == [(pytest.approx(0.9),)]
    whole, before = path.read_bytes(), path.stat()
    where = store.outputs.read("face_detections", RIDE_A, TABLE)
    at = whole.index(where) + where.index(b"PAR1") + 40
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with open_catalogue(layout, SETTINGS) as catalogue:
        with pytest.raises(DamagedTableError, match=r"face_detections.*`identity-pipeline run"):
            catalogue.query(question)
        assert catalogue.query("SELECT count(*) FROM raw.riders").rows
        assert {view.name for view in catalogue.views()} == VIEWS.keys()  # what there is is told
    path.write_bytes(whole)
    assert ask(layout, question) == [(pytest.approx(0.9),)]


def test_stored_tables_are_there_as_they_are(store: TableStore) -> None:
    with open_catalogue(store.layout, SETTINGS) as catalogue:
        for asset in TABLES.keys() - {"image_set"}:
            columns = catalogue.query(f"FROM raw.{asset}").columns
            expected = list(TABLES[asset])
            assert [c for c in columns if c != "video_id"] == [
                c for c in expected if c != "video_id"
            ]


def test_a_library_table_of_an_older_version_has_its_later_columns_as_nulls(
    tmp_path: Path,
) -> None:
    layout = Layout(tmp_path)
    put_library(TableStore(layout), "calibration", [{"name": "assign", "in_effect": 0.5}])
    with Generations(layout).open() as snapshot:
        path = snapshot.path("calibration")
        older = snapshot.table("calibration").drop(sorted(LATER["calibration"]))
        older.write_parquet(path)
        snapshot.note("calibration", Manifest("f", sha256_of_file(path), older.height))
    sql = "SELECT name, in_effect, far_bound, safe_from FROM raw.calibration"
    assert ask(layout, sql) == [("assign", 0.5, None, None)]


def test_views_have_one_row_per_thing(store: TableStore) -> None:
    layout = store.layout
    count = "SELECT count(*), count(DISTINCT (video_id, face_id)) FROM faces"
    assert ask(layout, count) == [(16, 16)]
    assert ask(layout, "SELECT count(*) FROM tracks") == [(4,)]
    assert ask(layout, "SELECT count(*), count(DISTINCT (video_id, file)) FROM images") == [
        (16, 16)
    ]
    row = "SELECT frames, faces, riders, images, width FROM videos ORDER BY video_id LIMIT 1"
    assert ask(layout, row) == [(8, 8, 2, 8, 7)]


def test_the_library_reaches_every_view(store: TableStore) -> None:
    views, found = ("faces", "tracks", "images", "people"), {}
    for view in views:
        people = [person for (person,) in ask(store.layout, f"SELECT person_id FROM {view}")]  # noqa: S608
        found[view] = people.count(PERSON)
    assert found == {"faces": 4, "tracks": 1, "images": 4, "people": 1}
    named = "SELECT name, origin, video_id, track_id FROM assignments"
    assert ask(store.layout, named) == [("Ada", "human", RIDE_A, 1)]


def test_runs_are_what_the_manifests_say(store: TableStore) -> None:
    rows = ask(store.layout, "SELECT asset, video_id, rows FROM runs ORDER BY ALL")
    assert ("riders", RIDE_A, 2) in rows and ("people", None, 1) in rows
    assert all(t for (t,) in ask(store.layout, "SELECT written_at FROM runs"))


def test_events_are_the_whole_lines_of_the_ledger(store: TableStore) -> None:
    events = [
        {"seq": 1, "kind": "name", "name": "Ada \u00e9", "subjects": ["track:a:1"]},
        {"seq": 2, "kind": "undo", "event_id": "x"},
    ]
    lines = [json.dumps(event, ensure_ascii=False) for event in events]
    store.layout.ledger.parent.mkdir()
    for text, expected in (("", 0), ("\n".join(lines), 1), ("\n".join([*lines, ""]), 2)):
        store.layout.ledger.write_text(text, encoding="utf-8")
        assert len(ask(store.layout, "FROM events")) == expected
    rows = ask(store.layout, "SELECT seq, name, subjects, event_id FROM events ORDER BY seq")
    assert rows == [(1, "Ada \u00e9", ["track:a:1"], None), (2, None, None, "x")]
    assert ask(store.layout, "SELECT event ->> 'kind' FROM events WHERE seq = 2") == [("undo",)]
    store.layout.ledger.write_text("no json\n" + "\n".join([*lines, ""]))
    with pytest.raises(CatalogueError, match="no json"):
        ask(store.layout, "FROM events")


def test_failures_are_with_their_video(store: TableStore) -> None:
    folder = store.layout.root / "failures"
    folder.mkdir()
    note = {"code": "empty", "sentence": "It's empty.", "asset": "a", "permanent": True}
    (folder / f"{RIDE_B}.json").write_text(json.dumps(note))
    failed = "SELECT video_id, failure FROM videos WHERE failure IS NOT NULL"
    assert ask(store.layout, failed) == [(RIDE_B, "empty")]


@pytest.mark.parametrize(
    "sql",
    [
        "COPY faces TO '{root}/out.csv'",
        "COPY faces TO '{root}/tables/out.parquet'",
        "EXPLAIN ANALYZE COPY faces TO '{root}/tables/out.parquet'",
        "explain (analyze) copy faces to '{root}/tables/out.parquet'",
        "/* x */ EXPLAIN ANALYZE COPY faces TO '{root}/tables/out.parquet'",
        "FROM query('COPY faces TO ''{root}/tables/out.parquet''')",
        "EXPORT DATABASE '{root}/tables/out'",
        "CREATE TABLE t AS SELECT 1",
        "CREATE TEMP TABLE t AS SELECT 1",
        "CREATE OR REPLACE VIEW faces AS SELECT 1",
        "DROP VIEW faces",
        "DELETE FROM faces",
        "WITH t AS (DELETE FROM faces RETURNING *) FROM t",
        "ATTACH '{root}/tables/out.db'",
        "ATTACH ':memory:' AS other",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "RESET ALL",
        "PRAGMA database_list",
        "CALL pragma_version()",
        "SELECT 1; DROP VIEW faces",
        "SELECT 1; SELECT 2",
        "",
        "-- nothing",
        "FROM read_csv('/etc/passwd')",
        "FROM '/etc/passwd'",
        "FROM read_text('{root}/../secret.txt')",
        "FROM read_text('{root}/tables/../../secret.txt')",
        "FROM read_text('{root}/videos/*')",
        "FROM glob('/etc/*')",
        "FROM read_parquet('https://example.com/a.parquet')",
        "FROM enable_logging(storage = 'file', storage_config = {{'path': '{root}/tables/log'}})",
        "FROM this_is_a_python_variable",
    ],
)
def test_nothing_but_reading_the_tables(tmp_path: Path, sql: str) -> None:
    this_is_a_python_variable = pl.DataFrame({"a": [1]})
    assert this_is_a_python_variable.height
    layout = Layout(tmp_path / "data")
    (layout.root / "tables").mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("secret")
    before = sorted(tmp_path.rglob("*"))
    with open_catalogue(layout, SETTINGS) as catalogue:
        with pytest.raises(CatalogueError):
            catalogue.query(sql.format(root=layout.root))
        with pytest.raises(CatalogueError):
            catalogue.write_csv(sql.format(root=layout.root), io.StringIO())
        assert catalogue.query("SELECT count(*) FROM faces").rows == [(0,)]
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "sql",
    ["EXPLAIN SELECT 1", "explain analyze select 1", "DESCRIBE faces", "SHOW TABLES", "VALUES (1)",
     "SUMMARIZE frames", "FROM faces", "WITH a AS (SELECT 1) FROM a", "SELECT 1;"],
)  # fmt: skip
def test_every_way_of_reading_is_allowed(tmp_path: Path, sql: str) -> None:
    assert isinstance(ask(Layout(tmp_path), sql), list)


def test_a_query_that_is_too_large_says_so(tmp_path: Path) -> None:
    with (
        open_catalogue(Layout(tmp_path), CatalogueSettings(memory_mb=64)) as catalogue,
        pytest.raises(CatalogueError, match="memory_mb"),
    ):
        catalogue.query("SELECT range FROM range(50_000_000) ORDER BY hash(range)", 1)


def test_a_limit_says_that_there_is_more(store: TableStore) -> None:
    with open_catalogue(store.layout, SETTINGS) as catalogue:
        answer = catalogue.query("FROM faces", limit=5)
        assert len(answer.rows) == 5 and answer.more
        assert not catalogue.query("FROM faces", limit=16).more
        stream = io.StringIO()
        assert catalogue.write_csv("SELECT video_id, face_id FROM faces ORDER BY ALL", stream) == 16
    assert stream.getvalue().startswith(f"video_id,face_id\n{RIDE_A},000000-0\n")


def test_readers_beside_a_writer_see_a_table_whole(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    writer: subprocess.Popen[str] = started(WRITER, tmp_path)
    try:
        while not (tmp_path / "begun").exists():
            assert writer.poll() is None, writer.communicate()
            time.sleep(0.02)
        seen = set()
        whole = "SELECT min(frame_idx), max(frame_idx), count(*), max(face_count) + 1 FROM frames"
        with open_catalogue(layout, SETTINGS) as one, open_catalogue(layout, SETTINGS) as two:
            while len(seen) < 2:
                for catalogue in (one, two):
                    seen |= set(catalogue.query(whole).rows)
    finally:
        (tmp_path / "stop").touch()
    assert writer.wait(60) == 0
    assert seen == {(500,) * 4, (900,) * 4}


class Meddling:
    """A connection under which a table is replaced whenever a statement was bound and run."""

    def __init__(self, connection: Any, replace: Callable[[], None], times: int) -> None:
        self.connection, self.replace, self.times = connection, replace, times

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)

    def execute(self, sql: str) -> Any:
        cursor = self.connection.execute(sql)
        if self.times:
            self.times -= 1
            self.replace()
        return cursor


def test_a_query_is_run_again_when_a_table_was_replaced_under_it(tmp_path: Path) -> None:
    store, rows = TableStore(Layout(tmp_path)), [{"frame_idx": 0, "face_count": 1}]

    def grow() -> None:
        rows.append({"frame_idx": len(rows), "face_count": 1})
        put(store, "frames", RIDE_A, rows)
        put(store, "riders", RIDE_A, [])

    grow()
    with open_catalogue(store.layout, SETTINGS) as catalogue:
        for times, sql, count in (
            (1, "FROM frames", 3),
            (2, "FROM faces", 0),
            (0, "FROM frames", 5),
        ):
            meddling = Catalogue(
                Meddling(catalogue.connection, grow, times), store.layout, catalogue.views_made
            )
            assert len(meddling.query(sql).rows) == count
            stream = io.StringIO()
            assert meddling.write_csv(sql, stream) == count == stream.getvalue().count("\n") - 1
        restless = Catalogue(
            Meddling(catalogue.connection, grow, 1000), store.layout, catalogue.views_made
        )
        with pytest.raises(CatalogueError, match="replaced each of the"):
            restless.query("FROM frames")
        assert restless.query("FROM events").rows == []


def test_values_become_json() -> None:
    import datetime
    import uuid

    moment = datetime.datetime(2020, 1, 2, 3, 4, 5)  # noqa: DTZ001  DuckDB's have no zone
    values = [1, 1.5, "a", None, True, moment, b"xy", [moment, None], uuid.UUID(int=1)]
    assert json.loads(json.dumps([jsonable(value) for value in values])) == [
        1, 1.5, "a", None, True, "2020-01-02T03:04:05", "<2 bytes>", ["2020-01-02T03:04:05", None],
        "00000000-0000-0000-0000-000000000001",
    ]  # fmt: skip
