"""Which tracks are known people: the supervised half of the library.

Human decisions are inputs and never change; everything else is computed anew each time. A track is
a person when its best reference reaches the assign threshold for that person's number of references
and leads the second-best person; between the thresholds it is suggested; one person is in a frame
once. `rule` says why, in one stable code:

`human_confirmed`; `best_reference_above_assign`; `below_assign_above_suggest`,
`near_another_person` (above the threshold by rate, not above what another known person reaches) and
`margin_too_small` (all three suggested); `assign_not_proven` (suggested, because nothing shows how
often the threshold is wrong); `evidence_rose` (suggested again after it was turned down);
`below_suggest`, `rejected_before`, `lost_to_better_in_frame`, `no_people` (unknown); `ignored`;
`not_a_face`.

Conflicts are resolved greedily by falling score. The result is stable: where a track is refused a
person because of the frame, the track that has the person shares a frame with it and scores at
least as high, or a human put it there.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import polars as pl

from identity_pipeline.core.clustering.shared_frames import shared_frame_pairs
from identity_pipeline.core.matching.gallery import NEVER, Gallery, raised
from identity_pipeline.core.matching.templates import template_matrix
from identity_pipeline.core.matching.thresholds import Thresholds
from identity_pipeline.core.vectors import Matrix, same_space
from identity_pipeline.settings import MatchSettings
from identity_pipeline.tables import TABLES

PERSON_ASSIGNMENTS: Final = TABLES["person_assignments"]


@dataclass(frozen=True)
class Decisions:
    """What humans have said about tracks, after merges.

    Attributes:
        assigned: person of each human-assigned track.
        accepted: those of them that were a suggestion.
        rejected: (track, person) that must not be: null for ever, a number until the score has
            risen above it by more than `suggestion_regrow` (then it may be suggested, never
            assigned).
        ignored: tracks that nobody wants to see.
        not_faces: tracks that are none.
    """

    assigned: Mapping[str, str] = field(default_factory=dict)
    accepted: Collection[str] = ()
    rejected: Mapping[tuple[str, str], float | None] = field(default_factory=dict)
    ignored: Collection[str] = ()
    not_faces: Collection[str] = ()


def assign(
    templates: pl.DataFrame,
    gallery: Gallery,
    thresholds: Thresholds,
    decisions: Decisions,
    settings: MatchSettings,
) -> pl.DataFrame:
    """The table `PERSON_ASSIGNMENTS`, one row per template, sorted by track.

    Rows in state `unknown` are left for clustering: `cluster_id` and `display` are null.

    Args:
        templates: table `track_templates`, of one space.
        gallery: the known people, from human-confirmed tracks.
        thresholds: of level `template`.
        decisions: what humans have said.
        settings: margin, regrowth.

    Raises:
        SpaceMismatchError: templates, gallery and thresholds are not of one space.
    """
    ordered = templates.sort("track_key")
    if not ordered.height:
        return pl.DataFrame(schema=PERSON_ASSIGNMENTS)
    spaces = [s for s in (gallery.space,) if s is not None]
    same_space(ordered["space"][0], thresholds.space, *spaces)
    matching = _Matching(ordered, gallery, thresholds, decisions, settings)
    rows = zip(
        ordered.select("track_key", "video_id", "track_id", "rider").to_dicts(),
        matching.solve(),
        strict=True,
    )
    return pl.DataFrame([base | vars(found) for base, found in rows], schema=PERSON_ASSIGNMENTS)


@dataclass(frozen=True)
class _Measured:
    """How a track compares with one person; columns of `PERSON_ASSIGNMENTS`."""

    score: float | None = None
    margin: float | None = None
    runner_up: str | None = None
    reference_count: int | None = None
    nearest: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Outcome(_Measured):
    """The rest of a track's row in `PERSON_ASSIGNMENTS`."""

    state: str = "unknown"
    rule: str = ""
    person_id: str | None = None
    cluster_id: int | None = None
    display: str | None = None
    origin: str | None = None
    threshold: float | None = None


