"""Which faces may be anchors, which of them are portraits, and which portrait is the better one.

An anchor is what a diffusion model takes for the person. A photographer would choose a level face
that looks into the camera with open eyes and a calm mouth, or one that smiles; of a person of whom
there is no such face they would still hand out a glance aside, but no closed eye, no wink and no
covered face.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl

from identity_pipeline.core.imagesets import score_parts
from identity_pipeline.core.imagesets.score_parts import MARRED
from identity_pipeline.settings import SelectionSettings

WIDE_MOUTH: Final = 0.5
"""Mouth openness from which a smile is a shout. Chosen."""
PORTRAIT_WEIGHTS: Final = {
    "score_eyes": 1.0,
    "score_mouth": 1.5,
    "score_view": 1.0,
    "score_light": 1.5,
    "score_sharp": 1.5,
    "score_pose": 1.0,
    "score_alone": 1.0,
}
"""Exponents of the parts in `portrait_score`: fitted on pairs of faces of one person, of which one
was chosen by eye, or is better in a labelled state, and rounded to halves; 1 where no label tells.

Eight people in real ride clips, 1155 pairs of a chosen face and one left: 95 % are ranked right, as
many with the weights of the other seven, and 86 % by quality, frontality and a logistic of yaw,
gaze, lids and mouth: `python -m identity_pipeline_tests.benchmarks.real_faces DATA LABELS` prints
it, with intervals and the worst person, and with `--fit` the weights. The limits of the faults in
`score_parts` were chosen with these eight in view and are held out for nobody."""
PICTURE_WEIGHTS: Final = {
    "score_view": 1.0,
    "score_light": 1.0,
    "score_sharp": 0.5,
    "score_alone": 1.0,
}
"""Exponents of the parts in `picture_score`, beside that of the lids, which is 1. Chosen."""
NATURAL: Final = 0.15
"""Exponent of the eyes in `picture_score`, where they are to be open, and of the mouth, where it is
to be closed or to smile: of two pictures that are taken as well the more natural one. Chosen."""


def is_frontal(settings: SelectionSettings) -> pl.Expr:
    """Within the anchors' yaw and pitch."""
    return (pl.col("yaw").abs() <= settings.anchor_yaw_max) & (
        pl.col("pitch").abs() <= settings.anchor_pitch_max
    )


def anchor_eligible(settings: SelectionSettings) -> pl.Expr:
    """Strict, near frontal, in plain view and normal light, alone, and both eyes open.

    That is the least. Where a net grades the eyes, eyes that it could not tell are no open ones.
    Light that is normal by itself may be bad for the person, or against them: `score_light` may not
    be `MARRED` beside their best one, so that who sits against the light all the ride gets anchors
    still. Nor may `score_alone`: a neighbour's head hangs into the picture.
    """
    eyes_told = (pl.col("eyes") == "open") & ~pl.col("wink").fill_null(False)
    light = pl.col("score_light") >= MARRED * pl.col("score_light").max().over("person_id")
    alone = pl.col("score_alone") >= MARRED
    return (
        pl.col("strict")
        & is_frontal(settings)
        & (pl.col("expression_bin") != "eyes_closed")
        & pl.when(pl.col("eyes").is_not_null()).then(eyes_told).otherwise(True)
        & pl.col("occlusion_bin").is_in(["none", "unknown"])
        & (pl.col("lighting_bin") == "normal")
        & light.fill_null(True)
        & alone.fill_null(True)
    ).fill_null(False)


def is_portrait(settings: SelectionSettings) -> pl.Expr:
    """Whether an eligible face is what a photographer would choose.

    The eyes look where the nose points, the mouth is closed or smiles, nothing passes beside the
    face, and the whole is good enough. What no net measured (null) is not held against a face.
    """
    free = (pl.col("score_view") >= MARRED).fill_null(True)
    good = (pl.col("portrait_score") >= settings.anchor_score_min).fill_null(True)
    gaze = ~pl.col("gaze_aside").fill_null(False)
    mouth = pl.col("mouth_open").fill_null(0.0)
    smiles = (pl.col("expression_bin") == "smile").fill_null(False) & (mouth < WIDE_MOUTH)
    calm = (mouth < settings.anchor_mouth_max) | smiles
    return anchor_eligible(settings) & free & good & gaze & calm


def with_scores(faces: pl.DataFrame) -> pl.DataFrame:
    """Adds the parts of the scores, `portrait_score` and `picture_score`, all in [0, 1].

    A score is the product of its parts, each to its weight; a part that was not measured counts as
    `score_parts.UNMEASURED`. `portrait_score` says how good a frontal reference a face is;
    `picture_score` how good a picture it is of what it shows, whatever the pose and expression:
    the eyes are to be open, or clearly closed where the bin is `eyes_closed`.

    Args:
        faces: the riders' usable faces of one whole video, since all is relative to the person:
            `face_landmarks`, `face_quality` after `gates.regate`, `face_buckets` and the
            `timestamp_ms` of `face_detections`, joined by face; `neighbour_share` if known.

    Returns:
        The faces with the columns `tables.SCORES`, in the same order.
    """
    measured = score_parts.with_cover_near(faces)
    parts = {
        "score_eyes": score_parts.eyes(),
        "score_mouth": score_parts.mouth(),
        "score_view": score_parts.view(),
        "score_light": score_parts.light(),
        "score_sharp": score_parts.sharp(),
        "score_pose": score_parts.pose(),
        "score_alone": score_parts.alone(faces),
    }
    return (
        measured.with_columns(**{name: part.cast(pl.Float32) for name, part in parts.items()})
        .with_columns(
            portrait_score=_weighted(PORTRAIT_WEIGHTS).cast(pl.Float32),
            picture_score=(_weighted(PICTURE_WEIGHTS) * _shown()).cast(pl.Float32),
        )
        .drop("cover_near")
    )


def _shown() -> pl.Expr:
    """How well a face shows the expression that it counts as."""

    def known(share: pl.Expr) -> pl.Expr:
        return share.fill_null(score_parts.UNMEASURED)

    shut = pl.col("expression_bin").eq("eyes_closed").fill_null(False)
    calm = pl.col("expression_bin").is_in(["neutral", "smile"]).fill_null(False)
    mouth = pl.when(calm).then(known(pl.col("score_mouth")) ** NATURAL).otherwise(1.0)
    awake = known(score_parts.lids()) * known(pl.col("score_eyes")) ** NATURAL
    return pl.when(shut).then(known(score_parts.closed())).otherwise(awake) * mouth


def _weighted(weights: Mapping[str, float]) -> pl.Expr:
    """The product of parts, each to its weight."""
    score = pl.lit(1.0)
    for name, weight in weights.items():
        score = score * pl.col(name).fill_null(score_parts.UNMEASURED) ** weight
    return score
