"""The exported folder of one video: images, what is said of each rider, the page, the manifest.

What belongs here: `write_dataset`, which puts the folder together, and the files that are about all
of it. What does not: single images (`images`) and what the page says (`page`). The folder is
written beside its place and renamed into it, whole or not at all. No clock goes into it: the same
tables give the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from identity_pipeline.core.camera.reach import COVERED, filled_bins, lacking, reached_cells
from identity_pipeline.core.camera.shown_where import with_places
from identity_pipeline.core.imagesets.frame_ledger import NO_CONSENT, build_ledger
from identity_pipeline.core.imagesets.summary import RiderSummary, summaries_of
from identity_pipeline.core.privacy.redaction import Redaction
from identity_pipeline.media.crops import encode_jpeg
from identity_pipeline.media.errors import VideoError
from identity_pipeline.media.page import render_export_page
from identity_pipeline.media.sheets import SET_ACCENTS, Tile, contact_sheet
from identity_pipeline.models.face_pack import FacePack
from identity_pipeline.settings import Settings
from identity_pipeline.stages.curation.consents import shown_consents
from identity_pipeline.stages.imagesets.curate import frame_size
from identity_pipeline.stages.imagesets.image_meta import Evidence, meta_of, metadata_lines
from identity_pipeline.stages.imagesets.images import (
    Exported,
    LeftOut,
    Pictures,
    PlannedImage,
    planned_images,
)
from identity_pipeline.stages.imagesets.page import VideoTables, export_page
from identity_pipeline.stages.imagesets.provenance import Provenance
from identity_pipeline.stages.imagesets.stand_ins import cut_images
from identity_pipeline.stages.progress.protocol import Progress, silent
from identity_pipeline.stages.specs.exported import (
    LEFT_OUT,
    METADATA,
    not_shown,
    rider_file,
    sheet_file,
    shown_sets,
    sidecar_file,
)
from identity_pipeline.stages.video.footage import Footage
from identity_pipeline.storage.files import atomic
from identity_pipeline.storage.files.hashing import sha256_of_file
from identity_pipeline.storage.layout import inside
from identity_pipeline.storage.video.crop_archive import CropArchive
from identity_pipeline.tables import TABLES

SHEET_COLUMNS, SHEET_TILE_PX, SHEET_QUALITY = 6, 192, 88


@dataclass(frozen=True)
class Dataset:
    """An export that was written.

    Attributes:
        files: table `identity_dataset`.
        left_out: images that were chosen and are not in it.
    """

    files: pl.DataFrame
    left_out: list[LeftOut]


def write_dataset(
    target: Path,
    video: Path,
    tables: VideoTables,
    crops: CropArchive,
    pack: FacePack,
    provenance: Provenance,
    settings: Settings,
    redaction: Redaction,
    progress: Progress = silent,
) -> Dataset:
    """Writes the export folder of a video in place of any older one.

    Args:
        target: the folder; it appears whole or not at all.
        video: the source file.
        tables: the video's tables.
        crops: what was analysed, which every image is compared with.
        pack: of the run, whose detector looks at every image again.
        provenance: where the export comes from.
        settings: all settings.
        redaction: faces of the forgotten, which are painted over.
        progress: called per image.

    Raises:
        VideoError: the source cannot be read any more, or is another file than was analysed.
    """
    if sha256_of_file(video) != provenance.source["sha256"]:
        raise VideoError(
            "changed",
            f"{video.name} is another file than the one that {provenance.video_id} was made of; "
            "put the old one back, or drop the new one in under a name of its own and run it.",
        )
    planned, no_consent = consented(planned_images(tables.sets, tables.observed), provenance)
    with atomic.new_folder(target) as folder:
        footage = Footage(video, tables.frames, crops, settings, redaction)
        pictures = Pictures(footage, tables.face_detections, pack, settings)
        images, faulty = cut_images(planned, pictures, tables.observed, tables.moments, progress)
        left_out = [*no_consent, *faulty]
        evidence = Evidence.of(tables.observed, tables.selection)
        metas = [meta_of(image, evidence, provenance, settings.export) for image in images]
        for image, meta in zip(images, metas, strict=True):
            _write(folder, image.file, image.data)
            _write(folder, sidecar_file(image.file), atomic.json_bytes(meta))
        if metas:  # `datasets` takes an empty file for a damaged one
            _write(folder, "metadata.jsonl", metadata_lines(metas, provenance.camera is not None))
        files = manifest_rows(folder, images, left_out)
        chosen, tables = tables.sets, _as_exported(tables, files, settings)
        lacking = {face.person_id for image in left_out for face in image.faces}
        riders = summaries_of(
            *(tables.riders, tables.observed, tables.selection, tables.sets, chosen, lacking),
            *(tables.face_detections, frame_size(tables.ride_video), settings),
        )
        riders = tuple(_by_consent(rider, provenance) for rider in riders)
        for rider in riders:
            min_side = settings.export.min_side_px
            reached = reached_here(rider, provenance, settings)
            _write_rider(folder, rider, images, left_out, provenance, min_side, reached)
        page = export_page(tables, images, left_out, riders, provenance, settings)
        (folder / "index.html").write_text(render_export_page(page), encoding="utf-8")
        pairs = pairs_of(riders[0]) if riders else None
        _write_manifest(folder, manifest_rows(folder, images, ()), left_out, pairs, provenance)
        return Dataset(manifest_rows(folder, images, left_out), left_out)


def consented(
    planned: Sequence[PlannedImage], provenance: Provenance
) -> tuple[list[PlannedImage], list[LeftOut]]:
    """The images whose riders all consent, and the others; these are never cut."""
    kept, left_out = list[PlannedImage](), list[LeftOut]()
    for image in planned:
        seats = [face.person_id for face in image.faces]
        verdict = provenance.refused(seats)
        if verdict is None:
            kept.append(image)
            continue
        who = next(seat for seat in seats if provenance.refused([seat]))
        sentence = f"person_{who}: {verdict.reason}."
        left_out.append(LeftOut(image.set_name, image.file, image.faces, NO_CONSENT, sentence))
    return kept, left_out


def _by_consent(rider: RiderSummary, provenance: Provenance) -> RiderSummary:
    """What is said of a rider: of one who does not consent, why there is no set."""
    refused = provenance.refused([rider.person_id])
    return replace(rider, no_set_reason=NO_CONSENT) if refused else rider


def _as_exported(tables: VideoTables, files: pl.DataFrame, settings: Settings) -> VideoTables:
    """The tables with the sets as they are exported, and the ledger of that."""
    sets = shown_sets(tables.sets, files, tables.observed)
    ledger = build_ledger(
        tables.face_detections,
        tables.face_tracks,
        tables.riders,
        tables.observed,
        tables.selection,
        sets,
        not_shown(tables.sets, files),
        settings,
    )
    return replace(tables, sets=sets, frame_ledger=ledger)


def _write(folder: Path, file: str, data: bytes) -> None:
    path = inside(folder, folder / file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _write_rider(
    folder: Path,
    rider: RiderSummary,
    images: Sequence[Exported],
    left_out: Sequence[LeftOut],
    provenance: Provenance,
    min_side_px: int,
    reached: Mapping[str, Any],
) -> None:
    """What is said of a rider, and a sheet of all images where there are any."""
    own = [image for image in images if image.shows(rider.person_id)]
    lacking = [image for image in left_out if image.shows(rider.person_id)]
    meta = rider_meta(rider, own, lacking, provenance, min_side_px) | dict(reached)
    _write(folder, rider_file(rider.name), atomic.json_bytes(meta))
    tiles = [
        Tile(image.thumbnail, Path(image.file).stem, SET_ACCENTS[image.type])
        for image in own
        if not image.is_pair
    ]
    if tiles:
        sheet = contact_sheet(tiles, columns=SHEET_COLUMNS, tile_px=SHEET_TILE_PX)
        _write(folder, sheet_file(rider.name), encode_jpeg(sheet, SHEET_QUALITY))


def rider_meta(
    rider: RiderSummary,
    images: Sequence[Exported],
    left_out: Sequence[LeftOut],
    provenance: Provenance,
    min_side_px: int,
) -> dict[str, Any]:
    """`meta/person_k.json`.

    Args:
        rider: whose it is.
        images: that show the rider.
        left_out: that would have.
        provenance: where the export comes from.
        min_side_px: wanted of an image's short side.
    """
    filled, seen, prototype = rider.filled, rider.seen, rider.prototype
    return {
        "person_id": rider.person_id,
        "seat": rider.seat,
        "track_score": round(rider.track_score, 6),
        "track_score_parts": {
            "size": round(rider.size_score, 6),
            "centre": round(rider.centre_score, 6),
            "length": round(rider.length_score, 6),
        },
        "prototype_type": "medoid" if prototype else None,
        "prototype_face_id": prototype.face_id if prototype else None,
        "anchor_count": rider.images["anchor_set"],
        "coverage_count": rider.images["coverage_set"],
        "challenge_count": rider.images["challenge_set"],
        "pair_count": rider.images["pair_set"],
        "total_saved": rider.total_saved,
        "coverage_buckets_filled": {
            axis: f"{getattr(filled, axis)}/{getattr(rider.bins, axis)}" for axis in COVERED
        },
        "coverage_of_what_this_video_shows": {
            axis: f"{getattr(filled, axis)}/{max(getattr(seen, axis), getattr(filled, axis))}"
            for axis in COVERED
        },
        "stop_reason": rider.stop_reason,
        "stop_ms": rider.stop_ms,
        "empty_buckets": dict(rider.empty_buckets),
        "challenge_kinds_absent": list(rider.kinds_absent or ()),
        "no_set_reason": rider.no_set_reason,
        "shortfalls": [
            {"set": s.set_name, "have": s.have, "wanted": s.wanted, "causes": dict(s.causes)}
            for s in rider.shortfalls
        ],
        "pairs": pairs_of(rider),
        **_counts_of(images, min_side_px),
        "left_out": [image.as_json() for image in left_out],
        "gate_version": provenance.gate_version,
        "conditioning_weights": rider.weights and rider.weights._asdict(),
        "source_sha256": provenance.source["sha256"],
        "identity_model_version": provenance.identity_space,
        "embed_model_version": provenance.vision_space,
    }


def reached_here(rider: RiderSummary, provenance: Provenance, settings: Settings) -> dict[str, Any]:
    """What a rider's images cover of what riders of this camera reach; nothing if not known."""
    if provenance.camera is None:
        return {}
    reach, filled = provenance.camera.reach, filled_bins(rider.saved_faces)
    found, where = lacking(reach, filled, settings), provenance.where_others(rider.person_id)
    return {
        "coverage_of_what_riders_here_reach": {
            axis: f"{len(filled[axis] & cells)}/{len(cells)}"
            for axis, cells in reached_cells(reach, COVERED).items()
        },
        "empty_bins": {
            f"{axis} {cell}": words for (axis, cell), words in with_places(found, where).items()
        },
    }


