"""Sentences about settings that cannot be used or do nothing any more.

What belongs here: which setting, from which file or variable, what is wrong, what may be meant.
What does not: reading the settings (`load_settings`).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ValidationError

from identity_pipeline.errors import IdentityPipelineError

ENVIRONMENT_PREFIX = "IDENTITY_PIPELINE__"
BARE_PREFIX = "IDENTITY_PIPELINE_"
PATIENCE = 0.6
"""How like two names must be to be offered for each other, in [0, 1]; difflib's own default."""
RETIRED: Mapping[str, frozenset[str]] = {
    "models": frozenset({"allow_demo"}),
    "drift": frozenset({"videos", "videos_min", "deviations", "floor"}),
    "bank": frozenset({"temperature", "top", "anchor_weight_min", "images_max"}),
}  # fmt: skip
"""Settings of earlier versions that nothing reads any more, by group; a file may hold them."""
Fields = Mapping[str, Any]
LOG = logging.getLogger(__name__)


class SettingsError(IdentityPipelineError, ValueError):
    """The settings cannot be used; the sentence says which, from where, and what would do."""

    exit_status: ClassVar[int] = 2


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean NAME?` for the known name that is most like it, else a full stop."""
    by_folded = {name.casefold(): name for name in known}
    near = get_close_matches(word.casefold(), by_folded, n=1, cutoff=PATIENCE)
    return f"; did you mean {by_folded[near[0]]}?" if near else "."


def groups_of(settings: type[BaseModel]) -> dict[str, Fields]:
    """The fields of every group."""
    found = {}
    for name, info in settings.model_fields.items():
        kind = info.annotation
        found[name] = kind.model_fields if isinstance(kind, type) else {}
    return found


def without_retired(values: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """Groups of settings without the retired ones, which are named once in the log.

    Args:
        values: by group; what is no group of settings at all is left for pydantic to refuse.
        origin: where they are from, for the sentence.
    """
    kept, gone = dict(values), []
    for group, names in RETIRED.items():
        own = values.get(group)
        if not isinstance(own, Mapping):
            continue
        rest = {name: value for name, value in own.items() if name not in names}
        gone += [f"{group}.{name}" for name in own if name in names]
        if rest:
            kept[group] = rest
        else:
            del kept[group]
    if gone:
        _say_retired(tuple(gone), origin)
    return kept


@cache
def _say_retired(names: tuple[str, ...], origin: str) -> None:
    LOG.warning(
        "%s: these settings do nothing any more and are passed over; remove them: %s.",
        origin,
        ", ".join(names),
    )


def check_variables(settings: type[BaseModel], environment: Mapping[str, str]) -> None:
    """Refuses a variable that looks like a setting and is none: it would be passed over silently.

    One that was a setting in an earlier version is passed over and named in the log.

    Raises:
        SettingsError: there is one; the sentence says what may be meant.
    """
    groups = groups_of(settings)
    names, gone = _variables(groups), _variables(RETIRED)
    for variable in sorted(environment):
        upper = variable.upper()
        if upper in gone and upper not in names:
            if gone[upper].partition(".")[0] not in groups:  # else it is told where it is read
                _say_retired((gone[upper],), f"the variable {variable}")
        elif upper not in names and _looks_like_a_setting(upper, groups):
            own_group = [n for n in names if n.startswith(upper.rpartition("__")[0] + "__")]
            raise SettingsError(
                f"the variable {variable} is no setting{did_you_mean(upper, own_group or names)} "
                "Spell it so, or unset it; `identity-pipeline settings` lists what there is."
            )


def _variables(groups: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """The setting or group that each variable gives, by its name in capitals."""
    dotted = [*groups, *(f"{group}.{name}" for group in groups for name in groups[group])]
    return {f"{ENVIRONMENT_PREFIX}{name.replace('.', '__')}".upper(): name for name in dotted}


def _looks_like_a_setting(upper: str, groups: Iterable[str]) -> bool:
    """Whether somebody who set the variable meant a setting."""
    if upper.startswith(ENVIRONMENT_PREFIX):
        return True
    rest = upper.removeprefix(BARE_PREFIX)
    return rest != upper and any(rest.startswith(f"{group.upper()}_") for group in groups)


def invalid_words(
    error: ValidationError, settings: type[BaseModel], given: Mapping[str, Any], file: Path | None
) -> str:
    """Every wrong setting in a sentence: its name, where it is from, and what is wrong.

    Args:
        error: of pydantic.
        settings: the class.
        given: groups that were given as arguments.
        file: the settings file, if one was read.
    """
    groups = groups_of(settings)
    return " ".join(_fault(one, groups, given, file) for one in error.errors(include_url=False))


def _fault(
    one: Any, groups: Mapping[str, Fields], given: Mapping[str, Any], file: Path | None
) -> str:
    place = [str(part) for part in one["loc"]]
    name = ".".join(place) if place else "the settings"
    origin = _origin(place, given, file)
    if one["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{origin}{_unknown(place, groups)}"
    message = str(one["msg"]).removeprefix("Value error, ").replace("Input should", "it must")
    if one["type"] in ("model_type", "model_attributes_type", "dict_type"):
        message = "it must be a group of settings, not one value"
    if not place:
        return f"{origin}{message}."
    value = f" is {one['input']!r}, but" if _is_short(one["input"]) else ":"
    return f"{origin}{name}{value} {message[0].lower()}{message[1:]}."


def _is_short(value: object) -> bool:
    return not isinstance(value, Mapping) and len(repr(value)) <= 80


def _unknown(place: list[str], groups: Mapping[str, Fields]) -> str:
    group, *rest = place
    fields = groups.get(group)
    if fields is None:
        meant = _home(group, groups) or did_you_mean(group, groups)
        return f"there is no group of settings {group!r}{meant} The groups: {', '.join(groups)}."
    field = rest[0] if rest else ""
    meant = did_you_mean(field, fields)
    meant = meant if meant != "." else _home(field, groups) or "."
    listed = f"`identity-pipeline settings {group}` lists what there is."
    return f"there is no setting {group}.{field}{meant} {listed}"


def _home(field: str, groups: Mapping[str, Fields]) -> str:
    """`; did you mean GROUP.NAME?` for a setting of another group, else nothing."""
    homes = [f"{name}.{field}" for name, fields in groups.items() if field in fields]
    return f"; did you mean {homes[0]}?" if homes else ""


def _origin(place: list[str], given: Mapping[str, Any], file: Path | None) -> str:
    """Where a value is from: arguments beat the environment, which beats the file."""
    if not place:
        return ""
    group, *rest = place
    inside = given.get(group)
    if isinstance(inside, Mapping) and (not rest or rest[0] in inside):
        return "given with the command: "
    name = ENVIRONMENT_PREFIX + "__".join(place[:2])
    for variable in (name, ENVIRONMENT_PREFIX + group):
        found = next((key for key in os.environ if key.upper() == variable.upper()), None)
        if found is not None:
            return f"the variable {found}: "
    return f"{file}: " if file is not None else ""
