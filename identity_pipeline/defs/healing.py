"""Trying a step again within its run, with growing waits, where the error heals by waiting.

Everything else fails at once: a bug or a bad file is the same the second time. What is still wrong
after the last try is left to the hourly sweep.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from identity_pipeline.settings import Settings
from identity_pipeline.storage.failures import heals_by_waiting

BACK_OFF = 4


def ask_for_another_try(
    context: dg.AssetExecutionContext, settings: Settings, error: Exception
) -> None:
    """Does nothing where the error will not heal, or was tried often enough.

    Raises:
        RetryRequested: it may heal; the step waits and runs again.
    """
    done, most = context.op_execution_context.retry_number, settings.ingest.step_retries
    if done >= most or not heals_by_waiting(error):
        return
    wait = settings.ingest.step_retry_wait_s * BACK_OFF**done
    context.log.warning(f"{error} - tried again in {wait:g} s ({done + 1} of {most})")
    raise dg.RetryRequested(max_retries=most, seconds_to_wait=wait) from error


@contextmanager
def healing(context: dg.AssetExecutionContext, settings: Settings) -> Iterator[None]:
    """A step, or part of one, that is tried again where its error heals by waiting."""
    try:
        yield
    except Exception as error:
        ask_for_another_try(context, settings, error)
        raise
