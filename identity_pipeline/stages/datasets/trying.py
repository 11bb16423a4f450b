"""One person's pictures tried in their order, until as many as are wanted are fit for a consumer.

What belongs here: order, cut and verdict brought together, and what became of every face. What does
not: any of the three (`core.datasets.selection`, `stages.datasets.cutting`,
`stages.datasets.checks`), and writing (`stages.datasets.export`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import polars as pl

from identity_pipeline.core.datasets.selection import ordered, validation_sources
from identity_pipeline.core.imagesets.faces import VECTORS
from identity_pipeline.core.imagesets.one_face import Fault
from identity_pipeline.settings import Settings
from identity_pipeline.stages.datasets.checks import Checked, Looker, check
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
BATCHES: Final = 5
"""So often at most is gone on in the order for a consumer that refuses much; chosen."""
PLACE: Final = ["source_id", "face_id"]
"""What names a face over all sources."""


@dataclass
class Tried:
    """What became of one person's faces.

    Attributes:
        material: their rides and faces.
        order: result of `ordered`.
        cut: what became of each place that was tried.
        pictures: those that could be cut, by place in the order. In the end the ones that passed
            are numbered without gaps.
        parts: verdicts of each consumer of the layout on these, in the same order.
    """

    material: Material
    order: pl.DataFrame
    cut: dict[Place, Cut | Fault] = field(default_factory=dict)
    pictures: list[Picture] = field(default_factory=list)
    parts: dict[str, tuple[Verdict, ...]] = field(default_factory=dict)

    @property
    def verdicts(self) -> list[Verdict]:
        """Of each picture whether anybody can take it, else why the first of them cannot."""
        return Checked(self.parts).verdicts

    def fit(self) -> dict[str, frozenset[str]]:
        """Keys of the pictures that each consumer can take."""
        return Checked(self.parts).fit

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
        pictures: list[Picture] = []
        for picture, verdict in zip(self.pictures, self.verdicts, strict=True):
            rank = next(fit) if verdict.passed else picture.rank
            key = f"{slug}_{rank:03d}" if verdict.passed else picture.key
            pictures.append(replace(picture, key=key, rank=rank))
        self.pictures = pictures
        for part, verdicts in self.parts.items():
            pairs = zip(pictures, verdicts, strict=True)
            self.parts[part] = tuple(replace(v, key=picture.key) for picture, v in pairs)


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
        layout: of the consumer, or of several.
        count: how many are wanted; None: `datasets.count`. Never more than a consumer takes.
        cutter: cuts them.
        settings: all settings.
        progress: called per picture.
    """
    limits = _limits_of(layout, count or settings.datasets.count)
    wanted = max(most for _, most in limits.values())
    order = ordered(material.pool, settings.selection, settings.datasets, material.pool.height)
    tried = Tried(material, order)
    faces = material.pool.drop(VECTORS)
    rows = {(row["source_id"], row["face_id"]): row for row in faces.iter_rows(named=True)}
    looker = Looker(cutter.pack)
    for places in _batches(tried.ranked, wanted):
        tried.cut |= cutter.cut(material.pool.join(places, on=PLACE, how="semi"), progress)
        tried.pictures += _pictures(tried, places, rows)
        tried.parts = {
            part: check(tried.pictures, theirs, looker) for part, (theirs, _) in limits.items()
        }
        have = {part: len(keys) for part, keys in tried.fit().items()}
        if all(have[part] >= most for part, (_, most) in limits.items()):
            break
    tried.number()
    return tried


def _limits_of(layout: Layout, count: int) -> dict[str, tuple[Limits, int]]:
    """Limits of each consumer of a layout, and how many pictures it is to get."""
    found = {}
    for part, limits in parts_of(layout).items():
        most = count if limits.most is None else min(count, limits.most)
        found[part] = replace(limits, most=most), most
    return found


def _batches(ranked: pl.DataFrame, wanted: int) -> Iterator[pl.DataFrame]:
    """Places in the order, as many at a time as may be needed."""
    size = wanted + math.ceil(wanted * RESERVE) + 2
    end = min(ranked.height, size * BATCHES)
    for start in range(0, end, size):
        yield ranked.slice(start, min(size, end - start))


def hold_out(everybody: Sequence[Tried], share: float) -> None:
    """Puts whole sources into the validation split, the same for everybody who is in them.

    Args:
        everybody: whose pictures are numbered.
        share: of all pictures, at most.
    """
    counts = {
        one.material.person.person_id: Counter(p.source.source_id for p in one.passed)
        for one in everybody
    }
    held = validation_sources(counts, share)
    for one in everybody:
        one.pictures = [
            replace(p, split="validation") if p.source.source_id in held else p
            for p in one.pictures
        ]


def _pictures(
    tried: Tried, places: pl.DataFrame, rows: Mapping[Place, Mapping[str, Any]]
) -> Iterator[Picture]:
    """The pictures of some places that could be cut."""
    for chosen in places.iter_rows(named=True):
        place = chosen["source_id"], chosen["face_id"]
        made = tried.cut[place]
        if isinstance(made, Cut):
            yield _picture(tried, chosen, rows[place], made)


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
        split="train",
        variant=chosen["variant"],
        jpeg=cut.jpeg,
        width=cut.width,
        height=cut.height,
        face=cut.face,
        key_points=cut.key_points,
        measured=measured({**face, **own}),
    )
