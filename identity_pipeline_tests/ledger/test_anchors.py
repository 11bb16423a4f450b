"""Decisions are found again when a video is processed anew; what is not found is kept and said."""

from __future__ import annotations

import polars as pl
import pytest

from identity_pipeline.ledger import anchors
from identity_pipeline.ledger import commands as c
from identity_pipeline.ledger import events as ev
from identity_pipeline.ledger.errors import DanglingError, NoChangeError, RefusedError
from identity_pipeline.ledger.renaming import Conflict
from identity_pipeline_tests.ledger.curator import Curator, t

Row = tuple[str, int | None, int, float, float, float, float]


def faces(*rows: Row) -> pl.DataFrame:
    columns = {"video_id": pl.String, "track_id": pl.Int64, "frame_idx": pl.Int64}
    boxes = dict.fromkeys(("x1", "y1", "x2", "y2"), pl.Float32)
    return pl.DataFrame(rows, schema={**columns, **boxes}, orient="row")


def at(x: float, frame_idx: int = 10, track_id: int | None = 7, video: str = "ride") -> Row:
    """A face of the size that `anchor` gives, at x."""
    return (video, track_id, frame_idx, x, 0, x + 50, 60)


def found(table: pl.DataFrame, box_x: float = 0.0, frame_idx: int = 10) -> str | None:
    box = (box_x, 0, box_x + 50, 60)
    anchor = ev.Anchor(subject=t(1), frame_idx=frame_idx, box=box)
    return anchors.resolve({t(1): [anchor]}, table).found.get(t(1))


def test_the_best_overlap_of_the_frame_says_which_track() -> None:
    assert found(faces(at(8, track_id=3), at(2, track_id=5), at(200, track_id=1))) == t(5)


@pytest.mark.parametrize(("x", "hit"), [(0, True), (16.6, True), (16.7, False), (60, False)])
def test_half_an_overlap_is_needed(x: float, hit: bool) -> None:
    assert (found(faces(at(x))) == t(7)) is hit


@pytest.mark.parametrize(("frame", "hit"), [(8, True), (12, True), (7, False), (13, False)])
def test_frames_up_to_two_away_count(frame: int, hit: bool) -> None:
    assert (found(faces(at(0, frame))) == t(7)) is hit


def test_the_nearest_frame_wins_and_then_the_earlier() -> None:
    table = faces(at(5, 11, 1), at(0, 12, 2), at(0, 8, 3))
    assert found(table) == t(1)
    assert found(faces(at(5, 9, 4), at(0, 11, 5))) == t(4)


def test_a_frame_without_a_match_does_not_hide_the_next() -> None:
    assert found(faces(at(200, 10, 1), at(0, 11, 2))) == t(2)


def test_the_order_of_rows_does_not_matter() -> None:
    rows = [at(0, track_id=4), at(0, track_id=2), at(0, track_id=9)]
    assert found(faces(*rows)) == found(faces(*reversed(rows))) == t(2)


def test_faces_in_no_track_and_other_videos_do_not_count() -> None:
    anchor = ev.Anchor(subject=t(1), frame_idx=10, box=(0, 0, 50, 60))
    table = faces(at(0, track_id=None), at(0, video="other"))
    result = anchors.resolve({t(1): [anchor], t(2, "gone"): []}, table)
    assert result == anchors.Resolution({}, (t(1),), (t(2, "gone"),))
    assert result.changes


def test_older_anchors_help_when_the_newest_is_not_found() -> None:
    newest, older = (
        ev.Anchor(subject=t(1), frame_idx=frame, box=(0, 0, 50, 60)) for frame in (90, 10)
    )
    assert anchors.resolve({t(1): [newest, older]}, faces(at(0))).found == {t(1): t(7)}


def test_single_faces_are_found_by_their_ids() -> None:
    subject = "face:ride:000010-0"
    anchor = ev.Anchor(subject=subject, frame_idx=10, box=(0, 0, 50, 60))
    table = faces(at(0, track_id=None), at(100)).with_columns(
        face_id=pl.Series(["000010-1", "000010-0"])
    )
    assert anchors.resolve({subject: [anchor]}, table).found == {subject: "face:ride:000010-1"}


