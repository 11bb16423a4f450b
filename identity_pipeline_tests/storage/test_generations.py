"""Generations: all tables of a run are seen, or none; a crash leaves the one in force."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.storage.files.recorded import DamagedTableError
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.folder import disk
from identity_pipeline.storage.folder.disk import Droppable
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.library import generations as module
from identity_pipeline.storage.library.generations import KEPT, Generations
from identity_pipeline.storage.library.snapshots import NoGenerationError
from identity_pipeline.storage.video.tables import Manifest, TableStore
from identity_pipeline.tables import LIBRARY_TABLES, SchemaError, empty

ROOT = Path(__file__).parents[2]
PUBLISHED = 40


def tables(number: int) -> dict[str, pl.DataFrame]:
    """Tables of which each says which generation it is of."""
    made = {name: empty(name) for name in LIBRARY_TABLES}
    clusters = [{"cluster_id": i, "track_count": 2} for i in range(number)]
    made["unknown_clusters"] = pl.DataFrame(clusters, schema=made["unknown_clusters"].schema)
    people = [{"person_id": str(i), "name": str(number)} for i in range(number)]
    made["people"] = pl.DataFrame(people, schema=made["people"].schema)
    return made


def publish(kept: Generations, number: int) -> None:
    kept.publish(tables(number), f"{number:064d}", space="s", next_cluster_id=number)


@pytest.fixture
def kept(tmp_path: Path) -> Generations:
    return Generations(Layout(tmp_path / "data"))


def clusters(kept: Generations) -> int:
    with kept.open() as snapshot:
        return snapshot.table("unknown_clusters").height


def names(kept: Generations) -> list[int]:
    return sorted(int(path.name[:6]) for path in kept.root.glob("0*"))


def test_nothing_is_there_before_the_first(kept: Generations) -> None:
    assert kept.current() is None
    assert kept.find() is None
    assert kept.newest_whole() is None
    assert kept.rows("people") is None
    with pytest.raises(NoGenerationError, match="recluster"):
        kept.open()


def test_readers_see_the_last_and_the_one_before_is_kept(kept: Generations) -> None:
    for number in (1, 2, 3):
        publish(kept, number)
    with kept.open() as current:
        previous = kept.before(current)
        assert previous
        assert (current.number, previous.number) == (3, 2)
        assert current.table("unknown_clusters").height == 3
        assert previous.table("unknown_clusters").height == 2
        first = kept.before(previous)
        assert first and first.number == 1 and kept.before(first) is None
    assert kept.rows("people") == 3


def test_there_is_no_way_to_a_table_but_an_open_generation() -> None:
    assert not hasattr(Generations, "read")
    assert not hasattr(Generations, "previous")
    assert "None" not in str(TableStore.read.__annotations__["video_id"])


def test_only_the_last_few_are_kept(kept: Generations) -> None:
    for number in range(1, KEPT + 4):
        publish(kept, number)
    assert len(names(kept)) == KEPT


def test_an_open_generation_is_of_one_moment_and_stays(kept: Generations) -> None:
    publish(kept, 1)
    snapshot = kept.open()
    for number in range(2, KEPT + 4):
        publish(kept, number)
    assert snapshot.table("people").height == snapshot.table("unknown_clusters").height == 1
    assert snapshot.files()["people.parquet"]
    assert 1 in names(kept)
    snapshot.close()
    publish(kept, 9)
    assert len(names(kept)) == KEPT and 1 not in names(kept)


def test_a_generation_that_is_dropped_without_closing_is_free_again(kept: Generations) -> None:
    publish(kept, 1)
    snapshot = kept.open()
    assert snapshot.number == 1
    del snapshot
    for number in range(2, KEPT + 3):
        publish(kept, number)
    assert 1 not in names(kept)


def test_cleaning_leaves_an_open_generation_alone(kept: Generations) -> None:
    for number in (1, 2, 3):
        publish(kept, number)
    with kept.open() as third:
        second = kept.before(third)
        assert second
        first = kept.before(second)
    assert first
    things = [t for t in disk.droppable(kept.layout, 0.0) if t.kind == "generations"]
    assert [thing.path for thing in things] == [first.folder]
    assert disk.drop(kept.layout, things) == 0
    assert first.table("people").height == 1
    first.close()
    assert disk.drop(kept.layout, things) > 0
    assert names(kept) == [2, 3]
    assert disk.drop(kept.layout, [Droppable("generations", first.folder, 7)]) == 7  # gone already


def test_a_note_stays_with_the_generation_that_it_is_about(kept: Generations) -> None:
    publish(kept, 1)
    with kept.open() as snapshot:
        publish(kept, 2)
        snapshot.note("identity_profiles", Manifest("f", "f", 1))
        assert snapshot.noted("identity_profiles") == Manifest("f", "f", 1)
    with kept.open() as snapshot:
        assert snapshot.noted("identity_profiles") is None


def started(kept: Generations, code: str) -> subprocess.Popen[str]:
    """A process that has `kept`, and all of this module."""
    head = (
        "from identity_pipeline_tests.storage.test_generations import *\n"
        f"kept = Generations(Layout(Path({str(kept.layout.root)!r})))\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", head + code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_reader_that_is_killed_holds_nothing(kept: Generations) -> None:
    publish(kept, 1)
    process = started(kept, "held = kept.open()\nprint('open', flush=True)\nsignal.pause()")
    assert process.stdout and process.stdout.readline() == "open\n"
    for number in range(2, KEPT + 3):
        publish(kept, number)
    assert 1 in names(kept)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    publish(kept, 9)
    assert 1 not in names(kept)


def read_until(kept: Generations, is_over: Callable[[], bool]) -> list[str]:
    """What was wrong with what a reader saw."""
    wrong, last = [], 0
    while not is_over():
        with kept.open() as snapshot:
            seen = {snapshot.number, snapshot.table("people").height}
            seen |= {snapshot.table("unknown_clusters").height, snapshot.generation.next_cluster_id}
            seen |= {int(name) for name in snapshot.table("people")["name"].to_list()}
        if len(seen) > 1:
            wrong.append(f"mixed: {sorted(seen)}")
        if snapshot.number < last:
            wrong.append(f"{snapshot.number} after {last}")
        last = snapshot.number
    return wrong


def test_nothing_is_ever_mixed_or_missing_beside_a_publisher(kept: Generations) -> None:
    publish(kept, 1)
    publisher = started(kept, f"for n in range(2, {PUBLISHED}):\n    publish(kept, n)")
    wrong: list[str] = []

    def read() -> None:
        try:
            wrong.extend(read_until(kept, lambda: publisher.poll() is not None))
        except (IdentityPipelineError, OSError) as error:
            wrong.append(repr(error))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert publisher.wait() == 0
    assert wrong == []
    assert kept.rows("people") == PUBLISHED - 1


def test_a_crash_before_the_switch_leaves_what_was_in_force(
    kept: Generations, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(kept, 1)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module.Generations, "_put_in_force", die)
        with pytest.raises(KeyboardInterrupt):
            publish(kept, 2)
    current = kept.current()
    assert current and current.number == 1
    assert clusters(kept) == 1
    publish(kept, 5)
    assert clusters(kept) == 5


def test_a_table_of_another_shape_changes_nothing(kept: Generations) -> None:
    publish(kept, 1)
    with pytest.raises(SchemaError):
        kept.publish(
            tables(2) | {"people": pl.DataFrame({"x": [1]})},
            "f" * 64,
            space="s",
            next_cluster_id=1,
        )
    assert clusters(kept) == 1


@pytest.mark.parametrize("junk", [b"", b"PAR1", None])
def test_a_table_that_is_not_what_was_written_is_refused(
    kept: Generations, junk: bytes | None
) -> None:
    """None: the table of the generation before, exchanged by hand."""
    for number in (1, 2):
        publish(kept, number)
    with kept.open() as current, kept.before(current) or current as earlier:
        there = current.path("people")
        there.write_bytes(earlier.path("people").read_bytes() if junk is None else junk)
    with kept.open() as snapshot:
        assert snapshot.table("unknown_clusters").height == 2
        with pytest.raises(DamagedTableError, match=r"people\.parquet is damaged.*recluster"):
            snapshot.table("people")
    with kept.newest_whole() or kept.open() as snapshot:
        assert snapshot.number == 1


@pytest.mark.parametrize("junk", [b"", b"[]", b"{}", b'{"number": "x"}', None])
def test_a_damaged_note_is_said_and_the_one_before_serves_for_the_next(
    kept: Generations, junk: bytes | None
) -> None:
    """None: the note is gone."""
    for number in (1, 2):
        publish(kept, number)
    note = kept.link / "generation.json"
    if junk is None:
        note.unlink()
    else:
        note.write_bytes(junk)
    for look in (kept.find, kept.current, kept.open):
        with pytest.raises(DamagedFileError, match=r"generation\.json is damaged.*recluster"):
            look()
    with kept.newest_whole() or kept.open() as snapshot:
        assert snapshot.number == 1


def test_a_table_of_an_older_version_is_read_with_nulls(kept: Generations) -> None:
    publish(kept, 2)
    with kept.open() as snapshot:
        path, noted = snapshot.path("people"), snapshot.noted("people")
        assert noted
        older = snapshot.table("people").drop("name").with_columns(gone=pl.lit(1))
        older.write_parquet(path)
        snapshot.note("people", Manifest(noted.fingerprint, module.sha256_of_file(path), 2))
    with kept.open() as snapshot:
        people = snapshot.table("people")
    assert people.columns == empty("people").columns
    assert people["name"].to_list() == [None, None]
    assert people["person_id"].to_list() == ["0", "1"]
