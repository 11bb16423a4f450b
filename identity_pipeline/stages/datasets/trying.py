"""One person's pictures tried in their order, until as many as are wanted are fit for a consumer.

What belongs here: order, cut and verdict brought together, and what became of every face. What does
not: any of the three (`core.datasets.selection`, `stages.datasets.cutting`,
`stages.datasets.checks`), and writing (`stages.datasets.export`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import polars as pl

from identity_pipeline.core.datasets.selection import ordered, validation_sources
from identity_pipeline.core.imagesets.faces import VECTORS
from identity_pipeline.core.imagesets.one_face import Fault
from identity_pipeline.settings import Settings
from identity_pipeline.stages.datasets.checks import Checked, Looker, check_parts
from identity_pipeline.stages.datasets.cutting import Cut, Cutter, Place
from identity_pipeline.stages.datasets.manifest import NotWritten, measured
from identity_pipeline.stages.datasets.pictures import (
    Layout,
    Limits,
    Picture,
    Verdict,
    parts_of,
)
from identity_pipeline.stages.datasets.sources import Material
from identity_pipeline.stages.progress.protocol import Progress, silent

RESERVE: Final = 0.25
"""So many more pictures are cut at once, as a share, for those that a check refuses: a source is
then decoded once. Chosen."""
PLACE: Final = ["source_id", "face_id"]
"""What names a face over all sources."""


@dataclass
class Tried:
    """What became of one person's faces.

    Attributes:
        material: their rides and faces.
        order: result of `ordered`.
        wanted: how many pictures.
        held_out: sources of the validation split.
        cut: what became of each place that was tried.
        pictures: those that could be cut, by place in the order. In the end the ones that passed
            are numbered without gaps.
        checked: verdicts on these, in the same order, of each consumer of the layout.
    """

    material: Material
    order: pl.DataFrame
    wanted: int
    held_out: frozenset[str]
    cut: dict[Place, Cut | Fault] = field(default_factory=dict)
    pictures: list[Picture] = field(default_factory=list)
    checked: Checked = field(default_factory=lambda: Checked({}))

    @property
    def verdicts(self) -> list[Verdict]:
        """Whether anybody can take each picture, in the same order."""
        return self.checked.verdicts

    @property
    def passed(self) -> list[Picture]:
        """Those that are written, the best first."""
        pairs = zip(self.pictures, self.verdicts, strict=True)
        return [picture for picture, verdict in pairs if verdict.passed]

    @property
    def ranked(self) -> pl.DataFrame:
        """The faces that have a place in the order, by place."""
        return self.order.filter(pl.col("rank").is_not_null()).sort("rank")

    def looked(self) -> dict[Place, bytes]:
        """Every picture that could be cut, whether it is written or not."""
        return {place: cut.jpeg for place, cut in self.cut.items() if isinstance(cut, Cut)}

    def not_written(self) -> list[NotWritten]:
        """What was tried before enough were found, and is not there, by place."""
        verdicts = dict(zip(map(place_of, self.pictures), self.verdicts, strict=True))
        passed = set(map(place_of, self.passed))
        ranks = {(s, f): r for s, f, r in self.ranked.select(*PLACE, "rank").iter_rows()}
        last = max((ranks[place] for place in passed), default=len(ranks))
        person_id = self.material.person.person_id
        found = []
        for place, cut in self.cut.items():
            if place in passed or ranks[place] > last:
                continue
            why = cut if isinstance(cut, Fault) else verdicts[place]
            told = str(why.code), str(why.sentence)
            found.append(NotWritten(person_id, *place, ranks[place], *told))
        return sorted(found, key=lambda one: one.place)

    def not_chosen(self) -> Iterator[dict[str, Any]]:
        """Every face that might have been shown and was not tried, with its reason."""
        known = set(map(place_of, self.passed))
        known |= {(one.source_id, one.face_id) for one in self.not_written()}
        for row in self.order.sort(PLACE).iter_rows(named=True):
            if (row["source_id"], row["face_id"]) not in known:
                yield {
                    "person_id": self.material.person.person_id,
                    "source_id": row["source_id"],
                    "face_id": row["face_id"],
                    "reason": row["reason"] if row["rank"] is None else "not_needed",
                    "rival_source_id": row["rival_source_id"],
                    "rival_face_id": row["rival_face_id"],
                }

    def number(self) -> None:
        """Gives those that passed their numbers in the dataset, without gaps."""
        slug, fit = self.material.person.slug, iter(range(1, len(self.pictures) + 1))
        pictures = list[Picture]()
        for picture, verdict in zip(self.pictures, self.verdicts, strict=True):
            rank = next(fit) if verdict.passed else picture.rank
            key = f"{slug}_{rank:03d}" if verdict.passed else picture.key
            pictures.append(replace(picture, key=key, rank=rank))
        self.checked = self.checked.renamed([picture.key for picture in pictures])
        self.pictures = pictures

    def enough(self, parts: Mapping[str, Limits]) -> bool:
        """Whether every consumer has as many as it takes at most."""
        fit = self.checked.fit
        return all(len(fit[part]) >= (limits.most or 0) for part, limits in parts.items())


def place_of(picture: Picture) -> Place:
    """Source and face of a picture."""
    return picture.source.source_id, picture.face_id


def try_pictures(
    material: Material,
    layout: Layout,
    count: int | None,
    cutter: Cutter,
    settings: Settings,
    progress: Progress = silent,
) -> Tried:
    """Cuts and checks the pictures of a person in their order, until enough are fit.

    Args:
        material: their rides and faces.
        layout: whose limits hold, of each consumer that it serves.
        count: how many are wanted; None: `datasets.count`. Never more than a consumer takes.
        cutter: cuts them.
        settings: all settings.
        progress: called per picture.
    """
    wanted = count or settings.datasets.count
    parts = {part: _at_most(limits, wanted) for part, limits in parts_of(layout).items()}
    wanted = max(limits.most or 0 for limits in parts.values())
    order = ordered(material.pool, settings.selection, settings.datasets, material.pool.height)
    tried = Tried(material, order, wanted, _held_out(order, wanted, layout.limits, settings))
    faces = material.pool.drop(VECTORS)
    rows = {(row["source_id"], row["face_id"]): row for row in faces.iter_rows(named=True)}
    looker = Looker(cutter.pack)
    for places in _batches(tried.ranked, wanted):
        cut = cutter.cut(material.pool.join(places, on=PLACE, how="semi"), progress)
        tried.cut |= cut
        for chosen in places.iter_rows(named=True):
            place = chosen["source_id"], chosen["face_id"]
            made = cut[place]
            if isinstance(made, Cut):
                tried.pictures.append(_picture(tried, chosen, rows[place], made))
        tried.checked = check_parts(tried.pictures, parts, looker)
        if tried.enough(parts):
            break
    tried.number()
    return tried


def _at_most(limits: Limits, wanted: int) -> Limits:
    """Limits by which nobody takes more than are wanted."""
    return replace(limits, most=wanted if limits.most is None else min(wanted, limits.most))


def _batches(ranked: pl.DataFrame, wanted: int) -> Iterator[pl.DataFrame]:
    """Places in the order, as many at a time as may be needed."""
    size = wanted + math.ceil(wanted * RESERVE) + 2
    for start in range(0, ranked.height, size):
        yield ranked.slice(start, size)


def _held_out(
    order: pl.DataFrame, wanted: int, limits: Limits, settings: Settings
) -> frozenset[str]:
    """The sources of the validation split, by how many pictures of each are wanted."""
    if not limits.splits:
        return frozenset()
    first = order.filter(pl.col("rank") <= wanted)
    counts = dict(first.group_by("source_id").len().sort("source_id").iter_rows())
    return validation_sources(counts, settings.datasets.validation_share)


def _picture(tried: Tried, chosen: Mapping[str, Any], face: Mapping[str, Any], cut: Cut) -> Picture:
    """The picture of a face at its place in the order."""
    person, source = tried.material.person, tried.material.sources[chosen["source_id"]]
    own = {"novelty": chosen["novelty"], "kind": chosen["kind"]}
    return Picture(
        key=f"{person.slug}_place{chosen['rank']:04d}",
        person=person,
        source=source,
        face_id=chosen["face_id"],
        frame_idx=face["frame_idx"],
        timestamp_ms=face["timestamp_ms"] if source.kind == "ride" else None,
        role=chosen["role"],
        rank=chosen["rank"],
        split="validation" if source.source_id in tried.held_out else "train",
        variant=chosen["variant"],
        jpeg=cut.jpeg,
        width=cut.width,
        height=cut.height,
        face=cut.face,
        key_points=cut.key_points,
        measured=measured({**face, **own}),
    )
