"""What the cache key of an output is made of, and what differs between two of them, in words.

From `key_parts` and `fingerprint` the steps decide whether an output is reused, and
`identity-pipeline plan` says so beforehand.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from identity_pipeline.settings import Settings, chosen
from identity_pipeline.stages.specs.assets import VIDEO_SPECS
from identity_pipeline.stages.specs.learnt import NONE
from identity_pipeline.stages.specs.spec import AssetSpec
from identity_pipeline.storage.files.hashing import sha256_of_value
from identity_pipeline.tables import SET_ASSETS

KeyParts = Mapping[str, Any]
"""What the cache key of an output covers; see `key_parts`."""

_SHAPING: Final = (
    "video",
    "models",
    "crops",
    "quality",
    "tracking",
    "riders",
    "buckets",
    "moments",
    "stability",
    "selection",
    "export",
)
"""Groups of settings that shape an export."""


def shaping_settings(settings: Settings) -> str:
    """Digest of all settings that shape an export; those of operation and the library do not."""
    values = settings.model_dump(mode="json", include=set(_SHAPING))
    del values["export"]["purpose"]  # it refuses, and shapes nothing
    del values["video"]["decoder"]  # another one is taken where its pictures are the same
    phases = settings.phases.model_dump()
    off = [phase for phase in ("vision", "pair_sets") if not phases[phase]]
    values |= {"phases_switched_off": off} if off else {}
    values["models"] = {
        name: value
        for name, value in values["models"].items()
        if name in ("det_size", "det_score_min")
    }
    values["crops"] = {n: v for n, v in values["crops"].items() if not n.startswith("chunk_")}
    return sha256_of_value(values)


def deciding_settings(settings: Settings, *, emphasised: bool) -> str:
    """Digest of the settings by which faces are gated, weighed and chosen, and of nothing else.

    They are those that the entries of these steps declare.

    Args:
        settings: in force.
        emphasised: whether the video has highlights, which weigh too.
    """
    deciding = (VIDEO_SPECS[key] for key in _DECIDING)
    names = {
        name
        for spec in deciding
        for name in (*spec.settings, *((spec.highlights or ()) if emphasised else ()))
    }
    return sha256_of_value(chosen(settings, tuple(sorted(names))))


_DECIDING: Final = (
    *("face_quality", "face_buckets", "moments", "identity_stability", "candidates", "selection"),
    *SET_ASSETS,
)
"""The steps that gate and choose."""


def key_parts(
    spec: AssetSpec,
    settings: Settings,
    digests: Mapping[str, str],
    versions: Mapping[str, str | None],
    highlights: str | None = None,
    banks: Mapping[str, str] | None = None,
    contents: str | None = None,
    pictures: Mapping[str, str] | None = None,
    redaction: str | None = None,
    consents: Mapping[str, Any] | None = None,
    learnt: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> dict[str, Any]:
    """Everything that an output depends on, as JSON-able values.

    Args:
        spec: the output.
        settings: in force.
        digests: SHA-256 of the models that it runs, by name.
        versions: data version of each input (`spec.inputs_with(learnt)`); None for one that was
            never made.
        highlights: SHA-256 of the video's list of highlights; None where it has none.
        banks: digest of the memory bank of each rider that is known, by rider; none where the
            medoid judges.
        contents: SHA-256 of a photo set's pictures, for what is made of them and of no other
            output; None of anything else.
        pictures: digest of what humans decided on pictures of the video, by what of them they
            decided; none where they decided nothing.
        redaction: digest of what of the video must not be looked at; None where all may.
        consents: the verdict on each rider of the video, by seat; None while consent is not
            required.
        learnt: SHA-256 of each table of the models that the video keeps, by what they are of:
            `camera`, `ride`; without those of which it keeps none.
    """
    off = spec.off(settings)
    if off:
        return {
            "asset": spec.key,
            "code": spec.code,
            "settings": {},
            "models": {},
            "inputs": {},
            "also": [],
            "off": off,
        }
    parts = {
        "asset": spec.key,
        "code": _code(spec),
        "settings": chosen(settings, spec.settings),
        "models": {model: digests[model] for model in spec.runs(settings)},
        "inputs": {name: versions[name] for name in spec.inputs_with(learnt)},
        "also": _shown(settings) if spec.shows_names else [],
    }
    parts |= _besides(spec, settings, highlights, banks, pictures)
    if contents is not None and not spec.inputs:
        parts["contents"] = contents
    parts |= _people_of_it(spec, redaction, consents)
    parts |= _learnt(spec, settings, learnt)
    return json.loads(json.dumps(parts))  # as it is read back, so that old and new can be compared


def _people_of_it(
    spec: AssetSpec, redaction: str | None, consents: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Who of a video must not be looked at, and who consents to be shown."""
    parts: dict[str, Any] = {}
    if redaction is not None and spec.redacted:
        parts["redaction"] = redaction
    if consents is not None and spec.consents:
        parts["consents"] = dict(consents)
    return parts


