"""What holds over any sequence of decisions, undos and new numberings of the tracks."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, event, given, settings

from identity_pipeline.ledger import commands as c
from identity_pipeline.ledger import events as ev
from identity_pipeline.ledger import subjects as ids
from identity_pipeline.ledger.errors import RefusedError
from identity_pipeline.ledger.replay import History, replay
from identity_pipeline.ledger.shredding import keys_of
from identity_pipeline.ledger.state import LibraryState, Target
from identity_pipeline_tests.ledger.curator import Curator, f, t

ROOT = Path(__file__).parents[2]
TRACKS = 8
ours = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])

Step = tuple[str, int, int, int]
DECISIONS = [
    *("name", "rename", "confirm", "accept", "reject", "decline", "merge", "split", "move"),
    *("hide", "unhide", "not_a_face", "ignore", "cover"),
]
PICTURES = ["picture_accept", "picture_reject", "picture_anchor", "picture_bins", "picture_order"]
FAULTS: list[ev.Fault] = ["eyes", "blurred", "not_them"]
BINS: list[dict[ev.Axis, str]] = [{"yaw": "[15,30)"}, {"yaw": "[-5,5)", "expression": "smile"}]
numbers = st.integers(0, 1_000)


def steps(kinds: list[str], most: int = 25) -> st.SearchStrategy[list[Step]]:
    step = st.tuples(st.sampled_from(kinds), numbers, numbers, numbers)
    return st.lists(step, min_size=most // 2, max_size=most)


def carry_out(me: Curator, step: Step) -> str | None:
    """Tries a step that fits the state as far as it can be told; the event's id, or None."""
    kind, i, j, k = step
    state = me.state
    people = list(state.active) or ["0" * 8 + "-0000-4000-8000-" + "0" * 12]
    one, other = people[i % len(people)], people[j % len(people)]
    some = [t(k % TRACKS), t((k * 7 + j) % TRACKS)]
    mine = state.members.get(one, (t(0),))
    theirs = mine[: 1 + k % len(mine)]
    free = [s for s in map(t, range(TRACKS)) if s not in state.subjects] or some
    earlier = [e.id for e in me.history.events]
    faces = [f(n % TRACKS) for n in range(i, i + 1 + j % 3)]
    does: dict[str, Callable[[], str]] = {
        "name": lambda: me.do(c.name, f"N{k % 3}", free[: 1 + k % 3], same_name=bool(i % 2)),
        "rename": lambda: me.do(c.rename, one, f"N{k % 3}", same_name=bool(j % 2)),
        "confirm": lambda: me.do(c.confirm, one, some),
        "accept": lambda: me.do(c.confirm, one, free[:1], origin="suggestion_accepted"),
        "reject": lambda: me.do(c.reject, one, some[:1] if j % 2 else mine[:1]),
        "decline": lambda: me.do(c.decline, one, some[:1], evidence=k / 1000),
        "merge": lambda: me.do(c.merge, one, other),
        "split": lambda: me.do(c.split, one, theirs, new_name=None),
        "move": lambda: me.do(c.move, one, other, theirs),
        "hide": lambda: me.do(c.hide, one),
        "unhide": lambda: me.do(c.unhide, one),
        "not_a_face": lambda: me.do(c.not_a_face, some[:1]),
        "ignore": lambda: me.do(c.ignore, some[:1]),
        "cover": lambda: me.do(c.set_cover, one, mine[k % len(mine)]),
        "picture_accept": lambda: me.do(c.accept_pictures, faces),
        "picture_reject": lambda: me.do(c.reject_pictures, faces, FAULTS[k % len(FAULTS)]),
        "picture_anchor": lambda: me.do(
            c.anchor_picture, faces[0], f(k % TRACKS) if j % 2 else None
        ),
        "picture_bins": lambda: me.do(c.bin_pictures, faces, BINS[k % len(BINS)]),
        "picture_order": lambda: me.do(c.order_pictures, faces, "person" if k % 2 else "ride"),
        "consent": lambda: me.do(
            c.record_consent,
            Target("person", one) if j % 2 else Target("video", "ride", k % 2),
            "granted" if i % 2 else "withdrawn",
            ["export", "profile"][: 1 + k % 2],
        ),
        "forget": lambda: me.do(c.forget, [one], subjects=some[:1] if j % 3 == 0 else []),
        "undo": lambda: me.undo(earlier[k % len(earlier)]) if earlier else "",
        "renumber": lambda: renumber(me, i, j, k),
    }
    try:
        return does[kind]() or None
    except RefusedError:
        return None


