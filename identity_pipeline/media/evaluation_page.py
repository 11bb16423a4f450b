"""The page of the evaluation: one HTML file that needs nothing but itself.

What belongs here: what the page shows of a report, and in which words. What does not: plots
(`evaluation_plots`) and measuring (`core.evaluation`). No script, no request, no clock: the same
report is the same bytes. What was not measured says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

from jinja2 import Environment

from identity_pipeline.core.evaluation.report import Difference, Figure, PersonRow, Report, Section
from identity_pipeline.core.evaluation.truth import ORIGIN_WORDS
from identity_pipeline.media import evaluation_plots as plots
from identity_pipeline.media import page as export_page
from identity_pipeline.media.wording import NOT_MEASURED, counted

TOPICS: Final = {
    "detection": (
        "Detection",
        "A true face is found when a detection overlaps it by at least half (IoU 0.5). Faces below "
        "40 px or more than half hidden are neither asked for nor held against the detector.",
    ),
    "tracking": (
        "Tracking",
        "IDF1, MOTA and switches as motmetrics computes them, over the sampled frames.",
    ),
    "riders": (
        "Riders",
        "Each true rider must become one person of the video, and nobody else any.",
    ),
    "exports": (
        "Identity of the exported images",
        "A person of a video is whom most of its faces truly are; every exported face must be that "
        "person. A face that matches nobody counts as wrong. The bound holds with 95 % confidence "
        "if images erred independently; the bound over riders does not need that.",
    ),
    "coverage": (
        "Coverage",
        "A bin is reachable when the rider truly showed it in a sampled frame. Bins are "
        "counted as the lens sees them; images are chosen by the angles of the head, so of a "
        "camera that sits aside the share may be lower here than on the ride's own page.",
    ),
    "recognition": (
        "Recognition",
        "Cosines of identity embeddings between faces that pass the loose gate. Pairs of one "
        "person in one video count only at least a second apart.",
    ),
    "pose": ("Head pose", "On the matched faces of riders that the pipeline measured."),
    "landmarks": (
        "Landmarks",
        "Mean distance of the points, over the square root of the true box's area.",
    ),
    "bins": (
        "Bins",
        "The true bin comes from the true values by the same rules. Where most faces are of one "
        "bin, the mean over the bins says more than the share of all faces.",
    ),
    "measures": ("Openness, smile, occlusion", "As measured against as rendered."),
    "labels": (
        "Labelled faces",
        "Faces on which somebody wrote down by eye what they do. A face counts wherever its label "
        "says something of the matter.",
    ),
    "eyes": (
        "Labelled eyes",
        "By the expression bin. Clear: normal light, not blurred, not mostly covered.",
    ),
    "expression": (
        "Labelled expression",
        "A label may allow several bins: who laughs with an open mouth may be called either, and "
        "half-shut or winking eyes may be called closed, but for the figure that counts half-shut "
        "ones as not closed. A face whose bin is unknown is not right.",
    ),
    "smile": ("Labelled smiles", "Broad ones, and slight ones that show teeth."),
    "mouth": ("Labelled mouths", "Called open by the measure, also where the bin is a smile."),
    "cover": (
        "Labelled cover",
        "Called covered: the bin of occlusion is not none, so also where it is unknown.",
    ),
    "light": ("Labelled light", ""),
    "turn": ("Labelled turn of the head", "By eye, the nose points to the image's left or right."),
    "sets": (
        "Labelled exported images",
        "What is on those exported faces that have a label.",
    ),
    "vision": (
        "Vision encoder",
        "The nearest face of the same person in another video or at least a second apart: an "
        "encoder that sees pose and expression finds a like one. Chance is the mean over all such "
        "faces.",
    ),
}
HEADLINES: Final = (
    "detection.recall", "detection.precision", "detection.seats", "tracking.idf1",
    "riders.recall", "riders.precision", "pose.yaw_mae", "recognition.across_auc",
    "exports.wrong", "coverage.yaw",
)  # fmt: skip
SUMMARY: Final = (
    *HEADLINES, "tracking.switches", "tracking.purity", "pose.pitch_mae", "pose.roll_mae",
    "landmarks.error", "bins.yaw", "bins.pitch", "bins.expression", "bins.occlusion",
    "bins.lighting", "recognition.all_auc", "recognition.across_tar_0.001",
    "exports.wrong_riders", "coverage.pitch", "coverage.expression", "vision.encoder_pose",
    "vision.chance_pose", "labels.met", "eyes.closed_found", "eyes.open_called_closed",
    "expression.without_half", "expression.half_not_closed", "smile.found", "smile.found_always",
    "mouth.open_found", "mouth.shut_called_open", "cover.plain_called_covered",
    "cover.plain_called_covered_worst", "cover.bar_called_none", "light.dark_found",
    "light.overexposed_found", "turn.side", "turn.frontal", "turn.profile",
    "sets.anchor_eyes_not_open", "sets.anchor_covered", "sets.anchor_good_anchor",
)  # fmt: skip
"""What a terminal shows; the page has everything."""
VIDEO_COLUMNS: Final = {
    "detection.recall": "recall",
    "detection.precision": "precision",
    "detection.seats": "seats found",
    "tracking.idf1": "IDF1",
    "tracking.switches": "switches",
    "riders.recall": "riders found",
    "riders.precision": "persons right",
    "pose.yaw_mae": "yaw error",
    "pose.pitch_mae": "pitch error",
    "bins.expression": "expression",
    "bins.lighting": "light",
    "exports.wrong": "wrong images",
}
PERSON_COLUMNS: Final = {
    "eyes.closed_found": "closed eyes",
    "eyes.open_called_closed": "open called closed",
    "expression.without_half": "expression",
    "smile.found": "smiles",
    "mouth.open_found": "open mouths",
    "mouth.shut_called_open": "shut called open",
    "cover.plain_called_covered": "plain called covered",
    "turn.side": "turned to that side",
}
UNITS: Final = dict.fromkeys(VIDEO_COLUMNS, "share") | {
    "tracking.switches": "count",
    "pose.yaw_mae": "degrees",
    "pose.pitch_mae": "degrees",
}
VERDICT_WORDS: Final = {
    "better": "better",
    "worse": "worse",
    "same": "as before",
    "new": "not measured before",
    "gone": "no longer measured",
    "moved": "changed",
}


@dataclass(frozen=True)
class Topic:
    """One table of figures."""

    name: str
    explanation: str
    figures: tuple[Figure, ...]


def value_words(value: float | None, unit: str) -> str:
    """A value with its unit; "not measured" for None."""
    if value is None:
        return NOT_MEASURED
    if unit == "share":
        return f"{100 * value:.1f} %"
    if unit == "area":
        return f"{value:.3f}"
    if unit == "of box":
        return f"{100 * value:.2f} % of the box"
    if unit == "degrees":
        return f"{value:.1f}°"
    return f"{value:.0f}" if unit == "count" else f"{value:.2f}"


def interval_words(figure: Figure) -> str:
    """`92.1 % to 99.3 %`, `at most 1.9 %`, or nothing."""
    if figure.high is None:
        return ""
    high = value_words(figure.high, figure.unit)
    if figure.low is None:
        return f"at most {high}"
    return f"{value_words(figure.low, figure.unit)} to {high}"


def headline(figure: Figure) -> str:
    """The figure in large letters; errors of a kind that must not be as counts."""
    if figure.target == 0 and figure.value is not None:
        return f"{round(figure.value * figure.n)} of {figure.n:,}"
    return value_words(figure.value, figure.unit)


def topics(section: Section) -> list[Topic]:
    """The figures by topic, in the order of `TOPICS`; topics without words come last."""
    names = [*TOPICS, *dict.fromkeys(f.topic for f in section.figures if f.topic not in TOPICS)]
    result = []
    for name in names:
        title, explanation = TOPICS.get(name, (name, ""))
        mine = tuple(f for f in section.figures if f.topic == name)
        if mine:
            result.append(Topic(title, explanation, mine))
    return result


def columns_of(section: Section) -> dict[str, str]:
    """The columns of the table of videos that any of them has a value for."""
    return {
        key: label
        for key, label in VIDEO_COLUMNS.items()
        if any(video.values[key] is not None for video in section.videos)
    }


def summary(section: Section) -> list[Topic]:
    """The topics with the figures of `SUMMARY` alone."""
    chosen = (
        Topic(t.name, t.explanation, tuple(f for f in t.figures if f.key in SUMMARY))
        for t in topics(section)
    )
    return [topic for topic in chosen if topic.figures]


def people_table(section: Section) -> tuple[list[str], list[list[str]]]:
    """The figures of each person of whom faces are labelled: names of columns, and rows of words.

    A column is there when somebody's labels say it; a cell is `12/14 (60-96 %)`.
    """
    told = {f.key for row in section.people for f in row.figures if f.value is not None}
    keys = [key for key in PERSON_COLUMNS if key in told]
    heads = ["person", ">faces", *(PERSON_COLUMNS[key] for key in keys)]
    return heads, [_person_words(row, keys) for row in section.people]


def _person_words(row: PersonRow, keys: list[str]) -> list[str]:
    found = {figure.key: figure for figure in row.figures}
    return [row.person, str(row.faces), *(count_words(found.get(key)) for key in keys)]


def count_words(figure: Figure | None) -> str:
    """A share as counts with its interval, such as `12/14 (60-96 %)`; a dash without any."""
    if figure is None or figure.value is None or figure.low is None or figure.high is None:
        return "-"
    share = f"{round(figure.value * figure.n)}/{figure.n}"
    return f"{share} ({100 * figure.low:.0f}-{100 * figure.high:.0f} %)"


def difference_of(report: Report, section: Section, figure: Figure) -> Difference | None:
    """How a figure differs from the earlier report, if one was given."""
    for difference in report.differences or ():
        if (difference.origin, difference.key) == (section.origin, figure.key):
            return difference
    return None


def arrow(difference: Difference) -> str:
    """▲ or ▼ by the direction of the change, = without one."""
    if difference.before is None or difference.after is None:
        return "·"
    if difference.before == difference.after:
        return "="
    return "▲" if difference.after > difference.before else "▼"


def change_words(difference: Difference, unit: str) -> str:
    """The change in one line, such as `▲ better, was 91.2 %`."""
    words = f"{arrow(difference)} {VERDICT_WORDS[difference.verdict]}"
    if difference.before is None or difference.verdict == "same":
        return words
    note = doubt(difference)
    return f"{words}, was {value_words(difference.before, unit)}{f' ({note})' if note else ''}"


def doubt(difference: Difference) -> str:
    """Why a change may mean nothing, or nothing to say."""
    if difference.other_clips:
        return "on other clips"
    return "within the interval" if difference.within else ""


def vanished(report: Report) -> list[Difference]:
    """Figures of the earlier report that this one does not have at all."""
    here = {(s.origin, f.key) for s in report.sections for f in s.figures}
    return [d for d in report.differences or () if (d.origin, d.key) not in here]


def render_evaluation_page(report: Report) -> str:
    """The page as HTML text: the same for the same report."""
    return (
        _environment()
        .get_template("evaluation.html.j2")
        .render(
            report=report,
            topics=topics,
            plots=plots,
            headlines=lambda section: [f for key in HEADLINES if (f := section.figure(key))],
            difference_of=lambda section, figure: difference_of(report, section, figure),
            vanished=vanished(report),
            origin_words=ORIGIN_WORDS,
            columns_of=columns_of,
            people_table=people_table,
            units=UNITS,
            verdict_words=VERDICT_WORDS,
        )
    )


@cache
def _environment() -> Environment:
    environment = export_page.environment().overlay()
    environment.filters = {
        **environment.filters,
        "value": value_words,
        "interval": interval_words,
        "headline": headline,
        "arrow": arrow,
        "doubt": doubt,
        "counted": counted,
    }
    return environment
