"""What an operator sees of each asset in the UI: counts, and a picture where people would look.

Drawing is done in `media`, which is imported when a step runs and not when definitions load.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from identity_pipeline.defs.display import metadata
from identity_pipeline.media.markdown import bullets
from identity_pipeline.settings import Settings
from identity_pipeline.storage.video.crop_archive import CropArchive

if TYPE_CHECKING:
    from identity_pipeline.stages.imagesets.page import VideoTables

SHEET_FACES = 24
SENTENCES = 40
"""Of pictures that are not used; the tables have all."""
SHEET_COLUMNS = 8
TILE_PX = 96


def _sheet(faces: pl.DataFrame, crops: CropArchive, captions: Iterable[str]) -> dict[str, Any]:
    """A sheet of aligned faces, in the order of the rows; nothing when there is none."""
    from identity_pipeline.media.sheets import Tile, contact_sheet, encode_jpeg_below

    wanted = faces["face_id"].to_list()
    if not wanted:
        return {"picture": "no face to show"}
    images = dict(crops.aligned(wanted))
    tiles = [Tile(images[i], text) for i, text in zip(wanted, captions, strict=True)]
    sheet = contact_sheet(tiles, columns=min(SHEET_COLUMNS, len(tiles)), tile_px=TILE_PX)
    data = encode_jpeg_below(sheet, metadata.PICTURE_BYTES)
    return {"picture": metadata.jpeg(data, "contact sheet")}


def _evenly(table: pl.DataFrame, count: int = SHEET_FACES) -> pl.DataFrame:
    """At most `count` rows, evenly spread over the table."""
    if table.height <= count:
        return table
    return table[[round(i * (table.height - 1) / (count - 1)) for i in range(count)]]


def _counts(column: pl.Series, prefix: str) -> dict[str, int]:
    pairs = column.value_counts(sort=True).sort(column.name)
    return {f"{prefix}/{name}": count for name, count in pairs.iter_rows()}


def describe_counts(table: pl.DataFrame, column: str) -> dict[str, Any]:
    """How many rows have each value of a column."""
    return _counts(table[column], column)


def describe_frames(table: pl.DataFrame) -> dict[str, Any]:
    """Sampled frames, light, cuts, errors."""
    from identity_pipeline.media.clocks import CLOCK_TROUBLES
    from identity_pipeline.media.errors import DAMAGED, RESHAPED

    rates = table.drop_nulls("sampling_fps").group_by("sampling_fps").len().sort("sampling_fps")
    return metadata.numbers(
        {
            "sampled_frames": table.height,
            "frames_with_faces": (table["face_count"] > 0).sum(),
            "scene_cuts": table["scene_cut"].sum(),
            "decode_errors": table["decode_error"].str.contains(DAMAGED, literal=True).sum(),
            "other_frame_size": table["decode_error"].str.contains(RESHAPED, literal=True).sum(),
            "clock_troubles": table["decode_error"].str.contains_any(list(CLOCK_TROUBLES)).sum(),
            "luma_mean": table["luma_mean"].mean(),
            # Of a video with highlights alone: else one rate holds throughout.
            **{f"frames_at_{rate:g}_per_s": count for rate, count in rates.iter_rows()},
        }
    )


def describe_detections(table: pl.DataFrame, crops: CropArchive) -> dict[str, Any]:
    """Faces, tracklets, and a sheet of faces spread over the video."""
    spread = _evenly(table)
    captions = [f"{t / 1000:.1f}s  {s:.2f}" for t, s in spread["timestamp_ms", "score"].iter_rows()]
    return {
        **metadata.numbers(
            {
                "faces": table.height,
                "tracklets": table["tracklet_id"].n_unique(),
                "score_mean": table["score"].mean(),
            }
        ),
        **_sheet(spread, crops, captions),
    }


def describe_photos(table: pl.DataFrame) -> dict[str, Any]:
    """Pictures of a set by format, and why some cannot be read."""
    return {
        "pictures": table.height,
        **_counts(table["status"], "status"),
        **_counts(table["format"].drop_nulls(), "format"),
        **_told(table),
    }


def describe_photo_faces(
    table: pl.DataFrame, crops: CropArchive, others: Mapping[str, Any]
) -> dict[str, Any]:
    """Of how many pictures a face was chosen, why not of the others, and a sheet of the faces.

    Args:
        table: `photo_faces`.
        crops: of the set.
        others: what else is to be shown first.
    """
    chosen = table.filter(pl.col("face_id").is_not_null()).sort("frame_idx")
    spread = _evenly(chosen)
    captions = [
        f"{number}" if fit is None else f"{number}  {fit:.2f}"
        for number, fit in spread["frame_idx", "fit"].iter_rows()
    ]
    return {
        "chosen": chosen.height,
        "left_out": table.height - chosen.height,
        **others,
        **_sheet(spread, crops, captions),
        **_told(table),
    }


def _told(table: pl.DataFrame) -> dict[str, Any]:
    """The pictures that are not used, a sentence each."""
    said = table.drop_nulls("sentence").sort("frame_idx").head(SENTENCES)
    lines = [f"{name}: {sentence}" for name, sentence in said["name", "sentence"].iter_rows()]
    return {"not_used": dg.MetadataValue.md(bullets(lines, "none"))}


def describe_quality(table: pl.DataFrame, crops: CropArchive) -> dict[str, Any]:
    """Gates, reasons, and a sheet from the worst to the best face."""
    reasons = table["loose_fails"].explode(empty_as_null=True, keep_nulls=False).drop_nulls()
    spread = _evenly(table.sort("quality_score", "face_id"))
    captions = [f"{q:.2f}" for q in spread["quality_score"]]
    return {
        **metadata.numbers(
            {
                "faces": table.height,
                "loose": table["loose"].sum(),
                "strict": table["strict"].sum(),
                "quality_mean": table["quality_score"].mean(),
            }
        ),
        **_counts(reasons.alias("reason"), "fails"),
        **_sheet(spread, crops, captions),
    }


def describe_tracks(table: pl.DataFrame) -> dict[str, Any]:
    """Tracks, stitches and splits."""
    return metadata.numbers(
        {
            "tracks": table["track_id"].n_unique(),
            "tracklets": table["tracklet_id"].n_unique(),
            "faces_of_split_tracklets": table["split"].sum(),
            "weakest_stitch": table["stitch_cos"].min(),
            "lowest_cosine_to_own_track": table["track_cos"].min(),
        }
    )


def describe_riders(
    table: pl.DataFrame, frames: pl.DataFrame, tracks: pl.DataFrame, settings: Settings
) -> dict[str, Any]:
    """Riders, other tracks by reason, and the timeline."""
    from identity_pipeline.media.timelines import track_timeline_svg

    nothing = pl.DataFrame(
        schema={"person_id": pl.Int64, "timestamp_ms": pl.Float64, "set": pl.String}
    )
    drawing = track_timeline_svg(frames, tracks, table, nothing, settings.buckets)
    return {
        "riders": table["person_id"].drop_nulls().len(),
        **_counts(table["reason"], "tracks"),
        "picture": metadata.svg(drawing, "who was seen when"),
    }


def describe_landmarks(table: pl.DataFrame, crops: CropArchive) -> dict[str, Any]:
    """Sources, ranges of the pose, and faces ordered by yaw."""
    spread = _evenly(table.drop_nulls(["yaw", "pitch"]).sort("yaw", "face_id"))
    captions = [f"yaw {y:+.0f} pitch {p:+.0f}" for y, p in spread["yaw", "pitch"].iter_rows()]
    return {
        **metadata.numbers(
            {
                "faces": table.height,
                "landmark_source": table["landmark_source"][0] if table.height else None,
                "pose_source": table["pose_source"][0] if table.height else None,
                "yaw_min": table["yaw"].min(),
                "yaw_max": table["yaw"].max(),
                "pitch_min": table["pitch"].min(),
                "pitch_max": table["pitch"].max(),
                "occlusion_measured": table["occlusion"].is_not_null().sum(),
            }
        ),
        **_sheet(spread, crops, captions),
    }


def describe_stability(table: pl.DataFrame) -> dict[str, Any]:
    """Stable faces, reasons, prototypes."""
    prototypes = table.filter("is_prototype")
    return {
        **metadata.numbers(
            {
                "stable": table["stable"].sum(),
                "stable_score_mean": table["stable_score"].mean(),
                "smallest_margin_of_a_stable_face": table.filter("stable")["margin"].min(),
            }
        ),
        **_counts(table["reason"], "reason"),
        **_counts(table["judged_by"].fill_null("medoid"), "judged_by"),
        **{f"prototype/person_{p}": f for f, p in prototypes["face_id", "person_id"].iter_rows()},
    }


def describe_buckets(table: pl.DataFrame) -> dict[str, Any]:
    """How many faces fell into each bin, and of how many that is from straight ahead of a rider."""
    names = ("yaw_bin", "pitch_bin", "expression_bin", "occlusion_bin", "lighting_bin")
    counts: dict[str, Any] = {"buckets_seen": table["bucket_key"].drop_nulls().n_unique()}
    framed = table["yaw"].count()
    counts |= {"posed_from_straight_ahead": framed} if framed else {}
    for name in names:
        counts |= _counts(table[name], name.removesuffix("_bin"))
    return counts


def describe_moments(table: pl.DataFrame, crops: CropArchive) -> dict[str, Any]:
    """How many moments there are, how many may become images, and some of these in time order."""
    listed = table.filter(pl.col("shortlisted")).sort("person_id", "moment_id")
    spread = _evenly(listed)
    captions = [f"{p} moment {m}" for p, m in spread["person_id", "moment_id"].iter_rows()]
    return {
        **metadata.numbers(
            {
                "usable_faces": table.height,
                "moments": table["moment_id"].n_unique(),
                "shortlisted": listed.height,
            }
        ),
        **_sheet(spread, crops, captions),
    }


def describe_selection(
    table: pl.DataFrame, candidates: pl.DataFrame, settings: Settings
) -> dict[str, Any]:
    """Decisions, reasons, and each rider's coverage grid after the selection."""
    from identity_pipeline.core.imagesets.summary import coverage_seen
    from identity_pipeline.media.figures import coverage_grid_svg
    from identity_pipeline.media.timelines import moments_svg
    from identity_pipeline.stages.imagesets.page import stop_times

    described: dict[str, Any] = {
        **_counts(table["decision"], "decision"),
        **_counts(table["reason"], "reason"),
    }
    for person in table["person_id"].unique().sort():
        mine = table.filter(pl.col("person_id") == person)
        kept = mine.filter("kept")["face_id"].to_list()
        observed = candidates.filter(pl.col("person_id") == person)
        saved = observed.filter(pl.col("face_id").is_in(kept))
        seen = coverage_seen(observed).cells
        drawing = coverage_grid_svg(
            saved, settings.buckets, seen=seen, title=f"person_{person}, selection"
        )
        described[f"picture/person_{person}"] = metadata.svg(drawing, f"coverage of {person}")
        described[f"stop_reason/person_{person}"] = mine["stop_reason"][0]
    if candidates.height:
        kept = table.filter("kept").with_columns(set=pl.lit("coverage"))
        drawing = moments_svg(candidates, kept, stop_times(table))
        described["picture/moments"] = metadata.svg(drawing, "moments, and what was kept of them")
    return described


