"""What a curator's words mean: tracks, people, events and suggestions by any of their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import polars as pl

from identity_pipeline.ledger import events as ev
from identity_pipeline.ledger import subjects as ids
from identity_pipeline.stages.curation.snapshot import (
    CurationError,
    LibrarySnapshot,
    SuggestionRow,
    video_of,
)
from identity_pipeline.storage.video.registry import which_of

CLUSTER = re.compile(r"(?:unknown[_ ])?cluster[ _:#]?(\d+)", re.IGNORECASE)
TRACK = re.compile(r"(?:track:)?([a-z0-9][a-z0-9_-]*)[:#](\d+)")
FACE = re.compile(r"(?:face:([a-z0-9][a-z0-9_-]*):|([a-z0-9][a-z0-9_-]*)@)(\d+)-(\d+)")
FORMS = (
    "a track (VIDEO:NUMBER), a face (VIDEO@FRAME-NUMBER), a group (cluster 5), a suggestion's id, "
    "or a person's name or id"
)


@dataclass(frozen=True)
class Chosen:
    """What a target turned out to be.

    Attributes:
        subjects: tracks (a face that is in no track: the face), sorted.
        faces: the face of each subject that was named by one.
    """

    subjects: tuple[str, ...]
    faces: dict[str, str]


def find_targets(
    library: LibrarySnapshot, words: Sequence[str], *, confirmed: bool = False
) -> Chosen:
    """The tracks that several targets mean together.

    Args:
        library: as it is now.
        words: as typed; `cluster 5` may be two words.
        confirmed: of a person only what humans confirmed, not what the machine added.

    Raises:
        CurationError: a target means nothing, or more than one thing.
    """
    subjects: set[str] = set()
    faces: dict[str, str] = {}
    for word in _joined(words):
        found = _target(library, word, confirmed)
        subjects.update(found.subjects)
        faces.update(found.faces)
    return Chosen(tuple(sorted(subjects)), faces)


def find_person(library: LibrarySnapshot, word: str) -> str:
    """A person by name (in any case), id, or beginning of the id.

    Raises:
        CurationError: nobody fits, or several do.
    """
    people = people_called(library, word)
    if len(people) == 1:
        return people[0]
    if people:
        raise CurationError(
            f"{len(people)} people fit {word!r}: {', '.join(people)}; use one of these ids."
        )
    raise CurationError(f"no person fits {word!r}; `identity-pipeline people` lists them.")


def people_called(library: LibrarySnapshot, word: str) -> list[str]:
    """Everybody who is meant by a name, else by an id, else by the beginning of one."""
    state = library.state
    given = word.removeprefix("person_").removeprefix("person ")
    if given in state.people:
        return [given]
    try:
        named = state.named(ev.clean_name(word)) or state.named(ev.clean_name(given))
    except ValueError:
        named = ()
    return list(named) or [p for p in state.active if len(given) >= 4 and p.startswith(given)]


def find_suggestion(library: LibrarySnapshot, word: str) -> SuggestionRow:
    """The row of a suggestion by its id or an unambiguous beginning of it.

    Raises:
        CurationError: none or several fit.
    """
    rows = library.table("suggestions").filter(pl.col("suggestion_id").str.starts_with(word))
    if rows.height != 1 or len(word) < 4:
        raise CurationError(
            f"no single suggestion fits {word!r}; `identity-pipeline suggestions` lists them."
        )
    return cast("SuggestionRow", rows.row(0, named=True))


def find_event(library: LibrarySnapshot, word: str) -> ev.Event:
    """An event by its number, its id or a beginning of it, or `last`: the last one in force.

    Raises:
        CurationError: none or several fit.
    """
    events = library.history.events
    if word == "last":
        latest = library.history.latest_in_force()
        decision = next((e for e in latest if not isinstance(e, ev.Renumbered)), None)
        if decision is None:
            raise CurationError("there is no decision to undo.")
        return decision
    number = word.removeprefix("#")
    if number.isdigit() and 1 <= int(number) <= len(events):
        return events[int(number) - 1]
    found = library.history.called(word) if len(word) >= 4 else []
    if len(found) != 1:
        raise CurationError(f"no single event fits {word!r}; `identity-pipeline events` lists them")
    return found[0]


def _joined(words: Iterable[str]) -> list[str]:
    """Words with `cluster` and the number after it put together."""
    joined: list[str] = []
    for word in words:
        if joined and joined[-1].lower() == "cluster" and word.isdigit():
            joined[-1] = f"cluster {word}"
        else:
            joined.append(word)
    return joined


def _target(library: LibrarySnapshot, word: str, confirmed: bool) -> Chosen:
    if found := CLUSTER.fullmatch(word):
        return _plain(_cluster(library, int(found[1])))
    if word.startswith("unknown_noise_"):
        return _plain(_noise(library, word))
    if found := FACE.fullmatch(word):
        return _face(library, found[1] or found[2], f"{int(found[3]):06d}-{int(found[4])}")
    if found := TRACK.fullmatch(word):
        return _plain([_track(library, found[1], int(found[2]))])
    return _plain(_by_name(library, word, confirmed))


def _by_name(library: LibrarySnapshot, word: str, confirmed: bool) -> list[str]:
    """The tracks of a lost subject, a suggestion or a person."""
    if word.startswith("lost:") and word in library.state.subjects:
        return [word]
    if re.fullmatch(r"[0-9a-f]{4,16}", word):
        near = library.table("suggestions").filter(pl.col("suggestion_id").str.starts_with(word))
        if near.height == 1:
            return [near["track_key"][0]]
    people = people_called(library, word)
    if not people:
        raise CurationError(f"{word!r} is nothing that is known; expected {FORMS}.")
    return tracks_of_person(library, find_person(library, word), confirmed=confirmed)


def _plain(subjects: Iterable[str]) -> Chosen:
    return Chosen(tuple(subjects), {})


def tracks_of_person(library: LibrarySnapshot, person_id: str, *, confirmed: bool) -> list[str]:
    """The subjects of a person, sorted.

    Raises:
        CurationError: there is none.
    """
    found = set(library.state.members.get(person_id, ()))
    if not confirmed:
        found |= {
            key
            for key, row in library.assignments.items()
            if row["state"] == "known"
            and row["person_id"] == person_id
            and key not in library.state.assigned
        }
    if not found:
        raise CurationError(f"{library.called(person_id)} has no track; name the tracks instead.")
    return sorted(found)


def _cluster(library: LibrarySnapshot, number: int) -> list[str]:
    rows = library.table("unknown_clusters").filter(pl.col("cluster_id") == number)
    if not rows.height:
        raise CurationError(
            f"there is no unknown_cluster_{number}; `identity-pipeline clusters` lists them, "
            "`identity-pipeline recluster` brings them up to date."
        )
    return _current(library, rows["tracks"][0].to_list())


def _noise(library: LibrarySnapshot, word: str) -> list[str]:
    keys = [key for key, row in library.assignments.items() if row["display"] == word]
    if len(keys) > 1:
        raise CurationError(f"{len(keys)} tracks are called {word}: {', '.join(keys)}; name one.")
    if not keys:
        raise CurationError(f"there is no {word}; `identity-pipeline clusters --noise` lists them.")
    return _current(library, keys)


def _current(library: LibrarySnapshot, keys: list[str]) -> list[str]:
    """The tracks, after checking that their numbers still mean the same."""
    outdated = library.outdated(map(video_of, keys))
    if outdated:
        raise CurationError(
            f"{', '.join(outdated)} was processed anew since; run `identity-pipeline recluster` "
            "first."
        )
    return keys


def find_video(library: LibrarySnapshot, word: str) -> str:
    """A video, or photo set, by its id or an unambiguous beginning of it.

    Raises:
        CurationError: none or several fit.
    """
    if library.has_video(word):
        return word
    found = [video for video in library.videos if video.startswith(word)]
    if len(found) != 1:
        raise CurationError(
            f"no single video is meant by {word!r} ({which_of(found)}); `identity-pipeline videos` "
            "lists all."
        )
    return found[0]


def _track(library: LibrarySnapshot, word: str, number: int) -> str:
    if (absent := ids.track(word, number)) in library.state.subjects and not library.has_video(
        word
    ):
        return absent
    video_id = library.sound(find_video(library, word))
    there = set(library.templates([video_id])["track_id"].to_list())
    there.update(t for t in _tracks_of_faces(library, video_id).values() if t is not None)
    if number not in there:
        tracks = ", ".join(map(str, sorted(there))) or "none"
        raise CurationError(f"{video_id} has no track {number}; its tracks: {tracks}.")
    return ids.track(video_id, number)


def _face(library: LibrarySnapshot, word: str, face_id: str) -> Chosen:
    video_id = find_video(library, word)
    faces = _tracks_of_faces(library, video_id)
    if face_id not in faces:
        detected = library.stores.tables.outputs.has("face_detections", video_id)
        if detected and face_id in _detected(library, video_id):
            return _plain([ids.face(video_id, face_id)])
        raise CurationError(
            f"{video_id} has no face {face_id}; `identity-pipeline why {video_id} "
            f"{int(face_id.partition('-')[0])}` shows the faces of that frame."
        )
    track = faces[face_id]
    if track is None:
        return _plain([ids.face(video_id, face_id)])
    subject = ids.track(video_id, track)
    return Chosen((subject,), {subject: face_id})


def _detected(library: LibrarySnapshot, video_id: str) -> set[str]:
    return set(library.stores.tables.read("face_detections", video_id, ("face_id",))["face_id"])


def _tracks_of_faces(library: LibrarySnapshot, video_id: str) -> dict[str, int | None]:
    tables = library.stores.tables
    if not tables.outputs.has("face_tracks", video_id):
        return {}
    return dict(tables.read("face_tracks", video_id, ("face_id", "track_id")).iter_rows())
