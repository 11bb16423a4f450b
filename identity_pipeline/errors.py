"""The one base of all errors that the product words for a person.

A new error class belongs in the room that raises it and derives from this one; whoever shows
errors (the command line, a step, a sensor) catches this one and nothing by name.
"""

from __future__ import annotations


class IdentityPipelineError(Exception):
    """Something went wrong, and the message says what, in one sentence, and what to do next."""
