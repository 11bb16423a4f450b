"""Ids that outlive a run, and what is said about a cluster."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.core.clustering.cluster_ids import (
    carry_over,
    describe_clusters,
    mean_pairwise_cosine,
    weighted_medoid,
)
from identity_pipeline.core.vectors import normalise, to_matrix
from identity_pipeline_tests.core.builders import MODEST, plane

LABELS = st.dictionaries(st.text("abcdefgh", min_size=1, max_size=2), st.integers(-1, 4))


def labels(text: str) -> dict[str, int]:
    """Groups of one-letter keys: "ab c" is group 0 of a and b, group 1 of c; "-x" is noise."""
    found: dict[str, int] = {}
    for number, word in enumerate(text.split()):
        found |= dict.fromkeys(word.strip("-"), -1 if word[0] == "-" else number)
    return found


def test_first_run_counts_by_the_smallest_key() -> None:
    ids = carry_over({}, {"z": 0, "y": 0, "b": 1, "c": 1, "a": -1}, 7)
    assert ids.of_key == {"b": 7, "c": 7, "z": 8, "y": 8, "a": None}
    assert (ids.next_id, ids.created, ids.kept, ids.retired) == (9, (7, 8), (), ())


def test_the_same_groups_keep_their_ids() -> None:
    first = carry_over({}, labels("abc de -x"), 1)
    again = carry_over(first.of_key, labels("de abc -x"), first.next_id)
    assert again.of_key == first.of_key and again.next_id == first.next_id


def test_new_tracks_and_lost_ones_move_no_id() -> None:
    previous = {"a": 3, "b": 3, "c": 5, "d": 5, "e": None}
    ids = carry_over(previous, labels("aklmno d -e"), 6)
    assert (ids.of_key["k"], ids.of_key["d"], ids.next_id) == (3, 5, 6)


def test_a_split_leaves_the_id_with_the_larger_part() -> None:
    previous = dict.fromkeys("abcde", 1)
    ids = carry_over(previous, labels("ab cde"), 2)
    assert (ids.of_key["c"], ids.of_key["a"], ids.created) == (1, 2, (2,))


def test_a_merge_keeps_the_id_of_the_larger_and_retires_the_other() -> None:
    previous = {"a": 1, "b": 1, "c": 2, "d": 2, "e": 2}
    ids = carry_over(previous, labels("abcde"), 3)
    assert (ids.of_key["a"], ids.kept, ids.retired, ids.next_id) == (2, (2,), (1,), 3)


def test_of_equals_the_older_id_and_the_smaller_key_win() -> None:
    assert carry_over({"a": 4, "b": 3}, labels("ab"), 5).of_key["a"] == 3
    halves = carry_over(dict.fromkeys("abcd", 1), labels("cd ab"), 2)
    assert (halves.of_key["a"], halves.of_key["c"]) == (1, 2)


def test_too_little_overlap_is_a_new_cluster() -> None:
    previous = {"a": 1, "b": 1, "c": 2, "d": 3, "e": 4}
    ids = carry_over(previous, labels("acde -b"), 5)
    assert ids.of_key["a"] == 5 and ids.retired == (1, 2, 3, 4)


def test_noise_of_the_old_run_counts_in_the_overlap() -> None:
    previous = {"a": 1, "b": None, "c": None}
    assert carry_over(previous, labels("abc"), 2).of_key["a"] == 2


def test_an_id_that_may_come_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="pass the next id"):
        carry_over({"a": 4}, labels("ab"), 4)


@given(st.lists(LABELS, min_size=1, max_size=5))
@MODEST
def test_ids_are_never_used_again(runs: list[dict[str, int]]) -> None:
    previous: dict[str, int | None] = {}
    next_id, retired = 1, set[int]()
    for run in runs:
        ids = carry_over(previous, run, next_id)
        groups = {label for label in run.values() if label >= 0}
        used = {i for i in ids.of_key.values() if i is not None}
        assert len(used) == len(groups) == len({*ids.kept, *ids.created})
        assert not used & retired and all(i < ids.next_id for i in used)
        assert all((ids.of_key[key] is None) == (label < 0) for key, label in run.items())
        assert ids.next_id == next_id + len(ids.created)
        retired |= set(ids.retired)
        previous, next_id = ids.of_key, ids.next_id


@given(LABELS, st.randoms(use_true_random=False), st.integers(0, 3))
@MODEST
def test_leaving_and_coming_tracks_keep_all_ids(
    run: dict[str, int], random: object, k: int
) -> None:
    first = carry_over({}, run, 1)
    keys = sorted(run)
    random.shuffle(keys)  # type: ignore[attr-defined]
    gone = set(keys[:k])
    later = {key: label + 10 if label >= 0 else -1 for key, label in run.items() if key not in gone}
    later |= {f"new-{label}": label for label in set(later.values())}
    ids = carry_over(first.of_key, later, first.next_id)
    assert all(ids.of_key[key] == first.of_key[key] for key in later if key in run)


def test_mean_pairwise_cosine_is_exact() -> None:
    vectors = normalise(np.random.default_rng(0).standard_normal((40, 16)))
    exact = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    assert mean_pairwise_cosine(vectors) == pytest.approx(exact[np.triu_indices(40, 1)].mean())
    assert mean_pairwise_cosine(vectors[:1]) is None
    assert mean_pairwise_cosine(vectors[:0]) is None


def test_the_medoid_is_weighted_by_quality() -> None:
    vectors = np.array([plane(a) for a in (0, 10, 20, 90)], np.float32)
    assert weighted_medoid(vectors, np.array([1, 1, 1, 0.0])) == 1
    assert weighted_medoid(vectors, np.array([90, 1, 1, 1.0])) == 0
    assert weighted_medoid(vectors[:2], np.array([0.2, 0.9])) == 1, "of two the better one"
    assert weighted_medoid(vectors[:2], np.zeros(2)) == 0
    with pytest.raises(ValueError, match="quality"):
        weighted_medoid(vectors, np.array([1, 1, np.nan, 1]))
    with pytest.raises(ValueError, match="no vectors"):
        weighted_medoid(vectors[:0], np.zeros(0))


def test_clusters_are_described() -> None:
    tracks = pl.DataFrame(
        {
            "track_key": ["t:b", "t:a", "t:c", "t:d"],
            "video_id": ["v", "w", "v", "v"],
            "face_count": [5, 6, 7, 8],
            "quality": [0.9, 0.1, 0.5, 0.5],
            "template": [plane(0), plane(60), plane(90), plane(0)],
        }
    )
    of_key = {"t:a": 4, "t:b": 4, "t:c": 2, "t:d": None}
    vectors = to_matrix(tracks["template"])
    found = describe_clusters(tracks, vectors, of_key).to_dicts()
    assert found[0]["cluster_id"] == 2 and found[0]["confidence"] is None
    assert found[1] | {"confidence": None} == {
        "cluster_id": 4,
        "track_count": 2,
        "face_count": 11,
        "video_count": 2,
        "confidence": None,
        "representative": "t:b",
        "tracks": ["t:a", "t:b"],
    }
    assert found[1]["confidence"] == pytest.approx(0.5, abs=1e-6)
    assert describe_clusters(tracks, vectors, {}).height == 0
    other = tracks.sample(fraction=1, shuffle=True, seed=1)
    assert describe_clusters(other, to_matrix(other["template"]), of_key).equals(
        describe_clusters(tracks, vectors, of_key)
    )
