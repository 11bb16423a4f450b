"""Elements of SVG as text, and the colours that all figures and the page share.

What belongs here: element helpers and the palette. What does not: any figure. All text and all
attributes are escaped here, so that no figure has to think of it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape, quoteattr

SET_COLOURS: Final = {
    "anchor": "#2e86de",
    "coverage": "#22a079",
    "challenge": "#e08a1e",
    "pair": "#b05fd0",
}
PERSON_COLOURS: Final = ("#5f82b5", "#b5715f")
STATE_COLOURS: Final = {
    "saved": "#22a079",
    "beaten": "#4f93dc",
    "too_similar": "#86b3e6",
    "beyond_bins": "#8f88e2",
    "after_stop": "#b7a6ea",
    "rejected": "#b03a3a",
    "not_croppable": "#d793c6",
    "no_vision": "#c9709f",
    "unstable": "#e3764d",
    "failed_gate": "#e2ab40",
    "no_set": "#b68f62",
    "not_a_rider": "#8d949f",
}
PHASE_COLOURS: Final = {
    "boarding": "#22a079",
    "stop": "#86b3e6",
    "ride": "#4f93dc",
    "dark": "#4b4f63",
    "flash": "#f0892b",
    "glare": "#e2ab40",
    "high_motion": "#b05fd0",
    "brake": "#b68f62",
}
"""By name of the phase of a ride: see `core.ride.naming`."""
OTHER_COLOUR: Final = "#8d949f"
ALARM: Final = "#d64545"
DARK_MARK, BRIGHT_MARK = "#7a6ff0", "#f0892b"
FONT: Final = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"
STYLE: Final = (
    f".fig{{font:12px {FONT};font-variant-numeric:tabular-nums}}"
    ".fig text{fill:var(--fig-ink,#7b828e)}"
    ".fig .strong{fill:var(--fig-strong,#7b828e);font-weight:650}"
    ".fig .small{font-size:11px}.fig .mid{text-anchor:middle}.fig .end{text-anchor:end}"
    ".fig .count{font-size:19px;font-weight:650}.fig .on{fill:#fff}"
    ".fig .line{stroke:var(--fig-line,#8d949f);fill:none}"
)


def num(value: float) -> str:
    """A coordinate with at most two decimals."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def tag(name: str, body: str = "", /, **attributes: float | str | None) -> str:
    """One element; `_` in names becomes `-`, a trailing one is dropped; None leaves out."""
    parts = [name]
    for key, value in attributes.items():
        if value is not None:
            text = _printable(value) if isinstance(value, str) else num(value)
            parts.append(f"{key.rstrip('_').replace('_', '-')}={quoteattr(text)}")
    return f"<{' '.join(parts)}>{body}</{name}>" if body else f"<{' '.join(parts)}/>"


def text(x: float, y: float, content: str, classes: str | None = None, **more: str | None) -> str:
    """A line of text at its baseline."""
    return tag("text", escape(_printable(content)), x=x, y=y, class_=classes, **more)


def tip(content: str) -> str:
    """What a pointer that rests on the parent element reads."""
    return f"<title>{escape(_printable(content))}</title>"


def _printable(text: str) -> str:
    """A text without the letters that XML cannot hold."""
    if text.isprintable():
        return text
    return "".join(c for c in text if c in "\t\n" or unicodedata.category(c) not in ("Cc", "Cs"))


def svg(width: float, height: float, label: str, parts: Iterable[str], *, top: float = 0.0) -> str:
    """The whole figure: `label` is what a screen reader says, `top` is cut off above."""
    body = tip(label) + f"<style>{STYLE}</style>" + "".join(parts)
    return tag(
        "svg",
        body,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 {num(top)} {num(width)} {num(height - top)}",
        width=width,
        height=height - top,
        class_="fig",
        role="img",
        aria_label=label,
    )


def themed(figure: str) -> str:
    """A figure as a file of its own, whose page is light or dark as the reader's system is.

    A picture knows nothing of the page around it, so it brings the page's colours.
    """
    palette = (Path(__file__).parent / "templates" / "palette.css").read_text(encoding="utf-8")
    return figure.replace("</style>", f"{palette.strip()}</style>", 1)
