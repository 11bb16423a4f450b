"""The whole library as one function of templates, pairs and human decisions.

Belongs here: the order in which calibration, matching, grouping and suggestions build on each
other. Does not belong here: any of them, or where tables lie. The same inputs give the same tables.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import NamedTuple

import numpy as np
import polars as pl

from identity_pipeline.core.clustering.cluster_ids import carry_over, describe_clusters
from identity_pipeline.core.clustering.constraints import Pair
from identity_pipeline.core.clustering.grouping import cluster_vectors, merge_far
from identity_pipeline.core.clustering.regrouping import Grouping, regroup
from identity_pipeline.core.clustering.shared_frames import shared_frame_pairs
from identity_pipeline.core.library.people import PersonFacts, people_table
from identity_pipeline.core.library.prototypes import person_references
from identity_pipeline.core.library.suggestions import build_suggestions
from identity_pipeline.core.matching.assignment import Decisions, assign
from identity_pipeline.core.matching.calibration import calibrate, uncalibrated, wants_cohort
from identity_pipeline.core.matching.calibration_pairs import sampled
from identity_pipeline.core.matching.cross_pairs import pairs_across, tracks_compared
from identity_pipeline.core.matching.gallery import gallery_of
from identity_pipeline.core.matching.no_laxer import no_laxer, stranger_pairs
from identity_pipeline.core.matching.reassignment import Matched, assign_again
from identity_pipeline.core.matching.templates import in_order, template_matrix
from identity_pipeline.core.matching.thresholds import Thresholds, least_of, thresholds_of
from identity_pipeline.core.vectors import Matrix
from identity_pipeline.settings import Settings
from identity_pipeline.tables import TABLES, empty

GROUPED = ("unknown", "suggested")
"""States of tracks that are grouped: nobody's yet, also where somebody is suggested."""
RIDES_COMPARED = 2000
"""Rides whose own pairs are calibrated on at most: by then thresholds hardly move any more, and
every ride that counted would have all resampled rounds made anew."""


@dataclass(frozen=True)
class HumanFacts:
    """All that humans have said, in terms of present tracks.

    Attributes:
        people: by person_id, without those who were merged away.
        decisions: about tracks.
        apart: pairs of tracks that must be two people.
        pinned: tracks that stay exemplars.
        withheld: confirmed tracks by which nobody may be known again.
    """

    people: Mapping[str, PersonFacts] = field(default_factory=dict)
    decisions: Decisions = field(default_factory=Decisions)
    apart: frozenset[tuple[str, str]] = frozenset()
    pinned: frozenset[str] = frozenset()
    withheld: frozenset[str] = frozenset()

    @property
    def teaching(self) -> Decisions:
        """The decisions without assignments that nobody may learn from."""
        assigned = self.decisions.assigned
        kept = {key: person for key, person in assigned.items() if key not in self.withheld}
        return replace(self.decisions, assigned=kept) if self.withheld else self.decisions


@dataclass(frozen=True)
class Before:
    """What a run takes over from the one before.

    Attributes:
        clusters: cluster id of each track, None for noise.
        suggestions: table `suggestions`.
        next_cluster_id: the first id that was never given.
    """

    clusters: Mapping[str, int | None] = field(default_factory=dict)
    suggestions: pl.DataFrame = field(default_factory=lambda: empty("suggestions"))
    next_cluster_id: int = 1


@dataclass(frozen=True)
class LibraryResult:
    """The tables of the library.

    Attributes:
        tables: by name, all of `tables.LIBRARY_TABLES`.
        next_cluster_id: for the run after.
        floor: cosine below which no two unknown tracks were linked.
        floor_method: how it was found, see `core.matching.calibration`.
        grouping: what the next run may take up; null where the method has nothing of the kind.
    """

    tables: dict[str, pl.DataFrame]
    next_cluster_id: int
    floor: float
    floor_method: str
    grouping: Grouping | None = None


@dataclass(frozen=True)
class TakenUp:
    """What of the last library may be taken up: the result is the same without it.

    Attributes:
        grouping: of templates in the same space; null where the method has nothing of the kind.
        changed: keys of tracks whose template is not what it was then.
        clusters: table `unknown_clusters` of the same templates as the grouping.
        matched: the tables of a matching that would be the same now; null where it would not.
    """

    grouping: Grouping | None = None
    changed: frozenset[str] = frozenset()
    clusters: pl.DataFrame | None = None
    matched: Matched | None = None


