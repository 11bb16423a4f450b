"""Settings of moments, the selection, the sets and the export."""

from __future__ import annotations

from typing import Literal

from identity_pipeline.settings.base import Group, tunable


class MomentSettings(Group):
    """What a moment of a rider is, and how many of them are looked at more closely."""

    span_s: float = tunable(
        0.5,
        "Longest moment; faces farther apart are of two moments whatever they show.",
        unit="s",
        source="design: what a photographer takes one picture of",
        gt=0,
    )
    margin_deg: float = tunable(
        3.0,
        "An angle that is farther outside a bin than this is no noise at the bin's edge.",
        unit="degrees",
        source="chosen: angles of successive faces in real ride clips differ by 1 to 3 degrees",
        ge=0,
        le=45,
    )
    min_faces: int = tunable(
        2,
        "So many successive faces in other bins than those around them are a moment of their own; "
        "fewer are noise.",
        unit="faces",
        source="design: one noisy frame makes no new bucket",
        ge=1,
    )
    rounds: int = tunable(
        4,
        "Each set may choose among so many times the moments that it at least wants: of a bucket "
        "one, the others as in `selection`.",
        unit="times",
        source="chosen: the best face of a moment may be of doubtful identity or like another one",
        ge=1,
    )
    share: float = tunable(
        0.19,
        "No more moments of a rider are looked at more closely than this share of the faces that "
        "could be exported.",
        unit="share",
        source="design: at least four of five vision embeddings are saved",
        gt=0,
        le=1,
    )
    least: int = tunable(
        8,
        "So many moments of a rider may be looked at more closely whatever the share.",
        unit="moments",
        source="chosen: of a rider who is seen for a few seconds, each moment counts",
        ge=1,
    )


class PictureSettings(Group):
    """What follows from decisions on single pictures."""

    rejected_within_s: float = tunable(
        0.5,
        "A face so near in time to a rejected one of its rider is the same picture: it is in no "
        "set either, unless a human accepted it.",
        unit="s",
        source="chosen: as long as a moment may last",
        ge=0,
    )


