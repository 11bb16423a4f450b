"""Whom the library's recogniser takes for each other, of the people that humans have named.

What belongs here: the closest pairs with names and tracks, and the optional list of groups of look.
What does not: how near two people come (`core.matching.confusions`).

A group is a free word that a site may give its people in a CSV file, `person,group`, to see whether
strangers of one group are taken for each other more often. It is read when it is asked for, stored
nowhere, and decides nothing.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from identity_pipeline.core.matching.confusions import (
    ClosePair,
    ImpostorCurve,
    closest_pairs,
    impostor_curves,
)
from identity_pipeline.core.matching.gallery import gallery_of
from identity_pipeline.errors import IdentityPipelineError, system_words
from identity_pipeline.settings import Settings
from identity_pipeline.stages.curation.snapshot import LibrarySnapshot

COLUMNS: Final = ("person", "group")
NAMES: Final = ("suggest", "assign")


class GroupsError(IdentityPipelineError, ValueError):
    """The list of groups cannot be used; the sentence says what it should be."""


@dataclass(frozen=True)
class NamedPair:
    """Two people who come near each other.

    Attributes:
        names: of both.
        places: `VIDEO:TRACK` of each, the two that are nearest.
        tracks: their keys.
        cosine: of these two tracks.
    """

    names: tuple[str, str]
    places: tuple[str, str]
    tracks: tuple[str, str]
    cosine: float


@dataclass(frozen=True)
class Confusions:
    """Whom the recogniser takes for each other.

    Attributes:
        people: that humans have named and that have a reference.
        pairs: of them, the nearest first.
        thresholds: between templates, in effect by name; null where none was measured.
        curves: how near pairs come; of groups too, where somebody gave them.
        unknown: names in the list of groups that nobody in the library has.
    """

    people: int
    pairs: tuple[NamedPair, ...]
    thresholds: dict[str, float | None]
    curves: tuple[ImpostorCurve, ...]
    unknown: tuple[str, ...]

    def as_json(self, most: int) -> dict[str, Any]:
        """For machines: so many pairs."""
        return {**asdict(self), "pairs": [asdict(pair) for pair in self.pairs[:most]]}

    def groups(self, most: int) -> dict[str, list[str]]:
        """Track keys of the nearest pairs by a caption: what a montage shows."""
        return {
            f"{' / '.join(pair.names)} {pair.cosine:.2f}": list(pair.tracks)
            for pair in self.pairs[:most]
        }


def confusions(library: LibrarySnapshot, settings: Settings) -> Confusions:
    """The closest pairs of different people, by the generation in force.

    Args:
        library: as it is now.
        settings: `paths.look_groups`.

    Raises:
        GroupsError: the list of groups cannot be used.
    """
    gallery = gallery_of(library.table("person_references"))
    pairs = closest_pairs(gallery)
    names = {person: library.called(person) for person in gallery.people}
    given = read_groups(settings.paths.look_groups)
    by_name = {key: who for who, name in names.items() for key in (who, name)}
    group_of = {by_name[name]: group for name, group in given.items() if name in by_name}
    thresholds = _in_effect(library.table("calibration"))
    at = {name: value for name, value in thresholds.items() if value is not None}
    return Confusions(
        len(gallery.people),
        tuple(_named(pair, names) for pair in pairs),
        thresholds,
        tuple(impostor_curves(pairs, group_of, at)),
        tuple(sorted(set(given) - set(by_name))),
    )


def _named(pair: ClosePair, names: Mapping[str, str]) -> NamedPair:
    first, second = pair.people
    places = tuple(key.removeprefix("track:") for key in pair.tracks)
    return NamedPair(
        (names[first], names[second]), (places[0], places[1]), pair.tracks, pair.cosine
    )


def _in_effect(calibration: pl.DataFrame) -> dict[str, float | None]:
    common = calibration.filter(pl.col("camera").is_null(), pl.col("level") == "template")
    found = dict(common.select("name", "in_effect").iter_rows())
    return {name: found.get(name) for name in NAMES}


def read_groups(file_name: str) -> dict[str, str]:
    """The group of each person by name or id, of a CSV file with the columns person and group.

    Args:
        file_name: of the list; empty where nobody gave one, which groups nobody.

    Raises:
        GroupsError: it cannot be read, or has other columns.
    """
    if not file_name:
        return {}
    path = Path(file_name)
    try:
        # Some programs write a mark first.
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if not set(COLUMNS) <= set(rows.fieldnames or ()):
                raise GroupsError(
                    f"{path} has no columns person,group in its first line; write them, then one "
                    "person in a line by name."
                )
            return _groups(rows)
    except OSError as error:
        raise GroupsError(f"The list of groups cannot be read. {system_words(error)}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise GroupsError(f"{path} is no CSV in UTF-8 ({error}); save it as such.") from error


def _groups(rows: Iterable[Mapping[str, str | None]]) -> dict[str, str]:
    """The group of each person; a line that says only one of the two says nothing."""
    said = (tuple((row[name] or "").strip() for name in COLUMNS) for row in rows)
    return {person: group for person, group in said if person and group}
