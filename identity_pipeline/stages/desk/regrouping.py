"""What a merge or a split would do, before anybody decides it; and tracks that may be missing."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import polars as pl

from identity_pipeline.core.clustering.shared_frames import shared_frame_pairs
from identity_pipeline.core.review.merging import Conflict, Resemblance, conflicts, resemblance
from identity_pipeline.core.review.questions import Bars
from identity_pipeline.core.review.splitting import Proposal, propose_splits
from identity_pipeline.core.vectors import to_matrix
from identity_pipeline.ledger import subjects as ids
from identity_pipeline.ledger.errors import LedgerError
from identity_pipeline.settings import Settings
from identity_pipeline.stages.curation.curation import Curator
from identity_pipeline.stages.curation.snapshot import LibrarySnapshot, video_of
from identity_pipeline.stages.desk.people import Tile, known_frame, tiles
from identity_pipeline.stages.library.explanation import more_of
from identity_pipeline.stages.library.spaces import head_of_space
from identity_pipeline.tables import empty

PART_SHOWN: Final = 60
"""Tracks of a part that are shown; the others go with it. Chosen: what one looks through."""
CONFLICTS_SHOWN: Final = 20
"""Of what stands between two people; chosen."""
COLUMNS: Final = ("track_key", "video_id", "frames", "space", "template")


@dataclass(frozen=True)
class MergePreview:
    """What a merge would do.

    Attributes:
        tracks, rides: of each of the two, the one who goes first.
        alike: of their tracks; null where one has no template.
        pairs: how the best and the worst pair look, by subject.
        conflicts: what stands between them, `CONFLICTS_SHOWN` at most.
        conflict_count: all of them.
        effect: in words; null where it is refused.
        refused: why it cannot be; null where it can.
    """

    tracks: tuple[int, int]
    rides: tuple[int, int]
    alike: Resemblance | None
    pairs: dict[str, Tile]
    conflicts: list[Conflict]
    conflict_count: int
    effect: str | None
    refused: str | None


def merge_preview(
    library: LibrarySnapshot, gone: str, into: str, bars: Bars | None, curator: Curator
) -> MergePreview:
    """What a merge of two people in force would do.

    Args:
        library: as it is now.
        gone: who turns out to be the other one.
        into: who stays.
        bars: null where none is known: then no pair counts as too unlike.
        curator: who tries it; nothing is written.
    """
    known, decided = known_frame(library), library.state.members
    mine, theirs = (
        {*known.filter(pl.col("person_id") == who)["track_key"], *decided.get(who, ())}
        for who in (gone, into)
    )
    table = templates_of(library, mine | theirs)
    alike = _alike(table, mine, theirs, bars)
    found = _conflicts(library, gone, into, table)
    effect, refused = _tried(curator, gone, into)
    pairs = (alike.best, alike.worst) if alike else ()
    shown = {key for c in found[:CONFLICTS_SHOWN] for key in c.tracks} | {
        k for p in pairs for k in (p.one, p.other)
    }
    looks = tiles(library, dict.fromkeys(sorted(shown), ""), None)
    return MergePreview(
        (len(mine), len(theirs)),
        (len(set(map(video_of, mine))), len(set(map(video_of, theirs)))),
        alike,
        {tile.subject: tile for tile in looks},
        found[:CONFLICTS_SHOWN],
        len(found),
        effect,
        refused,
    )


def _alike(
    templates: pl.DataFrame, mine: set[str], theirs: set[str], bars: Bars | None
) -> Resemblance | None:
    vectors = dict(zip(templates["track_key"], to_matrix(templates["template"]), strict=True))
    one, other = ({k: vectors[k] for k in some if k in vectors} for some in (mine, theirs))
    return resemblance(one, other, bars.exclude if bars else -1.0)


def _conflicts(
    library: LibrarySnapshot, gone: str, into: str, templates: pl.DataFrame
) -> list[Conflict]:
    """What humans gave to the two and cannot be one person."""
    state = library.state
    one, other = ((who, state.members.get(who, ())) for who in (gone, into))
    decided = pl.col("track_key").is_in([*one[1], *other[1]])
    seen_together = shared_frame_pairs(templates.filter(decided))
    return conflicts(one, other, seen_together, state.rejected, state.apart)


def _tried(curator: Curator, gone: str, into: str) -> tuple[str | None, str | None]:
    """What the merge would do, or why it is refused."""
    try:
        return str(curator.merge(gone, into).effect), None
    except LedgerError as error:
        return None, str(error)


def templates_of(library: LibrarySnapshot, tracks: Collection[str]) -> pl.DataFrame:
    """Templates of some tracks in the space of the generation in force: `COLUMNS`."""
    space = library.generation.space if library.generation else ""
    store = library.stores.in_space(head_of_space(space))
    parts = [empty("track_templates").select(COLUMNS)]
    present = [key for key in tracks if not ids.parse(key).lost]
    for video_id in sorted(set(map(video_of, present))):
        if store.outputs.has("track_templates", video_id):
            parts.append(store.read("track_templates", video_id, COLUMNS))
    wanted = pl.col("track_key").is_in(present) & (pl.col("space") == space)
    return pl.concat(parts).filter(wanted).sort("track_key")


@dataclass(frozen=True)
class SplitPreview:
    """Ways to split somebody.

    Attributes:
        ways: the best first.
        way: the one that is looked at; null where there is none.
        looks: of the tracks of each part that are shown, `PART_SHOWN` at most.
        left_out: decided tracks without a template, which cannot be compared; they stay.
    """

    ways: list[Proposal]
    way: Proposal | None
    looks: dict[str, Tile]
    left_out: int


def split_preview(library: LibrarySnapshot, person_id: str, number: int = 1) -> SplitPreview:
    """Ways to split what humans gave to a person; what the machine added follows by itself.

    Args:
        library: as it is now.
        person_id: in force.
        number: of the way that is looked at, from 1; the last one where there are fewer.
    """
    members = library.state.members.get(person_id, ())
    table = templates_of(library, members)
    keys = table["track_key"].to_list()
    apart = [*shared_frame_pairs(table), *library.state.apart]
    ways = propose_splits(keys, to_matrix(table["template"]), apart)
    said = {key: library.state.origin[key] for key in keys}
    way = ways[min(number, len(ways)) - 1] if ways else None
    shown = {key for part in (way.parts if way else ()) for key in part.tracks[:PART_SHOWN]}
    seen = {key: whose for key, whose in said.items() if key in shown}
    looks = {tile.subject: tile for tile in tiles(library, seen, person_id)}
    return SplitPreview(ways, way, looks, len(members) - len(keys))


@dataclass(frozen=True)
class More:
    """A track of nobody that resembles a person.

    Attributes:
        tile: how it looks.
        score: cosine to the person.
        place: where it is now, in words.
    """

    tile: Tile
    score: float
    place: str


def more_like(library: LibrarySnapshot, person_id: str, settings: Settings) -> list[More]:
    """Tracks of nobody that resemble a person, the best first.

    Raises:
        CurationError: there is nothing to compare with.
    """
    found = {row["track_key"]: row for row in more_of(library, person_id, settings)}
    return [
        More(tile, found[tile.subject]["score"], found[tile.subject]["place"])
        for tile in tiles(library, dict.fromkeys(found, ""), None)
    ]
