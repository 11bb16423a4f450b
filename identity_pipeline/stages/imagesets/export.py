"""The exported folder of one video: images re-cut from the source, metadata, sheets, the page.

Images are decoded once more from the source, proved to be what was analysed (`stages.video.proof`),
and cut at native resolution. The folder is written beside its place and renamed into it, whole or
not at all. No clock goes into it: the same sets give the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from identity_pipeline.core.geometry import Box
from identity_pipeline.core.imagesets.candidates import box_of
from identity_pipeline.core.imagesets.image_sets import CROP
from identity_pipeline.core.imagesets.selection import VECTORS
from identity_pipeline.media.clocks import stamps_are_keys
from identity_pipeline.media.crops import ImageBGR, cut_native, encode_jpeg
from identity_pipeline.media.page import ModelFacts
from identity_pipeline.media.seeking import frames_at
from identity_pipeline.media.sheets import SET_ACCENTS, Tile, contact_sheet, thumbnail
from identity_pipeline.settings import Settings
from identity_pipeline.stages.progress.protocol import Progress, silent
from identity_pipeline.stages.specs.exported import LEFT_OUT, TYPES, image_file
from identity_pipeline.stages.video.proof import IDENTICAL, Analysed
from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.layout import inside
from identity_pipeline.tables import TABLES

GATE_VERSION = "v1"
"""Version of the gates' definition, stamped on every image; thresholds are in the settings hash."""

SHEET_COLUMNS, SHEET_TILE_PX, THUMBNAIL_PX, SHEET_QUALITY = 6, 192, 224, 88


@dataclass(frozen=True)
class Provenance:
    """Where an export comes from.

    Attributes:
        video_id: partition key.
        source: the row of `ride_video`.
        models: models used, in the order of the pipeline.
        vision_space: key of the vision encoder's space.
        identity_space: key of the recogniser's space.
        settings_sha256: digest of all settings that shape the sets.
    """

    video_id: str
    source: Mapping[str, Any]
    models: tuple[ModelFacts, ...]
    vision_space: str
    identity_space: str
    settings_sha256: str


@dataclass(frozen=True)
class Exported:
    """One exported image: its rows (two for a pair), its pixels' thumbnail and its place."""

    set_name: str
    file: str
    rows: tuple[Mapping[str, Any], ...]
    thumbnail: ImageBGR
    sha256: str


@dataclass(frozen=True)
class LeftOut:
    """An image that was chosen and is not exported, because its picture could not be proved.

    Attributes:
        set_name: asset of its set.
        file: where it would be.
        rows: its faces.
        code: `frame_not_found` or `other_picture`.
        sentence: why, and what to do.
    """

    set_name: str
    file: str
    rows: tuple[Mapping[str, Any], ...]
    code: str
    sentence: str

    def as_json(self) -> dict[str, Any]:
        """As manifest and metadata tell it."""
        return {
            "file": self.file,
            "type": TYPES[self.set_name],
            "frame_idx": self.rows[0]["frame_idx"],
            "face_ids": [row["face_id"] for row in self.rows],
            "code": self.code,
            "reason": self.sentence,
        }


def planned_images(
    sets: Mapping[str, pl.DataFrame], faces: pl.DataFrame
) -> dict[str, tuple[str, list[dict[str, Any]]]]:
    """Relative file -> (set, rows of its faces from left to right), in a stable order.

    Args:
        sets: the set tables by asset name.
        faces: table `candidates`, for the bins and boxes.
    """
    details = {row["face_id"]: row for row in faces.drop(VECTORS).iter_rows(named=True)}
    images: dict[str, tuple[str, list[dict[str, Any]]]] = {}
    for set_name, table in sets.items():
        for row in table.iter_rows(named=True):
            merged = {**details[row["face_id"]], **row}
            images.setdefault(image_file(set_name, row), (set_name, []))[1].append(merged)
    return images


