"""Heads and training sessions at rest: whole or not at all, refused on mismatch, exact."""

from __future__ import annotations

import json
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from identity_pipeline.core.heads.projection import Head
from identity_pipeline.core.heads.trainer import HeadTrainer
from identity_pipeline.core.heads.training_set import teachers, teaching_arrays
from identity_pipeline.core.vectors import normalise
from identity_pipeline.models.head_export import HeadExportError, export_head, largest_difference
from identity_pipeline.settings import TrainSettings
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.library.heads import (
    HeadCard,
    HeadStore,
    HeadStoreError,
    head_id_of,
    space_of,
)
from identity_pipeline.storage.library.training_sessions import (
    TrainingSession,
    TrainingSessionError,
    TrainingSessions,
    version_of,
)
from identity_pipeline_tests.processes import SERVER, ended
from identity_pipeline_tests.teaching_library import DIMENSION, SPACE, rides, training_table

SETTINGS = TrainSettings()


def trainer(epochs: int = 1) -> HeadTrainer:
    table = training_table(rides(), SETTINGS)
    made = HeadTrainer(teaching_arrays(teachers(table, SETTINGS)), SETTINGS)
    for _ in range(epochs):
        made.run_epoch()
    return made


@pytest.fixture(scope="module")
def head() -> Head:
    return trainer().head()


def saved(store: HeadStore, head: Head, session: int = 1, epochs: int = 20) -> HeadCard:
    head_id = head_id_of(head, SPACE)
    card = HeadCard(
        head_id, SPACE, space_of(head, head_id), head.base_share, session, epochs, 20, "v",
        (0.5,) * epochs, {"people": 9}, {}, "2026-01-01T00:00:00+00:00",
    )  # fmt: skip
    store.save(head, card, export_head(head) if card.complete else None)
    return card


def another(head: Head, factor: float) -> Head:
    return Head({n: a * np.float32(factor) for n, a in head.tensors.items()}, head.base_share)


def test_a_head_comes_back_as_it_was(tmp_path: Path, head: Head) -> None:
    store = HeadStore(Layout(tmp_path))
    card = saved(store, head)
    assert store.card(card.head_id) == card
    back = store.load(card.head_id, SPACE)
    assert all(np.array_equal(back.tensors[n], a) for n, a in head.tensors.items())
    assert head_id_of(back, SPACE) == card.head_id
    assert head_id_of(back, "other@0/64") != card.head_id
    assert card.space.endswith(f"/{head.dimension}")


def test_a_head_of_another_recogniser_or_version_is_refused(tmp_path: Path, head: Head) -> None:
    store = HeadStore(Layout(tmp_path))
    card = saved(store, head)
    with pytest.raises(HeadStoreError, match=r"trained on test@.*rollback"):
        store.load(card.head_id, "other@0/64")
    with pytest.raises(HeadStoreError, match=card.head_id):
        store.load("000000000000")
    note = store.folder(card.head_id) / "head.json"
    note.write_text(json.dumps({**json.loads(note.read_text()), "schema": 0}))
    with pytest.raises(HeadStoreError, match="another version"):
        store.load(card.head_id)


def test_the_onnx_export_computes_what_the_head_does(head: Head) -> None:
    for one in (head, Head(head.tensors, 0.0)):
        assert largest_difference(one, export_head(one)) < 1e-4
    assert largest_difference(another(head, 0.5), export_head(head)) > 1e-4
    huge = Head({**head.tensors, "first.bias": np.full(256, 1e30, np.float32)}, 0.0)
    with pytest.raises((HeadExportError, ValueError, FloatingPointError)):
        export_head(huge)


def test_going_live_is_noted_and_one_step_goes_back_each_time(tmp_path: Path, head: Head) -> None:
    store = HeadStore(Layout(tmp_path))
    one, two = saved(store, head), saved(store, another(head, 0.5), 2)
    with pytest.raises(HeadStoreError, match="nothing to go back to"):
        store.roll_back("t", "")
    store.go_live(one.head_id, "t1", "better")
    store.go_live(two.head_id, "t2", "better still")
    assert store.go_live(two.head_id, "t3", "again") == store.live()
    assert store.roll_back("t4", "worse").head_id == one.head_id
    assert store.roll_back("t5", "worse").head_id is None
    assert [c.head_id for c in store.live().changes] == [
        one.head_id, two.head_id, one.head_id, None,
    ]  # fmt: skip
    with pytest.raises(HeadStoreError, match="no head"):
        store.go_live("000000000000", "t", "")


def begun(root: Path) -> tuple[TrainingSessions, TrainingSession]:
    sessions = TrainingSessions(Layout(root))
    table = training_table(rides(), SETTINGS)
    dumped = SETTINGS.model_dump(mode="json")
    return sessions, sessions.begin(table, version_of(table), dumped, 10, "cpu", "t")


