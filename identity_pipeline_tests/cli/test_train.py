"""`train`, `heads`, `reassign`: from labels to a live head and back, through the real commands."""

from __future__ import annotations

import json
import os
import shutil
import signal
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import polars as pl
import pytest

from identity_pipeline.cli.review import put_in_force
from identity_pipeline.cli.working import TRY_LATER
from identity_pipeline.ledger.store import LedgerStore
from identity_pipeline.settings import load_settings
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.library.generations import Generations
from identity_pipeline.storage.library.heads import HeadStore
from identity_pipeline.storage.library.profiles import ProfileStore
from identity_pipeline.storage.library.snapshots import Generation
from identity_pipeline.storage.library.training_sessions import STOPPED, TrainingSessions
from identity_pipeline.storage.progress.costs import Costs
from identity_pipeline.storage.progress.heartbeat import Heartbeat, Heartbeats
from identity_pipeline.storage.progress.pause import Pause, pause
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.curated_library import call
from identity_pipeline_tests.processes import ended, program, wait_for_word
from identity_pipeline_tests.teaching_library import Ride, rides, write_library, write_ride

PEOPLE = 24
SETTINGS = {
    "IDENTITY_PIPELINE__TRAIN__BASE_SHARE": "0",
    "IDENTITY_PIPELINE__TRAIN__EPOCHS": "10",
    "IDENTITY_PIPELINE__TRAIN__JUDGE_FAR": "0.02",
    "IDENTITY_PIPELINE__TRAIN__JUDGE_FAR_MAX": "0.05",
    # Light hides who people are here, so true labels look doubtful.
    "IDENTITY_PIPELINE__TRAIN__DOUBTFUL_SHARE_MAX": "1",
    "IDENTITY_PIPELINE__MODELS__DEVICE": "cpu",
    # How far a threshold may be off is tested elsewhere, and takes long.
    "IDENTITY_PIPELINE__MATCH__BOOTSTRAP_ROUNDS": "20",
}


