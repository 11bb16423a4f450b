"""People who are taken for each other: who they are, and that nobody is named in between."""

from __future__ import annotations

import numpy as np
import pytest

from identity_pipeline.core.library.prototypes import person_references
from identity_pipeline.core.matching.assignment import Decisions, assign
from identity_pipeline.core.matching.confusions import closest_pairs, impostor_curves
from identity_pipeline.core.matching.flip import what_would_flip
from identity_pipeline.core.matching.gallery import Gallery, gallery_of, identify
from identity_pipeline.core.matching.thresholds import OperatingPoint, Thresholds
from identity_pipeline.core.matching.upper_tail import UpperTail
from identity_pipeline.settings import MatchSettings
from identity_pipeline_tests.core.builders import plane
from identity_pipeline_tests.core.people import SPACE, fixed_thresholds, template, templates

S = MatchSettings(worst_pair_margin=0.02)
ANNA, BEN, CY = "person-anna", "person-ben", "person-cy"


def by_rate(assign_at: float = 0.6) -> Thresholds:
    """Thresholds by rate, known to hold over all pairs."""
    values = {"exclude": 0.2, "suggest": 0.4, "assign": assign_at}
    safe = UpperTail(0.0, 0.1)
    points = {name: OperatingPoint(1e-3, value, safe=safe) for name, value in values.items()}
    return Thresholds(SPACE, "template", points)


def gallery(**degrees: float) -> Gallery:
    """Anna lies at 0 degrees, the others as told; each has one confirmed track."""
    people = {"anna": 0.0, **degrees}
    rows = [template(f"known:{n}", plane(angle)) for n, angle in enumerate(people.values())]
    labels = {f"track:known:{n}": f"person-{name}" for n, name in enumerate(people)}
    return gallery_of(person_references(templates(*rows), labels, S))


def placed(known: Gallery, thresholds: Thresholds, degrees: float) -> dict[str, object]:
    row = template("v:0", plane(degrees))
    return assign(templates(row), known, thresholds, Decisions(), S).row(0, named=True)


@pytest.mark.parametrize(
    ("ben", "degrees", "state", "rule"),
    [
        (90.0, -31.0, "known", "best_reference_above_assign"),  # .857: nobody comes near Anna
        (30.0, -31.0, "suggested", "near_another_person"),  # Ben is as near to her: .866
        (30.0, -20.0, "known", "best_reference_above_assign"),  # .940: nearer than Ben
        (30.0, -60.0, "suggested", "below_assign_above_suggest"),  # .5, below the rate's own
    ],
)
def test_nobody_is_named_below_what_another_known_person_reaches(
    ben: float, degrees: float, state: str, rule: str
) -> None:
    row = placed(gallery(ben=ben), by_rate(), degrees)
    assert (row["state"], row["rule"]) == (state, rule)
    if rule == "near_another_person":
        assert row["threshold"] == pytest.approx(np.cos(np.radians(ben)) + 0.02, abs=1e-5)
        flip = what_would_flip(row, by_rate(), 2, S)
        assert flip.score_needed == pytest.approx(row["threshold"])


def test_it_holds_for_the_people_concerned_alone() -> None:
    known = gallery(ben=30.0, cy=180.0)
    assert placed(known, by_rate(), 149.0)["state"] == "known"  # .857 to Cy, whom nobody is near


def test_a_pin_is_the_word_of_whoever_set_it() -> None:
    row = placed(gallery(ben=30.0), fixed_thresholds(), -31.0)
    assert (row["state"], row["threshold"]) == ("known", pytest.approx(0.6))


def test_a_picture_is_not_named_either() -> None:
    probe = np.array(plane(-31.0), dtype=np.float32)
    answers = [
        identify(probe, SPACE, gallery(ben=ben), by_rate(), S).answer for ben in (90.0, 30.0)
    ]
    assert answers == ["known", "probably"]


def test_the_closest_pairs_come_first_with_the_tracks_that_show_it() -> None:
    pairs = closest_pairs(gallery(ben=30.0, cy=75.0))
    assert [pair.people for pair in pairs] == [(ANNA, BEN), (BEN, CY), (ANNA, CY)]
    assert [round(pair.cosine, 2) for pair in pairs] == [0.87, 0.71, 0.26]
    assert pairs[0].tracks == ("track:known:0", "track:known:1")
    assert closest_pairs(gallery()) == []


def test_the_curve_of_a_group_is_not_hidden_in_that_of_all() -> None:
    pairs = closest_pairs(gallery(ben=30.0, cy=75.0))
    curves = impostor_curves(pairs, {ANNA: "one", BEN: "one", CY: "other"}, {"assign": 0.8})
    assert [(c.kind, c.people, c.pairs) for c in curves] == [
        ("all", 3, 3),
        ("within one", 2, 1),
        ("across groups", 3, 2),
    ]
    assert [c.reach["assign"] for c in curves] == [pytest.approx(1 / 3), 1.0, 0.0]
    (alone,) = impostor_curves(pairs, {}, {})
    assert alone.kind == "all" and alone.largest == pytest.approx(0.866, abs=1e-3)