def _counts_of(images: Sequence[Exported], min_side_px: int) -> dict[str, int]:
    """How many images are small, and how many show another face than was chosen."""
    return {
        "images_below_min_side": sum(image.short_side_px < min_side_px for image in images),
        "min_side_px": min_side_px,
        "stand_ins": sum(image.stands_for is not None for image in images),
    }


def pairs_of(rider: RiderSummary) -> dict[str, Any]:
    """How many pictures of both riders there are, how many were wanted, and why not more."""
    pairs = rider.pairs
    return {"have": pairs.have, "wanted": pairs.wanted, "causes": dict(pairs.causes)}


def manifest_rows(
    folder: Path, exported: Sequence[Exported], left_out: Sequence[LeftOut]
) -> pl.DataFrame:
    """The table `identity_dataset`: every file of the folder with its digest, and what lacks."""
    image_of = {image.file: image for image in exported}
    rows = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        file = path.relative_to(folder).as_posix()
        data = path.read_bytes()
        image = image_of.get(file)
        digest = hashlib.sha256(data).hexdigest()
        type_ = image.type if image else METADATA
        shown = (*_stand_in(image), *(image.faces[0].crop if image else _NO_CROP))
        rows.append((file, type_, *_sole_face(image), digest, len(data), None, *shown))
    for image in left_out:
        why = f"{image.code}: {image.sentence}"
        blank = (*_stand_in(None), *_NO_CROP)
        rows.append((image.file, LEFT_OUT, *_sole_face(image), None, None, why, *blank))
    return pl.DataFrame(rows, schema=TABLES["identity_dataset"], orient="row")


