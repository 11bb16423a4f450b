"""What a command prints: sentences, and lists that fit where they are read.

A list is a table where the terminal is wide enough, else a card per row: what is in a cell is never
cut off, and no id or name is broken. In a pipe it is plain columns, one line a row, as wide as it
takes. Text is printed as it is: brackets in somebody's name are no markup, and control characters
are shown rather than obeyed.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain

import click
from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment, Segments
from rich.table import Table
from rich.text import Text

from identity_pipeline.cli.spoken import as_invoked

console = Console()
PROSE = 24
"""Cells of a terminal below which no column of words is squeezed; chosen: about four words."""
BESIDE = 20
"""Least room for a value beside its label on a card; chosen: three words."""
OBEYED = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069]")
"""What a terminal would obey: control characters but tab and new line, and turns of direction."""
json_option = click.option("--json", "as_json", is_flag=True, help="For machines.")


def say(text: str, style: str = "", *, err: bool = False) -> None:
    """Prints a sentence; commands in it can be typed as printed."""
    shown = visible(as_invoked(text))
    if err:
        click.echo(shown, err=True)
    else:
        console.print(Text(shown, style), soft_wrap=True, highlight=False)


class _Teller(logging.Handler):
    """Says each warning once: several steps of a command meet the same."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
            if message in self._said:
                return
            self._said.add(message)
            say(message, err=True)
        except Exception:  # noqa: BLE001 - a message never ends what it is about
            self.handleError(record)


@contextmanager
def telling() -> Iterator[None]:
    """While the block runs, warnings that the package logs are sentences on standard error."""
    logger, teller = logging.getLogger("identity_pipeline"), _Teller()
    logger.addHandler(teller)
    try:
        yield
    finally:
        logger.removeHandler(teller)


def echo_json(value: object) -> None:
    """Prints JSON."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    # A file name that is no UTF-8 becomes an escape, which is JSON too.
    click.echo(text.encode("utf-8", "backslashreplace").decode())


def echo_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = ""
) -> None:
    """Prints a list.

    Args:
        columns: their names; one that begins with `>` is set to the right.
        rows: a value for each column; None is not known, a `Text` has a style.
        title: above it.
    """
    names = [name.removeprefix(">") for name in columns]
    right = [name.startswith(">") for name in columns]
    if not console.is_terminal and not os.environ.get("COLUMNS"):
        _print_plain(names, right, rows, title)
        return
    cells = [[_cell(value) for value in row] for row in rows]
    widths = fitting(names, cells, console.width)
    if widths is None:
        _print_cards(names, cells, title)
        return
    _print_table(names, right, widths, cells, title)


def visible(text: str) -> str:
    """The text with control characters, and bytes that are no text, as escapes."""
    if text.isascii() and text.isprintable():  # as of nearly every cell of a long list
        return text
    escaped = OBEYED.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
    return escaped.encode("utf-8", "backslashreplace").decode()


def shown(value: object) -> str:
    """A value in a list; what is not known is a dash."""
    text = "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
    return visible(text)


def fitting(names: Sequence[str], cells: Sequence[Sequence[Text]], width: int) -> list[int] | None:
    """How wide each column of a table is; None where the table does not fit.

    Words are never broken: a column is at least as wide as its longest word, and one of several
    words at least `PROSE`, or as wide as it needs.

    Args:
        names: of the columns.
        cells: by row.
        width: of the terminal, in cells.
    """
    columns = ["\n".join([name, *(row[i].plain for row in cells)]) for i, name in enumerate(names)]
    natural = [_longest(column.split("\n")) for column in columns]
    words = [_longest(column.split()) or 1 for column in columns]
    least = [max(word, min(whole, PROSE)) for word, whole in zip(words, natural, strict=True)]
    room = width - 3 * len(names) - 1  # a space on both sides of each cell, and the lines between
    if sum(natural) <= room:
        return natural
    if sum(least) > room:
        return None
    spare, need = room - sum(least), sum(natural) - sum(least)
    return [low + spare * (high - low) // need for low, high in zip(least, natural, strict=True)]


def _longest(pieces: Sequence[str]) -> int:
    return max(map(cell_len, pieces), default=0)


def _cell(value: object) -> Text:
    return value if isinstance(value, Text) else Text(shown(value))


def _print_table(
    names: Sequence[str],
    right: Sequence[bool],
    widths: Sequence[int],
    cells: Sequence[Sequence[Text]],
    title: str,
) -> None:
    if title:
        say(title, "italic")
    table = Table()
    for name, width, to_right in zip(names, widths, right, strict=True):
        table.add_column(
            Text(name), width=width, justify="right" if to_right else "left", overflow="fold"
        )
    for row in cells:
        table.add_row(*row)
    # A line longer than the terminal would be cut; `fitting` saw to it that there is none.
    console.print(table, soft_wrap=False, crop=False)


def _print_plain(
    names: Sequence[str], right: Sequence[bool], rows: Iterable[Sequence[object]], title: str
) -> None:
    lines = [list(names), *([_plain(value) for value in row] for row in rows)]
    wide = [[_width(text) for text in line] for line in lines]
    widths = [max(column) for column in zip(*wide, strict=True)]
    if title:
        say(title)
    padded = (
        "  ".join(
            " " * (width - own) + text if to_right else text + " " * (width - own)
            for text, own, width, to_right in zip(line, owns, widths, right, strict=True)
        ).rstrip()
        for line, owns in zip(lines, wide, strict=True)
    )
    # At once: lists are long, and nothing in them has a style here.
    console.print(Segments([Segment("\n".join([*padded, ""]))]), soft_wrap=True, end="")


def _plain(value: object) -> str:
    """A value on one line, without a style."""
    if isinstance(value, int):  # as half the cells of a long list
        return str(value)
    text = value.plain if isinstance(value, Text) else shown(value)
    return " ".join(text.split())


def _width(text: str) -> int:
    return len(text) if text.isascii() else cell_len(text)


def _print_cards(names: Sequence[str], cells: Sequence[Sequence[Text]], title: str) -> None:
    if title:
        say(title, "italic")
    label = max(map(cell_len, names), default=0) + 2
    beside = console.width - label >= BESIDE
    for number, row in enumerate(cells):
        if number or title:
            console.print()
        for name, cell in zip(names, row, strict=True):
            if cell.plain.strip():
                head = name + " " * (label - cell_len(name)) if beside else f"{name}\n  "
                _print_field(head, cell, label if beside else 2)
    console.print()


def _print_field(head: str, cell: Text, indent: int) -> None:
    pieces = (_wrapped(line, console.width - indent) for line in cell.plain.split("\n"))
    text = Text(head, "bold")
    text.append(("\n" + " " * indent).join(chain.from_iterable(pieces)), cell.style)
    console.print(text, soft_wrap=True, highlight=False)


def _wrapped(line: str, width: int) -> list[str]:
    """A line in pieces that fit; a longer word keeps a line of its own, whole."""
    pieces = [""]
    for word in line.split():
        joined = f"{pieces[-1]} {word}" if pieces[-1] else word
        if cell_len(joined) <= width:
            pieces[-1] = joined
        elif pieces[-1]:
            pieces.append(word)
        else:
            pieces[-1] = word
    return pieces
