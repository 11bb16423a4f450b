"""The metadata of each image: what it shows, what was measured of it, and how it was checked.

What belongs here: `..._meta.json` of an image, and its line of `metadata.jsonl`. What does not:
that of a rider and the manifest (`stages.imagesets.dataset`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from identity_pipeline.core.imagesets.faces import VECTORS
from identity_pipeline.core.imagesets.summary import ExportedFace, pair_relation
from identity_pipeline.settings import ExportSettings
from identity_pipeline.stages.imagesets.images import Exported
from identity_pipeline.stages.imagesets.provenance import Provenance
from identity_pipeline.stages.specs.exported import sidecar_file
from identity_pipeline.tables import SCORES

EYES = ("eyes", "wink", "lid_ratio", "gaze_aside", "gaze_offset")
EXPOSURE = ("luma_mean", "surround_luma", "contrast", "clipped_share", "crushed_share")
OTHER = ("mouth_open", "smile", "occlusion", "sharpness", "relative_sharpness", "face_px")
PARTS = tuple(name for name in SCORES if name.startswith("score_"))
WHOLE = tuple(name for name in SCORES if name not in PARTS)


@dataclass(frozen=True)
class Evidence:
    """What was measured of the faces of a video, for the metadata of those that are exported.

    Attributes:
        rows: of `candidates`, by face.
        usual_luma: median luma of a rider's usable faces, by rider.
        beaten: the best of the faces that a face was preferred to, by face.
    """

    rows: Mapping[str, Mapping[str, Any]]
    usual_luma: Mapping[int, float]
    beaten: Mapping[str, str]

    @classmethod
    def of(cls, observed: pl.DataFrame, selection: pl.DataFrame) -> Evidence:
        """From the tables `candidates` and `selection`."""
        usual = observed.filter("loose").group_by("person_id").agg(pl.col("luma_mean").median())
        losers = (
            selection.filter(pl.col("rival_face_id").is_not_null())
            .sort(["picture", "face_id"], descending=[True, False], nulls_last=True)
            .unique("rival_face_id", keep="first", maintain_order=True)
        )
        return cls(
            {row["face_id"]: row for row in observed.drop(VECTORS).iter_rows(named=True)},
            dict(usual.drop_nulls().iter_rows()),
            dict(losers.select("rival_face_id", "face_id").iter_rows()),
        )

    def as_json(self, face: ExportedFace) -> dict[str, Any]:
        """What was measured of a face; null is not measured."""
        row = self.rows[face.face_id]
        luma, usual = row.get("luma_mean"), self.usual_luma.get(face.person_id)
        relative = luma / usual if luma is not None and usual else None
        return {
            "eyes": _values(row, EYES),
            **_values(row, OTHER),
            "exposure": {**_values(row, EXPOSURE), "relative_luma": _rounded(relative)},
            "scores": {
                **_values(row, WHOLE),
                "parts": {name.removeprefix("score_"): _rounded(row.get(name)) for name in PARTS},
            },
            "moment_id": row.get("moment_id"),
            "preferred_to": self._loser(face.face_id),
            "cos_to_other_rider": _rounded(row.get("rival_score")),
        }

    def _loser(self, face_id: str) -> dict[str, Any] | None:
        """The best of the faces that lost to one, with its scores; None where none did."""
        loser = self.beaten.get(face_id)
        if loser is None:
            return None
        return {"face_id": loser, **_values(self.rows[loser], WHOLE)}


def meta_of(
    image: Exported, evidence: Evidence, provenance: Provenance, settings: ExportSettings
) -> dict[str, Any]:
    """The metadata of an image; of a pair: what both share, each one's own, and how they stand."""
    metas = [_face_meta(image, face, evidence, provenance) for face in image.faces]
    meta = _pair_meta(metas, image) if image.is_pair else metas[0]
    crop = image.faces[0].crop
    size = [round(crop.width), round(crop.height)]
    return meta | {
        "file": image.file,
        "sha256": image.sha256,
        "source_sha256": provenance.source["sha256"],
        "size_px": size,
        "short_side_px": image.short_side_px,
        "below_min_side": image.short_side_px < settings.min_side_px,
        "neighbour_share": _rounded(image.neighbour_share),
        "checks": [view.as_json() for view in image.views],
    }


LINE: Final = (
    *("type", "kind", "person_id", "face_id", "stands_for", "frame_idx", "timestamp_ms"),
    *("yaw_bin", "pitch_bin", "expression_bin", "occlusion_bin", "lighting_bin"),
    *("yaw_deg", "pitch_deg", "roll_deg", "quality_score", "novelty_score", "stable_score"),
    *("short_side_px", "below_min_side", "sha256"),
)
"""What `metadata.jsonl` says of an image; null of a pair where each rider has a value."""
FRAMED: Final = ("yaw_camera_deg", "pitch_camera_deg", "camera_version")
"""What metadata says besides where the camera is known."""


def metadata_lines(metas: Sequence[Mapping[str, Any]], camera_known: bool) -> bytes:
    """`metadata.jsonl`: a line an image, flat and of the same fields for all, as tables are.

    `file_name` is what Hugging Face `datasets` (`imagefolder`) wants there. It is relative to the
    folder of the file, which is that of the export: names that lead out of it are refused.

    Args:
        metas: from `meta_of`.
        camera_known: whether angles before the lens are told besides.
    """
    names = (*LINE, *FRAMED) if camera_known else LINE
    lines = (
        {
            "file_name": meta["file"],
            "metadata": sidecar_file(meta["file"]),
            **{name: meta.get(name) for name in names},
        }
        for meta in metas
    )
    return "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines).encode()


def _rounded(value: Any) -> Any:
    return round(value, 6) if isinstance(value, float) else value


def _values(row: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: _rounded(row.get(name)) for name in names}


def _face_meta(
    image: Exported, face: ExportedFace, evidence: Evidence, provenance: Provenance
) -> dict[str, Any]:
    """The metadata of one face of one image; scores null where they were not measured."""
    return {
        "type": image.type,
        "kind": face.kind,
        "person_id": face.person_id,
        "face_id": face.face_id,
        "stands_for": image.stands_for,
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
        **_measured_angles(face, provenance),
        "quality_score": _rounded(face.quality_score),
        "novelty_score": _rounded(face.novelty),
        "stable_score": _rounded(face.stable_score),
        "evidence": evidence.as_json(face),
        "face_bbox": [round(v, 2) for v in face.box],
        "crop_box": [round(v) for v in face.crop],
        "embed_model_version": provenance.vision_space,
        "identity_model_version": provenance.identity_space,
        "gate_version": provenance.gate_version,
    }


def _measured_angles(face: ExportedFace, provenance: Provenance) -> dict[str, Any]:
    """The angles before the lens beside those of the head; nothing where they are the same."""
    if provenance.camera is None:
        return {}
    framed = face.yaw_camera is not None or face.pitch_camera is not None
    yaw, pitch = (face.yaw_camera, face.pitch_camera) if framed else (face.yaw, face.pitch)
    told = (_rounded(yaw), _rounded(pitch), str(provenance.camera.edition))
    return dict(zip(FRAMED, told, strict=True))


def _pair_meta(metas: list[dict[str, Any]], image: Exported) -> dict[str, Any]:
    shared = ("type", "frame_idx", "timestamp_ms", "crop_box", "gate_version")
    left, right = image.faces
    return {
        **{name: metas[0][name] for name in shared},
        "embed_model_version": metas[0]["embed_model_version"],
        "members": metas,
        **pair_relation(left.box, right.box)._asdict(),
    }
