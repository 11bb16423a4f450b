"""The audit of a ride: which moments are asked about, what was said of them, and the recall.

What belongs here: tables, consent and answers of a ride joined to one `Audit`. What does not: the
figures (`core.recall`), the file of answers (`storage.video.audits`), pages and words.

All of it is computed when somebody looks. It is no output: what is exported does not depend on what
is said of it later, and nothing is outdated by an answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from identity_pipeline.core.recall.audit import ANSWERS, STRATUM, allocate, choose
from identity_pipeline.core.recall.estimate import MOMENT, Recall, recall_of
from identity_pipeline.core.recall.strata import LEFT_OUT, moments_of
from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.ledger import anchors
from identity_pipeline.ledger import subjects as ids
from identity_pipeline.ledger.events import Anchor
from identity_pipeline.settings import Settings
from identity_pipeline.stages.curation.consents import Asked, seats_of
from identity_pipeline.stages.curation.settling import present_faces
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.video.audits import Audits, Said
from identity_pipeline.storage.video.tables import MissingTableError, TableStore
from identity_pipeline.tables import BOX

ANSWERED = {"person_id": pl.Int64, "moment": pl.Int64, "answer": pl.String}
FaceAt = tuple[int, tuple[float, float, float, float]]
"""Frame and box of a face, as `Said` has them."""


class AuditError(IdentityPipelineError, ValueError):
    """An answer that is to none of the questions of an audit."""


@dataclass(frozen=True)
class Audit:
    """The audit of a ride as it stands.

    Attributes:
        video_id: which ride.
        moments: of the riders who may be shown (`core.recall.strata.MOMENTS`).
        asked: those that are asked about, in their order.
        answers: `person_id, moment, answer` in force.
        refused: riders who may not be shown, and why.
        dropped: answers that count no longer: the rider is not found again, or the moment is left
            out for another reason or not at all.
    """

    video_id: str
    moments: pl.DataFrame
    asked: pl.DataFrame
    answers: pl.DataFrame
    refused: Mapping[int, str]
    dropped: int

    @property
    def open(self) -> pl.DataFrame:
        """What is asked and not answered yet."""
        return self.asked.join(self.answers, on=MOMENT, how="anti", maintain_order="left")

    @property
    def riders(self) -> list[int]:
        """Who may be shown."""
        return self.moments["person_id"].unique().sort().to_list()

    def recall(self, person_id: int | None = None) -> Recall:
        """Of one rider, or of the ride."""
        whose = pl.lit(True) if person_id is None else pl.col("person_id") == person_id
        return recall_of(self.moments.filter(whose), self.answers)

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "video_id": self.video_id,
            "ride": _plain(self.recall()),
            "riders": {f"person_{rider}": _plain(self.recall(rider)) for rider in self.riders},
            "asked": self.asked.height,
            "open": self.open.height,
            "dropped": self.dropped,
            "refused": {f"person_{rider}": why for rider, why in self.refused.items()},
        }


def _plain(recall: Recall) -> dict[str, Any]:
    return {**vars(recall), "unseen": dict(recall.unseen), "sentence": recall.sentence}


def audit_of(stores: LibraryStores, settings: Settings, video_id: str) -> Audit:
    """The audit of a ride as tables, consents and answers are now.

    Raises:
        MissingTableError: it is not finished, or a photo set.
        DamagedFileError: a table or the file of answers is not what was written.
    """
    store = stores.tables
    frames = store.read("frames", video_id, ("frame_idx", "timestamp_ms"))
    found = moments_of(frames, store.read("frame_ledger", video_id), settings.recall)
    verdicts = Asked.now(stores, settings).of_riders(video_id)
    refused = {seat: one.reason for seat, one in verdicts.items() if not one.allowed}
    moments = found.filter(~pl.col("person_id").is_in(list(refused)))
    left_out = moments.filter(pl.col("stratum").is_in(LEFT_OUT))
    sizes = {(int(p), str(s)): n for p, s, n in left_out.group_by(STRATUM).len().iter_rows()}
    wanted = allocate(sizes, settings.recall)
    record = stores.videos.get(video_id)
    asked = choose(left_out, record.sha256 if record else video_id, wanted)
    said = Audits(store.layout).read(video_id)
    answers, dropped = _in_force(store, video_id, said, left_out, settings.recall.moment_s)
    return Audit(video_id, moments, asked, answers, refused, dropped)


def recall_sentence(
    stores: LibraryStores, settings: Settings, video_id: str, rider: int | None = None
) -> str | None:
    """The recall of a ride in words, or what keeps it from being told.

    Args:
        stores: of the data folder.
        settings: all settings.
        video_id: the ride.
        rider: of one rider alone.

    Returns:
        None of what is no ride.
    """
    try:
        audit = audit_of(stores, settings, video_id)
        if rider is not None and rider in audit.refused:
            return f"It is not told: {audit.refused[rider]}."
        return audit.recall(rider).sentence
    except MissingTableError:
        return None
    except DamagedFileError as error:
        return str(error)


def recall_lines(stores: LibraryStores, settings: Settings) -> list[str]:
    """The recall of every ride that somebody looked at, in a sentence each."""
    told = {ride: recall_sentence(stores, settings, ride) for ride in Audits(stores.layout).rides()}
    lines = [f"{ride}: {sentence}" for ride, sentence in told.items() if sentence is not None]
    return lines or ["How many of the usable moments are shown was not measured of any ride."]


def _in_force(
    store: TableStore,
    video_id: str,
    said: Sequence[Said],
    left_out: pl.DataFrame,
    moment_s: float,
) -> tuple[pl.DataFrame, int]:
    """The answers that count, and how many others there are."""
    whose = _whose(store, video_id, {(one.frame_idx, one.box) for one in said})
    latest: dict[tuple[int | FaceAt, int, float], Said] = {}
    for one in said:
        place = (one.frame_idx, one.box)
        latest[whose.get(place, place), one.moment, one.moment_s] = one
    strata = {(p, m): s for p, m, s in left_out.select(*MOMENT, "stratum").iter_rows()}
    counted = [
        (rider, moment, one.answer)
        for (rider, moment, length), one in latest.items()
        if one.answer is not None
        and length == moment_s
        and isinstance(rider, int)
        and strata.get((rider, moment)) == one.stratum
    ]
    in_all = sum(one.answer is not None for one in latest.values())
    return pl.DataFrame(counted, schema=ANSWERED, orient="row"), in_all - len(counted)


def _whose(store: TableStore, video_id: str, places: set[FaceAt]) -> dict[FaceAt, int]:
    """The rider of each face, in the present tables; those that are no rider's are left out."""
    named = {ids.track(video_id, n): place for n, place in enumerate(sorted(places))}
    book = {
        subject: [Anchor(subject=subject, frame_idx=frame_idx, box=box)]
        for subject, (frame_idx, box) in named.items()
    }
    found = anchors.resolve(book, present_faces(store, book)).found if book else {}
    seats = seats_of(store, video_id)
    riders = {s: seats.get(int(ids.parse(now).local_id)) for s, now in found.items()}
    return {named[subject]: rider for subject, rider in riders.items() if rider is not None}


