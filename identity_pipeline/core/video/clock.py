"""Times of a video as people read them."""

from __future__ import annotations


def clock(ms: float, decimals: int = 0) -> str:
    """A time in the video as `m:ss`, or `m:ss.d` with decimals."""
    tenths = round(ms / 1000 * 10**decimals)
    minutes, rest = divmod(tenths, 60 * 10**decimals)
    seconds = f"{rest / 10**decimals:.{decimals}f}"
    return f"{minutes}:{seconds.rjust(2 + (decimals + 1 if decimals else 0), '0')}"
