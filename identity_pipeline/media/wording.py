"""The words of the export page: what codes mean to a person, and how numbers are printed.

What belongs here: plain sentences for the stable codes of `core`, and formatting. What does not:
the layout of the page (`templates/export.html.j2`). Code that has no words here is printed with
its underscores as spaces, so that a new reason is never hidden.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from identity_pipeline.core.imagesets.summary import (
    ExportedFace,
    Prototype,
    Shortfall,
    pair_relation,
)
from identity_pipeline.media.svg import clock

NOT_MEASURED: Final = "not measured"

STATE_WORDS: Final = {
    "saved": "exported",
    "beaten": "a better image exists",
    "too_similar": "too similar",
    "beyond_bins": "in no pose bin",
    "after_stop": "after the stop",
    "not_croppable": "cannot be cropped",
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
    "not_the_best_of_its_moment": "Another face of the same moment is the better picture.",
    "outranked": "Better moments show the same pose and expression.",
    "beaten_in_bucket": "Its pose and expression are already held by images as good or better.",
    "hard_condition": "It is dark or overexposed, and its bucket holds another image.",
    "covered": "A part of the face is covered, so its pose and expression are not sure.",
    "blurred_for_person": "The face is blurred, compared with the same person's other faces.",
    "replaced": "It was saved until a better image of the same pose and expression came.",
    "too_similar": "It looks like an image that is saved already.",
    "near_duplicate": "It was selected, but an exported image looks almost the same.",
    "beyond_bins": "The head is turned or tilted farther than the bins reach.",
    "pose_unknown": "The head pose could not be measured.",
    "after_stop": "Coverage was complete before this face came.",
    "cut_by_frame": "The picture's edge would cut the head.",
    "other_face_in_crop": "Another face would be in the picture.",
    "no_vision": "No vision embedding was made, so its novelty is not known.",
    "not_embedded": "No identity embedding was made, so it cannot be attributed.",
    "below_floor": "It does not resemble the rider's prototype enough.",
    "closer_to_rival": "It does not resemble this rider clearly more than the other one.",
    "score_low": "The detector was not sure that this is a face.",
    "cut_off": "The face leaves the frame.",
    "blurred": "The face is blurred.",
    "occluded": "Too much of the face is covered.",
    "no_prototype": "Too few sharp faces to know this rider: no set rather than a bad set.",
    "too_short": "Its track is seen in too few frames.",
    "too_small": "Its track is much smaller than the riders: farther from the camera.",
    "bystander": "All seats belong to people who are seen better.",
    "never_beside_rider": "It is never seen together with the first rider.",
}

STOP_REASONS: Final = {
    "coverage_satisfied": "Coverage was complete and nothing new had come for a while, "
    "so the selection stopped before the end.",
    "novelty_plateau": "The whole video was used. Towards its end nothing new came any more.",
    "end_of_video": "The whole video was used. New views came until its end.",
}

NO_SET_REASONS: Final = {
    "no_prototype": "There are too few sharp, well lit and uncovered faces of this rider to know "
    "for sure who it is. No set is better than a bad set.",
    "no_candidates": "No face of this rider passed the quality gate and the identity test.",
    "left_out": "None of the images that were chosen could be proved to show the frame that was "
    "analysed.",
}

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
    "not_extreme": "were neither extreme in pose nor dark, overexposed or covered",
    "taken": "were already in another set",
    "overlap": "showed faces that overlap",
    "other_face": "had another face in the picture",
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


def measured(value: float | None, digits: int = 2) -> str:
    """A number with fixed decimals; "not measured" for None and NaN."""
    return NOT_MEASURED if value is None or math.isnan(value) else f"{value:.{digits}f}"


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


def shortfall(short: Shortfall) -> str:
    """How far a set fell short and why.

    For example `2 of 3 anchors: 14 candidates were too close in time to a better one.`
    """
    name = "anchors" if short.set_name == "anchor" else f"{short.set_name} images"
    parts = []
    for i, (code, n) in enumerate(short.causes):
        unit = (" candidate" if n == 1 else " candidates") if i == 0 else ""
        words = CAUSES.get(code, plain(code))
        if n == 1 and words.startswith("were "):
            words = "was " + words.removeprefix("were ")
        parts.append(f"{n:,}{unit} {words}")
    return f"{short.have} of {short.wanted} {name}: {', '.join(parts) or 'there was no candidate'}."


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


def sentence(words: str) -> str:
    """A first capital and a full stop, the rest as it is."""
    return words[:1].upper() + words[1:].rstrip(".") + "."


def _words_of(table: Mapping[str, str]) -> Callable[[str], str]:
    return lambda code: table.get(code, code if " " in code else plain(code))


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "angle": angle,
    "pitch": pitch,
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
    "stop_words": _words_of(STOP_REASONS),
    "no_set_words": _words_of(NO_SET_REASONS),
    "rule_words": _words_of(WEIGHT_RULES),
    "prototype_words": prototype,
    "shortfall_words": shortfall,
}
