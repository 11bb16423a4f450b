"""A name as it may be written in files: encodings, escapes, entities; and what is no name.

What belongs here: the byte forms of a name, and whether bytes that equal one stand for it. What
does not: where the bytes come from (`stages.privacy.scanning`).
"""

from __future__ import annotations

import html
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from html.entities import codepoint2name
from itertools import takewhile
from typing import Final, Literal, NamedTuple
from urllib.parse import quote, quote_plus

SHORT: Final = 6
"""Bytes from which a form in pixels or compressed bytes is no chance: 256^6 is 280 TB for one."""
RUN: Final = 16
"""Printable characters around a shorter form in such bytes that make it text. Chosen."""
WORDY: Final = 0.85
"""Share of letters and spaces among those beside it: words have more, and the pixels of skin, which
are printable more often than not, about half. Chosen: on 8 real clips a name of three letters stood
by chance in printable runs of up to 80, and in none of so many letters."""
AROUND: Final = 96
"""Bytes to each side that are looked at."""
NESTED: Final = (1, 2, 4, 8)
"""Backslashes of an escape in JSON that is itself a string in JSON, and so on."""
BEFORE: Final = re.compile(r"(?:\\[nrtbf]|%[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4})$")
"""Escapes after which a word begins although they end in a letter or digit."""
_PRINTABLE: Final = frozenset(range(0x20, 0x7F))


Texture = Literal["text", "pages", "dense"]
"""What bytes are: words; pages of a database, words and numbers without anything between them; or
pixels, numbers, or compressed."""
TEXT: Final = "text"
PAGES: Final = "pages"
DENSE: Final = "dense"


class Form(NamedTuple):
    """One way in which a name is written.

    Attributes:
        name: what that way is called.
        data: its bytes.
        encoding: of them.
        begins: whether more of the same word may follow, such as a number.
    """

    name: str
    data: bytes
    encoding: str
    begins: bool = False


def forms_of(name: str) -> list[Form]:
    """Every way in which a name may lie in a file, no two alike.

    UTF-16 of either byte order holds the pieces that are looked for.
    """
    found: dict[bytes, Form] = {}
    for spelled in dict.fromkeys(unicodedata.normalize(form, name) for form in ("NFC", "NFD")):
        for form in _forms(spelled):
            if form.data:
                found.setdefault(form.data, form)
    return list(found.values())


def _forms(name: str) -> Iterator[Form]:
    yield Form("UTF-8", name.encode(), "utf-8")
    yield Form("UTF-16", name.encode("utf-16-le")[:-1], "utf-16")
    yield Form("UTF-16", name.encode("utf-16-be")[1:], "utf-16")
    if name.isascii() and not set(name) & set("\"\\&<>'% "):
        return
    for text in _escaped(name):
        yield Form("JSON escapes", text.encode(), "ascii")
    for text in _entities(name):
        yield Form("HTML entities", text.encode(), "ascii")
    for text in (quote(name), quote(name).lower(), quote_plus(name)):
        yield Form("percent-encoding", text.encode(), "ascii")


def _escaped(name: str) -> Iterator[str]:
    plain = json.dumps(name)[1:-1]
    for count in NESTED:
        nested = plain.replace("\\", "\\" * count)
        yield nested
        yield re.sub(r"(?<=\\u)[0-9a-f]{4}", lambda digits: digits[0].upper(), nested)


def _entities(name: str) -> Iterator[str]:
    quoted = html.escape(name)
    for safe in (quoted, html.escape(name, quote=False), quoted.replace("&#x27;", "&#39;")):
        yield safe
        for pattern in ("&#{};", "&#x{:x};", "&#x{:X};"):
            yield "".join(c if c.isascii() else pattern.format(ord(c)) for c in safe)
        yield "".join(
            c if c.isascii() or ord(c) not in codepoint2name else f"&{codepoint2name[ord(c)]};"
            for c in safe
        )


def places_of(data: bytes, form: Form, texture: Texture) -> Iterator[int]:
    """Where a form stands for a name, and is not part of another word or mere chance.

    In a text the characters beside it are no letters and digits. In pages and dense bytes whatever
    lies beside it may look like one, so there only a short form has to be a word.

    Args:
        data: to look in.
        form: of `forms_of`.
        texture: of the bytes.
    """
    place = data.find(form.data)
    while place >= 0:
        end = place + len(form.data)
        before, after = data[max(0, place - AROUND) : place], data[end : end + AROUND]
        long = texture != TEXT and len(form.data) >= SHORT and form.encoding != "utf-16"
        word = long or _is_word(before, after, form)
        if word and (texture != DENSE or _is_text(before, after, form)):
            yield place
        place = data.find(form.data, place + 1)


def _is_word(before: bytes, after: bytes, form: Form) -> bool:
    if form.encoding == "utf-16":
        # The piece begins and ends at the letters; beside it the neighbours' other halves.
        left, right = _wide(before[-2:]), _wide(after[:2])
    else:
        left = before.decode("utf-8", "ignore")
        left = "" if BEFORE.search(left[-6:]) else left[-1:]
        right = "" if form.begins else after[:4].decode("utf-8", "ignore")[:1]
    return not (left.isalnum() or right.isalnum())


def _wide(two: bytes) -> str:
    """A neighbour of a form in UTF-16, where it is a letter of ASCII."""
    other = two.replace(b"\0", b"")
    return other.decode("ascii", "ignore") if len(two) == 2 and len(other) == 1 else ""


def _is_text(before: bytes, after: bytes, form: Form) -> bool:
    if len(form.data) >= SHORT and form.encoding != "utf-16":
        return True
    if form.encoding == "utf-16":
        before, after = before.replace(b"\0", b""), after.replace(b"\0", b"")
    beside = [*_run(reversed(before)), *_run(after)]
    words = sum(value == 0x20 or chr(value).isalpha() for value in beside)
    return len(beside) + len(form.data) >= RUN and words >= WORDY * len(beside)


def _run(values: Iterable[int]) -> list[int]:
    """The printable characters with which some bytes begin."""
    return list(takewhile(_PRINTABLE.__contains__, values))


def within_kept(data: bytes, place: int, form: Form, kept: Iterable[str]) -> bool:
    """Whether a form lies inside a longer word that stays, such as the id of another's ride.

    Args:
        data: where it was found.
        place: where.
        form: of the name.
        kept: words that stay.
    """
    if form.encoding != "utf-8":
        return False
    end = place + len(form.data)
    for word in kept:
        spelled = word.encode()
        at = spelled.find(form.data)
        while at >= 0:
            start = place - at
            if start >= 0 and data[start : start + len(spelled)] == spelled and end <= len(data):
                return True
            at = spelled.find(form.data, at + 1)
    return False
