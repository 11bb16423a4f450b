"""What surrounds the riders of a rendered ride: panorama, station, seats and harness.

Belongs here: pictures that are painted once per ride. Does not belong here: people, time, truth.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.bundled_models.albedo import noise

Picture = NDArray[np.uint8]


def panorama(rng: np.random.Generator, width: int, height: int) -> Picture:
    """Sky, hills and trees, buildings, and the beams of the track; wraps around."""
    down = np.linspace(0, 1, height)[:, None, None]
    hour = rng.uniform(0, 1)
    zenith = np.array([0.40, 0.60, 0.93]) * (1 - 0.25 * hour)
    horizon = np.array([0.85, 0.90, 0.95]) * (1 - hour) + np.array([0.96, 0.82, 0.66]) * hour
    image = np.repeat(zenith * (1 - down) + horizon * down, width, 1).astype(np.float32)
    clouds = noise(rng, height, width, (5, 11, 24), 0.14)
    image += np.clip(clouds, 0, 0.35)[..., None]
    rows = np.arange(height)[:, None]
    for level, tone, rough in ((0.46, (0.30, 0.40, 0.38), 24), (0.56, (0.16, 0.30, 0.12), 40)):
        edge = int(height * level) + noise(rng, 4, width, (9, 30, 90), rough)[0]
        texture = 1 + noise(rng, height, width, (30, 120, 300), 0.33)[..., None]
        image = np.where(
            (rows > edge[None])[..., None], np.array(tone, np.float32) * texture, image
        )
    picture = (np.clip(image, 0, 1) * 255).astype(np.uint8)
    for _ in range(9):
        _building(picture, rng)
    for _ in range(26):
        _beam(picture, rng)
    blurred = cv2.GaussianBlur(picture, (0, 0), 2.2)
    seam = 120
    share = np.linspace(0, 1, seam)[None, :, None]
    blurred[:, -seam:] = (
        blurred[:, -seam:] * (1 - share) + blurred[:, :seam][:, ::-1] * share
    ).astype(np.uint8)
    return np.asarray(blurred, np.uint8)


def _building(picture: Picture, rng: np.random.Generator) -> None:
    height, width = picture.shape[:2]
    x, w, h = int(rng.uniform(0, width)), int(rng.uniform(60, 260)), int(rng.uniform(60, 200))
    top, colour = int(height * 0.6) - h, rng.uniform(70, 215, 3)
    cv2.rectangle(picture, (x, top), (x + w, height), colour.tolist(), -1)
    for wy in range(top + 14, top + h, 34):
        for wx in range(x + 12, x + w - 16, 30):
            cv2.rectangle(picture, (wx, wy), (wx + 14, wy + 18), (colour * 0.45).tolist(), -1)


def _beam(picture: Picture, rng: np.random.Generator) -> None:
    height, width = picture.shape[:2]
    x, slope, thick = int(rng.uniform(0, width)), int(rng.normal(0, 130)), int(rng.uniform(6, 26))
    hue = np.array(
        [(200, 60, 40), (40, 90, 160), (230, 200, 70), (150, 150, 155), (240, 240, 240)]
    )[rng.integers(5)]
    colour = hue * rng.uniform(0.6, 1.0)
    for part, tone in ((1.0, 0.6), (0.6, 1.0), (0.2, 1.15)):
        shade = np.clip(colour * tone, 0, 255).tolist()
        cv2.line(
            picture, (x, 0), (x + slope, height), shade, max(1, int(thick * part)), cv2.LINE_AA
        )


def station(rng: np.random.Generator, width: int, height: int) -> Picture:
    """The platform: wall panels, a roof with lamps, a floor, a railing."""
    down = np.linspace(0, 1, height)[:, None, None]
    wall = rng.uniform(0.35, 0.65) * np.array([1.0, 0.96, 0.9])
    image = np.repeat(wall * (0.75 + 0.4 * down), width, 1).astype(np.float32)
    image *= 1 + noise(rng, height, width, (20, 90), 0.05)[..., None]
    picture = (np.clip(image, 0, 1) * 255).astype(np.uint8)
    panel = rng.uniform(40, 190, 3)
    for x in range(0, width, 210):
        cv2.rectangle(picture, (x + 16, 120), (x + 190, 470), panel.tolist(), -1)
        cv2.rectangle(picture, (x + 16, 120), (x + 190, 470), (panel * 0.6).tolist(), 4)
    cv2.rectangle(picture, (0, 0), (width, 76), (52, 48, 46), -1)
    for x in range(70, width, 280):
        cv2.rectangle(picture, (x, 40), (x + 140, 62), (250, 246, 225), -1)
    cv2.rectangle(picture, (0, 520), (width, height), (96, 92, 90), -1)
    cv2.rectangle(picture, (0, 338), (width, 520), (panel * 0.8).tolist(), -1)
    for x in range(0, width, 160):
        cv2.rectangle(picture, (x, 338), (x + 8, 520), (panel * 0.5).tolist(), -1)
    for y in (340, 480):
        cv2.line(picture, (0, y), (width, y), (205, 180, 60), 9, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 1.8), np.uint8)


def _soft(mask: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.8), np.float32)


def _padded(
    size: int, line: NDArray[np.floating], thick: int, colour: NDArray[np.floating]
) -> NDArray[np.float32]:
    """A padded bar along a line, lighter in its middle: premultiplied RGBA in [0, 1]."""
    out = np.zeros((size, size, 4), np.float32)
    points = [np.round(line).astype(np.int32)]
    for share, tone in ((1.0, 0.45), (0.8, 0.75), (0.5, 1.0), (0.2, 1.18)):
        mask = np.zeros((size, size), np.uint8)
        cv2.polylines(mask, points, False, 255, max(1, int(thick * share)), cv2.LINE_AA)
        cover = _soft(mask / 255)[..., None]
        out[..., :3] = out[..., :3] * (1 - cover) + cover * np.clip(colour * tone, 0, 1).astype(
            np.float32
        )
        out[..., 3:] = out[..., 3:] * (1 - cover) + cover
    return out


def seat_back(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Shell and headrest behind a rider; the head's centre is the picture's centre."""
    colour = np.array(
        [(0.42, 0.08, 0.06), (0.07, 0.14, 0.34), (0.12, 0.12, 0.13), (0.1, 0.28, 0.16)]
    )[rng.integers(4)]
    half = size // 2
    out = np.zeros((size, size, 4), np.float32)
    for grow, tone in ((1.0, 0.55), (0.9, 0.85), (0.78, 1.0)):
        mask = np.zeros((size, size), np.uint8)
        w, top = int(150 * grow), half - int(70 * grow)
        cv2.ellipse(mask, (half, top + 60), (w, 110), 0, 180, 360, 255, -1)
        cv2.rectangle(mask, (half - w, top + 60), (half + w, size), 255, -1)
        cover = _soft(mask / 255)[..., None]
        grain = 1 + noise(rng, size, size, (60, 200), 0.05)[..., None]
        out[..., :3] = out[..., :3] * (1 - cover) + cover * np.clip(
            colour * tone * grain, 0, 1
        ).astype(np.float32)
        out[..., 3:] = out[..., 3:] * (1 - cover) + cover
    return out


