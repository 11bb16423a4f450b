"""What a setting is: a typed, bounded field that says its unit and where its default comes from."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


def tunable(default: Any, description: str, *, unit: str, source: str, **bounds: Any) -> Any:
    """A settings field that carries its unit and the provenance of its default."""
    return Field(
        default,
        description=description,
        json_schema_extra={"unit": unit, "source": source},
        **bounds,
    )


class Group(BaseModel):
    """Base of every group of settings: immutable, and a misspelt name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
