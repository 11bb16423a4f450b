"""Every asset of the graph in the order the data climbs: one entry each, said nowhere else.

What belongs here: entries, and the lists that follow from them. What does not: what an entry is
(`stages.specs.spec`) and what comes of it (`stages.specs.cache_key`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from types import MappingProxyType
from typing import Final

from identity_pipeline.settings import all_but
from identity_pipeline.stages.specs.spec import (
    GPU,
    LIBRARY_POOL,
    AssetSpec,
    Cost,
    Kept,
    Learnt,
    Of,
)
from identity_pipeline.tables import SET_ASSETS

DETECT, MEASURE, IMAGE_SETS, TEMPLATES = "detect", "measure", "image_sets", "templates"
PHOTOS, DATASETS = "photos", "datasets"
LEARN, LIBRARY, REPORTS, OPERATE = "learn", "library", "reports", "operate"
"""The groups, in the order the data climbs."""


def _of(group: str, *names: str) -> tuple[str, ...]:
    """Dotted names of settings of a group."""
    return tuple(f"{group}.{name}" for name in names)


_EXPRESSIONS: Final = (
    *_of("buckets", "expression_yaw_max", "neutral_min_faces", "eyes_lowered_below"),
    *_of("buckets", "lids_lowered_below", "wink_from", "wink_yaw_max", "gaze_aside_from"),
    *_of("buckets", "eye_px_min", "expression_sharpness_min", "own_level_max"),
)
"""What is told with the landmarks, and not by the bins."""
_CROP_LIMITS: Final = _of(
    "export", "crop_expand", "crop_expand_min", "crop_expand_max", "min_side_px"
)
_BODY: Final = _of("crops", "body_widths", "body_heights")
_REGION: Final = _of("crops", "region_face_px", "region_jpeg_quality")
_GATES: Final = all_but("quality", "witness_every", "witness_look_min")
_LIKENESS: Final = _of("selection", "near_duplicate_cos", "near_duplicate_look")
_PAIRS: Final = (
    *_of("selection", "pair_min", "pair_max", "pair_iou_max", "pair_other_max", "pair_air_min"),
    "selection.min_gap_s",
)
_HARD: Final = _of("selection", "challenge_yaw_from", "challenge_pitch_from")
_PASS_USES: Final = (
    *_of("video", "analysis_fps", "scene_cut_correlation", "truncated_share", "allow_truncated"),
    *_of("models", "det_size", "det_score_min"),
    *_of("tracking", "lost_buffer_s", "min_iou"),
    *_BODY,
    *_REGION,
    *_of("crops", "chunk_faces", "chunk_frames"),
)
_MOMENTS_USE: Final = (
    "moments",
    *_GATES,
    *_CROP_LIMITS,
    *_of("buckets", "yaw_edges", "pitch_edges"),
    *_of("selection", "anchor_yaw_max", "anchor_pitch_max", "anchor_gap_s", "covered_from"),
    *_of("selection", "anchor_min", "challenge_min", "challenge_max", "min_gap_s"),
    *_HARD,
)
_STOP: Final = (
    *_LIKENESS,
    *_of("selection", "anchor_yaw_max", "anchor_pitch_max", "anchor_gap_s", "anchor_cos_max"),
    *_of("selection", "stop", "replace_gain", "novelty_min", "bucket_max", "covered_from"),
    *_of("selection", "stop_yaw_bins", "stop_pitch_bins", "stop_expression_bins"),
    *_of("selection", "stop_window", "stop_novelty", "anchor_min"),
)
"""What the replay in time order reads; it says where the stop is."""
_LEDGER_USES: Final = (
    *(name for name in _GATES if not name.startswith("quality.strict_")),
    *all_but("riders", "size_weight", "centre_weight", "length_weight"),
    *all_but("stability", "prototype_yaw_max", "source"),
    *_LIKENESS,
    "export.crop_expand_min",
    *_of("selection", "stop", "min_gap_s", "covered_from", "novelty_min", "replace_gain"),
)
BINS, CHOICE, ANCHORS, ORDER = "bins", "choice", "anchors", "order"
"""What of the pictures of a video humans decide: see `AssetSpec.pictures`."""
_CHOSEN: Final = {CHOICE: ("pictures.rejected_within_s",)}
_TEMPLATE_USES: Final = (
    *_of("match", "genuine_gap_s", "pairs_per_track", "samples_per_track"),
    *_of("match", "template_min_faces", "template_thin_cos", "template_weight_floor"),
)
_PHOTO_TABLES: Final = (
    *("face_detections", "face_crops", "face_quality", "face_embeddings", "face_tracks", "riders"),
    *("face_landmarks", "face_buckets", "moments", "moment_embeddings", "identity_stability"),
    *("vision_embeddings", "candidates"),
)
_PHOTO_USES: Final = tuple(
    dict.fromkeys(
        (
            "photos",
            *_of("models", "det_size", "det_score_min"),
            *_BODY,
            *_REGION,
            *_MOMENTS_USE,
            "buckets",
            "stability",
            *_of("crops", "ema_alpha", "ema_gap_s", "face_expand"),
        )
    )
)
_OF_FACES: Final = (
    *("ride_video", "face_detections", "face_quality"),
    *("face_landmarks", "identity_stability"),
)
_OF_TRACKS: Final = (
    *("face_embeddings", "moment_embeddings", "face_quality", "face_tracks"),
    *("riders", "face_detections"),
)

_detect = partial(AssetSpec, group=DETECT)
_pass = partial(
    _detect,
    inputs=("ride_video",),
    settings=_PASS_USES,
    operates=("video.decoder", "video.max_file_bytes", "video.max_pixels"),
    models=("face_pack",),
    highlights=_of("highlights", "rate_times_max"),
    redacted=True,
    code="4",
    step="watch",
    one_pass=True,
    cost=Cost(142, "frames", "frames"),
    pool=GPU,
)
_measure = partial(AssetSpec, group=MEASURE)
_view = partial(
    _measure,
    kinds=("polars",),
    inputs=(
        *("ride_video", "frames", "ride_phases", "face_detections", "face_quality"),
        *("face_tracks", "face_landmarks"),
    ),
    settings=("buckets.occlusion_partial_from", "camera.vote_faces_min"),
    step="camera_view",
    cost=Cost(0.2),
)
_ride = partial(
    _measure,
    kinds=("numpy",),
    inputs=("frames",),
    ride=Learnt(tables=("ride_track", "ride_usual", "ride_stretches")),
    step="ride_phases",
    cost=Cost(0.3),
)
_chunked = partial(_measure, operates=("crops.chunk_faces",), pool=GPU)
_sets = partial(AssetSpec, group=IMAGE_SETS)
_set = partial(_sets, kinds=("python",))
_templates = partial(
    AssetSpec,
    group=TEMPLATES,
    kinds=("numpy",),
    inputs=_OF_TRACKS,
    settings=_TEMPLATE_USES,
    step="templates",
    phases=("library",),
    cost=Cost(3.5),
)
_photos = partial(AssetSpec, group=PHOTOS, of=Of.PHOTO_SET)
_of_all = partial(AssetSpec, of=Of.ALL, kept=Kept.ELSEWHERE)
_each = partial(Cost, counted_by=None)
_learn = partial(_of_all, group=LEARN)
_library = partial(_of_all, group=LIBRARY, phases=("library",), pool=LIBRARY_POOL, nightly=True)
_who = partial(
    _library,
    kinds=("polars",),
    inputs=(
        *("track_templates", "calibration_pairs", "face_samples", "photo_templates"),
        "head_embeddings",
    ),
    step="identity_library",
    cost=_each(58, "tracks"),
)
_of_people = partial(
    _library,
    inputs=("people", "person_assignments", "calibration"),
    cost=_each(50, "people"),
)
_report = partial(_of_all, group=REPORTS, kinds=("python",), nightly=True)
_operate = partial(_of_all, group=OPERATE, kinds=("python",), nightly=True)

_ENTRIES: Final = (
    _detect(
        key="ride_video",
        kinds=("ffmpeg",),
        operates=("video",),
        code="2",
        kept=Kept.SOURCE,
        cost=Cost(0.5, "videos", "ride_video"),
    ),
    _pass(
        key="frames",
        kinds=("ffmpeg",),
        description="One row per sampled frame: time, light, sharpness, scene cut.",
    ),
    _pass(
        key="face_detections",
        kinds=("onnx",),
        description="One row per face: box, score, key points, tracklet.",
    ),
    _pass(
        key="face_crops",
        kinds=("onnx",),
        kept=Kept.CROPS,
        description="Aligned 112 px crop and padded region of every face.",
    ),
    _ride(key="ride_phases", description="Where on the ride each frame is, and in which phase."),
    _ride(key="ride_course", description="Whether the video follows the ride of its camera."),
    _measure(
        key="face_quality",
        kinds=("numpy",),
        inputs=("ride_video", "face_detections", "face_crops"),
        settings=_GATES,
        code="2",
        cost=Cost(1.6),
    ),
    _chunked(
        key="face_embeddings",
        kinds=("onnx",),
        inputs=("face_detections", "face_crops", "face_quality"),
        settings=(*_of("quality", "witness_every", "witness_look_min"), "tracking.split_cos"),
        batches=("models.recognition_batch",),
        models=("face_pack",),
        code="2",
        cost=Cost(1.5),
    ),
    _measure(
        key="face_tracks",
        kinds=("numpy",),
        inputs=("frames", "face_detections", "face_embeddings"),
        settings=all_but("tracking", "lost_buffer_s", "min_iou"),
        code="3",
        cost=Cost(0.2),
    ),
    _measure(
        key="riders",
        kinds=("polars",),
        inputs=("ride_video", "frames", "face_detections", "face_quality", "face_tracks"),
        settings=("riders",),
        camera=Learnt(
            tables=("camera_seats",),
            settings=("camera.seat_sure",),
            inputs=("ride_phases",),  # who is there at boarding alone
            code="2",
        ),
        ride=Learnt(settings=("ride.boarding_chance",), inputs=("ride_phases",)),
        code="2",
        cost=Cost(0.2),
    ),
    _chunked(
        key="face_landmarks",
        kinds=("onnx",),
        inputs=("face_detections", "face_crops", "face_quality", "face_tracks", "riders"),
        settings=(
            *_EXPRESSIONS,
            "buckets.eyes_closed_below",
            *_of("crops", "ema_alpha", "ema_gap_s"),
        ),
        batches=("models.recognition_batch",),
        models=("face_pack", "perception"),
        code="7",
        cost=Cost(38),
    ),
    _measure(
        key="face_buckets",
        kinds=("polars",),
        inputs=("face_landmarks", "face_quality"),
        settings=all_but("buckets", *(name.partition(".")[2] for name in _EXPRESSIONS)),
        camera=Learnt(
            tables=("camera_pose_zero",),
            settings=_of("buckets", "neutral_min_faces", "own_level_max"),
            inputs=("riders",),  # who sits where
        ),
        pictures={BINS: ()},
        cost=Cost(0.1),
    ),
    _view(
        key="camera_places",
        description="Where each track is in the picture, and when.",
        code="2",
    ),
    _view(key="camera_votes", description="Where each rider looks when nothing draws them aside."),
    _view(
        key="camera_figures", description="Light, sharpness and faces, of the whole and by phase."
    ),
    _measure(
        key="moments",
        kinds=("polars",),
        inputs=(
            *("ride_video", "face_detections", "face_quality", "face_tracks"),
            *("face_landmarks", "face_buckets", "face_crops"),
        ),
        settings=_MOMENTS_USE,
        highlights=_of("highlights", "quality_bonus"),
        pictures=_CHOSEN,
        cost=Cost(1),
    ),
    _chunked(
        key="moment_embeddings",
        kinds=("onnx",),
        inputs=("face_crops", "face_embeddings", "moments"),
        batches=("models.recognition_batch",),
        models=("face_pack",),
        cost=Cost(1, "usable faces", "moments"),
    ),
    _measure(
        key="identity_stability",
        kinds=("numpy",),
        inputs=(
            *("face_embeddings", "moment_embeddings", "face_quality", "face_landmarks"),
            *("face_tracks", "riders"),
        ),
        settings=("stability", *_GATES),
        banks=("bank",),
        code="2",
        cost=Cost(0.2),
    ),
    _chunked(
        key="vision_embeddings",
        kinds=("torch", "huggingface"),
        inputs=(*_OF_FACES, "moments", "face_crops"),
        settings=(*_GATES, *_CROP_LIMITS, "crops.face_expand", *_BODY),
        batches=("models.vision_batch",),
        models=("vision",),
        phases=("vision",),
        pictures=_CHOSEN,
        code="2",
        cost=Cost(28, "usable faces", "moments"),
    ),
    _sets(
        key="candidates",
        kinds=("polars",),
        inputs=(*_OF_FACES, "face_buckets", "moments", "vision_embeddings"),
        settings=(*_GATES, *_CROP_LIMITS),
        highlights=_of("highlights", "quality_bonus"),
        pictures={**_CHOSEN, ANCHORS: (), ORDER: ()},
        code="2",
        cost=Cost(0.2),
    ),
    _set(
        key="anchor_set",
        inputs=("candidates", "face_crops"),
        settings=(
            *_STOP,
            *_of("selection", "min_gap_s", "anchor_max", "anchor_mouth_max", "anchor_score_min"),
        ),
        code="2",
        cost=Cost(0.4),
    ),
    _set(
        key="pair_set",
        inputs=("ride_video", "face_detections", "candidates", "anchor_set", "face_crops"),
        settings=(*_STOP, *_PAIRS),
        phases=("pair_sets",),
        code="2",
        cost=Cost(0.3),
    ),
    _set(
        key="selection",
        inputs=("candidates", "anchor_set", "pair_set"),
        settings=(*_STOP, *_of("selection", "min_gap_s", "facility_weight", "second_picture_min")),
        code="3",
        cost=Cost(1.0),
    ),
    _set(
        key="coverage_set",
        inputs=("candidates", "selection", "anchor_set", "pair_set", "face_crops"),
        settings=(*_STOP, "selection.min_gap_s"),
        code="2",
        cost=Cost(0.4),
    ),
    _set(
        key="challenge_set",
        inputs=("candidates", "anchor_set", "pair_set", "coverage_set", "face_crops"),
        settings=(
            *_STOP,
            *_HARD,
            *_of("selection", "min_gap_s", "challenge_min", "challenge_max"),
            *_of("selection", "challenge_kind_max", "challenge_stable_min"),
        ),
        code="2",
        cost=Cost(0.4),
    ),
    _sets(
        key="identity_dataset",
        kinds=("jpeg",),
        inputs=(
            *("ride_video", "frames", "face_detections", "face_tracks", "riders"),
            *("moments", "candidates", "selection", *SET_ASSETS, "face_crops"),
        ),
        # It prints the digest of all settings that shape it, so that any of them renews it.
        settings=(
            *("selection", "buckets", *all_but("export", "purpose"), "stability"),
            *(*_BODY, *_REGION),
            *(name for name in _LEDGER_USES if name.startswith("riders.")),
            *(name for name in _GATES if name.startswith("quality.")),  # it says which face fails
        ),
        operates=("video",),
        models=("face_pack", "vision"),
        highlights=("highlights",),
        camera=Learnt(tables=("camera_pose_zero", "camera_reach"), settings=("camera.videos_min",)),
        ride=Learnt(
            tables=("ride_expected", "ride_expressions", "ride_failures"),
            settings=("ride.no_good_share", "camera.videos_min"),
            inputs=("ride_phases",),
        ),
        pictures=_CHOSEN,
        consents=True,
        code="5",
        kept=Kept.EXPORT,
        shows_names=True,
        cost=Cost(40),
        pool=GPU,  # the exported pictures are looked at again
    ),
    _sets(
        key="frame_ledger",
        kinds=("polars",),
        inputs=(
            *("face_detections", "face_tracks", "riders", "candidates", "selection"),
            *(*SET_ASSETS, "identity_dataset"),
        ),
        settings=_LEDGER_USES,
        pictures=_CHOSEN,
        cost=Cost(0.1),
    ),
    _templates(
        key="track_templates",
        description="One template per rider's track: the unit of the library.",
    ),
    _templates(
        key="calibration_pairs",
        description="Cosines of which the ride itself says: same person, or two.",
    ),
    _templates(
        key="face_samples",
        description="A few faces of each track, to compare with other videos.",
    ),
    AssetSpec(
        key="face_index",
        group=TEMPLATES,
        kinds=("qdrant",),
        # The export says which images were left out.
        inputs=(
            *("track_templates", "moment_embeddings", "vision_embeddings"),
            *(*SET_ASSETS, "identity_dataset"),
        ),
        operates=("index",),
        kept=Kept.INDEX,
        phases=("index", "library"),
        cost=Cost(6.7),
    ),
    _photos(
        key="photo_set",
        kinds=("jpeg",),
        settings=("photos",),
        cost=Cost(20, "pictures", "photo_set"),
    ),
    _photos(
        key="photo_faces",
        kinds=("onnx", "torch"),
        inputs=("photo_set",),
        settings=_PHOTO_USES,
        operates=("crops.chunk_faces", "phases.vision"),
        batches=("models.recognition_batch", "models.vision_batch"),
        models=("face_pack", "perception", "vision"),
        unless_off={"vision": "vision"},
        writes=_PHOTO_TABLES,
        cost=Cost(250, "pictures", "photo_set"),
        pool=GPU,
    ),
    _photos(
        key="photo_templates",
        kinds=("numpy",),
        inputs=("photo_faces",),
        settings=_TEMPLATE_USES,
        kept=Kept.AS_A_RIDE,
        writes=("track_templates", "calibration_pairs", "face_samples"),
        phases=("library",),
        cost=Cost(3.5, "pictures", "photo_set"),
    ),
    _photos(
        key="photo_index",
        kinds=("qdrant",),
        inputs=("photo_templates", "photo_faces"),
        operates=("index",),
        kept=Kept.INDEX,
        phases=("index", "library"),
        cost=Cost(6.7, "pictures", "photo_set"),
    ),
    # None is made of `people`: whom humans confirmed is read from the ledger.
    _learn(
        key="training_set",
        kinds=("polars",),
        inputs=("track_templates", "face_samples", "photo_templates"),
        cost=_each(5, "tracks"),
    ),
    _learn(
        key="projection_head",
        kinds=("torch",),
        inputs=("training_set",),
        cost=_each(200, "epochs"),
        pool=GPU,
    ),
    _learn(
        key="head_evaluation",
        kinds=("json",),
        inputs=("projection_head",),
        cost=_each(5000, "heads"),
        pool=LIBRARY_POOL,
    ),
    _learn(
        key="head_embeddings",
        kinds=("numpy",),
        inputs=("head_evaluation", "track_templates", "face_samples", "photo_templates"),
        phases=("library",),
        cost=_each(50, "videos"),
        pool=LIBRARY_POOL,
        nightly=True,
    ),
    _who(
        key="calibration",
        description="Thresholds by false-accept rate, with intervals and methods.",
    ),
    _who(
        key="person_references",
        description="What stands for each known person: exemplars and centres.",
    ),
    _who(key="people", description="Everybody whom humans have named."),
    _who(
        key="person_assignments",
        description="Who each track is, why, and how sure that is.",
    ),
    _who(
        key="unknown_clusters",
        description="Unknown people, grouped; ids are kept from run to run.",
    ),
    _who(key="suggestions", description="What the machine would ask a curator."),
    _who(
        key="video_copies",
        description="Videos that are copies of another one's ride, and so do not count.",
    ),
    _of_people(key="identity_profiles", kinds=("json",)),
    _of_people(key="kmeans_heads", kinds=("numpy",)),
    _of_all(
        key="ride_template",
        group=LIBRARY,
        kinds=("numpy",),
        inputs=(
            *("frames", "camera_places", "riders", "face_quality", "face_buckets"),
            "video_copies",
        ),
        pool=LIBRARY_POOL,
        nightly=True,
    ),
    _of_all(
        key="camera_model",
        group=LIBRARY,
        kinds=("polars",),
        inputs=(
            *("ride_template", "ride_course"),
            *("camera_places", "camera_votes", "camera_figures"),
            *("riders", "face_landmarks", "face_quality"),
        ),
        pool=LIBRARY_POOL,
        nightly=True,
    ),
    AssetSpec(
        key="person_dataset",
        group=DATASETS,
        kinds=("jpeg",),
        inputs=("person_assignments", "identity_dataset", "photo_templates"),
        of=Of.PERSON_AND_CONSUMER,
        kept=Kept.ELSEWHERE,
        cost=_each(900, "pictures"),
    ),
    _report(
        key="library_report",
        inputs=(
            *("identity_dataset", "face_index", "photo_index", "person_assignments"),
            *("identity_profiles", "kmeans_heads"),
        ),
    ),
    _report(
        key="evaluation_report",
        inputs=(
            *("identity_dataset", "face_embeddings", "moment_embeddings"),
            "vision_embeddings",
        ),
    ),
    _operate(key="disk_usage"),
    _operate(key="retention_due"),
    _operate(key="published"),
)

SPECS: Final[Mapping[str, AssetSpec]] = MappingProxyType({spec.key: spec for spec in _ENTRIES})
"""Every asset, after all that it is made of."""
VIDEO_SPECS: Final = MappingProxyType({key: spec for key, spec in SPECS.items() if spec.per_video})
"""Those of one video."""
PHOTO_SPECS: Final = MappingProxyType(
    {key: spec for key, spec in SPECS.items() if spec.of is Of.PHOTO_SET}
)
"""Those of one set of photographs."""


def steps(specs: Mapping[str, AssetSpec] = VIDEO_SPECS) -> dict[str, tuple[AssetSpec, ...]]:
    """The steps that make some assets, in the order of their work, with the outputs of each."""
    found: dict[str, tuple[AssetSpec, ...]] = {}
    for spec in specs.values():
        found[spec.step] = (*found.get(spec.step, ()), spec)
    return found


STEPS: Final[Mapping[str, tuple[AssetSpec, ...]]] = MappingProxyType(steps(SPECS))
"""Every step of the graph with its outputs."""


def outputs_of(step: str) -> tuple[str, ...]:
    """The names of the assets that a step makes."""
    return tuple(spec.key for spec in STEPS[step])


PASS: Final = outputs_of("watch")
TEMPLATE_TABLES: Final = outputs_of("templates")
"""What the library reads of each video."""
LAST_OF_A_VIDEO: Final = tuple(
    key
    for key in VIDEO_SPECS
    if not any(key in spec.behind for spec in VIDEO_SPECS.values() if spec.table)
)
"""The ends of a video's graph: whatever else was made anew, one of them was written after it."""


def direct_inputs(key: str) -> tuple[str, ...]:
    """The inputs of an asset that none of its other inputs is made of.

    These alone are drawn in Dagster's lineage, where the others would only hide them; all of them
    are in the cache key.
    """
    inputs = SPECS[key].behind
    behind = {name for one in inputs for name in made_of(one)}
    return tuple(name for name in inputs if name not in behind)


@cache
def made_of(key: str) -> frozenset[str]:
    """All that an asset is made of, directly or not."""
    inputs = SPECS[key].behind
    return frozenset(inputs).union(*map(made_of, inputs))
