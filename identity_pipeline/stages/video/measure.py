"""What is measured on stored crops: quality, embeddings, landmarks, vision embeddings."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from identity_pipeline.core.faces.brows import brow_height
from identity_pipeline.core.faces.expression import expression_ratios, relative_to_neutral
from identity_pipeline.core.faces.eyes import measure_eyes
from identity_pipeline.core.faces.frontal import frontal_mesh
from identity_pipeline.core.faces.gates import apply_gates
from identity_pipeline.core.faces.mesh import MeshFace, landmarks_68
from identity_pipeline.core.faces.mesh_expression import mesh_expression
from identity_pipeline.core.faces.mesh_pose import with_own_level
from identity_pipeline.core.faces.mouth import dark_of_mouth, measure_mouth
from identity_pipeline.core.faces.occlusion import CELL_COLUMNS, with_occlusion
from identity_pipeline.core.faces.pose import pose_from_landmarks_3d
from identity_pipeline.core.faces.quality import (
    luma_of,
    measure_pixels,
    quality_score,
    surround_luma,
)
from identity_pipeline.core.geometry import FrameSize, size_of, smooth_boxes
from identity_pipeline.core.imagesets.candidates import box_of
from identity_pipeline.core.imagesets.novelty import look_of
from identity_pipeline.core.vectors import Matrix, to_series
from identity_pipeline.media.crops import ImageBGR, Region, body_view, decode_image, face_view
from identity_pipeline.models.face_cover import FaceCover
from identity_pipeline.models.face_mesh import SOURCE as MESH
from identity_pipeline.models.face_mesh import FaceMesh
from identity_pipeline.models.face_pack import FacePack
from identity_pipeline.models.head_pose import pose_from_points
from identity_pipeline.models.vision_encoder import VisionEncoder
from identity_pipeline.settings import Settings
from identity_pipeline.stages.progress.chunked import by_chunks
from identity_pipeline.stages.progress.protocol import Progress, silent
from identity_pipeline.stages.video.covers import with_covers
from identity_pipeline.stages.video.overlap import in_order
from identity_pipeline.stages.video.poses import mesh_pose_columns
from identity_pipeline.storage.video.chunks import ChunkStore
from identity_pipeline.storage.video.crop_archive import CropArchive
from identity_pipeline.tables import TABLES, VECTOR

T = TypeVar("T")


@dataclass(frozen=True)
class Nets:
    """The networks that read a face.

    Attributes:
        pack: gives the landmarks where there is no mesh.
        mesh: face mesh and iris; None where the settings want none.
        cover: what is before the face; None leaves it unmeasured. It needs the mesh.
    """

    pack: FacePack
    mesh: FaceMesh | None = None
    cover: FaceCover | None = None


def _batches(items: Iterator[T], size: int) -> Iterator[list[T]]:
    while batch := list(islice(items, size)):
        yield batch


def _overlapped(
    items: Iterator[T], size: int, work: Callable[[list[T]], pl.DataFrame], pack: FacePack
) -> Generator[pl.DataFrame, None, None]:
    """The table of each batch of items, in their order, while others are worked on."""

    def one_by_one(batches: list[list[T]]) -> list[pl.DataFrame]:
        return list(map(work, batches))

    return in_order(_batches(items, size), one_by_one, batch=1, threads=pack.threads)


REGION = ("region_jpeg", "region_x", "region_y", "region_scale")


def _region(row: Mapping[str, Any]) -> Region:
    image = decode_image(row["region_jpeg"])
    return Region(image, *(float(row[name]) for name in REGION[1:]))


def measure_quality(
    detections: pl.DataFrame,
    archive: CropArchive,
    frame_size: FrameSize,
    settings: Settings,
    progress: Progress = silent,
) -> pl.DataFrame:
    """The table `face_quality`, for every face. Occlusion is null here: see `measure_landmarks`.

    Args:
        detections: table `face_detections`.
        archive: the crops of the same faces.
        frame_size: (width, height), of all frames or of each.
        settings: gates.
        progress: called per face.
    """
    by_id = {row["face_id"]: row for row in detections.iter_rows(named=True)}
    rows = []
    for n, (face_id, aligned) in enumerate(archive.aligned(None), 1):
        face = by_id[face_id]
        box = box_of(face)
        width, height = size_of(frame_size, face["frame_idx"])
        pixels = measure_pixels(aligned)
        rows.append(
            {
                "face_id": face_id,
                "frame_idx": face["frame_idx"],
                **pixels._asdict(),
                "face_px": box.longer_side,
                "area_share": box.area / (width * height),
                "outside_share": box.outside_share(width, height),
                "score": face["score"],
                "occlusion": None,
                "relative_sharpness": None,
                "quality_score": quality_score(pixels, box.longer_side, None),
            }
        )
        progress("face_quality", n, detections.height, "faces")
    schema = {c: t for c, t in TABLES["face_quality"].items() if c not in _VERDICTS}
    return apply_gates(pl.DataFrame(rows, schema=schema), settings.quality)


_VERDICTS = ("strict", "loose", "strict_fails", "loose_fails", "unmeasured")


def embed_faces(
    wanted: pl.DataFrame,
    archive: CropArchive,
    pack: FacePack,
    settings: Settings,
    progress: Progress = silent,
    chunks: ChunkStore | None = None,
    asset: str = "face_embeddings",
) -> pl.DataFrame:
    """The table `face_embeddings`, or another one of the same columns.

    Args:
        wanted: face_id, frame_idx and because of the faces, in the order of the rows.
        archive: the crops of the same video.
        pack: recogniser.
        settings: batch and chunk size.
        progress: called per batch.
        chunks: what an earlier run has done of it; None keeps nothing.
        asset: which table.
    """

    def embedding(batch: list[tuple[str, ImageBGR]]) -> pl.DataFrame:
        vectors = pack.embed([image for _, image in batch])
        ids = pl.DataFrame({"face_id": [face_id for face_id, _ in batch]})
        return ids.with_columns(to_series("e_id", vectors))

    def embed(face_ids: list[str]) -> Generator[pl.DataFrame, None, None]:
        crops = archive.aligned(face_ids)
        return _overlapped(crops, settings.models.recognition_batch, embedding, pack)

    embedded = by_chunks(
        wanted["face_id"].to_list(),
        embed,
        {"face_id": pl.String, "e_id": VECTOR},
        settings.crops.chunk_faces,
        chunks,
        lambda done: progress(asset, done, wanted.height, "faces"),
    ).with_columns(space=pl.lit(pack.space.key))
    return wanted.join(embedded, on="face_id", how="inner", maintain_order="left").select(
        TABLES[asset].keys()
    )


def faces_of_moments(moments: pl.DataFrame, witnesses: pl.DataFrame) -> pl.DataFrame:
    """The faces that `embed_faces` takes for the table `moment_embeddings`.

    Args:
        moments: table `moments`; all of its faces are usable.
        witnesses: table `face_embeddings`: what is embedded already.
    """
    listed = moments.filter(pl.col("shortlisted")).sort("frame_idx", "face_id")
    return listed.join(witnesses, on="face_id", how="anti", maintain_order="left").select(
        "face_id", "frame_idx", because=pl.lit("usable")
    )


def smoothed_boxes(
    faces: pl.DataFrame, detections: pl.DataFrame, settings: Settings
) -> pl.DataFrame:
    """Adds timestamp, raw and smoothed boxes to riders' faces; smoothing runs per track.

    Args:
        faces: result of `riders.rider_faces`.
        detections: table `face_detections`.
        settings: smoothing.
    """
    located = faces.join(
        detections.select("face_id", "timestamp_ms", "x1", "y1", "x2", "y2", r"^kp.*$"),
        on="face_id",
    ).sort("person_id", "track_id", "frame_idx", "face_id")
    columns = ("x1", "y1", "x2", "y2")
    parts = [
        smooth_boxes(
            track.select(columns).to_numpy(),
            track["timestamp_ms"].to_numpy(),
            alpha=settings.crops.ema_alpha,
            gap_ms=settings.crops.ema_gap_s * 1000,
        )
        for _, track in located.group_by("track_id", maintain_order=True)
    ]
    smooth = np.concatenate(parts) if parts else np.zeros((0, 4))
    return located.with_columns(
        pl.Series(f"smooth_{name}", smooth[:, i], dtype=pl.Float32)
        for i, name in enumerate(columns)
    )


def measure_landmarks(
    faces: pl.DataFrame,
    archive: CropArchive,
    nets: Nets,
    quality: pl.DataFrame,
    settings: Settings,
    progress: Progress = silent,
    chunks: ChunkStore | None = None,
) -> pl.DataFrame:
    """The table `face_landmarks`, for the riders' usable faces.

    Args:
        faces: result of `smoothed_boxes`, usable faces only.
        archive: the crops of the same video.
        nets: what finds the landmarks; without a mesh and a landmark model the 5 key points of
            the detector are used.
        quality: table `face_quality`.
        settings: batch and chunk sizes and the limits of expressions.
        progress: called per batch.
        chunks: what an earlier run has done of it; None keeps nothing.
    """
    by_id = {row["face_id"]: row for row in faces.iter_rows(named=True)}
    schema = {c: t for c, t in TABLES["face_landmarks"].items() if c != "relative_sharpness"}
    schema |= CELL_COLUMNS

    def measure_batch(batch: list[dict[str, Any]]) -> pl.DataFrame:
        batch_faces = [by_id[row["face_id"]] for row in batch]
        rows = _landmark_rows(nets, list(map(_region, batch)), batch_faces)
        return pl.DataFrame(rows, schema=schema)

    def measure(face_ids: list[str]) -> Generator[pl.DataFrame, None, None]:
        stored = archive.rows(face_ids, REGION)
        return _overlapped(stored, settings.models.recognition_batch, measure_batch, nets.pack)

    table = by_chunks(
        list(by_id),
        measure,
        schema,
        settings.crops.chunk_faces,
        chunks,
        lambda done: progress("face_landmarks", done, faces.height, "faces"),
    )
    measured = table.join(
        quality.select("face_id", "strict", "sharpness"), on="face_id", how="left"
    )
    # The usual sharpness of a face is its owner's, not a constant: faces differ in texture.
    usual = pl.col("sharpness").median().over("person_id")
    measured = measured.with_columns(relative_sharpness=pl.col("sharpness") / usual)
    measured = with_own_level(measured, settings.buckets)
    told = mesh_expression if nets.mesh is not None else relative_to_neutral
    measured = told(measured, settings.buckets)
    return (
        with_occlusion(measured)
        .select(TABLES["face_landmarks"].keys())
        .sort("frame_idx", "face_id")
    )


def _key_points(face: Mapping[str, Any]) -> NDArray[np.float64]:
    """(5, 2) key points of the detector, px of the source."""
    return np.array([[face[f"kp{i}_x"], face[f"kp{i}_y"]] for i in range(5)], dtype=np.float64)


def _found(
    nets: Nets, regions: Sequence[Region], faces: Sequence[dict[str, Any]]
) -> tuple[str, list[NDArray[np.float32]], Sequence[MeshFace | None]]:
    """What found the landmarks, the landmarks of each face, and its mesh where there is one."""
    boxes = [box_of(face) for face in faces]
    if nets.mesh is not None:
        meshes = nets.mesh.read(regions, boxes, [_key_points(face) for face in faces])
        return MESH, [landmarks_68(mesh.points) for mesh in meshes], meshes
    if nets.pack.landmark_task is not None:
        points = list(nets.pack.landmarks(regions, boxes))
        return nets.pack.landmark_task, points, [None] * len(faces)
    return (
        "key_points_5",
        [_key_points(face).astype(np.float32) for face in faces],
        [None] * len(faces),
    )


def _landmark_rows(
    nets: Nets, regions: Sequence[Region], faces: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    source, points, meshes = _found(nets, regions, faces)
    rows = [
        _landmark_row(face, found, source, nets.pack)
        for face, found in zip(faces, points, strict=True)
    ]
    lumas = [luma_of(region.bgr) for region in regions]
    rows = [
        row if mesh is None else row | mesh_pose_columns(mesh) | _of_mesh(mesh, region, luma)
        for row, mesh, region, luma in zip(rows, meshes, regions, lumas, strict=True)
    ]
    around = [
        {"surround_luma": surround_luma(luma, region.to_region(box_of(face)))}
        for face, region, luma in zip(faces, regions, lumas, strict=True)
    ]
    rows = [row | light for row, light in zip(rows, around, strict=True)]
    return with_covers(nets.cover, rows, regions, meshes)


def _landmark_row(
    face: dict[str, Any], landmarks: NDArray[np.float32], source: str, pack: FacePack
) -> dict[str, Any]:
    """What the landmarks tell; columns that are not named stay null."""
    ratios = expression_ratios(landmarks, source)
    copied = (
        "face_id",
        "frame_idx",
        "person_id",
        *(f"smooth_{c}" for c in ("x1", "y1", "x2", "y2")),
    )
    return {
        **{name: face[name] for name in copied},
        "landmark_source": source,
        "landmarks": landmarks.ravel().tolist(),
        **({} if source == MESH else _pose_columns(face, landmarks, source, pack)),
        **(ratios._asdict() if ratios else {}),
        "eyes_source": source if ratios else None,
        "expression_source": source if ratios else None,
    }


def _of_mesh(mesh: MeshFace, region: Region, luma: NDArray[np.float32]) -> dict[str, Any]:
    """What a mesh tells of eyes, brows and mouth; `luma` is the region's."""
    front = frontal_mesh(mesh.points)
    mouth = measure_mouth(mesh.points, front)
    here = (mesh.points[:, :2] - [region.x, region.y]) * region.scale
    eyes = {} if mesh.eyes is None else measure_eyes(mesh.eyes)._asdict()
    return {
        **mouth._asdict(),
        "mouth_dark": dark_of_mouth(luma, here),
        "brow_height": brow_height(front),
        **eyes,
        "eyes_source": "iris" if eyes else MESH,
        "expression_source": MESH,
        **dict.fromkeys(("eye_open", "mouth_open", "smile")),
    }


