"""Which of the moments that were left out somebody looks at, and what they say of them.

How many of each stratum is in proportion to its size, but at least a few, so that none goes unseen.
It depends on no answers: not on those of the audit itself, which would favour what they happen to
say, nor on those of other rides, so that what was asked today is asked tomorrow.

Within a stratum a digest of the video's hash orders the moments. That is a draw at random which
everybody can repeat; the first k of more are the first k of fewer, so an audit can be continued.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final, Literal, get_args

import polars as pl

from identity_pipeline.settings import RecallSettings

Answer = Literal["missed", "shown", "unusable", "unclear"]
"""A usable picture of the rider that no exported one shows; one that an exported one shows; none;
or nobody can tell, which counts as not asked."""
ANSWERS: Final[tuple[Answer, ...]] = get_args(Answer)
MISSED, SHOWN, UNUSABLE, UNCLEAR = ANSWERS
Stratum = tuple[int, str]
"""Rider, and reason of `LEFT_OUT`."""
STRATUM: Final = ("person_id", "stratum")
"""The same as columns of the moments."""


def allocate(sizes: Mapping[Stratum, int], settings: RecallSettings) -> dict[Stratum, int]:
    """How many moments of each stratum are looked at.

    Args:
        sizes: moments of each.
        settings: how many in all, and at least of each.

    Returns:
        At most `clicks` in all, and at most the size of each. With more strata than the clicks
        allow the least of each for, the larger ones come first.
    """
    wanted = dict.fromkeys(sorted(sizes), 0)
    left = settings.clicks
    for stratum in sorted(sizes, key=lambda s: (-sizes[s], s)):
        wanted[stratum] = min(settings.clicks_min, sizes[stratum], left)
        left -= wanted[stratum]
    while left:
        open_ = [s for s in wanted if wanted[s] < sizes[s]]
        if not open_:
            break
        # What is farthest below its due gets the next one: Sainte-Lague's highest averages.
        due = max(open_, key=lambda s: (sizes[s] / (2 * wanted[s] + 1), s))
        wanted[due] += 1
        left -= 1
    return wanted


def choose(moments: pl.DataFrame, video_sha256: str, wanted: Mapping[Stratum, int]) -> pl.DataFrame:
    """The moments that are looked at, in the order in which they are asked.

    Args:
        moments: of `moments_of`.
        video_sha256: of the video's file: the seed.
        wanted: of `allocate`.

    Returns:
        Rows of `moments`. Strata take turns, so that an audit that is broken off has some of each.
    """
    digests = [
        hashlib.sha256(f"{video_sha256}:{person}:{stratum}:{moment}".encode()).hexdigest()
        for person, stratum, moment in moments.select(*STRATUM, "moment").iter_rows()
    ]
    limits = pl.DataFrame(
        [(*stratum, n) for stratum, n in wanted.items()],
        schema={"person_id": pl.Int64, "stratum": pl.String, "wanted": pl.Int64},
        orient="row",
    )
    return (
        moments.with_columns(digest=pl.Series(digests, dtype=pl.String))
        .with_columns(place=pl.col("digest").rank("ordinal").over(STRATUM))
        .join(limits, on=STRATUM, how="inner")
        .filter(pl.col("place") <= pl.col("wanted"))
        .sort((pl.col("place") - 0.5) / pl.col("wanted"), "digest")
        .select(moments.columns)
    )
