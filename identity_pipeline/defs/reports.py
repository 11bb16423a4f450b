"""Group `reports`: what the pipeline says of itself, over all videos."""

from pathlib import Path
from typing import Any

import dagster as dg

from identity_pipeline.defs.automation import NIGHTLY
from identity_pipeline.defs.metadata import numbers
from identity_pipeline.defs.steps import OWNERS
from identity_pipeline.settings import Settings
from identity_pipeline.storage.tables import TableStore

REPORTS = "reports"


@dg.asset(
    group_name=REPORTS,
    kinds={"python"},
    owners=OWNERS,
    code_version="1",
    freshness_policy=NIGHTLY,
    # Lineage only: which videos are read is decided by what is in the store, so that one video
    # that failed, or is still under way, neither holds the report up nor fails it.
    deps=["identity_dataset", "face_embeddings", "vision_embeddings"],
)
def evaluation_report(
    context: dg.AssetExecutionContext,
    store: dg.ResourceParam[TableStore],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    """How good the results are on finished videos that have a truth file: figures and a page."""
    from identity_pipeline.media.evaluation_page import HEADLINES
    from identity_pipeline.stages import evaluate as stage

    material = stage.collect(store)
    if not material.videos:
        sentence = f"Nothing was evaluated: {stage.nothing_to_evaluate(material)}"
        context.log.warning(sentence)
        return dg.MaterializeResult(metadata={"evaluated_videos": 0, "note": sentence})
    for sentence in material.left_out.values():
        context.log.warning(f"left out: {sentence}")
    report = stage.evaluate(material, settings)
    page = stage.write_report(report, store.layout.evaluation)
    headlines: dict[str, Any] = {
        f"{section.origin}/{key}": section.figure(key).value
        for section in report.sections
        for key in HEADLINES
    }
    return dg.MaterializeResult(
        metadata={
            "evaluated_videos": len(material.videos),
            "videos_left_out": len(material.left_out),
            "page": dg.MetadataValue.path(str(Path(page).resolve())),
            **numbers(headlines),
            "figures": dg.MetadataValue.md(_markdown(report)),
        }
    )


def _markdown(report: Any) -> str:
    from identity_pipeline.media.evaluation_page import headline, interval_words

    lines = []
    for section in report.sections:
        lines += [f"**{section.scope}**", "", "| figure | value | 95 % interval | of how many |"]
        lines.append("|---|---|---|---|")
        for figure in section.figures:
            if figure.value is None:
                lines.append(f"| {figure.label} | not measured: {figure.reason} | | |")
                continue
            count = f"{figure.n:,} {figure.counted}"
            value = headline(figure)
            lines.append(f"| {figure.label} | {value} | {interval_words(figure)} | {count} |")
        lines.append("")
    return "\n".join(lines)
