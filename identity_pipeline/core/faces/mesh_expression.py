"""Eyes, mouth and smile from a face mesh and the contours of the eyes.

Mouth and smile are absolute: who smiles or shouts all the ride has no neutral to be compared with.
Eyes take both kinds of measure, because each alone errs: an absolute one calls narrow eyes closed,
one relative to the person's own wide eyes calls a squint closed. All constants are fitted on
labelled faces of eight people in real ride clips:
`python -m identity_pipeline_tests.benchmarks.real_faces DATA LABELS --fit` prints them, and without
`--fit` how they do on people who were left out of the fit.

`eye_open`, `smile` and `mouth_open` are scaled so that 0.3 is the limit: below it the eyes are
closed, from it on a face smiles, or the mouth is open.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import polars as pl
from polars import selectors

from identity_pipeline.settings import BucketSettings

SOURCE: Final = "face_mesh"
CLOSED, LOWERED, OPEN, UNKNOWN = "closed", "lowered", "open", "unknown"
"""Grades of the eyes."""
SIDES: Final = ("left", "right")
OWN_OPEN: Final = 0.75
"""The quantile of a person's faces that counts as their own open eyes: on most of a ride the eyes
are open, and the widest ones are of fright."""
LIMIT: Final = 0.3
"""Where the scaled measures decide."""
_AT_LIMIT: Final = math.log(LIMIT / (1 - LIMIT))


class Logistic(NamedTuple):
    """A logistic decision: log odds = constant + sum of weights times measures."""

    constant: float
    weights: dict[str, float]

    def log_odds(self) -> pl.Expr:
        """The log odds from columns of these names; null where one of them is null."""
        terms = [weight * pl.col(name) for name, weight in self.weights.items()]
        return pl.sum_horizontal(pl.lit(self.constant), *terms, ignore_nulls=False)


class Decisions(NamedTuple):
    """What decides on eyes, mouth and smile.

    Attributes:
        eyes_shut: of closed eyes, where the person's own open eyes are known: `lid_height` is
            absolute, `own_ratio` is the mesh's eye aspect ratio over the person's own.
        by_mesh: the same without an iris net.
        alone: the same of a face without a track, such as a photograph.
        smiling: of a smile that shows.
        mouth_open: from which height of the mouth it is open; see `mouth_opening`.
    """

    eyes_shut: Logistic
    by_mesh: Logistic
    alone: Logistic
    smiling: Logistic
    mouth_open: float


FITTED: Final = Decisions(
    eyes_shut=Logistic(15.21, {"lid_height": -32.22, "own_ratio": -13.92}),
    by_mesh=Logistic(15.0, {"own_ratio": -19.01}),
    alone=Logistic(7.24, {"lid_height": -53.48}),
    smiling=Logistic(-10.19, {"mouth_width": 19.84, "mouth_lift": 41.55, "mouth_drop": -21.77}),
    mouth_open=0.347,
)
"""Fitted on eight people; see above."""
THERE_FROM: Final = 0.5
"""An eye is seen when that is likelier than not."""
ALONE_SURE_FROM: Final = 1.5
"""Log odds from which the eyes of a face without a track are told; nearer to even they stay
unknown. Chosen: odds of 9 to 2."""
MOUTH_GAP_WEIGHT: Final = 0.3
"""Of the inner ratio beside the height of the lips: either alone is fooled, by thick lips and by
bared teeth. Chosen among .1 to 1, which differ little."""
MOUTH_DARK_WEIGHT: Final = 0.5
"""Of the dark between the lips; it tells an open mouth from lips that part over teeth. Chosen
among .3 to 2, which differ little."""
MOUTH_SHUT: Final = 0.20
"""Height of a closed mouth: the median of the eight people's closed mouths."""


def own_open(column: str, told: pl.Expr) -> pl.Expr:
    """A person's own value of a measure with open eyes, over the faces that tell."""
    return pl.col(column).filter(told).quantile(OWN_OPEN, "linear").over("person_id")


def seen_eyes(measure: str) -> pl.Expr:
    """Mean of a measure over the eyes that nothing is before; null where both are hidden."""
    eyes = [
        pl.when(pl.col(f"eye_{side}_there").fill_null(1.0) >= THERE_FROM).then(f"{measure}_{side}")
        for side in SIDES
    ]
    return pl.mean_horizontal(eyes)


def with_own_ratios(faces: pl.DataFrame, settings: BucketSettings) -> pl.DataFrame:
    """Adds `lid_height`, `lid_ratio`, `own_ratio` and `lid_difference` to faces.

    `lid_height` is the mean of the eyes that are seen, `lid_ratio` their mean lid gap over the
    person's own P75 of it, `own_ratio` the same of the mesh's eye aspect ratio, `lid_difference`
    the image-left eye's own ratio without that of the other one. The ratios are null for people
    with fewer than `neutral_min_faces` faces that tell.

    Args:
        faces: person_id, yaw, relative_sharpness, eye_ratio, lid_gap_left, lid_gap_right,
            lid_height_left, lid_height_right, eye_left_there, eye_right_there.
        settings: limits.
    """
    told = pl.col("eye_ratio").is_not_null() & _sees_expression(settings)
    enough = told.sum().over("person_id") >= settings.neutral_min_faces

    def over_own(column: str) -> pl.Expr:
        return pl.when(enough).then(pl.col(column) / own_open(column, told))

    return (
        faces.with_columns(lid_gap_mean=seen_eyes("lid_gap"), lid_height=seen_eyes("lid_height"))
        .with_columns(
            lid_ratio=over_own("lid_gap_mean"),
            own_ratio=over_own("eye_ratio"),
            lid_difference=over_own("lid_gap_left") - over_own("lid_gap_right"),
        )
        .drop("lid_gap_mean")
    )


