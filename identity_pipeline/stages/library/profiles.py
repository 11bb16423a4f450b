"""Profiles of known people, kept in step with the ledger: they are what was confirmed, exactly.

A profile that cannot be read, that nothing can be added to, or of which a video is damaged or its
tables are gone, is named and left; the others are brought in step. Only a human decision takes a
video out of a profile.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from identity_pipeline.core.library.identity_profile import (
    OLD_SOURCE,
    PHOTOS,
    RIDE,
    Enrichment,
    NewEmbeddings,
    ProfileError,
)
from identity_pipeline.core.matching.templates import track_key, usable_faces
from identity_pipeline.core.matching.thresholds import thresholds_of
from identity_pipeline.core.vectors import to_matrix
from identity_pipeline.ledger import subjects
from identity_pipeline.settings import Settings, chosen
from identity_pipeline.stages.curation.consents import Asked
from identity_pipeline.stages.library.recompute import left_out
from identity_pipeline.stages.library.spaces import (
    FACE_TABLES,
    faces_in_space,
    head_of_space,
    pack_of_space,
)
from identity_pipeline.stages.progress.protocol import Progress, silent
from identity_pipeline.stages.specs.assets import VIDEO_SPECS
from identity_pipeline.stages.specs.cache_key import deciding_settings
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.files.hashing import sha256_of_value
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.library.profile_labels import profile_labels
from identity_pipeline.storage.library.snapshots import Snapshot
from identity_pipeline.storage.video.tables import Manifest, MissingTableError, TableStore

HUMAN = ("human", "suggestion_accepted")
GATED = "face_quality"
"""The output that says which faces pass the gates."""
STEP = "identity_profiles"
NAMED = 5
"""People who are named where a video holds up the profiles of several."""
CODE_VERSION = "2"
"""Raise it with every change of what `core.library.identity_profile` computes."""


@dataclass(frozen=True)
class ProfileChanges:
    """What a run did to the profiles.

    Attributes:
        enriched: reports of sources that were added, by person.
        withdrawn: (person_id, source) that were taken out.
        labels: `Name (N embeddings, k sessions)` of all profiles, by name.
        left: why a profile was left as it is, a sentence each.
    """

    enriched: tuple[Enrichment, ...]
    withdrawn: tuple[tuple[str, str], ...]
    labels: tuple[str, ...]
    left: tuple[str, ...] = ()


def in_step(stores: LibraryStores) -> bool:
    """Whether profiles were made of the generation in force, all can be read, and none is gone."""
    noted = stores.generations.noted(STEP)
    found = profile_labels(stores.layout)
    return noted is not None and not found.faults and found.count == noted.rows


def sync_profiles(
    stores: LibraryStores, settings: Settings, today: str, progress: Progress = silent
) -> ProfileChanges:
    """Brings every profile in step with the library's generation in force.

    Args:
        stores: of the data folder.
        settings: `match` and `retention`.
        today: ISO date or time, noted in profiles that grow.
        progress: called per person.

    Raises:
        NoGenerationError: the library was never computed.
    """
    if settings.retention.profiles == "ephemeral":
        stores.profiles.remove_all()
        return ProfileChanges((), (), ())
    with stores.generations.open() as snapshot:
        return _synced(stores, snapshot, settings, today, progress)


def _synced(
    stores: LibraryStores, snapshot: Snapshot, settings: Settings, today: str, progress: Progress
) -> ProfileChanges:
    """Brings every profile in step with one generation."""
    profiles = stores.profiles
    assignments, people = snapshot.table("person_assignments"), snapshot.table("people")
    confirmed = assignments.filter(pl.col("state") == "known", pl.col("origin").is_in(HUMAN))
    confirmed, refused = _consenting(stores, settings, confirmed)
    contents = contents_of(stores)
    threshold = quarantine_below(snapshot.table("calibration"), settings)
    space = snapshot.space
    enriched: list[Enrichment] = []
    withdrawn = [(person, source) for person in refused for source in profiles.drop(person)]
    left: list[str] = []
    held: dict[str, list[str]] = {}

    aside, unread = _with_damaged_videos(stores), _without_tables(stores)

    def put(person_id: str, name: str, own: pl.DataFrame) -> None:
        if person_id in aside:
            held.setdefault(aside[person_id], []).append(name)
            return
        try:
            inputs = _inputs(stores.tables, own, contents, space, threshold, settings)
            known = profiles.get(person_id)
            kept = set(known.sources if known else ())
            lost = [v for v in unread.get(person_id, ()) if contents.get(v) in kept]
            if lost:
                left.append(_stays(stores, name, lost))
                return
            if known is not None and (known.made_of, known.name) == (inputs, name):
                return
            sources = list(_sources(stores, own, contents, space).values())
            change = profiles.put_in_step(
                person_id,
                name,
                space,
                sources,
                threshold,
                today,
                inputs,
                model_of(stores, space),
                gate_version(stores.tables, sorted(set(own["video_id"])), settings),
            )
        except (ProfileError, DamagedFileError, MissingTableError) as error:
            left.append(str(error))
            return
        enriched.extend(change.added)
        withdrawn.extend((person_id, source) for source in change.withdrawn)

    for n, person in enumerate(people.iter_rows(named=True), 1):
        own = confirmed.filter(pl.col("person_id") == person["person_id"])
        name = person["name"] or f"person_{person['person_id']}"
        put(person["person_id"], name, own)
        progress("profiles", n, people.height, "people")
    there = set(people["person_id"])
    for gone in profiles.all(left):
        if gone.person_id not in there and set(gone.sources) - {OLD_SOURCE}:
            put(gone.person_id, gone.name, confirmed.clear())
    left += [_held_up(sorted(names), why) for why, names in held.items()]
    if not left:  # else the next run tries again
        fingerprint = snapshot.generation.fingerprint
        count = profile_labels(stores.layout).count
        snapshot.note(STEP, Manifest(fingerprint, fingerprint, count))
    return ProfileChanges(
        tuple(enriched), tuple(withdrawn), tuple(profiles.listing()), tuple(sorted(set(left)))
    )


def _consenting(
    stores: LibraryStores, settings: Settings, confirmed: pl.DataFrame
) -> tuple[pl.DataFrame, list[str]]:
    """Confirmed tracks of people who may have a profile, and those who may not have any."""
    person_of: dict[str, str] = dict(confirmed.select("track_key", "person_id").iter_rows())
    withheld = Asked.now(stores, settings).withheld(person_of, "profile")
    kept = confirmed.filter(~pl.col("track_key").is_in(sorted(withheld)))
    return kept, sorted(set(confirmed["person_id"]) - set(kept["person_id"]))


def _with_damaged_videos(stores: LibraryStores) -> dict[str, str]:
    """People with a confirmed track of a video that cannot be read now, and why.

    Without that video their profile would lose it, and get it back when it can be read again.
    """
    history = stores.ledger.history()
    damaged = left_out(stores, history)
    broken = {**stores.videos.damaged(), **stores.photos.damaged()}
    damaged |= {v: str(error) for v, error in broken.items()}
    if not damaged:
        return {}
    members = history.state.members
    videos = ((p, subjects.parse(s).video_id) for p, several in members.items() for s in several)
    return {person: damaged[video] for person, video in videos if video in damaged}


def _without_tables(stores: LibraryStores) -> dict[str, list[str]]:
    """By person, the videos of their confirmed tracks whose tables are not there at all.

    So it is after a backup was restored into an empty folder: the profile has what was learned of
    those videos, and may be the last that has.
    """
    there = stores.tables.videos_with("track_templates")
    members = stores.ledger.history().state.members
    named = {p: {subjects.parse(s).video_id for s in several} for p, several in members.items()}
    return {person: sorted(videos.difference(there)) for person, videos in named.items()}


def _held_up(names: list[str], why: str) -> str:
    *others, last = names[:NAMED]
    more = f", and {len(names) - NAMED} more," if len(names) > NAMED else ""
    if not others:
        return f"The profile of {last} stays as it is: {why}"
    return f"The profiles of {', '.join(others)} and {last}{more} stay as they are: {why}"


def _stays(stores: LibraryStores, name: str, lost: list[str]) -> str:
    rides = [one for one in lost if not stores.photos.is_set(one)]
    photos = [stores.photos.mending_command(one) for one in lost if one not in rides]
    again = [f"run {'that video' if len(rides) == 1 else 'those videos'} again"] if rides else []
    again += [f"`{command}`" for command in photos]
    return (
        f"The profile of {name} stays as it is: the tables of {', '.join(lost)} are gone; "
        f"{' and '.join(again)}"
    )


def _inputs(
    store: TableStore,
    own: pl.DataFrame,
    contents: dict[str, str],
    space: str,
    threshold: float | None,
    settings: Settings,
) -> str:
    """Hash of all that a person's profile is made of, without reading a table."""
    videos = sorted(set(own["video_id"]) & set(contents))
    return sha256_of_value(
        {
            "code": CODE_VERSION,
            "gates": gate_version(store, videos, settings),
            "space": space,
            "threshold": threshold,
            "tracks": sorted(own["track_key"].to_list()),
            "videos": [[contents[v], store.versions(FACE_TABLES, v)] for v in videos],
        }
    )


