"""Which images an export shows: the chosen face, else another one of its moment, else none.

What belongs here: who may stand in for a face whose picture does not show it alone, and whether
that is the same person. What does not: cutting pictures and looking at them
(`stages.imagesets.images`).

A pair has no stand-in: two faces would have to be found again in one frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.imagesets.challenge import challenge_kind
from identity_pipeline.core.imagesets.decided import NEAR_REJECTED, REJECTED
from identity_pipeline.core.imagesets.faces import VECTORS
from identity_pipeline.core.imagesets.one_face import Fault
from identity_pipeline.core.imagesets.portrait import anchor_eligible
from identity_pipeline.core.imagesets.summary import ExportedFace
from identity_pipeline.core.tracks.stability import stability_reason
from identity_pipeline.stages.imagesets.images import (
    NOT_FOUND_AGAIN,
    OTHER_PICTURE,
    Exported,
    LeftOut,
    Pictures,
    PlannedImage,
)
from identity_pipeline.stages.progress.protocol import Progress, silent


def cut_images(
    planned: Sequence[PlannedImage],
    pictures: Pictures,
    observed: pl.DataFrame,
    moments: pl.DataFrame,
    progress: Progress = silent,
) -> tuple[list[Exported], list[LeftOut]]:
    """Every image, or another face of its moment in its place, or why there is none.

    Args:
        planned: result of `images.planned_images`.
        pictures: what they are cut from.
        observed: table `candidates`.
        moments: table `moments`.
        progress: called per image.

    Returns:
        What may be written and what is left out, each in the order of `planned`.

    Raises:
        VideoError: the source cannot be read any more.
    """
    cut: dict[str, Exported | Fault] = {}
    with closing(pictures.of(planned)) as made:
        for number, (image, picture) in enumerate(made, 1):
            cut[image.file] = picture
            progress("identity_dataset", number, len(planned), "images")
    faults = {file: picture for file, picture in cut.items() if isinstance(picture, Fault)}
    seen = [image for image in planned if _may_be_shown_otherwise(image, faults.get(image.file))]
    if seen:
        understudies = _StandIns(pictures, observed, moments)
        for image in understudies.among(seen, _shown(planned, cut)):
            cut[image.file] = replace(image, instead_of=faults.pop(image.file))
    left_out = [_left_out(i, faults[i.file]) for i in planned if i.file in faults]
    return _shown(planned, cut), left_out


def _shown(planned: Sequence[PlannedImage], cut: Mapping[str, Exported | Fault]) -> list[Exported]:
    pictures = (cut[image.file] for image in planned)
    return [picture for picture in pictures if isinstance(picture, Exported)]


def _may_be_shown_otherwise(image: PlannedImage, fault: Fault | None) -> bool:
    """What could not be proved says something of the file, and nothing of the face."""
    if fault is None or image.is_pair:
        return False
    return fault.code not in (NOT_FOUND_AGAIN, OTHER_PICTURE)


def _left_out(image: PlannedImage, fault: Fault) -> LeftOut:
    return LeftOut(image.set_name, image.file, image.faces, fault.code, fault.sentence)


@dataclass(frozen=True)
class _StandIns:
    """Who may be shown in the place of a face."""

    pictures: Pictures
    observed: pl.DataFrame
    moments: pl.DataFrame

    def among(self, failed: Sequence[PlannedImage], shown: Iterable[Exported]) -> list[Exported]:
        """The stand-ins of some images, each the first of its moment that may be shown.

        Args:
            failed: images whose own picture is not shown.
            shown: those that are.
        """
        beside: list[PlannedImage] = list(shown)
        others = (stand_in for image in failed for stand_in in self._of(image))
        wanted = [stand_in for stand_in in others if self._apart(stand_in, beside)]
        cut = {image.faces[0].face_id: picture for image, picture in self.pictures.of(wanted)}
        found: dict[str, Exported] = {}
        for image in wanted:  # in the order of their rank
            picture = cut[image.faces[0].face_id]
            free = image.file not in found and self._apart(image, beside)
            if free and isinstance(picture, Exported):
                found[image.file] = picture
                beside.append(image)
        return list(found.values())

    def _apart(self, image: PlannedImage, beside: Iterable[PlannedImage]) -> bool:
        """Whether a face is `selection.min_gap_s` from all other images of its rider.

        Anchors are `selection.anchor_gap_s` from each other besides.
        """
        face, settings = image.faces[0], self.pictures.settings.selection
        for other in beside:
            anchors = image.set_name == other.set_name == "anchor_set"
            gap_s = max(settings.min_gap_s, settings.anchor_gap_s if anchors else 0.0)
            times = (f.timestamp_ms for f in other.faces if f.person_id == face.person_id)
            if any(abs(face.timestamp_ms - time) < gap_s * 1000 for time in times):
                return False
        return True

    def _of(self, image: PlannedImage) -> list[PlannedImage]:
        """The other faces of the moment that are the rider's, best first."""
        chosen = image.faces[0]
        own = self.moments.filter(pl.col("face_id") == chosen.face_id)["moment_id"]
        if not own.len() or own[0] is None:
            return []
        rows = (
            self._usable.join(self.moments.select("face_id", "moment_id", "rank"), on="face_id")
            .filter(
                pl.col("moment_id") == own[0],
                pl.col("rank").is_not_null(),
                pl.col("person_id") == chosen.person_id,
                pl.col("face_id") != chosen.face_id,
            )
            .sort("rank", "face_id")
        )
        if image.set_name == "anchor_set":
            rows = rows.filter("eligible")
        if chosen.kind is not None:
            rows = rows.filter(pl.col("kind") == chosen.kind)
        told = ((row, self._stable_score(row)) for row in rows.iter_rows(named=True))
        return [
            replace(image, faces=(_face(row, chosen, score),), stands_for=chosen.face_id)
            for row, score in told
            if score is not None
        ]

    @cached_property
    def _usable(self) -> pl.DataFrame:
        settings = self.pictures.settings.selection
        return (
            self.observed.drop(VECTORS)
            .drop("moment_id", strict=False)
            .filter(pl.col("loose") & pl.col("crop_x1").is_not_null())
            .filter(~pl.col("decided").is_in([REJECTED, NEAR_REJECTED]).fill_null(False))
            .with_columns(eligible=anchor_eligible(settings), kind=challenge_kind(settings))
        )

    def _stable_score(self, row: dict[str, Any]) -> float | None:
        """Cosine of a face to its rider's prototype; None where it is not surely the rider's.

        A face that has no identity embedding gets one here: of a moment only its best face has.
        """
        face_id, person = row["face_id"], row["person_id"]
        vectors = self._embed([face_id])
        if not vectors or person not in self._prototypes:
            return None
        to = {who: float(vectors[face_id] @ v) for who, v in self._prototypes.items()}
        own, rival = to[person], max((c for who, c in to.items() if who != person), default=None)
        settings = self.pictures.settings
        surely = stability_reason(own, rival, has_prototype=True, settings=settings.stability)
        enough = row["kind"] is None or own >= settings.selection.challenge_stable_min
        return own if surely == "stable" and enough else None

    @cached_property
    def _prototypes(self) -> dict[int, NDArray[np.floating]]:
        """The vector of each rider's prototype, embedded from its crop."""
        faces = self.observed.filter("is_prototype").select("face_id", "person_id")
        vectors = self._embed(faces["face_id"].to_list())
        return {who: vectors[face_id] for face_id, who in faces.iter_rows() if face_id in vectors}

    def _embed(self, face_ids: Sequence[str]) -> dict[str, NDArray[np.floating]]:
        stored = self.pictures.footage.crops
        crops = dict(stored.aligned(face_ids)) if stored and face_ids else {}
        vectors = self.pictures.pack.embed(list(crops.values()))
        return dict(zip(crops, vectors, strict=True))


def _face(row: dict[str, Any], chosen: ExportedFace, stable_score: float) -> ExportedFace:
    """What is said of a stand-in is its own; how new it is was never measured."""
    return ExportedFace.of(
        row, {"novelty": None, "stable_score": stable_score, "kind": chosen.kind}
    )
