"""Many processes, killed processes, damaged and foreign files: no user sees a foreign error."""

from __future__ import annotations

import pickle  # noqa: TID251  what a hostile index would hold
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from identity_pipeline.stages import indexing
from identity_pipeline.storage import locks
from identity_pipeline.storage.index_client import (
    IndexDamagedError,
    IndexPlace,
    IndexUnreachableError,
)
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.tables import TableStore
from identity_pipeline.storage.vector_index import VectorIndex
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
from qdrant_client.local.persistence import CollectionPersistence
calls, whole = 0, CollectionPersistence.persist
def persist(self, point):
    global calls
    calls += 1
    if calls == 4 and WHERE == "inside":
        self.storage.execute("PRAGMA cache_size = 1")  # so that half of it reaches the file
        rows = [(f"torn{i}", bytes(4000)) for i in range(200)]
        self.storage.executemany("INSERT INTO points VALUES (?, ?)", rows)
        assert next(Path(root).rglob("storage.sqlite-journal")).stat().st_size
    if calls == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    whole(self, point)
CollectionPersistence.persist = persist
with index.open("being killed", write=True) as session:
    indexing.sync_video(store, session, RIDE_A)
"""
KILLED_REBUILD = """
from identity_pipeline.storage import index_client
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


def sqlite_file(index: VectorIndex) -> Path:
    return next(index.place.store.resolve().rglob("storage.sqlite"))


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


@pytest.mark.parametrize("where", ["between", "inside"])
def test_a_writer_killed_in_the_middle_is_known_and_mended(store: TableStore, where: str) -> None:
    code = KILLED.replace("WHERE", repr(where))
    killed = started(code, store.layout.root)
    assert killed.wait(60) == -signal.SIGKILL
    index = index_of(store)
    assert index.unfinished() == [RIDE_A]
    found = {d.video_id: (d.state, d.found) for d in indexing.check(store, index)}
    assert found == {RIDE_A: ("unfinished", 3), RIDE_B: ("missing", 0)}
    with index.open("testing", write=True) as session:
        assert indexing.sync_video(store, session, RIDE_A).written == 7
        mended = session.contents()[RIDE_A]
    assert index.unfinished() == []
    indexing.rebuild(store, index)
    with index.open("testing") as session:
        assert session.contents()[RIDE_A] == mended
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
    path = sqlite_file(index)
    data = bytearray(path.read_bytes())
    data[4096:] = bytes(len(data) - 4096)
    for torn in (bytes(data), data[:5000], b"no database at all " * 300):
        path.write_bytes(torn)
        with pytest.raises(IndexDamagedError, match="index rebuild"):
            indexing.check(store, index)
    indexing.rebuild(store, index)
    (index.place.store / "meta.json").write_text("")
    with pytest.raises(IndexDamagedError, match="index rebuild"):
        indexing.check(store, index)
    indexing.rebuild(store, index)
    assert indexing.check(store, index) == []


class Hostile:
    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("owned"),)


def test_a_foreign_pickle_is_never_run(
    store: TableStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    index = index_of(store)
    indexing.rebuild(store, index)
    with closing(sqlite3.connect(sqlite_file(index))) as database, database:
        database.execute("INSERT INTO points VALUES ('x', ?)", (pickle.dumps(Hostile()),))
    with pytest.raises(IndexDamagedError, match="not opened"):
        indexing.check(store, index)
    assert not (tmp_path / "owned").exists()


def test_another_program_in_the_folder_is_one_sentence(store: TableStore) -> None:
    from qdrant_client import QdrantClient

    index = index_of(store)
    indexing.rebuild(store, index)
    stranger = QdrantClient(path=str(index.place.store))
    try:
        with pytest.raises(IndexUnreachableError, match="another program"):
            indexing.check(store, index)
    finally:
        stranger.close()
    assert indexing.check(store, index) == []


def test_a_server_that_does_not_answer_is_one_sentence(store: TableStore) -> None:
    place = IndexPlace(store.layout.index, "http://127.0.0.1:9")
    index = VectorIndex(place, index_of(store).settings)
    with pytest.raises(IndexUnreachableError, match="QDRANT_URL"):
        indexing.check(store, index)