class _Matching:
    """The greedy solution for all tracks at once."""

    def __init__(
        self,
        templates: pl.DataFrame,
        gallery: Gallery,
        thresholds: Thresholds,
        decisions: Decisions,
        settings: MatchSettings,
    ) -> None:
        self.keys: list[str] = templates["track_key"].to_list()
        self.gallery, self.decisions, self.settings = gallery, decisions, settings
        self.unproven = thresholds.unproven is not None
        self.rival_tracks = _rivals(templates, self.keys)
        number, counts = len(gallery.people), gallery.counts
        self.limits = {
            name: np.array([thresholds.at(name, int(n), number) for n in counts])
            for name in ("assign", "suggest")
        }
        self.by_rate = self.limits["assign"]
        self.limits["assign"] = raised(self.by_rate, gallery, thresholds, settings)
        self.references: Matrix = np.zeros((len(self.keys), 0), dtype=np.float32)
        self.scores = self.references
        if number:
            self.references = gallery.reference_scores(template_matrix(templates), self.keys)
            self.scores = gallery.person_scores(self.references)
        self.place = {person: i for i, person in enumerate(gallery.people)}
        self.free = self.scores.copy()  # without the people that are ruled out
        self.blocked: dict[int, str] = {}  # why the best person was ruled out
        self.reopened: set[tuple[int, int]] = set()
        self.holders: dict[int, set[int]] = {}  # tracks of each person
        self._rule_out_rejected()

    def _rule_out_rejected(self) -> None:
        row_of = {key: row for row, key in enumerate(self.keys)}
        for (key, person), evidence in self.decisions.rejected.items():
            row, column = row_of.get(key), self.place.get(person)
            if row is None or column is None:
                continue
            score = float(self.scores[row, column])
            if evidence is not None and score > evidence + self.settings.suggestion_regrow:
                self.reopened.add((row, column))
                continue
            # It only matters where the person could have been suggested.
            if score >= self.limits["suggest"][column]:
                self.blocked[row] = "rejected_before"
            self.free[row, column] = NEVER

    def solve(self) -> list[_Outcome]:
        found = self._decided_by_humans()
        queue = [self._entry(row) for row in range(len(self.keys)) if row not in found]
        heapq.heapify(queue)
        while queue:
            _, _, row, column = heapq.heappop(queue)
            if column is None:
                rule = self.blocked.get(row, "rejected_before") if self.place else "no_people"
                found[row] = _Outcome(rule=rule)
            elif self._taken(row, column):
                if self.free[row, column] >= self.limits["suggest"][column]:
                    self.blocked[row] = "lost_to_better_in_frame"
                self.free[row, column] = NEVER
                heapq.heappush(queue, self._entry(row))
            else:
                found[row] = self._compared(row, column)
                if found[row].state != "unknown":
                    self.holders.setdefault(column, set()).add(row)
        return [found[row] for row in range(len(self.keys))]

    def _decided_by_humans(self) -> dict[int, _Outcome]:
        found: dict[int, _Outcome] = {}
        for row, key in enumerate(self.keys):
            person = self.decisions.assigned.get(key)
            if key in self.decisions.not_faces:
                found[row] = _Outcome(state="not_a_face", rule="not_a_face")
            elif key in self.decisions.ignored:
                found[row] = _Outcome(state="ignored", rule="ignored")
            elif person is not None:
                found[row] = self._confirmed(row, person)
                if person in self.place:
                    self.holders.setdefault(self.place[person], set()).add(row)
        return found

    def _entry(self, row: int) -> tuple[float, str, int, int | None]:
        column = self._best(row)
        score = float(self.free[row, column]) if column is not None else NEVER
        return -score, self.keys[row], row, column

    def _best(self, row: int) -> int | None:
        """The best person not ruled out; ties go to the smaller id."""
        if not self.free.shape[1]:
            return None
        column = int(np.argmax(self.free[row]))
        return column if self.free[row, column] > NEVER else None

    def _taken(self, row: int, column: int) -> bool:
        return not self.holders.get(column, set()).isdisjoint(self.rival_tracks[row])

    def _compared(self, row: int, column: int) -> _Outcome:
        """What follows from the comparison with the best person who is not ruled out."""
        measured = self._measured(row, column, self.free[row])
        score, margin = float(self.free[row, column]), measured.margin
        assign, suggest = (float(self.limits[n][column]) for n in ("assign", "suggest"))
        limit = assign
        if score < suggest:
            state, rule, limit = "unknown", self.blocked.get(row, "below_suggest"), suggest
        elif (row, column) in self.reopened:
            state, rule, limit = "suggested", "evidence_rose", suggest
        elif score < assign:
            state, rule = "suggested", self._why_below(score, column)
        elif margin is not None and margin < self.settings.margin_min:
            state, rule = "suggested", "margin_too_small"
        elif self.unproven:
            state, rule = "suggested", "assign_not_proven"
        else:
            state, rule = "known", "best_reference_above_assign"
        outcome = _Outcome(**vars(measured), state=state, rule=rule, threshold=limit)
        person = self.gallery.people[column]
        if state == "known":
            return replace(outcome, person_id=person, display=f"person_{person}", origin="auto")
        return outcome if state == "unknown" else replace(outcome, person_id=person)

    def _why_below(self, score: float, column: int) -> str:
        """Why a score is below `assign`: by its rate, or because another person is as near."""
        near = score >= self.by_rate[column]
        return "near_another_person" if near else "below_assign_above_suggest"

    def _confirmed(self, row: int, person: str) -> _Outcome:
        column = self.place.get(person)
        measured = _Measured() if column is None else self._measured(row, column, self.scores[row])
        accepted = self.keys[row] in self.decisions.accepted
        return _Outcome(
            **vars(measured),
            state="known",
            rule="human_confirmed",
            person_id=person,
            display=f"person_{person}",
            origin="suggestion_accepted" if accepted else "human",
        )

    def _measured(self, row: int, column: int, scores: np.ndarray) -> _Measured:
        """Score, runner-up and references of a track compared with one person."""
        score = float(scores[column])
        others = np.delete(scores, column)
        rival = int(np.argmax(others)) if others.size and others.max() > NEVER else None
        runner_up = None if rival is None else rival + int(rival >= column)
        known = score > NEVER
        margin = score - float(scores[runner_up]) if known and runner_up is not None else None
        return _Measured(
            score if known else None,
            margin,
            None if runner_up is None else self.gallery.people[runner_up],
            int(self.gallery.counts[column]),
            self.gallery.nearest(self.references[row], column, self.settings.nearest_shown),
        )


def _rivals(templates: pl.DataFrame, keys: list[str]) -> list[set[int]]:
    """Rows that share a frame with each row."""
    row_of = {key: row for row, key in enumerate(keys)}
    rivals: list[set[int]] = [set() for _ in keys]
    for a, b in shared_frame_pairs(templates):
        rivals[row_of[a]].add(row_of[b])
        rivals[row_of[b]].add(row_of[a])
    return rivals
