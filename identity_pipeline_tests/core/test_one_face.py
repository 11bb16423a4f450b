"""What is found in a picture: one rider alone, or a reason to show another picture."""

from __future__ import annotations

import pytest

from identity_pipeline.core.geometry import Box
from identity_pipeline.core.imagesets.one_face import Find, View, fault_of

RIDER = Box(100, 100, 300, 340)
SECOND = Box(400, 40, 480, 140)
LARGER = Box(320, 20, 620, 380)


def view(name: str, *finds: tuple[Box, float]) -> View:
    return View(name, tuple(Find(*find) for find in finds))


def code(*views: View, faces: tuple[Box, ...] = (RIDER,)) -> str | None:
    fault = fault_of(views, faces)
    return fault and fault.code


def test_a_face_alone_is_shown_and_one_that_a_later_view_misses_too() -> None:
    assert code(view("640", (RIDER, 0.9)), view("160", (RIDER, 0.8))) is None
    assert code(view("640", (RIDER, 0.9)), view("160"), view("tight 640")) is None


def test_people_further_behind_do_not_forbid_a_pair_and_those_beside_it_do() -> None:
    pair = [RIDER, Box(400, 100, 620, 360)]
    riders = [(box, 0.9) for box in pair]
    behind, beside = Box(320, 20, 380, 100), Box(640, 60, 860, 330)
    for other, wanted in ((behind, None), (beside, "other_face_largest")):
        fault = fault_of([view("640", *riders, (other, 0.8))], pair, behind_max=0.6)
        assert (fault and fault.code) == wanted
    alone = fault_of([view("640", (RIDER, 0.9), (behind, 0.8))], [RIDER], behind_max=0.6)
    assert alone is not None


def test_it_must_be_found_where_loaders_look_first() -> None:
    assert code(view("640"), view("320", (RIDER, 0.9))) == "no_face_found"
    assert code(view("640", (RIDER, 0.49))) == "no_face_found"


@pytest.mark.parametrize("name", ["640", "native", "tight 320"])
def test_a_sure_second_face_in_any_view_is_one_too_many(name: str) -> None:
    fault = fault_of([view("640", (RIDER, 0.9)), view(name, (RIDER, 0.9), (SECOND, 0.5))], [RIDER])
    assert fault is not None
    assert fault.code == "second_face"
    assert fault.strangers == (SECOND,)
    assert name in fault.sentence


def test_the_largest_face_must_be_the_riders_even_where_it_is_the_only_one() -> None:
    assert code(view("640", (RIDER, 0.9), (LARGER, 0.6))) == "other_face_largest"
    assert code(view("640", (RIDER, 0.9)), view("160", (SECOND, 0.6))) == "other_face_largest"


def test_what_is_not_sure_counts_where_two_views_of_the_whole_picture_agree() -> None:
    sure = (RIDER, 0.9)
    moved = Box(405, 45, 485, 145)
    assert code(view("640", sure, (SECOND, 0.4)), view("320", sure)) is None
    assert code(view("640", sure, (SECOND, 0.4)), view("320", sure, (moved, 0.4))) == "second_face"
    elsewhere = Box(20, 300, 90, 400)
    assert code(view("640", sure, (SECOND, 0.4)), view("320", sure, (elsewhere, 0.4))) is None
    assert code(view("640", sure), *(view(f"tight {n}", (SECOND, 0.4)) for n in (320, 160))) is None
    nose = Box(160, 180, 240, 260)
    assert code(view("640", sure, (nose, 0.4)), view("320", sure, (nose, 0.4))) is None


def test_a_part_of_the_face_is_a_second_one_in_the_whole_picture_alone() -> None:
    cheek = Box(180, 180, 340, 340)
    both = ((RIDER, 0.9), (cheek, 0.6))
    assert code(view("640", *both)) == "second_face"
    assert code(view("640", (RIDER, 0.9)), view("tight 640", *both)) is None


def test_a_pair_shows_two() -> None:
    both = (RIDER, SECOND)
    assert code(view("640", (RIDER, 0.9), (SECOND, 0.8)), faces=both) is None
    assert code(view("640", (RIDER, 0.9)), faces=both) == "no_face_found"
    third = Box(20, 20, 60, 70)
    found = ((RIDER, 0.9), (SECOND, 0.8), (third, 0.6))
    assert code(view("640", *found), faces=both) == "second_face"
    larger = Box(500, 20, 800, 380)
    found = ((RIDER, 0.9), (SECOND, 0.8), (larger, 0.6))
    assert code(view("640", *found), faces=both) == "other_face_largest"
