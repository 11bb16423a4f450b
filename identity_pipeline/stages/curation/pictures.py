"""A curator's decisions on pictures: faces as they were typed become events on single faces.

What the words mean and by which box each face is found again; what a decision may do is for
`ledger`, what follows from it for the image sets (`core.imagesets.decided`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any, Protocol

import polars as pl

from identity_pipeline.ledger import commands
from identity_pipeline.ledger import events as ev
from identity_pipeline.ledger import subjects as ids
from identity_pipeline.ledger.commands import Planned, Stamp
from identity_pipeline.ledger.replay import History
from identity_pipeline.stages.curation.snapshot import CurationError, LibrarySnapshot, video_of
from identity_pipeline.stages.curation.targets import FACE, find_video
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.video.tables import MissingTableError, TableStore

FORMS = "a face (VIDEO@FRAME-NUMBER) or an exported picture (its path)"
_BOX = ("face_id", "frame_idx", "x1", "y1", "x2", "y2")


class _Decides(Protocol):
    """What a curator has: see `curation.Curator`."""

    @property
    def library(self) -> LibrarySnapshot:
        """As it is now."""
        ...

    def decide(
        self, command: Callable[[History, Stamp], Planned], subjects: Iterable[str] = ()
    ) -> Planned:
        """Carries out one decision, or only plans it."""
        ...


class PictureDecisions:
    """What a curator decides on pictures; all faces are subjects: `face:VIDEO:FRAME-NUMBER`."""

    def pictures(self: _Decides, words: Sequence[str]) -> tuple[str, ...]:
        """The faces that words mean, in their order; raises as `find_pictures` does."""
        return find_pictures(self.library, words)

    def accept_pictures(self: _Decides, faces: Iterable[str]) -> Planned:
        """Says that faces are good pictures."""
        chosen = tuple(faces)
        return self.decide(lambda h, s: commands.accept_pictures(h, s, chosen), chosen)

    def reject_pictures(self: _Decides, faces: Iterable[str], fault: ev.Fault) -> Planned:
        """Says that faces are bad pictures, and what is wrong with them."""
        chosen = tuple(faces)
        return self.decide(lambda h, s: commands.reject_pictures(h, s, chosen, fault), chosen)

    def anchor_picture(self: _Decides, face: str, instead_of: str | None = None) -> Planned:
        """Says that a face is the better anchor, instead of another one or beside all others."""
        named = [face] if instead_of is None else [face, instead_of]
        return self.decide(lambda h, s: commands.anchor_picture(h, s, face, instead_of), named)

    def bin_pictures(self: _Decides, faces: Iterable[str], bins: Mapping[ev.Axis, str]) -> Planned:
        """Says which bins are right; nothing of the axes that are not given."""
        chosen = tuple(faces)
        return self.decide(lambda h, s: commands.bin_pictures(h, s, chosen, bins), chosen)

    def order_pictures(self: _Decides, faces: Iterable[str], scope: ev.Scope = "ride") -> Planned:
        """Says in which order faces stand in their sets, the first first."""
        chosen = tuple(faces)
        return self.decide(lambda h, s: commands.order_pictures(h, s, chosen, scope), chosen)


def find_pictures(library: LibrarySnapshot, words: Iterable[str]) -> tuple[str, ...]:
    """The faces that are meant, in the order of the words, each once.

    Args:
        library: as it is now.
        words: `VIDEO@FRAME-NUMBER`, `face:VIDEO:FRAME-NUMBER`, or the path of an exported picture.

    Raises:
        CurationError: one means no face.
    """
    return tuple(dict.fromkeys(_picture(library, word) for word in words))


def _picture(library: LibrarySnapshot, word: str) -> str:
    if found := FACE.fullmatch(word):
        video_id = find_video(library, found[1] or found[2])
        face_id = f"{int(found[3]):06d}-{int(found[4])}"
        boxes = face_boxes(library.stores.tables, video_id)
        if boxes is None or boxes.filter(pl.col("face_id") == face_id).height == 0:
            raise CurationError(
                f"{video_id} has no face {face_id}; `identity-pipeline why {video_id} "
                f"{int(found[3])}` shows the faces of that frame."
            )
        return ids.face(video_id, face_id)
    if word.startswith("lost:") and word in library.state.pictures:
        return word
    return _exported(library, word)


def _exported(library: LibrarySnapshot, word: str) -> str:
    """The face that an exported picture shows, by its path: `.../VIDEO/identity_builder/FILE`."""
    parts = PurePath(word).parts
    at = parts.index("identity_builder") if "identity_builder" in parts else 0
    if not at:
        raise CurationError(f"{word!r} is no picture; expected {FORMS}.")
    video_id, file = find_video(library, parts[at - 1]), "/".join(parts[at + 1 :])
    try:
        table = library.stores.tables.read("identity_dataset", video_id, ("file", "face_id"))
    except (MissingTableError, DamagedFileError):
        table = pl.DataFrame(schema={"file": pl.String, "face_id": pl.String})
    rows = table.filter((pl.col("file") == file) & pl.col("face_id").is_not_null())
    if rows.height != 1:
        raise CurationError(f"{video_id} exported no picture {file!r}; expected {FORMS}.")
    return ids.face(video_id, rows["face_id"][0])


def face_boxes(store: TableStore, video_id: str) -> pl.DataFrame | None:
    """face_id, frame_idx and box of every face of a video or set; None where there is no table."""
    if not store.outputs.has("face_detections", video_id):
        return None
    return store.read("face_detections", video_id, _BOX)


def anchors_of_faces(library: LibrarySnapshot, faces: Iterable[str]) -> list[ev.Anchor]:
    """Frame and box of each face, sorted; none for faces that are not there."""
    by_video: dict[str, list[str]] = {}
    for face in sorted(set(faces)):
        if not ids.parse(face).lost:
            by_video.setdefault(video_of(face), []).append(ids.parse(face).local_id)
    found = []
    for video_id, face_ids in by_video.items():
        boxes = face_boxes(library.stores.tables, video_id)
        rows = () if boxes is None else boxes.filter(pl.col("face_id").is_in(face_ids)).iter_rows()
        for face_id, frame, x1, y1, x2, y2 in rows:
            subject = ids.face(video_id, face_id)
            found.append(ev.Anchor(subject=subject, frame_idx=frame, box=(x1, y1, x2, y2)))
    return sorted(found, key=lambda anchor: anchor.subject)


def yaw_word(word: str, edges: Sequence[float]) -> str:
    """The bin of yaw that is meant by an angle in degrees, or by the bin itself.

    Args:
        word: `20`, `[15,30)` or `beyond`.
        edges: of the bins, `buckets.yaw_edges`.

    Raises:
        CurationError: it is neither.
    """
    from identity_pipeline.core.faces.buckets import BEYOND, Bin, axis_bins, bin_of

    bins = axis_bins(edges)
    labels = [*(each.label for each in bins), BEYOND]
    if word in labels:
        return word
    if re.fullmatch(r"[+-]?\d+(\.\d+)?", word):
        found = bin_of(float(word), edges, bins)
        return found.label if isinstance(found, Bin) else found
    raise CurationError(f"{word!r} is no yaw; give degrees, or one of {', '.join(labels)}.")


def picture_rows(library: LibrarySnapshot, video: str | None) -> list[dict[str, Any]]:
    """The decisions on pictures in force as rows, sorted by face; of one video where it is given.

    Raises:
        CurationError: no video is meant.
    """
    video_id = None if video is None else find_video(library, video)
    return [
        {
            "picture": called(face),
            "face": face,
            "verdict": picture.verdict,
            "fault": picture.fault,
            "anchor": picture.anchor is not None,
            "instead_of": picture.instead_of and called(picture.instead_of),
            "bins": dict(picture.bins),
            "places": {scope: place[1] for scope, place in picture.places.items()},
            "lost": ids.parse(face).lost,
        }
        for face, picture in library.state.pictures.items()
        if video_id in (None, video_of(face))
    ]


def called(face: str) -> str:
    """A face as it may be typed: `VIDEO@FRAME-NUMBER`; a lost one by its whole name."""
    _, video_id, face_id, lost = ids.parse(face)
    return face if lost else f"{video_id}@{face_id}"
