"""The image sets of a ride as they are exported, and what humans decided on each picture.

What belongs here: what the room Pictures shows. What does not: deciding (`stages.curation`), how
decisions shape the sets (`core.imagesets.decided`), and drawing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from identity_pipeline.core.datasets.selection import ordered
from identity_pipeline.core.faces.buckets import AXES, axis_bins
from identity_pipeline.core.imagesets.decided import ACCEPTED, place_in_set, places
from identity_pipeline.core.imagesets.frame_ledger import NO_CONSENT
from identity_pipeline.core.imagesets.portrait import anchor_eligible
from identity_pipeline.core.video.clock import clock
from identity_pipeline.ledger import events as ev
from identity_pipeline.ledger import subjects as ids
from identity_pipeline.ledger.state import LibraryState, Picture
from identity_pipeline.media.wording import explain
from identity_pipeline.settings import Settings
from identity_pipeline.stages.curation.picture_uses import OF_A_RIDE, ordered_faces
from identity_pipeline.stages.curation.snapshot import CurationError, LibrarySnapshot
from identity_pipeline.stages.datasets.sources import material_of, people_of
from identity_pipeline.stages.planning.video_list import with_sets
from identity_pipeline.stages.specs.exported import TYPES, shown_rows
from identity_pipeline.storage.layout import VIDEO_ID
from identity_pipeline.storage.video.outputs import MANIFEST

PAGE: Final = 50
"""Rides on one page; chosen."""
OFFERED: Final = 24
"""Faces offered as a better anchor, the best first; chosen: a page of pictures."""
TITLES: Final = {
    "anchor": "Anchors",
    "coverage": "Coverage",
    "challenge": "Challenges",
    "pair": "Pairs",
}
FAULTS: Final = {
    "eyes": "the eyes",
    "mouth": "the mouth",
    "covered": "something in front",
    "blurred": "blurred",
    "light": "the light",
    "pose": "the pose",
    "not_them": "somebody else",
    "other": "something else",
}
"""What may be wrong with a picture, as it is said; the order of the keys 1 to 8."""
_TOLD: Final = (
    *("face_id", "person_id", "timestamp_ms", "yaw_bin", "pitch_bin", "expression_bin"),
    *("occlusion_bin", "lighting_bin", "portrait_score"),
)
_HEEDED: Final = ("decided", "anchor_place")
"""What a candidate has of decisions on it."""
_NOT_TOLD: Final[Mapping[str, Any]] = dict.fromkeys(_TOLD)


@dataclass(frozen=True)
class Shown:
    """One picture.

    Attributes:
        video_id, face_id: which face.
        file: path in the export folder; null: it is not exported.
        when: time in the ride.
        words: what it shows, as it was measured or corrected.
        bins: the same by axis.
        score: as a portrait, in [0, 1]; null: not scored.
        decided: what humans decided on it; null: nothing.
        rejected_since: it was rejected, and is still in the export that lies there.
    """

    video_id: str
    face_id: str
    file: str | None
    when: str
    words: str
    bins: Mapping[str, str | None]
    score: float | None
    decided: Picture | None
    rejected_since: bool = False

    @property
    def subject(self) -> str:
        """The face as the ledger calls it."""
        return ids.face(self.video_id, self.face_id)


@dataclass(frozen=True)
class SetShown:
    """One set.

    Attributes:
        kind: its type.
        pictures: in the order that a human gave, else as they are exported.
        reordered: whether they are exported in another order.
    """

    kind: str
    pictures: tuple[Shown, ...]
    reordered: bool

    @property
    def title(self) -> str:
        """What it is called."""
        return TITLES[self.kind]

    @property
    def ordered(self) -> bool:
        """Whether a human may say its order: a pair has the order of its two views."""
        return self.kind != "pair"


@dataclass(frozen=True)
class RiderShown:
    """A rider's sets.

    Attributes:
        seat: number of the rider in the ride.
        name: who that is, in words.
        person_id: null: nobody has said it.
        sets: those that are not empty.
        why_none: why there is no set, where there is none.
    """

    seat: int
    name: str
    person_id: str | None
    sets: tuple[SetShown, ...]
    why_none: str = ""


@dataclass(frozen=True)
class RideShown:
    """A ride.

    Attributes:
        video_id: which.
        riders: from left to right.
        rejected: pictures of it that humans rejected.
        waiting: decisions, and orders of sets, that are not in the export yet.
    """

    video_id: str
    riders: tuple[RiderShown, ...]
    rejected: tuple[Shown, ...]
    waiting: int


@dataclass(frozen=True)
class RideRow:
    """A ride in the list.

    Attributes:
        video_id: which.
        riders: who rides, in words.
        images: how many of each set; none where nothing is exported.
        decided: decisions on its pictures.
    """

    video_id: str
    riders: str
    images: Mapping[str, int]
    decided: int


def rides(library: LibrarySnapshot, words: str, number: int) -> tuple[list[RideRow], int]:
    """Rides with image sets, in the order of their ids, and how many there are.

    Args:
        library: as it is now.
        words: part of an id; all where empty.
        number: of the page, from 1.
    """
    store = library.stores.tables
    found = sorted(video for video in with_sets(store) if words.lower() in video)
    shown = found[(number - 1) * PAGE : number * PAGE]
    decided = Counter(ids.parse(face).video_id for face in library.state.pictures)
    return [_row(library, video_id, decided[video_id]) for video_id in shown], len(found)


def _row(library: LibrarySnapshot, video_id: str, decided: int) -> RideRow:
    files = library.stores.tables.read("identity_dataset", video_id, ("type", "left_out", "file"))
    images = files.filter(pl.col("type").is_in(list(TITLES)) & pl.col("left_out").is_null())
    counts = dict(images.unique("file").group_by("type").len().iter_rows())
    names = (name for _, name, _ in riders_of(library, video_id))
    return RideRow(video_id, ", ".join(names), {k: counts.get(k, 0) for k in TITLES}, decided)


def riders_of(library: LibrarySnapshot, video_id: str) -> list[tuple[int, str, str | None]]:
    """Seat, name and person of each rider, by seat."""
    table = library.stores.tables.read("riders", video_id, ("track_id", "person_id"))
    found = []
    for track, seat in table.drop_nulls("person_id").sort("person_id").iter_rows():
        person = _person_of(library, ids.track(video_id, track))
        name = f"person_{seat}" if person is None else library.called(person)
        found.append((seat, name, person))
    return list({seat: row for seat, *rest in found for row in [(seat, *rest)]}.values())


def _person_of(library: LibrarySnapshot, track_key: str) -> str | None:
    """Whose a track is: by the ledger, else by the library in force."""
    state = library.state
    if (said := state.assigned.get(track_key)) is not None:
        return said
    rows = library.table("person_assignments").filter(
        (pl.col("track_key") == track_key) & (pl.col("origin") == "auto")
    )
    person = rows["person_id"][0] if rows.height else None
    if person is None or person not in state.people:
        return None
    survivor = state.survivor(person)
    return None if (track_key, survivor) in state.turned_down else survivor


def has_sets(library: LibrarySnapshot, video_id: str) -> bool:
    """Whether a ride or photo set has image sets of its own.

    Raises:
        CurationError: there is no such ride or set.
    """
    stores = library.stores
    if VIDEO_ID.fullmatch(video_id) is None or video_id not in library.videos:
        raise CurationError(f"there is no ride {video_id!r}; the list of rides has all.")
    noted = stores.tables.outputs.has("identity_dataset", video_id, MANIFEST)
    return noted and stores.layout.export(video_id).is_dir()


def ride(library: LibrarySnapshot, video_id: str) -> RideShown:
    """The sets of a ride as they are exported, with what was decided on them, order included.

    Raises:
        MissingTableError: it has no sets.
        DamagedTableError: a table is not as it was written.
    """
    store, state = library.stores.tables, library.state
    observed = store.read("candidates", video_id)
    files = store.read("identity_dataset", video_id)
    told = {row["face_id"]: row for row in observed.select(*_TOLD, *_HEEDED).iter_rows(named=True)}
    decided = _decided_in(state, video_id)
    order = ordered_faces(decided, OF_A_RIDE)
    ended = store.read("frame_ledger", video_id, ("person_id", "state", "reason"))
    by_seat: dict[int, list[SetShown]] = {}
    exported: set[str] = set()
    for name, kind in TYPES.items():
        rows = shown_rows(name, store.read(name, video_id), files, observed)
        exported.update(rows["face_id"])
        for seat, own, reordered in _by_seat(rows, () if kind == "pair" else order):
            pictures = tuple(
                _shown(state, video_id, row["face_id"], told, _file_of(files, row, kind))
                for row in own
            )
            by_seat.setdefault(seat, []).append(SetShown(kind, pictures, reordered))
    riders = tuple(
        RiderShown(seat, name, person, tuple(by_seat.get(seat, ())), _why_none(ended, seat))
        for seat, name, person in riders_of(library, video_id)
    )
    rejected = tuple(_shown(state, video_id, face, told, None) for face in _rejected(decided))
    waiting = sum(_waits(picture, told.get(f), f in exported) for f, picture in decided.items())
    return RideShown(video_id, riders, rejected, waiting + _reordered(riders))


def _why_none(ended: pl.DataFrame, seat: int) -> str:
    """Why there is no set of a rider, where there is none, as the frame ledger has it.

    Args:
        ended: `person_id, state, reason` of the table `frame_ledger`.
        seat: of the rider.
    """
    own = ended.filter(pl.col("person_id") == seat)
    if NO_CONSENT in own["reason"]:
        return "They do not consent to pictures, so no set was made of them."
    counts = own.group_by("state", "reason").len().sort("len", "reason", descending=[True, False])
    for state, reason, count in counts.head(1).iter_rows():
        return (
            f"No set was made of this rider: of {own.height:,} faces none became a picture, most "
            f"often ({count:,}) for this: {explain(state, reason)}"
        )
    return "No set was made of this rider: no face of theirs was measured."


def _reordered(riders: Iterable[RiderShown]) -> int:
    """How many sets are exported in another order than they are shown."""
    return sum(one.reordered for rider in riders for one in rider.sets)


def _waits(picture: Picture, row: Mapping[str, Any] | None, exported: bool) -> bool:
    """Whether a decision is not in the export yet.

    Args:
        picture: what is decided on a face.
        row: the face as a candidate; null: it is none, and no decision makes it one.
        exported: whether it is in a set.
    """
    if picture.verdict == "rejected":
        return exported
    return row is not None and (
        (picture.verdict == "accepted" and row["decided"] != ACCEPTED)
        or (picture.anchor is not None and not row["anchor_place"])
        or any(row[f"{axis}_bin"] != word for axis, word in picture.bins.items())
    )


def _by_seat(
    rows: pl.DataFrame, order: Sequence[str]
) -> Iterable[tuple[int, list[dict[str, Any]], bool]]:
    """Each rider's pictures in their order, and whether they are exported in another one.

    The order is that of `core.imagesets.decided.in_human_order`.
    """
    ranked = rows.sort("person_id", "rank", "face_id").with_columns(human_place=places(order))
    ranked = ranked.with_columns(human_place=place_in_set())
    for seat in ranked["person_id"].unique().sort().to_list():
        exported = ranked.filter(pl.col("person_id") == seat)
        said = exported.sort("human_place", nulls_last=True, maintain_order=True)
        yield seat, said.to_dicts(), not said.equals(exported)


def _file_of(files: pl.DataFrame, row: Mapping[str, Any], kind: str) -> str | None:
    own = files.filter((pl.col("face_id") == row["face_id"]) & (pl.col("type") == kind))
    return own["file"][0] if own.height else None


def _shown(
    state: LibraryState,
    video_id: str,
    face_id: str,
    told: Mapping[str, Mapping[str, Any]],
    file: str | None,
) -> Shown:
    row = told.get(face_id, _NOT_TOLD)
    decided = state.pictures.get(ids.face(video_id, face_id))
    bins = {axis: row[f"{axis}_bin"] for axis in AXES} | dict(decided.bins if decided else {})
    when = clock(row["timestamp_ms"], 1) if row["timestamp_ms"] is not None else ""
    since = file is not None and decided is not None and decided.verdict == "rejected"
    score = row["portrait_score"]
    return Shown(video_id, face_id, file, when, _words(bins), bins, score, decided, since)


def _words(bins: Mapping[str, str | None]) -> str:
    """What a picture shows, in a few words."""
    parts = [str(bins["expression"] or "expression not known").replace("_", " ")]
    if facing := _facing(bins["yaw"]):
        parts.append(facing)
    if bins["pitch"] not in (None, "neutral"):
        parts.append(str(bins["pitch"]))
    if bins["lighting"] not in (None, "normal"):
        parts.append(str(bins["lighting"]))
    if bins["occlusion"] not in (None, "none"):
        parts.append("partly covered" if bins["occlusion"] == "partial" else "covered")
    return ", ".join(parts)


def _facing(yaw_bin: str | None) -> str:
    """Where the nose points, by a bin of yaw: positive to the picture's right."""
    found = ev.YAW.fullmatch(yaw_bin or "")
    if not found:
        return "turned far" if yaw_bin else ""
    low, high = float(found[1]), float(found[2])
    if low <= 0 <= high:
        return "frontal"
    side = "right" if low > 0 else "left"
    near, far = sorted((abs(low), abs(high)))
    return f"{near:g} to {far:g}° {side}"


