"""What became of each face of a frame, with the evidence: what was measured, and beside whom.

What belongs here: gathering it from the tables of a video. What does not: comparing faces
(`core.imagesets.evidence`) and the words (`why`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from identity_pipeline.core.camera.usual_faces import beside_usual
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
from identity_pipeline.core.ride.spans import Span, spans_of
from identity_pipeline.settings import SelectionSettings, Settings
from identity_pipeline.stages.video.laid_on import model_of, phases_of
from identity_pipeline.storage.files.small_files import DamagedFileError
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
        measured: `quality_score`, `score`, `face_px`, `yaw`, `pitch`, `stable_score`; where the
            camera is known `yaw_camera` and `pitch_camera`.
        evidence: what else was measured; of a face that is no rider's, nothing.
        moment: beside the others of its moment.
        bucket: beside the other candidates of its pose and expression.
        anchors: beside the other candidates that may be anchors, as a portrait.
        rival: beside the face that the ledger names.
        usual: of one that fails a gate, what riders' faces measure there, in sentences; none where
            the ride of its camera was not known. Of each rider's why that cannot be said, where
            what is known of the ride is damaged.
        strict_fails: codes of what it fails of the strict gate.
    """

    ledger: dict[str, Any]
    measured: dict[str, float | None]
    evidence: Evidence
    moment: Contest | None
    bucket: Contest | None
    anchors: Contest | None
    rival: Comparison | None
    usual: tuple[str, ...] = ()
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
            "usual": list(self.usual),
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


def explained(store: TableStore, video_id: str, frame: int, settings: Settings) -> list[Explained]:
    """What became of each face of a frame, in the order of the ledger.

    Args:
        store: the tables.
        video_id: the video.
        frame: `frame_idx`.
        settings: what an anchor is, and of how many riders something is said.
    """
    ledger = store.read("frame_ledger", video_id)
    moments = None
    if store.noted("moments", video_id) is not None:
        moments = store.read("moments", video_id)
    video = _Video(
        store.read("candidates", video_id).drop(VECTORS),
        moments,
        {face: (state, reason) for face, state, reason in ledger[_ENDS].iter_rows()},
        settings.selection,
        _place_of(store, video_id, frame, settings.camera.videos_min),
    )
    quality = store.read("face_quality", video_id)
    faces = []
    for row in ledger.filter(pl.col("frame_idx") == frame).iter_rows(named=True):
        measured = quality.row(by_predicate=pl.col("face_id") == row["face_id"], named=True)
        faces.append(video.explain(row, measured))
    return faces


_ENDS = ["face_id", "state", "reason"]


@dataclass(frozen=True)
class _Place:
    """The part of the ride in which a frame is, and what riders' faces measure in each.

    Attributes:
        span: of the video.
        usual: table `ride_faces`.
        least: of a part with fewer riders nothing is usual.
    """

    span: Span
    usual: pl.DataFrame
    least: int

    def sentences(self, quality: Mapping[str, Any]) -> tuple[str, ...]:
        """What is said of a rider's face, by its row of `face_quality`."""
        failed = (*quality["loose_fails"], *quality["strict_fails"])
        return beside_usual(self.usual, self.span, quality, failed, self.least)


@dataclass(frozen=True)
class _UnknownPlace:
    """What is known of the ride is damaged; the rest of a face is told all the same.

    Attributes:
        damage: what is wrong.
    """

    damage: str

    def sentences(self, _quality: Mapping[str, Any]) -> tuple[str, ...]:
        """The same of each rider's face."""
        return (f"What is usual in its part of the ride cannot be told: {self.damage}",)


def _place_of(
    store: TableStore, video_id: str, frame: int, least: int
) -> _Place | _UnknownPlace | None:
    """None where the part is not known, or the model of the ride tells nothing of faces."""
    try:
        phases, model = phases_of(store, video_id), model_of(store, video_id)
        span = None if phases is None or model is None else _span_at(phases, frame)
        if model is None or span is None or "ride_faces" not in model.tables:
            return None
        return _Place(span, model.table("ride_faces"), least)
    except DamagedFileError as error:
        return _UnknownPlace(str(error))


def _span_at(phases: pl.DataFrame, frame: int) -> Span | None:
    """The stretch in which a frame is; None where its phase is not known."""
    at = phases.filter(pl.col("frame_idx") == frame).drop_nulls("phase_number")["timestamp_ms"]
    before = [span for span in spans_of(phases) if at.len() and span.start_ms <= at[0]]
    return before[-1] if before else None


@dataclass(frozen=True)
class _Video:
    """The tables that tell a face from others, and how each face ended."""

    candidates: pl.DataFrame
    moments: pl.DataFrame | None
    ended: dict[str, tuple[str, str]]
    settings: SelectionSettings
    place: _Place | _UnknownPlace | None

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
            self.place.sentences(row) if self.place and ledger["person_id"] is not None else (),
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
