"""The queue of a curator: what is open in the library now, and where they are in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import polars as pl

from identity_pipeline.core.library.recompute import template_thresholds
from identity_pipeline.core.matching.assignment import Decisions
from identity_pipeline.core.review.alike import alike_people, nearest_outside
from identity_pipeline.core.review.questions import (
    NOBODY_NEAR,
    Bars,
    Facts,
    Question,
    questions,
)
from identity_pipeline.ledger.state import LibraryState
from identity_pipeline.settings import Settings
from identity_pipeline.stages.curation.decisions import human_facts
from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
from identity_pipeline.stages.desk.places import Place
from identity_pipeline.stages.library.copies_in_force import copies_of
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.video.tables import MissingTableError

Alike = Sequence[tuple[str, str, float]]
LOOKED_AT: Final = 2000
"""So many tracks of nobody are compared with each other for the order of questions; chosen: their
rides are read in about two seconds."""
_VECTORS: Final = ("track_key", "video_id", "space", "template")


def bars_of(library: LibrarySnapshot, settings: Settings) -> Bars | None:
    """The thresholds of the generation in force; null where none is known."""
    calibration = library.table("calibration")
    spaces = calibration["space"].drop_nulls().unique().to_list()
    references = library.table("person_references")["space"].drop_nulls().unique().to_list()
    space = next(iter([*references, *sorted(spaces)]), None)
    if space is None:
        return None
    try:
        at = template_thresholds(calibration, space, settings).at
        return Bars(at("exclude"), at("suggest"), at("assign"))
    except LookupError:
        return None


def alike_in(library: LibrarySnapshot, bars: Bars | None) -> Alike:
    """People of the generation in force who may be one; it is the same for the same generation."""
    if bars is None:
        return ()
    return alike_people(library.table("person_references"), bars.assign)


def facts_of(library: LibrarySnapshot) -> Facts:
    """What humans decided up to now."""
    placed = copies_of(library.snapshot).tracks(library.stores.tables, library.history)
    return facts_in(human_facts(library.state, placed).decisions, library.state)


def facts_in(said: Decisions, state: LibraryState) -> Facts:
    """The same of decisions in terms of tracks.

    Args:
        said: the decisions.
        state: of the ledger, which says whom people were merged into.
    """
    two = {
        (min(one, other), max(one, other))
        for (track, other), evidence in said.rejected.items()
        if evidence is None and (one := said.assigned.get(track)) is not None and one != other
    }
    return Facts(
        assigned=said.assigned,
        settled=frozenset({*said.assigned, *said.ignored, *said.not_faces}),
        refused=said.rejected,
        survivor={key: state.survivor(key) for key in state.people},
        two_people=frozenset(two),
    )


def outside_in(library: LibrarySnapshot, bars: Bars | None) -> dict[str, float]:
    """What resembles tracks of nobody outside their group; the same for the same generation.

    Of more than `LOOKED_AT` such tracks nothing is read: each ride is a file.
    """
    rows = library.table("person_assignments").filter(pl.col("person_id").is_null())
    if bars is None or not 0 < rows.height <= LOOKED_AT:
        return {}
    parts = []
    for video_id in rows["video_id"].unique().sort():
        try:
            parts.append(library.stores.tables.read("track_templates", video_id, _VECTORS))
        except (MissingTableError, DamagedFileError):
            continue
    if not parts:
        return {}
    templates = pl.concat(parts).join(rows, on="track_key", how="semi")
    spaces = templates["space"].value_counts(sort=True)["space"]
    own = templates.filter(pl.col("space") == spaces[0]) if len(spaces) else templates
    groups = dict(rows.select("track_key", "cluster_id").iter_rows())
    return nearest_outside(own.drop("space"), groups)


def open_questions(
    library: LibrarySnapshot,
    settings: Settings,
    bars: Bars | None,
    alike: Alike,
    outside: Mapping[str, float] = NOBODY_NEAR,
) -> list[Question]:
    """Everything that is open, in order; see `core.review.questions`."""
    return questions(
        library.table("person_assignments"),
        library.table("suggestions"),
        library.table("unknown_clusters"),
        alike,
        facts_of(library),
        bars,
        settings.match.suggestion_regrow,
        outside,
    )


@dataclass(frozen=True)
class Queue:
    """The questions in the order in which one curator sees them.

    Attributes:
        questions: those that were put off come last.
        done: answered before these, since nothing was open.
    """

    questions: tuple[Question, ...]
    done: int

    @classmethod
    def of(cls, found: Sequence[Question], place: Place) -> Queue:
        """What is open, as a curator has it before them."""
        seen, later = set(place.seen), {key: n for n, key in enumerate(place.later)}
        open_now = [one for one in found if one.key not in seen]
        fresh = [one for one in open_now if one.key not in later]
        put_off = sorted(
            (one for one in open_now if one.key in later), key=lambda one: later[one.key]
        )
        return cls((*fresh, *put_off), place.done)

    def find(self, key: str) -> int | None:
        """Where a question is; null where it is not open (any more)."""
        return next((n for n, one in enumerate(self.questions) if one.key == key), None)

    def current(self, place: Place) -> int:
        """Where the curator is: at the question last shown, else at the first."""
        return self.find(place.shown) or 0

    def __len__(self) -> int:
        """How many are open."""
        return len(self.questions)

    @property
    def total(self) -> int:
        """How many there were, with those that are answered."""
        return self.done + len(self.questions)


def answered(place: Place, queue: Queue) -> Place:
    """The place after an answer; it begins anew where nothing is open."""
    return replace(place, done=place.done + 1 if len(queue) else 0)
