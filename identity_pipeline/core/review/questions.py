"""The questions to a curator, and their order: what settles most, with the fewest clicks, first.

One question is answered by one action, whatever number of tracks it settles. Its worth is that
number times the chance that the answer changes where they are, for each key that the answer is
expected to take: a yes is one, a name several, and who differs from the others of a batch is
selected one by one.
What the machine has placed by itself changes only if it was wrong; what waits for an answer changes
if the answer is yes; a group that nobody resembles is whole as it is, named or not, while one that
others resemble draws them after it once it has a name. Contradictions come before everything else.

========== ================================================== ==================================
kind       tracks                                             chance that the answer changes them
========== ================================================== ==================================
conflict   one that a human gave to a person while another    1
           person, or nobody, is nearer
suggestion all that are suggested as one person               that they are, by their scores
cluster    an unknown group                                   that they are the candidate, or that
                                                              something outside is one with them
same       those of the smaller of two people who may be one  that they are one, by the score
automatic  all that the machine gave to one person by itself  that they are not, by the room above
                                                              the threshold
alone      one of a rider that is in no group                 as for a cluster
========== ================================================== ==================================

The chance that two are one is 0.1 (`LEAST`) at a cosine of `exclude` and 1 at `assign`, and rises
evenly between: a rule, chosen, not a calibrated probability.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import polars as pl

LEAST: Final = 0.1
"""Chance that is never gone below; chosen: such questions are asked last, but they are asked."""
NAMING_CLICKS: Final = 6
"""Keys that it takes to say a name: `n`, four letters and Enter; chosen."""
KINDS: Final = ("conflict", "suggestion", "cluster", "same", "automatic", "alone")
"""Every kind; of equal worth the earlier one comes first."""
Pair = tuple[str, str]
NOBODY_NEAR: Final[Mapping[str, float]] = MappingProxyType({})
"""Where it is not known what resembles tracks outside their group."""


@dataclass(frozen=True)
class Bars:
    """Cosines between templates from which the library acts, with one reference.

    Attributes:
        exclude, suggest, assign: see `core.matching.thresholds`.
    """

    exclude: float
    suggest: float
    assign: float

    def chance(self, score: float | None) -> float:
        """How likely two of this cosine are one person, in [`LEAST`, 1]; `LEAST` where unknown."""
        if score is None:
            return LEAST
        width = max(self.assign - self.exclude, 1e-6)
        place = min(max((score - self.exclude) / width, 0.0), 1.0)
        return LEAST + (1 - LEAST) * place


@dataclass(frozen=True)
class Facts:
    """What humans have decided up to now, in terms of present tracks.

    Attributes:
        assigned: track -> person.
        settled: tracks with a place by human decision, and those set aside.
        refused: (track, person) -> score at which it was declined; null: rejected for ever.
        survivor: person of the tables -> person in force; who is missing is no more.
        two_people: pairs of people, ascending, of whom it was said that they are two.
    """

    assigned: Mapping[str, str] = field(default_factory=dict)
    settled: Collection[str] = frozenset()
    refused: Mapping[Pair, float | None] = field(default_factory=dict)
    survivor: Mapping[str, str] = field(default_factory=dict)
    two_people: Collection[Pair] = frozenset()


@dataclass(frozen=True)
class Question:
    """One question.

    Attributes:
        key: the same as long as kind, people and tracks are.
        kind: of `KINDS`.
        tracks: track keys; the least similar first, so that what does not belong is seen at once.
        person_id: the candidate; null where nobody known is near.
        rival_id: the next best person, or the other one of `same` and `conflict`.
        score: cosine of the least similar track to the candidate; null without one.
        chance: that the answer changes where the tracks are, in [0, 1].
        clicks: keys that an answer is expected to take, at least 1.
        cluster_id: of a cluster.
        scores: of the tracks, in their order; null where there is none.
        size: tracks that it is about where it names none: those of the smaller of two people.
    """

    key: str
    kind: str
    tracks: tuple[str, ...]
    person_id: str | None
    rival_id: str | None
    score: float | None
    chance: float
    clicks: float = 1.0
    cluster_id: int | None = None
    scores: tuple[float | None, ...] = ()
    size: int | None = None

    @property
    def worth(self) -> float:
        """Tracks that one key is expected to settle."""
        return (self.size or len(self.tracks) or 1) * self.chance / self.clicks


def key_of(kind: str, people: Iterable[str | None], tracks: Iterable[str]) -> str:
    """The key of a question: of its kind, its people, and its tracks in any order."""
    parts = "\n".join([kind, *(who or "" for who in people), "", *sorted(tracks)])
    return hashlib.sha256(parts.encode()).hexdigest()[:16]


def ordered(questions: Iterable[Question]) -> list[Question]:
    """Conflicts first, then by falling worth; of equals by kind and key."""
    return sorted(
        questions,
        key=lambda q: (q.kind != "conflict", -round(q.worth, 6), KINDS.index(q.kind), q.key),
    )


def questions(
    assignments: pl.DataFrame,
    suggestions: pl.DataFrame,
    clusters: pl.DataFrame,
    alike: Iterable[tuple[str, str, float]],
    facts: Facts,
    bars: Bars | None,
    regrow: float,
    outside: Mapping[str, float] = NOBODY_NEAR,
) -> list[Question]:
    """Everything that is open, in order.

    What was answered is asked again only where its evidence rose: a declined suggestion when its
    score did, by more than `regrow`; a rejected one never; the others when their tracks are others,
    which makes them another question.

    Args:
        assignments: table `person_assignments`.
        suggestions: table `suggestions`.
        clusters: table `unknown_clusters`.
        alike: two people and the cosine of their nearest references, each pair once.
        facts: what humans decided, also since these tables were computed.
        bars: thresholds; null where none is known: then nothing is compared.
        regrow: setting `match.suggestion_regrow`.
        outside: of tracks of nobody, the cosine of the nearest one that is in another group.
    """
    open_rows = assignments.filter(~pl.col("track_key").is_in(sorted(facts.settled)))
    nearest = _nearest_people(open_rows, facts, bars)
    found: list[Question] = []
    if bars is not None:
        found += _conflicts(assignments, facts, bars)
        asked = _suggestions(suggestions, open_rows, facts, bars, regrow)
        found += asked
        found += _same(alike, facts, bars)
        found += _automatic(open_rows, facts)
    else:
        asked = []
    taken = {track for question in asked for track in question.tracks}
    about = _About(nearest, outside, bars)
    found += _clusters(clusters, open_rows, about, taken)
    found += _alone(open_rows, about, taken)
    return ordered(found)


def _conflicts(assignments: pl.DataFrame, facts: Facts, bars: Bars) -> list[Question]:
    """Confirmed tracks that are nearer to somebody else, or like nobody's."""
    confirmed = pl.col("origin").is_in(["human", "suggestion_accepted"])
    wrong = (pl.col("margin").fill_null(0.0) < 0) | (pl.col("score") < bars.exclude)
    rows = assignments.filter(confirmed & pl.col("score").is_not_null() & wrong)
    found = (_conflict(row, facts) for row in rows.iter_rows(named=True))
    return [question for question in found if question]


