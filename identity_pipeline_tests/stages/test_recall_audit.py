"""The audit of a ride: answers outlive kills, second curators and other numbers of riders."""

from __future__ import annotations

import os
import signal
import stat
import time
from pathlib import Path
from threading import Thread

import numpy as np
import polars as pl
import pytest

from identity_pipeline.core.recall.audit import MISSED, SHOWN, UNCLEAR, UNUSABLE
from identity_pipeline.core.recall.estimate import MOMENT
from identity_pipeline.desk.rooms.recall import _beside
from identity_pipeline.settings import Settings, load_settings
from identity_pipeline.stages.curation.recall import (
    AuditError,
    Auditor,
    audit_of,
    face_of_rider,
    recall_lines,
    recall_sentence,
)
from identity_pipeline.stages.desk.audited import AuditFrames, Question, _without
from identity_pipeline.stages.desk.faces import known_faces
from identity_pipeline.stages.desk.pictures import RiderShown, SetShown, Shown
from identity_pipeline.stages.stores import LibraryStores
from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.audits import Audits, Said
from identity_pipeline.storage.video.tables import MissingTableError, TableStore
from identity_pipeline.tables import TABLES
from identity_pipeline_tests.processes import SERVER, ended

RIDE = "ride-1"
AT = "2026-01-02T03:04:05Z"
STATES = ("saved", "beaten", "failed_gate", None)
"""What becomes of a rider's face in a moment; None: there is none."""


def write_ride(
    store: TableStore, *, moments: int = 80, swapped: bool = False, seed: int = 0
) -> None:
    """Two riders side by side, a frame and at most a face each a moment."""
    rng = np.random.default_rng(seed)
    frames, faces, ledger = [], [], []
    for n in range(moments):
        frames.append({"frame_idx": 5 * n, "timestamp_ms": 500.0 * n})
        for side in (0, 1):
            state = "saved" if n == 0 else rng.choice(STATES, p=(0.3, 0.3, 0.2, 0.2))
            if state is None:
                continue
            face = {"face_id": f"{5 * n:06d}-{side}", "frame_idx": 5 * n}
            x1 = 100.0 + 300 * side
            faces.append(face | {"x1": x1, "y1": 50.0, "x2": x1 + 60 + n % 7, "y2": 120.0})
            seat = 1 - side if swapped else side
            ledger.append(face | {"person_id": seat, "state": state, "reason": state})
    track_of, seat_of = ((3, 4), (1, 0)) if swapped else ((1, 2), (0, 1))
    riders = [
        {"track_id": track, "person_id": seat, "reason": "rider"}
        for track, seat in zip(track_of, seat_of, strict=True)
    ]
    tracks = [
        {"face_id": f["face_id"], "frame_idx": f["frame_idx"], "track_id": track_of[f["x1"] > 200]}
        for f in faces
    ]
    tables = {"frames": frames, "face_detections": faces, "face_tracks": tracks}
    for name, rows in {**tables, "riders": riders, "frame_ledger": ledger}.items():
        store.write(name, RIDE, pl.DataFrame(rows, schema=TABLES[name]), f"{seed}{swapped}")


@pytest.fixture
def stores(tmp_path: Path) -> LibraryStores:
    store = TableStore(Layout(tmp_path / "data"))
    write_ride(store)
    return LibraryStores.of(store)


def settings_of(stores: LibraryStores, **groups: dict[str, object]) -> Settings:
    return load_settings(paths={"data": str(stores.layout.root)}, **groups)


def auditor(stores: LibraryStores, name: str = "Ada") -> Auditor:
    return Auditor(stores, settings_of(stores), name, AT)


def answer_next(who: Auditor, word: str = UNUSABLE) -> tuple[int, int]:
    open_ = audit_of(who.stores, who.settings, RIDE).open
    rider, moment = open_.select(MOMENT).row(0)
    who.answer(RIDE, rider, moment, word)
    return rider, moment


