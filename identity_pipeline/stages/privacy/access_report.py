"""Everything known of a person, for the person: what an access request is answered with.

What belongs here: collecting it, and writing it as JSON, page and ZIP. What does not: what derives
from whom (`footprint`) and how the page looks (`media.access_page`). Nobody else is in it: of other
people no name is told, and of pictures only aligned faces of the person are given, never what is
around them.
"""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.ledger import events as ev
from identity_pipeline.ledger import subjects as ids
from identity_pipeline.ledger.position import names_of
from identity_pipeline.media.access_page import render_access_page
from identity_pipeline.media.crops import encode_jpeg
from identity_pipeline.settings import Settings
from identity_pipeline.stages.curation.consent_lists import consent_rows
from identity_pipeline.stages.curation.consents import seats_of, today
from identity_pipeline.stages.curation.recall import recall_sentence
from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
from identity_pipeline.stages.privacy.footprint import Footprint, TrackGone, footprint_of
from identity_pipeline.stages.privacy.whom import find_whom
from identity_pipeline.stages.progress.protocol import Progress, silent
from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.library.profiles import to_json
from identity_pipeline.storage.video.tables import MissingTableError

JPEG_QUALITY: Final = 90
"""Of the faces in a report; chosen by eye."""
ZIP_TIME: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a ZIP can hold, so that equal reports are equal bytes."""
ON_PAGE: Final = 12
"""Pictures of each ride on the page; all of them lie beside it."""


class NoReportError(IdentityPipelineError, ValueError):
    """There is nothing to report, or no place for it."""

    exit_status = 2


@dataclass(frozen=True)
class AccessReport:
    """What is known of a person.

    Attributes:
        told: as `report.json` has it, without the list of pictures.
        shown: of each ride or photo set the faces whose pictures are given.
    """

    told: Mapping[str, Any]
    shown: Mapping[str, tuple[str, ...]]


def access_report(
    library: LibrarySnapshot, settings: Settings, word: str, *, by_machine: bool = False
) -> AccessReport:
    """Everything that is known of a person.

    Args:
        library: as it is now.
        settings: in force.
        word: the person's name or id.
        by_machine: also give pictures of tracks that the machine alone says are theirs. They may
            be of somebody else, so without it those are only counted.

    Raises:
        NoReportError: it means a ride or a track.
        FootprintError, CurationError: it means nobody.
    """
    whom = find_whom(library, word)
    if whom.person_id is None:
        raise NoReportError(
            f"{word!r} is no person, and a report is of one: `identity-pipeline people` lists them."
        )
    found = footprint_of(library, whom)
    sure = {track.subject for track in found.tracks if track.how != "machine" or by_machine}
    told = {
        "person_id": whom.person_id,
        "day": today(),
        "name": library.state.people[whom.person_id].name,
        "names": found.names,
        "person_ids": found.person_ids,
        "consent_tracked": settings.consent.required,
        "consents": _answers(library, settings, whom.person_id, found, sure),
        "decisions": list(_decisions(library, found)),
        "seen_in": [_seen(library, settings, found, video, sure) for video in sorted(found.faces)],
        "profile": _profile(library, whom.person_id),
        "heads": found.heads,
        "trainings": found.sessions,
        "datasets": found.datasets,
        "exports": found.exports,
        "published": [{"store": store, "of": name} for store, name in found.published],
        "source_files": [Path(path).name for path in (*found.inbox, *found.elsewhere)],
    }
    return AccessReport(told, dict(_faces_shown(library, found, sure)))


def _answers(
    library: LibrarySnapshot, settings: Settings, person_id: str, found: Footprint, sure: set[str]
) -> list[dict[str, Any]]:
    """What was answered of the person, and of the rider that they are in each ride."""
    seats: dict[str, set[int]] = {}
    for track in found.tracks:
        if track.subject in sure:
            seat = seats_of(library.stores.tables, track.video_id).get(track.track_id)
            seats.setdefault(track.video_id, set()).update(() if seat is None else (seat,))
    own = consent_rows(library, settings, person_id)
    visits = [
        row
        for row in consent_rows(library, settings)
        if row["kind"] == "video"
        and row["id"] in seats
        and (row["seat"] is None or row["seat"] in seats[row["id"]])
    ]
    return [dict(row) for row in (*own, *visits)]


def write_report(
    library: LibrarySnapshot, report: AccessReport, folder: Path, progress: Progress = silent
) -> tuple[Path, Path]:
    """Writes `report.json`, `index.html` and the pictures into a new folder, and a ZIP beside it.

    Returns:
        The folder and the ZIP, readable like the data folder.

    Raises:
        NoReportError: there is something else at one of the two places.
    """
    packed = folder.with_name(f"{folder.name}.zip")
    _refuse_foreign(folder, packed)
    with atomic.new_folder(folder) as new:
        pictures = _write_pictures(library, report, new, progress)
        told = {**report.told, "pictures": pictures}
        (new / "report.json").write_bytes(atomic.json_bytes(told))
        page = render_access_page(told, ON_PAGE)
        (new / "index.html").write_bytes(page.encode())
    atomic.write_with(packed, lambda path: _pack(folder, path))
    return folder, packed


def _refuse_foreign(folder: Path, packed: Path) -> None:
    """A folder is only written over where it is a report itself."""
    if folder.exists() and any(folder.iterdir()) and not (folder / "report.json").is_file():
        raise NoReportError(f"{folder} holds something else; give another folder with --to.")
    if packed.exists() and not (folder / "report.json").is_file():
        raise NoReportError(f"{packed} is there already; give another folder with --to.")


def _pack(folder: Path, target: Path) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        target.chmod(0o600)
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), ZIP_TIME)
            entry.external_attr = 0o600 << 16
            file.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)


def _write_pictures(
    library: LibrarySnapshot, report: AccessReport, folder: Path, progress: Progress
) -> dict[str, list[str]]:
    """Aligned faces of the person as JPEG files; of each ride their paths, in the order of time."""
    written: dict[str, list[str]] = {}
    for done, (video_id, face_ids) in enumerate(sorted(report.shown.items())):
        progress("pictures", done, len(report.shown), "rides")
        (folder / "pictures" / video_id).mkdir(parents=True)
        try:
            for face_id, pixels in library.stores.tables.crops(video_id).aligned(face_ids):
                name = f"pictures/{video_id}/{face_id}.jpg"
                (folder / name).write_bytes(encode_jpeg(pixels, JPEG_QUALITY))
                written.setdefault(video_id, []).append(name)
        except MissingTableError:  # its crops were dropped: what is known stays in the JSON
            continue
    return {video_id: sorted(names) for video_id, names in written.items()}


def _faces_shown(
    library: LibrarySnapshot, found: Footprint, sure: set[str]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Faces of tracks that are surely theirs, and single faces that humans gave them.

    A ride that would go as a whole has faces of others in its footprint: those are left out.
    """
    state = library.state
    given = {s for s, who in state.assigned.items() if state.survivor(who) in found.person_ids}
    for video_id, faces in found.faces.items():
        own = tuple(
            face.face_id
            for face in faces
            if ids.face(video_id, face.face_id) in given
            or (face.track_id is not None and ids.track(video_id, face.track_id) in sure)
        )
        if own:
            yield video_id, own


