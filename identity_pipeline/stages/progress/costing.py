"""What the steps cost here: noting it, and the prices learnt from it.

What does not belong here: the bundled prices and what counts the work of a step
(`stages.specs.assets`), the arithmetic (`core.progress.costs`) and the files
(`storage.progress.costs`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from identity_pipeline.core.progress.costs import Price, Sample, price
from identity_pipeline.settings import Settings
from identity_pipeline.stages.specs.assets import LEARN, LIBRARY, STEPS
from identity_pipeline.stages.specs.spec import Cost
from identity_pipeline.storage.library.generations import Generations
from identity_pipeline.storage.progress.costs import Costs
from identity_pipeline.storage.video.tables import DamagedTableError, Manifest, TableStore


def _priced(group: str) -> dict[str, str]:
    costs = {step: specs[0].cost for step, specs in STEPS.items() if specs[0].group == group}
    return {step: cost.unit for step, cost in costs.items() if cost}


LIBRARY_STEPS: Final = _priced(LIBRARY)
"""Steps of the whole library and what counts their work."""
LEARNING_STEPS: Final = _priced(LEARN)
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
    return counted_in(step, lambda by: store.noted(by, video_id))


def counted_in(step: str, noted: Callable[[str], Manifest | None]) -> int | None:
    """The same, by what gives the note of an output of the video."""
    by = _cost(step).counted_by
    if by is None:
        return None
    if by == "ride_video":
        return 1
    note = noted(by)
    return note.rows if note else None


def unit_of(step: str) -> str:
    """What a unit of a step's work is."""
    return _cost(step).unit


def _cost(step: str) -> Cost:
    """What the spec of a step says of its cost.

    Raises:
        KeyError: there is no such step, or nobody waits for it.
    """
    cost = STEPS[step][0].cost
    if cost is None:
        raise KeyError(f"{step} has no cost")
    return cost


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
    if units is None and video_id is not None:
        units = counted(store, step, video_id)
        known = store.noted("frames", video_id)
        frames = known.rows if known else None
    elif units is None:
        name = "person_assignments" if step == "identity_library" else "people"
        units = Generations(store.layout).rows(name)
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
    of_videos = [step for step in STEPS if step not in LIBRARY_STEPS | LEARNING_STEPS]
    for step in (*of_videos, *LIBRARY_STEPS, *LEARNING_STEPS):
        specs = STEPS[step]
        if (cost := specs[0].cost) is None:
            continue
        bundled, of_video = cost.bundled_ms / 1000, specs[0].per_video
        runs = {model: digests.get(model, "") for spec in specs for model in spec.models}
        samples = costs.samples(step, models_key(settings, runs))
        found[step] = price(
            samples, Price(None, bundled, 0) if of_video else Price(bundled, None, 0)
        )
    return found
