"""Two curators at once: what hinders a decision made of an older head, and what does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from identity_pipeline.ledger import commands as c
from identity_pipeline.ledger.commands import Planned
from identity_pipeline.ledger.concurrency import Head, decided_on
from identity_pipeline.ledger.errors import ChangedMeanwhileError, RefusedError
from identity_pipeline.ledger.store import LedgerStore
from identity_pipeline.storage.layout import Layout
from identity_pipeline_tests.ledger.curator import TIME, anchor, t


class Desk:
    """A ledger with Ann (tracks 1, 2) and Bob (track 3), and somebody who looked at it then."""

    def __init__(self, folder: Path) -> None:
        self.ledger = LedgerStore(Layout(folder))
        self.ann = self.name("Ann", t(1), t(2))
        self.bob = self.name("Bob", t(3))
        self.seen: Head = self.ledger.head_of(self.ledger.history())

    def name(self, name: str, *subjects: str) -> str:
        return self.do(c.name, name, subjects).event.person_id  # type: ignore[union-attr]

    def do(self, command: Callable[..., Planned], *args: object, head: Head | None = None):
        tracks = [t(number) for number in range(10)]
        stamp = c.Stamp("somebody", TIME, anchors=[*map(anchor, tracks)])
        decide = lambda history: command(history, stamp, *args)  # noqa: E731
        return self.ledger.commit(decided_on(decide, head) if head else decide)

    def late(self, command: Callable[..., Planned], *args: object) -> Planned:
        """A decision of whoever looked before."""
        return self.do(command, *args, head=self.seen)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "data")


def test_decisions_on_other_tracks_do_not_hinder(desk: Desk) -> None:
    desk.do(c.confirm, desk.ann, [t(5)])
    desk.do(c.rename, desk.bob, "Robert")
    planned = desk.late(c.confirm, desk.ann, [t(6)])
    assert planned.state.members[desk.ann] == (t(1), t(2), t(5), t(6))


def test_a_decision_on_the_same_track_hinders_and_is_told(desk: Desk) -> None:
    other = desk.do(c.ignore, [t(6)]).event
    with pytest.raises(ChangedMeanwhileError, match="Somebody was faster: ignore #3") as refused:
        desk.late(c.confirm, desk.ann, [t(6), t(7)])
    assert refused.value.events == (other,)
    assert desk.ledger.history().events[-1] == other


def test_a_decision_that_holds_on_both_heads_hinders_as_well(desk: Desk) -> None:
    desk.do(c.reject, desk.ann, [t(6)])
    with pytest.raises(ChangedMeanwhileError):
        desk.late(c.confirm, desk.bob, [t(6)])


def test_two_decisions_on_one_whole_person_hinder_each_other(desk: Desk) -> None:
    desk.do(c.rename, desk.ann, "Anna")
    with pytest.raises(ChangedMeanwhileError):
        desk.late(c.merge, desk.bob, desk.ann)
    desk.late(c.hide, desk.bob)


def test_what_a_merge_made_impossible_is_told_as_the_merge(desk: Desk) -> None:
    merge = desk.do(c.merge, desk.bob, desk.ann).event
    with pytest.raises(ChangedMeanwhileError) as refused:
        desk.late(c.confirm, desk.bob, [t(7)])
    assert refused.value.events == (merge,)


def test_taking_back_hinders_as_what_it_takes_back(desk: Desk) -> None:
    first = desk.ledger.history().events[0].id
    undo = desk.do(c.undo, first).event
    with pytest.raises(ChangedMeanwhileError) as refused:
        desk.late(c.undo, first)
    assert refused.value.events == (undo,)
    with pytest.raises(ChangedMeanwhileError):
        desk.late(c.ignore, [t(2)])


def test_tracks_that_got_other_numbers_hinder(desk: Desk) -> None:
    desk.do(c.renumber, {t(1): t(8)}, [])
    for track in (t(1), t(8)):
        with pytest.raises(ChangedMeanwhileError):
            desk.late(c.reject, desk.bob, [track])
    desk.late(c.reject, desk.bob, [t(7)])


def test_what_never_held_is_refused_for_its_own_reason(desk: Desk) -> None:
    desk.do(c.rename, desk.bob, "Robert")
    with pytest.raises(RefusedError, match="belongs to Robert"):
        desk.late(c.confirm, desk.ann, [t(3)])


@pytest.mark.parametrize("head", [(2, "0" * 64), (9, "0" * 64), (-1, "0" * 64)])
def test_a_head_of_another_ledger_is_refused(desk: Desk, head: Head) -> None:
    with pytest.raises(ChangedMeanwhileError, match="another ledger") as refused:
        desk.do(c.hide, desk.ann, head=head)
    assert refused.value.events == ()


def test_an_empty_ledger_has_a_head_too(tmp_path: Path) -> None:
    ledger = LedgerStore(Layout(tmp_path / "new"))
    head = ledger.head_of(ledger.history())
    stamp = c.Stamp("somebody", TIME, anchors=[anchor(t(1))])
    ledger.commit(decided_on(lambda h: c.name(h, stamp, "Ann", [t(1)]), head))
    with pytest.raises(ChangedMeanwhileError):
        ledger.commit(decided_on(lambda h: c.ignore(h, stamp, [t(1)]), head))
