"""The curator's loop on the command line."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import polars as pl
import pytest

from identity_pipeline.ledger.store import LedgerStore
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.library.generations import Generations
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.curated_library import (
    asked,
    call,
    in_force,
    look,
    started,
    write_rides,
    write_video,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four rides, grouped once."""
    write_rides(tmp_path)
    call(tmp_path, "recluster")
    return tmp_path


def store_of(root: Path) -> TableStore:
    return TableStore(Layout(root / "data"))


def state_hash(root: Path) -> str:
    return LedgerStore(Layout(root / "data")).history().state.state_hash


def events_of(root: Path) -> int:
    return len(LedgerStore(Layout(root / "data")).history().events)


def test_the_loop_and_back(root: Path) -> None:
    before, empty_state = in_force(store_of(root)), state_hash(root)
    rows = asked(root, "clusters")
    assert [(r["cluster_id"], r["track_count"], r["video_count"]) for r in rows] == [
        (1, 2, 2),
        (2, 2, 2),
    ]

    told = call(root, "label", "cluster", "1", "--name", "Ada", "--reason", "seen on the sheet")
    assert "20 faces of 2 videos move from unknown_cluster_1 to person Ada" in told
    assert "recluster" in told and "undo last" in told
    # The name is listed at once; what follows from it only after a recluster.
    assert [(p["name"], p["track_count"]) for p in asked(root, "people")] == [("Ada", 2)]
    moved = call(root, "recluster")
    assert "2 tracks from unknown_cluster_1 to person Ada" in moved
    assert "1 cluster is gone: unknown_cluster_1" in moved and "1 new suggestion" in moved

    call(root, "label", "unknown_cluster_2", "--name", "Ben")
    [suggestion] = asked(root, "suggestions")
    assert suggestion["person"] == "Ada" and suggestion["score"] == pytest.approx(0.4, abs=0.02)
    accepted = call(root, "suggestions", "--accept", suggestion["suggestion_id"][:8])
    assert "10 faces of 1 video move from noise to person Ada" in accepted
    assert asked(root, "suggestions") == []

    call(root, "label", "ride-b:2", "--name", "Cleo")
    merged = call(root, "merge", "cleo", "Ben")
    assert "10 faces of 1 video move from person Cleo to person Ben" in merged
    call(root, "recluster")
    people = {p["name"]: p for p in asked(root, "people")}
    assert people.keys() == {"Ada", "Ben"} and people["Ben"]["video_count"] == 3

    events = asked(root, "events")
    assert [e["kind"] for e in events] == ["merge", "name", "confirm", "name", "name"]
    assert events[-1]["actor"] == "tester" and events[-1]["reason"] == "seen on the sheet"
    call(root, "undo", "last")
    assert {p["name"] for p in asked(root, "people")} == {"Ada", "Ben", "Cleo"}
    while any(not e["undone"] and e["kind"] != "undo" for e in asked(root, "events")):
        call(root, "undo", "last")
    assert state_hash(root) == empty_state
    call(root, "undo", "last", code=1)
    assert "1 track from person Ben to noise" in call(root, "recluster")
    after = in_force(store_of(root))
    for name, table in before.items():
        assert after[name].equals(table), name


def test_a_dry_run_says_the_effect_and_writes_nothing(root: Path) -> None:
    folder = root / "data"

    def files() -> dict[str, bytes]:
        paths = (p for p in sorted(folder.rglob("*")) if p.is_file())
        return {str(p): p.read_bytes() for p in paths}

    before = files()
    told = call(root, "label", "cluster", "1", "ride-b:2@", "--name", "X", "--dry-run", code=1)
    assert "nothing that is known" in told
    told = call(root, "label", "cluster 1", "--name", "Ada", "--dry-run")
    assert "nothing is written" in told
    assert "20 faces of 2 videos move from unknown_cluster_1 to person Ada" in told
    call(root, "ignore", "ride-d:1", "--dry-run")
    call(root, "recluster", "--dry-run")
    assert files() == before


def test_a_taken_name_offers_the_person_and_a_second_one_on_demand(root: Path) -> None:
    call(root, "label", "cluster", "1", "--name", "Ada")
    refused = call(root, "label", "ride-b:2", "--name", "ADA", code=1)
    [ada] = asked(root, "people")
    assert f"--person {ada['person_id']}" in refused and "merge" in refused
    assert "--same-name" in refused and events_of(root) == 1
    call(root, "label", "ride-b:2", "--name", "Ada", "--same-name")
    ambiguous = call(root, "label", "ride-d:1", "--person", "Ada", code=1)
    assert all(p["person_id"] in ambiguous for p in asked(root, "people"))
    call(root, "label", "ride-d:1", "--person", ada["person_id"][:8])


