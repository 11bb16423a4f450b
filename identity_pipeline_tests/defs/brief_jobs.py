"""Jobs for workers: one says which run it is, one ends when stopped, one refuses its file."""

import sys
import time
from pathlib import Path

import dagster as dg

from identity_pipeline.defs.instance.pools import GPU
from identity_pipeline.settings import load_settings
from identity_pipeline.storage.layout import Layout
from identity_pipeline.storage.video.failures import FailureNote, FailureNotes


@dg.op(pool=GPU)
def says_its_run(context: dg.OpExecutionContext) -> None:
    sys.stdout.write(f"printed by {context.run_id}\n")


@dg.op
def refuses(context: dg.OpExecutionContext) -> None:
    note = FailureNote("not_a_video", "It is no video.", "ride_video", permanent=True)
    notes = FailureNotes(Layout(Path(load_settings().paths.data)))
    notes.put(context.run.tags["dagster/partition"], note)
    raise dg.Failure(note.sentence)


@dg.op
def waits() -> None:
    for _ in range(6000):
        time.sleep(0.1)


@dg.job(executor_def=dg.in_process_executor)
def brief() -> None:
    says_its_run()


@dg.job(executor_def=dg.in_process_executor)
def refused() -> None:
    refuses()


@dg.job(executor_def=dg.in_process_executor)
def endless() -> None:
    waits()
