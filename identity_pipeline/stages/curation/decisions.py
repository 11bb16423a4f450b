"""Human decisions in terms of tracks, and whether the library in force keeps to them.

Finding them again where videos were processed anew is in `settling`; what follows from them, in
`core.library.recompute`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING

import polars as pl

from identity_pipeline.core.library.people import PersonFacts
from identity_pipeline.ledger import subjects
from identity_pipeline.ledger.replay import History
from identity_pipeline.ledger.state import LibraryState
from identity_pipeline.stages.curation.settling import present_faces
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.video.tables import TableStore

if TYPE_CHECKING:
    from identity_pipeline.core.library.recompute import HumanFacts


def human_facts(state: LibraryState, track_of_face: Mapping[str, str]) -> HumanFacts:
    """The ledger's state in terms of tracks; a decision on a face counts for its track.

    Args:
        state: the state.
        track_of_face: track subject of each face subject that is known, and of each track whose
            decisions count for another one (`stages.library.copies`).
    """
    # Here, for who only lists people computes no library.
    from identity_pipeline.core.library.recompute import HumanFacts
    from identity_pipeline.core.matching.assignment import Decisions

    def place(subject: str) -> str:
        return track_of_face.get(subject, subject)

    def places(several: Iterable[str]) -> set[str]:
        return {place(subject) for subject in several}

    assigned = _assigned(state, track_of_face)
    apart = frozenset((place(a), place(b)) for a, b in state.apart if place(a) != place(b))
    decisions = Decisions(
        assigned=assigned,
        accepted=places(s for s, origin in state.origin.items() if origin != "human"),
        rejected=_rejected(state, place, apart, assigned),
        # A single face that is none does not take its whole track from a person.
        ignored=places(state.ignored) - set(assigned),
        not_faces=places(state.not_faces) - set(assigned),
    )
    pinned = frozenset(places(p.cover for p in state.people.values() if p.cover))
    return HumanFacts(people_facts(state), decisions, apart, pinned)


def _assigned(state: LibraryState, track_of_face: Mapping[str, str]) -> dict[str, str]:
    """Whose each track is; a decision about the track itself outweighs one about a face of it."""
    assigned = {track_of_face.get(s, s): person for s, person in state.assigned.items()}
    own = {s: p for s, p in state.assigned.items() if s not in track_of_face}
    return assigned | {s: p for s, p in own.items() if subjects.parse(s).kind == "track"}


def _rejected(
    state: LibraryState,
    place: Callable[[str], str],
    apart: Collection[tuple[str, str]],
    assigned: Mapping[str, str],
) -> dict[tuple[str, str], float | None]:
    """Who a track is not: the score at which that was said, or null for ever.

    A track that is nobody's is not the person of a track that it was split apart from either.
    """
    found: dict[tuple[str, str], float | None] = {
        (place(s), p): score for (s, p), score in state.declined.items()
    }
    found |= {(place(s), person): None for s, person in state.rejected}
    for one, other in (*apart, *((b, a) for a, b in apart)):
        if other in assigned and one not in assigned:
            found[one, assigned[other]] = None
    return found


def people_facts(state: LibraryState) -> dict[str, PersonFacts]:
    """What the ledger says of each person in force, by id."""
    people = {key: state.people[key] for key in state.active}
    return {key: PersonFacts(p.name, p.cover, p.hidden) for key, p in people.items()}


def tracks_of_faces(store: TableStore, history: History) -> dict[str, str]:
    """Track subject of each face subject on which anything was decided."""
    wanted = {s for s in history.state.people_subjects if subjects.parse(s).kind == "face"}
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
    return sorted(_against(human, rows)), list(history.state.lost)


def _against(human: HumanFacts, rows: Mapping[str, Mapping[str, object]]) -> set[str]:
    """Tracks that are not whose they were said to be, who they were said not to be, or together."""
    now = {key: row["person_id"] for key, row in rows.items()}
    said = human.decisions
    never = [pair for pair, evidence in said.rejected.items() if evidence is None]
    wrong = {key for key, who in said.assigned.items() if now.get(key, who) != who}
    wrong |= {key for key, who in never if now.get(key) == who}
    return wrong.union(*(pair for pair in human.apart if _together(*map(rows.get, pair))))


def _together(one: Mapping[str, object] | None, other: Mapping[str, object] | None) -> bool:
    if one is None or other is None:
        return False
    both_known = one["state"] == other["state"] == "known"
    one_person = both_known and one["person_id"] == other["person_id"]
    in_cluster = one["cluster_id"] is not None and one["cluster_id"] == other["cluster_id"]
    return one_person or in_cluster
