"""Copies of a ride in the library: one ride counts once, and no decision is lost.

The library of `curated_library`, in which ride-a has moving pictures, and a copy of ride-a: half
its size, begun two seconds later, its tracks with other numbers.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from identity_pipeline.core.video.copied_tracks import CORNERS
from identity_pipeline.core.video.copies import frame_hash
from identity_pipeline.ledger.store import LedgerStore
from identity_pipeline.settings import CopySettings, Settings, load_settings
from identity_pipeline.stages.curation.consents import Asked
from identity_pipeline.stages.learning.training_data import confirmed_tracks
from identity_pipeline.stages.library import copies as stage
from identity_pipeline.stages.library.copies import find_copies
from identity_pipeline.stages.planning.video_list import VideoList
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.library.generations import Generations
from identity_pipeline.storage.video.copy_keys import read_keys
from identity_pipeline.storage.video.registry import VideoRegistry
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline.tables import TABLES
from identity_pipeline_tests.curated_library import (
    asked,
    call,
    in_force,
    look,
    write_rides,
    write_video,
)

SECONDS, FPS = 8, 10
COPY = "zopied"


def pictures(seed: int, first: int, count: int) -> list[bytes | None]:
    """Hashes of a ride's frames: what they show changes twice a second."""
    rng = np.random.default_rng(seed)
    shown = rng.integers(20, 230, (2 * SECONDS + 2, 18, 32)).astype(np.float64)
    hashes = []
    for i in range(first, first + count):
        k, part = divmod(2 * i / FPS, 1)
        mixed = (1 - part) * shown[int(k)] + part * shown[int(k) + 1]
        hashes.append(frame_hash(mixed.astype(np.uint8)))
    return hashes


def film(
    store: TableStore,
    video_id: str,
    looks: dict[int, list[float]],
    *,
    seed: int,
    first: int = 0,
    size: tuple[int, int] = (1280, 720),
    seats: dict[int, float] | None = None,
) -> None:
    """A video with pictures: a frame every 0.1 s, the riders in their seats in each of them."""
    count = SECONDS * FPS - first
    frames = {track: tuple(range(0, 3 * count, 3)) for track in looks}
    write_video(store, video_id, looks, frames)
    width, height = size
    row = {"video_id": video_id, "width": width, "height": height, "sha256": video_id}
    store.write("ride_video", video_id, filled("ride_video", [row]), "f")
    rows = [
        {"frame_idx": 3 * i, "timestamp_ms": 7000.0 + 100 * i, "look_hash": known}
        for i, known in enumerate(pictures(seed, first, count))
    ]
    store.write("frames", video_id, filled("frames", rows), "f")
    of_face = dict(store.read("face_tracks", video_id).select("face_id", "track_id").iter_rows())
    left = {face: (seats or {1: 0.2, 2: 0.6})[track] * width for face, track in of_face.items()}
    boxes = store.read("face_detections", video_id).with_columns(
        timestamp_ms=7000.0 + pl.col("frame_idx") / 3 * 100,
        x1=pl.col("face_id").replace_strict(left, return_dtype=pl.Float32),
        y1=pl.lit(0.3 * height, pl.Float32),
        y2=pl.lit(0.6 * height, pl.Float32),
    )
    boxes = boxes.with_columns(x2=pl.col("x1") + 0.2 * width)
    store.write("face_detections", video_id, boxes, "f")
    corners = {row[0]: list(row[1:]) for row in boxes.select("face_id", *CORNERS).iter_rows()}
    templates = store.read("track_templates", video_id)
    best = [corners[face] for face in templates["best_face_id"]]
    templates = templates.with_columns(box=pl.Series(best, dtype=pl.List(pl.Float32)))
    store.write("track_templates", video_id, templates, "f")


def filled(name: str, rows: list[dict[str, object]]) -> pl.DataFrame:
    return pl.DataFrame([{c: row.get(c) for c in TABLES[name]} for row in rows], TABLES[name])


def video_id(store: TableStore, stem: str) -> str:
    return next(r.video_id for r in VideoRegistry(store.layout).all() if stem in r.path)


