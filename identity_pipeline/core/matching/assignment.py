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
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from identity_pipeline.core.clustering.shared_frames import shared_frame_pairs
from identity_pipeline.core.matching.gallery import NEVER, Gallery, raised
from identity_pipeline.core.matching.templates import in_order, template_matrix
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
    beside: Collection[tuple[str, str]] | None = None,
    vectors: Matrix | None = None,
) -> pl.DataFrame:
    """The table `PERSON_ASSIGNMENTS`, one row per template, sorted by track.

    Rows in state `unknown` are left for clustering: `cluster_id` and `display` are null.

    Args:
        templates: table `track_templates`, of one space.
        gallery: the known people, from human-confirmed tracks.
        thresholds: of level `template`.
        decisions: what humans have said.
        settings: margin, regrowth.
        beside: pairs of tracks that share a frame, where they are known already.
        vectors: (N, D) the templates by track, where they are a matrix already.

    Raises:
        SpaceMismatchError: templates, gallery and thresholds are not of one space.
    """
    ordered = in_order(templates)
    if not ordered.height:
        return pl.DataFrame(schema=PERSON_ASSIGNMENTS)
    spaces = [s for s in (gallery.space,) if s is not None]
    same_space(ordered["space"][0], thresholds.space, *spaces)
    pairs = shared_frame_pairs(ordered) if beside is None else beside
    if vectors is None:
        vectors = template_matrix(ordered)
    keys = ordered["track_key"].to_list()
    matching = _Matching(keys, vectors, gallery, thresholds, decisions, settings, pairs)
    base = ordered.select("track_key", "video_id", "track_id", "rider")
    found = matching.solve()
    return base.with_columns(found.columns).select(
        pl.col(name).cast(dtype) for name, dtype in PERSON_ASSIGNMENTS.items()
    )


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
    display: str | None = None
    origin: str | None = None
    threshold: float | None = None


@dataclass(frozen=True)
class _Rows:
    """The outcome of N rows, column by column; see `_Outcome`. Not a number is null."""

    state: NDArray[np.object_]
    rule: NDArray[np.object_]
    person_id: NDArray[np.object_]
    display: NDArray[np.object_]
    origin: NDArray[np.object_]
    runner_up: NDArray[np.object_]
    nearest: NDArray[np.object_]
    score: NDArray[np.float64]
    margin: NDArray[np.float64]
    threshold: NDArray[np.float64]
    reference_count: NDArray[np.float64]

    @classmethod
    def of(cls, number: int) -> _Rows:
        """Of so many rows, all null."""
        words = (np.full(number, None, dtype=object) for _ in range(7))
        numbers = (np.full(number, np.nan) for _ in range(4))
        return cls(*words, *numbers)

    def put(self, row: int, outcome: _Outcome) -> None:
        """Sets one row."""
        for name in self.__dataclass_fields__:
            value = getattr(outcome, name)
            column = getattr(self, name)
            column[row] = np.nan if value is None and column.dtype != object else value

    def nearest_of(
        self,
        rows: NDArray[np.int64],
        gallery: Gallery,
        references: Matrix,
        column: NDArray[np.int64],
        most: int,
    ) -> None:
        """Sets the nearest references of some rows, each compared with the person in a column."""
        order = np.argsort(column, kind="stable")
        cuts = np.flatnonzero(np.diff(column[order])) + 1
        for part in np.split(order, cuts):
            several = gallery.nearest_of_many(references[rows[part]], int(column[part[0]]), most)
            for row, names in zip(rows[part].tolist(), several, strict=True):
                self.nearest[row] = names

    @property
    def columns(self) -> list[pl.Series]:
        """As columns of `PERSON_ASSIGNMENTS`."""
        words = ("state", "rule", "person_id", "display", "origin", "runner_up")
        numbers = ("score", "margin", "threshold", "reference_count")
        return [
            *(pl.Series(name, getattr(self, name).tolist(), pl.String) for name in words),
            *(pl.Series(name, getattr(self, name)).fill_nan(None) for name in numbers),
            _lists("nearest", self.nearest.tolist()),
            pl.Series("cluster_id", [None] * len(self.state), pl.Int64),
        ]