def contents_of(stores: LibraryStores) -> dict[str, str]:
    """SHA-256 of the content of every ride and every photo set, by id."""
    rides = {record.video_id: record.sha256 for record in stores.videos.all()}
    return {**rides, **{one.set_id: one.sha256 for one in stores.photos.all()}}


def gate_version(store: TableStore, videos: Sequence[str], settings: Settings) -> str | None:
    """Digest of the settings that gate and choose faces, as exports name it.

    None where faces of some of these videos were gated by others, or nobody noted by which.
    """
    spec = VIDEO_SPECS[GATED]
    now = chosen(settings, spec.settings)
    for video_id in videos:
        made = (store.made_of(GATED, video_id) or {}).get("settings", {})
        if any(made.get(name) != json.loads(json.dumps(value)) for name, value in now.items()):
            return None
    return deciding_settings(settings, emphasised=False)[:12]


def model_of(stores: LibraryStores, space: str) -> str | None:
    """The recogniser of a space by name, with the head on it; None where the space does not say."""
    head_id = head_of_space(space)
    of = stores.heads.card(head_id).input_space if head_id else space
    names = pack_of_space(of)
    return None if names is None else "/".join(names) + (f" + head {head_id}" if head_id else "")


def _sources(
    stores: LibraryStores, own: pl.DataFrame, contents: dict[str, str], space: str
) -> dict[str, NewEmbeddings]:
    """What each video gives of a person's confirmed tracks, by the video's content."""
    found: dict[str, NewEmbeddings] = {}
    for video_id in sorted(set(own["video_id"]) & set(contents)):
        source = contents[video_id]
        new = _embeddings(stores, video_id, source, set(own["track_key"]), space)
        if new is not None and new.space == space:
            found[source] = new
    return found


def quarantine_below(calibration: pl.DataFrame, settings: Settings) -> float | None:
    """The cosine to a person's direction below which an embedding is quarantined; null: none is.

    Only faces that were measured can judge faces: what is both as far as two people are and
    farther than nearly all of a person's own faces. Rounded down to hundredths, so that a label
    more does not have all profiles made anew.

    Args:
        calibration: table `calibration`.
        settings: `match`.
    """
    if settings.match.quarantine_cos is not None:
        return settings.match.quarantine_cos
    if not calibration.height:
        return None
    space = str(calibration["space"][0])
    thresholds = thresholds_of(calibration, space, "probe", settings.match)
    if not thresholds.measured or thresholds.own is None:
        return None
    return math.floor(100 * min(thresholds.at("exclude"), thresholds.own)) / 100


def _embeddings(
    stores: LibraryStores, video_id: str, source: str, tracks: set[str], space: str
) -> NewEmbeddings | None:
    """Usable faces of some tracks of a video, in the library's space; None when there is none."""
    faces = usable_faces(faces_in_space(stores, video_id, space))
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
        PHOTOS if stores.photos.is_set(video_id) else RIDE,
    )
