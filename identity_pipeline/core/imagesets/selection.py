"""The selection: one decision, with its reason, on every candidate of the whole ride.

With `selection.stop = "grow"` the coverage is chosen as an optimum over the whole ride
(`coverage`); the replay in time order (`replay`) says how many images a bucket may hold and when
growth ended. With `"cut"` the replay's own decisions are the selection, and what came after the
stop is not looked at. Anchors and pairs are chosen before.

========  ====================  ======================================================
save      accepted_by_a_human   whatever its bucket holds
save      bucket_empty          the best for its bucket, of which nothing was chosen
add       novel                 new beside what is chosen, and room in the bucket, of which
                                there is an image or an anchor
replace   better_quality        cut alone: better than the bucket's best so far
reject    beaten_in_bucket      its bucket is full of better ones; the rival is the first
reject    too_similar           room in the bucket, but not new beside the rival
reject    near_duplicate        the same picture as the rival
reject    too_close_in_time     hardly earlier or later than the rival
reject    hard_condition        dark or overexposed: it stands for no pose or expression
reject    covered               its pose and expression are not sure
reject    beyond_bins           pose outside the bins
reject    pose_unknown          pose not measured
reject    after_stop            grow: its bucket was empty when growth ended;
                                cut: it came after the stop
reject    taken                 an anchor or a pair shows it
========  ====================  ======================================================

The columns of bins filled and `recent_novelty` are the replay's, in time order: what the stop
looked at. `novelty` is that of the decision.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import polars as pl

from identity_pipeline.core.imagesets.coverage import Verdict, choose
from identity_pipeline.core.imagesets.decided import ACCEPTED
from identity_pipeline.core.imagesets.faces import (
    Face,
    Row,
    faces_of,
    is_accepted,
    near_in_time,
    no_coverage,
    people,
    person_views,
    rows_of,
    weighed,
)
from identity_pipeline.core.imagesets.novelty import Views, novelty
from identity_pipeline.core.imagesets.replay import Replay, replay
from identity_pipeline.settings import SelectionSettings
from identity_pipeline.tables import TABLES


def open_candidates(candidates: pl.DataFrame, settings: SelectionSettings) -> pl.DataFrame:
    """The candidates that the sets may choose from, sorted by person and time.

    Args:
        candidates: table `candidates`.
        settings: the stop.
    """
    return weighed(until_the_stop(candidates, settings))


def until_the_stop(candidates: pl.DataFrame, settings: SelectionSettings) -> pl.DataFrame:
    """The riders' faces of all the ride; with `selection.stop = "cut"` those up to the stop.

    Args:
        candidates: table `candidates`.
        settings: the stop.
    """
    if settings.stop == "grow":
        return candidates
    late, accepted = pl.lit(False), (pl.col("decided") == ACCEPTED).fill_null(False)
    for faces in people(weighed(candidates)):
        stop_ms = replay(faces, settings).stop_ms
        if stop_ms is not None:
            mine = pl.col("person_id") == faces["person_id"][0]
            late |= mine & (pl.col("timestamp_ms") > stop_ms) & ~accepted
    return candidates.filter(~late)


def select(
    candidates: pl.DataFrame,
    anchors: pl.DataFrame,
    pairs: pl.DataFrame,
    settings: SelectionSettings,
) -> pl.DataFrame:
    """The table `selection`: one row per candidate of every rider.

    Args:
        candidates: table `candidates`.
        anchors: table `anchor_set`.
        pairs: table `pair_set`.
        settings: thresholds.
    """
    rows: list[Row] = []
    for faces in people(weighed(candidates)):
        grown, table = replay(faces, settings), faces_of(faces)
        person = pl.col("person_id") == table[0]["person_id"]
        portraits = rows_of(table, anchors.filter(person)["face_id"])
        together = dict(pairs.filter(person)["face_id", "timestamp_ms"].iter_rows())
        if settings.stop == "cut":
            decisions = _as_replayed(
                table, grown, [*portraits, *rows_of(table, together)], settings
            )
        else:
            decisions = _chosen(table, person_views(faces), portraits, together, grown, settings)
        rows += [_record(table, row, decision, grown) for row, decision in enumerate(decisions)]
    blank = dict.fromkeys(TABLES["selection"])
    return pl.DataFrame([blank | row for row in rows], schema=TABLES["selection"])


def _as_replayed(
    table: Sequence[Face], grown: Replay, before: Sequence[int], settings: SelectionSettings
) -> list[Row]:
    accepted = {
        row
        for row, face in enumerate(table)
        if is_accepted(face) and no_coverage(face, settings) is None
    }
    kept = (grown.kept | accepted) - set(before)
    said = {"decision": "save", "reason": ACCEPTED, "rival": None}
    return [
        {**decision, **(said if row in accepted else {}), "kept": row in kept}
        for row, decision in enumerate(grown.decisions)
    ]


def _chosen(
    table: Sequence[Face],
    views: Views,
    anchors: Sequence[int],
    pairs: Mapping[str, float],
    grown: Replay,
    settings: SelectionSettings,
) -> list[Row]:
    """The decisions of the optimum over the whole ride, in the order of the table.

    A picture of both riders is another picture than one of a rider alone: from pairs everything
    keeps its distance in time, not in look.

    Args:
        table: the rider's candidates.
        views: their embeddings.
        anchors: rows.
        pairs: the rider's faces in pairs, which need not be candidates, with their times in ms.
        grown: the replay.
        settings: thresholds.
    """
    caps = _caps(table, grown, settings)
    taken = {*pairs, *(table[row]["face_id"] for row in anchors)}
    beside = sorted((time, face) for face, time in pairs.items())
    barred = [_barred(face, taken, beside, caps, settings) for face in table]
    allowed = [row for row, bar in enumerate(barred) if bar is None]
    verdicts = choose(table, views, allowed, anchors, caps, settings)
    images = {*anchors, *(row for row, verdict in verdicts.items() if verdict.chosen)}
    decisions: list[Row] = []
    for row, bar in enumerate(barred):
        if bar is None:
            decisions.append(_decision(verdicts[row]))
        else:
            reason, rival = bar
            new = novelty(views, row, sorted(images - {row}))
            decisions.append(_decision(Verdict(reason, new)) | {"rival_face_id": rival})
    return decisions


def _caps(table: Sequence[Face], grown: Replay, settings: SelectionSettings) -> Mapping[str, int]:
    """Images at most of each bucket: what it held when growth ended, if it ever did."""
    if grown.stop_row is not None:
        return grown.held
    keys = {face["bucket_key"] for face in table}
    return {key: settings.bucket_max for key in keys if key is not None}


def _barred(
    face: Face,
    taken: Collection[str],
    pairs: Sequence[tuple[float, str]],
    caps: Mapping[str, int],
    settings: SelectionSettings,
) -> tuple[str, str | None] | None:
    """Why a face stands for no bucket whatever else is chosen, with its rival; or None.

    Args:
        face: which.
        taken: faces of anchors and pairs.
        pairs: time in ms and face of the rider in each pair.
        caps: images at most of each bucket.
        settings: thresholds.
    """
    if face["face_id"] in taken:
        return "taken", None
    lacking = no_coverage(face, settings)
    if lacking is not None:
        return lacking, None
    if is_accepted(face):
        return None
    if not caps.get(str(face["bucket_key"]), 0):
        return "after_stop", None
    for time, image in pairs:
        if near_in_time(face, [time], settings):
            return "too_close_in_time", image
    return None


def _decision(verdict: Verdict) -> Row:
    chosen_as = "add" if verdict.reason == "novel" else "save"
    decision = chosen_as if verdict.chosen else "reject"
    return {"decision": decision, "kept": verdict.chosen, **verdict._asdict()}


def _record(table: Sequence[Face], row: int, decision: Row, grown: Replay) -> Row:
    face = table[row]
    weighted = face["weight"] is not None
    return {
        **{name: face[name] for name in _COPIED},
        **{name: grown.decisions[row][name] for name in _RUNNING},
        **{name: decision[name] for name in ("decision", "reason", "novelty", "kept")},
        "gain": decision.get("gain"),
        "rival_face_id": decision.get("rival_face_id"),
        "bonus": face["bonus"] if weighted else None,
        **_rival(table, decision["rival"], weighted),
        "stop_reason": grown.stop_reason,
        "stop_ms": grown.stop_ms,
    }


def _rival(table: Sequence[Face], rival: int | None, weighted: bool) -> Row:
    """What the row of a decision says of a rival among the candidates."""
    if rival is None:
        return {}
    other = table[rival]
    return {
        "rival_face_id": other["face_id"],
        "rival_quality": other["quality_score"],
        "rival_picture": other["picture"],
        "rival_bonus": other["bonus"] if weighted else None,
    }


_COPIED = (
    *("face_id", "frame_idx", "person_id", "timestamp_ms", "bucket_key"),
    *("quality_score", "picture", "weight"),
)
_RUNNING = (
    *("yaw_bins_filled", "pitch_bins_filled", "expression_bins_filled"),
    "recent_novelty",
)
