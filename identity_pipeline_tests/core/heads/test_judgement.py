"""Promotion: a real gain goes live, no gain does not, harm to one person does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from identity_pipeline.core.heads.judgement import Judgement, judge
from identity_pipeline.core.heads.judging_rows import judging_rows
from identity_pipeline.core.heads.retraining import Grown, grown, reason_to_wait
from identity_pipeline.core.heads.trainer import HeadTrainer
from identity_pipeline.core.heads.training_set import HELD_OUT, teachers, teaching_arrays
from identity_pipeline.core.vectors import Matrix, check_unit
from identity_pipeline.settings import MatchSettings, TrainSettings
from identity_pipeline_tests.teaching_library import (
    Ride,
    rides,
    training_table,
    without_meaning,
)

SETTINGS = TrainSettings(base_share=0.0)
FLOOR = MatchSettings().template_weight_floor


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
    return judge(judging_rows(table, FLOOR), same, trainer.head().apply, SETTINGS)


def test_a_head_that_learned_goes_live_by_people_it_never_saw() -> None:
    found = judged(rides())
    assert found.promoted, found.reasons
    for compared in (found.faces, found.tracks):
        assert compared.accepted.difference is not None
        assert compared.accepted.difference > 0.4
    assert all(one.drop <= 0 for one in found.recalls)


@pytest.mark.parametrize("seed", range(3))
def test_shuffled_labels_give_no_gain(seed: int) -> None:
    found = judged(rides(), shuffle=seed)
    assert not found.promoted
    assert found.tracks.after.auc == pytest.approx(0.5, abs=0.1)


def test_random_embeddings_give_chance_and_are_refused() -> None:
    found = judged(without_meaning())
    assert not found.promoted
    assert found.tracks.before.auc == pytest.approx(0.5, abs=0.1)
    assert found.tracks.after.auc == pytest.approx(0.5, abs=0.1)
    assert "no sure gain" in found.reasons[0]


def test_the_same_space_is_no_gain_and_its_difference_is_exactly_nothing() -> None:
    tracks = judging_rows(training_table(rides(), SETTINGS), FLOOR)
    found = judge(tracks, same, same, SETTINGS)
    for change in (*found.faces.changes, *found.tracks.changes):
        assert change.difference == change.low == change.high == 0
    assert not found.promoted


def test_a_gain_for_all_but_one_person_is_refused_and_the_person_is_named() -> None:
    found = rides()
    table = training_table(found, SETTINGS)
    victim = table.filter(pl.col("split") == HELD_OUT)["person_id"].sort()[0]
    names = sorted({r.person for r in found})
    # One axis for each person, and for the victim one for each of their rides.
    axis = {r.track_key: names.index(r.person) for r in found}
    for number, ride in enumerate(r for r in found if r.person == victim):
        axis[ride.track_key] = len(names) + number
    mild = training_table(rides(light=0.5), SETTINGS)  # in which the recogniser knows everybody
    keys = {
        vector.tobytes(): key
        for key, vector in zip(
            mild["track_key"].to_list(),
            np.array(mild["e_id"].to_list(), dtype=np.float32),
            strict=True,
        )
    }

    def challenger(vectors: np.ndarray) -> Matrix:
        """Everybody is perfectly known, but for one who is another person on each ride."""
        return np.eye(len(names) + 3, dtype=np.float32)[
            [axis[keys[vector.tobytes()]] for vector in np.asarray(vectors, dtype=np.float32)]
        ]

    verdict = judge(judging_rows(mild, FLOOR), same, challenger, SETTINGS)
    assert not verdict.promoted
    assert verdict.recalls[0].person_id == victim
    assert verdict.recalls[0].after == 0
    assert any(f"most of all {victim}" in reason for reason in verdict.reasons)


def test_mixed_up_names_are_noticed_and_named_though_a_head_would_gain() -> None:
    found = rides(light=0.4)
    swapped = dict(zip(range(0, 24, 3), range(30, 54, 3), strict=True))
    mixed = list(found)
    for a, b in swapped.items():
        mixed[a], mixed[b] = (
            replace(found[a], person=found[b].person),
            replace(found[b], person=found[a].person),
        )
    verdict = judged(mixed)
    wrong = {found[n].track_key for pair in swapped.items() for n in pair}
    assert not verdict.promoted
    noticed = {one.track_key for one in verdict.audit.doubtful}
    assert len(noticed & wrong) >= len(wrong) / 2  # a head may have learned some by heart
    assert verdict.audit.doubtful[0].track_key in wrong
    assert any("names may be mixed up" in reason for reason in verdict.reasons)
    clean = judged(found).audit
    assert clean.share <= SETTINGS.doubtful_share_max
    assert clean.tracks == len(found)


def test_without_held_out_pairs_nothing_is_promoted() -> None:
    table = training_table(rides(people=3), SETTINGS)
    found = judge(judging_rows(table, FLOOR), same, same, SETTINGS)
    assert not found.promoted
    assert "too few" in found.reasons[0]


def test_only_held_out_pairs_count() -> None:
    rows = judging_rows(training_table(rides(), SETTINGS), FLOOR)
    labels = rows.tracks
    found = judge(rows, same, same, SETTINGS).tracks.before
    pairs = [
        (a, b)
        for a in range(len(labels.person))
        for b in range(a + 1, len(labels.person))
        if labels.judging[a] or labels.judging[b]
    ]
    genuine = sum(labels.person[a] == labels.person[b] for a, b in pairs)
    assert (found.genuine, found.impostor) == (genuine, len(pairs) - genuine)


def test_tracks_are_averaged_with_the_floor_of_templates() -> None:
    table = training_table(rides(4), SETTINGS)
    first = table["track_key"] == table["track_key"][0]
    quality = table["quality"].to_numpy().copy()
    quality[first.to_numpy()] = [0.0, 0.0, 0.0, 0.0, 0.0, 1.0]
    uneven = table.with_columns(quality=quality)
    equal = judging_rows(uneven, 1.0).in_space(same)
    assert np.allclose(equal, judging_rows(table, FLOOR).in_space(same), atol=1e-6)
    low = judging_rows(uneven, 1e-6).in_space(same)
    assert not np.allclose(equal, low, atol=1e-3)


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
