"""What the desk shows of faces: right, private, never of another processing, quick to be found."""

from __future__ import annotations

import shutil
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import cv2
import numpy as np
import polars as pl
import pytest
from starlette.testclient import TestClient

from identity_pipeline.core.geometry import Box
from identity_pipeline.desk.access import Access
from identity_pipeline.desk.app import create_app
from identity_pipeline.desk.background import Behind
from identity_pipeline.desk.rooms.images import WHY, Pictures
from identity_pipeline.desk.state import Desk
from identity_pipeline.media.dimming import dimmed
from identity_pipeline.media.timelines import track_timeline_svg
from identity_pipeline.settings import Settings
from identity_pipeline.stages.desk.faces import Face, FacePictures, best_face, strip
from identity_pipeline.stages.desk.frames import FramePictures
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.folder import backup, disk
from identity_pipeline_tests.small_ride import (
    COLOURS,
    FACES,
    SIZE,
    SmallRide,
    measure,
    picture,
    write_ride,
)
from identity_pipeline_tests.synthetic import write_video

FACE = "000004-0"


@pytest.fixture
def ride(tmp_path: Path) -> SmallRide:
    return write_ride(tmp_path)


@pytest.fixture
def client(ride: SmallRide) -> Iterator[TestClient]:
    yield from opened(ride)


def opened(ride: SmallRide) -> Iterator[TestClient]:
    access = Access(frozenset({"testserver"}), 3001, lambda token: None)
    behind = Behind(ride.store.layout.root, lambda tracks: None)
    app = create_app(Desk(Settings(), LibraryStores.of(ride.store), access, behind))
    with TestClient(app) as client:
        client.cookies.set(access.cookie, str(access.enter(access.token)))
        yield client


def pixels(jpeg: bytes) -> np.ndarray:
    found = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert found is not None
    return found


