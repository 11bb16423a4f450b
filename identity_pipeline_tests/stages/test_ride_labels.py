"""What people say of parts of a ride: the file, the editions of its model, and forgetting."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from identity_pipeline.core.ride.labels import PhaseLabel
from identity_pipeline.settings import Settings, load_settings
from identity_pipeline.stages.library import ride_labels
from identity_pipeline.stages.library.camera_account import account_of
from identity_pipeline.stages.library.camera_lessons import learn_rides, waiting
from identity_pipeline.stages.library.phase_labelling import label_part
from identity_pipeline.stages.library.ride_labels import strangers, unheeded
from identity_pipeline.stages.library.ride_template import make_ride, make_rides
from identity_pipeline.stages.video.pinning import newest_pin
from identity_pipeline.storage.cameras.cameras import RIDE, CameraRecord, Cameras
from identity_pipeline.storage.cameras.editions import Edition, labels_in
from identity_pipeline.storage.cameras.forgetting import forget_videos
from identity_pipeline.storage.cameras.phase_labels import PhaseLabelError, PhaseLabels
from identity_pipeline.storage.cameras.pins import NOT_KNOWN
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline.tables import TABLES
from identity_pipeline_tests.core.ride.rides import any_train, ride

S: Settings = load_settings(ride={"step_s": 0.4})
TUNNEL = PhaseLabel("ride-03", 15.0, 21.0, "dark", "tunnel")
FILE = "camera,video,start_s,end_s,phase,title\n"


def film(store: TableStore, n: int) -> str:
    """A ride, one rider of which is seen well but in the dark."""
    name, shown = f"ride-{n:02d}", ride(any_train(n), n)
    faces = shown.frames.with_columns(
        face_id=pl.format("{}-0", "frame_idx"),
        track_id=1,
        loose=pl.Series([phase != "dark" for phase in shown.phases]),
    )
    row = {"video_id": name, "path": f"/f/{name}.mp4", "width": 640, "height": 360}
    store.write("ride_video", name, whole("ride_video", pl.DataFrame([row])), "f")
    store.write("frames", name, shown.frames, "f")
    store.write("face_tracks", name, whole("face_tracks", faces), "f")
    store.write("face_quality", name, whole("face_quality", faces), "f")
    faces = faces.with_columns(expression_bin=pl.lit("smile"), lighting_bin=pl.lit("normal"))
    store.write("face_buckets", name, whole("face_buckets", faces), "f")
    rider = pl.DataFrame([{"track_id": 1, "person_id": 0, "reason": "rider"}])
    store.write("riders", name, whole("riders", rider), "f")
    return name


def whole(table: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows as the table has them; what they do not say is null."""
    return rows.select(
        rows[name].cast(dtype) if name in rows.columns else pl.lit(None, dtype).alias(name)
        for name, dtype in TABLES[table].items()
    )


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A camera of twenty videos, the ride of which is known."""
    root = tmp_path_factory.mktemp("rides") / "data"
    store = TableStore(Layout(root))
    videos = tuple(film(store, n) for n in range(20))
    Cameras(store.layout).write_record(CameraRecord(None, videos))
    assert make_ride(store, S, None).made is not None
    return root


@pytest.fixture
def store(known: Path, tmp_path: Path) -> TableStore:
    shutil.copytree(known, tmp_path / "data")
    return TableStore(Layout(tmp_path / "data"))


def newest(store: TableStore) -> Edition:
    cameras = Cameras(store.layout)
    return cameras.edition(None, cameras.editions(None, RIDE)[-1], RIDE)


def titled(edition: Edition) -> list[tuple[str, str | None, str]]:
    table = edition.table("ride_stretches").filter(pl.col("source") == "human")
    return table.select("phase", "title", "source").rows()


def unplaced(store: TableStore) -> Sequence[str]:
    return unheeded(store, None)


def test_an_edition_counts_in_which_parts_a_rider_is_seen_well(store: TableStore) -> None:
    stretches = newest(store).table("ride_stretches").join(
        newest(store).table("ride_expected"), on="phase_number"
    )  # fmt: skip
    dark = stretches.filter(pl.col("phase") == "dark")
    usual = stretches.filter(pl.col("phase") == "ride")
    assert dark.height and dark["rides"].min() >= 15
    assert (usual["with_good"] == usual["rides"]).all()
    shown = newest(store).table("ride_expressions").filter(axis="expression", cell="smile")
    good = stretches.filter(pl.col("with_good") > 0)  # one rider a ride, who always smiles
    told = ("phase_number", "riders"), ("phase_number", "with_good")
    assert shown.select(told[0]).rows() == good.select(told[1]).sort("phase_number").rows()


def test_what_is_said_makes_an_edition_and_the_one_before_stays_as_it_was(
    store: TableStore,
) -> None:
    before = newest(store)
    assert label_part(store, S, TUNNEL).startswith("Noted")
    assert "waits for the next model" in unplaced(store)[0]
    assert str(make_ride(store, S, None).made) == "1.20.1"
    after = newest(store)
    assert titled(after) == [("dark", "tunnel", "human")] and unplaced(store) == []
    assert [one.label for one in labels_in(after.table("ride_labels"))] == [TUNNEL]
    for table in ("ride_track", "ride_usual", "ride_members"):
        assert before.digest(table) == after.digest(table)
    before.check()
    assert not titled(before)
    assert make_ride(store, S, None).made is None  # nothing more was said


def test_what_is_said_counts_too_where_twenty_more_videos_are_of_no_use(store: TableStore) -> None:
    more = [f"black-{n:02d}" for n in range(20)]
    black = pl.DataFrame([{"frame_idx": 0, "timestamp_ms": 0.0}])
    for name in more:
        row = pl.DataFrame([{"video_id": name, "path": f"/f/{name}.mp4"}])
        store.write("ride_video", name, whole("ride_video", row), "f")
        store.write("frames", name, whole("frames", black), "f")
    record = Cameras(store.layout).record(None)
    assert record is not None
    Cameras(store.layout).write_record(CameraRecord(None, (*record.videos, *more)))
    label_part(store, S, TUNNEL)
    assert str(make_ride(store, S, None).made) == "1.20.1"


def test_a_forgotten_ride_leaves_what_was_said_and_not_its_name(store: TableStore) -> None:
    label_part(store, S, TUNNEL)
    make_ride(store, S, None)
    gone = {TUNNEL.video}
    forget_videos(Cameras(store.layout), gone)
    files = [path for path in store.layout.cameras.rglob("*") if path.is_file()]
    assert not [path for path in files if TUNNEL.video.encode() in path.read_bytes()]
    (left,) = PhaseLabels(store.layout).of(None)
    assert left.video.startswith("gone-") and left.title == "tunnel"
    for name in ("ride_video", "frames"):
        for path in (store.layout.root / "tables" / name).glob(f"{TUNNEL.video}.*"):
            path.unlink()
    again = TableStore(store.layout)
    assert make_ride(again, S, None).made is None and unplaced(again) == []
    label_part(again, S, PhaseLabel("ride-05", 30.0, 33.0, "stop"))
    assert str(make_ride(again, S, None).made) == "1.20.2"
    assert ("dark", "tunnel", "human") in titled(newest(again))  # it lies where it lay


def test_what_counts_for_nothing_makes_no_edition_and_is_said(store: TableStore) -> None:
    label_part(store, S, TUNNEL)
    make_ride(store, S, None)
    path = store.layout.phase_labels
    nothing = ",nobody,1,2,stop,\n,ride-03,2000,3000,stop,\n,No Id.mp4,1,2,stop,\n"
    nothing += "cam9,ride-01,1,2,dark,\n"
    path.write_text(path.read_text(encoding="utf-8") + nothing, encoding="utf-8")
    assert make_ride(store, S, None).made is None
    none, late, no_id = unplaced(store)
    assert "of such a video" in none and "ends before that" in late and "of such a video" in no_id
    assert strangers(store, S) == [
        "Line 6 of phases.csv is of camera cam9, of which no video is known: it counts for nothing."
    ]
    assert learn_rides(store, S) and waiting(store, S, RIDE) == []
    before = path.read_text(encoding="utf-8")
    path.write_text(before.replace("2000,3000", "0:30,0:33"), encoding="utf-8")
    assert waiting(store, S, RIDE) == ["the camera without a name"]
    assert str(make_ride(store, S, None).made) == "1.20.2"
    assert len(titled(newest(store))) == 2


def test_what_counts_for_nothing_is_laid_on_the_ride_once_until_something_is_another(
    store: TableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    label_part(store, S, TUNNEL)
    with store.layout.phase_labels.open("a", encoding="utf-8") as file:
        file.write(",ride-21,15,21,dark,\n")
    told = unplaced(store)
    assert "of such a video" in told[1]
    with monkeypatch.context() as patched:
        patched.setattr(ride_labels, "place_labels", None)
        assert unplaced(store) == told
    film(store, 21)
    assert "waits for the next model" in unplaced(store)[1]
    make_ride(store, S, None)
    assert unplaced(store) == []


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (",ride-01,5,9,tunnel,x\n", "no phase; one is boarding, ride"),
        (",ride-01,9,5,dark,x\n", "line 2: its end (5 s) is not after its start (9 s)"),
        ("\n\n,ride-01,5 s,9,dark,x\n", "line 4: start_s: '5 s' is no time of a video"),
        ("ride-01,5,9,dark,x\n", "it has 5 values, not 6"),
        (',ride-01,5,9,dark,"x\n', "line 2 is none of a table"),
    ],
)
def test_a_line_that_is_wrong_is_said_and_nothing_is_made_or_lost(
    line: str, why: str, store: TableStore
) -> None:
    path = store.layout.phase_labels
    path.write_text(FILE + line, encoding="utf-8-sig")
    (told,) = make_rides(store, S)
    (problem,) = account_of(store.layout, S.camera, None).problems
    assert why in (told.damage or "") and why in problem
    with pytest.raises(DamagedFileError):
        label_part(store, S, TUNNEL)
    assert path.read_text(encoding="utf-8-sig") == FILE + line
    assert len(Cameras(store.layout).editions(None, RIDE)) == 1


def test_a_line_that_is_wrong_keeps_no_damaged_edition_from_being_mended(
    store: TableStore,
) -> None:
    before = newest(store).digests
    (newest(store).folder / "ride_track.parquet").write_bytes(b"damaged")
    store.layout.phase_labels.write_text(FILE + "cam9,w1,1,2,tunel,\n", encoding="utf-8")
    (told,) = make_rides(store, S)
    assert "no phase; one is" in (told.damage or "")
    newest(store).check()
    assert newest(store).digests == before


LATER = ("ride_expressions", "ride_faces", "ride_failures")


def as_earlier_code_left_them(store: TableStore) -> dict[str, dict[str, str]]:
    """Every edition without the tables of later code; the SHA-256 of what is left, by edition."""
    cameras, left = Cameras(store.layout), {}
    for name in cameras.editions(None, RIDE):
        now = cameras.edition(None, name, RIDE)
        tables = {table: now.table(table) for table in now.tables if table not in LATER}
        cameras.write_model(None, name, tables, now.about | {"code": "2"}, RIDE)
        left[str(name)] = dict(cameras.edition(None, name, RIDE).digests)
    return left


def test_an_edition_of_earlier_code_gets_tables_and_all_that_it_holds_stays(
    store: TableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    label_part(store, S, TUNNEL)
    make_ride(store, S, None)
    forget_videos(Cameras(store.layout), {TUNNEL.video})  # too few are left to make one anew
    for name in ("ride_video", "frames"):
        for path in (store.layout.root / "tables" / name).glob(f"{TUNNEL.video}.*"):
            path.unlink()
    store, before = TableStore(store.layout), as_earlier_code_left_them(store)
    cameras, locked = Cameras(store.layout), Cameras.locked

    def forgotten_first(self: Cameras, camera: str | None, purpose: str) -> object:
        if purpose == "adding tables to a model":
            monkeypatch.setattr(Cameras, "locked", locked)
            forget_videos(cameras, {"ride-07"})
        return locked(self, camera, purpose)

    monkeypatch.setattr(Cameras, "locked", forgotten_first)
    assert str(make_ride(store, S, None).made) == "1.20.1"
    files = [path for path in store.layout.cameras.rglob("*") if path.is_file()]
    assert not [path for path in files if b"ride-07" in path.read_bytes()]
    late = cameras.edition(None, "1.20", RIDE)  # it was another by then, and waits
    assert not set(LATER) & set(late.tables)
    del before["1.20.1"]["ride_members.parquet"]
    before["1.20"] = dict(late.digests)
    assert str(make_ride(store, S, None).made) == "1.20"
    for name, digests in before.items():
        edition = cameras.edition(None, name, RIDE)
        edition.check()
        assert digests.items() <= edition.digests.items()
        riders = edition.table("ride_expressions")["of_riders"]
        assert riders.max() == 18  # one each of the rides that are left
        assert edition.table("ride_faces").height and "ride_failures" in edition.tables
    assert titled(newest(store)) == [("dark", "tunnel", "human")] and unplaced(store) == []
    assert make_ride(store, S, None).made is None


def test_what_is_of_the_day_in_an_edition_that_is_mended(store: TableStore) -> None:
    label_part(store, S, TUNNEL)
    make_ride(store, S, None)

    def other_after(name: str, table: str) -> set[str]:
        """The files that are other ones after an edition is mended of which a table was damaged."""
        before = Cameras(store.layout).edition(None, name, RIDE)
        (before.folder / f"{table}.parquet").write_bytes(b"damaged")
        assert str(make_ride(store, S, None).made) == name
        after = Cameras(store.layout).edition(None, name, RIDE)
        after.check()
        return {file for file in before.digests if before.digests[file] != after.digests[file]}

    nobody = store.read("riders", "ride-03").with_columns(person_id=pl.lit(None, pl.Int64))
    store.write("riders", "ride-03", nobody, "g")
    of_faces = {f"ride_{name}.parquet" for name in ("expected", "expressions", "faces")}
    assert other_after("1.20.1", "ride_track") == of_faces
    changed = other_after("1.20", "ride_labels")
    assert {"ride_labels.parquet", "ride_stretches.parquet"} <= changed
    assert not changed & {"ride_track.parquet", "ride_usual.parquet", "ride_members.parquet"}


def test_who_cannot_be_mended_says_the_way_out(store: TableStore) -> None:
    cameras, edition = Cameras(store.layout), newest(store)
    forget_videos(cameras, {"ride-19"})
    (edition.folder / "ride_track.parquet").write_bytes(b"damaged")
    way_out = "restore it from a backup, or move it away"
    assert way_out in (make_ride(store, S, None).damage or "")
    with pytest.raises(DamagedFileError, match=way_out):
        newest_pin(cameras, None)
    shutil.rmtree(edition.folder)
    assert "19 of the 20" in make_ride(store, S, None).sentence
    assert newest_pin(cameras, None) == NOT_KNOWN


def test_a_ride_that_is_forgotten_while_an_edition_is_made_is_not_named_in_it(
    store: TableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    cameras, late, locked = Cameras(store.layout), film(store, 20), Cameras.locked
    record = cameras.record(None)
    assert record is not None
    cameras.write_record(CameraRecord(None, (*record.videos, late)))
    label_part(store, S, replace(TUNNEL, video=late))  # it is none of the twenty

    def forgotten_first(self: Cameras, camera: str | None, purpose: str) -> object:
        if purpose == "putting a model in place":
            monkeypatch.setattr(Cameras, "locked", locked)
            forget_videos(cameras, {late})
        return locked(self, camera, purpose)

    monkeypatch.setattr(Cameras, "locked", forgotten_first)
    assert make_ride(store, S, None).made is None
    files = [path for path in store.layout.cameras.rglob("*") if path.is_file()]
    assert not [path for path in files if late.encode() in path.read_bytes()]
    assert [label.title for label in PhaseLabels(store.layout).of(None)] == ["tunnel"]


def test_people_edit_the_file_and_the_desk_adds_to_what_they_wrote(store: TableStore) -> None:
    path = store.layout.phase_labels
    own = (
        "title;".replace(";", ",")
        + "video,start_s,end_s,phase,camera\nlift,ride-01, 30 ,33.5,ride,"
    )
    path.write_text(own, encoding="utf-8")
    label_part(store, S, TUNNEL)
    label_part(store, S, TUNNEL)  # a form that is sent twice
    assert path.read_text(encoding="utf-8") == f"{own}\ntunnel,ride-03,15.0,21.0,dark,\n"
    assert PhaseLabels(store.layout).of(None) == (
        PhaseLabel("ride-01", 30.0, 33.5, "ride", "lift"),
        TUNNEL,
    )
    assert PhaseLabels(store.layout).of("cam3") == ()


@pytest.mark.parametrize(
    ("label", "why"),
    [
        (PhaseLabel("ride-03", 5, 9, "tunnel"), "no phase"),
        (PhaseLabel("ride-03", 900, 909, "dark"), "s long"),
        (PhaseLabel("ride-03", 5, 9, "dark", "x" * 61), "title"),
        (PhaseLabel("ride-03", 5, 9, "dark", "a\nb"), "one line"),
    ],
)
def test_what_cannot_be_said_is_refused(label: PhaseLabel, why: str, store: TableStore) -> None:
    with pytest.raises(PhaseLabelError, match=why):
        label_part(store, S, label)
    assert not store.layout.phase_labels.exists()