@pytest.fixture
def taught(known_rides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library in which everybody has a name."""
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    return Path(shutil.copytree(known_rides, tmp_path, symlinks=True, dirs_exist_ok=True))


def layout(root: Path) -> Layout:
    return Layout(root / "data")


@dataclass(frozen=True)
class Trained:
    """A library that was trained on; copy it before changing anything.

    Attributes:
        root: where it is.
        recognised: a ride of a known person whom the machine alone recognised.
        base: its generation before the training.
        before: who was who then.
        said: by the training.
    """

    root: Path
    recognised: Ride
    base: Generation
    before: pl.DataFrame
    said: str

    def copy(self, root: Path) -> Path:
        return Path(shutil.copytree(self.root, root, symlinks=True, dirs_exist_ok=True))


@pytest.fixture(scope="module")
def trained(known_rides: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Named people, three whom nobody knows, and one ride more in a light that hides nobody."""
    root, recognised = tmp_path_factory.mktemp("trained"), rides(PEOPLE, each=4, light=0.1)[7]
    shutil.copytree(known_rides, root, symlinks=True, dirs_exist_ok=True)
    for ride in (*rides(PEOPLE + 3)[-9:], recognised):
        write_ride(root, TableStore(layout(root)), ride)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SETTINGS.items():
            patch.setenv(name, value)
        call(root, "recluster")
        generations = Generations(layout(root))
        base, before = generations.current(), generations.open().table("person_assignments")
        assert base is not None
        return Trained(root, recognised, base, before, call(root, "train"))


@pytest.fixture
def learnt(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it."""
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    return trained.copy(tmp_path)


@pytest.mark.slow
def test_labels_give_a_live_head_that_moves_the_library_and_can_be_taken_back(
    trained: Trained, learnt: Path
) -> None:
    taught, base, before, said = learnt, trained.base, trained.before, trained.said
    ledger = layout(taught).ledger.read_bytes()
    assert "Training session 1 is complete: 10 epochs." in said
    assert "is live." in said
    assert "epoch  10 of 10" in said
    head_id = HeadStore(layout(taught)).live().head_id
    assert head_id is not None
    assert (HeadStore(layout(taught)).folder(head_id) / "head.onnx").is_file()

    # A new ride of a known person, in a light that hides who it is.
    extra = rides(PEOPLE, each=4)[3]
    write_ride(taught, TableStore(layout(taught)), extra)
    shown = call(taught, "reassign", "--use-trained-model", "--dry-run")
    assert f"In the space of {head_id}" in shown
    assert f"to person {extra.person}" in shown
    current = Generations(layout(taught)).current()
    assert current is not None
    assert current.space == base.space  # nothing was written yet
    call(taught, "reassign", "--use-trained-model", "--yes")
    current = Generations(layout(taught)).current()
    assert current is not None
    assert current.space.startswith(f"head@{head_id}")
    after = Generations(layout(taught)).open().table("person_assignments")
    human = before.filter(pl.col("origin") == "human").select("track_key", "person_id")
    assert human.join(after, on=["track_key", "person_id"], how="anti").height == 0
    assert layout(taught).ledger.read_bytes() == ledger
    assert f"{extra.video_id}:1 is person {extra.person} (automatic)" in call(
        taught, "explain", f"{extra.video_id}:1"
    )
    assert call(taught, "find-more", extra.person)

    assert "The recogniser alone is live again" in call(taught, "heads", "rollback")
    call(taught, "reassign", "--yes")
    back = Generations(layout(taught)).current()
    assert back is not None
    assert back.space == base.space
    old = before.select("track_key", "state", "person_id", "score")
    now = Generations(layout(taught)).open().table("person_assignments").select(old.columns)
    assert now.filter(pl.col("track_key") != extra.track_key).equals(old)
    listed = json.loads(call(taught, "heads", "--json"))
    assert [change["head_id"] for change in listed["changes"]] == [head_id, None]


def test_clusters_keep_their_numbers_in_a_new_space(learnt: Path) -> None:
    call(learnt, "reassign", "--yes")
    first = json.loads(call(learnt, "clusters", "--json"))
    assert first
    call(learnt, "heads", "rollback")
    call(learnt, "reassign", "--yes")
    rows = json.loads(call(learnt, "clusters", "--json"))
    again = {track: row["cluster_id"] for row in rows for track in row["tracks"]}
    for row in first:
        ids = {again[track] for track in row["tracks"] if track in again}
        assert row["cluster_id"] in ids or not ids


def test_too_few_labels_are_refused_with_what_to_label_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_PIPELINE__MODELS__DEVICE", "cpu")
    write_library(tmp_path, rides(people=6, light=0.2))
    call(tmp_path, "recluster")
    said = call(tmp_path, "train", code=1)
    assert "too little to learn from: 0 of 8 people with 2 confirmed tracks" in said
    assert "Label next: cluster " in said
    assert "Profiles: +0 new; nobody has one yet." in said
    assert TrainingSessions(layout(tmp_path)).last() is None


def test_too_few_labels_still_make_and_enrich_profiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_PIPELINE__MODELS__DEVICE", "cpu")
    ridden = rides(people=6, light=0.2)
    write_library(tmp_path, ridden)
    call(tmp_path, "recluster")
    person = ridden[0].person
    own = [ride for ride in ridden if ride.person == person]
    call(tmp_path, "label", f"{own[0].video_id}:1", "--name", "Ada")
    said = call(tmp_path, "train", code=1)
    assert "Ada: profile created, +6 new, 6 in all, session 1." in said
    assert "too little to learn from" in said
    call(tmp_path, "label", f"{own[1].video_id}:1", "--person", "Ada")
    said = call(tmp_path, "train", code=1)
    assert "Ada: profile enriched, +6 new, 12 in all, session 2." in said
    assert ProfileStore(layout(tmp_path)).listing() == ["Ada (12 embeddings, 2 sessions)"]
    assert "Profiles: +0 new; Ada (12 embeddings, 2 sessions)." in call(tmp_path, "train", code=1)
    assert TrainingSessions(layout(tmp_path)).last() is None


def training_at_epoch_3(root: Path, epochs: int) -> tuple[BaseProcess, int, Path]:
    """A process that trains and has just told of its third epoch, its id, and what it says."""
    environment, said = {"IDENTITY_PIPELINE__TRAIN__EPOCHS": str(epochs)}, root / "said"
    process = program(
        "identity_pipeline", "train", "--data", root / "data", said=said, environment=environment
    )
    assert process.pid is not None
    wait_for_word(process, said, "\nepoch   3")
    return process, process.pid, said


def test_a_training_is_seen_by_status_and_stopped_by_a_pause(taught: Path) -> None:
    process, pid, said = training_at_epoch_3(taught, epochs=500)
    os.kill(pid, signal.SIGSTOP)  # it stands still while it is looked at
    (seen,) = (step for step in Heartbeats(layout(taught)).all() if not step.ended)
    library = json.loads(call(taught, "status", "--json"))["library"]
    phases = {phase["step"]: phase for phase in library["phases"]}
    pause(layout(taught), Pause("now", "somebody", "GPU needed"))
    os.kill(pid, signal.SIGCONT)
    status, told = ended(process), said.read_text()
    assert (seen.step, seen.unit, seen.total) == ("projection_head", "epochs", 500)
    assert phases["projection_head"]["state"] == "running"
    assert phases["training_set"]["state"] == "done"
    assert status == TRY_LATER and "Paused by somebody" in told
    assert "stopped early, after" in told
    assert seen.pid not in {step.pid for step in Heartbeats(layout(taught)).all()}
    session = TrainingSessions(layout(taught)).last()
    assert session is not None and session.state == STOPPED
    assert "GPU needed" in call(taught, "train", "--resume", code=TRY_LATER)
    assert TrainingSessions(layout(taught)).last() == session


def test_grouping_anew_is_seen_by_status_while_it_works(taught: Path) -> None:
    seen: list[Heartbeat] = []

    def look(stage: str, done: int, total: int | None, unit: str) -> None:
        seen.extend(Heartbeats(layout(taught)).all())

    store = TableStore(layout(taught))
    stores = LibraryStores.of(store)
    put_in_force(stores, load_settings(paths={"data": str(taught / "data")}), look)
    # And so are the steps that follow it.
    steps = {"identity_library", "identity_profiles", "kmeans_heads", "index"}
    assert {s.step for s in seen if not s.ended} == steps
    assert {s.video_id for s in seen} == {None}
    assert Costs(store.layout).samples("identity_library", ""), "and what it cost is learnt"


@pytest.mark.slow
def test_a_training_that_is_interrupted_keeps_what_it_learned_and_resumes_exactly(
    taught: Path,
) -> None:
    process, pid, said = training_at_epoch_3(taught, epochs=40)
    os.kill(pid, signal.SIGTERM)
    assert ended(process) != 0
    told = said.read_text()
    assert "Training session 1 stopped early, after " in told
    assert "profile created, +" in told
    assert ProfileStore(layout(taught)).all()
    session = TrainingSessions(layout(taught)).last()
    assert session is not None
    stopped = HeadStore(layout(taught)).card(str(session.head_id))
    assert 3 <= stopped.epochs < 40
    assert not (HeadStore(layout(taught)).folder(stopped.head_id) / "head.onnx").exists()
    assert HeadStore(layout(taught)).live().head_id is None
    assert "planned for 40 epochs" in call(taught, "train", "--resume", "--epochs", "5", code=1)
    # As if it had begun on a GPU, which is not here: the weights so far are the same.
    note = TrainingSessions(layout(taught)).folder(1) / "session.json"
    note.write_text(json.dumps({**json.loads(note.read_text()), "device": "cuda"}))
    assert "set models.device to auto" in call(
        taught, "train", "--resume", "--device", "cuda", code=1
    )
    told = call(taught, "train", "--resume", "--device", "auto")
    assert "Training session 1 is complete: 40 epochs." in told
    moved = f"after {stopped.epochs} epochs from cuda to cpu"
    assert f"It changed its device {moved}: one device" in told
    resumed = TrainingSessions(layout(taught)).last()
    assert resumed is not None and resumed.device == "cpu"
    assert resumed.moved == HeadStore(layout(taught)).card(str(resumed.head_id)).moved == (moved,)
    assert call(taught, "train", "--resume", code=1)  # nothing is left to resume
    call(taught, "train", "--epochs", "40")
    whole = TrainingSessions(layout(taught)).last()
    assert whole is not None
    assert whole.number == 2
    assert whole.head_id == resumed.head_id  # the id is of the weights


def test_the_ledger_is_not_read_for_who_is_who_in_machine_assignments(trained: Trained) -> None:
    """What the machine assigned teaches nothing."""
    own = trained.before.filter(pl.col("track_key") == trained.recognised.track_key)
    assert own["person_id"].null_count() == 0 and own["origin"].to_list() == ["auto"]
    sessions = TrainingSessions(layout(trained.root))
    session = sessions.last()
    assert session is not None
    keys = set(sessions.training_set(session)["track_key"])
    assert trained.recognised.track_key not in keys
    assert keys == set(LedgerStore(layout(trained.root)).history().state.assigned)
