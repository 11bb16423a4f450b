"""Whom a forgetting is about, and everything that derives from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from identity_pipeline.stages.curation.snapshot import CurationError, LibrarySnapshot
from identity_pipeline.stages.privacy.footprint import Footprint, FootprintError, footprint_of
from identity_pipeline.stages.privacy.whom import find_whom, remarks
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.video.registry import VideoRegistry
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.curated_library import asked, call, write_rides

NOW = "2026-01-02T03:04:05Z"


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    made = write_rides(tmp_path)
    call(tmp_path, "recluster")
    call(tmp_path, "label", "ride-a:1", "--name", "Ada")
    call(tmp_path, "label", "cluster", "2", "--name", "Ben")
    call(tmp_path, "recluster")
    return made


def opened(store: TableStore) -> LibrarySnapshot:
    return LibrarySnapshot.open(LibraryStores.of(store), NOW, write=False)


def found(store: TableStore, word: str, **options: Any) -> Footprint:
    library = opened(store)
    return footprint_of(library, find_whom(library, word), **options)


def short(subjects: object) -> list[str]:
    """`track:ride-a-0123abcd:1` and `ride-a-0123abcd` as `ride-a:1` and `ride-a`."""
    names = [str(one).removeprefix("track:").split(":") for one in subjects]  # type: ignore[attr-defined]
    return [":".join([name.rpartition("-")[0], *rest]) for name, *rest in names]


def test_a_person_is_all_their_tracks_and_faces_and_the_machine_s_are_told_apart(
    store: TableStore, tmp_path: Path
) -> None:
    ada = found(store, "Ada")
    assert [(*short([t.subject]), t.how) for t in ada.tracks] == [
        ("ride-a:1", "confirmed"),
        ("ride-b:1", "machine"),
    ]
    assert {short([v])[0]: len(faces) for v, faces in ada.faces.items()} == {
        "ride-a": 3, "ride-b": 3,
    }  # fmt: skip
    [face, *_] = ada.faces[ada.tracks[0].video_id]
    assert (face.face_id, face.frame_idx, face.box) == ("000000-0", 0, (100.0, 0.0, 160.0, 60.0))
    assert short(ada.shared) == ["ride-a", "ride-b"]
    assert ada.videos == ()
    assert short(found(store, "Ada", confirmed_only=True).subjects) == ["ride-a:1"]
    [machine, perhaps] = remarks(opened(store), ada)
    assert "ride-b" in machine and "--confirmed-only" in machine
    assert "ride-c" in perhaps and "stays" in perhaps  # the machine only suggests it
    call(tmp_path, "label", "ride-d:1", "--name", "Bo")
    call(tmp_path, "merge", "Bo", "Ada")
    call(tmp_path, "rename", "Ada", "Kim")
    both = found(store, "Kim")
    assert both.names == ("Ada", "Bo", "Kim")
    assert len(both.person_ids) == 2
    assert short(both.videos) == ["ride-d"]  # its only rider goes
    assert found(store, "Kim", sources="none").videos == ()


def test_a_ride_goes_whole_when_nobody_else_rides_in_it(store: TableStore, tmp_path: Path) -> None:
    call(tmp_path, "label", "ride-d:1", "--name", "Bo")
    bo = found(store, "Bo")
    assert short(bo.videos) == ["ride-d"]
    assert bo.shared == ()
    assert bo.inbox == ()  # its file lies outside the data folder, and is somebody else's
    assert [Path(path).name for path in bo.elsewhere] == ["ride-d.mp4"]
    inside = store.layout.videos / "again.mp4"
    inside.parent.mkdir()
    inside.write_bytes(b"ride-d")
    VideoRegistry(store.layout).register(inside)
    assert found(store, "Bo").inbox == (str(inside.resolve()),)
    ride = found(store, "ride-a")
    assert (ride.kind, short(ride.videos), ride.person_ids) == ("video", ["ride-a"], ())
    words = "\n".join(remarks(opened(store), ride))
    assert "Ada is somebody whose tracks go here, and stays" in words
    track = found(store, "ride-a:1")
    assert (track.kind, short(track.shared), track.videos) == ("track", ["ride-a"], ())


def test_who_cannot_be_meant_is_told_what_to_do(store: TableStore, tmp_path: Path) -> None:
    for word, sentence in {
        "Adda": "Did you mean Ada?",
        "ride-": "may be any of",
        "nobody-at-all": "No person, ride or photo set is called",
    }.items():
        with pytest.raises(FootprintError, match=sentence):
            found(store, word)
    with pytest.raises(CurationError, match="has no track 7"):
        found(store, "ride-a:7")
    [ada] = [p["person_id"] for p in asked(tmp_path, "people") if p["name"] == "Ada"]
    call(tmp_path, "label", "ride-d:1", "--name", "Kim")
    [kim] = [p["person_id"] for p in asked(tmp_path, "people") if p["name"] == "Kim"]
    call(tmp_path, "merge", "Kim", "Ada")
    for word in (kim, "Kim"):
        with pytest.raises(FootprintError, match=f"forget {ada}"):
            found(store, word)
    call(tmp_path, "split", "Ada", "ride-d:1", "--name", "Bo")
    assert any(
        "Bo was parted from them" in one for one in remarks(opened(store), found(store, "Ada"))
    )
    assert short(found(store, "Bo").subjects) == ["ride-d:1"]
