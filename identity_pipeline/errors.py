"""The one base of all errors that the product words for a person.

A new error class belongs in the room that raises it and derives from this one; whoever shows
errors (the command line, a step, a sensor) catches this one and nothing by name.
"""

from __future__ import annotations

import unicodedata

HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Categories of characters that steer a terminal, turn a line round, or cannot be written out."""


def printable(text: str) -> str:
    r"""A name as one line that shows what it is: `\n`, `\u202e` in place of what would act.

    Without it a file's name could end a line, reverse it, or colour the rest of the screen, and one
    that is not UTF-8 could not be printed at all.
    """
    return "".join(
        c.encode("unicode_escape").decode() if unicodedata.category(c) in HIDDEN else c
        for c in text
    )


class IdentityPipelineError(Exception):
    """Something went wrong, and the message says what, in one sentence, and what to do next."""
