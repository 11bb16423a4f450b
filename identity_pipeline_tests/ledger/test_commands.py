"""Every kind of decision: what it does to the state, what it says, and when it is refused."""

from __future__ import annotations

import json

import pytest

from identity_pipeline.core.faces.buckets import BEYOND, EXPRESSIONS, PITCH_NAMES
from identity_pipeline.ledger import commands as c
from identity_pipeline.ledger import events as ev
from identity_pipeline.ledger.effects import Facts
from identity_pipeline.ledger.errors import NameTakenError, NoChangeError, RefusedError
from identity_pipeline.ledger.replay import History
from identity_pipeline.ledger.state import Person
from identity_pipeline_tests.ledger.curator import TIME, Curator, anchor, f, t

NOBODY = "00000000-0000-4000-8000-000000000000"


def test_naming_makes_a_person_of_subjects(me: Curator, ann: str) -> None:
    assert me.state.people == {ann: Person("Ann")}
    assert me.state.assigned == {t(1): ann, t(2): ann, t(3): ann}
    assert set(me.state.origin.values()) == {"human"}
    assert me.state.members == {ann: (t(1), t(2), t(3))}


def test_renaming_changes_the_name_only(me: Curator, ann: str) -> None:
    before = me.state.assigned
    planned = me.plan(c.rename, ann, "  Anna \t Lena ")
    assert planned.state.people[ann] == Person("Anna Lena")
    assert planned.state.assigned == before
    assert str(planned.effect) == "person Ann is renamed to Anna Lena"


def test_a_taken_name_offers_a_merge_and_does_nothing(me: Curator, ann: str, bob: str) -> None:
    before = me.history
    for attempt in (
        lambda: me.do(c.name, "ANN", [t(20)]),
        lambda: me.do(c.rename, bob, "ann"),
        lambda: me.do(c.split, bob, [t(11)], new_name="Ａnn"),
    ):
        with pytest.raises(NameTakenError, match="merge the two") as caught:
            attempt()
        assert caught.value.person_ids == (ann,)
    assert me.history is before


def test_two_people_may_bear_one_name_when_that_is_meant(me: Curator, ann: str) -> None:
    me.do(c.name, "Ann", [t(20)], same_name=True)
    (other,) = set(me.state.people) - {ann}
    assert me.state.named("ann") == tuple(sorted((ann, other)))
    assert me.state.display(other) == f"Ann ({other})"
    me.do(c.merge, other, ann)
    assert me.state.named("Ann") == (ann,)
    assert me.state.display(ann) == "Ann"


def test_changing_the_case_of_ones_own_name_is_allowed(me: Curator, ann: str) -> None:
    me.do(c.rename, ann, "ANN")
    assert me.state.people[ann].name == "ANN"


@pytest.mark.parametrize("name", ["", "  \n ", "a\x00b", "x" * 201])
def test_bad_names_are_refused(me: Curator, ann: str, name: str) -> None:
    with pytest.raises(RefusedError, match=r"[Nn]ame"):
        me.do(c.rename, ann, name)


def test_confirming_adds_subjects_and_keeps_their_origin(me: Curator, ann: str) -> None:
    me.do(c.confirm, ann, [t(4)], origin="suggestion_accepted")
    assert me.state.origin[t(4)] == "suggestion_accepted"
    me.do(c.confirm, ann, [t(4), t(5)])
    assert me.state.origin[t(4)] == "human"
    assert me.state.members[ann] == (t(1), t(2), t(3), t(4), t(5))


def test_confirming_anothers_subject_says_use_move(me: Curator, ann: str, bob: str) -> None:
    with pytest.raises(RefusedError, match=f"{t(11)} belongs to Bob .*use `move`"):
        me.do(c.confirm, ann, [t(11)])
    with pytest.raises(RefusedError, match="use `move`"):
        me.do(c.name, "Cleo", [t(20), t(11)])


