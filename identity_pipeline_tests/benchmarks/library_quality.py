"""How right the library is on videos whose truth is known: grouping, open-set matching, labelling.

Nothing is written: the library is computed in memory from the templates that lie in a data folder.
Run the videos first (`identity-pipeline run`), with their truth files beside them.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import click
import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from identity_pipeline.core.clustering.shared_frames import shared_frame_pairs
from identity_pipeline.core.evaluation.intervals import upper_bound
from identity_pipeline.core.library.accuracy import against_truth
from identity_pipeline.core.library.recompute import (
    Before,
    HumanFacts,
    LibraryResult,
    PersonFacts,
    build_library,
    calibration_of,
)
from identity_pipeline.core.matching.assignment import Decisions
from identity_pipeline.core.vectors import to_matrix
from identity_pipeline.settings import Settings, load_settings
from identity_pipeline.stages.library.statistics import true_people
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.tables import TableStore
from identity_pipeline_tests.library_tables import LibraryTables, read_templates

TODAY = "2026-01-01"
SPLITS = 10
LABELLED = 10
console = Console(width=110)


def person_id(name: str) -> str:
    """The same id for a name, always."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


def library(
    inputs: LibraryTables,
    settings: Settings,
    confirmed: Mapping[str, str],
    before: Before | None = None,
) -> LibraryResult:
    """The library when these tracks have been given these names."""
    people = {person_id(name): PersonFacts(name) for name in sorted(set(confirmed.values()))}
    decisions = Decisions(assigned={key: person_id(name) for key, name in confirmed.items()})
    human = HumanFacts(people, decisions)
    own = inputs.templates
    calibration = calibration_of(own, inputs.pairs, inputs.samples, decisions, settings).table
    return build_library(own, calibration, human, before or Before(), TODAY, settings)


def cosines(inputs: LibraryTables, truth: Mapping[str, str]) -> str:
    """Cosines between templates of different videos: same person, different people."""
    rows = inputs.templates.filter(pl.col("track_key").is_in(sorted(truth))).sort("track_key")
    vectors = to_matrix(rows["template"])
    who = np.array([truth[key] for key in rows["track_key"]])
    video = rows["video_id"].to_numpy()
    a, b = np.triu_indices(len(who), k=1)
    across = video[a] != video[b]
    scores, same = (vectors @ vectors.T)[a, b][across], (who[a] == who[b])[across]
    parts = [
        f"{name} {np.mean(s):.3f} (5 % {np.quantile(s, 0.05):.3f}, 95 % {np.quantile(s, 0.95):.3f},"
        f" n {len(s)})"
        for name, s in (("same", scores[same]), ("different", scores[~same]))
        if len(s)
    ]
    return "; ".join(parts)


def grouping(table: Table, title: str, result: LibraryResult, truth: Mapping[str, str]) -> None:
    """One row: how the tracks are grouped."""
    told = against_truth(result.tables["person_assignments"], truth)
    m = told.grouping
    table.add_row(
        title,
        str(m.items),
        f"{m.people} / {m.groups}",
        f"{m.b3_precision:.4f}",
        f"{m.b3_recall:.4f}",
        f"{told.right} / {told.wrong}",
        f"{result.floor:.3f} ({result.floor_method})",
    )


