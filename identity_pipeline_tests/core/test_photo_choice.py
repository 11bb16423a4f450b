"""Who the person of a set of photographs is: most pictures decide, and nothing is guessed."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import polars as pl
import pytest

from identity_pipeline.core.tracks.photo_choice import REASONS, Choice, Limits, choose_faces

LIMITS = Limits(dominant_times=4.0, fits=0.4, lead=0.2)
RANDOM = np.random.default_rng(3)
ADA, BO, CY = np.linalg.qr(RANDOM.standard_normal((64, 3)))[0].T


def near(who: np.ndarray, seed: int) -> list[float]:
    """A face of somebody: cosine about 0.7 to another one of theirs."""
    noise = np.random.default_rng(seed).standard_normal(64)
    vector = who + 0.65 * noise / np.linalg.norm(noise)
    return (vector / np.linalg.norm(vector)).tolist()


def faces(*pictures: list[tuple[np.ndarray, float] | str]) -> pl.DataFrame:
    """Faces of pictures from 1: whose and how large, or what is wrong with one of the area 100."""
    rows = []
    for number, several in enumerate(pictures, 1):
        for n, one in enumerate(several):
            broken = isinstance(one, str)
            rows.append(
                {
                    "face_id": f"{number:06d}-{n}",
                    "frame_idx": number,
                    "area": 100.0 if broken else one[1],
                    "fault": one if broken else None,
                    "e_id": None if broken else near(one[0], 10 * number + n),
                }
            )
    schema = {
        "face_id": pl.String,
        "frame_idx": pl.Int64,
        "area": pl.Float32,
        "fault": pl.String,
        "e_id": pl.List(pl.Float32),
    }
    return pl.DataFrame(rows, schema=schema)


def chosen(*pictures: list[tuple[np.ndarray, float] | str]) -> list[str]:
    """Of each picture the place of the chosen face, or the reason why none."""
    made: dict[int, Choice] = choose_faces(faces(*pictures), range(1, len(pictures) + 1), LIMITS)
    return [c.reason or (c.face_id or "")[-1] for _, c in sorted(made.items())]


ADA_ALONE, BO_ALONE, CY_ALONE = [(ADA, 100.0)], [(BO, 100.0)], [(CY, 100.0)]
BOTH = [(BO, 90.0), (ADA, 100.0)]


@pytest.mark.parametrize(
    ("pictures", "wanted"),
    [
        ([ADA_ALONE], ["0"]),
        ([BOTH], ["several_faces"]),
        ([[(ADA, 100.0), (BO, 20.0)]], ["0"]),  # somebody in the background
        ([ADA_ALONE, ADA_ALONE], ["0", "0"]),
        ([ADA_ALONE, BO_ALONE], ["no_majority", "no_majority"]),
        ([ADA_ALONE, ADA_ALONE, BO_ALONE], ["0", "0", "other_person"]),
        ([ADA_ALONE, BO_ALONE, CY_ALONE], ["no_majority"] * 3),
        ([ADA_ALONE, ADA_ALONE, BO_ALONE, BO_ALONE], ["no_majority"] * 4),
        ([ADA_ALONE, BOTH], ["0", "1"]),
        ([ADA_ALONE, [(BO, 90.0), (CY, 100.0)]], ["no_majority", "several_faces"]),
        ([ADA_ALONE, ADA_ALONE, [(BO, 90.0), (CY, 100.0)]], ["0", "0", "other_person"]),
        ([BOTH, BOTH, BOTH], ["several_faces"] * 3),  # a couple, and nobody says which
        ([ADA_ALONE, BOTH, BOTH], ["0", "1", "1"]),
        ([BOTH, BOTH, [(ADA, 50.0), (CY, 90.0)]], ["several_faces"] * 3),
        ([BOTH, BOTH, *[[(ADA, 50.0), (CY, 90.0)]] * 3], ["several_faces"] * 5),
        ([BOTH, [(ADA, 50.0), (CY, 90.0)]], ["1", "0"]),
        ([ADA_ALONE, ADA_ALONE, [(ADA, 60.0), (ADA, 100.0)]], ["0", "0", "two_alike"]),
        ([ADA_ALONE, ["blurred"], []], ["0", "blurred", "no_face"]),
        # Who is sharp in the background is not whom the picture is of.
        ([ADA_ALONE, ADA_ALONE, ["blurred", (BO, 9.0)]], ["0", "0", "blurred"]),
        ([[], ["too_small"]], ["no_face", "too_small"]),
        ([], []),
    ],
)  # fmt: skip
def test_who_is_chosen(pictures: list, wanted: list[str]) -> None:
    assert chosen(*pictures) == wanted
    assert {one for one in wanted if len(one) > 1} <= set(REASONS)


def test_the_order_of_the_pictures_does_not_matter() -> None:
    pictures = [ADA_ALONE, BOTH, BO_ALONE, ADA_ALONE]
    for order in permutations(range(4)):
        told = chosen(*(pictures[n] for n in order))
        assert [told[order.index(n)] for n in range(4)] == ["0", "1", "other_person", "0"]


def test_how_well_a_face_fits_is_its_mean_cosine_to_the_others() -> None:
    table = faces(ADA_ALONE, ADA_ALONE, BOTH)
    made = choose_faces(table, [1, 2, 3], LIMITS)
    vectors = np.array(table["e_id"].to_list())
    cosines = vectors @ vectors.T
    assert made[3].fit == pytest.approx((cosines[3, 0] + cosines[3, 1]) / 2, abs=1e-6)
    assert made[3].rival_fit == pytest.approx((cosines[2, 0] + cosines[2, 1]) / 2, abs=1e-6)
    assert made[1].rival_fit is None
