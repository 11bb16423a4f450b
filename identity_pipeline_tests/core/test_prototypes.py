"""Exemplars and centres: diverse, pinned, human-confirmed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.core.library.prototypes import (
    PERSON_REFERENCES,
    choose_exemplars,
    person_references,
    spherical_centres,
)
from identity_pipeline.core.matching.gallery import exact_products, gallery_of
from identity_pipeline.core.vectors import normalise
from identity_pipeline.settings import MatchSettings
from identity_pipeline_tests.core.builders import MODEST, plane
from identity_pipeline_tests.core.people import directions, looks, template, templates

S = MatchSettings()


def test_exemplars_are_diverse_and_of_good_quality() -> None:
    vectors = np.array([plane(a) for a in (0, 1, 2, 60)], dtype=np.float32)
    quality = np.array([0.9, 0.89, 0.2, 0.5])
    two = MatchSettings(exemplars_max=2)
    assert choose_exemplars(list("abcd"), vectors, quality, (), two) == ["a", "d"]


def test_pinned_exemplars_come_on_top() -> None:
    vectors = np.array([plane(a) for a in (0, 1, 2, 60)], dtype=np.float32)
    quality = np.array([0.9, 0.89, 0.0, 0.5])
    one = MatchSettings(exemplars_max=1)
    assert choose_exemplars(list("abcd"), vectors, quality, {"c", "b", "x"}, one) == ["b", "c", "d"]


@given(st.integers(0, 2**31), st.integers(1, 3))
@MODEST
def test_the_number_of_centres_is_found(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    modes = np.eye(64)[:k]
    vectors = normalise(np.concatenate([looks(rng, mode, 6, 0.4) for mode in modes]))
    centres = spherical_centres(vectors, S)
    assert len(centres.vectors) == k
    sizes = np.bincount(centres.labels)
    assert sizes.tolist() == [6] * k
    for i in range(k):
        members = vectors[centres.labels == i]
        assert centres.vectors[i] == pytest.approx(
            normalise(members.mean(axis=0)[None])[0], abs=1e-5
        )
        # Cosine times strength is the mean cosine to the members.
        probe = directions(rng, 1)[0]
        scored = float(probe @ centres.vectors[i]) * centres.strengths[i]
        assert scored == pytest.approx(float((members @ probe).mean()), abs=1e-5)


def test_few_templates_make_one_centre() -> None:
    vectors = np.array([plane(0), plane(90), plane(180), plane(270)], dtype=np.float32)
    assert len(spherical_centres(vectors, S).vectors) == 1


def test_only_confirmed_tracks_are_references() -> None:
    table = templates(*(template(f"v:{i}", plane(5.0 * i)) for i in range(4)))
    made = person_references(table, {"track:v:1": "p", "track:v:2": "q"}, S)
    assert dict(made.schema) == PERSON_REFERENCES
    assert made["reference"].to_list() == ["track:v:1", "track:v:2"]
    assert made["person_id"].to_list() == ["p", "q"]


def test_centres_join_when_there_are_more_templates_than_exemplars() -> None:
    rng = np.random.default_rng(0)
    vectors = looks(rng, np.eye(64)[0], 12, 0.5)
    table = templates(*(template(f"v:{i}", v) for i, v in enumerate(vectors)))
    labels = dict.fromkeys(table["track_key"].to_list(), "p")
    made = person_references(table, labels, S, pinned=["track:v:3"])
    assert made["kind"].to_list() == ["exemplar"] * 9 + ["centre"]
    assert made.filter("pinned")["reference"].to_list() == ["track:v:3"]
    assert len(made["track_keys"][-1]) == 12
    gallery = gallery_of(made)
    assert gallery.counts.tolist() == [10]
    centre = gallery.names.index("centre:0")
    probe = directions(rng, 1)
    mean_cosine = float((vectors @ probe[0]).mean())
    assert gallery.reference_scores(probe)[0, centre] == pytest.approx(mean_cosine, abs=1e-5)
    scores = gallery.person_scores(gallery.reference_scores(vectors[:1], ["track:v:0"]))
    assert scores[0, 0] < 0.999, "a track is not compared with what it is part of"


@given(st.integers(0, 2**31))
@MODEST
def test_a_score_is_the_same_whatever_is_multiplied_with_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, columns = directions(rng, 70), directions(rng, 33)
    rows[1] *= 1.001  # as far from a unit vector as may be
    columns[1] = rows[1]
    every = exact_products(rows, columns)
    some = rng.permutation(70)[: int(rng.integers(1, 70))]
    assert np.array_equal(exact_products(rows[some], columns), every[some])
    assert np.array_equal(exact_products(rows[:1], columns[5:6]), every[:1, 5:6])
    assert every == pytest.approx(rows.astype(np.float64) @ columns.T, abs=1e-7)