def renumber(me: Curator, i: int, j: int, k: int) -> str:
    """A new processing: all are shuffled, sometimes two become one or one is not found."""
    shuffled = list(range(TRACKS))
    random.Random(i).shuffle(shuffled)  # noqa: S311
    if j % 2:
        shuffled[j % TRACKS] = shuffled[k % TRACKS]
    known = sorted(me.history.anchors)
    missing = known[:1] if k % 3 == 0 else []
    renames = {s: shuffled_name(s, shuffled) for s in known if s not in missing}
    return me.do(c.renumber, renames, missing)


def shuffled_name(subject: str, shuffled: list[int]) -> str:
    number = int(subject.rpartition(":")[2].partition("-")[0])
    return (t if "track" in subject else f)(shuffled[number])


def check(history: History) -> None:
    """No must-link and no cannot-link is broken, and nothing points to what is not there."""
    state = history.state
    for subject, person_id in state.assigned.items():
        assert state.people[person_id].merged_into is None
        assert (subject, person_id) not in state.rejected
    for one, other in state.apart:
        assert one < other
        assert one not in state.assigned or state.assigned[one] != state.assigned.get(other)
    placed = [*state.assigned, *state.ignored, *state.not_faces]
    assert len(placed) == len(set(placed))
    assert state.origin.keys() == state.assigned.keys()
    for person_id, person in state.people.items():
        assert person.cover is None or state.assigned[person.cover] == person_id
        assert person.merged_into is None or person.merged_into in state.people
    for face, picture in state.pictures.items():
        assert (picture.fault is not None) == (picture.verdict == "rejected")
        assert picture.anchor is None or picture.verdict == "accepted"
        assert picture.instead_of is None or (picture.anchor and picture.instead_of != face)
    check_kept(history, state)


def check_kept(history: History, state: LibraryState) -> None:
    """Every decision in force is in the state, unless a later one in force took its subject."""
    if any(isinstance(e, ev.Renumbered | ev.Forgotten) for e in history.events):
        return
    taken: set[str] = set()
    for e in reversed(history.in_force):
        if isinstance(e, ev.Rejected):
            survivor = state.survivor(e.person_id)
            assert {(s, survivor) for s in e.subjects} <= state.rejected
        if isinstance(e, ev.NotAFace):
            assert set(e.subjects) <= state.not_faces
        if isinstance(e, ev.Ignored):
            assert set(e.subjects) <= state.ignored
        to = {
            ev.Created: lambda e: e.person_id,
            ev.Confirmed: lambda e: e.person_id,
            ev.Moved: lambda e: e.to,
            ev.Split: lambda e: e.new_person_id,
        }.get(type(e))
        if to is not None:
            for subject in set(e.named_subjects) - taken:
                assert state.assigned[subject] == state.survivor(to(e))
        if to is not None or isinstance(e, ev.Rejected | ev.NotAFace | ev.Ignored):
            taken |= set(e.named_subjects)


@ours
@given(steps([*DECISIONS, "name", "confirm", "merge", "undo", "undo"]))
def test_no_link_is_ever_violated(sequence: list[Step]) -> None:
    me = Curator()
    me.person("First", t(0), t(1))
    for step in sequence:
        done = carry_out(me, step)
        event(f"{step[0]}: {'done' if done else 'refused'}")
        check(me.history)


@ours
@given(steps([*DECISIONS, "name", "merge", "undo", "renumber", "renumber"]))
def test_no_link_is_violated_when_tracks_get_other_numbers(sequence: list[Step]) -> None:
    me = Curator()
    me.person("First", t(0), t(1), t(2))
    me.person("Second", t(4), t(5))
    for step in sequence:
        before = me.state
        done = carry_out(me, step)
        check(me.history)
        assert me.state.subjects <= set(me.history.anchors), "all can be found again"
        if done and step[0] == "renumber":
            assert me.state.people.keys() == before.people.keys()
            had = {p for p, members in before.members.items() if members}
            assert had == set(me.state.members), "nobody loses everything"


