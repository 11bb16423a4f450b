"""A ride without the face of somebody who rode along: what was stored of it, rewritten in place.

The tables and crops of the one pass are written anew without the faces that the redaction hides,
also where the source is gone; what was made of them goes and is made again by the next run. Every
function may be called again where an earlier call was killed.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import polars as pl

from identity_pipeline.core.geometry import (
    ARCFACE_TEMPLATE_112,
    Box,
    similarity_transform,
)
from identity_pipeline.core.privacy.redaction import (
    Redaction,
    lie_on,
    painted_box,
    path_of,
)
from identity_pipeline.media.crops import Region, decode_image, encode_jpeg
from identity_pipeline.media.painting import painted, painted_under
from identity_pipeline.settings import Settings
from identity_pipeline.stages.specs.assets import VIDEO_SPECS, made_of
from identity_pipeline.stages.specs.cache_key import fingerprint
from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.folder.disk import size_of
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.crop_archive import (
    ALIGNED_SHAPE,
    SCHEMA,
    CropArchive,
    part_in,
    write_part,
)
from identity_pipeline.storage.video.outputs import PARTS, TABLE
from identity_pipeline.storage.video.packs import unpack
from identity_pipeline.storage.video.redactions import Redactions, digest_of
from identity_pipeline.storage.video.tables import Manifest, TableStore
from identity_pipeline.tables import BOX, KEY_POINTS

LATER: Final = tuple(key for key in VIDEO_SPECS if "face_detections" in made_of(key))
"""What is made of the faces of a ride, directly or not."""


class FacePlace(Protocol):
    """Where one face is.

    Attributes:
        frame_idx: in the source's decode order.
        box: x1, y1, x2, y2 in pixels of the source.
        track_id: None for a face that is in no track.
    """

    @property
    def frame_idx(self) -> int: ...  # noqa: D102
    @property
    def box(self) -> tuple[float, float, float, float]: ...  # noqa: D102
    @property
    def track_id(self) -> int | None: ...  # noqa: D102


@dataclass(frozen=True)
class Redacted:
    """What a ride lost.

    Attributes:
        faces: rows that went, with their crops.
        painted: crops of others that showed a forgotten face, which is painted over in them.
        outputs: tables and exports that were made of them and are made again by a run.
        bytes: of what went.
    """

    faces: int
    painted: int
    outputs: int
    bytes: int


def note_redaction(layout: Layout, video_id: str, faces: Iterable[FacePlace]) -> Redaction:
    """Hides faces of a ride for good; nothing else changes yet.

    Args:
        layout: the data folder.
        video_id: of the ride.
        faces: each of them; those of one track are one path, and one in no track is its own.
    """
    tracks: defaultdict[object, list[tuple[int, tuple[float, float, float, float]]]]
    tracks = defaultdict(list)
    for n, face in enumerate(faces):
        track = ("face", n) if face.track_id is None else ("track", face.track_id)
        tracks[track].append((face.frame_idx, face.box))
    return Redactions(layout).add(video_id, map(path_of, tracks.values()))


def redact_video(store: TableStore, settings: Settings, video_id: str) -> Redacted:
    """Rewrites what is stored of a ride without the faces that its redaction hides.

    Args:
        store: the tables.
        settings: all settings; the quality of crops is read.
        video_id: of the ride.

    Raises:
        DamagedFileError: the redaction, a table or the crops cannot be read.
    """
    redaction = Redactions(store.layout).of(video_id)
    # Of a call that was killed: the crops as they were before.
    atomic.sweep_temporaries(store.layout.root, spare_living=True)
    unpack(store.layout, video_id)  # a damaged pack goes here
    outputs, size = _drop_later(store, video_id)
    if store.noted("face_detections", video_id) is None:
        return Redacted(0, 0, outputs, size)
    faces = store.read("face_detections", video_id)
    shown = faces.filter(_shown(faces, redaction))
    hidden_ids = set(faces["face_id"]) - set(shown["face_id"])
    touched = _rewrite_crops(store, settings, video_id, redaction, shown, hidden_ids)
    frames = store.read("frames", video_id)
    counts = shown.group_by("frame_idx").agg(face_count=pl.len().cast(pl.Int64))
    counted = frames.drop("face_count").join(counts, "frame_idx", "left", maintain_order="left")
    counted = counted.with_columns(pl.col("face_count").fill_null(0)).select(frames.columns)
    for name, table in (("face_detections", shown), ("frames", counted)):
        store.write(name, video_id, table, _stamp(store, name, video_id, redaction))
    return Redacted(len(hidden_ids), touched, outputs, size)


def _shown(faces: pl.DataFrame, redaction: Redaction) -> pl.Series:
    """Which faces may be looked at, as the pass over the ride would say."""
    shown = np.ones(faces.height, dtype=bool)
    boxes = faces.select(*BOX).to_numpy()
    for (frame_idx,), rows in faces.with_row_index("row").group_by("frame_idx"):
        hidden = redaction.at(int(frame_idx))  # type: ignore[arg-type]
        places = rows["row"].to_numpy()
        shown[places] = ~lie_on(boxes[places], hidden)
    return pl.Series("shown", shown)


def _stamp(store: TableStore, asset: str, video_id: str, redaction: Redaction) -> str:
    """The cache key that the output would get by a pass under the redaction."""
    before = store.made_of(asset, video_id) or {}
    parts = {**before, "redaction": digest_of(redaction)}
    if before:  # what was noted of nothing says nothing of the code and models either
        store.note_made_of(asset, video_id, parts)
    return fingerprint(parts)


def _rewrite_crops(
    store: TableStore,
    settings: Settings,
    video_id: str,
    redaction: Redaction,
    shown: pl.DataFrame,
    gone: set[str],
) -> int:
    """Writes the archive without the hidden faces; how many crops of others were painted."""
    archive = CropArchive(store.layout.crops(video_id))
    if not archive.parts:
        return 0
    points = {row["face_id"]: row for row in shown.iter_rows(named=True)}
    touched = 0
    with atomic.new_folder(archive.folder) as folder:
        number = 0
        for part in archive.parts:
            rows = pl.read_parquet(part, memory_map=False, glob=False).iter_rows(named=True)
            kept = []
            for row in rows:
                if row["face_id"] in gone:
                    continue
                new = _painted_row(row, points[row["face_id"]], redaction, settings)
                touched += new is not row
                kept.append({name: new[name] for name in SCHEMA})
            if kept:
                write_part(part_in(folder, number), kept)
                number += 1
    key = _stamp(store, "face_crops", video_id, redaction)
    store.note("face_crops", video_id, Manifest(key, archive.data_version(), archive.count()))
    return touched


def _painted_row(
    row: Mapping[str, object],
    face: Mapping[str, object],
    redaction: Redaction,
    settings: Settings,
) -> Mapping[str, object]:
    """A stored crop in which no forgotten face is seen; the same where none was."""
    hidden = redaction.at(int(str(face["frame_idx"])))
    region = Region(
        decode_image(bytes(row["region_jpeg"])),  # type: ignore[arg-type]
        *(float(str(row[name])) for name in ("region_x", "region_y", "region_scale")),
    )
    height, width = region.bgr.shape[:2]
    seen = [
        box
        for box in map(region.to_region, hidden)
        if painted_box(box).intersection(Box(0, 0, width, height)).area > 0
    ]
    if not seen:
        return row
    pixels = np.frombuffer(bytes(row["aligned"]), dtype=np.uint8)  # type: ignore[arg-type]
    matrix = _alignment(face)
    aligned = pixels.reshape(ALIGNED_SHAPE)
    if matrix is not None:
        aligned = painted_under(aligned, hidden, matrix)
    quality = settings.crops.region_jpeg_quality
    return {
        **row,
        "aligned": aligned.tobytes(),
        "region_jpeg": encode_jpeg(painted(region.bgr, seen), quality),
    }


def _alignment(face: Mapping[str, object]) -> np.ndarray | None:
    """(2, 3), from pixels of the source to those of the aligned crop; None where there is none."""
    points = np.array([float(str(face[name])) for name in KEY_POINTS]).reshape(5, 2)
    try:
        return similarity_transform(points, ARCFACE_TEMPLATE_112)
    except ValueError:
        return None


def _drop_later(store: TableStore, video_id: str) -> tuple[int, int]:
    """Removes what is made of the faces of a ride: how many outputs, and bytes."""
    outputs = size = 0
    for path in _later(store.layout, video_id):
        if path.exists():
            size += size_of(path)
            outputs += 1
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for asset in reversed(LATER):
        for part in PARTS:
            gone = store.outputs.remove(asset, video_id, part)
            size += gone or 0
            outputs += gone is not None and part == TABLE
    return outputs, size


def _later(layout: Layout, video_id: str) -> Iterator[Path]:
    """What is no table. It goes first: a kill in between leaves no list of exports without them."""
    yield layout.output / video_id
    yield layout.desk_pictures(video_id)
    yield layout.set_versions(video_id)
    for step in sorted(layout.chunks("watch", video_id).parent.parent.glob("*")):
        if step.is_dir() and not step.name.startswith("."):
            yield layout.chunks(step.name, video_id)