def _seen(
    library: LibrarySnapshot, settings: Settings, found: Footprint, video_id: str, sure: set[str]
) -> dict[str, Any]:
    """A ride or a set of photographs in which they are seen."""
    tracks = [track for track in found.tracks if track.video_id == video_id]
    faces = Counter(face.track_id for face in found.faces[video_id])
    photos = {one.set_id: one.added for one in library.stores.photos.all()}
    return {
        "id": video_id,
        "kind": "photographs" if video_id in photos else "ride",
        "taken_in": photos.get(video_id),
        "faces": sum(faces[track.track_id] for track in tracks),
        "tracks": [
            {
                "track": track.track_id,
                "says": "the machine" if track.how == "machine" else "a human",
                "faces": faces[track.track_id],
                "pictures_given": track.subject in sure,
            }
            for track in tracks
        ],
        "recall": _recall(library, settings, video_id, tracks, sure),
    }


def _recall(
    library: LibrarySnapshot,
    settings: Settings,
    video_id: str,
    tracks: Sequence[TrackGone],
    sure: set[str],
) -> str | None:
    """How much of them the pictures of a ride show; None where they are none of its riders."""
    seat_of = seats_of(library.stores.tables, video_id)
    theirs = {track.track_id for track in tracks if track.subject in sure}
    for seat in sorted(seat for track, seat in seat_of.items() if track in theirs):
        return recall_sentence(library.stores, settings, video_id, seat)
    return None


def _decisions(library: LibrarySnapshot, found: Footprint) -> Iterator[dict[str, Any]]:
    """Every decision about them: when and of which kind. Who decided is somebody else's name."""
    history = library.history
    about = {*found.person_ids, *found.subjects}
    for event in history.events:
        meant = history.meant(event)
        if about & set(names_of(meant)):
            name = getattr(event, "name", None) or getattr(event, "new_name", None)
            named = isinstance(name, str) and ev.name_key(name) in map(ev.name_key, found.names)
            yield {
                "number": event.seq,
                "time": event.time,
                "kind": event.kind,
                "name": name if named else None,
                "reason": event.reason,
            }


def _profile(library: LibrarySnapshot, person_id: str) -> dict[str, Any] | None:
    """The statistics of their face over all rides, with what they are made of."""
    profile = library.stores.profiles.get(person_id)
    if profile is None:
        return None
    return {**to_json(profile), "sources": {n: asdict(s) for n, s in profile.sources.items()}}
