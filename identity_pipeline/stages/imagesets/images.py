"""The images of an export: cut again from the source, each with its metadata beside it.

What belongs here: finding the frames again, proving that they are what was analysed
(`stages.video.proof`), cutting the images at native resolution, and the metadata of each. What does
not: everything of the folder that is about more than one image (`stages.imagesets.dataset`).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from identity_pipeline.core.imagesets.faces import VECTORS
from identity_pipeline.core.imagesets.summary import ExportedFace, pair_relation
from identity_pipeline.media.clocks import stamps_are_keys
from identity_pipeline.media.crops import ImageBGR, cut_native, encode_jpeg
from identity_pipeline.media.seeking import frames_at
from identity_pipeline.media.sheets import thumbnail
from identity_pipeline.settings import Settings
from identity_pipeline.stages.imagesets.provenance import GATE_VERSION, Provenance
from identity_pipeline.stages.progress.protocol import Progress, silent
from identity_pipeline.stages.specs.exported import TYPES, image_file
from identity_pipeline.stages.video.proof import IDENTICAL, Analysed
from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.layout import inside

THUMBNAIL_PX = 224


@dataclass(frozen=True)
class PlannedImage:
    """An image that the sets want.

    Attributes:
        set_name: asset of its set.
        file: its place in the folder, with `/`.
        faces: the face that it shows; of a pair, from left to right.
    """

    set_name: str
    file: str
    faces: tuple[ExportedFace, ...]

    @property
    def is_pair(self) -> bool:
        """Whether it shows both riders."""
        return self.set_name == "pair_set"

    @property
    def type(self) -> str:
        """`anchor`, `coverage`, `challenge` or `pair`."""
        return TYPES[self.set_name]

    @property
    def frame_idx(self) -> int:
        """The frame it is cut from."""
        return self.faces[0].frame_idx


@dataclass(frozen=True)
class Exported(PlannedImage):
    """An image that was written, with a small picture of it and the digest of its bytes."""

    thumbnail: ImageBGR
    sha256: str


@dataclass(frozen=True)
class LeftOut(PlannedImage):
    """An image that was chosen and is not exported, because its picture could not be proved.

    Attributes:
        code: `frame_not_found` or `other_picture`.
        sentence: why, and what to do.
    """

    code: str
    sentence: str

    def as_json(self) -> dict[str, Any]:
        """What manifest and metadata say of it."""
        return {
            "file": self.file,
            "type": self.type,
            "frame_idx": self.frame_idx,
            "face_ids": [face.face_id for face in self.faces],
            "code": self.code,
            "reason": self.sentence,
        }


def planned_images(
    sets: Mapping[str, pl.DataFrame], candidates: pl.DataFrame
) -> list[PlannedImage]:
    """The images of a video in the order of its sets.

    Args:
        sets: the set tables by asset name.
        candidates: the table of that name, for what was measured of the faces.
    """
    rows = {row["face_id"]: row for row in candidates.drop(VECTORS).iter_rows(named=True)}
    faces: dict[tuple[str, str], list[ExportedFace]] = defaultdict(list)
    for set_name, table in sets.items():
        for row in table.iter_rows(named=True):
            face = ExportedFace.of(rows[row["face_id"]], row)
            faces[set_name, image_file(set_name, row)].append(face)
    return [PlannedImage(*place, tuple(shown)) for place, shown in faces.items()]


def write_images(
    folder: Path,
    video: Path,
    planned: list[PlannedImage],
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

    Args:
        folder: of the export.
        video: the source file.
        planned: result of `planned_images`.
        frames: table `frames`.
        analysed: the regions of all planned faces.
        provenance: what each image's metadata says of its origin.
        settings: all settings.
        progress: called per image.

    Returns:
        What was written and what was left out, each in the order of `planned`.

    Raises:
        VideoError: the source cannot be read any more.
    """
    by_frame: dict[int, list[PlannedImage]] = defaultdict(list)
    for image in planned:
        by_frame[image.frame_idx].append(image)
    pts_of = dict(frames.select("frame_idx", "pts").iter_rows())
    done: dict[str, Exported] = {}
    best: dict[str, float] = {}

    def search(*, seekable: bool) -> None:
        open_frames = {image.frame_idx for image in planned if image.file not in done}
        enough = IDENTICAL if seekable else settings.export.same_region_min
        places = [(frame, pts_of[frame]) for frame in sorted(open_frames)]
        for frame_idx, frame in frames_at(
            video, places, seekable=seekable, settings=settings.video
        ):
            for image in by_frame[frame_idx]:
                if image.file in done:
                    continue
                alike = analysed.likeness(frame, {face.face_id: face.box for face in image.faces})
                best[image.file] = max(alike, best.get(image.file, -1.0))
                if alike >= enough:
                    done[image.file] = _write_image(folder, image, frame, provenance, settings)
                    progress("identity_dataset", len(done), len(planned), "images")

    if stamps_are_keys(frames["decode_error"]):
        search(seekable=True)
    search(seekable=False)
    left_out = [
        LeftOut(image.set_name, image.file, image.faces, *_why_not(best.get(image.file), settings))
        for image in planned
        if image.file not in done
    ]
    return [done[image.file] for image in planned if image.file in done], left_out


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
    folder: Path, image: PlannedImage, frame: ImageBGR, provenance: Provenance, settings: Settings
) -> Exported:
    pixels = cut_native(frame, image.faces[0].crop)
    data = encode_jpeg(pixels, settings.export.jpeg_quality)
    path = inside(folder, folder / image.file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    metas = [image_meta(image.type, face, provenance) for face in image.faces]
    meta = pair_meta(metas, image) if image.is_pair else metas[0]
    meta |= {"file": image.file, "sha256": sha256, "source_sha256": provenance.source["sha256"]}
    path.with_name(f"{path.stem}_meta.json").write_bytes(atomic.json_bytes(meta))
    small = thumbnail(pixels, THUMBNAIL_PX)
    return Exported(image.set_name, image.file, image.faces, small, sha256)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 6)