def _decided_in(state: LibraryState, video_id: str) -> dict[str, Picture]:
    """Decisions on the faces of a ride, by face."""
    parsed = ((ids.parse(face), picture) for face, picture in state.pictures.items())
    return {p.local_id: picture for p, picture in parsed if p.video_id == video_id and not p.lost}


def _rejected(decided: Mapping[str, Picture]) -> list[str]:
    """Those that were rejected."""
    return [face for face, picture in decided.items() if picture.verdict == "rejected"]


def anchors_offered(
    library: LibrarySnapshot, video_id: str, seat: int, settings: Settings
) -> list[Shown]:
    """Faces of a rider that may be anchors, the best portraits first, without rejected ones."""
    observed = library.stores.tables.read("candidates", video_id)
    open_to_all = (pl.col("standing") == "candidate") & anchor_eligible(settings.selection)
    own = observed.filter((pl.col("person_id") == seat) & open_to_all)
    rejected = _rejected(_decided_in(library.state, video_id))
    left = own.filter(~pl.col("face_id").is_in(rejected))
    best = left.sort(["portrait_score", "face_id"], descending=[True, False]).head(OFFERED)
    told = {row["face_id"]: row for row in best.select(_TOLD).iter_rows(named=True)}
    return [_shown(library.state, video_id, face, told, None) for face in told]


