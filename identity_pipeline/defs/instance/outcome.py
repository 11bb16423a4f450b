"""Why a run in this process failed, as a person is told."""

from dataclasses import dataclass

import dagster as dg

from identity_pipeline.defs.compat import SerializableErrorInfo
from identity_pipeline.defs.instance.pausing import PAUSED_TAG


@dataclass(frozen=True)
class WhyFailed:
    """The first thing that went wrong in a run.

    Attributes:
        sentence: what, in a line.
        worded: the product says so; else it is the type and the message of an exception.
        paused: nothing did: a pause stopped it.
    """

    sentence: str
    worded: bool
    paused: bool = False


def why_failed(result: dg.ExecuteInProcessResult, run: dg.DagsterRun | None) -> WhyFailed:
    """Why a run failed: the steps after the first failure only lack what it did not make.

    Args:
        result: that is no success.
        run: as it is noted.
    """
    if run is not None and PAUSED_TAG in run.tags:
        return WhyFailed("it was paused", worded=True, paused=True)
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            if (said := data.user_failure_data) and said.description:
                code = said.metadata.get("reason_code")
                start = f"{code.value}: " if code else ""
                return WhyFailed(f"{start}{said.description}", worded=True)
            return WhyFailed(_cause(data.error), worded=False)
    error = next((e.job_failure_data.error for e in result.all_events if e.is_job_failure), None)
    return WhyFailed(_cause(error), worded=False)


def _cause(error: SerializableErrorInfo | None) -> str:
    """The exception that began it, as `Type: message`."""
    while error is not None and error.cause is not None:
        error = error.cause
    said = " ".join(error.message.split()) if error else ""
    return said or "Dagster does not say why; its UI shows the run's log"