def build_library(
    templates: pl.DataFrame,
    calibration: pl.DataFrame,
    human: HumanFacts,
    before: Before,
    today: str,
    settings: Settings,
    *,
    beside: Collection[Pair] | None = None,
    taken: TakenUp | None = None,
) -> LibraryResult:
    """Matches the known, groups the rest, suggests.

    Args:
        templates: table `track_templates` of all videos, of one space.
        calibration: see `calibration_of` and `in_space_of_head`.
        human: decisions.
        before: the run before.
        today: ISO date.
        settings: `match` and `cluster`.
        beside: pairs of tracks that share a frame; None: found in `templates`.
        taken: what is taken up of the last library.

    Raises:
        SpaceMismatchError: the tables are of more than one space.
        ContradictoryLinksError: decisions contradict each other.
    """
    templates = in_order(templates)
    if beside is None:
        beside = shared_frame_pairs(templates)
    taken = taken or TakenUp()
    references = _references(templates, human, settings, taken.matched)
    if not templates.height:
        tables = {name: empty(name) for name in ("calibration", "person_assignments")}
        clusters, floor, method = empty("unknown_clusters"), 1.0, "default"
        next_id, grouping = before.next_cluster_id, None
    else:
        thresholds = template_thresholds(calibration, templates["space"][0], settings)
        vectors = template_matrix(templates)
        by = (gallery_of(references), thresholds, human.decisions, settings.match, beside)
        if taken.matched is None:
            assignments = assign(templates, *by, vectors)
        else:
            assignments = assign_again(templates, *by, taken.matched, taken.changed)
        floor, method = merge_floor(thresholds, templates.height, settings)
        apart = [*beside, *human.apart]
        assignments, clusters, next_id, grouping = _group(
            assignments, templates, vectors, apart, before, floor, settings, taken
        )
        tables = {"calibration": calibration, "person_assignments": assignments}
    suggestions = build_suggestions(
        tables["person_assignments"],
        before.suggestions.filter(pl.col("person_id").is_in(sorted(human.people))),
        human.decisions.assigned,
        human.decisions.rejected,
        today,
        settings.match,
    )
    people = people_table(human.people, tables["person_assignments"], templates)
    tables |= {
        "person_references": references,
        "people": people,
        "unknown_clusters": clusters,
        "suggestions": suggestions,
    }
    return LibraryResult(tables, next_id, floor, method, grouping)


def _references(
    templates: pl.DataFrame, human: HumanFacts, settings: Settings, matched: Matched | None
) -> pl.DataFrame:
    if matched is not None:
        return matched.references
    return person_references(templates, human.teaching.assigned, settings.match, human.pinned)


def in_space_of_head(
    calibration: pl.DataFrame,
    templates: pl.DataFrame,
    of_recogniser: pl.DataFrame,
    recogniser: pl.DataFrame,
    decisions: Decisions,
) -> pl.DataFrame:
    """The calibration of a head's space, no laxer than that of the recogniser's.

    Args:
        calibration: of the head's space.
        templates: in it.
        of_recogniser: the calibration of the recogniser's space.
        recogniser: templates in that.
        decisions: about tracks.
    """
    known = set(decisions.assigned)
    same = pl.col("track_key").is_in(templates["track_key"].to_list())
    return no_laxer(
        calibration,
        of_recogniser,
        stranger_pairs(templates, known),
        stranger_pairs(recogniser.filter(same), known),
    )


class Calibrated(NamedTuple):
    """The table `calibration`, and whether pairs of the unknown were looked at for it."""

    table: pl.DataFrame
    cohort: bool


