"""The replayable selection: in time order each candidate is saved, replaces, is added or rejected.

Pure replay over observations: stopping affects no decoding, and the same rows in any order give
the same decisions. Decisions and reasons:

=========  ====================  ======================================================
save       bucket_empty          nothing of its bucket was saved
replace    better_quality        better than the bucket's best by more than the gain
add        novel                 new to the person's saved set, and room in the bucket
reject     beaten_in_bucket      no better than what the bucket holds, and its bucket full
reject     too_similar           room in the bucket, but not new
reject     near_duplicate        room in the bucket, but the same picture as one that is saved
reject     hard_condition        dark or overexposed, and its bucket holds another face
reject     covered               its pose and expression are not sure
reject     beyond_bins           pose outside the bins
reject     pose_unknown          pose not measured
reject     after_stop            the coverage was satisfied before
=========  ====================  ======================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict, cast

import numpy as np
import polars as pl

from identity_pipeline.core.faces.buckets import BEYOND, EXPRESSIONS
from identity_pipeline.core.imagesets.novelty import (
    Likeness,
    Views,
    near_duplicate_of,
    nearest_cosine,
    novelty,
)
from identity_pipeline.core.imagesets.portrait import anchor_eligible
from identity_pipeline.core.vectors import check_unit, to_matrix
from identity_pipeline.settings import SelectionSettings
from identity_pipeline.tables import TABLES

Row = dict[str, Any]
"""A row of the table `selection` in the making."""
VECTORS = ("e_vis_face", "e_vis_body", "look")
"""Columns that become matrices, never Python lists: those take many times the memory."""


class Face(TypedDict):
    """What the selection and the sets read of a row of `candidates`.

    Attributes:
        bonus: that its highlight adds to its quality; 0 outside of all.
        weight: of that highlight, in the selection alone; None where the video has none.
        anchor: whether it may be an anchor; the selection's own.
        kept: whether the selection kept it; in the sets alone.
        kind: why it is a challenge, if it is one; in the challenge set alone.
    """

    face_id: str
    frame_idx: int
    person_id: int
    timestamp_ms: float
    quality_score: float
    stable_score: float
    x1: float
    y1: float
    x2: float
    y2: float
    crop_x1: float
    crop_y1: float
    crop_x2: float
    crop_y2: float
    yaw_bin: str | None
    pitch_bin: str | None
    bucket_key: str | None
    lighting_bin: str
    occlusion: float | None
    bonus: float
    weight: float | None
    anchor: bool
    kept: bool
    kind: str | None


def faces_of(table: pl.DataFrame) -> list[Face]:
    """The rows of candidates, without their vectors."""
    return cast("list[Face]", table.drop(VECTORS).to_dicts())


@dataclass
class PersonState:
    """What the replay knows of one person; rows are positions among the person's candidates."""

    buckets: dict[str, list[int]] = field(default_factory=dict)
    recent: list[float] = field(default_factory=list)
    anchors: list[int] = field(default_factory=list)
    stop_reason: str | None = None

    @property
    def saved(self) -> list[int]:
        """All saved rows in ascending order."""
        return sorted(row for rows in self.buckets.values() for row in rows)

    def recent_novelty(self, window: int) -> float | None:
        """Mean novelty of the last `window` candidates; None before there are as many."""
        return float(np.mean(self.recent[-window:])) if len(self.recent) >= window else None


def person_views(faces: pl.DataFrame) -> Views:
    """Vision embeddings of candidates, checked for unit length."""
    return Views(
        face=check_unit(to_matrix(faces["e_vis_face"]), "e_vis_face"),
        body=check_unit(to_matrix(faces["e_vis_body"]), "e_vis_body"),
        look=check_unit(to_matrix(faces["look"]), "look"),
    )


def select(candidates: pl.DataFrame, settings: SelectionSettings) -> pl.DataFrame:
    """The table `selection`: one row per candidate of every rider.

    Args:
        candidates: table `candidates`.
        settings: thresholds.
    """
    eligible = (
        candidates.filter(pl.col("standing") == "candidate")
        .sort("person_id", "frame_idx", "face_id")
        .with_columns(pl.col("bonus").fill_null(0.0))
    )
    rows: list[Row] = []
    for _, faces in eligible.group_by("person_id", maintain_order=True):
        rows.extend(_select_person(faces, settings))
    return pl.DataFrame(rows, schema=TABLES["selection"])


def likeness(settings: SelectionSettings) -> Likeness:
    """The limits of what counts as the same picture."""
    return Likeness(settings.near_duplicate_cos, settings.near_duplicate_look)


def _select_person(faces: pl.DataFrame, settings: SelectionSettings) -> list[Row]:
    views = person_views(faces)
    table = faces_of(faces.with_columns(anchor=anchor_eligible(settings)))
    state = PersonState()
    rows: list[Row] = []
    for row, face in enumerate(table):
        decision: Row = (
            {"decision": "reject", "reason": "after_stop"}
            if state.stop_reason
            else _decide(row, table, views, state, settings)
        )
        rows.append(_record(face, decision, state, table, settings))
        if state.stop_reason is None:
            _consider_anchor(row, table, views, state, settings)
            if _coverage_satisfied(state, table, settings):
                state.stop_reason = "coverage_satisfied"
    stop_reason = state.stop_reason or _reason_at_the_end(state, settings)
    kept = {table[row]["face_id"] for row in state.saved}
    for record in rows:
        record["kept"] = record["face_id"] in kept
        record["stop_reason"] = stop_reason
    return rows


