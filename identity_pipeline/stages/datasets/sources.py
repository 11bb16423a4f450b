"""What there is of a person: their rides and photo sets, and the faces that may be shown of them.

What belongs here: which tracks are a person's, and the tables read of them. What does not: choosing
among the faces (`core.datasets.selection`) and their pixels (`stages.datasets.cutting`). A photo
set has the same tables as a ride.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import polars as pl

from identity_pipeline.core.imagesets.decided import (
    NEAR_REJECTED,
    NOTHING,
    REJECTED,
    DecidedPictures,
    with_decisions,
)
from identity_pipeline.core.privacy.consent import Verdict, together
from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.ledger import subjects as ids
from identity_pipeline.ledger.events import ConsentScope
from identity_pipeline.media.dates import video_date
from identity_pipeline.settings import DatasetSettings, Settings
from identity_pipeline.stages.curation.consents import Asked
from identity_pipeline.stages.curation.picture_uses import (
    decided_of_sources,
    person_places,
    picture_digests,
)
from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
from identity_pipeline.stages.datasets.pictures import Person, Source
from identity_pipeline.stages.library.view import known_tracks
from identity_pipeline.storage.files.hashing import sha256_of_value
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.photos.photo_sets import PhotoSet, PhotoSets
from identity_pipeline.storage.video.registry import VideoRegistry, slug
from identity_pipeline.storage.video.tables import MissingTableError, TableStore

HUMAN: Final = ("human", "suggestion_accepted")
POOLED: Final = (
    *("candidates", "vision_embeddings", "face_detections", "riders", "frames", "photo_set"),
    *("face_tracks", "face_quality", "face_landmarks", "identity_stability"),
)
"""Tables of a source from which pictures are chosen and cut, or which a layout shows."""


class DatasetError(IdentityPipelineError, ValueError):
    """A dataset cannot be made; the sentence says why, and what to do."""

    exit_status = 2


class NoConsentError(DatasetError):
    """Nobody may make a dataset of somebody; the sentence says who said what."""


@dataclass(frozen=True)
class Skipped:
    """A ride or photo set of the person that gives no picture, and why."""

    source_id: str
    sentence: str


@dataclass(frozen=True, eq=False)
class Material:
    """All that is known of a person's rides and photo sets.

    Attributes:
        person: who.
        sources: that give pictures, by id.
        pool: rows of `candidates` that stand as candidates, with `source_id` and `recency`.
        skipped: those that give none.
        versions: data version of each table that was read, by `table/source`.
        space: of the vision vectors.
        consents: the verdict on the person in each source that gives pictures; None while consent
            is not required.
    """

    person: Person
    sources: Mapping[str, Source]
    pool: pl.DataFrame
    skipped: tuple[Skipped, ...]
    versions: Mapping[str, str | None]
    space: str
    consents: Mapping[str, Verdict] | None = None


def people_of(
    library: LibrarySnapshot, person_ids: Sequence[str], settings: DatasetSettings
) -> list[Person]:
    """Those whom a dataset is of, in the order they were asked for, each once, after all merges.

    Args:
        library: as it is now.
        person_ids: also of people who were merged into others.
        settings: token and class word.
    """
    survivors = dict.fromkeys(library.survivor(person_id) for person_id in person_ids)
    names = {who: library.state.people[who].name or f"person {who[:8]}" for who in survivors}
    slugs = {who: slug_of(name, who) for who, name in names.items()}
    # All of them, for what one is called with their id may be the name of another.
    alike = len(set(slugs.values())) < len(slugs)
    made = []
    for who, name in names.items():
        own = f"{slugs[who]}-{who[:8]}" if alike else slugs[who]
        token = settings.token.replace("{slug}", own)
        made.append(Person(who, name, own, token, settings.class_word))
    return made


def slug_of(name: str, person_id: str) -> str:
    """A person's name as part of a file's name; of one without Latin letters, with their id."""
    return slug(name, f"person-{person_id[:8]}").replace("_", "-")


def material_of(
    library: LibrarySnapshot,
    person: Person,
    settings: Settings,
    rides: Sequence[str] = (),
    scopes: Sequence[ConsentScope] = ("export",),
) -> Material:
    """The rides and photo sets of a person, and the faces that may be shown.

    What humans rejected, and what shows the same, is none of them.

    Args:
        library: as it is now.
        person: who.
        settings: whose word counts (`datasets.assigned`), and what is the same picture
            (`pictures.rejected_within_s`).
        rides: only these, by id, file name, or the beginning of an id; all where none is named.
        scopes: what they must consent to, once consent is required.

    Raises:
        NoConsentError: they consent in none of them.
        DatasetError: there is no picture of them.
    """
    tracks = _tracks(library, person, settings.datasets)
    wanted = _wanted(library, person, tracks, rides)
    consents = source_verdicts(library, settings, person.person_id, tracks, scopes)
    wanted, refused = _consented(person, wanted, consents)
    decided = _Decided.of(library, wanted, settings)
    parts, damaged = _parts(library.stores.tables, {name: tracks[name] for name in wanted}, decided)
    skipped = tuple(sorted([*damaged, *refused], key=lambda one: one.source_id))
    if not parts:
        raise DatasetError(_nothing(person, skipped))
    sources = {name: _source(library, name, tracks[name]) for name in parts}
    newness = _recency(sources.values())
    pool = pl.concat(
        rows.with_columns(source_id=pl.lit(name), recency=pl.lit(newness[name], dtype=pl.Float64))
        for name, (rows, _) in parts.items()
    )
    pool = decided.placed(pool)
    versions = {
        f"{table}/{name}": version
        for name in parts
        for table, version in library.stores.tables.versions(POOLED, name).items()
    }
    versions |= {f"pictures/{name}": digest for name, digest in decided.digests(parts).items()}
    told = None if consents is None else {name: consents[name] for name in parts}
    return Material(person, sources, pool, skipped, versions, _common_space(parts), told)


def source_verdicts(
    library: LibrarySnapshot,
    settings: Settings,
    person_id: str,
    tracks: Mapping[str, Sequence[tuple[int, str]]],
    scopes: Sequence[ConsentScope],
) -> dict[str, Verdict] | None:
    """The verdict on a person in each of their rides and photo sets.

    Args:
        library: as it is now.
        settings: of consent.
        person_id: who.
        tracks: number and origin of the person's tracks, by source.
        scopes: all that they must consent to.

    Returns:
        By source; None while consent is not required.
    """
    if not settings.consent.required:
        return None
    asked = Asked.of(library.stores, library.state, settings)
    found: dict[str, Verdict] = {}
    for source_id, own in tracks.items():
        keys = {ids.track(source_id, number): person_id for number, _ in own}
        told = [one for scope in scopes for _, one in asked.of_tracks(keys, scope)]
        found[source_id] = together(told)
    return found


def _consented(
    person: Person, wanted: Sequence[str], consents: Mapping[str, Verdict] | None
) -> tuple[list[str], list[Skipped]]:
    """The sources in which a person consents, and the others.

    Raises:
        NoConsentError: there is none of the first.
    """
    if consents is None:
        return list(wanted), []
    kept = [name for name in wanted if consents[name].allowed]
    left = [name for name in wanted if name not in kept]
    skipped = [Skipped(name, f"Consent: {consents[name].reason}.") for name in left]
    if not kept:
        raise NoConsentError(
            f"There is no dataset of {person.name} without consent: {consents[left[0]].reason} "
            f"({left[0]}); `identity-pipeline consent list` says who said what."
        )
    return kept, skipped


@dataclass(frozen=True)
class _Decided:
    """What humans decided on the pictures of a person's sources."""

    library: LibrarySnapshot
    of_source: Mapping[str, DecidedPictures]
    within_s: float

    @classmethod
    def of(
        cls, library: LibrarySnapshot, source_ids: Sequence[str], settings: Settings
    ) -> _Decided:
        """Those in force; photographs are never the same picture by their time."""
        decided = decided_of_sources(library.state, source_ids)
        return cls(library, decided, settings.pictures.rejected_within_s)

    def left(self, source_id: str, candidates: pl.DataFrame) -> pl.DataFrame:
        """The faces of a source that may be chosen: candidates that were not rejected since."""
        own = self.of_source.get(source_id, NOTHING)
        photos = PhotoSets(self.library.stores.layout).get(source_id) is not None
        told = with_decisions(candidates, own, -1.0 if photos else self.within_s)
        rejected = pl.col("decided").is_in([REJECTED, NEAR_REJECTED]).fill_null(False)
        return told.filter((pl.col("standing") == "candidate") & ~rejected)

    def placed(self, pool: pl.DataFrame) -> pl.DataFrame:
        """The pool with the places that humans gave over all sources; 0 as `candidates` has it."""
        given = person_places(self.library.state, sorted(self.of_source))
        passed = pl.when(pl.col("anchor_place") == 0).then(0)
        joined = pool.with_columns(passed=passed).drop("anchor_place", "human_place")
        keys = ["source_id", "face_id"]
        places = joined.join(given, on=keys, how="left", maintain_order="left")
        return places.with_columns(anchor_place=pl.coalesce("anchor_place", "passed")).drop(
            "passed"
        )

    def digests(self, source_ids: Iterable[str]) -> dict[str, str]:
        """A digest for each source with decisions; an order over all sources is in each."""
        places = person_places(self.library.state, sorted(self.of_source)).rows()
        return {
            name: sha256_of_value([picture_digests(self.of_source[name]), places, self.within_s])
            for name in source_ids
            if name in self.of_source
        }


