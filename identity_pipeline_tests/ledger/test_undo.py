"""Undo is exact in any order that leaves nothing dangling, a merge also after later labels."""

from __future__ import annotations

import pytest

from identity_pipeline.ledger import commands as c
from identity_pipeline.ledger.effects import Facts
from identity_pipeline.ledger.errors import DanglingError, LedgerError, NoChangeError, RefusedError
from identity_pipeline.ledger.replay import History, replay
from identity_pipeline_tests.ledger.curator import Curator, t


def test_a_merge_is_reversed_after_later_labels(me: Curator) -> None:
    ann, bob = me.person("Ann", t(1), t(2)), me.person("Bob", t(11))
    me.do(c.set_cover, ann, t(1))
    me.do(c.reject, ann, [t(20)])
    merge = me.do(c.merge, ann, bob)
    me.do(c.confirm, bob, [t(12)])
    me.do(c.reject, bob, [t(21)])
    me.do(c.rename, bob, "Robert")
    me.undo(merge)
    assert me.state.members == {ann: (t(1), t(2)), bob: (t(11), t(12))}
    assert me.state.people[ann].cover == t(1)
    assert me.state.people[bob].name == "Robert"
    assert me.state.rejected == {(t(20), ann), (t(21), bob)}


def test_a_rejection_after_a_merge_stays_with_the_survivor(me: Curator) -> None:
    ann, bob = me.person("Ann", t(1), t(2)), me.person("Bob", t(11))
    merge = me.do(c.merge, ann, bob)
    me.do(c.reject, bob, [t(1)])
    me.undo(merge)
    assert me.state.members == {ann: (t(1), t(2)), bob: (t(11),)}
    assert me.state.rejected == {(t(1), bob)}


def test_chained_merges_are_reversed_in_any_order(me: Curator) -> None:
    ann, bob, cleo = me.person("A", t(1)), me.person("B", t(2)), me.person("C", t(3))
    first = me.do(c.merge, ann, bob)
    second = me.do(c.merge, bob, cleo)
    me.undo(first)
    assert me.state.members == {ann: (t(1),), cleo: (t(2), t(3))}
    me.undo(second)
    assert me.state.members == {ann: (t(1),), bob: (t(2),), cleo: (t(3),)}


def test_an_undo_is_refused_when_later_events_need_the_event(me: Curator) -> None:
    ann = me.person("Ann", t(1))
    naming = me.history.events[-1].id
    confirmed = me.do(c.confirm, ann, [t(2)])
    hidden = me.do(c.hide, ann)
    me.person("Bob", t(11))
    with pytest.raises(DanglingError, match=r"2 other events need it, undo them first") as caught:
        me.undo(naming)
    assert caught.value.event_ids == (confirmed, hidden)
    assert confirmed in str(caught.value)
    me.undo(hidden)
    me.undo(confirmed)
    me.undo(naming)
    assert ann not in me.state.people


def test_a_refusal_stays_short_however_many_events_depend(me: Curator) -> None:
    ann = me.person("Ann", t(0))
    confirmed = [me.do(c.confirm, ann, [t(number)]) for number in range(1, 31)]
    with pytest.raises(DanglingError, match="at least 20 other events need it") as caught:
        me.undo(me.history.events[0].id)
    assert caught.value.event_ids == tuple(confirmed[:20])
    assert str(caught.value).count("There is no person") == 3


def test_a_move_after_a_merge_needs_the_merge(me: Curator) -> None:
    ann, bob, cleo = me.person("A", t(1)), me.person("B", t(2)), me.person("C", t(3))
    merge = me.do(c.merge, ann, bob)
    moved = me.do(c.move, bob, cleo, [t(1)])
    with pytest.raises(DanglingError) as caught:
        me.undo(merge)
    assert caught.value.event_ids == (moved,)


def test_undoing_an_undo_brings_the_event_back_to_its_place(me: Curator) -> None:
    ann = me.person("Ann", t(1))
    first = me.do(c.rename, ann, "Anna")
    before = me.hash
    undo = me.undo(first)
    assert me.state.people[ann].name == "Ann"
    redo = me.undo(undo)
    assert me.hash == before
    me.undo(redo)
    assert me.state.people[ann].name == "Ann"
    me.do(c.rename, ann, "Anne")
    assert me.state.people[ann].name == "Anne"
    me.undo(me.history.events[-2].id)
    assert me.state.people[ann].name == "Anne", "the later name wins over the one brought back"


def test_bringing_back_is_refused_when_it_no_longer_fits(me: Curator) -> None:
    ann, bob = me.person("Ann", t(1)), me.person("Bob", t(11))
    undo = me.undo(me.do(c.confirm, ann, [t(2)]))
    later = me.do(c.confirm, bob, [t(2)])
    with pytest.raises(DanglingError) as caught:
        me.undo(undo)
    assert caught.value.event_ids == (later,)


def test_undoing_twice_is_an_error(me: Curator) -> None:
    ann = me.person("Ann", t(1))
    hide = me.do(c.hide, ann)
    undo = me.undo(hide)
    with pytest.raises(NoChangeError, match="already undone"):
        me.undo(hide)
    me.undo(undo)
    second = me.undo(hide)
    with pytest.raises(NoChangeError):
        me.undo(undo)
    assert not me.state.people[ann].hidden
    me.undo(second)
    assert me.state.people[ann].hidden


def test_an_undo_that_leaves_another_undo_in_force_changes_nothing(me: Curator) -> None:
    ann = me.person("Ann", t(1))
    hide = me.do(c.hide, ann)
    first = me.undo(hide)
    redo = me.undo(first)
    me.undo(hide)
    with pytest.raises(NoChangeError, match="other undos remain"):
        me.undo(redo)


def test_an_event_confirmed_twice_needs_two_undos(me: Curator) -> None:
    ann = me.person("Ann", t(1))
    first = me.do(c.confirm, ann, [t(2)])
    second = me.do(c.confirm, ann, [t(2), t(3)])
    me.undo(first)
    assert me.state.members[ann] == (t(1), t(2), t(3))
    me.undo(second)
    assert me.state.members[ann] == (t(1),)


def test_undo_respects_what_is_seen_together(me: Curator) -> None:
    ann, bob = me.person("Ann", t(1), t(3)), me.person("Bob", t(11))
    moved = me.do(c.move, ann, bob, [t(1)])
    me.facts = Facts(seen_together=frozenset({(t(1), t(2))}))
    me.do(c.confirm, ann, [t(2)])
    with pytest.raises(RefusedError, match="seen in one frame"):
        me.undo(moved)


def test_missing_or_double_events_are_noticed(me: Curator) -> None:
    me.do(c.hide, me.person("Ann", t(1)))
    first, second = me.history.events
    with pytest.raises(LedgerError, match="missing or double"):
        replay([second])
    with pytest.raises(LedgerError, match="missing or double"):
        replay([first, first])
    with pytest.raises(LedgerError, match="same id"):
        replay([first, second.model_copy(update={"id": first.id})])
    with pytest.raises(RefusedError, match="cannot follow"):
        History((first,)).after(first)
    with pytest.raises(RefusedError, match="already is an event"):
        History((first,)).after(second.model_copy(update={"id": first.id}))
