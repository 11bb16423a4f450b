"""A data folder that an earlier version made is opened by this one, and no decision is lost."""

from __future__ import annotations

import json
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest

from identity_pipeline.ledger.store import LedgerStore
from identity_pipeline.settings import load_settings
from identity_pipeline.stages.library.kmeans_heads import train_kmeans_heads
from identity_pipeline.stages.library.profiles import sync_profiles
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.catalogue.catalogue import open_catalogue
from identity_pipeline.storage.catalogue.views import VIEWS
from identity_pipeline.storage.files.small_files import RECORD_SEAL, SEAL, sealed, unfit
from identity_pipeline.storage.folder.backup import read_backup
from identity_pipeline.storage.folder.data_folder import FORMAT, noted_folder
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.library.generations import Generations
from identity_pipeline.storage.library.heads import HeadStore
from identity_pipeline.storage.library.kmeans_heads import KMeansHeadStore
from identity_pipeline.storage.library.profiles import ProfileStore
from identity_pipeline.storage.video.archive import Archive
from identity_pipeline.storage.video.failures import FailureNotes
from identity_pipeline.storage.video.registry import VideoRegistry
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.curated_library import SPACE, asked, call, in_force

FOLDERS = sorted(Path(__file__).parent.glob("format-*.zip"))
RIDES = ("ride-a-28892928", "ride-b-f32e2704", "ride-c-cb7b37a5", "ride-d-e1cf95e0")
TODAY = "2026-02-03"


