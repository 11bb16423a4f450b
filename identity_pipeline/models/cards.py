"""The card of a folder of models, `pack.json`: name, licence, purpose, and its own numbers.

Published packs carry none.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, ValidationError

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.settings.numbers import CARD as FILE
from identity_pipeline.settings.numbers import NumbersCard


class ModelCardError(IdentityPipelineError, RuntimeError):
    """A folder's `pack.json` cannot be read."""


class PackCard(NumbersCard):
    """The contents of `pack.json`.

    Attributes:
        name: of the pack.
        licence: of its weights.
        purpose: `production` or `demo`.
        files: SHA-256 of its nets by path, where whoever made it recorded them.
    """

    name: str | None = None
    licence: str | None = None
    purpose: str | None = None
    files: Mapping[str, str] = Field(default_factory=dict)


def read_card(folder: Path) -> PackCard:
    """The card of a folder; an empty one where there is none.

    Raises:
        ModelCardError: the file is no such card.
    """
    path = folder / FILE
    if not path.is_file():
        return PackCard()
    try:
        return PackCard.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ModelCardError(f"{path} is no model card; mend or remove it ({error}).") from error
