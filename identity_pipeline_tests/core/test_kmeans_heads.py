"""K-means heads: as many centres as faces call for, open-set answers, videos left out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.core.heads.kmeans import (
    ConfirmedVectors,
    HeadsGallery,
    KMeansHeads,
    heads_gallery,
    identify_with_heads,
    train_heads,
)
from identity_pipeline.core.heads.kmeans_validation import LeaveOneVideoOut, LeftOut, Recognised
from identity_pipeline.core.matching.thresholds import OperatingPoint, Thresholds
from identity_pipeline.core.vectors import (
    NotUnitNormError,
    SpaceMismatchError,
    mean_direction,
    normalise,
)
from identity_pipeline.settings import MatchSettings
from identity_pipeline_tests.core.builders import FEW, axis, plane
from identity_pipeline_tests.core.people import SPACE, directions, fixed_thresholds, looks

S = MatchSettings()
FIXED = fixed_thresholds(level="template")


def faces(*tracks: tuple[str, str, np.ndarray | list[list[float]]]) -> ConfirmedVectors:
    """Tracks of (person, video, faces); one person has one track in a video."""
    rows = [(p, v, f"track:{v}:{p}", face) for p, v, several in tracks for face in several]
    people, videos, keys, vectors = zip(*rows, strict=True)
    return ConfirmedVectors(SPACE, np.array(vectors, dtype=np.float32), people, videos, keys)


def templates_of(some: ConfirmedVectors) -> ConfirmedVectors:
    """One template of each track."""
    tracks = [some.where([t == key for t in some.track]) for key in sorted(set(some.track))]
    means = [(own.person[0], own.video[0], [mean_direction(own.vectors)]) for own in tracks]
    return faces(*means)  # type: ignore[arg-type]


def left_out(some: ConfirmedVectors, thresholds: Thresholds = FIXED) -> LeftOut:
    rounds = LeaveOneVideoOut(some, templates_of(some), train_heads(some, S), thresholds, S)
    for video in rounds.videos:
        rounds.leave_out(video)
    return rounds.result(fars=(0.1,))


def known(some: ConfirmedVectors) -> HeadsGallery:
    return heads_gallery(train_heads(some, S), templates_of(some))


def test_one_face_gives_a_head_and_two_looks_give_two_centres() -> None:
    looks_of_b = [plane(a) for a in (0, 1, 2, 70, 71, 72)]
    [a, b] = train_heads(faces(("b", "1", looks_of_b), ("a", "1", [plane(30)])), S).people
    assert (a.person_id, a.members.tolist(), a.tracks, a.videos) == ("a", [1], 1, 1)
    assert a.centres[0] == pytest.approx(plane(30))
    assert a.strengths.tolist() == pytest.approx([1.0])
    assert b.members.tolist() == [3, 3]
    assert sorted(np.degrees(np.arccos(b.centres[:, 0]))) == pytest.approx([1, 71], abs=0.1)


def test_a_centre_is_as_strong_as_the_templates_of_its_tracks_are_near_to_it() -> None:
    """Faces of one track differ, but their mean is the track's template: nothing is lost by it."""
    [one] = train_heads(faces(("p", "1", [plane(0), plane(40)])), S).people
    assert one.strengths.tolist() == pytest.approx([1.0])
    assert one.spreads.tolist() == pytest.approx([1 - np.cos(np.radians(20))])
    tracks = faces(("p", "1", [plane(0), plane(20)]), ("p", "2", [plane(30), plane(50)]))
    [two] = train_heads(tracks, S).people  # templates at 10 and 40, centre at 25
    assert two.strengths.tolist() == pytest.approx([np.cos(np.radians(15))])


def test_heads_do_not_depend_on_who_else_is_there() -> None:
    """Nothing is centred or scaled over all people."""
    rng = np.random.default_rng(0)
    people = [(f"p{i}", "1", looks(rng, d, 8, 0.5)) for i, d in enumerate(directions(rng, 4))]
    alone, among = train_heads(faces(people[0]), S), train_heads(faces(*people), S)
    assert np.array_equal(alone.people[0].centres, among.people[0].centres)


