"""Plots of a training: its loss by epoch, and how far people are apart before and after."""

from __future__ import annotations

from collections.abc import Sequence

from identity_pipeline.core.heads.judgement import Separation
from identity_pipeline.media.evaluation_plots import BAD, GOOD, LINES, grid, polyline
from identity_pipeline.media.svg import num, svg, tag, text, tip

WIDTH, HEIGHT = 660.0, 250.0


def loss_svg(losses: Sequence[float], planned: int) -> str:
    """The loss of each epoch; epochs that were not done stay empty."""
    area = left, top, right, bottom = 56.0, 16.0, WIDTH - 16, HEIGHT - 44
    most = max([*losses, 1e-9])

    def x(epoch: float) -> float:
        return left + (right - left) * (epoch - 1) / max(1, planned - 1)

    def y(loss: float) -> float:
        return bottom - (bottom - top) * loss / most

    step = max(1, planned // 10)
    ticks = [(x(n), str(n)) for n in range(1, planned + 1, step)]
    levels = [(y(most * part / 4), f"{most * part / 4:.3g}") for part in range(5)]
    points = [(x(n), y(loss)) for n, loss in enumerate(losses, 1)]
    dots = [
        tag("circle", tip(f"epoch {n}: {loss:.4f}"), cx=px, cy=py, r=3, fill=LINES[0])
        for n, (loss, (px, py)) in enumerate(zip(losses, points, strict=True), 1)
    ]
    label = text((left + right) / 2, HEIGHT - 6, "epoch", "mid small")
    parts = [*grid(ticks, levels, area), polyline(points, LINES[0]), *dots, label]
    return svg(WIDTH, HEIGHT, "Loss by epoch", parts)


def separation_svg(before: Separation, after: Separation) -> str:
    """Held-out pairs by cosine, each kind as a share of its own, before above after."""
    parts: list[str] = []
    for row, (name, separation) in enumerate((("before", before), ("after", after))):
        top = 18 + row * 120.0
        parts += _histogram(name, separation, top, top + 84)
    for place, (colour, name) in enumerate(((GOOD, "one person"), (BAD, "two people"))):
        parts.append(tag("rect", x=60 + place * 150, y=252, width=12, height=10, fill=colour))
        parts.append(text(78 + place * 150, 261, f"pairs of {name}", "small"))
    return svg(WIDTH, 270, "Held-out pairs by cosine, before and after", parts)


def _histogram(name: str, separation: Separation, top: float, bottom: float) -> list[str]:
    left, right = 56.0, WIDTH - 16
    bins = len(separation.genuine)
    width = (right - left) / bins
    shares = [
        [count / max(1, sum(counts)) for count in counts]
        for counts in (separation.genuine, separation.impostor)
    ]
    most = max(max(own) for own in shares) or 1.0
    ticks = [(left + (right - left) * n / 4, f"{-1 + n / 2:g}") for n in range(5)]
    parts = [
        *grid(ticks, [], (left, top, right, bottom)),
        text(left - 8, top + 8, name, "end small"),
    ]
    for own, colour in zip(shares, (GOOD, BAD), strict=True):
        for n, share in enumerate(own):
            if share:
                height = (bottom - top) * share / most
                where = {"x": left + n * width, "y": bottom - height}
                words = tip(f"{-1 + 2 * n / bins:.2f} and more: {share:.1%}")
                parts.append(
                    tag("rect", words, **where, width=num(width - 1), height=num(height),
                        fill=colour, fill_opacity=0.6)
                )  # fmt: skip
    return parts
