"""The card of a folder of models, `pack.json`: name, licence, purpose, and its own numbers.

Published packs carry none. A pack whose purpose is `demo` runs only where the settings allow it.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.settings.numbers import CARD as FILE
from identity_pipeline.settings.numbers import NumbersCard

DEMO = "demo"


class ModelCardError(IdentityPipelineError, RuntimeError):
    """A folder's `pack.json` cannot be read, or forbids this use."""


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


def permitted(folder: Path, allow_demo: bool, setting: str, production: str) -> PackCard:
    """The card of a folder, after checking that it may be used here.

    Args:
        folder: the folder of models.
        allow_demo: `models.allow_demo`.
        setting: name of the setting that chose the folder.
        production: what to name instead.

    Raises:
        ModelCardError: it is a demo pack and the settings do not allow one.
    """
    card = read_card(folder)
    if card.purpose == DEMO and not allow_demo:
        raise ModelCardError(
            f"{setting} names {card.name or folder.name}, trained on rendered faces for "
            f"demonstrations only; name {production} (or a folder with real models), or set "
            "models.allow_demo = true to show it on rendered rides."
        )
    return card