def mean(image: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    x1, y1, x2, y2 = box
    return image[y1:y2, x1:x2].reshape(-1, 3).mean(axis=0)


def test_a_face_shows_that_face_with_its_surroundings(client: TestClient, ride: SmallRide) -> None:
    for n, track in enumerate(FACES):
        jpeg = client.get(f"/img/face/{ride.video_id}/000004-{n}.jpg").content
        shown = pixels(jpeg)
        side = shown.shape[0]
        assert shown.shape[0] == shown.shape[1] and 60 < side <= 160
        middle = mean(shown, (side * 2 // 5, side // 3, side * 3 // 5, side * 2 // 5))
        assert np.abs(middle - COLOURS[track]).max() < 25
        assert np.abs(mean(shown, (0, 0, side // 8, side // 8)) - (187, 177, 168)).max() < 20
        assert client.get(f"/img/track/{ride.video_id}/{track}.jpg").status_code == 200


def test_the_whole_frame_has_all_but_the_face_dimmed(client: TestClient, ride: SmallRide) -> None:
    shown = pixels(client.get(f"/img/frame/{ride.video_id}/{FACE}.jpg").content)
    assert shown.shape[:2] == SIZE[::-1]
    face, other = (
        mean(shown, (x1 + 18, y1 + 8, x2 - 18, y1 + 20)) for x1, y1, x2, y2 in FACES.values()
    )
    assert np.abs(face - COLOURS[0]).max() < 12
    assert other.max() < 0.6 * max(COLOURS[1])
    assert mean(shown, (440, 200, 480, 270)).max() < 0.6 * 170
    frames = FramePictures(ride.store, Settings())
    beside = frames.faces_in_frame(Face(ride.video_id, FACE))
    assert [(one.track_key, one.asked) for one in beside] == [
        (f"track:{ride.video_id}:0", True),
        (f"track:{ride.video_id}:1", False),
    ]
    assert beside[0].where == pytest.approx((0.25, 70 / 270, 170 / 480, 140 / 270), abs=1e-4)


def test_it_is_the_frame_that_was_analysed(client: TestClient, ride: SmallRide) -> None:
    marks = []
    for n in (1, 6):
        shown = pixels(client.get(f"/img/frame/{ride.video_id}/00000{n}-0.jpg").content)
        row = shown[105, 120:170].max(axis=1)
        marks.append(int(np.argmin(row)))
    assert marks[1] - marks[0] == pytest.approx(15, abs=3)


def test_dimming_reduces_large_pictures_and_the_same_gives_the_same_bytes() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (900, 1600, 3), dtype=np.uint8)
    shown = dimmed(picture, Box(1500, -20, 1650, 90), 1280)
    assert shown.shape == (720, 1280, 3)
    assert (shown == dimmed(picture, Box(1500, -20, 1650, 90), 1280)).all()
    assert shown[600:, :400].mean() < 0.5 * picture.mean() < shown[:40, 1220:].mean()


def test_a_ride_that_is_processed_anew_never_shows_an_old_picture(ride: SmallRide) -> None:
    faces, frames = FacePictures(ride.store, Settings()), FramePictures(ride.store, Settings())
    face = Face(ride.video_id, FACE)
    before = faces.thumbnail(face), frames.frame(face)
    measure(ride, shift=40)
    after = faces.thumbnail(face), frames.frame(face)
    assert before[0] != after[0] and before[1] != after[1]
    kept = [p.name for p in ride.store.layout.desk_pictures(ride.video_id).iterdir()]
    assert sorted(kept) == sorted([faces.version(face.video_id), frames.version(face.video_id)])


def test_browsers_keep_what_its_address_names_and_ask_about_the_rest(
    client: TestClient, ride: SmallRide
) -> None:
    pictures = client.app.state.pictures  # type: ignore[attr-defined]
    assert isinstance(pictures, Pictures)
    for url in (
        pictures.face_url(ride.video_id, FACE),
        pictures.frame_url(ride.video_id, FACE),
    ):
        assert client.get(url).headers["cache-control"].startswith("private, max-age=")
    usual = client.get(f"/img/face/{ride.video_id}/{FACE}.jpg")
    assert usual.headers["cache-control"] == "private, no-cache"
    again = {"If-None-Match": usual.headers["etag"]}
    assert client.get(f"/img/face/{ride.video_id}/{FACE}.jpg", headers=again).status_code == 304
    measure(ride, shift=40)
    assert client.get(f"/img/face/{ride.video_id}/{FACE}.jpg", headers=again).status_code == 200


def test_a_source_that_is_gone_leaves_what_was_stored_and_a_sentence(
    client: TestClient, ride: SmallRide
) -> None:
    frames = client.app.state.pictures.frames  # type: ignore[attr-defined]
    assert frames.gone(ride.video_id) is None
    ride.file.unlink()
    assert "gone" in frames.gone(ride.video_id)
    answer = client.get(f"/img/frame/{ride.video_id}/{FACE}.jpg")
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
    assert "gone" in unquote(answer.headers[WHY])
    assert pixels(answer.content).shape[1] < SIZE[0]
    assert not list(ride.store.layout.desk_pictures(ride.video_id).glob("frames-*"))


@pytest.mark.parametrize(
    "path",
    [
        "face/{v}/000004-9.jpg",
        "face/{v}/..%2F..%2Fregistry.jpg",
        "face/{v}/000004-0%00.jpg",
        "face/{v}/%D9%A0%D9%A0%D9%A0%D9%A0%D9%A0%D9%A4-0.jpg",
        "face/..%2F..%2Fregistry/000004-0.jpg",
        "face/%2e%2e/000004-0.jpg",
        "face/UPPER/000004-0.jpg",
        "face/nobody-00000000/000004-0.jpg",
        "frame/{v}/000099-0.jpg",
        "frame/{v}/'%3B--0.jpg",
        "track/{v}/77.jpg",
        "track/{v}/-1.jpg",
        "person/..%2F..%2Fx.jpg",
        "person/nobody.jpg",
        "exported/{v}/..%2F..%2F..%2Ffolder.json",
        "exported/{v}//etc/passwd",
        "timeline/{v}.svg?face=%3Cscript%3E",
    ],
)
def test_hostile_and_unknown_ids_are_a_neutral_picture(
    client: TestClient, ride: SmallRide, path: str
) -> None:
    answer = client.get("/img/" + path.format(v=ride.video_id))
    assert answer.status_code == 404
    assert b"Traceback" not in answer.content and b"script" not in answer.content


def test_nobody_without_a_session_sees_a_picture(client: TestClient, ride: SmallRide) -> None:
    client.cookies.clear()
    answer = client.get(f"/img/face/{ride.video_id}/{FACE}.jpg", follow_redirects=False)
    assert answer.status_code == 303 and not answer.content


def test_what_is_kept_is_private_and_goes_with_clean_but_not_into_a_backup(
    client: TestClient, ride: SmallRide, tmp_path: Path
) -> None:
    client.get(f"/img/face/{ride.video_id}/{FACE}.jpg")
    layout = ride.store.layout
    place = layout.root / "desk"
    kept = [place, *place.rglob("*")]
    assert any(path.is_file() for path in kept)
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in kept} == {0}
    manifest = backup.write_backup(layout, tmp_path / "backup.zip")
    assert not [name for name in manifest.files if "desk" in name]
    layout.desk_curators.mkdir()
    things = [one for one in disk.droppable(layout, 2e9) if one.kind == "desk"]
    assert "desk" in disk.CHEAP and disk.drop(layout, things)
    assert not list(place.rglob("*.jpg")) and layout.desk_curators.is_dir()
    assert client.get(f"/img/face/{ride.video_id}/{FACE}.jpg").status_code == 200


def test_many_who_ask_at_once_are_served_in_few_passes(
    ride: SmallRide, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces = FacePictures(ride.store, Settings())
    passes: list[int] = []
    draw = FacePictures._draw
    started, go = threading.Event(), threading.Event()

    def slow(self: FacePictures, video_id: str, names: list[str]) -> dict[str, bytes]:
        passes.append(len(names))
        started.set()
        assert go.wait(60)
        return dict(draw(self, video_id, names))

    monkeypatch.setattr(FacePictures, "_draw", slow)
    wanted = [Face(ride.video_id, f"{n:06d}-{k}") for n in range(8) for k in range(2)]
    threads = [threading.Thread(target=faces.thumbnail, args=(face,)) for face in wanted]
    threads[0].start()
    assert started.wait(60)
    for thread in threads[1:]:
        thread.start()
    while sum(map(len, faces._waiting.values())) < len(wanted) - 1:
        time.sleep(0.001)
    go.set()
    for thread in threads:
        thread.join()
    assert passes == [1, len(wanted) - 1]


def test_a_track_is_shown_by_its_best_face_and_a_strip_is_spread(ride: SmallRide) -> None:
    assert best_face(ride.store, ride.video_id, 1) == Face(ride.video_id, "000007-1")
    shown = strip(ride.store, ride.video_id, 0, 4)
    assert [face.face_id for face in shown] == [f"00000{n}-0" for n in (1, 3, 5, 7)]


def test_the_timeline_marks_the_moment_of_the_picture() -> None:
    frames = pl.DataFrame({"frame_idx": [0, 10, 20], "timestamp_ms": [0.0, 1000.0, 2000.0]})
    frames = frames.with_columns(luma_mean=pl.lit(90.0, pl.Float32), scene_cut=pl.lit(value=False))
    tracks = frames.select("frame_idx", track_id=pl.lit(0, pl.Int64))
    riders = pl.DataFrame(
        {"track_id": [0], "person_id": [0], "reason": ["rider"], "face_count": [3]},
        schema_overrides={"person_id": pl.Int64},
    )
    nothing = pl.DataFrame(schema={"person_id": pl.Int64, "timestamp_ms": pl.Float64, "set": str})
    drawn = [
        track_timeline_svg(frames, tracks, riders, nothing, Settings().buckets, moment_ms=ms)
        for ms in (None, 1000.0)
    ]
    assert "data-moment-ms" not in drawn[0] and 'data-moment-ms="1000"' in drawn[1]
    assert "this picture is at 0:01.0" in drawn[1]


def test_where_crops_were_dropped_pictures_come_from_the_very_same_file(
    client: TestClient, ride: SmallRide
) -> None:
    face, frame = (f"/img/{kind}/{ride.video_id}/{FACE}.jpg" for kind in ("face", "frame"))
    before = [pixels(client.get(url).content).astype(float) for url in (face, frame)]
    layout = ride.store.layout
    shutil.rmtree(layout.crops(ride.video_id))
    shutil.rmtree(layout.desk_pictures(ride.video_id))
    after = [pixels(client.get(url).content).astype(float) for url in (face, frame)]
    assert [np.abs(a - b).mean() < 4 for a, b in zip(after, before, strict=True)] == [True, True]
    shutil.rmtree(layout.desk_pictures(ride.video_id))
    ride.file.write_bytes(ride.file.read_bytes() + b"0")
    answers = [client.get(url) for url in (face, frame)]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert all("another one" in unquote(answer.headers[WHY]) for answer in answers)


def test_what_is_asked_for_next_is_drawn_behind_the_page(
    client: TestClient, ride: SmallRide
) -> None:
    pictures = client.app.state.pictures  # type: ignore[attr-defined]
    faces = [Face(ride.video_id, f"00000{n}-0") for n in (2, 3, 4)]
    pictures.prefetch([*faces, Face(ride.video_id, "000099-0"), Face("nobody-0", "000001-0")])
    pictures._behind.shutdown(wait=True)
    for kind in ("faces", "frames"):
        (folder,) = ride.store.layout.desk_pictures(ride.video_id).glob(f"{kind}-*")
        assert len(list(folder.iterdir())) == len(faces)


def test_a_ride_that_was_removed_leaves_no_picture(client: TestClient, ride: SmallRide) -> None:
    client.get(f"/img/face/{ride.video_id}/{FACE}.jpg")
    layout = ride.store.layout
    assert any(layout.desk_pictures(ride.video_id).rglob("*.jpg"))
    layout.manifest("face_crops", ride.video_id).unlink()
    next(opened(ride))  # a desk that is opened
    assert not layout.desk_pictures(ride.video_id).exists()


def test_the_page_of_a_face_says_who_is_beside_it_and_leads_through_its_track(
    client: TestClient, ride: SmallRide
) -> None:
    told = client.get(f"/face/{ride.video_id}/{FACE}").text
    assert f'href="/face/{ride.video_id}/000004-1"' in told and "this face" in told
    assert f'href="/face/{ride.video_id}/000003-0" data-key="["' in told
    assert f'href="/face/{ride.video_id}/000005-0" data-key="]"' in told
    assert f"track:{ride.video_id}:0" in told and "at 0:00.4" in told
    pictures = client.app.state.pictures  # type: ignore[attr-defined]
    assert pictures.frame_url(ride.video_id, FACE) in told
    assert client.get(f"/face/{ride.video_id}/000099-0").status_code == 404
    assert client.get("/face/..%2Fx/000004-0").status_code == 404


def test_a_source_with_other_pictures_is_not_shown_as_if_it_were_that_of_before(
    client: TestClient, ride: SmallRide
) -> None:
    write_video(ride.file, (picture(n + 4)[:, ::-1] for n in range(8)), fps=10)
    for _ in range(2):  # drawn, then remembered
        answer = client.get(f"/img/frame/{ride.video_id}/{FACE}.jpg")
        assert "not the one that was analysed" in unquote(answer.headers[WHY])
        assert pixels(answer.content).shape[1] < SIZE[0]