def bin_words(settings: Settings) -> dict[str, tuple[str, ...]]:
    """The words that may be said of each axis."""
    yaw = tuple(each.label for each in axis_bins(settings.buckets.yaw_edges))
    return {"yaw": (*yaw, "beyond"), **{str(axis): words for axis, words in ev.BIN_WORDS.items()}}


def person_pictures(
    library: LibrarySnapshot, person_id: str, settings: Settings
) -> tuple[list[Shown], tuple[str, ...]]:
    """A person's pictures over all rides in the order of an export, and what gives none and why.

    Raises:
        DatasetError: there is no picture of them.
    """
    person = people_of(library, [person_id], settings.datasets)[0]
    material = material_of(library, person, settings)
    ranked = ordered(material.pool, settings.selection, settings.datasets, settings.datasets.count)
    chosen = ranked.filter(pl.col("rank").is_not_null()).sort("rank")
    told = {
        (row["source_id"], row["face_id"]): row
        for row in material.pool.select("source_id", *_TOLD).iter_rows(named=True)
    }
    shown = [
        _shown(library.state, source, face, {face: told[source, face]}, None)
        for source, face in chosen.select("source_id", "face_id").iter_rows()
    ]
    return shown, tuple(f"{one.source_id}: {one.sentence}" for one in material.skipped)


