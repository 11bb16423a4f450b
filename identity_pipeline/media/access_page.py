"""The page that a person gets of what is known of them.

What belongs here: how it looks. What does not: what it says (`stages.privacy.access_report`). No
script, no request; pictures lie beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from identity_pipeline.media.page import environment

DECISIONS: Final[Mapping[str, str]] = {
    "name": "a track or group was said to be you",
    "confirm": "a track or face was said to be you",
    "reject": "a track or face was said not to be you",
    "suggestion_rejected": "a guess of the machine was turned down",
    "rename": "your name was changed",
    "merge": "two entries were said to be one person",
    "split": "an entry was parted into two people",
    "move": "tracks were given to another entry",
    "hide": "you were left out of lists",
    "unhide": "you were listed again",
    "set_cover": "a picture was chosen to stand for you",
    "consent": "an answer to the question for consent was noted",
    "undo": "a decision was taken back",
    "renumber": "tracks of yours got other numbers",
}
"""Kinds of decisions in words; of the others the kind itself is shown."""


def render_access_page(told: Mapping[str, Any], most: int) -> str:
    """The page as HTML text: the same for the same report.

    Args:
        told: as `report.json` has it.
        most: pictures of each ride that are shown; the others are linked as a folder.
    """
    template = environment().get_template("access.html.j2")
    return template.render(told=told, most=most, decisions=DECISIONS)
