"""Text from data does nothing in Markdown, in SVG, and in a spreadsheet."""

from __future__ import annotations

import io
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_pipeline.media import svg
from identity_pipeline.media.markdown import bullets, escaped, table
from identity_pipeline.settings import load_settings
from identity_pipeline.storage.catalogue.catalogue import open_catalogue
from identity_pipeline.storage.layout import Layout

NASTY = [
    "a | b",
    "`rm`",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](https://evil.example)",
    "![](https://evil.example/x.png)",
    "https://evil.example",
    "www.evil.example",
    "javascript:alert(1)",
    "# head",
    "- item",
    "1. item",
    "> quote",
    "a\nb\r\nc\u2028d",
    "**bold** _it_ ~~no~~",
    "a\\",
    "&lt;b&gt;",
    "x\x00\x1by",
]


@pytest.mark.parametrize("text", NASTY)
def test_nothing_of_it_is_markup(text: str) -> None:
    said = escaped(text)
    assert "\n" not in said and "<" not in said and ">" not in said
    assert not re.search(r"(?<!\\)://", said) and "www." not in said and "\x00" not in said
    said = re.sub(r"&#\d+;", "", said)
    for letter in "`|*_[]#~!":
        for before, found in zip(" " + said, said, strict=False):
            assert found != letter or before == "\\", said


def test_plain_words_stay_as_they_are() -> None:
    assert escaped("Ada Lovelace, 3 of 5 (auto)") == "Ada Lovelace, 3 of 5 (auto)"
    assert escaped(0.5) == "0.5"


@given(st.lists(st.lists(st.text(), min_size=2, max_size=2), max_size=4))
def test_a_table_has_its_rows_and_its_cells(rows: list[list[str]]) -> None:
    lines = table(("a", "b"), rows).split("\n")
    assert len(lines) == len(rows) + 2
    for line in lines:
        bare = line.replace("\\\\", "").replace("\\|", "")
        assert bare.count("|") == 3


def test_a_list_has_its_items() -> None:
    assert bullets(["a\nb", "- c"], "none").split("\n") == ["- a b", "- &#45; c"]
    assert bullets([], "none") == "none"


@given(st.text())
def test_a_drawing_is_xml_whatever_it_says(text: str) -> None:
    drawn = svg.svg(10, 10, text, [svg.text(1, 2, text), svg.tag("g", id=text)])
    found = ElementTree.fromstring(drawn.encode("utf-8", "replace"))  # noqa: S314  our own
    assert len(found) >= 3


def test_a_spreadsheet_makes_no_formula_of_it(tmp_path: Path) -> None:
    texts = ["=1+1", "+1", "-1", "@a", "\t=1", "=cmd|' /C calc'!A0", 'a "b", c', "plain"]
    values = ", ".join("('{}')".format(text.replace("'", "''")) for text in texts)
    with open_catalogue(Layout(tmp_path), load_settings().catalogue, "") as catalogue:
        written = io.StringIO()
        catalogue.write_csv(f"SELECT * FROM (VALUES {values}) AS t(name)", written)  # noqa: S608
        assert "'=1+1" in written.getvalue() and "\nplain" in written.getvalue()
        assert '"a ""b"", c"' in written.getvalue()
        numbers = io.StringIO()
        catalogue.write_csv("SELECT -1 AS n", numbers)
        assert numbers.getvalue() == "n\n-1\n"