def face_of_rider(store: TableStore, video_id: str, person_id: int) -> FaceAt:
    """The rider's largest face: most surely found again when the ride is processed anew.

    Raises:
        AuditError: there is none.
    """
    tracks = [track for track, seat in seats_of(store, video_id).items() if seat == person_id]
    faces = store.read("face_detections", video_id, ("face_id", "frame_idx", *BOX))
    known = store.read("face_tracks", video_id, ("face_id", "track_id"))
    own = faces.join(known.filter(pl.col("track_id").is_in(tracks)), on="face_id", how="semi")
    area = (pl.col("x2") - pl.col("x1")) * (pl.col("y2") - pl.col("y1"))
    if not own.height:
        raise AuditError(f"{video_id} has no face of rider {person_id}; reload the page.")
    row = own.sort([-area, pl.col("face_id")]).select("frame_idx", *BOX).row(0)
    x1, y1, x2, y2 = (round(float(value), 2) for value in row[1:])
    return int(row[0]), (x1, y1, x2, y2)


@dataclass(frozen=True)
class Auditor:
    """Who answers, now.

    Attributes:
        stores: of the data folder.
        settings: all settings.
        actor: a name.
        at: ISO time with a zone.
    """

    stores: LibraryStores
    settings: Settings
    actor: str
    at: str

    def answer(self, video_id: str, person_id: int, moment: int, answer: str) -> None:
        """Says what a moment is.

        Raises:
            AuditError: that is not asked, or no answer, or somebody else has answered it meanwhile;
                nothing is noted.
            MissingTableError, DamagedFileError, LockBusyError: see `audit_of` and `Audits.add`.
        """

        def line(known: Sequence[Said]) -> Said:
            """Asked only now: a forgetting may have held the lock, and the face be gone with it."""
            return _not_over_another(known, self._said(video_id, person_id, moment, answer))

        Audits(self.stores.layout).add(video_id, line)

    def _said(self, video_id: str, person_id: int, moment: int, answer: str) -> Said:
        asked = audit_of(self.stores, self.settings, video_id).asked
        row = asked.filter(pl.col("person_id") == person_id, pl.col("moment") == moment)
        if answer not in ANSWERS or not row.height:
            raise AuditError("That is not asked any more; reload the page.")
        frame_idx, box = face_of_rider(self.stores.tables, video_id, person_id)
        place = frame_idx, box, moment, self.settings.recall.moment_s, row["stratum"][0]
        return Said(self.at, self.actor, *place, answer)

    def take_back(self, video_id: str) -> None:
        """Takes back the last answer of this actor that is in force; nothing where there is none.

        Raises:
            DamagedFileError, LockBusyError: see `Audits.add`.
        """
        Audits(self.stores.layout).add(video_id, self._back)

    def last(self, video_id: str) -> Said | None:
        """The last answer of this actor that is in force; raises as `Audits.read` does."""
        return self._last(Audits(self.stores.layout).read(video_id))

    def _last(self, known: Sequence[Said]) -> Said | None:
        latest = {(one.frame_idx, one.box, one.moment, one.moment_s): one for one in known}
        own = [one for one in known if one in latest.values() and one.actor == self.actor]
        given = [one for one in own if one.answer is not None]
        return given[-1] if given else None

    def _back(self, known: Sequence[Said]) -> Said | None:
        last = self._last(known)
        if last is None:
            return None
        place = last.frame_idx, last.box, last.moment, last.moment_s, last.stratum
        return Said(self.at, self.actor, *place, None)


def _not_over_another(known: Sequence[Said], said: Said) -> Said:
    """An answer, unless somebody else's is in force on the moment."""
    moment = (said.frame_idx, said.box, said.moment, said.moment_s)
    same = [o for o in known if (o.frame_idx, o.box, o.moment, o.moment_s) == moment]
    if same and same[-1].answer is not None and same[-1].actor != said.actor:
        raise AuditError(f"{same[-1].actor} has answered this one meanwhile; the next is asked.")
    return said
