"""Matching again after a few tracks changed: a track that stands as before keeps its row.

While people, their references, thresholds and decisions are the same, a track's row hangs on its
own template and on those of the tracks that share a frame with it, all of its own video: scores are
exact (`gallery.exact_products`), so it is no matter which tracks are matched together.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import polars as pl

from identity_pipeline.core.clustering.constraints import Pair
from identity_pipeline.core.matching.assignment import Decisions, assign
from identity_pipeline.core.matching.gallery import Gallery
from identity_pipeline.core.matching.thresholds import Thresholds
from identity_pipeline.settings import MatchSettings


@dataclass(frozen=True)
class Matched:
    """The last matching, by the same people, references, thresholds, decisions and settings.

    Attributes:
        assignments: table `person_assignments` as it was published.
        references: table `person_references`.
    """

    assignments: pl.DataFrame
    references: pl.DataFrame


def assign_again(
    templates: pl.DataFrame,
    gallery: Gallery,
    thresholds: Thresholds,
    decisions: Decisions,
    settings: MatchSettings,
    beside: Collection[Pair],
    before: Matched,
    changed: Collection[str],
) -> pl.DataFrame:
    """As `assign`; only videos are matched that are not as they were.

    Args:
        templates: table `track_templates`, by key.
        gallery: as for all up to `beside`, see `assign`.
        thresholds: of level `template`.
        decisions: what humans have said.
        settings: margin, regrowth.
        beside: pairs of tracks that share a frame.
        before: the last matching.
        changed: keys of tracks whose template is not what it was then.
    """
    new = _touched(templates, before.assignments, changed)
    again = templates.filter(pl.col("video_id").is_in(new))
    there = set(again["track_key"].to_list())
    own = [pair for pair in beside if pair[0] in there]
    found = assign(again, gallery, thresholds, decisions, settings, own)
    kept = _as_assigned(before.assignments.filter(~pl.col("video_id").is_in(new)))
    return pl.concat([kept, found]).sort("track_key")


def _touched(templates: pl.DataFrame, before: pl.DataFrame, changed: Collection[str]) -> list[str]:
    """Videos whose tracks are not those of before, or have other templates."""
    now, then = (table.select("track_key", "video_id") for table in (templates, before))
    came = now.join(then, on="track_key", how="anti")["video_id"]
    went = then.join(now, on="track_key", how="anti")["video_id"]
    other = now.filter(pl.col("track_key").is_in(sorted(changed)))["video_id"]
    return sorted({*came.to_list(), *went.to_list(), *other.to_list()})


def _as_assigned(published: pl.DataFrame) -> pl.DataFrame:
    """Rows of the table as `assign` left them, before tracks were grouped."""
    known = pl.col("state") == "known"
    return published.with_columns(
        state=pl.col("state").replace("noise", "unknown"),
        display=pl.when(known).then("display"),
        cluster_id=pl.lit(None, pl.Int64),
    )
