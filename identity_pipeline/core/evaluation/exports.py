"""What was exported: whether each face is the person it is filed under, and what is covered.

An exported face that matches nobody counts as wrong: an image must be proved, not excused.
"""

from __future__ import annotations

import polars as pl

from identity_pipeline.core.evaluation import figures
from identity_pipeline.core.evaluation.attributes import with_true_bins
from identity_pipeline.core.evaluation.evidence import Evidence
from identity_pipeline.core.evaluation.matching import countable
from identity_pipeline.core.evaluation.report import CoverageRow, Figure
from identity_pipeline.core.evaluation.riders import rider_map
from identity_pipeline.core.faces.buckets import BEYOND, EXPRESSIONS, PITCH_NAMES, UNKNOWN
from identity_pipeline.settings import BucketSettings

SET_NAMES = ("anchor", "coverage", "challenge", "pair")
NO_IMAGE = "no image was exported"
WRONG = "Exported images with a wrong person"


def judged_images(evidence: Evidence) -> pl.DataFrame:
    """Exported images: `video, set_name, image, owner, wrong`.

    A pair is wrong when either face is; `owner` tells apart the riders of different videos.
    """
    truly = evidence.faces.select("video", "face_id", "person")
    faces = evidence.images.join(truly, on=["video", "face_id"], how="left").join(
        rider_map(evidence), on=["video", "person_id"], how="left"
    )
    same = (pl.col("person") == pl.col("truth_person")).fill_null(False)
    # Single images are named per person, pairs once for both.
    alone = pl.when(pl.col("set_name") != "pair").then("person_id")
    return (
        faces.with_columns(wrong=~same, alone=alone)
        .group_by("video", "set_name", "alone", "image")
        .agg(pl.col("wrong").any(), owner=pl.format("{}/{}", "video", "person_id").first())
        .sort("video", "set_name", "alone", "image")
        .select("video", "set_name", "image", "owner", "wrong")
    )


def export_figures(evidence: Evidence) -> list[Figure]:
    """Wrong identities: of all images, of each set, and of riders with any wrong image."""
    images = judged_images(evidence)
    scope = evidence.scope
    rate = figures.rate_of_errors
    result = [
        rate(
            "exports.wrong",
            WRONG,
            int(images["wrong"].sum()),
            images.height,
            scope,
            "exported images",
            NO_IMAGE,
            0.0,
        )
    ]
    alone = images.filter(pl.col("set_name") != "pair")
    owners = alone.group_by("owner").agg(pl.col("wrong").any())
    result.append(
        rate(
            "exports.wrong_riders",
            "Riders with a wrong image in their sets",
            int(owners["wrong"].sum()),
            owners.height,
            scope,
            "riders with images",
            NO_IMAGE,
            0.0,
        )
    )
    for name in SET_NAMES:
        part = images.filter(pl.col("set_name") == name)
        result.append(
            rate(
                f"exports.wrong_{name}",
                f"{WRONG}, {name} set",
                int(part["wrong"].sum()),
                part.height,
                scope,
                f"{name} images",
                f"no {name} image was exported",
                0.0,
            )
        )
    return result


def coverage_rows(evidence: Evidence, settings: BucketSettings) -> list[CoverageRow]:
    """What each rider's exported images fill, of the bins that the rider truly showed.

    A bin is reachable when a sampled face of the rider that counts (40 px, less than half hidden)
    truly lies in it.
    """
    sizes = {
        "yaw": len(settings.yaw_edges) - 1,
        "pitch": len(PITCH_NAMES),
        "expression": len(EXPRESSIONS),
    }
    mapped = rider_map(evidence).filter("is_rider")
    riders = with_true_bins(evidence.outcomes.filter("rider"), settings)
    bins = [f"{prefix}{axis}_bin" for axis in sizes for prefix in ("", "true_")]
    exported = evidence.images.filter(pl.col("set_name") != "pair").join(
        riders.select("video", "face_id", *bins), on=["video", "face_id"], how="inner"
    )
    rows = []
    for video, truth in evidence.truths.items():
        for person in truth.people:
            mine = pl.col("video") == video
            ids = mapped.filter(mine & (pl.col("truth_person") == person))["person_id"]
            images = exported.filter(mine & pl.col("person_id").is_in(ids.implode()))
            true = riders.filter(mine & (pl.col("person") == person) & countable())
            for axis, size in sizes.items():
                reachable = _bins(true, f"true_{axis}_bin")
                filled = _bins(images, f"{axis}_bin") & reachable
                truly = _bins(images, f"true_{axis}_bin") & reachable
                counts = (len(filled), len(truly), len(reachable), size)
                if reachable:
                    rows.append(CoverageRow(video, person, axis, *counts))
    return rows


def _bins(table: pl.DataFrame, column: str) -> set[str]:
    return set(table[column].drop_nulls()) - {BEYOND, UNKNOWN}


def coverage_figures(rows: list[CoverageRow], scope: str) -> list[Figure]:
    """Filled of reachable bins, summed over riders: as filed, and as it truly is."""
    result = []
    for axis in ("yaw", "pitch", "expression"):
        mine = [row for row in rows if row.axis == axis]
        reachable = sum(row.reachable for row in mine)
        counts = {
            "": ("that are filled", sum(row.filled for row in mine)),
            "_true": ("in which an exported image truly lies", sum(row.truly for row in mine)),
        }
        for suffix, (words, filled) in counts.items():
            result.append(
                figures.counted_value(
                    f"coverage.{axis}{suffix}",
                    f"Reachable {axis} bins {words}",
                    filled / reachable if reachable else None,
                    reachable,
                    "reachable bins",
                    "share",
                    scope,
                    f"the truth of these clips does not say the {axis}",
                )
            )
    return result
