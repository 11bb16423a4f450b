"""What `status` and `people` remember: whatever changes, they say what they would say anew."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from identity_pipeline.cli.status_page import Asked, page_of
from identity_pipeline.core.progress.shares import State
from identity_pipeline.models.hub import ModelHub
from identity_pipeline.settings import Settings, load_settings
from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
from identity_pipeline.stages.library.view import people_rows
from identity_pipeline.stages.planning.builder import Sources, video_phases
from identity_pipeline.stages.planning.done_videos import VERSION, DoneWhole
from identity_pipeline.stages.planning.phases import Status
from identity_pipeline.stages.planning.staleness import Models
from identity_pipeline.stages.planning.status import look
from identity_pipeline.stages.progress.costing import prices
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.progress.known import Memory
from identity_pipeline.storage.video.failures import FailureNote, FailureNotes
from identity_pipeline.storage.video.known_notes import notes_of
from identity_pipeline.storage.video.registry import VideoRegistry
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.benchmarks.many_videos import written

TODAY = "2026-03-04T05:06:07+00:00"
LONG_AGO = 1_700_000_000_000_000_000


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("many") / "data"
    written(root, 3, 16)
    return root


@pytest.fixture
def layout(pattern: Path, tmp_path: Path) -> Layout:
    root = tmp_path / "data"
    shutil.copytree(pattern, root, symlinks=True)
    for record in (root / "registry").glob("*.json"):
        record.write_text(record.read_text().replace(str(pattern), str(root)))
    return Layout(root)


@pytest.fixture(scope="module")
def hub() -> ModelHub:
    return ModelHub(load_settings().models)


def age(layout: Layout) -> None:
    """Nothing of the folder is of this moment."""
    for folder, folders, files in os.walk(layout.root):
        for name in (*folders, *files):
            os.utime(f"{folder}/{name}", ns=(LONG_AGO, LONG_AGO), follow_symlinks=False)
    os.utime(layout.root, ns=(LONG_AGO, LONG_AGO))


def settings_of(layout: Layout) -> Settings:
    return load_settings(paths={"data": str(layout.root)})


def seen(layout: Layout, settings: Settings, hub: ModelHub) -> Status:
    return look(TableStore(layout), settings, Models(*hub.here()), {}, 1e9, TODAY)


def told(status: Status) -> list[object]:
    """Every phase of every video, however it was found."""
    return [(whole.name, whole.state, whole.phases, whole.note) for whole in status.wholes]


def first(layout: Layout) -> str:
    return VideoRegistry(layout).ids()[0]


def _no_table(layout: Layout) -> None:
    layout.table("riders", first(layout)).unlink()


def _another_note(layout: Layout) -> None:
    path = layout.manifest("selection", first(layout))
    atomic.write_bytes(path, path.read_bytes().replace(b'"fingerprint": "', b'"fingerprint": "f'))


def _failed(layout: Layout) -> None:
    FailureNotes(layout).put(first(layout), FailureNote("broken", "It is.", "watch", True))


def _no_file(layout: Layout) -> None:
    Path(next(iter(VideoRegistry(layout).all())).path).unlink()


def _highlights(layout: Layout) -> None:
    path = Path(next(iter(VideoRegistry(layout).all())).path)
    path.with_suffix(".highlights.csv").write_text("start_s,end_s,weight\n0,1,2\n")


def _no_export(layout: Layout) -> None:
    layout.export(first(layout)).rmdir()


def _no_video(layout: Layout) -> None:
    layout.registration(first(layout)).unlink()


@pytest.mark.parametrize(
    "change",
    [_no_table, _another_note, _failed, _no_file, _highlights, _no_export, _no_video],
)
def test_whatever_changes_is_seen(
    layout: Layout, hub: ModelHub, change: Callable[[Layout], None]
) -> None:
    settings = settings_of(layout)
    asked = Asked(layout, settings)
    age(layout)
    seen(layout, settings, hub)  # notes the batches, and remembers
    age(layout)
    before, again = asked.begin(), seen(layout, settings, hub)
    asked.keep(before, page_of(again, ()), again, hub)
    still = asked.still_there()
    assert still is not None
    assert [tuple(row) for row in still.rows] == list(page_of(again, ()).rows)
    assert [whole.state for whole in again.videos] == [State.DONE] * 3

    change(layout)

    assert asked.still_there() is None
    remembered = told(seen(layout, settings, hub))
    shutil.rmtree(layout.known)
    assert remembered == told(seen(layout, settings, hub))
    assert remembered != told(again)


@pytest.mark.parametrize(
    "change",
    [None, _no_table, _another_note, _failed, _no_file, _highlights, _no_export],
)
def test_what_notes_tell_is_what_judging_every_output_tells(
    layout: Layout, hub: ModelHub, change: Callable[[Layout], None] | None
) -> None:
    settings, models, store = settings_of(layout), Models(*hub.here()), TableStore(layout)
    if change:
        change(layout)
    sources = Sources(
        store, settings, prices(store, settings, models.digests), models, now=1e9, today=TODAY
    )

    found = seen(layout, settings, hub).videos

    assert {type(whole) for whole in found[1:]} == {DoneWhole}
    assert isinstance(found[0], DoneWhole) == (change is None)
    judged = [video_phases(sources, video_id) for video_id in VideoRegistry(layout).ids()]
    assert [(w.name, w.state, w.phases, w.note) for w in found] == [
        (w.name, w.state, w.phases, w.note) for w in judged
    ]


def test_a_look_that_is_cut_off_keeps_what_it_learnt(layout: Layout, hub: ModelHub) -> None:
    settings, learnt = settings_of(layout), first(layout)

    def impatient(stage: str, done: int, total: int | None, unit: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        look(TableStore(layout), settings, Models(*hub.here()), {}, 1e9, TODAY, impatient)

    assert list(Memory(layout, "done-videos", VERSION).recall()["videos"]) == [learnt]


def test_a_setting_is_seen(layout: Layout, hub: ModelHub) -> None:
    settings = settings_of(layout)
    age(layout)
    seen(layout, settings, hub)
    other = load_settings(paths={"data": str(layout.root)}, selection={"novelty_min": 0.31})

    states = {whole.state for whole in seen(layout, other, hub).videos}

    assert states == {State.STALE}


def test_what_is_remembered_names_rides_and_tracks_so_that_forgetting_finds_it(
    layout: Layout, hub: ModelHub
) -> None:
    settings, stores = settings_of(layout), LibraryStores.of(TableStore(layout))
    seen(layout, settings, hub)
    people = people_rows(LibrarySnapshot.open(stores, TODAY, write=False))
    assert people == people_rows(LibrarySnapshot.open(stores, TODAY, write=False))

    ride = first(layout).encode()
    named = {path.name for path in layout.known.iterdir() if ride in path.read_bytes()}
    assert {"done-videos.json", "stamps-riders.json", "track-counts.json"} <= named
    assert b"track:" + ride + b":0" in (layout.known / "track-counts.json").read_bytes()


def test_notes_are_those_that_are_there(layout: Layout) -> None:
    store, asset = TableStore(layout), "track_templates"
    age(layout)
    for _ in range(2):
        ids = VideoRegistry(layout).ids()
        known = notes_of(store, asset)
        assert known == {video: store.noted(asset, video) for video in ids}
    store.write(asset, first(layout), store.read(asset, first(layout)), "made anew")

    assert notes_of(store, asset)[first(layout)].fingerprint == "made anew"


def test_a_damaged_memory_is_none(layout: Layout, hub: ModelHub) -> None:
    settings = settings_of(layout)
    age(layout)
    before = told(seen(layout, settings, hub))
    for path in layout.known.iterdir():
        path.write_bytes(path.read_bytes().replace(b"riders", b"rider$").replace(b"22", b"23"))

    assert told(seen(layout, settings, hub)) == before
