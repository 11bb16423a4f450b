"""Settings of publishing: where finished tables and exports are copied to."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import field_validator

from identity_pipeline.errors import without_secrets
from identity_pipeline.settings.base import Group, tunable


class PublishSettings(Group):
    """The object store. Keys and endpoints come from the environment (AWS_ACCESS_KEY_ID, ...)."""

    url: str = tunable(
        "",
        "Where finished tables and exports are copied: s3://BUCKET/PREFIX, file:///FOLDER, or any "
        "other address that fsspec knows. Empty: nowhere.",
        unit="URL",
        source="unset: off. The work itself stays on a file system, which has renames and locks",
    )
    versions: int = tunable(
        2,
        "Versions of a video that stay there; older ones are removed after a new one is whole.",
        unit="versions",
        source="chosen: the one in force, and the one that somebody may be reading",
        ge=1,
    )

    @field_validator("url")
    @classmethod
    def _no_secret(cls, url: str) -> str:
        if url and "://" not in url:
            raise ValueError("publish.url must be an address such as s3://bucket/prefix")
        if "@" in urlsplit(url).netloc or without_secrets(url) != url:
            raise ValueError("publish.url must hold no key; keys come from the environment")
        return url.rstrip("/")
