"""Every tunable number of the pipeline, typed, bounded, and with the source it comes from.

What belongs here: thresholds, sizes, names of models and folders; anything a person may tune.
What does not: constants of a definition (bin edges live here because cameras differ; the number
of key points of a face does not).

The settings are read in one place, `load_settings`, from (strongest first) environment variables
`IDENTITY_PIPELINE__<GROUP>__<NAME>`, the TOML file named by `IDENTITY_PIPELINE_SETTINGS`, or
`settings.toml` in the data folder's parent. Every field says its unit and where its default comes
from; `identity-pipeline settings` prints them all.
"""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

SETTINGS_FILE_VARIABLE = "IDENTITY_PIPELINE_SETTINGS"
ENVIRONMENT_PREFIX = "IDENTITY_PIPELINE__"


def tunable(default: Any, description: str, *, unit: str, source: str, **bounds: Any) -> Any:
    """A settings field that carries its unit and the provenance of its default."""
    return Field(
        default,
        description=description,
        json_schema_extra={"unit": unit, "source": source},
        **bounds,
    )


class Group(BaseModel):
    """Base of every group of settings: immutable, and a misspelt name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class VideoSettings(Group):
    """How a ride video is read."""

    analysis_fps: float = tunable(
        10.0,
        "Sampled frames per second of video; 0 keeps every frame.",
        unit="1/s",
        source="design: expressions last > 0.2 s, so 10/s sees each at least twice",
        ge=0,
        le=240,
    )
    max_file_bytes: int = tunable(
        8 * 1024**3,
        "A larger file is refused before it is opened.",
        unit="bytes",
        source="operations: 100 times a two-minute 1080p ride",
        gt=0,
    )
    max_pixels: int = tunable(
        8192 * 4320,
        "A frame with more pixels in its header is refused before it is decoded.",
        unit="pixels",
        source="8K video, the largest camera format in use",
        gt=0,
    )
    max_duration_s: float = tunable(
        3600.0,
        "A longer video is refused: it is no ride.",
        unit="s",
        source="operations: thirty times a ride",
        gt=0,
    )
    truncated_share: float = tunable(
        0.9,
        "A file whose frames end before this share of its declared duration is truncated.",
        unit="share",
        source="design: containers round durations by less than a second",
        gt=0,
        le=1,
    )
    allow_truncated: bool = tunable(
        False,
        "Process what can be read of a truncated file instead of failing it.",
        unit="switch",
        source="a truncated file fails with a sentence",
    )
    scene_cut_correlation: float = tunable(
        0.15,
        "Two sampled frames whose 32x18 luma thumbnails correlate less are cut apart.",
        unit="correlation",
        source="real ride clips with shake, tunnel, flash and a passing bar: lowest value 0.35; "
        "unrelated frames: below 0.1",
        ge=-1,
        le=1,
    )


class ModelSettings(Group):
    """Which models are used, and on which device."""

    face_pack: str = tunable(
        "buffalo_l",
        "InsightFace pack: a name (downloaded by InsightFace at first use) or a folder.",
        unit="name or path",
        source="design: production recogniser",
    )
    face_pack_root: str = tunable(
        "~/.insightface",
        "Where InsightFace keeps the packs it is asked for by name.",
        unit="path",
        source="InsightFace default",
    )
    vision_encoder: str = tunable(
        "facebook/dinov2-small",
        "Vision encoder: a Hugging Face id or a folder saved by `save_pretrained`.",
        unit="id or path",
        source="design: diversity is measured by a general-vision embedding",
    )
    device: Literal["auto", "cpu", "cuda"] = tunable(
        "auto",
        "`auto` takes CUDA when there is one; `cuda` fails where there is none.",
        unit="device",
        source="design",
    )
    det_size: int = tunable(
        640,
        "Side of the detector's square input; multiples of 32. Smaller is faster and misses "
        "small faces.",
        unit="px",
        source="InsightFace default for SCRFD",
        ge=128,
        le=2048,
        multiple_of=32,
    )
    det_score_min: float = tunable(
        0.5,
        "Detections below this score are not recorded.",
        unit="score",
        source="InsightFace default; equals the loose gate",
        ge=0.05,
        le=1,
    )
    recognition_batch: int = tunable(
        32, "Faces per recognition call.", unit="faces", source="measured flat from 8 up", ge=1
    )
    vision_batch: int = tunable(
        16, "Crops per vision call.", unit="crops", source="measured flat from 8 up", ge=1
    )


class TrackingSettings(Group):
    """Short-term tracking, stitching and splitting."""

    lost_buffer_s: float = tunable(
        1.0,
        "A tracklet without a detection for longer ends.",
        unit="s",
        source="earlier systems: coast 1-3 s",
        ge=0,
        le=10,
    )
    min_iou: float = tunable(
        0.1,
        "Smallest overlap of a box with a tracklet's predicted box.",
        unit="IoU",
        source="ByteTrack default in `trackers`",
        ge=0,
        le=1,
    )
    stitch_cos: float = tunable(
        0.50,
        "Two tracks whose mean embeddings are at least this close are one.",
        unit="cosine",
        source="momentscan in production on buffalo_l: same person 0.48-0.80, others <= 0.17",
        ge=-1,
        le=1,
    )
    stitch_cos_with_margin: float = tunable(
        0.40,
        "Lower bar for stitching when the runner-up is far behind.",
        unit="cosine",
        source="momentscan in production",
        ge=-1,
        le=1,
    )
    stitch_margin: float = tunable(
        0.15,
        "Lead over the runner-up that the lower bar asks for.",
        unit="cosine",
        source="momentscan in production",
        ge=0,
        le=2,
    )
    split_cos: float = tunable(
        0.35,
        "A track is split where the cosine to its own mean stays below this.",
        unit="cosine",
        source="momentscan in production: identity swaps found in 4 of 15 clips at this value",
        ge=-1,
        le=1,
    )
    split_run: int = tunable(
        3,
        "Number of successive embedded faces that makes a split.",
        unit="faces",
        source="momentscan in production",
        ge=2,
    )


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
        source="design: a child beside an adult is above 0.4, the row behind below 0.1",
        ge=0,
        le=1,
    )
    min_seen_together: int = tunable(
        3,
        "Two riders share at least this many sampled frames.",
        unit="frames",
        source="design: seat neighbours are seen together; two fragments of one person are not",
        ge=1,
    )


class CropSettings(Group):
    """Geometry of the crops that are measured and embedded."""

    ema_alpha: float = tunable(
        0.3,
        "Weight of the new box in the smoothed box.",
        unit="share",
        source="identity_builder design (momentscan) (0.3-0.5)",
        gt=0,
        le=1,
    )
    ema_gap_s: float = tunable(
        0.5,
        "A longer gap in a track resets the smoothing.",
        unit="s",
        source="design: five sampled frames",
        gt=0,
    )
    face_expand: float = tunable(
        1.5,
        "Side of the face crop over the longer side of the smoothed box.",
        unit="ratio",
        source="design; InsightFace landmark crop",
        ge=1,
    )
    body_widths: float = tunable(
        3.0, "Width of the upper-body crop.", unit="face widths", source="design", ge=1
    )
    body_heights: float = tunable(
        4.0, "Height of the upper-body crop.", unit="face heights", source="design", ge=1
    )
    region_face_px: int = tunable(
        144,
        "Longer side of the face inside the stored region crop; larger faces are reduced.",
        unit="px",
        source="a 224 px face crop at 1.5 holds a face of 149 px",
        ge=64,
        le=1024,
    )
    region_jpeg_quality: int = tunable(
        92, "JPEG quality of region crops.", unit="percent", source="design", ge=50, le=100
    )
    chunk_faces: int = tunable(
        256,
        "Faces per crop file; bounds the memory of the pass.",
        unit="faces",
        source="design: about 16 MB of pixels",
        ge=8,
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
        "Every n-th face of a tracklet is embedded even when it fails the loose gate.",
        unit="faces",
        source="design: purity needs witnesses; one a second at 10 frames a second",
        ge=1,
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
        "Eye openness, relative to the person's own neutral, below which the eyes are closed.",
        unit="ratio",
        source="identity_builder design (momentscan)",
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
        source="real ride clips (5 people): tunnel 0.2, normal light above 0.8",
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
        0.2,
        "Share of blown pixels from which a face is overexposed, whatever its mean.",
        unit="share",
        source="real ride clips (5 people): flash above 0.24, normal light 0.00",
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
    rival_margin: float = tunable(
        0.05,
        "Lead over the other rider's prototype.",
        unit="cosine",
        source="momentscan in production",
        ge=0,
        le=2,
    )


class SelectionSettings(Group):
    """Save, replace, add or reject; the four sets; the stop rule."""

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
    near_duplicate_cos: float = tunable(
        0.97,
        "Two exported images of one person are never closer than this in the vision space.",
        unit="cosine",
        source="real clips, neighbouring sampled frames: see the model card of the encoder",
        ge=0,
        le=1,
    )
    near_duplicate_look: float = tunable(
        0.97,
        "Nor closer than this correlation of their aligned pixels, which needs no encoder.",
        unit="correlation",
        source="real clips (5 people): `identity_pipeline_tests/benchmarks/likeness.py`",
        ge=0,
        le=1,
    )
    covered_from: float = tunable(
        0.2,
        "From this occlusion ratio pose and expression are not sure, and a face is no coverage.",
        unit="share",
        source="real ride clips (4 people): bar 0.31 and more, 99 % of the other faces below 0.2",
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
    anchor_gap_s: float = tunable(
        1.5, "Time between anchors.", unit="s", source="earlier systems", ge=0
    )
    anchor_cos_max: float = tunable(
        0.90,
        "Largest vision cosine of two anchors.",
        unit="cosine",
        source="earlier systems",
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
    pair_max: int = tunable(5, "Pair images at most.", unit="images", source="design", ge=0)
    pair_iou_max: float = tunable(
        0.05, "Overlap of the two faces in a pair.", unit="IoU", source="design", ge=0, le=1
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
        source="chin and hairline of an SCRFD box end at 1.25",
        ge=1,
    )
    jpeg_quality: int = tunable(
        95,
        "JPEG quality of exported images.",
        unit="percent",
        source="earlier systems",
        ge=50,
        le=100,
    )


class IngestSettings(Group):
    """The sensor and the sweep."""

    extensions: tuple[str, ...] = tunable(
        (".mp4", ".mov", ".m4v", ".mkv", ".avi", ".webm", ".mts", ".ts"),
        "Files that the sensor looks at; others are ignored.",
        unit="suffix",
        source="containers of on-board cameras",
    )
    max_new_per_tick: int = tunable(
        50, "New videos per sensor tick.", unit="videos", source="operations", ge=1
    )
    max_retries: int = tunable(
        3,
        "The sweep retries a failed video at most this often.",
        unit="runs",
        source="operations",
        ge=0,
    )


class PathSettings(Group):
    """Where things lie."""

    data: str = tunable(
        "data", "Root of everything the pipeline writes.", unit="path", source="project layout"
    )


class Settings(BaseSettings):
    """All settings. Immutable; read once by `load_settings`."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=ENVIRONMENT_PREFIX,
        env_nested_delimiter="__",
    )

    paths: PathSettings = PathSettings()
    ingest: IngestSettings = IngestSettings()
    video: VideoSettings = VideoSettings()
    models: ModelSettings = ModelSettings()
    crops: CropSettings = CropSettings()
    quality: QualitySettings = QualitySettings()
    tracking: TrackingSettings = TrackingSettings()
    riders: RiderSettings = RiderSettings()
    buckets: BucketSettings = BucketSettings()
    stability: StabilitySettings = StabilitySettings()
    selection: SelectionSettings = SelectionSettings()
    export: ExportSettings = ExportSettings()

    @model_validator(mode="after")
    def _edges_ascend(self) -> Settings:
        for name in ("yaw_edges", "pitch_edges"):
            edges = getattr(self.buckets, name)
            if any(b <= a for a, b in pairwise(edges)):
                raise ValueError(f"buckets.{name} must ascend, got {edges}")
        if self.export.crop_expand_min > self.export.crop_expand:
            raise ValueError("export.crop_expand_min must not exceed export.crop_expand")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Explicit arguments beat the environment, which beats the TOML file."""
        toml = TomlConfigSettingsSource(settings_cls, settings_file())
        return init_settings, env_settings, toml


def settings_file() -> Path | None:
    """The TOML file that `load_settings` reads, or None.

    Raises:
        FileNotFoundError: the variable names a file that does not exist.
    """
    named = os.environ.get(SETTINGS_FILE_VARIABLE)
    if named:
        path = Path(named)
        if not path.is_file():
            raise FileNotFoundError(
                f"{SETTINGS_FILE_VARIABLE} names {path}, which does not exist; "
                "unset it or create the file."
            )
        return path
    default = Path("settings.toml")
    return default if default.is_file() else None


def load_settings(**groups: Any) -> Settings:
    """Reads the settings; keyword arguments (whole or partial groups) win over everything."""
    return Settings(**groups)


def chosen(settings: Settings, names: tuple[str, ...]) -> dict[str, Any]:
    """The values of some settings, by group (`quality`) or single name (`tracking.min_iou`).

    Raises:
        AttributeError: there is no such setting.
    """
    values: dict[str, Any] = {}
    for name in names:
        group, _, field = name.partition(".")
        whole = getattr(settings, group)
        values[name] = getattr(whole, field) if field else whole.model_dump(mode="json")
    return values
