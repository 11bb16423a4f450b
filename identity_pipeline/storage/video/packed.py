"""What all packs hold, remembered, so that only those that changed are opened.

A memory for each asset (`storage.progress.known`), all written at one look: a list of all videos
asks for one asset after the other.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final

from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.progress.known import Memory, looked_at, quiet
from identity_pipeline.storage.video.packs import PARTS, members_of, packs_in

VERSION: Final = 1
NAMED: Final = "packed-{}"
LOOK: Final = "packs"
"""The memory of the packs themselves and of their assets, written after those of the assets."""

ByVideo = dict[str, list[str]]
"""Of each packed video the stamps of its `PARTS`; empty for one that it does not have."""


def packed_of(layout: Layout, asset: str) -> ByVideo:
    """Of each packed video that has something of an asset: the stamps of its parts."""
    return _videos(layout, asset) if layout.packs.is_dir() else {}


def _videos(layout: Layout, asset: str) -> ByVideo:
    memory, look = Memory(layout, NAMED.format(asset), VERSION), Memory(layout, LOOK, VERSION)
    known = memory.recall()
    if quiet(known, layout.packs):
        return known["videos"]
    before, now = look.recall(), looked_at(layout.packs)
    if not quiet(before, layout.packs) and before.get("videos") != packs_in(layout):
        return _looked(layout).get(asset, {})
    if asset not in before["assets"]:
        return {}
    if known.get("look") != before["look"]:
        return _looked(layout).get(asset, {})
    if quiet({**before, **now}, layout.packs):  # it was too fresh to be believed at the last look
        memory.keep({**known, **now})
        look.keep({**before, **now})
    return known["videos"]


def _looked(layout: Layout) -> dict[str, ByVideo]:
    """What each asset has of all packed videos; every memory is brought up to date."""
    now, present = looked_at(layout.packs), packs_in(layout)
    before = Memory(layout, LOOK, VERSION).recall()
    same = {v for v, stamp in before.get("videos", {}).items() if present.get(v) == stamp}
    found = _kept(layout, before, same)
    if found is None:
        same, found = set[str](), defaultdict[str, ByVideo](dict)
    for video_id in present.keys() - same:
        for name, member in members_of(layout, video_id).items():
            asset, dot, part = name.partition(".")
            stamps = found[asset].setdefault(video_id, ["" for _ in PARTS])
            stamps[PARTS.index(dot + part)] = member.found.stamp
    for asset, videos in found.items():
        kept = {**now, "look": now["at"], "videos": videos}
        Memory(layout, NAMED.format(asset), VERSION).keep(kept)
    told = {**now, "look": now["at"], "videos": present, "assets": sorted(found)}
    Memory(layout, LOOK, VERSION).keep(told)
    return found


def _kept(
    layout: Layout, before: dict[str, Any], same: set[str]
) -> defaultdict[str, ByVideo] | None:
    """What is remembered of packs that are the same; None where it is not of one look."""
    found: defaultdict[str, ByVideo] = defaultdict(dict)
    for asset in before.get("assets", ()):
        memory = Memory(layout, NAMED.format(asset), VERSION).recall()
        if memory.get("look") != before["look"]:
            return None
        found[asset] = {v: stamps for v, stamps in memory["videos"].items() if v in same}
    return found
