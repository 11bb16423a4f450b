"""The decisions on pictures of one video, as its steps heed them.

No asset of a video is made of the ledger by Dagster's lineage: like highlights and memory banks,
the decisions are an input beside it, whose digest is in the cache key (`stages.specs.cache_key`).
There is one digest for each thing that is decided, so that only what follows from it is made anew,
and none where nothing is: then keys are as if there were no decisions at all.

Faces are found by their boxes in the detections that are there, whatever they are called in the
ledger: while a video is processed anew its faces may have other names already.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import polars as pl

from identity_pipeline.core.imagesets.decided import NOTHING, DecidedPictures
from identity_pipeline.ledger import anchors
from identity_pipeline.ledger import subjects as ids
from identity_pipeline.ledger.events import Anchor
from identity_pipeline.ledger.replay import History
from identity_pipeline.ledger.state import LibraryState, Picture
from identity_pipeline.stages.curation.pictures import face_boxes
from identity_pipeline.stages.specs.assets import ANCHORS, BINS, CHOICE, ORDER
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.files.hashing import sha256_of_value
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.video.tables import TableStore

OF_A_RIDE, OF_A_PERSON = "ride", "person"
"""Scopes of an order: the sets of a ride, and a person's datasets."""


def decided_pictures(stores: LibraryStores, video_id: str) -> DecidedPictures:
    """What humans decided on pictures of a video or photo set, by its present faces.

    What is on faces that the present detections do not show is left out, and kept in the ledger.
    """
    book = _decided_on(stores, video_id)
    return _by_face(_present(stores.tables, video_id, *book), OF_A_RIDE) if book else NOTHING


def picture_digests(decided: DecidedPictures) -> dict[str, str]:
    """A digest of each thing that was decided; none of what was not."""
    bins = {face: dict(said) for face, said in sorted(decided.bins.items())}
    uses = {
        BINS: bins,
        CHOICE: [sorted(decided.rejected), sorted(decided.accepted)],
        ANCHORS: [list(decided.anchors), sorted(decided.passed_over)],
        ORDER: list(decided.order),
    }
    told = {use: value for use, value in uses.items() if value and any(value)}
    return {use: sha256_of_value(value) for use, value in told.items()}


def videos_decided_on(stores: LibraryStores) -> dict[str, str]:
    """A digest of the decisions on pictures of each video or photo set of which there are any."""
    _, by_video = _ledger(stores)
    return {
        video: sha256_of_value({face: picture.as_json() for face, picture in pictures.items()})
        for video, pictures in sorted(by_video.items())
    }


_ByVideo = dict[str, dict[str, Picture]]
"""The records of faces, by video."""


def _ledger(stores: LibraryStores) -> tuple[History, _ByVideo]:
    """The ledger and its records of pictures, for which many videos ask one after the other."""
    path = stores.ledger.path
    if not path.is_file():
        return History(), {}
    there = path.stat()
    return _read(path, (there.st_ino, there.st_size, there.st_mtime_ns), stores)


@lru_cache(maxsize=2)
def _read(path: Path, version: tuple[int, ...], stores: LibraryStores) -> tuple[History, _ByVideo]:
    del path, version  # they say whether it is another one
    history, by_video = stores.ledger.history(), _ByVideo()
    for face, picture in history.state.pictures.items():
        by_video.setdefault(ids.parse(face).video_id, {})[face] = picture
    return history, by_video


def _decided_on(
    stores: LibraryStores, video_id: str
) -> tuple[dict[str, Picture], dict[str, tuple[Anchor, ...]]] | None:
    """The records of a video's faces, and the anchors of all that they name; None without any."""
    history, by_video = _ledger(stores)
    pictures = by_video.get(video_id)
    if not pictures:
        return None
    named = {*pictures, *(p.instead_of for p in pictures.values() if p.instead_of)}
    return pictures, {face: history.anchors[face] for face in sorted(named)}


def _present(
    store: TableStore,
    video_id: str,
    pictures: dict[str, Picture],
    book: dict[str, tuple[Anchor, ...]],
) -> dict[str, Picture]:
    """The records by the faces that the present detections show."""
    try:
        boxes = face_boxes(store, video_id)
    except DamagedFileError:  # it is made anew before anything is made of it
        boxes = None
    if boxes is None:
        return {}
    faces = boxes.with_columns(video_id=pl.lit(video_id), track_id=pl.lit(None, dtype=pl.Int64))
    found = anchors.resolve(book, faces)
    known = replace(_nobody(), pictures=pictures)
    state, _ = anchors.apply(known, found)
    return {face: p for face, p in state.pictures.items() if not ids.parse(face).lost}


