"""Eyes, mouth and smile from the geometry of 68 or 106 landmarks, where a pack has no face mesh.

Raw ratios are taken per face; `relative_to_neutral` then compares them with the same person's
frontal faces, because eye and mouth shapes differ more between people than between expressions.
Five key points cannot tell an expression: it stays unmeasured. What a mesh tells is better, and
told in `core.faces.mesh_expression`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.settings import BucketSettings

FRONTAL_YAW = 20.0
"""|yaw| in degrees up to which a face may define the person's neutral."""
NEUTRAL_MOUTH_QUANTILE = 0.25
"""Riders shout more than they rest: the neutral mouth is the lower quartile of its opening."""
SMILE_FULL_STRETCH = 0.45
"""Relative widening of the mouth that counts as a full smile; chosen. FaceKit's two mouthSmile
shapes together widen the neutral mouth by 0.28, which is a `smile` of 0.62."""


class ExpressionRatios(NamedTuple):
    """Raw ratios of one face."""

    eye_ratio: float
    mouth_ratio: float
    mouth_width: float


def expression_ratios(landmarks: NDArray[np.floating], source: str) -> ExpressionRatios | None:
    """Ratios that do not change with scale, place or roll.

    Args:
        landmarks: (N, 2 or 3) points in pixels.
        source: `landmark_3d_68`, `landmark_2d_68`, `landmark_2d_106`, `key_points_5`, or
            `face_mesh` for the 68 landmarks of a mesh.

    Returns:
        Lid gap over eye width (mean of both eyes, Soukupova and Cech 2016), inner lip gap over
        inner mouth width, and mouth width over the distance of the outer eye corners; None where
        the source cannot tell.
    """
    points = np.asarray(landmarks, dtype=np.float64)[:, :2]
    if source in ("landmark_3d_68", "landmark_2d_68", "face_mesh"):
        return _from_68(points)
    if source == "landmark_2d_106":
        return _from_106(points)
    return None


def _distance(points: NDArray[np.float64], a: int, b: int) -> float:
    return float(np.linalg.norm(points[a] - points[b]))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 1e-6 else 0.0


def _from_68(p: NDArray[np.float64]) -> ExpressionRatios:
    eyes = [
        _ratio(_distance(p, o + 1, o + 5) + _distance(p, o + 2, o + 4), 2 * _distance(p, o, o + 3))
        for o in (36, 42)
    ]
    return ExpressionRatios(
        eye_ratio=float(np.mean(eyes)),
        mouth_ratio=_ratio(_distance(p, 62, 66), _distance(p, 60, 64)),
        mouth_width=_ratio(_distance(p, 48, 54), _distance(p, 36, 45)),
    )


def _from_106(p: NDArray[np.float64]) -> ExpressionRatios:
    # InsightFace's 106 points: eye corners 35, 39 and 89, 93 with mid lids 40, 33 and 94, 87;
    # mouth corners 52, 61; inner mouth corners 65, 69 and mid lips 62, 60.
    eyes = [
        _ratio(_distance(p, 40, 33), _distance(p, 35, 39)),
        _ratio(_distance(p, 94, 87), _distance(p, 89, 93)),
    ]
    return ExpressionRatios(
        eye_ratio=float(np.mean(eyes)),
        mouth_ratio=_ratio(_distance(p, 62, 60), _distance(p, 65, 69)),
        mouth_width=_ratio(_distance(p, 52, 61), _distance(p, 35, 93)),
    )


def relative_to_neutral(faces: pl.DataFrame, settings: BucketSettings) -> pl.DataFrame:
    """Adds `eye_open`, `mouth_open` and `smile` to one video's faces.

    Per person, the neutral is the median lid ratio, the lower quartile of the lip ratio and the
    median mouth width of frontal faces. `eye_open` is the lid ratio over its neutral, clipped to
    [0, 1.5]; `mouth_open` the lip ratio above its neutral, clipped to [0, 1]; `smile` the relative
    widening of the mouth over 0.45, clipped to [0, 1]. Null where the ratios are, beyond
    `expression_yaw_max`, and for people with fewer than `neutral_min_faces` frontal faces.

    Args:
        faces: columns person_id, yaw, eye_ratio, mouth_ratio and mouth_width.
        settings: limits.
    """
    frontal = (pl.col("yaw").abs() <= FRONTAL_YAW) & pl.col("eye_ratio").is_not_null()
    enough = frontal.sum().over("person_id") >= settings.neutral_min_faces
    tells = enough & (pl.col("yaw").abs() <= settings.expression_yaw_max)

    def neutral(column: str, quantile: float) -> pl.Expr:
        return pl.col(column).filter(frontal).quantile(quantile, "linear").over("person_id")

    def where_told(value: pl.Expr, low: float, high: float) -> pl.Expr:
        return pl.when(tells).then(value.clip(low, high))

    eye, mouth, width = (
        neutral("eye_ratio", 0.5),
        neutral("mouth_ratio", NEUTRAL_MOUTH_QUANTILE),
        neutral("mouth_width", 0.5),
    )
    stretch = (pl.col("mouth_width") / width - 1) / SMILE_FULL_STRETCH
    return faces.with_columns(
        eye_open=where_told(pl.col("eye_ratio") / eye, 0.0, 1.5),
        mouth_open=where_told(pl.col("mouth_ratio") - mouth, 0.0, 1.0),
        smile=where_told(stretch, 0.0, 1.0),
    )
