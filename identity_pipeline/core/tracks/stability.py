"""Prototype and identity stability: which faces of a rider surely are that rider.

The prototype is a medoid, a real face, of the person's strict and frontal frames. A face is
stable when it is close to its own prototype and clearly closer than to the other rider's. A rider
who is known from elsewhere may be stood for by a memory bank instead (`core.tracks.memory_bank`).
Reasons: `stable`, `not_embedded`, `no_prototype`, `below_floor`, `closer_to_rival`. Most faces are
not embedded: witnesses vouch for their track, and what may become an image is embedded by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.tracks.memory_bank import Bank
from identity_pipeline.core.vectors import check_unit, to_matrix
from identity_pipeline.settings import StabilitySettings
from identity_pipeline.tables import TABLES


def medoid(vectors: NDArray[np.floating]) -> int:
    """Index of the vector with the smallest summed cosine distance to all, of (N, D) unit vectors.

    Ties go to the first.

    Raises:
        ValueError: there is no vector.
    """
    if len(vectors) == 0:
        raise ValueError("the medoid of no vectors is undefined")
    # Summed cosine distance to all = N - v . sum(V): no N x N matrix is needed.
    total = vectors.sum(axis=0, dtype=np.float64)
    closeness = vectors.astype(np.float64) @ total
    return int(np.argmax(np.round(closeness, 9)))


def prototype_face(faces: pl.DataFrame, settings: StabilitySettings) -> str | None:
    """The face that represents a person, or None: no set rather than a bad set.

    Args:
        faces: one person's faces with face_id, strict, yaw, and e_id where they are embedded, in
            any order.
        settings: thresholds.

    Returns:
        The medoid of the embedded among the strict faces with |yaw| <= `prototype_yaw_max`, or
        among all strict faces when those are fewer than `min_strict_frames`; None when even these
        are, or none is embedded. Fewer are counted whether they are embedded or not: a person of
        whom there are enough good faces is known.
    """
    strict = faces.filter("strict").sort("face_id")
    if strict.height < settings.min_strict_frames:
        return None
    frontal = strict.filter(pl.col("yaw").abs() <= settings.prototype_yaw_max)
    enough = frontal.height >= settings.min_strict_frames
    for pool in (frontal, strict) if enough else (strict,):
        embedded = pool.filter(pl.col("e_id").is_not_null())
        if embedded.height:
            chosen = medoid(check_unit(to_matrix(embedded["e_id"]), "e_id"))
            return str(embedded["face_id"][chosen])
    return None


NO_BANKS: Final[Mapping[int, Bank]] = MappingProxyType({})
"""Nobody is known from elsewhere."""


def measure_stability(
    faces: pl.DataFrame, settings: StabilitySettings, banks: Mapping[int, Bank] = NO_BANKS
) -> pl.DataFrame:
    """The table `identity_stability`.

    Args:
        faces: riders' faces of one video with face_id, frame_idx, person_id, strict, yaw (null
            where unknown) and e_id (null where not embedded).
        settings: thresholds.
        banks: of riders who are known from elsewhere, none of them empty; the others are judged by
            their medoids. Without enough strict faces there is no set of a known rider either.
    """
    ordered = faces.sort("person_id", "frame_idx", "face_id")
    embedded = ordered.filter(pl.col("e_id").is_not_null())
    prototypes = _prototypes(ordered, settings)
    scores = _cosines_to(embedded, prototypes, banks)
    rows = []
    for face_id, frame_idx, person in ordered.select(
        "face_id", "frame_idx", "person_id"
    ).iter_rows():
        own = scores.get((face_id, person))
        rivals = [scores.get((face_id, p)) for p in prototypes if p != person]
        rival = max((score for score in rivals if score is not None), default=None)
        has_prototype = person in prototypes
        reason = stability_reason(own, rival, has_prototype=has_prototype, settings=settings)
        rows.append(
            {
                "face_id": face_id,
                "frame_idx": frame_idx,
                "person_id": person,
                "stable_score": own,
                "rival_score": rival,
                "margin": own - rival if own is not None and rival is not None else None,
                "stable": reason == "stable",
                "is_prototype": prototypes.get(person) == face_id,
                "reason": reason,
                "judged_by": "bank" if has_prototype and person in banks else None,
            }
        )
    return pl.DataFrame(rows, schema=TABLES["identity_stability"])


def _prototypes(faces: pl.DataFrame, settings: StabilitySettings) -> dict[int, str]:
    """The prototype's face of each person who has one."""
    groups = [group for _, group in faces.group_by("person_id", maintain_order=True)]
    chosen = {group["person_id"][0]: prototype_face(group, settings) for group in groups}
    return {who: face_id for who, face_id in chosen.items() if face_id is not None}


def _cosines_to(
    embedded: pl.DataFrame, prototypes: dict[int, str], banks: Mapping[int, Bank]
) -> dict[tuple[str, int], float]:
    """Cosine of every embedded face to what stands for every person, by (face_id, person_id)."""
    if not embedded.height:
        return {}
    vectors = check_unit(to_matrix(embedded["e_id"]), "e_id")
    ids = embedded["face_id"].to_list()
    row_of = {face_id: row for row, face_id in enumerate(ids)}
    cosines: dict[tuple[str, int], float] = {}
    for person, face_id in prototypes.items():
        bank = banks.get(person)
        own = vectors @ vectors[row_of[face_id]] if bank is None else bank.nearest(vectors)
        for other, value in zip(ids, own, strict=True):
            cosines[other, person] = float(value)
    return cosines


def stability_reason(
    own: float | None, rival: float | None, *, has_prototype: bool, settings: StabilitySettings
) -> str:
    """Whether a face is surely its rider's: `stable`, or why not.

    Args:
        own: its cosine to what stands for the rider; None where it is not embedded.
        rival: the larger one of those to others; None where there is none.
        has_prototype: whether the rider has one.
        settings: thresholds.
    """
    if not has_prototype:
        return "no_prototype"
    if own is None:
        return "not_embedded"
    if own < settings.stable_min:
        return "below_floor"
    if rival is not None and own - rival < settings.rival_margin:
        return "closer_to_rival"
    return "stable"
