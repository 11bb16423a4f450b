"""The one pass over the pixels: decode, measure frames, detect, track, store crops.

The pass is cut into chunks, which a stopped run takes up again. A chunk ends behind a frame, after
so many frames or faces, whether or not a run was stopped there: the same video gives the same
chunks, and the crops of a chunk are a part of the archive. On taking up, the decoder runs through
what is done without looking at it, which is exact in every container; seeking is not. Tracklets
are made at the end, from the boxes of all frames: the tracker's state need not be kept.

One thread decodes, notes and writes, while others look at a few frames at a time. What a frame is
compared with, and where a chunk ends, is decided in the order of the video: rows, crops and chunks
do not depend on the threads.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.geometry import Box, region_box
from identity_pipeline.core.privacy.redaction import Redaction, lie_on
from identity_pipeline.core.video.copies import frame_hash
from identity_pipeline.core.video.frames import laplacian_variance, measure_light, scene_correlation
from identity_pipeline.core.video.highlights import Emphasis
from identity_pipeline.media.crops import ALIGNED_PX, align, cut_region, encode_jpeg
from identity_pipeline.media.luma import THUMBNAIL, frame_luma, histogram, thumbnail
from identity_pipeline.media.painting import painted
from identity_pipeline.media.video import ImageBGR, SampledFrame, sampled_frames
from identity_pipeline.models.face_pack import Detections, FacePack
from identity_pipeline.models.tracklets import tracklets_of
from identity_pipeline.settings import CropSettings, Settings
from identity_pipeline.stages.progress.protocol import Progress, silent
from identity_pipeline.stages.video.overlap import in_order
from identity_pipeline.storage.video.chunks import ChunkStore
from identity_pipeline.storage.video.crop_archive import write_part
from identity_pipeline.tables import TABLES

UNTRACKED = {c: t for c, t in TABLES["face_detections"].items() if c != "tracklet_id"}
UNRATED = {c: t for c, t in TABLES["frames"].items() if c != "sampling_fps"}
NOTHING_HIDDEN = Redaction()
FRAMES, FACES, CROPS, STATE = "frames.parquet", "faces.parquet", "crops.parquet", "state.json"


@dataclass
class DetectionPass:
    """What one pass found: two tables, and the files of the crops in the order of the video."""

    frames: pl.DataFrame
    face_detections: pl.DataFrame
    crop_parts: list[Path]


@dataclass
class _Chunk:
    """What a chunk holds so far; at first the thumbnail is of the last frame before it."""

    thumbnail: NDArray[np.uint8] | None
    frames: list[dict[str, object]] = field(default_factory=list)
    faces: list[dict[str, object]] = field(default_factory=list)
    crops: list[dict[str, object]] = field(default_factory=list)

    def take(self, seen: _Seen, cut_below: float) -> None:
        """Adds the next frame; a scene is cut where it resembles the one before less than that."""
        alike = (
            None if self.thumbnail is None else scene_correlation(self.thumbnail, seen.thumbnail)
        )
        told = {"scene_correlation": alike, "scene_cut": alike is not None and alike < cut_below}
        self.thumbnail = seen.thumbnail
        self.frames.append(seen.row | told)
        self.faces += seen.faces
        self.crops += seen.crops

    def is_full(self, settings: CropSettings) -> bool:
        """Whether the chunk ends behind its last frame."""
        return len(self.frames) >= settings.chunk_frames or len(self.faces) >= settings.chunk_faces

    def write(self, folder: Path, last: bool) -> None:
        """Writes its files."""
        pl.DataFrame(self.frames, schema=UNRATED).write_parquet(folder / FRAMES)
        pl.DataFrame(self.faces, schema=UNTRACKED).write_parquet(folder / FACES)
        if self.crops:
            write_part(folder / CROPS, self.crops)
        pixels = (
            None if self.thumbnail is None else base64.b64encode(self.thumbnail.tobytes()).decode()
        )
        (folder / STATE).write_text(
            json.dumps({"last": last, "thumbnail": pixels}), encoding="utf-8"
        )


@dataclass(frozen=True)
class _Seen:
    """What one frame shows, without its pixels.

    Attributes:
        row: of the table `frames`, but for what the frame before it tells.
        thumbnail: (18, 32) luma.
        faces: rows of `UNTRACKED`.
        crops: rows of an archive, of the same faces.
    """

    row: dict[str, object]
    thumbnail: NDArray[np.uint8]
    faces: list[dict[str, object]]
    crops: list[dict[str, object]]


@dataclass(frozen=True)
class _Looking:
    """How frames are looked at: with what, and which faces must not be. Many threads may."""

    pack: FacePack
    settings: Settings
    redaction: Redaction

    def at(self, frames: Sequence[SampledFrame]) -> list[_Seen]:
        """What each frame shows, whatever the others are."""
        found = self.pack.detect_many([frame.bgr for frame in frames])
        return list(map(self._seen, frames, found))

    def _seen(self, frame: SampledFrame, found: Detections) -> _Seen:
        """Faces of the forgotten are neither kept nor shown."""
        luma = frame_luma(frame.bgr)
        small = thumbnail(luma)
        hidden = self.redaction.at(frame.frame_idx)
        faces, crops = found_faces(
            frame.frame_idx,
            frame.timestamp_ms,
            painted(frame.bgr, hidden),
            found,
            self.settings.crops,
            ~lie_on(found.boxes, hidden),
        )
        row = {
            "frame_idx": frame.frame_idx,
            "pts": frame.pts,
            "timestamp_ms": frame.timestamp_ms,
            **_measures(luma),
            "look_hash": frame_hash(small),
            "decode_error": frame.decode_error,
            "face_count": len(faces),
        }
        return _Seen(row, small, faces, crops)


def detect_video(
    path: Path,
    chunks: ChunkStore,
    pack: FacePack,
    settings: Settings,
    expected_frames: int | None,
    progress: Progress = silent,
    emphasis: Emphasis | None = None,
    redaction: Redaction = NOTHING_HIDDEN,
) -> DetectionPass:
    """Decodes a video once and makes the tables `frames` and `face_detections` and the crops.

    Args:
        path: the video.
        chunks: what an earlier run has done of it, and where this one keeps what it does.
        pack: detector.
        settings: sampling, tracking and crop settings.
        expected_frames: how many sampled frames to expect, for the progress; None if unknown.
        progress: called after each sampled frame.
        emphasis: the video's highlights, where more frames are sampled.
        redaction: faces of the forgotten, of which nothing is kept.

    Raises:
        VideoError: the video cannot be read.
    """
    places = list(chunks.finished())
    state = json.loads((places[-1] / STATE).read_text(encoding="utf-8")) if places else {}
    if not state.get("last"):
        coming = partial(sampled_frames, path, settings.video, emphasis=emphasis)
        looking = _Looking(pack, settings, redaction)
        _detect_on(coming, chunks, places, state, looking, expected_frames, progress)
    frames = with_rates(_joined(places, FRAMES), settings.video.analysis_fps, emphasis)
    faces = _joined(places, FACES)
    tracklets = tracklets_of(
        frames,
        faces,
        settings.tracking,
        settings.video.analysis_fps or 30.0,
        settings.models.det_score_min,
    )
    return DetectionPass(
        frames,
        faces.with_columns(tracklet_id=pl.Series(tracklets, dtype=pl.Int64)),
        [place / CROPS for place in places if (place / CROPS).is_file()],
    )


def with_rates(frames: pl.DataFrame, fps: float, emphasis: Emphasis | None) -> pl.DataFrame:
    """Sampled frames with the rate that held at each; null where one rate holds throughout."""
    rates: list[float | None] = [None] * frames.height
    if emphasis is not None and fps:
        elapsed = frames["timestamp_ms"] - frames["timestamp_ms"][0]
        rates = [fps * emphasis.times(at) for at in elapsed.to_list()]
    return frames.with_columns(sampling_fps=pl.Series(rates, dtype=pl.Float32))


def _detect_on(
    coming: Callable[..., Iterator[SampledFrame]],
    chunks: ChunkStore,
    places: list[Path],
    state: dict[str, str | None],
    looking: _Looking,
    expected_frames: int | None,
    progress: Progress,
) -> None:
    """Goes on behind the finished chunks to the end of the video; adds the new ones to `places`."""
    done = _joined(places, FRAMES).height if places else 0
    progress("watch", done, expected_frames, "frames")
    chunk = _Chunk(_pixels(state.get("thumbnail")))
    settings = looking.settings
    overlapped = in_order(
        coming(skip=done),
        looking.at,
        batch=looking.pack.detection_batch,
        threads=looking.pack.threads,
    )
    with closing(overlapped):
        for seen in overlapped:
            chunk.take(seen, settings.video.scene_cut_correlation)
            done += 1
            progress("watch", done, expected_frames, "frames")
            if chunk.is_full(settings.crops):
                places.append(_keep(chunks, len(places), chunk, last=False))
                chunk = _Chunk(chunk.thumbnail)
    places.append(_keep(chunks, len(places), chunk, last=True))


def _keep(chunks: ChunkStore, number: int, chunk: _Chunk, *, last: bool) -> Path:
    return chunks.put(number, lambda folder: chunk.write(folder, last))


def _joined(places: Sequence[Path], name: str) -> pl.DataFrame:
    return pl.concat(pl.read_parquet(place / name, glob=False) for place in places)


def _pixels(encoded: str | None) -> NDArray[np.uint8] | None:
    if encoded is None:
        return None
    return np.frombuffer(base64.b64decode(encoded), np.uint8).reshape(THUMBNAIL[::-1])


def _measures(luma: NDArray[np.uint8]) -> dict[str, float]:
    light = measure_light(histogram(luma))
    return {
        "luma_mean": light.mean,
        "luma_p05": light.p05,
        "luma_p50": light.p50,
        "luma_p95": light.p95,
        "clipped_share": light.clipped_share,
        "crushed_share": light.crushed_share,
        "sharpness": laplacian_variance(luma),
    }


def found_faces(
    frame_idx: int,
    timestamp_ms: float,
    bgr: ImageBGR,
    found: Detections,
    crops: CropSettings,
    shown: NDArray[np.bool_] | None = None,
) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """The faces of a frame, by the columns of `UNTRACKED`, and their crops, by those of an archive.

    Args:
        frame_idx: of the frame.
        timestamp_ms: of the frame.
        bgr: its (H, W, 3) pixels.
        found: its faces from left to right.
        crops: what is cut.
        shown: which of the faces may be looked at; all when None. The others keep their number.
    """
    height, width = bgr.shape[:2]
    faces: list[dict[str, object]] = []
    cut: list[dict[str, object]] = []
    for n, (corners, score, points) in enumerate(
        zip(found.boxes, found.scores, found.key_points, strict=True)
    ):
        if shown is not None and not shown[n]:
            continue
        face_id = f"{frame_idx:06d}-{n}"
        box = Box(*(float(v) for v in corners))
        faces.append(
            {
                "face_id": face_id,
                "frame_idx": frame_idx,
                "timestamp_ms": timestamp_ms,
                **box._asdict(),
                "score": float(score),
                **{f"kp{i}_{a}": float(points[i][j]) for i in range(5) for j, a in enumerate("xy")},
            }
        )
        where = region_box(box, width, height, widths=crops.body_widths, heights=crops.body_heights)
        region = cut_region(bgr, where, box, crops)
        cut.append(
            {
                "face_id": face_id,
                "aligned": _aligned(bgr, points).tobytes(),
                "region_jpeg": encode_jpeg(region.bgr, crops.region_jpeg_quality),
                "region_x": region.x,
                "region_y": region.y,
                "region_scale": region.scale,
            }
        )
    return faces, cut


def _aligned(frame: ImageBGR, points: NDArray[np.floating]) -> ImageBGR:
    """The aligned crop; black, and so refused by every gate, for points that cannot be aligned."""
    try:
        return align(frame, points)
    except ValueError:
        return np.zeros((ALIGNED_PX, ALIGNED_PX, 3), dtype=np.uint8)
