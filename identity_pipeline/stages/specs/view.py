"""The settings as a step sees them: those that the specs of its outputs declare, and no others.

A setting that a step read without declaring it would be in no cache key, and an old result would be
taken for a new one. So it cannot be read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, cast

from identity_pipeline.errors import IdentityPipelineError
from identity_pipeline.settings import Settings
from identity_pipeline.stages.specs.spec import AssetSpec


class UndeclaredError(IdentityPipelineError, RuntimeError):
    """A step asks for a setting or a table that its spec does not name."""


class _View:
    """The values that were declared, as attributes; asking for another raises."""

    def __init__(self, asset: str, prefix: str, values: dict[str, Any]) -> None:
        self.__dict__.update(values)
        self._asset, self._prefix = asset, prefix

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise UndeclaredError(
            f"{self._asset} reads the setting {self._prefix}{name}, which its entry in "
            "stages/specs/assets.py does not declare; add it there to `settings`, or to `operates` "
            "if it shapes no result."
        )


def settings_of(specs: Collection[AssetSpec], settings: Settings) -> Settings:
    """The settings that some outputs of one step may read.

    Args:
        specs: outputs of one step.
        settings: in force.

    Returns:
        Something that is read like `settings`.

    Raises:
        UndeclaredError: later, where a setting is read that none of the specs declares.
    """
    names = {name for spec in specs for name in _declared(spec)}
    asset = ", ".join(spec.key for spec in specs)
    fields: dict[str, set[str]] = {}
    for name in names:
        group, _, field = name.partition(".")
        fields.setdefault(group, set()).add(field)
    groups = {group: _group(asset, settings, group, some) for group, some in fields.items()}
    return cast(Settings, _View(asset, "", groups))


def _declared(spec: AssetSpec) -> Iterator[str]:
    """The settings that an output may read, whatever it turns out to be made of."""
    yield from (*spec.settings, *spec.batches, *spec.operates)
    yield from (*(spec.highlights or ()), *(spec.banks or ()))
    for several in spec.pictures.values():
        yield from several
    for learnt in spec.learnt.values():
        yield from learnt.settings


def _group(asset: str, settings: Settings, group: str, fields: set[str]) -> Any:
    """A group of settings, or some of its fields; "" among them stands for all."""
    whole = getattr(settings, group)
    if "" in fields:
        return whole
    return _View(asset, f"{group}.", {field: getattr(whole, field) for field in fields})
