"""Figures of faces that somebody looked at: all together, person by person, and as exported.

What is counted: `core.evaluation.label_counts`. Words and bins of labels: `core.evaluation.labels`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl
from scipy.stats import rankdata

from identity_pipeline.core.evaluation import figures
from identity_pipeline.core.evaluation.label_counts import (
    EXPORTED,
    FACES,
    TOLD,
    Count,
    counts,
    of_occluders,
    said,
)
from identity_pipeline.core.evaluation.labels import (
    CLEAR,
    UNSURE,
    LabelledClip,
    exported_faces,
    met_faces,
)
from identity_pipeline.core.evaluation.report import Confusion, Figure, PersonRow
from identity_pipeline.core.evaluation.truth import ORIGIN_WORDS
from identity_pipeline.core.faces.buckets import EXPRESSIONS, UNKNOWN
from identity_pipeline.settings import BucketSettings
from identity_pipeline.tables import SET_ASSETS

ALWAYS_SMILES: Final = 0.8
"""Share of the labelled faces with a smile from which a person smiles always."""
FEW: Final = 10
"""With fewer faces a person is not the worst of all."""


SHARED_KEYS: Final = {
    "bins.expression": "expression.without_half",
    "bins.occlusion": "cover.right",
}
"""Figures of truths with numbers that labels answer too, and by which count."""
PER_PERSON: Final = (
    "eyes.closed_found", "eyes.open_called_closed", "expression.without_half", "smile.found",
    "mouth.open_found", "mouth.shut_called_open", "cover.plain_called_covered", "turn.side",
)  # fmt: skip
"""What is also said of each person."""
SETS: Final = tuple(name.removesuffix("_set") for name in SET_ASSETS)


@dataclass(frozen=True)
class LabelledResult:
    """All figures of labelled faces of one origin."""

    scope: str
    figures: tuple[Figure, ...]
    people: tuple[PersonRow, ...]
    confusions: tuple[Confusion, ...]


def labelled_result(
    origin: str, clips: Sequence[LabelledClip], settings: BucketSettings
) -> LabelledResult:
    """Measures everything that the labels of some clips allow.

    Args:
        origin: of all the clips.
        clips: at least one.
        settings: the limits of the bins.
    """
    ordered = sorted(clips, key=lambda clip: clip.video)
    labels = pl.concat([met_faces(clip) for clip in ordered], how="diagonal_relaxed")
    exports = pl.concat([exported_faces(clip) for clip in ordered], how="diagonal_relaxed")
    faces = labels.filter("met")
    people = faces["unit"].unique().sort().to_list()
    clips_words = ORIGIN_WORDS[origin].removesuffix("s") + "s" * (len(ordered) != 1)
    scope = f"labelled faces of {len(ordered)} {clips_words}, {_people(len(people))}"
    counted = [*counts(settings), *of_occluders(faces)]
    found = [_figure(faces, count, scope) for count in counted]
    rows = [_person_row(name, faces.filter(pl.col("unit") == name), counted) for name in people]
    return LabelledResult(
        scope,
        (
            _met(labels, scope),
            *found,
            _order(faces, scope),
            _always_smiling(faces, counted, scope),
            _worst(rows, "cover.plain_called_covered", scope),
            *_exported(exports, scope),
        ),
        tuple(rows),
        (_confusion(faces),) if faces.filter(TOLD).height else (),
    )


def with_labels(told: Iterable[Figure], labelled: LabelledResult) -> tuple[Figure, ...]:
    """Figures of truths with numbers, those that could not be measured answered by the labels."""
    by_key = {figure.key: figure for figure in labelled.figures}

    def answered(figure: Figure) -> Figure:
        other = by_key.get(SHARED_KEYS.get(figure.key, ""))
        if figure.value is not None or other is None or other.value is None:
            return figure
        return replace(other, key=figure.key, label=figure.label)

    return (*map(answered, told), *labelled.figures)


def _people(n: int) -> str:
    return f"{n} {'person' if n == 1 else 'people'}"


def _figure(faces: pl.DataFrame, count: Count, scope: str) -> Figure:
    chosen = faces.filter(count.of).select(right=count.right.fill_null(False), unit="unit")
    return figures.share_of_people(
        count.key, count.label, chosen["right"], chosen["unit"].to_list(), scope, count.counted,
        "no label says it", count.better,
    )  # fmt: skip


def _met(labels: pl.DataFrame, scope: str) -> Figure:
    return figures.share_of_people(
        "labels.met", "Labelled faces that the pipeline measured", labels["met"],
        labels["unit"].to_list(), scope, FACES, "there is no label",
    )  # fmt: skip


def _order(faces: pl.DataFrame, scope: str) -> Figure:
    """Whether the measure sorts closed before open eyes, apart from any limit."""
    clear = faces.filter(CLEAR.fill_null(False)).drop_nulls("measured_eye_open")
    key, label = "eyes.order", "Open eyes measured wider than closed ones, clear faces (AUC)"
    both = clear.filter(said("eyes", "open", "closed"))
    opened = both["eyes"].eq("open").to_numpy()
    n, wide = len(opened), int(opened.sum())
    area = None
    if 0 < wide < n:
        ranks = rankdata(both["measured_eye_open"].to_numpy())
        area = float((ranks[opened].sum() - wide * (wide + 1) / 2) / wide / (n - wide))
    return figures.counted_value(
        key, label, area, n, FACES, "area", scope, "no label says it of both kinds"
    )


def _always_smiling(faces: pl.DataFrame, counted: Sequence[Count], scope: str) -> Figure:
    told = faces.filter(pl.col("smile").is_not_null() & pl.col("smile").ne(UNSURE))
    share = told.group_by("unit").agg(pl.col("smile").ne("none").mean(), n=pl.len())
    always = share.filter((pl.col("smile") >= ALWAYS_SMILES) & (pl.col("n") >= FEW))["unit"]
    (count,) = [count for count in counted if count.key == "smile.found"]
    named = ", ".join(sorted(always)) or "nobody"
    label = f"Smiles found of who smiles always ({named})"
    mine = count._replace(key="smile.found_always", label=label)
    return _figure(faces.filter(pl.col("unit").is_in(always.implode())), mine, scope)


def _person_row(name: str, faces: pl.DataFrame, counted: Sequence[Count]) -> PersonRow:
    by_key = {count.key: count for count in counted}
    mine = tuple(_alone(faces, by_key[key], name) for key in PER_PERSON)
    return PersonRow(name, faces.height, mine)


def _alone(faces: pl.DataFrame, count: Count, name: str) -> Figure:
    """A figure of one person, whose faces are all there is to draw from."""
    return _figure(faces.with_columns(unit=pl.lit("")), count, name)


def _worst(rows: Sequence[PersonRow], key: str, scope: str) -> Figure:
    """The figure of the person for whom it is worst, of those with enough faces."""
    told = [
        figure
        for row in rows
        for figure in row.figures
        if figure.key == key and figure.value is not None and figure.n >= FEW
    ]
    label = "Plain faces called covered, worst person"
    if not told:
        why = f"nobody has {FEW} labelled faces that say it"
        return figures.unmeasured(f"{key}_worst", label, "share", scope, why, "lower")
    worst = max(told, key=lambda figure: (figure.value or 0.0, figure.measured_on))
    return replace(
        worst, key=f"{key}_worst", label=f"{label} ({worst.measured_on})", measured_on=scope
    )


def _exported(exports: pl.DataFrame, scope: str) -> list[Figure]:
    result = []
    for name in SETS:
        made = exports.filter(pl.col("set") == name)
        images = f"labelled {name} images"
        result.append(
            figures.counted_value(
                f"sets.{name}_labelled",
                f"Exported {name} faces that have a label",
                made["labelled"].mean() if made.height else None,  # type: ignore[arg-type]
                made.height,
                f"{name} faces",
                "share",
                scope,
                "no image was exported",
                None,
            )
        )
        known = made.filter("labelled")
        for key, words, column, test, better in EXPORTED:
            count = Count(
                f"sets.{name}_{key}", f"{name.capitalize()} images: {words}",
                pl.col(column).is_not_null(), test, better, images,
            )  # fmt: skip
            result.append(_figure(known, count, scope))
    return result


def _confusion(faces: pl.DataFrame) -> Confusion:
    """Expression bins: the one that the label names against the one that was called."""
    told = faces.filter(TOLD).select(
        true=pl.col("allowed").list.first(), called=pl.col("expression_bin").fill_null(UNKNOWN)
    )
    columns = (*EXPRESSIONS, UNKNOWN)
    table = np.zeros((len(EXPRESSIONS), len(columns)), dtype=int)
    for true, called in told.iter_rows():
        table[EXPRESSIONS.index(true), columns.index(called)] += 1
    cells = tuple(tuple(int(n) for n in row) for row in table)
    return Confusion("expression", EXPRESSIONS, columns, cells)
