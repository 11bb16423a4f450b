"""When labels have grown enough for another training: a pure decision of counts and times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from identity_pipeline.settings import TrainSettings


@dataclass(frozen=True)
class Grown:
    """What was confirmed since the last training.

    Attributes:
        tracks: human-confirmed tracks that the last training set did not hold, or held as another
            person's.
        people: whom it did not know.
    """

    tracks: int
    people: int


def grown(before: Mapping[str, str], now: Mapping[str, str]) -> Grown:
    """Compares the person of each confirmed track, then and now."""
    new = {key for key, person in now.items() if before.get(key) != person}
    return Grown(len(new), len(set(now.values()) - set(before.values())))


def reason_to_wait(
    found: Grown, seconds_since: float | None, settings: TrainSettings
) -> str | None:
    """Why no training is wanted yet, in words; None when one is.

    Args:
        found: since the last training.
        seconds_since: since the last request; null when there was none.
        settings: how much must be new, and how long to wait between two trainings.
    """
    if found.tracks < settings.retrain_tracks and found.people < settings.retrain_people:
        return (
            f"{found.tracks} of {settings.retrain_tracks} new confirmed tracks and "
            f"{found.people} of {settings.retrain_people} new people since the last training."
        )
    wait = settings.retrain_hours * 3600.0
    if seconds_since is not None and seconds_since < wait:
        return (
            f"There are enough new labels; the next training may start in "
            f"{(wait - seconds_since) / 60:.0f} minutes (train.retrain_hours)."
        )
    return None
