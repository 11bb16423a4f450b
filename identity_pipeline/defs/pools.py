"""Names of concurrency pools. Limits: `dagster.yaml` and `make dev`.

Dagster does not check pool names, so they are written here and nowhere else.
"""

from __future__ import annotations

GPU = "gpu"
"""One slot per GPU. Granularity is `run`: a waiting video stays in the queue and burns no core."""

LIBRARY = "library"
"""One run of the library at a time: each reads the one before."""

ALL_POOLS = (GPU, LIBRARY)