def test_a_rejection_takes_off_and_forbids_for_ever(me: Curator, ann: str, bob: str) -> None:
    rejection = me.do(c.reject, ann, [t(1), t(20)])
    assert me.state.rejected == {(t(1), ann), (t(20), ann)}
    assert t(1) not in me.state.assigned
    refused = f"was rejected from Ann; undo {rejection} first"
    with pytest.raises(RefusedError, match=refused):
        me.do(c.confirm, ann, [t(20)])
    confirmed = me.do(c.confirm, bob, [t(1)])
    with pytest.raises(RefusedError, match=refused):
        me.do(c.move, bob, ann, [t(1)])
    me.undo(confirmed)
    me.undo(rejection)
    assert me.state.rejected == frozenset()
    assert me.state.assigned[t(1)] == ann


def test_a_rejection_follows_its_person_through_a_merge(me: Curator, ann: str, bob: str) -> None:
    me.do(c.reject, ann, [t(20)])
    me.do(c.merge, ann, bob)
    assert me.state.rejected == {(t(20), bob)}
    with pytest.raises(RefusedError, match="was rejected from Bob"):
        me.do(c.confirm, bob, [t(20)])


def test_a_declined_suggestion_is_remembered_with_its_score(me: Curator, ann: str) -> None:
    me.do(c.decline, ann, [t(20)], evidence=0.41)
    assert me.state.declined == {(t(20), ann): 0.41}
    me.do(c.decline, ann, [t(20)], evidence=0.55)
    assert me.state.declined == {(t(20), ann): 0.55}
    me.do(c.confirm, ann, [t(20)])
    with pytest.raises(RefusedError, match="reject it instead"):
        me.do(c.decline, ann, [t(20)], evidence=0.5)


def test_a_merge_gives_everything_to_the_survivor(me: Curator, ann: str, bob: str) -> None:
    me.do(c.set_cover, ann, t(1))
    me.do(c.set_cover, bob, t(11), "000010-0")
    me.do(c.merge, ann, bob)
    assert me.state.people[ann] == Person("Ann", merged_into=bob)
    assert me.state.people[bob] == Person("Bob", cover=t(11), cover_face="000010-0")
    assert set(me.state.assigned.values()) == {bob}
    assert me.state.survivor(ann) == bob
    assert me.state.active == (bob,)
    for attempt in (
        lambda: me.do(c.confirm, ann, [t(20)]),
        lambda: me.do(c.merge, ann, bob),
        lambda: me.do(c.merge, bob, ann),
        lambda: me.do(c.hide, ann),
    ):
        with pytest.raises(RefusedError, match=f"was merged into {bob}; use that one"):
            attempt()


def test_a_rejection_between_two_people_forbids_their_merge(
    me: Curator, ann: str, bob: str
) -> None:
    rejection = me.do(c.reject, ann, [t(3)])
    me.do(c.confirm, bob, [t(3)])
    for one, other in ((ann, bob), (bob, ann)):
        with pytest.raises(RefusedError, match=f"{t(3)} was rejected from Ann; undo {rejection}"):
            me.do(c.merge, one, other)


def test_a_split_holds_the_parts_apart_for_ever(me: Curator, ann: str) -> None:
    cut = me.do(c.split, ann, [t(3)], new_name="Cleo")
    (cleo,) = set(me.state.people) - {ann}
    assert me.state.members == {ann: (t(1), t(2)), cleo: (t(3),)}
    assert me.state.apart == {(t(1), t(3)), (t(2), t(3))}
    for attempt in (
        lambda: me.do(c.merge, cleo, ann),
        lambda: me.do(c.merge, ann, cleo),
        lambda: me.do(c.move, cleo, ann, [t(3)]),
    ):
        with pytest.raises(RefusedError, match=f"split apart.*undo {cut} first"):
            attempt()
    me.do(c.reject, cleo, [t(3)])
    for attempt in (
        lambda: me.do(c.confirm, ann, [t(4), t(3)]),
        lambda: me.do(c.confirm, ann, [t(3)]),
    ):
        with pytest.raises(RefusedError, match=f"{t(3)} was split apart from {t(1)}, who is Ann"):
            attempt()


