"""Whether the scores agree with a person who looked: pairs of faces of one person in one clip.

A part of `real_faces`, which reads the labels and prints what is counted here. Two kinds of pairs:

- *choices*: a face that was chosen as a frontal reference (`good_anchor` yes) and one that was not;
- *orders*: two faces of which one is worse in one labelled state at least (eyes, mouth, cover,
  light, blur) and better in none.

A pair is ranked right when the better face has the higher score; a tie counts as half.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.optimize import minimize

from identity_pipeline.core.evaluation.intervals import percentiles, resamples
from identity_pipeline.core.faces.gates import regate
from identity_pipeline.core.imagesets.portrait import (
    PORTRAIT_WEIGHTS,
    anchor_eligible,
    is_portrait,
    with_scores,
)
from identity_pipeline.core.imagesets.score_parts import UNMEASURED
from identity_pipeline.settings import Settings
from identity_pipeline.storage.video.tables import TableStore

PARTS: Final = tuple(PORTRAIT_WEIGHTS)
LEAST_PART: Final = 0.02
"""What a part counts at least while weights are fitted: one closed eye is not infinitely bad."""
LIGHTEST, HEAVIEST = 0.3, 2.0
"""Bounds of a weight."""
PULL: Final = 0.05
"""How much a weight that is far from 1 costs: what the labels say little of keeps a weight of 1."""
STATES: Final[Mapping[str, Mapping[str, int]]] = {
    "lids": {"open": 0, "half": 1, "closed": 2, "wink": 2},
    "mouth": {"closed": 0, "slight": 0, "open": 1, "wide": 2},
    "covered": {"none": 0, "partial": 1, "heavy": 2},
    "light": {"normal": 0, "dark": 1, "overexposed": 1},
    "blur": {"sharp": 0, "soft": 0, "blurred": 1},
}
"""From good to bad. A soft face is no worse: the labels call most faces of some people soft."""
EARLIER: Final = {
    "yaw": -0.14,
    "roll": -0.13,
    "gaze": -12.23,
    "lids_low": -2.28,
    "lids_wide": -18.25,
    "mouth_open": -4.39,
}
"""Weights of the ranking that the scores are compared with: quality, discounted by yaw and pitch,
times a logistic of these measures, of constant 2.8."""


class Pairs(NamedTuple):
    """Rows of a table of faces: the better face of each pair, and the worse one."""

    better: NDArray[np.int64]
    worse: NDArray[np.int64]


class Agreement(NamedTuple):
    """Share of pairs ranked right, with its interval by resampling faces, and their number."""

    share: float
    low: float
    high: float
    pairs: int

    def __str__(self) -> str:
        return f"{self.share:.3f} [{self.low:.2f}-{self.high:.2f}] of {self.pairs}"


def scores_of(store: TableStore, video_id: str, settings: Settings) -> pl.DataFrame:
    """The scores and their parts of all faces, other rankings, and what may be an anchor."""
    landmarks = store.read("face_landmarks", video_id)
    quality = regate(store.read("face_quality", video_id), landmarks, settings.quality)
    clock = store.read("face_detections", video_id, ["face_id", "timestamp_ms"])
    known = ("frame_idx", "person_id", "occlusion", "relative_sharpness")
    faces = (
        landmarks.drop("landmarks", "occlusion", "relative_sharpness")
        .join(quality.drop("frame_idx"), on="face_id")
        .join(store.read("face_buckets", video_id).drop(known, strict=False), on="face_id")
        .join(clock, on="face_id")
    )
    if video_id in store.videos_with("candidates"):
        candidates = store.read("candidates", video_id)
        if "neighbour_share" in candidates.columns:
            faces = faces.join(
                candidates.select("face_id", "neighbour_share"), on="face_id", how="left"
            )
    return with_scores(faces).select(
        *("face_id", *PARTS, "portrait_score", "picture_score", "quality_score"),
        earlier=_earlier(),
        eligible=anchor_eligible(settings.selection),
        portrait=is_portrait(settings.selection),
    )


def _earlier() -> pl.Expr:
    lids = pl.col("lid_ratio").fill_null(1.0)
    measures = {
        "yaw": pl.col("yaw").abs(),
        "roll": pl.col("roll").abs(),
        "gaze": pl.col("gaze_offset").abs(),
        "lids_low": (1 - lids).clip(0.0, 1.0),
        "lids_wide": (lids - 1).clip(0.0, 1.0),
        "mouth_open": pl.col("mouth_open"),
    }
    odds = pl.sum_horizontal(pl.lit(2.8), *(EARLIER[n] * m for n, m in measures.items()))
    frontal = (1 - pl.col("yaw").abs() / 45).clip(0, 1) * (1 - pl.col("pitch").abs() / 60)
    return pl.col("quality_score") * frontal.clip(0, 1) / (1 + (-odds).exp())


# --- pairs -------------------------------------------------------------------------------------


def _alike(faces: pl.DataFrame) -> NDArray[np.bool_]:
    """(n, n) whether two faces are of one person in one clip."""
    key = faces.select(pl.concat_str("who", "clip", separator=" ")).to_series().to_numpy()
    return np.asarray(key[:, None] == key[None, :])


def choices(faces: pl.DataFrame) -> Pairs:
    """All pairs of a chosen face and one left, of the same person and clip."""
    chosen, left = ((faces["good_anchor"] == say).fill_null(False).to_numpy() for say in _SAID)
    return Pairs(*np.nonzero(_alike(faces) & chosen[:, None] & left[None, :]))


_SAID = ("yes", "no")


def orders(faces: pl.DataFrame) -> Pairs:
    """All pairs in which one face is worse in a labelled state and better in none."""
    grades = np.stack(
        [
            faces[name].replace_strict(dict(of), default=None, return_dtype=pl.Float64).to_numpy()
            for name, of in STATES.items()
        ],
        axis=1,
    )
    same_smile = faces["smiles"].to_numpy()
    alike = _alike(faces) & (same_smile[:, None] == same_smile[None, :])
    # A state that was not told is NaN, and no comparison with it holds.
    never_better = (grades[:, None] <= grades[None]).all(axis=2)
    worse = (grades[:, None] < grades[None]).any(axis=2)
    return Pairs(*np.nonzero(alike & never_better & worse))


# --- agreement ---------------------------------------------------------------------------------


def agreement(score: NDArray[np.float64], pairs: Pairs, who: NDArray[Any]) -> Agreement | None:
    """How many pairs a score ranks right; None without pairs.

    Args:
        score: (n,) of each face.
        pairs: rows.
        who: (n,) the person of each face; every person's faces are drawn again by themselves.
    """
    if not len(pairs.better):
        return None
    ahead = score[pairs.better] - score[pairs.worse]
    right = (ahead > 0) + (ahead == 0) / 2
    draws = np.zeros((1000, len(score)))
    for person in np.unique(who):
        own = np.flatnonzero(who == person)
        draws[:, own] = resamples(len(own))
    weights = draws[:, pairs.better] * draws[:, pairs.worse]
    total = weights.sum(axis=1)
    drawn = np.divide(weights @ right, total, out=np.full(len(total), np.nan), where=total > 0)
    low, high = percentiles(drawn) or (0.0, 1.0)
    return Agreement(float(right.mean()), low, high, len(right))


# --- weights -----------------------------------------------------------------------------------


def _logs(faces: pl.DataFrame) -> NDArray[np.float64]:
    """(n, parts) logarithms of the parts."""
    parts = faces.select(pl.col(PARTS).fill_null(UNMEASURED).clip(LEAST_PART, 1.0).log())
    return parts.to_numpy().astype(np.float64)


def fitted_weights(faces: pl.DataFrame) -> dict[str, float]:
    """The weights of the parts under which the better face of a pair most likely wins.

    A logistic of the difference of the two logarithms of the score; weights are never negative,
    every better face counts the same, and so do both kinds of pairs.
    """
    logs = _logs(faces)
    rows, shares = [], []
    for pairs in (choices(faces), orders(faces)):
        rows.append(logs[pairs.better] - logs[pairs.worse])
        of_face = 1 / np.bincount(pairs.better, minlength=len(logs))[pairs.better]
        shares.append(of_face / of_face.sum())
    ahead, share = np.concatenate(rows), np.concatenate(shares)
    share /= share.sum()

    def loss(weights: NDArray[np.float64]) -> float:
        odds = ahead @ weights
        return float(share @ np.logaddexp(0.0, -odds) + PULL * ((weights - 1) ** 2).mean())

    bounds = [(LIGHTEST, HEAVIEST)] * len(PARTS)
    found = minimize(loss, np.ones(len(PARTS)), method="L-BFGS-B", bounds=bounds).x
    return dict(zip(PARTS, (round(float(w), 1) for w in found), strict=True))


def weighted(faces: pl.DataFrame, weights: Mapping[str, float]) -> NDArray[np.float64]:
    """(n,) the score of each face with other weights."""
    parts = faces.select(pl.col(PARTS).fill_null(UNMEASURED)).to_numpy().astype(np.float64)
    return np.asarray(np.prod(parts ** np.array([weights[name] for name in PARTS]), axis=1))


def left_out_score(faces: pl.DataFrame) -> NDArray[np.float64]:
    """(n,) the score of each face with weights that were fitted without its person."""
    score, who = np.zeros(faces.height), faces["who"].to_numpy()
    for person in np.unique(who):
        others = faces.filter(pl.col("who") != person)
        own = who == person
        score[own] = weighted(faces.filter(pl.Series(own)), fitted_weights(others))
    return score


# --- what is printed ---------------------------------------------------------------------------


def lines(faces: pl.DataFrame) -> Sequence[str]:
    """How well every ranking agrees with the labels: all people, and the worst one.

    What is fitted are the weights alone, and only the last ranking was fitted without its person.
    The faults of which the parts are made were chosen with all these people in view.

    Args:
        faces: labelled faces with `scores_of`, `who` and `clip`.
    """
    who = faces["who"].to_numpy()
    rankings = {
        "quality_score": faces["quality_score"].to_numpy(),
        "quality, frontality and a logistic": faces["earlier"].to_numpy(),
        "portrait_score": faces["portrait_score"].to_numpy(),
        "the same, weights of the others": left_out_score(faces),
    }
    said = []
    for kind, pairs in (
        ("choices", choices(faces)),
        ("choices among eligible faces", choices(faces.filter(pl.col("eligible")))),
        ("orders", orders(faces)),
    ):
        eligible = faces["eligible"].to_numpy() if "eligible" in kind else np.ones(len(who), bool)
        for name, score in rankings.items():
            own = {
                person: found
                for person in np.unique(who[eligible])
                if (found := _of_person(score[eligible], pairs, who[eligible], person))
            }
            if own:
                worst = min(own, key=lambda person: own[person].share)
                mean = np.mean([found.share for found in own.values()])
                pooled = agreement(score[eligible].astype(np.float64), pairs, who[eligible])
                said.append(
                    f"{kind}: {name}: {pooled}; mean of {len(own)} people {mean:.3f}; "
                    f"worst {worst} {own[worst]}"
                )
    return said


def _of_person(
    score: NDArray[np.float64], pairs: Pairs, who: NDArray[Any], person: str
) -> Agreement | None:
    own = who[pairs.better] == person
    return agreement(score.astype(np.float64), Pairs(pairs.better[own], pairs.worse[own]), who)
