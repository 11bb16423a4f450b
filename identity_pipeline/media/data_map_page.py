"""The page of the data map for a data protection officer, and the drawing of the flow on it.

What belongs here: how the map looks, with light and dark. What does not: what it says
(`stages.privacy.data_map`). No script, no request, no clock.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from identity_pipeline.media.page import environment
from identity_pipeline.media.receipt_page import size_words
from identity_pipeline.media.svg import svg, tag, text, tip

CLASSES: Final[Mapping[str, tuple[str, str]]] = {
    "source": ("#2e86de", "films and photographs as they came in"),
    "picture": ("#22a079", "pictures cut from them"),
    "biometric": ("#d64545", "numbers by which a face is known again, or was measured"),
    "profile": ("#b05fd0", "statistics of one person over all rides"),
    "name": ("#e08a1e", "names, and the keys to them"),
    "decision": ("#b68f62", "what humans decided about people"),
    "record": ("#8d949f", "records of work that name a ride"),
    "none": ("#c9ced6", "nothing of a person"),
}
"""Colour and words of each class of personal data."""
BOX_W, ACROSS, DOWN, HEAD, LINE, MARGIN = 156.0, 44.0, 18.0, 34.0, 16.0, 4.0

Graph = dict[str, set[str]]


class _Box(NamedTuple):
    """Where a box stands, in the drawing's units; all are `BOX_W` wide."""

    x: float
    y: float
    height: float


def render_data_map_page(told: Mapping[str, Any]) -> str:
    """The page as HTML text: the same for the same map.

    Args:
        told: the map as `DataMap.as_json` gives it.
    """
    return (
        environment()
        .get_template("data_map.html.j2")
        .render(map=told, classes=CLASSES, flow=flow_svg(told["assets"]), size=size_words)
    )


def flow_svg(assets: Sequence[Mapping[str, Any]]) -> str:
    """How personal data climbs: a box for each group of assets, with the classes that it writes.

    Args:
        assets: each with `asset`, `group`, `classes` and `inputs`, in the order of the graph.
    """
    groups = list(dict.fromkeys(one["group"] for one in assets))
    behind = _edges(assets, groups)
    shown = {g: _classes(one for one in assets if one["group"] == g) for g in groups}
    placed = _placed(_levels(behind), {g: HEAD + LINE * max(len(shown[g]), 1) for g in groups})
    arrows = [
        _arrow(placed[a], placed[b])
        for b, before in _reduced(behind).items()
        for a in sorted(before)
    ]
    boxes = ["".join(_box(group, placed[group], shown[group])) for group in groups]
    width, height = _extent(placed.values())
    return svg(width, height, "How personal data flows through the assets", [*arrows, *boxes])


def _extent(boxes: Collection[_Box]) -> tuple[float, float]:
    """Width and height of a drawing of some boxes."""
    width = max(one.x for one in boxes) + BOX_W + MARGIN
    return width, max(one.y + one.height for one in boxes) + MARGIN


def _placed(level: Mapping[str, int], heights: Mapping[str, float]) -> dict[str, _Box]:
    """Where each box stands: a column for each level, filled from the top."""
    below: dict[int, float] = {}
    placed: dict[str, _Box] = {}
    for group, height in heights.items():
        column = level[group]
        y = below.get(column, MARGIN)
        placed[group] = _Box(MARGIN + column * (BOX_W + ACROSS), y, height)
        below[column] = y + height + DOWN
    return placed


def _levels(behind: Graph) -> dict[str, int]:
    """The column of each group: behind all that it is made of.

    What is made of nothing stands just before what is made of it, else last, so that no arrow runs
    past boxes that have nothing to do with it.
    """
    level: dict[str, int] = {}
    for group, others in behind.items():  # in the order the data climbs: what is behind is known
        level[group] = 1 + max((level[other] for other in others), default=-1)
    last = max(level.values())
    for group in [group for group, others in behind.items() if not others]:
        level[group] = min((level[b] - 1 for b in behind if group in behind[b]), default=last)
    return level


def _edges(assets: Sequence[Mapping[str, Any]], groups: Sequence[str]) -> Graph:
    """Groups that each group is made of; only such as come before it, so there is no circle."""
    group_of = {one["asset"]: one["group"] for one in assets}
    found: Graph = {group: set() for group in groups}
    for one in assets:
        own = one["group"]
        before = set(groups[: groups.index(own)])
        found[own] |= {group_of[name] for name in one["inputs"]} & before
    return found


def _reduced(behind: Graph) -> Graph:
    """Without arrows that follow from others."""
    everything: Graph = {}
    for group, direct in behind.items():
        everything[group] = direct.union(*(everything[other] for other in direct))
    return {
        group: direct.difference(*(everything[other] for other in direct))
        for group, direct in behind.items()
    }


def _classes(assets: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """The classes that some assets write, in the order of `CLASSES`."""
    written = {name for one in assets for name in one["classes"]}
    return tuple(name for name in CLASSES if name in written)


def _box(group: str, place: _Box, classes: Sequence[str]) -> list[str]:
    x, y, height = place
    words = ", ".join(classes) or "nothing of a person"
    frame = tag(
        "rect",
        tip(f"{group}: {words}"),
        x=x,
        y=y,
        width=BOX_W,
        height=height,
        rx=8,
        style="fill:var(--card,#fff);stroke:var(--fig-line,#868e9b)",
    )
    parts = [frame, text(x + 12, y + 21, group, "strong")]
    if not classes:
        parts.append(text(x + 12, y + 39, "nothing of a person", "small"))
    for row, name in enumerate(classes):
        top = y + 30 + row * LINE
        parts += [
            tag("rect", x=x + 12, y=top, width=9, height=9, rx=2, fill=CLASSES[name][0]),
            text(x + 28, top + 9, name, "small"),
        ]
    return parts


def _arrow(start: _Box, end: _Box) -> str:
    """From the right side of a box to the left side of another, with a head."""
    x1, y1 = start.x + BOX_W, start.y + start.height / 2
    x2, y2 = end.x, end.y + end.height / 2
    middle = (x1 + x2) / 2
    curve = f"M{x1:g} {y1:g}C{middle:g} {y1:g} {middle:g} {y2:g} {x2:g} {y2:g}"
    head = f"M{x2 - 6:g} {y2 - 4:g}L{x2:g} {y2:g}L{x2 - 6:g} {y2 + 4:g}"
    return tag("path", d=curve + head, class_="line")