def _lists(name: str, rows: list[list[str]]) -> pl.Series:
    """A column of lists; Polars would make a series of each row, for seconds in a large library."""
    flat = pl.DataFrame(
        {
            "row": np.repeat(np.arange(len(rows)), [len(row) for row in rows]),
            name: pl.Series(list(chain.from_iterable(rows)), dtype=pl.String),
        }
    )
    every = pl.DataFrame({"row": np.arange(len(rows))})
    several = flat.group_by("row").agg(name)
    found = every.join(several, on="row", how="left", maintain_order="left")[name]
    return found.fill_null(pl.Series([[]], dtype=pl.List(pl.String)))


class _Matching:
    """The greedy solution for all tracks at once."""

    def __init__(
        self,
        keys: list[str],
        vectors: Matrix,
        gallery: Gallery,
        thresholds: Thresholds,
        decisions: Decisions,
        settings: MatchSettings,
        beside: Collection[tuple[str, str]],
    ) -> None:
        self.keys = keys
        self.gallery, self.decisions, self.settings = gallery, decisions, settings
        self.unproven = thresholds.unproven is not None
        self.row_of = {key: row for row, key in enumerate(self.keys)}
        self.rivals = _rivals(self.row_of, beside)
        number, counts = len(gallery.people), gallery.counts
        # People with as many references share their thresholds, which take long to compute.
        several, which = np.unique(counts, return_inverse=True)
        self.limits = {
            name: np.array([thresholds.at(name, n, number) for n in several.tolist()])[which]
            for name in ("assign", "suggest")
        }
        self.by_rate = self.limits["assign"]
        self.limits["assign"] = raised(self.by_rate, gallery, thresholds, settings)
        self.references: Matrix = np.zeros((len(self.keys), 0), dtype=np.float32)
        self.scores = self.references
        if number:
            self.references = gallery.reference_scores(vectors, keys)
            self.scores = gallery.person_scores(self.references)
        self.place = {person: i for i, person in enumerate(gallery.people)}
        self.free = self.scores.copy()  # without the people that are ruled out
        self.blocked: dict[int, str] = {}  # why the best person was ruled out
        self.reopened: set[tuple[int, int]] = set()
        self.holders: dict[int, set[int]] = {}  # tracks of each person
        self._rule_out_rejected()

    def _rule_out_rejected(self) -> None:
        for (key, person), evidence in self.decisions.rejected.items():
            row, column = self.row_of.get(key), self.place.get(person)
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

    def solve(self) -> _Rows:
        """The outcome of each row.

        Rows whose best person no rival asks for are independent of all others and are told
        together; the few others, and those of a ride with such a row, one after the other.
        """
        rows = _Rows.of(len(self.keys))
        decided = self._decided_by_humans()
        for row, outcome in decided.items():
            rows.put(row, outcome)
        undecided = np.ones(len(self.keys), dtype=bool)
        undecided[list(decided)] = False
        best = self._best_of_all()
        single = undecided & self._single(best)
        alone = undecided & (best >= 0) & ~single
        self._told_together(rows, np.flatnonzero(alone), best)
        for row, outcome in self._one_by_one(np.flatnonzero(single | (undecided & (best < 0)))):
            rows.put(row, outcome)
        return rows

    def _best_of_all(self) -> NDArray[np.int64]:
        """The best person of each row who is not ruled out; -1 where there is none."""
        if not self.free.shape[1]:
            return np.full(len(self.keys), -1, dtype=np.int64)
        best = self.free.argmax(axis=1)
        return np.where(self.free[np.arange(len(best)), best] > NEVER, best, -1)

    def _single(self, best: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Rows that cannot be told from their best person alone, or that share a ride with one."""
        single = np.zeros(len(self.keys), dtype=bool)
        single[[*self.blocked, *(row for row, _ in self.reopened)]] = True
        if not len(self.rivals):
            return single
        wanted = best.copy()
        asks = best >= 0
        there = np.flatnonzero(asks)
        asks[there] = self._scores_of(there, best[there]) >= self.limits["suggest"][best[there]]
        for column, several in self.holders.items():
            wanted[list(several)], asks[list(several)] = column, True
        one, other = self.rivals.T
        clash = (wanted[one] == wanted[other]) & (wanted[one] >= 0) & (asks[one] | asks[other])
        ones = np.ones(len(one), dtype=np.int8)
        graph = coo_array((ones, (one, other)), shape=(len(best), len(best)))
        ride = connected_components(graph, directed=False)[1]
        return single | np.isin(ride, ride[one[clash]])

    def _scores_of(
        self, rows: NDArray[np.int64], columns: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        return self.free[rows, columns].astype(np.float64)

    def _one_by_one(self, rows: NDArray[np.int64]) -> Iterator[tuple[int, _Outcome]]:
        beside = self._rivals_of(rows)
        queue = [self._entry(row) for row in beside]
        heapq.heapify(queue)
        while queue:
            _, _, row, column = heapq.heappop(queue)
            if column is None:
                rule = self.blocked.get(row, "rejected_before") if self.place else "no_people"
                yield row, _Outcome(rule=rule)
            elif not self.holders.get(column, set()).isdisjoint(beside[row]):
                if self.free[row, column] >= self.limits["suggest"][column]:
                    self.blocked[row] = "lost_to_better_in_frame"
                self.free[row, column] = NEVER
                heapq.heappush(queue, self._entry(row))
            else:
                outcome = self._compared(row, column)
                if outcome.state != "unknown":
                    self.holders.setdefault(column, set()).add(row)
                yield row, outcome

    def _rivals_of(self, rows: NDArray[np.int64]) -> dict[int, set[int]]:
        """Rows that share a frame with each of some."""
        found: dict[int, set[int]] = {row: set() for row in rows.tolist()}
        for one, other in (*self.rivals.tolist(), *self.rivals[:, ::-1].tolist()):
            if one in found:
                found[one].add(other)
        return found

    def _told_together(self, rows: _Rows, of: NDArray[np.int64], best: NDArray[np.int64]) -> None:
        """As `_compared`, of many rows with their best person."""
        if not len(of):
            return
        column = best[of]
        score = self._scores_of(of, column)
        others = self.free[of]
        others[np.arange(len(of)), column] = NEVER
        second = others.argmax(axis=1)
        of_second = others[np.arange(len(of)), second].astype(np.float64)
        rival = of_second > NEVER
        assign, suggest = self.limits["assign"][column], self.limits["suggest"][column]
        margin = np.where(rival, score - np.where(rival, of_second, 0.0), np.nan)
        near = score >= self.by_rate[column]
        cases = [
            (score < suggest, "unknown", "below_suggest"),
            ((score < assign) & near, "suggested", "near_another_person"),
            (score < assign, "suggested", "below_assign_above_suggest"),
            (rival & (margin < self.settings.margin_min), "suggested", "margin_too_small"),
            (np.full(len(of), self.unproven), "suggested", "assign_not_proven"),
        ]
        case = np.select([holds for holds, *_ in cases], range(len(cases)), len(cases))
        states = np.array([*(state for _, state, _ in cases), "known"], dtype=object)[case]
        rows.state[of] = states
        rows.rule[of] = np.array(
            [*(rule for *_, rule in cases), "best_reference_above_assign"], dtype=object
        )[case]
        people = np.array(self.gallery.people, dtype=object)
        known, nobody = states == "known", states == "unknown"
        rows.score[of] = score
        rows.margin[of] = margin
        rows.threshold[of] = np.where(nobody, suggest, assign)
        rows.runner_up[of[rival]] = people[second[rival]]
        rows.reference_count[of] = self.gallery.counts[column]
        rows.person_id[of[~nobody]] = people[column[~nobody]]
        rows.display[of[known]] = "person_" + people[column[known]]
        rows.origin[of[known]] = "auto"
        rows.nearest_of(of, self.gallery, self.references, column, self.settings.nearest_shown)

    def _decided_by_humans(self) -> dict[int, _Outcome]:
        found: dict[int, _Outcome] = {}
        said = {*self.decisions.not_faces, *self.decisions.ignored, *self.decisions.assigned}
        for row in sorted(self.row_of[key] for key in said if key in self.row_of):
            key = self.keys[row]
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
            self.gallery.nearest_of_many(
                self.references[row : row + 1], column, self.settings.nearest_shown
            )[0],
        )


def _rivals(row_of: Mapping[str, int], beside: Collection[tuple[str, str]]) -> NDArray[np.int64]:
    """Pairs of rows (M, 2) that share a frame."""
    rows = [(row_of[a], row_of[b]) for a, b in beside if a in row_of and b in row_of]
    return np.array(rows, dtype=np.int64).reshape(-1, 2)
