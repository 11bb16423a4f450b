"""What differs between two lists of ingredients of the same output (`recipes`), in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from identity_pipeline.stages.specs.recipes import Made


def changed_inputs(before: Made, now: Made) -> set[str]:
    """Inputs that are others than they were; none where the whole phase was switched."""
    if before.get("off") != now.get("off"):
        return set()
    return {name for name, value in now["inputs"].items() if before["inputs"].get(name) != value}


def differences(before: Made, now: Made) -> list[str]:
    """In words, what differs between two lists of ingredients of the same output."""
    if before.get("off") != now.get("off"):
        return [now.get("off", "its phase is switched on again")]
    told = []
    if before["code"] != now["code"]:
        told.append(f"changed code (version {before['code']} -> {now['code']})")
    told += [f"changed model {name}" for name in _different(before["models"], now["models"])]
    old, new = _flat(before["settings"]), _flat(now["settings"])
    told += [
        f"changed setting {name} ({old.get(name, 'unset')} -> {new.get(name, 'unset')})"
        for name in _different(old, new)
    ]
    told += [f"new input {name}" for name in sorted(changed_inputs(before, now))]
    if before["also"] != now["also"]:
        told.append("changed settings or model names, which the output prints")
    return told


def _different(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterable[str]:
    return sorted(n for n in {*before, *now} if before.get(n) != now.get(n))


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Values by `group.name`, whether a whole group or one setting was chosen."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        single = not isinstance(value, dict)
        flat |= {name: value} if single else {f"{name}.{field}": v for field, v in value.items()}
    return flat