def image_meta(type_: str, face: ExportedFace, provenance: Provenance) -> dict[str, Any]:
    """The metadata of one face of one image; scores null where they were not measured."""
    return {
        "type": type_,
        "kind": face.kind,
        "person_id": face.person_id,
        "face_id": face.face_id,
        "frame_idx": face.frame_idx,
        "timestamp_ms": face.timestamp_ms,
        "yaw_bin": face.yaw_bin,
        "pitch_bin": face.pitch_bin,
        "expression_bin": face.expression_bin,
        "occlusion_bin": face.occlusion_bin,
        "lighting_bin": face.lighting_bin,
        "yaw_deg": _rounded(face.yaw),
        "pitch_deg": _rounded(face.pitch),
        "roll_deg": _rounded(face.roll),
        "quality_score": _rounded(face.quality_score),
        "novelty_score": _rounded(face.novelty),
        "stable_score": _rounded(face.stable_score),
        "face_bbox": [round(v, 2) for v in face.box],
        "crop_box": [round(v) for v in face.crop],
        "embed_model_version": provenance.vision_space,
        "identity_model_version": provenance.identity_space,
        "gate_version": GATE_VERSION,
    }


def pair_meta(metas: list[dict[str, Any]], image: PlannedImage) -> dict[str, Any]:
    """The metadata of a pair: what both share, each member's own, and how they stand."""
    shared = ("type", "frame_idx", "timestamp_ms", "crop_box", "gate_version")
    left, right = image.faces
    return {
        **{name: metas[0][name] for name in shared},
        "embed_model_version": metas[0]["embed_model_version"],
        "members": metas,
        **pair_relation(left.box, right.box)._asdict(),
    }