def test_an_audit_is_at_most_forty_questions_and_says_what_it_found(stores: LibraryStores) -> None:
    who = auditor(stores)
    assert "not measured" in (recall_sentence(stores, who.settings, RIDE) or "")
    first = audit_of(stores, who.settings, RIDE)
    assert first.asked.height == 40 and first.riders == [0, 1]
    words = (MISSED, SHOWN, UNUSABLE, UNCLEAR)
    for n in range(8):
        answer_next(who, words[n % 4])
    audit = audit_of(stores, who.settings, RIDE)
    assert audit.asked.equals(first.asked) and audit.open.height == 32
    assert audit.recall().n == 6  # what nobody can tell is not asked again, and does not count
    assert sum(audit.recall(rider).n for rider in (0, 1)) == 6
    assert audit.as_json()["ride"]["n"] == 6
    file = stores.layout.audit(RIDE)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and file.read_bytes().count(b"\n") == 8


def test_the_report_of_the_library_tells_what_was_measured(stores: LibraryStores) -> None:
    who = auditor(stores)
    (none,) = recall_lines(stores, who.settings)
    assert none == "How many of the usable moments are shown was not measured of any ride."
    for _ in range(40):
        answer_next(who)
    (line,) = recall_lines(stores, who.settings)
    assert line == f"{RIDE}: {recall_sentence(stores, who.settings, RIDE)}"
    assert "40 of the" in line and "% of the usable moments are shown" in line
    settings = settings_of(stores, consent={"required": True})
    assert "nobody said whether they consent" in str(recall_sentence(stores, settings, RIDE, 0))


def test_an_answer_is_taken_back_by_who_gave_it_and_no_line_goes(stores: LibraryStores) -> None:
    ada, ben = auditor(stores), auditor(stores, "Ben")
    answer_next(ada)
    last = answer_next(ada)
    answer_next(ben)
    ada.take_back(RIDE)
    audit = audit_of(stores, ada.settings, RIDE)
    assert audit.answers.height == 2 and last in audit.open.select(MOMENT).rows()
    for _ in range(3):
        ada.take_back(RIDE)
    assert audit_of(stores, ada.settings, RIDE).answers.height == 1, "the other's stands"
    assert len(Audits(stores.layout).read(RIDE)) == 5


def test_only_what_is_asked_is_answered(stores: LibraryStores) -> None:
    who = auditor(stores)
    exported = audit_of(stores, who.settings, RIDE).moments.filter(pl.col("stratum") == "exported")
    for rider, moment, word in ((*exported.select(MOMENT).row(0), MISSED), (0, 9999, MISSED)):
        with pytest.raises(AuditError):
            who.answer(RIDE, rider, moment, word)
    rider, moment = audit_of(stores, who.settings, RIDE).open.select(MOMENT).row(0)
    with pytest.raises(AuditError):
        who.answer(RIDE, rider, moment, "perhaps")
    assert not Audits(stores.layout).read(RIDE)


