"""A process that runs a job with a pooled step which never ends, to be killed.

`python -m identity_pipeline_tests.defs.killable`, with DAGSTER_HOME set; prints once it is in.
"""

from __future__ import annotations

import sys
import time

import dagster as dg

from identity_pipeline.defs.instance.pools import GPU


@dg.op(pool=GPU)
def holds_the_slot() -> None:
    sys.stdout.write("inside\n")
    sys.stdout.flush()
    time.sleep(600)


@dg.job(executor_def=dg.in_process_executor)
def endless() -> None:
    holds_the_slot()


if __name__ == "__main__":
    with dg.DagsterInstance.get() as instance:
        endless.execute_in_process(instance=instance, tags={"dagster/partition": sys.argv[1]})
