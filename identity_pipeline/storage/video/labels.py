"""Reading labels of single faces: a CSV in which somebody wrote what faces do, by eye.

What belongs here: the shape of the file and one clear sentence for every way to be wrong. The words
and what they mean: `core.evaluation.labels`. The form is shown in `docs/evaluating.md`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from identity_pipeline.core.evaluation.labels import KEY, LABELS, ONLY, WORDS
from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.storage.video.truth import FRAMES_MAX


class LabelError(IdentityPipelineError, ValueError):
    """A file of labels cannot be used; the sentence says which and why."""


def read_labels(paths: Sequence[Path]) -> pl.DataFrame:
    """Reads and checks files of labels; of a face that several name, the first counts.

    Args:
        paths: CSV files with a line of column names. `clip`, `frame_idx` and `seat` must be there,
            other columns of `LABELS` may be; columns of other names are not looked at.

    Returns:
        Table `LABELS`, in the order of the files.

    Raises:
        LabelError: a file is no such CSV, or says a word that its column does not have.
    """
    read = [_read(path) for path in paths]
    return pl.concat(read).unique(KEY, keep="first", maintain_order=True)


def _read(path: Path) -> pl.DataFrame:
    try:
        text = pl.read_csv(path, infer_schema=False, encoding="utf8")
    except (pl.exceptions.PolarsError, OSError) as error:
        raise LabelError(f"{path.name} is no file of labels: {error}.") from error
    text = text.select(pl.all().str.strip_chars().replace("", None))
    for fault in _faults(text):
        raise LabelError(f"{path.name} is no usable file of labels: {fault}.")
    lacking = [pl.lit(None, pl.String).alias(name) for name in LABELS if name not in text.columns]
    return text.with_columns(lacking).select(
        pl.col(name).cast(dtype) for name, dtype in LABELS.items()
    )


def _faults(text: pl.DataFrame) -> Iterator[str]:
    for name in KEY:
        if name not in text.columns:
            yield f"it has no column {name}"
            return
        if text[name].null_count():
            yield f"line {_line(text[name].is_null())} has no {name}"
    frames = text["frame_idx"].cast(pl.Int64, strict=False)
    wrong = ~frames.is_between(0, FRAMES_MAX).fill_null(False)
    if wrong.any():
        yield f"line {_line(wrong)} has no frame number but {text.filter(wrong)['frame_idx'][0]!r}"
    for name, words in WORDS.items():
        if name in text.columns and (other := ~text[name].is_in(words).fill_null(True)).any():
            said = text.filter(other)[name][0]
            yield f"line {_line(other)} says {name} {said!r}, which is none of {', '.join(words)}"
    alone = text.group_by("clip").agg(share=pl.col("seat").eq(ONLY).mean()).sort("clip")
    for clip, share in alone.iter_rows():
        if 0 < share < 1:
            yield f"the seats of {clip} are `{ONLY}` and another; a clip has one rider or two"


def _line(wrong: pl.Series) -> int:
    """Number of the first line that is wrong; the first line holds the names."""
    return int(wrong.arg_true()[0]) + 2
