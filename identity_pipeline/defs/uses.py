"""Which settings each step reads, as `Step.uses` takes them.

Too many, and a step is computed again for nothing; too few, and an old result is taken for a new
one. A test compares them with what the steps read when they run.
"""

from __future__ import annotations

from identity_pipeline.settings import all_but

CROP_LIMITS = ("export.crop_expand", "export.crop_expand_min")
GATES = all_but("quality", "witness_every")
LIKENESS = ("selection.near_duplicate_cos", "selection.near_duplicate_look")
FRONTAL = ("selection.anchor_yaw_max", "selection.anchor_pitch_max")
ANCHORS = (*FRONTAL, *LIKENESS, "selection.anchor_gap_s", "selection.anchor_cos_max")
HARD = ("selection.challenge_yaw_from", "selection.challenge_pitch_from", "selection.covered_from")

WATCH = (
    "video.analysis_fps",
    "video.scene_cut_correlation",
    "video.truncated_share",
    "video.allow_truncated",
    "models.det_size",
    "models.det_score_min",
    "tracking.lost_buffer_s",
    "tracking.min_iou",
    "crops.body_widths",
    "crops.body_heights",
    "crops.region_face_px",
    "crops.region_jpeg_quality",
    "crops.chunk_faces",
    "crops.chunk_frames",
)
FACE_EMBEDDINGS = ("quality.witness_every",)
FACE_TRACKS = all_but("tracking", "lost_buffer_s", "min_iou")
RIDERS = ("riders",)
FACE_LANDMARKS = (
    "buckets.expression_yaw_max",
    "buckets.neutral_min_faces",
    "crops.ema_alpha",
    "crops.ema_gap_s",
)
IDENTITY_STABILITY = ("stability", *GATES)
FACE_BUCKETS = all_but("buckets", "expression_yaw_max", "neutral_min_faces")
VISION_EMBEDDINGS = (
    *GATES,
    *CROP_LIMITS,
    "crops.face_expand",
    "crops.body_widths",
    "crops.body_heights",
)
CANDIDATES = (*GATES, *CROP_LIMITS)
SELECTION = (
    *ANCHORS,
    *all_but(
        "selection",
        *(name.partition(".")[2] for name in (*ANCHORS, *HARD[:2])),
        "anchor_max",
        "challenge_min",
        "challenge_max",
        "challenge_stable_min",
        "pair_max",
        "pair_iou_max",
        "drift_unstable_share",
        "short_diversity_buckets",
        "dark_share",
    ),
)
ANCHOR_SET = (*ANCHORS, "selection.anchor_max")
COVERAGE_SET = (*LIKENESS, "selection.bucket_max", "selection.covered_from")
CHALLENGE_SET = (
    *LIKENESS,
    *HARD,
    "selection.challenge_max",
    "selection.challenge_stable_min",
)
PAIR_SET = (
    *LIKENESS,
    "selection.pair_max",
    "selection.pair_iou_max",
    "selection.anchor_gap_s",
)
FRAME_LEDGER = (
    *(name for name in GATES if not name.startswith("quality.strict_")),
    *all_but("riders", "size_weight", "centre_weight", "length_weight"),
    *all_but("stability", "prototype_yaw_max"),
    *LIKENESS,
    "export.crop_expand_min",
    "selection.covered_from",
    "selection.novelty_min",
    "selection.replace_gain",
)
# The export prints the digest of all settings that shape it, so that any of them renews it.
IDENTITY_DATASET = ("selection", "buckets", "export")
TEMPLATES = (
    "match.genuine_gap_s",
    "match.pairs_per_track",
    "match.samples_per_track",
    "match.template_min_faces",
    "match.template_thin_cos",
    "match.template_weight_floor",
)