def test_a_session_goes_on_from_its_checkpoint_to_the_same_weights(tmp_path: Path) -> None:
    sessions, session = begun(tmp_path)
    first = trainer(0)
    for _ in range(3):
        first.run_epoch()
        sessions.checkpoint(session, first.state())
    assert len(list(sessions.folder(1).glob("epoch-*"))) == 2
    table = TrainingSessions(Layout(tmp_path)).training_set(session)
    second = HeadTrainer(teaching_arrays(teachers(table, SETTINGS)), SETTINGS)
    state = sessions.restore(session)
    assert state is not None
    second.restore(state)
    for _ in range(7):
        second.run_epoch()
    whole = trainer(10)
    for name, array in whole.head().tensors.items():
        assert array.tobytes() == second.head().tensors[name].tobytes()


def test_the_version_is_of_the_faces_not_of_their_order() -> None:
    table = training_table(rides(), SETTINGS)
    mixed = table.sample(fraction=1.0, shuffle=True, seed=3)
    assert version_of(mixed) == version_of(table)
    assert version_of(table.head(table.height - 1)) != version_of(table)


def test_a_checkpoint_of_another_training_set_is_refused(tmp_path: Path) -> None:
    sessions, session = begun(tmp_path)
    sessions.checkpoint(session, trainer().state())
    note = sessions.folder(1) / "epoch-0001" / "state.json"
    note.write_text(json.dumps({**json.loads(note.read_text()), "data_version": "x"}))
    with pytest.raises(TrainingSessionError, match="without --resume"):
        sessions.restore(session)


@pytest.mark.parametrize("name", ["state.json", "state.safetensors"])
def test_a_damaged_checkpoint_is_refused_and_names_the_way_on(tmp_path: Path, name: str) -> None:
    sessions, session = begun(tmp_path)
    made = trainer(1)
    sessions.checkpoint(session, made.state())
    made.run_epoch()
    sessions.checkpoint(session, made.state())
    place = sessions.folder(1) / "epoch-0002"
    (place / name).write_bytes((place / name).read_bytes()[:40])
    with pytest.raises(DamagedFileError, match=r"epoch-0002: training goes on from"):
        sessions.restore(session)
    shutil.rmtree(place)
    state = sessions.restore(session)
    assert state is not None and len(state.epochs) == 1


@pytest.mark.parametrize("junk", [b"{", b"[]", b"\xe9", b"[" * 100_000])
def test_a_damaged_note_of_a_session_is_refused_in_a_sentence(tmp_path: Path, junk: bytes) -> None:
    sessions, _ = begun(tmp_path)
    (sessions.folder(1) / "session.json").write_bytes(junk)
    with pytest.raises(DamagedFileError, match=r"session\.json is damaged"):
        sessions.last()


@pytest.mark.parametrize("junk", [b"{", b"[]", b"\xe9"])
def test_an_evaluation_that_cannot_be_read_was_not_made(
    tmp_path: Path, head: Head, junk: bytes
) -> None:
    store = HeadStore(Layout(tmp_path))
    card = saved(store, head)
    store.judge(card.head_id, {"sentence": "better"})
    assert store.evaluation(card.head_id) == {"sentence": "better"}
    (store.folder(card.head_id) / "evaluation.json").write_bytes(junk)
    assert store.evaluation(card.head_id) is None
    assert [one.head_id for one in store.cards()] == [card.head_id]


def test_damaged_weights_are_refused_and_a_folder_in_place_of_a_card_is_no_head(
    tmp_path: Path, head: Head
) -> None:
    store = HeadStore(Layout(tmp_path))
    card = saved(store, head)
    weights = store.folder(card.head_id) / "head.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    with pytest.raises(DamagedFileError, match=r"head\.safetensors is damaged"):
        store.load(card.head_id)
    (store.folder(card.head_id) / "head.json").unlink()
    (store.root / card.head_id / "head.json").mkdir()
    assert store.cards() == []


def _train_on(root: Path) -> None:
    sessions, one = TrainingSessions(Layout(root)), trainer(0)
    session = sessions.last()
    assert session is not None
    while True:
        one.run_epoch()
        sessions.checkpoint(session, one.state())


def test_a_kill_in_the_middle_of_a_checkpoint_leaves_the_one_before(tmp_path: Path) -> None:
    for wait in (0.0, 0.01, 0.02):
        root = tmp_path / str(wait)
        sessions, session = begun(root)
        process = SERVER.Process(target=_train_on, args=(root,))
        process.start()
        while sessions.restore(session) is None:
            assert process.is_alive()
            time.sleep(0.005)
        time.sleep(wait)
        process.kill()
        assert ended(process) == -signal.SIGKILL
        state = sessions.restore(session)
        assert state is not None
        resumed = trainer(0)
        resumed.restore(state)
        resumed.run_epoch()
        assert resumed.epochs[-1].number == len(state.epochs) + 1
        uninterrupted = trainer(len(state.epochs) + 1)
        assert resumed.epochs == uninterrupted.epochs


def test_random_vectors_through_a_stored_head_are_unit(tmp_path: Path, head: Head) -> None:
    store = HeadStore(Layout(tmp_path))
    loaded = store.load(saved(store, head).head_id)
    vectors = normalise(np.random.default_rng(1).normal(size=(5, DIMENSION)))
    assert np.array_equal(loaded.apply(vectors), head.apply(vectors))