def write_images(
    folder: Path,
    video: Path,
    images: Mapping[str, tuple[str, list[dict[str, Any]]]],
    frames: pl.DataFrame,
    analysed: Analysed,
    provenance: Provenance,
    settings: Settings,
    progress: Progress = silent,
) -> tuple[list[Exported], list[LeftOut]]:
    """Cuts and writes every image with its metadata, decoding each needed frame once.

    Every frame is compared with what was analysed. One that seeking has found must have the very
    same pixels; else it is looked for by counting, and then must be as alike as
    `export.same_region_min`. An image of which this is not so is not written.

    Raises:
        VideoError: the source cannot be read any more.
    """
    by_frame: dict[int, list[str]] = {}
    for file, (_, rows) in images.items():
        by_frame.setdefault(int(rows[0]["frame_idx"]), []).append(file)
    pts_of = dict(frames.select("frame_idx", "pts").iter_rows())
    done: dict[str, Exported] = {}
    best: dict[str, float] = {}

    def search(*, seekable: bool) -> None:
        wanted = {frame for frame, files in by_frame.items() if not done.keys() >= {*files}}
        enough = IDENTICAL if seekable else settings.export.same_region_min
        places = [(frame, pts_of[frame]) for frame in sorted(wanted)]
        for frame_idx, frame in frames_at(
            video, places, seekable=seekable, settings=settings.video
        ):
            for file in by_frame[frame_idx]:
                set_name, rows = images[file]
                if file in done:
                    continue
                alike = analysed.likeness(frame, rows)
                best[file] = max(alike, best.get(file, -1.0))
                if alike >= enough:
                    exported = _write_image(
                        folder, file, set_name, rows, frame, provenance, settings
                    )
                    done[file] = exported
                    progress("identity_dataset", len(done), len(images), "images")

    if stamps_are_keys(frames["decode_error"]):
        search(seekable=True)
    search(seekable=False)
    left_out = [
        LeftOut(set_name, file, tuple(rows), *_why_not(best.get(file), settings))
        for file, (set_name, rows) in images.items()
        if file not in done
    ]
    return [done[file] for file in images if file in done], left_out


def _why_not(alike: float | None, settings: Settings) -> tuple[str, str]:
    """Code and sentence of why an image is left out."""
    if alike is None:
        return "frame_not_found", (
            "Its frame was not found again in the file; look whether the file was changed or "
            "damaged since it was analysed, and run it again."
        )
    return "other_picture", (
        f"The frame that was decoded again is not the one analysed (likeness {alike:.3f}, "
        f"{settings.export.same_region_min:.3f} wanted); look whether the file was changed or "
        "damaged since it was analysed, and run it again."
    )


def _write_image(
    folder: Path,
    file: str,
    set_name: str,
    rows: list[dict[str, Any]],
    frame: ImageBGR,
    provenance: Provenance,
    settings: Settings,
) -> Exported:
    crop = Box(*(float(rows[0][name]) for name in CROP))
    pixels = cut_native(frame, crop)
    data = encode_jpeg(pixels, settings.export.jpeg_quality)
    path = inside(folder, folder / file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    metas = [image_meta(set_name, row, crop, provenance) for row in rows]
    meta: dict[str, Any] = metas[0] if set_name != "pair_set" else pair_meta(metas, rows)
    meta |= {"file": file, "sha256": sha256, "source_sha256": provenance.source["sha256"]}
    path.with_name(f"{path.stem}_meta.json").write_bytes(atomic.json_bytes(meta))
    return Exported(set_name, file, tuple(rows), thumbnail(pixels, THUMBNAIL_PX), sha256)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 6)


def image_meta(
    set_name: str, row: Mapping[str, Any], crop: Box, provenance: Provenance
) -> dict[str, Any]:
    """The metadata of one face of one image; scores null where they were not measured."""
    return {
        "type": TYPES[set_name],
        "kind": row["kind"],
        "person_id": row["person_id"],
        "face_id": row["face_id"],
        "frame_idx": row["frame_idx"],
        "timestamp_ms": row["timestamp_ms"],
        "yaw_bin": row["yaw_bin"],
        "pitch_bin": row["pitch_bin"],
        "expression_bin": row["expression_bin"],
        "occlusion_bin": row["occlusion_bin"],
        "lighting_bin": row["lighting_bin"],
        "yaw_deg": _rounded(row["yaw"]),
        "pitch_deg": _rounded(row["pitch"]),
        "roll_deg": _rounded(row["roll"]),
        "quality_score": _rounded(row["quality_score"]),
        "novelty_score": _rounded(row["novelty"]),
        "stable_score": _rounded(row["stable_score"]),
        "face_bbox": [round(v, 2) for v in box_of(dict(row))],
        "crop_box": [round(v) for v in crop],
        "embed_model_version": provenance.vision_space,
        "identity_model_version": provenance.identity_space,
        "gate_version": GATE_VERSION,
    }


