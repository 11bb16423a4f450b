"""The words of the export page: what codes mean to a person, and how numbers are printed.

What belongs here: plain sentences for the stable codes of `core`, and formatting. What does not:
the layout of the page (`templates/export.html.j2`). Code that has no words here is printed with
its underscores as spaces, so that a new reason is never hidden.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from identity_pipeline.core.faces.gates import FAILING_WORDS, Failing, strict_requirements
from identity_pipeline.core.imagesets.evidence import Evidence
from identity_pipeline.core.imagesets.summary import (
    ExportedFace,
    Prototype,
    Shortfall,
    pair_relation,
)
from identity_pipeline.core.video.clock import clock
from identity_pipeline.settings import QualitySettings

if TYPE_CHECKING:
    from identity_pipeline.media.page import Growth, ImageCard, Lacking

NOT_MEASURED: Final = "not measured"

STATE_WORDS: Final = {
    "saved": "exported",
    "beaten": "a better image exists",
    "too_similar": "too like or too near another",
    "beyond_bins": "in no pose bin",
    "after_stop": "after growth ended",
    "rejected": "rejected by a human",
    "not_croppable": "cannot be shown",
    "no_vision": "no vision embedding",
    "unstable": "not surely this person",
    "failed_gate": "failed the quality gate",
    "no_set": "rider without a set",
    "not_a_rider": "not a rider",
}

REASONS: Final = {
    "anchor": "Exported in the anchor set: frontal and best.",
    "coverage": "Exported in the coverage set: the best of its pose and expression.",
    "challenge": "Exported in the challenge set: extreme, but surely this person.",
    "pair": "Exported in the pair set: both riders are good in this frame.",
    "not_the_best_of_its_moment": "Another face is the best picture of what its moment shows.",
    "outranked": "Its moment was not weighed: others came first, and only so many are weighed.",
    "beaten_in_bucket": "Its pose and expression are already held by images as good or better.",
    "hard_condition": "It is dark or overexposed; coverage is shown in plain light.",
    "covered": "A part of the face is covered, or something passes before it, so its pose and "
    "expression are not sure.",
    "blurred_for_person": "The face is blurred, compared with the same person's other faces.",
    "replaced": "It was saved until a better image of the same pose and expression came.",
    "too_similar": "It looks like an image that is saved already.",
    "near_duplicate": "It is nearly the same picture as an exported image.",
    "too_close_in_time": "An exported image of this rider is hardly earlier or later.",
    "taken": "An image of another set shows it.",
    "not_exported": "It was chosen, and the export could not show it.",
    "beyond_bins": "The head is turned or tilted farther than the bins reach.",
    "pose_unknown": "The head pose could not be measured.",
    "after_stop": "It came after the set of this rider had stopped growing.",
    "cut_by_frame": "The picture's edge would cut the head.",
    "other_face_in_crop": "Another face would be in the picture.",
    "second_face": "It was chosen, and a detector finds a second face in its picture.",
    "other_face_largest": "It was chosen, and the largest face found in its picture is another.",
    "no_face_found": "It was chosen, and a detector does not find its face in the picture.",
    "below_min_side": "It was chosen, and its picture would be smaller than is asked for.",
    "frame_not_found": "It was chosen, and its frame was not found again in the file.",
    "other_picture": "It was chosen, and the frame decoded again is not the one analysed.",
    "no_consent": "It was chosen, and whom it shows does not consent to sets of pictures.",
    "rejected_by_a_human": "A human rejected this picture.",
    "near_a_rejected_picture": "It shows the same as a picture that a human rejected, a moment "
    "earlier or later.",
    "no_vision": "No vision embedding was made, so its novelty is not known.",
    "not_embedded": "No identity embedding was made, so it cannot be attributed.",
    "below_floor": "It does not resemble the rider's prototype enough.",
    "closer_to_rival": "It does not resemble this rider clearly more than the other one.",
    "score_low": "The detector was not sure that this is a face.",
    "cut_off": "The face leaves the frame.",
    "blurred": "The face is blurred.",
    "occluded": "Too much of the face is covered.",
    "no_prototype": "Too few large, sharp faces to know this rider: no set rather than a bad set.",
    "too_short": "Its track is seen in too few frames.",
    "too_small": "Its track is much smaller than the riders: farther from the camera.",
    "bystander": "All seats belong to people who are seen better.",
    "never_beside_rider": "It is never seen together with the first rider.",
    "row_behind": "It sits behind the row of the riders.",
    "boarding_only": "It is seen while the car boards and never else: staff, or the queue.",
    "no_seat": "It is where people are seen in many videos of this camera, and none of them rides.",
    "never_clear": "Hardly one face of its track is clear, so it may be no face at all.",
}

STOP_REASONS: Final = {
    "coverage_satisfied": "It held enough different poses and expressions by then, and nothing new "
    "had come for a while.",
    "novelty_plateau": "The set grew until the end of the ride, though towards it hardly anything "
    "new came.",
    "end_of_video": "The set grew until the end of the ride.",
}

NO_SET_REASONS: Final = {
    "no_consent": "This rider does not consent to sets of pictures, so there is none. What this "
    "page says of consent tells why.",
    "no_prototype": "There are too few large, sharp, lit and uncovered faces of this rider to know "
    "for sure who it is. No set is better than a bad set.",
    "no_candidates": "No face of this rider passed the quality gate and the identity test.",
    "left_out": "Every image that was chosen is left out: it could not be proved to show the frame "
    "that was analysed, or does not show this rider alone, or is too small.",
}

STRICT_GATE: Final = {
    "score_low": ("have a detector's score below {:g}", "strict_score"),
    "cut_off": ("leave the frame by more than {:.0%}", "max_outside"),
    "area_small": ("fill less than {:.2%} of the frame", "strict_area"),
    "few_pixels": ("are below {:g} px", "strict_face_px"),
    "blurred": ("have a sharpness below {:g}", "strict_sharpness"),
    "blurred_for_person": (
        "have less than {:g} of the person's usual sharpness",
        "strict_relative_sharpness",
    ),
    "too_dark": ("have a brightness below {:g}", "strict_luma_min"),
    "too_bright": ("have a brightness above {:g}", "strict_luma_max"),
    "occluded": ("are covered by more than {:.0%}", "strict_occlusion"),
}
"""What faces do that fail a condition of the strict gate, and the setting of `quality` that says
so; what they are is in `FAILING_WORDS`."""

WEIGHT_RULES: Final = {
    "default": "the usual mix",
    "identity_drift": "identity drifts in this video, so anchors count more",
    "short_diversity": "few different views were found, so coverage counts more",
    "dark": "much of the ride is dark, so challenge images count more",
}

CAUSES: Final = {
    "too_close_in_time": "were too close in time to a better one",
    "too_alike": "looked too much like a better one",
    "near_duplicate": "looked almost the same as an exported image",
    "not_frontal": "were not frontal enough",
    "not_plain": "had closed eyes, were covered, dark or overexposed",
    "not_strict": "did not pass the strict quality gate",
    "not_stable": "were not surely this person",
    "not_surely_the_rider": "were hard enough, and not surely this person",
    "outranked": "were not weighed, for others came first",
    "failed_gate": "were blurred or covered too much to be of use",
    "not_extreme": "were ordinary: neither extreme in pose nor dark, overexposed, covered or "
    "blurred",
    "taken": "were already in another set",
    "overlap": "showed faces that overlap",
    "other_face": "had another face in the picture",
    "never_together": "showed one rider alone",
    "no_prototype": "showed a rider who is not known well enough",
    "not_usable": "showed one of the two too badly",
    "rejected_by_a_human": "were rejected by a human",
    "other_face_over": "had somebody else's face over or behind a rider's",
    "other_face_large": "had somebody else's face too large to be left in",
    "too_close_to_export": "were too close in time to another image of one of the two",
    "too_close_to_pair": "were too close in time to a better pair",
    "enough": "were not needed",
    "after_stop": "came after the stop",
    "not_exported": "would do, and were left out of the export or not asked for",
}

LACKING: Final = {
    "after_stop": "after the set had stopped growing",
    "beaten_in_bucket": "not as good as what its pose and expression holds",
    "below_floor": "not surely this person",
    "below_min_side": "too small a picture",
    "beyond_bins": "turned farther than the bins reach",
    "blurred": "blurred",
    "blurred_for_person": "blurred, for this person",
    "closer_to_rival": "not surely this person",
    "covered": "partly covered",
    "cut_by_frame": "cut by the edge of the picture",
    "hard_condition": "dark or overexposed",
    "near_duplicate": "the same picture as an exported one",
    "no_face_found": "not found again in its picture",
    "not_embedded": "not surely this person",
    "not_exported": "chosen, and left out of the export",
    "not_the_best_of_its_moment": "part of a moment that shows something else",
    "other_face_largest": "beside a larger face",
    "outranked": "not weighed, for others came first",
    "occluded": "too much of it covered",
    "score_low": "not surely a face",
    "cut_off": "outside the picture in part",
    "no_prototype": "of a rider who is not known well enough",
    "no_vision": "without a vision embedding",
    "other_face_in_crop": "with another face in the picture",
    "pose_unknown": "without a measured head pose",
    "no_consent": "of riders who do not consent",
    "rejected_by_a_human": "rejected by a human",
    "near_a_rejected_picture": "the same as one that a human rejected",
    "replaced": "bettered by a later one",
    "second_face": "with a second face in the picture",
    "too_close_in_time": "hardly earlier or later than an exported image",
    "too_similar": "too like an exported image",
    **dict.fromkeys(("frame_not_found", "other_picture"), "not found again in the file"),
    **dict.fromkeys(("taken", "anchor", "coverage", "challenge", "pair"), "shown in another set"),
}
"""Why there is no image of a pose and expression, or of a kind: a reason of the ledger in short."""

KINDS: Final = {
    "pose": "extreme pose",
    "dark": "dark",
    "overexposed": "overexposed",
    "occluded": "covered",
    "motion": "blurred by movement",
}

EXPRESSION_WORDS: Final = {
    "mouth_open": "mouth open",
    "eyes_closed": "eyes closed",
    "unknown": NOT_MEASURED,
}


def plain(code: str) -> str:
    """A code as words: underscores and hyphens become spaces, `unknown` is not measured."""
    return NOT_MEASURED if code == "unknown" else code.replace("_", " ").replace("-", " ")


def explain(state: str, reason: str) -> str:
    """The sentence for a ledger reason."""
    return REASONS.get(reason) or f"{plain(state).capitalize()}: {plain(reason)}."


def angle(bin_name: str) -> str:
    """A yaw bin such as `[15,30)` as `15° to 30°`; names stay names."""
    if not bin_name.startswith("["):
        return "beyond the bins" if bin_name == "beyond" else plain(bin_name)
    low, _, high = bin_name[1:-1].partition(",")
    return f"{low}° to {high}°".replace("-", "\N{MINUS SIGN}")


def pitch(bin_name: str) -> str:
    """A pitch bin in words; `neutral` is `level`, so that it is not taken for an expression."""
    return "level" if bin_name == "neutral" else angle(bin_name)


def shown_bin(axis: str, bin_name: str) -> str:
    """A bin with its axis, as it is said alone: `yaw 15° to 30°`, `eyes closed`."""
    if axis == "expression":
        return _words_of(EXPRESSION_WORDS)(bin_name)
    return f"{axis} {pitch(bin_name) if axis == 'pitch' else angle(bin_name)}"


def measured(value: float | None, digits: int = 2) -> str:
    """A number with fixed decimals; "not measured" for None and NaN."""
    if value is None or math.isnan(value):
        return NOT_MEASURED
    return f"{round(value, digits) + 0.0:.{digits}f}"  # no minus before nothing


def file_size(size_bytes: int) -> str:
    """Bytes in kB, MB or GB (powers of 1000)."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= factor:
            return f"{size_bytes / factor:.1f} {unit}"
    return f"{size_bytes} bytes"


