"""What the steps cost here: noting it, and the prices learnt from it.

What belongs here: which numbers count the work of a step, and the bundled prices. What does not:
the arithmetic (`core.costs`) and the files (`storage.costs`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from identity_pipeline.core.costs import Price, Sample, price
from identity_pipeline.settings import Settings
from identity_pipeline.stages.recipes import steps
from identity_pipeline.storage.costs import Costs
from identity_pipeline.storage.tables import LIBRARY, TableStore

BUNDLED_SECONDS_PER_FRAME: Final[Mapping[str, float]] = {}
"""Prices until this machine has measured its own."""
UNITS: Final = {"ride_video": "videos", "frames": "frames", "face_detections": "faces"}
"""What a row of the table that counts the work is."""
LIBRARY_STEPS: Final = {"identity_library": "tracks", "identity_profiles": "people"}
"""Steps of the whole library and what counts their work."""


def models_key(settings: Settings, digests: Mapping[str, str]) -> str:
    """What tells the models and the device of a price; empty for a step without models."""
    if not digests:
        return ""
    named = "+".join(f"{name}:{digest[:12]}" for name, digest in sorted(digests.items()))
    return f"{settings.models.device} {named}"


def counted(store: TableStore, step: str, video_id: str) -> int | None:
    """Units of a step's work for a video; None before the table that counts them is there."""
    noted = store.noted(steps()[step][0].counted_by, video_id)
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
    row = store.read("ride_video", video_id)
    duration, fps = row["duration_ms"][0], settings.video.analysis_fps or row["average_fps"][0]
    return round(duration * fps / 1000) if duration and fps else None


def note_cost(
    store: TableStore, step: str, video_id: str | None, seconds: float, models: str = ""
) -> None:
    """Notes what a step took that has just computed."""
    if video_id is None:
        name = "person_assignments" if step == "identity_library" else "people"
        noted, frames = store.noted(name, LIBRARY), None
        units = noted.rows if noted else None
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
        found[step] = price(samples, BUNDLED_SECONDS_PER_FRAME.get(step))
    for step in LIBRARY_STEPS:
        found[step] = price(costs.samples(step, ""), None)
    return found
