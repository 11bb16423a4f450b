"""Faces of one photograph, whatever their size in it: the detector at several input sizes.

A ride's camera is fixed, and so is the size of its faces; a photograph may be filled by a face or
show it among many. A detector's anchors know sizes up to some share of its input, so that a face
which fills the picture is found at a small input only, and a small one at a large input.
"""

from __future__ import annotations

import numpy as np

from identity_pipeline.core.geometry import Box, surest, without_nested
from identity_pipeline.media.crops import ImageBGR
from identity_pipeline.models.face_pack import Detections, FacePack
from identity_pipeline.settings import Settings

SAME_FACE = 0.4
"""Overlap over union from which finds of two sizes are one face; detectors thin out at the same."""

FILLS = 0.5
"""Share of the picture's longer side from which a face fills it: what is smaller is found at the
usual size too, and what a coarser look alone takes for a face is none. Both detectors that were
tried find real faces of two thirds of a picture at the usual size."""


def faces_of_still(bgr: ImageBGR, pack: FacePack, settings: Settings) -> Detections:
    """The faces of a picture from left to right, each as it was found at the size that is surest.

    Args:
        bgr: (H, W, 3).
        pack: detector.
        settings: `photos.detect_at`, `models.det_size`.
    """
    found = _looks(bgr, pack, settings)
    boxes = np.concatenate([np.zeros((0, 4), np.float32), *(one.boxes for one in found)])
    scores = np.concatenate([np.zeros(0, np.float32), *(one.scores for one in found)])
    points = np.concatenate([np.zeros((0, 5, 2), np.float32), *(one.key_points for one in found)])
    kept = surest(boxes, scores, _same_face)
    kept = kept[without_nested(boxes[kept], scores[kept])]
    order = kept[np.lexsort((boxes[kept, 1], boxes[kept, 0]))]
    return Detections(boxes[order], scores[order], points[order])


def _looks(bgr: ImageBGR, pack: FacePack, settings: Settings) -> list[Detections]:
    """What is believed of the look at each size, the usual size and larger ones first."""
    longer, shorter = max(bgr.shape[:2]), min(bgr.shape[:2])
    usual_side = settings.models.det_size
    found: list[Detections] = []
    known: list[Box] = []
    for side in sorted(settings.photos.detect_at, reverse=True):
        # A very long picture would be less than a pixel high at a small size.
        if side > max(longer, usual_side) or side * shorter < longer:
            continue
        seen = pack.detect(bgr, size=side)
        if side < usual_side:
            seen = _believed(seen, known, FILLS * longer)
        else:
            known += boxes_of(seen)
        found.append(seen)
    return found


def boxes_of(found: Detections) -> list[Box]:
    """The boxes of finds."""
    return [Box(*(float(v) for v in corners)) for corners in found.boxes]


def _believed(found: Detections, known: list[Box], least_px: float) -> Detections:
    """What is believed of a coarse look: faces that fill the picture, and those known already."""
    kept = [
        n
        for n, box in enumerate(boxes_of(found))
        if box.longer_side >= least_px or any(_same_face(box, other) for other in known)
    ]
    return Detections(found.boxes[kept], found.scores[kept], found.key_points[kept])


def _same_face(a: Box, b: Box) -> bool:
    return a.iou(b) >= SAME_FACE
