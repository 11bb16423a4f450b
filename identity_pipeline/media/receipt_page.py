"""The page of a receipt: one HTML file that needs nothing but itself, with light and dark.

What belongs here: what a receipt says in words a person can read. What does not: what it says
(`stages.privacy.receipts`). No script, no request, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from identity_pipeline.media.page import environment

TARGETS: Final = {"person": "A person", "video": "A video", "track": "A track"}
KINDS: Final = {
    "vector": "vectors (embeddings, templates, landmarks)",
    "crop JPEG": "stored crops (JPEG)",
    "aligned pixels": "aligned faces (pixels)",
    "file": "deleted files",
    "name": "names",
    "list of files": "faces named in tables and lists",
}
SIZES: Final = ("bytes", "kB", "MB", "GB", "TB")


def render_receipt_page(receipt: Mapping[str, Any], public_key: str, digest: str) -> str:
    """The page as HTML text: the same for the same receipt.

    Args:
        receipt: all that it says.
        public_key: of the site, in base64.
        digest: SHA-256 of the receipt's canonical bytes, as hex.
    """
    template = environment().get_template("receipt.html.j2")
    return template.render(
        receipt=receipt,
        public_key=public_key,
        digest=digest,
        target=TARGETS[receipt["target"]],
        kinds=KINDS,
        size=size_words,
    )


def size_words(count: int | None) -> str:
    """Bytes as a person reads them: `16.4 MB`."""
    if count is None:
        return "not counted"
    value, power = float(count), 0
    while value >= 1000 and power < len(SIZES) - 1:
        value, power = value / 1000, power + 1
    return f"{count:,} bytes".replace(",", " ") if not power else f"{value:.1f} {SIZES[power]}"
