"""What a page shows beside a question: its tracks, who they may be, who else, and why it is asked.

What belongs here: pictures by their faces, scores in words, sentences. What does not: which
questions there are (`core.review.questions`), and drawing (`faces`, `frames`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.review.questions import Bars, Question
from identity_pipeline.core.review.words import likeness_in_words
from identity_pipeline.core.vectors import normalise
from identity_pipeline.ledger import subjects as ids
from identity_pipeline.media.dates import video_date
from identity_pipeline.stages.curation.snapshot import LibrarySnapshot, video_of
from identity_pipeline.stages.desk.drawing import NoPictureError
from identity_pipeline.stages.desk.faces import Face
from identity_pipeline.stages.desk.frames import FramePictures
from identity_pipeline.stages.library.explanation import RULES
from identity_pipeline.storage.video.tables import MissingTableError

TILES: Final = 60
"""Tracks of a batch that are shown, the least similar first, others are counted; chosen."""
NEAREST: Final = 3
"""Confirmed faces of a candidate beside the question; chosen."""
COMPARED: Final = 24
"""Of a person, so many confirmed tracks at most are compared for the nearest; chosen."""


@dataclass(frozen=True)
class Track:
    """A track as a tile shows it.

    Attributes:
        key: of the ledger.
        face: by which it is shown; null where its table is gone.
        faces: how many it has; null where that is not known.
        score: cosine to whom it is compared with; null: it is not.
        likeness: the same in words.
        day: when it was taken, by the file; null where the file does not say.
    """

    key: str
    face: Face | None
    faces: int | None
    score: float | None
    likeness: str
    day: str | None

    @property
    def video_id(self) -> str:
        """The ride or photo set."""
        return video_of(self.key)

    @property
    def short(self) -> str:
        """The track as `label` takes it."""
        return self.key.removeprefix("track:")


@dataclass(frozen=True)
class Side:
    """A known person beside a question.

    Attributes:
        person_id, name: who.
        score, likeness: of the question's first track to them.
        tracks: their nearest confirmed ones.
        size: how many confirmed tracks they have.
    """

    person_id: str
    name: str
    score: float | None
    likeness: str
    tracks: Sequence[Track]
    size: int


@dataclass(frozen=True)
class Asked:
    """A question as its page shows it.

    Attributes:
        question: which.
        headline: the question.
        why: why it is asked, in a sentence.
        tracks: its first ones.
        more: how many there are besides.
        candidate, rival: known people.
        beside: who else is in the frame of the first track, in words; empty: nobody.
    """

    question: Question
    headline: str
    why: str
    tracks: Sequence[Track]
    more: int
    candidate: Side | None
    rival: Side | None
    beside: str

    @property
    def whole(self) -> tuple[str, ...]:
        """All tracks."""
        return self.question.tracks


def asked(
    library: LibrarySnapshot, question: Question, bars: Bars | None, frames: FramePictures
) -> Asked:
    """Everything that the page of a question shows."""
    keys = question.tracks[:TILES]
    tracks = tracks_shown(library, keys, dict(zip(keys, question.scores, strict=False)), bars)
    row = _row(library, keys[0] if keys else None)
    candidate, rival = _sides(library, question, row, bars)
    named = candidate.name if candidate else "", rival.name if rival else ""
    headline, why = _words(question, named, row["rule"] if row else None)
    beside = _beside(library, tracks[0].face, frames) if tracks else ""
    more = len(question.tracks) - len(keys)
    return Asked(question, headline, why, tracks, more, candidate, rival, beside)


def _sides(
    library: LibrarySnapshot,
    question: Question,
    row: Mapping[str, Any] | None,
    bars: Bars | None,
) -> tuple[Side | None, Side | None]:
    """The candidate and the rival, each by what they face: the first track, or each other."""
    if question.kind == "same" and question.person_id and question.rival_id:
        mine = vectors_of(library, _members(library, question.person_id))
        other = vectors_of(library, _members(library, question.rival_id))
        one = _side(library, question.person_id, other, question.score, bars)
        return one, _side(library, question.rival_id, mine, question.score, bars)
    facing = vectors_of(library, question.tracks[:1])
    measured = row is not None and None not in (row["score"], row["margin"])
    beaten = row["score"] - row["margin"] if row and measured else None
    candidate = _side(library, question.person_id, facing, question.score, bars)
    return candidate, _side(library, question.rival_id, facing, beaten, bars)


def tracks_shown(
    library: LibrarySnapshot,
    keys: Sequence[str],
    scores: Mapping[str, float | None],
    bars: Bars | None,
) -> list[Track]:
    """Tracks as tiles, in the order in which they are given."""
    known = {
        row["track_key"]: row
        for row in library.templates(map(video_of, keys)).iter_rows(named=True)
    }
    days = {video: day_of_ride(library, video) for video in set(map(video_of, keys))}
    found = []
    for key in keys:
        row, score = known.get(key), scores.get(key)
        face = Face(row["video_id"], row["best_face_id"]) if row else None
        faces = row["face_count"] if row else None
        words = likeness_in_words(score, bars) if score is not None else ""
        found.append(Track(key, face, faces, score, words, days[video_of(key)]))
    return found


def day_of_ride(library: LibrarySnapshot, video_id: str) -> str | None:
    """When a ride was filmed, by its file; null where it says nothing, and for photographs."""
    records = library.stores.videos.readable([video_id])
    path = next((Path(record.path) for record in records), None)
    return _day(path, path.stat().st_mtime_ns) if path and path.is_file() else None


@lru_cache(maxsize=4096)
def _day(path: Path, changed: int) -> str | None:
    del changed  # it is part of the cache's key
    return video_date(path)


def _row(library: LibrarySnapshot, key: str | None) -> Mapping[str, Any] | None:
    """The row of a track in `person_assignments`."""
    rows = library.table("person_assignments").filter(pl.col("track_key") == key)
    return rows.row(0, named=True) if rows.height else None


def _members(library: LibrarySnapshot, person_id: str) -> Sequence[str]:
    """Some confirmed tracks of a person that can be compared."""
    own = library.state.members.get(person_id, ())
    return [key for key in own if not ids.parse(key).lost][:COMPARED]


_Vectors = Mapping[str, tuple[str, NDArray[np.float32]]]
"""Track -> the space of its template, and the template."""


def vectors_of(library: LibrarySnapshot, keys: Iterable[str]) -> _Vectors:
    """The templates of tracks; of a table that is gone there is nothing."""
    wanted, found = set(keys), {}
    for video_id in sorted(set(map(video_of, wanted))):
        try:
            table = library.stores.tables.read(
                "track_templates", video_id, ("track_key", "space", "template")
            )
        except MissingTableError:
            continue
        for key, space, vector in table.iter_rows():
            if key in wanted:
                found[key] = space, normalise(np.array([vector], dtype=np.float32))[0]
    return found


def _side(
    library: LibrarySnapshot,
    person_id: str | None,
    facing: _Vectors,
    score: float | None,
    bars: Bars | None,
) -> Side | None:
    """A person, with those of their confirmed tracks that are nearest to what they face."""
    if person_id is None or person_id not in library.state.people:
        return None
    person = library.survivor(person_id)
    mine = vectors_of(library, _members(library, person))
    scores: dict[str, float | None] = dict.fromkeys(mine)
    for key, (space, vector) in mine.items():
        cosines = [float(vector @ other) for there, other in facing.values() if there == space]
        scores[key] = max(cosines, default=None)
    order = sorted(mine, key=lambda key: (-(scores[key] or -1.0), key))[:NEAREST]
    tracks = tracks_shown(library, order, scores, bars)
    size = len(library.state.members.get(person, ()))
    name = library.called(person)
    return Side(person, name, score, likeness_in_words(score, bars), tracks, size)


def _words(question: Question, named: tuple[str, str], rule: str | None) -> tuple[str, str]:
    """The question, and why it is asked."""
    (name, rival), number = named, len(question.tracks)
    many = f"{number} tracks" if number > 1 else "One track"
    because = RULES.get(rule or "", "it was asked before")
    nearer = f"{rival} is nearer" if rival else f"it does not look like {name}"
    given = "was given to them" if number == 1 else "were given to them"
    likely = f"They resemble {name} most." if name else "Nobody known resembles them enough."
    return {
        "conflict": (f"Is this {name} after all?", f"Somebody said {name}, but {nearer}."),
        "same": (
            f"Are {name} and {rival} one person?",
            "They look so alike that they may be one.",
        ),
        "suggestion": (f"Is this {name}?", f"{many}; {because}."),
        "automatic": (
            f"Is this {name}?",
            f"{many} {given} by the machine alone: {because}.",
        ),
        "cluster": (
            "Who is this?",
            f"{many} that look like one person nobody has named. {likely}",
        ),
        "alone": ("Who is this?", f"A rider whose track is in no group. {likely}"),
    }[question.kind]


def _beside(library: LibrarySnapshot, face: Face | None, frames: FramePictures) -> str:
    """Who else is in the frame, from left to right."""
    if face is None:
        return ""
    try:
        there = frames.faces_in_frame(face)
    except (NoPictureError, MissingTableError):
        return ""
    others = [_who(library, one.track_key) for one in there if not one.asked]
    return ", ".join(others)


def _who(library: LibrarySnapshot, key: str | None) -> str:
    person = library.state.assigned.get(key or "")
    if person is not None:
        return library.called(person)
    row = _row(library, key)
    if row and row["origin"] == "auto" and row["person_id"]:
        return f"{library.called(row['person_id'])} (by the machine)"
    return "somebody unnamed"


def faces_to_come(library: LibrarySnapshot, questions: Collection[Question]) -> list[Face]:
    """The first faces of the questions that follow."""
    keys = [question.tracks[0] for question in questions if question.tracks]
    return [track.face for track in tracks_shown(library, keys, {}, None) if track.face]
