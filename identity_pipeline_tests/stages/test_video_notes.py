"""What is said of how a video was read: in lists, and of tables that an older version wrote."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from identity_pipeline.media.errors import DAMAGED, RESHAPED
from identity_pipeline.settings import CatalogueSettings
from identity_pipeline.stages.video.notes import notes
from identity_pipeline.storage.catalogue.catalogue import open_catalogue
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video import tables
from identity_pipeline.storage.video.registry import VideoRegistry
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline.tables import LATER, TABLES, conform
from identity_pipeline_tests.curated_library import call
from identity_pipeline_tests.storage.small_library import put


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    return TableStore(Layout(tmp_path / "data"))


def registered(store: TableStore, name: str) -> str:
    file = store.layout.root.parent / name
    file.write_bytes(name.encode())
    record, _ = VideoRegistry(store.layout).register(file)
    return record.video_id


def write_old(store: TableStore, video_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row of `ride_video` as it was before it said how pictures are shown."""
    later = LATER["ride_video"]
    row = {"video_id": video_id, "path": "/r.mp4", "width": 64, "height": 48, "rotation": 90}
    old = pl.DataFrame([row], schema=TABLES["ride_video"]).drop(later)

    def as_then(name: str, table: pl.DataFrame) -> pl.DataFrame:
        return conform(name, table, set(TABLES[name]) - later)

    with monkeypatch.context() as patch:
        patch.setattr(tables, "conform", as_then)
        store.write("ride_video", video_id, old, "f")


def test_warnings_are_listed_with_their_video(store: TableStore) -> None:
    video_id = registered(store, "ride.mp4")
    assert notes(store, video_id) == []
    row = {"video_id": video_id, "width": 64, "height": 48, "warnings": ["It is [HDR]."]}
    put(store, "ride_video", video_id, [row])
    assert notes(store, video_id) == ["It is [HDR]."]
    errors = [None, RESHAPED, f"{DAMAGED}; {RESHAPED}", None]
    put(
        store,
        "frames",
        video_id,
        [{"frame_idx": i, "decode_error": e} for i, e in enumerate(errors)],
    )
    said = notes(store, video_id)
    assert "2 of 4 sampled frames were brought to 64 × 48" in said[1]
    assert "1 of 4 sampled frames" in said[2]
    shown = " ".join(call(store.layout.root.parent, "videos").split())
    assert "[HDR]" in shown and "mid-stream" in shown


def test_a_damaged_table_is_said_and_the_list_goes_on(store: TableStore) -> None:
    bad, good = registered(store, "bad.mp4"), registered(store, "good.mp4")
    for video_id in (bad, good):
        put(store, "ride_video", video_id, [{"video_id": video_id, "warnings": ["It is HDR."]}])
    store.layout.table("ride_video", bad).write_bytes(b"no table")
    assert "ride_video" in notes(store, bad)[0]
    shown = call(store.layout.root.parent, "videos")
    assert "It is HDR." in shown and "bad.mp4" in shown


def test_rows_of_an_older_version_are_read_and_asked_beside_new_ones(
    store: TableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = registered(store, "old.mp4"), registered(store, "new.mp4")
    write_old(store, old, monkeypatch)
    assert set(pl.read_parquet_schema(store.layout.table("ride_video", old))).isdisjoint(
        LATER["ride_video"]
    )
    row = store.read("ride_video", old).row(0, named=True)
    assert (row["width"], row["rotation"]) == (64, 90)
    assert (row["transfer"], row["warnings"], row["interlaced"]) == (None, None, None)
    assert store.read("ride_video", old, ("transfer",))["transfer"].to_list() == [None]
    assert notes(store, old) == []
    question = "SELECT width, bit_depth, warnings FROM videos WHERE width > 0 ORDER BY width DESC"
    with open_catalogue(store.layout, CatalogueSettings()) as catalogue:
        assert catalogue.query(question).rows == [(64, None, None)]
    put(
        store,
        "ride_video",
        new,
        [{"video_id": new, "width": 7, "bit_depth": 10, "warnings": ["x"]}],
    )
    with open_catalogue(store.layout, CatalogueSettings()) as catalogue:
        assert catalogue.query(question).rows == [(64, None, None), (7, 10, ["x"])]