def open_set(inputs: LibraryTables, settings: Settings, truth: Mapping[str, str]) -> dict[str, int]:
    """Half of the people are known by the tracks of one video each; all other tracks are probes."""
    rows = inputs.templates.filter(pl.col("track_key").is_in(sorted(truth))).sort("track_key")
    first: dict[str, str] = {}
    for key, video in rows.select("track_key", "video_id").iter_rows():
        first.setdefault(truth[key], video)
    names, counts = sorted(first), Counter[str]()
    for split in range(SPLITS):
        rng = np.random.default_rng(split)
        known = set(rng.permutation(names)[: len(names) // 2].tolist())
        confirmed = {
            key: truth[key]
            for key, video in rows.select("track_key", "video_id").iter_rows()
            if truth[key] in known and first[truth[key]] == video
        }
        table = library(inputs, settings, confirmed).tables["person_assignments"]
        for row in table.iter_rows(named=True):
            key = row["track_key"]
            if key in confirmed or key not in truth:
                continue
            told = row["person_id"] if row["state"] == "known" else None
            if truth[key] not in known:
                counts["strangers"] += 1
                counts["strangers_taken_for_somebody"] += told is not None
                counts["strangers_suggested"] += row["state"] == "suggested"
            else:
                counts["known"] += 1
                counts["known_found"] += told == person_id(truth[key])
                counts["known_mistaken"] += told not in (None, person_id(truth[key]))
                counts["known_suggested"] += row["state"] == "suggested"
    return counts


def label_largest(result: LibraryResult, truth: Mapping[str, str], count: int) -> dict[str, str]:
    """What a curator says of the largest clusters: every track of them gets its true name."""
    clusters = result.tables["unknown_clusters"].sort(
        ["track_count", "cluster_id"], descending=[True, False]
    )
    keys = [key for tracks in clusters["tracks"].head(count).to_list() for key in tracks]
    return {key: truth[key] for key in keys if key in truth}


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False))
@click.option(
    "--truth", "folder", type=click.Path(exists=True, path_type=Path), help="Truth files."
)
@click.option("--unpinned", is_flag=True, help="Ignore pinned thresholds: calibrate only.")
def main(data: str, folder: Path | None, unpinned: bool) -> None:
    """Print the figures of the library of the data folder DATA."""
    settings, store = load_settings(), TableStore(Layout(Path(data)))
    if unpinned:
        pins = {"pin_exclude": None, "pin_suggest": None, "pin_assign": None}
        match = settings.match.model_copy(update=pins)
        cluster = settings.cluster.model_copy(update={"merge_cos": None})
        settings = settings.model_copy(update={"match": match, "cluster": cluster})
    inputs = read_templates(store)
    truth, faults = true_people(LibraryStores.of(store), folder)
    present = set(inputs.templates["track_key"])
    truth = {key: name for key, name in truth.items() if key in present}
    console.print(f"{inputs.videos} videos, {len(truth)} riders' tracks with a true person,")
    console.print(f"{len(present) - len(truth)} without; {len(faults)} truth files left out")
    console.print(f"cosines of templates across videos: {cosines(inputs, truth)}")

    table = Table(title="Grouping; known tracks count by their person")
    for column in (
        "what", "tracks", "people / groups", "B-cubed precision", "recall",
        "assigned right / wrong", "merge floor",
    ):  # fmt: skip
        table.add_column(column)
    unknown = library(inputs, settings, {})
    grouping(table, "nobody known", unknown, truth)
    labelled = label_largest(unknown, truth, LABELLED)
    before = Before(
        dict(unknown.tables["person_assignments"].select("track_key", "cluster_id").iter_rows()),
        unknown.tables["suggestions"],
        unknown.next_cluster_id,
    )
    after = library(inputs, settings, labelled, before)
    grouping(table, f"{LABELLED} clusters labelled", after, truth)
    console.print(table)

    rows = {r["track_key"]: r for r in after.tables["person_assignments"].iter_rows(named=True)}
    kept = all(rows[key]["person_id"] == person_id(name) for key, name in labelled.items())
    console.print(f"labelled tracks {len(labelled)}, all still as labelled: {kept}")
    together = [
        (a, b)
        for a, b in shared_frame_pairs(inputs.templates)
        for result in (unknown, after)
        if merged(result, a, b)
    ]
    console.print(f"pairs seen in one frame that were merged: {len(together)}")

    counts = open_set(inputs, settings, truth)
    strangers, taken = counts["strangers"], counts["strangers_taken_for_somebody"]
    bound = upper_bound(taken, strangers)
    console.print(
        f"open set, {SPLITS} splits, half of the people known by one video: strangers {strangers}, "
        f"taken for somebody {taken} (FPIR {taken / max(1, strangers):.4f}, 95 % bound "
        f"{bound if bound is None else round(bound, 4)}), suggested {counts['strangers_suggested']}"
    )
    missed = counts["known"] - counts["known_found"]
    console.print(
        f"known probes {counts['known']}: found {counts['known_found']}, mistaken for another "
        f"{counts['known_mistaken']}, suggested {counts['known_suggested']} "
        f"(FNIR {missed / max(1, counts['known']):.4f})"
    )


def merged(result: LibraryResult, a: str, b: str) -> bool:
    """Whether two tracks are one person or cluster."""
    rows = result.tables["person_assignments"].filter(pl.col("track_key").is_in([a, b]))
    return any(
        rows[column].null_count() == 0 and rows[column].n_unique() == 1
        for column in ("person_id", "cluster_id")
    )


if __name__ == "__main__":
    main()
