"""The data map: what of a person lies where, for how long, on which ground, and who reads it.

What belongs here: joining the asset graph with the list of places and the settings in force. What
does not: how it looks (`media.data_map_page`), and anything that reads what lies there: it only
counts files and bytes. It states how this folder is set up; it is no legal advice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from identity_pipeline.settings import Settings
from identity_pipeline.stages.privacy.places import PLACES, DataClass, Place
from identity_pipeline.stages.specs.assets import SPECS

NOT_ADVICE: Final = "This map says how the folder is set up. It is no legal advice."
TO_JUDGE: Final = "stated by the operator: consent is not tracked here (consent.required is off)"
TO_OPERATE: Final = "stated by the operator: needed to run the service and to account for it"
SCOPES: Final[Mapping[DataClass, str]] = {
    "source": "",
    "picture": "export",
    "biometric": "profile",
    "profile": "profile",
}
"""Which scope of consent a class is about; of films and photographs as they come in none is, for
whether somebody may be filmed is settled before a file is here."""
TRAINED: Final = ("heads", "k-means heads")
"""Places that are learned from people: their scope is `training`."""


@dataclass(frozen=True)
class MapRow:
    """One place of the map.

    Attributes:
        place: its name.
        data_class: of what it holds.
        what: it holds.
        paths: below the data folder.
        kept_days: from the setting; None where nothing limits it.
        kept: that in words.
        ground: in words.
        assets: that write there.
        readers: assets that are made of those.
        erased: how a forgetting empties it.
        files, bytes: that lie there now.
    """

    place: str
    data_class: DataClass
    what: str
    paths: tuple[str, ...]
    kept_days: float | None
    kept: str
    ground: str
    assets: tuple[str, ...]
    readers: tuple[str, ...]
    erased: str
    files: int
    bytes: int


@dataclass(frozen=True)
class MapAsset:
    """One asset of the map: the classes of what it writes, and what it is made of."""

    asset: str
    group: str
    classes: tuple[DataClass, ...]
    inputs: tuple[str, ...]
    places: tuple[str, ...]


@dataclass(frozen=True)
class DataMap:
    """The whole map.

    Attributes:
        tracked: whether consent is required here.
        deletes: whether the nightly job of retention deletes what is due.
        access: who may read the files.
        rows: place by place.
        assets: asset by asset, in the order the data climbs.
    """

    tracked: bool
    deletes: bool
    access: str
    rows: tuple[MapRow, ...]
    assets: tuple[MapAsset, ...]

    def as_json(self) -> dict[str, Any]:
        """As `identity-pipeline data-map --json` prints it."""
        return {"note": NOT_ADVICE, **asdict(self)}


def data_map(root: Path, settings: Settings) -> DataMap:
    """The map of one data folder as it is set up now.

    Args:
        root: of the data folder.
        settings: in force.
    """
    return DataMap(
        tracked=settings.consent.required,
        deletes=settings.retention.delete,
        access=_access(settings),
        rows=tuple(_row(root, place, settings) for place in PLACES),
        assets=tuple(
            MapAsset(
                key,
                spec.group,
                personal_classes()[key],
                spec.inputs,
                tuple(place.name for place in PLACES if key in place.assets),
            )
            for key, spec in SPECS.items()
        ),
    )


@cache
def personal_classes() -> Mapping[str, tuple[DataClass, ...]]:
    """The classes of personal data in what each asset writes; none where it holds none."""
    personal = [place for place in PLACES if place.data_class != "none"]
    found: dict[str, tuple[DataClass, ...]] = {}
    for key in SPECS:
        classes: list[DataClass] = [p.data_class for p in personal if key in p.assets]
        found[key] = tuple(dict.fromkeys(classes))
    return found


def _row(root: Path, place: Place, settings: Settings) -> MapRow:
    days = None if place.kept is None else getattr(settings.retention, place.kept)
    files, size = _measured(root, place.paths)
    return MapRow(
        place=place.name,
        data_class=place.data_class,
        what=place.what,
        paths=place.paths,
        kept_days=days,
        kept=_kept(place, days, settings),
        ground=_ground(place, settings),
        assets=place.assets,
        readers=tuple(_readers(place.assets)),
        erased=_erased(place),
        files=files,
        bytes=size,
    )


def _kept(place: Place, days: float | None, settings: Settings) -> str:
    if place.data_class == "none":
        return "holds nothing of a person"
    if place.data_class == "profile":
        return f"as retention.profiles says: {settings.retention.profiles}"
    if place.kept is None:
        return "until it is forgotten or made anew"
    if days is None:
        return f"no limit (retention.{place.kept} is unset)"
    return f"{days:g} days (retention.{place.kept})"


def _ground(place: Place, settings: Settings) -> str:
    if place.data_class == "none":
        return "–"
    scope = "training" if place.name in TRAINED else SCOPES.get(place.data_class)
    if scope is None:
        return TO_OPERATE
    if not settings.consent.required:
        return TO_JUDGE
    if not scope:
        return "stated by the operator: settled where the picture is taken"
    unknown = "counts as a refusal" if settings.consent.unknown == "block" else "is allowed"
    return f"consent, scope {scope}; no answer {unknown} (consent.unknown)"


def _erased(place: Place) -> str:
    if place.data_class == "none":
        return "–"
    if place.erase is not None:
        return "emptied of them by forget"
    return ERASED_OTHERWISE.get(place.name, "by a step of its own of forget")


ERASED_OTHERWISE: Final = {
    "ledger": "names and words become unreadable: their keys are destroyed",
    "keys": "the keys of the forgotten are destroyed",
    "redactions": "stays: positions alone keep a forgotten face hidden",
    "receipts": "stays: ids and digests prove the erasure",
    "forgettings under way": "removed at the end of each forgetting",
}


def _readers(assets: Iterable[str]) -> Iterator[str]:
    """Assets that are made of some, and are none of them."""
    of = set(assets)
    for key, spec in SPECS.items():
        if key not in of and of & set(spec.inputs):
            yield key


def _access(settings: Settings) -> str:
    who = "its owner and group" if settings.paths.group_may_read else "its owner alone"
    return (
        f"the folder is readable by {who}; curators see what the desk shows, and whoever opens "
        "Dagster sees pictures and names in its metadata"
    )


def _measured(root: Path, patterns: Iterable[str]) -> tuple[int, int]:
    """Files and bytes below some paths; links are not followed, so nothing counts twice."""
    seen: dict[Path, int] = {}
    for pattern in patterns:
        for path in root.glob(pattern):
            if path.is_symlink():
                continue
            files = path.rglob("*") if path.is_dir() else (path,)
            seen.update((f, f.stat().st_size) for f in files if _is_file(f))
    return len(seen), sum(seen.values())


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()
