"""What one generation of the library hands on to the next: ids of clusters, and suggestions."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import polars as pl

from identity_pipeline.core.library.recompute import GROUPED, Before
from identity_pipeline.ledger import subjects
from identity_pipeline.storage.library.snapshots import Snapshot
from identity_pipeline.tables import empty


def before_of(snapshot: Snapshot | None, space: str, versions: Mapping[str, str]) -> Before:
    """What the generation in force, or the last whole one, hands on.

    Clusters are known by their tracks, so their ids outlive a change of the space; scores do not.
    Nothing of a video that was processed anew: its tracks may be other people now.

    Args:
        snapshot: of that generation; None before the first.
        space: of the present templates.
        versions: data version of each video's present templates.
    """
    if snapshot is None:
        return Before()
    current, assignments = snapshot.generation, snapshot.table("person_assignments")
    last: dict[str, int | None] = dict(assignments.select("track_key", "cluster_id").iter_rows())
    anew = {v for v, known in current.versions.items() if versions.get(v, known) != known}

    def kept(key: str) -> bool:
        return subjects.parse(key).video_id not in anew

    same_scores = current.space == space
    suggestions = snapshot.table("suggestions") if same_scores else empty("suggestions")
    mask = [kept(key) for key in suggestions["track_key"].to_list()]
    return Before(
        {key: c for key, c in {**last, **current.former}.items() if kept(key)},
        suggestions.filter(pl.Series(mask, dtype=pl.Boolean)),
        current.next_cluster_id,
    )


def former_clusters(
    before: Before, assignments: pl.DataFrame, damaged: Collection[str] = ()
) -> dict[str, int]:
    """The last cluster of each track that is grouped no more.

    Because humans settled it, or because its video, one of `damaged`, cannot be read now.
    """
    settled = assignments.filter(~pl.col("state").is_in([*GROUPED, "noise"]))["track_key"]
    aside = [key for key in before.clusters if subjects.parse(key).video_id in damaged]
    last = {key: before.clusters.get(key) for key in (*settled.to_list(), *aside)}
    return {key: cluster for key, cluster in last.items() if cluster is not None}
