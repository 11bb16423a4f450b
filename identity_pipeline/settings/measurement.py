"""Settings of what is measured on faces: riders, gates, buckets, stability, memory banks."""

from __future__ import annotations

from typing import Literal

from identity_pipeline.settings.base import Group, tunable


class RiderSettings(Group):
    """Who is a rider."""

    size_weight: float = tunable(
        0.4,
        "Weight of size.",
        unit="share",
        source="identity_builder design (momentscan)",
        ge=0,
        le=1,
    )
    centre_weight: float = tunable(
        0.3,
        "Weight of centrality.",
        unit="share",
        source="identity_builder design (momentscan)",
        ge=0,
        le=1,
    )
    length_weight: float = tunable(
        0.3,
        "Weight of presence.",
        unit="share",
        source="identity_builder design (momentscan)",
        ge=0,
        le=1,
    )
    min_presence: float = tunable(
        0.10,
        "A rider is seen in at least this share of the sampled frames.",
        unit="share",
        source="momentscan in production MIN_PERSISTENCE",
        ge=0,
        le=1,
    )
    max_riders: int = tunable(
        2, "Riders per video.", unit="people", source="the ride's seats", ge=1, le=2
    )
    min_size_ratio: float = tunable(
        0.15,
        "A second track with a smaller mean face area, relative to the largest, is no rider.",
        unit="share",
        source="chosen: the row behind is far smaller than a child beside an adult",
        ge=0,
        le=1,
    )
    min_clear_faces: int = tunable(
        3,
        "A second rider has at least so many faces that pass the loose gate.",
        unit="faces",
        source="of whom there are fewer strict faces (stability.min_strict_frames) there is no set",
        ge=0,
    )
    min_seen_together: int = tunable(
        3,
        "Two riders share at least this many sampled frames.",
        unit="frames",
        source="design: seat neighbours are seen together; two fragments of one person are not",
        ge=1,
    )


class QualitySettings(Group):
    """Gates and the quality score."""

    strict_score: float = tunable(
        0.7,
        "Strict: detector score.",
        unit="score",
        source="identity_builder design (momentscan)",
        ge=0,
        le=1,
    )
    strict_area: float = tunable(
        0.01,
        "Strict: share of the frame.",
        unit="share",
        source="identity_builder design (momentscan)",
        ge=0,
        le=1,
    )
    strict_face_px: float = tunable(
        112.0,
        "Strict: longer side of the face.",
        unit="px",
        source="the crop of 112 px that ArcFace-like recognisers read, and with them the face "
        "adapters of diffusion models: a smaller face would be enlarged for them",
        ge=0,
    )
    strict_sharpness: float = tunable(
        60.0,
        "Strict: sharpness.",
        unit="variance of the Laplacian, 112 px, luma scaled to mean 128",
        source="real ride clips: `identity_pipeline_tests/benchmarks/sharpness.py`",
        ge=0,
    )
    strict_luma_min: float = tunable(
        40.0,
        "Strict: mean luma of the face.",
        unit="0-255",
        source="identity_builder design (momentscan)",
        ge=0,
        le=255,
    )
    strict_luma_max: float = tunable(
        220.0,
        "Strict: mean luma of the face.",
        unit="0-255",
        source="identity_builder design (momentscan)",
        ge=0,
        le=255,
    )
    strict_occlusion: float = tunable(
        0.3,
        "Strict: occlusion ratio.",
        unit="share",
        source="identity_builder design (momentscan)",
        ge=0,
        le=1,
    )
    loose_score: float = tunable(
        0.5,
        "Loose: detector score.",
        unit="score",
        source="identity_builder design (momentscan)",
        ge=0,
        le=1,
    )
    loose_sharpness: float = tunable(
        40.0,
        "Loose: sharpness.",
        unit="variance of the Laplacian, 112 px, luma scaled to mean 128",
        source="real ride clips: `identity_pipeline_tests/benchmarks/sharpness.py`",
        ge=0,
    )
    strict_relative_sharpness: float = tunable(
        0.6,
        "Strict: sharpness over the person's own median in this video.",
        unit="ratio",
        source="real ride clips: `identity_pipeline_tests/benchmarks/sharpness.py`",
        ge=0,
        le=1,
    )
    loose_relative_sharpness: float = tunable(
        0.5,
        "Loose: sharpness over the person's own median in this video; faces differ in texture, "
        "so an absolute floor alone lets a blurred beard pass.",
        unit="ratio",
        source="real ride clips: `identity_pipeline_tests/benchmarks/sharpness.py`",
        ge=0,
        le=1,
    )
    loose_occlusion: float = tunable(
        0.5,
        "Loose: occlusion ratio.",
        unit="share",
        source="identity_builder design (momentscan)",
        ge=0,
        le=1,
    )
    max_outside: float = tunable(
        0.02,
        "A face whose box leaves the frame by more than this share of its area is cut off.",
        unit="share",
        source="earlier systems: inside-frame margin 2 %",
        ge=0,
        le=1,
    )
    unmeasured_passes: bool = tunable(
        True,
        "Whether a gate passes what no model could measure (it is said on the row either way).",
        unit="switch",
        source="design: packs without an occlusion output are the common case",
    )
    witness_every: int = tunable(
        10,
        "Two successive faces of a tracklet that are embedded to know whose it is are at most so "
        "far apart; where they do not agree (tracking.split_cos), those between them are too.",
        unit="faces",
        source="one a second at 10 frames a second; what an exchange of people in a tracklet may "
        "hide: `identity_pipeline_tests/benchmarks/false_joins.py`",
        ge=1,
    )
    witness_look_min: float = tunable(
        0.5,
        "A usable face whose aligned pixels are less like those of the one before it in its "
        "tracklet begins a stretch with a witness of its own: it may be somebody else's.",
        unit="correlation",
        source="chosen: on real ride clips it costs 1 % more embeddings and finds most exchanges "
        "of half a second: `identity_pipeline_tests/benchmarks/false_joins.py`",
        ge=-1,
        le=1,
    )