def _conflict(row: Mapping[str, Any], facts: Facts) -> Question | None:
    """One; null where it was moved, set aside, or said to be so since."""
    track, person = row["track_key"], facts.survivor.get(row["person_id"] or "")
    if person is None or facts.assigned.get(track) != person:
        return None
    rival = facts.survivor.get(row["runner_up"] or "")
    if rival == person or (row["margin"] or 0.0) >= 0:
        rival = None
    if rival is not None and (track, rival) in facts.refused:
        return None
    key, score = key_of("conflict", (person, rival), (track,)), row["score"]
    return Question(key, "conflict", (track,), person, rival, score, 1.0, scores=(score,))


def _suggestions(
    suggestions: pl.DataFrame, open_rows: pl.DataFrame, facts: Facts, bars: Bars, regrow: float
) -> list[Question]:
    """For each person one question with all tracks that may be theirs."""
    rivals = dict(open_rows.select("track_key", "runner_up").iter_rows())
    pending = suggestions.filter(pl.col("state") == "pending")
    groups: dict[str, list[tuple[float, str]]] = {}
    for track, person_id, score in pending.select("track_key", "person_id", "score").iter_rows():
        person = facts.survivor.get(person_id)
        if person and track in rivals and not _refused(track, person, score, facts, regrow):
            groups.setdefault(person, []).append((score, track))
    return [
        _suggestion(person, sorted(members), rivals, facts, bars)
        for person, members in groups.items()
    ]


def _suggestion(
    person: str,
    members: Sequence[tuple[float, str]],
    rivals: Mapping[str, str | None],
    facts: Facts,
    bars: Bars,
) -> Question:
    scores, tracks = tuple(score for score, _ in members), tuple(track for _, track in members)
    own = sum(map(bars.chance, scores))
    chance, clicks = own / len(scores), 1 + min(own, len(scores) - own)
    rival = facts.survivor.get(rivals[tracks[0]] or "")
    key = key_of("suggestion", (person,), tracks)
    beside = rival if rival != person else None
    return Question(
        key, "suggestion", tracks, person, beside, scores[0], chance, clicks, scores=scores
    )


def _refused(track: str, person: str, score: float, facts: Facts, regrow: float) -> bool:
    """Whether a human turned it down, and nothing has risen since."""
    if (track, person) not in facts.refused:
        return False
    evidence = facts.refused[track, person]
    return evidence is None or score <= evidence + regrow


def _same(alike: Iterable[tuple[str, str, float]], facts: Facts, bars: Bars) -> list[Question]:
    """Two people as near as a track must be to be named as one of them without asking."""
    found: dict[str, Question] = {}
    sizes = Counter(facts.assigned.values())
    for one, other, score in alike:
        both = sorted({facts.survivor.get(one, ""), facts.survivor.get(other, "")} - {""})
        if score < bars.assign or len(both) < 2 or (both[0], both[1]) in facts.two_people:
            continue
        key = key_of("same", both, ())
        size = min(sizes[who] for who in both) or 1
        chance = bars.chance(score)
        found[key] = Question(key, "same", (), both[0], both[1], score, chance, size=size)
    return list(found.values())


