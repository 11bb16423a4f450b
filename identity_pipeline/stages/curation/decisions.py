"""Human decisions in terms of the present tables: found again, settled, compared with the library.

What belongs here: from the ledger's subjects to tracks. What does not: what follows from them
(`core.library.recompute`, `stages.library.recompute`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import polars as pl

from identity_pipeline.core.library.recompute import HumanFacts, PersonFacts
from identity_pipeline.core.matching.assignment import Decisions
from identity_pipeline.ledger import anchors, commands, subjects
from identity_pipeline.ledger import events as ev
from identity_pipeline.ledger.commands import Planned
from identity_pipeline.ledger.errors import NoChangeError
from identity_pipeline.ledger.replay import History
from identity_pipeline.ledger.state import LibraryState
from identity_pipeline.stages.curation.settling import Settling, video_in
from identity_pipeline.stages.specs.damage import PassedOver
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.video.tables import TableStore

MACHINE = "identity-pipeline"


def present_faces(store: TableStore, book: Mapping[str, Sequence[ev.Anchor]]) -> pl.DataFrame:
    """Faces near the anchors of decisions, as the tables show them now.

    Args:
        store: the tables.
        book: subject -> its anchors.

    Of a video whose tables cannot be read there are none, so decisions on it keep their names.

    Returns:
        video_id, track_id, face_id, frame_idx, x1, y1, x2, y2.
    """
    wanted: dict[str, set[int]] = {}
    for several in book.values():
        for anchor in several:
            near = range(anchor.frame_idx - anchors.FRAMES_WITHIN, anchor.frame_idx + 3)
            wanted.setdefault(anchor.video_id, set()).update(near)
    parts, passed_over = [], PassedOver()
    for video_id in sorted(wanted):
        names = ("face_tracks", "face_detections")
        if not all(store.layout.table(name, video_id).is_file() for name in names):
            continue
        with passed_over.reading(video_id):
            tracks = store.read("face_tracks", video_id, ("face_id", "frame_idx", "track_id"))
            faces = store.read("face_detections", video_id, _BOXES)
            if _in_step(store, video_id, tracks):
                near = pl.col("frame_idx").is_in(sorted(wanted[video_id]))
                known = tracks.filter(near).select("face_id", "track_id")
                joined = faces.filter(near).join(known, on="face_id", how="left")
                parts.append(joined.with_columns(video_id=pl.lit(video_id)))
    return pl.concat([_NO_FACES, *(part.select(_NO_FACES.columns) for part in parts)])


def _in_step(store: TableStore, video_id: str, tracks: pl.DataFrame) -> bool:
    """Whether a video's templates are of its present tracks.

    While a video is processed anew its tracks are new and its templates old: decisions keep their
    names until both fit.
    """
    if not store.layout.table("track_templates", video_id).is_file():
        return True
    best = store.read("track_templates", video_id, ("best_face_id", "track_id"))
    named = best.rename({"best_face_id": "face_id"})
    return named.join(tracks, on=["face_id", "track_id"], how="anti").height == 0


_BOXES = ("face_id", "frame_idx", "x1", "y1", "x2", "y2")
_NO_FACES = pl.DataFrame(
    schema={
        "video_id": pl.String,
        "track_id": pl.Int64,
        "face_id": pl.String,
        "frame_idx": pl.Int64,
        **dict.fromkeys(("x1", "y1", "x2", "y2"), pl.Float32),
    }
)


def settle_ledger(stores: LibraryStores, now: str, *, write: bool = True) -> History:
    """The ledger, after noting where videos that were processed anew have other track numbers.

    With `write` False nothing is noted, but the history is told as if it were.
    """
    store, ledger = stores.tables, stores.ledger
    history = ledger.history()
    settling = Settling.of(store.layout, history)
    found = _found_again(store, history, settling.videos)
    if not found.changes:
        if write and history.events:
            settling.note()
        return history
    stamp = commands.Stamp(MACHINE, now, "videos were processed anew")

    def noted(latest: History) -> Planned:
        there = found
        if latest.events != history.events:  # somebody else was faster
            there = _found_again(store, latest, Settling.of(store.layout, latest).videos)
        planned = commands.renumber(latest, stamp, there.found, there.not_found)
        if planned.state.state_hash == latest.state.state_hash:
            raise NoChangeError("Every decision is still where it was.")
        return planned

    carry_out = ledger.commit if write else ledger.preview
    try:
        return carry_out(noted).history
    except NoChangeError:
        if not write:
            return history
        settling.note()
        return ledger.history()


def _found_again(
    store: TableStore, history: History, videos: Collection[str]
) -> anchors.Resolution:
    """Where the subjects of some videos are now."""
    if not videos:
        return anchors.Resolution({}, (), ())
    book = {s: history.anchors[s] for s in history.anchors if video_in(s) in videos}
    return anchors.resolve(book, present_faces(store, book))


def human_facts(state: LibraryState, track_of_face: Mapping[str, str]) -> HumanFacts:
    """The ledger's state in terms of tracks; a decision on a face counts for its track.

    Args:
        state: the state.
        track_of_face: track subject of each face subject that is known, and of each track whose
            decisions count for another one (`stages.library.copies`).
    """

    def place(subject: str) -> str:
        return track_of_face.get(subject, subject)

    assigned = {place(s): person for s, person in state.assigned.items()}
    # A decision about the track itself outweighs one about a face of it.
    own = {s: p for s, p in state.assigned.items() if s not in track_of_face}
    assigned |= {s: p for s, p in own.items() if subjects.parse(s).kind == "track"}
    rejected: dict[tuple[str, str], float | None] = {
        (place(s), p): score for (s, p), score in state.declined.items()
    }
    rejected |= {(place(s), person): None for s, person in state.rejected}
    apart = frozenset((place(a), place(b)) for a, b in state.apart if place(a) != place(b))
    for one, other in (*apart, *((b, a) for a, b in apart)):
        if other in assigned and one not in assigned:
            rejected[one, assigned[other]] = None
    decisions = Decisions(
        assigned=assigned,
        accepted={place(s) for s, origin in state.origin.items() if origin != "human"},
        rejected=rejected,
        # A single face that is none does not take its whole track from a person.
        ignored={place(s) for s in state.ignored} - set(assigned),
        not_faces={place(s) for s in state.not_faces} - set(assigned),
    )
    pinned = frozenset(place(p.cover) for p in state.people.values() if p.cover)
    return HumanFacts(people_facts(state), decisions, apart, pinned)


def people_facts(state: LibraryState) -> dict[str, PersonFacts]:
    """What the ledger says of each person in force, by id."""
    people = {key: state.people[key] for key in state.active}
    return {key: PersonFacts(p.name, p.cover, p.hidden) for key, p in people.items()}


def tracks_of_faces(store: TableStore, history: History) -> dict[str, str]:
    """Track subject of each face subject on which anything was decided."""
    wanted = {s for s in history.state.subjects if subjects.parse(s).kind == "face"}
    if not wanted:
        return {}
    rows = present_faces(store, history.anchors).filter(pl.col("track_id").is_not_null())
    found = {
        subjects.face(row["video_id"], row["face_id"]): subjects.track(
            row["video_id"], row["track_id"]
        )
        for row in rows.iter_rows(named=True)
    }
    return {face: track for face, track in found.items() if face in wanted}


def contradicted(stores: LibraryStores) -> tuple[list[str], list[str]]:
    """Tracks whose assignment in force is against a human decision, and subjects without a track.

    Decisions made since the generation was published count: then the library is stale, which is
    told apart by running it again.
    """
    history = stores.ledger.history()
    human = human_facts(history.state, tracks_of_faces(stores.tables, history))
    with stores.generations.open() as snapshot:
        assignments = snapshot.table("person_assignments")
    rows = {row["track_key"]: row for row in assignments.iter_rows(named=True)}
    wrong = {
        key
        for key, person in human.decisions.assigned.items()
        if key in rows and rows[key]["person_id"] != person
    }
    wrong |= {
        key
        for (key, person), evidence in human.decisions.rejected.items()
        if evidence is None and key in rows and rows[key]["person_id"] == person
    }
    wrong |= {
        key
        for a, b in human.apart
        if a in rows and b in rows and _together(rows[a], rows[b])
        for key in (a, b)
    }
    return sorted(wrong), list(history.state.lost)


def _together(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    both_known = one["state"] == other["state"] == "known"
    one_person = both_known and one["person_id"] == other["person_id"]
    in_cluster = one["cluster_id"] is not None and one["cluster_id"] == other["cluster_id"]
    return one_person or in_cluster
