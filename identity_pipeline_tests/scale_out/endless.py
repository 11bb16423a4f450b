"""A job with a pooled step that ends only when it is stopped, for workers to be killed at."""

from __future__ import annotations

import time

import dagster as dg

from identity_pipeline.defs.instance.pools import GPU


@dg.op(pool=GPU)
def waits() -> None:
    for _ in range(6000):
        time.sleep(0.1)


@dg.job(executor_def=dg.in_process_executor)
def endless() -> None:
    waits()
