"""Who is known, as the pages list them: everybody, and one person with all that is theirs.

What belongs here: what the room People shows of the library, the ledger and the tables. What does
not: deciding (`stages.curation`), and drawing pictures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final, Literal

import polars as pl

from identity_pipeline.ledger import subjects as ids
from identity_pipeline.ledger.events import name_key
from identity_pipeline.ledger.state import LibraryState
from identity_pipeline.stages.curation.snapshot import CurationError, LibrarySnapshot, video_of
from identity_pipeline.stages.desk.faces import known_faces
from identity_pipeline.stages.library.copies_in_force import TABLE, Copies
from identity_pipeline.storage.library.profiles import ProfileError
from identity_pipeline.storage.video.tables import MissingTableError, TableStore

PAGE: Final = 50
"""People, or events, on one page; chosen."""
TRACKS: Final = 120
"""Tracks on one page of a person; chosen: each is a picture."""
OFFERED: Final = 8
"""Names offered while one is typed; chosen."""
Order = Literal["name", "faces", "rides", "doubt"]
ORDERS: Final[tuple[Order, ...]] = ("name", "faces", "rides", "doubt")
_PERSON = pl.String
_KNOWN: Final = {
    "track_key": pl.String,
    "video_id": pl.String,
    "person_id": _PERSON,
    "origin": pl.String,
}


def known_frame(library: LibrarySnapshot) -> pl.DataFrame:
    """Whose each known track is, and who says so; see `stages.library.view.known_tracks`.

    Returns:
        track_key, video_id, person_id, origin (`human`, `suggestion_accepted`, `auto`).
    """
    decided = _decided(library)
    automatic = library.table("person_assignments").filter(
        (pl.col("origin") == "auto") & pl.col("person_id").is_not_null()
    )
    found = (
        automatic.join(_survivors(library.state), on="person_id")
        .select("track_key", "video_id", person_id="survivor", origin="origin")
        .join(_pairs(library.state.turned_down), on=["track_key", "person_id"], how="anti")
        .join(_column(_aside(library.state)), on="track_key", how="anti")
        .join(decided, on="track_key", how="anti")
    )
    return pl.concat([decided, found]).sort("track_key")


def _decided(library: LibrarySnapshot) -> pl.DataFrame:
    """What humans gave to somebody; what is decided on a copy counts for the track in its place."""
    state, place = library.state, Copies.from_table(library.table(TABLE)).place
    rows: dict[str, tuple[str, str]] = {}
    for copied in (True, False):  # a decision about the track itself comes last, and stays
        for subject, person_id in state.assigned.items():
            if (subject in place) is copied and subject.startswith("track:"):
                rows[place.get(subject, subject)] = person_id, state.origin[subject]
    told = [(key, key.split(":")[1], *whose) for key, whose in rows.items()]
    return pl.DataFrame(told, schema=_KNOWN, orient="row")


def _survivors(state: LibraryState) -> pl.DataFrame:
    rows = [(person_id, state.survivor(person_id)) for person_id in state.people]
    return pl.DataFrame(rows, schema={"person_id": _PERSON, "survivor": _PERSON}, orient="row")


def _pairs(pairs: Iterable[tuple[str, str]]) -> pl.DataFrame:
    schema = {"track_key": pl.String, "person_id": _PERSON}
    return pl.DataFrame(list(pairs), schema=schema, orient="row")


def _column(keys: Iterable[str]) -> pl.DataFrame:
    return pl.DataFrame({"track_key": list(keys)}, schema={"track_key": pl.String})


def _aside(state: LibraryState) -> frozenset[str]:
    return state.ignored | state.not_faces


def people_frame(library: LibrarySnapshot, known: pl.DataFrame) -> pl.DataFrame:
    """Everybody in force, one row each: for searching, sorting and paging.

    Args:
        library: as it is now.
        known: of `known_frame`.

    Returns:
        person_id, called (name, with the id where others bear it), key (to search in), hidden,
        tracks, rides, photographs (tracks in photo sets), faces (by the last recompute; null where
        it knew other tracks), doubt (tracks that may be theirs and were not decided, and
        decided ones that are nearer to somebody else).
    """
    state = library.state
    rows = [
        (who, state.display(who), name_key(state.people[who].name or ""), state.people[who].hidden)
        for who in state.active
    ]
    schema = {"person_id": _PERSON, "called": pl.String, "key": pl.String, "hidden": pl.Boolean}
    sets = list(library.stores.photos.ids())
    of_set = pl.col("video_id").is_in(sets)
    counted = known.group_by("person_id").agg(
        tracks=pl.len(),
        rides=pl.col("video_id").filter(~of_set).n_unique(),
        photographs=of_set.sum(),
    )
    faces = library.table("people").select("person_id", then="track_count", faces="face_count")
    counts = ("tracks", "rides", "photographs", "doubt")
    return (
        pl.DataFrame(rows, schema=schema, orient="row")
        .join(counted, on="person_id", how="left")
        .join(faces, on="person_id", how="left")
        .join(_doubts(library), on="person_id", how="left")
        .with_columns(pl.col(name).fill_null(0).cast(pl.Int64) for name in counts)
        .with_columns(faces=pl.when(pl.col("tracks") == pl.col("then")).then("faces"))
        .drop("then")
        .sort(pl.col("key") == "", "key", "person_id")
    )


def _doubts(library: LibrarySnapshot) -> pl.DataFrame:
    state, survivors = library.state, _survivors(library.state)
    refused = _pairs(state.turned_down)
    closed = _column({*state.assigned, *_aside(state)})
    asked = (
        library.table("suggestions")
        .filter(pl.col("state") == "pending")
        .select("track_key", "person_id")
        .join(closed, on="track_key", how="anti")
    )
    wrong = (
        library.table("person_assignments")
        .filter(pl.col("origin").is_in(["human", "suggestion_accepted"]) & (pl.col("margin") < 0))
        .select("track_key", "person_id")
    )
    return (
        pl.concat([asked, wrong])
        .join(survivors, on="person_id")
        .select("track_key", person_id="survivor")
        .join(refused, on=["track_key", "person_id"], how="anti")
        .group_by("person_id")
        .agg(doubt=pl.len())
    )


@dataclass(frozen=True)
class Everybody:
    """Who is known in one library; computed once, when it is asked for.

    Attributes:
        library: as it was opened.
    """

    library: LibrarySnapshot

    @cached_property
    def known(self) -> pl.DataFrame:
        """Of `known_frame`."""
        return known_frame(self.library)

    @cached_property
    def people(self) -> pl.DataFrame:
        """Of `people_frame`."""
        return people_frame(self.library, self.known)


@dataclass(frozen=True)
class Shown:
    """The people of one page.

    Attributes:
        rows: of `people_frame`.
        total: of all pages.
        page: number, from 1.
        pages: at least 1.
        hidden: how many are left out because they are hidden.
    """

    rows: list[dict[str, object]]
    total: int
    page: int
    pages: int
    hidden: int


def shown_people(
    people: pl.DataFrame, q: str = "", order: Order = "name", *, hidden: bool = False, page: int = 1
) -> Shown:
    """One page of the list.

    Args:
        people: of `people_frame`.
        q: part of a name, in any case; empty: everybody.
        order: by name, or the most faces, rides, or doubtful tracks first.
        hidden: only those who are hidden, instead of the others.
        page: from 1; one that is not there is the nearest that is.
    """
    found = people.filter(pl.col("key").str.contains(name_key(q), literal=True))
    chosen = found.filter(pl.col("hidden") == hidden)
    if order != "name":
        chosen = chosen.sort(order, descending=True, nulls_last=True, maintain_order=True)
    pages = max(1, -(-chosen.height // PAGE))
    at = min(max(page, 1), pages)
    rows = chosen.slice((at - 1) * PAGE, PAGE).to_dicts()
    return Shown(rows, chosen.height, at, pages, int(people["hidden"].sum()))


def suggested_people(people: pl.DataFrame, q: str, but: str = "") -> list[dict[str, object]]:
    """Whom somebody who types part of a name may mean: names that begin so first, then by tracks.

    Args:
        people: of `people_frame`; who is hidden is not offered.
        q: what was typed.
        but: id of a person who is not meant.
    """
    key = name_key(q)
    chosen = people.filter(
        ~pl.col("hidden")
        & (pl.col("key") != "")
        & (pl.col("person_id") != but)
        & pl.col("key").str.contains(key, literal=True)
    ).sort(~pl.col("key").str.starts_with(key), -pl.col("tracks"), "key", "person_id")
    return chosen.head(OFFERED).select("person_id", "called", "rides", "tracks").to_dicts()


EXPORTED: Final = ("identity_dataset", "face_tracks")
"""What says how many exported pictures show a track."""


@lru_cache(maxsize=512)
def _exported(store: TableStore, video_id: str, versions: tuple[str | None, ...]) -> Counter[int]:
    """How many exported pictures show each track of a video."""
    del versions  # they are part of the cache's key
    try:
        files = store.read("identity_dataset", video_id, ("face_id", "left_out"))
        tracks = store.read("face_tracks", video_id, ("face_id", "track_id"))
    except MissingTableError:
        return Counter()
    there = files.filter(pl.col("left_out").is_null() & pl.col("face_id").is_not_null())
    return Counter(there.join(tracks, on="face_id")["track_id"].drop_nulls().to_list())


def exported_of(everybody: Everybody, people: Iterable[str]) -> dict[str, int]:
    """How many exported pictures show each of a few people."""
    store, wanted = everybody.library.stores.tables, list(people)
    found = dict.fromkeys(wanted, 0)
    known = everybody.known.filter(pl.col("person_id").is_in(wanted))
    for (video_id,), tracks in known.group_by("video_id"):
        versions = tuple(store.versions(EXPORTED, str(video_id)).values())
        counts = _exported(store, str(video_id), versions)
        for key, who in tracks.select("track_key", "person_id").iter_rows():
            found[who] += counts[int(ids.parse(key).local_id)]
    return found


@dataclass(frozen=True)
class Tile:
    """A track of somebody, as a picture among others.

    Attributes:
        subject: as the ledger or the tables call it.
        video_id: where it is seen.
        track: number of the track; null for a single face, and for what is lost.
        face_id: of the best face; null where no template tells.
        at_ms: when that is, from the start of the ride; null for what lies in no ride.
        said: `human`, `suggestion_accepted`, `auto`; empty for somebody who is not theirs.
        by: who said it; null: the machine.
        score: cosine to the person; null: not compared.
        faces: usable ones; null where no template tells.
        nearer: id of the person whom it resembles more; null: there is none.
    """

    subject: str
    video_id: str
    track: int | None
    face_id: str | None
    at_ms: float | None
    said: str
    by: str | None
    score: float | None
    faces: int | None
    nearer: str | None


@dataclass(frozen=True)
class Person:
    """One person.

    Attributes:
        person_id: in force.
        called: name, with the id where others bear it too.
        name: null for a part that was split off without one.
        hidden: whether they are listed.
        rides: the tiles of this page by ride or photo set.
        tracks: on all pages.
        decided: of these, by humans.
        lost: decided subjects that the present tables do not show.
        page: from 1.
        pages: at least 1.
    """

    person_id: str
    called: str
    name: str | None
    hidden: bool
    rides: list[tuple[str, list[Tile]]]
    tracks: int
    decided: int
    lost: tuple[str, ...]
    page: int
    pages: int


def find_person(library: LibrarySnapshot, person_id: str) -> str:
    """The person in force whom an id means.

    Raises:
        CurationError: there never was such a person.
    """
    if person_id not in library.state.people:
        raise CurationError("There is no such person (any more); a decision may be undone.")
    return library.state.survivor(person_id)


def one_person(everybody: Everybody, person_id: str, page: int = 1) -> Person:
    """A person's page; the id is one in force."""
    library, state = everybody.library, everybody.library.state
    members = state.members.get(person_id, ())
    lost = tuple(subject for subject in members if ids.parse(subject).lost)
    own = {subject: state.origin[subject] for subject in members if subject not in lost}
    of_machine = everybody.known.filter(
        (pl.col("person_id") == person_id) & (pl.col("origin") == "auto")
    )
    own |= dict.fromkeys(of_machine["track_key"].to_list(), "auto")
    pages = max(1, -(-len(own) // TRACKS))
    at = min(max(page, 1), pages)
    ordered = sorted(own, key=_in_order)
    chosen = {key: own[key] for key in ordered[(at - 1) * TRACKS : at * TRACKS]}
    return Person(
        person_id,
        state.display(person_id),
        state.people[person_id].name,
        state.people[person_id].hidden,
        by_ride(tiles(library, chosen, person_id)),
        len(own),
        len(members),
        lost,
        at,
        pages,
    )


def _in_order(subject: str) -> tuple[str, str, int, str]:
    """By ride, then as they appear."""
    parsed = ids.parse(subject)
    number = int(parsed.local_id) if parsed.kind == "track" else 0
    return parsed.video_id, parsed.kind, number, parsed.local_id


def by_ride(tiles: Iterable[Tile]) -> list[tuple[str, list[Tile]]]:
    """Tiles by ride, each in its order."""
    found: dict[str, list[Tile]] = {}
    for tile in tiles:
        found.setdefault(tile.video_id, []).append(tile)
    return list(found.items())


def tiles(
    library: LibrarySnapshot, subjects: Mapping[str, str], person_id: str | None
) -> list[Tile]:
    """What is shown of some subjects, in their order.

    Args:
        library: as it is now.
        subjects: who says of each that it is the person; empty where nobody does.
        person_id: the person in force; null for tracks of nobody.
    """
    best = {
        row["track_key"]: row
        for row in library.templates(map(video_of, subjects)).iter_rows(named=True)
    }
    rows = {
        row["track_key"]: row
        for row in library.table("person_assignments")
        .filter(pl.col("track_key").is_in(list(subjects)))
        .iter_rows(named=True)
    }
    who = _deciders(library, [key for key, said in subjects.items() if said not in ("", "auto")])
    return [
        _tile(library, key, said, who.get(key), best.get(key), rows.get(key), person_id)
        for key, said in subjects.items()
    ]


def _tile(
    library: LibrarySnapshot,
    subject: str,
    said: str,
    by: str | None,
    best: Mapping[str, object] | None,
    row: Mapping[str, object] | None,
    person_id: str | None,
) -> Tile:
    parsed = ids.parse(subject)
    track = int(parsed.local_id) if parsed.kind == "track" and not parsed.lost else None
    face = _text(best["best_face_id"]) if best else None
    if parsed.kind == "face" and not parsed.lost:
        face = parsed.local_id
    score, nearer = _about(library, row, person_id) if row else (None, None)
    return Tile(
        subject,
        parsed.video_id,
        track,
        face,
        _moment(library.stores.tables, parsed.video_id, face),
        said,
        by,
        score,
        _whole(best["face_count"]) if best else None,
        nearer,
    )


def _moment(store: TableStore, video_id: str, face_id: str | None) -> float | None:
    """When a face is seen, ms from the start of its ride."""
    if face_id is None:
        return None
    try:
        row = known_faces(store, video_id).filter(pl.col("face_id") == face_id)
    except MissingTableError:
        return None
    return row["timestamp_ms"][0] if row.height else None


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _about(
    library: LibrarySnapshot, row: Mapping[str, object], person_id: str | None
) -> tuple[float | None, str | None]:
    """The score of a track as this person, and who is nearer.

    Null where the last recompute compared it as somebody else's: also of whoever was merged since.
    """
    score, margin, rival = row["score"], row["margin"], row["runner_up"]
    if row["person_id"] != person_id or person_id is None:
        return None, None
    nearer = isinstance(margin, float) and margin < 0 and isinstance(rival, str)
    near = library.survivor(str(rival)) if nearer else None
    return (score if isinstance(score, float) else None), (near if near != person_id else None)


def _deciders(library: LibrarySnapshot, subjects: Sequence[str]) -> dict[str, str]:
    """Who last said of each subject whose it is."""
    named, events = library.history.position.named, library.history.events
    actors: dict[int, str | None] = {}
    found: dict[str, str] = {}
    for subject in subjects:
        for seq in reversed(named.get(subject, ())):
            if seq not in actors:
                event = events[seq - 1]
                gives = event.kind in GIVING and event.id not in library.history.undone
                actors[seq] = event.actor if gives else None
            if actor := actors[seq]:
                found[subject] = actor
                break
    return found


GIVING: Final = ("name", "confirm", "move", "split")
"""Kinds of events that give subjects to a person."""


@dataclass(frozen=True)
class ProfileFigures:
    """What a person's profile holds.

    Attributes:
        label: as the profiles are listed; null without one.
        quality: mean of its faces; null where none was measured.
        last: when it last grew; null: never.
        kept_out: embeddings that lie too far off.
        fault: why it cannot be read; null: it can.
    """

    label: str | None = None
    quality: float | None = None
    last: str | None = None
    kept_out: int = 0
    fault: str | None = None


def profile_figures(library: LibrarySnapshot, person_id: str) -> ProfileFigures | None:
    """Of a person's profile; null without one."""
    try:
        profile = library.stores.profiles.get(person_id)
    except ProfileError as error:
        return ProfileFigures(fault=str(error))
    if profile is None:
        return None
    quality = profile.quality.mean if profile.quality else None
    return ProfileFigures(profile.label, quality, profile.last_training, profile.quarantined_count)


def datasets_of(library: LibrarySnapshot, person_id: str) -> list[str]:
    """The folders of the datasets that were exported of a person, as the command line has them."""
    root = library.stores.layout.datasets
    found = root.glob(f"*-{person_id[:8]}/*/")
    return sorted(map(str, found))
