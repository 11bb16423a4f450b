"""The concurrency pools: their names, and who is in them. Their slots are set in `dagster.yaml`.

Dagster does not hold a pool to the default of `dagster.yaml` before it has seen it, so `make dev`
makes all of them known.
"""

from __future__ import annotations

from dataclasses import dataclass

import dagster as dg

from identity_pipeline.stages.specs.spec import GPU, LIBRARY_POOL

ALL_POOLS = (GPU, LIBRARY_POOL)
"""Their granularity is `run`: a waiting video stays in the queue and burns no core."""

BUSY = [
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dataclass(frozen=True)
class PoolUse:
    """A pool at one moment.

    Attributes:
        name: which.
        slots: runs that it admits at once.
        from_file: whether that is the default of `dagster.yaml`.
        inside: runs that hold a slot.
        waiting: runs in the queue that want one.
    """

    name: str
    slots: int
    from_file: bool
    inside: tuple[dg.DagsterRun, ...]
    waiting: int


def make_known(instance: dg.DagsterInstance) -> None:
    """Gives every pool without a limit the default of `dagster.yaml`."""
    storage = instance.event_log_storage
    known = {pool.name for pool in storage.get_pool_limits()}
    for name in ALL_POOLS:
        if name not in known:
            storage.initialize_concurrency_limit_to_default(name)


def uses(instance: dg.DagsterInstance) -> list[PoolUse]:
    """Every known pool of this location, with its runs."""
    busy = instance.get_runs(dg.RunsFilter(statuses=BUSY))
    queued = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]))
    limits = {pool.name: pool for pool in instance.event_log_storage.get_pool_limits()}
    return [
        PoolUse(
            name,
            limits[name].limit,
            limits[name].from_default,
            tuple(run for run in busy if name in pools_of(run)),
            sum(name in pools_of(run) for run in queued),
        )
        for name in ALL_POOLS
        if name in limits
    ]


def videos_at_once(instance: dg.DagsterInstance) -> int:
    """Videos that may be worked on at once: slots of the pool `gpu`."""
    limits = {pool.name: pool.limit for pool in instance.event_log_storage.get_pool_limits()}
    return limits.get(GPU, 1)


def pools_of(run: dg.DagsterRun) -> set[str]:
    """Names of the pools that a run needs."""
    wanted = run.run_op_concurrency
    return set(wanted.all_pools or ()) if wanted else set()