def test_two_parts_of_a_split_cannot_meet_in_a_third_person(me: Curator, ann: str) -> None:
    me.do(c.split, ann, [t(3)], new_name="Cleo")
    (cleo,) = set(me.state.people) - {ann}
    me.do(c.reject, cleo, [t(3)])
    me.do(c.reject, ann, [t(1)])
    with pytest.raises(RefusedError, match="was split apart from"):
        me.do(c.name, "Dora", [t(1), t(3)])


def test_a_split_without_a_name_is_shown_by_its_id(me: Curator, ann: str) -> None:
    me.do(c.split, ann, [t(3)])
    (new,) = set(me.state.people) - {ann}
    assert me.state.display(new) == f"person_{new}"


def test_a_split_of_everything_is_a_renaming(me: Curator, ann: str) -> None:
    with pytest.raises(RefusedError, match="use `rename`"):
        me.do(c.split, ann, [t(1), t(2), t(3)])


def test_a_move_goes_from_one_to_the_other_and_back(me: Curator, ann: str, bob: str) -> None:
    before = me.hash
    me.do(c.move, ann, bob, [t(1)])
    assert me.state.members == {ann: (t(2), t(3)), bob: (t(1), t(11), t(12))}
    me.do(c.move, bob, ann, [t(1)])
    assert me.hash == before


def test_moves_name_the_right_person(me: Curator, ann: str, bob: str) -> None:
    with pytest.raises(RefusedError, match=f"{t(1)} was not confirmed as Bob"):
        me.do(c.move, bob, ann, [t(1)])
    with pytest.raises(RefusedError, match="both ends"):
        me.do(c.move, ann, ann, [t(1)])
    with pytest.raises(RefusedError, match="was not confirmed as Bob"):
        me.do(c.split, bob, [t(1)])


def test_hiding_and_listing_again(me: Curator, ann: str) -> None:
    before = me.hash
    with pytest.raises(NoChangeError):
        me.do(c.unhide, ann)
    me.do(c.hide, ann)
    assert me.state.people[ann].hidden
    with pytest.raises(NoChangeError):
        me.do(c.hide, ann)
    me.do(c.unhide, ann)
    assert me.hash == before


@pytest.mark.parametrize(("aside", "other"), [(c.not_a_face, c.ignore), (c.ignore, c.not_a_face)])
def test_setting_aside_takes_off_the_person(me: Curator, ann: str, aside, other) -> None:
    event = me.do(aside, [t(1), t(20)])
    kept = me.state.not_faces if aside is c.not_a_face else me.state.ignored
    assert kept == {t(1), t(20)}
    assert me.state.members[ann] == (t(2), t(3))
    for attempt in (
        lambda: me.do(c.confirm, ann, [t(1)]),
        lambda: me.do(c.name, "New", [t(20)]),
        lambda: me.do(other, [t(20)]),
    ):
        with pytest.raises(RefusedError, match=f"undo {event} first"):
            attempt()
    with pytest.raises(NoChangeError):
        me.do(aside, [t(1)])


def test_a_cover_is_a_subject_of_the_person(me: Curator, ann: str, bob: str) -> None:
    me.do(c.set_cover, ann, t(1), "000010-0")
    assert me.state.people[ann] == Person("Ann", cover=t(1), cover_face="000010-0")
    with pytest.raises(RefusedError, match="was not confirmed as Bob"):
        me.do(c.set_cover, bob, t(1))
    me.do(c.move, ann, bob, [t(1)])
    assert me.state.people[ann] == Person("Ann")


