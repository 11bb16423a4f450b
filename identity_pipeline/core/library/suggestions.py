"""Suggestions to a curator: which are pending, and which must not be made again.

States: `pending`, `accepted`, `rejected`, `expired`. The table is a function of the previous one,
the assignments and the ledger's decisions, so that an undone decision brings a suggestion back as
it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

import numpy as np
import polars as pl

from identity_pipeline.core.clustering.constraints import Pair
from identity_pipeline.core.matching.assignment import Decisions
from identity_pipeline.core.matching.gallery import Gallery
from identity_pipeline.core.matching.templates import template_matrix
from identity_pipeline.core.matching.thresholds import Thresholds
from identity_pipeline.core.vectors import same_space
from identity_pipeline.settings import MatchSettings
from identity_pipeline.tables import TABLES, Schema

SUGGESTIONS: Final = TABLES["suggestions"]
FIND_MORE: Final[Schema] = {
    "track_key": pl.String,
    "video_id": pl.String,
    "rank": pl.Int64,
    "score": pl.Float32,
    "suggestible": pl.Boolean,  # at or above the suggest threshold
}
PAIR: Final = ("track_key", "person_id")
ASKABLE: Final = ("unknown", "noise", "suggested")
"""States of tracks of nobody yet."""


def suggestion_id(track_key: str, person_id: str) -> str:
    """The id of a suggestion: always the same for a track and a person."""
    return hashlib.sha256(f"{track_key}\n{person_id}".encode()).hexdigest()[:16]


def days_after(date: str, days: int) -> str:
    """An ISO date so many days later.

    Raises:
        ValueError: it is no ISO date.
    """
    return str(np.datetime64(date, "D") + np.timedelta64(days, "D"))


class _Past(NamedTuple):
    """A suggestion as it was: columns of `SUGGESTIONS`."""

    state: str
    first_seen: str
    score: float
    evidence: float | None


class _Standing(NamedTuple):
    """What becomes of one suggestion."""

    state: str
    first_seen: str
    evidence: float | None


def build_suggestions(
    assignments: pl.DataFrame,
    previous: pl.DataFrame,
    assigned: Mapping[str, str],
    rejected: Mapping[Pair, float | None],
    today: str,
    settings: MatchSettings,
) -> pl.DataFrame:
    """The table `SUGGESTIONS`, sorted by id.

    A pending one survives a recompute with its id and first day, even when the machine no longer
    asks for it, until it expires or the track is somebody. A rejected one, or one that expired
    by age, comes back only when its score has risen by more than `suggestion_regrow`. Accepting
    one expires its rivals for that track.

    Args:
        assignments: table `PERSON_ASSIGNMENTS`.
        previous: the table before.
        assigned: person of each human-assigned track.
        rejected: (track, person) that humans turned down, as in `Decisions.rejected`: null for
            ever, else the score at which they did.
        today: ISO date.
        settings: days until expiry, and the regrowth.
    """
    open_tracks = set(assignments.filter(pl.col("state").is_in(ASKABLE))["track_key"].to_list())
    before = {
        (key, person): _Past(*row)
        for key, person, *row in previous.select(*PAIR, *_Past._fields).iter_rows()
    }
    wanted = assignments.filter(state="suggested").select(*PAIR, "score")
    asked = {(key, person): score for key, person, score in wanted.iter_rows()}
    rows = []
    for pair in sorted(before.keys() | asked.keys()):
        old, score = before.get(pair), asked.get(pair)
        if assigned.get(pair[0]) == pair[1]:
            standing = _Standing("accepted", _first_seen(old, today), None)
        elif pair in rejected:
            standing = _rejected(old, score, rejected[pair], today, settings)
        elif pair[0] in open_tracks:
            standing = _open(old, score, today, settings)
        else:
            standing = _moot(old, today)
        shown = asked[pair] if pair in asked else before[pair].score
        standing = _aged(standing, shown, today, settings)
        rows.append(
            {
                "suggestion_id": suggestion_id(*pair),
                "track_key": pair[0],
                "person_id": pair[1],
                "score": shown,
                "expires": days_after(standing.first_seen, settings.suggestion_days),
                **standing._asdict(),
            }
        )
    return pl.DataFrame(rows, schema=SUGGESTIONS).sort("suggestion_id")


def has_risen(score: float | None, evidence: float | None, settings: MatchSettings) -> bool:
    """Whether a score lies above the evidence by more than the stated amount."""
    if score is None or evidence is None:
        return False
    return score > evidence + settings.suggestion_regrow


def _first_seen(old: _Past | None, today: str) -> str:
    return old.first_seen if old else today


def _rejected(
    old: _Past | None, score: float | None, evidence: float | None, today: str, s: MatchSettings
) -> _Standing:
    first = _first_seen(old, today)
    if has_risen(score, evidence, s):
        reopened = old is None or old.state != "pending"
        return _Standing("pending", today if reopened else first, evidence)
    if evidence is None:
        evidence = old.evidence if old and old.state == "rejected" else score
        evidence = evidence if evidence is not None or old is None else old.score
    return _Standing("rejected", first, evidence)


def _moot(old: _Past | None, today: str) -> _Standing:
    """The track is somebody, or gone: closed without evidence, so that it may open again."""
    if old is None:
        return _Standing("expired", today, None)
    return _Standing("expired", old.first_seen, _age_evidence(old))


def _open(old: _Past | None, score: float | None, today: str, s: MatchSettings) -> _Standing:
    if old is None:
        return _Standing("pending", today, None)
    evidence = _age_evidence(old)
    if evidence is None or has_risen(score, evidence, s):
        first = old.first_seen if evidence is None else today
        return _Standing("pending", first, None)
    return _Standing("expired", old.first_seen, evidence)


def _age_evidence(old: _Past) -> float | None:
    """The score at which a suggestion expired by age."""
    return old.evidence if old.state == "expired" else None


def _aged(standing: _Standing, score: float, today: str, s: MatchSettings) -> _Standing:
    """A pending one is closed on the day after its last."""
    last = days_after(standing.first_seen, s.suggestion_days)
    if standing.state == "pending" and np.datetime64(today, "D") > np.datetime64(last, "D"):
        return _Standing("expired", standing.first_seen, score)
    return standing


def find_more(
    person_id: str,
    templates: pl.DataFrame,
    gallery: Gallery,
    thresholds: Thresholds,
    decisions: Decisions,
    beside: Collection[Pair],
    settings: MatchSettings,
) -> pl.DataFrame:
    """Tracks of nobody that most resemble a person, the best first: the table `FIND_MORE`.

    Human-assigned, ignored and rejected tracks are left out, and those that share a frame with a
    track that a human gave to the person, by the pairs `beside`, and all below the `exclude`
    threshold.

    Raises:
        LookupError: the person has no reference.
        SpaceMismatchError: templates, gallery and thresholds are not of one space.
    """
    if person_id not in gallery.people:
        raise LookupError(f"{person_id} has no confirmed track to compare with; label one first")
    column, number = gallery.people.index(person_id), len(gallery.people)
    count = int(gallery.counts[column])
    out = _out_of_question(person_id, beside, decisions)
    ordered = templates.filter(~pl.col("track_key").is_in(sorted(out))).sort("track_key")
    if not ordered.height:
        return pl.DataFrame(schema=FIND_MORE)
    same_space(ordered["space"][0], thresholds.space, *([gallery.space] if gallery.space else []))
    scores = gallery.person_scores(gallery.reference_scores(template_matrix(ordered)))[:, column]
    return (
        ordered.select("track_key", "video_id")
        .with_columns(score=pl.Series(scores, dtype=pl.Float32))
        .filter(pl.col("score") >= thresholds.at("exclude", count, number))
        .sort(["score", "track_key"], descending=[True, False])
        .head(settings.find_more_max)
        .with_columns(
            rank=pl.int_range(1, pl.len() + 1, dtype=pl.Int64),
            suggestible=pl.col("score") >= thresholds.at("suggest", count, number),
        )
        .select(list(FIND_MORE))
    )


def _out_of_question(person_id: str, pairs: Collection[Pair], decisions: Decisions) -> set[str]:
    """Tracks that humans have decided about, or that are seen beside the person."""
    own = {key for key, person in decisions.assigned.items() if person == person_id}
    beside = {other for a, b in pairs for one, other in ((a, b), (b, a)) if one in own}
    refused = {key for key, person in decisions.rejected if person == person_id}
    return {*decisions.assigned, *decisions.ignored, *decisions.not_faces, *beside, *refused}