@FEW
@given(st.integers(0, 10_000), st.integers(1, 30), st.floats(0.01, 2.0))
def test_centres_are_unit_vectors_of_all_faces(seed: int, count: int, noise: float) -> None:
    rng = np.random.default_rng(seed)
    [head] = train_heads(
        faces(("p", "1", looks(rng, directions(rng, 1)[0], count, noise))), S
    ).people
    assert np.linalg.norm(head.centres, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert head.members.sum() == count
    assert len(head.members) in (1, 2, 3)
    assert len(head.members) == 1 or head.members.min() >= S.centre_min_members


def test_a_face_that_is_no_unit_vector_teaches_nothing() -> None:
    with pytest.raises(NotUnitNormError):
        train_heads(faces(("p", "1", [[2.0, 0.0]])), S)


def test_a_name_no_name_or_an_open_question() -> None:
    gallery = known(faces(("a", "1", [axis(0)] * 3), ("b", "1", [axis(1)] * 3)))

    def answer(*values: float) -> tuple[str, str | None, str | None]:
        probe = normalise(np.array([[*values, *np.zeros(64 - len(values))]]))[0]
        found = identify_with_heads(probe, SPACE, gallery, FIXED, S)
        return found.result.answer, found.result.person_id, found.by

    assert answer(1, 0.1) == ("known", "a", "centre")
    assert answer(0.1, 0.1, 1) == ("unknown", None, "centre")
    assert answer(0.5, 0.0, 0.85) == ("probably", None, "centre")
    assert answer(1, 0.99) == ("ambiguous", None, "centre")


def test_more_centres_make_the_threshold_stricter() -> None:
    points = {name: OperatingPoint(1e-3, 0.4) for name in ("suggest", "assign")}
    gallery = known(
        faces(
            ("one", "1", [plane(0)] * 6),
            ("two", "1", [plane(a) for a in (90, 91, 92, 170, 171, 172)]),
        )
    )
    result = identify_with_heads(
        np.array(plane(0)), SPACE, gallery, Thresholds(SPACE, "template", points), S
    ).result
    one, two = sorted(result.people, key=lambda standing: standing.person_id)
    assert (one.references, two.references) == (1, 2)
    assert two.assign > one.assign == pytest.approx(0.4)


def test_somebody_without_a_head_is_known_by_raw_templates_and_somebody_gone_is_not() -> None:
    before = faces(("gone", "1", [axis(0)] * 3), ("stays", "1", [axis(1)] * 3))
    now = faces(("stays", "1", [axis(1)] * 3), ("new", "2", [axis(2)]), ("new", "3", [axis(3)]))
    gallery = heads_gallery(train_heads(before, S), templates_of(now))
    assert dict(gallery.by) == {"new": "raw_reference", "stays": "centre"}
    answers = [identify_with_heads(np.array(axis(i)), SPACE, gallery, FIXED, S) for i in range(4)]
    assert [found.result.person_id for found in answers] == [None, "stays", "new", "new"]
    assert [found.by for found in answers][1:] == ["centre", "raw_reference", "raw_reference"]
    assert answers[2].result.people[0].references == 2


def test_nobody_is_known_to_no_heads() -> None:
    nobody = faces(("a", "1", [axis(0)])).of([])
    found = identify_with_heads(
        np.array(axis(0)), SPACE, heads_gallery(train_heads(nobody, S), nobody), FIXED, S
    )
    assert (found.result.answer, found.result.reason, found.by) == ("unknown", "no_people", None)


def test_spaces_are_never_mixed() -> None:
    some = faces(("a", "1", [axis(0)]))
    with pytest.raises(SpaceMismatchError):
        heads_gallery(KMeansHeads("other", ()), some)
    with pytest.raises(SpaceMismatchError):
        identify_with_heads(np.array(axis(0)), "other", known(some), FIXED, S)


def test_every_video_is_judged_by_heads_that_never_saw_it() -> None:
    """`a` looks different in each of two videos, in the second as `b` does."""
    result = left_out(
        faces(
            ("a", "1", [axis(0)] * 3),
            ("a", "2", [axis(1)] * 3),
            ("b", "3", [axis(1)] * 3),
            ("b", "4", [axis(1)] * 3),
            ("c", "3", [axis(2)] * 3),
            ("d", "1", [axis(3)] * 3),
            ("d", "4", [axis(3)] * 3),
        )
    )
    assert (result.videos, result.tracks) == (4, 6)
    assert (result.right, result.wrong, result.ambiguous, result.unknown) == (2, 1, 2, 1)
    assert (result.strangers, result.strangers_named) == (1, 0)
    assert result.by_person == {p: Recognised(n, 2) for p, n in (("a", 0), ("b", 0), ("d", 2))}


def test_a_stranger_who_is_named_counts_against_the_heads_and_never_as_right() -> None:
    result = left_out(faces(("a", "1", [axis(0)] * 3), ("b", "2", [axis(0)] * 3)))
    assert (result.tracks, result.right, result.strangers, result.strangers_named) == (0, 0, 2, 2)
    assert result.by_person == {}
    assert result.scores.genuine == 0 and result.scores.auc is None


def test_scores_against_held_out_heads_tell_people_apart() -> None:
    rng = np.random.default_rng(7)
    people = directions(rng, 12)
    tracks = [
        (f"p{i}", f"v{v}", looks(rng, d, 4, 0.6)) for i, d in enumerate(people) for v in "123"
    ]
    result = left_out(faces(*tracks))
    assert (result.tracks, result.right, result.strangers) == (36, 36, 0)
    assert (result.scores.genuine, result.scores.impostor) == (36, 36 * 11)
    assert result.scores.auc == 1.0
    assert result.scores.at_far(0.1).tar == 1.0
