"""The table `face_embeddings`: the witnesses of every tracklet, embedded in two rounds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.faces.quality import luma_of
from identity_pipeline.core.imagesets.novelty import look_of
from identity_pipeline.core.tracks.witnesses import (
    doubtful_faces,
    first_witnesses,
    sudden_changes,
)
from identity_pipeline.models.face_pack import FacePack
from identity_pipeline.settings import Settings
from identity_pipeline.stages.progress.protocol import Progress, silent
from identity_pipeline.stages.video.measure import embed_faces
from identity_pipeline.storage.video.chunks import ChunkStore
from identity_pipeline.storage.video.crop_archive import CropArchive


def embed_witnesses(
    detections: pl.DataFrame,
    quality: pl.DataFrame,
    archive: CropArchive,
    pack: FacePack,
    settings: Settings,
    progress: Progress = silent,
    chunks: ChunkStore | None = None,
) -> pl.DataFrame:
    """The table `face_embeddings`: see `core.tracks.witnesses` for which faces.

    Args:
        detections: table `face_detections`.
        quality: table `face_quality`.
        archive: the crops of the same video.
        pack: recogniser.
        settings: how far apart witnesses are, from when they agree, and batch sizes.
        progress: called per batch.
        chunks: what an earlier run has done of the first round; None keeps nothing.
    """
    faces = detections.join(
        quality.select("face_id", "loose", "quality_score"), on="face_id", how="inner"
    )
    changes = sudden_changes(faces, _looks(archive, faces), settings.quality.witness_look_min)
    first = first_witnesses(faces, settings.quality.witness_every, changes)
    known = embed_faces(first, archive, pack, settings, progress, chunks)
    more = doubtful_faces(faces, known, settings.tracking.split_cos)
    if more.height:
        known = pl.concat([known, embed_faces(more, archive, pack, settings, progress)])
    return known.sort("frame_idx", "face_id")


def _looks(archive: CropArchive, faces: pl.DataFrame) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """The pixels of each usable face as the likeness of two is measured, in time order."""
    usable = faces.filter("loose")["face_id"].to_list()
    for face_id, aligned in archive.aligned(usable):
        yield face_id, look_of(luma_of(aligned))
