"""Times of a video as people read them."""

from __future__ import annotations

from math import isfinite, nan


def clock(ms: float, decimals: int = 0) -> str:
    """A time in the video as `m:ss`, or `m:ss.d` with decimals."""
    tenths = round(ms / 1000 * 10**decimals)
    minutes, rest = divmod(tenths, 60 * 10**decimals)
    seconds = f"{rest / 10**decimals:.{decimals}f}"
    return f"{minutes}:{seconds.rjust(2 + (decimals + 1 if decimals else 0), '0')}"


def seconds_of(text: str) -> float:
    """Seconds of a time as people write it: `58.5`, or as `clock` shows it, `0:58` or `0:58.5`.

    Raises:
        ValueError: it is no time of a video; the message says what is one.
    """
    minutes, colon, seconds = text.strip().rpartition(":")
    try:
        told = float(seconds)
        whole = 60 * int(minutes) + told if colon else told
    except ValueError:
        whole, told = nan, nan
    if not isfinite(whole) or told < 0 or whole < 0 or (colon and told >= 60):
        raise ValueError(f"{text!r} is no time of a video: say 58.5 or 0:58")
    return whole