@pytest.mark.parametrize(
    ("code", "words", "said"),
    [
        (2, ("label", "ride-a:1"), "one of --name"),
        (2, ("label", "--name", "Ada"), "Missing argument"),
        (1, ("label", "ride-a:9", "--name", "Ada"), "its tracks: 1, 2"),
        (1, ("label", "ride:1", "--name", "Ada"), "no single video is meant by 'ride'"),
        (1, ("label", "cluster", "77", "--name", "Ada"), "no unknown_cluster_77"),
        (1, ("label", "ride-a@000099-0", "--name", "Ada"), "has no face 000099-0"),
        (1, ("label", "ride-a:1", "ride-a:2", "--name", "Ada"), "seen in one frame"),
        (1, ("label", "ride-a:1", "--name", " "), "must not be empty"),
        (1, ("merge", "Nobody", "Else"), "no person fits 'Nobody'"),
        (1, ("undo", "last"), "no decision to undo"),
        (1, ("undo", "7"), "no single event fits '7'"),
        (1, ("suggestions", "--accept", "abcd"), "no single suggestion fits 'abcd'"),
        (1, ("confirm", "ride-d:1"), "nobody is suggested"),
    ],
)
def test_errors_are_one_sentence_and_change_nothing(
    root: Path, code: int, words: tuple[str, ...], said: str
) -> None:
    told = call(root, *words, code=code)
    assert said.lower() in told.lower() and "Traceback" not in told
    assert events_of(root) == 0


def test_all_other_decisions(root: Path) -> None:
    call(root, "label", "cluster", "1", "--name", "Ada")
    call(root, "recluster")
    [ada] = asked(root, "people")
    assert "2 rejections" not in call(root, "hide", "Ada")
    assert asked(root, "people") == [] and len(asked(root, "people", "--hidden")) == 1
    call(root, "unhide", "Ada")
    call(root, "rename", "Ada", "Ada B")
    assert "has the cover 000003-0" in call(root, "cover", "Ada B", "ride-a@3-0")
    told = call(root, "split", "Ada B", "ride-b:1", "--name", "Twin")
    assert "10 faces of 1 video move from person Ada B to person Twin" in told
    assert "split apart" in call(root, "merge", "Twin", "Ada B", code=1)
    call(root, "undo", "last")
    call(root, "label", "ride-d:1", "--name", "Dan")
    told = call(root, "move", "ride-b:1", "--to", "Dan", "--dry-run")
    assert "from person Ada B to person Dan" in told
    told = call(root, "reject", "ride-c:1", "--person", "Ada B")
    assert "1 rejection is added" in told
    assert asked(root, "suggestions") == []
    assert "to not a face" in call(root, "not-a-face", "ride-b:2")
    assert "to ignored" in call(root, "ignore", "cluster", "2")
    call(root, "recluster")
    counts = asked(root, "stats")
    assert counts["states"] == {
        "known": 3, "suggested": 0, "unknown": 0, "noise": 1, "ignored": 2, "not_a_face": 1,
    }  # fmt: skip
    assert ada["person_id"] in {p["person_id"] for p in asked(root, "people")}


def test_machine_assignments_are_explained_confirmed_and_rejected(root: Path) -> None:
    call(root, "label", "ride-a:1", "--name", "Ada")
    call(root, "label", "ride-a@0-1", "--name", "Ben")
    call(root, "recluster")
    [told] = asked(root, "explain", "ride-b:1")
    assert told["row"]["rule"] == "best_reference_above_assign" and told["person"] == "Ada"
    assert told["row"]["nearest"][0].startswith("track:ride-a-")
    assert told["flip"]["score_needed"] == pytest.approx(0.45)
    said = call(root, "explain", "ride-c:1", "ride-a:1")
    assert "asks" not in said and "good enough to ask" in said and "#1 name by tester" in said
    found = asked(root, "find-more", "Ada")
    assert [f["track_key"].split(":")[1][:6] for f in found] == ["ride-b", "ride-c"]
    # The machine says Ada, so giving it to Ben is disputed.
    assert "10 are disputed" in call(root, "label", "ride-b:1", "--person", "Ben", "--dry-run")
    assert "1 track leaves person Ada at the next recluster" in call(root, "reject", "ride-b:1")
    call(root, "undo", "last")
    told = call(root, "confirm", "Ada")
    assert "10 faces of 1 video move from person Ada (automatic) to person Ada" in told
    assert "by a decision since" in call(root, "explain", "ride-b:1")


