"""Phases that are switched off in the settings."""

from __future__ import annotations

from identity_pipeline.settings import Settings


def switched_off(settings: Settings, *phases: str) -> str | None:
    """Why an output is not made, when one of its phases is off; else None."""
    off = [phase for phase in phases if not getattr(settings.phases, phase)]
    return f"switched off by settings phases.{off[0]}" if off else None