def _decide(
    row: int, table: list[Face], views: Views, state: PersonState, settings: SelectionSettings
) -> Row:
    face = table[row]
    bucket = face["bucket_key"]
    new = novelty(views, row, state.saved)
    state.recent.append(new)
    if not isinstance(bucket, str):
        beyond = BEYOND in (face["yaw_bin"], face["pitch_bin"])
        return _decision("reject", "beyond_bins" if beyond else "pose_unknown", new)
    if is_covered(face, settings):
        return _decision("reject", "covered", new)
    held = state.buckets.setdefault(bucket, [])
    if not held:
        held.append(row)
        return _decision("save", "bucket_empty", new)
    return _contest(row, held, new, table, views, state, settings)


def _contest(
    row: int,
    held: list[int],
    new: float,
    table: list[Face],
    views: Views,
    state: PersonState,
    settings: SelectionSettings,
) -> Row:
    """The decision on a face whose bucket holds something already; `held` is changed in place."""
    face = table[row]
    best = max(held, key=lambda r: (preference(table[r]), -r))
    if preference(face) > preference(table[best]) + settings.replace_gain:
        held[held.index(best)] = row
        return _decision("replace", "better_quality", new, table[best])
    if is_hard(face):
        return _decision("reject", "hard_condition", new, table[best])
    if len(held) >= settings.bucket_max:
        return _decision("reject", "beaten_in_bucket", new, table[best])
    twin = near_duplicate_of(views, row, state.saved, likeness(settings))
    if twin is not None:
        return _decision("reject", "near_duplicate", new, table[twin])
    if new >= settings.novelty_min:
        held.append(row)
        return _decision("add", "novel", new)
    nearest = max(state.saved, key=lambda r: (nearest_cosine(views.face, row, [r]), -r))
    return _decision("reject", "too_similar", new, table[nearest])


def _decision(decision: str, reason: str, new: float, rival: Face | None = None) -> Row:
    return {
        "decision": decision,
        "reason": reason,
        "novelty": new,
        "rival_face_id": rival["face_id"] if rival else None,
        "rival_quality": rival["quality_score"] if rival else None,
        "rival_bonus": rival["bonus"] if rival else None,
    }


def is_hard(face: Face) -> bool:
    """Dark or overexposed: fit for the challenge set rather than for coverage."""
    return face["lighting_bin"] in ("dark", "overexposed")


def is_covered(face: Face, settings: SelectionSettings) -> bool:
    """Something hides a part of the face: what landmarks say of it is not sure."""
    occlusion = face["occlusion"]
    return occlusion is not None and occlusion >= settings.covered_from


def preference(face: Face) -> float:
    """What faces of one bucket are ranked by: the worth; any plain face before any hard one."""
    return worth(face) - (1.0 if is_hard(face) else 0.0)


def worth(face: Face) -> float:
    """The quality, and what the face's highlight adds to it."""
    return face["quality_score"] + face["bonus"]


def _record(
    face: Face, decision: Row, state: PersonState, table: list[Face], settings: SelectionSettings
) -> Row:
    yaw, pitch, expression = coverage_counts([table[r] for r in state.saved])
    copied = ("face_id", "frame_idx", "person_id", "timestamp_ms", "bucket_key", "quality_score")
    highlights = face["weight"] is not None
    return {
        "rival_face_id": None,
        "rival_quality": None,
        "novelty": None,
        **{name: face[name] for name in copied},
        **decision,
        "weight": face["weight"],
        "bonus": face["bonus"] if highlights else None,
        "rival_bonus": decision.get("rival_bonus") if highlights else None,
        "yaw_bins_filled": yaw,
        "pitch_bins_filled": pitch,
        "expression_bins_filled": expression,
        "recent_novelty": state.recent_novelty(settings.stop_window),
    }


def coverage_counts(saved: Iterable[Mapping[str, object]]) -> tuple[int, int, int]:
    """How many yaw, pitch and expression bins a set of faces fills; `unknown` fills none."""
    saved = list(saved)
    return (
        len({face["yaw_key"] for face in saved} - {None}),
        len({face["pitch_key"] for face in saved} - {None}),
        len({face["expression_bin"] for face in saved} & set(EXPRESSIONS)),
    )


def _consider_anchor(
    row: int, table: list[Face], views: Views, state: PersonState, settings: SelectionSettings
) -> None:
    """Counts anchors that could be had so far: spaced in time and unlike each other."""
    face = table[row]
    if not face["anchor"]:
        return
    spaced = all(
        face["timestamp_ms"] - table[a]["timestamp_ms"] >= settings.anchor_gap_s * 1000
        for a in state.anchors
    )
    alike = bool(state.anchors) and (
        nearest_cosine(views.face, row, state.anchors) > settings.anchor_cos_max
    )
    if spaced and not alike:
        state.anchors.append(row)


def _coverage_satisfied(state: PersonState, table: list[Face], settings: SelectionSettings) -> bool:
    recent = state.recent_novelty(settings.stop_window)
    if recent is None or recent >= settings.stop_novelty:
        return False
    yaw, pitch, expression = coverage_counts([table[r] for r in state.saved])
    return (
        yaw >= settings.stop_yaw_bins
        and pitch >= settings.stop_pitch_bins
        and expression >= settings.stop_expression_bins
        and len(state.anchors) >= settings.anchor_min
    )


def _reason_at_the_end(state: PersonState, settings: SelectionSettings) -> str:
    recent = state.recent_novelty(settings.stop_window)
    flat = recent is not None and recent < settings.stop_novelty
    return "novelty_plateau" if flat else "end_of_video"
