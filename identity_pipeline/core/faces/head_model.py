"""A generic head as 68 points in space, for perspective-n-point and for synthetic tests.

The points are the Multi-PIE landmarks of the neutral mesh of the ICT Face Model Light, in
centimetres, shifted to the landmarks' mean depth.

ICT-FaceKit, Copyright (c) 2020 USC Institute for Creative Technologies, MIT License: permission is
granted, free of charge, to any person obtaining a copy to deal in the software without
restriction, provided that this notice is included in all copies or substantial portions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# fmt: off
_POINTS = (
    (-7.363, 3.676, -5.779),
    (-7.276, 1.491, -5.511),
    (-6.938, -0.461, -4.903),
    (-6.557, -2.356, -4.262),
    (-5.724, -4.487, -3.308),
    (-4.302, -6.207, -2.089),
    (-3.051, -6.912, -0.665),
    (-1.537, -7.258, 0.835),
    (0.000, -7.567, 0.996),
    (1.537, -7.258, 0.835),
    (3.051, -6.912, -0.665),
    (4.302, -6.207, -2.089),
    (5.724, -4.487, -3.308),
    (6.557, -2.356, -4.262),
    (6.938, -0.461, -4.903),
    (7.276, 1.491, -5.511),
    (7.363, 3.676, -5.779),
    (-5.815, 5.199, -1.525),
    (-4.933, 5.977, -0.447),
    (-3.793, 6.255, 0.392),
    (-2.415, 6.192, 1.046),
    (-1.172, 5.908, 1.292),
    (1.172, 5.908, 1.292),
    (2.415, 6.192, 1.046),
    (3.793, 6.255, 0.392),
    (4.933, 5.977, -0.447),
    (5.815, 5.199, -1.525),
    (0.000, 3.741, 1.299),
    (0.000, 2.634, 2.082),
    (0.000, 1.612, 2.870),
    (0.000, 0.406, 3.633),
    (-1.253, -1.145, 1.435),
    (-0.602, -1.138, 1.983),
    (0.000, -1.203, 2.130),
    (0.602, -1.138, 1.983),
    (1.253, -1.145, 1.435),
    (-4.459, 3.432, -0.833),
    (-3.869, 3.875, -0.073),
    (-2.781, 3.936, 0.096),
    (-1.844, 3.252, -0.240),
    (-2.729, 3.085, -0.022),
    (-3.856, 3.072, -0.207),
    (1.844, 3.252, -0.240),
    (2.781, 3.936, 0.096),
    (3.869, 3.875, -0.073),
    (4.459, 3.432, -0.833),
    (3.856, 3.072, -0.207),
    (2.729, 3.085, -0.022),
    (-2.535, -3.520, 0.752),
    (-1.702, -2.777, 1.785),
    (-0.728, -2.422, 2.294),
    (0.000, -2.483, 2.403),
    (0.728, -2.422, 2.294),
    (1.702, -2.777, 1.785),
    (2.535, -3.520, 0.752),
    (1.801, -4.056, 1.463),
    (1.034, -4.302, 1.953),
    (0.000, -4.377, 2.113),
    (-1.034, -4.302, 1.953),
    (-1.801, -4.056, 1.463),
    (-2.209, -3.490, 0.692),
    (-0.996, -3.297, 1.651),
    (0.000, -3.324, 1.845),
    (0.996, -3.297, 1.651),
    (2.209, -3.490, 0.692),
    (1.069, -3.380, 1.604),
    (0.000, -3.400, 1.817),
    (-1.069, -3.380, 1.604),
)
# fmt: on

HEAD_68: NDArray[np.float64] = np.array(_POINTS)
"""(68, 3) landmarks in cm, head frame: x to the image's right, y up, z towards the viewer."""


def five_points(landmarks: NDArray[np.floating]) -> NDArray[np.floating]:
    """ArcFace's five key points of 68 landmarks: eye, eye, nose tip, mouth corner, mouth corner.

    Args:
        landmarks: (68, D) Multi-PIE landmarks.

    Returns:
        (5, D), the image-left point of each pair first.
    """
    return np.stack(
        [
            landmarks[36:42].mean(axis=0),
            landmarks[42:48].mean(axis=0),
            landmarks[30],
            landmarks[48],
            landmarks[54],
        ]
    )


HEAD_5: NDArray[np.float64] = five_points(HEAD_68).astype(np.float64)
"""(5, 3) key points of the generic head."""
