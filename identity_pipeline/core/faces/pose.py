"""Head pose: from a rotation to yaw, pitch and roll, and from 3-D landmarks to a rotation.

The head frame and the view frame are the same when a face looks straight into the camera:
x to the image's right, y up, z from the face towards the viewer. Degrees; yaw > 0 when the nose
points to the image's right, pitch > 0 up, roll > 0 clockwise in the image. The rotation is
R = Ry(yaw) Rx(-pitch) Rz(-roll), so roll turns about the nose, then pitch, then yaw.

Perspective-n-point needs OpenCV and lives in `models.head_pose`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class HeadPose(NamedTuple):
    """Head pose in degrees."""

    yaw: float
    pitch: float
    roll: float


def pose_from_rotation(rotation: NDArray[np.floating]) -> HeadPose:
    """Yaw, pitch and roll of a (3, 3) rotation from the head frame to the view frame."""
    nose = rotation[:, 2]
    return HeadPose(
        yaw=float(np.degrees(np.arctan2(nose[0], nose[2]))),
        pitch=float(np.degrees(np.arcsin(np.clip(nose[1], -1.0, 1.0)))),
        roll=float(np.degrees(-np.arctan2(rotation[1, 0], rotation[1, 1]))),
    )


def fit_rotation(
    template: NDArray[np.floating], observed: NDArray[np.floating]
) -> tuple[NDArray[np.float64], float]:
    """Rotation that turns a 3-D template into observed 3-D points (Kabsch-Umeyama).

    Args:
        template: (N, 3) points in the head frame.
        observed: (N, 3) points in the view frame, of any scale and place.

    Returns:
        The (3, 3) proper rotation, and the root-mean-square residual over the size (root mean
        square distance from the centroid) of the observed points.

    Raises:
        ValueError: the shapes differ, or the points have no extent.
    """
    if template.shape != observed.shape or template.ndim != 2 or template.shape[1] != 3:
        raise ValueError(f"expected two (N, 3) arrays, got {template.shape} and {observed.shape}")
    a = template - template.mean(axis=0)
    b = observed - observed.mean(axis=0)
    size = float(np.sqrt((b**2).sum(axis=1).mean()))
    if size <= 0 or not np.isfinite(size):
        raise ValueError("the observed points have no extent")
    u, singular, vt = np.linalg.svd(b.T @ a)
    flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = u @ flip @ vt
    scale = float((singular * np.diag(flip)).sum() / (a**2).sum())
    residual = b - scale * a @ rotation.T
    return rotation, float(np.sqrt((residual**2).sum(axis=1).mean())) / size


def pose_from_landmarks_3d(
    template: NDArray[np.floating], landmarks: NDArray[np.floating]
) -> tuple[HeadPose, float]:
    """Pose of InsightFace-style 3-D landmarks.

    Args:
        template: (68, 3) mean shape in the head frame (x right, y up, z to the viewer).
        landmarks: (68, 3) with x, y in image pixels (y down) and z in pixels towards the viewer.

    Returns:
        The pose and the relative residual of the rigid fit.
    """
    view = np.asarray(landmarks, dtype=np.float64) * np.array([1.0, -1.0, 1.0])
    rotation, residual = fit_rotation(np.asarray(template, dtype=np.float64), view)
    return pose_from_rotation(rotation), residual