@pytest.mark.parametrize(
    "repeat",
    [
        lambda me, ann: me.do(c.rename, ann, "Ann"),
        lambda me, ann: me.do(c.confirm, ann, [t(1), t(2)]),
        lambda me, ann: (me.do(c.reject, ann, [t(9)]), me.do(c.reject, ann, [t(9)])),
        lambda me, ann: (me.do(c.set_cover, ann, t(1)), me.do(c.set_cover, ann, t(1))),
        lambda me, ann: [me.do(c.decline, ann, [t(9)], evidence=0.4) for _ in range(2)],
    ],
)
def test_what_already_holds_is_refused(me: Curator, ann: str, repeat) -> None:
    with pytest.raises(NoChangeError, match="Nothing would change"):
        repeat(me, ann)


@pytest.mark.parametrize(
    "attempt",
    [
        lambda me, ann: me.do(c.rename, NOBODY, "New"),
        lambda me, ann: me.do(c.confirm, NOBODY, [t(9)]),
        lambda me, ann: me.do(c.reject, NOBODY, [t(9)]),
        lambda me, ann: me.do(c.decline, NOBODY, [t(9)], evidence=0.4),
        lambda me, ann: me.do(c.merge, NOBODY, ann),
        lambda me, ann: me.do(c.merge, ann, NOBODY),
        lambda me, ann: me.do(c.split, NOBODY, [t(1)]),
        lambda me, ann: me.do(c.move, NOBODY, ann, [t(1)]),
        lambda me, ann: me.do(c.move, ann, NOBODY, [t(1)]),
        lambda me, ann: me.do(c.hide, NOBODY),
        lambda me, ann: me.do(c.unhide, NOBODY),
        lambda me, ann: me.do(c.set_cover, NOBODY, t(1)),
        lambda me, ann: me.do(c.undo, NOBODY),
    ],
)
def test_unknown_ids_are_refused(me: Curator, ann: str, attempt) -> None:
    with pytest.raises(RefusedError, match=f"There is no (person|event) {NOBODY}"):
        attempt(me, ann)


@pytest.mark.parametrize(
    "attempt",
    [
        lambda me, ann: me.do(c.name, "New", []),
        lambda me, ann: me.do(c.confirm, ann, []),
        lambda me, ann: me.do(c.reject, ann, []),
        lambda me, ann: me.do(c.decline, ann, [], evidence=0.4),
        lambda me, ann: me.do(c.split, ann, []),
        lambda me, ann: me.do(c.move, ann, ann, []),
        lambda me, ann: me.do(c.not_a_face, []),
        lambda me, ann: me.do(c.ignore, []),
    ],
)
def test_no_subjects_are_refused(me: Curator, ann: str, attempt) -> None:
    with pytest.raises(RefusedError, match="No subject is given"):
        attempt(me, ann)


def test_nobody_is_merged_into_themselves(me: Curator, ann: str) -> None:
    with pytest.raises(RefusedError, match="Ann cannot be merged into themselves"):
        me.do(c.merge, ann, ann)


@pytest.mark.parametrize(
    "subject", ["track:ride", "track:Ride:1", "track:ride:-1", "track:a:b:1", "track:ride:01", "x"]
)
def test_what_is_no_subject_is_refused(me: Curator, ann: str, subject: str) -> None:
    stamp = c.Stamp("tester", TIME, new_id=me.new_id)
    with pytest.raises(RefusedError, match="is no subject"):
        c.confirm(me.history, stamp, ann, [subject])


def test_a_new_subject_needs_a_face_by_which_to_find_it_again(me: Curator, ann: str) -> None:
    stamp = c.Stamp("tester", TIME, new_id=me.new_id)
    with pytest.raises(RefusedError, match=f"No anchor for {t(9)}"):
        c.confirm(me.history, stamp, ann, [t(1), t(9)])
    known = c.reject(me.history, stamp, ann, [t(1)])
    assert known.event.anchors == (anchor(t(1)),)