def test_tracks_that_change_places_keep_their_people(me: Curator) -> None:
    ann, bob = me.person("Ann", t(1)), me.person("Bob", t(2))
    me.do(c.set_cover, ann, t(1))
    me.do(c.reject, ann, [t(3)])
    table = faces(at(100, track_id=2), at(200, track_id=1), at(300, track_id=3))
    resolution = anchors.resolve(me.history.anchors, table)
    state, conflicts = anchors.apply(me.state, resolution)
    assert state.assigned == {t(1): bob, t(2): ann}
    assert state.people[ann].cover == t(2)
    assert state.rejected == {(t(3), ann)}
    assert conflicts == ()
    me.do(c.renumber, resolution.found, resolution.not_found)
    assert me.state == state
    again = anchors.resolve(me.history.anchors, table)
    assert not again.changes
    with pytest.raises(NoChangeError):
        me.do(c.renumber, again.found, again.not_found)


def test_two_old_tracks_that_agree_become_one(me: Curator) -> None:
    ann = me.person("Ann", t(1))
    me.do(c.confirm, ann, [t(2)], origin="suggestion_accepted")
    me.do(c.decline, me.person("Bob", t(5)), [t(1)], evidence=0.4)
    renames = {t(1): t(9), t(2): t(9)}
    state, conflicts = anchors.apply(me.state, anchors.Resolution(renames, (), ()))
    assert conflicts == ()
    assert state.members[ann] == (t(9),)
    assert state.origin[t(9)] == "human"


@pytest.mark.parametrize(
    "prepare",
    [
        lambda me, ann: me.person("Bob", t(2)),
        lambda me, ann: me.do(c.reject, ann, [t(2)]),
        lambda me, ann: me.do(c.ignore, [t(2)]),
        lambda me, ann: me.do(c.not_a_face, [t(2)]),
        lambda me, ann: (me.do(c.confirm, ann, [t(2)]), me.do(c.split, ann, [t(2)])),
    ],
)
def test_two_old_tracks_that_disagree_are_kept_apart_and_reported(me: Curator, prepare) -> None:
    ann = me.person("Ann", t(1), t(3))
    prepare(me, ann)
    renames = {t(1): t(9), t(2): t(9)}
    state, conflicts = anchors.apply(me.state, anchors.Resolution(renames, (), ()), seq=4)
    assert conflicts == (Conflict(t(9), (t(1), t(2))),)
    assert state.lost == (f"lost:4:{t(1)}", f"lost:4:{t(2)}")
    assert state.assigned[f"lost:4:{t(1)}"] == ann
    assert len(state.subjects) == len(me.state.subjects)


def test_what_is_not_found_is_kept_as_lost_until_it_is_found(me: Curator) -> None:
    ann = me.person("Ann", t(1), t(2))
    table = faces(at(200, track_id=1))
    resolution = anchors.resolve(me.history.anchors, table)
    planned = me.plan(c.renumber, resolution.found, resolution.not_found)
    assert str(planned.effect).splitlines() == [
        "1 subjects have other ids now",
        "1 are not found again and are kept as lost",
        "0 contradict another one of the same track and are kept as lost",
    ]
    me.history = planned.history
    assert me.state.members[ann] == (f"lost:2:{t(1)}", t(1))
    later = anchors.resolve(me.history.anchors, faces(at(200, track_id=1), at(100, track_id=4)))
    me.do(c.renumber, later.found, later.not_found)
    assert me.state.members[ann] == (t(1), t(4))
    assert me.state.lost == ()


def test_an_event_undone_before_the_new_numbering_comes_back_on_the_right_track(
    me: Curator,
) -> None:
    ann = me.person("Ann", t(1))
    undo = me.undo(me.do(c.confirm, ann, [t(2)]))
    table = faces(at(100, track_id=2), at(200, track_id=8))
    resolution = anchors.resolve(me.history.anchors, table)
    me.do(c.renumber, resolution.found, resolution.not_found)
    me.undo(undo)
    assert me.state.members[ann] == (t(2), t(8))


def test_undo_and_labels_go_on_after_a_new_numbering(me: Curator) -> None:
    ann, bob = me.person("Ann", t(1)), me.person("Bob", t(2))
    merge = me.do(c.merge, ann, bob)
    renames = {t(1): t(2), t(2): t(1)}
    numbering = me.do(c.renumber, renames, [])
    me.do(c.confirm, bob, [t(3)])
    me.undo(merge)
    assert me.state.members == {ann: (t(2),), bob: (t(1), t(3))}
    with pytest.raises(RefusedError, match="no decision"):
        me.undo(numbering)
    moved = me.do(c.move, ann, bob, [t(2)])
    with pytest.raises(DanglingError) as caught:
        me.undo(me.history.events[0].id)
    assert moved in caught.value.event_ids


def test_a_new_numbering_is_a_mapping(me: Curator) -> None:
    me.person("Ann", t(1))
    with pytest.raises(RefusedError, match="both found and not found"):
        me.do(c.renumber, {t(1): t(2)}, [t(1)])