def duration(ms: float | None) -> str:
    """A length of time as `m:ss.d`."""
    return NOT_MEASURED if ms is None else clock(ms, 1)


def thousands(value: int) -> str:
    """A count with separators."""
    return f"{value:,}"


def percent_of_one(value: float | None) -> str:
    """A score in [0, 1] as the width of its bar, clipped; nothing for None."""
    return "0" if value is None or math.isnan(value) else f"{100 * min(max(value, 0.0), 1.0):.1f}"


def counted(n: int, singular: str, plural: str | None = None) -> str:
    """`1 image`, `2 images`."""
    return f"{n:,} {singular if n == 1 else plural or singular + 's'}"


SHORT_NAMES: Final = {"anchor": "anchors", "pair": "pairs"}


def shortfall(short: Shortfall) -> str:
    """How far a set fell short and why.

    For example `2 of 3 anchors: 14 candidates were too close in time to a better one.`; of pairs
    frames are counted.
    """
    counts = "frame" if short.set_name == "pair" else "candidate"
    name = SHORT_NAMES.get(short.set_name, f"{short.set_name} images")
    told = [_cause(code, n, "" if i else counts) for i, (code, n) in enumerate(short.causes)]
    return f"{short.have} of {short.wanted} {name}: {', '.join(told) or f'there was no {counts}'}."