def _nobody() -> LibraryState:
    return History().state


def decided_of_sources(
    state: LibraryState, source_ids: Collection[str]
) -> dict[str, DecidedPictures]:
    """What humans decided on pictures of rides and photo sets, as a person's datasets heed it.

    Args:
        state: in terms of the present faces.
        source_ids: of which; those without decisions are left out.
    """
    found: dict[str, dict[str, Picture]] = {}
    for face, picture in state.pictures.items():
        _, source_id, _, lost = ids.parse(face)
        if not lost and source_id in source_ids:
            found.setdefault(source_id, {})[face] = picture
    return {source_id: _by_face(own, OF_A_PERSON) for source_id, own in sorted(found.items())}


def person_places(state: LibraryState, source_ids: Collection[str]) -> pl.DataFrame:
    """The places that humans gave to pictures over all sources.

    Args:
        state: in terms of the present faces.
        source_ids: rides and photo sets of a person.

    Returns:
        source_id, face_id, anchor_place (of chosen anchors, the newest is 1), human_place.
    """
    anchors_, ordered = list[tuple[int, str, str]](), list[tuple[int, int, str, str]]()
    for face, picture in state.pictures.items():
        _, source_id, face_id, lost = ids.parse(face)
        if lost or source_id not in source_ids:
            continue
        if picture.anchor:
            anchors_.append((-picture.anchor, source_id, face_id))
        if OF_A_PERSON in picture.places:
            seq, place = picture.places[OF_A_PERSON]
            ordered.append((-seq, place, source_id, face_id))
    one = {(source, face): n for n, (_, source, face) in enumerate(sorted(anchors_), 1)}
    other = {(source, face): n for n, (_, _, source, face) in enumerate(sorted(ordered), 1)}
    rows = [(*key, one.get(key), other.get(key)) for key in sorted({*one, *other})]
    return pl.DataFrame(rows, schema=_PLACES, orient="row")


_PLACES = {
    "source_id": pl.String,
    "face_id": pl.String,
    "anchor_place": pl.Int64,
    "human_place": pl.Int64,
}


def _by_face(pictures: Mapping[str, Picture], scope: str) -> DecidedPictures:
    local = {ids.parse(face).local_id: picture for face, picture in pictures.items()}
    return DecidedPictures(
        rejected=_with_verdict(local, "rejected"),
        accepted=_with_verdict(local, "accepted"),
        anchors=_chosen(local),
        passed_over=frozenset(_passed_over(local)),
        bins={face: p.bins for face, p in sorted(local.items()) if p.bins},
        order=ordered_faces(local, scope),
    )


def _with_verdict(local: Mapping[str, Picture], verdict: str) -> frozenset[str]:
    return frozenset(face for face, picture in local.items() if picture.verdict == verdict)


def _chosen(local: Mapping[str, Picture]) -> tuple[str, ...]:
    """Chosen anchors, the newest first."""
    chosen = sorted((-p.anchor, face) for face, p in local.items() if p.anchor)
    return tuple(face for _, face in chosen)


def ordered_faces(local: Mapping[str, Picture], scope: str) -> tuple[str, ...]:
    """Faces as the newest order has them, then those of the order before.

    Args:
        local: the records of a video's faces, by `face_id`.
        scope: `OF_A_RIDE` or `OF_A_PERSON`.
    """
    placed = [(p.places[scope], face) for face, p in local.items() if scope in p.places]
    return tuple(face for _, face in sorted(((-seq, place), face) for (seq, place), face in placed))


def _passed_over(local: Mapping[str, Picture]) -> set[str]:
    """Faces in whose place another one is, unless they were chosen later themselves."""
    found = set()
    for picture in local.values():
        if picture.anchor and picture.instead_of and not ids.parse(picture.instead_of).lost:
            other = ids.parse(picture.instead_of).local_id
            own = local[other].anchor if other in local else None
            if (own or 0) < picture.anchor:
                found.add(other)
    return found
