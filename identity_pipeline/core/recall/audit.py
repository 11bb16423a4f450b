"""Which of the moments that were left out somebody looks at, and what they say of them.

How many of each stratum follows Neyman ("On the two different aspects of the representative
method", J. R. Stat. Soc. 97, 1934): in proportion to its size times the standard deviation of what
is asked, as earlier audits of the camera told it, so that as few clicks as possible tell the sum;
but at least a few, so that none goes unseen. It never depends on the answers of the audit itself,
which would favour what they happen to say.

Within a stratum a digest of the video's hash orders the moments. That is a draw at random which
everybody can repeat; the first k of more are the first k of fewer, so an audit can be continued.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final, Literal, get_args

import polars as pl

from identity_pipeline.core.recall.strata import LEFT_OUT
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


def usual_shares(audits: pl.DataFrame) -> dict[str, float]:
    """How likely a moment that was left out is missed, by stratum, from earlier audits.

    Args:
        audits: `stratum, answer` of all of them.

    Returns:
        (missed + 1/2) / (n + 1), the mean by Jeffreys' prior: one half where nothing is known,
        which lets size alone decide.
    """
    told = audits.filter(pl.col("answer") != UNCLEAR)
    shares = {str(stratum): 0.5 for stratum in LEFT_OUT}
    for stratum, missed, n in (
        told.group_by("stratum")
        .agg(missed=(pl.col("answer") == MISSED).sum(), n=pl.len())
        .iter_rows()
    ):
        if stratum in shares:
            shares[stratum] = (missed + 0.5) / (n + 1)
    return shares


def allocate(
    sizes: Mapping[Stratum, int], shares: Mapping[str, float], settings: RecallSettings
) -> dict[Stratum, int]:
    """How many moments of each stratum are looked at.

    Args:
        sizes: moments of each.
        shares: of `usual_shares`.
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
    weights = {s: n * (shares[s[1]] * (1 - shares[s[1]])) ** 0.5 for s, n in sizes.items()}
    while left:
        open_ = [s for s in wanted if wanted[s] < sizes[s]]
        if not open_:
            break
        # What is farthest below its due gets the next one: Sainte-Lague's highest averages.
        due = max(open_, key=lambda s: (weights[s] / (2 * wanted[s] + 1), s))
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
