"""Editions of what a camera's videos teach: the same whenever they are made, and mended as such."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pytest

from identity_pipeline.core.ride.course import Course
from identity_pipeline.core.ride.template import NoTemplate, Template
from identity_pipeline.settings import RideSettings, Settings, load_settings
from identity_pipeline.stages.library import ride_template
from identity_pipeline.stages.library.camera_lessons import learn, waiting
from identity_pipeline.stages.library.camera_model import make_model
from identity_pipeline.stages.library.camera_renewal import renew
from identity_pipeline.stages.library.camera_watch import look
from identity_pipeline.stages.library.ride_template import make_ride
from identity_pipeline.stages.video.pinning import newest_pin
from identity_pipeline.storage.cameras.cameras import (
    CAMERA,
    RIDE,
    CameraRecord,
    Cameras,
    CameraVersion,
)
from identity_pipeline.storage.cameras.forgetting import forget_videos
from identity_pipeline.storage.cameras.pins import Pin, Pins
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import MissingTableError, TableStore
from identity_pipeline_tests.core.camera.park import sightings
from identity_pipeline_tests.made_up_cameras import film_all
from identity_pipeline_tests.stages.test_ride_labels import film as film_ride
from identity_pipeline_tests.stages.test_ride_labels import whole
from identity_pipeline_tests.storage.small_library import put

FEW = load_settings(ride={"step_s": 0.8}, camera={"videos_min": 12})


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    return TableStore(Layout(tmp_path / "data"))


def known(store: TableStore, videos: list[str], *later: CameraVersion) -> None:
    """The record of the camera."""
    record = CameraRecord(None, tuple(videos), (CameraVersion(), *later))
    Cameras(store.layout).write_record(record)


def damage(store: TableStore, of: str, name: str) -> None:
    """Flips a byte of a table of an edition."""
    folder = Cameras(store.layout).edition(None, name, of).folder
    table = sorted(folder.glob("*.parquet"))[-1]
    data = bytearray(table.read_bytes())
    data[len(data) // 2] ^= 1
    table.write_bytes(data)


def digests(store: TableStore, of: str, name: str) -> dict[str, str]:
    """What an edition holds, which is whole."""
    edition = Cameras(store.layout).edition(None, name, of)
    edition.check()
    return dict(edition.digests)


def test_a_model_is_of_as_many_videos_as_its_name_says_and_mended_as_it_was(
    store: TableStore,
) -> None:
    settings = load_settings(camera={"videos_min": 8})
    names = film_all(store, sightings(22))
    for name in names[:10]:
        put(store, "ride_course", name, [{"state": "other_ride", "sentence": "No."}])
    for name in names[10:14]:  # they count all the same
        put(store, "ride_course", name, [{"state": "too_little", "sentence": "Short."}])
    known(store, names[:17])
    assert make_model(store, settings, None).made == ()
    known(store, names[:18])
    assert [str(name) for name in make_model(store, settings, None).made] == ["1.8"]
    model = Cameras(store.layout).model(None)
    assert model is not None and model.about["videos"] == 8
    assert model.table("camera_members")["left_out"].count() == 10
    before = digests(store, CAMERA, "1.8")
    moved = CameraVersion(2, 20, True, ("the camera was moved",))
    known(store, names, moved)  # it is the model of an earlier version now
    damage(store, CAMERA, "1.8")
    assert [str(name) for name in make_model(store, settings, None).made] == ["1.8"]
    assert digests(store, CAMERA, "1.8") == before


def test_a_ride_is_of_the_first_that_follow_and_mended_as_it_was(store: TableStore) -> None:
    names = [film_ride(store, n) for n in range(16)]
    black = pl.DataFrame([{"frame_idx": 0, "timestamp_ms": 0.0}])
    store.write("frames", names[2], whole("frames", black), "g")
    known(store, names[:12])
    assert "11 of the 12" in make_ride(store, FEW, None).sentence
    known(store, names[:13])
    assert str(make_ride(store, FEW, None).made) == "1.12"
    before = digests(store, RIDE, "1.12")
    damage(store, RIDE, "1.12")
    known(store, names)  # a model of any of them would be another one
    with pytest.raises(DamagedFileError, match="camera renew"):
        newest_pin(Cameras(store.layout), None)
    assert {each.after.ride for each in renew(store, FEW, None)[0]} == {"1.12"}
    assert digests(store, RIDE, "1.12") == before
    damage(store, RIDE, "1.12")
    known(store, names, CameraVersion(2, 15, True, ("the camera was moved",)))
    make_ride(store, FEW, None)
    assert digests(store, RIDE, "1.12") == before, "of an earlier version, too"


def test_few_videos_are_laid_on_each_other_in_vain_and_once(
    store: TableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    built, build = list[int](), ride_template.build_template

    def counting(
        courses: Mapping[str, Course], settings: RideSettings, videos_min: int
    ) -> Template | NoTemplate:
        built.append(len(courses))
        return build(courses, settings, videos_min)

    def film_black(name: str) -> str:
        black = pl.DataFrame([{"frame_idx": 0, "timestamp_ms": 0.0}])
        put(store, "ride_video", name, [{"video_id": name, "path": f"/{name}.mp4"}])
        store.write("frames", name, whole("frames", black), "f")
        return name

    def tries() -> list[int]:
        built.clear()
        assert "0 of the 12" in make_ride(store, FEW, None).sentence
        return list(built)

    monkeypatch.setattr(ride_template, "build_template", counting)
    names = [film_black(f"v{n:03d}") for n in range(60)]
    known(store, names[:40])
    first = tries()  # of 24 and of 12
    assert len(first) <= 12 and max(first) <= 48
    assert tries() == []
    known(store, names)
    assert len(tries()) <= 6, "of 24 alone, for the first 24 are the same"
    assert tries() == []
    store.write(
        "frames", names[0], store.read("frames", names[0]).with_columns(timestamp_ms=1.0), "g"
    )
    assert tries()


def test_what_may_be_learnt_is_said_until_it_was_tried(store: TableStore) -> None:
    settings = load_settings(camera={"videos_min": 8})
    names = film_all(store, sightings(9))
    put(store, "ride_course", names[0], [{"state": "other_ride", "sentence": "No."}])
    known(store, names[:7])
    assert not waiting(store, settings, CAMERA)
    known(store, names[:8])
    assert waiting(store, settings, CAMERA) == ["the camera without a name"]
    assert not learn(store, settings).sentences, "one of them is of another ride"
    assert not waiting(store, settings, CAMERA) and not waiting(store, settings, RIDE)
    known(store, names)
    assert waiting(store, settings, CAMERA)
    assert learn(store, settings).sentences == [
        "There is a model of the camera without a name now: 1.8."
    ]
    assert not waiting(store, settings, CAMERA)


def names_it(store: TableStore, video: str) -> list[Path]:
    """Files below the cameras that name a video."""
    files = (path for path in store.layout.cameras.rglob("*") if path.is_file())
    return [path for path in files if video.encode() in path.read_bytes()]


def test_a_ride_that_is_forgotten_while_others_wait_for_the_camera_does_not_come_back(
    store: TableStore,
) -> None:
    names = film_all(store, sightings(3))
    for name in names[:2]:
        look(store, Settings(), name)
    cameras, said = Cameras(store.layout), list[BaseException]()

    def waits() -> None:
        try:
            look(store, Settings(), names[2])
        except MissingTableError as error:
            said.append(error)

    late = threading.Thread(target=waits)
    with cameras.locked(None, "forgetting videos"):
        late.start()
        time.sleep(0.2)  # so that it waits; if it did not yet, it finds nothing either
        for path in store.layout.tables.glob(f"*/{names[2]}*"):
            path.unlink()
    late.join()
    assert said and not names_it(store, names[2])
    forget_videos(cameras, {names[1]})
    Pins(store.layout).move(None, dict.fromkeys(names, Pin("1.20")))  # as they were a moment ago
    assert not names_it(store, names[1]) and Pins(store.layout).of(names[0]) is not None


def test_what_is_damaged_of_another_camera_stays_and_what_is_watched_of_who_stays_goes(
    store: TableStore,
) -> None:
    cameras = Cameras(store.layout)
    for camera in ("cam1", "cam2"):
        cameras.write_record(CameraRecord(camera, (f"{camera}-v1", f"{camera}-v2")))
        Pins(store.layout).move(camera, {f"{camera}-v1": Pin("1.20")})
    for name in ("order.json", "pins.json"):
        (path,) = store.layout.cameras.glob(f"cam2-*/{name}")
        path.write_bytes(path.read_bytes()[:-3])
    forget_videos(cameras, {"cam1-v1"})
    assert len(list(store.layout.cameras.glob("cam2-*/*.json"))) == 2
    forget_videos(cameras, {"cam2-v1"})
    assert not list(store.layout.cameras.glob("cam2-*/*.json"))
    names = film_all(store, sightings(2))
    for name in names:
        look(store, Settings(), name)
    forget_videos(cameras, (), changed={names[0]})
    watched = store.layout.camera_watch("unnamed").read_text()
    assert names[0] not in watched and names[1] in watched
    assert cameras.record(None) == CameraRecord(None, tuple(names))


PIN = """
import sys
from pathlib import Path
from identity_pipeline.storage.cameras.pins import Pin, Pins
from identity_pipeline.storage.layout import Layout
pins = Pins(Layout(Path(sys.argv[1])))
print("ready", flush=True)
for n in range(int(sys.argv[3])):
    pins.pin(None, f"v{n % 120:03d}", Pin(f"1.{sys.argv[2]}"))
"""


def test_several_processes_pin_at_once_and_a_killed_one_leaves_all_or_nothing(
    store: TableStore,
) -> None:
    root = str(store.layout.root)
    several = [
        subprocess.Popen([sys.executable, "-c", PIN, root, *words], stdout=subprocess.PIPE)
        for words in (("20", "1000000"), ("40", "120"))  # the first is at it until it is killed
    ]
    for one in several:
        assert one.stdout is not None
        one.stdout.readline()
    pins = Pins(store.layout)
    while len(pins.of_camera(None)) < 10:
        time.sleep(0.01)
    os.kill(several[0].pid, signal.SIGKILL)
    before = dict(pins.of_camera(None))
    assert several[0].wait() == -signal.SIGKILL and several[1].wait() == 0
    after = pins.of_camera(None)
    assert len(after) == 120 and before.items() <= after.items(), "what one keeps never changes"
    for one in several:
        assert one.stdout is not None
        one.stdout.close()
