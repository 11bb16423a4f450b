"""The evaluation of all videos that have truth: tables and truth files in, one report out.

What belongs here: which videos can be evaluated and why others cannot, what made their tables, and
writing the report. Figures: `core.evaluation`. The page: `media.evaluation_page`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from identity_pipeline import __version__
from identity_pipeline.core.evaluation.before_lens import binned_before_lens
from identity_pipeline.core.evaluation.evidence import FACE_COLUMNS, VideoTables, gather
from identity_pipeline.core.evaluation.labelled import labelled_result
from identity_pipeline.core.evaluation.labels import LabelledClip
from identity_pipeline.core.evaluation.report import Report, Section, differences, figures_of
from identity_pipeline.core.evaluation.sections import section_of, section_of_labels
from identity_pipeline.core.evaluation.truth import REAL, RENDERED, Truth
from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.media.evaluation_page import render_evaluation_page
from identity_pipeline.settings import Settings
from identity_pipeline.stages.evaluation.labelled import collect_labelled
from identity_pipeline.stages.progress.protocol import Progress, silent
from identity_pipeline.stages.specs.exported import exported_rows
from identity_pipeline.storage.files import atomic, small_files
from identity_pipeline.storage.video.embeddings import WITNESSES, read_embeddings
from identity_pipeline.storage.video.registry import Registration, VideoRegistry
from identity_pipeline.storage.video.tables import DamagedTableError, MissingTableError, TableStore
from identity_pipeline.storage.video.truth import SUFFIX, read_truth, truth_path
from identity_pipeline.tables import SET_ASSETS

TABLES = ("frames", "riders", *FACE_COLUMNS, *SET_ASSETS)
REPORT, PAGE = "report.json", "index.html"
Manifest = Mapping[str, Any]


class EvaluationError(IdentityPipelineError, ValueError):
    """Nothing can be evaluated; the sentence says what to do."""


@dataclass(frozen=True)
class Material:
    """What there is to evaluate.

    Attributes:
        videos: tables and truth of each video.
        manifests: of their exports, in the same order.
        left_out: why a video with truth is not among them.
        without_truth: registered videos without a truth file.
        labelled: clips of which single faces are labelled.
    """

    videos: tuple[VideoTables, ...]
    manifests: tuple[Manifest, ...]
    left_out: Mapping[str, str]
    without_truth: int
    labelled: tuple[LabelledClip, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to evaluate."""
        return not self.videos and not self.labelled


def tables_of(store: TableStore, video_id: str, truth: Truth) -> tuple[VideoTables, Manifest]:
    """The tables of one finished video and the manifest of its export.

    Raises:
        EvaluationError: it was never finished, or by another version.
    """
    path = store.layout.export(video_id) / "manifest.json"
    advice = "run `identity-pipeline run` on its file first"
    if store.noted("identity_dataset", video_id) is None or not path.is_file():
        raise EvaluationError(f"{video_id} has no finished tables; {advice}.")
    try:
        tables = {name: store.read(name, video_id) for name in TABLES}
        tables[WITNESSES] = read_embeddings(store, video_id)
        exported = {name: exported_rows(store, name, video_id, tables[name]) for name in SET_ASSETS}
    except MissingTableError as error:
        raise EvaluationError(f"{video_id}: {error} To mend it, {advice}.") from error
    except DamagedTableError as error:
        raise EvaluationError(f"{video_id}: {error}") from error
    return VideoTables(video_id, truth, tables | exported), _manifest_of_export(store, video_id)


@dataclass(frozen=True)
class _Model:
    role: str
    name: str
    sha256: str | None


@dataclass(frozen=True)
class _Export:
    """What the report takes from the manifest of an export."""

    gate_version: str | int
    identity_model_version: str | None
    embed_model_version: str | None
    settings_sha256: str
    models: list[_Model]


def _manifest_of_export(store: TableStore, video_id: str) -> Manifest:
    path = store.layout.export(video_id) / "manifest.json"
    try:
        small_files.read(path, _Export, store.mend(video_id))
    except small_files.DamagedFileError as error:
        raise EvaluationError(f"{video_id}: {error}") from error
    return json.loads(path.read_bytes())


def collect(
    store: TableStore,
    names: Sequence[str] = (),
    folder: Path | None = None,
    progress: Progress = silent,
    labels: Sequence[Path] = (),
) -> Material:
    """Reads truth and tables of the named videos, or of all that have both.

    A video that was named must be there; without names, one that cannot be read is left out with
    the reason. A named video needs no truth where its faces are labelled.

    Args:
        store: the tables.
        names: ids, file names or beginnings of ids; none: all registered videos.
        folder: where truth files lie; by default beside the videos.
        progress: called per video.
        labels: files in which single faces are labelled.

    Raises:
        EvaluationError: a named video is not known, has no truth, or no tables.
        TruthError: the truth of a named video is malformed.
        LabelError: a file of labels is malformed.
    """
    records, left_out = _records(VideoRegistry(store.layout), names)
    labelled = collect_labelled(store, labels, records.values(), folder)
    truthless = {clip.video for clip in labelled.clips}
    videos: list[VideoTables] = []
    manifests: list[Manifest] = []
    without = 0
    for n, (video_id, record) in enumerate(sorted(records.items()), 1):
        path = truth_path(record, folder)
        try:
            if path is not None:
                tables, manifest = tables_of(store, video_id, read_truth(path))
                videos.append(tables)
                manifests.append(manifest)
                truthless.discard(video_id)
            elif names and video_id not in truthless:
                raise EvaluationError(_no_truth(record, folder))
            else:
                without += 1
        except IdentityPipelineError as error:
            if names:
                raise
            left_out[video_id] = str(error)
        progress("reading", n, len(records), "videos")
    manifests += [_manifest_of_export(store, video_id) for video_id in sorted(truthless)]
    if not names:  # else labels of other clips are none of this
        left_out |= labelled.left_out
    return Material(tuple(videos), tuple(manifests), left_out, without, labelled.clips)