def _sees_expression(settings: BucketSettings) -> pl.Expr:
    """Whether a face is sharp enough and turned little enough to tell; unknown is neither."""
    sharp = pl.col("relative_sharpness") >= settings.expression_sharpness_min
    turned = pl.col("yaw").abs() <= settings.expression_yaw_max
    return (sharp & turned).fill_null(False)


def _scaled(log_odds: pl.Expr) -> pl.Expr:
    """Log odds as a number in [0, 1] that is `LIMIT` where they are even."""
    return 1 / (1 + (-(log_odds + _AT_LIMIT)).exp())


def _eyes_shut(by: Decisions) -> pl.Expr:
    """Log odds of closed eyes by the best of what was measured; null where nothing tells."""
    alone = by.alone.log_odds()
    sure = pl.when(alone.abs() >= ALONE_SURE_FROM).then(alone)
    by_mesh = pl.when(pl.col("lid_height").is_null()).then(by.by_mesh.log_odds())
    return pl.coalesce(by.eyes_shut.log_odds(), by_mesh, sure)


def mouth_height() -> pl.Expr:
    """The height of the mouth, with what the inner lips and the dark between them add to it."""
    gap = MOUTH_GAP_WEIGHT * pl.col("mouth_ratio")
    return pl.col("mouth_height") + gap + MOUTH_DARK_WEIGHT * pl.col("mouth_dark").fill_null(0.0)


def mouth_opening(open_from: float) -> pl.Expr:
    """How far the mouth is open: 0 closed, `LIMIT` where it begins to be open, 1 wide."""
    return (LIMIT * (mouth_height() - MOUTH_SHUT) / (open_from - MOUTH_SHUT)).clip(0.0, 1.0)


def grade_eyes(settings: BucketSettings) -> pl.Expr:
    """`closed`, `lowered`, `open`, or `unknown` where nothing was measured.

    Lowered lids hide a part of the pupil, or the eyes laugh: nothing is wrong with the face, but
    no portrait shows it so.
    """
    lowered = (pl.col("eye_open") < settings.eyes_lowered_below) | (
        pl.col("lid_ratio") < settings.lids_lowered_below
    )
    return (
        pl.when(pl.col("eye_open").is_null())
        .then(pl.lit(UNKNOWN))
        .when(pl.col("eye_open") < settings.eyes_closed_below)
        .then(pl.lit(CLOSED))
        .when(lowered.fill_null(False))
        .then(pl.lit(LOWERED))
        .otherwise(pl.lit(OPEN))
    )


def mesh_expression(
    faces: pl.DataFrame, settings: BucketSettings, by: Decisions = FITTED
) -> pl.DataFrame:
    """Eyes, mouth and smile of one video's faces that have a mesh.

    Adds `lid_ratio`, `eyes`, `wink`, `gaze_aside`, `eye_open`, `mouth_open` and `smile`. A face
    that is turned too far or blurred is unmeasured; its eyes are also where they are too small, or
    where something is before both of them; where one is hidden the other one tells.

    Args:
        faces: person_id, yaw, relative_sharpness, eye_ratio, eye_left_there, eye_right_there, the
            columns of `core.faces.eyes.EyeMeasures` and of `core.faces.mouth.MouthMeasures`.
        settings: limits.
        by: what decides.
    """
    # Not a number compares as larger than any limit: it would be an open eye, or a smile.
    faces = faces.with_columns(selectors.float().fill_nan(None))
    tells = _sees_expression(settings)
    there = [pl.col(f"eye_{side}_there").fill_null(1.0) >= THERE_FROM for side in SIDES]
    large = (pl.col("eye_px") >= settings.eye_px_min).fill_null(True)
    told = tells & large & pl.any_horizontal(there)
    both = told & pl.all_horizontal(there) & (pl.col("eyes") != CLOSED)
    level = pl.col("yaw").abs() <= settings.wink_yaw_max
    aside = pl.col("gaze_offset").abs() > settings.gaze_aside_from
    return (
        with_own_ratios(faces, settings)
        .with_columns(
            eye_open=pl.when(told).then(_scaled(-_eyes_shut(by))),
            mouth_open=pl.when(tells).then(mouth_opening(by.mouth_open)),
            smile=pl.when(tells).then(_scaled(by.smiling.log_odds())),
        )
        .with_columns(eyes=grade_eyes(settings))
        .with_columns(
            wink=pl.when(both & level).then(pl.col("lid_difference").abs() > settings.wink_from),
            gaze_aside=pl.when(both).then(aside),
        )
        .drop("lid_height", "own_ratio", "lid_difference")
    )
