"""What the steps cost here: noting it, and the prices learnt from it.

What belongs here: which numbers count the work of a step, and the bundled prices. What does not:
the arithmetic (`core.progress.costs`) and the files (`storage.progress.costs`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from identity_pipeline.core.progress.costs import Price, Sample, price
from identity_pipeline.settings import Settings
from identity_pipeline.stages.specs.recipes import steps
from identity_pipeline.storage.library.generations import Generations
from identity_pipeline.storage.progress.costs import Costs
from identity_pipeline.storage.video.tables import DamagedTableError, TableStore

BUNDLED_MS_PER_FRAME: Final[Mapping[str, float]] = {
    "ride_video": 0.5,
    "watch": 142,
    "face_quality": 1.6,
    "face_embeddings": 4.5,
    "face_tracks": 0.2,
    "riders": 0.2,
    "face_landmarks": 38,
    "identity_stability": 0.2,
    "face_buckets": 0.1,
    "vision_embeddings": 164,
    "candidates": 0.2,
    "selection": 0.4,
    "anchor_set": 0.2,
    "coverage_set": 1.0,
    "challenge_set": 0.4,
    "pair_set": 0.3,
    "frame_ledger": 0.1,
    "identity_dataset": 14,
    "templates": 3.5,
    "face_index": 6.7,
}
"""Prices until this machine has measured its own: milliseconds per sampled frame of two of the
bundled rides, with the bundled models, on two busy cores (`identity-pipeline plan --costs`).
Production models cost several times as much; the proportions are what matters for a share."""
BUNDLED_LIBRARY_MS: Final[Mapping[str, float]] = {
    "identity_library": 58,
    "identity_profiles": 50,
    "kmeans_heads": 50,
    "training_set": 5,
    "projection_head": 200,
    "head_evaluation": 5000,
    "head_embeddings": 50,
}
"""The same per unit of `LIBRARY_STEPS` and `LEARNING_STEPS`; all but the first chosen, for want of
a labelled library."""
UNITS: Final = {
    "ride_video": "videos",
    "frames": "frames",
    "face_detections": "faces",
    "identity_stability": "rider faces",
}
"""What a row of the table that counts the work is."""
LIBRARY_STEPS: Final = {
    "identity_library": "tracks",
    "identity_profiles": "people",
    "kmeans_heads": "people",
}
"""Steps of the whole library and what counts their work."""
LEARNING_STEPS: Final = {
    "training_set": "tracks",
    "projection_head": "epochs",
    "head_evaluation": "heads",
    "head_embeddings": "videos",
}
"""The same of steps that nobody waits for: a head is trained when somebody asks for it."""


ASSUMED_FRAMES: Final = 1200
"""Sampled frames of a video while none was processed here: two minutes at ten a second."""


def models_key(settings: Settings, digests: Mapping[str, str]) -> str:
    """What tells the models and the device of a price; empty for a step without models."""
    if not digests:
        return ""
    named = "+".join(f"{name}:{digest[:12]}" for name, digest in sorted(digests.items()))
    return f"{settings.models.device} {named}"


def counted(store: TableStore, step: str, video_id: str) -> int | None:
    """Units of a step's work for a video; None before the table that counts them is there."""
    by = steps()[step][0].counted_by
    if by == "ride_video":
        return 1
    noted = store.noted(by, video_id)
    return noted.rows if noted else None


def unit_of(step: str) -> str:
    """What a unit of a step's work is."""
    return UNITS[steps()[step][0].counted_by]


def expected_frames(store: TableStore, settings: Settings, video_id: str) -> int | None:
    """Sampled frames of a video: counted, or expected by its length; None before it was read."""
    noted = store.noted("frames", video_id)
    if noted is not None:
        return noted.rows
    if store.noted("ride_video", video_id) is None:
        return None
    try:
        row = store.read("ride_video", video_id, ("duration_ms", "average_fps"))
    except DamagedTableError:  # told of by whoever judges the table
        return None
    duration, fps = row["duration_ms"][0], settings.video.analysis_fps or row["average_fps"][0]
    return round(duration * fps / 1000) if duration and fps else None


def usual_frames(costs: Mapping[str, Price]) -> int:
    """Sampled frames of a video that was not read yet: as of the last ones on this machine."""
    return costs["watch"].frames or ASSUMED_FRAMES


def note_cost(
    store: TableStore,
    step: str,
    video_id: str | None,
    seconds: float,
    models: str = "",
    units: int | None = None,
) -> None:
    """Notes what a step took that has just computed.

    Args:
        store: below whose data folder the costs lie.
        step: its name.
        video_id: partition key; None for a step of the library.
        seconds: that it took.
        models: see `models_key`.
        units: units of work that were done; None where a table counts them.
    """
    frames = None
    if units is not None:
        pass
    elif video_id is None:
        name = "person_assignments" if step == "identity_library" else "people"
        units = Generations(store.layout).rows(name)
    else:
        units = counted(store, step, video_id)
        known = store.noted("frames", video_id)
        frames = known.rows if known else None
    sample = Sample(round(seconds, 4), units or 0, frames)
    Costs(store.layout).add(step, sample, models)


def prices(store: TableStore, settings: Settings, digests: Mapping[str, str]) -> dict[str, Price]:
    """What each step costs on this machine.

    Args:
        store: below whose data folder the costs lie.
        settings: in force.
        digests: SHA-256 of the models that are here, by name.
    """
    costs, found = Costs(store.layout), {}
    for step, recipes in steps().items():
        runs = {model: digests.get(model, "") for recipe in recipes for model in recipe.runs}
        samples = costs.samples(step, models_key(settings, runs))
        found[step] = price(samples, Price(None, BUNDLED_MS_PER_FRAME[step] / 1000, 0))
    for step in (*LIBRARY_STEPS, *LEARNING_STEPS):
        found[step] = price(
            costs.samples(step, ""), Price(BUNDLED_LIBRARY_MS[step] / 1000, None, 0)
        )
    return found
