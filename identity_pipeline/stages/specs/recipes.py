"""What each output is made of: its inputs, settings, models and the version of its code.

One table, from which the steps decide whether an output is reused and `identity-pipeline plan`
says so beforehand: both call `ingredients` and `fingerprint`. What belongs here: names. What does
not: computing anything, or Dagster.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from identity_pipeline.settings import Settings, all_but, chosen
from identity_pipeline.stages.specs.phases import switched_off
from identity_pipeline.storage.files.hashing import sha256_of_value
from identity_pipeline.tables import SET_ASSETS

Made = Mapping[str, Any]
"""What an output is made of; see `ingredients`."""


@dataclass(frozen=True)
class Recipe:
    """One output of one video.

    Attributes:
        asset: its name.
        inputs: assets that it is made of.
        uses: settings that it reads, by group or single name. Too many, and it is made again for
            nothing; too few, and an old result is taken for a new one. A test compares them with
            what the steps read.
        runs: models that it runs: `face_pack`, `vision`.
        code: raise it with every change of what is computed; without it old results are reused.
        step: what makes it; several outputs may come of one step.
        counted_by: the table whose rows count the step's work.
        shows_names: whether the output prints the models' names and the digest of all settings.
        phases: that it belongs to; with one of them switched off, it is empty and needs nothing.
    """

    asset: str
    inputs: tuple[str, ...]
    uses: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    code: str = "1"
    step: str = ""
    counted_by: str = "face_detections"
    shows_names: bool = False
    phases: tuple[str, ...] = ()

    def off(self, settings: Settings) -> str | None:
        """Why it is not made; None where it is."""
        return switched_off(settings, *self.phases)


PASS: Final = ("frames", "face_detections", "face_crops")
TEMPLATES: Final = ("track_templates", "calibration_pairs", "face_samples")
_CROP_LIMITS: Final = ("export.crop_expand", "export.crop_expand_min")
_GATES: Final = all_but("quality", "witness_every")
_LIKENESS: Final = ("selection.near_duplicate_cos", "selection.near_duplicate_look")
_ANCHORS: Final = (
    "selection.anchor_yaw_max",
    "selection.anchor_pitch_max",
    *_LIKENESS,
    "selection.anchor_gap_s",
    "selection.anchor_cos_max",
)
_HARD: Final = ("selection.challenge_yaw_from", "selection.challenge_pitch_from")
_PASS_USES: Final = (
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
_SELECTION_USES: Final = (
    *_ANCHORS,
    *all_but(
        "selection",
        *(name.partition(".")[2] for name in (*_ANCHORS, *_HARD)),
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
_LEDGER_USES: Final = (
    *(name for name in _GATES if not name.startswith("quality.strict_")),
    *all_but("riders", "size_weight", "centre_weight", "length_weight"),
    *all_but("stability", "prototype_yaw_max"),
    *_LIKENESS,
    "export.crop_expand_min",
    "selection.covered_from",
    "selection.novelty_min",
    "selection.replace_gain",
)
_TEMPLATE_USES: Final = (
    "match.genuine_gap_s",
    "match.pairs_per_track",
    "match.samples_per_track",
    "match.template_min_faces",
    "match.template_thin_cos",
    "match.template_weight_floor",
)
_SHAPING: Final = (
    "video",
    "models",
    "crops",
    "quality",
    "tracking",
    "riders",
    "buckets",
    "stability",
    "selection",
    "export",
)
"""Groups of settings that shape an export."""
_OF_FACES: Final = (
    "ride_video",
    "face_detections",
    "face_quality",
    "face_landmarks",
    "identity_stability",
)
_OF_TRACKS: Final = (
    "face_embeddings",
    "face_quality",
    "face_tracks",
    "riders",
    "face_detections",
)

RECIPES: Final[Mapping[str, Recipe]] = {
    recipe.asset: recipe
    for recipe in (
        Recipe("ride_video", (), code="2", counted_by="ride_video"),
        *(
            Recipe(
                name,
                ("ride_video",),
                _PASS_USES,
                ("face_pack",),
                code="3",
                step="watch",
                counted_by="frames",
            )
            for name in PASS
        ),
        Recipe("face_quality", ("ride_video", "face_detections", "face_crops"), _GATES),
        Recipe(
            "face_embeddings",
            ("face_detections", "face_crops", "face_quality"),
            ("quality.witness_every",),
            ("face_pack",),
        ),
        Recipe(
            "face_tracks",
            ("face_detections", "face_embeddings"),
            all_but("tracking", "lost_buffer_s", "min_iou"),
            code="2",
        ),
        Recipe(
            "riders",
            ("ride_video", "frames", "face_detections", "face_tracks"),
            ("riders",),
        ),
        Recipe(
            "face_landmarks",
            ("face_detections", "face_crops", "face_quality", "face_tracks", "riders"),
            (
                "buckets.expression_yaw_max",
                "buckets.neutral_min_faces",
                "crops.ema_alpha",
                "crops.ema_gap_s",
            ),
            ("face_pack",),
            code="2",
        ),
        Recipe(
            "identity_stability",
            ("face_embeddings", "face_quality", "face_landmarks", "face_tracks", "riders"),
            ("stability", *_GATES),
        ),
        Recipe(
            "face_buckets",
            ("face_landmarks", "face_quality"),
            all_but("buckets", "expression_yaw_max", "neutral_min_faces"),
        ),
        Recipe(
            "vision_embeddings",
            (*_OF_FACES, "face_crops"),
            (
                *_GATES,
                *_CROP_LIMITS,
                "crops.face_expand",
                "crops.body_widths",
                "crops.body_heights",
            ),
            ("vision",),
            counted_by="identity_stability",
            phases=("vision",),
        ),
        Recipe(
            "candidates",
            (*_OF_FACES, "face_buckets", "vision_embeddings"),
            (*_GATES, *_CROP_LIMITS),
        ),
        Recipe("selection", ("candidates",), _SELECTION_USES),
        Recipe(
            "anchor_set",
            ("candidates", "selection", "face_crops"),
            (*_ANCHORS, "selection.anchor_max"),
        ),
        Recipe(
            "coverage_set",
            ("candidates", "selection", "anchor_set", "face_crops"),
            (*_LIKENESS, "selection.bucket_max", "selection.covered_from"),
        ),
        Recipe(
            "challenge_set",
            ("candidates", "selection", "anchor_set", "coverage_set", "face_crops"),
            (
                *_LIKENESS,
                *_HARD,
                "selection.covered_from",
                "selection.challenge_max",
                "selection.challenge_stable_min",
            ),
        ),
        Recipe(
            "pair_set",
            (
                "ride_video",
                "face_detections",
                "candidates",
                "selection",
                *SET_ASSETS[:3],
                "face_crops",
            ),
            (
                *_LIKENESS,
                "selection.pair_max",
                "selection.pair_iou_max",
                "selection.anchor_gap_s",
            ),
            phases=("pair_sets",),
        ),
        Recipe(
            "frame_ledger",
            ("face_detections", "face_tracks", "riders", "candidates", "selection", *SET_ASSETS),
            _LEDGER_USES,
        ),
        Recipe(
            "identity_dataset",
            (
                "ride_video",
                "frames",
                "face_tracks",
                "riders",
                "candidates",
                "selection",
                "frame_ledger",
                *SET_ASSETS,
                "face_crops",
            ),
            # It prints the digest of all settings that shape it, so that any of them renews it.
            (
                "selection",
                "buckets",
                "export",
                "crops.body_widths",
                "crops.body_heights",
                "crops.region_face_px",
                "crops.region_jpeg_quality",
            ),
            ("face_pack", "vision"),
            code="2",
            shows_names=True,
        ),
        *(
            Recipe(name, _OF_TRACKS, _TEMPLATE_USES, step="templates", phases=("library",))
            for name in TEMPLATES
        ),
        Recipe(
            "face_index",
            # The export says which images were left out.
            ("track_templates", "vision_embeddings", *SET_ASSETS, "identity_dataset"),
            phases=("index", "library"),
        ),
    )
}
"""Every per-video output, after all that it is made of."""


def step_of(recipe: Recipe) -> str:
    """The name of the step that makes an output."""
    return recipe.step or recipe.asset


def steps() -> dict[str, tuple[Recipe, ...]]:
    """The per-video steps in the order of their work, with the outputs of each."""
    found: dict[str, tuple[Recipe, ...]] = {}
    for recipe in RECIPES.values():
        found[step_of(recipe)] = (*found.get(step_of(recipe), ()), recipe)
    return found


def shaping_settings(settings: Settings) -> str:
    """Digest of all settings that shape an export; those of operation and the library do not."""
    values = settings.model_dump(mode="json", include=set(_SHAPING))
    phases = settings.phases.model_dump()
    off = [phase for phase in ("vision", "pair_sets") if not phases[phase]]
    values |= {"phases_switched_off": off} if off else {}
    values["models"] = {
        name: value
        for name, value in values["models"].items()
        if name in ("det_size", "det_score_min")
    }
    values["crops"] = {n: v for n, v in values["crops"].items() if not n.startswith("chunk_")}
    return sha256_of_value(values)


def ingredients(
    recipe: Recipe,
    settings: Settings,
    digests: Mapping[str, str],
    versions: Mapping[str, str | None],
) -> dict[str, Any]:
    """Everything that an output depends on, as JSON-able values.

    Args:
        recipe: the output.
        settings: in force.
        digests: SHA-256 of the models that it runs, by name.
        versions: data version of each input; None for one that was never made.
    """
    off = recipe.off(settings)
    if off:
        return {
            "asset": recipe.asset,
            "code": recipe.code,
            "settings": {},
            "models": {},
            "inputs": {},
            "also": [],
            "off": off,
        }
    made = {
        "asset": recipe.asset,
        "code": recipe.code,
        "settings": chosen(settings, recipe.uses),
        "models": {model: digests[model] for model in recipe.runs},
        "inputs": {name: versions[name] for name in recipe.inputs},
        "also": _shown(settings) if recipe.shows_names else [],
    }
    return json.loads(json.dumps(made))  # as it is read back, so that old and new can be compared


def standing(settings: Settings, digests: Mapping[str, str]) -> str:
    """SHA-256 of all that outputs are made of but for data: code, settings and models.

    While it stays the same, no finished video becomes outdated.
    """
    return sha256_of_value(
        [ingredients(r, settings, digests, dict.fromkeys(r.inputs)) for r in RECIPES.values()]
    )


def _shown(settings: Settings) -> list[str]:
    names = (settings.models.face_pack, settings.models.vision_encoder)
    return [shaping_settings(settings), *(Path(name).name for name in names)]


def fingerprint(made: Made) -> str:
    """SHA-256 of what an output is made of: equal ones are not computed again."""
    return sha256_of_value(made)
