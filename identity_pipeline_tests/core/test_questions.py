"""What a curator is asked: conflicts first, then what settles most for a key; never twice."""

from __future__ import annotations

from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.core.review.alike import alike_people, nearest_outside
from identity_pipeline.core.review.questions import Bars, Facts, Question, questions
from identity_pipeline.tables import TABLES
from identity_pipeline_tests.core.builders import MODEST

BARS = Bars(0.3, 0.45, 0.7)
REGROW = 0.05
PEOPLE = {name: name for name in ("ada", "ben", "kim")}


def table(name: str, *rows: dict[str, Any]) -> pl.DataFrame:
    schema = dict(TABLES[name])
    blank: dict[str, Any] = dict.fromkeys(schema)
    return pl.DataFrame([blank | row for row in rows], schema=schema)


def track(key: str, state: str = "noise", **more: Any) -> dict[str, Any]:
    return {"track_key": key, "state": state, "rider": 0, **more}


def pending(key: str, person: str, score: float) -> dict[str, Any]:
    return {"track_key": key, "person_id": person, "score": score, "state": "pending"}


def ask(
    assignments: pl.DataFrame,
    suggestions: pl.DataFrame | None = None,
    clusters: pl.DataFrame | None = None,
    alike: tuple[tuple[str, str, float], ...] = (),
    **facts: Any,
) -> list[Question]:
    said = Facts(**{"survivor": PEOPLE, **facts})
    asked = table("suggestions") if suggestions is None else suggestions
    groups = table("unknown_clusters") if clusters is None else clusters
    return questions(assignments, asked, groups, alike, said, BARS, REGROW)


def test_a_contradiction_comes_first_and_then_what_settles_most_for_a_key() -> None:
    rows = [
        track("c", "known", person_id="ada", origin="human", score=0.4, margin=-0.2,
              runner_up="ben"),
        *(track(f"s{n}", "suggested", person_id="kim", score=0.5) for n in range(3)),
        *(track(f"g{n}", "unknown", cluster_id=4) for n in range(4)),
        track("x"),
    ]  # fmt: skip
    group = {"cluster_id": 4, "tracks": [f"g{n}" for n in range(4)]}
    asked = table("suggestions", *(pending(f"s{n}", "kim", 0.5 + n / 100) for n in range(3)))
    found = ask(
        table("person_assignments", *rows),
        asked,
        table("unknown_clusters", group),
        assigned={"c": "ada"},
        settled={"c"},
    )
    assert [one.kind for one in found] == ["conflict", "suggestion", "cluster", "alone"]
    assert (found[0].person_id, found[0].rival_id) == ("ada", "ben")
    assert found[1].tracks == ("s0", "s1", "s2"), "the least similar first"


def test_a_declined_suggestion_comes_back_only_when_its_score_rose() -> None:
    rows = table("person_assignments", track("s", "suggested", person_id="ada", score=0.5))
    for score, evidence, kinds in (
        (0.54, 0.5, ["alone"]),
        (0.56, 0.5, ["suggestion"]),
        (0.99, None, ["alone"]),
    ):
        asked = table("suggestions", pending("s", "ada", score))
        found = ask(rows, asked, refused={("s", "ada"): evidence})
        assert [one.kind for one in found] == kinds


def test_who_was_said_to_be_two_is_not_asked_again() -> None:
    none = table("person_assignments")
    alike = (("ada", "ben", 0.8), ("ada", "kim", 0.4))
    assert [(q.person_id, q.rival_id) for q in ask(none, alike=alike)] == [("ada", "ben")]
    assert ask(none, alike=alike, two_people={("ada", "ben")}) == []


def test_a_likely_yes_comes_before_names_that_must_be_typed() -> None:
    rows = [
        track("sure", score=0.6, nearest=["r"]),
        track("vague", score=0.35, nearest=["r"]),
        *(track(f"s{n}", "suggested", person_id="kim", score=0.68) for n in range(2)),
    ]
    asked = table("suggestions", *(pending(f"s{n}", "kim", 0.68) for n in range(2)))
    found = ask(table("person_assignments", *rows), asked, assigned={"r": "ada"})
    assert [one.tracks for one in found] == [("s0", "s1"), ("sure",), ("vague",)]
    assert found[0].clicks < 1.2 < found[1].clicks < found[2].clicks < 6


def test_a_group_that_nothing_resembles_can_wait() -> None:
    rows = table(
        "person_assignments", *(track(key, "unknown", cluster_id=n) for n, key in enumerate("ab"))
    )
    groups = table(
        "unknown_clusters", *({"cluster_id": n, "tracks": [key]} for n, key in enumerate("ab"))
    )
    templates = pl.DataFrame(
        {
            "track_key": ["a", "b", "c", "d"],
            "video_id": ["1", "2", "3", "1"],
            "template": [[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 0.0]],
        }
    )
    outside = nearest_outside(templates, {"a": 0, "b": 1, "c": None, "d": None})
    assert outside == {"a": 0.0, "b": 1.0, "c": 1.0, "d": 0.0}, "never one of its own frames"
    said = Facts(survivor=PEOPLE)
    asked = questions(rows, table("suggestions"), groups, (), said, BARS, REGROW, outside)
    assert [one.tracks for one in asked] == [("b",), ("a",)]


def test_people_are_as_alike_as_their_means() -> None:
    vectors = [[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]]
    references = pl.DataFrame({"person_id": ["ben", "ada", "kim"], "vector": vectors})
    assert alike_people(references, 0.7) == [("ada", "ben", 0.8)]


@MODEST
@given(st.lists(st.sampled_from(["noise", "auto", "group"]), max_size=12), st.data())
def test_each_track_is_asked_about_once_and_no_more_when_it_is_settled(
    kinds: list[str], data: st.DataObject
) -> None:
    rows = []
    for n, kind in enumerate(kinds):
        own = {"cluster_id": n % 2} if kind == "group" else {}
        if kind == "auto":
            own = {"person_id": "ada", "origin": "auto", "score": 0.8, "threshold": 0.7}
        rows.append(track(f"t{n}", "known" if kind == "auto" else "noise", **own))
    groups = [
        {"cluster_id": c, "tracks": [r["track_key"] for r in rows if r.get("cluster_id") == c]}
        for c in (0, 1)
    ]
    tables = table("person_assignments", *rows), None, table("unknown_clusters", *groups)
    found = ask(*tables)
    asked = [key for one in found for key in one.tracks]
    assert sorted(asked) == sorted(row["track_key"] for row in rows)
    assert len({one.key for one in found}) == len(found)
    settled = set(data.draw(st.lists(st.sampled_from(asked)))) if asked else set()
    left = ask(*tables, settled=settled)
    assert sorted(k for one in left for k in one.tracks) == sorted(set(asked) - settled)