def refuse_changed(store: TableStore, materials: Iterable[Material]) -> None:
    """Refuses pictures whose tables were made anew while they were cut.

    Raises:
        DatasetError: some were.
    """
    for material in materials:
        for name in material.sources:
            for table, version in store.versions(POOLED, name).items():
                if material.versions[f"{table}/{name}"] != version:
                    raise DatasetError(
                        f"{name} was measured again while pictures were cut from it; nothing was "
                        "written: export again."
                    )


def _parts(
    store: TableStore, tracks: Mapping[str, Sequence[tuple[int, str]]], decided: _Decided
) -> tuple[dict[str, tuple[pl.DataFrame, str]], list[Skipped]]:
    """The faces of each source and the space of their vectors, and the sources that have none."""
    parts: dict[str, tuple[pl.DataFrame, str]] = {}
    skipped: list[Skipped] = []
    for source_id, own in sorted(tracks.items()):
        try:
            parts[source_id] = _faces(store, source_id, [number for number, _ in own], decided)
        except (DamagedFileError, MissingTableError, DatasetError) as error:
            skipped.append(Skipped(source_id, str(error)))
    space = _common_space(parts)
    for source_id in [name for name, (_, own) in parts.items() if own != space]:
        del parts[source_id]
        skipped.append(Skipped(source_id, _OTHER_SPACE))
    return parts, sorted(skipped, key=lambda one: one.source_id)


