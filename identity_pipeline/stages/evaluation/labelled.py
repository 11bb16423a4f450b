"""Labels of single faces and the runs of their clips: which fit each other, and why others do not.

What belongs here: finding the run of each labelled clip and reading its tables. Figures:
`core.evaluation.labelled`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import polars as pl

from identity_pipeline.core.evaluation.labels import LabelledClip
from identity_pipeline.core.evaluation.truth import REAL
from identity_pipeline.core.faces.buckets import as_measured
from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.stages.specs.exported import exported_rows
from identity_pipeline.storage.video.labels import read_labels
from identity_pipeline.storage.video.registry import Registration
from identity_pipeline.storage.video.tables import MissingTableError, TableStore
from identity_pipeline.storage.video.truth import read_truth, truth_path
from identity_pipeline.tables import SET_ASSETS

TABLES = ("face_landmarks", "face_buckets", "candidates", *SET_ASSETS)


@dataclass(frozen=True)
class LabelledMaterial:
    """Clips with labels and a finished run.

    Attributes:
        clips: in the order of their names.
        left_out: why the labels of a clip are not counted, by clip.
    """

    clips: tuple[LabelledClip, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)


def collect_labelled(
    store: TableStore,
    paths: Sequence[Path],
    records: Iterable[Registration],
    folder: Path | None = None,
) -> LabelledMaterial:
    """Joins files of labels with the runs of their clips.

    Args:
        store: the tables.
        paths: files of labels; of a face in several, the first counts.
        records: the videos to look among.
        folder: where truth files lie, which say who sits where; by default beside the videos.

    Raises:
        LabelError: a file of labels is malformed.
    """
    if not paths:
        return LabelledMaterial()
    labels = read_labels(paths)
    known = list(records)
    clips: list[LabelledClip] = []
    left_out: dict[str, str] = {}
    absent: list[str] = []
    for (clip,), mine in labels.sort("clip", maintain_order=True).group_by(
        "clip", maintain_order=True
    ):
        try:
            record = _record(str(clip), known)
            if record is None:
                absent.append(str(clip))
            else:
                clips.append(_clip(store, record, mine, folder))
        except IdentityPipelineError as error:
            left_out[str(clip)] = str(error)
    if absent:
        left_out["labels"] = (
            f"no run of labelled clips ({', '.join(absent)}); `identity-pipeline run` on their "
            "files adds them."
        )
    return LabelledMaterial(tuple(clips), left_out)


class NoRunError(IdentityPipelineError, ValueError):
    """Labels without a run of their clip; the sentence says what to do."""


def _record(clip: str, records: Sequence[Registration]) -> Registration | None:
    """The video of a clip: its id, or the name of one of its files with or without suffix."""
    found = [record for record in records if clip in _names(record)]
    if len(found) > 1:
        ids = ", ".join(record.video_id for record in found)
        raise NoRunError(
            f"the labels of {clip} fit several videos ({ids}); write the id of one as the clip."
        )
    return found[0] if found else None


def _names(record: Registration) -> set[str]:
    paths = [PurePath(path) for path in (record.path, *record.links)]
    return {record.video_id, *(path.name for path in paths), *(path.stem for path in paths)}


def _clip(
    store: TableStore, record: Registration, labels: pl.DataFrame, folder: Path | None
) -> LabelledClip:
    video = record.video_id
    finished = store.noted("identity_dataset", video) is not None
    if not finished or not (store.layout.export(video) / "manifest.json").is_file():
        raise NoRunError(
            f"{video} has no finished tables; run `identity-pipeline run` on its file first."
        )
    try:
        tables = {name: store.read(name, video) for name in TABLES}
        tables["face_buckets"] = as_measured(tables["face_buckets"])
        exported = {name: exported_rows(store, name, video, tables[name]) for name in SET_ASSETS}
    except MissingTableError as error:
        raise NoRunError(
            f"{video}: {error} To mend it, run `identity-pipeline run` on its file first."
        ) from error
    path = truth_path(record, folder)
    truth = read_truth(path) if path is not None else None
    people, origin = (truth.people, truth.origin) if truth else ((), REAL)
    return LabelledClip(video, labels, tables | exported, people, origin)
