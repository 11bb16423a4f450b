"""Profiles of known people, kept in step with the ledger: what was confirmed goes in, once.

A video of which every confirmed track was taken off a person again is withdrawn, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from identity_pipeline.core.identity_profile import (
    OLD_SOURCE,
    Enrichment,
    IdentityProfile,
    NewEmbeddings,
)
from identity_pipeline.core.templates import track_key, usable_faces
from identity_pipeline.core.thresholds import thresholds_of
from identity_pipeline.core.vectors import to_matrix
from identity_pipeline.settings import Settings
from identity_pipeline.stages.progress import Progress, silent
from identity_pipeline.stages.spaces import faces_in_space
from identity_pipeline.storage.generations import Generations
from identity_pipeline.storage.profiles import ProfileStore
from identity_pipeline.storage.registry import VideoRegistry
from identity_pipeline.storage.snapshots import Snapshot
from identity_pipeline.storage.tables import Manifest, TableStore

HUMAN = ("human", "suggestion_accepted")


@dataclass(frozen=True)
class ProfileChanges:
    """What a run did to the profiles.

    Attributes:
        enriched: reports of sources that were added, by person.
        withdrawn: (person_id, source) that were taken out.
        labels: `Name (N embeddings, k sessions)` of all profiles, by name.
    """

    enriched: tuple[Enrichment, ...]
    withdrawn: tuple[tuple[str, str], ...]
    labels: tuple[str, ...]


def sync_profiles(
    store: TableStore, settings: Settings, today: str, progress: Progress = silent
) -> ProfileChanges:
    """Brings every profile in step with the library's generation in force.

    Args:
        store: the tables.
        settings: `match`.
        today: ISO date.
        progress: called per person.

    Raises:
        NoGenerationError: the library was never computed.
    """
    with Generations(store.layout).open() as snapshot:
        return _synced(store, snapshot, settings, today, progress)


def _synced(
    store: TableStore, snapshot: Snapshot, settings: Settings, today: str, progress: Progress
) -> ProfileChanges:
    """Brings every profile in step with one generation."""
    profiles = ProfileStore(store.layout)
    assignments, people = snapshot.table("person_assignments"), snapshot.table("people")
    confirmed = assignments.filter(pl.col("state") == "known", pl.col("origin").is_in(HUMAN))
    contents = {record.video_id: record.sha256 for record in VideoRegistry(store.layout).all()}
    threshold, space = _threshold(snapshot, settings), snapshot.space
    enriched: list[Enrichment] = []
    withdrawn: list[tuple[str, str]] = []
    for n, person in enumerate(people.iter_rows(named=True), 1):
        own = confirmed.filter(pl.col("person_id") == person["person_id"])
        sources = _sources(store, own, contents, space)
        known = profiles.get(person["person_id"])
        for source in _stale(known, sources, space):
            profiles.withdraw(person["person_id"], source)
            withdrawn.append((person["person_id"], source))
        name = person["name"] or f"person_{person['person_id']}"
        for _, new in sorted(sources.items()):
            report = profiles.enrich(person["person_id"], name, new, threshold, today)
            enriched += [report] if report.action != "unchanged" else []
        progress("profiles", n, people.height, "people")
    there = set(people["person_id"])
    for gone in [profile for profile in profiles.all() if profile.person_id not in there]:
        for source in _stale(gone, {}, space):
            profiles.withdraw(gone.person_id, source)
            withdrawn.append((gone.person_id, source))
    fingerprint = snapshot.generation.fingerprint
    snapshot.note("identity_profiles", Manifest(fingerprint, fingerprint, people.height))
    return ProfileChanges(tuple(enriched), tuple(withdrawn), tuple(profiles.listing()))


def _sources(
    store: TableStore, own: pl.DataFrame, contents: dict[str, str], space: str
) -> dict[str, NewEmbeddings]:
    """What each video gives of a person's confirmed tracks, by the video's content."""
    found: dict[str, NewEmbeddings] = {}
    for video_id in sorted(set(own["video_id"]) & set(contents)):
        source = contents[video_id]
        new = _embeddings(store, video_id, source, set(own["track_key"]), space)
        if new is not None and new.space == space:
            found[source] = new
    return found


def _stale(
    known: IdentityProfile | None, sources: dict[str, NewEmbeddings], space: str
) -> list[str]:
    """Sources that are no more, are of another model, or have other faces than before.

    Statistics from before sources were told apart stay: nothing could make them anew.
    """
    if known is None:
        return []
    other_model = known.space not in (None, space)
    return sorted(
        source
        for source in set(known.sources) - {OLD_SOURCE}
        if other_model
        or source not in sources
        or _held(known, source) != len(sources[source].face_ids)
    )


def _held(profile: IdentityProfile, source: str) -> int:
    """How many embeddings of a source a profile knows, quarantined ones among them."""
    moments = profile.sources[source].moments
    kept_out = sum(quarantined.source == source for quarantined in profile.quarantined)
    return (moments.count if moments else 0) + kept_out


def _threshold(snapshot: Snapshot, settings: Settings) -> float:
    """The cosine to a person's direction below which an embedding is quarantined."""
    if settings.match.quarantine_cos is not None:
        return settings.match.quarantine_cos
    calibration = snapshot.table("calibration")
    if not calibration.height:
        return settings.match.default_exclude
    space = str(calibration["space"][0])
    return thresholds_of(calibration, space, "probe", settings.match).at("exclude")


def _embeddings(
    store: TableStore, video_id: str, source: str, tracks: set[str], space: str
) -> NewEmbeddings | None:
    """Usable faces of some tracks of a video, in the library's space; None when there is none."""
    faces = usable_faces(faces_in_space(store, video_id, space))
    wanted = [track_key(video_id, t) in tracks for t in faces["track_id"].to_list()]
    own = faces.filter(pl.Series(wanted, dtype=pl.Boolean))
    if not own.height:
        return None
    return NewEmbeddings(
        source,
        own["space"][0],
        own["face_id"].to_list(),
        to_matrix(own["e_id"]),
        own["quality_score"].to_list(),
    )
