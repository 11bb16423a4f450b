"""Perspective-n-point by OpenCV: head pose from 68 or 5 points in the picture.

The face is looked at by a virtual camera that points at its centre, so the pose is what the crop
shows and not where in the frame the face happens to be. Signs: `core.faces.pose`.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.faces.head_model import HEAD_5, HEAD_68
from identity_pipeline.core.faces.pose import HeadPose, pose_from_rotation
from identity_pipeline.core.geometry import Box

FOCAL_FACES = 5.0
"""Focal length in face sides; chosen: a face that fills a fifth of the picture's width. Halving it
changes the yaw of the synthetic head by up to 1.6 degrees within 45 degrees."""

TO_CAMERA = np.diag([1.0, -1.0, -1.0])
"""From the head frame (y up, z to the viewer) to OpenCV's camera frame (y down, z away)."""


class PointPose(NamedTuple):
    """A pose, and the mean reprojection error over the face's longer side."""

    pose: HeadPose
    error: float


def pose_from_points(points: NDArray[np.floating], box: Box) -> PointPose:
    """Head pose from 2-D points.

    Args:
        points: (68, 2) Multi-PIE landmarks or (5, 2) key points, in pixels.
        box: the face's box in the same pixels.

    Raises:
        ValueError: another number of points, or no pose fits.
    """
    templates = {68: HEAD_68, 5: HEAD_5}
    if len(points) not in templates:
        raise ValueError(f"a pose needs 68 or 5 points, got {len(points)}")
    template = templates[len(points)] @ TO_CAMERA
    centred = np.asarray(points, dtype=np.float64) - points.mean(axis=0)
    camera = np.diag([FOCAL_FACES * box.longer_side] * 2 + [1.0])
    try:
        found, rotation, shift = cv2.solvePnP(
            template, centred, camera, None, flags=cv2.SOLVEPNP_SQPNP
        )
    except cv2.error as error:
        raise ValueError("no head pose fits the points") from error
    if not found:
        raise ValueError("no head pose fits the points")
    rotation, shift = cv2.solvePnPRefineLM(template, centred, camera, None, rotation, shift)
    projected, _ = cv2.projectPoints(template, rotation, shift, camera, None)
    error = np.linalg.norm(projected[:, 0] - centred, axis=1).mean() / box.longer_side
    matrix = np.asarray(cv2.Rodrigues(rotation)[0], dtype=np.float64)
    head = TO_CAMERA @ matrix @ TO_CAMERA
    return PointPose(pose_from_rotation(head), float(error))
