"""The one pass over the pixels: decode, measure frames, detect, track, store crops."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.frames import laplacian_variance, measure_light, scene_correlation
from identity_pipeline.core.geometry import Box, region_box
from identity_pipeline.media.crops import ALIGNED_PX, align, cut_region, encode_jpeg
from identity_pipeline.media.luma import frame_luma, thumbnail
from identity_pipeline.media.video import ImageBGR, SampledFrame, sampled_frames
from identity_pipeline.models.face_pack import Detections, FacePack
from identity_pipeline.models.tracklets import TrackletBuilder
from identity_pipeline.schemas import TABLES
from identity_pipeline.settings import Settings
from identity_pipeline.stages.progress import Progress, silent
from identity_pipeline.storage.crop_archive import CropWriter


@dataclass
class Watched:
    """Tables of one pass; the crops are in their folder."""

    frames: pl.DataFrame
    face_detections: pl.DataFrame


@dataclass
class _Pass:
    """What the pass has seen so far: a few numbers per frame and face, never pixels."""

    frames: list[dict[str, object]] = field(default_factory=list)
    faces: list[dict[str, object]] = field(default_factory=list)
    thumbnail: NDArray[np.uint8] | None = None


def watch_video(
    path: Path,
    crop_folder: Path,
    pack: FacePack,
    settings: Settings,
    expected_frames: int | None,
    progress: Progress = silent,
) -> Watched:
    """Decodes a video once and makes the tables `frames` and `face_detections` and the crops.

    Args:
        path: the video.
        crop_folder: an existing empty folder for the crop parts.
        pack: detector.
        settings: sampling, tracking and crop settings.
        expected_frames: how many sampled frames to expect, for the progress; None if unknown.
        progress: called after each sampled frame.

    Raises:
        VideoError: the video cannot be read.
    """
    seen = _Pass()
    writer = CropWriter(crop_folder, settings.crops.chunk_faces)
    tracker = TrackletBuilder(
        settings.tracking, settings.video.analysis_fps or 30.0, settings.models.det_score_min
    )
    for frame in sampled_frames(path, settings.video):
        measures = _measure_frame(frame.bgr, seen, settings)
        detections = pack.detect(frame.bgr)
        if measures["scene_cut"]:
            tracker.cut()
        tracker.add_frame(detections.boxes, detections.scores, frame.timestamp_ms)
        _note_frame(seen, frame, measures, len(detections.boxes))
        _note_faces(seen, frame, detections, writer, settings)
        progress("watch", len(seen.frames), expected_frames, "frames")
    writer.flush()
    faces = pl.DataFrame(
        [
            {**face, "tracklet_id": tracklet}
            for face, tracklet in zip(seen.faces, tracker.finish(), strict=True)
        ],
        schema=TABLES["face_detections"],
    )
    return Watched(pl.DataFrame(seen.frames, schema=TABLES["frames"]), faces)


def _measure_frame(bgr: ImageBGR, seen: _Pass, settings: Settings) -> dict[str, object]:
    luma = frame_luma(bgr)
    light = measure_light(luma)
    small = thumbnail(luma)
    correlation = scene_correlation(seen.thumbnail, small) if seen.thumbnail is not None else None
    seen.thumbnail = small
    return {
        "luma_mean": light.mean,
        "luma_p05": light.p05,
        "luma_p50": light.p50,
        "luma_p95": light.p95,
        "clipped_share": light.clipped_share,
        "crushed_share": light.crushed_share,
        "sharpness": laplacian_variance(luma),
        "scene_correlation": correlation,
        "scene_cut": correlation is not None and correlation < settings.video.scene_cut_correlation,
    }


def _note_frame(
    seen: _Pass, frame: SampledFrame, measures: dict[str, object], face_count: int
) -> None:
    seen.frames.append(
        {
            "frame_idx": frame.frame_idx,
            "pts": frame.pts,
            "timestamp_ms": frame.timestamp_ms,
            **measures,
            "decode_error": frame.decode_error,
            "face_count": face_count,
        }
    )


def _note_faces(
    seen: _Pass, frame: SampledFrame, found: Detections, writer: CropWriter, settings: Settings
) -> None:
    height, width = frame.bgr.shape[:2]
    crops = settings.crops
    for n, (corners, score, points) in enumerate(
        zip(found.boxes, found.scores, found.key_points, strict=True)
    ):
        face_id = f"{frame.frame_idx:06d}-{n}"
        box = Box(*(float(v) for v in corners))
        seen.faces.append(
            {
                "face_id": face_id,
                "frame_idx": frame.frame_idx,
                "timestamp_ms": frame.timestamp_ms,
                **box._asdict(),
                "score": float(score),
                **{f"kp{i}_{a}": float(points[i][j]) for i in range(5) for j, a in enumerate("xy")},
            }
        )
        where = region_box(box, width, height, widths=crops.body_widths, heights=crops.body_heights)
        region = cut_region(frame.bgr, where, box, crops)
        writer.add(
            face_id=face_id,
            aligned=_aligned(frame.bgr, points).tobytes(),
            region_jpeg=encode_jpeg(region.bgr, crops.region_jpeg_quality),
            region_x=region.x,
            region_y=region.y,
            region_scale=region.scale,
        )


def _aligned(frame: ImageBGR, points: NDArray[np.floating]) -> ImageBGR:
    """The aligned crop; black, and so refused by every gate, for points that cannot be aligned."""
    try:
        return align(frame, points)
    except ValueError:
        return np.zeros((ALIGNED_PX, ALIGNED_PX, 3), dtype=np.uint8)