@dataclass(frozen=True)
class Taught:
    """What decisions on pictures teach.

    Attributes:
        verdicts: how many were accepted, rejected, chosen as anchors, corrected.
        faults: how many were rejected for each fault, the most first.
        pictures: those decided on, by ride and face; at most a page.
        total: how many there are.
    """

    verdicts: Mapping[str, int]
    faults: Sequence[tuple[str, int]]
    pictures: tuple[Shown, ...]
    total: int


def taught(library: LibrarySnapshot, number: int) -> Taught:
    """All decisions on pictures in force.

    Args:
        library: as it is now.
        number: of the page, from 1.
    """
    state = library.state
    decided = sorted(state.pictures.items())
    verdicts = {
        "accepted": sum(p.verdict == "accepted" for _, p in decided),
        "rejected": sum(p.verdict == "rejected" for _, p in decided),
        "better anchors": sum(p.anchor is not None for _, p in decided),
        "bins corrected": sum(bool(p.bins) for _, p in decided),
    }
    faults = Counter(p.fault for _, p in decided if p.fault)
    shown = decided[(number - 1) * PAGE : number * PAGE]
    pictures = tuple(_as_told(library, [face for face, _ in shown]))
    return Taught(verdicts, faults.most_common(), pictures, len(decided))


def _as_told(library: LibrarySnapshot, subjects: Sequence[str]) -> Iterable[Shown]:
    """Faces of several rides with what is known of each; without those that are lost."""
    faces: dict[str, list[str]] = {}
    for parsed in map(ids.parse, subjects):
        if not parsed.lost:
            faces.setdefault(parsed.video_id, []).append(parsed.local_id)
    for video_id, own in faces.items():
        told = _told_of(library, video_id, own)
        yield from (_shown(library.state, video_id, face, told, None) for face in own)


def _told_of(
    library: LibrarySnapshot, video_id: str, faces: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """What is known of some faces; nothing of photographs and of rides that have no sets yet."""
    store = library.stores.tables
    if store.noted("candidates", video_id) is None:
        return {}
    own = store.read("candidates", video_id, _TOLD).filter(pl.col("face_id").is_in(faces))
    return {row["face_id"]: row for row in own.iter_rows(named=True)}


def last_events_on(library: LibrarySnapshot, pictures: Iterable[Shown]) -> dict[str, str | None]:
    """The newest decision in force that names each face: what `undo` takes back."""
    found = dict[str, str | None].fromkeys(one.subject for one in pictures)
    open_ = set(found)
    for event in library.history.latest_in_force() if open_ else ():
        if event.kind.startswith("picture_"):
            named = open_ & {*event.named_subjects}
            found |= dict.fromkeys(named, event.id)
            open_ -= named
        if not open_:
            break
    return found
