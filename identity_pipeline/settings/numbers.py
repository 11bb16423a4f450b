"""Numbers that belong to a model: what a face pack or a vision encoder says of its own scale.

A cosine of one recogniser means nothing in the space of another, so a pack may carry the settings
that are of its scale, in its `pack.json`:

    {"numbers": {"tracking.stitch_cos": 0.8}, "provenance": {"tracking.stitch_cos": "measured on"}}

`provenance` is free words for all numbers, or by name. What a person sets wins, then what the model
in use says, then the product's default, which is for spaces like ArcFace's. Numbers of packs that
the product makes itself ship with it, so that they are known before the pack is there.

What belongs here: which settings are of whose scale, and the one place where they are resolved
(`with_numbers`). What does not: loading models (`identity_pipeline.models`).
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from identity_pipeline.errors import system_words
from identity_pipeline.settings.detection import ModelSettings
from identity_pipeline.settings.wording import SettingsError, did_you_mean

if TYPE_CHECKING:
    from identity_pipeline.settings import Settings

FACE_NUMBERS: Final = (
    "models.det_score_min",
    "quality.strict_score",
    "quality.loose_score",
    "tracking.stitch_cos",
    "tracking.stitch_cos_with_margin",
    "tracking.stitch_margin",
    "tracking.split_cos",
    "tracking.part_cos",
    "stability.stable_min",
    "stability.rival_margin",
    "bank.merge_cos",
    "selection.challenge_stable_min",
    "match.template_thin_cos",
    "match.default_exclude",
    "match.default_suggest",
    "match.default_assign",
    "match.lookalike_cos",
    "match.margin_min",
    "match.worst_pair_margin",
    "match.suggestion_regrow",
    "match.centre_min_gain",
    "cluster.merge_cos",
)
"""Settings of the scale of a face pack: its detector's scores and its recogniser's cosines."""
OF_DETECTOR: Final = ("models.", "quality.")
"""How those of them begin that are of the detector; the others are of the recogniser."""
DECIDING: Final = (
    "tracking.stitch_cos",
    "tracking.stitch_cos_with_margin",
    "tracking.split_cos",
    "stability.stable_min",
    "selection.challenge_stable_min",
    "match.default_exclude",
    "match.default_suggest",
    "match.default_assign",
)
"""Those of them that say who is one person; without them nobody is matched or merged."""
VISION_NUMBERS: Final = (
    "selection.novelty_min",
    "selection.near_duplicate_cos",
    "selection.anchor_cos_max",
    "selection.stop_novelty",
)
"""Settings of the scale of a vision encoder."""
CARD: Final = "pack.json"
_PACKAGE: Final = Path(__file__).parents[1]
SHIPPED_PACKS: Final[Mapping[str, Path]] = {
    "open": _PACKAGE / "models" / "open_pack" / "numbers.toml"
}
"""Numbers that ship with the product, by the name of the face pack."""
SHIPPED_ENCODERS: Final[Mapping[str, Path]] = {"bundled": _PACKAGE / "bundled" / "vision" / CARD}
"""The same, by the name of the vision encoder."""
ARCFACE_PACKS: Final = ("buffalo_l", "buffalo_m", "buffalo_s", "buffalo_sc", "antelopev2")
"""Packs of InsightFace by name."""
ARCFACE_RECOGNISERS: Final = ("w600k_*", "glintr100", "w_bundled_*")
"""Recognisers by their files: of InsightFace's packs, AuraFace's, and that of earlier demos."""


class NumbersCard(BaseModel):
    """What a model's card says of numbers.

    Attributes:
        numbers: settings by dotted name.
        provenance: on whom, on how many and how well they were found; for all of them, or by name.
        arcface_like: cosines have the scale of ArcFace's, so the product's defaults hold.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    numbers: dict[str, float] = {}
    provenance: str | dict[str, str] = ""
    arcface_like: bool = False

    def provenance_of(self, name: str) -> str:
        """Where a number comes from, in the card's words."""
        said = self.provenance
        return said if isinstance(said, str) else said.get(name, "")


@dataclass(frozen=True)
class Numbers:
    """How the numbers of models came into the settings.

    Attributes:
        source: where each number comes from that a model gave, by dotted name.
        unknown: the deciding numbers of the face pack that nobody knows: neither a person nor the
            pack gave them, and it is not known to be like ArcFace.
        pack: name of the face pack.
        given: the settings that a person set.
    """

    source: Mapping[str, str] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    pack: str = ""
    given: frozenset[str] = frozenset()


def read_numbers(path: Path, allowed: tuple[str, ...]) -> NumbersCard:
    """The numbers of a card; none where there is no such file.

    Args:
        path: a `pack.json`, or a TOML file with the same contents.
        allowed: settings that such a model may speak of.

    Raises:
        SettingsError: the file is no card, or names another setting.
    """
    if not path.is_file():
        return NumbersCard()
    try:
        text = path.read_text(encoding="utf-8")
        raw = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
        card = NumbersCard.model_validate(raw)
    except OSError as error:
        raise SettingsError(f"the model card cannot be read. {system_words(error)}") from error
    except (ValidationError, ValueError) as error:
        raise SettingsError(f"{path} is no model card; mend or remove it ({error}).") from error
    for name in card.numbers:
        if name not in allowed:
            raise SettingsError(
                f"{path} gives {name}, which is no number of such a model"
                f"{did_you_mean(name, allowed)} Mend its `numbers`."
            )
    return card


