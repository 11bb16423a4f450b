"""Jobs for workers: one that prints which run it is, one that ends only when it is stopped."""

import sys
import time

import dagster as dg

from identity_pipeline.defs.instance.pools import GPU


@dg.op(pool=GPU)
def says_its_run(context: dg.OpExecutionContext) -> None:
    sys.stdout.write(f"printed by {context.run_id}\n")


@dg.op
def waits() -> None:
    for _ in range(6000):
        time.sleep(0.1)


@dg.job(executor_def=dg.in_process_executor)
def brief() -> None:
    says_its_run()


@dg.job(executor_def=dg.in_process_executor)
def endless() -> None:
    waits()