def _sole_face(image: Exported | LeftOut | None) -> tuple[int | None, str | None]:
    """Rider and face of an image that shows one; nothing for a pair and for other files."""
    if image is None or image.is_pair:
        return None, None
    return image.faces[0].person_id, image.faces[0].face_id


_NO_CROP = (None, None, None, None)


def _stand_in(image: Exported | None) -> tuple[str | None, float | None, str | None]:
    """For which face another one stands, how surely it is the rider's, and what was wrong."""
    if image is None or image.instead_of is None:
        return None, None, None
    fault = image.instead_of
    return image.stands_for, image.faces[0].stable_score, f"{fault.code}: {fault.sentence}"


def _write_manifest(
    folder: Path,
    files: pl.DataFrame,
    left_out: Sequence[LeftOut],
    pairs: Mapping[str, Any] | None,
    provenance: Provenance,
) -> None:
    """`manifest.json`: every other file, what is left out, and where all of it comes from.

    Schema version 2: metadata does not lie beside its image; an image names the file.
    """
    atomic.write_json(
        folder / "manifest.json",
        {
            "schema_version": 2,
            "video_id": provenance.video_id,
            "source": dict(provenance.source),
            "models": [
                {"role": m.role, "name": m.name, "sha256": m.sha256, "licence": m.licence}
                for m in provenance.models
            ],
            "embed_model_version": provenance.vision_space,
            "identity_model_version": provenance.identity_space,
            "gate_version": provenance.gate_version,
            "settings_sha256": provenance.settings_sha256,
            **({"highlights": dict(provenance.highlights)} if provenance.highlights else {}),
            **({"camera": provenance.camera.as_json()} if provenance.camera else {}),
            **({"ride": provenance.ride.as_json()} if provenance.ride else {}),
            "consent": shown_consents(provenance.consents),
            "pairs": pairs,
            "left_out": [image.as_json() for image in left_out],
            "files": [_listed(row) for row in files.iter_rows(named=True)],
        },
    )


def _listed(row: Mapping[str, Any]) -> dict[str, Any]:
    """A file in the manifest; of an image also where its metadata is."""
    told = {name: row[name] for name in ("file", "type", "sha256", "size_bytes")}
    return told if row["type"] == METADATA else told | {"metadata": sidecar_file(row["file"])}
