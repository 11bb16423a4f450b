"""Promotion: a real gain goes live, no gain does not, harm to one person does not."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from identity_pipeline.core.heads.judgement import Judgement, judge, tracks_of
from identity_pipeline.core.heads.retraining import Grown, grown, reason_to_wait
from identity_pipeline.core.heads.trainer import HeadTrainer
from identity_pipeline.core.heads.training_set import HELD_OUT, teachers, teaching_arrays
from identity_pipeline.core.vectors import Matrix, check_unit, normalise
from identity_pipeline.settings import TrainSettings
from identity_pipeline_tests.teaching_library import (
    Ride,
    rides,
    training_table,
    without_meaning,
)

SETTINGS = TrainSettings(base_share=0.0)


def same(vectors: np.ndarray) -> Matrix:
    return check_unit(vectors, "e_id")


def judged(found: list[Ride], shuffle: int | None = None) -> Judgement:
    """The head that these rides teach, judged on them."""
    table = training_table(found, SETTINGS)
    if shuffle is not None:
        dealt = np.random.default_rng(shuffle).permutation(sorted({r.person for r in found}) * 3)
        names = {r.track_key: str(p) for r, p in zip(found, dealt, strict=True)}
        again = [Ride(r.video_id, names[r.track_key], r.faces) for r in found]
        table = training_table(again, SETTINGS)
    trainer = HeadTrainer(teaching_arrays(teachers(table, SETTINGS)), SETTINGS)
    for _ in range(10):
        trainer.run_epoch()
    return judge(tracks_of(table), same, trainer.head().apply, SETTINGS)


def test_a_head_that_learned_goes_live_by_people_it_never_saw() -> None:
    found = judged(rides())
    assert found.promoted, found.reasons
    assert found.gain.difference is not None
    assert found.gain.difference > 0.4
    assert all(one.drop <= 0 for one in found.recalls)


@pytest.mark.parametrize("seed", range(3))
def test_shuffled_labels_give_no_gain(seed: int) -> None:
    found = judged(rides(), shuffle=seed)
    assert not found.promoted
    assert found.after.auc == pytest.approx(0.5, abs=0.1)


def test_random_embeddings_give_chance_and_are_refused() -> None:
    found = judged(without_meaning())
    assert not found.promoted
    assert found.before.auc == pytest.approx(0.5, abs=0.1)
    assert found.after.auc == pytest.approx(0.5, abs=0.1)
    assert "no sure gain" in found.reasons[0]


def test_the_same_space_is_no_gain_and_its_difference_is_exactly_nothing() -> None:
    tracks = tracks_of(training_table(rides(), SETTINGS))
    found = judge(tracks, same, same, SETTINGS)
    assert found.gain.difference == found.gain.low == found.gain.high == 0
    assert not found.promoted


def test_a_gain_for_all_but_one_person_is_refused_and_the_person_is_named() -> None:
    found = rides()
    table = training_table(found, SETTINGS)
    victim = table.filter(pl.col("split") == HELD_OUT)["person_id"].sort()[0]
    ideal = {p: n for n, p in enumerate(sorted({r.person for r in found}))}
    rows = table.sort("track_key", "face_id")
    person = rows["person_id"].to_list()
    video = np.unique(rows["video_id"].to_numpy(), return_inverse=True)[1]

    def challenger(vectors: np.ndarray) -> Matrix:
        """Everybody is perfectly known, but for one who is another person on each ride."""
        assert len(vectors) == len(person)
        out = np.zeros((len(person), len(ideal) + len(found)), dtype=np.float32)
        for row, who in enumerate(person):
            out[row, len(ideal) + video[row] if who == victim else ideal[who]] = 1
        return out

    mild = training_table(rides(light=0.5), SETTINGS)  # in which the recogniser knows everybody
    verdict = judge(tracks_of(mild), same, challenger, SETTINGS)
    assert not verdict.promoted
    assert verdict.recalls[0].person_id == victim
    assert verdict.recalls[0].after == 0
    assert any(f"most of all {victim}" in reason for reason in verdict.reasons)


def test_without_held_out_pairs_nothing_is_promoted() -> None:
    table = training_table(rides(people=3), SETTINGS)
    found = judge(tracks_of(table), same, same, SETTINGS)
    assert not found.promoted
    assert "cannot be measured" in found.reasons[0]


def test_only_held_out_pairs_count() -> None:
    table = training_table(rides(), SETTINGS)
    tracks = tracks_of(table)
    rows = table.sort("track_key", "face_id")
    taught = (rows["split"] != HELD_OUT).to_numpy()
    rng = np.random.default_rng(0)

    def spoils_what_taught(vectors: np.ndarray) -> Matrix:
        out = vectors.copy()
        out[taught] = normalise(rng.normal(size=(int(taught.sum()), vectors.shape[1])))
        return same(out)

    alone = [one for one in range(len(tracks.keys)) if tracks.held_out[one]]
    before = judge(tracks, same, same, SETTINGS).before
    after = judge(tracks, same, spoils_what_taught, SETTINGS).after
    both = sum(
        tracks.person[a] == tracks.person[b] and tracks.video[a] != tracks.video[b]
        for n, a in enumerate(alone)
        for b in alone[n + 1 :]
    )
    assert before.genuine == after.genuine
    assert before.genuine > both  # a held-out track against one that taught counts too


def test_new_labels_are_counted_once_and_corrections_count() -> None:
    before = {"a": "p", "b": "q"}
    assert grown(before, {"a": "p", "b": "q"}) == Grown(0, 0)
    assert grown(before, {"a": "p", "b": "p", "c": "r"}) == Grown(2, 1)
    assert grown({}, before) == Grown(2, 2)


def test_a_training_waits_for_labels_and_for_time() -> None:
    settings = TrainSettings(retrain_tracks=5, retrain_people=2, retrain_hours=1)
    assert "4 of 5 new confirmed tracks" in str(reason_to_wait(Grown(4, 1), None, settings))
    assert reason_to_wait(Grown(5, 0), None, settings) is None
    assert reason_to_wait(Grown(0, 2), None, settings) is None
    assert "30 minutes" in str(reason_to_wait(Grown(9, 9), 1800.0, settings))
    assert reason_to_wait(Grown(9, 9), 3600.0, settings) is None
