"""A face mesh seen from the front: the head's turn taken out, the expression left in.

The vertices that no expression moves are laid onto a mean face by a similarity (Kabsch 1976,
Umeyama 1991), and the whole mesh goes with them.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

_LEFT: Final = {
    33: (0.500, -0.134, -0.022),  # outer and inner corner of the eye
    133: (0.194, -0.113, 0.036),
    127: (0.761, -0.128, -0.559),  # temple, ear and jaw
    234: (0.747, 0.028, -0.620),
    93: (0.732, 0.188, -0.637),
    98: (0.182, 0.359, 0.153),  # wing of the nose
    50: (0.533, 0.226, 0.019),  # cheek bone
    116: (0.690, 0.039, -0.168),
}
"""Distance from the middle of the face, then as `RIGID_PLACES`, of the image-left vertices."""
_RIGHT: Final = (263, 362, 356, 454, 323, 327, 280, 345)
_MIDDLE: Final = {
    168: (-0.174, 0.220),  # ridge of the nose
    6: (-0.080, 0.261),
    197: (0.003, 0.310),
    195: (0.080, 0.364),
    5: (0.162, 0.420),
    4: (0.259, 0.440),
    1: (0.331, 0.412),
    2: (0.389, 0.238),
    10: (-0.731, 0.211),  # forehead
    151: (-0.547, 0.237),
    9: (-0.359, 0.252),
    8: (-0.261, 0.231),
}
RIGID: Final = np.array((*_LEFT, *_RIGHT, *_MIDDLE))
"""Vertices that no expression moves."""
RIGID_PLACES: Final[NDArray[np.float64]] = np.array(
    [(-x, y, z) for x, y, z in _LEFT.values()]
    + list(_LEFT.values())
    + [(0.0, y, z) for y, z in _MIDDLE.values()]
)
"""(28, 3) where they lie on the mean face: x to the image's right, y down, z towards the viewer, in
distances of the outer eye corners. The mean of eight people's near-frontal faces in ride clips,
each person counting once, made symmetric."""


def frontal_mesh(points: NDArray[np.floating]) -> NDArray[np.float64]:
    """The mesh as if the face looked into the camera.

    Args:
        points: (468, 3) as in `core.faces.mesh.MeshFace`.

    Returns:
        (468, 3), axes as given, the outer eye corners a distance of 1 apart; not finite where the
        points have no extent.
    """
    mesh = np.asarray(points, dtype=np.float64)
    seen = mesh[RIGID]
    middle = seen.mean(axis=0)
    u, _, vt = np.linalg.svd((seen - middle).T @ (RIGID_PLACES - RIGID_PLACES.mean(axis=0)))
    proper = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    front = (mesh - middle) @ u @ proper @ vt
    with np.errstate(divide="ignore", invalid="ignore"):
        return front / np.linalg.norm(front[263] - front[33])