@ours
@given(steps([*PICTURES, *PICTURES, "name", "undo", "undo"]))
def test_the_latest_decision_on_a_picture_holds(sequence: list[Step]) -> None:
    me = Curator()
    for step in sequence:
        carry_out(me, step)
    check(me.history)
    wanted: dict[str, tuple[str, str | None]] = {}
    for e in me.history.in_force:
        if isinstance(e, ev.PictureAccepted | ev.PictureAnchored):
            wanted |= dict.fromkeys(e.subjects, ("accepted", None))
        elif isinstance(e, ev.PictureRejected):
            wanted |= dict.fromkeys(e.subjects, ("rejected", e.fault))
    held = {s: (p.verdict, p.fault) for s, p in me.state.pictures.items() if p.verdict}
    assert held == wanted


@ours
@given(steps([*PICTURES, "renumber", "renumber", "undo"]))
def test_no_decision_on_a_picture_is_lost_when_faces_get_other_names(sequence: list[Step]) -> None:
    me = Curator()
    for step in sequence:
        before = me.state.pictures
        done = carry_out(me, step)
        check(me.history)
        assert me.state.subjects <= set(me.history.anchors), "all can be found again"
        if done and step[0] == "renumber":
            for what in ("verdict", "fault", "anchor"):
                had = {getattr(picture, what) for picture in before.values()}
                has = {getattr(picture, what) for picture in me.state.pictures.values()}
                assert has <= had
            assert bool(before) == bool(me.state.pictures)
            verdicts = {picture.verdict for picture in before.values()}
            assert verdicts == {picture.verdict for picture in me.state.pictures.values()} | (
                verdicts & {None}
            )


@pytest.mark.parametrize("kind", [*DECISIONS, *PICTURES, "consent"])
@settings(ours, max_examples=8)
@given(data=st.data())
def test_undo_is_exact_for_every_kind_at_any_point(kind: str, data: st.DataObject) -> None:
    prefix = data.draw(steps([*DECISIONS, *PICTURES, "name", "undo", "renumber"], 12))
    tried = data.draw(steps([kind], 6))
    me = Curator()
    me.person("First", t(0), t(1), t(2))
    me.person("Second", t(4), t(5))
    for step in prefix:
        carry_out(me, step)
    for step in tried:
        before = me.hash
        done = carry_out(me, step)
        if done is None:
            assert me.hash == before
            continue
        event("done")
        after = me.hash
        assert after != before
        undo = me.undo(done)
        assert me.hash == before
        redo = me.undo(undo)
        assert me.hash == after
        me.undo(redo)
        assert me.hash == before


@ours
@given(
    steps([*DECISIONS, *PICTURES, "consent", "name", "merge", "undo"]),
    numbers,
    steps([*DECISIONS, *PICTURES, "consent", "undo", "undo", "undo", "renumber"], 12),
)
def test_of_the_forgotten_nothing_is_left_nor_comes_back(
    before: list[Step], i: int, later: list[Step]
) -> None:
    me = Curator()
    me.person("First", t(0), t(1))
    for step in before:
        carry_out(me, step)
    if not me.state.active:  # its naming was undone
        return
    gone = me.state.active[i % len(me.state.active)]
    ids = {p for p in me.state.people if me.state.survivor(p) == gone}
    others = me.state
    forgotten = me.do(c.forget, [gone])
    assert me.state.people == {p: o for p, o in others.people.items() if p not in ids}
    kept = {s: p for s, p in others.assigned.items() if p != gone}
    assert me.state.assigned == kept
    for step in later:
        carry_out(me, step)
        check(me.history)
        left = json.dumps({**me.state.as_json(), "forgotten": None})
        assert not any(person in left for person in ids)
    with pytest.raises(RefusedError, match="gone for good"):
        me.undo(forgotten)


def test_nobody_inherits_the_answer_of_whom_they_sat_beside() -> None:
    me = Curator()
    ride = ids.parse(t(0)).video_id
    left, right, everybody = (Target("video", ride, seat) for seat in (0, 1, None))
    answers = ((left, "granted"), (right, "refused"), (everybody, "granted"))
    said = [me.do(c.record_consent, target, answer, ["export"]) for target, answer in answers]
    me.do(c.record_consent, everybody, "granted", ["profile"])
    me.do(c.forget, [], [], [t(0)])
    known = {
        target: {scope: one.answer for scope, one in told.items()}
        for target, told in me.state.consents.items()
    }
    assert known == {everybody: {"export": "refused", "profile": "granted"}}
    forgotten = me.history.events[-1]
    assert isinstance(forgotten, ev.Forgotten)
    assert keys_of(me.history, forgotten) == set(said[:2])
    me.do(c.record_consent, left, "granted", ["training"])
    assert me.state.consents[left]["training"].answer == "granted"


