"""Why the library says who a track is: the rule in words, its numbers, and what would flip it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from identity_pipeline.core.library.recompute import template_thresholds
from identity_pipeline.core.library.suggestions import find_more
from identity_pipeline.core.matching.budget import budget_of, references_of
from identity_pipeline.core.matching.flip import Flip, what_would_flip
from identity_pipeline.core.matching.gallery import gallery_of
from identity_pipeline.settings import Settings
from identity_pipeline.stages.curation.decisions import human_facts
from identity_pipeline.stages.curation.snapshot import (
    AssignmentRow,
    CurationError,
    LibrarySnapshot,
    video_of,
)
from identity_pipeline.stages.library.copies_in_force import copies_of
from identity_pipeline.stages.library.reading import read_inputs
from identity_pipeline.stages.library.recompute import memories_of
from identity_pipeline.stages.library.spaces import head_of_space, settings_of_library
from identity_pipeline.stages.library.unclaimed import unclaimed

RULES = {
    "human_confirmed": "a human said so",
    "best_reference_above_assign": "its best match reaches the threshold of an assignment and "
    "leads the second person",
    "below_assign_above_suggest": "its best match is good enough to ask, not to decide",
    "near_another_person": "its best match reaches the threshold of an assignment, but another "
    "known person is about as near to that person, so it is asked",
    "margin_too_small": "two people are about equally near, so it is asked, not decided",
    "assign_not_proven": "its best match would do, but nothing shows how often a stranger comes as "
    "near, so it is asked, not decided",
    "evidence_rose": "it was turned down before, and resembles the person more now",
    "below_suggest": "nobody known resembles it enough",
    "rejected_before": "a human said that it is not the person whom it resembles most",
    "lost_to_better_in_frame": "the person whom it resembles most is another track of its frame",
    "no_people": "nobody is known yet",
    "ignored": "a human ignores it",
    "not_a_face": "a human said that it is no face",
}
"""The codes of `core.matching.assignment`, in words."""


@dataclass(frozen=True)
class Explanation:
    """Why a track is where it is.

    Attributes:
        track_key: which.
        place: where, in words.
        why: the rule in words.
        row: its row of `person_assignments`.
        person, runner_up: names of the person (also the suggested one) and the second-best one.
        flip: what would change it.
        decision: the event that settled it, in words; null without one.
        outdated: what was decided since the last recompute; null: nothing.
        budget: how many strangers are named at most, in words; null where no score decided.
    """

    track_key: str
    place: str
    why: str
    row: AssignmentRow
    person: str | None
    runner_up: str | None
    flip: Flip
    decision: str | None
    outdated: str | None
    budget: str | None

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


def explain(library: LibrarySnapshot, track_key: str, settings: Settings) -> Explanation:
    """Explains one track.

    Raises:
        CurationError: the library in force does not know it.
    """
    row = library.assignments.get(track_key)
    if row is None and (original := copies_of(library.snapshot).of.get(video_of(track_key))):
        raise CurationError(
            f"{track_key} is of a copy of {original}, which counts in its place; explain the track "
            "there. What was decided about it holds there too."
        )
    if row is None or library.outdated([video_of(track_key)]):
        raise CurationError(
            f"{track_key} is not in the library yet (or its video was processed anew, or it has "
            "too few usable faces); run `identity-pipeline recluster`."
        )
    settings = settings_of_library(library.stores, settings)
    calibration = library.table("calibration")
    space = calibration["space"][0]
    thresholds = template_thresholds(calibration, space, settings)
    references = references_of(library.table("person_references"))
    flip = what_would_flip(row, thresholds, len(references), settings.match)
    scored = row["score"] is not None and row["origin"] in (None, "auto")
    budget = budget_of(calibration, space, references, settings.match) if scored else None
    person, runner_up = (
        who and library.called(who) for who in (row["person_id"], row["runner_up"])
    )
    return Explanation(
        track_key,
        library.place(track_key),
        RULES[row["rule"]],
        row,
        person,
        runner_up,
        flip,
        _decision(library, track_key),
        _since(library, track_key),
        budget.sentence if budget else None,
    )


def _decision(library: LibrarySnapshot, track_key: str) -> str | None:
    for event in library.history.latest_in_force():
        if track_key in event.named_subjects:
            why = f": {event.reason}" if event.reason else ""
            return f"#{event.seq} {event.kind} by {event.actor} at {event.time}{why}"
    return None


def _since(library: LibrarySnapshot, track_key: str) -> str | None:
    """Where the ledger differs from the last recompute."""
    row, state = library.assignments[track_key], library.state
    now = state.assigned.get(track_key)
    was = row["person_id"] if row["origin"] not in (None, "auto") else None
    if was is not None and was in state.people:
        was = state.survivor(was)
    aside = track_key in state.ignored | state.not_faces
    if now == was and aside == (row["state"] in ("ignored", "not_a_face")):
        return None
    place = "nobody's" if now is None else library.called(now)
    return (
        f"{'set aside' if aside else place} by a decision since; run `identity-pipeline recluster`"
    )


def more_of(library: LibrarySnapshot, person_id: str, settings: Settings) -> list[dict[str, Any]]:
    """Tracks of nobody that most resemble a person, the best first.

    Raises:
        CurationError: there is nothing to compare with.
    """
    space = library.generation.space if library.generation else ""
    copies = copies_of(library.snapshot)
    head_id = head_of_space(space)
    inputs = read_inputs(
        library.stores,
        copies,
        head_id=head_id,
        aside=unclaimed(library.stores.layout, library.history),
        memory=memories_of(library.stores).recall(head_id),
    )
    references = library.table("person_references")
    if not references.height or not inputs.templates.height:
        raise CurationError("the library knows nobody yet; run `identity-pipeline recluster`.")
    human = human_facts(library.state, copies.tracks(library.stores.tables, library.history))
    settings = settings_of_library(library.stores, settings)
    thresholds = template_thresholds(library.table("calibration"), inputs.space, settings)
    try:
        found = find_more(
            person_id,
            inputs.templates,
            gallery_of(references),
            thresholds,
            human.decisions,
            inputs.beside,
            settings.match,
        )
    except LookupError as error:
        raise CurationError(
            f"{library.called(person_id)} has no reference; confirm a track and run "
            "`identity-pipeline recluster`."
        ) from error
    return [
        {**row, "place": library.place(row["track_key"])} for row in found.iter_rows(named=True)
    ]
