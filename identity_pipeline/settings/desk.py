"""Settings of the desk: where it listens, and where Dagster is."""

from __future__ import annotations

from identity_pipeline.settings.base import Group, tunable


class DeskSettings(Group):
    """The local page of curators."""

    port: int = tunable(
        3001,
        "Port on which the desk listens; 0: any that is free.",
        unit="port",
        source="chosen: the one after Dagster's",
        ge=0,
        le=65535,
    )
    url: str = tunable(
        "http://127.0.0.1:3001",
        "Where browsers find the desk; assets in Dagster link there. Empty: no links.",
        unit="URL",
        source="chosen: this machine, on desk.port",
    )
    dagster_url: str = tunable(
        "http://127.0.0.1:3000",
        "Where browsers find Dagster; the desk links there. Empty: no links.",
        unit="URL",
        source="chosen: where `make dev` serves it",
    )