_OTHER_SPACE: Final = (
    "Its vision vectors are of another encoder than those of the person's other rides; run it "
    "again with the encoder in use, and it can be compared."
)


def _tracks(
    library: LibrarySnapshot, person: Person, settings: DatasetSettings
) -> dict[str, list[tuple[int, str]]]:
    """Number and origin of the person's tracks, by source."""
    found: dict[str, list[tuple[int, str]]] = {}
    for key, who in sorted(known_tracks(library).items()):
        said = who.origin in HUMAN or settings.assigned == "known"
        if who.person_id == person.person_id and said:
            _, source_id, number, _ = ids.parse(key)
            found.setdefault(source_id, []).append((int(number), who.origin))
    if not found:
        raise DatasetError(
            f"{person.name} has no ride and no photograph yet: `identity-pipeline label` gives "
            "them tracks of rides, `identity-pipeline enrol` photographs."
        )
    return found


def _wanted(
    library: LibrarySnapshot, person: Person, there: Iterable[str], rides: Sequence[str]
) -> list[str]:
    """The person's sources that are meant by some words.

    Raises:
        DatasetError: a word means none or several of them.
    """
    there = sorted(there)
    if not rides:
        return there
    registry, wanted = VideoRegistry(library.stores.layout), list[str]()
    for word in rides:
        begins = [name for name in there if name.startswith(word)]
        record = registry.find(word)
        if record is not None and record.video_id in there:
            wanted.append(record.video_id)
        elif len(begins) == 1:
            wanted += begins
        else:
            fits = "several rides of theirs fit" if begins else "none of their rides fits"
            raise DatasetError(
                f"{word!r} is no single ride or photo set of {person.name} ({fits}); theirs are "
                f"{', '.join(there)}."
            )
    return sorted(set(wanted))