def test_stats_compare_with_truth_and_with_held_out_labels(root: Path) -> None:
    call(root, "label", "ride-a:1", "--name", "Ada")
    call(root, "recluster")
    found = asked(root, "stats")
    assert found["origins"] == {"human": 1, "suggestion_accepted": 0, "auto": 1}
    truth = found["truth"]
    assert (truth["right"], truth["wrong"], truth["human_right"]) == (1, 0, 1)
    assert truth["grouping"]["items"] == 7 and truth["grouping"]["b3_precision"] == 1.0
    assert found["held_out"]["alone"] == 1 and found["held_out"]["tracks"] == 0
    budget = found["budget"]
    assert (budget["allowed"], budget["bound"], budget["method"]) == (0.001, None, "pinned")
    assert "match.pin_assign names from 0.450 on" in budget["sentence"]
    [told] = asked(root, "explain", "ride-b:1")
    assert told["row"]["origin"] == "auto" and told["budget"] == budget["sentence"]
    shown = " ".join(call(root, "stats").split())
    assert budget["sentence"] in shown and "at most" in shown
    call(root, "confirm", "ride-b:1")
    call(root, "recluster")
    assert asked(root, "stats")["held_out"]["assigned"] == 2
    assert "1 at a time" not in call(root, "stats")


def test_the_montage_shows_every_group(root: Path) -> None:
    sheet = root / "faces.jpg"
    assert "12 faces in" in call(root, "clusters", "--montage", str(sheet))
    assert sheet.read_bytes()[:2] == b"\xff\xd8"


def test_a_video_that_was_processed_anew_keeps_its_labels(root: Path) -> None:
    call(root, "label", "cluster", "2", "--name", "Ben")
    store = store_of(root)
    [video_id] = [v for v in store.videos_with("face_tracks") if v.startswith("ride-a")]
    # The same boxes under other numbers: track 2 is what was track 1, and the other way round.
    put_swapped(store, video_id)
    assert "recluster" in call(root, "label", "cluster", "1", "--name", "Ada", code=1)
    call(root, "recluster")
    [ben] = asked(root, "people")
    assert f"track:{video_id}:1" in asked(root, "explain", "ride-a:1")[0]["track_key"]
    assert asked(root, "explain", "ride-a:1")[0]["person"] == ben["name"] == "Ben"


def put_swapped(store: TableStore, video_id: str) -> None:
    tracks = store.read("face_tracks", video_id)
    store.write("face_tracks", video_id, tracks.with_columns(track_id=3 - tracks["track_id"]), "g")
    templates = store.read("track_templates", video_id)
    swapped = templates.with_columns(track_id=3 - templates["track_id"]).with_columns(
        track_key=pl.format("track:{}:{}", pl.lit(video_id), "track_id")
    )
    store.write("track_templates", video_id, swapped.sort("track_key"), "g")


def test_two_processes_label_at_once_and_nothing_is_lost(root: Path) -> None:
    tracks = {n: look("ABCD"[n % 4], 0.1, 4 + n) for n in range(1, 9)}
    frames = {n: (10 * n, 10 * n + 3) for n in tracks}
    write_video(store_of(root), "crowd", tracks, frames)
    code = "for n in {}: call(root, 'label', f'crowd:{{n}}', '--name', f'P{{n}}')\n"
    processes = [started(code.format(part), root) for part in ((1, 2, 3, 4), (5, 6, 7, 8))]
    for process in processes:
        assert process.wait() == 0, process.communicate()[1]
    assert {p["name"] for p in asked(root, "people")} == {f"P{n}" for n in range(1, 9)}
    assert [e["seq"] for e in asked(root, "events")] == list(range(8, 0, -1))


