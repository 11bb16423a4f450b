"""What is known of a camera as SVG: its seats in the picture, its pose zero, what riders reach.

What belongs here: drawing the tables of a camera's model. What does not: what is watched of it
video by video (`watch_figure`), and the page around. Behind the seats is the plain outline of the
picture: no frame of a ride is shown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import polars as pl

from identity_pipeline.core.camera.reach import POSE
from identity_pipeline.core.camera.seats import ELSEWHERE, SEAT
from identity_pipeline.core.faces.buckets import PITCH_NAMES, axis_bins
from identity_pipeline.media.svg import (
    OTHER_COLOUR,
    PERSON_COLOURS,
    SET_COLOURS,
    num,
    svg,
    tag,
    text,
    tip,
)
from identity_pipeline.media.wording import counted
from identity_pipeline.settings import BucketSettings

SPREADS: Final = 2.0
"""Half axes of a place's ellipse in standard deviations: of normal places 86 % lie within."""
WIDTH: Final = 640.0
ROW_COLOURS: Final = (SET_COLOURS["anchor"], SET_COLOURS["coverage"], SET_COLOURS["pair"])
KIND_WORDS: Final = {
    "boarding": "seen at boarding alone: staff, the queue",
    "passing": "seen for a while: passers-by",
}
REASON_WORDS: Final = {
    "too_few_videos": "too few videos in which riders say where they look",
    "riders_disagree": "riders agree too little: the interval is too wide",
    "camera_moves": "the camera seems to move from video to video",
}
"""Why no pose zero holds, by `core.camera.pose_zero`."""
DIAL: Final = 45.0
"""Degrees to either side that a dial shows."""
LABEL_W, LABEL_H = 96.0, 30.0
"""Room of a label, px."""
_RADIUS, _DIAL_W, _DIAL_H = 118.0, 310.0, 205.0
_CELL_W, _CELL_H, _LEFT, _TOP = 84.0, 54.0, 92.0, 30.0


def share_words(value: float) -> str:
    """A share in per cent, with a decimal where it is small."""
    return f"{value:.1%}" if 0 < value < 0.095 else f"{value:.0%}"


def filled_words(row: Mapping[str, Any]) -> str:
    """How often somebody was at a place, with its interval.

    Args:
        row: of `camera_seats`.
    """
    share = row["videos"] / row["of_videos"]
    return f"{share:.0%} ({row['filled_low']:.0%}\N{EN DASH}{row['filled_high']:.0%})"


def seats_svg(seats: pl.DataFrame, aspect: float) -> str:
    """Where people are seen: each place as an ellipse in the outline of the picture.

    Each part is a group with `data-place` and `data-kind`; staff's places are hatched.

    Args:
        seats: table `camera_seats`.
        aspect: width of the picture over its height.
    """
    scale = WIDTH / aspect
    known = seats.filter(pl.col("kind") != ELSEWHERE)
    parts = [_HATCH, tag("rect", x=0.5, y=0.5, width=WIDTH - 1, height=scale - 1, rx=6.0,
                         class_="line")]  # fmt: skip
    parts += [_place(row, scale) for row in known.iter_rows(named=True)]
    taken: list[tuple[float, float]] = []
    for row in known.unique("place", maintain_order=True, keep="first").iter_rows(named=True):
        parts.append(_label(row, scale, taken))
    seat_count = known.filter(kind=SEAT)["place"].n_unique()
    label = f"Where people are seen: {counted(seat_count, 'seat')}"
    return svg(WIDTH, scale, label, parts)


_HATCH: Final = tag(
    "pattern",
    tag("path", d="M0 0V7", stroke=OTHER_COLOUR, stroke_width=2),
    id="hatch",
    width=7.0,
    height=7.0,
    patternUnits="userSpaceOnUse",
    patternTransform="rotate(45)",
)


def _colour(row: Mapping[str, Any]) -> str:
    return OTHER_COLOUR if row["row"] is None else ROW_COLOURS[row["row"] % len(ROW_COLOURS)]


