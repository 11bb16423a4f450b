"""Phases that are switched off in the settings: what their assets say instead."""

from typing import Any

STATUS, SKIPPED, REASON = "status", "skipped", "reason"


def skipped(reason: str) -> dict[str, Any]:
    """Metadata of an asset that was skipped.

    Args:
        reason: result of `stages.specs.spec.switched_off`.
    """
    return {STATUS: SKIPPED, REASON: reason}