def _faces(
    store: TableStore, source_id: str, tracks: Sequence[int], decided: _Decided
) -> tuple[pl.DataFrame, str]:
    """The candidates of some tracks of a source, and the space of their vision vectors.

    Raises:
        DatasetError: there is none.
        MissingTableError, DamagedTableError: a table is not there, or not as it was written.
    """
    riders = store.read("riders", source_id, ("track_id", "person_id", "reason"))
    own = riders.filter(pl.col("track_id").is_in(list(tracks)))
    if not own["person_id"].drop_nulls().len():
        why = ", ".join(sorted(set(own["reason"].drop_nulls()))) or "its tracks are gone"
        raise DatasetError(f"They are no rider in it ({why}), so nothing of them is measured.")
    # Not all of the seat: another of its tracks may have been said to be somebody else.
    faces = store.read("face_tracks", source_id, ("face_id", "track_id"))
    theirs = faces.filter(pl.col("track_id").is_in(list(tracks)))
    table = decided.left(source_id, store.read("candidates", source_id))
    rows = table.join(theirs, on="face_id", how="semi", maintain_order="left")
    if not rows.height:
        raise DatasetError(
            "No face of them in it may become a picture; `identity-pipeline why` says of each "
            "frame why not."
        )
    spaces = store.read("vision_embeddings", source_id, ("space",))["space"].unique().to_list()
    return rows, " ".join(sorted(map(str, spaces)))


def _common_space(parts: Mapping[str, tuple[pl.DataFrame, str]]) -> str:
    """The space of most faces; cosines between two say nothing."""
    faces: Counter[str] = Counter()
    for rows, space in parts.values():
        faces[space] += rows.height
    return max(faces, key=lambda space: (faces[space], space)) if faces else ""


def _nothing(person: Person, skipped: Sequence[Skipped]) -> str:
    """Why there is no picture of somebody, in one sentence."""
    first = skipped[0]
    more = f" (and {len(skipped) - 1} more)" if len(skipped) > 1 else ""
    return f"There is no picture of {person.name}: {first.source_id}{more}: {first.sentence}"


def _source(library: LibrarySnapshot, source_id: str, tracks: Sequence[tuple[int, str]]) -> Source:
    origins = {origin for _, origin in tracks}
    origin = next((one for one in (*HUMAN, "auto") if one in origins), "auto")
    photo_set = PhotoSets(library.stores.layout).get(source_id)
    if photo_set is not None:
        date, told_by = _date_of_photos(library.stores.tables, photo_set)
        return Source(source_id, "photos", photo_set.sha256, date, origin, told_by)
    record = VideoRegistry(library.stores.layout).get(source_id)
    if record is None:
        raise DatasetError(
            f"{source_id} is not registered any more; `identity-pipeline run` with its file "
            "registers it again."
        )
    date, told_by = _date_of(record.existing_path())
    return Source(source_id, "ride", record.sha256, date, origin, told_by)


def _date_of(path: Path) -> tuple[str | None, str | None]:
    """When a ride was recorded, and what says so."""
    if not path.is_file():
        return None, None
    recorded = video_date(path)
    if recorded is not None:
        return recorded, "container"
    day = datetime.fromtimestamp(path.stat().st_mtime, UTC).date()
    return day.isoformat(), "file"


def _date_of_photos(store: TableStore, photo_set: PhotoSet) -> tuple[str | None, str | None]:
    """When the last photograph of a set was taken, else when the set was; and what says so."""
    try:
        taken = store.read("photo_set", photo_set.set_id, ("taken_at",))["taken_at"].drop_nulls()
    except (DamagedFileError, MissingTableError):
        taken = pl.Series([], dtype=pl.String)
    if taken.len():
        return str(taken.max())[:10], "exif"
    return photo_set.added, "added" if photo_set.added else None


def _recency(sources: Iterable[Source]) -> dict[str, float | None]:
    """0 of the oldest day to 1 of the newest, in equal steps; None where no date is known."""
    sources = list(sources)
    days = sorted({source.date for source in sources if source.date is not None})
    steps = max(len(days) - 1, 1)
    return {
        source.source_id: days.index(source.date) / steps if source.date is not None else None
        for source in sources
    }
