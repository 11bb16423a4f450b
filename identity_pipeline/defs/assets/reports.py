"""Group `reports`: what the pipeline says of itself, over all videos."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from identity_pipeline.defs.display import library_pictures as pictures
from identity_pipeline.defs.display import metadata
from identity_pipeline.defs.instance.runs import last_runs
from identity_pipeline.defs.resources.decorators import library_asset
from identity_pipeline.defs.resources.steps import LibraryStep
from identity_pipeline.media.markdown import bullets, escaped, table
from identity_pipeline.stages.planning.staleness import Models
from identity_pipeline.stages.specs.assets import steps

LINES_SHOWN = 40
"""Of a list in the event log, which keeps every report."""


@library_asset
def library_report(step: LibraryStep) -> dg.MaterializeResult:
    """How far all work is: steps by state, time left, what waits for a person, what failed, why."""
    from identity_pipeline.media.progress_figure import phases_svg
    from identity_pipeline.stages.curation.consents import consent_note
    from identity_pipeline.stages.curation.recall import recall_lines
    from identity_pipeline.stages.planning import words
    from identity_pipeline.stages.planning.status import look

    now = datetime.now(UTC)
    runs = last_runs(step.context.instance, without=step.context.run_id)
    with step.healing():
        seen = look(
            step.store,
            step.settings,
            Models(*step.models.here()),
            runs,
            now.timestamp(),
            now.isoformat(timespec="seconds"),
            step.reporter(),
        )
    states = {
        name: [whole.phases[n].state for whole in seen.videos] for n, name in enumerate(steps())
    }
    picture = metadata.svg(phases_svg(states), "steps of all videos by state")
    return dg.MaterializeResult(
        metadata={
            "consent": consent_note(step.settings),
            "recall": _list(recall_lines(step.stores, step.settings)[:LINES_SHOWN]),
            "progress": _list(words.progress_lines(seen)),
            "to_look_at": _list(list(words.attention(seen))[:LINES_SHOWN]),
            "not_done": metadata.records(words.open_work(seen)),
            "steps": metadata.records(words.steps_by_state(seen)),
            "picture": picture if seen.videos else "no video yet",
            **metadata.numbers(words.headline_numbers(seen)),
            **pictures.describe_confusions(step.stores, step.settings, now.isoformat()),
        }
    )


@library_asset
def evaluation_report(step: LibraryStep) -> dg.MaterializeResult:
    """How good the results are on finished videos that have a truth file: figures and a page."""
    from identity_pipeline.media.evaluation_page import HEADLINES
    from identity_pipeline.stages.evaluation import evaluate as stage

    with step.healing():
        material = stage.collect(step.store)
    if not material.videos:
        sentence = f"Nothing was evaluated: {stage.nothing_to_evaluate(material)}"
        step.context.log.warning(sentence)
        return dg.MaterializeResult(metadata={"evaluated_videos": 0, "note": sentence})
    for sentence in material.left_out.values():
        step.context.log.warning(f"left out: {sentence}")
    with step.healing():
        report = stage.evaluate(material, step.settings)
        page = stage.write_report(report, step.store.layout.evaluation)
    headlines: dict[str, Any] = {
        f"{section.origin}/{key}": figure.value
        for section in report.sections
        for key in HEADLINES
        if (figure := section.figure(key))
    }
    return dg.MaterializeResult(
        metadata={
            "evaluated_videos": len(material.videos),
            "videos_left_out": len(material.left_out),
            "page": dg.MetadataValue.path(str(Path(page).resolve())),
            **metadata.numbers(headlines),
            "figures": dg.MetadataValue.md(_markdown(report)),
        }
    )


def _list(sentences: list[str]) -> dg.MetadataValue:
    return dg.MetadataValue.md(bullets(sentences, "nothing"))


def _markdown(report: Any) -> str:
    from identity_pipeline.media.evaluation_page import headline, interval_words

    lines = []
    for section in report.sections:
        lines += [f"**{escaped(section.scope)}**", ""]
        rows: list[tuple[str, ...]] = []
        for figure in section.figures:
            if figure.value is None:
                rows.append((figure.label, f"not measured: {figure.reason}", "", ""))
                continue
            count = f"{figure.n:,} {figure.counted}"
            value = headline(figure)
            rows.append((figure.label, value, interval_words(figure), count))
        lines += [table(("figure", "value", "95 % interval", "of how many"), rows), ""]
    return "\n".join(lines)