def _records(
    registry: VideoRegistry, names: Sequence[str]
) -> tuple[dict[str, Registration], dict[str, str]]:
    """The named videos, or all, by id; and of all why some cannot be read."""
    if names:
        named = [_find(registry, name) for name in names]
        return {record.video_id: record for record in named}, {}
    damaged = {video_id: str(error) for video_id, error in registry.damaged().items()}
    return {record.video_id: record for record in registry.all()}, damaged


def _find(registry: VideoRegistry, name: str) -> Registration:
    record = registry.find(name)
    if record is None:
        raise EvaluationError(
            f"{registry.no_single(name)}; `identity-pipeline videos` lists them, and "
            "`identity-pipeline run` adds one."
        )
    return record


def _no_truth(record: Registration, folder: Path | None) -> str:
    name = Path(record.path).with_suffix(SUFFIX).name
    where = f"in {folder}" if folder else "beside the video"
    return f"{record.video_id} has no truth: there is no {name} {where}."


def nothing_to_evaluate(material: Material, folder: Path | None = None) -> str:
    """One sentence on why there is no report, and what to do."""
    if material.left_out:
        return " ".join(material.left_out.values())
    where = f"in {folder}" if folder else "beside its file"
    total = material.without_truth
    if not total:
        return "no video is registered; run `identity-pipeline run` on one first."
    return (
        f"none of the {total} registered videos has a truth file (X{SUFFIX} for X.mp4) {where}; "
        "the bundled rides have theirs: `make demo`, then evaluate with the same --data."
    )


def evaluate(
    material: Material, settings: Settings, previous: Mapping[str, Any] | None = None,
    progress: Progress = silent,
) -> Report:  # fmt: skip
    """Measures everything that the truth allows.

    Args:
        material: what `collect` found.
        settings: bins.
        previous: an earlier report, to say what has changed.
        progress: called per group of clips.

    Raises:
        EvaluationError: there is nothing, or `previous` is no report.
    """
    if material.empty:
        raise EvaluationError(nothing_to_evaluate(material))
    if previous is not None:
        _check(previous)
    sections = []
    origins = [origin for origin in (RENDERED, REAL) if origin in _origins(material)]
    for n, origin in enumerate(origins, 1):
        progress("measuring", n - 1, len(origins), "groups of clips")
        sections.append(_section(material, origin, settings))
        progress("measuring", n, len(origins), "groups of clips")
    report = Report(
        package_version=__version__,
        gate_versions=_all(material.manifests, "gate_version"),
        identity_spaces=_all(material.manifests, "identity_model_version"),
        vision_spaces=_all(material.manifests, "embed_model_version"),
        models=_models(material.manifests),
        settings_sha256=_all(material.manifests, "settings_sha256"),
        sections=tuple(sections),
        left_out=dict(sorted(material.left_out.items())),
    )
    if previous is None:
        return report
    return replace(report, differences=differences(report, previous))


def _origins(material: Material) -> set[str]:
    clips = {clip.origin for clip in material.labelled}
    return {video.truth.origin for video in material.videos} | clips


def _section(material: Material, origin: str, settings: Settings) -> Section:
    """Everything of the clips of one origin: by truths with numbers, and by labels."""
    videos = [
        replace(video, tables=_before_lens(video.tables, settings))
        for video in material.videos
        if video.truth.origin == origin
    ]
    clips = [
        replace(clip, tables=_before_lens(clip.tables, settings))
        for clip in material.labelled
        if clip.origin == origin
    ]
    labelled = labelled_result(origin, clips, settings.buckets) if clips else None
    if labelled is not None and not videos:
        return section_of_labels(origin, labelled)
    return section_of(gather(origin, videos), settings.buckets, labelled)


def _before_lens(tables: Mapping[str, pl.DataFrame], settings: Settings) -> dict[str, pl.DataFrame]:
    """The tables of a video with bins in the frame in which truth is told."""
    buckets, landmarks = tables["face_buckets"], tables["face_landmarks"]
    return {**tables, "face_buckets": binned_before_lens(buckets, landmarks, settings.buckets)}


def _check(previous: Mapping[str, Any]) -> None:
    """Before anything is measured, which takes a while."""
    try:
        figures_of(previous)
    except ValueError as error:
        raise EvaluationError(str(error)) from error


def _all(manifests: Iterable[Manifest], key: str) -> tuple[str, ...]:
    return tuple(sorted({str(manifest[key]) for manifest in manifests if key in manifest}))


def _models(manifests: Iterable[Manifest]) -> tuple[dict[str, str], ...]:
    named = {
        (model["role"], model["name"], model["sha256"] or "")
        for manifest in manifests
        for model in manifest.get("models", ())
    }
    return tuple({"role": r, "name": n, "sha256": s} for r, n, s in sorted(named))


def read_previous(path: Path) -> dict[str, Any]:
    """An earlier report.

    Raises:
        EvaluationError: the file is no JSON object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise EvaluationError(f"{path.name} is no evaluation report: {error}.") from error
    if not isinstance(value, dict):
        raise EvaluationError(f"{path.name} is no evaluation report.")
    return value


def write_report(report: Report, folder: Path) -> Path:
    """Writes `report.json` and `index.html`, each whole or not at all; returns the page."""
    atomic.write_json(folder / REPORT, report.as_json())
    page = folder / PAGE
    atomic.write_bytes(page, render_evaluation_page(report).encode())
    return page
