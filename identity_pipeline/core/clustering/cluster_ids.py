"""Cluster ids that are kept between runs, and the table that describes clusters.

A run's groups have no names of their own. A group takes the id of the old cluster that it shares
most of its tracks with; all others get ids that were never given before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from identity_pipeline.core.vectors import Matrix
from identity_pipeline.tables import TABLES

TIE_DECIMALS = 9
TIE_PREFERENCE = 1e-6
"""Among assignments of equal overlap the one with older ids wins; far below any difference of two
Jaccard indices that matters."""


@dataclass(frozen=True)
class CarriedIds:
    """Ids of one run.

    Attributes:
        of_key: the cluster id of each track; None is noise.
        next_id: the first id that was never given; the next run starts from it.
        kept: ids carried over.
        created: ids that are new.
        retired: ids of the previous run that no group carries on; they are never given again.
    """

    of_key: dict[str, int | None]
    next_id: int
    kept: tuple[int, ...]
    created: tuple[int, ...]
    retired: tuple[int, ...]


def carry_over(
    previous: Mapping[str, int | None],
    labels: Mapping[str, int],
    next_id: int,
    least_jaccard: float = 0.5,
) -> CarriedIds:
    """Gives ids to the groups of a run.

    Overlap is the Jaccard index over the tracks that both runs know: neither new tracks nor those
    that left the library move an id. One old id goes to one group, so that the summed overlap is
    largest (Hungarian method); of equal ones the older id and the group of the smaller key win.

    Args:
        previous: id of each track of the previous run, None for noise.
        labels: group of each track of this run, -1 for noise.
        next_id: the first id that was never given.
        least_jaccard: less overlap carries nothing over.

    Raises:
        ValueError: an id of the previous run is not below `next_id`, so ids might be reused.
    """
    old_ids = sorted({i for i in previous.values() if i is not None})
    if old_ids and old_ids[-1] >= next_id:
        raise ValueError(
            f"Cluster id {old_ids[-1]} is in use but the next id is said to be {next_id}; pass "
            "the next id that the previous run returned."
        )
    groups = _by_smallest_key(labels)
    id_of_group = _matched(previous, labels, old_ids, groups, least_jaccard)
    kept = tuple(sorted(id_of_group.values()))
    still = set(kept)
    created = []
    for group in groups:
        if group not in id_of_group:
            id_of_group[group] = next_id
            created.append(next_id)
            next_id += 1
    return CarriedIds(
        of_key={key: id_of_group.get(label) for key, label in labels.items()},
        next_id=next_id,
        kept=kept,
        created=tuple(created),
        retired=tuple(i for i in old_ids if i not in still),
    )


def _by_smallest_key(labels: Mapping[str, int]) -> list[int]:
    return list(dict.fromkeys(labels[key] for key in sorted(labels) if labels[key] >= 0))


def _matched(
    previous: Mapping[str, int | None],
    labels: Mapping[str, int],
    old_ids: list[int],
    groups: list[int],
    least: float,
) -> dict[int, int]:
    """Group to old id, where the overlap is large enough."""
    row = {old: i for i, old in enumerate(old_ids)}
    column = {group: j for j, group in enumerate(groups)}
    overlaps = {
        (row[old], column[group]): jaccard
        for (old, group), jaccard in _jaccard(previous, labels).items()
        if jaccard >= least
    }
    if not overlaps:
        return {}
    in_order = dict(sorted(overlaps.items()))
    return {groups[j]: old_ids[i] for i, j in _best_pairs(in_order, len(old_ids), len(groups))}


def _jaccard(
    previous: Mapping[str, int | None], labels: Mapping[str, int]
) -> dict[tuple[int, int], float]:
    """Jaccard index of each old id with each group, over the tracks that both runs know."""
    # From 1, so that noise is 0, and a track that was not there is less.
    then = [-1 if (i := previous.get(key, -2)) is None else i for key in labels]
    old = np.array(then, dtype=np.int64) + 1
    new = np.fromiter(labels.values(), dtype=np.int64, count=len(labels)) + 1
    old, new = old[old >= 0], new[old >= 0]
    of_old, of_new = np.bincount(old), np.bincount(new)
    pair, shared = np.unique(old * len(of_new) + new, return_counts=True)
    one, other = np.divmod(pair, max(1, len(of_new)))
    index = shared / (of_old[one] + of_new[other] - shared)
    grouped = (one > 0) & (other > 0)
    rows = (column[grouped].tolist() for column in (one - 1, other - 1, index))
    return {(i, group): overlap for i, group, overlap in zip(*rows, strict=True)}


def _best_pairs(
    overlaps: dict[tuple[int, int], float], rows: int, columns: int
) -> list[tuple[int, int]]:
    """One-to-one pairs of largest summed overlap, component by component of the overlaps."""
    at = np.array(list(overlaps))
    graph = coo_array((np.ones(len(at)), (at[:, 0], rows + at[:, 1])), shape=(rows + columns,) * 2)
    component = connected_components(graph, directed=False)[1][at[:, 0]]
    single = np.bincount(component)[component] == 1  # as nearly every cluster from run to run
    pairs: list[tuple[int, int]] = [(i, j) for i, j in at[single].tolist()]
    at, component = at[~single], component[~single]
    if not len(at):
        return pairs
    from scipy.optimize import linear_sum_assignment  # a quarter of a second, for who needs it

    order = np.argsort(component, kind="stable")
    cuts = np.flatnonzero(np.diff(component[order])) + 1
    for part in np.split(at[order], cuts):
        some_rows, r = np.unique(part[:, 0], return_inverse=True)
        some_columns, c = np.unique(part[:, 1], return_inverse=True)
        gain = np.zeros((len(some_rows), len(some_columns)))
        gain[r, c] = [overlaps[(i, j)] for i, j in part.tolist()]
        late = r / max(1, len(some_rows)) + c / max(1, len(some_columns))
        preferred = gain.copy()
        preferred[r, c] -= TIE_PREFERENCE * late
        chosen = zip(*linear_sum_assignment(preferred, maximize=True), strict=True)
        pairs += [(int(some_rows[i]), int(some_columns[j])) for i, j in chosen if gain[i, j] > 0]
    return pairs


def mean_pairwise_cosine(vectors: NDArray[np.floating]) -> float | None:
    """Exact mean cosine of all pairs of unit vectors (N, D); None when there is no pair.

    |sum|^2 holds every pair twice and every vector's own square once.
    """
    n = len(vectors)
    if n < 2:
        return None
    exact = np.asarray(vectors, dtype=np.float64)
    total = exact.sum(axis=0)
    mean = (total @ total - np.einsum("ij,ij->", exact, exact)) / (n * (n - 1))
    return float(np.clip(mean, -1.0, 1.0))


def weighted_medoid(vectors: NDArray[np.floating], quality: NDArray[np.floating]) -> int:
    """Index of the vector nearest to all of (N, D), each counted by its quality.

    The vector itself is counted too, so that of two the better one stands for both. Ties go to
    the better one, then to the first.

    Raises:
        ValueError: there is no vector, or a quality is not a number of at least 0.
    """
    if len(vectors) == 0:
        raise ValueError("the medoid of no vectors is undefined")
    weights = np.asarray(quality, dtype=np.float64)
    if not np.all(weights >= 0) or not np.all(np.isfinite(weights)):
        raise ValueError("every track needs a measured quality of at least 0")
    if not weights.any():
        weights = np.ones_like(weights)
    exact = np.asarray(vectors, dtype=np.float64)
    closeness = np.round(exact @ (weights @ exact) / weights.sum(), TIE_DECIMALS)
    return int(np.lexsort((np.arange(len(weights)), -weights, -closeness))[0])


def describe_clusters(
    tracks: pl.DataFrame,
    vectors: Matrix,
    of_key: Mapping[str, int | None],
    before: pl.DataFrame | None = None,
    changed: Collection[str] = (),
) -> pl.DataFrame:
    """One row per cluster, sorted by id: the columns of `unknown_clusters`.

    Args:
        tracks: track templates (track_key, video_id, face_count, quality), in any order.
        vectors: (N, D) the unit vectors of these tracks.
        of_key: cluster id of each track that is to be described; None is noise.
        before: an earlier table; a cluster of the same tracks is measured no second time.
        changed: keys of tracks whose template is not what it was then.

    Returns:
        cluster_id, track_count, face_count, video_count, confidence (exact mean pairwise cosine;
        null for one track), representative (track_key of the weighted medoid), tracks (sorted).
    """
    members = (
        tracks.select("track_key", "video_id", "face_count", "quality")
        .with_columns(
            cluster_id=pl.Series([of_key.get(k) for k in tracks["track_key"]], dtype=pl.Int64),
            row=pl.int_range(pl.len()),
        )
        .filter(pl.col("cluster_id").is_not_null())
        .sort("cluster_id", "track_key")
    )
    if not members.height:
        return pl.DataFrame(schema=TABLES["unknown_clusters"])
    counted = members.group_by("cluster_id", maintain_order=True).agg(
        track_count=pl.len(),
        face_count=pl.col("face_count").sum(),
        video_count=pl.col("video_id").n_unique(),
        tracks=pl.col("track_key"),
        stands=~pl.col("track_key").is_in(sorted(changed)).any(),
    )
    schema = TABLES["unknown_clusters"]
    known = pl.DataFrame(schema=schema) if before is None else before
    known = known.select("cluster_id", "confidence", "representative", tracks_then="tracks")
    stands = pl.col("stands") & pl.col("tracks").eq_missing(pl.col("tracks_then"))
    counted = counted.join(known, on="cluster_id", how="left", maintain_order="left")
    counted = counted.with_columns(stands=stands)
    others = counted.filter(~pl.col("stands"))
    anew = members.join(others, on="cluster_id", how="semi", maintain_order="left")
    measured = _measured(anew, vectors)
    every = pl.concat([counted.filter("stands").select(measured.columns), measured])
    return (
        counted.drop("confidence", "representative")
        .join(every, on="cluster_id", how="left", maintain_order="left")
        .select(pl.col(c).cast(dtype) for c, dtype in schema.items())
    )


def _measured(members: pl.DataFrame, vectors: Matrix) -> pl.DataFrame:
    """Confidence and representative of each cluster, of its tracks sorted by cluster and key."""
    row, quality = members["row"].to_numpy(), members["quality"].to_numpy()
    keys, ids = members["track_key"].to_list(), members["cluster_id"].to_numpy()
    starts = np.flatnonzero(np.diff(ids, prepend=-1))
    confidence, representative = [], []
    for start, end in pairwise([*starts.tolist(), len(keys)]):
        own = vectors[row[start:end]]
        confidence.append(mean_pairwise_cosine(own))
        representative.append(keys[start + weighted_medoid(own, quality[start:end])])
    return pl.DataFrame(
        {"cluster_id": ids[starts], "confidence": confidence, "representative": representative},
        schema={"cluster_id": pl.Int64, "confidence": pl.Float32, "representative": pl.String},
    )
