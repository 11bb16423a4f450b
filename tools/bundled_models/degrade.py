"""What comes between a rendered crop and a training picture: background, occluders, the camera.

Belongs here: procedural pictures and damage, as functions of a random generator. Pictures are RGB
uint8. Does not belong here: geometry of faces or targets.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.bundled_models import scenery

Picture = NDArray[np.uint8]


def any_colour(rng: np.random.Generator) -> NDArray[np.float64]:
    """Grey, skin-like or anything, 0 to 255."""
    kind = rng.random()
    if kind < 0.25:
        return np.ones(3) * rng.uniform(0, 255)
    if kind < 0.5:
        return skin_colour(rng)
    return rng.uniform(0, 255, 3)


def skin_colour(rng: np.random.Generator) -> NDArray[np.float64]:
    return np.clip(
        np.array([0.85, 0.62, 0.5]) * rng.uniform(0.15, 1.1) * 255 * rng.normal(1, 0.08, 3), 0, 255
    )


def _hand(
    image: NDArray[Any], rng: np.random.Generator, x: float, y: float, radius: float, colour: Any
) -> None:
    """A palm with four fingers."""
    heading = rng.uniform(0, 2 * np.pi)
    cv2.circle(image, (int(x), int(y)), max(1, int(radius)), colour, -1, cv2.LINE_AA)
    spread = rng.uniform(0.16, 0.36)
    for finger in range(4):
        angle = heading + (finger - 1.5) * spread
        length = radius * rng.uniform(1.9, 2.6)
        tip = (int(x + np.cos(angle) * length), int(y + np.sin(angle) * length))
        cv2.line(image, (int(x), int(y)), tip, colour, max(1, int(radius * 0.5)), cv2.LINE_AA)


def _clutter(image: Picture, rng: np.random.Generator) -> None:
    """One random thing: an ellipse, a box, a beam, a polygon, foliage, a fence, a hand, dots like eyes."""
    height, width = image.shape[:2]
    colour = any_colour(rng)
    tone: Any = colour.tolist()
    x, y = int(rng.uniform(-0.1, 1.1) * width), int(rng.uniform(-0.1, 1.1) * height)
    size = int(np.exp(rng.uniform(np.log(3), np.log(width * 0.5))))
    kind, line = rng.integers(0, 8), -1 if rng.random() < 0.7 else int(rng.integers(1, 6))
    if kind == 0:
        cv2.ellipse(
            image,
            (x, y),
            (size, int(size * rng.uniform(0.4, 1.6))),
            rng.uniform(0, 180),
            0,
            360,
            tone,
            line,
        )
    elif kind == 1:
        cv2.rectangle(image, (x, y), (x + size, y + int(size * rng.uniform(0.2, 2))), tone, line)
    elif kind == 2:
        end = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        cv2.line(image, (x, y), end, tone, int(rng.integers(1, 14)), cv2.LINE_AA)
    elif kind == 3:
        corners = np.array([x, y]) + rng.normal(0, size * 0.6, (rng.integers(3, 8), 2))
        cv2.fillPoly(image, [corners.astype(np.int32)], tone, cv2.LINE_AA)
    elif kind == 4:
        for _ in range(rng.integers(3, 9)):
            place = (x + int(rng.normal(0, size)), y + int(rng.normal(0, size)))
            shade = np.clip(colour * rng.uniform(0.6, 1.3), 0, 255).tolist()
            cv2.circle(image, place, max(1, int(size * 0.3)), shade, -1)
    elif kind == 5:
        gap = max(2, size // 6)
        for k in range(rng.integers(3, 14)):
            cv2.line(
                image,
                (x + k * gap, y),
                (x + k * gap + int(size * 0.3), y + size),
                tone,
                max(1, gap // 3),
            )
    elif kind == 6:
        _hand(image, rng, x, y, max(2, size * 0.3), skin_colour(rng).tolist())
    else:  # an oval with dark spots, laid out unlike a face
        cv2.ellipse(
            image,
            (x, y),
            (size, int(size * 1.3)),
            rng.uniform(0, 180),
            0,
            360,
            skin_colour(rng).tolist(),
            -1,
        )
        for _ in range(rng.integers(1, 6)):
            spot = (x + int(rng.normal(0, size * 0.5)), y + int(rng.normal(0, size * 0.5)))
            cv2.circle(image, spot, max(1, size // 8), any_colour(rng).tolist(), -1)


def background(rng: np.random.Generator, height: int, width: int) -> Picture:
    """A picture without a face: gradients, noise, clutter, or a piece of ride scenery."""
    if rng.random() < 0.12:
        make = scenery.panorama if rng.random() < 0.7 else scenery.station
        wide = make(rng, max(width, 640), max(height, 720))
        return np.ascontiguousarray(cv2.resize(wide, (width, height), interpolation=cv2.INTER_AREA))
    start, end, angle = any_colour(rng), any_colour(rng), rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[0:height, 0:width]
    ramp = np.cos(angle) * x / width + np.sin(angle) * y / height
    ramp = ((ramp - ramp.min()) / (np.ptp(ramp) + 1e-6))[..., None]
    image = (start * (1 - ramp) + end * ramp).astype(np.float32)
    busy = rng.random()
    if busy > 0.15:
        for cells in (3, 8, 24, 80)[: rng.integers(1, 5)]:
            grid = rng.standard_normal(
                (cells + 1, cells + 1, 3 if rng.random() < 0.5 else 1)
            ).astype(np.float32)
            smooth = cv2.INTER_CUBIC if rng.random() < 0.7 else cv2.INTER_NEAREST
            layer = cv2.resize(grid, (width, height), interpolation=smooth)
            image += (layer if layer.ndim == 3 else layer[..., None]) * rng.uniform(5, 45)
    picture = np.clip(image, 0, 255).astype(np.uint8)
    if busy > 0.3:
        for _ in range(rng.integers(2, 40)):
            _clutter(picture, rng)
    if rng.random() < 0.5:
        picture = cv2.GaussianBlur(picture, (0, 0), np.exp(rng.uniform(-1, 1.6)))
    return np.asarray(picture, np.uint8)


class Backgrounds:
    """A fixed number of backgrounds, cut, scaled and mirrored at random."""

    def __init__(self, count: int, size: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.size = size
        self.pictures = [background(rng, size, size) for _ in range(count)]

    def get(self, rng: np.random.Generator, height: int, width: int) -> Picture:
        picture = self.pictures[rng.integers(len(self.pictures))]
        if max(height, width) <= self.size and rng.random() < 0.6:
            y, x = rng.integers(0, self.size - height + 1), rng.integers(0, self.size - width + 1)
            picture = picture[y : y + height, x : x + width]
        else:
            picture = np.asarray(cv2.resize(picture, (width, height)), np.uint8)
        picture = picture[:, ::-1] if rng.random() < 0.5 else picture
        return np.array(picture[::-1] if rng.random() < 0.25 else picture)


def composite(front: NDArray[np.uint8], behind: Picture) -> Picture:
    """Premultiplied RGBA over RGB."""
    clear = (255 - front[..., 3:]).astype(np.uint16)
    return np.minimum(front[..., :3] + (behind * clear + 127) // 255, 255).astype(np.uint8)


def occlude(
    image: Picture, rng: np.random.Generator, box: NDArray[np.floating], probability: float
) -> tuple[Picture, NDArray[np.uint8] | None]:
    """Perhaps put something in front of a face; returns the picture and the mask of what it hides."""
    if rng.random() > probability:
        return image, None
    x0, y0, x1, y1 = box
    w, h = x1 - x0, y1 - y0
    x, y = x0 + w * rng.uniform(-0.15, 1.15), y0 + h * rng.uniform(-0.05, 1.15)
    mask, colour = np.zeros(image.shape[:2], np.uint8), any_colour(rng)
    kind = rng.integers(0, 6)
    if kind <= 1:
        colour = skin_colour(rng)
        _hand(mask, rng, x, y, w * rng.uniform(0.14, 0.27), 255)
    elif kind == 2:
        along = rng.uniform(0, np.pi)
        d = np.array([np.cos(along), np.sin(along)]) * w * 2
        ends = (int(x - d[0]), int(y - d[1])), (int(x + d[0]), int(y + d[1]))
        cv2.line(mask, *ends, 255, max(1, int(w * rng.uniform(0.05, 0.35))), cv2.LINE_AA)
    elif kind == 3:  # cloth, a scarf, the back of a seat, from below or from the side
        if rng.random() < 0.6:
            corner = (int(x0 - w * 0.3), int(y0 + h * rng.uniform(0.5, 1.0)))
        else:
            corner = (int(x0 + w * rng.uniform(0.3, 1.0)), int(y0 - h * 0.5))
        cv2.rectangle(mask, corner, (int(x1 + w), int(y1 + h)), 255, -1)
    elif kind == 4:
        axes = (int(w * rng.uniform(0.1, 0.4)), int(w * rng.uniform(0.1, 0.4)))
        cv2.ellipse(mask, (int(x), int(y)), axes, rng.uniform(0, 180), 0, 360, 255, -1, cv2.LINE_AA)
    else:
        corners = np.array([x, y]) + rng.normal(0, w * 0.28, (5, 2))
        cv2.fillPoly(mask, [corners.astype(np.int32)], 255, cv2.LINE_AA)
    slope = np.linspace(rng.uniform(0.6, 1.2), rng.uniform(0.6, 1.2), image.shape[1])[None, :, None]
    cover = mask[..., None].astype(np.float32) / 255
    out = image * (1 - cover) + cover * np.clip(colour * slope, 0, 255).astype(np.float32)
    return out.astype(np.uint8), mask


def camera(image: Picture, rng: np.random.Generator, strength: float = 1.0) -> Picture:
    """Loss of resolution, blur, exposure, colour, noise and compression."""
    height, width = image.shape[:2]
    if rng.random() < 0.4 * strength:
        factor = np.exp(rng.uniform(np.log(0.2), 0))
        small = (max(8, int(width * factor)), max(8, int(height * factor)))
        back = cv2.INTER_LINEAR if rng.random() < 0.7 else cv2.INTER_CUBIC
        image = np.asarray(
            cv2.resize(
                cv2.resize(image, small, interpolation=cv2.INTER_AREA),
                (width, height),
                interpolation=back,
            ),
            np.uint8,
        )
    kind = rng.random()
    if kind < 0.15 * strength:
        image = _motion_blur(image, rng)
    elif kind < 0.35 * strength:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, width / 70)), np.uint8)
    table = np.arange(256, dtype=np.float32)[:, None]
    exposure = np.exp(rng.normal(0, 0.32)) * np.exp(rng.normal(0, 0.07, 3))
    table = table * exposure.astype(np.float32) + rng.normal(0, 10)
    if rng.random() < 0.5:
        table = 255 * np.clip(table / 255, 0, 1) ** np.exp(rng.normal(0, 0.3))
    levels = np.clip(table, 0, 255).astype(np.uint8)
    image = np.asarray(cv2.LUT(image, levels[:, None]), np.uint8)
    if rng.random() < 0.4:
        grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        keep = 0.0 if rng.random() < 0.3 else rng.uniform(0.3, 1.4)
        image = np.asarray(cv2.addWeighted(image, keep, grey, 1 - keep, 0), np.uint8)
    if rng.random() < 0.5:
        noise: Any = np.empty((height, width, 3), np.int16)
        cv2.setRNGSeed(int(rng.integers(1 << 30)))
        cv2.randn(noise, np.zeros(3), np.full(3, np.exp(rng.uniform(0, 2.8))))
        image = np.asarray(cv2.add(image, noise, dtype=cv2.CV_8U), np.uint8)
    if rng.random() < 0.5:
        code = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 95))])[1]
        image = np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), np.uint8)
    return image


def _motion_blur(image: Picture, rng: np.random.Generator) -> Picture:
    reach = int(rng.integers(2, max(4, min(image.shape[1] // 14, 16))))
    angle = rng.uniform(0, np.pi)
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    dx, dy = reach * np.cos(angle), reach * np.sin(angle)
    cv2.line(kernel, (int(reach - dx), int(reach - dy)), (int(reach + dx), int(reach + dy)), 1.0, 1)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8)
