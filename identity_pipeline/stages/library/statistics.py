"""The library in numbers: how much is known, by whose word, at which thresholds, and how right."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from identity_pipeline.core.evaluation.matching import match_video
from identity_pipeline.core.library.accuracy import AgainstTruth, HeldOut, against_truth, held_out
from identity_pipeline.core.library.recompute import merge_floor, template_thresholds
from identity_pipeline.core.matching.budget import Budget, budget_of, references_of
from identity_pipeline.core.matching.gallery import gallery_of
from identity_pipeline.settings import Settings
from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
from identity_pipeline.stages.library.made_with import sentence
from identity_pipeline.stages.library.spaces import settings_of_library
from identity_pipeline.stages.library.unclaimed import unclaimed
from identity_pipeline.stages.library.view import pending_suggestions
from identity_pipeline.stages.progress.protocol import Progress, silent
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.video.tables import DamagedTableError, MissingTableError, TableStore
from identity_pipeline.storage.video.truth import TruthError, read_truth, truth_path

STATES = ("known", "suggested", "unknown", "noise", "ignored", "not_a_face")
ORIGINS = ("human", "suggestion_accepted", "auto")


@dataclass(frozen=True)
class LibraryStats:
    """What `stats` tells.

    Attributes:
        states: tracks in each state.
        origins: known tracks by who says so.
        people: in force.
        clusters: of unknown tracks.
        videos: with tracks in the library.
        photo_sets: sets of photographs that are somebody's.
        new_videos: with templates that the library does not have yet.
        pending: suggestions that wait.
        decisions: events in force.
        thresholds: rows of `calibration` at the level of templates.
        budget: how many strangers are named at most; null before the first calibration.
        floor: cosine below which unknown tracks are not linked, and how it was found.
        truth: against truth files; null without any.
        truth_videos: how many videos have one.
        truth_faults: truth files that cannot be used, in words.
        held_out: against the own labels; null without any.
        computed_with: which settings it was computed with that are others now, as a sentence; null
            where there are none.
    """

    states: dict[str, int]
    origins: dict[str, int]
    people: int
    clusters: int
    videos: int
    photo_sets: int
    new_videos: int
    pending: int
    decisions: int
    thresholds: list[dict[str, Any]]
    budget: Budget | None
    floor: tuple[float, str] | None
    truth: AgainstTruth | None
    truth_videos: int
    truth_faults: list[str]
    held_out: HeldOut | None
    computed_with: str | None

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {**asdict(self), "budget": self.budget.as_json() if self.budget else None}


def library_stats(
    library: LibrarySnapshot,
    settings: Settings,
    truth: Path | None = None,
    progress: Progress = silent,
) -> LibraryStats:
    """The numbers of the generation in force.

    Args:
        library: as it is now.
        settings: margin and merge floor.
        truth: folder of truth files; by default they are looked for beside the videos.
        progress: called per video.
    """
    settings = settings_of_library(library.stores, settings)
    table, calibration = library.table("person_assignments"), library.table("calibration")
    states = Counter(table["state"].to_list())
    origins = Counter(table["origin"].drop_nulls().to_list())
    known, faults = true_people(library.stores, truth, progress)
    thresholds = judged = budget = None
    if calibration.height:
        space = calibration["space"][0]
        thresholds = template_thresholds(calibration, space, settings)
        references = references_of(library.table("person_references"))
        gallery = gallery_of(library.table("person_references"))
        judged = held_out(table, gallery, thresholds, settings.match)
        budget = budget_of(calibration, space, references, settings.match)
    columns = (
        *("name", "far", "in_effect", "threshold", "low", "high", "far_bound", "method", "reason"),
    )
    common = pl.col("camera").is_null() & (pl.col("level") == "template")
    seen, sets = set(table["video_id"]), set(library.stores.photos.ids())
    return LibraryStats(
        states={name: states[name] for name in STATES},
        origins={name: origins[name] for name in ORIGINS},
        people=len(library.state.active),
        clusters=library.table("unknown_clusters").height,
        videos=len(seen - sets),
        photo_sets=len(seen & sets),
        new_videos=_new_videos(library),
        pending=len(pending_suggestions(library)),
        decisions=len(library.history.in_force),
        thresholds=calibration.filter(common).select(columns).to_dicts(),
        budget=budget,
        floor=merge_floor(thresholds, table.height, settings) if thresholds else None,
        truth=against_truth(table, known) if known and table.height else None,
        truth_videos=len({key.split(":")[1] for key in known}),
        truth_faults=faults,
        held_out=judged if judged and judged.tracks + judged.alone else None,
        computed_with=sentence(library.generation, settings),
    )


def _new_videos(library: LibrarySnapshot) -> int:
    """Videos with templates that the generation in force lacks; 0 before the first."""
    made_of = library.generation.versions.keys() if library.generation else ()
    present = set(library.stores.tables.videos_with("track_templates"))
    present -= unclaimed(library.stores.layout, library.history)
    return len(present.difference(made_of)) if made_of else 0


def true_people(
    stores: LibraryStores, folder: Path | None = None, progress: Progress = silent
) -> tuple[dict[str, str], list[str]]:
    """Who each track truly is, by the truth files; a name is one person in all of them.

    A track is the person whom more than half of its matched faces show; others are left out.

    Args:
        stores: of the data folder.
        folder: where truth files lie; by default beside the videos.
        progress: called per video.

    Returns:
        The people by track_key, and a sentence for each truth file that cannot be used.
    """
    people: dict[str, str] = {}
    faults: list[str] = []
    records = list(stores.videos.all())
    for n, record in enumerate(records, 1):
        path = truth_path(record, folder)
        if path is not None:
            try:
                people |= _true_of_video(stores.tables, record.video_id, path)
            except (TruthError, MissingTableError, DamagedTableError) as error:
                faults.append(str(error))
            progress("truth", n, len(records), "videos")
    return people, faults


def _true_of_video(store: TableStore, video_id: str, path: Path) -> dict[str, str]:
    truth = read_truth(path)
    detections = store.read("face_detections", video_id)
    sampled = store.read("frames", video_id)["frame_idx"]
    matched = match_video(truth, sampled, detections).drop_nulls("face_id")
    tracks = store.read("face_tracks", video_id).select("face_id", "track_id").drop_nulls()
    votes = (
        matched.drop_nulls("person")
        .join(tracks, on="face_id")
        .group_by("track_id", "person")
        .len()
        .sort("track_id", "person")
        .with_columns(share=pl.col("len") / pl.col("len").sum().over("track_id"))
        .filter(pl.col("share") > 0.5)
    )
    return {f"track:{video_id}:{row['track_id']}": row["person"] for row in votes.to_dicts()}
