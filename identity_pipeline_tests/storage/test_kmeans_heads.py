"""K-means heads at rest: whole, of one space and schema, and refused otherwise."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from identity_pipeline.core.heads.kmeans import KMeansHeads, PersonHead
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.library.kmeans_heads import (
    ARRAYS,
    NOTE,
    KMeansHeadsError,
    KMeansHeadStore,
    StoredHeads,
)
from identity_pipeline_tests.core.builders import plane

SPACE = "pack/net@0123456789ab/4"


def head(person: str, *angles: float) -> PersonHead:
    return PersonHead(
        person,
        np.array([plane(a) for a in angles], dtype=np.float32),
        np.linspace(0.8, 0.9, len(angles)),
        np.linspace(0.1, 0.2, len(angles)),
        np.arange(3, 3 + len(angles)),
        2,
        1,
    )


def stored(*people: PersonHead, space: str = SPACE) -> StoredHeads:
    heads = KMeansHeads(space, people)
    return StoredHeads(heads, "f", "2026-01-02T03:04:05Z", {"tracks": 2}, {"auc": None})


@pytest.fixture
def shelf(tmp_path: Path) -> KMeansHeadStore:
    return KMeansHeadStore(Layout(tmp_path))


def test_what_is_saved_is_loaded(shelf: KMeansHeadStore) -> None:
    before = stored(head("a", 0, 50), head("b", 90))
    shelf.save(before)
    after = shelf.load(SPACE)
    assert replace(after, heads=before.heads) == before
    for one, other in zip(before.heads.people, after.heads.people, strict=True):
        assert (one.person_id, one.tracks, one.videos) == (
            other.person_id, other.tracks, other.videos,
        )  # fmt: skip
        for name in ("centres", "strengths", "spreads", "members"):
            assert np.array_equal(getattr(one, name), getattr(other, name))


def test_equal_heads_are_equal_bytes(shelf: KMeansHeadStore) -> None:
    folder = shelf.save(stored(head("a", 0)))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    shelf.save(stored(head("a", 0)))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert set(before) == {NOTE, ARRAYS}


def test_people_and_spaces_that_are_gone_leave_nothing(shelf: KMeansHeadStore) -> None:
    old = shelf.save(stored(head("gone", 0), space="old@0/4"))
    shelf.save(stored(head("gone", 0), head("stays", 90)))
    folder = shelf.save(stored(head("stays", 90)))
    assert not old.exists()
    assert b"gone" not in (folder / NOTE).read_bytes()
    assert [p.person_id for p in shelf.load(SPACE).heads.people] == ["stays"]
    assert shelf.clear() and not shelf.clear()
    assert not folder.exists()


def test_heads_of_another_space_are_refused(shelf: KMeansHeadStore) -> None:
    with pytest.raises(KMeansHeadsError, match=r"no k-means heads .* train the heads again"):
        shelf.load(SPACE)
    folder = shelf.save(stored(head("a", 0)))
    with pytest.raises(KMeansHeadsError, match=rf"of the space {SPACE}, the library is of other@1"):
        shelf.load("other@1/4")
    folder.rename(shelf.folder("other@1/4"))
    with pytest.raises(KMeansHeadsError, match=rf"heads of the space {SPACE}, not of other@1"):
        shelf.load("other@1/4")


def test_another_schema_is_refused(shelf: KMeansHeadStore) -> None:
    folder = shelf.save(stored(head("a", 0)))
    note = json.loads((folder / NOTE).read_text())
    (folder / NOTE).write_text(json.dumps(note | {"schema_version": 99}))
    with pytest.raises(KMeansHeadsError, match="schema 99, this version reads 1; train"):
        shelf.load(SPACE)
    for junk in ("{", "[]", "null"):
        (folder / NOTE).write_text(junk)
        with pytest.raises(KMeansHeadsError, match="cannot be read; train"):
            shelf.load(SPACE)


def test_files_that_do_not_belong_together_are_refused(shelf: KMeansHeadStore) -> None:
    folder = shelf.save(stored(head("a", 0)))
    (folder / ARRAYS).write_bytes((folder / ARRAYS).read_bytes() + b" ")
    with pytest.raises(KMeansHeadsError, match=r"is not the file that heads\.json was written for"):
        shelf.load(SPACE)