def test_a_decision_about_somebody_forgotten_cannot_be_undone() -> None:
    me = Curator()
    ada = me.person("Ada", t(0), t(1))
    ben = me.person("Ben", t(4))
    confirmed = me.do(c.confirm, ada, [t(2)])
    moved = me.do(c.move, ada, ben, [t(2)])
    rejected = me.do(c.reject, ben, [t(0)])
    own = me.do(c.confirm, ben, [t(5)])
    me.do(c.forget, [ada])
    for decision in (confirmed, moved, rejected):
        with pytest.raises(RefusedError, match="forgotten"):
            me.undo(decision)
    assert me.state.assigned == {t(2): ben, t(4): ben, t(5): ben}
    assert not me.state.rejected and t(0) not in me.history.anchors
    me.undo(own)
    assert t(5) not in me.state.assigned


@ours
@given(steps([*DECISIONS, *PICTURES, "name", "name", "confirm", "reject"]), numbers, numbers)
def test_the_order_of_two_undos_does_not_matter(sequence: list[Step], i: int, j: int) -> None:
    me = Curator()
    me.person("First", t(0), t(1))
    done = [id_ for step in sequence if (id_ := carry_out(me, step))]
    if len(done) < 2:
        return
    one = done.pop(i % len(done))
    other = done[j % len(done)]
    hashes = []
    for first, second in ((one, other), (other, one)):
        again = Curator(me.history, salt=1)
        try:
            again.undo(first)
            again.undo(second)
        except RefusedError:
            continue
        hashes.append(again.hash)
    event(f"orders: {len(hashes)}")
    assert len(set(hashes)) <= 1


LATER = ["confirm", "accept", "reject", "decline", "rename", "name", "hide", "not_a_face"]


@ours
@given(steps([*DECISIONS, "name"], 8), numbers, numbers, steps(LATER, 8))
def test_a_merge_is_reversed_as_if_it_had_never_been(
    prefix: list[Step], i: int, j: int, later: list[Step]
) -> None:
    me = Curator()
    me.person("First", t(0), t(1))
    me.person("Second", t(4))
    for step in prefix:
        carry_out(me, step)
    active = me.state.active
    one, other = active[i % len(active)], active[j % len(active)]
    never, in_force = Curator(me.history, salt=1), len(me.history.in_force)
    try:
        merge = me.do(c.merge, one, other)
    except RefusedError:
        return
    for step in later:
        if carry_out(me, step) is None:
            continue
        same = me.history.events[-1].model_copy(update={"seq": never.history.next_seq})
        try:
            never.history = never.history.after(same)
        except RefusedError:
            me.undo(me.history.events[-1].id)  # only means something because of the merge
    me.undo(merge)
    event(f"later labels in force: {len(never.history.in_force) - in_force}")
    assert me.hash == never.hash


@ours
@given(
    steps([*DECISIONS, *PICTURES, "name", "undo", "renumber"]), st.randoms(use_true_random=False)
)
def test_replay_is_a_pure_function_of_the_events(sequence: list[Step], luck) -> None:
    me = Curator()
    me.person("First", t(0), t(1))
    for step in sequence:
        carry_out(me, step)
    mixed = [ev.parse(json.loads(e.model_dump_json())) for e in me.history.events]
    luck.shuffle(mixed)
    again = replay(mixed)
    assert again == me.state
    assert again.state_hash == me.hash
    assert list(again.assigned) == sorted(again.assigned)


def test_the_hash_is_the_same_in_every_process() -> None:
    code = (
        "from identity_pipeline.ledger import commands as c\n"
        "from identity_pipeline_tests.ledger.curator import Curator, t\n"
        "me = Curator(); ann = me.person('Ann', *map(t, range(9)))\n"
        "me.do(c.split, ann, [t(2), t(3)]); me.do(c.reject, ann, [t(20), t(21), t(22)])\n"
        "print(me.hash)"
    )
    hashes = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(hashes) == 1


def test_an_undo_brings_no_answer_by_seat_back_of_a_ride_from_which_somebody_went() -> None:
    me = Curator()
    ada = me.person("Ada", t(0))
    me.do(c.record_consent, Target("video", "ride", 0), "granted", ["export"])
    other = me.do(c.record_consent, Target("video", "ride", 1), "granted", ["export"])
    me.do(c.forget, [ada])
    assert not me.state.consents
    me.undo(other)
    assert me.state == replay(me.history.events)
    assert not me.state.consents