def harness(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Shoulder bars and lap bar in front of a rider; the head's centre is the picture's centre."""
    half = size // 2
    colour = np.array([(0.13, 0.13, 0.14), (0.5, 0.42, 0.05), (0.2, 0.2, 0.24)])[rng.integers(3)]
    out = np.zeros((size, size, 4), np.float32)
    bend = np.linspace(0, 1, 24)
    for side in (-1, 1):
        x = half + side * (152 - 58 * np.sin(bend * np.pi * 0.55) - 10 * bend)
        y = half + 70 + 300 * bend
        out = over(_padded(size, np.stack([x, y], 1), 46, colour), out)
    lap = np.stack(
        [
            np.linspace(half - 170, half + 170, 24),
            half + 330 + 12 * np.cos(np.linspace(-1.5, 1.5, 24)),
        ],
        1,
    )
    return over(_padded(size, lap, 58, colour * 0.9), out)


def over(front: NDArray[np.floating], behind: NDArray[np.floating]) -> NDArray[np.float32]:
    """Premultiplied RGBA over premultiplied RGBA."""
    return np.asarray(front + behind * (1 - front[..., 3:]), np.float32)


def paste(frame: NDArray[np.float32], layer: NDArray[np.floating], x: int, y: int) -> None:
    """Put premultiplied RGBA on a frame (float RGB in [0, 1]), cut at its edges."""
    height, width = frame.shape[:2]
    x0, y0 = max(0, x), max(0, y)
    x1, y1 = min(width, x + layer.shape[1]), min(height, y + layer.shape[0])
    if x1 <= x0 or y1 <= y0:
        return
    part = layer[y0 - y : y1 - y, x0 - x : x1 - x]
    region = frame[y0:y1, x0:x1]
    region *= 1 - part[..., 3:]
    region += part[..., :3]
