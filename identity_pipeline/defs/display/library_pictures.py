"""What an operator sees of the library in the UI: counts, montages, thresholds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import polars as pl

from identity_pipeline.core.matching.budget import budget_of, one_in, references_of
from identity_pipeline.defs.display import metadata
from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.media.markdown import table
from identity_pipeline.settings import Settings

if TYPE_CHECKING:
    from identity_pipeline.stages.library.recompute import Recomputed
    from identity_pipeline.stages.stores import LibraryStores
    from identity_pipeline.storage.video.tables import TableStore

GROUPS_SHOWN = 10


def describe_rows(table: pl.DataFrame) -> dict[str, Any]:
    """How many rows, and of how many tracks where that is known."""
    tracks = table["track_key"].n_unique() if "track_key" in table.columns else None
    return {"rows_made": table.height} | ({"tracks": tracks} if tracks is not None else {})


def warnings(done: Recomputed) -> Iterator[str]:
    """What an operator should know."""
    if done.unfit:
        yield done.unfit
    if done.differs:
        yield (
            f"The whole computation gives another {', '.join(done.differs)} than what was kept of "
            "the last one would have: it is in force now. Please report that, for it is a fault "
            "of this program."
        )
    if done.other_space:
        yield (
            f"{len(done.other_space)} videos were embedded by another model and are left out "
            f"until they are processed anew: {', '.join(done.other_space[:5])}"
        )
    for video_id, sentence in done.damaged.items():
        yield f"The library is computed without {video_id}: {sentence}"
    copies = done.tables["video_copies"]
    if copies.height:
        pairs = [f"{a} of {b}" for a, b in copies.select("video_id", "copy_of").head(5).iter_rows()]
        yield (
            f"{copies.height} videos are copies of another one's ride and are no evidence: "
            f"{', '.join(pairs)}"
        )
    if done.lost:
        yield (
            f"{len(done.lost)} labelled tracks are no longer found in their videos; their "
            f"decisions are kept: {', '.join(done.lost[:5])}"
        )


ON_THE_DESK = {"people": "/people", "unknown_clusters": "/clusters", "suggestions": "/review"}
"""The page of the desk on which each table is decided about."""


def describe_library(
    store: TableStore, done: Recomputed, settings: Settings
) -> dict[str, dict[str, Any]]:
    """Metadata of each of the library's tables."""
    tables = done.tables
    assignments, clusters = tables["person_assignments"], tables["unknown_clusters"]
    states = dict(assignments.group_by("state").len().sort("state").iter_rows())
    people = tables["people"].filter(pl.col("track_count") > 0, pl.col("state") == "active")
    shown: dict[str, dict[str, Any]] = {
        name: {"rows": metadata.preview(table)} for name, table in tables.items()
    }
    shown["person_assignments"] |= metadata.numbers(
        {"tracks": done.tracks, **{f"state/{state}": n for state, n in states.items()}}
    )
    shown["person_assignments"]["generation"] = done.generation.name
    shown["unknown_clusters"] |= metadata.numbers(
        {
            "clusters": clusters.height,
            "tracks_in_clusters": clusters["track_count"].sum(),
            "merge_floor": done.floor,
        }
    )
    largest = clusters.sort(["track_count", "cluster_id"], descending=[True, False])
    groups = [(f"unknown {row['cluster_id']}", row["tracks"]) for row in largest.to_dicts()]
    shown["unknown_clusters"]["picture"] = _montage(store, groups)
    known = assignments.filter(pl.col("state") == "known").sort("person_id", "track_key")
    named = []
    for row in people.sort("name").to_dicts():
        tracks = known.filter(pl.col("person_id") == row["person_id"])["track_key"].to_list()
        named.append((f"{row['name'] or 'unnamed'} {row['person_id'][:8]}", tracks))
    shown["people"] |= {"people": tables["people"].height, "picture": _montage(store, named)}
    states = tables["suggestions"].group_by("state").len().sort("state")
    shown["suggestions"] |= {f"state/{state}": n for state, n in states.iter_rows()}
    shown["video_copies"]["copies"] = tables["video_copies"].height
    for name, path in ON_THE_DESK.items():
        shown[name] |= metadata.on_the_desk(settings.desk.url, path)
    shown["calibration"]["thresholds"] = _thresholds(tables["calibration"])
    if tables["calibration"].height:
        references = references_of(tables["person_references"])
        space = tables["calibration"]["space"][0]
        budget = budget_of(tables["calibration"], space, references, settings.match)
        shown["person_assignments"]["strangers_named_at_most"] = budget.sentence
        shown["calibration"]["strangers_named_at_most"] = budget.sentence
    return shown


def describe_confusions(stores: LibraryStores, settings: Settings, today: str) -> dict[str, Any]:
    """Whom the recogniser takes for each other: the closest pairs, their faces, and the curve."""
    from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
    from identity_pipeline.stages.library.confusions import confusions

    try:
        found = confusions(LibrarySnapshot.open(stores, today, write=False), settings)
    except IdentityPipelineError as error:  # the rest of the report is worth having
        return {"closest_people": str(error)}
    if not found.pairs:
        return {}
    pairs = [
        {"person": a, "taken for": b, "cosine": round(pair.cosine, 3)}
        for pair in found.pairs[:GROUPS_SHOWN]
        for a, b in (pair.names,)
    ]
    curves = [{**vars(curve), **curve.reach} for curve in found.curves]
    shown = [{k: v for k, v in curve.items() if k != "reach"} for curve in curves]
    return {
        "closest_people": metadata.records(pairs),
        "closest_faces": _montage(stores.tables, list(found.groups(GROUPS_SHOWN).items())),
        "pairs_of_different_people": metadata.records(shown),
    }


def _montage(store: TableStore, groups: list[tuple[str, list[str]]]) -> Any:
    from identity_pipeline.media.sheets import encode_jpeg_below
    from identity_pipeline.stages.library.montage import montage

    if not groups:
        return "nobody to show"
    sheet, _ = montage(store, dict(groups[:GROUPS_SHOWN]))
    return metadata.jpeg(
        encode_jpeg_below(sheet, metadata.PICTURE_BYTES), "best face of each track"
    )


def _thresholds(calibration: pl.DataFrame) -> Any:
    import dagster as dg

    unknown = "not measured"
    head = ("level", "name", "in effect", "measured", "95 % interval", "at most", "how", "missed")
    rows = []
    for row in calibration.filter(pl.col("camera").is_null()).iter_rows(named=True):
        known = row["low"] is not None
        interval = f"{row['low']:.3f} to {row['high']:.3f}" if known else unknown
        missed = unknown if row["fnmr"] is None else f"{row['fnmr']:.1%}"
        how = row["method"] + (f" ({row['reason']})" if row["reason"] else "")
        in_effect, measured = (
            unknown if row[name] is None else f"{row[name]:.3f}"
            for name in ("in_effect", "threshold")
        )
        at_most = unknown if row["far_bound"] is None else one_in(row["far_bound"])
        rows.append(
            (row["level"], row["name"], in_effect, measured, interval, at_most, how, missed)
        )
    return dg.MetadataValue.md(table(head, rows))