def test_two_curators_at_once_lose_no_answer(stores: LibraryStores) -> None:
    asked = audit_of(stores, auditor(stores).settings, RIDE).asked.select(MOMENT).rows()

    def answer(name: str, rows: list[tuple[int, int]]) -> None:
        for rider, moment in rows:
            auditor(stores, name).answer(RIDE, rider, moment, UNUSABLE)

    threads = [Thread(target=answer, args=(name, asked[k:12:2])) for k, name in enumerate("ab")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert audit_of(stores, auditor(stores).settings, RIDE).open.select(MOMENT).rows() == asked[12:]


def test_nobody_answers_over_another(stores: LibraryStores) -> None:
    ada, ben = auditor(stores), auditor(stores, "Ben")
    rider, moment = answer_next(ada, MISSED)
    with pytest.raises(AuditError, match="Ada has answered this one meanwhile"):
        ben.answer(RIDE, rider, moment, UNUSABLE)
    ada.answer(RIDE, rider, moment, SHOWN)  # who answered may say another thing
    ada.take_back(RIDE)
    ben.answer(RIDE, rider, moment, UNUSABLE)
    assert [one.answer for one in Audits(stores.layout).read(RIDE)] == [
        MISSED,
        SHOWN,
        None,
        UNUSABLE,
    ]


def test_an_answer_that_waits_for_a_forgetting_does_not_bring_a_face_back(
    stores: LibraryStores,
) -> None:
    who, said = auditor(stores), list[Exception]()
    answer_next(who)
    rider, moment = audit_of(stores, who.settings, RIDE).open.select(MOMENT).row(0)

    def waits() -> None:
        try:
            who.answer(RIDE, rider, moment, MISSED)
        except MissingTableError as error:
            said.append(error)

    late = Thread(target=waits)
    with Audits(stores.layout).locked("forgetting"):
        late.start()
        time.sleep(0.3)  # so that it waits; if it did not yet, it finds nothing either
        for path in stores.layout.tables.glob(f"*/{RIDE}*"):
            path.unlink()
        stores.layout.audit(RIDE).unlink()
    late.join()
    assert said and not stores.layout.audit(RIDE).exists()
    who.take_back(RIDE)
    assert not stores.layout.audit(RIDE).exists()


def _answers_until_killed(root: str) -> None:
    stores = LibraryStores.of(TableStore(Layout(Path(root))))
    written = atomic.write_bytes

    def killed(target: Path, data: bytes) -> None:
        if data.count(b"\n") == 3:
            target.with_name("half").write_bytes(data[:50])
            os.kill(os.getpid(), signal.SIGKILL)
        written(target, data)

    atomic.write_bytes = killed
    for _ in range(3):
        answer_next(auditor(stores))


def test_a_kill_between_answers_leaves_those_that_were_given(stores: LibraryStores) -> None:
    process = SERVER.Process(target=_answers_until_killed, args=(str(stores.layout.root),))
    process.start()
    assert ended(process) == -signal.SIGKILL
    assert audit_of(stores, auditor(stores).settings, RIDE).answers.height == 2
    answer_next(auditor(stores))
    assert audit_of(stores, auditor(stores).settings, RIDE).answers.height == 3


def test_riders_of_other_numbers_keep_their_answers(stores: LibraryStores) -> None:
    who = auditor(stores)
    given = {answer_next(who, MISSED) for _ in range(10)}
    write_ride(stores.tables, swapped=True)
    audit = audit_of(stores, who.settings, RIDE)
    now = set(audit.answers.select(MOMENT).rows())
    assert now == {(1 - rider, moment) for rider, moment in given} and audit.dropped == 0
    write_ride(stores.tables, moments=3, seed=9)  # another cut: neither faces nor moments are there
    audit = audit_of(stores, who.settings, RIDE)
    assert audit.answers.height + audit.dropped == 10 and audit.dropped > 6


def test_moments_of_another_length_are_other_moments(stores: LibraryStores) -> None:
    answer_next(auditor(stores))
    audit = audit_of(stores, settings_of(stores, recall={"moment_s": 1.0}), RIDE)
    assert audit.answers.height == 0 and audit.dropped == 1


def test_who_may_not_be_exported_is_neither_shown_nor_counted(stores: LibraryStores) -> None:
    audit = audit_of(stores, settings_of(stores, consent={"required": True}), RIDE)
    assert set(audit.refused) == {0, 1} and not audit.moments.height and not audit.asked.height


def test_who_may_not_be_shown_is_painted_over_wherever_they_are(stores: LibraryStores) -> None:
    """Two riders, passers-by of a track and of none; the left rider has two tracks, far apart."""
    store, at = stores.tables, {"y1": 50.0, "y2": 120.0}
    rows = [  # frame, number, left edge, track
        *((5 * n, 0, 100.0, 1 if n < 5 else 3) for n in range(40) if n < 5 or n > 34),
        *((5 * n, 1, 400.0, 2) for n in range(40)),
        *((5 * n, 2, 700.0, 9) for n in range(10, 20)),
        (75, 3, 900.0, None),
    ]
    found = [{"face_id": f"{n:06d}-{k}", "frame_idx": n, "track_id": t, "x1": x, "x2": x + 60, **at}
             for n, k, x, t in rows]  # fmt: skip
    for name in ("face_detections", "face_tracks"):
        kept = [{c: row[c] for c in TABLES[name] if c in row} for row in found]
        tracked = [row for row in kept if row.get("track_id", 0) is not None]
        store.write(name, RIDE, pl.DataFrame(tracked, schema=TABLES[name]), "painted")
    seats = [
        {"track_id": t, "person_id": p, "reason": "rider"} for t, p in ((1, 0), (3, 0), (2, 1))
    ]
    store.write("riders", RIDE, pl.DataFrame(seats, schema=TABLES["riders"]), "painted")

    def painted(frame: int, asked: str, **consent: object) -> list[float]:
        settings = settings_of(stores, consent=consent)
        frames = AuditFrames(store, settings)
        hidden = frames._hidden(RIDE, known_faces(store, RIDE))
        return sorted(box.x1 for box in _without(hidden, asked).at(frame))

    assert painted(75, "000075") == []  # consent is not asked for
    everybody = {"required": True}
    assert painted(75, "000075", **everybody) == [100.0, 400.0, 700.0, 900.0]
    assert painted(75, "000075-2", **everybody) == [100.0, 400.0, 900.0]  # it may be the rider
    assert painted(75, "000075-3", **everybody) == [100.0, 400.0, 700.0]
    silent = {"required": True, "unknown": "allow", "minors": "allow"}
    assert painted(75, "000075", **silent) == []


@pytest.mark.parametrize("table", ["riders", "face_tracks"])
def test_a_picture_of_before_is_not_shown_where_others_are_painted_over_now(
    stores: LibraryStores, table: str
) -> None:
    """The left rider refused; then who is the left one changes places with the other."""
    store, frames = stores.tables, AuditFrames(stores.tables, settings_of(stores))
    frames._may_not_be_shown = lambda video_id: ([0], False)  # the seat stays the same one

    def hidden() -> float:
        ((_, path),) = frames._hidden(RIDE, known_faces(store, RIDE))
        return path.regions[0][1]

    before, drawn = hidden(), frames.version(RIDE)
    column, both = {"riders": ("person_id", 1), "face_tracks": ("track_id", 3)}[table]
    swapped = store.read(table, RIDE).with_columns((both - pl.col(column)).alias(column))
    store.write(table, RIDE, swapped, "swapped")
    assert (before, hidden()) == (100.0, 400.0) and frames.version(RIDE) != drawn


def test_no_pair_is_shown_beside_where_the_other_rider_may_not_be() -> None:
    one, two = (Shown("v", f, f"{f}.jpg", "0:01", "", {}, None, None) for f in ("alone", "both"))
    sets = (SetShown("anchor", (one,), False), SetShown("pair", (two,), False))
    riders, question = {0: RiderShown(0, "rider 0", None, sets)}, Question(0, 1, "000001", "", "")
    assert _beside(riders, question, alone=False) == ["alone.jpg", "both.jpg"]
    assert _beside(riders, question, alone=True) == ["alone.jpg"]


@pytest.mark.parametrize("harm", [b'{"at": "x"}\n', b"{", b"\xff\n"])
def test_damaged_answers_are_a_sentence_and_stay(stores: LibraryStores, harm: bytes) -> None:
    answer_next(auditor(stores))
    file = stores.layout.audit(RIDE)
    damaged = file.read_bytes() + harm
    file.write_bytes(damaged)
    with pytest.raises(DamagedFileError, match="backup"):
        answer_next(auditor(stores))
    assert "damaged" in (recall_sentence(stores, auditor(stores).settings, RIDE) or "")
    assert file.read_bytes() == damaged


def test_the_interval_covers_the_truth_of_simulated_auditors(stores: LibraryStores) -> None:
    """Who answers rightly of rides of which it is known what was missed; one in twenty errs."""
    settings, covered, trials = settings_of(stores), 0, 24
    for seed in range(trials):
        write_ride(stores.tables, moments=120, seed=seed)
        rng = np.random.default_rng(seed)
        audit = audit_of(stores, settings, RIDE)
        missed = {"beaten": 0.1, "gated": 0.25, "not_detected": 0.3}
        truth = {
            (rider, moment): rng.random() < missed.get(stratum, 0.0)
            for rider, moment, stratum in audit.moments.select(*MOMENT, "stratum").iter_rows()
        }
        faces = {rider: face_of_rider(stores.tables, RIDE, rider) for rider in (0, 1)}
        lines = [
            Said(AT, "Ada", *faces[rider], moment, 0.5, stratum, said)
            for rider, moment, stratum in audit.asked.select(*MOMENT, "stratum").iter_rows()
            for said in [MISSED if truth[rider, moment] ^ (rng.random() < 0.05) else UNUSABLE]
        ]
        stores.layout.audit(RIDE).unlink(missing_ok=True)
        for line in lines:
            Audits(stores.layout).add(RIDE, lambda _, line=line: line)
        found = audit_of(stores, settings, RIDE).recall()
        exact = found.exported / (found.exported + sum(truth.values()))
        assert found.low is not None and found.high is not None and found.n == 40
        covered += found.low <= exact <= found.high
    assert covered >= 0.9 * trials
