"""What a step does with an error: try again within its run where waiting heals it, else say it.

Everything else fails at once: a bug or a bad file is the same the second time. What is still wrong
after the last try is left to the hourly sweep. An error that the product words, or one of the
operating system, becomes a failure of one sentence; of any other Dagster shows the traceback.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from identity_pipeline.defs.instance.preflight import is_not_the_videos, not_ready
from identity_pipeline.errors import IdentityPipelineError, system_words
from identity_pipeline.settings import Settings
from identity_pipeline.storage.files.small_files import DamagedFileError
from identity_pipeline.storage.video.failures import (
    DAMAGED,
    FailureNote,
    FailureNotes,
    heals_by_waiting,
)
from identity_pipeline.storage.video.tables import TableStore

BACK_OFF = 4
MAY_HEAL = ("missing", "truncated", "too_long", "too_large")
"""Faults of a video that a remounted share or a raised limit mends."""
SYSTEM = "system"
"""Reason code of what the operating system refused."""


class PermanentFailure(dg.Failure):
    """A failure that trying again cannot heal."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(description=sentence, metadata={"reason_code": code}, allow_retries=False)
        self.code = code


def worded(error: Exception) -> PermanentFailure | None:
    """The error as a failure of one sentence; None where nobody has words for it."""
    if isinstance(error, IdentityPipelineError):
        code = getattr(error, "code", type(error).__name__)
        return PermanentFailure(code, getattr(error, "sentence", str(error)))
    if isinstance(error, OSError) and error.errno is not None:
        return PermanentFailure(SYSTEM, system_words(error))
    return None


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
    """A step, or part of one, that is tried again where its error heals by waiting.

    Raises:
        PermanentFailure: an error that has words.
    """
    try:
        yield
    except (dg.Failure, dg.RetryRequested):
        raise
    except Exception as error:
        ask_for_another_try(context, settings, error)
        failure = worded(error)
        if failure is not None:
            raise failure from error
        raise


@contextmanager
def named_failures(
    context: dg.AssetExecutionContext, store: TableStore, settings: Settings
) -> Iterator[None]:
    """Turns errors that have words into failures of this partition with one sentence; notes all.

    What heals by waiting is tried again first, and noted when it did not heal. What is the
    machine's fault, or the settings', is not noted on the video: see `defs.instance.preflight`.
    """
    from identity_pipeline.media.errors import VideoError

    asset = context.op_execution_context.op.name
    try:
        yield
    except (dg.Failure, dg.RetryRequested):  # named already, further in
        raise
    except Exception as error:
        if is_not_the_videos(error, store.layout):
            raise not_ready(context, store, settings, str(error)) from error
        video_fault = isinstance(error, VideoError)
        if not video_fault:
            ask_for_another_try(context, settings, error)
        failure = worded(error)
        code = failure.code if failure else "unexpected"
        code = DAMAGED if isinstance(error, DamagedFileError) else code
        sentence = failure.description if failure else f"{type(error).__name__}: {error}"
        permanent = video_fault and code not in MAY_HEAL
        note = FailureNote(code, str(sentence), asset, permanent)
        FailureNotes(store.layout).put(context.partition_key, note)
        if failure:
            raise failure from error
        raise