@pytest.mark.parametrize("time", ["2026-01-02T03:04:05", "yesterday", ""])
def test_times_have_a_zone(me: Curator, ann: str, time: str) -> None:
    with pytest.raises(RefusedError, match="time"):
        c.hide(me.history, c.Stamp("tester", time, new_id=me.new_id), ann)


def test_times_are_kept_in_utc(me: Curator, ann: str) -> None:
    stamp = c.Stamp("tester", "2026-01-02T03:04:05+02:00", new_id=me.new_id)
    assert c.hide(me.history, stamp, ann).event.time == "2026-01-02T01:04:05Z"


def test_a_command_says_who_when_and_why(me: Curator, ann: str) -> None:
    event = me.history.events[0]
    assert (event.seq, event.actor, event.time, event.reason) == (1, "tester", TIME, "why")
    assert ev.parse(json.loads(json.dumps(event.model_dump(mode="json")))) == event


def test_the_effect_counts_faces_videos_and_disputes(me: Curator) -> None:
    tracks = [t(1), t(2), t(1, "other"), "face:third:000010-0"]
    me.facts = Facts(
        faces={t(1): 5, t(2): 2, t(1, "other"): 4},
        places=dict.fromkeys(tracks, "unknown_cluster_5"),
        disputed=frozenset({t(2)}),
    )
    effect = me.plan(c.name, "Ann", tracks).effect
    assert str(effect.shifts[0]) == (
        "12 faces of 3 videos move from unknown_cluster_5 to person Ann; 2 are disputed"
    )
    me.facts = Facts()
    assert str(me.plan(c.name, "Ann", [t(1)]).effect.shifts[0]) == (
        "1 subject of 1 video moves from unknown to person Ann"
    )


def test_the_effect_tells_where_each_part_comes_from(me: Curator, ann: str, bob: str) -> None:
    me.do(c.decline, bob, [t(20)], evidence=0.4)
    me.facts = Facts(places={t(20): "unknown_cluster_1"})
    effect = me.plan(c.confirm, bob, [t(20), t(21)]).effect
    assert [str(shift) for shift in effect.shifts] == [
        "1 subject of 1 video moves from unknown to person Bob",
        "1 subject of 1 video moves from unknown_cluster_1 to person Bob; 1 is disputed",
    ]
    lines = str(me.plan(c.merge, ann, bob).effect).splitlines()
    assert lines == [
        "3 subjects of 1 video move from person Ann to person Bob",
        "person Ann is merged into person Bob",
    ]


def test_two_tracks_of_one_frame_are_never_one_person(me: Curator, ann: str, bob: str) -> None:
    me.facts = Facts(seen_together=frozenset({(t(1), t(4)), (t(2), t(11)), (t(1), t(2))}))
    for attempt in (
        lambda: me.do(c.confirm, ann, [t(4)]),
        lambda: me.do(c.name, "Cleo", [t(4), t(5)]) and me.do(c.merge, ann, bob),
    ):
        with pytest.raises(RefusedError, match="seen in one frame"):
            attempt()
    me.do(c.confirm, ann, [t(6)])  # what was so before does not stand in the way


def test_a_dry_run_changes_nothing(me: Curator, ann: str) -> None:
    before = me.history
    assert me.plan(c.hide, ann).state.people[ann].hidden
    assert me.history is before


def test_the_state_can_be_read_but_not_changed(me: Curator, ann: str) -> None:
    with pytest.raises(TypeError):
        me.state.assigned[t(9)] = ann  # type: ignore[index]
    assert History().state.subjects == frozenset()


