"""Which settings the library in force was computed with, where they are not those of now.

What belongs here: the comparison, and its sentence. What does not: computing the library, or what
its settings mean.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from identity_pipeline.settings import Settings, chosen
from identity_pipeline.stages.library.recompute import SETTINGS
from identity_pipeline.storage.library.snapshots import Generation


class Differing(NamedTuple):
    """One setting: its dotted name, what the library was computed with, and what it is now."""

    name: str
    was: object
    now: object


def other_settings(generation: Generation, settings: Settings) -> tuple[Differing, ...]:
    """Settings that a generation was computed with and that are others now.

    So it is after a flag of `recluster`, which holds for one run, and after a change of the
    settings that the library has yet to follow. A setting that the version which computed the
    generation did not know is left out.
    """
    return tuple(
        Differing(f"{group}.{name}", was[name], value)
        for group, values in chosen(settings, SETTINGS).items()
        if (was := generation.settings.get(group))
        for name, value in values.items()
        if name in was and was[name] != value
    )


def sentence(generation: Generation | None, settings: Settings) -> str | None:
    """Which settings those are and what the next run does; None where there are none."""
    differing = other_settings(generation, settings) if generation else ()
    if not differing:
        return None
    told = ", ".join(f"{d.name} = {shown(d.was)}, now {shown(d.now)}" for d in differing)
    return (
        f"The library in force was computed with other settings than those of now ({told}): the "
        "next run of the library, also an automatic one, follows those of now."
    )


def shown(value: object) -> str:
    """A value as a settings file would have it; `unset` where there is none."""
    return "unset" if value is None else json.dumps(value)