def describe_set(table: pl.DataFrame, crops: CropArchive, name: str) -> dict[str, Any]:
    """Images per rider, and all of them on one sheet."""
    captions = [f"{p} {i}" for p, i in table["person_id", "image"].iter_rows()]
    per_person = {
        f"{name}/person_{person}": count
        for person, count in table["person_id"].value_counts().sort("person_id").iter_rows()
    }
    return {"images": table["image"].len(), **per_person, **_sheet(table, crops, captions)}


def describe_ledger(table: pl.DataFrame) -> dict[str, Any]:
    """What became of every face, as numbers and as a bar that adds up."""
    from identity_pipeline.media.figures import ledger_bar_svg

    described: dict[str, Any] = {"faces": table.height, **_counts(table["state"], "state")}
    if table.height:
        described["picture"] = metadata.svg(ledger_bar_svg(table), "what became of every face")
    return described


def describe_dataset(
    table: pl.DataFrame, target: Path, tables: VideoTables, settings: Settings
) -> dict[str, Any]:
    """Files, the page, the contact sheet, and the timeline with what was exported."""
    from identity_pipeline.media.crops import decode_image
    from identity_pipeline.media.sheets import encode_jpeg_below
    from identity_pipeline.stages.imagesets.page import rider_moments_svg, timeline_svg
    from identity_pipeline.stages.specs.exported import METADATA, sheet_file, shown_sets

    images = table.filter(pl.col("type") != METADATA, pl.col("left_out").is_null())
    described: dict[str, Any] = {
        "images": images.height,
        "left_out": table["left_out"].is_not_null().sum(),
        **_counts(images["type"], "type"),
        "megabytes": round(int(table["size_bytes"].sum()) / 1e6, 3),
        "page": dg.MetadataValue.path(target / "index.html"),
        **metadata.on_the_desk(settings.desk.url, f"/rides/{target.parent.name}"),
    }
    for sheet in sorted(target.glob(sheet_file("person_*"))):
        data = encode_jpeg_below(decode_image(sheet.read_bytes()), metadata.PICTURE_BYTES)
        described[f"picture/{sheet.stem}"] = metadata.jpeg(data, sheet.stem)
    described["stand_ins"] = table["stands_for"].is_not_null().sum()
    tables = replace(tables, sets=shown_sets(tables.sets, table, tables.observed))
    if tables.frames.height:
        drawing = timeline_svg(tables, settings)
        described["timeline"] = metadata.svg(drawing, "timeline with exported images")
    if moments := rider_moments_svg(tables):
        described["moments"] = metadata.svg(moments, "moments, and the images that came of them")
    return described
