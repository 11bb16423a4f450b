"""Names of concurrency pools. Limits: `dagster.yaml` and `make dev`.

Dagster does not check pool names, so they are written here and nowhere else.
"""

from __future__ import annotations

GPU = "gpu"
"""One slot per GPU. Granularity is `run`: a waiting video stays in the queue and burns no core."""

ALL_POOLS = (GPU,)
