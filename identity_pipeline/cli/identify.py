"""Asking the library: who is on a picture, why a track is who it is, and how much is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from identity_pipeline.cli.curating import (
    TARGETS,
    counted,
    looking,
    open_library,
    short_track,
    show_rows,
    targets_argument,
)
from identity_pipeline.cli.index import bar
from identity_pipeline.cli.lists import echo_json, echo_table, json_option, say
from identity_pipeline.cli.options import data_option, merged_settings, model_options, overrides

if TYPE_CHECKING:
    from identity_pipeline.settings import Settings
    from identity_pipeline.stages.curation.snapshot import LibrarySnapshot
    from identity_pipeline.stages.library.explanation import Explanation
    from identity_pipeline.stages.library.identification import IdentifiedFace
    from identity_pipeline.stages.library.statistics import LibraryStats


SHOWN = 3
"""People named for a face at most."""


@click.command()
@click.argument("image", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--by",
    type=click.Choice(["references", "heads"]),
    default="references",
    show_default=True,
    help="What stands for each known person.",
)
@json_option
@data_option
@model_options
def identify(
    image: Path,
    by: Literal["references", "heads"],
    as_json: bool,
    data: str | None,
    pack: str | None,
    vision: str | None,
    device: str | None,
) -> None:
    """Say who is on IMAGE, of the known people or none of them.

    Each face, from left to right, is a name; "probably NAME" where that is not sure enough to say
    so; "ambiguous" where two people are about equally near; "unknown"; or "not calibrated" where
    too few faces of two people are known to judge a single one. With its scores and the thresholds
    they were held against, which are calibrated for a single face.

    By default a face is held against the references of the library: exemplars and centres of each
    person. `--by heads` holds it against the k-means heads (asset kmeans_heads): at most three
    centres of each person's confirmed faces, and the template of whoever was confirmed since.
    `by` says which of them answered.
    """
    from identity_pipeline.stages.library.identification import identify_picture

    _, library = open_library(data)
    settings = merged_settings(overrides(data, pack, vision, device))
    faces = identify_picture(library, image, settings, by)
    if as_json:
        echo_json([_face_json(library, face) for face in faces])
        return
    if not faces:
        say(f"No face was found on {image.name}.")
        return
    echo_table(
        (">#", "face at", "who", ">score", ">assign from", ">lead", "why", "by", "next"),
        (_face_row(library, number, face) for number, face in enumerate(faces, 1)),
    )


def _answer(library: LibrarySnapshot, face: IdentifiedFace) -> str:
    """What is said of a face, with whom it is nearest to where that is not said already."""
    result = face.result
    if result.person_id is not None:
        return library.called(result.person_id)
    if result.probable_id is not None:
        return f"probably {library.called(result.probable_id)}"
    if result.answer == "ambiguous":
        first, second = (library.called(p.person_id) for p in result.people[:2])
        return f"ambiguous: {first} or {second}"
    words = "not calibrated" if result.answer == "not_calibrated" else result.answer
    nearest = result.people[0].person_id if result.people else None
    return words if nearest is None else f"{words} (nearest: {library.called(nearest)})"


def _face_row(library: LibrarySnapshot, number: int, face: IdentifiedFace) -> tuple[object, ...]:
    from identity_pipeline.stages.library.identification import RULES

    first, *others = face.result.people or (None,)
    return (
        number,
        ", ".join(f"{v:.0f}" for v in face.box),
        _answer(library, face),
        first and first.score,
        first and first.assign,
        face.result.margin,
        face.result.reason,
        face.rule and RULES[face.rule],
        "\n".join(
            f"{library.called(other.person_id)} {other.score:.3f}" for other in others[: SHOWN - 1]
        ),
    )


def _face_json(library: LibrarySnapshot, face: IdentifiedFace) -> dict[str, object]:
    result = face.result
    return {
        "box": face.box,
        "detection": face.detection,
        "answer": result.answer,
        "person_id": result.person_id,
        "name": None if result.person_id is None else library.called(result.person_id),
        "probable_id": result.probable_id,
        "probable_name": None if result.probable_id is None else library.called(result.probable_id),
        "says": _answer(library, face),
        "margin": result.margin,
        "reason": result.reason,
        "rule": face.rule,
        "people": [{**asdict(p), "name": library.called(p.person_id)} for p in result.people],
    }


@click.command(epilog=TARGETS)
@targets_argument
@looking
def explain(
    settings: Settings, library: LibrarySnapshot, targets: tuple[str, ...], as_json: bool
) -> None:
    """Say why TARGET is who it is, and what would change that.

    The rule, the score against the threshold, the lead over the second person, the confirmed
    tracks that are nearest, and the decision of a human, if one settled it.
    """
    from identity_pipeline.stages.curation.targets import find_targets
    from identity_pipeline.stages.library.explanation import explain as explain_track

    subjects = find_targets(library, targets).subjects
    told = [explain_track(library, subject, settings) for subject in subjects]
    if as_json:
        echo_json([one.as_json() for one in told])
        return
    say("\n\n".join("\n".join(_lines(one)) for one in told))


def _lines(told: Explanation) -> list[str]:
    row = told.row
    lines = [f"{short_track(told.track_key)} is {told.place}: {told.why} ({row['rule']})."]
    if told.person and row["state"] == "suggested":
        lines.append(f"  suggested     {told.person}")
    if row["score"] is not None and row["reference_count"] is not None:
        limit = "" if row["threshold"] is None else f", threshold {row['threshold']:.3f}"
        count = counted(row["reference_count"], "reference")
        lines.append(f"  score         {row['score']:.3f}{limit}, best of {count}")
    if row["margin"] is not None:
        lines.append(f"  lead          {row['margin']:.3f} over {told.runner_up}")
    if row["nearest"]:
        names = ", ".join(map(short_track, row["nearest"]))
        lines.append(f"  nearest       {names}")
    sentences = {
        "evidence": told.budget,
        "decision": told.decision,
        "would change": told.flip.sentence,
        "but now": told.outdated,
    }
    return lines + [f"  {name:13} {said}" for name, said in sentences.items() if said]


@click.command()
@click.option(
    "--truth",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of truth files.  [default: beside the videos]",
)
@looking
def stats(settings: Settings, library: LibrarySnapshot, truth: Path | None, as_json: bool) -> None:
    """Say how much of the library is known, at which thresholds, and how right it is.

    Where videos have truth files (see `evaluate`), grouping and assignments are compared with
    them; a name is taken for one person in all files. Human labels are also held out one at a time:
    what would the machine have said of each without it?
    """
    from identity_pipeline.core.matching.budget import one_in
    from identity_pipeline.stages.library.statistics import library_stats

    with bar() as report:
        found = library_stats(library, settings, truth, report)
    if as_json:
        echo_json(found.as_json())
        return
    for line in _stat_lines(found):
        say(line)
    columns = {
        "threshold": "name",
        ">false accepts": lambda t: f"{t['far']:g}",
        ">in effect": "in_effect",
        "measured": "threshold",
        "95 % interval": _interval,
        ">at most": lambda t: None if t["far_bound"] is None else one_in(t["far_bound"]),
        "method": "method",
    }
    show_rows(found.thresholds, as_json, columns, "No threshold is calibrated yet.")
    for reason in sorted({t["reason"] for t in found.thresholds if t["method"] == "default"}):
        say(f"Defaults stand where nothing is measured: {reason}.")
    if found.budget:
        say(found.budget.sentence)
    if found.floor:
        value, method = found.floor
        say(f"Unknown tracks are linked from a cosine of {value:.3f} ({method}).")
    if found.computed_with:
        say(found.computed_with)


def _interval(threshold: Mapping[str, Any]) -> str:
    low, high = threshold["low"], threshold["high"]
    return "not measured" if low is None else f"{low:.3f} to {high:.3f}"


def _stat_lines(found: LibraryStats) -> list[str]:
    states = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in found.states.items())
    origins = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in found.origins.items())
    lines = [
        f"tracks      {sum(found.states.values())}: {states}",
        f"known by    {origins}",
        f"people      {found.people}; {counted(found.clusters, 'unknown cluster')}; "
        f"{counted(found.pending, 'pending suggestion')}; "
        f"{counted(found.decisions, 'decision')} in force",
        f"videos      {found.videos}"
        + (f"; {counted(found.photo_sets, 'photo set')}" if found.photo_sets else "")
        + (f"; {found.new_videos} not in the library yet: recluster" if found.new_videos else ""),
    ]
    if found.truth is not None:
        t, g = found.truth, found.truth.grouping
        lines += [
            f"truth       of {counted(found.truth_videos, 'video')}: {g.items} tracks of "
            f"{g.people} people; {g.without_truth} tracks without",
            f"  grouping  B-cubed precision {_figure(g.b3_precision)}, recall "
            f"{_figure(g.b3_recall)}, F {_figure(g.b3_f)}",
            f"  assigned  {t.right} right, {t.wrong} wrong, {t.unjudged} not to be judged "
            f"(automatic); {t.human_right} right, {t.human_wrong} wrong (by humans)",
        ]
    else:
        lines.append("truth       no video has a usable truth file")
    lines += [f"  not used  {fault}" for fault in found.truth_faults]
    if found.held_out is not None:
        h = found.held_out
        lines.append(
            f"held out    of {counted(h.tracks, 'label')}, one at a time: {h.assigned} assigned "
            f"right, {h.suggested} suggested, {h.missed} missed, {h.mistaken} taken for somebody "
            f"else; {h.alone} alone, so not to be judged"
        )
    else:
        lines.append("held out    no label yet")
    return lines


def _figure(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3f}"