def _cause(code: str, n: int, unit: str) -> str:
    """How many of what ended for one cause: `14 candidates were too close in time ...`."""
    if code == "not_on_this_ride":
        kinds = counted(n, "kind of challenge", "kinds of challenge")
        return f"{kinds} {'is' if n == 1 else 'are'} not on this ride"
    words = CAUSES.get(code, plain(code))
    if n == 1 and words.startswith("were "):
        words = "was " + words.removeprefix("were ")
    return f"{counted(n, unit) if unit else f'{n:,}'} {words}"


def short_of(short: Shortfall) -> str:
    """How far a set fell short, without the why."""
    return shortfall(short).partition(":")[0]


def growth(grown: Growth) -> str:
    """When a set stopped growing, why, and what that means for what came later."""
    why = STOP_REASONS.get(grown.reason, sentence(plain(grown.reason)))
    if grown.ended_ms is None:
        return why
    at = clock(grown.ended_ms, 1)
    if grown.cut:
        return f"The selection ended at {at}. {why} What came later was not chosen from."
    return (
        f"The set stopped growing at {at}. {why} What came later could still give a better picture "
        "of what the set held, but no new pose or expression."
    )


def lacking(what: Lacking) -> str:
    """Why there is no image of something: `3 moments; the best is dark or overexposed`."""
    if not what.moments:
        return "this ride has none of this rider"
    moments = counted(what.moments, "moment")
    if what.reason is None:
        return moments
    best = "," if what.moments == 1 else "; the best is"
    return f"{moments}{best} {LACKING.get(what.reason, plain(what.reason))}"


