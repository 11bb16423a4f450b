"""Text in Markdown, for whoever shows it: what comes from data says what it says, and does nothing.

Names of people, files and cameras, reasons and error texts may hold anything. In a cell or an item
none of it is markup, a link, a picture or HTML, and none of it ends the line.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

PUNCTUATION = re.compile(r"([\\`*_{}\[\]#|~!@$^=])")
AT_BEGINNING = re.compile(r"^(\s*)([-+>]|\d+(?=\\?[.)](?:\s|$)))")
LINKS = re.compile(r"(?i)(:)(?=//)|\b(www|mailto|xmpp|javascript|data)([.:])")


def escaped(value: object) -> str:
    """A text as Markdown of one line."""
    text = " ".join(str(value).split())
    text = "".join(c for c in text if unicodedata.category(c) not in ("Cc", "Cs", "Zl", "Zp"))
    text = PUNCTUATION.sub(r"\\\1", text)
    text = AT_BEGINNING.sub(lambda m: f"{m[1]}{_entity(m[2])}", text)
    text = LINKS.sub(lambda m: "\\:" if m[1] else f"{m[2]}\\{m[3]}", text)
    return re.sub(r"&(?!#\d+;)", "&amp;", text).replace("<", "&lt;").replace(">", "&gt;")


def _entity(text: str) -> str:
    return "".join(f"&#{ord(letter)};" for letter in text)


def bullets(lines: Iterable[object], empty: str) -> str:
    """Items, or a word where there is none."""
    return "\n".join(f"- {escaped(line)}" for line in lines) or empty


def table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """Rows under a head."""
    cells = [[escaped(cell) for cell in line] for line in (head, *rows)]
    lines = [cells[0], ["---"] * len(cells[0]), *cells[1:]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
