"""`imagefolder` of Hugging Face `datasets`: pictures with `metadata.jsonl` in a folder per split.

Read from `packaged_modules/folder_based_builder/folder_based_builder.py` and `data_files.py`:

- A folder called as a split (`train`, `validation`) is that split; only where there is none do the
  names of files count. Split words are looked for in names of folders at any depth, so a folder
  called after a person could make a split: pictures lie flat, and files of a person called Val are
  no validation.
- Every row of a `metadata.jsonl` is a picture, its `file_name` relative to that file; pictures
  without a row are not read, and no other format may lie beside it.
- A column's type is guessed from the rows of each split, and splits whose columns differ are
  refused: a column without any value in one of them would be of no type. Those are left out of
  `metadata.jsonl`; `columns.parquet` has every column with its type.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from identity_pipeline.stages.datasets.layouts.trainers.folders import (
    Files,
    write_lines,
    write_pictures,
)
from identity_pipeline.stages.datasets.layouts.trainers.records import COLUMNS, record_of
from identity_pipeline.stages.datasets.pictures import Dataset, Limits

TABLE: Final = "columns.parquet"


class ImageFolder:
    """What `load_dataset("imagefolder", ...)` reads."""

    name: str = "imagefolder"
    sentence: str = "Hugging Face datasets: pictures with metadata.jsonl, all columns, splits"
    limits: Limits = Limits(splits=True)

    def write(self, root: Path, dataset: Dataset) -> Files:
        """Writes `train/`, `validation/` where a source is held back, and `columns.parquet`."""
        files: Files = {}
        rows: list[dict[str, Any]] = []
        for split in ("train", "validation"):
            pictures = [picture for picture in dataset.pictures if picture.split == split]
            files |= write_pictures(root, split, pictures, {})
            rows += [
                {"file_name": f"{picture.key}.jpg", **record_of(picture, dataset)}
                for picture in pictures
            ]
        _write_metadata(root, rows)
        schema = {"file_name": pl.String, **COLUMNS}
        whole = [{**row, "file_name": f"{row['split']}/{row['file_name']}"} for row in rows]
        pl.DataFrame(whole, schema=schema).write_parquet(root / TABLE)
        return files

    def usage(self, dataset: Dataset) -> str:
        """How `load_dataset` is called."""
        return """\
    from datasets import load_dataset

    pictures = load_dataset("imagefolder", data_dir="FOLDER")

`FOLDER` is this one. `train` is for training; `validation`, where there is one, holds rides and
sets of photographs of which no picture is in `train`. Columns that no picture of a split has are
left out of `metadata.jsonl`; `columns.parquet` holds all of them.

Scripts of diffusers that read captions take it by
`--dataset_name=FOLDER --image_column=image --caption_column=text`.
"""


def _write_metadata(root: Path, rows: Sequence[dict[str, Any]]) -> None:
    """A `metadata.jsonl` in each split's folder; columns that a split lacks are in none."""
    by_split: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_split.setdefault(row["split"], []).append(row)
    known = [_known(part) for part in by_split.values()]
    shared = set.intersection(*known) if known else set()
    for split, part in by_split.items():
        lines = ({name: value for name, value in row.items() if name in shared} for row in part)
        write_lines(
            root / split / "metadata.jsonl",
            (json.dumps(line, ensure_ascii=False, allow_nan=False) for line in lines),
        )


def _known(rows: Sequence[dict[str, Any]]) -> set[str]:
    """Columns that have a value in some row."""
    return {name for row in rows for name, value in row.items() if value is not None}
