"""The recall of a ride: what share of the usable moments the export shows, and how sure that is.

Of each stratum (rider and reason) N moments were left out, and n of them, drawn at random, were
looked at. What they show is expected of the others, so the moments that are missed add up to the
sum of N b / n, where b of the n are missed, and those that another exported picture shows to the
sum of N a / n. With the moments that are exported:

    recall = (exported + shown) / (exported + shown + missed)

The draw is what makes it true: whether moments resemble each other does not matter, for they are
not taken to be independent, but drawn so.

The interval is of 95 %. Each stratum has a distribution of what its unseen moments may be: what was
seen of it, with half an observation more of what makes the recall lower for the lower bound, and
higher for the upper one (the middle between the exact distributions of Clopper and Pearson, as with
Jeffreys' prior; Brown, Cai and DasGupta, "Interval estimation for a binomial proportion", Stat.
Sci. 16, 2001). Drawn from all strata at once they give the bound of the sum (Fay, Proschan and
Brittain, "Combining one-sample confidence procedures", Biometrics 71, 2015). What was seen itself
is certain, so a stratum that was looked at as a whole adds nothing. Of a stratum of which nothing
was seen everything may be missed, or nothing.

What is exported counts as usable: whether it is, other figures say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.recall.audit import MISSED, SHOWN, UNCLEAR, UNUSABLE
from identity_pipeline.core.recall.strata import (
    BEATEN,
    EXPORTED,
    GATED,
    LEFT_OUT,
    NOT_DETECTED,
    UNASSIGNED,
)

CONFIDENCE: Final = 0.95
DRAWS: Final = 2000
SEED: Final = 20_261_128
KINDS: Final = (MISSED, SHOWN, UNUSABLE)
"""In the order of the columns below."""
MOMENT: Final = ("person_id", "moment")
WORDS: Final[Mapping[str, str]] = {
    BEATEN: "in which another picture was preferred",
    GATED: "in which the face was refused",
    UNASSIGNED: "whose faces were taken for somebody else's",
    NOT_DETECTED: "in which no face was found",
}


@dataclass(frozen=True)
class Recall:
    """How many of the usable moments are shown.

    Attributes:
        share: None where nothing was looked at, of a reason at least.
        low, high: interval of 95 %; None where nothing was looked at at all.
        n: moments that were looked at and told.
        left_out: moments that were left out, of which these were drawn.
        exported: moments that are exported.
        unseen: reasons of which nothing was looked at, with their moments.
    """

    share: float | None
    low: float | None
    high: float | None
    n: int
    left_out: int
    exported: int
    unseen: Mapping[str, int]

    @property
    def short(self) -> str:
        """For a list."""
        if not self.left_out:
            return "nothing left out"
        if self.low is None or self.high is None:
            return "not measured"
        low, high = _percent(self.low), _percent(self.high)
        if self.share is None:
            return f"{low} to {high} %" if self.unseen else "no usable moment"
        return f"{_percent(self.share)} % ({low} to {high} %)"

    @property
    def sentence(self) -> str:
        """For people."""
        if not self.left_out:
            return "No moment was left out that could have been missed."
        if self.low is None or self.high is None:
            return (
                "How many of the usable moments are shown was not measured: nobody has looked at "
                f"the {self.left_out} that were left out."
            )
        low, high = _percent(self.low), _percent(self.high)
        looked = f"{self.n} of the {self.left_out} moments that were left out were looked at"
        if self.share == 1 and self.n < self.left_out:
            return f"At least {low} % of the usable moments are shown; {looked}, none was missed."
        if self.share is not None:
            return (
                f"We export pictures of {_percent(self.share)} % ({low}-{high} %) of the usable "
                f"moments; {looked}."
            )
        if not self.unseen:
            return f"No usable moment was found; {looked}."
        unseen = " and ".join(f"the {n} {WORDS[reason]}" for reason, n in self.unseen.items())
        return (
            f"Between {low} and {high} % of the usable moments are shown; {looked}, and none of "
            f"{unseen}."
        )


def _percent(share: float) -> str:
    """Whole percent; never 100 for less, and never 0 for more."""
    if 0 < share < 1:
        return str(min(max(round(100 * share), 1), 99))
    return str(round(100 * share))


def recall_of(moments: pl.DataFrame, answers: pl.DataFrame) -> Recall:
    """The recall of the riders of a ride, of one or of all.

    Args:
        moments: of `strata.moments_of`.
        answers: `person_id, moment, answer`; the later of two of a moment counts. Those of moments
            that are left out no longer, or of which nobody can tell, count for nothing.
    """
    told = answers.unique(MOMENT, keep="last", maintain_order=True)
    told = told.filter(pl.col("answer") != UNCLEAR)
    audited = moments.filter(pl.col("stratum").is_in(LEFT_OUT))
    exported = moments.filter(pl.col("stratum") == EXPORTED).height
    strata = _counted(audited.join(told.select(*MOMENT, "answer"), on=MOMENT, how="left"))
    sizes, seen = strata.select("size").to_numpy()[:, 0], strata.select(KINDS).to_numpy()
    n = int(seen.sum())
    empty = strata.filter(pl.sum_horizontal(KINDS) == 0).group_by("stratum")
    counts = dict(empty.agg(pl.col("size").sum()).iter_rows())
    unseen = {reason: counts[reason] for reason in LEFT_OUT if reason in counts}
    if not n:
        return Recall(None, None, None, 0, audited.height, exported, unseen)
    low, high = (_bound(exported, sizes, seen, worst=worst) for worst in (True, False))
    share = None if unseen else _share(exported, sizes, seen)
    if share is not None:
        low, high = min(low, share), max(high, share)
    return Recall(share, low, high, n, audited.height, exported, unseen)


def _counted(rows: pl.DataFrame) -> pl.DataFrame:
    """`person_id, stratum, size` and how many are of each of `KINDS`, in the order of the names."""
    counts = {kind: (pl.col("answer") == kind).sum().cast(pl.Int64) for kind in KINDS}
    counted = rows.group_by("person_id", "stratum").agg(size=pl.len().cast(pl.Int64), **counts)
    return counted.sort("person_id", "stratum")


def _share(exported: int, sizes: NDArray[np.int64], seen: NDArray[np.int64]) -> float | None:
    """The estimate; None where nothing is usable, so that there is nothing to show."""
    expected = (sizes[:, None] * seen / seen.sum(axis=1)[:, None]).sum(axis=0)
    usable = exported + expected[0] + expected[1]
    return float((exported + expected[1]) / usable) if usable else None


def _bound(
    exported: int, sizes: NDArray[np.int64], seen: NDArray[np.int64], *, worst: bool
) -> float:
    """One bound of the interval, see the module.

    Args:
        exported: moments.
        sizes: (strata,) moments of each.
        seen: (strata, kinds) of each kind that were seen.
        worst: whether it is the lower one.
    """
    rng = np.random.default_rng(SEED)
    missed, shown = np.zeros(DRAWS), np.full(DRAWS, float(exported))
    more = np.array([0.5, 0.0, 0.5] if worst else [0.0, 0.5, 0.5])
    for size, kinds in zip(sizes.tolist(), seen, strict=True):
        rest = size - int(kinds.sum())
        if kinds.sum():
            drawn = _drawn(rng, rest, kinds + more)
        else:
            drawn = np.array([rest if worst else 0, 0 if worst else rest, 0])[None]
        missed += kinds[0] + drawn[:, 0]
        shown += kinds[1] + drawn[:, 1]
    usable = missed + shown
    share = np.divide(shown, usable, out=np.ones(DRAWS), where=usable > 0)
    tail = (1 - CONFIDENCE) / 2
    return float(np.quantile(share, tail if worst else 1 - tail))


def _drawn(rng: np.random.Generator, rest: int, weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """(DRAWS, kinds) how many of the unseen are of each kind: Dirichlet and multinomial."""
    some = weights > 0
    gammas = np.zeros((DRAWS, len(KINDS)))
    gammas[:, some] = rng.gamma(weights[some], size=(DRAWS, int(some.sum())))
    return rng.multinomial(rest, gammas / gammas.sum(axis=1, keepdims=True))