def _learnt(
    spec: AssetSpec, settings: Settings, learnt: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    """What it is made of because its video keeps models: nothing where it keeps none."""
    return {
        of: {
            "of": {table: learnt[of][table] for table in used.tables},
            "settings": chosen(settings, used.settings),
            "code": used.code,
        }
        for of, used in spec.learnt.items()
        if of in learnt
    }


def _code(spec: AssetSpec) -> str:
    """Of a step that writes what others compute, their code too: see `AssetSpec.writes`."""
    return ".".join([spec.code, *(VIDEO_SPECS[name].code for name in spec.writes)])


def _besides(
    spec: AssetSpec,
    settings: Settings,
    highlights: str | None,
    banks: Mapping[str, str] | None,
    pictures: Mapping[str, str] | None,
) -> dict[str, Any]:
    """What an output is made of that is no output, each with the settings that it brings in."""
    parts: dict[str, Any] = {}
    if highlights is not None and spec.highlights is not None:
        weights = chosen(settings, spec.highlights)
        parts["highlights"] = {"sha256": highlights, "settings": weights}
    if banks and spec.banks is not None:
        parts["banks"] = {"of": dict(banks), "settings": chosen(settings, spec.banks)}
    return parts | _decided(spec, settings, pictures or {})


def _decided(
    spec: AssetSpec, settings: Settings, pictures: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """What humans decided on pictures, of that by which the output is shaped."""
    known = {use: digest for use, digest in pictures.items() if use in spec.pictures}
    if not known:
        return {}
    names = sorted({name for use in known for name in spec.pictures[use]})
    return {"pictures": {"of": known, "settings": chosen(settings, tuple(names))}}


def digest_without_data(settings: Settings, digests: Mapping[str, str]) -> str:
    """SHA-256 of all that outputs are made of but for data: code, settings and models.

    While it stays the same, no finished video becomes outdated.
    """
    return sha256_of_value(
        [
            key_parts(
                spec,
                settings,
                digests,
                dict.fromkeys(spec.behind),
                highlights="",
                banks={"": ""},
                pictures=dict.fromkeys(spec.pictures, ""),
                redaction="",
                consents=settings.consent.model_dump() if settings.consent.required else None,
                learnt={of: dict.fromkeys(u.tables, "") for of, u in spec.learnt.items()},
            )
            for spec in VIDEO_SPECS.values()
        ]
    )


def _shown(settings: Settings) -> list[str]:
    models = settings.models
    body = [models.body_encoder] if models.body_encoder else []
    names = (models.face_pack, models.vision_encoder, *body)
    return [shaping_settings(settings), *(Path(name).name for name in names)]


def fingerprint(parts: KeyParts) -> str:
    """The cache key: outputs with equal ones are not computed again."""
    return sha256_of_value(parts)


def changed_inputs(before: KeyParts, now: KeyParts) -> set[str]:
    """Inputs that are others than they were; none where the whole phase was switched."""
    if before.get("off") != now.get("off"):
        return set()
    return {name for name, value in now["inputs"].items() if before["inputs"].get(name) != value}


def differences(before: KeyParts, now: KeyParts) -> list[str]:
    """In words, what differs between two keys of the same output."""
    if before.get("off") != now.get("off"):
        return [now.get("off", "its phase is switched on again")]
    told = []
    if before["code"] != now["code"]:
        told.append(f"changed code (version {before['code']} -> {now['code']})")
    told += [f"changed model {name}" for name in _different(before["models"], now["models"])]
    told += _changed(before["settings"], now["settings"])
    told += _of_highlights(before.get("highlights"), now.get("highlights"))
    told += _of_banks(before.get("banks"), now.get("banks"))
    told += _of_pictures(before.get("pictures"), now.get("pictures"))
    if before.get("redaction") != now.get("redaction"):
        told.append("somebody in it was forgotten")
    told += _of_consents(before.get("consents"), now.get("consents"))
    for of, words in _LEARNT.items():
        told += _of_learnt(words, before.get(of), now.get(of))
    told += [f"new input {name}" for name in sorted(changed_inputs(before, now))]
    if before["also"] != now["also"]:
        told.append("changed settings or model names, which the output prints")
    return told


def _of_highlights(before: KeyParts | None, now: KeyParts | None) -> list[str]:
    if before == now:
        return []
    if before is None or now is None:
        return ["its highlights are gone" if now is None else "it has highlights now"]
    told = [] if before["sha256"] == now["sha256"] else ["its highlights changed"]
    return told + _changed(before["settings"], now["settings"])


def _of_banks(before: KeyParts | None, now: KeyParts | None) -> list[str]:
    if before == now:
        return []
    if before is None or now is None:
        return [
            "no rider of it is judged by a memory bank any more"
            if now is None
            else "riders of it are known now, so that memory banks judge them"
        ]
    told = []
    if before["of"] != now["of"]:
        told.append("what is known of its riders from elsewhere changed (their memory banks)")
    return told + _changed(before["settings"], now["settings"])


def _of_pictures(before: KeyParts | None, now: KeyParts | None) -> list[str]:
    if before == now:
        return []
    none: KeyParts = {"of": {}, "settings": {}}
    old, new = before or none, now or none
    told = [f"changed decisions on {_DECIDED[use]}" for use in _different(old["of"], new["of"])]
    return told + (_changed(old["settings"], new["settings"]) if before and now else [])


def _of_consents(before: KeyParts | None, now: KeyParts | None) -> list[str]:
    if before == now:
        return []
    if before is None or now is None:
        return [f"consent is {'required' if before is None else 'not tracked'} now"]
    none = {"allowed": None, "reason": "nobody"}
    return [
        f"consent of person_{seat}: {now.get(seat, none)['reason']}"
        for seat in _different(before, now)
    ]


def _of_learnt(words: str, before: KeyParts | None, now: KeyParts | None) -> list[str]:
    if before == now:
        return []
    if before is None or now is None:
        return [f"{words} is {'not known any more' if now is None else 'known to it now'}"]
    told = _of_tables(words, before["of"], now["of"])
    told += [f"changed code of what is read of {words}"] if before["code"] != now["code"] else []
    return told + _changed(before["settings"], now["settings"])


def _of_tables(words: str, before: KeyParts, now: KeyParts) -> list[str]:
    if before == now:
        return []
    told = {table: digest for table, digest in before.items() if digest != NONE}
    if told.items() <= now.items():
        return [f"the model of {words} tells more now"]
    return [f"it keeps another model of {words}"]


_LEARNT: Final = {"camera": "its camera", "ride": "its ride"}
_DECIDED: Final = {
    "bins": "the bins of its pictures",
    "choice": "its pictures (accepted, rejected)",
    "anchors": "its anchors",
    "order": "the order of its pictures",
}


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    old, new = _flat(before), _flat(now)
    return [
        f"changed setting {n} ({old.get(n, 'unset')} -> {new.get(n, 'unset')})"
        for n in _different(old, new)
    ]


def _different(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterable[str]:
    return sorted(n for n in {*before, *now} if before.get(n) != now.get(n))


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Values by `group.name`, whether a whole group or one setting was chosen."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        single = not isinstance(value, dict)
        flat |= {name: value} if single else {f"{name}.{field}": v for field, v in value.items()}
    return flat
