"""What became of each face of a frame, with the evidence: what was measured, and beside whom.

What belongs here: gathering it from the tables of a video. What does not: comparing faces
(`core.imagesets.evidence`) and the words (`why`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from identity_pipeline.core.faces.angles import ANGLES, MEASURED_ANGLES
from identity_pipeline.core.imagesets.evidence import (
    Comparison,
    Evidence,
    Peers,
    compared,
    peers_as_anchor,
    peers_in_bucket,
    peers_in_moment,
)
from identity_pipeline.core.imagesets.faces import VECTORS
from identity_pipeline.settings import SelectionSettings
from identity_pipeline.storage.video.tables import TableStore


@dataclass(frozen=True)
class Contest:
    """A face beside the best of the others that it competes with.

    Attributes:
        peers: how many, which place, who.
        score: of both; None where one has none.
        ended: state and reason of the other.
    """

    peers: Peers
    score: Comparison | None
    ended: tuple[str, str] | None


@dataclass(frozen=True)
class Explained:
    """What became of a face, and why.

    Attributes:
        ledger: its row of `frame_ledger`.
        measured: `quality_score`, `score`, `face_px`, `yaw`, `pitch`, `stable_score`; `yaw_camera` and
            `pitch_camera` where the camera is known.
        evidence: what else was measured; of a face that is no rider's, nothing.
        moment: beside the others of its moment.
        bucket: beside the other candidates of its pose and expression.
        anchors: beside the other candidates that may be anchors, as a portrait.
        rival: beside the face that the ledger names.
        strict_fails: codes of what it fails of the strict gate.
    """

    ledger: dict[str, Any]
    measured: dict[str, float | None]
    evidence: Evidence
    moment: Contest | None
    bucket: Contest | None
    anchors: Contest | None
    rival: Comparison | None
    strict_fails: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        evidence = {**vars(self.evidence), "parts": dict(self.evidence.parts)}
        contests = {"moment": self.moment, "bucket": self.bucket, "anchors": self.anchors}
        return {
            **self.ledger,
            **self.measured,
            "strict_fails": list(self.strict_fails),
            **evidence,
            **{name: contest and _contest_json(contest) for name, contest in contests.items()},
            "rival": self.rival and self.rival._asdict(),
        }


def _contest_json(contest: Contest) -> dict[str, Any]:
    state, reason = contest.ended or (None, None)
    score = contest.score._asdict() if contest.score else None
    return {**contest.peers._asdict(), "score": score, "state": state, "reason": reason}


def _measures(row: dict[str, Any]) -> dict[str, float | None]:
    """`MEASURES`, and the angles before the lens where those of the head are others."""
    other = {name: row[name] for name in MEASURED_ANGLES if row.get(name) is not None}
    return {name: row.get(name) for name in MEASURES} | other


MEASURES = ("quality_score", "score", "face_px", *ANGLES, "stable_score")


def explained(
    store: TableStore, video_id: str, frame: int, settings: SelectionSettings
) -> list[Explained]:
    """What became of each face of a frame, in the order of the ledger.

    Args:
        store: the tables.
        video_id: the video.
        frame: `frame_idx`.
        settings: what an anchor is.
    """
    ledger = store.read("frame_ledger", video_id)
    moments = None
    if store.noted("moments", video_id) is not None:
        moments = store.read("moments", video_id)
    video = _Video(
        store.read("candidates", video_id).drop(VECTORS),
        moments,
        {face: (state, reason) for face, state, reason in ledger[_ENDS].iter_rows()},
        settings,
    )
    quality = store.read("face_quality", video_id)
    faces = []
    for row in ledger.filter(pl.col("frame_idx") == frame).iter_rows(named=True):
        measured = quality.row(by_predicate=pl.col("face_id") == row["face_id"], named=True)
        faces.append(video.explain(row, measured))
    return faces


_ENDS = ["face_id", "state", "reason"]


@dataclass(frozen=True)
class _Video:
    """The tables that tell a face from others, and how each face ended."""

    candidates: pl.DataFrame
    moments: pl.DataFrame | None
    ended: dict[str, tuple[str, str]]
    settings: SelectionSettings

    def _row(self, face_id: str) -> dict[str, Any] | None:
        rows = self.candidates.filter(pl.col("face_id") == face_id).to_dicts()
        return rows[0] if rows else None

    def explain(self, ledger: dict[str, Any], quality: dict[str, Any]) -> Explained:
        """One face.

        Args:
            ledger: its row of `frame_ledger`.
            quality: its row of `face_quality`.
        """
        face_id = ledger["face_id"]
        row = self._row(face_id) or quality
        own = Evidence.of(row)
        moment = None if self.moments is None else peers_in_moment(face_id, self.moments)
        bucket = peers_in_bucket(face_id, self.candidates)
        anchors = peers_as_anchor(face_id, self.candidates, self.settings)
        return Explained(
            ledger,
            _measures(row),
            own,
            self._contest(own, moment),
            self._contest(own, bucket),
            self._contest(own, anchors, portrait=True),
            self._beside(own, ledger["rival_face_id"]),
            tuple(row["strict_fails"] or ()),
        )

    def _contest(
        self, own: Evidence, peers: Peers | None, *, portrait: bool = False
    ) -> Contest | None:
        if peers is None:
            return None
        ended = self.ended.get(peers.other) if peers.other else None
        return Contest(peers, self._beside(own, peers.other, portrait=portrait), ended)

    def _beside(
        self, own: Evidence, other: str | None, *, portrait: bool = False
    ) -> Comparison | None:
        theirs = None if other is None else self._row(other)
        return None if theirs is None else compared(own, Evidence.of(theirs), portrait=portrait)