def _place(row: Mapping[str, Any], scale: float) -> str:
    """A part of a place: its ellipse, and the usual size of a face there."""
    xx, xy, _, yy, *_ = row["spread"]
    values, vectors = np.linalg.eigh(np.array([[xx, xy], [xy, yy]]))
    half = SPREADS * np.sqrt(np.maximum(values, 0.0)) * scale
    turn = math.degrees(math.atan2(vectors[1, 1], vectors[0, 1]))
    x, y, face = row["x"] * scale, row["y"] * scale, math.exp(row["log_size"]) * scale
    seat = row["kind"] == SEAT
    colour = _colour(row)
    ellipse = tag(
        "ellipse",
        rx=float(half[1]),
        ry=float(half[0]),
        transform=f"translate({num(x)} {num(y)}) rotate({num(turn)})",
        fill=colour if seat else "url(#hatch)",
        fill_opacity=0.22 if seat else None,
        stroke=colour,
        stroke_width=1.6,
    )
    box = {"x": x - face / 2, "y": y - face / 2, "width": face, "height": face, "rx": face / 5}
    dashes = {"stroke_dasharray": "3 4", "stroke_opacity": 0.7}
    square = tag("rect", fill="none", stroke=colour, **box, **dashes)
    words = place_words(row)
    return tag("g", tip(words) + ellipse + square, data_place=str(row["place"]),
               data_kind=row["kind"])  # fmt: skip


def place_words(row: Mapping[str, Any]) -> str:
    """What a place is: a seat with its row and depth, or who is there.

    Args:
        row: of `camera_seats`.
    """
    if row["kind"] != SEAT:
        return KIND_WORDS[row["kind"]]
    row_words = "front row" if row["row"] == 0 else f"row {row['row'] + 1}"
    depth = f"{row['depth']:.2f} times as far away as the nearest"
    return f"seat {row['place']}, {row_words}, {depth if row['depth'] > 1 else 'the nearest'}"


def _label(row: Mapping[str, Any], scale: float, taken: list[tuple[float, float]]) -> str:
    """The words of a place: in a seat's ellipse, below another's, lower where others stand there.

    Args:
        row: of `camera_seats`.
        scale: height of the picture, px.
        taken: middles of the labels so far; this one is added.
    """
    high = SPREADS * math.sqrt(row["spread"][3]) * scale
    x = min(max(row["x"] * scale, LABEL_W / 2), WIDTH - LABEL_W / 2)
    y = row["y"] * scale if row["kind"] == SEAT else row["y"] * scale + high + 16
    while any(abs(x - a) < LABEL_W and abs(y - b) < LABEL_H for a, b in taken):
        y += LABEL_H / 4
    if y > scale - 20:  # no room below: above all that stands there
        y = min([b for a, b in taken if abs(x - a) < LABEL_W], default=scale) - LABEL_H
    taken.append((x, y))
    name = row["kind"] if row["kind"] != SEAT else f"seat {row['place']}"
    filled = f"{row['videos'] / row['of_videos']:.0%}"
    low, high_end = (f"{100 * row[f'filled_{end}']:.0f}" for end in ("low", "high"))
    words = f"{filled} ({low}\N{EN DASH}{high_end})"
    return text(x, y, name, "mid strong") + text(x, y + 14, words, "mid small strong")


def zero_words(row: Mapping[str, Any], axis: str) -> str:
    """The pose zero of an axis with its interval, or why none holds.

    Args:
        row: of `camera_pose_zero`.
        axis: `yaw` or `pitch`.
    """
    value, low, high = row[axis], row[f"{axis}_low"], row[f"{axis}_high"]
    if value is not None:
        return f"{_angle(value)} ({_angle(low)} to {_angle(high)})"
    reason = row[f"{axis}_reason"]
    return f"not known: {REASON_WORDS.get(reason, reason)}"


def _angle(value: float) -> str:
    return f"{value:+.1f}°".replace("-", "\N{MINUS SIGN}")


def zero_svg(row: Mapping[str, Any]) -> str:
    """The yaw and pitch at which riders look straight ahead, as two dials with their intervals.

    Up is straight into the camera. Yaw is seen from above; pitch from the side, up to the right.

    Args:
        row: the row of `camera_pose_zero` of the whole camera.
    """
    parts = [tag("g", "".join(_dial(row, axis, 20 + at * (_DIAL_W + 20))), data_axis=axis)
             for at, axis in enumerate(("yaw", "pitch"))]  # fmt: skip
    source = f"{counted(row['riders'], 'rider')} in {counted(row['videos'], 'video')}"
    parts.append(text(20, _DIAL_H - 4, f"of {source}, 95 % intervals by video", "small"))
    return svg(2 * _DIAL_W + 60, _DIAL_H + 4, f"Pose zero, of {source}", parts)