class SelectionSettings(Group):
    """The decision on every candidate; the four sets; the stop rule."""

    stop: Literal["grow", "cut"] = tunable(
        "grow",
        "What the stop ends. `grow`: the growth of the coverage; all sets are chosen from all of "
        "the ride. `cut`: the selection itself, which then is the replay in time order.",
        unit="rule",
        source="design: a better picture may come in the second half",
    )
    facility_weight: float = tunable(
        1.0,
        "What it counts for coverage that every candidate looks like some image, where a bin that "
        "every candidate is in counts 1.",
        unit="weight",
        source="chosen: as much as one bin, so that it decides between pictures alike in score",
        ge=0,
    )
    replace_gain: float = tunable(
        0.02, "Quality gain that replaces.", unit="score", source="design", ge=0, le=1
    )
    novelty_min: float = tunable(
        0.15,
        "Novelty that adds.",
        unit="1 - cosine",
        source="earlier systems (cap 0.85)",
        ge=0,
        le=2,
    )
    bucket_max: int = tunable(
        2, "Images per bucket.", unit="images", source="identity_builder design (momentscan)", ge=1
    )
    second_picture_min: float = tunable(
        0.5,
        "How good a second picture of a bucket must be, as a share of the best one there.",
        unit="share",
        source="chosen: one that has lost more than half is no second choice",
        ge=0,
        le=1,
    )
    near_duplicate_cos: float = tunable(
        0.97,
        "Two exported images of one person are never closer than this in the vision space.",
        unit="cosine",
        source="chosen; not measured with DINOv2",
        ge=0,
        le=1,
    )
    near_duplicate_look: float = tunable(
        0.97,
        "Nor closer than this correlation of their aligned pixels, which needs no encoder.",
        unit="correlation",
        source="real clips: identity_pipeline_tests/benchmarks/likeness.py",
        ge=0,
        le=1,
    )
    covered_from: float = tunable(
        0.2,
        "From this occlusion ratio pose and expression are not sure, and a face is no coverage.",
        unit="share",
        source="fitted on real ride clips (4 people); held by the end-to-end tests",
        ge=0,
        le=1,
    )
    anchor_min: int = tunable(
        3, "Anchors wanted.", unit="images", source="identity_builder design (momentscan)", ge=0
    )
    anchor_max: int = tunable(
        5, "Anchors at most.", unit="images", source="identity_builder design (momentscan)", ge=1
    )
    anchor_yaw_max: float = tunable(
        15.0, "Largest |yaw| of an anchor.", unit="degrees", source="earlier systems", ge=0, le=90
    )
    anchor_pitch_max: float = tunable(
        20.0,
        "Largest |pitch| of an anchor.",
        unit="degrees",
        source="design: cameras sit up to 10 degrees off",
        ge=0,
        le=90,
    )
    anchor_mouth_max: float = tunable(
        0.3,
        "Mouth openness from which a face that does not smile is an anchor only where there is "
        "nothing better.",
        unit="ratio",
        source="the limit of an open mouth",
        ge=0,
        le=1,
    )
    anchor_score_min: float = tunable(
        0.4,
        "Portrait score below which a face is an anchor only where there is nothing better.",
        unit="score",
        source="fitted on real ride clips of 8 people; not held out "
        "(`identity_pipeline_tests/benchmarks/real_faces.py`)",
        ge=0,
        le=1,
    )
    anchor_gap_s: float = tunable(
        1.5, "Time between anchors.", unit="s", source="earlier systems", ge=0
    )
    anchor_cos_max: float = tunable(
        0.97,
        "Largest vision cosine of two anchors: they may not be the same picture twice. A stricter "
        "limit prefers grimaces, for among calm portraits of one person they are the unlike ones.",
        unit="cosine",
        source="as `selection.near_duplicate_cos`",
        ge=0,
        le=1,
    )
    challenge_min: int = tunable(
        5,
        "Challenge images wanted.",
        unit="images",
        source="identity_builder design (momentscan)",
        ge=0,
    )
    challenge_max: int = tunable(
        8,
        "Challenge images at most.",
        unit="images",
        source="identity_builder design (momentscan)",
        ge=1,
    )
    challenge_kind_max: int = tunable(
        3,
        "Challenge images of one kind (pose, dark, overexposed, occluded, motion), unless there "
        "would be fewer than wanted.",
        unit="images",
        source="chosen: eight images of three kinds hold at least two of each",
        ge=1,
    )
    challenge_stable_min: float = tunable(
        0.40,
        "Stability of a challenge image.",
        unit="cosine",
        source="earlier systems",
        ge=-1,
        le=1,
    )
    challenge_yaw_from: float = tunable(
        30.0, "|yaw| of an extreme pose.", unit="degrees", source="outermost yaw bin", ge=0, le=90
    )
    challenge_pitch_from: float = tunable(
        20.0, "|pitch| of an extreme pose.", unit="degrees", source="design", ge=0, le=90
    )
    pair_min: int = tunable(
        3,
        "Pair images wanted: up to so many, closed eyes and bad light are better than none.",
        unit="images",
        source="chosen: as anchors",
        ge=0,
    )
    pair_max: int = tunable(5, "Pair images at most.", unit="images", source="design", ge=0)
    pair_iou_max: float = tunable(
        0.05, "Overlap of the two faces in a pair.", unit="IoU", source="design", ge=0, le=1
    )
    pair_other_max: float = tunable(
        0.6,
        "Longer side of somebody else's face in a pair, over that of the smaller rider's: a larger "
        "one forbids the picture, for the two largest faces are to be the riders' for any "
        "detector.",
        unit="ratio",
        source="chosen: a row behind, as far from the riders as the camera is before them, appears "
        "half as large; boxes of one face differ by a tenth",
        ge=0,
        le=1,
    )
    pair_air_min: float = tunable(
        0.2,
        "Air about the riders' faces that a pair keeps when it is cut closer to leave others out.",
        unit="face sides",
        source="as much as `export.crop_expand_min` leaves",
        ge=0,
        le=1,
    )
    min_gap_s: float = tunable(
        0.4,
        "No two exported images of a rider are closer in time, pairs among them.",
        unit="s",
        source="chosen: a look that comes and goes lasts about half a second",
        ge=0,
    )
    stop_yaw_bins: int = tunable(
        6, "Yaw bins to stop.", unit="bins", source="identity_builder design (momentscan)", ge=1
    )
    stop_pitch_bins: int = tunable(
        4, "Pitch bins to stop.", unit="bins", source="identity_builder design (momentscan)", ge=1
    )
    stop_expression_bins: int = tunable(
        3,
        "Expression bins to stop.",
        unit="bins",
        source="identity_builder design (momentscan)",
        ge=1,
    )
    stop_window: int = tunable(
        20,
        "Candidates in the novelty mean.",
        unit="candidates",
        source="identity_builder design (momentscan)",
        ge=1,
    )
    stop_novelty: float = tunable(
        0.08,
        "Mean novelty of diminishing returns.",
        unit="1 - cosine",
        source="identity_builder design (momentscan)",
        ge=0,
    )
    drift_unstable_share: float = tunable(
        0.2,
        "Share of a rider's usable faces that are unstable from which identity drifts.",
        unit="share",
        source="chosen; the identity_builder design names the rule without a number",
        ge=0,
        le=1,
    )
    short_diversity_buckets: int = tunable(
        8,
        "With fewer buckets saved, diversity is short.",
        unit="buckets",
        source="chosen; identity_builder's own run filled 17 of 84",
        ge=0,
    )
    dark_share: float = tunable(
        0.3,
        "Share of dark candidates from which the ride is dark.",
        unit="share",
        source="chosen; the identity_builder design names the rule without a number",
        ge=0,
        le=1,
    )