class BucketSettings(Group):
    """Edges of the pose, expression, occlusion and lighting bins (half-open, last one closed)."""

    yaw_edges: tuple[float, ...] = tunable(
        (-45.0, -30.0, -15.0, -5.0, 5.0, 15.0, 30.0, 45.0),
        "Edges of the yaw bins.",
        unit="degrees",
        source="identity_builder design (momentscan)",
        min_length=3,
    )
    pitch_edges: tuple[float, ...] = tunable(
        (-30.0, -10.0, -5.0, 5.0, 10.0, 30.0),
        "Edges of the five pitch bins.",
        unit="degrees",
        source="design, from identity_builder's report",
        min_length=6,
        max_length=6,
    )
    eyes_closed_below: float = tunable(
        0.3,
        "Eye openness below which the eyes are closed.",
        unit="ratio",
        source="identity_builder design (momentscan)",
        ge=0,
        le=1,
    )
    eyes_lowered_below: float = tunable(
        0.6,
        "Eye openness below which the lids are lowered.",
        unit="ratio",
        source="chosen; real ride clips of 8 people, person left out: 16 of 18 half-shut eyes are "
        "found, and 9 % of 267 open ones (`identity_pipeline_tests/benchmarks/real_faces.py`)",
        ge=0,
        le=1,
    )
    lids_lowered_below: float = tunable(
        0.8,
        "Lid gap, over the person's own with open eyes, below which the lids are lowered.",
        unit="ratio",
        source="chosen, with `eyes_lowered_below`",
        ge=0,
        le=1,
    )
    wink_from: float = tunable(
        0.25,
        "Difference of the eyes' own lid ratios from which one of them winks.",
        unit="ratio",
        source="real ride clips: 7 winks of one person only "
        "(`identity_pipeline_tests/benchmarks/real_faces.py`)",
        ge=0,
        le=1,
    )
    wink_yaw_max: float = tunable(
        15.0,
        "Beyond this yaw the far eye is foreshortened and a wink is not told.",
        unit="degrees",
        source="the anchors' yaw",
        ge=0,
        le=90,
    )
    gaze_aside_from: float = tunable(
        0.09,
        "Distance of the irises from the middle of the eyes beyond which the gaze is aside.",
        unit="eye widths",
        source="fitted on real ride clips of 8 people; not held out",
        ge=0,
        le=0.5,
    )
    eye_px_min: float = tunable(
        6.0,
        "Eyes that are narrower tell nothing.",
        unit="px of the source",
        source="measured: eye crops of 16 px work, of 10 px do not",
        ge=0,
    )
    expression_sharpness_min: float = tunable(
        0.2,
        "A face below this share of its owner's median sharpness is too blurred to tell an "
        "expression.",
        unit="ratio",
        source="chosen: blurred faces of real ride clips have 0.14 to 0.4, all others above 0.4",
        ge=0,
        le=1,
    )
    smile_from: float = tunable(
        0.3,
        "Smile from this value.",
        unit="ratio",
        source="identity_builder design (momentscan)",
        ge=0,
        le=1,
    )
    mouth_open_from: float = tunable(
        0.3,
        "Mouth open from this value.",
        unit="ratio",
        source="identity_builder design (momentscan)",
        ge=0,
        le=1,
    )
    expression_yaw_max: float = tunable(
        45.0,
        "Beyond this yaw landmarks cannot tell an expression and it is unknown.",
        unit="degrees",
        source="landmark expressions fail beyond 30-45 degrees",
        ge=0,
        le=90,
    )
    own_level_max: float = tunable(
        12.0,
        "How far a person's own level pitch may lie from the usual one; 0 takes the usual one for "
        "everybody. Who looks up all the ride is taken for level within it.",
        unit="degrees",
        source="level faces of eight people in real ride clips lie within 11 degrees of the usual",
        ge=0,
        le=45,
    )
    neutral_min_faces: int = tunable(
        5,
        "Frontal faces needed to know a person's own neutral.",
        unit="faces",
        source="design: half a second of video",
        ge=1,
    )
    occlusion_partial_from: float = tunable(
        0.1,
        "Partly occluded from.",
        unit="share",
        source="identity_builder design (momentscan)",
        ge=0,
        le=1,
    )
    occlusion_heavy_above: float = tunable(
        0.4,
        "Heavily occluded above.",
        unit="share",
        source="identity_builder design (momentscan)",
        ge=0,
        le=1,
    )
    dark_below: float = tunable(
        60.0,
        "Mean face luma of a dark face.",
        unit="0-255",
        source="identity_builder design (momentscan)",
        ge=0,
        le=255,
    )
    dark_relative: float = tunable(
        0.6,
        "A face below `dark_below` is only dark when it is also below this share of its owner's "
        "median luma: dark skin is not darkness.",
        unit="ratio",
        source="fitted on real ride clips (5 people)",
        ge=0,
        le=1,
    )
    very_dark_below: float = tunable(
        40.0,
        "Below this mean luma a face is dark whoever it is, so that a night ride is dark.",
        unit="0-255",
        source="the strict gate's floor",
        ge=0,
        le=255,
    )
    overexposed_above: float = tunable(
        200.0,
        "Mean face luma of a blown face.",
        unit="0-255",
        source="identity_builder design (momentscan)",
        ge=0,
        le=255,
    )
    overexposed_clipped: float = tunable(
        0.1,
        "Share of blown pixels from which a face is overexposed, whatever its mean.",
        unit="share",
        source="fitted: 99 % of normally lit faces have at most 0.07 (four real ride clips of 5 "
        "people, three rendered rides of 3), faces in a flash mostly more than 0.1",
        ge=0,
        le=1,
    )