def _pose_columns(
    face: dict[str, Any], landmarks: NDArray[np.float32], source: str, pack: FacePack
) -> dict[str, Any]:
    pose_source, pose, error = _pose(face, landmarks, source, pack)
    angles = dict(zip(("yaw", "pitch", "roll"), pose, strict=True))
    return {"pose_source": pose_source, **angles, "pose_error": error}


def _pose(
    face: dict[str, Any], landmarks: NDArray[np.float32], source: str, pack: FacePack
) -> tuple[str, Sequence[float | None], float | None]:
    """Source, angles and error; all unmeasured for points that no head can have."""
    template = pack.mean_shape_3d
    box = box_of(face)
    try:
        if source == "landmark_3d_68" and template is not None:
            pose, residual = pose_from_landmarks_3d(template, landmarks)
            return source, pose, residual
        if source == "landmark_2d_68":
            found = pose_from_points(landmarks, box)
            return "pnp_68", found.pose, found.error
        found = pose_from_points(_key_points(face), box)
    except ValueError:
        return "none", (None, None, None), None
    return "pnp_5", found.pose, found.error


def embed_views(
    faces: pl.DataFrame,
    archive: CropArchive,
    encoder: VisionEncoder,
    body_encoder: VisionEncoder,
    settings: Settings,
    progress: Progress = silent,
    chunks: ChunkStore | None = None,
) -> pl.DataFrame:
    """The table `vision_embeddings`: face and upper body of each wanted face.

    Args:
        faces: face_id, frame_idx, person_id and the smoothed box of the wanted faces.
        archive: the crops of the same video.
        encoder: of the face.
        body_encoder: of the upper body; the same one sees both in one batch.
        settings: batch, chunk and crop sizes.
        progress: called per batch.
        chunks: what an earlier run has done of it; None keeps nothing.
    """
    by_id = {row["face_id"]: row for row in faces.iter_rows(named=True)}
    half = max(1, settings.models.vision_batch // 2)

    def embed(face_ids: list[str]) -> Generator[pl.DataFrame, None, None]:
        for batch in _batches(archive.rows(face_ids, REGION), half):
            ids = [row["face_id"] for row in batch]
            regions = list(map(_region, batch))
            faces_seen, bodies = (
                [
                    cutter(region, box_of(by_id[i], "smooth_"), settings.crops)
                    for i, region in zip(ids, regions, strict=True)
                ]
                for cutter in (face_view, body_view)
            )
            e_face, e_body = _embed_both(encoder, body_encoder, faces_seen, bodies)
            yield pl.DataFrame({"face_id": ids}).with_columns(
                to_series("e_vis_face", e_face), to_series("e_vis_body", e_body)
            )

    embedded = by_chunks(
        list(by_id),
        embed,
        {"face_id": pl.String, "e_vis_face": VECTOR, "e_vis_body": VECTOR},
        settings.crops.chunk_faces,
        chunks,
        lambda done: progress("vision_embeddings", done, faces.height, "faces"),
    )
    looks = {face_id: look_of(luma_of(image)) for face_id, image in archive.aligned(list(by_id))}
    ids = embedded["face_id"].to_list()
    look = np.stack([looks[face_id] for face_id in ids]) if ids else np.zeros((0, 1))
    embedded = embedded.with_columns(
        to_series("look", look),
        space=pl.lit(encoder.space.key if ids else ""),
        body_space=pl.lit(body_encoder.space.key if ids else ""),
    )
    return (
        faces.join(embedded, on="face_id", how="inner")
        .select(TABLES["vision_embeddings"].keys())
        .sort("frame_idx", "face_id")
    )


def _embed_both(
    encoder: VisionEncoder,
    body_encoder: VisionEncoder,
    faces: Sequence[ImageBGR],
    bodies: Sequence[ImageBGR],
) -> tuple[Matrix, Matrix]:
    """Vectors (N, D) of face crops and (N, E) of body crops, each in its encoder's space."""
    if body_encoder is encoder:
        vectors = encoder.embed([*faces, *bodies])
        return vectors[: len(faces)], vectors[len(faces) :]
    return _never_alone(encoder, faces), _never_alone(body_encoder, bodies)


def _never_alone(encoder: VisionEncoder, crops: Sequence[ImageBGR]) -> Matrix:
    """Vectors of crops; a single one goes twice, as torch sums one by the number of its threads."""
    shown = [*crops, *crops] if len(crops) == 1 else crops
    return encoder.embed(shown)[: len(crops)]
