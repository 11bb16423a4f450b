"""The rasteriser: triangles to pixels, and the shading of each pixel, on the CPU with Numba.

Belongs here: geometry of triangles and light on a surface. Does not belong here: what is drawn.
Images are y-down, depth grows toward the viewer.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@njit(fastmath=True, cache=True)
def _fill(points: Any, triangles: Any, two_sided: Any, depth: Any, owner: Any, bary: Any) -> None:
    height, width = depth.shape
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        x0, y0 = points[a, 0], points[a, 1]
        x1, y1 = points[b, 0], points[b, 1]
        x2, y2 = points[c, 0], points[c, 1]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if area == 0 or (area > 0 and not two_sided[t]):
            continue
        left = max(0, int(math.ceil(min(x0, min(x1, x2)) - 0.5)))
        right = min(width - 1, int(math.floor(max(x0, max(x1, x2)) - 0.5)))
        if left > right:
            continue
        top = max(0, int(math.ceil(min(y0, min(y1, y2)) - 0.5)))
        bottom = min(height - 1, int(math.floor(max(y0, max(y1, y2)) - 0.5)))
        if top > bottom:
            continue
        inverse = 1.0 / area
        for y in range(top, bottom + 1):
            py = y + 0.5
            for x in range(left, right + 1):
                px = x + 0.5
                w0 = ((x1 - px) * (y2 - py) - (x2 - px) * (y1 - py)) * inverse
                w1 = ((x2 - px) * (y0 - py) - (x0 - px) * (y2 - py)) * inverse
                w2 = 1 - w0 - w1
                if w0 >= -1e-5 and w1 >= -1e-5 and w2 >= -1e-5:
                    z = w0 * points[a, 2] + w1 * points[b, 2] + w2 * points[c, 2]
                    if z > depth[y, x]:
                        depth[y, x] = z
                        owner[y, x] = t
                        bary[y, x, 0] = w0
                        bary[y, x, 1] = w1


def rasterise(
    points: Floats, triangles: NDArray[np.int32], two_sided: NDArray[np.bool_], size: int
) -> tuple[Floats, NDArray[np.int32], Floats]:
    """Depth, owning triangle (-1: none) and barycentric weights per pixel of a square image."""
    depth = np.full((size, size), -1e9, np.float32)
    owner = np.full((size, size), -1, np.int32)
    bary = np.empty((size, size, 2), np.float32)
    _fill(points, triangles, two_sided, depth, owner, bary)
    return depth, owner, bary


def depth_map(points: Floats, triangles: NDArray[np.int32], size: int) -> Floats:
    """Depth of the nearest surface per pixel, whichever side it shows."""
    return rasterise(points, triangles, np.ones(len(triangles), np.bool_), size)[0]


@njit(fastmath=True, cache=True)
def _normals(vertices: Any, triangles: Any, out: Any) -> None:
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ux, uy, uz = (
            vertices[b, 0] - vertices[a, 0],
            vertices[b, 1] - vertices[a, 1],
            vertices[b, 2] - vertices[a, 2],
        )
        wx, wy, wz = (
            vertices[c, 0] - vertices[a, 0],
            vertices[c, 1] - vertices[a, 1],
            vertices[c, 2] - vertices[a, 2],
        )
        nx, ny, nz = uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx
        for k in (a, b, c):
            out[k, 0] += nx
            out[k, 1] += ny
            out[k, 2] += nz
    for i in range(out.shape[0]):
        length = math.sqrt(out[i, 0] ** 2 + out[i, 1] ** 2 + out[i, 2] ** 2) + 1e-9
        out[i, 0] /= length
        out[i, 1] /= length
        out[i, 2] /= length


def vertex_normals(vertices: Floats, triangles: NDArray[np.int32]) -> Floats:
    """Unit normals per vertex, weighted by triangle area."""
    out = np.zeros_like(vertices)
    _normals(vertices, triangles, out)
    return out


def frame_of(direction: NDArray[np.floating]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """An orthonormal frame (direction, side, up) around a direction."""
    forward = direction / np.linalg.norm(direction)
    side = np.cross(forward, [0.1, 0.97, 0.2])
    side /= np.linalg.norm(side)
    return forward, side, np.cross(forward, side)


@njit(fastmath=True, cache=True, inline="always")
def _texel(texture: Any, u: float, v: float) -> tuple[float, float, float]:
    height, width = texture.shape[0], texture.shape[1]
    u = min(width - 1.001, max(0.0, u - 0.5))
    v = min(height - 1.001, max(0.0, v - 0.5))
    i, j = int(u), int(v)
    fu, fv = u - i, v - j
    i1, j1 = min(i + 1, width - 1), min(j + 1, height - 1)
    k00, k01, k10, k11 = (1 - fu) * (1 - fv), fu * (1 - fv), (1 - fu) * fv, fu * fv
    red = (
        k00 * texture[j, i, 0]
        + k01 * texture[j, i1, 0]
        + k10 * texture[j1, i, 0]
        + k11 * texture[j1, i1, 0]
    )
    green = (
        k00 * texture[j, i, 1]
        + k01 * texture[j, i1, 1]
        + k10 * texture[j1, i, 1]
        + k11 * texture[j1, i1, 1]
    )
    blue = (
        k00 * texture[j, i, 2]
        + k01 * texture[j, i1, 2]
        + k10 * texture[j1, i, 2]
        + k11 * texture[j1, i1, 2]
    )
    return red, green, blue


@njit(fastmath=True, cache=True, inline="always")
def _lit_share(shadow: Any, matrix: Any, x: float, y: float, z: float, depth: float) -> float:
    size = shadow.shape[0]
    u = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] * z + matrix[0, 3]
    v = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] * z + matrix[1, 3]
    share = 0.0
    for dy in range(-1, 2):
        for dx in range(-1, 2):
            i, j = int(u) + dx, int(v) + dy
            if i < 0 or j < 0 or i >= size or j >= size or shadow[j, i] < depth + 0.45:
                share += 1 / 9.0
    return share


@njit(fastmath=True, cache=True)
def shade(
    triangles: Any, material: Any, two_sided: Any, owner: Any, bary: Any,  # what covers each pixel
    normals: Any, vertices: Any, ambient: Any, uv: Any, rest: Any,  # per vertex
    skin: Any, strands: Any, table: Any, eyes: Any, gloss: float,  # per person
    light_direction: Any, light_colour: Any, sky: Any, ground: Any, shadow: Any, shadow_matrix: Any,
    out: Any,
) -> None:  # fmt: skip
    """Colour every covered pixel (linear light, premultiplied RGBA)."""
    height, width = owner.shape
    strand_size = strands.shape[0]
    for y in range(height):
        for x in range(width):
            t = owner[y, x]
            if t < 0:
                continue
            a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            w0, w1 = bary[y, x, 0], bary[y, x, 1]
            w2 = 1 - w0 - w1
            nx = w0 * normals[a, 0] + w1 * normals[b, 0] + w2 * normals[c, 0]
            ny = w0 * normals[a, 1] + w1 * normals[b, 1] + w2 * normals[c, 1]
            nz = w0 * normals[a, 2] + w1 * normals[b, 2] + w2 * normals[c, 2]
            inverse = 1 / math.sqrt(nx * nx + ny * ny + nz * nz + 1e-12)
            if nz < 0 and two_sided[t]:
                inverse = -inverse
            nx *= inverse
            ny *= inverse
            nz *= inverse
            u = w0 * uv[a, 0] + w1 * uv[b, 0] + w2 * uv[c, 0]
            v = w0 * uv[a, 1] + w1 * uv[b, 1] + w2 * uv[c, 1]
            open_sky = w0 * ambient[a] + w1 * ambient[b] + w2 * ambient[c]
            m = material[t]
            red, green, blue, shine, power = (
                table[m, 0],
                table[m, 1],
                table[m, 2],
                table[m, 3],
                table[m, 4],
            )
            if m == 0:
                red, green, blue = _texel(skin, u, v)
                shine = gloss
            elif m == 4 or m == 5:
                e = m - 4
                gx = w0 * rest[a, 0] + w1 * rest[b, 0] + w2 * rest[c, 0] - eyes[e, 0]
                gy = w0 * rest[a, 1] + w1 * rest[b, 1] + w2 * rest[c, 1] - eyes[e, 1]
                gz = w0 * rest[a, 2] + w1 * rest[b, 2] + w2 * rest[c, 2] - eyes[e, 2]
                radius = math.sqrt(gx * gx + gy * gy)
                if gz > 0 and radius < 0.62:
                    tone = 1.0 if radius > 0.27 else 0.04
                    if radius > 0.53:
                        tone = 0.45
                    red, green, blue = eyes[2, 0] * tone, eyes[2, 1] * tone, eyes[2, 2] * tone
            elif m == 6:
                tone = strands[int(v * 0.6) % strand_size, int(u * 1.5) % strand_size]
                red *= tone
                green *= tone
                blue *= tone
                shine *= tone
            elif m == 13:  # the hairline: skin below it, hair above it, uneven as the strands
                tone = strands[int(v * 0.6) % strand_size, int(u * 1.5) % strand_size]
                above = w0 * rest[a, 0] + w1 * rest[b, 0] + w2 * rest[c, 0]
                share = min(1.0, max(0.0, (above + 0.25 + 0.9 * (tone - 1)) / 0.6))
                bare_red, bare_green, bare_blue = _texel(skin, u, v)
                red = red * tone * share + bare_red * (1 - share)
                green = green * tone * share + bare_green * (1 - share)
                blue = blue * tone * share + bare_blue * (1 - share)
                shine = shine * tone * share + gloss * (1 - share)
            elif table[m, 5] != 0 and math.sin(u * table[m, 5] + v * table[m, 6]) > 0.4:
                red, green, blue = table[m, 7], table[m, 8], table[m, 9]
            up = 0.5 + 0.5 * ny
            lr = (sky[0] * up + ground[0] * (1 - up)) * open_sky
            lg = (sky[1] * up + ground[1] * (1 - up)) * open_sky
            lb = (sky[2] * up + ground[2] * (1 - up)) * open_sky
            sr, sg, sb = 0.0, 0.0, 0.0
            px = w0 * vertices[a, 0] + w1 * vertices[b, 0] + w2 * vertices[c, 0]
            py = w0 * vertices[a, 1] + w1 * vertices[b, 1] + w2 * vertices[c, 1]
            pz = w0 * vertices[a, 2] + w1 * vertices[b, 2] + w2 * vertices[c, 2]
            for k in range(light_direction.shape[0]):
                lx, ly, lz = light_direction[k, 0], light_direction[k, 1], light_direction[k, 2]
                facing = nx * lx + ny * ly + nz * lz
                lit = 1.0
                if k == 0 and shadow.shape[0] > 1:
                    lit = _lit_share(shadow, shadow_matrix, px, py, pz, lx * px + ly * py + lz * pz)
                wrapped = max(0.0, (facing + 0.12) / 1.12)
                # light bleeds further through skin in red
                bleeding = max(0.0, (facing + 0.28) / 1.28) if (m == 0 or m == 11) else wrapped
                share = 0.5 + 0.5 * open_sky
                lr += light_colour[k, 0] * bleeding * (lit * 0.92 + 0.08) * share
                lg += light_colour[k, 1] * wrapped * lit * share
                lb += light_colour[k, 2] * wrapped * lit * share
                if facing > 0:
                    half = 1 / math.sqrt(lx * lx + ly * ly + (lz + 1) * (lz + 1) + 1e-9)
                    mirror = max(0.0, (nx * lx + ny * ly + nz * (lz + 1)) * half)
                    glint = shine * mirror**power * lit * open_sky * 0.5
                    sr += light_colour[k, 0] * glint
                    sg += light_colour[k, 1] * glint
                    sb += light_colour[k, 2] * glint
            out[y, x, 0] = red * lr + sr
            out[y, x, 1] = green * lg + sg
            out[y, x, 2] = blue * lb + sb
            out[y, x, 3] = 1.0


@njit(fastmath=True, cache=True)
def lay(
    frame: Any, owner: Any, layer: Any, x: int, y: int, tone: float, visible: Any, number: int
) -> None:
    """Lay premultiplied RGBA, its colours times `tone`, on a frame (float RGB), cut at its edges.

    `owner` says whose face each pixel of the frame shows (-1: nobody's): what the layer covers
    becomes `number` where `visible` is set, and nobody's elsewhere.
    """
    for j in range(max(0, -y), min(layer.shape[0], frame.shape[0] - y)):
        for i in range(max(0, -x), min(layer.shape[1], frame.shape[1] - x)):
            cover = layer[j, i, 3]
            if cover <= 0:
                continue
            through = 1 - cover
            for k in range(3):
                value = frame[y + j, x + i, k] * through + layer[j, i, k] * tone
                frame[y + j, x + i, k] = value
            if cover > 0.5:
                owner[y + j, x + i] = number if visible[j, i] else -1


_GAMMA = np.minimum((np.arange(4097) / 4096) ** (2 / 2.2), 1).astype(np.float32)  # of square roots


@njit(fastmath=True, cache=True)
def _for_display(picture: Any, gamma: Any) -> None:
    for y in range(picture.shape[0]):
        for x in range(picture.shape[1]):
            cover = picture[y, x, 3]
            if cover > 0:
                inverse = 1 / max(cover, 1e-3)
                for k in range(3):
                    root = math.sqrt(min(max(picture[y, x, k] * inverse, 0.0), 1.0))
                    picture[y, x, k] = gamma[int(root * 4096)] * cover


def for_display(picture: Floats) -> None:
    """Linear premultiplied RGBA to display gamma, in place."""
    _for_display(picture, _GAMMA)
