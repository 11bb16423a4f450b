"""The card of a folder of models, `pack.json`: name, licence, purpose, and its own numbers.

Published packs carry none.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.settings.numbers import CARD as FILE
from identity_pipeline.settings.numbers import NumbersCard


class ModelCardError(IdentityPipelineError, RuntimeError):
    """A folder's `pack.json` cannot be read."""


class PackCard(NumbersCard):
    """The contents of `pack.json`."""

    name: str | None = None
    licence: str | None = None
    purpose: str | None = None


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