def test_decisions_on_pictures_say_what_they_do(me: Curator, ann: str) -> None:
    """And nothing about who anybody is."""
    people = me.state.people_hash
    said = str(me.plan(c.reject_pictures, [f(1), f(2)], "eyes").effect)
    assert said == "2 pictures of 1 video: rejected (eyes), in no set from now on"
    me.do(c.reject_pictures, [f(1)], "eyes")
    assert str(me.plan(c.accept_pictures, [f(1)]).effect) == "picture ride@000001-0: accepted"
    said = str(me.plan(c.anchor_picture, f(1), f(3)).effect).splitlines()
    assert said == [
        "picture ride@000001-0: accepted",
        "picture ride@000001-0: the first anchor",
        "picture ride@000001-0: instead of ride@000003-0",
    ]
    me.do(c.anchor_picture, f(1), f(3))
    me.do(c.anchor_picture, f(3))
    assert me.state.pictures[f(1)].anchor is not None
    me.do(c.anchor_picture, f(3), f(1))
    assert me.state.pictures[f(1)].anchor is None
    me.do(c.bin_pictures, [f(1)], {"yaw": "[15,30)", "expression": "smile"})
    me.do(c.bin_pictures, [f(1)], {"expression": "neutral"})
    assert me.state.pictures[f(1)].bins == {"expression": "neutral", "yaw": "[15,30)"}
    me.do(c.order_pictures, [f(3), f(1), f(2)], "ride")
    event = me.history.events[-1]
    assert event.named_subjects == (f(3), f(1), f(2)), "an order is kept as it is"
    assert me.state.people_hash == people and me.state.subjects > me.state.people_subjects


@pytest.mark.parametrize(
    ("command", "arguments", "why"),
    [
        (c.accept_pictures, ([t(1)],), "one face of it"),
        (c.reject_pictures, ([f(1)], "ugly"), "fault"),
        (c.anchor_picture, (f(1), f(1)), "its own place"),
        (c.bin_pictures, ([f(1)], {}), "at least one"),
        (c.bin_pictures, ([f(1)], {"expression": "angry"}), "no bin of expression"),
        (c.bin_pictures, ([f(1)], {"yaw": "30"}), "no bin of yaw"),
        (c.order_pictures, ([f(1), f(2), f(1)], "ride"), "named twice"),
        (c.order_pictures, ([f(1)], "year"), "scope"),
    ],
)
def test_a_decision_on_pictures_that_means_nothing_is_refused(
    me: Curator, command, arguments, why: str
) -> None:
    with pytest.raises(RefusedError, match=why):
        me.plan(command, *arguments)


def test_the_same_decision_on_a_picture_twice_changes_nothing(me: Curator) -> None:
    for command, *arguments in (
        (c.accept_pictures, [f(1)]),
        (c.anchor_picture, f(1), f(2)),
        (c.bin_pictures, [f(1)], {"pitch": "up"}),
        (c.order_pictures, [f(2), f(1)], "ride"),
        (c.reject_pictures, [f(1)], "light"),
    ):
        me.do(command, *arguments)
        with pytest.raises(NoChangeError):
            me.plan(command, *arguments)


def test_the_words_of_bins_are_those_of_the_tables() -> None:
    assert ev.BIN_WORDS["pitch"] == (*PITCH_NAMES, BEYOND)
    assert ev.BIN_WORDS["expression"] == EXPRESSIONS


def test_contradicting_pictures_that_become_one_face_are_kept_as_lost(me: Curator) -> None:
    me.do(c.accept_pictures, [f(1)])
    me.do(c.reject_pictures, [f(2), f(3)], "eyes")
    me.do(c.renumber, {f(2): f(1), f(3): f(4)}, [])
    seq = me.history.events[-1].seq
    assert me.state.lost_pictures == (f"lost:{seq}:{f(1)}", f"lost:{seq}:{f(2)}")
    assert me.state.pictures[f(4)].fault == "eyes"
    me.do(c.renumber, {f"lost:{seq}:{f(2)}": f(2), f"lost:{seq}:{f(1)}": f(1)}, [])
    assert {p: v.verdict for p, v in me.state.pictures.items()} == {
        f(1): "accepted",
        f(2): "rejected",
        f(4): "rejected",
    }
