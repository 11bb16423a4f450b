"""The library as lists for people: who is known, what is grouped, suggested, and was decided."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from identity_pipeline.core.library.recompute import PersonFacts, people_table
from identity_pipeline.ledger import events as ev
from identity_pipeline.ledger import subjects as ids
from identity_pipeline.ledger.effects import Facts, effect_of
from identity_pipeline.ledger.replay import History
from identity_pipeline.stages.curation.snapshot import LibrarySnapshot, video_of
from identity_pipeline.stages.library.copies import TABLE, Copies

Row = dict[str, object]


def people_rows(library: LibrarySnapshot, *, hidden: bool = False) -> list[Row]:
    """Everybody whom humans have made, by name: the ledger now, the tracks by the last recompute.

    Args:
        library: as it is now.
        hidden: also those who are not to be listed.
    """
    state = library.state
    facts = {
        key: PersonFacts(state.people[key].name, state.people[key].cover, state.people[key].hidden)
        for key in state.active
    }
    # One that cannot be read is named where profiles are brought in step; the others are shown.
    readable = library.stores.profiles.all(faults=[])
    profiles = {profile.person_id: profile for profile in readable}
    rows = []
    for row in people_table(facts, *_present(library)).iter_rows(named=True):
        person = row["person_id"]
        if row["state"] == "hidden" and not hidden:
            continue
        profile = profiles.get(person)
        rows.append(
            {
                **row,
                "confirmed": len(state.members.get(person, ())),
                "embeddings": profile.embedding_count if profile else None,
                "sessions": profile.sessions if profile else None,
                "label": profile.label if profile else None,
            }
        )
    return sorted(
        rows, key=lambda r: (r["name"] is None, str(r["name"]).casefold(), r["person_id"])
    )


def _present(library: LibrarySnapshot) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Known tracks as assignments and templates: decisions of now over the last recompute."""
    state = library.state
    tracks = {s for s in state.assigned if ids.parse(s).kind == "track"}
    automatic = {
        key: str(row["person_id"])
        for key, row in library.assignments.items()
        if row["origin"] == "auto" and row["person_id"] in state.people
    }
    aside = state.ignored | state.not_faces
    whose = {k: state.survivor(p) for k, p in automatic.items() if k not in aside}
    whose = {k: p for k, p in whose.items() if (k, p) not in state.rejected}
    # What was decided about a copy's track holds for the track that counts in its place.
    place = Copies.from_table(library.table(TABLE)).place
    whose |= {place[key]: state.assigned[key] for key in sorted(tracks & place.keys())}
    whose |= {key: state.assigned[key] for key in tracks - place.keys()}
    rows = [
        {"track_key": key, "video_id": video_of(key), "state": "known", "person_id": person}
        for key, person in sorted(whose.items())
    ]
    columns = ("track_key", "video_id", "state", "person_id")
    return pl.DataFrame(rows, schema=[(name, pl.String) for name in columns]), library.templates(
        map(video_of, whose)
    )


def cluster_rows(library: LibrarySnapshot) -> list[Row]:
    """Groups of unknown tracks, the largest first; `decided`: tracks that humans settled since."""
    settled = {*library.state.assigned, *library.state.ignored, *library.state.not_faces}
    rows: list[Row] = [
        {**row, "decided": len(settled & set(row["tracks"]))}
        for row in library.table("unknown_clusters").iter_rows(named=True)
    ]
    return sorted(rows, key=lambda r: (-int(str(r["face_count"])), int(str(r["cluster_id"]))))


def noise_rows(library: LibrarySnapshot) -> list[Row]:
    """Tracks that are in no group, by track."""
    return [
        {"track_key": key, "display": row["display"], "video_id": row["video_id"]}
        for key, row in sorted(library.assignments.items())
        if row["cluster_id"] is None and row["state"] in ("noise", "suggested")
    ]


def pending_suggestions(library: LibrarySnapshot) -> list[Row]:
    """Suggestions that wait for an answer, the best first; answered ones are left out at once."""
    state, rows = library.state, []
    table = library.table("suggestions").filter(pl.col("state") == "pending")
    closed = {*state.assigned, *state.ignored, *state.not_faces}
    for row in table.iter_rows(named=True):
        track, person = row["track_key"], row["person_id"]
        if person not in state.people or track in closed:
            continue
        pair = track, state.survivor(person)
        if pair not in state.rejected and pair not in state.declined:
            assigned = library.assignments.get(track, {})
            rows.append({**row, "person": library.called(person), "rule": assigned.get("rule")})
    return sorted(rows, key=lambda r: (-float(str(r["score"])), str(r["suggestion_id"])))


def event_rows(history: History, most: int) -> Iterator[Row]:
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
