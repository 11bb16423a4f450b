"""Which pairs of unit vectors may reach a cosine, from vectors rounded to 8 bits.

Processors multiply bytes several times as fast as float32. What rounding can do to a cosine is
bounded by how far each vector was moved (Cauchy-Schwarz), so no pair is missed: the few that come
near the floor are for the caller to measure, and no result depends on the rounding.

What belongs here: the rounded vectors and their product. What a link is belongs to `neighbours`.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from identity_pipeline.core.vectors import UNIT_TOLERANCE, Matrix

Codes = NDArray[np.int8]
Product = Callable[[Codes, Codes], NDArray[np.int32]]

LARGEST: Final = 127
ROWS_AT_ONCE: Final = 8192
"""Vectors rounded at once: 32 MB of float64 at 512 dimensions."""
PRODUCT: Final = base64.b64decode(
    "CAgSADqUAQotCgRyb3dzCgdjb2x1bW5zCgR6ZXJvEgdwcm9kdWN0Ig1NYXRNdWxJbnRlZ2VyEgFnKgwQAioCgAFCBHpl"
    "cm9aGAoEcm93cxIQCg4IAhIKCgMSAXIKAxIBZFobCgdjb2x1bW5zEhAKDggDEgoKAxIBZAoDEgFjYhsKB3Byb2R1Y3QS"
    "EAoOCAYSCgoDEgFyCgMSAWNCBAoAEBE="
)
"""`MatMulInteger` of uint8 (zero at 128) and int8 to int32, in ONNX."""
log = logging.getLogger(__name__)


class Screen:
    """Unit vectors (N, D) rounded to multiples of one step.

    Args:
        vectors: float32 vectors of norm 1 +- 1e-3.
        product: of the codes of rows (R, D) and columns (C, D), (R, C).
    """

    def __init__(self, vectors: Matrix, product: Product) -> None:
        self._product = product
        self._step = float(max(-vectors.min(), vectors.max())) / LARGEST
        self._codes = np.empty(vectors.shape, dtype=np.int8)
        self._moved = np.empty(len(vectors))
        for start in range(0, len(vectors), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            exact = vectors[part].astype(np.float64)
            rounded = np.rint(exact / self._step)
            self._codes[part] = rounded
            self._moved[part] = np.linalg.norm(exact - rounded * self._step, axis=1)

    def may_reach(self, rows: slice, columns: slice, floor: float) -> NDArray[np.intp]:
        """Flat positions in (rows, columns) of every pair whose product is at least `floor`.

        With a = ra + ea, b = rb + eb (rounded vectors and what rounding moved):
        |a.b - ra.rb| = |ra.eb + ea.b| <= (|a| + |ea|) |eb| + |ea| |b|.
        """
        a, b = float(self._moved[rows].max()), float(self._moved[columns].max())
        off = (1 + UNIT_TOLERANCE) * (a + b) + a * b
        least = int(np.floor((floor - off) / self._step**2))
        tile = self._product(self._codes[rows], self._codes[columns])
        return np.flatnonzero(tile >= least)


@cache
def byte_product() -> Product | None:
    """The product of bytes; None, said in the log, where this processor has no exact one.

    Without the instructions for it (VNNI), sums of two products are cut off at 16 bits.
    """
    # Here and not at the top: small libraries need none.
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(PRODUCT, options, providers=["CPUExecutionProvider"])

    def product(rows: Codes, columns: Codes) -> NDArray[np.int32]:
        from_128 = rows.view(np.uint8) ^ np.uint8(128)
        given = {"rows": from_128, "columns": np.ascontiguousarray(columns.T)}
        return np.asarray(session.run(None, given)[0])

    most = np.full((1, 64), LARGEST, dtype=np.int8)
    extremes = np.concatenate([most, -most])
    wide = extremes.astype(np.int32)
    if np.array_equal(product(extremes, extremes), wide @ wide.T):
        return product
    log.warning("This processor multiplies bytes inexactly; links are found in float32, slower.")
    return None
