"""Two versions of the sets of a ride side by side: what came, what went and why, what moved."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from identity_pipeline.media import wording
from identity_pipeline.storage.video.set_versions import Noted
from identity_pipeline.storage.video.tables import TableStore


@dataclass(frozen=True)
class SetChange:
    """One set of one rider in two versions.

    Attributes:
        kind: type of the set.
        seat: of the rider.
        came: faces that are new in it.
        went: faces that are in it no more.
        moved: faces with another place among those that stayed.
        why: what became of those that went, in words, by face.
        stayed: how many are where they were.
    """

    kind: str
    seat: int
    came: tuple[str, ...]
    went: tuple[str, ...]
    moved: tuple[str, ...]
    why: Mapping[str, str]
    stayed: int


def compared(store: TableStore, video_id: str, old: Noted, new: Noted) -> list[SetChange]:
    """What differs between two versions, set by set; equal sets are left out.

    Args:
        store: the tables, which say what became of a face that went.
        video_id: the ride.
        old: the earlier version.
        new: the later one.

    Raises:
        MissingTableError: the frame ledger is not there.
    """
    ledger = store.read("frame_ledger", video_id, ("face_id", "state", "reason"))
    before, after = old.version.sets, new.version.sets
    found = []
    for name in sorted({*before, *after}):
        kind, _, seat = name.partition("/")
        was, now = before.get(name, []), after.get(name, [])
        if was != now:
            found.append(_change(kind, int(seat), was, now, _ended(ledger, {*was} - {*now})))
    return found


def _change(
    kind: str, seat: int, was: list[str], now: list[str], ended: Mapping[str, str]
) -> SetChange:
    kept, order = _of(was, now), _of(now, was)
    moved = tuple(face for face, other in zip(order, kept, strict=True) if face != other)
    came, went = (tuple(_of(one, other, but=True)) for one, other in ((now, was), (was, now)))
    return SetChange(kind, seat, came, went, moved, ended, len(kept) - len(moved))


def _of(faces: Iterable[str], others: Collection[str], *, but: bool = False) -> list[str]:
    """Faces that are among others, or those that are not."""
    return [face for face in faces if (face in others) is not but]


def _ended(ledger: pl.DataFrame, faces: set[str]) -> dict[str, str]:
    """What became of faces, in words."""
    rows = ledger.filter(pl.col("face_id").is_in(sorted(faces)))
    told = rows.select("face_id", "state", "reason").iter_rows()
    return {face: wording.explain(state, reason) for face, state, reason in told}
