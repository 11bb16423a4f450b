"""Draws the house from its own imports, and lists its rooms from their own first sentences.

    python -m tools.house_drawing            writes docs/pictures/house.svg and the table of ARCHITECTURE.md
    python -m tools.house_drawing --check    only says whether both are up to date

A layer is a package below `identity_pipeline`, a room a package inside a layer. An arrow between two
rooms of a layer means that one imports the other; those that follow from other arrows are left out.
"""

from __future__ import annotations

import ast
import itertools
import sys
from collections import defaultdict
from graphlib import TopologicalSorter
from html import escape
from pathlib import Path

import grimp

PACKAGE = "identity_pipeline"
ROOT = Path(__file__).resolve().parents[1]
DRAWING = ROOT / "docs/pictures/house.svg"
PAPER = ROOT / "ARCHITECTURE.md"
BEGIN, END = "<!-- rooms: python -m tools.house_drawing -->\n", "<!-- end of rooms -->\n"

FLOORS = (
    ("cli",),
    ("defs",),
    ("stages",),
    ("models", "ledger"),
    ("storage", "media"),
    ("core",),
    ("tables", "settings"),
)
"""The layers from top to bottom; those of one floor stand side by side."""
WIDTH, MARGIN, HEAD, BOX_W, BOX_H, ACROSS, DOWN = 980, 16, 50, 104, 30, 46, 10

Edges = dict[str, set[str]]


def imports() -> tuple[Edges, dict[str, Edges]]:
    """Who imports whom: between layers, and by layer between its rooms."""
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    layers: Edges = defaultdict(set)
    rooms: dict[str, Edges] = {
        layer: {room: set() for room in rooms_of(layer)} for layer in all_layers()
    }
    for module in graph.modules:
        for target in graph.find_modules_directly_imported_by(module):
            (layer, room), (other, other_room) = place(module), place(target)
            if layer != other:
                layers[layer].add(other)
            elif room != other_room and {room, other_room} <= rooms.get(layer, {}).keys():
                rooms[layer][room].add(other_room)
    return layers, {layer: reduced(edges) for layer, edges in rooms.items()}


def all_layers() -> list[str]:
    return [layer for floor in FLOORS for layer in floor]


def rooms_of(layer: str) -> list[str]:
    return sorted(path.parent.name for path in (ROOT / PACKAGE / layer).glob("*/__init__.py"))


def place(module: str) -> tuple[str, str]:
    """Layer and room of a module; empty where it stands in none."""
    parts = [*module.split("."), "", ""]
    return parts[1], parts[2]


def reduced(edges: Edges) -> Edges:
    """Without the arrows that follow from others."""
    return {
        one: {b for b in targets if not any(b in reached(c, edges) for c in targets - {b})}
        for one, targets in edges.items()
    }


def reached(start: str, edges: Edges) -> set[str]:
    """All that a room imports, directly or through others."""
    found: set[str] = set()
    new = {start}
    while new:
        new = set().union(*(edges[room] for room in new)) - found
        found |= new
    return found


def columns(edges: Edges) -> list[list[str]]:
    """Rooms by how deep they stand: the first column imports no other room.

    An arrow over several columns has a place of its own, `from>to`, in each column that it passes.
    Each column is ordered by where its arrows lead, so that few of them cross.
    """
    depth = depths(edges)
    grid = [[r for r in edges if depth[r] == d] for d in range(max(depth.values(), default=-1) + 1)]
    for room, target in arrows(edges):
        for passed in range(depth[target] + 1, depth[room]):
            grid[passed].append(f"{room}>{target}")
    for before, column in itertools.pairwise(grid):
        row = {name: n for n, name in enumerate(before)}
        column.sort(key=lambda name: (mean_row(name, edges, row), name))
    return grid


def depths(edges: Edges) -> dict[str, int]:
    """The longest way from each room to one that imports no other.

    Raises:
        CycleError: rooms import each other; which.
    """
    depth: dict[str, int] = {}
    for room in TopologicalSorter(edges).static_order():
        depth[room] = 1 + max((depth[target] for target in edges[room]), default=-1)
    return depth


def mean_row(name: str, edges: Edges, row: dict[str, int]) -> float:
    """Where in the column before it the arrows of a place lead on average."""
    room, _, passing = name.partition(">")
    leads = [passing] if passing else sorted(edges[room])
    rows = [row.get(target, row.get(f"{room}>{target}", 0)) for target in leads]
    return sum(rows) / len(rows)


def arrows(edges: Edges) -> list[tuple[str, str]]:
    return [(room, target) for room in edges for target in sorted(edges[room])]


