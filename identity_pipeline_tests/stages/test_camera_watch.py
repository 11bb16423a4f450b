"""The watch of a camera on the disk: what it tells, whatever was killed, lost or made anew."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import polars as pl
import pytest

from identity_pipeline.core.camera.versions import Sighting
from identity_pipeline.settings import Settings
from identity_pipeline.stages.library import camera_watch
from identity_pipeline.stages.library.camera_watch import Look, look
from identity_pipeline.storage.cameras.cameras import Cameras, folder_of
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.core.camera.park import sightings, versions_of
from identity_pipeline_tests.made_up_cameras import film, film_all, order_of
from identity_pipeline_tests.storage.small_library import put

S = Settings()
BUMP_AT = 30
BUMPED = sightings(44, "bumped", BUMP_AT)


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    return TableStore(Layout(tmp_path))


def look_at(store: TableStore, films: list[Sighting]) -> list[Look]:
    return [look(store, S, video) for video in film_all(store, films)]


def record(store: TableStore) -> bytes:
    return store.layout.camera_order(folder_of(None)).read_bytes()


@dataclass(frozen=True)
class Bumped:
    """A camera that was bumped, looked at video by video.

    Attributes:
        store: where.
        looks: at each video.
    """

    store: TableStore
    looks: list[Look]

    @cached_property
    def told(self) -> int:
        """The only video that told of it."""
        (told,) = (k for k, each in enumerate(self.looks) if each.causes)
        return told


@pytest.fixture(scope="module")
def bumped(tmp_path_factory: pytest.TempPathFactory) -> Bumped:
    store = TableStore(Layout(tmp_path_factory.mktemp("bumped")))
    return Bumped(store, look_at(store, BUMPED))


def test_a_bump_is_told_once_and_begins_a_version(bumped: Bumped) -> None:
    assert BUMP_AT + 4 <= bumped.told <= BUMP_AT + 10
    alarm = bumped.looks[bumped.told]
    assert alarm.begun == f"v{BUMP_AT:04d}" and "the camera was moved" in alarm.causes[0]
    assert next(video for video, _ in alarm.told) == "v0000", "with the videos before it"
    versions = Cameras(bumped.store.layout).versions(None)
    assert versions["first_video"].to_list() == ["v0000", alarm.begun]
    assert versions["noticed"].to_list() == [None, f"v{bumped.told:04d}"]
    by_hand = versions_of(BUMPED, S.camera)
    assert [each.videos[0] for each in by_hand] == versions["first_video"].to_list()
    again = look(bumped.store, S, f"v{bumped.told:04d}")
    assert again.causes == alarm.causes and again.begun == alarm.begun, "also when run again"


def test_a_camera_that_shows_other_scenery_since_it_was_moved_is_watched(store: TableStore) -> None:
    names = film_all(store, BUMPED)
    for name in names[BUMP_AT:]:
        put(store, "ride_course", name, [{"state": "other_scenery", "sentence": "Moved?"}])
    looks = [look(store, S, name) for name in names]
    assert {each.begun for each in looks if each.causes} == {f"v{BUMP_AT:04d}"}
    assert not any(each.left_out for each in looks)


def test_whatever_is_lost_or_killed_it_ends_alike(
    store: TableStore, bumped: Bumped, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed behind the order, and between the record of a version and what is remembered."""
    shutil.copytree(bumped.store.layout.tables, store.layout.tables)
    for number, seen in enumerate(BUMPED):
        if number % 9 == 3:
            store.layout.camera_watch(folder_of(None)).unlink()
        if number in (5, bumped.told):
            with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
                patch.setattr(camera_watch.watched, "write", _killed)
                look(store, S, seen.video_id)
        if number != 5:  # nobody runs it again: the next one takes it up
            look(store, S, seen.video_id)
    assert record(store) == record(bumped.store)
    ours, theirs = (camera_watch.series(each.store, None) for each in (Bumped(store, []), bumped))
    kept = Cameras(store.layout).record(None)
    assert kept is not None
    assert all(ours[video] == theirs[video] for video in kept.own(-1))


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_video_that_is_made_anew_keeps_its_place_and_begins_nothing(store: TableStore) -> None:
    films = sightings(14)
    look_at(store, films)
    dark = films[12].figures.with_columns(luma=pl.col("luma") / 30)
    film(store, replace(films[12], figures=dark))
    seen = look(store, S, "v0012")
    assert [each.figure for each in seen.verdict.unlike] == ["luma"]
    assert seen.verdict.compared == 12 and not seen.causes
    assert order_of(Cameras(store.layout), None) == [f"v{k:04d}" for k in range(14)]


def test_an_old_list_gives_the_order_and_goes(store: TableStore) -> None:
    films = sightings(6)
    film_all(store, films[:4])
    old = store.layout.cameras / "unnamed.json"
    old.parent.mkdir()
    old.write_text('[["v0003", {"luma": 1.0}], ["v0001", {"luma": null}]]')
    film(store, films[5])
    look(store, S, "v0005")
    assert order_of(Cameras(store.layout), None) == ["v0003", "v0001", "v0005"]
    assert not old.exists()


def test_pictures_of_another_shape_do_not_count_until_there_are_but_such(
    store: TableStore,
) -> None:
    settings = Settings.model_validate({"camera": {"videos_min": 8}})
    films = [
        each if k < 10 else replace(each, frame_size=(720, 1280))
        for k, each in enumerate(sightings(20))
    ]
    looks = [look(store, settings, video) for video in film_all(store, films)]
    assert looks[10].left_out and "720 x 1280" in looks[10].left_out
    assert looks[16].version == 1 and looks[16].left_out
    assert [each.begun for each in looks if each.causes] == ["v0010"]
    assert looks[-1].version == 2 and looks[-1].left_out is None


def test_cameras_are_watched_apart(store: TableStore) -> None:
    named = Settings.model_validate({"ingest": {"camera_pattern": "^(cam[0-9])_"}})
    one, other, *_ = sightings(2)
    film(store, one, "cam1_a")
    film(store, other, "cam2_b")
    assert [look(store, named, v).camera for v in ("v0000", "v0001")] == ["cam1", "cam2"]
    assert order_of(Cameras(store.layout), "cam2") == ["v0001"]
