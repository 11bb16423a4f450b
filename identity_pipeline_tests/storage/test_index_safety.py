"""Many processes, killed processes, damaged and foreign files: no user sees a foreign error."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from identity_pipeline.stages.library import indexing
from identity_pipeline.storage.files import locks
from identity_pipeline.storage.index.client import (
    IndexDamagedError,
    IndexPlace,
    IndexUnreachableError,
)
from identity_pipeline.storage.index.session import ReadOnlyIndexError
from identity_pipeline.storage.index.vector_index import VectorIndex
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.storage.small_library import (
    RIDE_A,
    RIDE_B,
    index_of,
    started,
    write_ride,
)

HOLD = """
with index.open("holding it", write=True) as session:
    indexing.sync_video(store, session, RIDE_A)
    (root / "held").touch()
    while not (root / "go").exists():
        time.sleep(0.02)
"""
WAIT = """
(root / "waiting").touch()
with index.open("waiting", write=True) as session:
    indexing.sync_video(store, session, RIDE_B)
"""
KILLED = """
from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.index import file as index_file
def die(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)
MOMENT
with index.open("being killed", write=True) as session:
    indexing.sync_video(store, session, RIDE_A)
"""
KILLED_REBUILD = """
from identity_pipeline.storage.index import client as index_client
def die(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)
MOMENT
indexing.rebuild(store, index)
"""


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    store = TableStore(Layout(tmp_path))
    write_ride(store, RIDE_A, seed=1)
    write_ride(store, RIDE_B, seed=2)
    return store


def until(path: Path) -> None:
    for _ in range(3000):
        if path.exists():
            return
        time.sleep(0.02)
    raise AssertionError(f"{path.name} never came")


def index_file(index: VectorIndex) -> Path:
    return index.place.store.resolve() / "points.parquet"


def test_two_processes_take_turns_and_both_succeed(store: TableStore) -> None:
    root = store.layout.root
    first = started(HOLD, root)
    until(root / "held")
    second = started(WAIT, root)
    until(root / "waiting")
    impatient = index_of(store, lock_wait_s=0.2)
    with (
        pytest.raises(locks.LockBusyError, match=rf"holding it \(process {first.pid}, since"),
        impatient.open("testing"),
    ):
        pass
    assert second.poll() is None
    (root / "go").touch()
    assert [p.wait(60) for p in (first, second)] == [0, 0], (first.stderr, second.stderr)
    assert indexing.check(store, index_of(store)) == []


def test_the_lock_ends_with_its_holder(store: TableStore) -> None:
    root = store.layout.root
    holder = started(HOLD, root)
    until(root / "held")
    holder.kill()
    holder.wait(60)
    index = index_of(store, lock_wait_s=0.2)
    assert [d.state for d in indexing.check(store, index)] == ["unfinished", "missing"]


@pytest.mark.parametrize(
    "moment",
    [
        "session_type = indexing.OpenIndex; session_type._upsert = die",
        "index_file.save = die",
        "import polars; polars.DataFrame.write_parquet = die",
    ],
)
def test_a_writer_killed_in_the_middle_is_known_and_mended(store: TableStore, moment: str) -> None:
    index = index_of(store)
    with index.open("before", write=True) as session:
        indexing.sync_video(store, session, RIDE_B)
    before = index_file(index).read_bytes()
    killed = started(KILLED.replace("MOMENT", moment), store.layout.root)
    assert killed.wait(60) == -signal.SIGKILL
    assert index_file(index).read_bytes() == before, "what was there is whole"
    assert index.unfinished() == [RIDE_A]
    assert [d.state for d in indexing.check(store, index)] == ["unfinished"]
    with index.open("testing", write=True) as session:
        assert indexing.sync_video(store, session, RIDE_A).written == 10
    assert index.unfinished() == []
    assert indexing.check(store, index) == []


@pytest.mark.parametrize(
    "moment",
    [
        "indexing.points_of_video = die",
        "Path.symlink_to = die",
        "index_client.shutil.rmtree = die",
    ],
)
def test_a_killed_rebuild_leaves_an_index_that_is_whole(store: TableStore, moment: str) -> None:
    index = index_of(store)
    indexing.rebuild(store, index)
    killed = started(KILLED_REBUILD.replace("MOMENT", moment), store.layout.root)
    assert killed.wait(60) == -signal.SIGKILL
    assert indexing.check(store, index) == []
    assert indexing.rebuild(store, index).points == 20
    assert len(list(index.place.folder.glob("store-*"))) == 1


def test_a_torn_file_is_one_sentence_and_a_rebuild_mends_it(store: TableStore) -> None:
    index = index_of(store)
    indexing.rebuild(store, index)
    path = index_file(index)
    data = path.read_bytes()
    for torn in (data[: len(data) // 2], b"", b"no table at all " * 300):
        path.write_bytes(torn)
        with pytest.raises(IndexDamagedError, match="index rebuild"):
            indexing.check(store, index)
    indexing.rebuild(store, index)
    assert indexing.check(store, index) == []


def test_equal_contents_are_equal_bytes_and_reading_changes_none(store: TableStore) -> None:
    index = index_of(store)
    indexing.rebuild(store, index)
    before = index_file(index).read_bytes()
    assert indexing.check(store, index) == []
    indexing.rebuild(store, index)
    assert index_file(index).read_bytes() == before


def test_a_write_that_would_be_lost_is_refused(store: TableStore) -> None:
    with (
        pytest.raises(ReadOnlyIndexError, match="write=True"),
        index_of(store).open("reading") as session,
    ):
        indexing.sync_video(store, session, RIDE_A)


def test_a_server_that_does_not_answer_is_one_sentence(store: TableStore) -> None:
    place = IndexPlace(store.layout.index, "http://127.0.0.1:9")
    index = VectorIndex(place, index_of(store).settings)
    with pytest.raises(IndexUnreachableError, match="QDRANT_URL"):
        indexing.check(store, index)
