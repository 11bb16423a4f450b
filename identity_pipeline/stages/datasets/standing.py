"""What people's datasets are made of, cheaply: who has changed, and who is in doubt.

What belongs here: stamps by which automation sees whose datasets are out of date, and what makes a
dataset doubtful. What does not: making one (`stages.datasets.export`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping
from typing import Any, Final

import numpy as np
import polars as pl

from identity_pipeline.core.privacy.consent import NOT_TRACKED_WORDS
from identity_pipeline.core.vectors import to_matrix
from identity_pipeline.ledger import subjects as ids
from identity_pipeline.ledger.events import AGAINST, CONSENT_SCOPES, ConsentScope
from identity_pipeline.media import wording
from identity_pipeline.settings import Settings, chosen
from identity_pipeline.stages.curation.consents import Asked, verdict_json
from identity_pipeline.stages.curation.snapshot import LibrarySnapshot, video_of
from identity_pipeline.stages.datasets.export import CODE, SHAPING
from identity_pipeline.stages.datasets.layouts import scopes_of
from identity_pipeline.stages.datasets.sources import HUMAN
from identity_pipeline.stages.library.view import known_tracks
from identity_pipeline.storage.files.hashing import sha256_of_value
from identity_pipeline.storage.video.tables import DamagedTableError, MissingTableError

EXCLUDE: Final = "exclude"


def people_with_tracks(library: LibrarySnapshot) -> list[str]:
    """Everybody in force who is not hidden and of whom there is a track, by id."""
    shown = {
        who
        for who in library.state.active
        if not library.state.people[who].hidden and library.state.people[who].name is not None
    }
    return sorted(shown & {known.person_id for known in known_tracks(library).values()})


def stamps(
    library: LibrarySnapshot, settings: Settings, person_ids: Iterable[str]
) -> dict[str, str]:
    """A digest for each person that changes with their name, tracks and faces, and the settings.

    Only manifests are read, never a table: those of the person's own rides and photo sets.

    Args:
        library: as it is now.
        settings: all settings.
        person_ids: of whom.
    """
    wanted = set(person_ids)
    tracks: dict[str, list[tuple[str, str]]] = {who: [] for who in wanted}
    for key, known in sorted(known_tracks(library).items()):
        counts = known.origin in HUMAN or settings.datasets.assigned == "known"
        if known.person_id in wanted and counts:
            tracks[known.person_id].append((key, known.origin))
    shaping = sha256_of_value(chosen(settings, SHAPING))
    tables = library.stores.tables
    return {
        who: sha256_of_value(
            [
                library.state.people[who].name,
                [[*one, _version(tables.noted("candidates", ids.parse(one[0])[1]))] for one in own],
                *_decided(library, {ids.parse(key)[1] for key, _ in own}),
                *_consented(library, settings, who, own),
                shaping,
                CODE,
            ]
        )
        for who, own in tracks.items()
    }


def _consented(
    library: LibrarySnapshot, settings: Settings, person_id: str, own: list[tuple[str, str]]
) -> list[Any]:
    """What a person consents to in their tracks; nothing while consent is not required."""
    if not settings.consent.required:
        return []
    asked = Asked.of(library.stores, library.state, settings)
    keys = {key: person_id for key, _ in own}
    return [
        [scope, key, verdict_json(verdict)]
        for scope in CONSENT_SCOPES
        for key, verdict in asked.of_tracks(keys, scope)
    ]


def _decided(library: LibrarySnapshot, source_ids: set[str]) -> list[Any]:
    """What humans decided on pictures of some sources; nothing where they decided nothing."""
    found = [
        [face, picture.as_json()]
        for face, picture in library.state.pictures.items()
        if ids.parse(face).video_id in source_ids
    ]
    return [found] if found else []


def _version(noted: Any) -> str | None:
    return noted.data_version if noted is not None else None


def refused(
    library: LibrarySnapshot, manifest: Mapping[str, Any], settings: Settings
) -> str | None:
    """That a dataset shows people who refused, for consent is not required; None of any other.

    Args:
        library: as it is now.
        manifest: of the dataset.
        settings: of consent.
    """
    if settings.consent.required or not _anybody_refused(library):
        return None
    shown = Counter((one["person_id"], one["source_id"]) for one in manifest["pictures"])
    no = _refused_in(library, shown, settings, scopes_of(manifest["consumer"]))
    if not no:
        return None
    pictures = wording.counted(sum(shown[one] for one in no), "picture")
    sources = wording.counted(
        len({source for _, source in no}), "ride or photo set", "rides or photo sets"
    )
    return (
        f"{NOT_TRACKED_WORDS.capitalize()}, so it shows {pictures} of {sources} for which consent "
        "was refused; with the setting consent.required refusals count."
    )


def _anybody_refused(library: LibrarySnapshot) -> bool:
    """Whether there is a no at all; most libraries hold none, and no table is read for it."""
    told = library.state.consents.values()
    return any(one.answer in AGAINST for answers in told for one in answers.values())


def _refused_in(
    library: LibrarySnapshot,
    shown: Container[tuple[str, str]],
    settings: Settings,
    scopes: Iterable[ConsentScope],
) -> set[tuple[str, str]]:
    """Of people in sources, those where consent to one of some scopes was refused."""
    required = settings.consent.model_copy(update={"required": True})
    heeding = settings.model_copy(update={"consent": required})
    asked = Asked.of(library.stores, library.state, heeding)
    of = {key: (who.person_id, video_of(key)) for key, who in known_tracks(library).items()}
    keys = {key: person for key, (person, source) in of.items() if (person, source) in shown}
    told = (one for scope in scopes for one in asked.of_tracks(keys, scope))
    return {of[key] for key, verdict in told if verdict.code in AGAINST}


def doubts(library: LibrarySnapshot, manifest: Mapping[str, Any]) -> list[str]:
    """Why a dataset may show somebody else than it says, in sentences; none is the rule.

    A ride or photo set may hold another person where no track in it is known to be the person's any
    more, or where its template is less like all others of the person than `exclude`, the least that
    two faces of one person have in common in the space of the recogniser.

    Args:
        library: as it is now.
        manifest: of the dataset.
    """
    tracks: dict[str, list[str]] = {}
    for key, who in sorted(known_tracks(library).items()):
        tracks.setdefault(who.person_id, []).append(key)
    return [
        sentence
        for person in manifest["people"]
        for sentence in _gone(library, person)
        or _doubts_of(library, manifest, person, tracks.get(person["person_id"], []))
    ]


def _gone(library: LibrarySnapshot, person: Mapping[str, Any]) -> list[str]:
    """What became of somebody who is nobody any more; nothing of all others."""
    who, name = person["person_id"], person["name"]
    if who not in library.state.people:
        return [f"{name} is nobody in this library; remove the folder if nobody needs it."]
    now = library.survivor(who)
    if now == who:
        return []
    other = library.state.people[now].name or now[:8]
    return [f"{name} turned out to be {other}; export {other} and remove the folder."]


def _doubts_of(
    library: LibrarySnapshot,
    manifest: Mapping[str, Any],
    person: Mapping[str, Any],
    own: list[str],
) -> list[str]:
    """The same of one person, with the tracks that are known to be theirs."""
    used = {
        row["source_id"]
        for row in manifest["sources"]
        if row["person_id"] == person["person_id"] and row["pictures"]
    }
    lost = used - {ids.parse(key)[1] for key in own}
    told = [
        f"{s} has no track that is known to be {person['name']} any more; export them again, or "
        "remove the folder."
        for s in sorted(lost)
    ]
    kept = [key for key in own if ids.parse(key)[1] in used]
    return told + _far(library, kept, person["name"], _floor(library))


def _floor(library: LibrarySnapshot) -> float | None:
    """The template cosine below which two tracks are not one person; None where none is known."""
    table = library.table("calibration").filter(
        (pl.col("level") == "template") & (pl.col("name") == EXCLUDE) & pl.col("camera").is_null()
    )
    values = table["in_effect"].drop_nulls()
    return float(values[0]) if values.len() else None


def _far(library: LibrarySnapshot, keys: list[str], name: str, floor: float | None) -> list[str]:
    """Tracks that are less like all others of the person than two people may be."""
    vectors = _templates(library, keys)
    if floor is None or len(vectors) < 2:
        return []
    matrix = np.stack(list(vectors.values()))
    cosines = matrix @ matrix.T
    np.fill_diagonal(cosines, -1.0)
    return [
        f"{key.removeprefix('track:')} is unlike every other track of {name} "
        f"(cosine {nearest:.2f}, {floor:.2f} wanted); look at it, and `identity-pipeline reject` "
        "it if it is somebody else."
        for key, nearest in zip(vectors, cosines.max(axis=1).tolist(), strict=True)
        if nearest < floor
    ]


def _templates(library: LibrarySnapshot, keys: list[str]) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    spaces: dict[str, str] = {}
    for source_id in sorted({ids.parse(key)[1] for key in keys}):
        try:
            columns = ("track_key", "space", "template")
            table = library.stores.tables.read("track_templates", source_id, columns)
        except (DamagedTableError, MissingTableError):
            continue
        rows = table.filter(pl.col("track_key").is_in(keys)).sort("track_key")
        vectors = to_matrix(rows["template"])
        for key, space, vector in zip(rows["track_key"], rows["space"], vectors, strict=True):
            found[key], spaces[key] = vector, space
    common = max(set(spaces.values()), key=list(spaces.values()).count, default=None)
    return {key: vector for key, vector in found.items() if spaces[key] == common}
