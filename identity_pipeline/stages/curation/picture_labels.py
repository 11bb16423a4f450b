"""Labels of single faces from what humans decided on pictures: the form that `evaluate` reads.

What belongs here: which decisions say what a label says. What does not: reading labels
(`storage.video.labels`) and judging by them (`core.evaluation.labelled`).
"""

from __future__ import annotations

import polars as pl

from identity_pipeline.core.evaluation.labels import KEY, LABELS, seats_of
from identity_pipeline.ledger import subjects as ids
from identity_pipeline.ledger.state import Picture
from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.video.tables import MissingTableError, TableStore


def labels_of(library: LibrarySnapshot) -> tuple[pl.DataFrame, int]:
    """What the decisions in force say of faces of rides.

    A chosen anchor is a good one; a rejected picture is none, nor is one that an anchor was chosen
    instead of. What was rejected because it shows somebody else says nothing of the picture. That
    an accepted picture is a good anchor was not said either.

    Args:
        library: as it is now.

    Returns:
        Table `LABELS`, sorted, and how many pictures with a decision say nothing: they are of
        photographs, of a seat that is not told, or not in the present tables.
    """
    said = {face: _words(picture) for face, picture in library.state.pictures.items()}
    for picture in library.state.pictures.values():
        if picture.anchor and picture.instead_of:
            said.setdefault(picture.instead_of, {}).setdefault("good_anchor", "no")
    rows = []
    for face, words in said.items():
        _, video_id, face_id, lost = ids.parse(face)
        if words and not lost:
            rows.append({"clip": video_id, "face_id": face_id, **words})
    schema = {**LABELS, "face_id": pl.String}
    wanted = pl.DataFrame(rows, schema=schema, orient="row").drop("seat", "frame_idx")
    parts = [pl.DataFrame(schema=LABELS)]
    for (video_id,), own in wanted.group_by("clip", maintain_order=True):
        seated = own.join(_seats(library.stores.tables, str(video_id)), on="face_id")
        parts.append(seated.select(pl.col(n).cast(dtype) for n, dtype in LABELS.items()))
    labels = pl.concat(parts).unique(KEY, keep="first", maintain_order=True).sort(KEY)
    return labels, len(said) - labels.height


def _words(picture: Picture) -> dict[str, str]:
    """What a decision says, in the words of labels."""
    words = {}
    if picture.verdict == "rejected" and picture.fault != "not_them":
        words["good_anchor"] = "no"
    if picture.anchor:
        words["good_anchor"] = "yes"
    for column, axis in (("light", "lighting"), ("occlusion", "occlusion")):
        if axis in picture.bins:
            words[column] = picture.bins[axis]
    return words


def _seats(store: TableStore, video_id: str) -> pl.DataFrame:
    """face_id, frame_idx and seat of the faces of a ride's riders; empty where none is told."""
    nothing = {"face_id": pl.String, "frame_idx": pl.Int64, "seat": pl.String}
    try:
        faces = store.read("face_landmarks", video_id)
        store.read("ride_video", video_id, ("width",))  # photographs have no seats
    except (MissingTableError, DamagedFileError):
        return pl.DataFrame(schema=nothing)
    alone = faces["person_id"].drop_nulls().n_unique() <= 1
    seats = seats_of(faces, alone)
    return (
        faces.select("face_id", "frame_idx", "person_id")
        .join(seats, on="person_id")
        .drop("person_id")
    )