def test_a_kill_loses_nothing_acknowledged_and_shows_nothing_half_done(root: Path) -> None:
    call(root, "label", "cluster", "1", "--name", "Ada")
    killed = started(
        "from identity_pipeline.ledger import store\n"
        "def half(descriptor, data):\n"
        "    os.write(descriptor, data[: len(data) // 2])\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "store._write_all = half\n"
        "call(root, 'label', 'cluster', '2', '--name', 'Ben')\n",
        root,
    )
    killed_too = started(
        "from identity_pipeline.storage.library.generations import Generations\n"
        "Generations._put_in_force = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "call(root, 'recluster')\n",
        root,
    )
    assert [process.wait() for process in (killed, killed_too)] == [-signal.SIGKILL] * 2
    assert [e["kind"] for e in asked(root, "events")] == ["name"]
    assert [r["cluster_id"] for r in asked(root, "clusters")] == [1, 2]
    call(root, "label", "cluster", "2", "--name", "Ben")
    assert "person Ada" in call(root, "recluster")
    assert [p["name"] for p in asked(root, "people")] == ["Ada", "Ben"]


def test_flags_of_recluster_hold_for_one_run(root: Path) -> None:
    assert "No track would move." in call(root, "recluster", "--method", "dbscan", "--dry-run")
    # Nobody has three tracks here, so nobody is a group.
    shown = call(root, "recluster", "--min-cluster-size", "3", "--dry-run")
    assert "2 tracks from unknown_cluster_1 to noise" in shown
    assert "With cluster.min_cluster_size = 3, by flag." in shown
    assert len(asked(root, "clusters")) == 2  # nothing was written

    told = call(root, "recluster", "--method", "hdbscan", "--min-cluster-size", "3")
    assert 'Computed with cluster.method = "hdbscan", cluster.min_cluster_size = 3, by flag' in told
    assert "goes back to the settings" in told
    assert asked(root, "clusters") == []
    noted = Generations(store_of(root).layout).current()
    assert noted is not None and noted.settings["cluster"]["method"] == "hdbscan"
    differs = 'cluster.method = "hdbscan", now "agglomerative"'
    assert differs in call(root, "stats")
    assert 'cluster.method was "hdbscan" and is "agglomerative"' in call(root, "plan")
    again = asked(root, "recluster", "--method", "hdbscan", "--min-cluster-size", "3")
    assert again["reused"] is True
    assert again["flags"] == {"cluster.method": "hdbscan", "cluster.min_cluster_size": 3}

    back = call(root, "recluster")
    assert "2 tracks from noise to unknown_cluster" in back and "by flag" not in back
    assert differs not in call(root, "stats")


def test_a_person_threshold_by_flag_names_and_is_taken_back(root: Path) -> None:
    call(root, "label", "cluster", "1", "--name", "Ada")
    call(root, "recluster")
    assert len(asked(root, "suggestions")) == 1
    told = call(root, "recluster", "--person-threshold", "0.3")
    assert "to person Ada" in told and "match.pin_assign = 0.3" in told
    assert {p["name"]: p["track_count"] for p in asked(root, "people")} == {"Ada": 3}
    call(root, "recluster")
    assert {p["name"]: p["track_count"] for p in asked(root, "people")} == {"Ada": 2}
    call(root, "recluster", "--person-threshold", "1.5", code=2)
    call(root, "recluster", "--method", "kmeans", code=2)


def test_pictures_are_decided_on_by_typing(tmp_path: Path) -> None:
    write_rides(tmp_path)
    done = call(tmp_path, "picture", "reject", "ride-a@3-0", "--fault", "eyes", "--dry-run")
    assert "rejected (eyes)" in done and "nothing is written" in done
    done = call(tmp_path, "picture", "reject", "ride-a@3-0", "--fault", "eyes")
    assert "data run ride-a" in " ".join(done.split()), done
    call(tmp_path, "picture", "bins", "ride-a@3-1", "--yaw", "20", "--expression", "smile")
    call(tmp_path, "picture", "anchor", "ride-a@6-0", "--instead-of", "ride-a@3-0")
    call(tmp_path, "picture", "order", "ride-a@6-0", "ride-a@3-1", "--scope", "person")
    rows = json.loads(call(tmp_path, "picture", "list", "ride-a", "--json"))
    said = {row["picture"].partition("@")[2]: row for row in rows}
    assert said["000003-0"]["verdict"] == "rejected" and said["000003-0"]["fault"] == "eyes"
    assert said["000003-1"]["bins"] == {"expression": "smile", "yaw": "[15,30)"}
    assert said["000006-0"]["anchor"] and said["000006-0"]["places"] == {"person": 0}
    assert "no longer rejected" in call(tmp_path, "undo", "1")
