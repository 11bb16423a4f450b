"""K-means heads from the library in force: trained, validated, at rest, and asked who a face is.

Human-confirmed tracks only; what the machine assigned teaches nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.heads.kmeans import (
    LEVELS,
    ConfirmedVectors,
    HeadIdentification,
    HeadsGallery,
    KMeansHeads,
    heads_gallery,
    identify_with_heads,
    train_heads,
)
from identity_pipeline.core.heads.kmeans_validation import LeaveOneVideoOut
from identity_pipeline.core.matching.thresholds import Thresholds, thresholds_of
from identity_pipeline.core.matching.verification import verification
from identity_pipeline.core.vectors import to_matrix
from identity_pipeline.settings import MatchSettings, Settings, chosen
from identity_pipeline.stages.curation.consents import Asked
from identity_pipeline.stages.library.profiles import HUMAN
from identity_pipeline.stages.library.spaces import head_of_space, settings_of_library
from identity_pipeline.stages.progress.protocol import Progress, silent
from identity_pipeline.stages.specs.damage import PassedOver
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.files.hashing import sha256_of_value
from identity_pipeline.storage.library.kmeans_heads import (
    KMeansHeadsError,
    KMeansHeadStore,
    StoredHeads,
)
from identity_pipeline.storage.library.snapshots import Generation, Snapshot
from identity_pipeline.storage.video.tables import Manifest

CODE_VERSION: Final = "2"
"""Raise it with every change of what is computed here or in `core.heads.kmeans`."""
SOURCES: Final = ("face_samples", "track_templates")


@dataclass(frozen=True)
class Confirmed:
    """The confirmed tracks of the library in force.

    Attributes:
        snapshot: the generation in force, open.
        faces: of each track, the evenly spread ones of `face_samples`.
        templates: one row per track.
        changed: videos left out because they were processed anew since.
        versions: data versions of `SOURCES` of each video used.
        damaged: a sentence for each video left out because its tables cannot be read.
    """

    snapshot: Snapshot
    faces: ConfirmedVectors
    templates: ConfirmedVectors
    changed: tuple[str, ...]
    versions: dict[str, list[str]]
    damaged: tuple[str, ...] = ()


def read_confirmed(
    stores: LibraryStores, settings: Settings, progress: Progress = silent
) -> Confirmed:
    """Reads the confirmed tracks of people who may be known again over rides.

    Args:
        stores: of the data folder.
        settings: of consent.
        progress: called per video.

    Raises:
        NoGenerationError: the library was never computed.
    """
    snapshot = stores.generations.open()
    generation = snapshot.generation
    own = stores.in_space(head_of_space(generation.space))
    table = snapshot.table("person_assignments")
    table = table.filter(pl.col("state") == "known", pl.col("origin").is_in(HUMAN))
    person_of = _consenting(stores, settings, table)
    videos = sorted(set(table["video_id"].to_list()))
    parts: dict[str, list[pl.DataFrame]] = {name: [] for name in SOURCES}
    versions: dict[str, list[str]] = {}
    changed: list[str] = []
    passed_over = PassedOver()
    for n, video in enumerate(videos, 1):
        known = [version or "" for version in own.versions(SOURCES, video).values()]
        if _anew(stores, generation, video) or not all(known):
            changed.append(video)
            continue
        with passed_over.reading(video):
            tables = {name: own.read(name, video) for name in SOURCES}
            versions[video] = known
            for name, table in tables.items():
                rows = table.filter(pl.col("space") == generation.space)
                parts[name].append(rows.filter(pl.col("track_key").is_in(sorted(person_of))))
        progress("confirmed tracks", n, len(videos), "videos")
    faces, templates = (
        _labelled(parts[name], column, person_of, generation.space)
        for name, column in zip(SOURCES, ("e_id", "template"), strict=True)
    )
    return Confirmed(
        snapshot, faces, templates, tuple(changed), versions, tuple(passed_over.why.values())
    )


def _anew(stores: LibraryStores, generation: Generation, video: str) -> bool:
    """Whether a video was processed anew since: its tracks may be other people now."""
    noted = stores.tables.noted("track_templates", video)
    return noted is None or noted.data_version != generation.versions.get(video)


def _labelled(
    parts: Sequence[pl.DataFrame], column: str, person_of: dict[str, str], space: str
) -> ConfirmedVectors:
    if not parts:
        return ConfirmedVectors(space, np.zeros((0, 0), dtype=np.float32), (), (), ())
    # Stable: faces of a track stay in the order of time.
    rows = pl.concat(parts).sort("track_key", maintain_order=True)
    tracks = tuple(rows["track_key"].to_list())
    people = tuple(person_of[key] for key in tracks)
    return ConfirmedVectors(
        space, to_matrix(rows[column]), people, tuple(rows["video_id"].to_list()), tracks
    )


def _consenting(stores: LibraryStores, settings: Settings, table: pl.DataFrame) -> dict[str, str]:
    """The person of each confirmed track of people who may be known again over rides."""
    person_of: dict[str, str] = dict(table.select("track_key", "person_id").iter_rows())
    withheld = Asked.now(stores, settings).withheld(person_of, "profile")
    return {key: who for key, who in person_of.items() if key not in withheld}


@dataclass(frozen=True)
class HeadsTrained:
    """A run of the training.

    Attributes:
        heads: of the confirmed tracks; null without any that could be read.
        reused: nothing had changed, so nothing was computed.
        messages: what happened, in sentences.
        metrics: `faces` (`core.matching.verification` of all confirmed faces), `left_out`
            (`core.heads.kmeans_validation`); empty without heads.
    """

    heads: KMeansHeads | None
    reused: bool
    messages: tuple[str, ...]
    metrics: dict[str, Any]


def train_kmeans_heads(
    stores: LibraryStores, settings: Settings, now: str, progress: Progress = silent
) -> HeadsTrained:
    """Brings the heads in step with the library's generation in force.

    Args:
        stores: of the data folder.
        settings: `match`.
        now: ISO time with a zone; noted beside the heads.
        progress: called per video read, and per video left out.

    Raises:
        NoGenerationError: the library was never computed.
    """
    confirmed = read_confirmed(stores, settings, progress)
    settings = settings_of_library(stores, settings)
    trained = _trained(stores.kmeans_heads, settings, now, progress, confirmed)
    # The note lies in the generation, so that a new one starts without it.
    fingerprint = confirmed.snapshot.generation.fingerprint
    people = len(trained.heads.people) if trained.heads else 0
    confirmed.snapshot.note("kmeans_heads", Manifest(fingerprint, fingerprint, people))
    return trained


def _trained(
    shelf: KMeansHeadStore, settings: Settings, now: str, progress: Progress, confirmed: Confirmed
) -> HeadsTrained:
    said = _left_aside(confirmed)
    if not confirmed.faces.person:
        return HeadsTrained(None, False, said or (_nobody(shelf),), {})
    fingerprint = _fingerprint(confirmed, settings)
    before = _before(shelf, confirmed.snapshot.space)
    if before is not None and before.fingerprint == fingerprint:
        same = f"Nothing has changed since {before.trained_at}: {_counted(before.heads)}."
        return HeadsTrained(before.heads, True, (same, *said), before.metrics)
    heads = train_heads(confirmed.faces, settings.match)
    metrics = _measured(confirmed, heads, settings.match, progress)
    made_of = {
        "settings": settings.match.model_dump(mode="json"),
        "tracks": len(confirmed.templates.track),
        "tracks_digest": sha256_of_value(_pairs(confirmed)),
        "faces": len(confirmed.faces.track),
        "generation": confirmed.snapshot.generation.name,
    }
    shelf.save(StoredHeads(heads, fingerprint, now, made_of, metrics))
    stored = shelf.load(heads.space)
    trained = f"Trained {_counted(heads)}{_gone(before, heads)}."
    return HeadsTrained(stored.heads, False, (trained, *said), stored.metrics)


def _nobody(shelf: KMeansHeadStore) -> str:
    removed = " The old heads were removed." if shelf.clear() else ""
    return "No track is confirmed by a human, so there are no heads; name somebody first." + removed


def _fingerprint(confirmed: Confirmed, settings: Settings) -> str:
    calibration = confirmed.snapshot.noted("calibration")
    return sha256_of_value(
        {
            "code": CODE_VERSION,
            "space": confirmed.snapshot.space,
            "settings": chosen(settings, ("match",)),
            "versions": confirmed.versions,
            "tracks": _pairs(confirmed),
            "calibration": calibration.data_version if calibration else "",
        }
    )


def _pairs(confirmed: Confirmed) -> list[tuple[str, str]]:
    return sorted(set(zip(confirmed.faces.track, confirmed.faces.person, strict=True)))


def _before(shelf: KMeansHeadStore, space: str) -> StoredHeads | None:
    """The heads in force, unless they must be made anew anyway."""
    try:
        return shelf.load(space)
    except KMeansHeadsError:
        return None


def _measured(
    confirmed: Confirmed,
    heads: KMeansHeads,
    settings: MatchSettings,
    progress: Progress,
) -> dict[str, Any]:
    faces = confirmed.faces
    thresholds = _thresholds(confirmed.snapshot, "template", settings)
    rounds = LeaveOneVideoOut(faces, confirmed.templates, heads, thresholds, settings)
    for n, video in enumerate(rounds.videos, 1):
        rounds.leave_out(video)
        progress("left out", n, len(rounds.videos), "videos")
    return {
        "faces": verification(faces.vectors, faces.person, faces.video).as_json(),
        "left_out": asdict(rounds.result()),
    }


def _thresholds(snapshot: Snapshot, probe: str, settings: MatchSettings) -> Thresholds:
    return thresholds_of(snapshot.table("calibration"), snapshot.space, LEVELS[probe], settings)


def _counted(heads: KMeansHeads) -> str:
    tracks = sum(head.tracks for head in heads.people)
    return (
        f"{_number(len(heads.people), 'head')} with {_number(heads.centres, 'centre')}, "
        f"of {_number(tracks, 'confirmed track')}"
    )


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _gone(before: StoredHeads | None, heads: KMeansHeads) -> str:
    if before is None:
        return ""
    gone = {h.person_id for h in before.heads.people} - {h.person_id for h in heads.people}
    return f"; gone, because confirmed no more: {len(gone)}" if gone else ""


def _left_aside(confirmed: Confirmed) -> tuple[str, ...]:
    if not confirmed.changed:
        return confirmed.damaged
    names = ", ".join(confirmed.changed)
    return (
        *confirmed.damaged,
        f"Left aside, because processed anew since the library was computed: {names}; "
        "run `identity-pipeline recluster`, then train again.",
    )


@dataclass(frozen=True)
class HeadsAtWork:
    """Trained heads, ready to name somebody.

    Attributes:
        known: everybody, those confirmed after the training by their raw templates.
        thresholds: of the level that fits the probes.
        settings: the margin.
    """

    known: HeadsGallery
    thresholds: Thresholds
    settings: MatchSettings

    def identify(self, probe: NDArray[np.floating], space: str) -> HeadIdentification:
        """Who a (D,) unit vector is.

        Raises:
            SpaceMismatchError: it is of another space than the heads.
        """
        return identify_with_heads(probe, space, self.known, self.thresholds, self.settings)


def heads_at_work(stores: LibraryStores, settings: Settings, probe: str = "face") -> HeadsAtWork:
    """The heads of the library in force.

    Args:
        stores: of the data folder.
        settings: `match`.
        probe: what will be asked about: `face` or `template`.

    Raises:
        NoGenerationError: the library was never computed.
        KMeansHeadsError: there are no heads of its space, or they cannot be used.
    """
    confirmed = read_confirmed(stores, settings)
    settings = settings_of_library(stores, settings)
    heads = stores.kmeans_heads.load(confirmed.snapshot.space).heads
    thresholds = _thresholds(confirmed.snapshot, probe, settings.match)
    return HeadsAtWork(heads_gallery(heads, confirmed.templates), thresholds, settings.match)