def calibration_of(
    templates: pl.DataFrame,
    pairs: pl.DataFrame,
    samples: pl.DataFrame | Callable[[Collection[str]], pl.DataFrame],
    decisions: Decisions,
    settings: Settings,
    beside: Collection[Pair] | None = None,
) -> Calibrated:
    """The calibration of the templates' space, from each video's pairs and across them.

    Args:
        templates: table `track_templates`.
        pairs: table `calibration_pairs` of the rides of `rides_sampled`; others do not count.
        samples: table `face_samples`, or what reads it of some tracks.
        decisions: about tracks.
        settings: `match`.
        beside: pairs of tracks that share a frame; None: found in `templates`.
    """
    if not templates.height:
        return Calibrated(empty("calibration"), cohort=False)
    keys, match, person_of = templates["track_key"].to_list(), settings.match, decisions.assigned
    own = pairs.filter(pl.col("left_video").is_in(rides_sampled(templates)))

    def together(*, cohort: bool) -> pl.DataFrame:
        compared = {*chain(*tracks_compared(keys, person_of, cohort=cohort))}
        faces = samples if isinstance(samples, pl.DataFrame) else samples(compared)
        across = pairs_across(templates, faces, person_of, match, cohort=cohort, beside=beside)
        return pl.concat([own, across])

    known = together(cohort=False)
    if cohort := wants_cohort(known, match):
        known = together(cohort=True)
    if not known.height:
        return Calibrated(uncalibrated(templates["space"][0], match), cohort)
    return Calibrated(calibrate(known, match), cohort)


def rides_sampled(templates: pl.DataFrame) -> list[str]:
    """Videos of which the pairs within them are calibrated on."""
    return sampled(templates["video_id"].unique().to_list(), RIDES_COMPARED)


def template_thresholds(calibration: pl.DataFrame, space: str, settings: Settings) -> Thresholds:
    """Thresholds between templates."""
    return thresholds_of(calibration, space, "template", settings.match)


def merge_floor(thresholds: Thresholds, tracks: int, settings: Settings) -> tuple[float, str]:
    """The cosine below which unknown tracks are never linked, and how it was found."""
    if settings.cluster.merge_cos is not None:
        return settings.cluster.merge_cos, "pinned"
    value, method = thresholds.points["exclude"].at(1, merge_far(tracks, settings.cluster))
    if value is None:
        raise LookupError(f"level {thresholds.level} has no default; the floor is of templates")
    least = least_of("assign", settings.match, thresholds.space)
    return (value if least is None else max(value, least)), method


def _group(
    assignments: pl.DataFrame,
    templates: pl.DataFrame,
    vectors: Matrix,
    apart: Collection[Pair],
    before: Before,
    floor: float,
    settings: Settings,
    taken: TakenUp,
) -> tuple[pl.DataFrame, pl.DataFrame, int, Grouping | None]:
    """Assignments with clusters, the table `unknown_clusters`, the next id, and the grouping."""
    state = assignments["state"].is_in(GROUPED)  # in the order of the templates: both by key
    keys, rows = templates["track_key"].filter(state).to_list(), np.flatnonzero(state.to_numpy())
    if settings.cluster.method == "agglomerative":
        labels, grouping = regroup(
            keys, vectors, floor, settings.cluster, apart, taken.grouping, taken.changed, rows
        )
    else:
        grouping = None
        labels = cluster_vectors(keys, vectors[rows], floor, settings.cluster, apart=apart)
    carried = carry_over(
        before.clusters,
        dict(zip(keys, labels.tolist(), strict=True)),
        before.next_cluster_id,
        settings.cluster.carry_jaccard,
    )
    clusters = describe_clusters(templates, vectors, carried.of_key, taken.clusters, taken.changed)
    placed = _placed(assignments, carried.of_key, templates["best_face_id"].rechunk())
    return placed, clusters, carried.next_id, grouping


def _placed(
    assignments: pl.DataFrame, of_key: Mapping[str, int | None], best_face: pl.Series
) -> pl.DataFrame:
    """The assignments with the cluster of each grouped track and how every track is displayed.

    Args:
        assignments: by track.
        of_key: cluster of each grouped track.
        best_face: that shows each track, in the order of the assignments.
    """
    keys = assignments["track_key"].to_list()
    own = assignments.with_columns(
        cluster_id=pl.Series([of_key.get(key) for key in keys], dtype=pl.Int64),
        noise=pl.format("unknown_noise_{}", best_face),
    )
    clustered = pl.col("cluster_id").is_not_null()
    shown = pl.when(clustered).then(pl.format("unknown_cluster_{}", "cluster_id"))
    lonely = ~clustered & (pl.col("state") == "unknown")
    return own.with_columns(
        state=pl.when(lonely).then(pl.lit("noise")).otherwise("state"),
        display=pl.when(pl.col("state").is_in(GROUPED))
        .then(shown.otherwise("noise"))
        .otherwise(pl.col("display").fill_null(pl.col("noise"))),
    ).select(list(TABLES["person_assignments"]))
