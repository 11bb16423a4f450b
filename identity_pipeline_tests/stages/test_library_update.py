"""After a recompute everything that follows the library is current, or what is not is said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from identity_pipeline.ledger.store import LedgerStore
from identity_pipeline.settings import IndexSettings
from identity_pipeline.stages.library.indexing import check, indexed_videos
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.index.client import IndexPlace
from identity_pipeline.storage.index.vector_index import VectorIndex
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.library.generations import Generations
from identity_pipeline.storage.library.kmeans_heads import KMeansHeadStore
from identity_pipeline.storage.library.profiles import ProfileStore
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.curated_library import PINS, SPACE, asked, call, write_rides
from identity_pipeline_tests.storage.small_library import put

CURRENT = "Profiles, k-means heads and names in the index are current."


def rides(root: Path) -> TableStore:
    store = write_rides(root)
    for video in store.videos_with("track_templates"):  # what heads learn from
        rows = store.read("track_templates", video).iter_rows(named=True)
        samples = [
            {name: row[name] for name in ("track_key", "video_id", "space")}
            | {"e_id": row["template"]}
            for row in rows
        ]
        put(store, "face_samples", video, samples)
    return store


def vectors(store: TableStore) -> VectorIndex:
    return VectorIndex(IndexPlace.of(store.layout), IndexSettings())


def ids(store: TableStore) -> dict[str, str]:
    state = LedgerStore(store.layout).history().state
    return {str(state.people[key].name): key for key in state.active}


def confirmed(store: TableStore) -> dict[str, set[str]]:
    """Tracks of each person whom humans gave them to, by the generation in force."""
    table = Generations(store.layout).open().table("person_assignments")
    table = table.filter(pl.col("origin").is_in(["human", "suggestion_accepted"]))
    found: dict[str, set[str]] = {}
    for key, person in table.select("track_key", "person_id").iter_rows():
        found.setdefault(person, set()).add(key)
    return found


def assert_current(store: TableStore) -> None:
    """Contents, not notes: faces of the profiles, people of the heads, points of the index."""
    own, profiles = confirmed(store), ProfileStore(store.layout)
    for person, tracks in own.items():
        profile = profiles.get(person)
        assert profile is not None
        kept = profile.embedding_count + len(profile.quarantined)
        assert kept == 3 * len(tracks), "three frames a track"
        assert len(profile.sources) == len({key.split(":")[1] for key in tracks})
    for profile in profiles.all():
        assert profile.person_id in own or not profile.sources
    if own:
        heads = KMeansHeadStore(store.layout).load(SPACE).heads
        assert {head.person_id: head.tracks for head in heads.people} == {
            person: len(tracks) for person, tracks in own.items()
        }
    assert check(LibraryStores.of(store), vectors(store)) == []


def test_the_loop_ends_with_everything_current(tmp_path: Path) -> None:
    store = rides(tmp_path)
    call(tmp_path, "recluster")
    assert_current(store)
    call(tmp_path, "label", "cluster", "1", "--name", "Ada")
    told = call(tmp_path, "recluster")
    assert "Ada: profile created, +3 new" in told and CURRENT in told
    assert_current(store)
    call(tmp_path, "label", "ride-a:2", "--name", "Ben")
    call(tmp_path, "recluster")
    call(tmp_path, "move", "ride-b:1", "--to", "Ben")
    told = call(tmp_path, "recluster")
    assert "1 video withdrawn from profiles" in told
    assert_current(store)
    call(tmp_path, "rename", "Ben", "Benjamin")
    call(tmp_path, "recluster")
    profile = ProfileStore(store.layout).get(ids(store)["Benjamin"])
    assert profile is not None and profile.name == "Benjamin"
    for _ in range(4):
        call(tmp_path, "undo", "last")
    assert CURRENT in call(tmp_path, "recluster")
    assert_current(store)
    assert not confirmed(store)
    assert "up to date" in call(tmp_path, "recluster")


def test_only_videos_with_other_names_are_written_to_the_index(tmp_path: Path) -> None:
    store = rides(tmp_path)
    call(tmp_path, "recluster")
    call(tmp_path, "label", "ride-d:1", "--name", "Dora")
    told = asked(tmp_path, "recluster")
    assert [video[:6] for video in told["indexed"]] == ["ride-d"] and told["behind"] == []
    assert len(indexed_videos(store)) == 4
    assert asked(tmp_path, "recluster")["indexed"] is None, "nothing was left to do"
    assert_current(store)


def test_what_cannot_be_brought_in_step_is_said_and_healed_by_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = rides(tmp_path)
    call(tmp_path, "recluster")
    call(tmp_path, "label", "ride-d:1", "--name", "Dora")
    monkeypatch.setitem(PINS, "IDENTITY_PIPELINE__INDEX__LOCK_WAIT_S", "0.1")
    with vectors(store).open("a search of somebody else"):
        told = call(tmp_path, "recluster")
    assert "The names in the index are not current" in told
    assert "index rebuild" in told and CURRENT not in told
    assert "Dora: profile created" in told, "the other steps went on"
    assert Generations(store.layout).noted("index") is None
    told = call(tmp_path, "recluster")
    assert "Names in the index changed for 1 video" in told and CURRENT in told
    assert_current(store)


def test_a_broken_profile_holds_up_nobody_else(tmp_path: Path) -> None:
    store = rides(tmp_path)
    call(tmp_path, "recluster")
    call(tmp_path, "label", "ride-d:1", "--name", "Dora")
    call(tmp_path, "recluster")
    path = next(store.layout.identities.glob("dora-*/profile.json"))
    whole = path.read_text()
    path.write_text('{"schema_version": 2}')
    call(tmp_path, "label", "ride-b:2", "--name", "Cleo")
    told = call(tmp_path, "recluster")
    assert "Cleo: profile created" in told
    assert "The profiles are not current" in told and str(path) in told
    assert {row["name"] for row in asked(tmp_path, "people")} == {"Cleo", "Dora"}
    assert "The profiles are not current" in call(tmp_path, "recluster"), "it is said again"
    path.write_text(whole)
    assert CURRENT in call(tmp_path, "recluster")
    assert_current(store)


@pytest.mark.parametrize("which", ["profile.json", "sources-*.json"])
def test_a_profile_damaged_since_is_said_and_made_anew_as_told(tmp_path: Path, which: str) -> None:
    store = rides(tmp_path)
    call(tmp_path, "label", "ride-d:1", "--name", "Dora")
    call(tmp_path, "label", "ride-b:2", "--name", "Cleo")
    assert CURRENT in call(tmp_path, "recluster")
    labels = {row["name"]: row["label"] for row in asked(tmp_path, "people")}
    dora = ProfileStore(store.layout).get(ids(store)["Dora"])
    (path,) = store.layout.identities.glob(f"dora-*/{which}")
    data = path.read_bytes()
    place = data.index(b"1")
    path.write_bytes(data[:place] + b"2" + data[place + 1 :])  # nothing of JSON is broken
    profile = path.with_name("profile.json")
    mend = f"{profile} is no profile ("
    shown = call(tmp_path, "people")
    assert mend in shown and "cannot be read" in shown and str(labels["Cleo"]) in shown
    assert "none yet" not in shown
    told = call(tmp_path, "recluster")
    assert mend in told and CURRENT not in told and "remove it, and `identity-pipeline" in told
    assert "1 profile cannot be read" in call(tmp_path, "plan")
    profile.unlink()
    assert CURRENT in call(tmp_path, "recluster")
    again = ProfileStore(store.layout).get(ids(store)["Dora"])
    assert dora is not None and again is not None
    assert again == replace(dora, last_training=again.last_training)
    assert {row["name"]: row["label"] for row in asked(tmp_path, "people")} == labels


def test_a_damaged_video_holds_up_the_profile_of_nobody_else(tmp_path: Path) -> None:
    store = rides(tmp_path)
    for track, name in {"ride-a:1": "Ada", "ride-b:2": "Cleo", "ride-d:1": "Dora"}.items():
        call(tmp_path, "label", track, "--name", name)
    # Ids of people are drawn: whoever comes first, is held up by the damage.
    first = min(ids(store).items(), key=lambda person: person[1])[0]
    ride = {"Ada": "ride-a", "Cleo": "ride-b", "Dora": "ride-d"}[first]
    video = next(v for v in store.videos_with("track_templates") if v.startswith(ride))
    path = store.layout.table("face_quality", video)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    told = call(tmp_path, "recluster")
    assert "The profiles are not current" in told and str(path) in told
    there = {profile.name for profile in ProfileStore(store.layout).all()}
    assert there == {"Ada", "Cleo", "Dora"} - {first}
    path.write_bytes(whole)
    assert CURRENT in call(tmp_path, "recluster")
    assert_current(store)


def test_why_a_video_cannot_be_read_is_logged_once_and_told_once_of_all_people(
    tmp_path: Path,
) -> None:
    store = rides(tmp_path)
    call(tmp_path, "label", "ride-a:1", "--name", "Ada")
    call(tmp_path, "label", "ride-a:2", "--name", "Bea")
    call(tmp_path, "recluster")
    video = next(v for v in store.videos_with("track_templates") if v.startswith("ride-a"))
    path = store.layout.table("face_samples", video)
    path.write_bytes(path.read_bytes()[:-20])
    call(tmp_path, "label", "ride-d:1", "--name", "Dora")
    for _ in range(2):
        told = call(tmp_path, "recluster")
        assert told.count("The library is computed without") == 1
        assert told.count("The profiles of Ada and Bea stay as they are: ") == 1
        assert told.count("its SHA-256 begins with") == 3  # in the log, and in these two


def test_a_profile_survives_a_backup_restored_into_an_empty_folder(tmp_path: Path) -> None:
    store = rides(tmp_path)
    call(tmp_path, "label", "ride-d:1", "--name", "Dora")
    call(tmp_path, "recluster")
    call(tmp_path, "backup", str(tmp_path / "backup.zip"), "--keys", str(tmp_path / "k" / "keys"))
    before = ProfileStore(store.layout).get(ids(store)["Dora"])
    new = tmp_path / "new"
    call(new, "restore", str(tmp_path / "backup.zip"), "--keys", str(tmp_path / "k" / "keys"))
    told = call(new, "recluster")
    assert "The profile of Dora stays as it is: the tables of ride-d-" in told
    there = TableStore(Layout(new / "data"))
    assert ProfileStore(there.layout).get(ids(there)["Dora"]) == before

    call(new, "undo", "last")  # what a human takes back is withdrawn all the same
    call(new, "recluster")
    (profile,) = ProfileStore(there.layout).all()
    assert not profile.sources


def test_a_profile_whose_inputs_are_the_same_is_not_read_again(tmp_path: Path) -> None:
    store = rides(tmp_path)
    call(tmp_path, "label", "ride-d:1", "--name", "Dora")
    call(tmp_path, "recluster")
    profile = ProfileStore(store.layout).get(ids(store)["Dora"])
    assert profile is not None and profile.made_of is not None
    path = next(store.layout.identities.glob("dora-*/profile.json"))
    stamp = path.stat().st_mtime_ns
    written = json.loads(path.read_text())
    call(tmp_path, "label", "ride-b:2", "--name", "Cleo")
    call(tmp_path, "recluster")
    assert path.stat().st_mtime_ns == stamp
    for name in ("made_of", "sha256"):  # of an older version
        written.pop(name)
    path.write_text(json.dumps(written))
    call(tmp_path, "label", "ride-a:1", "--name", "Ada")
    call(tmp_path, "recluster")
    again = ProfileStore(store.layout).get(ids(store)["Dora"])
    assert again == profile


def test_the_plan_knows_whether_the_index_has_the_names(tmp_path: Path) -> None:
    store = rides(tmp_path)
    call(tmp_path, "recluster")
    noted = store.layout.library_tables / "index.manifest.json"
    assert noted.is_file()
    noted.unlink()
    assert Generations(store.layout).noted("index") is None
    call(tmp_path, "index", "rebuild")
    assert Generations(store.layout).noted("index") is not None