def face_pack_card(models: ModelSettings) -> Path:
    """Where the numbers of the face pack in use are: its own card, or what ships of it."""
    if models.face_pack in SHIPPED_PACKS:
        return SHIPPED_PACKS[models.face_pack]
    given = Path(models.face_pack).expanduser()
    if given.is_dir() or given.is_absolute() or len(given.parts) > 1:
        return given / CARD
    return Path(models.face_pack_root).expanduser() / "models" / models.face_pack / CARD


def encoder_card(models: ModelSettings) -> Path:
    """The same of the vision encoder; one from the hub has no card."""
    shipped = SHIPPED_ENCODERS.get(models.vision_encoder)
    return shipped or Path(models.vision_encoder).expanduser() / CARD


def pack_name(models: ModelSettings) -> str:
    """What the spaces of the face pack in use are called: the name of its folder."""
    given = Path(models.face_pack).expanduser()
    return given.resolve().name if given.is_dir() else given.name


def is_arcface_like(models: ModelSettings, card: NumbersCard, recogniser: str = "") -> bool:
    """Whether the recogniser's cosines have the scale that the product's defaults are for.

    Args:
        models: name the pack.
        card: its card.
        recogniser: name of its file without the ending, where it is known.
    """
    if models.arcface_like or card.arcface_like or pack_name(models) in ARCFACE_PACKS:
        return True
    here = [path.stem for path in face_pack_card(models).parent.glob("*.onnx")]
    return any(fnmatch(name, each) for name in (*here, recogniser) for each in ARCFACE_RECOGNISERS)


def with_numbers(settings: Settings) -> Settings:
    """The settings with the numbers of the models that they name, where a person set none.

    Raises:
        SettingsError: a card cannot be used; the sentence says which and why.
    """
    given = _set_by_people(settings)
    path = encoder_card(settings.models)
    card = read_numbers(path, VISION_NUMBERS)
    encoder = f"of the encoder {Path(settings.models.vision_encoder).name}"
    settings, source = _filled(settings, card, path, given, encoder)
    noted = settings.with_note(Numbers(source, given=given))
    return _with_face_numbers(noted, settings.models)


def for_space(settings: Settings, pack: str, recogniser: str) -> Settings:
    """The settings for vectors of another pack than the one in use, such as the one before it.

    Args:
        settings: in force.
        pack: name of the pack that the vectors are of.
        recogniser: name of its recogniser's file, without the ending.

    Raises:
        SettingsError: that pack's card cannot be used.
    """
    if pack == settings.numbers.pack:
        return settings
    others = [n for n in FACE_NUMBERS if n in settings.numbers.source]
    defaults = {name: _default_of(settings, name) for name in others}
    left = {n: words for n, words in settings.numbers.source.items() if n not in others}
    bare = _updated(settings, defaults).with_note(replace(settings.numbers, source=left))
    models = settings.models.model_copy(update={"face_pack": pack, "arcface_like": False})
    return _with_face_numbers(bare, models, recogniser)


def as_decided(settings: Settings, before: Mapping[str, Mapping[str, Any]]) -> Settings:
    """The settings with a face pack's numbers as a library was computed with them.

    For a pack of which nothing is known any more; what a person sets now wins.

    Args:
        settings: for vectors of that pack, of `for_space`.
        before: the settings that the library was computed with, by group; empty where they were not
            noted: then the defaults hold.
    """
    split = {
        name: name.partition(".") for name in FACE_NUMBERS if name not in settings.numbers.given
    }
    known = {
        name: before[group][own]
        for name, (group, _, own) in split.items()
        if own in before.get(group, ())
    }
    return _updated(settings, known).with_note(replace(settings.numbers, unknown=()))


def _with_face_numbers(settings: Settings, models: ModelSettings, recogniser: str = "") -> Settings:
    """The settings, noted, with the numbers of the face pack that `models` names."""
    known, path, name = settings.numbers, face_pack_card(models), pack_name(models)
    card = read_numbers(path, FACE_NUMBERS)
    filled, source = _filled(settings, card, path, known.given, f"of the pack {name}")
    likely = is_arcface_like(models, card, recogniser)
    told = {*known.given, *card.numbers}
    unknown = () if likely else tuple(number for number in DECIDING if number not in told)
    return filled.with_note(Numbers({**known.source, **source}, unknown, name, known.given))


def _default_of(settings: Settings, name: str) -> Any:
    group, _, own = name.partition(".")
    return type(getattr(settings, group)).model_fields[own].default


def _set_by_people(settings: Settings) -> frozenset[str]:
    return frozenset(
        f"{group}.{name}"
        for group in type(settings).model_fields
        for name in getattr(settings, group).model_fields_set
    )


def _filled(
    settings: Settings, card: NumbersCard, path: Path, given: frozenset[str], whose: str
) -> tuple[Settings, dict[str, str]]:
    """The settings with a card's numbers, and where each of those comes from."""
    taken = {name: value for name, value in card.numbers.items() if name not in given}
    words = {name: ": ".join(filter(None, (whose, card.provenance_of(name)))) for name in taken}
    try:
        return _updated(settings, taken), words
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        own = ".".join(str(part) for part in wrong["loc"])
        name = next((each for each in taken if each.endswith(f".{own}")), "numbers")
        raise SettingsError(
            f"{path}: {name} cannot be used: {wrong['msg']}; mend its `numbers`."
        ) from error


def _updated(settings: Settings, values: Mapping[str, Any]) -> Settings:
    """The settings with others by dotted name.

    Raises:
        ValidationError: one is out of bounds.
    """
    by_group: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        group, _, own = name.partition(".")
        by_group.setdefault(group, {})[own] = value
    wholes = {group: getattr(settings, group) for group in by_group}
    update = {
        group: type(wholes[group]).model_validate(dict(wholes[group]) | own)
        for group, own in by_group.items()
    }
    return settings.model_copy(update=update)