def by_kind(images: Sequence[ImageCard]) -> list[tuple[str, list[ImageCard]]]:
    """Images of the challenge set by their kind; kinds in the order of `KINDS`."""
    known = list(KINDS)

    def order(image: ImageCard) -> tuple[int, str]:
        kind = image.faces[0].kind or ""
        return known.index(kind) if kind in known else len(known), kind

    ordered = sorted(images, key=order)
    return [(kind, list(own)) for (_, kind), own in groupby(ordered, key=order)]


def shows(face: ExportedFace) -> str:
    """Expression and pose of a face: `smile, 5° to 15°, level`."""
    expression = "expression not measured"
    if face.expression_bin != "unknown":
        expression = _words_of(EXPRESSION_WORDS)(face.expression_bin)
    return f"{expression}, {angle(face.yaw_bin)}, {pitch(face.pitch_bin)}"


def eyes(evidence: Evidence) -> str:
    """What the eyes do, and how far they are open compared with the person's usual look."""
    if evidence.eyes in (None, "unknown"):
        return NOT_MEASURED
    words = "one closed" if evidence.wink else str(evidence.eyes)
    if evidence.gaze_aside:
        words += ", looks aside"
    if evidence.lid_ratio is not None:
        words += f", {evidence.lid_ratio:.2f} of usual"
    return words


def mouth(evidence: Evidence) -> str:
    """How far the mouth is open: `4% open`."""
    share = evidence.mouth_open
    return NOT_MEASURED if share is None or math.isnan(share) else f"{share:.0%} open"


def light(evidence: Evidence) -> str:
    """Luma of the face, and of what is around it."""
    around = evidence.surround_luma
    beside = "" if around is None else f", around {around:.0f}"
    return measured(evidence.luma_mean, 0) + beside