def copy_in(root: Path, store: TableStore) -> str:
    """Puts the copy of ride-a in: 1 is B and 2 is A."""
    file = root / f"{COPY}.mp4"
    file.write_bytes(b"copy")
    record, _ = VideoRegistry(store.layout).register(file)
    looks = {1: look("B", 1.0, 5), 2: look("A", 0.999, 4)}
    film(store, record.video_id, looks, seed=1, first=20, size=(640, 360), seats={1: 0.6, 2: 0.2})
    return record.video_id


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library without the copy, grouped."""
    root = tmp_path_factory.mktemp("copies")
    store = write_rides(root)
    looks = {1: look("A", 1.0, 4), 2: look("B", 1.0, 5)}
    film(store, video_id(store, "ride-a"), looks, seed=1)
    film(store, video_id(store, "ride-d"), {1: look("D", 1.0, 10)}, seed=2)
    call(root, "recluster")
    return root


@pytest.fixture
def root(alone: Path, tmp_path: Path) -> Path:
    """The library without the copy, to be changed."""
    shutil.copytree(alone, tmp_path, symlinks=True, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def store(root: Path) -> TableStore:
    from identity_pipeline.storage.layout import Layout

    return TableStore(Layout(root / "data"))


def test_a_copy_is_linked_and_changes_nothing_else(root: Path, store: TableStore) -> None:
    before = in_force(store)
    copy, original = copy_in(root, store), video_id(store, "ride-a")
    assert f"{copy} is a copy of {original}" in call(root, "recluster")
    after = in_force(store)
    assert before.pop("video_copies").height == 0
    (row,) = after.pop("video_copies").iter_rows(named=True)
    assert (row["video_id"], row["copy_of"], row["linked_to"]) == (copy, original, original)
    assert row["likeness"] > 0.99 and row["offset_ms"] == pytest.approx(2000, abs=100)
    assert row["common_ms"] == pytest.approx(5900, abs=200)
    for name, table in before.items():
        assert table.equals(after[name]), name
    assert VideoList.of(store).words(copy).endswith(f", a copy of {original}")
    assert f"a copy of {original}" in call(root, "videos")
    told = call(root, "explain", f"{copy}:1", code=1)
    assert f"a copy of {original}" in " ".join(told.split())


def people(root: Path) -> dict[str, tuple[int, list[str]]]:
    return {row["name"]: (row["track_count"], row["videos"]) for row in asked(root, "people")}


def confirmed(store: TableStore) -> dict[str, str]:
    return confirmed_tracks(
        LibraryStores.of(store), LedgerStore(store.layout).history(), Settings()
    )


def test_a_refusal_of_a_visit_holds_for_all_videos_of_it(root: Path, store: TableStore) -> None:
    copy = copy_in(root, store)
    call(root, "recluster")
    call(root, "consent", "grant", copy, "--adult")
    settings = load_settings(consent={"required": True})

    def codes(video: str) -> set[str]:
        asked = Asked.now(LibraryStores.of(store), settings)
        return {one.code for one in asked.of_riders(video).values()}

    assert codes(copy) == {"granted"} and codes(video_id(store, "ride-a")) == {"unknown"}
    call(root, "consent", "refuse", "ride-a")
    assert codes(copy) == {"refused"}


def test_a_decision_about_a_copy_holds_for_the_track_that_counts(
    root: Path, store: TableStore
) -> None:
    copy, original = copy_in(root, store), video_id(store, "ride-a")
    call(root, "recluster")
    call(root, "label", f"{copy}:2", "--name", "Ada")
    call(root, "recluster")
    rows = {r["track_key"]: r for r in in_force(store)["person_assignments"].to_dicts()}
    assert rows[f"track:{original}:1"]["state"] == "known"
    assert rows[f"track:{original}:1"]["origin"] == "human"
    assert not any(copy in key for key in rows)
    assert people(root)["Ada"][1] == sorted({original, video_id(store, "ride-b")})
    assert [key for key in confirmed(store) if copy in key or original in key] == [
        f"track:{original}:1"
    ]
    call(root, "undo", "last")
    call(root, "recluster")
    assert "Ada" not in people(root) or people(root)["Ada"][0] == 0


def test_who_was_named_in_both_before_rode_once(root: Path, store: TableStore) -> None:
    copy, original = copy_in(root, store), video_id(store, "ride-a")
    call(root, "label", f"{copy}:2", f"{original}:1", "--name", "Ada")
    call(root, "recluster")
    assert original in people(root)["Ada"][1] and copy not in people(root)["Ada"][1]
    assert f"track:{copy}:2" not in confirmed(store)


def test_two_names_for_one_track_are_both_kept(root: Path, store: TableStore) -> None:
    copy, original = copy_in(root, store), video_id(store, "ride-a")
    call(root, "label", f"{original}:1", "--name", "Ada")
    call(root, "label", f"{copy}:2", "--name", "Eve")
    call(root, "recluster")
    rows = {r["track_key"]: r for r in in_force(store)["person_assignments"].to_dicts()}
    who = {r["person_id"]: r["name"] for r in in_force(store)["people"].to_dicts()}
    assert who[rows[f"track:{original}:1"]["person_id"]] == "Ada"
    assert who[rows[f"track:{copy}:2"]["person_id"]] == "Eve"
    assert f"track:{copy}:1" not in rows


def test_without_the_original_the_copy_counts_with_its_decisions(
    root: Path, store: TableStore
) -> None:
    copy, original = copy_in(root, store), video_id(store, "ride-a")
    call(root, "label", f"{copy}:2", "--name", "Ada")
    call(root, "recluster")
    for path in (root / "data" / "tables").glob(f"*/{original}.*"):
        path.unlink()
    call(root, "recluster")
    tables = in_force(store)
    assert tables["video_copies"].height == 0
    rows = {r["track_key"]: r for r in tables["person_assignments"].to_dicts()}
    assert rows[f"track:{copy}:2"]["origin"] == "human"
    assert f"track:{copy}:1" in rows
    assert copy in people(root)["Ada"][1]


def test_what_was_read_once_is_not_read_again(
    root: Path, store: TableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    look_at = stage.look_of_video

    def counted(store: TableStore, video: str) -> object:
        read.append(video)
        return look_at(store, video)

    monkeypatch.setattr(stage, "look_of_video", counted)
    history = LedgerStore(store.layout).history()
    assert find_copies(store, history, CopySettings()).height == 0
    assert read == []
    copy = copy_in(root, store)
    table = find_copies(store, history, CopySettings())
    assert read.count(copy) == 2 and set(read) == {copy, video_id(store, "ride-a")}
    for file in (store.layout.copy_keys, store.layout.copy_keys_later):
        file.write_bytes(b"damaged")
        assert find_copies(store, history, CopySettings()).equals(table)
    monkeypatch.setattr(stage, "LEAST", 0)  # so the small file of keys is taken into the large one
    store.layout.copy_keys_later.unlink()
    for videos_looked_at in (7, 2, 2):
        read.clear()
        assert find_copies(store, history, CopySettings()).equals(table)
        assert len(read) == videos_looked_at
    for asset in ("frames", "track_templates"):
        store.layout.table(asset, copy).unlink()
        store.layout.manifest(asset, copy).unlink()
    assert find_copies(store, history, CopySettings()).height == 0
    assert copy not in read_keys(store.layout.copy_keys).versions


def test_a_damaged_table_of_one_video_is_no_copy_and_hides_no_other(
    root: Path, store: TableStore
) -> None:
    copy = copy_in(root, store)
    damaged = store.layout.table("frames", video_id(store, "ride-d"))
    damaged.write_bytes(damaged.read_bytes()[:100])
    store.layout.copy_keys.unlink(missing_ok=True)
    store.layout.copy_keys_later.unlink(missing_ok=True)
    history = LedgerStore(store.layout).history()
    assert find_copies(store, history, CopySettings())["video_id"].to_list() == [copy]
    later = store.layout.table("frames", copy)  # damaged after its keys were noted
    later.write_bytes(later.read_bytes()[:100])
    assert find_copies(store, history, CopySettings()).height == 0


def test_other_riders_in_the_same_pictures_are_no_copy(root: Path, store: TableStore) -> None:
    copy = copy_in(root, store)
    frames = store.read("frames", copy)
    rng = np.random.default_rng(3)
    hashes = []
    for known in frames["look_hash"]:
        signs = np.frombuffer(known, np.uint8).copy()
        picked = signs[:16].reshape(8, 2)
        picked[2:5, 0] ^= rng.integers(0, 255, 3, dtype=np.uint8) & 0b00011100  # the left seat
        hashes.append(signs.tobytes())
    store.write(
        "frames", copy, frames.with_columns(look_hash=pl.Series(hashes, dtype=pl.Binary)), "g"
    )
    history = LedgerStore(store.layout).history()
    assert find_copies(store, history, CopySettings()).height == 0


def test_other_people_in_the_same_places_are_no_copy_unless_their_faces_are_poor(
    root: Path, store: TableStore
) -> None:
    copy = copy_in(root, store)
    history = LedgerStore(store.layout).history()

    def graded(video: str, *, strict: bool) -> None:
        table = store.read("face_quality", video).with_columns(strict=pl.lit(strict))
        store.write("face_quality", video, table, "g")

    graded(video_id(store, "ride-a"), strict=True)
    graded(copy, strict=True)
    assert find_copies(store, history, CopySettings())["video_id"].to_list() == [copy]
    faces = store.read("face_embeddings", copy)
    stranger = pl.Series([look("D", 1.0, 9)] * len(faces), dtype=pl.List(pl.Float32))
    store.write("face_embeddings", copy, faces.with_columns(e_id=stranger), "g")
    assert find_copies(store, history, CopySettings()).height == 0
    graded(copy, strict=False)
    assert find_copies(store, history, CopySettings())["video_id"].to_list() == [copy]


def test_heads_that_move_otherwise_are_no_copy(root: Path, store: TableStore) -> None:
    copy = copy_in(root, store)
    history = LedgerStore(store.layout).history()

    def moving(video: str, seed: int) -> None:
        turns = np.random.default_rng(seed).normal(0, 0.15, 2 * SECONDS + 1)
        table = store.read("face_detections", video)
        at = table["timestamp_ms"].to_numpy() / 1000 * 2 - 14 + (4 if video == copy else 0)
        moved = np.interp(at, np.arange(len(turns)), turns)
        width = (table["x2"] - table["x1"]) * pl.Series(moved)
        store.write(
            "face_detections",
            video,
            table.with_columns((table[c] + width).cast(pl.Float32).alias(c) for c in ("x1", "x2")),
            "g",
        )

    moving(video_id(store, "ride-a"), 1)
    before = store.read("face_detections", copy)
    moving(copy, 1)
    assert find_copies(store, history, CopySettings())["video_id"].to_list() == [copy]
    store.write("face_detections", copy, before, "g")
    moving(copy, 2)
    assert find_copies(store, history, CopySettings()).height == 0


def test_a_generation_of_an_older_version_knows_no_copies(root: Path, store: TableStore) -> None:
    copy_in(root, store)
    call(root, "recluster")
    generations = Generations(store.layout)
    assert generations.open().table("video_copies").height == 1
    for path in (root / "data" / "tables" / "library").resolve().glob("video_copies.*"):
        path.unlink()
    assert generations.open().table("video_copies").height == 0
    assert "copy of" not in call(root, "videos")
    assert call(root, "people") is not None


def test_a_video_that_is_not_in_the_library_stands_for_none(root: Path, store: TableStore) -> None:
    copy, original = copy_in(root, store), video_id(store, "ride-a")
    history = LedgerStore(store.layout).history()
    templates = store.read("track_templates", original)
    store.layout.table("track_templates", original).unlink()
    store.layout.manifest("track_templates", original).unlink()
    assert find_copies(store, history, CopySettings()).height == 0
    other = templates.with_columns(space=pl.lit("other@000000000000/16"))
    store.write("track_templates", original, other, "g")
    assert find_copies(store, history, CopySettings()).height == 0
    store.write("track_templates", original, templates.clear(), "g")
    table = find_copies(store, history, CopySettings())
    assert table["video_id"].to_list() == [original] and table["copy_of"].to_list() == [copy]