class StabilitySettings(Group):
    """Prototype and identity stability."""

    prototype_yaw_max: float = tunable(
        15.0,
        "Largest |yaw| of a prototype frame.",
        unit="degrees",
        source="identity_builder design (momentscan)",
        ge=0,
        le=90,
    )
    min_strict_frames: int = tunable(
        3,
        "With fewer strict frames there is no set rather than a bad set.",
        unit="frames",
        source="identity_builder design (momentscan)",
        ge=1,
    )
    stable_min: float = tunable(
        0.35,
        "Cosine to the prototype from which a face is stable.",
        unit="cosine",
        source="identity_builder design (0.3-0.4); momentscan: same person 0.48-0.80, others "
        "<= 0.17",
        ge=-1,
        le=1,
    )
    source: Literal["medoid", "bank"] = tunable(
        "medoid",
        "What a face is compared with: the medoid of its ride, or the memory bank of the person, "
        "learnt from other rides and photographs, where a rider is known.",
        unit="text",
        source="measured on real ride clips (3 people in 2 or 3 clips each, of the same footage): "
        "the medoid finds 292 of 298 faces, a bank 293; of faces of others 2 of 5251 pass the one, "
        "4 of 3612 the other (`identity_pipeline_tests/benchmarks/memory_bank.py`)",
    )
    rival_margin: float = tunable(
        0.05,
        "Lead over the other rider's prototype.",
        unit="cosine",
        source="momentscan in production",
        ge=0,
        le=2,
    )


class BankSettings(Group):
    """The memory bank of a person. The numbers are momentbank's, for cosines like ArcFace's."""

    nodes_max: int = tunable(10, "Looks of a person.", unit="nodes", source="momentbank", ge=1)
    rate: float = tunable(
        0.1, "Weight of a new face in its node.", unit="share", source="momentbank", gt=0, le=1
    )
    merge_cos: float = tunable(
        0.5,
        "A face this close belongs to the node.",
        unit="cosine",
        source="momentbank",
        ge=-1,
        le=1,
    )
    far_cos: float = tunable(
        0.3,
        "A face of middling quality this close still teaches the nearest node.",
        unit="cosine",
        source="momentbank",
        ge=-1,
        le=1,
    )
    close_cos: float = tunable(
        0.8,
        "Nodes this close are merged on overflow.",
        unit="cosine",
        source="momentbank",
        ge=-1,
        le=1,
    )
    quality_update: float = tunable(
        0.3, "Quality that may change a node.", unit="score", source="momentbank", ge=0, le=1
    )
    quality_new: float = tunable(
        0.5, "Quality that may open a node.", unit="score", source="momentbank", ge=0, le=1
    )