def sentence(package: str) -> str:
    """The first sentence of a package's own description."""
    text = (ROOT / package / "__init__.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(text)) or "").split("\n")[0]


def drawing() -> str:
    """The house as SVG."""
    layers, rooms = imports()
    parts: list[str] = []
    y = MARGIN
    for floor in FLOORS:
        grids = {layer: columns(rooms[layer]) for layer in floor}
        share = (WIDTH - MARGIN * (len(floor) + 1)) / sum(max(2, len(g)) for g in grids.values())
        rows = max((len(column) for grid in grids.values() for column in grid), default=0)
        height = HEAD + rows * (BOX_H + DOWN)
        x: float = MARGIN
        for layer in floor:
            below = [name for name in all_layers() if name in layers[layer]]
            wide = share * max(2, len(grids[layer]))
            parts += _band(layer, below, grids[layer], rooms[layer], (x, y, wide, height))
            x += wide + MARGIN
        y += height + MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" '
        f'height="{y}" font-family="sans-serif" font-size="13">\n'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="#5b6b8c"/></marker></defs>\n'
        f'<rect width="{WIDTH}" height="{y}" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _band(
    layer: str,
    below: list[str],
    grid: list[list[str]],
    edges: Edges,
    frame: tuple[float, float, float, float],
) -> list[str]:
    """One layer: its name, what it imports, its rooms and the arrows between them."""
    x, y, wide, height = frame
    knows = "imports " + ", ".join(below) if below else "imports none of these"
    parts = [
        f'<rect x="{x:g}" y="{y:g}" width="{wide:g}" height="{height:g}" rx="6" fill="#f3f5fa" stroke="#c3cbdd"/>',
        f'<text x="{x + 12:g}" y="{y + 21:g}" font-weight="bold" font-size="15" fill="#1d2640">{layer}</text>',
        f'<text x="{x + 12:g}" y="{y + 39:g}" font-size="11" fill="#5b6b8c">{escape(knows)}</text>',
    ]
    corners: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for across, column in enumerate(grid):
        for down, name in enumerate(column):
            at = (x + 12 + across * (BOX_W + ACROSS), y + HEAD + down * (BOX_H + DOWN))
            corners[name].insert(0, at)
    for room, target in arrows(edges):
        parts.append(_arrow([*corners[room], *corners[f"{room}>{target}"], *corners[target]]))
    for room in edges:
        [(left, top)] = corners[room]
        parts += [
            f'<rect x="{left:g}" y="{top:g}" width="{BOX_W}" height="{BOX_H}" rx="4" fill="#ffffff" stroke="#3f51b5"/>',
            f'<text x="{left + BOX_W / 2:g}" y="{top + 20:g}" text-anchor="middle" fill="#1d2640">{room}</text>',
        ]
    return parts


def _arrow(corners: list[tuple[float, float]]) -> str:
    """From the left side of the first box to the right side of the last, through all between."""
    path = f"M{corners[0][0]:g} {corners[0][1] + BOX_H / 2:g}"
    for (x1, y1), (x2, y2) in itertools.pairwise(corners):
        right, start, end = x2 + BOX_W, y1 + BOX_H / 2, y2 + BOX_H / 2
        path += f" C{x1 - 24:g} {start:g} {right + 24:g} {end:g} {right + 2:g} {end:g}"
        if (x2, y2) != corners[-1]:
            path += f" L{x2:g} {end:g}"
    return f'<path d="{path}" fill="none" stroke="#5b6b8c" marker-end="url(#tip)"/>'


def table() -> str:
    """All layers and rooms with what they are for, in Markdown."""
    lines = ["| layer | room | what belongs there |", "|---|---|---|"]
    for layer in all_layers():
        lines.append(f"| **`{layer}`** | | {sentence(f'{PACKAGE}/{layer}')} |")
        lines += [
            f"| | `{layer}/{room}` | {sentence(f'{PACKAGE}/{layer}/{room}')} |"
            for room in rooms_of(layer)
        ]
    return "\n".join(lines) + "\n"


def outdated() -> dict[Path, str]:
    """What the files should hold, of those that do not."""
    text = PAPER.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    wanted = {DRAWING: drawing(), PAPER: f"{before}{BEGIN}{table()}{END}{after}"}
    there = {path: path.read_text(encoding="utf-8") if path.exists() else "" for path in wanted}
    return {path: text for path, text in wanted.items() if there[path] != text}


def main() -> int:
    """Writes both, or with `--check` says what is outdated."""
    for path, text in outdated().items():
        print(path.relative_to(ROOT))
        if "--check" in sys.argv:
            return 1
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
