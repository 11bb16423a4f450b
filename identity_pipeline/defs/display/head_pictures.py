"""What an operator sees of heads in the UI: counts, curves, verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from identity_pipeline.defs.display import metadata
from identity_pipeline.media.markdown import bullets

if TYPE_CHECKING:
    from identity_pipeline.stages.learning.judging import Verdict
    from identity_pipeline.storage.library.heads import HeadCard

NAMED = 10


def counts(table: pl.DataFrame) -> dict[str, Any]:
    """People, tracks, faces and videos of a training set."""
    return {
        "people": table["person_id"].n_unique(),
        "tracks": table["track_key"].n_unique(),
        "videos": table["video_id"].n_unique(),
        "faces": table.height,
    }


def splits(table: pl.DataFrame) -> dg.TableMetadataValue | dg.TextMetadataValue:
    """The same for each part of a training set."""
    rows = [{"split": str(name), **counts(part)} for (name,), part in table.group_by("split")]
    return metadata.preview(pl.DataFrame(rows).sort("split")) if rows else metadata.preview(table)


def describe_head(card: HeadCard) -> dict[str, Any]:
    """A head and its loss curve."""
    from identity_pipeline.media.head_plots import loss_svg

    return {
        "head": card.head_id,
        "space": card.space,
        "session": card.session,
        "epochs": f"{card.epochs} of {card.planned}",
        **metadata.numbers({f"taught_by/{what}": n for what, n in card.teaching.items()}),
        "loss": card.losses[-1],
        "loss_curve": metadata.svg(loss_svg(card.losses, card.planned), "loss by epoch"),
    }


def describe_verdict(verdict: Verdict) -> dict[str, Any]:
    """A verdict with its figures, pictures, and whom and what it would have harmed."""
    from identity_pipeline.media.head_plots import separation_svg

    told: dict[str, Any] = {
        "verdict": verdict.sentence,
        "promoted": verdict.promoted,
        "head": verdict.head_id,
        "champion": verdict.champion or "the recogniser alone",
    }
    judgement = verdict.judgement
    if judgement is not None:
        for name, found in (("faces", judgement.faces), ("tracks", judgement.tracks)):
            change = found.accepted
            told |= metadata.numbers(
                {
                    f"{name}/far": found.far,
                    f"{name}/accepted_before": change.before,
                    f"{name}/accepted_after": change.after,
                    f"{name}/difference": change.difference,
                    f"{name}/difference_low": change.low,
                    f"{name}/difference_high": change.high,
                    f"{name}/auc_before": found.before.auc,
                    f"{name}/auc_after": found.after.auc,
                    f"{name}/genuine_pairs": found.after.genuine,
                    f"{name}/impostor_pairs": found.after.impostor,
                }
            )
        for name, (faces, tracks) in judgement.baselines.items():
            told |= metadata.numbers(
                {f"baseline/{name}/faces": faces, f"baseline/{name}/tracks": tracks}
            )
        told["separation"] = metadata.svg(
            separation_svg(*judgement.tracks.separation), "held-out pairs by cosine"
        )
        told["doubtful_labels"] = _named(
            f"{one.track_key}: {one.person_id}, but {one.lead:.3f} nearer to {one.nearest}"
            for one in judgement.audit.doubtful
        )
        told["found_less_often"] = _named(
            f"{one.person_id}: {one.before} of {one.pairs} pairs before, {one.after} after"
            for one in judgement.recalls
            if one.drop > 0
        )
    if verdict.contradicted is not None:
        told["contradicted_decisions"] = _named(
            f"{one.track_key}: {one.kind}, machine says {one.other} at {one.score:.3f}"
            for one in verdict.contradicted
        )
    return told


def _named(lines: Any) -> dg.MarkdownMetadataValue:
    several = list(lines)
    more = [f"and {len(several) - NAMED} more"] if len(several) > NAMED else []
    return dg.MetadataValue.md(bullets([*several[:NAMED], *more], "none"))