def _automatic(open_rows: pl.DataFrame, facts: Facts) -> list[Question]:
    """What the machine gave to each person by itself, as far as it may be wrong."""
    room = (pl.col("score") - pl.col("threshold")) / (1 - pl.col("threshold")).clip(1e-6)
    rows = (
        open_rows.filter((pl.col("origin") == "auto") & pl.col("threshold").is_not_null())
        .with_columns(doubt=(1 - room).clip(0, 1) / 2)
        .sort("score", "track_key")
    )
    groups: dict[str, list[tuple[float, str, float, str | None]]] = {}
    wanted = rows.select("track_key", "person_id", "score", "doubt", "runner_up")
    for track, person_id, score, doubt, rival in wanted.iter_rows():
        person = facts.survivor.get(person_id or "")
        if person is not None and (track, person) not in facts.refused:
            groups.setdefault(person, []).append((score, track, doubt, rival))
    found = []
    for person, members in groups.items():
        tracks = tuple(track for _, track, _, _ in members)
        rival = facts.survivor.get(members[0][3] or "")
        doubt = sum(one[2] for one in members) / len(members)
        key, scores = key_of("automatic", (person,), tracks), tuple(one[0] for one in members)
        found.append(
            Question(key, "automatic", tracks, person, rival, members[0][0], doubt, scores=scores)
        )
    return found


_Near = Mapping[str, tuple[str, float]]
"""Track -> the known person whom it resembles most, and how much; none below `exclude`."""


def _nearest_people(open_rows: pl.DataFrame, facts: Facts, bars: Bars | None) -> _Near:
    """Who unknown tracks resemble most, of people with a confirmed track."""
    if bars is None:
        return {}
    rows = open_rows.filter(pl.col("person_id").is_null() & (pl.col("score") >= bars.exclude))
    found: dict[str, tuple[str, float]] = {}
    for track, nearest, score in rows.select("track_key", "nearest", "score").iter_rows():
        person = next((facts.assigned[key] for key in nearest or () if key in facts.assigned), None)
        if person is not None and (track, person) not in facts.refused:
            found[track] = person, score
    return found


@dataclass(frozen=True)
class _About:
    """What is known of tracks of nobody."""

    nearest: _Near
    outside: Mapping[str, float]
    bars: Bars | None

    def yes(self, scores: Sequence[float | None]) -> float:
        """That a group is its candidate; 0 without one. Who is not like them speaks against it."""
        if self.bars is None:
            return 0.0
        compared = [self.bars.chance(score) for score in scores if score is not None]
        return sum(compared) / len(scores)

    def outside_too(self, tracks: Sequence[str]) -> float:
        """That something outside a group is one with it."""
        if self.bars is None:
            return 1.0
        near = max((self.outside[t] for t in tracks if t in self.outside), default=None)
        return self.bars.chance(near)


def _clusters(
    clusters: pl.DataFrame, open_rows: pl.DataFrame, about: _About, taken: Collection[str]
) -> list[Question]:
    """Unknown groups, without what is settled or asked as somebody."""
    there = set(open_rows["track_key"].to_list()) - set(taken)
    found = []
    for number, tracks in clusters.select("cluster_id", "tracks").iter_rows():
        members = [track for track in tracks if track in there]
        if members:
            found.append(_unknown("cluster", members, about, number))
    return found


def _alone(open_rows: pl.DataFrame, about: _About, taken: Collection[str]) -> list[Question]:
    """Tracks of riders that are in no group."""
    rows = open_rows.filter(
        pl.col("cluster_id").is_null()
        & pl.col("state").is_in(["noise", "suggested", "unknown"])
        & pl.col("rider").is_not_null()
    )
    keys = (track for track in rows["track_key"].to_list() if track not in taken)
    return [_unknown("alone", [track], about, None) for track in keys]


def _unknown(kind: str, members: Sequence[str], about: _About, number: int | None) -> Question:
    """Who are these? The candidate is whom most of them resemble, if anybody."""
    nearest = about.nearest
    people = [nearest[track][0] for track in members if track in nearest]
    person = max(sorted(set(people)), key=people.count) if people else None
    own = {t: nearest[t][1] for t in members if t in nearest and nearest[t][0] == person}
    tracks = tuple(sorted(members, key=lambda track: (own.get(track, -1.0), track)))
    scores = tuple(own.get(track) for track in tracks)
    score = min(own.values()) if own else None
    yes = about.yes(scores)
    chance, clicks = max(yes, about.outside_too(members)), yes + (1 - yes) * NAMING_CLICKS
    key = key_of(kind, (), members)
    return Question(key, kind, tracks, person, None, score, chance, clicks, number, scores)
