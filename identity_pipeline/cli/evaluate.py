"""`identity-pipeline evaluate`: measured against truth, how good it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from identity_pipeline.cli.lists import console, echo_table, json_option, say
from identity_pipeline.cli.options import (
    data_option,
    merged_settings,
    open_store,
    overrides,
)

if TYPE_CHECKING:
    from identity_pipeline.core.evaluation.report import Report, Section


@click.command()
@click.argument("videos", nargs=-1, metavar="[VIDEO]...")
@data_option
@click.option(
    "--truth",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the truth files.  [default: beside each video]",
)
@click.option(
    "--labels",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="CSV in which faces are labelled by eye; again for more, the first counts for a face.",
)
@click.option(
    "--against",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="An earlier report.json: shows what has become better or worse.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for report.json and index.html.  [default: reports/evaluation in the data folder]",
)
@json_option
def evaluate(
    videos: tuple[str, ...],
    data: str | None,
    truth: Path | None,
    labels: tuple[Path, ...],
    against: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Measure how good the results are, on videos whose truth is known.

    VIDEO is a video id, a file name, or the beginning of an id; without one, every processed video
    with a truth file counts. The truth of X.mp4 is X.truth.json: every true face of each frame
    (rendered rides have that), or only each rider's seat, made by hand. Process the videos with
    `identity-pipeline run` first.

    --labels adds what somebody saw on single faces: a CSV with the columns clip (id or file name
    of the video), frame_idx and seat (left, right, only), and as many as you like of eyes, mouth,
    smile, teeth, occlusion, occluder, light, blur, head_turn, head_tilt, good_anchor and person.
    Then expression, cover, light and exported images are judged on these faces, person by person.

    \b
      identity-pipeline run ride.mp4 && identity-pipeline evaluate
      cp -r data/reports/evaluation before   # change something, run again, then:
      identity-pipeline evaluate --against before/report.json
      identity-pipeline evaluate --labels faces.csv
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from identity_pipeline.cli.working import refuse_unless_ready
    from identity_pipeline.stages.evaluation import evaluate as evaluation

    settings = merged_settings(overrides(data))
    store = open_store(settings)
    refuse_unless_ready(store, settings)
    folder = out or store.layout.evaluation
    previous = evaluation.read_previous(against) if against else None
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=as_json,
    ) as progress:
        bars = {name: progress.add_task(name, total=None) for name in ("reading", "measuring")}

        def show(stage: str, done: int, total: int | None, unit: str) -> None:
            progress.update(
                bars[stage], completed=done, total=total, description=f"{stage} ({unit})"
            )

        material = evaluation.collect(store, videos, truth, show, labels)
        if material.empty:
            raise evaluation.EvaluationError(evaluation.nothing_to_evaluate(material, truth))
        report = evaluation.evaluate(material, settings, previous, show)
    page = evaluation.write_report(report, folder)
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2, sort_keys=True, ensure_ascii=False))
        return
    for section in report.sections:
        print_figures(report, section)
        print_people(section)
        for line in unmeasured_lines(section):
            say(line, "dim")
    for sentence in report.left_out.values():
        say(f"left out - {sentence}", "yellow")
    say(f"All figures and plots: open {page}")


def print_figures(report: Report, section: Section) -> None:
    """The main figures of the clips of one origin."""
    from identity_pipeline.media import evaluation_page as words

    columns = ["figure", ">value", "95 % interval", "of how many"]
    if report.differences is not None:
        columns.append("since the earlier report")
    rows = []
    for topic in words.summary(section):
        for figure in topic.figures:
            if figure.value is None:
                continue
            cells = [
                figure.label,
                words.headline(figure),
                words.interval_words(figure),
                f"{figure.n:,} {figure.counted.split(' (')[0]}",
            ]
            if report.differences is not None:
                difference = words.difference_of(report, section, figure)
                change = words.change_words(difference, figure.unit) if difference else ""
                cells.append(change)
            rows.append(cells)
    echo_table(columns, rows, title=f"On {section.scope}")


def print_people(section: Section) -> None:
    """The figures of each person of whom faces are labelled."""
    from identity_pipeline.media import evaluation_page as words

    if section.people:
        columns, rows = words.people_table(section)
        title = "Person by person: right of all, and Wilson's interval"
        echo_table(columns, rows, title=title)


def unmeasured_lines(section: Section) -> list[str]:
    """What could not be measured, by reason."""
    from identity_pipeline.media import evaluation_page as words

    reasons: dict[str, list[str]] = {}
    for topic in words.summary(section):
        for figure in topic.figures:
            if figure.value is None:
                reasons.setdefault(str(figure.reason), []).append(figure.label)
    return [f"not measured, {why}: {', '.join(labels)}" for why, labels in reasons.items()]
