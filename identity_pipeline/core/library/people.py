"""The table `people`: everybody whom humans have made, with what of the tracks is theirs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from identity_pipeline.tables import TABLES


@dataclass(frozen=True)
class PersonFacts:
    """What humans have said of a person.

    Attributes:
        name: None for a part that was split off without a name.
        cover: the subject that shows the person, if chosen.
        hidden: not to be listed.
    """

    name: str | None
    cover: str | None = None
    hidden: bool = False


def people_table(
    people: Mapping[str, PersonFacts], assignments: pl.DataFrame, templates: pl.DataFrame
) -> pl.DataFrame:
    """The table `people`; args as of `people_rows`."""
    return pl.DataFrame(people_rows(people, assignments, templates), schema=TABLES["people"])


def people_rows(
    people: Mapping[str, PersonFacts], assignments: pl.DataFrame, templates: pl.DataFrame
) -> list[dict[str, Any]]:
    """The rows of the table `people`: everybody whom humans have made, sorted by id.

    Args:
        people: what humans said of each, by id.
        assignments: track_key, video_id, state and person_id of each track.
        templates: track_key, face_count and quality of each track.
    """
    known = assignments.filter(pl.col("state") == "known").join(
        templates.select("track_key", "face_count", "quality"), on="track_key"
    )
    best_first = known.sort(["quality", "track_key"], descending=[True, False])
    tracks: dict[str | None, list[tuple[str, str, int]]] = {}
    for person_id, *track in best_first.select(_OF_A_TRACK).iter_rows():
        tracks.setdefault(person_id, []).append((track[0], track[1], track[2]))
    return [_row(key, facts, tracks.get(key, [])) for key, facts in sorted(people.items())]


_OF_A_TRACK = ("person_id", "track_key", "video_id", "face_count")


def _row(person_id: str, facts: PersonFacts, own: list[tuple[str, str, int]]) -> dict[str, Any]:
    """One person; `own`: key, video and number of faces of each of their tracks, best first."""
    videos = sorted({video for _, video, _ in own})
    return {
        "person_id": person_id,
        "name": facts.name,
        "state": "hidden" if facts.hidden else "active",
        "cover": facts.cover or (own[0][0] if own else None),
        "track_count": len(own),
        "face_count": sum(faces for _, _, faces in own),
        "video_count": len(videos),
        "videos": videos,
    }