class ExportSettings(Group):
    """The exported folder."""

    purpose: Literal["unspecified", "research", "commercial"] = tunable(
        "unspecified",
        "What sets and datasets are for. Commercial refuses models whose weights may only be used "
        "for research, or whose licence nobody knows.",
        unit="name",
        source="chosen: nobody but the operator knows it",
    )

    checks: tuple[Literal["640", "320", "160", "native", "tight"], ...] = tunable(
        ("640", "320", "160", "native", "tight"),
        "How each image is looked at again before it is exported: scaled to a detector's input of "
        "so many px, at its own scale, and cut tightly about the face. In the first of them the "
        "rider must be found, and in none of them anybody else.",
        unit="names",
        source="the inputs that loaders of diffusion tools use: InsightFace's default of 640, and "
        "smaller ones where no face is found",
        min_length=1,
    )
    below_min_side: Literal["mark", "leave_out"] = tunable(
        "mark",
        "What becomes of an image whose short side stays below min_side_px: it is exported and "
        "marked, or left out.",
        unit="name",
        source="chosen: a small picture is better than none, and a consumer may filter",
    )

    crop_expand: float = tunable(
        2.0,
        "Side of an exported crop over the longer side of the face.",
        unit="ratio",
        source="reference advice of diffusion tools: head and shoulders, never tight",
        ge=1.2,
    )
    crop_expand_min: float = tunable(
        1.4,
        "A crop that the frame or another face would force below this is not exported.",
        unit="ratio",
        source="chosen: room for chin and hairline",
        ge=1,
    )
    crop_expand_max: float = tunable(
        4.0,
        "A crop never grows beyond this, for the face would be a speck.",
        unit="ratio",
        source="chosen: head, shoulders and chest; of 96 faces of 8 real clips so cut, SCRFD-500M "
        "still finds all in an input of 320 px and 95 in one of 160 px (93 at six faces)",
        ge=1.2,
    )
    min_side_px: int = tunable(
        512,
        "A crop grows from crop_expand until its side is so long, where the frame has it and no "
        "other face comes in. Never enlarged: what stays below is marked.",
        unit="px",
        source="the smallest side that Stable Diffusion 1.5 and its LoRA trainers take whole",
        ge=32,
    )
    jpeg_quality: int = tunable(
        95,
        "JPEG quality of exported images.",
        unit="percent",
        source="earlier systems",
        ge=50,
        le=100,
    )
    same_region_min: float = tunable(
        0.99,
        "A frame found again by counting is exported if the region around each of its faces is as "
        "like the region analysed; one found by seeking must have equal pixels, which are 1.",
        unit="correlation",
        source="80 faces of 8 real clips: the frame itself 1 always, converted otherwise and "
        "compressed anew at least 0.995, its neighbour 0.65 to 0.9999 (why seeking must be exact): "
        "identity_pipeline_tests/benchmarks/reread.py",
        ge=0,
        le=1,
    )
