"""Settings of day-to-day operation: folders, sensor, sweep."""

from __future__ import annotations

from identity_pipeline.settings.base import Group, tunable


class IngestSettings(Group):
    """The sensor and the sweep."""

    extensions: tuple[str, ...] = tunable(
        (".mp4", ".mov", ".m4v", ".mkv", ".avi", ".webm", ".mts", ".ts"),
        "Files that the sensor looks at; others are ignored.",
        unit="suffix",
        source="containers of on-board cameras",
    )
    max_new_per_tick: int = tunable(
        50, "New videos per sensor tick.", unit="videos", source="operations", ge=1
    )
    max_retries: int = tunable(
        3,
        "The sweep retries a failed video at most this often.",
        unit="runs",
        source="operations",
        ge=0,
    )


class PathSettings(Group):
    """Where things lie."""

    data: str = tunable(
        "data", "Root of everything the pipeline writes.", unit="path", source="project layout"
    )
