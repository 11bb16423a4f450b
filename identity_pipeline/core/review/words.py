"""Scores in words, as curators read them; the number stands beside."""

from __future__ import annotations

from identity_pipeline.core.review.questions import Bars


def likeness_in_words(score: float | None, bars: Bars | None) -> str:
    """How alike two faces, tracks or people are.

    Args:
        score: cosine; null where nothing was compared.
        bars: cosines from which the library acts; null where none is known.
    """
    if score is None:
        return "not compared"
    if bars is None:
        return "compared"
    steps = ((bars.assign, "very alike"), (bars.suggest, "alike"), (bars.exclude, "a little alike"))
    return next((word for least, word in steps if score >= least), "not alike")
