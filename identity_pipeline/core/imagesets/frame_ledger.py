"""The account of every face of a video: one state, one stable reason, and what would change it.

The conservation law: each row of `face_detections` has exactly one row here, each exported face
is in a saved state, and each sampled frame's faces add up to its `face_count`.

State            Reasons
---------------  ------------------------------------------------------------------------------
not_a_rider      too_short, too_small, bystander, never_beside_rider, never_clear, row_behind,
                 boarding_only, no_seat
no_set           no_prototype
failed_gate      the first failure of the loose gate (score_low, cut_off, blurred, occluded)
unstable         not_embedded, below_floor, closer_to_rival
not_croppable    cut_by_frame, other_face_in_crop; of chosen faces second_face,
                 other_face_largest, no_face_found, below_min_side, frame_not_found, other_picture
no_vision        no_vision
rejected         rejected_by_a_human, near_a_rejected_picture; of chosen faces no_consent
beyond_bins      beyond_bins, pose_unknown, covered
beaten           not_the_best_of_its_moment, outranked, beaten_in_bucket, replaced,
                 hard_condition
too_similar      too_similar, near_duplicate, too_close_in_time, not_exported
after_stop       after_stop
saved            anchor, coverage, challenge, pair
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from identity_pipeline.core.faces.gates import loose_requirements
from identity_pipeline.core.imagesets.candidates import NOT_THE_BEST, OUTRANKED
from identity_pipeline.core.imagesets.decided import ACCEPTED, NEAR_REJECTED, REJECTED
from identity_pipeline.core.imagesets.faces import VECTORS
from identity_pipeline.settings import SelectionSettings, Settings
from identity_pipeline.tables import TABLES

STATES = (
    "saved",
    "beaten",
    "too_similar",
    "beyond_bins",
    "after_stop",
    "rejected",
    "not_croppable",
    "no_vision",
    "unstable",
    "failed_gate",
    "no_set",
    "not_a_rider",
)
SET_NAMES = {
    "anchor_set": "anchor",
    "coverage_set": "coverage",
    "challenge_set": "challenge",
    "pair_set": "pair",
}
NO_CONSENT = "no_consent"
"""Why a chosen face is not shown: its rider, or the other one of a pair, does not consent."""
Entry = dict[str, Any]


def build_ledger(
    detections: pl.DataFrame,
    tracks: pl.DataFrame,
    riders: pl.DataFrame,
    candidates: pl.DataFrame,
    selection: pl.DataFrame,
    sets: Mapping[str, pl.DataFrame],
    not_shown: Mapping[str, tuple[str, str, str | None]],
    settings: Settings,
) -> pl.DataFrame:
    """The table `frame_ledger`.

    Args:
        detections: table `face_detections`: every face.
        tracks: table `face_tracks`.
        riders: table `riders`.
        candidates: table `candidates`: the riders' faces.
        selection: table `selection`.
        sets: what is exported of each set, by asset name.
        not_shown: of each face that was chosen and is not exported: code, sentence, and the face
            of the same moment that is shown instead.
        settings: all thresholds, for what would change a verdict.
    """
    faces = (
        detections.select("face_id", "frame_idx", "timestamp_ms")
        .join(tracks.select("face_id", "track_id"), on="face_id", how="left")
        .join(
            riders.select(
                "track_id", "person_id", "track_score", "presence", rider_reason="reason"
            ),
            on="track_id",
            how="left",
        )
        .sort("frame_idx", "face_id")
    )
    rider_rows = {row["face_id"]: row for row in candidates.drop(VECTORS).iter_rows(named=True)}
    decisions = {row["face_id"]: row for row in selection.iter_rows(named=True)}
    replaced_by = {
        row["rival_face_id"]: row
        for row in selection.filter(pl.col("decision") == "replace").iter_rows(named=True)
    }
    saved_as = {
        face_id: (SET_NAMES[name], image)
        for name, table in sets.items()
        for face_id, image in table.select("face_id", "image").iter_rows()
    }
    rows = []
    for face in faces.iter_rows(named=True):
        face_id = face["face_id"]
        if face_id in not_shown and face_id not in saved_as:
            entry = _chosen_in_vain(*not_shown[face_id])
        else:
            entry = _entry(
                face,
                rider_rows.get(face_id),
                decisions.get(face_id),
                replaced_by.get(face_id),
                saved_as.get(face_id),
                settings,
            )
        kept = ("face_id", "frame_idx", "timestamp_ms", "track_id", "person_id")
        rows.append({**{name: face[name] for name in kept}, **_BLANK, **entry})
    return pl.DataFrame(rows, schema=TABLES["frame_ledger"])


_BLANK: Entry = {
    "state": None,
    "reason": None,
    "value": None,
    "threshold": None,
    "rival_face_id": None,
    "would_change": None,
}


def _entry(
    face: Entry,
    rider: Entry | None,
    decision: Entry | None,
    replaced_by: Entry | None,
    saved: tuple[str, str] | None,
    settings: Settings,
) -> Entry:
    if rider is None:
        return _not_a_rider(face, settings) if saved is None else _saved(saved)
    if saved is not None:
        return _told_by_humans(rider, _saved(saved), "A human accepted it.")
    if rider["standing"] in (REJECTED, NEAR_REJECTED):
        return _rejected_by_a_human(rider["standing"], settings)
    if rider["standing"] != "candidate":
        return _told_by_humans(rider, _before_selection(rider, settings), _IN_VAIN)
    if decision is None:
        raise ValueError(f"candidate {face['face_id']} has no decision in the selection")
    return _told_by_humans(rider, _after_selection(decision, replaced_by, settings), _IN_VAIN)


_IN_VAIN = "A human accepted it, and it is in no set all the same."


def _rejected_by_a_human(standing: str, settings: Settings) -> Entry:
    if standing == REJECTED:
        sentence = "A human rejected it; `undo` of that decision brings it back."
        return {"state": "rejected", "reason": standing, "would_change": sentence}
    within = settings.pictures.rejected_within_s
    return {
        "state": "rejected",
        "reason": standing,
        "threshold": within,
        "would_change": f"It would have to be {within:g} s from a picture that a human rejected "
        "(pictures.rejected_within_s), or to be accepted itself.",
    }


def _told_by_humans(rider: Entry, entry: Entry, accepted: str) -> Entry:
    """An entry, and what humans said of the face: that it is good, and which bins are right."""
    told = [accepted] if rider["decided"] == ACCEPTED else []
    if rider["measured_bins"]:
        measured = ", ".join(each.replace(":", " ", 1) for each in rider["measured_bins"])
        told.append(f"A human corrected its bins; measured was {measured}.")
    return {
        **entry,
        "would_change": " ".join([*told, *filter(None, [entry["would_change"]])]) or None,
    }


def _saved(saved: tuple[str, str]) -> Entry:
    set_name, image = saved
    return {
        "state": "saved",
        "reason": set_name,
        "would_change": f"It is exported as {image}.jpg.",
    }


def _chosen_in_vain(code: str, sentence: str, instead: str | None) -> Entry:
    shown = f" {instead} of the same moment is shown." if instead else ""
    return {
        "state": "rejected" if code == NO_CONSENT else "not_croppable",
        "reason": code,
        "rival_face_id": instead,
        "would_change": f"It was chosen for a set. {sentence}{shown}",
    }


def _not_a_rider(face: Entry, settings: Settings) -> Entry:
    reason = face["rider_reason"]
    riders = settings.riders
    sentences = {
        "too_short": "Its track would have to be seen in "
        f"{riders.min_presence:.0%} of the sampled frames (riders.min_presence).",
        "too_small": "Its track's faces would have to be larger: "
        f"{riders.min_size_ratio:.0%} of the largest track's area (riders.min_size_ratio).",
        "bystander": "All seats went to tracks with a higher score (riders.max_riders).",
        "never_beside_rider": "Its track would have to share "
        f"{riders.min_seen_together} sampled frames with the first rider "
        "(riders.min_seen_together).",
        "row_behind": "Nobody would have to sit in front of it.",
        "boarding_only": "Its track would have to be seen after boarding too.",
        "no_seat": "Its place would have to be a seat of this camera.",
        "never_clear": f"Its track would have to have {riders.min_clear_faces} faces that pass the "
        "loose gate (riders.min_clear_faces).",
    }
    value, threshold = face["track_score"], None
    if reason == "too_short":
        value, threshold = face["presence"], riders.min_presence
    return {
        "state": "not_a_rider",
        "reason": reason,
        "value": value,
        "threshold": threshold,
        "would_change": sentences.get(reason),
    }


def _before_selection(rider: Entry, settings: Settings) -> Entry:
    standing = rider["standing"]
    if standing == "gate":
        return _failed_gate(rider, settings)
    if standing == "no_prototype":
        return {
            "state": "no_set",
            "reason": standing,
            "threshold": settings.stability.min_strict_frames,
            "would_change": f"The rider needs {settings.stability.min_strict_frames} faces that "
            "pass the strict gate (stability.min_strict_frames).",
        }
    if standing in ("cut_by_frame", "other_face_in_crop"):
        nearer = "the edge of the frame" if standing == "cut_by_frame" else "another face"
        return {
            "state": "not_croppable",
            "reason": standing,
            "threshold": settings.export.crop_expand_min,
            "would_change": f"A square of {settings.export.crop_expand_min:g} face sides would "
            f"have to fit without {nearer} (export.crop_expand_min).",
        }
    if standing in (NOT_THE_BEST, OUTRANKED):
        return _in_its_moment(rider, standing)
    if standing == "no_vision":
        return {
            "state": "no_vision",
            "reason": standing,
            "would_change": "It has no vision embedding; materialise vision_embeddings again.",
        }
    return _unstable(rider, standing, settings)


def _in_its_moment(rider: Entry, standing: str) -> Entry:
    """Another face of the moment stands for it, or other moments are better than its own."""
    best = rider["representative_face_id"]
    entry = {"state": "beaten", "reason": standing, "value": rider["picture_score"]}
    if standing == NOT_THE_BEST:
        sentence = (
            "It would have to show what its moment shows, and be a better picture of it than "
            f"{best}."
        )
        return {**entry, "rival_face_id": best, "would_change": sentence}
    sentence = "Other moments came first; a larger moments.rounds or moments.share looks at more."
    return {**entry, "would_change": sentence}


def _failed_gate(rider: Entry, settings: Settings) -> Entry:
    fails = rider["loose_fails"]
    code = fails[0]
    requirement = next(r for r in loose_requirements(settings.quality) if r.code == code)
    value = rider.get(requirement.column)
    side = "at least" if requirement.at_least else "at most"
    measured = "not measured" if value is None else f"{value:.3g}"
    others = ", ".join(fails[1:])
    return {
        "state": "failed_gate",
        "reason": code,
        "value": value,
        "threshold": requirement.bound,
        "would_change": f"Its {requirement.column} is {measured}; {side} {requirement.bound:g} "
        "is asked for." + (f" It also fails: {others}." if others else ""),
    }


def _unstable(rider: Entry, standing: str, settings: Settings) -> Entry:
    stability = settings.stability
    known = rider["judged_by"] is not None
    own = "what is known of the person from elsewhere" if known else "the prototype"
    value, threshold, sentence = {
        "below_floor": (
            rider["stable_score"],
            stability.stable_min,
            f"Its cosine to {own} would have to reach {stability.stable_min:g} "
            "(stability.stable_min).",
        ),
        "closer_to_rival": (
            rider["margin"],
            stability.rival_margin,
            f"It would have to lead the other rider's prototype by {stability.rival_margin:g} "
            "(stability.rival_margin).",
        ),
        "not_embedded": (None, None, "It has no identity embedding."),
    }[standing]
    return {
        "state": "unstable",
        "reason": standing,
        "value": value,
        "threshold": threshold,
        "would_change": sentence,
    }


def _after_selection(decision: Entry, replaced_by: Entry | None, settings: Settings) -> Entry:
    selection = settings.selection
    if decision["reason"] == "taken" or (decision["kept"] and selection.stop == "grow"):
        return {
            "state": "too_similar",
            "reason": "not_exported",
            "would_change": "It was chosen for a set, and the export could not show it.",
        }
    if decision["decision"] != "reject":
        return _given_way(decision, replaced_by, selection)
    return _rejected(decision, selection)


def _given_way(decision: Entry, replaced_by: Entry | None, selection: SelectionSettings) -> Entry:
    """Of a face that the replay saved and that is no image (`selection.stop = "cut"` alone)."""
    if replaced_by is None:
        return {
            "state": "too_similar",
            "reason": "near_duplicate",
            "threshold": selection.near_duplicate_cos,
            "would_change": "The replay kept it, but an image of another set looks the same or is "
            "hardly earlier or later (selection.near_duplicate_cos, selection.min_gap_s).",
        }
    quality = replaced_by["quality_score"]
    return {
        "state": "beaten",
        "reason": "replaced",
        "value": decision["quality_score"],
        "threshold": quality,
        "rival_face_id": replaced_by["face_id"],
        "would_change": f"It was saved until {replaced_by['face_id']} came with quality "
        f"{quality:.3f}.",
    }


def _rejected(decision: Entry, selection: SelectionSettings) -> Entry:
    reason, rival = decision["reason"], decision["rival_face_id"]
    if reason == "beaten_in_bucket":
        return _beaten(decision, selection)
    state, value, threshold, sentence = {
        "hard_condition": (
            *("beaten", None, None),
            "It is dark or overexposed, and coverage is shown in plain light; only the challenge "
            "set could take it.",
        ),
        "near_duplicate": (
            *("too_similar", None, selection.near_duplicate_look),
            f"It is the same picture as {rival} (selection.near_duplicate_cos, "
            "selection.near_duplicate_look).",
        ),
        "too_similar": (
            *("too_similar", decision["novelty"], selection.novelty_min),
            f"Its novelty would have to reach {selection.novelty_min:g}; "
            f"it looks like {rival} (selection.novelty_min).",
        ),
        "too_close_in_time": (
            *("too_similar", None, selection.min_gap_s),
            f"It would have to be {selection.min_gap_s:g} s from the image of {rival} "
            "(selection.min_gap_s).",
        ),
        "after_stop": (
            *("after_stop", decision["timestamp_ms"], decision["stop_ms"]),
            "The selection had stopped (selection.stop)."
            if selection.stop == "cut"
            else "The coverage had stopped growing: nothing of its pose and expression had come "
            "before (selection.stop).",
        ),
        "beyond_bins": (
            *("beyond_bins", None, None),
            "Its head pose would have to lie within the bins (buckets.yaw_edges, "
            "buckets.pitch_edges).",
        ),
        "pose_unknown": ("beyond_bins", None, None, "Its head pose could not be measured."),
        "covered": (
            *("beyond_bins", None, selection.covered_from),
            "A part of it is covered, or something passes before it, so its pose and expression "
            "are not sure "
            "(selection.covered_from).",
        ),
    }[reason]
    return {
        "state": state,
        "reason": reason,
        "value": value,
        "threshold": threshold,
        "rival_face_id": rival,
        "would_change": sentence,
    }


def _beaten(decision: Entry, selection: SelectionSettings) -> Entry:
    """Its bucket is full; what highlights add to either is part of the comparison."""
    rival = decision["rival_face_id"]
    if selection.stop == "cut":
        lead = (decision["rival_bonus"] or 0.0) - (decision["bonus"] or 0.0)
        value, needed = decision["quality_score"], decision["rival_quality"]
        needed += selection.replace_gain + lead
        sentence = f"Its quality would have to exceed {needed:.3f} to replace {rival}."
    else:
        value, needed = decision["picture"], decision["rival_picture"]
        sentence = (
            f"Its bucket is full; as a picture it counts {value:.3f}, and {rival} {needed:.3f}."
        )
    return {
        "state": "beaten",
        "reason": "beaten_in_bucket",
        "value": value,
        "threshold": needed,
        "rival_face_id": rival,
        "would_change": sentence,
    }


def conservation_errors(
    ledger: pl.DataFrame,
    detections: pl.DataFrame,
    frames: pl.DataFrame,
    sets: Mapping[str, pl.DataFrame],
) -> list[str]:
    """Every violation of the conservation law, as sentences; empty when the account adds up."""
    errors = []
    counted, seen = ledger["face_id"], detections["face_id"]
    if counted.n_unique() != counted.len():
        errors.append(f"{counted.len() - counted.n_unique()} faces are counted more than once")
    if set(counted) != set(seen):
        errors.append(f"{len(set(counted) ^ set(seen))} faces are in one of ledger and detections")
    unknown = ledger.filter(~pl.col("state").is_in(STATES) | pl.col("reason").is_null())
    if unknown.height:
        errors.append(f"{unknown.height} faces have no state or no reason")
    saved = set(ledger.filter(pl.col("state") == "saved")["face_id"])
    exported = [face for table in sets.values() for face in table["face_id"]]
    if len(exported) != len(set(exported)):
        errors.append(f"{len(exported) - len(set(exported))} faces are in two sets")
    if saved != set(exported):
        errors.append(f"{len(saved ^ set(exported))} faces are saved in one of ledger and sets")
    per_frame = ledger.group_by("frame_idx").len()
    totals = frames.select("frame_idx", "face_count").join(
        per_frame, on="frame_idx", how="full", coalesce=True
    )
    wrong = totals.filter(pl.col("len").fill_null(0) != pl.col("face_count").fill_null(0))
    if wrong.height:
        errors.append(f"{wrong.height} frames have another number of faces in the ledger")
    return errors
