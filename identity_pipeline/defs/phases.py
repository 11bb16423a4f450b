"""Phases that are switched off in the settings: what their assets say instead."""

from typing import Any

from identity_pipeline.settings import Settings

STATUS, SKIPPED, REASON = "status", "skipped", "reason"


def switched_off(settings: Settings, *phases: str) -> str | None:
    """Why an asset is skipped, when one of its phases is off; else None."""
    off = [phase for phase in phases if not getattr(settings.phases, phase)]
    return f"switched off by settings phases.{off[0]}" if off else None


def skipped(reason: str) -> dict[str, Any]:
    """Metadata of an asset that was skipped."""
    return {STATUS: SKIPPED, REASON: reason}
