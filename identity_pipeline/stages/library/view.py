"""The library as lists for people: who is known, what is grouped, suggested, and was decided."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypedDict, cast

import polars as pl

from identity_pipeline.core.library import people as of_people
from identity_pipeline.ledger import events as ev
from identity_pipeline.ledger import subjects as ids
from identity_pipeline.ledger.effects import Facts, effect_of
from identity_pipeline.ledger.replay import History
from identity_pipeline.stages.curation.decisions import people_facts
from identity_pipeline.stages.curation.snapshot import LibrarySnapshot, SuggestionRow, video_of
from identity_pipeline.stages.library.copies_in_force import TABLE, Copies
from identity_pipeline.storage.library.profile_labels import profile_labels


class PersonRow(TypedDict):
    """A person whom humans have made: a row of `people`, and what their profile holds.

    Attributes:
        confirmed: tracks by human decision.
        embeddings, sessions, label: of the profile; null without one.
        fault: why the profile cannot be read; null where it can, or there is none.
    """

    person_id: str
    name: str | None
    state: str
    cover: str | None
    track_count: int
    face_count: int
    video_count: int
    videos: list[str]
    photo_set_count: int
    confirmed: int
    embeddings: int | None
    sessions: int | None
    label: str | None
    fault: str | None


class ClusterRow(TypedDict):
    """A row of `unknown_clusters`; `decided`: tracks of it that humans settled since."""

    cluster_id: int
    track_count: int
    face_count: int
    video_count: int
    confidence: float | None
    representative: str
    tracks: list[str]
    decided: int


class NoiseRow(TypedDict):
    """A track that is in no group."""

    track_key: str
    display: str
    video_id: str


class PendingSuggestion(SuggestionRow):
    """A suggestion that waits; `person`: how they are called, `rule`: why it is asked."""

    person: str
    rule: str | None


class EventRow(TypedDict):
    """An event of the ledger, with its effect in words."""

    seq: int
    time: str
    actor: str
    kind: str
    effect: str
    reason: str
    undone: bool
    id: str


def people_rows(library: LibrarySnapshot, *, hidden: bool = False) -> list[PersonRow]:
    """Everybody whom humans have made, by name: the ledger now, the tracks by the last recompute.

    Args:
        library: as it is now.
        hidden: also those who are not to be listed.
    """
    state = library.state
    profiles = profile_labels(library.stores.layout)
    sets = set(library.stores.photos.ids())
    rows: list[PersonRow] = []
    for row in of_people.people_rows(people_facts(state), *_present(library)):
        if row["state"] == "hidden" and not hidden:
            continue
        profile = profiles.labels.get(row["person_id"])
        told = {
            **_counted_apart(row["videos"], sets),
            "confirmed": len(state.members.get(row["person_id"], ())),
            "embeddings": profile.embeddings if profile else None,
            "sessions": profile.sessions if profile else None,
            "label": profile.label if profile else None,
            "fault": profiles.faults.get(row["person_id"]),
        }
        rows.append(cast("PersonRow", {**row, **told}))
    return sorted(
        rows, key=lambda r: (r["name"] is None, str(r["name"]).casefold(), r["person_id"])
    )


def _counted_apart(sources: list[str], sets: set[str]) -> dict[str, object]:
    """Rides, and sets of photographs, of those that somebody is seen in."""
    rides = [source for source in sources if source not in sets]
    return {
        "videos": rides,
        "video_count": len(rides),
        "photo_set_count": len(sources) - len(rides),
    }


def _present(library: LibrarySnapshot) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Known tracks as assignments and templates: decisions of now over the last recompute."""
    whose = known_tracks(library)
    rows = [(key, video_of(key), "known", who.person_id) for key, who in sorted(whose.items())]
    columns = ("track_key", "video_id", "state", "person_id")
    table = pl.DataFrame(rows, schema=[(name, pl.String) for name in columns], orient="row")
    return table, library.track_counts(map(video_of, whose))


class Known(NamedTuple):
    """Whose a track is, and who says so: `human`, `suggestion_accepted` or `auto`."""

    person_id: str
    origin: str