def pair_meta(metas: list[dict[str, Any]], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The metadata of a pair: what both share, each member's own, and how they stand."""
    shared = ("type", "frame_idx", "timestamp_ms", "crop_box", "gate_version")
    return {
        **{name: metas[0][name] for name in shared},
        "embed_model_version": metas[0]["embed_model_version"],
        "members": metas,
        **pair_relation(box_of(rows[0]), box_of(rows[1])),
    }


def pair_relation(left: Box, right: Box) -> dict[str, float]:
    """Offset of the second face in widths of the first, and its relative size."""
    return {
        "relative_x": round((right.centre[0] - left.centre[0]) / left.width, 4),
        "relative_y": round((right.centre[1] - left.centre[1]) / left.width, 4),
        "relative_scale": round(right.longer_side / left.longer_side, 4),
        "iou": round(left.iou(right), 4),
    }


def write_contact_sheet(folder: Path, person_id: int, images: list[Exported]) -> None:
    """All images of one rider on one sheet."""
    tiles = [
        Tile(image.thumbnail, Path(image.file).stem, SET_ACCENTS[TYPES[image.set_name]])
        for image in images
    ]
    sheet = contact_sheet(tiles, columns=SHEET_COLUMNS, tile_px=SHEET_TILE_PX)
    path = folder / f"person_{person_id}" / "contact_sheet.jpg"
    path.write_bytes(encode_jpeg(sheet, SHEET_QUALITY))


def manifest_rows(
    folder: Path, exported: list[Exported], left_out: Sequence[LeftOut]
) -> pl.DataFrame:
    """The table `identity_dataset`: every file of the folder with its digest, and what lacks."""
    image_of = {image.file: image for image in exported}
    rows = []
    for path in _files(folder):
        file = path.relative_to(folder).as_posix()
        data = path.read_bytes()
        image = image_of.get(file)
        rows.append(
            {
                "file": file,
                "type": TYPES[image.set_name] if image else "metadata",
                "person_id": image.rows[0]["person_id"] if image and len(image.rows) == 1 else None,
                "face_id": image.rows[0]["face_id"] if image and len(image.rows) == 1 else None,
                "sha256": hashlib.sha256(data).hexdigest(),
                "size_bytes": len(data),
                "left_out": None,
            }
        )
    for image in left_out:
        alone = image.rows[0] if len(image.rows) == 1 else {"person_id": None, "face_id": None}
        rows.append(
            {
                "file": image.file,
                "type": LEFT_OUT,
                "person_id": alone["person_id"],
                "face_id": alone["face_id"],
                "sha256": None,
                "size_bytes": None,
                "left_out": f"{image.code}: {image.sentence}",
            }
        )
    return pl.DataFrame(rows, schema=TABLES["identity_dataset"])


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def write_manifest(
    folder: Path, files: pl.DataFrame, left_out: Sequence[LeftOut], provenance: Provenance
) -> None:
    """`manifest.json`: every other file, what is left out, and where all of it comes from."""
    atomic.write_json(
        folder / "manifest.json",
        {
            "schema_version": 1,
            "video_id": provenance.video_id,
            "source": dict(provenance.source),
            "models": [
                {"role": m.role, "name": m.name, "sha256": m.sha256} for m in provenance.models
            ],
            "embed_model_version": provenance.vision_space,
            "identity_model_version": provenance.identity_space,
            "gate_version": GATE_VERSION,
            "settings_sha256": provenance.settings_sha256,
            "left_out": [image.as_json() for image in left_out],
            "files": files.select("file", "type", "sha256", "size_bytes").to_dicts(),
        },
    )
