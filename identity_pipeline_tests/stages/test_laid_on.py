"""What is said of faces by the part of the ride that they are in, from the tables of a ride."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest

from identity_pipeline.core.camera.shown_where import expressions_of
from identity_pipeline.core.camera.usual_faces import (
    FIGURES,
    failures_of,
    measured_by_phase,
    usual_faces,
)
from identity_pipeline.settings import load_settings
from identity_pipeline.stages.desk.ride_camera import _where
from identity_pipeline.stages.desk.ride_phases import ride_phases
from identity_pipeline.stages.imagesets.explanation import _place_of
from identity_pipeline.stages.imagesets.provenance import KnownRide
from identity_pipeline.stages.specs.assets import VIDEO_SPECS
from identity_pipeline.stages.specs.cache_key import differences, key_parts
from identity_pipeline.stages.specs.learnt import digests_of
from identity_pipeline.storage.cameras.cameras import RIDE, Cameras
from identity_pipeline.storage.cameras.editions import EditionName
from identity_pipeline.storage.cameras.pins import Pin, Pinned
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline.tables import TABLES
from identity_pipeline_tests.core.ride.tables import phases_of

PHASES = phases_of(("boarding", 3), ("dark", 2), (None, 1))
FACES = pl.DataFrame(
    [
        {
            **{"frame_idx": frame, "person_id": 0, "sharpness": 100.0, "face_px": 90.0},
            "luma_mean": 20.0 if frame >= 30 else 90.0,
            "strict_fails": ["too_dark"] if frame >= 30 else [],
        }
        for frame in range(60)
    ]
)
USUAL = [measured_by_phase(PHASES, FACES)] * 20
TOLD = {"ride_faces": usual_faces(USUAL), "ride_failures": failures_of(USUAL)}
DIGESTS = {name: name for name in ("face_pack", "perception", "vision")}
DARK = {"luma_mean": 15.0, "loose_fails": [], "strict_fails": ["too_dark"]}


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    """A ride that was laid on an edition which tells what faces measure."""
    store = TableStore(Layout(tmp_path))
    course = pl.DataFrame([{"edition": "1.20", "state": "followed"}])
    video = pl.DataFrame([{"video_id": "v", "path": "/f/v.mp4"}])
    for name, rows in (
        *(("ride_phases", PHASES), ("ride_course", course), ("ride_video", video)),
        ("candidates", FACES),
    ):
        store.write(name, "v", whole(name, rows), "f")
    edition(store, TOLD)
    return store


def edition(store: TableStore, tables: dict[str, pl.DataFrame]) -> Path:
    """The edition of the ride, in place of any other."""
    empty = {"ride_expected": pl.DataFrame(schema=TABLES["ride_expected"])}
    cameras, name = Cameras(store.layout), EditionName(1, 20, 20)
    cameras.write_model(None, name, empty | tables, {}, RIDE)
    return cameras.edition(None, name, RIDE).folder


def whole(table: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows as the table has them; what they do not say is null."""
    return rows.select(
        rows[name].cast(dtype) if name in rows.columns else pl.lit(None, dtype).alias(name)
        for name, dtype in TABLES[table].items()
    )


def test_a_face_that_fails_is_held_against_its_part_of_the_ride(store: TableStore) -> None:
    (words,) = said(store)
    assert words.startswith("Its light, 15, is less than usual in dark, 0:03.0 to 0:05.0: ")
    assert _place_of(store, "v", 55, 20) is None  # its part is not known
    assert _place_of(store, "v", 999, 20) is None
    alone = whole("ride_course", pl.DataFrame([{"state": "not_known"}]))
    store.write("ride_course", "v", alone, "g")
    assert _place_of(store, "v", 35, 20) is None  # the ride was not known


def said(store: TableStore) -> tuple[str, ...]:
    """Of a face that is too dark, what is usual where it is."""
    place = _place_of(store, "v", 35, 20)
    assert place is not None
    return place.sentences(dict.fromkeys(FIGURES) | DARK)


def test_the_page_of_a_ride_says_what_fails_as_usual(store: TableStore) -> None:
    settings = load_settings(paths={"data": str(store.layout.root)})
    told = ride_phases(store, settings, "v")
    assert told.failing[0].startswith("20 of 20 riders' faces that are too dark for an anchor")


def test_an_edition_of_an_earlier_version_says_nothing_and_a_damaged_one_says_so(
    store: TableStore,
) -> None:
    settings = load_settings(paths={"data": str(store.layout.root)})
    (edition(store, TOLD) / "ride_faces.parquet").write_bytes(b"damaged")
    (words,) = said(store)
    assert "cannot be told: " in words and "ride_faces" in words
    shutil.rmtree(edition(store, TOLD))  # as who is told to move it away does
    assert "it is missing" in said(store)[0]
    assert _where(store, settings, "v") == {}
    assert "it is missing" in (ride_phases(store, settings, "v").damage or "")  # on the same page
    edition(store, {})
    assert _place_of(store, "v", 35, 20) is None
    assert ride_phases(store, settings, "v").failing == ()


def test_an_export_says_nothing_of_what_its_edition_lacks_and_is_made_anew_with_it(
    store: TableStore,
) -> None:
    pinned, spec = Pinned(store.layout, None, Pin(ride="1.20")), VIDEO_SPECS["identity_dataset"]
    keys, settings = [], load_settings(paths={"data": str(store.layout.root)})
    for tables in ({}, TOLD | {"ride_expressions": expressions_of([])}):
        edition(store, tables)
        learnt = digests_of(spec, pinned)
        versions = dict.fromkeys(spec.inputs_with(learnt), "v")
        keys.append(key_parts(spec, settings, DIGESTS, versions, learnt=learnt))
        known = KnownRide.of(pinned, PHASES, FACES.with_columns(loose=True), settings)
        assert known is not None and bool(known.failing) == bool(tables)
    assert differences(*keys) == ["the model of its ride tells more now"]
    (edition(store, {}) / "manifest.json").unlink()
    with pytest.raises(DamagedFileError):
        digests_of(spec, pinned)
