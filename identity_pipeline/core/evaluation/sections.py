"""All figures of the clips of one origin, put together."""

from __future__ import annotations

from dataclasses import replace

from identity_pipeline.core.evaluation.attributes import (
    bin_figures,
    landmark_figure,
    measure_figures,
    pose_errors_by_yaw,
    pose_figures,
    rider_faces,
)
from identity_pipeline.core.evaluation.detection import detection_figures
from identity_pipeline.core.evaluation.evidence import Evidence
from identity_pipeline.core.evaluation.exports import (
    coverage_figures,
    coverage_rows,
    export_figures,
)
from identity_pipeline.core.evaluation.labelled import LabelledResult, with_labels
from identity_pipeline.core.evaluation.recognition import recognition_figures
from identity_pipeline.core.evaluation.report import Section, VideoRow
from identity_pipeline.core.evaluation.riders import rider_figures
from identity_pipeline.core.evaluation.tracking import tracking_figures
from identity_pipeline.core.evaluation.vision import vision_figures
from identity_pipeline.settings import BucketSettings

PER_VIDEO = (
    "detection.recall", "detection.precision", "detection.seats", "tracking.idf1",
    "tracking.switches", "riders.recall", "riders.precision", "pose.yaw_mae", "pose.pitch_mae",
    "bins.expression", "bins.lighting", "exports.wrong",
)  # fmt: skip
"""Figures that are also given for each video."""


def section_of(
    evidence: Evidence, settings: BucketSettings, labelled: LabelledResult | None = None
) -> Section:
    """Measures everything that the truth of these clips allows.

    Args:
        evidence: of one origin.
        settings: bins.
        labelled: what labels of single faces say of clips of the same origin.
    """
    section = _section_of_truth(evidence, settings)
    if labelled is None:
        return section
    told = {matrix.name for matrix in section.confusions}
    more = tuple(matrix for matrix in labelled.confusions if matrix.name not in told)
    return replace(
        section,
        figures=with_labels(section.figures, labelled),
        people=labelled.people,
        confusions=(*section.confusions, *more),
    )


def section_of_labels(origin: str, labelled: LabelledResult) -> Section:
    """The section of clips of which only single faces are labelled."""
    return Section(
        origin,
        labelled.scope,
        with_labels((), labelled),
        confusions=labelled.confusions,
        people=labelled.people,
    )


def _section_of_truth(evidence: Evidence, settings: BucketSettings) -> Section:
    scope = evidence.scope
    faces = rider_faces(evidence, settings)
    bins, confusions = bin_figures(faces, scope, settings)
    coverage = coverage_rows(evidence, settings)
    recognition, rocs = recognition_figures(evidence)
    return Section(
        origin=evidence.origin,
        scope=scope,
        figures=(
            *detection_figures(evidence),
            *tracking_figures(evidence),
            *rider_figures(evidence),
            *pose_figures(faces, scope),
            landmark_figure(faces, scope),
            *bins,
            *measure_figures(faces, scope),
            *recognition,
            *export_figures(evidence),
            *coverage_figures(coverage, scope),
            *vision_figures(faces, scope),
        ),
        videos=tuple(_video_row(evidence, video, settings) for video in evidence.truths),
        confusions=tuple(confusions),
        rocs=tuple(rocs),
        pose_errors=tuple(pose_errors_by_yaw(faces)),
        coverage=tuple(coverage),
    )


def _video_row(evidence: Evidence, video: str, settings: BucketSettings) -> VideoRow:
    alone = evidence.only([video])
    truth = evidence.truths[video]
    faces = rider_faces(alone, settings)
    scope = alone.scope
    found = (
        *detection_figures(alone),
        *tracking_figures(alone),
        *rider_figures(alone),
        *pose_figures(faces, scope),
        *bin_figures(faces, scope, settings)[0],
        *export_figures(alone),
    )
    values = {figure.key: figure.value for figure in found}
    return VideoRow(
        video, truth.kind, truth.people, truth.traits, evidence.sampled[video],
        {key: values.get(key) for key in PER_VIDEO},
    )  # fmt: skip