def cover(evidence: Evidence) -> str:
    """Which share of the face is covered."""
    share = evidence.occlusion
    return NOT_MEASURED if share is None or math.isnan(share) else f"{share:.0%} of the face"


def found(views: Sequence[tuple[str, int]]) -> str:
    """How many faces a detector found in a picture: `1 at 640, 320, native; 0 at 160`."""
    by_count: dict[int, list[str]] = {}
    for view, faces in views:
        by_count.setdefault(faces, []).append(view)
    return "; ".join(f"{faces} at {', '.join(names)}" for faces, names in by_count.items())


def score_of(evidence: Evidence, set_name: str) -> float | None:
    """The score that ranks the faces of a set; none ranks those that are to be hard."""
    if set_name == "challenge":
        return None
    return evidence.portrait_score if set_name == "anchor" else evidence.picture_score


def evidence_line(evidence: Evidence) -> str:
    """Eyes, mouth and light in a line; what was not measured says so."""
    eyes_are = NOT_MEASURED if evidence.eyes in (None, "unknown") else str(evidence.eyes)
    first = "one eye closed" if evidence.wink else f"eyes {eyes_are}"
    parts = [first, f"mouth {mouth(evidence)}"]
    if evidence.gaze_aside:
        parts.insert(1, "looks aside")
    return "\N{NO-BREAK SPACE}· ".join([*parts, f"light {measured(evidence.luma_mean, 0)}"])


def relation(faces: Sequence[ExportedFace]) -> str:
    """How the riders of a pair stand to each other: `2.1 face widths apart, person_1 at ...`."""
    left, right = faces
    between = pair_relation(left.box, right.box)
    return (
        f"{between.relative_x:.1f} face widths apart, person_{right.person_id} at "
        f"{between.relative_scale:.2f} of the size"
    )


def prototype(face: Prototype) -> str:
    """Which face stands for a rider, and of how many it was chosen."""
    return (
        f"the medoid of {face.strict_faces} strict faces, frame {face.frame_idx} "
        f"at {face.timestamp_ms / 1000:.1f} s"
    )


def failing(failed: Failing) -> str:
    """`too small: 363 of 363 faces are below 112 px (quality.strict_face_px)`."""
    how, setting = STRICT_GATE[failed.code]
    what, of = FAILING_WORDS[failed.code], f"{failed.faces} of {counted(failed.of, 'face')}"
    return f"{what}: {of} {how.format(failed.bound)} (quality.{setting})"


def fails_strict(codes: Sequence[str], settings: QualitySettings) -> str:
    """What one face fails of the strict gate: `it is too small (quality.strict_face_px: 112)`."""
    bounds = {each.code: each.bound for each in strict_requirements(settings)}
    return "; ".join(
        f"{FAILING_WORDS[code]} (quality.{STRICT_GATE[code][1]}: {bounds[code]:g})"
        for code in codes
    )


def sentence(words: str) -> str:
    """A first capital and a full stop, the rest as it is."""
    return words[:1].upper() + words[1:].rstrip(".") + "."


def _words_of(table: Mapping[str, str]) -> Callable[[str], str]:
    return lambda code: table.get(code, code if " " in code else plain(code))


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "angle": angle,
    "pitch": pitch,
    "shown_bin": shown_bin,
    "measured": measured,
    "file_size": file_size,
    "duration": duration,
    "clock": lambda ms: clock(ms, 1),
    "thousands": thousands,
    "percent_of_one": percent_of_one,
    "counted": counted,
    "plain": plain,
    "sentence": sentence,
    "relation": relation,
    "expression": _words_of(EXPRESSION_WORDS),
    "state_words": _words_of(STATE_WORDS),
    "no_set_words": _words_of(NO_SET_REASONS),
    "failing_words": failing,
    "rule_words": _words_of(WEIGHT_RULES),
    "prototype_words": prototype,
    "shortfall_words": shortfall,
    "short_of": short_of,
    "growth_words": growth,
    "lacking_words": lacking,
    "kind_words": lambda kind: _words_of(KINDS)(kind).capitalize(),
    "by_kind": by_kind,
    "shows": shows,
    "eyes_words": eyes,
    "light_words": light,
    "mouth_words": mouth,
    "cover_words": cover,
    "score_of": score_of,
    "found_words": found,
    "evidence_line": evidence_line,
}
