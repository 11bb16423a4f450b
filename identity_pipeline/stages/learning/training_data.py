"""The training set from the ledger: faces of the tracks that humans confirmed, of all videos."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from identity_pipeline.core.heads.training_set import (
    Sufficiency,
    sufficiency,
    teaching_faces,
    worth_labelling,
)
from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.ledger import subjects
from identity_pipeline.ledger.replay import History
from identity_pipeline.settings import Settings
from identity_pipeline.stages.curation.consents import Asked
from identity_pipeline.stages.curation.decisions import human_facts
from identity_pipeline.stages.curation.settling import settle_ledger
from identity_pipeline.stages.library.copies_in_force import copies_in_force
from identity_pipeline.stages.library.spaces import read_video
from identity_pipeline.stages.progress.protocol import Progress, silent
from identity_pipeline.stages.specs.damage import PassedOver
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.library.snapshots import NoGenerationError
from identity_pipeline.tables import empty


class TooLittleToLearnError(IdentityPipelineError, ValueError):
    """There are too few labels for a training; the sentence says which to add."""


def confirmed_tracks(stores: LibraryStores, history: History, settings: Settings) -> dict[str, str]:
    """The person of each track that humans confirmed and that may be learned from.

    What humans set aside is left out, and so is whom nobody may learn from for want of consent. A
    ride and its copy teach once: see `stages.library.copies`.
    """
    placed = copies_in_force(stores).tracks(stores.tables, history)
    decisions = human_facts(history.state, placed).decisions
    aside = {*decisions.ignored, *decisions.not_faces}
    aside |= untaught(stores, history, settings)
    return {key: who for key, who in sorted(decisions.assigned.items()) if key not in aside}


def untaught(stores: LibraryStores, history: History, settings: Settings) -> frozenset[str]:
    """Confirmed tracks that nobody may learn from, for want of consent."""
    placed = copies_in_force(stores).tracks(stores.tables, history)
    assigned = human_facts(history.state, placed).decisions.assigned
    return Asked.of(stores, history.state, settings).withheld(assigned, "training")


def build_training_set(
    stores: LibraryStores, settings: Settings, now: str, progress: Progress = silent
) -> pl.DataFrame:
    """The table `training_set`: all confirmed tracks' faces, thinned and split.

    Videos whose tables cannot be read teach nothing, and the log names them.

    Args:
        stores: of the data folder.
        settings: `train`.
        now: ISO time with a zone, for the ledger where a video was processed anew.
        progress: called per video.

    Raises:
        SpaceMismatchError: confirmed tracks are of more than one recogniser.
    """
    history = settle_ledger(stores, now)
    person_of = confirmed_tracks(stores, history, settings)
    by_video: dict[str, dict[str, str]] = {}
    for key, person in person_of.items():
        by_video.setdefault(subjects.parse(key).video_id, {})[key] = person
    there = sorted(set(by_video) & set(stores.tables.videos_with("track_templates")))
    parts, passed_over = [empty("training_set")], PassedOver()
    for n, video_id in enumerate(there, 1):
        with passed_over.reading(video_id):
            video = read_video(stores.tables, video_id)
            parts.append(teaching_faces(video, by_video[video_id], settings.train))
        progress("training set", n, len(there), "videos")
    return pl.concat(parts).sort("person_id", "track_key", "face_id")


def check_enough(
    stores: LibraryStores, training_set: pl.DataFrame, settings: Settings
) -> Sufficiency:
    """What a training has.

    Raises:
        TooLittleToLearnError: it is too little; says what is missing and what to label next.
        SpaceMismatchError: the faces are of more than one recogniser.
    """
    found = sufficiency(training_set, settings.train)
    if found.missing:
        raise TooLittleToLearnError(
            f"There is too little to learn from: {'; '.join(found.missing)}. {_advice(stores)}"
        )
    return found


def _advice(stores: LibraryStores) -> str:
    try:
        with stores.generations.open() as snapshot:
            clusters = snapshot.table("unknown_clusters")
    except NoGenerationError:
        return "Run `identity-pipeline recluster`, then label the largest clusters."
    numbers = worth_labelling(clusters)
    if not numbers:
        return "No unknown cluster is left to label: more rides of known people are needed."
    named = ", ".join(f"cluster {n}" for n in numbers)
    return (
        f"Label next: {named} (of the most videos); for instance `identity-pipeline label cluster "
        f"{numbers[0]} --name NAME`."
    )


def teaching_counts(found: Sufficiency) -> Mapping[str, int]:
    """What taught, for the head's card."""
    return {
        "people": found.people,
        "tracks": found.tracks,
        "faces": found.faces,
        "videos": found.videos,
    }


def present_labels(stores: LibraryStores, settings: Settings) -> tuple[dict[str, str], str]:
    """The person of each confirmed track by the ledger alone, and the hash of its state."""
    history = stores.ledger.history()
    return confirmed_tracks(stores, history, settings), history.state.people_hash


def taught_without_consent(stores: LibraryStores, settings: Settings) -> frozenset[str]:
    """Tracks of the last training set that nobody may learn from any more."""
    if not settings.consent.required:
        return frozenset()
    history = stores.ledger.history()
    return untaught(stores, history, settings) & last_taught(stores).keys()


def withheld_labels(stores: LibraryStores, settings: Settings) -> int:
    """How many confirmed tracks nobody may learn from, for want of consent."""
    return len(untaught(stores, stores.ledger.history(), settings))


def last_taught(stores: LibraryStores) -> dict[str, str]:
    """The person of each confirmed track in the last training set; empty before the first."""
    sessions = stores.trainings
    last = sessions.last()
    if last is None:
        return {}
    table = sessions.training_set(last).select("track_key", "person_id").unique()
    return dict(table.iter_rows())
