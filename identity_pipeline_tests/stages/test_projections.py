"""Dropping the tables of heads of old: what is needed stays, and what went comes back equal."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from identity_pipeline.settings import Settings
from identity_pipeline.stages.library.recompute import recompute
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.folder import disk
from identity_pipeline.storage.folder.disk import Droppable
from identity_pipeline.storage.layout import Layout, UnsafePathError
from identity_pipeline.storage.library.generations import Generations
from identity_pipeline.storage.library.heads import HeadStore
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.curated_library import call
from identity_pipeline_tests.library import digest_of_tree
from identity_pipeline_tests.storage.test_heads import another, saved, trainer
from identity_pipeline_tests.teaching_library import rides, write_library

NOW = "2026-01-01T00:00:00+00:00"


@pytest.fixture(scope="module")
def three_heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that three heads were live in, one after the other."""
    root = tmp_path_factory.mktemp("heads")
    store = write_library(root, rides(3))
    head = trainer().head()
    for n in range(3):
        card = saved(HeadStore(store.layout), another(head, 1 + n))
        HeadStore(store.layout).go_live(card.head_id, NOW, "test")
        recompute(LibraryStores.of(store), Settings(), NOW)
    return root


@pytest.fixture
def store(three_heads: Path, tmp_path: Path) -> TableStore:
    """A copy of it."""
    shutil.copytree(three_heads, tmp_path, symlinks=True, dirs_exist_ok=True)
    return TableStore(Layout(tmp_path / "data"))


def projections(store: TableStore, later_s: float = 2 * disk.LIVE_S) -> list[Droppable]:
    things = disk.droppable(store.layout, time.time() + later_s)
    return [thing for thing in things if thing.kind == "projections"]


def heads_of(things: list[Droppable]) -> list[str]:
    return [thing.path.parent.name for thing in things]


def live(store: TableStore) -> tuple[str | None, ...]:
    found = HeadStore(store.layout).live()
    return (*found.earlier, found.head_id)


def test_the_live_head_and_the_one_before_keep_their_tables(store: TableStore) -> None:
    _, first, _, _ = live(store)
    assert heads_of(projections(store)) == [first]
    assert projections(store, later_s=0) == [], "they were made just now: somebody may be at it"


def test_after_a_rollback_the_library_in_force_keeps_its_tables(store: TableStore) -> None:
    heads, (_, first, second, third) = HeadStore(store.layout), live(store)
    heads.roll_back(NOW, "test")
    assert live(store)[-1] == second
    assert heads_of(projections(store)) == [], "the library is still in the third head's space"
    recompute(LibraryStores.of(store), Settings(), NOW)
    assert heads_of(projections(store)) == [third]
    assert first is not None


def test_clean_drops_them_and_rolling_back_twice_makes_them_again(store: TableStore) -> None:
    root, heads, (_, first, *_) = store.layout.root.parent, HeadStore(store.layout), live(store)
    folder = store.layout.head(str(first))
    before = digest_of_tree(folder)
    for path in (folder / "tables", *(folder / "tables").iterdir()):
        os.utime(path, (1000, 1000))
    assert "projections" in call(root, "clean", "--dry-run")
    assert digest_of_tree(folder) == before
    sums = disk.bytes_by_kind(store.layout, lambda folder: None)
    call(root, "clean", "projections")
    assert not (folder / "tables").exists() and (folder / "head.safetensors").is_file()
    freed = sums["projections"] - disk.bytes_by_kind(store.layout, lambda f: None)["projections"]
    assert 0 < freed < sums["projections"]
    for _ in range(2):
        heads.roll_back(NOW, "test")
        recompute(LibraryStores.of(store), Settings(), NOW)
    current = Generations(store.layout).current()
    assert current is not None and current.space.startswith(f"head@{first}/")
    assert digest_of_tree(folder) == before


def test_nothing_else_of_a_head_is_ever_dropped(store: TableStore) -> None:
    _, first, *_ = live(store)
    folder = store.layout.head(str(first))
    for path in (folder, folder / "head.safetensors", folder / "tables" / "face_samples"):
        with pytest.raises(UnsafePathError):
            disk.drop(store.layout, [Droppable("projections", path, 1)])