def _dial(row: Mapping[str, Any], axis: str, left: float) -> list[str]:
    middle, ground = left + _DIAL_W / 2, _DIAL_H - 22

    def at(angle: float, radius: float) -> str:
        turn = math.radians(max(-DIAL, min(DIAL, angle)))
        return f"{num(middle + radius * math.sin(turn))} {num(ground - radius * math.cos(turn))}"

    rim = f"M{at(-DIAL, _RADIUS)}A{num(_RADIUS)} {num(_RADIUS)} 0 0 1 {at(DIAL, _RADIUS)}"
    known = row[axis] is not None
    parts = [text(left, 15, f"{axis} {zero_words(row, axis)}", "strong" if known else None),
             tag("path", d=rim, class_="line")]  # fmt: skip
    for tick in range(-45, 46, 15):
        parts.append(tag("path", d=f"M{at(tick, _RADIUS - 5)}L{at(tick, _RADIUS + 2)}",
                         class_="line"))  # fmt: skip
        x, y = map(float, at(tick, _RADIUS + 16).split())
        parts.append(text(x, y + 4, f"{tick:+d}°".replace("-", "\N{MINUS SIGN}") if tick else "0°",
                          "mid small"))  # fmt: skip
    low, high = row[f"{axis}_low"], row[f"{axis}_high"]
    colour = SET_COLOURS["anchor"] if known else OTHER_COLOUR
    if low is not None:
        wedge = (f"M{num(middle)} {num(ground)}L{at(low, _RADIUS)}A{num(_RADIUS)} {num(_RADIUS)} "
                 f"0 0 1 {at(high, _RADIUS)}Z")  # fmt: skip
        parts.append(tag("path", d=wedge, fill=colour, fill_opacity=0.3))
    if known:
        hand = f"M{num(middle)} {num(ground)}L{at(row[axis], _RADIUS)}"
        parts.append(tag("path", d=hand, stroke=colour, stroke_width=2.5))
    parts.append(tag("circle", cx=middle, cy=ground, r=4.0, fill=PERSON_COLOURS[0]))
    return parts


def reach_svg(reach: pl.DataFrame, settings: BucketSettings) -> str:
    """How many riders of the camera ever reach each pose.

    Yaw runs from left to right as the nose points in the image, pitch from up to down. Each cell is
    a group with `data-cell` and `data-riders`.

    Args:
        reach: table `camera_reach`.
        settings: edges of the bins.
    """
    yaws = axis_bins(settings.yaw_edges)
    pitches = axis_bins(settings.pitch_edges, PITCH_NAMES)[::-1]
    rows = {r["cell"]: r for r in reach.filter(pl.col("axis") == POSE).iter_rows(named=True)}
    parts = [text(_LEFT - 10, 18, "yaw", "end small")]
    for column, yaw in enumerate(yaws):
        parts.append(text(_LEFT + (column + 0.5) * _CELL_W, 18, yaw.label, "mid small"))
    for line, pitch in enumerate(pitches):
        top = _TOP + line * _CELL_H
        parts.append(text(_LEFT - 10, top + _CELL_H / 2 + 4, pitch.label, "end small"))
        for column, yaw in enumerate(yaws):
            row = rows.get(f"yaw{yaw.key}_pitch{pitch.key}")
            if row is not None:
                parts.append(_reached(_LEFT + column * _CELL_W, top, row))
    riders = reach["of_riders"].max() or 0
    height = _TOP + len(pitches) * _CELL_H + 4
    label = f"Poses that riders reach here, of {counted(int(str(riders)), 'rider')}"
    return svg(_LEFT + len(yaws) * _CELL_W + 4, height, label, parts)


def _reached(x: float, y: float, row: Mapping[str, Any]) -> str:
    """A pose: the share of the riders that reach it, with its interval."""
    share = row["riders"] / row["of_riders"] if row["of_riders"] else 0.0
    middle, box = x + _CELL_W / 2 - 2, {"x": x, "y": y, "width": _CELL_W - 4, "height": _CELL_H - 4}
    if row["riders"]:
        frame = tag("rect", rx=6.0, fill=SET_COLOURS["anchor"],
                    fill_opacity=0.06 + 0.4 * share, **box)  # fmt: skip
        words = share_words(share)
        below = f"{share_words(row['low'])}\N{EN DASH}{share_words(row['high'])}"
    else:
        frame = tag(
            "rect", rx=6.0, class_="line", stroke_dasharray="3 3", stroke_opacity=0.7, **box
        )
        words = "nobody" if row["of_riders"] else "no rider"
        below = f"at most {share_words(row['high'])}" if row["high"] is not None else ""
    says = f"{row['cell']}: {row['riders']} of {row['of_riders']} riders"
    body = tip(says) + frame + text(middle, y + 22, words, "mid strong")
    body += text(middle, y + 38, below, "mid small strong")
    return tag("g", body, data_cell=row["cell"], data_riders=str(row["riders"]))