def known_tracks(library: LibrarySnapshot) -> dict[str, Known]:
    """Whose each known track is: by the ledger now, and by the last recompute where it is silent.

    Of a ride and its copies only the tracks of the video that counts are there.
    """
    state = library.state
    place = Copies.from_table(library.table(TABLE)).place
    origins = {place.get(subject, subject): origin for subject, origin in state.origin.items()}
    return {
        **{key: Known(person, "auto") for key, person in _automatic(library).items()},
        **{key: Known(person, origins[key]) for key, person in _decided(library).items()},
    }


def _automatic(library: LibrarySnapshot) -> dict[str, str]:
    """The person of each track by the last recompute, but for what humans said since."""
    state, found = library.state, {}
    aside = state.ignored | state.not_faces
    placed = library.table("person_assignments").filter(pl.col("origin") == "auto")
    pairs = placed.drop_nulls("person_id").select("track_key", "person_id")
    for key, person in pairs.iter_rows():
        if key in aside or person not in state.people:
            continue
        survivor = state.survivor(person)
        if (key, survivor) not in state.turned_down:
            found[key] = survivor
    return found


def _decided(library: LibrarySnapshot) -> dict[str, str]:
    """The person of each track that humans gave to somebody.

    What was decided about a copy's track holds for the track that counts in its place; a decision
    about that track itself comes first.
    """
    assigned = library.state.assigned
    tracks = {s for s in assigned if ids.parse(s).kind == "track"}
    place = Copies.from_table(library.table(TABLE)).place
    copied = {place[key]: assigned[key] for key in sorted(tracks & place.keys())}
    return {**copied, **{key: assigned[key] for key in tracks - place.keys()}}


def cluster_rows(library: LibrarySnapshot) -> list[ClusterRow]:
    """Groups of unknown tracks, the largest first."""
    settled = {*library.state.assigned, *library.state.ignored, *library.state.not_faces}
    rows = [
        cast("ClusterRow", {**row, "decided": len(settled & set(row["tracks"]))})
        for row in library.table("unknown_clusters").iter_rows(named=True)
    ]
    return sorted(rows, key=lambda row: (-row["face_count"], row["cluster_id"]))


def noise_rows(library: LibrarySnapshot) -> list[NoiseRow]:
    """Tracks that are in no group, by track."""
    return [
        {"track_key": key, "display": row["display"], "video_id": row["video_id"]}
        for key, row in sorted(library.assignments.items())
        if row["cluster_id"] is None and row["state"] in ("noise", "suggested")
    ]


def pending_suggestions(library: LibrarySnapshot) -> list[PendingSuggestion]:
    """Suggestions that wait for an answer, the best first; answered ones are left out at once."""
    state = library.state
    rows: list[PendingSuggestion] = []
    table = library.table("suggestions").filter(pl.col("state") == "pending")
    closed = {*state.assigned, *state.ignored, *state.not_faces}
    for row in table.iter_rows(named=True):
        track, person = row["track_key"], row["person_id"]
        if person not in state.people or track in closed:
            continue
        pair = track, state.survivor(person)
        if pair not in state.turned_down:
            assigned = library.assignments.get(track)
            told = {"person": library.called(person), "rule": assigned and assigned["rule"]}
            rows.append(cast("PendingSuggestion", {**row, **told}))
    return sorted(rows, key=lambda row: (-row["score"], row["suggestion_id"]))


def event_rows(history: History, most: int) -> Iterator[EventRow]:
    """The last events, the newest first, each with its effect in words."""
    events = history.events
    first = max(0, len(events) - most)
    told: dict[int, str] = {}
    before = History(events[:first])
    for event in events[first:]:
        after = History((*before.events, event), before.position)
        told[event.seq] = _effect(event, before, after)
        before = after
    for event in reversed(events[first:]):
        yield {
            "seq": event.seq,
            "time": event.time,
            "actor": event.actor,
            "kind": event.kind,
            "effect": told[event.seq],
            "reason": event.reason,
            "undone": event.id in history.undone,
            "id": event.id,
        }


def _effect(event: ev.Event, before: History, after: History) -> str:
    if isinstance(event, ev.Renumbered):
        return f"{len(event.renames)} tracks have other ids, {len(event.not_found)} are lost"
    text = str(effect_of(before.state, after.state, Facts()))
    if isinstance(event, ev.Undone):
        target = after.event(event.event_id)
        return f"takes back #{target.seq} ({target.kind}):\n{text}"
    return text
