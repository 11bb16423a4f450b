"""What the licences of weights allow, and which weights have which.

A licence is what whoever published the weights says of them (`pack.json`, a model card). It is read
by its name, never interpreted: what is not among the names below is not known, a person decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Literal

from identity_pipeline.errors import IdentityPipelineError

Use = Literal["any", "research", "unknown"]
"""What weights may be used for: anything, research alone, or nobody knows."""
INSIGHTFACE_PACKS: Final = ("antelopev2", "buffalo_l", "buffalo_m", "buffalo_s", "buffalo_sc")
DINOV2: Final = "facebook/dinov2"
ANY: Final = (
    *("MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Unlicense", "Zlib", "BSL-1.0"),
    *("CC0-1.0", "CC-BY-4.0", "CC-BY-3.0", "CC-BY-SA-4.0", "CDLA-Permissive-2.0"),
)
"""SPDX names of licences that allow commercial use."""
RESEARCH: Final = re.compile(r"non.?commercial|research|academic|\bCC[- ]BY[- ]NC\b", re.IGNORECASE)
REMARK: Final = re.compile(
    r"\((?:(?:recogniser|detector|mesh|iris|weights)[, ]*)+\)|\bconverted\b", re.IGNORECASE
)
"""What a licence is of, or what was done to the weights; no licence and no condition of its own."""
PARTS: Final = re.compile(r"[;,/+]|\b(?:and|with)\b", re.IGNORECASE)
"""What stands between licences that hold together."""
CHOICE: Final = re.compile(r"\bor\b", re.IGNORECASE)
LABEL: Final = re.compile(r"^\s*(?:recogniser|the other nets):", re.IGNORECASE)
"""What a pack that was put together says the licence is of."""


class PurposeError(IdentityPipelineError, RuntimeError):
    """Weights that may not be used for what the settings say pictures are for."""


def licence_of(name: str) -> str | None:
    """Licence of well-known weights by their published name; None for anything else."""
    if name in INSIGHTFACE_PACKS:
        return "non-commercial research only"
    return "Apache-2.0" if name.startswith(DINOV2) else None


def use_of(licence: str | None) -> Use:
    """What a licence allows; of several in one text the strictest."""
    if not licence:
        return "unknown"
    if RESEARCH.search(licence):
        return "research"
    parts = [part for part in PARTS.split(REMARK.sub("", licence)) if part.strip(" .")]
    return "any" if parts and all(map(_is_known, parts)) else "unknown"


def _is_known(part: str) -> bool:
    """Whether a part is one of the names above and nothing else, or lets one choose such a one.

    What else is said beside a name may be a condition, which nobody reads here.
    """
    named = LABEL.sub("", part)
    return any(one.strip(" .").lower() in _ANY for one in CHOICE.split(named))


_ANY: Final = frozenset(name.lower() for name in ANY)  # SPDX names are the same in any capitals


def purpose_fault(purpose: str, models: Iterable[tuple[str, str | None]]) -> str | None:
    """Why pictures that some weights had a part in may not be made or leave; None where they may.

    Args:
        purpose: the setting `export.purpose`.
        models: name and licence of each.
    """
    if purpose != "commercial":
        return None
    told = {
        name: f"{name} ({'research only' if use == 'research' else 'licence not known'})"
        for name, licence in models
        if (use := use_of(licence)) != "any"
    }
    if not told:
        return None
    return (
        f"export.purpose is commercial, and these weights may not be used for that: "
        f'{", ".join(sorted(told.values()))}; take models.face_pack = "open", the vision encoder '
        "that ships, or weights whose pack.json names a licence that allows it"
    )