@pytest.fixture(params=FOLDERS, ids=lambda path: path.stem)
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of the folder, as it was."""
    with zipfile.ZipFile(request.param) as archive:
        for info in archive.infolist():
            path = tmp_path / info.filename
            path.parent.mkdir(parents=True, exist_ok=True)
            if stat.S_ISLNK(info.external_attr >> 16):
                path.symlink_to(archive.read(info).decode())
            else:
                path.write_bytes(archive.read(info))
    return tmp_path


def store_of(root: Path) -> TableStore:
    return TableStore(Layout(root / "data"))


def expected(root: Path) -> dict[str, Any]:
    return json.loads((root / "expected.json").read_text(encoding="utf-8"))


def check_decisions(root: Path) -> None:
    """Everything that a human decided is what it was."""
    wanted, state = expected(root), LedgerStore(Layout(root / "data")).history().state
    assert state.state_hash == wanted["state_hash"]
    assert {key: person.name for key, person in state.people.items()} == wanted["people"]
    assert sorted(state.active) == wanted["active"]
    assert dict(state.assigned) == wanted["assigned"]
    assert sorted(map(list, state.rejected)) == wanted["rejected"]


def test_every_decision_is_there_after_the_first_look(root: Path) -> None:
    wanted = expected(root)
    shown = {p["person_id"]: p["name"] for p in asked_late(root, "people", "--hidden")}
    assert shown == {key: wanted["people"][key] for key in wanted["active"]}
    check_decisions(root)
    folder = noted_folder(Layout(root / "data"))
    assert folder and folder.format == FORMAT


def test_a_backup_is_made_before_and_holds_the_decisions(root: Path) -> None:
    ledger = (root / "data" / "ledger" / "events.jsonl").read_bytes()
    said = call(root, "migrate", "--dry-run")
    assert f"has format 1, not {FORMAT}" in said
    assert not (root / "data" / "folder.json").exists()
    said = call(root, "migrate")
    assert "A backup of what cannot be made again" in said
    assert "nothing to do" in call(root, "migrate")
    assert "nothing to do" in call(root, "migrate", "--dry-run")
    kept = root / "data" / "backups" / "before-format-2.zip"
    _, contents = read_backup(kept)
    assert contents["data/ledger/events.jsonl"] == ledger
    assert sum(name.startswith("data/registry/") for name in contents) == 4


def test_every_decision_is_there_after_recluster_and_more_decisions(root: Path) -> None:
    wanted = expected(root)
    call(root, "recluster")
    check_decisions(root)
    tables = in_force(store_of(root))
    rows = {row["track_key"]: row for row in tables["person_assignments"].iter_rows(named=True)}
    for track, person in wanted["assigned"].items():
        assert (rows[track]["person_id"], rows[track]["state"]) == (person, "known"), track
        assert rows[track]["origin"] != "auto"
    for track, person in wanted["rejected"]:
        assert rows[track]["person_id"] != person
    call(root, "label", "ride-c:1", "--name", "Eve")
    call(root, "undo", "last")
    check_decisions(root)
    # The undo of yesterday, and the undone, can be taken back themselves.
    undo = next(e for e in asked(root, "events") if e["kind"] == "undo" and e["seq"] <= 11)
    call(root, "undo", str(undo["seq"]))
    assert "Adele" in {person["name"] for person in asked(root, "people")}


def test_nothing_human_goes_where_a_library_is_computed_from_nothing(root: Path) -> None:
    """Also where the generation of yesterday cannot be read any more."""
    (root / "data" / "tables" / "library").unlink()
    call(root, "recluster")
    rows = in_force(store_of(root))["person_assignments"]
    known = dict(rows.select("track_key", "person_id").iter_rows())
    assert {t: known[t] for t in expected(root)["assigned"]} == expected(root)["assigned"]


def test_the_other_readers_read_it(root: Path) -> None:
    said = call(root, "videos")
    assert all(name in said for name in RIDES)
    for command in (("status",), ("plan",), ("clusters",), ("suggestions",), ("events",)):
        call(root, *command)
    call(root, "explain", "ride-a:1")
    call(root, "heads")
    with open_catalogue(Layout(root / "data"), load_settings().catalogue) as catalogue:
        for view in VIEWS:
            catalogue.query(f"SELECT * FROM {view} LIMIT 3")  # noqa: S608
        assert catalogue.query("SELECT count(*) FROM videos").rows == [(4,)]


def test_its_small_files_are_read(root: Path) -> None:
    layout, wanted = Layout(root / "data"), expected(root)
    records = list(VideoRegistry(layout).all())
    assert [Path(record.path).name for record in records] == [f"ride-{x}.mp4" for x in "abcd"]
    note = FailureNotes(layout).get(records[0].video_id)
    assert note and note.code == "no_rider" and note.permanent
    mark = Archive(layout).get(records[1].video_id)
    assert mark and mark.archived_at.startswith("2026-01-02")
    heads = HeadStore(layout)
    assert [card.head_id for card in heads.cards()] == wanted["heads"]
    assert heads.load(wanted["heads"][0]).input_dimension == 16
    live = heads.live()
    assert live.head_id is None and len(live.changes) == 2
    assert KMeansHeadStore(layout).load(SPACE).heads.people
    profiles = {profile.name: profile for profile in ProfileStore(layout).all()}
    assert {"Ada", "Bea", "Dorothea"} <= profiles.keys()
    assert all(profile.embedding_count for profile in profiles.values())
    with Generations(layout).open() as snapshot:
        table = snapshot.table("person_assignments")
        assert table.filter(state="known")["track_key"].to_list() == wanted["known"]


def test_profiles_and_heads_are_brought_in_step(root: Path) -> None:
    call(root, "recluster")
    store = store_of(root)
    sync_profiles(LibraryStores.of(store), load_settings(), TODAY)
    train_kmeans_heads(LibraryStores.of(store), load_settings(), f"{TODAY}T00:00:00+00:00")
    counts = {p.name: p.embedding_count for p in ProfileStore(store.layout).all()}
    assert counts == {"Ada": 6, "Bea": 6, "Dorothea": 6}
    check_decisions(root)


def test_an_export_of_yesterday_is_left_as_it_is(root: Path) -> None:
    before = {p: p.read_bytes() for p in (root / "data" / "output").rglob("*") if p.is_file()}
    call(root, "recluster")
    assert before and all(path.read_bytes() == data for path, data in before.items())


def asked_late(root: Path, *arguments: str) -> Any:
    """As `asked`; what the first opening says of the migration comes before the JSON."""
    call(root, "migrate")
    return asked(root, *arguments)


def test_fields_that_a_later_version_adds_to_small_files_are_passed_over(root: Path) -> None:
    call(root, "migrate")
    data = root / "data"
    small = [
        *(data / "folder.json", data / "acknowledged.json", data / "ledger" / "head.json"),
        *data.glob("models/**/*.json"),
        *data.glob("tables/.generations/*/*.json"),
    ]
    for path in small:
        content = json.loads(path.read_text(encoding="utf-8"))
        if path.name != "evaluation.json":
            later = {**content, "of_a_later_version": 1}
            for seal in (SEAL, RECORD_SEAL):
                if seal in content and unfit(content, seal) is None:
                    later = sealed(later, seal)
            path.write_text(json.dumps(later), encoding="utf-8")
    check_decisions(root)
    said = call(root, "videos")
    assert all(name in said for name in RIDES)
    assert len(asked(root, "people", "--hidden")) == len(expected(root)["active"])
    for command in (("heads",), ("status",), ("plan",), ("recluster",), ("explain", "ride-a:1")):
        call(root, *command)
    layout = Layout(root / "data")
    assert len(list(ProfileStore(layout).all())) == 3
    assert KMeansHeadStore(layout).load(SPACE).heads.people
    call(root, "label", "ride-c:1", "--name", "Eve")
    call(root, "undo", "last")
    check_decisions(root)
