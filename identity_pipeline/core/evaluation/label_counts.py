"""What is counted of faces that somebody looked at: of which faces, and which of them are right.

Every count is a share of the labelled faces whose label says something of it. A face whose bin is
`unknown` was not found, and is held against nobody as a false alarm, with one exception: a plain
face whose cover is unknown counts as not called plain.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import polars as pl

from identity_pipeline.core.evaluation.labels import CLEAR, COVERED
from identity_pipeline.core.evaluation.report import Better
from identity_pipeline.core.faces.buckets import BEYOND, UNKNOWN
from identity_pipeline.settings import BucketSettings

FACES: Final = "labelled faces"
FRONTAL_YAW: Final = 15.0
"""Degrees; what a looker calls turned begins about there."""


class Count(NamedTuple):
    """One share: of the faces `of` those that are `right`."""

    key: str
    label: str
    of: pl.Expr
    right: pl.Expr
    better: Better = "higher"
    counted: str = FACES


def bin_is(name: str, value: str) -> pl.Expr:
    """Whether the pipeline called it so; false where it has no bin."""
    return pl.col(f"{name}_bin").eq(value).fill_null(False)


def said(column: str, *words: str) -> pl.Expr:
    """Whether the label says one of the words; false where it is empty."""
    return pl.col(column).is_in(words).fill_null(False)


SHUT: Final = bin_is("expression", "eyes_closed")
SMILING: Final = pl.col("allowed").list.first().eq("smile").fill_null(False)
TOLD: Final = pl.col("allowed").list.len() > 0
RIGHT: Final = pl.col("allowed").list.contains(pl.col("expression_bin")).fill_null(False)
FIRST: Final = pl.col("allowed").list.first().eq(pl.col("expression_bin")).fill_null(False)
NOT_SHUT: Final = RIGHT & ~(SHUT & said("eyes", "half"))
PLAIN: Final = said("occlusion", "none")
CALLED_COVERED: Final = pl.col("occlusion_bin").ne("none").fill_null(False)
CALLED_PLAIN: Final = bin_is("occlusion", "none")


def _eyes(suffix: str, words: str, among: pl.Expr) -> list[Count]:
    return [
        Count(
            f"eyes.closed_found{suffix}",
            f"Closed eyes found{words}",
            among & said("eyes", "closed"),
            SHUT,
        ),
        Count(
            f"eyes.open_called_closed{suffix}",
            f"Open eyes called closed{words}",
            among & said("eyes", "open"),
            SHUT,
            "lower",
        ),
        Count(
            f"eyes.half_called_closed{suffix}",
            f"Half-shut eyes called closed{words}",
            among & said("eyes", "half"),
            SHUT,
            None,
        ),
        Count(
            f"eyes.wink_called_closed{suffix}",
            f"Winks called closed{words}",
            among & said("eyes", "wink"),
            SHUT,
            None,
        ),
    ]


def _expression(suffix: str, words: str, among: pl.Expr) -> list[Count]:
    return [
        Count(f"expression.right{suffix}", f"Allowed expression bin{words}", among & TOLD, RIGHT),
        Count(
            f"expression.first{suffix}",
            f"The expression bin that the label names{words}",
            among & TOLD,
            FIRST,
        ),
    ]


def counts(settings: BucketSettings) -> list[Count]:
    """What is counted of the labelled faces."""
    everybody, clear = pl.lit(True), CLEAR.fill_null(False)
    mouth = (pl.col("measured_mouth_open") >= settings.mouth_open_from).fill_null(False)
    smile = bin_is("expression", "smile")
    return [
        *_eyes("", "", everybody),
        *_eyes("_clear", ", clear faces", clear),
        *_expression("", "", everybody),
        *_expression("_clear", ", clear faces", clear),
        Count(
            "expression.without_half",
            "Allowed expression bin, half-shut eyes left out",
            TOLD & ~said("eyes", "half"),
            RIGHT,
        ),
        Count(
            "expression.half_not_closed",
            "Allowed expression bin, half-shut eyes counted as not closed",
            TOLD,
            NOT_SHUT,
        ),
        Count(
            "expression.told",
            "Faces whose expression is told at all",
            TOLD,
            ~bin_is("expression", UNKNOWN),
        ),
        Count("smile.found", "Smiles found", SMILING, smile),
        Count(
            "smile.none_called_smile",
            "Faces without a smile called smiling",
            said("smile", "none"),
            smile,
            "lower",
        ),
        Count(
            "mouth.open_found", "Open or wide mouths found", said("mouth", "open", "wide"), mouth
        ),
        Count(
            "mouth.shut_called_open",
            "Closed or slightly open mouths called open",
            said("mouth", "closed", "slight"),
            mouth,
            "lower",
        ),
        Count(
            "mouth.closed_called_open",
            "Closed mouths called open",
            said("mouth", "closed"),
            mouth,
            "lower",
        ),
        Count("cover.found", "Covered faces not called plain", COVERED, CALLED_COVERED),
        Count(
            "cover.plain_called_covered",
            "Plain faces called covered",
            PLAIN,
            CALLED_COVERED,
            "lower",
        ),
        Count(
            "cover.right",
            "Right cover of none, partial and heavy",
            PLAIN | COVERED,
            pl.col("occlusion").eq(pl.col("occlusion_bin")),
        ),
        *_light("dark"),
        *_light("overexposed"),
        *_turns(),
    ]


def _light(light: str) -> list[Count]:
    called = bin_is("lighting", light)
    normal = said("light", "normal")
    return [
        Count(f"light.{light}_found", f"Faces found {light}", said("light", light), called),
        Count(
            f"light.{light}_false", f"Faces in normal light called {light}", normal, called, "lower"
        ),
    ]


def _turns() -> list[Count]:
    yaw = pl.col("measured_yaw")
    side = pl.when(pl.col("head_turn").str.ends_with("left")).then(yaw < 0).otherwise(yaw > 0)
    turned = said("head_turn", "left", "right", "profile-left", "profile-right")
    profile = said("head_turn", "profile-left", "profile-right")
    return [
        Count("turn.side", "Turned heads measured to that side", turned, side.fill_null(False)),
        Count(
            "turn.frontal",
            f"Frontal heads within {FRONTAL_YAW:.0f}°",
            said("head_turn", "frontal"),
            (yaw.abs() < FRONTAL_YAW).fill_null(False),
        ),
        Count("turn.profile", "Profiles whose yaw bin is beyond", profile, bin_is("yaw", BEYOND)),
    ]


def of_occluders(faces: pl.DataFrame) -> list[Count]:
    """Covered faces called plain, by what lies over them, as far as the labels name it."""
    kinds = faces.filter(COVERED)["occluder"].drop_nulls().unique().sort().to_list()
    return [
        Count(
            f"cover.{kind}_called_none",
            f"Faces covered by {kind} called plain",
            COVERED & said("occluder", kind),
            CALLED_PLAIN,
            "lower",
        )
        for kind in kinds
    ]


EXPORTED: Final[tuple[tuple[str, str, str, pl.Expr, Better], ...]] = (
    ("eyes_closed", "eyes closed", "eyes", said("eyes", "closed"), "lower"),
    (
        "eyes_not_open",
        "eyes closed, half-shut or winking",
        "eyes",
        said("eyes", "closed", "half", "wink"),
        "lower",
    ),
    ("mouth_wide", "mouth wide open", "mouth", said("mouth", "wide"), "lower"),
    ("covered", "something over the face", "occlusion", COVERED, "lower"),
    ("dark", "dark", "light", said("light", "dark"), "lower"),
    ("overexposed", "overexposed", "light", said("light", "overexposed"), "lower"),
    ("turned", "head turned", "head_turn", pl.col("head_turn").ne("frontal"), None),
    (
        "good_anchor",
        "that would do as a frontal reference",
        "good_anchor",
        said("good_anchor", "yes"),
        "higher",
    ),
)
"""Key, words, the column that must say something, what is counted, and which way is better."""
